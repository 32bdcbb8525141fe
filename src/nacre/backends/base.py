"""What every lowering takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nacre.ir import Graph, Memory, TensorType, Turns

Array = npt.NDArray[Any]


class State(dict[str, Memory]):
    """Named memory that outlives a run: weights, slots, statistics. A name keeps its memory. One run at a time: others wait."""

    def __init__(self, memory: Mapping[str, Memory] | None = None) -> None:
        super().__init__(memory or {})
        self.turns = Turns(self.values())

    def add(self, types: Mapping[str, TensorType], begin: float = 0.0) -> None:
        """More of it, all of it the number ``begin``."""
        self |= {name: Memory(t, partial(np.asarray, begin) if begin else None) for name, t in types.items()}


@dataclass(frozen=True)
class Program:
    """One step of training, evaluation or prediction, traced for each number of rows it will meet.

    Inputs of a graph are called as in ``state``, ``columns`` and ``schedule``. An output called like a state is its next
    value; the others are ``emits``, handed out after each step: they have at least one axis, and the steps are joined along
    the first. ``watch`` names an emit whose first number must stay finite.

    Every so many steps, ``every``, or more seldom, a full batch runs through ``sampled`` instead, if there is one: a graph that
    computes the same numbers, and ``samples``, outputs with one number each, besides.
    """

    graphs: Mapping[int, Graph]
    state: tuple[str, ...]
    columns: tuple[str, ...]
    schedule: tuple[str, ...]
    emits: tuple[str, ...]
    watch: str | None = None
    sampled: Graph | None = None
    samples: tuple[str, ...] = ()
    every: int = 0

    @cached_property
    def rows(self) -> int:
        """Rows of a full batch."""
        return max(self.graphs)

    def batches(self, rows: int) -> npt.NDArray[np.int64]:
        """The sizes of the batches that ``rows`` rows are cut into: full ones, then what is left."""
        full, rest = divmod(rows, self.rows)
        return np.append(np.full(full, self.rows), np.full(min(rest, 1), rest))

    def room(self, rows: int) -> list[tuple[str, tuple[int, ...], np.dtype[Any]]]:
        """Name, shape and dtype of what a run over so many rows hands out."""
        full, rest = divmod(rows, self.rows)
        return [
            (name, (full * lengths[self.rows] + lengths[rest], *shape), dtype)
            for name, lengths, shape, dtype in self.emitted
        ]

    @cached_property
    def emitted(self) -> list[tuple[str, dict[int, int], tuple[int, ...], np.dtype[Any]]]:
        """Of each emit: its name, its length for each size of batch, its shape beyond, its dtype."""
        types = {name: {rows: g.outputs[name].type for rows, g in self.graphs.items()} for name in self.emits}
        full = {name: of[self.rows] for name, of in types.items()}
        return [
            (
                name,
                {0: 0} | {rows: t.shape[0] for rows, t in of.items()},
                full[name].shape[1:],
                np.dtype(full[name].dtype),
            )
            for name, of in types.items()
        ]


class Block(list[Array]):
    """Rows in memory, one array per column of the program. Nobody changes them while there is a block of them: a lowering that
    computes elsewhere keeps its copies ``on_device``, and counts its ``runs`` to see whether that is worth it."""

    on_device: Any = None
    runs = 0


class NotFinite(Exception):  # noqa: N818 - no error yet: whoever knows what the rows are called makes one of it
    """A run met a NaN or an infinity in its rows."""


@dataclass(frozen=True)
class PlannedStep:
    """One kernel call of a plan. ``nbytes`` counts all operands once; a multiply-add is two ``flops``."""

    kernel: str
    results: tuple[str, ...]
    operands: tuple[str, ...]
    what: str
    shared: str  # "", "by rows", "by panels" (of columns), "freely", or "by each": every thread does it for itself
    updates: bool  # runs when the loss is known
    flops: int
    nbytes: int

    @property
    def mark(self) -> str:
        """How `shared` is printed."""
        return {"": " ", "by rows": "=", "by panels": "|", "freely": "~", "by each": "*"}[self.shared]


class Executable(Protocol):
    """A program made ready to run."""

    program: Program

    def twin(self) -> Executable:
        """The same for another state, to run beside this one."""

    def run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64] | None,
        schedule: Mapping[str, Array],
        feed: Feed | None = None,
        finite: bool = True,
    ) -> dict[str, Array]:
        """Run over the rows of ``block`` in ``order``, or as they lie, batch after batch; ``schedule`` holds one number per step.

        Returns each emit, its steps joined along the first axis. The state is changed in place, always by whole steps. Stops
        early, before the update, when the watched emit is not finite. ``finite`` says that the rows are known to be finite;
        otherwise they are looked at on the way, which is cheaper than before, and `NotFinite` is raised when they are not.
        """


class Feed:
    """Emits as they grow: arrays that are filled step after step, and how many steps are done. Others may watch it.

    ``before`` counts the steps before this run, which tells those that are sampled, one of ``sparser`` of those that the program
    would sample: ``due`` are their places in it.
    """

    def __init__(self, program: Program, rows: int, before: int = 0, sparser: int = 1) -> None:
        self.program = program
        self.batches = program.batches(rows)
        full, every = rows // program.rows, program.every * sparser
        self.due = range(-before % every, full, every) if program.sampled else range(0)
        self.samples: dict[str, Array] = {name: np.empty(len(self.due), np.float32) for name in program.samples}
        self.done = np.zeros(1, np.int64)
        self.emits: dict[str, Array] = {name: np.empty(shape, dtype) for name, shape, dtype in program.room(rows)}

    def finished(self) -> dict[str, Array]:
        """The emits of the steps done so far."""
        done, size = int(self.done[0]), self.program.rows
        return {name: self.emits[name][: done * lengths[size]] for name, lengths, _, _ in self.program.emitted}
