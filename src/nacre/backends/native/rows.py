"""Which nodes run together over the rows of a matrix: a softmax, its loss, its metrics and its gradient are one kernel call.

Around a reduction of the rows of a matrix (rows, columns), everything is collected that works on such matrices or on one number
a row, and whose other operands exist already. The integers of the kernel are described in kernels/rows.h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    """Nodes that run together, operands first. ``shape`` is that of the matrices, ``ready`` tells what can be read now, ``waits``
    what is not made yet. ``blocked`` is shared by all clusters of a lowering: what keeps a node out of those of a shape, as long
    as it waits itself. Else the whole way from a node to the end of a deep network would be looked at again for each of its layers.
    """

    shape: tuple[int, int]
    ready: Callable[[Value], bool]
    waits: Callable[[Value], bool]
    blocked: dict[tuple[tuple[int, int], int], Value]
    members: dict[int, Value] = field(default_factory=dict)
    _decided: set[int] = field(default_factory=set)

    def grow(self, seed: Value, readers: Callable[[Value], list[Value | None]], place: Mapping[int, int]) -> None:
        """Take in what can run together with ``seed``, through any chain of members; ``place`` is that of a node in the order."""
        pending, seen = [seed], {id(seed)}
        while pending:
            node = pending.pop()
            self._decide(node)
            if id(node) not in self.members:
                continue
            for other in (*_bases(node), *readers(node)):
                if other is not None and id(other) not in seen and self.waits(other):
                    seen.add(id(other))
                    pending.append(other)
        self.members = dict(sorted(self.members.items(), key=lambda member: place[member[0]]))
        self._keep_connected(seed)

    def _decide(self, node: Value) -> None:
        """Take in a node if it fits, once the same is known of what it is made from."""
        pending = [node]
        while pending:
            x = pending[-1]
            first = [b for b in _bases(x) if id(b) not in self._decided and self.waits(b)] if self._may_fit(x) else []
            pending += first
            if first:
                continue
            pending.pop()
            self._decided.add(id(x))
            if self._takes(x):
                self.members[id(x)] = x

    def _may_fit(self, node: Value) -> bool:
        """Whether it is worth a look at the operands."""
        barrier = self.blocked.get((self.shape, id(node)))
        return self._sort_of_operands(node) is not None and not (barrier is not None and self.waits(barrier))

    def _keep_connected(self, seed: Value) -> None:
        """Only the members that have to do with ``seed``, through any chain of members."""
        neighbors: dict[int, list[int]] = {number: [] for number in self.members}
        for number, node in self.members.items():
            for base in _bases(node):
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

    def _sort_of_operands(self, node: Value) -> str | None:
        """What the operands of a node must be so that it can be a member; None for what never can."""
        if reduces_rows(node) and node.operands[0].shape == self.shape:
            return MATRIX
        return self.sort(node) if node.dtype != "uint8" and fusion.is_simple(node) else None

    def _takes(self, node: Value) -> bool:
        if not self._may_fit(node):
            return False
        sort = self._sort_of_operands(node)
        assert sort is not None
        if all(self._has(o, sort) for o in node.operands):
            return True
        for base in _bases(node):
            if id(base) not in self.members and self.waits(base) and not self.ready(base):
                self.blocked[self.shape, id(node)] = self.blocked.get((self.shape, id(base)), base)
                break
        return False

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


def _bases(node: Value) -> list[Value]:
    """What a node reads."""
    return [fusion.access(o)[0] for o in node.operands]


@dataclass(eq=False)  # each is itself: those of a deep network cannot be compared by what they are made from
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
