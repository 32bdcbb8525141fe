"""What each primitive is in ONNX, and a traced program as nodes of ONNX, whose number of rows is left open.

A graph knows how many rows it is for. So a program is traced for two numbers of rows: a size that differs is so many times the
rows, and everything else has to be the same. Operators: https://onnx.ai/onnx/operators, opset 17.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation
from nacre.ir import Graph, Value
from nacre.passes.simplify import splat

Array = npt.NDArray[Any]

_LAST = np.iinfo(np.int64).max  # where a slice ends that takes all there is


@dataclass(frozen=True)
class Rows:
    """A size that is so many times the number of rows."""

    times: int


Size = int | Rows
Sizes = tuple[Size, ...]


@dataclass(frozen=True)
class Node:
    """An operator of ONNX, the names of what it takes (its result is ``name``), and its attributes."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


class Writer:
    """The nodes of a program that was traced twice, for the two ``counts`` of rows.

    ``names`` are what the inputs of the graph are to be called, ``outputs`` what its outputs. After `write`, ``nodes`` and
    ``constants`` hold what the outputs need, and nothing else.
    """

    def __init__(
        self, graphs: Sequence[Graph], counts: Sequence[int], names: Mapping[str, str], outputs: Sequence[str]
    ) -> None:
        self.graph = graphs[0]
        self.outputs = outputs
        self.counts = counts
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self._known: dict[Any, str] = {}  # nodes and constants by what they are, so that none is there twice
        self._taken = {*names.values(), *outputs}
        self._numbered: Counter[str] = Counter()
        self._readers = Counter(id(o) for node in self.graph.nodes for o in node.operands)
        self._readers.update(id(v) for v in self.graph.outputs.values())
        first, second = graphs
        if _wiring(first) != _wiring(second):
            _refuse_rows("other operations for another number of rows")
        pairs = [*zip(first.inputs, second.inputs, strict=True), *zip(first.nodes, second.nodes, strict=True)]
        self.sizes: dict[int, Sizes] = {id(a): self._sizes(a, b) for a, b in pairs}
        self._twins = {id(a): b for a, b in pairs}
        self.names: dict[int, str] = {id(i): names[i.name] for i in first.inputs if i.name in names}

    def _sizes(self, a: Value, b: Value) -> Sizes:
        found: list[Size] = []
        for one, other in zip(a.shape, b.shape, strict=True):
            times = one // self.counts[0]
            if one != other and (times * self.counts[0] != one or times * self.counts[1] != other):
                _refuse_rows(f"an axis of {one} for {self.counts[0]} rows and of {other} for {self.counts[1]}")
            found.append(one if one == other else Rows(times))
        return tuple(found)

    def write(self) -> None:
        """Write all nodes. Raises `Limitation` for what ONNX cannot say."""
        for value in self.graph.nodes:
            twin = self._twins[id(value)]
            for key, attribute in value.attrs.items():
                if key not in ("shape", "limit") and repr(attribute) != repr(twin.attrs[key]):
                    _refuse_rows(f"{key} {attribute!r} of {_name(value)} for {self.counts[0]:,} rows")
            rule = OPERATORS[_name(value)]
            if isinstance(rule, Limitation):
                raise Limitation(*rule.args)  # the one in the table keeps no traceback
            self.names[id(value)] = rule(self, value)
        self._end()

    def _end(self) -> None:
        """Call the outputs by their names, and leave out what they do not need."""
        made = {node.name for node in self.nodes}
        called: dict[str, str] = {}
        for output, value in zip(self.outputs, self.graph.outputs.values(), strict=True):
            name = self.of(value)
            if name in made and name not in called:
                called[name] = output
            else:  # an input, a constant, or an output already
                self.nodes.append(Node(output, "Identity", (name,), {}))
        needed, kept = set(self.outputs), []
        for node in reversed(self.nodes):
            name = called.get(node.name, node.name)
            if name in needed:
                inputs = tuple(called.get(i, i) for i in node.inputs)
                needed.update(inputs)
                kept.append(Node(name, node.operator, inputs, node.attributes))
        self.nodes = kept[::-1]
        self.constants = {name: array for name, array in self.constants.items() if name in needed}

    # -------------------------------------------------------------- what rules write

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node; the same one, if it was there already. Returns its name."""
        key = (operator, inputs, repr(sorted(attributes.items())))
        if key not in self._known:
            self._known[key] = self._fresh(operator)
            self.nodes.append(Node(self._known[key], operator, inputs, attributes))
        return self._known[key]

    def constant(self, numbers: Any, dtype: Any) -> str:
        """Fixed numbers."""
        array = np.asarray(numbers, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self._fresh("constant")
            self.constants[self._known[key]] = array
        return self._known[key]

    def _fresh(self, kind: str) -> str:
        while True:
            self._numbered[kind] += 1
            name = f"{kind}_{self._numbered[kind]}"
            if name not in self._taken:
                return name

    def of(self, value: Value) -> str:
        """The name of a value of the graph."""
        return self.names[id(value)]

    def cast(self, name: str, dtype: str) -> str:
        """The same numbers in another dtype."""
        return self("Cast", name, to=dtype)

    # -------------------------------------------------------------- shapes

    def reshaped(self, value: Value, sizes: Sizes) -> str:
        """A value under another shape, from as far back as possible."""
        while _name(value) in ("reshape", "stop_gradient") and self.sizes[id(value)] != sizes:
            value = value.operands[0]
        found = self.sizes[id(value)]
        if found == sizes:
            return self.of(value)
        if _name(value) in _REDUCTIONS and sizes == self._kept(value):
            return _reduce(self, value, keepdims=1)
        same = [n < len(found) and size == found[n] for n, size in enumerate(sizes)]
        opened = [n for n, size in enumerate(sizes) if isinstance(size, Rows)]
        inferred = [n for n in opened if not same[n]]
        empty = 0 in sizes
        if len(inferred) > 1 or (opened and empty):
            raise Limitation(
                f"ONNX cannot reshape {_shown(found)} to {_shown(sizes)}, where sizes depend on the number of rows.",
                hint="reshape the axes of a sample only, and leave the first one",
            )
        shape = [(0 if same[n] else -1) if isinstance(size, Rows) else size for n, size in enumerate(sizes)]
        attributes = {"allowzero": 1} if empty else {}
        return self("Reshape", self.of(value), self.constant(shape, np.int64), **attributes)

    def _kept(self, value: Value) -> Sizes:
        axes, whole = value.attrs["axes"], self.sizes[id(value.operands[0])]
        return tuple(1 if a in axes else size for a, size in enumerate(whole))

    def compact(self, value: Value) -> tuple[str, Sizes]:
        """A value before it is repeated along axes, which ONNX's own broadcasting does."""
        number = splat(value)
        if number is not None:
            return self.constant(number, value.dtype), ()
        sizes = self.sizes[id(value)]
        if _name(value) == "iota":
            axis = value.attrs["axis"]
            count = sizes[axis]
            if isinstance(count, Rows):
                _refuse_rows("the numbers of the rows")
            after = len(sizes) - axis - 1
            return self.constant(np.arange(count).reshape([count] + [1] * after), value.dtype), (count, *[1] * after)
        if _name(value) != "broadcast":
            return self.of(value), sizes
        narrow: Sizes = tuple(size if a in value.attrs["axes"] else 1 for a, size in enumerate(sizes))
        while narrow and narrow[0] == 1:
            narrow = narrow[1:]
        return self.reshaped(value.operands[0], narrow), narrow

    def expanded(self, value: Value) -> str:
        """A value that `compact` has a smaller form of, as it is."""
        name, narrow = self.compact(value)
        sizes = self.sizes[id(value)]
        if narrow == sizes:
            return name
        pieces: list[str] = []
        run: list[int] = []
        for place, size in enumerate(sizes, len(narrow) - len(sizes)):
            if isinstance(size, Rows) and (place < 0 or narrow[place] == 1):
                pieces += [self.constant(run, np.int64)] if run else []
                pieces.append(self._rows(size.times))
                run = []
            else:
                run.append(1 if isinstance(size, Rows) else size)
        pieces += [self.constant(run, np.int64)] if run or not pieces else []
        shape = self("Concat", *pieces, axis=0) if len(pieces) > 1 else pieces[0]
        return self("Expand", name, shape)

    def _rows(self, times: int) -> str:
        """So many times the number of rows, as a vector of one."""
        data = next(i for i in self.graph.inputs if self.sizes[id(i)][:1] == (Rows(1),))
        rows = self("Shape", self.of(data), start=0, end=1)
        return rows if times == 1 else self("Mul", rows, self.constant([times], np.int64))

    def together(self, value: Value) -> list[str]:
        """The operands of an elementwise operation, no larger than they have to be."""
        forms = [self.compact(operand) for operand in value.operands]
        names, sizes = [name for name, _ in forms], self.sizes[id(value)]
        covered = max(len(narrow) for _, narrow in forms) == len(sizes) and all(
            size == 1 or any(len(narrow) >= place and narrow[-place] != 1 for _, narrow in forms)
            for place, size in enumerate(reversed(sizes), 1)
        )
        return names if covered else [self.of(value.operands[0]), *names[1:]]

    def bias(self, value: Value, beside: Value) -> str | None:
        """The name of ``value`` if it can be added within the product ``beside``."""
        name, narrow = self.compact(value)
        alone = _name(beside) == "matmul" and self._readers[id(beside)] == 1
        return name if alone and len(narrow) == 1 and narrow == self.sizes[id(beside)][1:] else None

    def limit(self, value: Value, axis: int) -> int:
        """Where a slice ends."""
        ends = [v.attrs["limit"][axis] for v in (value, self._twins[id(value)])]
        wholes = [v.operands[0].shape[axis] for v in (value, self._twins[id(value)])]
        if ends == wholes:
            return _LAST
        if ends[0] != ends[1]:
            _refuse_rows("a slice that ends at a number of rows")
        return int(ends[0])


