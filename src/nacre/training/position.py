"""Where a training is: what has to be known, beside the model, to go on from there to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.backends.base import Feed
from nacre.data import Data, Stream
from nacre.distributed import Others
from nacre.training.program import Goal

if TYPE_CHECKING:
    from nacre.training.callbacks import Callbacks

Logs = dict[str, float]


class Tally:
    """Sums over the steps of one pass over data, from which its figures are made.

    ``kind`` is "train", "test" or "predict"; ``total`` is the number of rows of a whole pass, where it is known.
    """

    def __init__(self, goal: Goal | None, kind: str, total: int | None) -> None:
        self.kind, self.total = kind, total
        judged = goal is not None and kind != "predict"
        self.metrics = {m.name: m.metric for m in goal.measured} if goal is not None and judged else {}
        self.losses = dict.fromkeys(goal.losses, 0.0) if goal is not None and judged else {}
        self.steps = self.rows = 0
        self.sums: dict[str, npt.NDArray[np.float64]] = {}
        self.growing: Feed | None = None  # what is running at the moment

    def add(self, feed: Feed, steps: int) -> None:
        """The first ``steps`` steps of a feed, one after the other, so that it does not matter how a pass is cut into feeds."""
        self.growing = None
        if not steps:
            return
        batches = feed.batches[:steps].astype(np.float64)
        if self.kind != "predict":
            with np.errstate(all="ignore"):
                for name, loss in self.losses.items():
                    self.losses[name] = float(_folded(np.float64(loss), batches * feed.emits[name][:steps]))
                for name in self.metrics:
                    new = feed.emits[name][:steps].astype(np.float64)
                    self.sums[name] = _folded(self.sums.get(name, np.zeros_like(new[0])), new)
        self.steps += steps
        self.rows += int(batches.sum())

    def add_those_of(self, others: Others) -> None:
        """The sums of all processes, each of which has taken some steps: in one order, so that all come to the same figures."""
        losses, sums = [*self.losses.values()], [*self.sums.values()]
        table = np.zeros((others.processes, 2 + len(losses) + sum(array.size for array in sums)))
        table[others.index] = np.concatenate([[self.steps, self.rows], losses, *(array.ravel() for array in sums)])
        others.share(table, [slice(index, index + 1) for index in range(others.processes)])
        steps, rows, *numbers = table.sum(axis=0)
        self.steps, self.rows = int(steps), int(rows)
        self.losses = dict(zip(self.losses, numbers, strict=False))
        at = len(losses)
        for name, array in self.sums.items():
            self.sums[name] = np.reshape(numbers[at : at + array.size], array.shape)
            at += array.size

    def now(self) -> Tally:
        """The sums with those of the steps that are done of what is running; others may ask for it meanwhile."""
        tally = copy(self)
        tally.sums, tally.losses = dict(self.sums), dict(self.losses)
        if tally.growing is not None:
            tally.add(tally.growing, int(tally.growing.done[0]))
        return tally

    def figures(self) -> Logs:
        """Losses and metrics so far."""
        if not self.rows or self.kind == "predict":
            return {}
        losses = {name: loss / self.rows for name, loss in self.losses.items()}
        return losses | {name: m.figure(self.sums[name]) for name, m in self.metrics.items()}

    def state(self) -> dict[str, Any]:
        """The sums, as JSON can hold them."""
        sums = {name: array.tolist() for name, array in self.sums.items()}
        return {"steps": self.steps, "rows": self.rows, "losses": self.losses, "sums": sums}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.steps, self.rows = int(state["steps"]), int(state["rows"])
        self.losses = {name: float(state["losses"][name]) for name in self.losses}
        self.sums = {name: np.asarray(state["sums"][name], np.float64) for name in self.metrics if self.steps}


@dataclass
class Position:
    """Where a training is. It moves with the training; a callback that restores one moves it in ``on_train_begin``.

    ``epoch`` is the epoch that is running or comes next, ``tally`` what was summed up in it, ``callbacks`` are all of this run.
    ``validation``, ``batch_size`` and ``shuffle`` stay, as ``data`` does: with others, the training would not be the same.
    """

    epoch: int
    tally: Tally
    callbacks: Callbacks
    data: Data
    validation: Data | None
    batch_size: int | None
    shuffle: bool

    def terms(self) -> dict[str, Any]:
        """What must be the same for a training that goes on from a checkpoint."""
        validation = None if self.validation is None else self.validation.fingerprint()
        data = self.data.fingerprint()
        return {"batch_size": self.batch_size, "shuffle": self.shuffle, "data": data, "validation_data": validation}

    def state(self) -> dict[str, Any]:
        """The place, as JSON can hold it, without what the callbacks remember."""
        passed = self.data.place(self.tally.steps) if isinstance(self.data, Stream) else 0
        return {"epoch": self.epoch, "passed": passed, "tally": self.tally.state()}

    def move(self, state: Mapping[str, Any]) -> None:
        """Go to the place that `state` gave.

        Raises `DataError` for a stream that does not reach so far.
        """
        self.epoch = int(state["epoch"])
        self.tally.restore(state["tally"])
        if isinstance(self.data, Stream):
            self.data.skip(int(state["passed"]))


def _folded(begin: Any, more: npt.NDArray[np.float64]) -> Any:
    """``begin`` with all of ``more`` added, in order. (NumPy's sum and dot add in an order that depends on the length.)"""
    return np.add.accumulate(np.concatenate([np.asarray(begin)[None], more]))[-1]
