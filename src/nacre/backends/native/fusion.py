"""Which elementwise nodes run together: chains become one register program, and broadcasts fold into whoever reads them.

A node is inlined into its only reader when both have the same number of elements; what is read in another shape, more than
once, or by a kernel, gets a buffer. The gradient of a weight may have several readers, which become one program if they can.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from nacre.backends.native._binding import MAP_OPS
from nacre.backends.native.plan import ONE
from nacre.errors import Limitation
from nacre.ir import NARROW, PANEL, Graph, Value, is_narrow
from nacre.ops import TABLE
from nacre.passes.simplify import splat

MAX_REGISTERS, MAX_SUMS = 32, 8
SAME_ORDER = ("reshape", "stop_gradient")  # the elements stay where they are
INTEGERS = ("uint8", "int32", "uint32")


def is_elementwise(x: Value) -> bool:
    """Whether the node can be part of a register program."""
    if x.operation is None or x.operation.name in SAME_ORDER:
        return False
    return TABLE[x.operation.name].elementwise or x.operation.name == "random_uniform"


def is_simple(x: Value) -> bool:
    """Whether the node can join any program: there is an instruction for it, which does not ask where in the result it is."""
    if not is_elementwise(x) or x.operation is None or x.operation.name == "random_uniform":
        return False
    try:
        instruction(x)
    except Limitation:
        return False
    return True


def strip(x: Value) -> Value:
    """The value that holds the same elements in the same order."""
    while x.operation is not None and x.operation.name in SAME_ORDER:
        x = x.operands[0]
    return x


@dataclass(frozen=True)
class Access:
    """How a register program reads a value: element i reads ``i``, ``0``, ``i % parameter`` or ``i // parameter``."""

    kind: int
    parameter: int = 0


DENSE, SCALAR = Access(0), Access(1)
ROW, COLUMN, IMMEDIATE, PRODUCT = 2, 3, 4, 5
_INFINITE = 0x7F800000  # the bits of infinity in float32


def access(x: Value) -> tuple[Value, Access]:
    """The value that must have a buffer so that ``x`` can be read, and how it is read."""
    x = strip(x)
    if x.operation is None or x.operation.name != "broadcast" or x.type.size == 0:
        return x, DENSE
    inner, kept = strip(x.operands[0]), [a for a in x.attrs["axes"] if x.shape[a] != 1]
    if inner.type.size == 1:
        return inner, SCALAR
    if inner.type.size == 0 or is_broadcast(inner):
        return x, DENSE
    first, last = kept[0], kept[-1]
    before, after = math.prod(x.shape[:first]), math.prod(x.shape[last + 1 :])
    if inner.type.size == math.prod(x.shape[first : last + 1]):
        if after == 1:
            return inner, Access(ROW, inner.type.size)
        if before == 1:
            return inner, Access(COLUMN, after)
    return x, DENSE


def is_view(x: Value) -> bool:
    """Whether nothing runs for it where it stands: it shows what another value has, or what is known."""
    return x.operation is not None and x.operation.name in (*SAME_ORDER, "broadcast", "constant")


def is_broadcast(x: Value) -> bool:
    """Whether the value is a broadcast, which has no buffer of its own if it can be helped."""
    return x.operation is not None and x.operation.name == "broadcast"


