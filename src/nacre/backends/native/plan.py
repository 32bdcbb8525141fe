"""A plan: a flat list of kernel calls over numbered buffers, and the layouts that matrices have in them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from nacre.backends.base import PlannedStep
from nacre.backends.native._binding import KERNELS, PAIRS, make_plan
from nacre.ir import PANEL, TensorType, Value, panels

# Cycles from which on a step is worth sharing: a meeting of threads takes some hundreds, and steps shared by rows need none.
# Those that follow one another count together.
_WORTH_SHARING, _WORTH_SHARING_BY_COLUMNS, _WORTH_SHARING_BY_ROWS = 3000, 1000, 1500
_WORTH_WAKING = 10  # times as much is, where nobody is awake yet: a single row is asked for now and then
_WORTH_A_RUN = 100_000  # cycles to share in all of a run: to wake a thread takes some 30 microseconds

_MANY_ROWS = 64  # of a batch: with fewer, threads rather share columns

ALONE, BY_ROWS, TURNED_ROWS, BY_PANELS, FREE = range(5)  # how threads share a step; see cpp/kernels/call.h
ARENA, CONSTANT, STATE, BATCH, SCHEDULE, OWN = range(6)
PIECE = 16  # numbers at a time that a product reads of a column of the data; see cpp/kernels/panel.h
ONE = 0x3F800000  # the bits of 1 in float32
CHUNK = 4096  # numbers of which one sum is made; see cpp/kernels/reduction.h
TRANSPOSED, BFLOAT16, FROM_DATA, OVER_DATA, BYTES = 1, 2, 4, 8, 16  # how a product is made; see cpp/kernels/panel.h


@dataclass
class Buffer:
    """Bytes with a place; ``at`` is an offset (arena, constant, own) or a number (state, batch, schedule)."""

    place: int
    at: int
    nbytes: int
    label: str


@dataclass
class Step:
    """One kernel call. The results are the last operands."""

    kernel: str
    operands: list[int]
    args: list[int]
    label: str
    results: int = 1  # how many of the operands, the last ones, are written
    turned: bool = False  # whether the batch runs along the panels of what the step writes, or reads
    by_columns: bool = False  # whether threads rather share its columns than its rows

    @property
    def work(self) -> int:
        """Roughly, the cycles that one core needs."""
        a = self.args
        if self.kernel.startswith("matmul"):
            return a[0] * a[1] * a[2] // 32
        if self.kernel == "map":
            return a[0] * a[1] * (a[3] + 4 * a[4]) // 16
        if self.kernel == "rows":
            return a[0] * a[1] * (a[2] + 2 * a[3]) // 8
        if self.kernel == "gather":
            return a[1] * (a[2] + 40)  # from anywhere in memory
        if self.kernel in ("pack", "unpack", "turn"):
            return a[1] * a[2] // 4
        if self.kernel == "copy":
            return math.prod(a[6::3])
        return math.prod(a[self.kernel == "reduce_int32" :]) // 4

    @property
    def flops(self) -> int:
        """Operations on numbers, a multiply-add counting as two; those that only move numbers are none."""
        a = self.args
        if self.kernel.startswith("matmul"):
            size, rest = a[0] * a[2], a[4:]
            after = {"matmul_bias": 2, "matmul_update": 2, "matmul_masked": 1 + (rest != [ONE])}.get(self.kernel, 0)
            return size * (2 * a[1] + (_steps(rest) if self.kernel == "matmul_map" else after))
        if self.kernel == "map":
            return a[0] * a[1] * _steps(a)
        if self.kernel == "rows":
            kinds = a[7 + 3 * a[2] : 7 + 3 * a[2] + 6 * a[3] : 6]
            return sum(a[0] * (1 if kind == 1 else a[1]) for kind in kinds if kind < 6)
        of_each = {"reduce_products": 2}.get(self.kernel, int(self.kernel.startswith("reduce")))
        return of_each and of_each * math.prod(a[self.kernel == "reduce_int32" :])

    def sharing(self, batch: int) -> int:
        """How threads share the step, of a batch of so many rows."""
        if self.kernel == "scatter_add" or (self.kernel == "copy" and self.args[1] == 1):
            return ALONE
        how = self._by_rows(batch)
        if batch == 1:
            return how if self.work > _WORTH_WAKING * _WORTH_SHARING else ALONE
        freely = _WORTH_SHARING_BY_COLUMNS if self.by_columns else _WORTH_SHARING
        return how if how != FREE or self.work > freely else ALONE

    def _by_rows(self, batch: int) -> int:
        a = self.args
        if self.turned:
            return TURNED_ROWS
        if self.by_columns:
            return FREE
        if self.kernel in ("matmul", "matmul_bias", "matmul_map"):
            return BY_ROWS if a[0] == batch and not a[3] & TRANSPOSED and a[2] <= a[0] else FREE
        if self.kernel == "map":
            if any(a[-1 : -3 * a[5] : -3]):  # it makes sums
                return FREE
            rows = a[1] // PANEL if a[2] == 0 else batch
            return BY_ROWS if rows == batch > 0 and a[1] % batch == 0 else FREE
        if self.kernel == "gather" and a[-1] and batch < _MANY_ROWS:
            return FREE
        at = {"gather": 1, "pack": 1, "unpack": 1, "rows": 0}.get(self.kernel)
        return BY_ROWS if at is not None and a[at] == batch else FREE

    @property
    def panels(self) -> int:
        """Of how many panels all operands are, where each is made from the same of the others; 0 for any other step."""
        a = self.args
        if self.turned or self.kernel not in ("map", "reduce_sum", "reduce_max", "reduce_min", "reduce_products"):
            return 0
        if self.kernel != "map":
            return a[0] if a[2] == PANEL else 0
        return 0 if any(a[-1 : -3 * a[5] : -3]) else a[0] if a[0] > 1 else panels(a[1])

    def whole(self, sharing: int) -> list[bool]:
        """Of each operand, whether a thread that makes some rows, or panels, looks beyond these of it."""
        if self.kernel == "rows":
            kinds = [self.args[7 + 3 * n] for n in range(self.args[2])]
            inputs = [kind > 2 for kind in kinds if kind not in (5, 7)]  # matrices and vectors first, then immediates
        elif self.kernel in ("map", "matmul_map"):
            start = 4 if self.kernel == "matmul_map" else 0
            kinds = [self.args[start + 7 + 4 * n] for n in range(self.args[start + 3])]
            across = {3} if self.turned else {2}  # columns or rows, beside scalars
            if sharing == BY_PANELS:
                across = {3} if self.args[0] > 1 else {2, 3}
            inputs = [kind == 1 or kind in across for kind in kinds if kind < 4]
            inputs = [self.turned, not self.turned, *inputs] if start else inputs
        elif self.kernel in ("matmul", "matmul_bias", "matmul_masked"):
            bias = [self.kernel == "matmul_bias"] * (self.kernel != "matmul")
            inputs = [self.turned, not self.turned, *bias]
        else:
            inputs = [False] * (len(self.operands) - self.results)
        return inputs + [False] * self.results


def _steps(program: Sequence[int]) -> int:
    """What a register program does to each element, by the integers of `map`."""
    begin = 7 + 4 * program[3]
    return program[4] + sum(op in PAIRS for op in program[begin : begin + 5 * program[4] : 5])


@dataclass
class Plan:
    """What the executor runs for one batch. Printable; = marks the steps that threads share by rows, | by panels, ~ otherwise,
    * those that each makes for itself."""

    rows: int
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    emits: list[tuple[int, int]] = field(default_factory=list)  # buffer, bytes
    constants: bytearray = field(default_factory=bytearray)
    batch_bytes: list[int] = field(default_factory=list)
    arena_bytes: int = 0
    own_bytes: int = 0
    first_update: int = 0

    def native(self, isa: str) -> Any:
        """The plan in C++, checked."""
        shared = zip(self.steps, self.sharings(), strict=True)
        return make_plan(
            isa=isa,
            rows=self.rows,
            arena_bytes=self.arena_bytes,
            own_bytes=self.own_bytes,
            first_update=self.first_update,
            together=self.together,
            buffers=[[b.place, b.at, b.nbytes] for b in self.buffers],
            steps=[(KERNELS[s.kernel], how, s.results, s.operands, s.whole(how), s.args) for s, how in shared],
            emits=self.emits,
            constants=np.frombuffer(bytes(self.constants), dtype=np.uint8),
            batch_bytes=self.batch_bytes,
        )

    def sharings(self) -> list[int]:
        """How threads share each step. Sums of columns, and what stands beside them and can be, are shared by panels: from the
        first to the last, no thread waits for another, nor needs what another has in its cache."""
        found = [step.sharing(self.rows) for step in self.steps]
        for by_rows, run in groupby(range(len(found)), lambda n: found[n] in (BY_ROWS, TURNED_ROWS)):
            near = list(run)
            if by_rows and sum(self.steps[n].work for n in near) <= _WORTH_SHARING_BY_ROWS:
                found[near[0] : near[-1] + 1] = [ALONE] * len(near)
        for count, run in groupby(range(len(found)), lambda n: self.steps[n].panels):
            near = list(run)
            sums = any(self.steps[n].kernel != "map" for n in near)
            if count > 1 and sums and sum(self.steps[n].work for n in near) > _WORTH_SHARING_BY_ROWS:
                found[near[0] : near[-1] + 1] = [BY_PANELS] * len(near)
        return found

    def by_each(self) -> list[bool]:
        """Which steps every thread makes for itself, in memory of its own: those not worth sharing whose results are handed out, or
        read by all. While one made them, the others would only wait."""
        writers = Counter(result for step in self.steps for result in step.operands[-step.results :])
        wanted = {number for number, _ in self.emits}
        found = [False] * len(self.steps)
        shared = self.sharings()
        if not any(shared):
            return found
        for number in reversed(range(len(self.steps))):
            step = self.steps[number]
            results = step.operands[-step.results :]
            own = all(self.buffers[r].place in (ARENA, OWN) and writers[r] == 1 for r in results)
            light = shared[number] == ALONE and step.work <= _WORTH_SHARING
            found[number] = own and light and not wanted.isdisjoint(results)
            if found[number] or shared[number] != ALONE:
                wanted.update(step.operands[: -step.results])
        return found

    @property
    def together(self) -> int:
        """How many batches a run has at least for which other threads are woken."""
        work = sum(s.work for s, how in zip(self.steps, self.sharings(), strict=True) if how != ALONE)
        return -(-_WORTH_A_RUN // max(work, 1))

    def described(self) -> list[PlannedStep]:
        """The steps, for people and programs to look at."""
        found = []
        for number, (step, how, each) in enumerate(zip(self.steps, self.sharings(), self.by_each(), strict=True)):
            labels = tuple(self.buffers[o].label for o in step.operands)
            nbytes = sum(self.buffers[o].nbytes for o in dict.fromkeys(step.operands))
            shared = "by each" if each else ("", "by rows", "by rows", "by panels", "freely")[how]
            inputs, results = labels[: -step.results], labels[-step.results :]
            updates = number >= self.first_update
            found.append(PlannedStep(step.kernel, results, inputs, step.label, shared, updates, step.flops, nbytes))
        return found

    def __str__(self) -> str:
        sizes = f"{self.arena_bytes:,} bytes of arena, {self.own_bytes:,} for each thread, {len(self.constants):,} of constants"
        lines = [f"plan: {self.rows} rows, {sizes}"]
        for number, step in enumerate(self.described()):
            if number == self.first_update:
                lines.append("  -- update --")
            names = f"{', '.join(step.results)} <- {', '.join(step.operands)}"
            lines.append(f"  {number:3}{step.mark}{step.kernel:<12} {names}   {step.what}".rstrip())
        return "\n".join([*lines, "  emits " + ", ".join(self.buffers[e].label for e, _ in self.emits)])


# A matrix can lie in three ways: plain (row-major), in panels of 32 columns, which is what the matrix kernels read and write, and
# turned, its transpose in panels.
PLAIN, PANELED, TURNED = "plain", "panels", "turned"
Key = tuple[int, str, tuple[int, ...]]  # a value, its layout, and its shape if that matters


def key_of(value: Value, layout: str, shape: tuple[int, ...]) -> Key:
    """Under which a value is known in a layout; the shape matters only to matrices in panels."""
    return id(value), layout, () if layout == PLAIN else shape


def padded_bytes(type_: TensorType, layout: str, shape: tuple[int, ...] = ()) -> int:
    """Bytes of a value in a layout, with room to read whole panels."""
    item = type_.nbytes // type_.size if type_.size else 4
    if layout == PLAIN:
        return panels(type_.size) * PANEL * item
    rows, columns = shape if shape else type_.shape
    return (rows * panels(columns) if layout == PANELED else columns * panels(rows)) * PANEL * item