def _name(value: Value) -> str:
    return "" if value.operation is None else value.operation.name


def _wiring(graph: Graph) -> list[tuple[str, list[int]]]:
    """The operations of a graph, and which values each one reads."""
    places = {id(value): place for place, value in enumerate((*graph.inputs, *graph.nodes))}
    return [(_name(node), [places[id(o)] for o in node.operands]) for node in graph.nodes]


def _shown(sizes: Sizes) -> str:
    return f"({', '.join('rows' if size == Rows(1) else str(size) for size in sizes)})"


def _refuse_rows(what: str) -> NoReturn:
    raise Limitation(
        "What the model computes depends on how many rows there are, which a file for any number of rows cannot say.",
        {"found": what},
        "compute along the axes of a sample: axis=-1, or axis=1",
    )


# ------------------------------------------------------------------ rules: a value to the name of its node


Rule = Callable[[Writer, Value], str]


def _elementwise(operator: str) -> Rule:
    return lambda w, value: w(operator, *w.together(value))


# Types for which onnxruntime has no such operator, and those that it is computed in then.
_WIDER = {"bool": "int32", "uint8": "int32", "uint32": "int64"}
_NARROWER = {"float64": "float32"}
_INSTEAD = {
    "ArgMax": _WIDER, "Atanh": _NARROWER, "Erf": _NARROWER, "Neg": _WIDER, "ReduceMax": _WIDER, "ReduceMin": _WIDER,
    "ReduceSum": _WIDER, "Relu": _WIDER,
}  # fmt: skip


