"""Is the data what it says? Arrays of any origin become checked columns of four plain dtypes; uint8 stays uint8."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, DTypeError, ShapeError, UsageError

Array = npt.NDArray[Any]

DTYPES = ("uint8", "int32", "float32")  # what a column holds; bool is stored as uint8
_LARGE = 16 << 20  # bytes
_BLOCK = 1 << 18  # elements looked at in one go: 1 MiB of float32 stays in the cache between convert and check
_SAMPLED = 1 << 22  # elements of a column that a fingerprint looks at
_MAPPED = 1 << 26  # bytes; a mapped file that is larger is not converted as a whole
_INT32 = np.iinfo(np.int32)
_READY = frozenset(np.dtype(name) for name in DTYPES)  # in the byte order of the machine


@dataclass(frozen=True)
class Column:
    """A named array (n, ...) of numbers, which the runtime reads as ``dtype``, one of `DTYPES`.

    It is ``ready`` when the runtime can read it as it is: C-contiguous, aligned, native, and of that dtype. Only a large mapped
    file may not be; then `take` makes some of its rows ready.

    >>> Column("x", numeric("x", [[1.5, 2.0]])).dtype
    'float32'
    """

    name: str
    array: Array

    def __post_init__(self) -> None:
        assert self.ready or isinstance(self.array, np.memmap), (self.name, self.array.dtype)

    @property
    def dtype(self) -> str:
        """What the runtime reads."""
        kind = self.array.dtype.kind
        return "uint8" if kind == "b" or self.array.dtype == np.uint8 else "int32" if kind in "iu" else "float32"

    @property
    def ready(self) -> bool:
        """Whether the runtime can read the array as it is."""
        return self.array.dtype == self.dtype and self.array.flags.c_contiguous and self.array.flags.aligned

    def take(self, rows: npt.NDArray[np.int64]) -> Array:
        """Some rows, ready.

        >>> Column("x", numeric("x", [1, 2, 3])).take(np.array([2, 0]))
        array([3, 1], dtype=int32)
        """
        return _plain(self.array[rows], self.dtype)


class Dataset:
    """Inputs x (n, ...) and, where there are any, targets y (n, ...) and weights of the rows (n,), checked once by `numeric`.

    Each of the three is an array, or where there are several, a dictionary of arrays: ``inputs``, ``targets`` and ``weights`` are
    their columns, a weight for each target. One array of weights is for all targets; a target that a dictionary leaves out gets
    ones.

    ``name_x`` and ``name_y`` are what errors call the two. ``allow_empty`` lets n be 0, which only prediction can use.
    Raises `DataError` when they differ in length, and whatever `numeric` raises.

    >>> Dataset([[0, 255], [3, 4], [5, 6]], [0, 1, 1])
    Dataset(x=int32[3,2], y=int32[3])
    >>> Dataset({"age": [30, 41], "income": [1.5, 2.0]}, [0, 1])
    Dataset(x['age']=int32[2], x['income']=float32[2], y=int32[2])
    """

    def __init__(
        self,
        x: object,
        y: object = None,
        sample_weight: object = None,
        *,
        name_x: str = "x",
        name_y: str = "y",
        allow_empty: bool = False,
    ) -> None:
        self.inputs = _columns(name_x, x, allow_empty)
        self.targets = () if y is None else _columns(name_y, y, allow_empty)
        self.weights: tuple[Column, ...] = ()
        first, *others = self.columns
        for number, column in enumerate(others, 1):
            if len(column.array) != len(self):
                raise DataError(
                    f"{first.name} has {len(self):,} rows, but {column.name} has {len(column.array):,}.",
                    {first.name: described(first.array), column.name: described(column.array)},
                    "give all inputs for each row" if number < len(self.inputs) else "give one target to each row",
                )
        if sample_weight is not None:
            if not self.targets:
                raise UsageError("Weights of rows were given, but no targets.", hint="pass y")
            given = sample_weight if isinstance(sample_weight, Mapping) else {}
            one = None if isinstance(sample_weight, Mapping) else self._weighted("sample_weight", sample_weight)
            keys = list(y) if isinstance(y, Mapping) else [None]
            self.weights = tuple(one or self._weighted(f"sample_weight[{key!r}]", given.get(key)) for key in keys)

    def _weighted(self, name: str, given: object) -> Column:
        """One weight for each row."""
        weight = np.ones(len(self), np.float32) if given is None else numeric(name, given, allow_empty=not len(self))
        if weight.size != len(self) or len(weight) != len(self):
            raise ShapeError(
                f"{name} should hold one number for each of {len(self):,} rows.", {name: described(weight)}
            )
        return Column(name, _plain(weight.reshape(-1), np.float32))

    def weighted_by_class(self, class_weight: Mapping[Any, float]) -> Dataset:
        """The same data, each row with the weight of its class, times the weight it had; 1 for a class that is not named.

        Targets are class numbers, or one-hot. Raises `UsageError` if there are several targets, or for classes or weights that are
        no numbers.

        >>> Dataset([5.0, 6.0, 7.0], [0, 1, 1]).weighted_by_class({1: 2.5}).weight
        array([1. , 2.5, 2.5], dtype=float32)
        """
        if len(self.targets) > 1:
            raise UsageError(
                "class_weight is for a model with one output.", hint="pass sample_weight, a dictionary by output"
            )
        if not self.targets:
            raise UsageError("Weights of classes need targets.", hint="pass y")
        y = self.targets[0].array
        rows = y.reshape(len(y), -1)
        labels = rows[:, 0] if rows.shape[1] == 1 else rows.argmax(1)
        _check_whole(labels)
        weights = np.ones(len(y), np.float32)
        for label, weight in class_weight.items():
            if isinstance(label, bool) or not isinstance(label, int | np.integer) or not _is_amount(weight):
                raise UsageError(
                    f"class_weight says {label!r}: {weight!r}.",
                    hint="a dictionary from class numbers to weights from 0 on",
                )
            weights[labels == label] = weight
        if self.weight is not None:
            weights *= self.weight
        return Dataset.of(self.inputs, self.targets, (Column("class_weight", weights),))

    @property
    def weight(self) -> Array | None:
        """The weights of the rows (n,), the first where there are several, or None."""
        return self.weights[0].array if self.weights else None

    @property
    def x(self) -> Array:
        """The inputs (n, ...), the first where there are several."""
        return self.inputs[0].array

    @property
    def y(self) -> Array | None:
        """The targets (n, ...), the first where there are several, or None."""
        return self.targets[0].array if self.targets else None

    @property
    def first(self) -> Dataset:
        """Rows that tell what all are like."""
        return self

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns there are: inputs, then targets, then weights."""
        return (*self.inputs, *self.targets, *self.weights)

    def __len__(self) -> int:
        return len(self.inputs[0].array)

    def __repr__(self) -> str:
        return f"Dataset({', '.join(f'{c.name}={described(c.array)}' for c in self.columns)})"

    def fingerprint(self) -> str:
        """Types, and a checksum that tells this data from other data. Of large data only some rows, from all over, are read.

        >>> Dataset([1.0, 2.0]).fingerprint() == Dataset([1.0, 2.5]).fingerprint()
        False
        """
        crc = 0
        for array in (column.array for column in self.columns):
            count = min(len(array), max(1, _SAMPLED // max(1, math.prod(array.shape[1:]))))
            chosen = np.linspace(0, len(array) - 1, count).astype(np.int64)
            crc = zlib.crc32(array[chosen].tobytes(), crc)
        return f"{', '.join(described(column.array) for column in self.columns)}, checksum {crc:08x}"

    def rows(self, start: int, stop: int) -> Dataset:
        """Rows ``start`` to ``stop`` (exclusive), as a view. Raises `UsageError` when they are not all there.

        >>> Dataset([1, 2, 3, 4]).rows(1, 3).x
        array([2, 3], dtype=int32)
        """
        if not 0 <= start <= stop <= len(self):
            raise UsageError(f"Rows {start} to {stop} were asked for, but there are {len(self):,}.")
        parts = (self.inputs, self.targets, self.weights)
        return Dataset.of(*(tuple([replace(c, array=c.array[start:stop]) for c in part]) for part in parts))

    def split(self, fraction: float) -> tuple[Dataset, Dataset]:
        """Training part and validation part: the LAST ``fraction`` of the rows, before any shuffling, as Keras does.

        Raises `UsageError` for a fraction outside (0, 1), and `DataError` when a part would be empty.

        >>> train, validation = Dataset([1, 2, 3, 4, 5]).split(0.3)
        >>> len(train), len(validation)
        (3, 2)
        """
        if not 0 < fraction < 1:
            raise UsageError(f"validation_split is a fraction between 0 and 1, got {fraction}.")
        at = math.floor(len(self) * (1 - fraction))
        if at in (0, len(self)):
            empty = "validation" if at else "training"
            raise DataError(
                f"validation_split={fraction} of {len(self):,} rows leaves no rows for {empty}.",
                hint="use another fraction, or pass validation_data",
            )
        return self.rows(0, at), self.rows(at, len(self))

    def check_labels(self, classes: int, ignored: int | None = None, target: int = 0) -> Dataset:
        """The same data, with a target known to hold whole numbers in 0..classes-1, as uint8 or int32 of shape (n,) or (n, 1).

        ``ignored`` is a label that is no class, and is let through.

        Raises `UsageError` when there is no y, `ShapeError` when a row has several labels, and `DataError` for a label
        that is out of range or not whole.

        >>> Dataset([1.0, 2.0], [0.0, 2.0]).check_labels(3).y
        array([0, 2], dtype=int32)
        """
        if not self.targets:
            raise UsageError("Labels are needed, but there is no y.", hint="pass y")
        column = self.targets[target]
        y = column.array
        if y.size != len(y):
            raise ShapeError(
                f"{column.name} should hold one label per row, got {_sizes(y.shape[1:])}.",
                {column.name: described(y)},
                "turn one-hot rows into labels with argmax(-1), or use categorical_crossentropy",
            )
        _check_whole(y.reshape(-1))
        _check_range(y.reshape(-1), classes, ignored)
        labels = replace(column, array=y.astype(np.int32) if y.dtype.kind == "f" else y)
        targets = (*self.targets[:target], labels, *self.targets[target + 1 :])
        return Dataset.of(self.inputs, targets, self.weights)

    def check_probabilities(self, target: int = 0) -> None:
        """Demand that all of a target lies in 0..1, as a crossentropy needs it. Raises `DataError` naming the first that does not.

        >>> Dataset([1.0], [[0.0, 1.0]]).check_probabilities()
        """
        if not self.targets:
            raise UsageError("Targets are needed, but there is no y.", hint="pass y")
        y = self.targets[target].array
        for rows in _blocks(y):
            block = y[rows]
            wrong = (block < 0) | (block > 1)
            if wrong.any():
                at = _first(wrong)
                place = _place((at[0] + rows.start, *at[1:]))
                raise DataError(
                    f"Target {block[at]} at {place} is no probability: a crossentropy needs targets from 0 to 1.",
                    hint="class numbers need sparse_categorical_crossentropy; other numbers mean_squared_error",
                )

    def check_shape(self, expected: tuple[int, ...], layer: str, number: int = 0) -> None:
        """Demand that a row of an input has the shape ``expected``; ``layer`` is what the error calls the first layer.

        >>> import numpy as np
        >>> Dataset(np.zeros((5, 28, 28), "uint8")).check_shape((784,), "Dense 'output'")
        Traceback (most recent call last):
        nacre.errors.ShapeError: Dense 'output' expects 784 features, got 28 x 28.
          input:     (batch, 28, 28) uint8
          expected:  (batch, 784)
          try:       put Flatten() before it
        """
        column = self.inputs[number]
        found = column.array.shape[1:]
        if found == expected:
            return
        raise ShapeError(
            f"{layer} expects {_features(expected)}, got {_sizes(found)}.",
            {"input": f"{_batch(found)} {column.array.dtype}", "expected": _batch(expected)},
            _reshaping(column.name, found, expected),
        )

    @classmethod
    def of(cls, inputs: _Columns, targets: _Columns = (), weights: _Columns = ()) -> Dataset:
        """A dataset over columns that were checked before."""
        dataset = cls.__new__(cls)
        dataset.inputs, dataset.targets, dataset.weights = inputs, targets, weights
        return dataset


_Columns = tuple[Column, ...]


def _is_amount(x: object) -> bool:
    return isinstance(x, int | float | np.number) and not isinstance(x, bool) and 0 <= float(x) < math.inf


def _columns(name: str, given: object, allow_empty: bool) -> tuple[Column, ...]:
    """Checked columns: one, or one for each entry of a dictionary."""
    if not isinstance(given, Mapping):
        return (_column(name, given, allow_empty),)
    if not given:
        raise DataError(f"{name} is an empty dictionary.", hint="give each input or output its array")
    return tuple(_column(f"{name}[{key!r}]", value, allow_empty) for key, value in given.items())


def _column(name: str, value: object, allow_empty: bool) -> Column:
    """A checked column; a large mapped file that would have to be converted stays as it is."""
    if isinstance(value, np.memmap) and value.nbytes > _MAPPED and value.dtype.kind in "biuf":
        if value.dtype.kind == "f":
            _check_float32(name, value)
        elif value.dtype.itemsize > 1 or value.dtype.kind == "i":
            _check_int32(name, value)
        return Column(name, value)
    return Column(name, numeric(name, value, allow_empty=allow_empty))


def numeric(name: str, value: object, *, allow_empty: bool = False, finite: bool = True) -> Array:
    """``value`` as a C-contiguous native array (n, ...) of uint8, int32 or float32; copied only where it must be.

    uint8 stays, bool becomes uint8, other whole numbers become int32 and floats float32. ``name`` is what errors call
    it. Raises `DTypeError` for text, objects, complex numbers, dates and records; `ShapeError` for ragged lists;
    `DataError` for nothing, a single number, no rows (unless ``allow_empty``), masked entries, NaN, infinities, and
    numbers that int32 or float32 cannot hold. ``finite=False`` leaves NaN and infinities in what is float32 already to
    whoever reads it.

    >>> numeric("x", [[1, 2], [3, 4]])
    array([[1, 2],
           [3, 4]], dtype=int32)
    >>> numeric("x", [0.5, float("nan")])
    Traceback (most recent call last):
    nacre.errors.DataError: x has 1 nan value, the first at row 1.
      try:  drop or fill these rows first
    """
    array = value if type(value) is np.ndarray else _as_array(name, value)
    dtype = array.dtype
    if dtype.kind not in "biuf":
        raise _wrong_kind(name, value, array)
    if array.ndim == 0:
        raise DataError(f"{name} is a single number, {array}.", hint="pass an array with one row per sample")
    if not allow_empty and len(array) == 0:
        raise DataError(f"{name} has no samples.", {name: f"{dtype} {array.shape}"}, "pass at least one row")
    if dtype in _READY:
        ready = array if array.flags.carray else _plain(array, dtype)
        if finite and dtype.kind == "f" and not _finite(ready):
            raise not_finite(name, ready)
        return ready
    if dtype.kind == "b":
        return _plain(array, np.bool_).view(np.uint8)
    return _int32(name, array) if dtype.kind in "iu" else _float32(name, array)


def _as_array(name: str, value: object) -> Array:
    """What NumPy makes of ``value``; a DataFrame and the like come by `__array__` or `to_numpy`."""
    if value is None:
        raise DataError(f"{name} is None.", hint="pass an array with one row per sample")
    if isinstance(value, list | tuple) and any(isinstance(row, np.ma.MaskedArray) for row in value):
        value = np.ma.stack(value)
    if isinstance(value, np.ma.MaskedArray):
        value = _unmasked(name, value)
    if not hasattr(value, "__array__") and hasattr(value, "to_numpy"):
        value = value.to_numpy()
    try:
        return np.asarray(value)
    except ValueError as fault:
        if "inhomogeneous" not in str(fault):
            raise DataError(f"{name} cannot be made an array: {fault}.") from fault
        raise ShapeError(f"The rows of {name} differ in length.", hint="give every row the same shape") from fault


def _unmasked(name: str, value: np.ma.MaskedArray[Any, Any]) -> Array:
    mask = np.ma.getmaskarray(value)
    if mask.any():
        raise _spoilt(name, "masked", int(mask.sum()), _first(mask))
    return np.asarray(value.data)


def _wrong_kind(name: str, value: object, array: Array) -> DTypeError:
    """The error for a dtype that holds no plain numbers, with advice that fits it."""
    hints = {
        "O": "every entry must be a number, none missing",
        "U": "turn text into numbers first: labels into 0, 1, 2, ..., categories into one-hot columns",
        "c": "pass real and imaginary part as two columns",
        "M": "pass the time since a fixed date, as a number",
        "V": "pass the fields as columns of one ordinary array",
    }
    kind = {"S": "U", "T": "U", "m": "M"}.get(array.dtype.kind, array.dtype.kind)
    found = type(value).__name__ if array.dtype.kind == "O" and array.ndim == 0 else f"dtype {array.dtype}"
    return DTypeError(f"{name} should hold numbers, found {found}.", hint=hints.get(kind, hints["O"]))


def _plain(array: Array, dtype: npt.DTypeLike) -> Array:
    """``array`` itself if it is already C-contiguous, aligned and native, else a copy that is."""
    return np.require(array, dtype=dtype, requirements=["C", "A"])


def _int32(name: str, array: Array) -> Array:
    _check_int32(name, array)
    return _plain(array, np.int32)


def _check_int32(name: str, array: Array) -> None:
    if array.size and (array.min() < _INT32.min or array.max() > _INT32.max):
        at = _first((array < _INT32.min) | (array > _INT32.max))
        raise DataError(
            f"{name} has the value {array[at]} at {_place(at)}, too large for int32.",
            {"range": f"{_INT32.min} to {_INT32.max}"},
            "pass it as float32 if it is a quantity; leave it out if it is an identifier",
        )


def _float32(name: str, array: Array) -> Array:
    ready = np.empty(array.shape, np.float32)
    _check_float32(name, array, ready)
    return ready


def _check_float32(name: str, array: Array, into: Array | None = None) -> None:
    """Check, and convert, block by block, so that nothing of the size of the data is allocated beside the result."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # the check below says it better than a warning
        for rows in _blocks(array):
            if into is not None:
                into[rows] = array[rows]
            block = array[rows] if into is None else into[rows]
            if not _finite(block.astype(np.float32, copy=False)):
                raise not_finite(name, array)


def _finite(array: Array) -> bool:
    """Whether all is finite, looked at by two threads if it is large: one alone does not use all of the memory's speed."""
    if array.nbytes < _LARGE or len(array) < 2:
        return _finite_part(array)
    with ThreadPoolExecutor(2) as pool:
        return all(pool.map(_finite_part, (array[: len(array) // 2], array[len(array) // 2 :])))


def _finite_part(array: Array) -> bool:
    """A finite sum of squares proves it, at the speed of memory; but it may overflow.

    Of all that NumPy computes, `vdot` alone is both that fast and silent about overflow, without the price of an `errstate`.
    """
    return math.isfinite(np.vdot(array, array)) or all(bool(np.isfinite(array[b]).all()) for b in _blocks(array))


def not_finite(name: str, array: Array) -> DataError:
    """The error for an array with a value that float32 cannot hold: how many, and where the first is."""
    for kind, test in (("nan", np.isnan), ("infinite", np.isinf)):
        count, first = _count(array, test)
        if first is not None:
            return _spoilt(name, kind, count, first)
    _, first = _count(array, lambda block: np.isinf(block.astype(np.float32)))
    assert first is not None
    return DataError(
        f"{name} has the value {array[first]} at {_place(first)}, too large for float32.",
        {"largest": np.finfo(np.float32).max},
        "rescale this column",
    )


def _spoilt(name: str, kind: str, count: int, first: tuple[int, ...]) -> DataError:
    what = f"{count:,} {kind} {_plural('value', count)}"
    return DataError(f"{name} has {what}, the first at {_place(first)}.", hint="drop or fill these rows first")


def _count(array: Array, test: Any) -> tuple[int, tuple[int, ...] | None]:
    """How many elements pass ``test``, and the index of the first."""
    count, first = 0, None
    for block in _blocks(array):
        found = test(array[block])
        count += int(found.sum())
        if first is None and found.any():
            row, *rest = _first(found)
            first = (row + block.start, *rest)
    return count, first


def _blocks(array: Array) -> Iterator[slice]:
    """Ranges of rows, each of about `_BLOCK` elements, that cover ``array``."""
    step = max(1, _BLOCK // max(1, math.prod(array.shape[1:])))
    return (slice(start, start + step) for start in range(0, len(array), step))


def _first(mask: Array) -> tuple[int, ...]:
    """Index of the first True."""
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _check_whole(labels: Array) -> None:
    """labels (n,)"""
    broken = labels != np.floor(labels) if labels.dtype.kind == "f" else np.zeros(0, bool)
    if broken.any():
        (row,) = _first(broken)
        raise DataError(
            f"Label {labels[row]} at row {row} is not a whole number.",
            hint="labels are 0, 1, 2, ...; to predict quantities use a loss such as mean_squared_error",
        )


def _check_range(labels: Array, classes: int, ignored: int | None) -> None:
    """labels (n,)"""
    outside = (labels < 0) | (labels >= classes)
    if ignored is not None:
        outside &= labels != ignored
    if outside.any():
        (row,) = _first(outside)
        raise DataError(
            f"Label {int(labels[row])} at row {row}, but the model has {classes} {_plural('class', classes)} "
            f"(labels 0 to {classes - 1}).",
            hint="number the classes from 0, or give the last layer one unit per class",
        )


def _reshaping(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """What to do so that rows of shape ``found`` fit ``expected``."""
    if math.prod(found) != math.prod(expected):
        if found == expected[1:]:
            return f"for a single row, pass {name}[None]"
        return f"give {name} rows of shape {expected}, or change the layer's input shape to {found}"
    return "put Flatten() before it" if len(expected) == 1 < len(found) else f"use {name}.reshape{(-1, *expected)}"


def _place(index: tuple[int, ...]) -> str:
    """An index in words: row, and column or position within the row.

    >>> _place((5,)), _place((5, 2)), _place((5, 2, 1))
    ('row 5', 'row 5, column 2', 'row 5, position (2, 1)')
    """
    row, *rest = index
    inside = "" if not rest else f", column {rest[0]}" if len(rest) == 1 else f", position {tuple(rest)}"
    return f"row {row}{inside}"


def _features(shape: tuple[int, ...]) -> str:
    return f"{shape[0]:,} {_plural('feature', shape[0])}" if len(shape) == 1 else _sizes(shape)


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"


def _batch(shape: tuple[int, ...]) -> str:
    return f"({', '.join(['batch', *map(str, shape)])})" if shape else "(batch,)"


def described(array: Array) -> str:
    """Type of an array in short.

    >>> described(np.zeros((2, 3), "float32"))
    'float32[2,3]'
    """
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else word + ("es" if word.endswith("s") else "s")
