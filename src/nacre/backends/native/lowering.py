"""A graph becomes a plan.

What needs no kernel disappears: reshapes are other names for a buffer, broadcasts and scalars fold into the register programs
that read them, and a new weight is written over the old one when nobody needs the old one any more.

A matrix can lie in three ways: *plain* (row-major), in *panels* of 32 columns, which is what the matrix kernels read and write,
and *turned*, its transpose in panels. Whoever needs a value asks for a layout, and what is missing is made then. Weights always
lie in panels, so a training step converts only what comes in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush

import numpy as np

from nacre.backends.base import Array, Program
from nacre.backends.native import early, fusion
from nacre.backends.native import rows as by_rows
from nacre.backends.native.fusion import DENSE, IMMEDIATE, SCALAR, Access, RegisterProgram
from nacre.backends.native.memory import place
from nacre.backends.native.plan import (
    ARENA,
    BATCH,
    BFLOAT16,
    BYTES,
    CHUNK,
    CONSTANT,
    FROM_DATA,
    OVER_DATA,
    OWN,
    PANELED,
    PIECE,
    PLAIN,
    SCHEDULE,
    STATE,
    TRANSPOSED,
    TURNED,
    Buffer,
    Key,
    Plan,
    Step,
    key_of,
    padded_bytes,
)
from nacre.backends.native.rules import MATERIALIZE, RULES, item_bytes, walk
from nacre.errors import Limitation
from nacre.ir import NARROW, PANEL, Graph, Input, TensorType, Value, is_matrix, is_narrow, order, panels
from nacre.passes import unmasked
from nacre.passes.simplify import splat

_NEVER_USED_AGAIN = 1024  # bytes of the arena, for the smallest buffers

# Columns of a product up to which the rows of the data are read where they lie. For more, gathering them once is faster.
MAX_FROM_DATA = 512
_SHORT = 2048  # elements of a vector


def lower(graph: Graph, program: Program, rows: int, samples: Sequence[str] = ()) -> Plan:
    """The plan of one step, which hands out ``samples`` at its end. Raises `Limitation` for what the kernels cannot do."""
    return Lowering(unmasked(graph), program, rows, samples).plan


class Lowering:
    """The state of one lowering: which value lies in which buffers."""

    def __init__(self, graph: Graph, program: Program, rows: int, samples: Sequence[str]) -> None:
        self.plan = Plan(rows, batch_bytes=[0] * len(program.columns))
        self.graph, self.program = graph, program
        self.buffers: dict[Key, int] = {}
        self.layouts: dict[int, list[Key]] = {}
        self.sharers: dict[tuple[str, bytes], int] = {}
        self.from_data: dict[int, bool] = {}
        self.columns: dict[int, int] = {}  # buffers of columns of the data, from which rows are gathered
        emits = [graph.outputs[name] for name in program.emits]
        updates = {name: graph.outputs[name] for name in program.state if name in graph.outputs}
        last = [graph.outputs[name] for name in samples]
        self.inlined = fusion.inlined(graph, [*emits, *updates.values(), *last])
        self.done: set[int] = set()  # nodes that ran inside a program and have no buffer
        self.direct_readers: dict[int, list[Value]] = {}
        for node in graph.nodes:
            for operand in node.operands:
                self.direct_readers.setdefault(id(operand), []).append(node)
        self.handed_out = {id(v) for v in graph.outputs.values()}
        self.nodes = [v for v in order([*emits, *updates.values(), *last]) if v.operation is not None]
        self.places = {id(v): place for place, v in enumerate(self.nodes)}
        self.blocked: dict[tuple[tuple[int, int], int], Value] = {}  # see `by_rows.Cluster`
        # What a program over as many numbers can make besides: totals, and what becomes of the state. Where they stand, by whether
        # they are totals, their shape, and what they are made from.
        self.companions: list[Value] = []
        self.made_from: dict[tuple[bool, tuple[int, ...], int], list[int]] = {}
        new = {id(v) for v in updates.values()}
        for node in self.nodes:
            if fusion.is_total(node) or ((id(node) in new or _is_vector(node)) and fusion.is_simple(node)):
                self._note_companion(node)
        groups = ((STATE, program.state), (BATCH, program.columns), (SCHEDULE, program.schedule))
        places = {name: (place_, at) for place_, names in groups for at, name in enumerate(names)}
        for value in graph.inputs:
            if value.name in places:
                self._input(value, *places[value.name])
        first = order(emits)
        self._emit_nodes(first)
        self.plan.emits = [self._emitted(v, name) for v, name in zip(emits, program.emits, strict=True)]
        self.plan.first_update = len(self.plan.steps)
        known = {id(v) for v in first}
        rest = [v for v in order([*updates.values(), *last]) if id(v) not in known]
        self._emit_nodes(early.with_early_updates(rest, updates, last, graph, self.direct_readers, self.inlined))
        self.plan.emits += [self._emitted(v, name) for v, name in zip(last, samples, strict=True)]
        self._hoist_turns()
        self._update({name: self.buffer(v, self._at_home(graph.input(name))) for name, v in updates.items()})
        self._place()

    # -------------------------------------------------------------- buffers

    def new(self, nbytes: int, label: str = "", place_: int = ARENA, at: int = 0) -> int:
        """A buffer."""
        self.plan.buffers.append(Buffer(place_, at, nbytes, label or f"%{len(self.plan.buffers)}"))
        return len(self.plan.buffers) - 1

    def keep(self, key: Key, number: int) -> int:
        """Note that a value lies in a buffer."""
        self.buffers[key] = number
        self.layouts.setdefault(key[0], []).append(key)
        return number

    def _at_home(self, value: Value) -> str:
        return TURNED if is_narrow(value.type) else PANELED if is_matrix(value.type) else PLAIN

    def _input(self, value: Input, place_: int, at: int) -> None:
        if place_ == BATCH:
            self.columns[id(value)] = self.new(value.type.nbytes, value.name, place_, at)
            self.plan.batch_bytes[at] = value.type.nbytes // self.plan.rows
            return
        layout = self._at_home(value) if place_ == STATE else PLAIN
        nbytes = padded_bytes(value.type, layout) if place_ == STATE else value.type.nbytes
        self.keep(key_of(value, layout, value.shape), self.new(nbytes, value.name, place_, at))

    def constant(self, array: Array, label: str) -> int:
        """A buffer with fixed numbers; the same numbers share one."""
        key = (str(array.dtype), array.tobytes())
        if key not in self.sharers:
            data = self.plan.constants
            nbytes = padded_bytes(TensorType(array.shape, str(array.dtype)), PLAIN)
            self.sharers[key] = self.new(nbytes, label, CONSTANT, len(data))
            data.extend(array.tobytes().ljust(nbytes, b"\0"))
        return self.sharers[key]

    def buffer(self, value: Value, layout: str = PLAIN, shape: tuple[int, ...] | None = None) -> int:
        """The buffer in which ``value`` lies in a layout, seen under ``shape`` (its own); made now if there is none yet."""
        base, shape = fusion.strip(value), value.shape if shape is None else shape
        key = key_of(base, layout, shape)
        if key in self.buffers:
            return self.buffers[key]
        if id(base) in self.columns and layout != TURNED:
            return self._gather(base, layout, shape)
        if id(base) not in self.layouts and id(base) not in self.columns:
            assert base.operation is not None
            MATERIALIZE.get(base.operation.name, Lowering.map)(self, base)
            return self.buffer(value, layout, shape)
        if layout == PLAIN:
            return self._plain(base, key)
        other = key_of(base, TURNED if layout == PANELED else PANELED, shape)
        if other not in self.buffers and layout == TURNED:
            self.buffer(base, PANELED, shape)
        rows, columns = shape
        if other in self.buffers:
            args = [item_bytes(base), *((rows, columns, 0) if layout == TURNED else (columns, rows, 1))]
            number = self._convert("turn", self.buffers[other], key, base.type, args)
            self.plan.steps[-1].turned = rows == self.plan.rows
            return number
        return self._convert("pack", self.buffer(base), key, base.type, [item_bytes(base), rows, columns])

    def _gather(self, base: Value, layout: str, shape: tuple[int, ...]) -> int:
        """The rows of a column, one below the other, or in panels."""
        rows = self.plan.rows
        if layout == PANELED and shape[0] != rows:
            return self._convert(
                "pack", self.buffer(base), key_of(base, PANELED, shape), base.type, [item_bytes(base), *shape]
            )
        args = [item_bytes(base), rows, base.type.size // rows, int(layout == PANELED)]
        return self._convert("gather", self.columns[id(base)], key_of(base, layout, shape), base.type, args)

    def _plain(self, base: Value, key: Key) -> int:
        """The plain form of a value that so far lies in panels, or turned."""
        known = self.layouts[id(base)]
        paneled = next((k for k in known if k[1] == PANELED), None)
        if paneled is None:
            self.buffer(base, PANELED, known[0][2])
            paneled = (id(base), PANELED, known[0][2])
        return self._convert("unpack", self.buffers[paneled], key, base.type, [item_bytes(base), *paneled[2]])

    def _convert(self, kernel: str, source: int, key: Key, type_: TensorType, args: list[int]) -> int:
        number = self.keep(key, self.new(padded_bytes(type_, key[1], key[2])))
        self.plan.steps.append(Step(kernel, [source, number], args, self.plan.buffers[source].label))
        return number

    def step(
        self, kernel: str, value: Value, operands: list[int], args: list[int], label: str = "", layout: str = PLAIN
    ) -> Step:
        """A kernel call that makes ``value`` in a layout."""
        key = key_of(value, layout, value.shape)
        result = self.buffers.get(key)
        if result is None:
            result = self.keep(key, self.new(padded_bytes(value.type, layout, value.shape)))
        self.plan.steps.append(Step(kernel, [*operands, result], args, label))
        return self.plan.steps[-1]

    # -------------------------------------------------------------- nodes

    def _emit_nodes(self, values: list[Value]) -> None:
        for value in values:
            if value.operation is None or id(value) in self.inlined or id(value) in self.layouts:
                continue
            if value.dtype == "float64":
                raise Limitation(
                    "The native lowering computes in float32.",
                    {"found": value.type},
                    'use device="reference" for float64',
                )
            if by_rows.reduces_rows(value) and self._rows(value):
                continue
            if fusion.is_elementwise(value):
                if self._comes_from_data(value):
                    continue  # made when it is asked for: a program over rows may take it in
                self.map(value)
            elif value.operation.name in RULES:
                RULES[value.operation.name](self, value)

    def _rows(self, seed: Value) -> bool:
        """A program over rows for ``seed`` and everything that can run with it; False when it is not worth one."""
        rows, columns = seed.operands[0].shape
        cluster = by_rows.Cluster((rows, columns), self._is_ready, self._waits, self.blocked)
        cluster.grow(seed, self._readers, self.places)
        program = by_rows.Program(cluster.shape)
        items: dict[int, by_rows.Item] = {}
        for node in cluster.members.values():
            items[id(node)] = self._row_item(cluster, program, node, items)
        results = cluster.results(self._readers)
        in_panels = any(item.entry[0] == by_rows.PANELED_MATRIX for item in program.inputs)
        kinds = [self._row_kind(cluster, r, in_panels) for r in results]
        args = program.args([(items[id(r)], kind, r.dtype) for r, kind in zip(results, kinds, strict=True)])
        if len(cluster.members) < 3 or args is None:
            return False
        self.inlined |= set(cluster.members)
        self.inlined -= {id(r) for r in results}
        self.done |= set(cluster.members)
        operands = list(program.buffers)
        for result, kind in zip(results, kinds, strict=True):
            layout = PANELED if kind == by_rows.PANELED_MATRIX else PLAIN
            key = key_of(result, layout, result.shape)
            operands.append(self.keep(key, self.new(padded_bytes(result.type, layout, result.shape))))
        names = [n.operation.name for n in cluster.members.values() if n.operation is not None]
        self.plan.steps.append(Step("rows", operands, args, " ".join(names), len(results)))
        return True

    def _waits(self, value: Value) -> bool:
        """Whether a node is still to be made."""
        return id(value) in self.places and id(value) not in self.layouts and id(value) not in self.done

    def _is_ready(self, value: Value) -> bool:
        """Whether a value can be read now."""
        made_at_once = value.operation is not None and value.operation.name in ("constant", "iota")
        made_at_once = made_at_once or id(value) in self.columns or self._comes_from_data(value)
        return made_at_once or id(value) in self.layouts

    def _comes_from_data(self, value: Value) -> bool:
        """Whether a value is computed from columns and constants alone, element by element."""
        if id(value) not in self.from_data:
            base = fusion.access(value)[0]
            name = "" if base.operation is None else base.operation.name
            known = id(base) in self.columns or name in ("constant", "iota")
            inner = fusion.is_elementwise(base) and name != "random_uniform"
            self.from_data[id(value)] = known or (inner and all(self._comes_from_data(o) for o in base.operands))
        return self.from_data[id(value)]

    def _readers(self, value: Value) -> list[Value | None]:
        """Who reads a value, directly or through views of it; None if it is handed out."""
        found: list[Value | None] = []
        pending = [value]
        while pending:
            v = pending.pop()
            found += [None] if id(v) in self.handed_out else []
            for reader in self.direct_readers.get(id(v), []):
                assert reader.operation is not None
                view = reader.operation.name in (*fusion.SAME_ORDER, "broadcast")
                (pending if view else found).append(reader)
        return found

    def _row_kind(self, cluster: by_rows.Cluster, result: Value, in_panels: bool) -> int:
        """How a result is stored: a matrix in panels if it enters a product, or is not handed out and made from what lies there."""
        if cluster.sort(result) == by_rows.VECTOR:
            return by_rows.COLUMN
        readers = self._readers(result)
        product = any(r is not None and r.operation is not None and r.operation.name == "matmul" for r in readers)
        inside = in_panels and all(r is not None for r in readers)
        return by_rows.PANELED_MATRIX if product or inside else by_rows.PLAIN_MATRIX

    def _row_item(
        self, cluster: by_rows.Cluster, program: by_rows.Program, node: Value, items: dict[int, by_rows.Item]
    ) -> by_rows.Item:
        """The instruction of a member."""
        assert node.operation is not None
        if node.operation.name in by_rows.REDUCTIONS:
            operand = self._row_operand(cluster, program, node.operands[0], by_rows.MATRIX, items)
            return program.step(by_rows.VECTOR, by_rows.REDUCTIONS[node.operation.name], 0, [operand])
        sort = cluster.sort(node)
        assert sort is not None
        operands = [self._row_operand(cluster, program, o, sort, items) for o in node.operands]
        op = by_rows.map_op(node)
        if op is None:
            return operands[0]
        return program.step(sort, by_rows.ON_MATRICES if sort == by_rows.MATRIX else by_rows.ON_VECTORS, op, operands)

    def _row_operand(
        self,
        cluster: by_rows.Cluster,
        program: by_rows.Program,
        operand: Value,
        sort: str,
        items: dict[int, by_rows.Item],
    ) -> by_rows.Item:
        """An operand in a register of a sort."""
        base, how = fusion.access(operand)
        vector = sort == by_rows.VECTOR
        if id(base) in items:
            item = items[id(base)]
            return item if item.sort == sort else program.spread(item)
        number = splat(base)
        if number is not None:
            kind = by_rows.VECTOR_IMMEDIATE if vector else by_rows.IMMEDIATE
            return program.read(kind, _bits(number, base.dtype), None)
        dtype = fusion.DTYPE_NUMBERS[base.dtype]
        if how is DENSE and base.operation is not None and base.operation.name == "iota" and not vector:
            counted = self._counted(base)
            if counted is not None and counted[1].kind == fusion.ROW:
                return program.read(by_rows.ROW, dtype, counted[0])
        if how is SCALAR:
            return program.read(by_rows.VECTOR_SCALAR if vector else by_rows.SCALAR, dtype, self.buffer(base))
        if how.kind == fusion.ROW:
            return program.read(by_rows.ROW, dtype, self.buffer(base))
        if vector or how.kind == fusion.COLUMN:
            item = program.read(by_rows.COLUMN, dtype, self.buffer(base))
            return item if vector else program.spread(item)
        if key_of(base, PANELED, cluster.shape) in self.buffers:
            return program.read(by_rows.PANELED_MATRIX, dtype, self.buffer(base, PANELED, cluster.shape))
        return program.read(by_rows.PLAIN_MATRIX, dtype, self.buffer(base))

    def map(self, root: Value) -> None:
        """A register program for ``root``, everything inlined into it, and what else it can make: totals, and what remains of the
        update of a weight."""
        nodes = self._program_nodes(root)
        product = next((n for n in nodes if fusion.is_product(n)), None)
        layout, shape = self._layout(root, nodes, product)
        found = [] if layout == TURNED and not is_narrow(root.type) else self._add_companions(root, nodes, product)
        totals = [v for v in found if fusion.is_total(v)]
        if shape is None:
            program = RegisterProgram(1, root.type.size, max(root.shape[-1], 1) if root.type.rank else 1)
        else:
            down, across = shape if layout == PANELED else shape[::-1]
            program = RegisterProgram(panels(across), down * PANEL, 0)
        registers: dict[int, tuple[str, int]] = {}
        for node in nodes:
            if node is product:
                registers[id(node)] = self._read_product(program, node)
                continue
            registers[id(node)] = self._instruction(program, node, registers, layout, shape)
        made = {id(n) for n in [*nodes, *totals]}
        several = found or product is not None
        kept = [n for n in nodes if self._is_wanted(n, made)] if several else [root]
        self.done |= made
        self.inlined |= {id(n) for n in nodes}
        self.inlined -= {id(n) for n in kept}
        columns = 1 if shape is None else (across - 1) % PANEL + 1
        sums = [(self._operand(program, t.operands[0], registers, layout, shape), "float32", columns) for t in totals]
        program.results = [*sums, *((registers[id(n)], n.dtype, 0) for n in kept)]
        label = " ".join(op.replace("_float32", "") for op, _ in program.instructions)
        kernel, args, operands, turned = "map", program.args(), program.buffers, False
        if product is not None and fusion.slices(product) == 1:
            factors, sizes, what, turned = self.product(product)
            kernel, more = program.last_of_product(bool(sizes[3] & TRANSPOSED), turned) or ("matmul_map", args)
            args, operands, label = [*sizes, *more], [*factors, *operands], f"{what} {label}"
        chunks = program.panels * -(-program.elements // CHUNK)
        parts = [self.new(padded_bytes(TensorType((chunks,)), PLAIN)) for _ in totals]
        numbers = [
            self.keep(key_of(n, layout, shape or ()), self.new(padded_bytes(n.type, layout, shape or ()))) for n in kept
        ]
        by_rows_of_panels = turned and self.is_batch(product)
        results = [*parts, *numbers]
        self.plan.steps.append(Step(kernel, [*operands, *results], args, label, len(results), turned=by_rows_of_panels))
        for total, part in zip(totals, parts, strict=True):
            if chunks == 1:
                self.keep(key_of(total, PLAIN, ()), part)
            else:
                self.step("reduce_sum", total, [part], [1, chunks, 1])

    def _note_companion(self, value: Value) -> None:
        """Note what can be made besides, and what a program must have so that it can be: something that it is made from, no more
        steps away than a program has registers."""
        total = fusion.is_total(value)
        goal = value.operands[0] if total else value
        level, met, opened = [fusion.access(goal)], {id(fusion.strip(goal))}, set[int]()
        for _ in range(fusion.MAX_REGISTERS):
            if not level:
                break
            dense = {id(base): base for base, how in level if how is DENSE and base.shape == goal.shape}
            inner = [base for number, base in dense.items() if number not in opened and fusion.is_simple(base)]
            level = [fusion.access(o) for base in inner for o in base.operands]
            opened |= {id(base) for base in inner}
            met |= {id(base) for base, _ in level}
        for number in met:
            self.made_from.setdefault((total, goal.shape, number), []).append(len(self.companions))
        self.companions.append(value)

    def _add_companions(self, root: Value, nodes: list[Value], product: Value | None) -> list[Value]:
        """What the program of ``nodes`` can make too, from what it reads or makes, beside ``root``; the nodes that lead there
        join it."""
        found: list[Value] = []
        if any(n.operation is not None and n.operation.name == "random_uniform" for n in nodes):
            return found
        inside: set[int] = set()
        near: set[int] = set()  # and what is read
        waiting: list[
            int
        ] = []  # a heap: they are looked at in order, and only those that may be made from what there is

        def join(more: list[Value]) -> None:
            made = {id(n) for n in more}
            seen = made | {id(fusion.access(o)[0]) for n in more if n is not product for o in n.operands}
            for total, new in ((False, made - inside), (True, seen - near)):
                for number in new:
                    for place in self.made_from.get((total, root.shape, number), ()):
                        heappush(waiting, place)
            inside.update(made)
            near.update(seen)

        join(nodes)
        last = -1
        while waiting:
            place = heappop(waiting)
            if place <= last:
                continue
            last, value = place, self.companions[place]
            total = fusion.is_total(value)
            known = id(value) in self.layouts or id(value) in self.done or id(value) in inside
            if known or (total and (product is not None or len(found) == fusion.MAX_SUMS)):
                continue
            joining = self._leading_to(value.operands[0] if total else value, inside)
            if joining is None:
                continue
            leaves = {id(fusion.access(o)[0]) for n in [*joining, *[value] * total] for o in n.operands}
            if leaves & (near if total else inside) and fusion.weight([*nodes, *joining]) <= fusion.MAX_REGISTERS:
                found.append(value)
                nodes += joining
                join(joining)
        return found

    def _leading_to(self, value: Value, inside: set[int]) -> list[Value] | None:
        """What must join a program so that it makes a value, operands first; None if something is missing."""
        shape = value.shape
        needed: dict[int, Value] = {}
        pending = [(value, False)]
        while pending:
            operand, is_ready = pending.pop()
            base, how = fusion.access(operand)
            if is_ready:
                needed.setdefault(id(base), base)
                continue
            made = id(base) in self.layouts
            if splat(base) is not None or id(base) in inside or id(base) in needed or (made and how is SCALAR):
                continue
            if how is not DENSE or base.shape != shape or not (made or fusion.is_simple(base)):
                return None
            if not made:
                pending += [(operand, True), *((o, False) for o in base.operands)]
        return list(needed.values())

    def _is_wanted(self, value: Value, made: set[int]) -> bool:
        """Whether somebody else reads a value than those in ``made``."""
        return any(r is None or id(r) not in made for r in self._readers(value))

    def _read_product(self, program: RegisterProgram, y: Value) -> tuple[str, int]:
        """A register with a product: as it is made, or the sum of its slices."""
        count = fusion.slices(y)
        if count == 1:
            return program.read(Access(fusion.PRODUCT), "float32", None)
        (x, w), (rows, columns), how = y.operands, y.shape, BFLOAT16 * (y.attrs["precision"] == "bfloat16")
        dots = is_narrow(w.type)
        column, scale = (None, 0) if how else self._column_of(x, along=dots, narrow=True)
        factors = [self.buffer(x, PANELED) if column is None else column, self.buffer(w, TURNED if dots else PANELED)]
        args = [rows, x.shape[1], columns, how | FROM_DATA * (column is not None) | scale, count]
        parts = [self.new(padded_bytes(y.type, PANELED, y.shape)) for _ in range(count)]
        self._share_by_columns(factors[0])
        what = f"{rows}x{x.shape[1]}x{columns}{' in bfloat16' * bool(how)}"
        self.plan.steps.append(Step("matmul_dots" if dots else "matmul_slices", [*factors, *parts], args, what, count))
        total = program.read(DENSE, "float32", parts[0])
        for part in parts[1:]:
            total = program.add("add_float32", [total, program.read(DENSE, "float32", part)])
        return total

    def _share_by_columns(self, number: int) -> None:
        """Let the threads make what a sliced product reads, and what that is made from, by columns, as they will read it."""
        for step in reversed(self.plan.steps):
            if number in step.operands[-step.results :] and step.kernel in ("gather", "map"):
                step.by_columns = True
                for operand in step.operands[: -step.results]:
                    self._share_by_columns(operand)

    def product(self, y: Value) -> tuple[list[int], list[int], str, bool]:
        """Operands, integers and description of a product, and whether its transpose is made.

        The kernel wants its right operand in panels over the columns of the result; where the graph wants the right operand
        transposed, the transpose of the result is computed instead: then nothing as large as a weight is ever turned.
        """
        (a, b), transposed, turned = y.operands, y.attrs["transpose_a"], fusion.is_turned(y)
        (rows, columns), inner = y.shape, a.shape[0 if transposed else 1]
        what = f"{rows}x{inner}x{columns}{' A^T' * transposed}{' B^T' * y.attrs['transpose_b']}"
        how = BFLOAT16 * (y.attrs["precision"] == "bfloat16")
        what += " in bfloat16" * bool(how)
        if turned and y.attrs["transpose_b"]:
            factors = [self.buffer(b, PANELED), self.buffer(a, PANELED if transposed else TURNED)]
            return factors, [columns, inner, rows, how], what, True
        if turned:
            column, scale = (None, 0) if how else self._column_of(a, along=True, narrow=True)
            factors = [self.buffer(b, PANELED), self.buffer(a, PANELED) if column is None else column]
            return (
                factors,
                [columns, inner, rows, how | TRANSPOSED | OVER_DATA * (column is not None) | scale],
                what,
                True,
            )
        column, scale = None, 0
        if not how and columns <= MAX_FROM_DATA:
            column, scale = self._column_of(
                a, along=False, narrow=transposed and columns <= PANEL and rows >= NARROW[1]
            )
        right = self.buffer(b, TURNED if y.attrs["transpose_b"] else PANELED)
        factors = [self.buffer(a, PANELED) if column is None else column, right]
        return (
            factors,
            [rows, inner, columns, how | TRANSPOSED * transposed | FROM_DATA * (column is not None) | scale],
            what,
            False,
        )

    def is_batch(self, product: Value | None) -> bool:
        """Whether the rows of a product are those of the batch."""
        return product is not None and not product.attrs["transpose_a"] and product.shape[0] == self.plan.rows

    def _column_of(self, rows: Value, along: bool, narrow: bool) -> tuple[int | None, int]:
        """The column of the data whose rows these are, if products can read it as it lies, with vectors ``along`` the rows, or
        number by number; and bits for their integer. A product with the weights of a ``narrow`` layer reads bytes, which it
        scales on the way: there is one for each row that it needs, and nothing is written that is larger than the data."""
        base = fusion.strip(rows)
        if rows.shape[0] != self.plan.rows or (along and rows.shape[1] % PIECE) or rows.dtype != "float32":
            return None, 0
        column, scale = fusion.scaled_bytes(base) if narrow else (base, None)
        number = self.columns.get(id(fusion.strip(column)))
        return number, 0 if number is None or scale is None else BYTES | int(np.float32(scale).view(np.int32)) << 32

    def _program_nodes(self, root: Value) -> list[Value]:
        """``root`` and the nodes inlined into it, operands first."""
        nodes: dict[int, Value] = {}
        pending = [root]
        while pending:
            node = pending[-1]
            bases = [fusion.access(o)[0] for o in node.operands]
            waiting = [b for b in bases if id(b) in self.inlined and id(b) not in nodes]
            if waiting and not fusion.is_product(node):
                pending += waiting
                continue
            pending.pop()
            nodes.setdefault(id(node), node)
        return list(nodes.values())

    def _layout(self, root: Value, nodes: list[Value], product: Value | None) -> tuple[str, tuple[int, ...] | None]:
        """The layout of a result, and the shape under which it goes into panels, if it does. It does where fewer operands need to
        be converted then, or as many and a product reads it; and random numbers, which are for activations, do."""
        if product is not None:
            return TURNED if fusion.is_turned(product) else PANELED, root.shape
        if root.type.size == 0:
            return PLAIN, None
        readers = [r for r in self._readers(root) if r is not None and r.operation is not None]
        factors = [o for r in readers if r.operation and r.operation.name == "matmul" for o in r.operands]
        wanted = next((o.shape for o in factors if fusion.strip(o) is root), None)
        accesses = [fusion.access(o) for o in {id(o): o for node in nodes for o in node.operands}.values()]
        accesses = [(base, how) for base, how in accesses if splat(base) is None]
        random = any(n.operation is not None and n.operation.name == "random_uniform" for n in nodes)
        if root.type.rank != 2 and (wanted is None or random or any(how not in (DENSE, SCALAR) for _, how in accesses)):
            return PLAIN, None
        shape = root.shape if root.type.rank == 2 else wanted
        assert shape is not None
        whole = [b for b, how in accesses if how is DENSE and id(b) in self.layouts and b.type.size == root.type.size]
        kinds = [{k[1] for k in self.layouts[id(b)] if k[1] == PLAIN or k[2] == shape} for b in whole]
        if kinds and not random and all(TURNED in k and PANELED not in k for k in kinds):
            return TURNED, shape
        plain, paneled = (sum(layout not in k for k in kinds) for layout in (PLAIN, PANELED))
        in_panels = paneled < plain or (paneled == plain and (random or wanted == shape))
        return (PANELED, shape) if in_panels else (PLAIN, None)

    def _instruction(
        self,
        program: RegisterProgram,
        node: Value,
        registers: dict[int, tuple[str, int]],
        layout: str,
        shape: tuple[int, ...] | None,
    ) -> tuple[str, int]:
        operands = [self._operand(program, o, registers, layout, shape) for o in node.operands]
        if node.operation is not None and node.operation.name == "random_uniform":
            operands.append(program.read(Access(IMMEDIATE), "uint32", None, node.attrs["stream"]))
        op = fusion.instruction(node)
        return operands[0] if op is None else program.add(op, operands)

    def _operand(
        self,
        program: RegisterProgram,
        operand: Value,
        registers: dict[int, tuple[str, int]],
        layout: str,
        shape: tuple[int, ...] | None,
    ) -> tuple[str, int]:
        """A register with ``operand``; ``shape`` is that of the program if it runs over panels."""
        base, how = fusion.access(operand)
        if id(base) in registers:
            assert how is DENSE
            return registers[id(base)]
        number = splat(base)
        if number is not None:
            dtype = base.dtype if base.dtype != "bool" else "int32"
            return program.read(Access(IMMEDIATE), dtype, None, _bits(number, base.dtype))
        if how is DENSE and base.operation is not None and base.operation.name == "iota":
            counted = self._counted(base)
            if counted is not None and (shape is None or base.shape == shape):
                buffer, how = counted
                return program.read(how if shape is None else _in_panels(how, layout), base.dtype, buffer)
        if how is DENSE and operand.type.size == 1 and program.elements * program.panels != 1:
            how = SCALAR
        if shape is None or how is SCALAR:
            return program.read(how, base.dtype, self.buffer(base))
        if how is DENSE or how.parameter != shape[1]:
            full = operand if how is not DENSE else base
            return program.read(DENSE, base.dtype, self.buffer(full, layout, shape))
        return program.read(_in_panels(how, layout), base.dtype, self.buffer(base))

    def _counted(self, value: Value) -> tuple[int, Access] | None:
        """The count along the first or last axis as a small constant, read with a period."""
        shape, axis = value.shape, value.attrs["axis"]
        after = math.prod(shape[axis + 1 :])
        if value.type.size == 0 or (after != 1 and math.prod(shape[:axis]) != 1):
            return None
        count = self.constant(np.arange(shape[axis], dtype=value.dtype), "count")
        return count, Access(fusion.ROW, shape[axis]) if after == 1 else Access(fusion.COLUMN, after)

    def _emitted(self, value: Value, name: str) -> tuple[int, int]:
        number = self.buffer(value)
        if self.plan.buffers[number].place in (SCHEDULE, STATE):  # what is handed out must stay until the step is over
            number = self._copy(number, value.type.nbytes, name)
        if self.plan.buffers[number].place == ARENA:
            self.plan.buffers[number] = replace(self.plan.buffers[number], label=name)
        return number, value.type.nbytes

    # -------------------------------------------------------------- state

    def _update(self, updates: dict[str, int]) -> None:
        """New values reach the state: in place when every reader of the old value is done by then, else by a copy at the end."""
        plan = self.plan
        updates = self._saved(updates)
        makers = {result: n for n, step in enumerate(plan.steps) for result in step.operands[-step.results :]}
        last_use = {operand: number for number, step in enumerate(plan.steps) for operand in step.operands}
        renamed: dict[int, int] = {}
        copied: list[tuple[str, int, int]] = []
        for name, new in updates.items():
            value = self.graph.input(name)
            state = self.buffers[key_of(value, self._at_home(value), value.shape)]
            maker = makers.get(new, -1)
            free = plan.buffers[new].place == ARENA and new not in renamed and maker >= plan.first_update
            if free and self._can_overwrite(state, maker, last_use.get(state, -1)):
                renamed[new] = state
            elif new != state:
                copied.append((name, new, state))
        for name, new, state in copied:
            nbytes = min(plan.buffers[new].nbytes, plan.buffers[state].nbytes)
            plan.steps.append(Step("copy", [new, state], walk(1, [(nbytes, 1, 1)], nbytes), name))
        for step in plan.steps:
            step.operands = [renamed.get(o, o) for o in step.operands]
        for new in renamed:
            plan.buffers[new].nbytes = 0

    def _saved(self, updates: dict[str, int]) -> dict[str, int]:
        """The updates, those that are another state's old value taken from a copy made before anything is written."""
        plan, begin = self.plan, len(self.plan.steps)
        saved: dict[str, int] = {}
        for name, new in updates.items():
            value = self.graph.input(name)
            mine = new == self.buffers[key_of(value, self._at_home(value), value.shape)]
            old = plan.buffers[new].place == STATE and not mine
            saved[name] = self._copy(new, plan.buffers[new].nbytes, f"old {plan.buffers[new].label}") if old else new
        plan.steps[plan.first_update : plan.first_update] = [plan.steps.pop() for _ in range(len(plan.steps) - begin)][
            ::-1
        ]
        return saved

    def _copy(self, source: int, nbytes: int, label: str) -> int:
        """A copy of a buffer in the arena."""
        number = self.new(nbytes, label)
        self.plan.steps.append(Step("copy", [source, number], walk(1, [(nbytes, 1, 1)], nbytes), label))
        return number

    def _can_overwrite(self, state: int, maker: int, last_use: int) -> bool:
        """Whether nobody reads ``state`` after step ``maker``, and that step itself reads it element by element if at all."""
        step = self.plan.steps[maker]
        return last_use < maker or (last_use == maker and _reads_densely(step, state))

    def _hoist_turns(self) -> None:
        """What is turned is turned right after it was made: by the threads that made it, while it is in their caches."""
        steps, first = self.plan.steps, self.plan.first_update
        for number in range(first, len(steps)):
            step = steps[number]
            if step.kernel != "turn":
                continue
            made = max(
                (n for n in range(first, number) if step.operands[0] in steps[n].operands[-steps[n].results :]),
                default=None,
            )
            if made is not None:
                steps.insert(made + 1, steps.pop(number))

    def _place(self) -> None:
        plan = self.plan
        last = len(plan.steps)
        born: dict[int, int] = {}
        dies: dict[int, int] = {}
        for number, step in enumerate(plan.steps):
            for operand in step.operands:
                born.setdefault(operand, number)
                dies[operand] = number
        dies |= dict.fromkeys((number for number, _ in plan.emits), last)
        for step, each in zip(plan.steps, plan.by_each(), strict=True):
            for result in step.operands[-step.results :] if each else ():
                plan.buffers[result].place = OWN
        need = {}
        for where in (ARENA, OWN):
            here = [n for n, b in enumerate(plan.buffers) if b.place == where]
            sizes = [plan.buffers[n].nbytes for n in here]
            times = [(born.get(n, 0), max(dies.get(n, 0), born.get(n, 0))) for n in here]
            # Threads would wait for each other where memory that they share is used again. The smallest buffers keep theirs.
            left = _NEVER_USED_AGAIN if where == ARENA else 0
            for n in sorted(range(len(here)), key=lambda n: sizes[n]):
                left -= sizes[n]
                if left < 0:
                    break
                times[n] = (0, last)
            offsets, need[where] = place(sizes, times)
            for number, offset in zip(here, offsets, strict=True):
                plan.buffers[number].at = offset
        plan.arena_bytes, plan.own_bytes = need[ARENA], need[OWN]