def _within(w: Writer, operator: str, x: str, dtype: str, *more: str, **attributes: Any) -> str:
    """An operator of one value, the result in the type of that."""
    instead = _INSTEAD[operator].get(dtype)
    if instead is None:
        return w(operator, x, *more, **attributes)
    return w.cast(w(operator, w.cast(x, instead), *more, **attributes), dtype)


def _unary(operator: str) -> Rule:
    return lambda w, value: _within(w, operator, w.of(value.operands[0]), value.dtype)


def _same(w: Writer, value: Value) -> str:
    return w.of(value.operands[0])


def _expm1(w: Writer, value: Value) -> str:
    # e^x - 1 = tanh(x / 2) (e^x + 1) loses no digits near 0.
    (x,) = w.together(value)
    near = w("Tanh", w("Mul", x, w.constant(0.5, value.dtype)))
    return w("Mul", near, w("Add", w("Exp", x), w.constant(1, value.dtype)))


def _log1p(w: Writer, value: Value) -> str:
    # log(1 + x) = 2 atanh(x / (2 + x)) loses no digits near 0; elsewhere the logarithm loses none.
    (x,) = w.together(value)
    one, two = w.constant(1, value.dtype), w.constant(2, value.dtype)
    near = w("Mul", two, _within(w, "Atanh", w("Div", x, w("Add", x, two)), value.dtype))
    small = w("Less", w("Abs", x), w.constant(0.5, value.dtype))
    return w("Where", small, near, w("Log", w("Add", x, one)))


