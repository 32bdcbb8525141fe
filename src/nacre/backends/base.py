"""What every lowering takes and gives back."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.ir import Graph, Memory, TensorType

Array = npt.NDArray[Any]


class State(dict[str, Memory]):
    """Named memory that outlives a run: weights, slots, statistics. One run at a time: others wait."""

    def __init__(self, memory: Mapping[str, Memory] | None = None) -> None:
        super().__init__(memory or {})
        self._lock = threading.Lock()
        self._runner: tuple[int, int] | None = None  # process and thread

    @contextmanager
    def running(self) -> Iterator[None]:
        """The context of a run. `UsageError` when this thread is in one already, as a signal handler may be: it would hang."""
        me = (os.getpid(), threading.get_ident())
        if self._lock.locked() and self._runner == me:
            raise UsageError(
                "This model is running already, in this very thread.", hint="wait until fit or predict is over"
            )
        if self._lock.locked() and self._runner and self._runner[0] != me[0]:
            self._lock = threading.Lock()  # it was held by a thread that a fork did not take along
        with self._lock:
            self._runner = me
            yield

    def add(self, types: Mapping[str, TensorType]) -> None:
        """More of it, all zero."""
        self |= {name: Memory(t) for name, t in types.items()}


@dataclass(frozen=True)
class Program:
    """One step of training, evaluation or prediction, traced for each number of rows it will meet.

    Inputs of a graph are called as in ``state``, ``columns`` and ``schedule``. An output called like a state is its next
    value; the others are ``emits``, handed out after each step: they have at least one axis, and the steps are joined along
    the first. ``watch`` names an emit whose first number must stay finite.
    """

    graphs: Mapping[int, Graph]
    state: tuple[str, ...]
    columns: tuple[str, ...]
    schedule: tuple[str, ...]
    emits: tuple[str, ...]
    watch: str | None = None

    @property
    def rows(self) -> int:
        """Rows of a full batch."""
        return max(self.graphs)

    def batches(self, rows: int) -> list[int]:
        """The sizes of the batches that ``rows`` rows are cut into: full ones, then what is left."""
        full, rest = divmod(rows, self.rows)
        return [self.rows] * full + [rest] * (rest > 0)


@dataclass
class Block:
    """Rows in memory, one array per column of the program."""

    columns: Sequence[Array]


@dataclass(frozen=True)
class PlannedStep:
    """One kernel call of a plan. ``nbytes`` counts all operands once; a multiply-add is two ``flops``."""

    kernel: str
    results: tuple[str, ...]
    operands: tuple[str, ...]
    what: str
    shared: str  # "", "by rows" or "freely"
    updates: bool  # runs when the loss is known
    flops: int
    nbytes: int


class Executable(Protocol):
    """A program made ready to run."""

    program: Program

    def run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64],
        schedule: Mapping[str, Array],
        feed: Feed | None = None,
    ) -> dict[str, Array]:
        """Run over the rows of ``block`` in ``order``, batch after batch; ``schedule`` holds one number per step.

        Returns each emit, its steps joined along the first axis. The state is changed in place, always by whole steps. Stops
        early, before the update, when the watched emit is not finite.
        """


class Feed:
    """Emits as they grow: arrays that are filled step after step, and how many steps are done. Others may watch it."""

    def __init__(self, program: Program, rows: int) -> None:
        batches = program.batches(rows)
        self.done = np.zeros(1, dtype=np.int64)
        self.batches = batches
        self.emits: dict[str, Array] = {}
        self._ends: dict[str, list[int]] = {}
        for name in program.emits:
            types = {n: g.outputs[name].type for n, g in program.graphs.items()}
            lengths = [types[b].shape[0] for b in batches]
            some = next(iter(types.values()))
            self.emits[name] = np.zeros((sum(lengths), *some.shape[1:]), dtype=some.dtype)
            self._ends[name] = np.cumsum(lengths).tolist()

    def finished(self) -> dict[str, Array]:
        """The emits of the steps done so far."""
        done = int(self.done[0])
        return {name: array[: self._ends[name][done - 1]] if done else array[:0] for name, array in self.emits.items()}


def check_order(order: Iterable[Any]) -> npt.NDArray[np.int64]:
    """Row numbers in the form that every lowering takes."""
    return np.ascontiguousarray(order, dtype=np.int64)
