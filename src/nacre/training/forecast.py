"""What a batch will take, known from types alone: plans are made, and no memory for weights or data."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from nacre.backends import native
from nacre.backends.base import Block, Feed, State
from nacre.backends.native.plan import ARENA, OWN
from nacre.ir import Memory
from nacre.training.program import Goal, Network, RowTypes, prediction_program, training_program
from nacre.training.trainer import Trainer


@dataclass(frozen=True)
class Forecast:
    """What the plan of a batch says of itself.

    ``work`` are the bytes that it works in, ``gradients`` those of them in which gradients of matrices of weights are kept: none
    if each is used up as it is made. ``flops`` are its operations, a multiply-add counting as two, and ``steps`` has those of each
    kernel, with the bytes that it reads and writes.
    """

    work: int
    gradients: int
    steps: tuple[tuple[int, int], ...]

    @property
    def flops(self) -> int:
        """Operations of all kernels."""
        return sum(flops for flops, _ in self.steps)

    def seconds(self, flops_per_second: float, bytes_per_second: float) -> float:
        """How long a batch takes if each kernel goes as fast as the machine computes or moves bytes, whichever is slower."""
        return sum(max(flops / flops_per_second, nbytes / bytes_per_second) for flops, nbytes in self.steps)


def forecast(network: Network, goal: Goal | None, data: RowTypes, rows: int) -> Forecast:
    """The plan for batches of so many rows, of training if there is a goal, else of prediction."""
    program = (
        prediction_program(network, RowTypes(data.inputs), (rows,))
        if goal is None
        else training_program(network, goal, data, (rows,))
    )
    plan = native.lower(program.graphs[rows], program, rows)
    shapes = {w.shape for w in network.named.values() if w.trainable and len(w.shape) == 2}
    kept: set[int] = set()  # buffers in which a product over all rows lies that has the shape of a weight: its gradient
    for step in plan.steps[plan.first_update :] if goal is not None else ():
        if step.kernel.startswith("matmul") and step.args[1] == rows:
            sides = step.args[0], step.args[2]
            if sides in shapes or sides[::-1] in shapes:
                kept |= {
                    result for result in step.operands[-step.results :] if plan.buffers[result].place in (ARENA, OWN)
                }
    gradients = sum(plan.buffers[number].nbytes for number in kept)
    described = tuple((step.flops, step.nbytes) for step in plan.described())
    return Forecast(plan.arena_bytes + plan.own_bytes + len(plan.constants), gradients, described)


def measured_seconds(
    network: Network, goal: Goal | None, data: RowTypes, rows: int, batches: int, run: int, seconds: float
) -> float | None:
    """How long a batch takes if nothing else goes on; None if the loss is not finite. It is run for ``seconds``, ``run`` batches at
    a time, and at least three times.

    The rows are those of so many ``batches`` of random numbers, each run over others, so that they do not lie in a cache. The
    weights are its own, all zero: those of the network stay as they are."""
    count = batches * rows
    state = State({name: Memory(w.type) for name, w in network.named.items()})
    trainer = Trainer(network, state, "native", goal, 0)
    kind = "predict" if goal is None else "train"
    columns = RowTypes(data.inputs) if goal is None else data
    executable = trainer.executable(kind, (rows,), columns, ())
    random = np.random.default_rng(0)
    block = Block(
        [
            random.random((count, *t.shape), dtype=np.float32)
            if t.dtype == "float32"
            else np.zeros((count, *t.shape), t.dtype)
            for part in (columns.inputs, columns.targets)
            for t in part
        ]
    )
    order = random.permutation(count)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin_at = len(times) * run * rows % (count - run * rows + 1)
        part = order[begin_at : begin_at + run * rows]
        feed = Feed(executable.program, len(part))
        schedule = trainer._schedule(kind, len(feed.batches))
        for name in goal.optimizer.numbers(0) if goal is not None else ():
            schedule[name][:] = 0  # the same work, and no loss that grows until a run ends
        begin = time.perf_counter()
        executable.run(state, block, part, schedule, feed)
        times.append((time.perf_counter() - begin) / len(feed.batches))
        if int(feed.done[0]) < len(feed.batches):
            return None
    return undisturbed(times[1:])  # the first one brings everything into memory


def undisturbed(seconds: list[float]) -> float:
    """How long something takes by itself, of several times that it took: the median of the faster half.

    What else a machine does only ever adds, for as long as it does it: so this is right if others had the machine in less than half
    of the time. The fastest of all would be a lucky one, whose rows lay in a cache.

    >>> undisturbed([2.0, 9.0, 2.1, 7.0, 1.9, 8.0, 2.0])
    2.0
    """
    return sorted(seconds)[(len(seconds) - 1) // 4]
