"""A model as one file of C99, without other libraries or memory from the heap.

The graph of a prediction of one row is walked: elementwise nodes that have one reader become lines of its loop, everything else
a loop or the call of a function of `pieces/functions.c`. These keep the order of every sum and the polynomials of nacre's own
kernels, so a file compiled with -DNACRE_STRICT, which makes each multiply-add one rounding, gives the bits of `Model.predict`.
"""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import nacre
from nacre.backends.native.fusion import SAME_ORDER, slices, strip
from nacre.errors import Limitation
from nacre.exchange.traced import ROWS, Traced, largest_difference, made_up, predicted, size_of, traced
from nacre.exchange.written import Written, without_features
from nacre.files import write_whole
from nacre.ir import Graph, Value, is_narrow
from nacre.models import Model
from nacre.models.forms import answers
from nacre.ops import TABLE
from nacre.passes.simplify import splat

Array = npt.NDArray[Any]

_FUNCTIONS = Path(__file__).parent / "pieces" / "functions.c"
_STACK = 1 << 18  # bytes of intermediate values that may lie on the stack
_TYPES = {"float32": "float", "int32": "int32_t", "uint32": "uint32_t", "uint8": "uint8_t", "bool": "uint8_t"}

# What a primitive is in C, by the kind of its first operand; T is the type of the result.
_FLOATS = {
    "neg": "-{0}", "abs": "fabsf({0})", "sign": "{0} != {0} ? {0} : (float)(({0} > 0) - ({0} < 0))", "floor": "floorf({0})",
    "exp": "nacre_exp({0})", "expm1": "nacre_expm1({0})", "log": "nacre_log({0})", "log1p": "nacre_log1p({0})",
    "sqrt": "sqrtf({0})", "sin": "nacre_sin({0})", "cos": "nacre_cos({0})", "tanh": "nacre_tanh({0})",
    "sigmoid": "nacre_sigmoid({0})", "erf": "nacre_erf({0})", "relu": "{0} > 0 || {0} != {0} ? {0} : 0.0f",
    "isfinite": "fabsf({0}) < INFINITY", "add": "{0} + {1}", "subtract": "{0} - {1}", "multiply": "{0} * {1}",
    "divide": "{0} / {1}", "power": "nacre_power({0}, {1})", "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
}  # fmt: skip
_WHOLE = {
    "neg": "({T})(0u - (uint32_t){0})", "abs": "{0} < 0 ? ({T})(0u - (uint32_t){0}) : {0}", "sign": "({T})(({0} > 0) - ({0} < 0))",
    "relu": "{0} > 0 ? {0} : 0", "add": "({T})((uint32_t){0} + (uint32_t){1})", "subtract": "({T})((uint32_t){0} - (uint32_t){1})",
    "multiply": "({T})((uint32_t){0} * (uint32_t){1})", "maximum": "{0} > {1} ? {0} : {1}", "minimum": "{0} < {1} ? {0} : {1}",
}  # fmt: skip
_UNSIGNED = {"abs": "{0}", "sign": "{0} != 0", "relu": "{0}"}
_ALL = {
    "equal": "{0} == {1}", "not_equal": "{0} != {1}", "less": "{0} < {1}", "less_equal": "{0} <= {1}",
    "logical_not": "!{0}", "logical_and": "{0} && {1}", "logical_or": "{0} || {1}", "select": "{0} ? {1} : {2}",
}  # fmt: skip

GAPS = {"random_uniform": "a prediction that draws random numbers has no words in C"}


def write(model: Model, path: Path) -> Written:
    """Write the file, and if there is a C compiler, run it beside the model. Raises `Limitation` for what C has no words for, and
    `ModelFileError` if it computes something else; then there is no file."""
    one = traced(model, "C")
    name = identifier(path.stem)
    text = source(name, one.graph, one.inputs, one.outputs, one.weights, _about(model, one, name, path.name))
    difference, notes = None, [f"void {_signature(name, one.inputs, one.outputs)};", *without_features(model)]
    compiler = shutil.which("cc")
    if compiler is None:
        notes.append("There is no C compiler (cc) here: the file was not compiled.")
    else:
        rows = made_up(model, one.graph, list(one.inputs.values()))
        found = _run(compiler, text, rows, one.outputs)
        difference = largest_difference(model, found, predicted(model, rows), "C")
    write_whole(path, [text.encode()])
    return Written(path, "c", len(text), 0 if difference is None else ROWS, difference, tuple(notes))