def _is_vector(x: Value) -> bool:
    """Whether it is so short that to begin a step takes longer than to make it."""
    return x.type.rank == 1 and x.type.size <= _SHORT


def _in_panels(how: Access, layout: str) -> Access:
    """The access to a row or a column from a program that runs over panels; those of the transpose change places."""
    other = fusion.COLUMN if how.kind == fusion.ROW else fusion.ROW
    return Access(how.kind if layout == PANELED else other, PANEL)


def _bits(number: float, dtype: str) -> int:
    """The 32 bits of a lane that holds a number."""
    if dtype == "bool":
        return 0xFFFFFFFF if number else 0
    return int(np.asarray(number, dtype="uint32" if dtype == "uint8" else dtype).view(np.uint32))


def _reads_densely(step: Step, buffer: int) -> bool:
    """Whether a register program reads ``buffer`` only at the element it writes, and a product before it not at all."""
    if step.kernel == "matmul_update":
        return buffer not in step.operands[:3]
    skip, first = {"map": (0, 0), "matmul_map": (4, 2)}.get(step.kernel, (0, -1))
    if first < 0 or buffer in step.operands[:first]:
        return False
    args = step.args[skip:]
    inputs = [args[7 + 4 * n : 11 + 4 * n] for n in range(args[3])]
    stored = [entry for entry in inputs if entry[0] < IMMEDIATE]
    return all(
        entry[0] == DENSE.kind
        for entry, operand in zip(stored, step.operands[first : -step.results], strict=True)
        if operand == buffer
    )
