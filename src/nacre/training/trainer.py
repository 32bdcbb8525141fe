"""The trainer introduces network, loss, optimizer, data and backend to each other, and runs the epochs."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.backends import native, reference
from nacre.backends.base import Block, Executable, Feed, PlannedStep, Program, State, check_order
from nacre.data import Dataset
from nacre.errors import Limitation, NonFiniteLossError, find
from nacre.ops import next_seed
from nacre.training.callbacks import Callbacks, Logs
from nacre.training.history import History
from nacre.training.program import (
    Goal,
    Network,
    RowType,
    evaluation_program,
    prediction_program,
    slot_types,
    training_program,
)

Array = npt.NDArray[Any]

BACKENDS: dict[str, Callable[[Program], Executable]] = {"native": native.compile, "reference": reference.compile}

_KEPT = 16  # executables kept ready, for the batch sizes used last
EVALUATION_ROWS = 256  # rows of a batch where the batch size changes nothing but the speed


class Trainer:
    """Runs programs of one network on one backend; ``goal`` is missing for a network that only predicts."""

    def __init__(
        self, network: Network, state: State, backend: str, goal: Goal | None = None, seed: int | None = None
    ) -> None:
        self.network, self.state, self.goal = network, state, goal
        self.compile = find("backend", backend, BACKENDS)
        self.seed = next_seed() if seed is None else seed
        self._ready: OrderedDict[tuple[Any, ...], Executable] = OrderedDict()
        if goal is not None:
            state.add({name: t for name, t in slot_types(goal.optimizer, network.weights).items() if name not in state})

    # -------------------------------------------------------------- programs

    def executable(self, kind: str, sizes: tuple[int, ...], x: RowType, y: RowType | None = None) -> Executable:
        """The program of a kind for some batch sizes, compiled once and kept while it is in use."""
        frozen = tuple(w.trainable for w in self.network.weights) if kind == "train" else ()
        key = (kind, sizes, x, y, frozen)
        # Each step is atomic, so threads need no lock; at worst two of them compile the same thing.
        executable = self._ready.pop(key, None) or self.compile(self._trace(kind, sizes, x, y))
        self._ready[key] = executable  # the one used last is at the end
        if len(self._ready) > _KEPT:
            self._ready.popitem(last=False)
        return executable

    def _trace(self, kind: str, sizes: tuple[int, ...], x: RowType, y: RowType | None) -> Program:
        if kind == "predict":
            return prediction_program(self.network, x, sizes)
        assert self.goal is not None
        assert y is not None
        build = training_program if kind == "train" else evaluation_program
        return build(self.network, self.goal, x, y, sizes)

    # -------------------------------------------------------------- the three verbs

    def fit(
        self,
        data: Dataset,
        validation: Dataset | None,
        *,
        epochs: range,
        batch_size: int,
        shuffle: bool,
        callbacks: Callbacks,
        history: History,
    ) -> None:
        """Train for the epochs of ``epochs``; figures go to ``history`` as they come."""
        callbacks.call("on_train_begin", {})
        for epoch in epochs:
            callbacks.call("on_epoch_begin", epoch, {})
            logs = self.epoch(data, batch_size, self._order(len(data), shuffle), callbacks, epoch)
            if validation is not None:
                logs |= {
                    f"val_{name}": value for name, value in self.evaluate(validation, batch_size, callbacks).items()
                }
            history.append(epoch, logs)
            callbacks.call("on_epoch_end", epoch, logs)
            if callbacks.stopped:
                break
        callbacks.call("on_train_end", {})

    def epoch(
        self, data: Dataset, batch_size: int, order: npt.NDArray[np.int64], callbacks: Callbacks, epoch: int = 0
    ) -> Logs:
        """One pass over the rows in ``order``: a single native call, or one per batch if a callback asks for batches."""
        sizes = _sizes(len(order), batch_size)
        executable = self.executable("train", sizes, *_row_types(data))
        logs = self._sweep("train", executable, data, sizes, order, callbacks)
        if not math.isfinite(logs["loss"]):
            assert self.goal is not None
            raise NonFiniteLossError(
                f"The loss became {logs['loss']} in epoch {epoch + 1}, at step {self.goal.optimizer.iterations + 1}.",
                {"learning rate": self.goal.optimizer.learning_rate, "weights": "as they were before that step"},
                "a smaller learning rate, or scaled inputs",
            )
        return logs

    def evaluate(self, data: Dataset, batch_size: int, callbacks: Callbacks) -> Logs:
        """Loss and metrics over all rows."""
        sizes = _sizes(len(data), batch_size)
        executable = self.executable("test", sizes, *_row_types(data))
        callbacks.call("on_test_begin", {})
        logs = self._sweep("test", executable, data, sizes, np.arange(len(data)), callbacks)
        callbacks.call("on_test_end", logs)
        return logs

    def predict(self, data: Dataset, batch_size: int, callbacks: Callbacks) -> Array:
        """Outputs for all rows. A row's output does not depend on its batch."""
        x, _ = _row_types(data)
        sizes = _sizes(len(data), batch_size)
        executable = self.executable("predict", sizes or (1,), x)
        callbacks.call("on_predict_begin", {})
        outputs: list[Array] = []
        self._sweep("predict", executable, data, sizes, np.arange(len(data)), callbacks, outputs)
        callbacks.call("on_predict_end", {})
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def plan(self, data: Dataset, batch_size: int, seconds: float = 0) -> tuple[list[PlannedStep], list[float]]:
        """The steps of the plan for full batches of ``data``, of training if there is a goal, else of prediction; and the time of
        each in seconds, measured for about ``seconds``, none if that is 0. Weights and optimizer are left as they were."""
        kind = "train" if self.goal is not None and data.y is not None else "predict"
        x, y = _row_types(data)
        executable = self.executable(kind, (min(batch_size, len(data)),), x, y if kind == "train" else None)
        if not isinstance(executable, native.NativeExecutable):
            raise Limitation("Only the native backend runs plans.", hint='compile with backend="native"')
        steps = executable.plans[executable.program.rows].described()
        if not seconds:
            return steps, []
        kept = {name: memory.read().copy() for name, memory in self.state.items()}
        rows = np.arange(len(data) // executable.program.rows * executable.program.rows)
        block = Block([c for c in ([data.x, data.y] if kind == "train" else [data.x]) if c is not None])
        count, begin, executable.seconds = 0, time.perf_counter(), np.zeros(len(steps))
        try:
            while time.perf_counter() - begin < seconds:
                feed = Feed(executable.program, len(rows))
                executable.run(self.state, block, rows, self._schedule(kind, len(feed.batches)), feed)
                count += len(feed.batches)
            return steps, (executable.seconds / count).tolist()
        finally:
            executable.seconds = None
            for name, array in kept.items():
                self.state[name].write(array)

    # -------------------------------------------------------------- running

    def _schedule(self, kind: str, steps: int) -> dict[str, Array]:
        """The numbers of the next steps."""
        if kind != "train":
            return {}
        assert self.goal is not None
        optimizer = self.goal.optimizer
        return {
            "learning_rate": optimizer.rates(steps),
            "seed": np.full(steps, self.seed, dtype=np.uint32),
            "step": (np.arange(optimizer.iterations, optimizer.iterations + steps) % 2**32).astype(np.uint32),
        }

    def _sweep(
        self,
        kind: str,
        executable: Executable,
        data: Dataset,
        sizes: tuple[int, ...],
        order: npt.NDArray[np.int64],
        callbacks: Callbacks,
        outputs: list[Array] | None = None,
    ) -> Logs:
        """Run over ``order`` in one piece, or in one per batch when a callback watches batches."""
        columns = [data.x] if kind == "predict" else [data.x, data.y]
        block = Block([c for c in columns if c is not None])
        in_batches = callbacks.wants_batches(kind)
        pieces = range(0, len(order), max(sizes)) if in_batches and len(order) else [0]
        tally = Tally(self.goal, kind)
        for batch, first in enumerate(pieces):
            rows = order[first : first + max(sizes)] if in_batches else order
            if in_batches:
                callbacks.call(f"on_{kind}_batch_begin", batch, {})
            emits, whole = self._run(kind, executable, block, rows, callbacks, tally)
            if outputs is not None:
                outputs.append(emits["output"])
            if in_batches:
                callbacks.call(f"on_{kind}_batch_end", batch, tally.figures())
            if not whole or (kind == "train" and in_batches and callbacks.stopped):
                break
        return tally.figures()

    def _run(
        self,
        kind: str,
        executable: Executable,
        block: Block,
        order: npt.NDArray[np.int64],
        callbacks: Callbacks,
        tally: Tally,
    ) -> tuple[dict[str, Array], bool]:
        feed = Feed(executable.program, len(order))
        steps = len(feed.batches)
        try:
            with callbacks.watching(feed, lambda: tally.figures(feed)):
                emits = executable.run(self.state, block, check_order(order), self._schedule(kind, steps), feed)
        finally:
            if kind == "train":
                assert self.goal is not None
                self.goal.optimizer.iterations += int(feed.done[0])
        whole = int(feed.done[0]) == steps
        tally.add(feed, int(feed.done[0]) if whole else int(feed.done[0]) + 1)
        return emits, whole

    def _order(self, rows: int, shuffle: bool) -> npt.NDArray[np.int64]:
        """The order of an epoch, a function of the seed and the steps taken so far."""
        if not shuffle:
            return np.arange(rows)
        assert self.goal is not None
        key = [self.seed, self.goal.optimizer.iterations]
        return np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64))).permutation(rows)


