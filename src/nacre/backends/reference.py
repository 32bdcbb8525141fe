"""The oracle: a program run by the meaning of its rows, in NumPy, one node at a time, in any dtype."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.backends.base import Array, Block, Feed, NotFinite, Program, State
from nacre.ir import Graph


def evaluate(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a graph for given inputs.

    >>> from nacre.ir import Input, TensorType
    >>> x = Input("x", TensorType((2,)))
    >>> evaluate(Graph([x], {"y": x + x}), {"x": np.array([1, 2], "float32")})
    {'y': array([2., 4.], dtype=float32)}
    """
    return dict(zip(graph.outputs, ops.evaluate([*graph.outputs.values()], inputs), strict=True))


class ReferenceExecutable:
    """A program interpreted step by step."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def twin(self) -> ReferenceExecutable:
        """Itself: it keeps nothing."""
        return self

    def run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64] | None,
        schedule: Mapping[str, Array],
        feed: Feed | None = None,
        finite: bool = True,
    ) -> dict[str, Array]:
        """See `nacre.backends.base.Executable`."""
        program = self.program
        if not finite and not all(np.isfinite(column).all() for column in block):
            raise NotFinite
        order = np.arange(len(block[0])) if order is None else order
        feed = feed or Feed(program, len(order))
        return state.turns.run(lambda: self._run(state, block, order, schedule, feed))

    def _run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64],
        schedule: Mapping[str, Array],
        feed: Feed,
    ) -> dict[str, Array]:
        program = self.program
        ends = dict.fromkeys(program.emits, 0)
        row = 0
        for step, rows in enumerate(feed.batches):
            inputs = {name: state[name].read() for name in program.state}
            inputs |= {n: c[order[row : row + rows]] for n, c in zip(program.columns, block, strict=True)}
            inputs |= {name: schedule[name][step] for name in program.schedule}
            sample = program.sampled is not None and step in feed.due
            outputs = evaluate(program.sampled if sample and program.sampled else program.graphs[rows], inputs)
            for name in program.emits:
                feed.emits[name][ends[name] : ends[name] + len(outputs[name])] = outputs[name]
                ends[name] += len(outputs[name])
            if program.watch is not None and not np.isfinite(outputs[program.watch].flat[0]):
                return {name: array[: ends[name]] for name, array in feed.emits.items()}
            # An output may be the memory of another state: all are copied before one is written.
            for name, array in {n: outputs[n].copy() for n in program.state if n in outputs}.items():
                state[name].write(array)
            for name in program.samples if sample else ():
                feed.samples[name][feed.due.index(step)] = outputs[name].item()
            row += rows
            feed.done[0] += 1
        return feed.finished()


def compile(program: Program) -> ReferenceExecutable:
    """Make a program ready to run."""
    return ReferenceExecutable(program)