def _run(compiler: str, text: str, rows: Sequence[Array], outputs: Mapping[str, Value]) -> list[Array]:
    """What the program says of some rows."""
    flat = np.concatenate([np.asarray(array.reshape(len(array), -1), np.float64) for array in rows], axis=1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.c").write_text(text, encoding="utf-8")
        command = [compiler, "-std=c99", "-O1", "-DNACRE_MAIN", "-o", "model", "model.c", "-lm"]
        built = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if built.returncode:
            raise Limitation("The C compiler refuses the file.", {"cc": built.stderr[:500]}, "please report this")
        given = "\n".join(" ".join(f"{number:.9g}" for number in row) for row in flat)
        run = subprocess.run([Path(folder, "model")], input=given, capture_output=True, text=True, check=True)
    found = np.array(run.stdout.split(), np.float32).reshape(len(flat), -1)
    ends = np.cumsum([y.type.size for y in outputs.values()])[:-1]
    return [
        part.reshape(len(flat), *y.shape[1:])
        for part, y in zip(np.split(found, ends, axis=1), outputs.values(), strict=True)
    ]


# ------------------------------------------------------------------ text of others


def identifier(text: str) -> str:
    """A name that C takes, made of the letters, digits and underscores in a text.

    >>> identifier("my model-2"), identifier("2 rows"), identifier("*/ int"), identifier("é")
    ('my_model_2', 'model_2_rows', 'int', 'model')
    """
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    return name if name[:1].isalpha() else f"model_{name}".strip("_")


def literal(text: str) -> str:
    """Text between quotes, for C; it can end neither a string nor a comment.

    >>> print(literal('say "*/" é'))
    "say \\042\\052/\\042 \\303\\251"
    """
    safe = re.compile(rb"[A-Za-z0-9 _.,:;()=+<>&!#@|~^$/%\-\[\]{}']")
    return (
        '"' + "".join(chr(b) if safe.match(bytes([b])) else f"\\{b:03o}" for b in text.encode("utf-8", "replace")) + '"'
    )


def _number(number: Any, dtype: str) -> str:
    """A number as a constant, with all its bits.

    >>> _number(0.1, "float32"), _number(-2, "int32")
    ('0x1.99999ap-4f', '(-2)')
    """
    if dtype != "float32":
        whole = int(number)
        if dtype == "uint32":
            return f"{whole}u"
        return "INT32_MIN" if whole == -(2**31) else f"({whole})" if whole < 0 else str(whole)
    value = float(np.float32(number))
    if not math.isfinite(value):
        return "NAN" if math.isnan(value) else "INFINITY" if value > 0 else "(-INFINITY)"
    digits = re.sub(r"\.?0*p", "p", value.hex()) + "f"
    return f"({digits})" if digits.startswith("-") else digits


def _table(name: str, array: Array, dtype: str) -> str:
    """A constant array.

    >>> print(_table("w", np.float32([0.1, -2]), "float32"), end="")
    static const float w[2] = {
      0x1.99999ap-4f, -0x1.000000p+1f};
    """
    plain = dtype == "float32" and bool(np.isfinite(array).all())
    # Of the 13 digits of a float64, those of a float32 are the first 6: this is for many numbers, and they are to be made fast.
    numbers = [
        f"{n.hex().replace('0000000p', 'p')}f" if plain else _number(n, dtype) for n in array.ravel().tolist()
    ] or ["0"]
    lines = [", ".join(numbers[at : at + 8]) for at in range(0, len(numbers), 8)]
    return f"static const {_TYPES[dtype]} {name}[{len(numbers)}] = {{\n  " + ",\n  ".join(lines) + "};\n"


# ------------------------------------------------------------------ the file


def source(
    name: str,
    graph: Graph,
    inputs: Mapping[str, Value],
    outputs: Mapping[str, Value],
    weights: Mapping[str, Array],
    about: str = "",
) -> str:
    """The text of a file with a function that takes ``inputs``, gives ``outputs``, and knows ``weights``, by the names of the
    graph's inputs."""
    body = _Body(graph, inputs, outputs, weights)
    lines = body.lines()
    fixed = body.nbytes > _STACK
    arrays = [f"static {array}" if fixed else array for array in body.arrays]
    where = "in fixed places, so one call at a time" if fixed else "on the stack, so several threads may call at once"
    sizes = [f"#define {name.upper()}_{arg.upper()}_SIZE {v.type.size}" for arg, v in _arguments(inputs, outputs)]
    declared = f"void {_signature(name, inputs, outputs)}"
    indented = "".join(f"  {line}\n" for line in [*arrays, *lines])
    function = f"// Intermediate values take {body.nbytes:,} bytes, {where}.\n{declared} {{\n{indented}}}\n"
    head = "\n".join([about + _HEAD, *sizes, f"\n{declared};\n"])
    return "\n".join([head, _used(function), *body.tables, function, _main(name, inputs, outputs)])


_HEAD = """#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FAST_MATH__
#error "-ffast-math changes what sums and NaN are: leave it out"
#endif
#ifdef __cplusplus
#define NACRE_RESTRICT
#else
#define NACRE_RESTRICT restrict
#endif
#ifdef NACRE_STRICT
#define NACRE_MADD(a, b, c) fmaf(a, b, c)
#else
#define NACRE_MADD(a, b, c) ((a) * (b) + (c))
#endif
"""


def _used(text: str) -> str:
    """The functions that a text calls, and those that these call, in their order."""
    sections = re.split(r"(?m)^//// (\w+)\n", _FUNCTIONS.read_text(encoding="utf-8"))
    known = dict(zip(sections[1::2], sections[2::2], strict=True))
    needed: set[str] = set()
    pending = [text]
    while pending:
        found = {name for name in re.findall(r"\bnacre_(\w+)", pending.pop()) if name in known} - needed
        needed |= found
        pending += [known[name] for name in found]
    return "".join(part for name, part in known.items() if name in needed)


def _arguments(inputs: Mapping[str, Value], outputs: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Names of arguments: input and output, with numbers where there are several."""
    return [
        (word if len(group) == 1 else f"{word}{n}", value)
        for word, group in (("input", inputs), ("output", outputs))
        for n, value in enumerate(group.values())
    ]


def _signature(name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Value]) -> str:
    declared = [
        f"{'' if arg.startswith('output') else 'const '}{_TYPES[v.dtype]} *{arg}"
        for arg, v in _arguments(inputs, outputs)
    ]
    return f"{name}_predict({', '.join(declared)})"


def _main(name: str, inputs: Mapping[str, Value], outputs: Mapping[str, Value]) -> str:
    """A program that reads rows and prints what comes of them."""
    arguments = _arguments(inputs, outputs)
    total = sum(v.type.size for v in inputs.values())
    lines = [f"static {_TYPES[v.dtype]} {arg}[{max(v.type.size, 1)}];" for arg, v in arguments]
    lines += [f"static double row[{max(total, 1)}];", "for (;;) {", f"  for (int i = 0; i < {total}; ++i) {{"]
    lines += ['    if (scanf("%lf", row + i) == 1) continue;', "    if (feof(stdin) && i == 0) return 0;"]
    lines += [
        f'    fprintf(stderr, "A row is {total} numbers: one is missing, or is none.\\n");',
        "    return 1;",
        "  }",
    ]
    begin = 0
    for arg, v in arguments[: len(inputs)]:
        lines.append(f"  for (int i = 0; i < {v.type.size}; ++i) {arg}[i] = ({_TYPES[v.dtype]})row[{begin} + i];")
        begin += v.type.size
    lines.append(f"  {name}_predict({', '.join(arg for arg, _ in arguments)});")
    for arg, v in arguments[len(inputs) :]:
        lines.append(f'  for (int i = 0; i < {v.type.size}; ++i) printf("%.9g ", {arg}[i]);')
    lines += ['  printf("\\n");', "}"]
    body = "".join(f"  {line}\n" for line in lines)
    return f"#ifdef NACRE_MAIN\n#include <stdio.h>\n\nint main(void) {{\n{body}}}\n#endif\n"


def _about(model: Model, one: Traced, name: str, file: str) -> str:
    """The comment at the head, and the names of classes."""
    lines = [f"A network of {one.parameters:,} weights, written by nacre {nacre.__version__}.", ""]
    lines += [f"  void {_signature(name, one.inputs, one.outputs)};", ""]
    told = {answer.key: answer.classes for answer in answers(model)}
    arguments = _arguments(one.inputs, one.outputs)
    for (arg, value), known in zip(arguments, [*one.inputs, *one.outputs], strict=True):
        shape = f", {' x '.join(map(str, value.shape[1:]))} in row-major order" if value.rank > 2 else ""
        lines.append(f"{arg}: {size_of(value.shape)} numbers{shape}, {literal(known)}")
    lines += [
        "",
        "It takes one row. Compile with",
        "  cc -std=c99 -O3 -c FILE, and link with -lm",
        "  -DNACRE_MAIN makes a program that reads rows of numbers and prints what comes of them",
        "  -DNACRE_STRICT -ffp-contract=off, best with -mfma, gives the very bits that nacre gives",
    ]
    comment = "".join(f"// {line}".rstrip() + "\n" for line in [f"{literal(file)[1:-1]}", *lines]) + "\n"
    return comment + "".join(
        _classes(name, arg, told[known])
        for (arg, _), known in zip(arguments[len(one.inputs) :], one.outputs, strict=True)
    )


def _classes(name: str, arg: str, classes: Iterable[str] | None) -> str:
    if classes is None:
        return ""
    words = [literal(word) for word in classes]
    array = f"const char *const {name}_{arg}_classes[{len(words)}]"
    return f"extern {array};\n{array} = {{\n  " + ",\n  ".join(words) + "};\n\n"


# ------------------------------------------------------------------ the function


class _Body:
    """The lines of the function, with the arrays and tables that they need."""

    def __init__(
        self, graph: Graph, inputs: Mapping[str, Value], outputs: Mapping[str, Value], weights: Mapping[str, Array]
    ) -> None:
        self.graph, self.outputs = graph, outputs
        self.arguments = dict(_arguments(inputs, outputs))
        self.weights = {id(graph.input(name)): name for name in weights}
        self.numbers = weights
        self.place = {id(v): n for n, v in enumerate(graph.nodes)}
        self.names = {id(v): arg for arg, v in self.arguments.items() if arg.startswith("input")}
        self.results = {id(strip(v)): arg for arg, v in self.arguments.items() if arg.startswith("output")}
        self.arrays: list[str] = []
        self.tables: list[str] = []
        self.nbytes = 0
        self.inlined = self._inlined()
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """All of them."""
        for node in self.graph.nodes:
            assert node.operation is not None
            if id(node) in self.names or id(node) in self.inlined:
                continue
            name = node.operation.name
            if name in GAPS:
                raise Limitation(f"{name} is not there in C: {GAPS[name]}.")
            if name in RULES:
                RULES[name](self, node)
            elif TABLE[name].elementwise and name not in SAME_ORDER:
                self.loop(node, self.new(node))
        for arg, value in self.arguments.items():
            if arg.startswith("output") and self.names.get(id(strip(value))) != arg:
                self.loop(value, arg)
        return self._lines

    def _inlined(self) -> set[int]:
        """Elementwise nodes that have one reader, which is elementwise too and as large."""
        kept = set(self.results)
        readers: dict[int, dict[int, bool]] = {}
        for node in self.graph.nodes:
            if _is_view(node):
                continue
            for operand in node.operands:
                base, fits = operand, _is_elementwise(node)
                while _is_view(base):
                    fits = fits and base.type.size == base.operands[0].type.size
                    base = base.operands[0]
                known = readers.setdefault(id(base), {})
                known[id(node)] = known.get(id(node), True) and fits
        return {
            id(v)
            for v in self.graph.nodes
            if _is_elementwise(v) and id(v) not in kept and list(readers.get(id(v), {}).values()) == [True]
        }

    # -------------------------------------------------------------- arrays

    def new(self, value: Value) -> str:
        """The array that a value is put into: that of an output, or one of its own."""
        if id(value) in self.results:
            name = self.results[id(value)]
        else:
            name = f"v{self.place[id(value)]}"
            self.arrays.append(f"{_TYPES[value.dtype]} {name}[{max(value.type.size, 1)}];")
            self.nbytes += value.type.nbytes
        self.names[id(value)] = name
        return name

    def array(self, value: Value) -> str:
        """The array in which a value lies; it is made now if there is none yet."""
        base = strip(value)
        if id(base) in self.weights and id(base) not in self.names:
            self._table(base, f"w{len(self.tables)}", self.numbers[self.weights[id(base)]])
        elif id(base) not in self.names and _is(base, "constant") and splat(base) is None:
            self._table(base, f"w{len(self.tables)}", np.asarray(base.attrs["value"]))
        elif id(base) not in self.names:
            self.loop(base, self.new(base))
        return self.names[id(base)]

    def _table(self, value: Value, name: str, numbers: Array) -> None:
        told = f"// {literal(self.weights[id(value)])}\n" if id(value) in self.weights else ""
        self.tables.append(told + _table(name, numbers, value.dtype))
        self.names[id(value)] = name

    def rounded(self, value: Value) -> str:
        """An array with the numbers of a value rounded to bfloat16."""
        name, size = f"r{len(self.arrays)}", value.type.size
        source_ = self.array(value)
        self.arrays.append(f"float {name}[{max(size, 1)}];")
        self.nbytes += 4 * size
        self.line(f"for (int i = 0; i < {size}; ++i) {name}[i] = nacre_bfloat16({source_}[i]);")
        return name

    def line(self, text: str) -> None:
        """Add a line."""
        self._lines.append(text)

    # -------------------------------------------------------------- loops

    def loop(self, root: Value, name: str) -> None:
        """A loop that puts a value, with what is inlined into it, into an array, one element after the other."""
        nodes, pending = {id(root): root}, [root]
        while pending:
            node = pending.pop()
            for operand in node.operands if _is_elementwise(node) or _is_view(node) else ():
                base = operand
                while _is_view(base):
                    base = base.operands[0]
                if id(base) in self.inlined and id(base) not in nodes:
                    nodes[id(base)] = base
                    pending.append(base)
        ordered = sorted(nodes.values(), key=lambda v: self.place.get(id(v), -1))
        local: dict[int, str] = {}
        lines = []
        for node in ordered:
            text = self._expression(node, local) if _is_elementwise(node) else self._read(node, "i", local)
            if node is root:
                lines.append(f"  {name}[i] = {text};")
            else:
                local[id(node)] = f"t{self.place[id(node)]}"
                lines.append(f"  const {_TYPES[node.dtype]} {local[id(node)]} = {text};")
        self._lines += [f"for (int i = 0; i < {root.type.size}; ++i) {{", *lines, "}"]

    def _expression(self, node: Value, local: Mapping[int, str]) -> str:
        assert node.operation is not None
        name, operands = node.operation.name, [self._read(o, "i", local) for o in node.operands]
        if name == "cast":
            return _cast(operands[0], node.operands[0].dtype, node.dtype)
        kind = node.operands[0]
        unsigned = _UNSIGNED.get(name) if kind.dtype.startswith("u") else None
        form = _ALL.get(name) or unsigned or (_FLOATS if kind.type.is_float else _WHOLE)[name]
        return form.format(*operands, T=_TYPES[node.dtype])

    def _read(self, value: Value, index: str, local: Mapping[int, str]) -> str:
        """An element of a value, by its index."""
        while value.operation is not None:
            if id(value) in local:
                return local[id(value)]
            if _is(value, "broadcast"):
                index = _source_index(value, index)
            elif not _is(value, *SAME_ORDER):
                break
            value = value.operands[0]
        number = splat(value)
        if number is not None:
            return _number(number, value.dtype)
        if _is(value, "iota"):
            axis = value.attrs["axis"]
            after, count = math.prod(value.shape[axis + 1 :]), value.shape[axis]
            return f"({_TYPES[value.dtype]})({index} / {after} % {count})"
        return f"{self.array(value)}[{index}]"

    # -------------------------------------------------------------- what has a rule of its own

    def copy(self, value: Value, name: str, axes: Iterable[tuple[int, int, int]], start: int = 0, to: int = 0) -> None:
        """Loops that copy elements; ``axes`` are sizes, with the strides of the operand and the result."""
        loops, from_, at = [], [str(start)] * (start != 0), [str(to)] * (to != 0)
        for n, (size, step, stride) in enumerate(axes):
            loops.append(f"for (int i{n} = 0; i{n} < {size}; ++i{n})")
            from_.append(f"i{n} * {step}")
            at.append(f"i{n} * {stride}")
        read = f"{self.array(value)}[{' + '.join(from_) or '0'}]"
        self.line(f"{' '.join(loops)} {name}[{' + '.join(at) or '0'}] = {read};".lstrip())


def _is(value: Value, *names: str) -> bool:
    return value.operation is not None and value.operation.name in names


def _is_view(value: Value) -> bool:
    """Whether it is read from another value, element by element."""
    return _is(value, "broadcast", *SAME_ORDER)


def _is_elementwise(value: Value) -> bool:
    return value.operation is not None and TABLE[value.operation.name].elementwise and not _is_view(value)


def _strides(shape: Sequence[int]) -> list[int]:
    return [math.prod(shape[a + 1 :]) for a in range(len(shape))]


def _source_index(value: Value, index: str) -> str:
    """The index in the operand of a broadcast of an element of its result."""
    x, shape = value.operands[0], value.shape
    if x.type.size == value.type.size:
        return index
    terms = []
    for size, axis, step in zip(x.shape, value.attrs["axes"], _strides(x.shape), strict=True):
        after = math.prod(shape[axis + 1 :])
        if size != 1:
            found = f"{index} / {after}" if after != 1 else index
            before = math.prod(shape[:axis])
            found = f"{found} % {size}" if before != 1 else found
            terms.append(f"{found} * {step}" if step != 1 else found)
    return f"({' + '.join(terms)})" if terms else "0"


def _cast(x: str, source_: str, target: str) -> str:
    if target == "bool":
        return f"{x} != 0"
    if source_ == "float32" and target != "float32":
        return f"({_TYPES[target]})nacre_whole({x})"
    return f"({_TYPES[target]}){x}"


def _transpose(body: _Body, y: Value) -> None:
    steps = _strides(y.operands[0].shape)
    body.copy(
        y.operands[0],
        body.new(y),
        [(n, steps[a], o) for n, a, o in zip(y.shape, y.attrs["axes"], _strides(y.shape), strict=True)],
    )


def _slice(body: _Body, y: Value) -> None:
    steps = _strides(y.operands[0].shape)
    start = sum(a * s for a, s in zip(y.attrs["start"], steps, strict=True))
    axes = [(n, s * k, o) for n, s, k, o in zip(y.shape, steps, y.attrs["stride"], _strides(y.shape), strict=True)]
    body.copy(y.operands[0], body.new(y), axes, start=start)


def _pad(body: _Body, y: Value) -> None:
    x, steps, name = y.operands[0], _strides(y.shape), body.new(y)
    body.line(f"for (int i = 0; i < {y.type.size}; ++i) {name}[i] = 0;")
    to = sum(a * s for a, s in zip(y.attrs["low"], steps, strict=True))
    inner = zip(x.shape, _strides(x.shape), steps, y.attrs["interior"], strict=True)
    body.copy(x, name, [(n, i, s * (k + 1)) for n, i, s, k in inner], to=to)


def _concatenate(body: _Body, y: Value) -> None:
    to, steps, name, axis = 0, _strides(y.shape), body.new(y), y.attrs["axis"]
    for x in y.operands:
        body.copy(x, name, zip(x.shape, _strides(x.shape), steps, strict=True), to=to)
        to += x.shape[axis] * steps[axis]


def _reduction(body: _Body, y: Value) -> None:
    assert y.operation is not None
    x, axes = y.operands[0], [a for a in y.attrs["axes"] if y.operands[0].shape[a] != 1]
    shape, array = x.shape, body.array(x)
    if not axes:
        return body.copy(x, body.new(y), [(x.type.size, 1, 1)])
    if any(a not in axes and shape[a] != 1 for a in range(axes[0], axes[-1] + 1)):  # put side by side, at the end
        order = [a for a in range(x.rank) if a not in axes] + axes
        moved, steps = tuple(shape[a] for a in order), _strides(shape)
        array = f"m{body.place[id(y)]}"
        body.arrays.append(f"{_TYPES[x.dtype]} {array}[{max(x.type.size, 1)}];")
        body.nbytes += x.type.nbytes
        body.copy(x, array, [(n, steps[a], o) for n, a, o in zip(moved, order, _strides(moved), strict=True)])
        shape, axes = moved, list(range(x.rank - len(axes), x.rank))
    _reduced(body, y, y.operation.name[len("reduce_") :], array, shape, axes[0], axes[-1])


def _argmax(body: _Body, y: Value) -> None:
    axis = y.attrs["axis"]
    _reduced(body, y, "argmax", body.array(y.operands[0]), y.operands[0].shape, axis, axis)


def _reduced(body: _Body, y: Value, what: str, array: str, shape: Sequence[int], first: int, last: int) -> None:
    sizes = [math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])]
    kind = "" if y.operands[0].type.is_float else "whole_"
    body.line(f"nacre_{kind}{what}({array}, {body.new(y)}, {', '.join(map(str, sizes))});")


def _matmul(body: _Body, y: Value) -> None:
    (a, b), swapped = y.operands, y.attrs["precision"] == "bfloat16"
    m, n = y.shape
    k = a.shape[0 if y.attrs["transpose_a"] else 1]
    factors: list[str] = []
    for x, turned in ((a, y.attrs["transpose_a"]), (b, y.attrs["transpose_b"])):
        array = body.rounded(x) if swapped else body.array(x)
        if turned:
            turned_array = f"m{body.place[id(y)]}{'ab'[len(factors)]}"
            body.arrays.append(f"float {turned_array}[{max(x.type.size, 1)}];")
            body.nbytes += x.type.nbytes
            rows, columns = x.shape
            body.line(
                f"for (int i = 0; i < {columns}; ++i) for (int j = 0; j < {rows}; ++j) "
                f"{turned_array}[i * {rows} + j] = {array}[j * {columns} + i];"
            )
            array = turned_array
        factors.append(array)
    sizes, pieces = f"{m}, {k}, {n}, {int(swapped)}", slices(y)
    if pieces == 1:
        body.line(f"nacre_matmul({factors[0]}, {factors[1]}, {body.new(y)}, {sizes});")
    else:
        lanes = 16 if is_narrow(b.type) else 1
        body.line(f"nacre_matmul_narrow({factors[0]}, {factors[1]}, {body.new(y)}, {sizes}, {pieces}, {lanes});")


def _take(body: _Body, y: Value) -> None:
    table, indices = y.operands
    width, name = math.prod(table.shape[1:]), body.new(y)
    row = f"nacre_row({body.array(indices)}[i], {table.shape[0]})"
    body.line(
        f"for (int i = 0; i < {indices.type.size}; ++i) "
        f"memcpy({name} + i * {width}, {body.array(table)} + {row} * {width}, {width} * sizeof *{name});"
    )


def _scatter_add(body: _Body, y: Value) -> None:
    indices, updates = y.operands
    width, name = math.prod(y.shape[1:]), body.new(y)
    body.line(f"for (int i = 0; i < {y.type.size}; ++i) {name}[i] = 0;")
    row = f"nacre_row({body.array(indices)}[i], {y.shape[0]})"
    body.line(
        f"for (int i = 0; i < {indices.type.size}; ++i) for (int j = 0; j < {width}; ++j) "
        f"{name}[{row} * {width} + j] += {body.array(updates)}[i * {width} + j];"
    )


RULES: dict[str, Callable[[_Body, Value], None]] = {
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
READ = ("constant", "iota", "broadcast", *SAME_ORDER)  # what is read where it is needed
WORDS = {*_FLOATS, *_WHOLE, *_ALL, "cast"}

__all__ = ["GAPS", "READ", "RULES", "WORDS", "identifier", "literal", "source", "write"]
