"""Plans on the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.backends.base import Array, Block, Feed, NotFinite, Program, State
from nacre.backends.native._binding import Arrays, Executor, default_isa, default_threads
from nacre.backends.native.lowering import lower
from nacre.backends.native.plan import Plan
from nacre.ir import Memory

ALONE: ContextVar[bool] = ContextVar("alone", default=False)  # whether what is compiled now gets one thread only


class NativeExecutable:
    """A program as C++ kernels. Runs over the same state wait for each other."""

    def __init__(self, program: Program, isa: str | None = None, threads: int | None = None) -> None:
        self.program = program
        self.plans: dict[int, Plan] = {rows: lower(graph, program, rows) for rows, graph in program.graphs.items()}
        sizes = sorted(self.plans, reverse=True)
        native = {rows: self.plans[rows].native(isa or default_isa()) for rows in sizes}
        rest = native[sizes[1]] if len(sizes) > 1 else None
        self.sampled = (
            None if program.sampled is None else lower(program.sampled, program, program.rows, program.samples)
        )
        sampled = None if self.sampled is None else self.sampled.native(isa or default_isa())
        self._native = native[sizes[0]], rest, sampled, threads or (1 if ALONE.get() else default_threads())
        self._written = [name for name in program.state if name in program.graphs[sizes[0]].outputs]
        self._watch = program.emits.index(program.watch) if program.watch is not None else -1
        self._begin()

    def _begin(self) -> None:
        """Nothing of a state, and no memory to work in before it runs: what is only there for its twins needs none."""
        self._executor: Any = None
        self.seconds: npt.NDArray[np.float64] | None = None  # set to take the time of each step
        self._bound: _Bound | None = None
        self._room = 0, self.program.room(0)  # for as many rows as last time

    def _with_memory(self) -> Any:
        try:
            return Executor(*self._native)
        except MemoryError:
            need = max(plan.arena_bytes + plan.own_bytes for plan in self.plans.values())
            raise MemoryError(
                f"A batch of {self.program.rows:,} rows needs {need:,} bytes to work in; use smaller batches."
            ) from None

    def twin(self) -> NativeExecutable:
        """The same plans with memory of their own, to run at the same time over another state."""
        other = copy(self)
        other._begin()
        return other

    def run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64] | None,
        schedule: Mapping[str, Array],
        feed: Feed | None = None,
        finite: bool = True,
    ) -> dict[str, Array]:
        """See `nacre.backends.base.Executable`. Ctrl-C is noticed between two kernels, before a step changes the state."""
        if self._executor is None:
            self._executor = self._with_memory()
        names = self.program.schedule
        rows = len(block[0] if order is None else order)
        if feed is None and self._watch >= 0:
            feed = Feed(self.program, rows)  # to know where it ended
        if feed is not None:
            emits = feed.emits
        else:
            last, room = self._room
            if rows != last:
                room = self.program.room(rows)
                self._room = rows, room
            emits = {}
            for name, shape, dtype in room:
                emits[name] = np.empty(shape, dtype)
        if not rows:
            return emits
        numbers = [schedule[name] for name in names] if names else []
        if not state.turns.run(lambda: self._run(state, block, order, numbers, emits, feed, finite)):
            raise NotFinite
        return emits if feed is None else feed.finished()

    def _run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64] | None,
        schedule: list[Array],
        emits: dict[str, Array],
        feed: Feed | None,
        finite: bool,
    ) -> bool:
        bound = self._bound
        if bound is None or bound.state is not state:
            bound = self._bound = _Bound(state, self.program.state, self._written)
        if bound.writes != Memory.writes:
            bound.refresh()
        try:
            all_finite: bool = self._executor.run(
                bound.arrays,
                block,
                order,
                schedule,
                [*emits.values()],
                None if feed is None else feed.done,
                self._watch,
                finite,
                self.seconds,
                *(() if feed is None or not feed.due else ([*feed.samples.values()], feed.due[0], feed.due.step)),
            )
        finally:
            for memory in bound.written:
                memory.paneled_was_written()
        return all_finite


class _Bound:
    """A state whose addresses were taken, once for all runs over it."""

    def __init__(self, state: State, names: Sequence[str], written: Sequence[str]) -> None:
        self.state = state
        self.memories = [state[name] for name in names]
        self.written = [state[name] for name in written]
        self.arrays = Arrays(self.refresh())

    def refresh(self) -> list[Array]:
        """Bring what was written in its plain form to where the kernels read, which is always the same place."""
        self.writes = Memory.writes
        return [memory.paneled() for memory in self.memories]


def compile(program: Program, isa: str | None = None, threads: int | None = None) -> NativeExecutable:
    """Make a program ready to run, with the kernels of one instruction set (the fastest) and some threads (all there are)."""
    return NativeExecutable(program, isa, threads)