def inlined(graph: Graph, keep: Iterable[Value]) -> set[int]:
    """Ids of the elementwise nodes that run inside their reader; ``keep`` are the values that need a buffer in any case."""
    readers: dict[int, dict[int, Value]] = {}
    for node in graph.nodes:
        for operand in node.operands:
            readers.setdefault(id(operand), {})[id(node)] = node
    kept = {id(strip(v)) for v in keep} | {id(v) for v in keep}
    gradients = {id(node) for node in graph.nodes if _is_gradient(node, readers)}
    inside: set[int] = set()
    needs: dict[int, int] = {}  # registers the program of a node needs
    product: set[int] = set()  # programs over the result of a matrix product, one each: they keep its shape
    turned_products: set[int] = set()  # those over the transpose of one, in which random numbers would lie wrong
    random: set[int] = set()  # programs with random numbers, which count rows: they keep their shape
    members: dict[int, set[int]] = {}  # what a program is made of so far
    for node in graph.nodes:
        if (factors := summed_products(node)) is not None:
            base = strip(node.operands[0])
            if (
                id(base) not in kept
                and len(readers[id(base)]) == 1
                and not any(id(strip(f)) in inside for f in factors)
            ):
                inside.add(id(base))
        if not is_elementwise(node):
            continue
        members[id(node)] = {id(node)}
        needs[id(node)] = weight([node])
        if _is(node, "random_uniform"):
            random.add(id(node))
        several = {o: len(readers[id(o)]) for o in node.operands}
        for operand in sorted(several, key=lambda o: several[o]):  # last, what others may read who have joined by then
            base, how = access(operand)
            if how is not DENSE or id(base) in kept:
                continue
            together = operand is base and readers[id(base)].keys() <= members[id(node)]
            if id(base) not in gradients and not together and not _read_once(operand, base, readers):
                continue
            if is_product(base):
                fits = base.shape == node.shape and id(node) not in product
                fits = fits and not (is_turned(base) and id(node) in random)
                product |= {id(node)} if fits else set()
                turned_products |= {id(node)} if fits and is_turned(base) else set()
            else:
                fits = is_elementwise(base) and base.type.size == node.type.size and base.dtype != "uint8"
                fits = fits and (base.shape == node.shape or id(base) not in random | product)
                fits = fits and not (id(base) in product and id(node) in product)
                turned = any(id(x) in turned_products for x in (base, node))
                fits = fits and not (turned and any(id(x) in random for x in (base, node)))
                fits = fits and needs[id(node)] + needs[id(base)] <= MAX_REGISTERS
                for special in (random, product, turned_products):
                    special |= {id(node)} if fits and id(base) in special else set()
            if fits:
                inside.add(id(base))
                members[id(node)] |= members.get(id(base), {id(base)})
                needs[id(node)] += needs.get(id(base), 1)
    return inside


def scaled_bytes(x: Value) -> tuple[Value, float | None]:
    """The bytes that ``x`` is made from, and by what each is multiplied; ``x`` itself and None if it is not made so."""
    base, scale = x, 1.0
    if _is(x, "multiply"):
        first, second = (splat(strip(o)) for o in x.operands)
        known = first if first is not None else second
        if known is None:
            return x, None
        base, scale = strip(x.operands[first is not None]), float(known)
    if not _is(base, "cast") or base.operands[0].dtype != "uint8":
        return x, None
    return base.operands[0], scale


def summed_products(total: Value) -> tuple[Value, Value] | None:
    """The matrices whose products, element by element, are summed by columns, if it is such a sum."""
    if not _is(total, "reduce_sum") or total.dtype != "float32" or total.operands[0].type.rank != 2:
        return None
    x = total.operands[0]
    if tuple(total.attrs["axes"]) != (0,) or 1 in x.shape or not _is(x, "multiply"):
        return None
    first, second = (access(o) for o in x.operands)
    dense = first[1] is DENSE and second[1] is DENSE and first[0].shape == second[0].shape == x.shape
    return (first[0], second[0]) if dense and splat(first[0]) is None and splat(second[0]) is None else None


def is_product(x: Value) -> bool:
    """Whether the value is a matrix product, so that a program can run over it as it is made."""
    return _is(x, "matmul") and x.type.size > 0


def is_turned(product: Value | None) -> bool:
    """Whether it is the transpose of a product that the kernel makes: of one with the transpose of a large matrix, which then need
    not be turned, and of a narrow gradient, which lies like its weight."""
    if product is None:
        return False
    if product.attrs["transpose_b"]:
        b = product.operands[1].type
        return not is_narrow(b) and b.size > product.type.size
    return product.attrs["transpose_a"] and is_narrow(product.type)


def is_total(x: Value) -> bool:
    """Whether it is the sum of all numbers of a value, which the program that makes them can make too."""
    return _is(x, "reduce_sum") and x.type.size == 1 and x.operands[0].type.size > 1 and x.dtype == "float32"


