"""One thread for each model, which takes what is waiting: nobody waits for others to come, and who waits, waits together.

Batches are filled up to a few sizes, for which plans are ready. A row's prediction does not depend on its batch, so nobody notices.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import NacreError
from nacre.models import Model
from nacre.serve.signature import one_line
from nacre.web import Refused

Array = npt.NDArray[Any]

BATCH = 64  # rows that are computed together
_REQUESTS, _ROWS = 1024, 1 << 16  # that wait, at most


def check_count(rows: int) -> None:
    """Refuse more rows than a request may have: others would have to wait for long."""
    if rows > _ROWS:
        raise Refused(413, f"A request has {rows:,} instances, expected at most {_ROWS:,}.")


@dataclass(frozen=True)
class _Job:
    inputs: Sequence[Array]
    rows: int
    answer: asyncio.Future[list[Array]]


class Worker:
    """Predictions of a model for requests of many clients. ``batched`` is told how many rows were computed together."""

    def __init__(self, model: Model, batched: Callable[[int], object]) -> None:
        self.model, self.batched = model, batched
        self.requests = self.rows = 0  # that wait for an answer
        self.jobs: deque[_Job] = deque()
        self.over = False
        self.news = threading.Condition()  # guards jobs and over
        self.thread = threading.Thread(target=self._work, name=f"nacre-{model.name}", daemon=True)

    def start(self, inputs: Sequence[Array]) -> None:
        """Make the plans of all sizes ready, with rows like the first of ``inputs``."""
        size = 1
        while size <= BATCH:
            self._predict([np.repeat(array[:1], size, 0) for array in inputs])
            size *= 2
        self.thread.start()

    def stop(self) -> None:
        """End the thread, when what waits is done."""
        with self.news:
            self.over = True
            self.news.notify()
        self.thread.join()

    async def predict(self, inputs: Sequence[Array]) -> list[Array]:
        """Each output for these rows. Refused if too much is waiting, or if an output is no number."""
        rows = len(inputs[0])
        check_count(rows)
        if self.requests >= _REQUESTS or self.rows + rows > _ROWS:
            raise Refused(503, "Too many requests are waiting.", [(b"retry-after", b"1")])
        answer: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()
        self.requests += 1
        self.rows += rows
        with self.news:
            self.jobs.append(_Job(inputs, rows, answer))
            self.news.notify()
        try:
            outputs = await answer
        except NacreError as error:
            raise Refused(400, one_line(error)) from error
        finally:
            self.requests -= 1
            self.rows -= rows
        for name, y in zip(self.model.output_names, outputs, strict=True):
            if not np.isfinite(y).all():
                first = int(np.flatnonzero(~np.isfinite(y).reshape(rows, -1).all(1))[0])
                what = f"Instance {first} is not what the model was made for: its {name!r} is no finite number"
                raise Refused(400, f"{what}. Are there categories that it does not know, or very large numbers?")
        return outputs

    def _work(self) -> None:
        while batch := self._waiting():
            self._answer(batch, sum(job.rows for job in batch))

    def _waiting(self) -> list[_Job]:
        """What waits now, as far as it fits into a batch; waits itself if there is nothing. Nothing when all is over."""
        with self.news:
            while not self.jobs and not self.over:
                self.news.wait()
            batch: list[_Job] = []
            rows = 0
            while self.jobs and (not batch or rows + self.jobs[0].rows <= BATCH):
                batch.append(self.jobs.popleft())
                rows += batch[-1].rows
            return batch

    def _answer(self, batch: Sequence[_Job], rows: int) -> None:
        found: list[list[Array] | Exception] = []
        try:
            outputs = self._predict(
                [np.concatenate(arrays) for arrays in zip(*(job.inputs for job in batch), strict=True)]
            )
            ends = np.cumsum([job.rows for job in batch]).tolist()
            found += [[y[end - job.rows : end] for y in outputs] for job, end in zip(batch, ends, strict=True)]
        except Exception as error:  # noqa: BLE001 - it is handed on to whom it concerns
            if len(batch) > 1:  # one of them is at fault: the others do not suffer
                for job in batch:
                    self._answer([job], job.rows)
                return
            found.append(error)

        def tell() -> None:
            self.batched(rows)
            for job, one in zip(batch, found, strict=True):
                if job.answer.done():  # cancelled, since the server stops
                    continue
                if isinstance(one, Exception):
                    job.answer.set_exception(one)
                else:
                    job.answer.set_result(one)

        batch[0].answer.get_loop().call_soon_threadsafe(tell)

    def _predict(self, inputs: Sequence[Array]) -> list[Array]:
        """Each output for these rows, which are filled up to one of the sizes."""
        rows = len(inputs[0])
        size = min(BATCH, 1 << (rows - 1).bit_length())
        missing = -rows % size
        if missing:
            inputs = [np.concatenate([array, np.repeat(array[:1], missing, 0)]) for array in inputs]
        x = inputs[0] if len(inputs) == 1 else dict(zip(self.model.input_names, inputs, strict=True))
        given = self.model.predict(x, batch_size=size, verbose=0)
        outputs = list(given.values()) if isinstance(given, dict) else given if isinstance(given, list) else [given]
        return [np.asarray(y)[:rows] for y in outputs]