def _isfinite(w: Writer, value: Value) -> str:
    (x,) = w.together(value)
    return w("Not", w("Or", w("IsNaN", x), w("IsInf", x)))


def _not_equal(w: Writer, value: Value) -> str:
    return w("Not", w("Equal", *w.together(value)))


def _cast(w: Writer, value: Value) -> str:
    return w.cast(w.of(value.operands[0]), value.dtype)


def _add(w: Writer, value: Value) -> str:
    for product, other in (value.operands, value.operands[::-1]):
        bias = w.bias(other, product)
        if bias is not None:
            return _gemm(w, product, bias)
    return w("Add", *w.together(value))


def _matmul(w: Writer, value: Value) -> str:
    # bfloat16 is how fast a product is made, not what it means: in files it is made in float32.
    if value.attrs["transpose_a"] or value.attrs["transpose_b"]:
        return _gemm(w, value)
    return w("MatMul", *map(w.of, value.operands))


def _gemm(w: Writer, product: Value, *bias: str) -> str:
    turned = {f"trans{side.upper()}": 1 for side in "ab" if product.attrs[f"transpose_{side}"]}
    return w("Gemm", *map(w.of, product.operands), *bias, **turned)


def _behind(value: Value, axis: int) -> Value | None:
    """What was reduced over an axis, if ``value`` is that, repeated along it."""
    if _name(value) != "broadcast" or list(value.attrs["axes"]) != [a for a in range(value.rank) if a != axis]:
        return None
    return _peeled(value.operands[0])


def _peeled(value: Value) -> Value:
    while _name(value) in ("reshape", "stop_gradient"):
        value = value.operands[0]
    return value


def _shifted(value: Value, axis: int) -> Value | None:
    """The scores, if ``value`` is these less their largest along an axis."""
    if _name(value) != "subtract":
        return None
    scores, largest = value.operands[0], _behind(value.operands[1], axis)
    fits = largest is not None and _name(largest) == "reduce_max" and largest.attrs["axes"] == (axis,)
    return scores if fits and largest is not None and largest.operands[0] is scores else None


def _divide(w: Writer, value: Value) -> str:
    powers = value.operands[0]
    for axis in range(value.rank) if _name(powers) == "exp" else ():
        scores, total = _shifted(powers.operands[0], axis), _behind(value.operands[1], axis)
        if scores is not None and total is not None and _is_sum(total, powers, axis):
            return w("Softmax", w.of(scores), axis=axis)
    return w("Div", *w.together(value))


def _subtract(w: Writer, value: Value) -> str:
    shifted = value.operands[0]
    for axis in range(value.rank):
        scores, log = _shifted(shifted, axis), _behind(value.operands[1], axis)
        if scores is not None and log is not None and _name(log) == "log":
            total = _peeled(log.operands[0])
            powers = total.operands[0] if total.operands else total
            if _name(powers) == "exp" and powers.operands[0] is shifted and _is_sum(total, powers, axis):
                return w("LogSoftmax", w.of(scores), axis=axis)
    return w("Sub", *w.together(value))


def _is_sum(total: Value, powers: Value, axis: int) -> bool:
    return _name(total) == "reduce_sum" and total.attrs["axes"] == (axis,) and total.operands[0] is powers


def _expanded(w: Writer, value: Value) -> str:
    return w.expanded(value)


def _constant(w: Writer, value: Value) -> str:
    if splat(value) is not None:
        return w.expanded(value)
    if any(isinstance(size, Rows) for size in w.sizes[id(value)]):
        _refuse_rows("fixed numbers for each row")
    return w.constant(value.numpy(), value.dtype)


def _reshape(w: Writer, value: Value) -> str:
    return w.reshaped(value.operands[0], w.sizes[id(value)])


def _transpose(w: Writer, value: Value) -> str:
    return w("Transpose", w.of(value.operands[0]), perm=list(value.attrs["axes"]))


def _slice(w: Writer, value: Value) -> str:
    start, stride = value.attrs["start"], value.attrs["stride"]
    ends = [w.limit(value, axis) for axis in range(value.rank)]
    axes = [a for a in range(value.rank) if (start[a], ends[a], stride[a]) != (0, _LAST, 1)]
    if not axes:
        return _same(w, value)
    parts = ([row[a] for a in axes] for row in (start, ends, range(value.rank), stride))
    return w("Slice", w.of(value.operands[0]), *(w.constant(part, np.int64) for part in parts))