def weight(nodes: Iterable[Value]) -> int:
    """Registers that a program of these nodes needs: for each of them, and for each thing they read."""
    made = {id(node): node for node in nodes}
    sums = [slices(node) for node in made.values() if is_product(node)]
    random = sum(_is(node, "random_uniform") for node in made.values())
    read = {access(o) for node in made.values() if not is_product(node) for o in node.operands}
    return len(made) + sum(2 * n - 2 for n in sums) + random + sum(id(base) not in made for base, _ in read)


def slices(product: Value) -> int:
    """Into how many sums, added in order, the chains of a product are cut: several where a layer is long and narrow, so that
    threads can share it. It depends on the layer alone: a row's result is the same in every batch."""
    if product.attrs["transpose_a"] or product.attrs["transpose_b"] or product.shape[1] > PANEL:
        return 1
    inner, least = product.operands[0].shape[1], NARROW[1]
    return 1 if inner < least else next((n for n in (8, 4) if inner >= least * n), 2)


def _is(x: Value, name: str) -> bool:
    return x.operation is not None and x.operation.name == name


def _is_gradient(x: Value, readers: dict[int, dict[int, Value]]) -> bool:
    """Whether it is a product that only updates of a weight read: all of them may run over it as it is made."""
    if not is_product(x) or not x.attrs["transpose_a"] or is_turned(x):
        return False
    mine = readers.get(id(x), {}).values()
    summed = any(is_total(r) for node in mine for r in readers.get(id(node), {}).values())
    return all(is_elementwise(node) and node.shape == x.shape for node in mine) and not summed


def _read_once(operand: Value, base: Value, readers: dict[int, dict[int, Value]]) -> bool:
    """Whether nobody but one node reads ``base``, directly or through the views that lead to ``operand``."""
    value = operand
    while True:
        if len(readers[id(value)]) != 1:
            return False
        if value is base:
            return True
        value = value.operands[0]


Instruction = tuple[str, list[tuple[str, int]]]  # its name, and what it reads: inputs, and what others make, by number


