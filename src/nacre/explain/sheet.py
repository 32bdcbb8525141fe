"""An explanation as a spreadsheet: the network on one row, with formulas that compute the step again.

A layer's sheet has a column for each unit of a dense layer, a row for each of its inputs; other layers have a row for each number.
Vectors that are looked up lie in a sheet of their own, and what is joined is only read where it stands.
Formulas name the cells of the layer before, and backward those of the layer behind. Text never becomes a formula.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation, guest
from nacre.explain.formulas import Cells, Judge, curve, judge
from nacre.explain.text import outcome
from nacre.layers import (
    ELU,
    Activation,
    BatchNormalization,
    Concatenate,
    Dense,
    Embedding,
    Flatten,
    Identity,
    InputLayer,
    LeakyReLU,
    Normalization,
    ReLU,
    Rescaling,
    Reshape,
    Softmax,
)

if TYPE_CHECKING:
    from nacre.explain.explanation import Explanation, LayerStep

Array = npt.NDArray[Any]
Vector = Callable[[int], str]  # the cell of each number, by which others may name it

_ROWS, _COLUMNS = 1_048_576, 16_384  # of a sheet
_FORMULAS = 2_000_000  # of a file that a spreadsheet still opens
_ACTIVATIONS = (Activation, ReLU, LeakyReLU, ELU, Softmax)
_AFFINE = (Rescaling, Normalization, BatchNormalization)
_COVERED = "Dense, activations, Rescaling, Normalization, BatchNormalization, Embedding, Concatenate"
_FIRST = 13  # row of the first weight in the sheet of a dense layer
_TOP = 6  # row of the first number in other sheets
_RATE = "step!$B$3"


def workbook(explanation: Explanation) -> bytes:
    """The file, about the first row. Raises `Limitation` for a network that has no formulas, or is too large for a spreadsheet."""
    openpyxl = guest("openpyxl", "Writing a spreadsheet", "sheet")
    explanation = explanation[0]
    _check(explanation, [step for step in explanation.layers if not _passes(step)])
    blocks = _blocks(explanation)
    book = _Book(openpyxl)  # from here on nothing is refused: a file once begun is to be ended
    book.write("step", _first_sheet(explanation, blocks))
    for block in blocks:
        for title, rows in block.sheets():
            book.write(title, rows)
    return book.bytes()


def _passes(step: LayerStep) -> bool:
    """Whether a layer hands on its numbers as they are, in the same order."""
    passes = isinstance(step.layer, InputLayer | Flatten | Reshape | Identity) or step.layer.by_chance
    return passes and np.array_equal(step.inputs[0].reshape(-1), step.output.reshape(-1))


def _check(explanation: Explanation, layers: Sequence[LayerStep]) -> None:
    """Demand layers that have formulas, and room for them."""
    html = "save it as .html"
    taken = [place for places in explanation.takes or () for place in places]
    if explanation.takes is None or len(set(taken)) < len(taken):
        raise Limitation(
            f"{explanation.model!r} is no chain of layers, each behind the other, as a sheet has it.", hint=html
        )
    for step in layers:
        known = isinstance(step.layer, (Dense, Embedding, Concatenate, *_ACTIVATIONS, *_AFFINE))
        vector = all(array.ndim == 2 for array in step.inputs)
        if not known or not (vector or isinstance(step.layer, Rescaling | Normalization)):
            what = "" if known else f"{_COVERED} and what changes nothing"
            raise Limitation(
                f"{step.kind} {step.name!r} has no formula in a spreadsheet.",
                {"input": step.inputs[0].shape[1:], "covered": what} if what else {"input": step.inputs[0].shape[1:]},
                html if not known else f"put Flatten() before it, or {html}",
            )
        if isinstance(step.layer, (Dense, *_ACTIVATIONS)):
            curve(step)
        arrays = [*step.inputs, step.output, *(weight.value for weight in step.weights.values())]
        arrays += [] if explanation.losses is None else [explanation.losses]
        if not all(np.isfinite(array).all() for array in arrays):
            raise Limitation("A spreadsheet has no NaN and no infinity, and this step has.", hint=html)
        terms = [
            step.layer.activity_regularizer,
            *(t for w in step.layer.weights for t in (w.regularizer, w.constraint)),
        ]
        if explanation.losses is not None and any(term is not None for term in terms):
            raise Limitation(f"Regularizers and constraints, as {step.name!r} has them, have no formula.", hint=html)
        rows, columns = _extent(step)
        if rows + _FIRST > _ROWS or columns + 3 > _COLUMNS:
            found = {
                "layer": f"{rows:,} inputs, {columns:,} units",
                "a sheet holds": f"{_ROWS:,} rows, {_COLUMNS:,} columns",
            }
            raise Limitation(f"{step.name!r} is too large for a spreadsheet.", found, html)
    count = sum(_count(step, explanation.losses is not None) for step in layers)
    if count > _FORMULAS:
        found = {"formulas": f"{count:,}", "limit": f"{_FORMULAS:,}"}
        raise Limitation(f"{explanation.model!r} is too large for a spreadsheet.", found, html)


def _extent(step: LayerStep) -> tuple[int, int]:
    """Rows and columns that numbers of a layer take."""
    if step.dense:
        return step.inputs[0].shape[1], step.output.shape[1]
    if isinstance(step.layer, Embedding):
        return max(step.output[0].size, step.layer.input_dim), max(14, step.layer.output_dim)
    return step.output[0].size, 14


def _count(step: LayerStep, backward: bool) -> int:
    weights = sum(weight.value.size for weight in step.weights.values())
    return int(step.inputs[0][0].size * 2 + step.output[0].size * 9 + (weights * 2 if backward else 0))


# ------------------------------------------------------------------ the file


class _Text(str):
    """Text out of data, or said by us: never a formula."""


class _Book:
    """A file that is written row by row."""

    def __init__(self, openpyxl: Any) -> None:
        self._cell, self._book = openpyxl.cell.WriteOnlyCell, openpyxl.Workbook(write_only=True)
        self._bold = openpyxl.styles.Font(bold=True)

    def write(self, title: str, rows: Iterator[list[Any]]) -> None:
        """A sheet. A string is a formula, `_Text` is text."""
        sheet = self._book.create_sheet(title)
        sheet.column_dimensions["A"].width = 34
        for row in rows:
            sheet.append([self._made(sheet, value) for value in row])

    def _made(self, sheet: Any, value: Any) -> Any:
        if isinstance(value, _Text):
            cell = self._cell(sheet, value="".join(c if c.isprintable() else "?" for c in value)[:1000])
            cell.data_type, cell.font = "s", self._bold
            return cell
        return f"={value}" if isinstance(value, str) else value

    def bytes(self) -> bytes:
        """The whole file, the same every time: what openpyxl notes of the time is left out."""
        file, whole = io.BytesIO(), io.BytesIO()
        self._book.save(file)
        with ZipFile(file) as made, ZipFile(whole, "w") as timeless:
            for name in made.namelist():
                part = made.read(name)
                if name == "docProps/core.xml":
                    part = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", part)
                timeless.writestr(ZipInfo(name), part, ZIP_DEFLATED)
        return whole.getvalue()


def _letters(column: int) -> str:
    """The name of a column, counted from 1.

    >>> _letters(1), _letters(27), _letters(16384)
    ('A', 'AA', 'XFD')
    """
    name = ""
    while column:
        column, digit = divmod(column - 1, 26)
        name = chr(ord("A") + digit) + name
    return name


def _down(title: str, column: str, first: int) -> Vector:
    return lambda i: f"'{title}'!${column}${first + i}"


def _across(title: str, row: int) -> Vector:
    return lambda i: f"'{title}'!${_letters(4 + i)}${row}"


def _numbers(array: Array) -> list[float]:
    """Numbers as a sheet holds them."""
    found: list[float] = array.reshape(-1).astype(np.float64).tolist()
    return found


# ------------------------------------------------------------------ the sheets


class _Block:
    """The sheets of a layer. Where its output stands, and the gradient by its input, others may ask before they are written;
    where its input stands, and the gradient by its output (or by its scores), it is told."""

    output: Vector
    scores: Vector
    input_error: Vector
    input: Vector
    error: Vector | None = None
    fused = False  # whether ``error`` is that of the scores
    names: Sequence[str] | None = None  # of what comes in, if these are known

    def __init__(self, title: str, step: LayerStep | None = None) -> None:
        self.title, self.step = title, step

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """Titles and rows."""
        raise NotImplementedError


class _Input(_Block):
    """The row itself; what has two axes, as a picture in one colour has, with both. Several inputs lie one below the other, and
    where numbers stand for columns of a table, it is said for which."""

    def __init__(self, explanation: Explanation) -> None:
        super().__init__("input")
        assert explanation.takes is not None
        begin = [step for step, before in zip(explanation.layers, explanation.takes, strict=True) if not before]
        inputs = [step.inputs[0][0] for step in begin]
        self.x = inputs[0] if len(inputs) == 1 else np.concatenate([x.reshape(-1) for x in inputs])
        self.given = None if explanation.given is None else explanation.given[0]
        width = self.x.shape[-1] if self.x.ndim == 2 else 1
        self.output = lambda i: f"input!${_letters(2 + i % width)}${3 + i // width}"

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """One sheet."""
        yield self.title, self._rows()

    def _rows(self) -> Iterator[list[Any]]:
        yield [_Text(f"What comes in: {' x '.join(map(str, self.x.shape))}. Change a number, and all others follow.")]
        if self.given is not None:
            yield [_Text(text) for text in ("stands for", "number", "in the table")]
            for one in self.given:
                yield [_Text(one.name), one.number, _Text(one.value or "")]
            return
        yield [_Text("row" if self.x.ndim == 2 else "number")]
        grid = np.array(_numbers(self.x)).reshape(self.x.shape if self.x.ndim == 2 else (-1, 1))
        for i, line in enumerate(grid.tolist()):
            yield [i, *line]


class _Embedding(_Block):
    """Two sheets: a vector for each term, and those of the terms of this row, number by number."""

    def __init__(self, title: str, step: LayerStep, terms: Sequence[str] | None) -> None:
        super().__init__(title, step)
        self.step: LayerStep = step
        weight = step.weights["embeddings"]
        self.table, self.trained = weight.value, weight.gradient is not None
        self.terms = terms if terms is not None and len(terms) == len(self.table) else None
        self.output = _down(title, "D", _TOP)
        self.place = f"terms {title.partition(' ')[0]}"

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """What is looked up, and where."""
        yield self.title, self._rows()
        yield self.place, self._terms()

    def _terms(self) -> Iterator[list[Any]]:
        count, width = self.table.shape
        yield [_Text(f"{self.step.name}: {count} terms, {width} numbers for each")]
        yield [_Text("term"), _Text("number of the term"), *range(width)]
        for k, vector in enumerate(self.table.astype(np.float64).tolist()):
            yield [_Text(self.terms[k]) if self.terms is not None else None, k, *vector]

    def _rows(self) -> Iterator[list[Any]]:
        count, width = self.table.shape
        size, error = self.step.output[0].size, self.error
        cells = f"'{self.place}'!$C$3:${_letters(2 + width)}${2 + count}"
        last = _TOP + size - 1
        yield [_Text(f"{self.step.name}: Embedding; output = the number at this place of the vector of the term")]
        yield [_Text("gradient = sum of the errors wherever the term is; new = output - learning rate x gradient")]
        yield from ([], [])
        heads = ["number", "number of the term", "place", "output", "error of output", "gradient", "new"]
        yield [_Text(head) for head in heads]
        for i in range(size):
            r = _TOP + i
            name = i if self.step.called is None else _Text(self.step.called[0][i])
            line = [name, self.input(i // width), i % width, f"INDEX({cells},B{r}+1,C{r}+1)"]
            if error is not None and self.trained:
                same = "*".join(f"(${c}${_TOP}:${c}${last}={c}{r})" for c in "BC")
                line += [error(i), f"SUMPRODUCT({same}*$E${_TOP}:$E${last})", f"D{r}-{_RATE}*F{r}"]
            yield line


class _Dense(_Block):
    """Three sheets: weights with both passes, gradients, new weights."""

    def __init__(self, title: str, step: LayerStep) -> None:
        super().__init__(title, step)
        self.step: LayerStep = step
        self.output, self.scores = _across(title, 8), _across(title, 5)
        self.input_error = _down(title, "C", _FIRST)
        self.inputs, self.units = step.weights["kernel"].value.shape
        self.last = _letters(3 + self.units)
        self.trained = step.weights["kernel"].gradient is not None

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """Both passes, and if it is trained, gradients and new weights."""
        yield self.title, self._passes()
        if self.trained:
            here, number = f"'{self.title}'!", self.title.partition(" ")[0]
            gradients = f"gradients {number}"  # the title of a layer begins with its number, so none is called so

            def gradient(column: str, row: int) -> str:
                return f"{here}{column}11" if row == 4 else f"{here}$B{row}*{here}{column}$11"

            def new(column: str, row: int) -> str:
                return f"{here}{column}{row}-{_RATE}*'{gradients}'!{column}{row}"

            yield gradients, self._grid("gradient = input x error of the unit; of the bias, the error", gradient)
            told = "new = old - learning rate x gradient (the rate is on the sheet 'step')"
            yield f"new weights {number}", self._grid(told, new)

    def _across(self, row: int) -> str:
        return f"$D${row}:${self.last}${row}"

    def _passes(self) -> Iterator[list[Any]]:
        step, letters = self.step, [_letters(4 + j) for j in range(self.units)]
        bend, error = curve(step), self.error
        bias = _numbers(step.weights["bias"].value) if "bias" in step.weights else [0.0] * self.units
        yield [_Text(f"{step.name}: Dense, {step.activation}, {self.inputs} inputs, {self.units} units")]
        yield [_Text("score = sum of input x weight, + bias; error of score = error of activation x slope")]
        yield [_Text("unit"), None, None, *range(self.units)]
        yield [_Text("bias"), None, None, *bias]
        down = f"{_FIRST}:{{0}}{_FIRST + self.inputs - 1}"
        yield [
            _Text("score"), None, None,
            *(f"SUMPRODUCT($B${_FIRST}:$B${_FIRST + self.inputs - 1},{j}{down.format(j)})+{j}4" for j in letters),
        ]  # fmt: skip
        scores = self._across(5)
        softmax = bend is None
        yield [_Text("largest score"), None, None, f"MAX({scores})"] if softmax else []
        yield [_Text("sum of e^(score - largest)"), None, None, f"SUMPRODUCT(EXP({scores}-D6))"] if softmax else []
        yield [
            _Text("activation"), None, None,
            *(f"EXP({j}5-$D$6)/$D$7" if bend is None else bend.value(f"{j}5") for j in letters),
        ]  # fmt: skip
        if error is None:
            yield from ([], [], [])
        elif self.fused:
            yield []
            yield []
            yield [_Text("error of score (see 'loss')"), None, None, *(error(j) for j in range(self.units))]
        else:
            yield [_Text("error of activation"), None, None, *(error(j) for j in range(self.units))]
            slopes = ["" if bend is None else bend.slope(f"{j}5", f"{j}8") for j in letters]
            yield [_Text("slope"), None, None, *slopes] if bend else []
            over = f"SUMPRODUCT({self._across(8)},{self._across(9)})"
            yield [
                _Text("error of score"), None, None,
                *(f"{j}9*{j}10" if bend else f"{j}8*({j}9-{over})" for j in letters),
            ]  # fmt: skip
        yield [_Text("number of input"), _Text("input"), _Text("error"), _Text("weights")]
        kernel = step.weights["kernel"].value
        for i, weights in enumerate(kernel.astype(np.float64)):
            row = _FIRST + i
            back = f"SUMPRODUCT($D{row}:${self.last}{row},{self._across(11)})" if error is not None else None
            yield [self._source(i), self.input(i), back, *weights.tolist()]

    def _source(self, i: int) -> Any:
        return i if self.names is None else _Text(self.names[i])

    def _grid(self, told: str, cell: Callable[[str, int], str]) -> Iterator[list[Any]]:
        letters = [_letters(4 + j) for j in range(self.units)]
        yield [_Text(f"{self.step.name}: {told}")]
        yield []
        yield [_Text("unit"), None, None, *range(self.units)]
        yield [_Text("bias"), None, None, *(cell(j, 4) for j in letters)] if "bias" in self.step.weights else []
        yield from ([] for _ in range(5, _FIRST - 1))
        yield [_Text("number of input")]
        for i in range(self.inputs):
            yield [self._source(i), None, None, *(cell(j, _FIRST + i) for j in letters)]


class _Curve(_Block):
    """An activation: a row for each number."""

    def __init__(self, title: str, step: LayerStep) -> None:
        super().__init__(title, step)
        self.step: LayerStep = step
        self.scores, self.output, self.input_error = (_down(title, c, _TOP) for c in "BCF")

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """One sheet."""
        yield self.title, self._rows()

    def _rows(self) -> Iterator[list[Any]]:
        step, size, bend, error = self.step, self.step.output[0].size, curve(self.step), self.error
        last = _TOP + size - 1
        yield [_Text(f"{step.name}: {step.kind}, {step.activation or 'activation'}")]
        scores = f"$B${_TOP}:$B${last}"
        yield [_Text("largest score"), f"MAX({scores})"] if bend is None else []
        yield [_Text("sum of e^(score - largest)"), f"SUMPRODUCT(EXP({scores}-B2))"] if bend is None else []
        yield []
        yield [_Text(t) for t in ("number", "score", "activation", "error of activation", "slope", "error of score")]
        for i in range(size):
            row = _TOP + i
            s, a = f"B{row}", f"C{row}"
            line = [i, self.input(i), f"EXP({s}-$B$2)/$B$3" if bend is None else bend.value(s)]
            if error is not None and self.fused:
                line += [None, None, error(i)]
            elif error is not None and bend is not None:
                line += [error(i), bend.slope(s, a), f"D{row}*E{row}"]
            elif error is not None:
                over = f"SUMPRODUCT($C${_TOP}:$C${last},$D${_TOP}:$D${last})"
                line += [error(i), None, f"{a}*(D{row}-{over})"]
            yield line


class _Affine(_Block):
    """(input - mean) x slope + shift: a row for each number."""

    def __init__(self, title: str, step: LayerStep) -> None:
        super().__init__(title, step)
        self.step: LayerStep = step
        self.output, self.input_error = _down(title, "H", _TOP), _down(title, "J", _TOP)
        self.scores = self.output

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """One sheet."""
        yield self.title, self._rows()

    def _constants(self) -> tuple[list[Array], Callable[[int], str], str]:
        """Mean, variance, factor and shift of each number, the formula of the slope in a row, and what to say of it."""
        layer, shape = self.step.layer, self.step.output.shape[1:]
        full = [np.broadcast_to(np.asarray(v, np.float64), shape) for v in (0.0, 1.0)]
        if isinstance(layer, Rescaling):
            given = [np.broadcast_to(np.asarray(v, np.float64), shape) for v in (layer.scale, layer.offset)]
            return [full[0], full[1], *given], lambda r: f"E{r}", "slope = scale"
        weights = {name: weight.value for name, weight in self.step.weights.items()}
        if isinstance(layer, Normalization):
            axes = layer._axes((None, *shape))
            sizes = [shape[a - 1] for a in axes]
            there = [weights["mean"], weights["variance"]] if layer.mean is None else [layer.mean, layer.variance]
            spread = [n if a + 1 in axes else 1 for a, n in enumerate(shape)]
            mean, variance = (
                np.broadcast_to(np.broadcast_to(np.asarray(v, np.float32), sizes).reshape(spread), shape) for v in there
            )
            if layer.invert:
                return [full[0], variance, full[1], mean], lambda r: f"MAX(SQRT(D{r}),1E-7)", "slope = deviation"
            return [mean, variance, full[1], full[0]], lambda r: f"1/MAX(SQRT(D{r}),1E-7)", "slope = 1 / deviation"
        assert isinstance(layer, BatchNormalization)
        found = [
            weights["moving_mean"],
            weights["moving_variance"],
            weights.get("gamma", full[1]),
            weights.get("beta", full[0]),
        ]
        return found, lambda r: f"E{r}/SQRT(D{r}+{layer.epsilon!r})", "slope = gamma / sqrt(variance + epsilon)"

    def _rows(self) -> Iterator[list[Any]]:
        step, error = self.step, self.error
        constants, slope, told = self._constants()
        lists = [_numbers(np.asarray(array)) for array in constants]
        own = [name for name in ("gamma", "beta") if name in step.weights and step.weights[name].gradient is not None]
        yield [_Text(f"{step.name}: {step.kind}, output = (input - mean) x slope + shift; {told}")]
        yield from ([], [], [])
        head = [
            "number",
            "input",
            "mean",
            "variance",
            "factor",
            "shift",
            "slope",
            "output",
            "error of output",
            "error of input",
        ]
        yield [_Text(t) for t in (*head, *(f"{part} {name}" for name in own for part in ("gradient of", "new")))]
        for i, (mean, variance, factor, shift) in enumerate(zip(*lists, strict=True)):
            r = _TOP + i
            line = [i, self.input(i), mean, variance, factor, shift, slope(r), f"(B{r}-C{r})*G{r}+F{r}"]
            if error is not None:
                line += [error(i), f"I{r}*G{r}"]
                for at, name in enumerate(own):
                    column = _letters(11 + 2 * at)
                    assert isinstance(step.layer, BatchNormalization)
                    normal = f"(B{r}-C{r})/SQRT(D{r}+{step.layer.epsilon!r})"
                    gradient = f"I{r}*{normal}" if name == "gamma" else f"I{r}"
                    line += [gradient, f"{'E' if name == 'gamma' else 'F'}{r}-{_RATE}*{column}{r}"]
            yield line


class _Loss(_Block):
    """The loss, and the gradient that goes back."""

    def __init__(self, explanation: Explanation, judged: Judge, last: _Block) -> None:
        super().__init__("loss")
        self.explanation, self.judged, self.last = explanation, judged, last
        self.input_error = _down("loss", "G", 9)

    def sheets(self) -> Iterator[tuple[str, Iterator[list[Any]]]]:
        """One sheet."""
        yield self.title, self._rows()

    def _rows(self) -> Iterator[list[Any]]:
        explanation, judged = self.explanation, self.judged
        assert explanation.targets is not None
        assert explanation.loss is not None
        targets = _numbers(explanation.targets[0])
        end = 8 + len(targets)
        taken = "score" if judged.from_scores else "output"
        given = self.last.scores if judged.from_scores else self.last.output
        yield [_Text(f"The loss: {explanation.loss.name}")]
        yield [_Text("loss = factor x sum of the parts"), f"B6*SUM(F9:F{end})"]
        yield [_Text(f"largest {taken}"), f"MAX(E9:E{end})"]
        yield [_Text(f"log of the sum of e^{taken}"), f"B3+LN(SUMPRODUCT(EXP(E9:E{end}-B3)))"]
        yield [_Text("sum of the targets"), f"SUM(D9:D{end})"]
        yield [_Text("factor of the loss"), explanation.share]
        yield []
        heads = ("output", "name", "target", "target that counts", taken, "part of the loss", f"gradient by {taken}")
        yield [_Text(text) for text in heads]
        for k, target in enumerate(targets):
            r = 9 + k
            probability = self.last.output(k) if judged.from_scores else None
            cells = Cells(f"E{r}", f"D{r}", probability, "$B$4", "$B$5")
            name = _Text(explanation.classes[k]) if explanation.classes is not None else None
            gradient = f"$B$6*({judged.error(cells)})"
            yield [k, name, target, judged.smoothed(f"C{r}"), given(k), judged.part(cells), gradient]


def _made(explanation: Explanation, number: int, step: LayerStep) -> _Block:
    """The sheets of a layer."""
    title = _title(number, step.name)
    if isinstance(step.layer, Embedding):
        return _Embedding(title, step, explanation.terms)
    return (_Dense if step.dense else _Affine if isinstance(step.layer, _AFFINE) else _Curve)(title, step)


def _shifted(vector: Vector, by: int) -> Vector:
    return lambda i: vector(by + i)


def _joined(parts: Sequence[tuple[Vector, int]]) -> Vector:
    """Vectors, each with its length, one after the other."""
    places = [(vector, i) for vector, size in parts for i in range(size)]
    return lambda i: places[i][0](places[i][1])


def _blocks(explanation: Explanation) -> list[_Block]:
    """All of them, each told where that stands which it takes, and what comes back to it."""
    steps, takes = explanation.layers, explanation.takes
    assert takes is not None
    blocks: list[_Block] = [_Input(explanation)]
    outputs: list[Vector] = []
    of_step: dict[int, _Block] = {}
    begin = 0
    for at, step in enumerate(steps):
        before = [(outputs[n], steps[n].output[0].size) for n in takes[at]]
        if not before:
            before = [(_shifted(blocks[0].output, begin), step.inputs[0][0].size)]
            begin += before[0][1]
        if isinstance(step.layer, Concatenate):
            outputs.append(_joined(before))
        elif _passes(step):
            outputs.append(before[0][0])
        else:
            block = of_step[at] = _made(explanation, len(blocks), step)
            block.input, block.names = before[0][0], explanation.sources(step)
            blocks.append(block)
            outputs.append(block.output)
    if explanation.losses is None:
        return blocks
    assert explanation.loss is not None
    if explanation.targets is None or not of_step:
        raise Limitation("The output is not a row of numbers, as a sheet has it.", hint="save it as .html")
    last = of_step[max(of_step)]
    assert last.step is not None
    judged = judge(explanation.loss, last.step)
    last.fused = judged.from_scores
    blocks.append(_Loss(explanation, judged, last))
    errors = {len(steps) - 1: blocks[-1].input_error}
    for at in reversed(range(len(steps))):
        if at not in errors:  # nothing comes back to numbers of terms
            continue
        error = errors[at]
        if at in of_step:
            of_step[at].error = error
            if isinstance(of_step[at], _Embedding):
                continue
            error = of_step[at].input_error
        begin = 0
        for n in takes[at]:
            errors[n] = _shifted(error, begin)
            begin += steps[n].output[0].size
    return blocks


def _title(number: int, name: str) -> str:
    kept = "".join(c if c.isalnum() or c in " _-." else "_" for c in name)
    return f"{number} {kept}"[:31].strip()


def _first_sheet(explanation: Explanation, blocks: Sequence[_Block]) -> Iterator[list[Any]]:
    layered = [block for block in blocks if not isinstance(block, _Loss)]
    what, told = "a prediction" if explanation.losses is None else "one step of training", outcome(explanation)
    yield [_Text(f"{explanation.model}: {what}{f'. {told}' if told else ''}")]
    yield [_Text("Every number is computed from the inputs and weights by formulas; the engine's are beside them.")]
    rate = explanation.learning_rate
    yield [_Text("learning rate"), rate] if rate is not None else []
    if rate is not None and not explanation.plain:
        yield [
            _Text(f"The new weights are those of plain gradient descent; {explanation.optimizer} takes other steps.")
        ]
    else:
        yield []
    yield [_Text("sheets"), *(_Text(block.title) for block in blocks)]
    yield (
        [_Text(f"The step is that of this row alone, not of all {explanation.batch}.")] if explanation.batch > 1 else []
    )
    yield [_Text("number"), _Text("by formulas"), _Text("by the engine"), _Text("apart")]
    row = 8
    if explanation.losses is not None:
        yield [_Text("loss"), "loss!$B$2", *_numbers(explanation.losses), f"ABS(B{row}-C{row})"]
        row += 1
    for k, value in enumerate(_numbers(explanation.outputs[0])):
        name = [] if explanation.classes is None else [_Text(explanation.classes[k])]
        apart = f"ABS(B{row + k}-C{row + k})"
        yield [_Text(f"output {k}"), layered[-1].output(k), value, apart, *name]


__all__ = ["workbook"]
