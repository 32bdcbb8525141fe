"""Which nodes run together over the rows of a matrix: a softmax, its loss, its metrics and its gradient are one kernel call.

Around a reduction of the rows of a matrix (rows, columns), everything is collected that works on such matrices or on one number
a row, and whose other operands exist already. The integers of the kernel are described in kernels/rows.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nacre.backends.native import fusion
from nacre.backends.native._binding import MAP_OPS
from nacre.backends.native.fusion import DTYPE_NUMBERS
from nacre.ir import Value
from nacre.passes.simplify import splat

MAX_COLUMNS, MAX_MATRICES, MAX_VECTORS = 512, 24, 48
MATRIX, VECTOR = "matrix", "vector"
PLAIN_MATRIX, PANELED_MATRIX, COLUMN, ROW, SCALAR, IMMEDIATE, VECTOR_SCALAR, VECTOR_IMMEDIATE = range(8)
ON_MATRICES, ON_VECTORS, SUM, MAXIMUM, MINIMUM, ARGMAX, SPREAD = range(7)
REDUCTIONS = {"reduce_sum": SUM, "reduce_max": MAXIMUM, "reduce_min": MINIMUM, "argmax": ARGMAX}


def reduces_rows(x: Value) -> bool:
    """Whether the node makes one number of each row of a matrix that is not too wide."""
    if x.operation is None or x.operation.name not in REDUCTIONS or x.operands[0].type.rank != 2:
        return False
    (rows, columns), dtype = x.operands[0].shape, x.operands[0].dtype
    axes = x.attrs["axes"] if "axes" in x.attrs else (x.attrs["axis"],)
    return axes == (1,) and rows > 0 and 1 < columns <= MAX_COLUMNS and dtype == "float32"


@dataclass
class Cluster:
    """Nodes that run together, operands first. ``shape`` is that of the matrices."""

    shape: tuple[int, int]
    ready: Callable[[Value], bool]
    members: dict[int, Value] = field(default_factory=dict)

    @classmethod
    def around(cls, seed: Value, nodes: Iterable[Value], ready: Callable[[Value], bool]) -> Cluster:
        """What can run together with ``seed``. ``nodes`` are those not yet made, in order; ``ready`` tells what is."""
        rows, columns = seed.operands[0].shape
        cluster = cls((rows, columns), ready)
        for node in nodes:
            if cluster._takes(node):
                cluster.members[id(node)] = node
        cluster._keep_connected(seed)
        return cluster

    def _keep_connected(self, seed: Value) -> None:
        """Only the members that have to do with ``seed``, through any chain of members."""
        neighbors: dict[int, list[int]] = {number: [] for number in self.members}
        for number, node in self.members.items():
            for base in (fusion.access(o)[0] for o in node.operands):
                if id(base) in self.members:
                    neighbors[number].append(id(base))
                    neighbors[id(base)].append(number)
        reached, pending = {id(seed)}, [id(seed)]
        while pending:
            for number in neighbors.get(pending.pop(), []):
                if number not in reached:
                    reached.add(number)
                    pending.append(number)
        self.members = {number: node for number, node in self.members.items() if number in reached}

    def sort(self, x: Value) -> str | None:
        """Whether a value of this shape is a matrix, a vector or neither."""
        rows = self.shape[0]
        return MATRIX if x.shape == self.shape else VECTOR if x.shape in ((rows,), (rows, 1)) else None

    def _takes(self, node: Value) -> bool:
        if reduces_rows(node) and node.operands[0].shape == self.shape:
            return self._has(node.operands[0], MATRIX)
        sort = self.sort(node)
        if sort is None or node.dtype == "uint8" or not fusion.is_simple(node):
            return False
        return all(self._has(o, sort) for o in node.operands)

    def _has(self, operand: Value, sort: str) -> bool:
        """Whether an operand can be had in a register of this sort."""
        base, how = fusion.access(operand)
        if splat(base) is not None:
            return True
        if id(base) in self.members:
            mine = self.sort(base)
            return mine == sort if how is fusion.DENSE else (mine, sort) == (VECTOR, MATRIX) and self._spreads(how)
        if not self.ready(base):
            return False
        rows, columns = self.shape
        if how is fusion.DENSE:
            return base.type.size == (rows * columns if sort == MATRIX else rows)
        whole_row = how.kind == fusion.ROW and how.parameter == columns and base.type.size == columns
        return how is fusion.SCALAR or (sort == MATRIX and (whole_row or self._spreads(how)))

    def _spreads(self, how: fusion.Access) -> bool:
        return how is fusion.SCALAR or (how.kind == fusion.COLUMN and how.parameter == self.shape[1])

    def results(self, readers: Callable[[Value], list[Value | None]]) -> list[Value]:
        """The members that somebody else reads; None among the readers stands for being handed out."""
        return [m for m in self.members.values() if any(r is None or id(r) not in self.members for r in readers(m))]


@dataclass
class Item:
    """A value of a program: where it comes from (an input or a step), and in which sort of register it is."""

    sort: str
    entry: tuple[int, int] = (0, 0)  # of an input: kind and dtype or bits
    step: tuple[int, int, list[Item]] | None = None  # kind, op, operands
    last_use: int = -1
    register: int = 0

    @property
    def pinned(self) -> bool:
        """Whether it is filled once, before the first row."""
        return self.step is None and self.entry[0] >= ROW


class Program:
    """The program of a cluster, from `Item` to integers."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.inputs: list[Item] = []
        self.buffers: list[int] = []
        self.steps: list[Item] = []
        self._known: dict[tuple[object, ...], Item] = {}

    def read(self, kind: int, dtype_or_bits: int, buffer: int | None) -> Item:
        """An input; the same one is shared."""
        key = ("input", kind, dtype_or_bits, buffer)
        if key not in self._known:
            sort = VECTOR if kind in (COLUMN, VECTOR_SCALAR, VECTOR_IMMEDIATE) else MATRIX
            self._known[key] = Item(sort, (kind, dtype_or_bits))
            self.inputs.append(self._known[key])
            if buffer is not None:
                self.buffers.append(buffer)
        return self._known[key]

    def step(self, sort: str, kind: int, op: int, operands: list[Item]) -> Item:
        """An instruction."""
        self.steps.append(Item(sort, step=(kind, op, operands)))
        return self.steps[-1]

    def spread(self, vector: Item) -> Item:
        """A vector as a matrix."""
        key = ("spread", id(vector))
        if key not in self._known:
            self._known[key] = self.step(MATRIX, SPREAD, 0, [vector])
        return self._known[key]

    def args(self, outputs: list[tuple[Item, int, str]]) -> list[int] | None:
        """The integers; None when the registers do not suffice. ``outputs`` are items with kind and dtype."""
        for number, item in enumerate(self.steps):
            assert item.step is not None
            for operand in item.step[2]:
                operand.last_use = number
        for item, _, _ in outputs:
            item.last_use = len(self.steps)
        counts = self._allocate()
        if counts[MATRIX] > MAX_MATRICES or counts[VECTOR] > MAX_VECTORS:
            return None
        flat = [*self.shape, len(self.inputs), len(self.steps), len(outputs), counts[MATRIX], counts[VECTOR]]
        for item in self.inputs:
            flat += [*item.entry, item.register]
        for item in self.steps:
            assert item.step is not None
            kind, op, operands = item.step
            first = operands[0].register
            flat += [kind, op, item.register, *([o.register for o in operands] + [first] * 3)[:3]]
        for item, kind, dtype in outputs:
            flat += [kind, DTYPE_NUMBERS[dtype], item.register]
        return flat

    def _allocate(self) -> dict[str, int]:
        """A register for each item; one is free again after its last use."""
        free: dict[str, list[int]] = {MATRIX: [], VECTOR: []}
        counts = {MATRIX: 0, VECTOR: 0}

        def take(item: Item) -> None:
            if not free[item.sort]:
                free[item.sort].append(counts[item.sort])
                counts[item.sort] += 1
            item.register = free[item.sort].pop()

        for item in self.inputs:
            take(item)
        living = [i for i in self.inputs if not i.pinned]
        for number, item in enumerate(self.steps):
            for other in [i for i in living if i.last_use < number]:
                free[other.sort].append(other.register)
                living.remove(other)
            take(item)
            living.append(item)
        return counts


def map_op(node: Value) -> int | None:
    """The number of the node's instruction; None when its operand's lanes are its result."""
    op = fusion.instruction(node)
    return None if op is None else MAP_OPS[op]