@dataclass
class RegisterProgram:
    """What `map` runs: inputs, then instructions, each writing one register. Its integers are described in kernels/map.h."""

    panels: int
    elements: int
    columns: int
    buffers: list[int] = field(default_factory=list)
    inputs: list[tuple[int, int, int, int]] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    results: list[tuple[tuple[str, int], str, int]] = field(
        default_factory=list
    )  # register, dtype, columns that are summed
    _places: list[int | None] = field(default_factory=list)

    def read(self, how: Access, dtype: str, buffer: int | None, bits: int = 0) -> tuple[str, int]:
        """An input; the same one is shared."""
        step = {DENSE.kind: self.elements, PRODUCT: self.elements, ROW: PANEL}.get(how.kind, 0)
        entry = (how.kind, DTYPE_NUMBERS[dtype], bits if how.kind == IMMEDIATE else how.parameter, step)
        for number, (known, place) in enumerate(zip(self.inputs, self._places, strict=True)):
            if known == entry and place == buffer:
                return "input", number
        self.inputs.append(entry)
        self._places.append(buffer)
        if buffer is not None:
            self.buffers.append(buffer)
        return "input", len(self.inputs) - 1

    def add(self, op: str, operands: list[tuple[str, int]]) -> tuple[str, int]:
        """An instruction."""
        self.instructions.append((op, operands))
        return "instruction", len(self.instructions) - 1

    def args(self) -> list[int]:
        """The integers of the kernel."""
        instructions, registers = self._paired()
        counts = [len(self.inputs), len(instructions), len(self.results)]
        flat = [self.panels, self.elements, self.columns, *counts, len(self.inputs) + len(instructions)]
        for entry in self.inputs:
            flat += entry
        for number, (op, operands) in enumerate(instructions):
            places = [registers[o] for o in operands]
            flat += [MAP_OPS[op], len(self.inputs) + number, *[*places, 0, 0, 0][:3]]
        for operand, dtype, columns in self.results:
            flat += [registers[operand], DTYPE_NUMBERS[dtype], columns]
        return flat

    def _paired(self) -> tuple[list[Instruction], dict[tuple[str, int], int]]:
        """The instructions, and the register of each thing that they read. Two steps of arithmetic become one instruction where the
        second alone reads what the first makes: the same numbers in fewer passes."""
        read = Counter(o for _, operands in self.instructions for o in operands)
        read.update(operand for operand, _, _ in self.results)
        within: dict[int, Instruction] = {}  # pairs by the number of the second
        firsts: set[int] = set()
        for number, (op, operands) in enumerate(self.instructions):
            for at, (kind, first) in reversed(list(enumerate(operands))):
                if number in within or kind != "instruction" or first in within or read[kind, first] > 1:
                    continue
                before, given = self.instructions[first]
                pair = f"{before.removesuffix('float32')}{'from_float32' if at and op == 'subtract_float32' else op}"
                if len(operands) == 2 and pair in MAP_OPS:
                    within[number] = pair, [given[0], given[-1], operands[1 - at]]
                    firsts.add(first)
        registers = {("input", n): n for n in range(len(self.inputs))}
        instructions: list[Instruction] = []
        for number, unpaired in enumerate(self.instructions):
            if number not in firsts:
                registers["instruction", number] = len(self.inputs) + len(instructions)
                instructions.append(within.get(number, unpaired))
        return instructions, registers

    def last_of_product(self, transposed: bool, turned: bool) -> tuple[str, list[int]] | None:
        """The kernel that does the same to a product while its sums are still in registers, and its further integers; None if
        there is none. There is one for what each step of training does: add a bias and cut at 0, the gradient of that, with dropout
        or without, and plain descent."""
        if len(self.results) > 1:
            return None
        ops = [op.replace("_float32", "") for op, _ in self.instructions]
        kinds = [entry[0] for entry in self.inputs]
        operands = [o for _, o in self.instructions]
        if not transposed and not turned and kinds == [PRODUCT, ROW] and ops in (["add"], ["add", "relu"]):
            return "matmul_bias", [int(len(ops) == 2)]
        if transposed and kinds == [PRODUCT, SCALAR.kind, DENSE.kind] and ops == ["multiply", "subtract"]:
            return ("matmul_update", []) if operands[1] == [("input", 2), ("instruction", 0)] else None
        if not transposed and ops[:2] == ["less", "select"] and ops[2:] in ([], ["multiply"]):
            at = {kind: ("input", n) for n, kind in enumerate(kinds) if kind in (DENSE.kind, PRODUCT)}
            known = {("input", n): entry[2] for n, entry in enumerate(self.inputs) if entry[0] == IMMEDIATE}
            zero = operands[0][0]
            masked = [[zero, at.get(DENSE.kind)], [("instruction", 0), at.get(PRODUCT), zero]]
            scaled = [[("instruction", 1), operands[2][1]]] if ops[2:] else []
            scale = known.get(operands[2][1], 0) if ops[2:] else ONE
            fits = operands == masked + scaled and known.get(zero) == 0
            return ("matmul_masked", [scale]) if fits and 0 < scale < _INFINITE else None  # else 0 times it is not 0
        return None


DTYPE_NUMBERS = {"bool": 0, "uint8": 1, "int32": 2, "uint32": 3, "float32": 4}


def instruction(node: Value) -> str | None:
    """The instruction of a node; None when the operand's lanes already are the result."""
    assert node.operation is not None
    name = node.operation.name
    if name in ("select", "random_uniform"):
        return name
    kind = _kind(node.operands[0].dtype)
    if name == "cast":
        target = _kind(node.dtype)
        if node.operands[0].dtype == "uint32" and target == "float32":
            raise Limitation("The native lowering cannot cast uint32 to float32.", hint="cast to int32 first")
        return None if kind == target else f"cast_{kind}_{target}"
    if node.operands[0].dtype == "uint32" and name not in ("add", "subtract", "multiply", "equal", "not_equal"):
        raise Limitation(
            f"The native lowering has no {name} for uint32.", hint='cast to int32, or use device="reference"'
        )
    op = f"{name}_{'int32' if kind == 'integer' or (kind == 'bool' and not name.startswith('logical')) else kind}"
    if op not in MAP_OPS:
        raise Limitation(
            f"The native lowering has no {name} for {node.operands[0].dtype}.",
            hint='cast to float32, or use device="reference"',
        )
    return op


def _kind(dtype: str) -> str:
    return "integer" if dtype in INTEGERS else dtype
