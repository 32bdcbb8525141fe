"""Plans on the machine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nacre.backends.base import Array, Block, Feed, Program, State
from nacre.backends.native._binding import Executor, default_isa, default_threads
from nacre.backends.native.lowering import lower
from nacre.backends.native.plan import Plan


class NativeExecutable:
    """A program as C++ kernels. Runs over the same state wait for each other."""

    def __init__(self, program: Program, isa: str | None = None, threads: int | None = None) -> None:
        self.program = program
        self.plans: dict[int, Plan] = {rows: lower(graph, program, rows) for rows, graph in program.graphs.items()}
        sizes = sorted(self.plans, reverse=True)
        native = {rows: self.plans[rows].native(isa or default_isa()) for rows in sizes}
        rest = native[sizes[1]] if len(sizes) > 1 else None
        try:
            self._executor = Executor(native[sizes[0]], rest, threads or default_threads())
        except MemoryError:
            need = max(plan.arena_bytes for plan in self.plans.values())
            raise MemoryError(
                f"A batch of {sizes[0]:,} rows needs {need:,} bytes to work in; use smaller batches."
            ) from None
        self.seconds: npt.NDArray[np.float64] | None = None  # set to take the time of each step
        self._written = [name for name in program.state if name in program.graphs[sizes[0]].outputs]

    def run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64],
        schedule: Mapping[str, Array],
        feed: Feed | None = None,
    ) -> dict[str, Array]:
        """See `nacre.backends.base.Executable`. Ctrl-C is noticed between two kernels, before a step changes the state."""
        program = self.program
        feed = feed or Feed(program, len(order))
        if not len(order):
            return feed.finished()
        with state.running():
            try:
                self._executor.run(
                    state=[_bytes(state[name].paneled()) for name in program.state],
                    columns=[_bytes(column) for column in block.columns],
                    column_rows=[len(column) for column in block.columns],
                    order=order,
                    schedule=[_bytes(schedule[name]) for name in program.schedule],
                    emits=[_bytes(feed.emits[name]) for name in program.emits],
                    done=feed.done,
                    watch=program.emits.index(program.watch) if program.watch is not None else -1,
                    seconds=self.seconds,
                )
            finally:
                for name in self._written:
                    state[name].paneled_was_written()
        return feed.finished()


def _bytes(array: Array) -> Array:
    """The same memory as plain bytes."""
    return array.reshape(-1).view(np.uint8)


def compile(program: Program, isa: str | None = None, threads: int | None = None) -> NativeExecutable:
    """Make a program ready to run, with the kernels of one instruction set (the fastest) and some threads (all there are)."""
    return NativeExecutable(program, isa, threads)