def _pad(w: Writer, value: Value) -> str:
    if any(value.attrs["interior"]):
        raise Limitation(
            "ONNX has no zeros between elements, which are the gradient of a slice with a step.",
            hint="export what predicts, and no gradient",
        )
    amounts = w.constant([*value.attrs["low"], *value.attrs["high"]], np.int64)
    return w("Pad", w.of(value.operands[0]), amounts)


def _concatenate(w: Writer, value: Value) -> str:
    return w("Concat", *map(w.of, value.operands), axis=value.attrs["axis"])


def _take(w: Writer, value: Value) -> str:
    table, indices = value.operands
    last = w.constant(table.shape[0] - 1, np.int32)
    kept = w("Max", w("Min", w.of(indices), last), w.constant(0, np.int32))  # as here, the nearest row is meant
    return w("Gather", w.of(table), kept, axis=0)


_REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


def _reduce(w: Writer, value: Value, keepdims: int = 0) -> str:
    x, axes = w.of(value.operands[0]), list(value.attrs["axes"])
    if not axes:
        return x
    if _name(value) == "reduce_sum":
        return _within(w, "ReduceSum", x, value.dtype, w.constant(axes, np.int64), keepdims=keepdims)
    return _within(w, _REDUCTIONS[_name(value)], x, value.dtype, axes=axes, keepdims=keepdims)


def _argmax(w: Writer, value: Value) -> str:
    x = value.operands[0]
    wide = _INSTEAD["ArgMax"].get(x.dtype)
    numbers = w.of(x) if wide is None else w.cast(w.of(x), wide)
    return w.cast(w("ArgMax", numbers, axis=value.attrs["axis"], keepdims=0), "int32")


def _select(w: Writer, value: Value) -> str:
    condition, a, b = w.together(value)
    if value.dtype != "bool":
        return w("Where", condition, a, b)
    return w("Or", w("And", condition, a), w("And", w("Not", condition), b))


OPERATORS: dict[str, Rule | Limitation] = {
    "abs": _elementwise("Abs"),
    "add": _add,
    "argmax": _argmax,
    "broadcast": _expanded,
    "cast": _cast,
    "concatenate": _concatenate,
    "constant": _constant,
    "cos": _elementwise("Cos"),
    "divide": _divide,
    "equal": _elementwise("Equal"),
    "erf": _unary("Erf"),
    "exp": _elementwise("Exp"),
    "expm1": _expm1,
    "floor": _elementwise("Floor"),
    "iota": _expanded,
    "isfinite": _isfinite,
    "less": _elementwise("Less"),
    "less_equal": _elementwise("LessOrEqual"),
    "log": _elementwise("Log"),
    "log1p": _log1p,
    "logical_and": _elementwise("And"),
    "logical_not": _elementwise("Not"),
    "logical_or": _elementwise("Or"),
    "matmul": _matmul,
    "maximum": _elementwise("Max"),
    "minimum": _elementwise("Min"),
    "multiply": _elementwise("Mul"),
    "neg": _unary("Neg"),
    "not_equal": _not_equal,
    "pad": _pad,
    "power": _elementwise("Pow"),
    "random_uniform": Limitation(
        "The model draws random numbers when it predicts, and no other program draws the same.",
        hint="a layer is told training=True: leave that out",
    ),
    "reduce_max": _reduce,
    "reduce_min": _reduce,
    "reduce_sum": _reduce,
    "relu": _unary("Relu"),
    "reshape": _reshape,
    "scatter_add": Limitation(
        "ONNX adds into a table in no order that is told, and what predicts does not.",
        hint="ops.one_hot and ops.matmul count as well",
    ),
    "select": _select,
    "sigmoid": _elementwise("Sigmoid"),
    "sign": _elementwise("Sign"),
    "sin": _elementwise("Sin"),
    "slice": _slice,
    "sqrt": _elementwise("Sqrt"),
    "stop_gradient": _same,
    "subtract": _subtract,
    "take": _take,
    "tanh": _elementwise("Tanh"),
    "transpose": _transpose,
}

__all__ = ["OPERATORS", "Node", "Rows", "Sizes", "Writer"]
