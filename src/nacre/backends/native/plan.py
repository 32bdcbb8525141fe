"""A graph becomes a plan: a flat list of kernel calls over numbered buffers.

What needs no kernel disappears: reshapes are other names for a buffer, broadcasts and scalars fold into the register programs
that read them, and a new weight is written over the old one when nobody needs the old one any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nacre.backends.base import Array, Program
from nacre.backends.native import fusion
from nacre.backends.native._binding import KERNELS, make_plan
from nacre.backends.native.fusion import DENSE, IMMEDIATE, SCALAR, Access, RegisterProgram
from nacre.backends.native.memory import place
from nacre.errors import Limitation
from nacre.ir import Graph, Input, TensorType, Value, order
from nacre.passes.simplify import splat

_WORTH_SHARING = 5000  # cycles; a barrier takes a few hundred

ARENA, CONSTANT, STATE, BATCH, SCHEDULE = range(5)
_PLACES = ("arena", "constant", "state", "batch", "schedule")


@dataclass
class Buffer:
    """Bytes with a place; ``at`` is an offset (arena, constant) or a number (state, batch, schedule)."""

    place: int
    at: int
    nbytes: int
    label: str


@dataclass
class Step:
    """One kernel call. The result is the last operand."""

    kernel: str
    operands: list[int]
    args: list[int]
    label: str

    @property
    def work(self) -> int:
        """Roughly, the cycles that one core needs."""
        a = self.args
        if self.kernel == "matmul":
            return a[0] * a[1] * a[2] // 32
        if self.kernel == "map":
            return a[0] * (a[1] + 4 * a[2]) // 16
        if self.kernel == "copy":
            return math.prod(a[6::3])
        return math.prod(a) // 4

    @property
    def shared(self) -> bool:
        """Whether the step is worth sharing out among threads, which costs two barriers."""
        whole = self.kernel == "scatter_add" or (self.kernel == "copy" and self.args[1] == 1)
        return self.work > _WORTH_SHARING and not whole


@dataclass
class Plan:
    """What the executor runs for one batch. Printable; = marks the steps that threads share."""

    rows: int
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    emits: list[int] = field(default_factory=list)
    constants: bytearray = field(default_factory=bytearray)
    batch_bytes: list[int] = field(default_factory=list)
    arena_bytes: int = 0
    first_update: int = 0

    def native(self, isa: str) -> Any:
        """The plan in C++, checked."""
        return make_plan(
            isa=isa,
            rows=self.rows,
            arena_bytes=self.arena_bytes,
            first_update=self.first_update,
            buffers=[[b.place, b.at, b.nbytes] for b in self.buffers],
            steps=[(KERNELS[s.kernel], s.shared, s.operands, s.args) for s in self.steps],
            emits=self.emits,
            constants=np.frombuffer(bytes(self.constants), dtype=np.uint8),
            batch_bytes=self.batch_bytes,
        )

    def __str__(self) -> str:
        lines = [f"plan: {self.rows} rows, {self.arena_bytes:,} bytes of arena, {len(self.constants):,} of constants"]
        for number, step in enumerate(self.steps):
            if number == self.first_update:
                lines.append("  -- update --")
            *inputs, result = (self.buffers[o].label for o in step.operands)
            mark = "=" if step.shared else " "
            lines.append(f"  {number:3}{mark}{step.kernel:<12} {result} <- {', '.join(inputs)}   {step.label}".rstrip())
        return "\n".join([*lines, "  emits " + ", ".join(self.buffers[e].label for e in self.emits)])


def lower(graph: Graph, program: Program, rows: int) -> Plan:
    """The plan of one step. Raises `Limitation` for what the kernels cannot do."""
    return _Lowering(graph, program, rows).plan


class _Lowering:
    """The state of one lowering: which value lies in which buffer."""

    def __init__(self, graph: Graph, program: Program, rows: int) -> None:
        self.plan = Plan(rows, batch_bytes=[0] * len(program.columns))
        self.graph, self.program = graph, program
        self.buffers: dict[int, int] = {}
        self.sharers: dict[tuple[str, int], int] = {}
        emits = [graph.outputs[name] for name in program.emits]
        updates = {name: graph.outputs[name] for name in program.state if name in graph.outputs}
        self.inlined = fusion.inlined(graph, [*emits, *updates.values()])
        for value in graph.inputs:
            self._input(value)
        first = order(emits)
        self._emit_nodes(first)
        self.plan.emits = [self._emitted(v, name) for v, name in zip(emits, program.emits, strict=True)]
        self.plan.first_update = len(self.plan.steps)
        known = {id(v) for v in first}
        self._emit_nodes([v for v in order(updates.values()) if id(v) not in known])
        self._update({name: self.buffer(v) for name, v in updates.items()})
        self._place()

    # -------------------------------------------------------------- buffers

    def _new(self, type_: TensorType, label: str, place_: int = ARENA, at: int = 0) -> int:
        self.plan.buffers.append(Buffer(place_, at, type_.nbytes, label))
        return len(self.plan.buffers) - 1

    def _input(self, value: Input) -> None:
        for place_, names in (
            (STATE, self.program.state),
            (BATCH, self.program.columns),
            (SCHEDULE, self.program.schedule),
        ):
            if value.name in names:
                at = names.index(value.name)
                self.buffers[id(value)] = self._new(value.type, value.name, place_, at)
                if place_ == BATCH:
                    self.plan.batch_bytes[at] = value.type.nbytes // self.plan.rows

    def _constant(self, array: Array, label: str) -> int:
        key = (str(array.dtype), hash(array.tobytes()))
        if key not in self.sharers:
            data = self.plan.constants
            data.extend(bytes(-len(data) % 64))
            type_ = TensorType(array.shape, str(array.dtype))
            self.sharers[key] = self._new(type_, label, CONSTANT, len(data))
            data.extend(array.tobytes())
        return self.sharers[key]

    def buffer(self, value: Value) -> int:
        """The buffer in which ``value`` lies, all of its elements in order; made now if it has none yet."""
        value = fusion.strip(value)
        if id(value) not in self.buffers:
            assert value.operation is not None
            _MATERIALIZE[value.operation.name](self, value)
        return self.buffers[id(value)]

    def _step(self, kernel: str, value: Value, operands: list[int], args: list[int], label: str = "") -> int:
        """A kernel call that makes ``value``."""
        result = self.buffers.get(id(value))
        if result is None:
            result = self.buffers[id(value)] = self._new(value.type, f"%{len(self.plan.buffers)}")
        self.plan.steps.append(Step(kernel, [*operands, result], args, label))
        return result

    # -------------------------------------------------------------- nodes

    def _emit_nodes(self, values: list[Value]) -> None:
        for value in values:
            if value.operation is None or id(value) in self.inlined or id(value) in self.buffers:
                continue
            if value.dtype == "float64":
                raise Limitation(
                    "The native lowering computes in float32.",
                    {"found": value.type},
                    'use backend="reference" for float64',
                )
            if fusion.is_elementwise(value) and value.operation.name not in fusion.SAME_ORDER:
                self._map(value)
            elif value.operation.name in _KERNELS:
                _KERNELS[value.operation.name](self, value)

    def _map(self, root: Value) -> None:
        """A register program for ``root`` and everything inlined into it."""
        program = RegisterProgram(root.type.size)
        registers: dict[int, tuple[str, int]] = {}
        pending = [root]
        while pending:
            node = pending[-1]
            waiting = [
                b
                for b in (fusion.access(o)[0] for o in node.operands)
                if id(b) in self.inlined and id(b) not in registers
            ]
            if waiting:
                pending += waiting
                continue
            pending.pop()
            if id(node) not in registers:
                registers[id(node)] = self._instruction(program, node, registers)
        program.result = registers[id(root)]
        label = " ".join(op.replace("_float32", "") for op, _ in program.instructions)
        self._step("map", root, program.buffers, program.args(root.dtype), label)

    def _instruction(
        self, program: RegisterProgram, node: Value, registers: dict[int, tuple[str, int]]
    ) -> tuple[str, int]:
        operands = [self._operand(program, o, registers) for o in node.operands]
        if node.operation is not None and node.operation.name == "random_uniform":
            operands.append(program.read(Access(IMMEDIATE), "uint32", None, node.attrs["stream"]))
        op = fusion.instruction(node)
        return operands[0] if op is None else program.add(op, operands)

    def _operand(
        self, program: RegisterProgram, operand: Value, registers: dict[int, tuple[str, int]]
    ) -> tuple[str, int]:
        base, how = fusion.access(operand)
        if id(base) in registers:
            return registers[id(base)]
        number = splat(base)
        if number is not None:
            dtype = base.dtype if base.dtype != "bool" else "int32"
            bits = int(
                np.asarray(-int(number) if base.dtype == "bool" else number, dtype=_lane_dtype(dtype)).view(np.uint32)
            )
            return program.read(Access(IMMEDIATE), dtype, None, bits)
        if base.operation is not None and base.operation.name == "iota" and how is DENSE:
            counted = self._counted(base)
            if counted is not None:
                return program.read(counted[1], base.dtype, counted[0])
        if how is DENSE and operand.type.size == 1 and program.elements != 1:
            how = SCALAR
        return program.read(how, base.dtype, self.buffer(base))

    def _counted(self, value: Value) -> tuple[int, Access] | None:
        """The count along the first or last axis as a small constant, read with a period."""
        shape, axis = value.shape, value.attrs["axis"]
        after = math.prod(shape[axis + 1 :])
        if after != 1 and math.prod(shape[:axis]) != 1:
            return None
        count = self._constant(np.arange(shape[axis], dtype=value.dtype), "count")
        return count, Access(fusion.ROW, shape[axis]) if after == 1 else Access(fusion.COLUMN, after)

    def _emitted(self, value: Value, name: str) -> int:
        number = self.buffer(value)
        if self.plan.buffers[number].place == ARENA:
            self.plan.buffers[number] = replace(self.plan.buffers[number], label=name)
        return number

    # -------------------------------------------------------------- state

    def _update(self, updates: dict[str, int]) -> None:
        """New values reach the state: in place when every reader of the old value is done by then, else by a copy at the end."""
        plan = self.plan
        makers = {step.operands[-1]: number for number, step in enumerate(plan.steps)}
        last_use = {operand: number for number, step in enumerate(plan.steps) for operand in step.operands}
        renamed: dict[int, int] = {}
        copied: list[tuple[str, int, int]] = []
        for name, new in updates.items():
            state = self.buffers[id(self.graph.input(name))]
            maker = makers.get(new, -1)
            free = plan.buffers[new].place == ARENA and new not in renamed and maker >= plan.first_update
            if free and self._can_overwrite(state, maker, last_use.get(state, -1)):
                renamed[new] = state
                plan.buffers[new].nbytes = 0
            elif new != state:
                copied.append((name, new, state))
        for name, new, state in copied:
            words = plan.buffers[state].nbytes // 4
            plan.steps.append(Step("copy", [new, state], _walk(4, [(words, 1, 1)], words), name))
        for step in plan.steps:
            step.operands = [renamed.get(o, o) for o in step.operands]

    def _can_overwrite(self, state: int, maker: int, last_use: int) -> bool:
        """Whether nobody reads ``state`` after step ``maker``, and that step itself reads it element by element if at all."""
        step = self.plan.steps[maker]
        return last_use < maker or (last_use == maker and step.kernel == "map" and _reads_densely(step, state))

    def _place(self) -> None:
        plan = self.plan
        last = len(plan.steps)
        born: dict[int, int] = {}
        dies: dict[int, int] = {}
        for number, step in enumerate(plan.steps):
            for operand in step.operands:
                born.setdefault(operand, number)
                dies[operand] = number
        dies |= dict.fromkeys(plan.emits, last)
        mine = [n for n, b in enumerate(plan.buffers) if b.place == ARENA]
        times = [(born.get(n, 0), max(dies.get(n, 0), born.get(n, 0))) for n in mine]
        offsets, plan.arena_bytes = place([plan.buffers[n].nbytes for n in mine], times)
        for number, offset in zip(mine, offsets, strict=True):
            plan.buffers[number].at = offset


def _lane_dtype(dtype: str) -> str:
    return "uint32" if dtype == "uint8" else dtype


def _reads_densely(step: Step, buffer: int) -> bool:
    """Whether a `map` reads ``buffer`` only at the element it writes."""
    inputs = [step.args[5 + 3 * n : 8 + 3 * n] for n in range(step.args[1])]
    stored = [entry for entry in inputs if entry[0] != IMMEDIATE]
    return all(
        entry[0] == DENSE.kind for entry, operand in zip(stored, step.operands[:-1], strict=True) if operand == buffer
    )


# ------------------------------------------------------------------ kernels that are not register programs


def _walk(
    item: int, axes: list[tuple[int, int, int]], output_items: int, zero: bool = False, start: int = 0, to: int = 0
) -> list[int]:
    """The integers of `copy`; axes are (size, input stride, output stride)."""
    merged: list[tuple[int, int, int]] = []
    for size, i, o in axes:
        if merged and merged[-1][1] == size * i and merged[-1][2] == size * o:
            merged[-1] = (merged[-1][0] * size, i, o)
        elif size != 1:
            merged.append((size, i, o))
    return [item, int(zero), output_items, start, to, len(merged), *(n for axis in merged for n in axis)]


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[a + 1 :]) for a in range(len(shape))]


def _item(x: Value) -> int:
    return 1 if x.dtype in ("bool", "uint8") else 4


def _broadcast(lowering: _Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = dict(zip(y.attrs["axes"], _strides(x.shape), strict=True))
    axes = [(n, steps.get(a, 0), o) for a, (n, o) in enumerate(zip(y.shape, _strides(y.shape), strict=True))]
    lowering._step("copy", y, [lowering.buffer(x)], _walk(_item(y), axes, y.type.size), "broadcast")


def _transpose(lowering: _Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = _strides(x.shape)
    axes = [(n, steps[a], o) for n, a, o in zip(y.shape, y.attrs["axes"], _strides(y.shape), strict=True)]
    lowering._step("copy", y, [lowering.buffer(x)], _walk(_item(y), axes, y.type.size), "transpose")


def _slice(lowering: _Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = _strides(x.shape)
    start = sum(a * s for a, s in zip(y.attrs["start"], steps, strict=True)) if y.type.size else 0
    axes = [(n, s * k, o) for n, s, k, o in zip(y.shape, steps, y.attrs["stride"], _strides(y.shape), strict=True)]
    lowering._step("copy", y, [lowering.buffer(x)], _walk(_item(y), axes, y.type.size, start=start), "slice")


def _pad(lowering: _Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = _strides(y.shape)
    to = sum(a * s for a, s in zip(y.attrs["low"], steps, strict=True)) if x.type.size else 0
    axes = [
        (n, i, s * (k + 1)) for n, i, s, k in zip(x.shape, _strides(x.shape), steps, y.attrs["interior"], strict=True)
    ]
    lowering._step("copy", y, [lowering.buffer(x)], _walk(_item(y), axes, y.type.size, zero=True, to=to), "pad")


def _concatenate(lowering: _Lowering, y: Value) -> None:
    to = 0
    steps = _strides(y.shape)
    for x in y.operands:
        axes = list(zip(x.shape, _strides(x.shape), steps, strict=True))
        if x.type.size:
            lowering._step("copy", y, [lowering.buffer(x)], _walk(_item(y), axes, y.type.size, to=to), "concatenate")
        to += x.shape[y.attrs["axis"]] * steps[y.attrs["axis"]]
    if id(y) not in lowering.buffers:  # of nothing but empty parts
        lowering.buffers[id(y)] = lowering._new(y.type, "empty")


def _reduction(lowering: _Lowering, y: Value) -> None:
    assert y.operation is not None
    x = y.operands[0]
    _demand_float(x, y.operation.name)
    axes = [a for a in y.attrs["axes"] if x.shape[a] != 1]
    if not axes:
        lowering.buffers[id(y)] = lowering.buffer(x)
        return
    spread = [a for a in range(axes[0], axes[-1] + 1) if a not in axes and x.shape[a] != 1]
    buffer = lowering.buffer(x)
    shape = x.shape
    if spread:  # the reduced axes are moved to the end
        order_ = [a for a in range(x.rank) if a not in axes] + axes
        shape = tuple(x.shape[a] for a in order_)
        steps = _strides(x.shape)
        walk = _walk(4, [(n, steps[a], o) for n, a, o in zip(shape, order_, _strides(shape), strict=True)], x.type.size)
        moved = lowering._new(x.type, f"%{len(lowering.plan.buffers)}")
        lowering.plan.steps.append(Step("copy", [buffer, moved], walk, "transpose"))
        buffer, axes = moved, list(range(x.rank - len(axes), x.rank))
    first, last = axes[0], axes[-1]
    sizes = [math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])]
    lowering._step(y.operation.name, y, [buffer], sizes)


def _argmax(lowering: _Lowering, y: Value) -> None:
    x, axis = y.operands[0], y.attrs["axis"]
    _demand_float(x, "argmax")
    lowering._step(
        "argmax", y, [lowering.buffer(x)], [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])]
    )


def _matmul(lowering: _Lowering, y: Value) -> None:
    a, b = y.operands
    inner = a.shape[0 if y.attrs["transpose_a"] else 1]
    args = [y.shape[0], inner, y.shape[1], int(y.attrs["transpose_a"]), int(y.attrs["transpose_b"])]
    label = f"{y.shape[0]}x{inner}x{y.shape[1]}{' A^T' * y.attrs['transpose_a']}{' B^T' * y.attrs['transpose_b']}"
    lowering._step("matmul", y, [lowering.buffer(a), lowering.buffer(b)], args, label)


def _take(lowering: _Lowering, y: Value) -> None:
    table, indices = y.operands
    _demand_float(table, "take")
    args = [table.shape[0], math.prod(table.shape[1:]), indices.type.size]
    lowering._step("take", y, [lowering.buffer(table), lowering.buffer(indices)], args)


def _scatter_add(lowering: _Lowering, y: Value) -> None:
    indices, updates = y.operands
    _demand_float(updates, "scatter_add")
    args = [y.shape[0], math.prod(y.shape[1:]), indices.type.size]
    lowering._step("scatter_add", y, [lowering.buffer(indices), lowering.buffer(updates)], args)


def _constant(lowering: _Lowering, y: Value) -> None:
    number = np.asarray(y.attrs["value"], dtype=y.dtype)
    array = number.reshape(y.shape) if isinstance(y.attrs["value"], tuple) else np.full(y.shape, number)
    lowering.buffers[id(y)] = lowering._constant(np.ascontiguousarray(array), "constant")


def _iota(lowering: _Lowering, y: Value) -> None:
    count = np.arange(y.shape[y.attrs["axis"]], dtype=y.dtype).reshape(
        [-1 if a == y.attrs["axis"] else 1 for a in range(y.type.rank)]
    )
    lowering.buffers[id(y)] = lowering._constant(np.ascontiguousarray(np.broadcast_to(count, y.shape)), "count")


def _demand_float(x: Value, name: str) -> None:
    if x.dtype != "float32":
        raise Limitation(
            f"The native lowering has no {name} for {x.dtype}.", hint='cast to float32, or use backend="reference"'
        )


_Rule = Callable[[_Lowering, Value], None]

_KERNELS: dict[str, _Rule] = {
    "argmax": _argmax,
    "concatenate": _concatenate,
    "matmul": _matmul,
    "pad": _pad,
    "reduce_max": _reduction,
    "reduce_min": _reduction,
    "reduce_sum": _reduction,
    "scatter_add": _scatter_add,
    "slice": _slice,
    "take": _take,
    "transpose": _transpose,
}

# Values that get a buffer only when a kernel, and no register program, asks for one.
_MATERIALIZE: dict[str, _Rule] = {"broadcast": _broadcast, "constant": _constant, "iota": _iota}