class Tally:
    """Sums over steps, from which the figures of an epoch are made."""

    def __init__(self, goal: Goal | None, kind: str) -> None:
        self.metrics = {m.name: m for m in goal.metrics} if goal is not None and kind != "predict" else {}
        self.counts = goal is not None and kind != "predict"
        self.rows = 0
        self.loss = 0.0
        self.sums: dict[str, npt.NDArray[np.float64]] = {}

    def add(self, feed: Feed, steps: int) -> None:
        """The first ``steps`` steps of a feed."""
        if not self.counts:
            return
        batches = np.asarray(feed.batches[:steps], dtype=np.float64)
        with np.errstate(all="ignore"):
            self.loss += float(batches @ feed.emits["loss"][:steps].astype(np.float64))
            for name in self.metrics:
                self.sums[name] = self.sums.get(name, 0.0) + feed.emits[name][:steps].sum(axis=0, dtype=np.float64)
        self.rows += int(batches.sum())

    def figures(self, feed: Feed | None = None) -> Logs:
        """Loss and metrics so far; those of a feed that is still growing are counted in."""
        if feed is not None:
            also = Tally(None, "")
            also.metrics, also.counts = self.metrics, self.counts
            also.rows, also.loss, also.sums = self.rows, self.loss, dict(self.sums)
            also.add(feed, int(feed.done[0]))
            return also.figures()
        if not self.rows:
            return {}
        return {"loss": self.loss / self.rows} | {name: m.result(self.sums[name]) for name, m in self.metrics.items()}


def _sizes(rows: int, batch_size: int) -> tuple[int, ...]:
    """The different sizes of the batches that ``rows`` rows are cut into, largest first."""
    full, rest = min(batch_size, rows), rows % min(batch_size, rows) if rows else 0
    return tuple(n for n in (full, rest) if n)


def _row_types(data: Dataset) -> tuple[RowType, RowType | None]:
    def row(column: Array) -> RowType:
        return RowType(column.shape[1:], str(column.dtype))

    return row(data.x), row(data.y) if data.y is not None else None
