"""What a model takes: what clients send becomes arrays, or an error that says which instance is wrong, and how.

Three signatures: of arrays of numbers, of tables (a column by its name), of pictures (files as base64, or their pixels). Each takes
rows (``instances``), columns (``inputs``) and the tensors of the Open Inference Protocol.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from nacre.data import Features, Pictures, Table
from nacre.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nacre.data.tables import Numbers, Text
from nacre.errors import NacreError
from nacre.layers import Embedding
from nacre.models import Model
from nacre.web import Refused

Array = npt.NDArray[Any]

FLOAT32_MOST = float(np.finfo(np.float32).max)
_WHOLE = {
    "BOOL": (0, 1), "UINT8": (0, 2**8 - 1), "UINT16": (0, 2**16 - 1), "UINT32": (0, 2**32 - 1), "UINT64": (0, 2**64 - 1),
    "INT8": (-(2**7), 2**7 - 1), "INT16": (-(2**15), 2**15 - 1), "INT32": (-(2**31), 2**31 - 1), "INT64": (-(2**63), 2**63 - 1),
}  # fmt: skip
DATATYPES = (*_WHOLE, "FP16", "FP32", "FP64", "BYTES")
_DTYPES = {"float32": "FP32", "int32": "INT32", "int64": "INT32", "uint8": "UINT8", "bool": "BOOL"}
_NUMPY = {"FP32": np.float32, "INT32": np.int32, "UINT8": np.uint8, "BOOL": np.uint8}
_FAR = 1e300  # numbers of tables, which are float64, are below
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DEEPEST = 16  # dimensions of a tensor


class Tensor(NamedTuple):
    """An input or output: its name, the shape of one row, and the datatype of the Open Inference Protocol. Of an input of terms,
    their number."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    terms: int | None = None

    @property
    def whole(self) -> tuple[int, int]:
        """The least and the greatest whole number that it takes."""
        return _WHOLE[self.datatype] if self.terms is None else (0, self.terms - 1)


class Given(msgspec.Struct):
    """A tensor, as a client sends it."""

    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, Any] | None = None


class Signature:
    """What a model takes. ``row`` and ``columns`` are the types that instances, and columns of them, have in JSON."""

    inputs: Sequence[Tensor]
    row: Any
    columns: Any
    slow: ClassVar[bool] = False  # whether it takes long to make an array of one instance

    def from_rows(self, rows: Sequence[Any]) -> list[Array]:
        """Instances of the type ``row`` as the inputs of the model."""
        raise NotImplementedError

    def from_columns(self, given: Any) -> list[Array]:
        """What is of the type ``columns`` as the inputs of the model."""
        raise NotImplementedError

    def from_tensors(self, given: Mapping[str, Given]) -> list[Array]:
        """Tensors by their names as the inputs of the model."""
        raise NotImplementedError

    def blank(self) -> list[Array]:
        """The inputs of the model for one row in which nothing is."""
        return [np.zeros((1, *t.shape), _NUMPY[t.datatype]) for t in self.inputs]

    def schema(self) -> dict[str, Any]:
        """The JSON schema of an instance."""
        raise NotImplementedError

    def tensor_schemas(self) -> list[dict[str, Any]]:
        """The JSON schemas of the properties of the tensors of one row."""
        return [_tensor_schema(t, _numbers_schema(t._replace(shape=()))) for t in self.inputs]


def signature_of(model: Model) -> Signature:
    """What a model takes."""
    if isinstance(model.features, Features):
        return _Rows(model, model.features)
    if isinstance(model.features, Pictures):
        return _Photos(model, model.features)
    return _Arrays(model)


# ------------------------------------------------------------------ arrays of numbers


class _Arrays(Signature):
    """Numbers of fixed shapes."""

    def __init__(self, model: Model) -> None:
        shapes = [tuple(int(n or 0) for n in shape[1:]) for shape in model.input_shapes]
        kinds = [
            _DTYPES.get(getattr(symbol.layer, "input_dtype", None) or "float32", "FP32") for symbol in model.inputs
        ]
        self.inputs = [Tensor(*one) for one in zip(model.input_names, shapes, kinds, strict=True)]
        if isinstance(model.layers[0], Embedding):
            self.inputs = [self.inputs[0]._replace(datatype="INT32", terms=model.layers[0].input_dim)]
        items = [_nested(len(t.shape)) | float if t.shape == (1,) else _nested(len(t.shape)) for t in self.inputs]
        named = _struct("Row", [(t.name, item) for t, item in zip(self.inputs, items, strict=True)])
        sides = _struct("Columns", [(t.name, list_of(item)) for t, item in zip(self.inputs, items, strict=True)])
        self.named = named
        self.row = items[0] | named if len(items) == 1 else named
        self.columns = list_of(items[0]) | sides if len(items) == 1 else sides

    def from_rows(self, rows: Sequence[Any]) -> list[Array]:
        """Arrays, one row for each instance."""
        if not any(isinstance(row, self.named) for row in rows):
            return [_array(self.inputs[0], rows)]
        for number, row in enumerate(rows):
            if not isinstance(row, self.named):
                raise Refused(400, f"Instance {number} does not name its input, and others do.")
        return [_array(t, [getattr(row, f"f{n}") for row in rows]) for n, t in enumerate(self.inputs)]

    def from_columns(self, given: Any) -> list[Array]:
        """Arrays, as they are."""
        if isinstance(given, list):
            return [_array(self.inputs[0], given)]
        return _alike([_array(t, getattr(given, f"f{n}")) for n, t in enumerate(self.inputs)])

    def from_tensors(self, given: Mapping[str, Given]) -> list[Array]:
        """Arrays of the shapes that they say they have."""
        return _alike([_checked(t, _tensor(_one(given, t.name))) for t in self.inputs])

    def schema(self) -> dict[str, Any]:
        """Nested arrays of numbers, or an object of them."""
        schemas = {t.name: _numbers_schema(t) for t in self.inputs}
        if len(schemas) == 1:
            return next(iter(schemas.values()))
        return {"type": "object", "required": list(schemas), "properties": schemas, "additionalProperties": False}


def _array(tensor: Tensor, rows: Sequence[Any], first: int = 0) -> Array:
    """Rows of nested numbers as an array (n, ...) of an input; ``first`` is the number of the first, for errors."""
    if not rows:
        raise Refused(400, "There are no instances, expected at least one.")
    try:
        array = np.array(rows, np.float64)
    except ValueError:  # rows of different lengths
        array = None
    if array is not None and array.shape[1:] == tensor.shape:
        return _checked(tensor, array, first)
    if array is not None and array.ndim == 1 and tensor.shape == (1,):
        return _checked(tensor, array[:, None], first)
    for number, row in enumerate(rows, first):
        try:
            shape = np.array(row, np.float64).shape
        except ValueError:
            shape = None
        if shape != tensor.shape and not (shape == () and tensor.shape == (1,)):
            found = "rows of different lengths" if shape is None else _size(shape)
            raise Refused(400, f"Instance {number} of {tensor.name!r} has {found}, expected {_size(tensor.shape)}.")
    return _array(
        tensor, [np.reshape(row, tensor.shape).tolist() for row in rows], first
    )  # some of (1,) are lists, others not


def _checked(tensor: Tensor, array: Array, first: int = 0) -> Array:
    """Numbers of float64 in the type of an input. Refused if it cannot hold them."""
    if array.shape[1:] != tensor.shape:
        raise Refused(
            400, f"The input {tensor.name!r} has rows of {_size(array.shape[1:])}, expected {_size(tensor.shape)}."
        )
    if not len(array):
        raise Refused(400, "There are no instances, expected at least one.")
    if tensor.datatype == "FP32":
        bad = np.abs(array) > FLOAT32_MOST
        if bad.any():
            raise _wrong(tensor, first, array, bad, f"a number from {-FLOAT32_MOST:.8g} to {FLOAT32_MOST:.8g}")
        return array.astype(np.float32)
    least, most = tensor.whole
    bad = ~((array >= least) & (array <= most) & (array == np.floor(array)))
    if bad.any():
        raise _wrong(tensor, first, array, bad, f"a whole number from {least} to {most}")
    whole: Array = array.astype(_NUMPY[tensor.datatype])
    return whole


def _wrong(tensor: Tensor, first: int, array: Array, bad: Array, expected: str) -> Refused:
    row, *rest = at = np.unravel_index(int(np.flatnonzero(bad)[0]), bad.shape)
    place = f" at {''.join(f'[{n}]' for n in rest)}" if rest else ""
    return Refused(400, f"Instance {first + row} of {tensor.name!r} has {array[at]:.8g}{place}, expected {expected}.")


def _size(shape: Sequence[int]) -> str:
    """A shape in words.

    >>> _size((784,)), _size((28, 28)), _size(())
    ('784 numbers', '28 x 28 numbers', 'a single number')
    """
    return f"{' x '.join(map(str, shape))} numbers" if shape else "a single number"


def _alike(arrays: list[Array]) -> list[Array]:
    if len({len(array) for array in arrays}) > 1:
        raise Refused(400, f"The inputs have {', '.join(str(len(a)) for a in arrays)} rows, expected as many of each.")
    return arrays


def _numbers_schema(tensor: Tensor) -> dict[str, Any]:
    is_whole = tensor.datatype in _WHOLE
    least, most = tensor.whole if is_whole else (-FLOAT32_MOST, FLOAT32_MOST)
    kind = "integer" if is_whole else "number"
    schema: dict[str, Any] = {"type": kind, "minimum": least, "maximum": most}
    for size in reversed(tensor.shape):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema


# ------------------------------------------------------------------ tables


class _Rows(Signature):
    """Columns of a table, by their names; null where there is nothing."""

    def __init__(self, model: Model, features: Features) -> None:
        self.features, self.names = features, model.input_names
        words = [isinstance(one, CategoryFeature | DateFeature) for one in features.features]
        self.inputs = [
            Tensor(f.name, (), "BYTES" if w else "FP64") for f, w in zip(features.features, words, strict=True)
        ]
        kinds = [_cell(one) for one in features.features]
        self.row = _struct("Row", [(f.name, kind) for f, kind in zip(features.features, kinds, strict=True)])
        self.columns = _struct(
            "Columns", [(f.name, list_of(kind)) for f, kind in zip(features.features, kinds, strict=True)]
        )

    def from_rows(self, rows: Sequence[Any]) -> list[Array]:
        """What the features make of the table of these rows."""
        return self._inputs([[getattr(row, f"f{n}") for row in rows] for n in range(len(self.inputs))])

    def from_columns(self, given: Any) -> list[Array]:
        """What the features make of a table of these columns."""
        return self._inputs([getattr(given, f"f{n}") for n in range(len(self.inputs))])

    def from_tensors(self, given: Mapping[str, Given]) -> list[Array]:
        """What the features make of a table of these columns, each a tensor (n,) or (n, 1)."""
        return self._inputs(
            [_column(_one(given, t.name), _cell(f)) for t, f in zip(self.inputs, self.features.features, strict=True)]
        )

    def blank(self) -> list[Array]:
        """A row in which all is missing."""
        return self._inputs([[None]] * len(self.inputs))

    def _inputs(self, columns: Sequence[Sequence[Any]]) -> list[Array]:
        counts = {len(column) for column in columns}
        if len(counts) > 1:
            raise Refused(
                400, f"The columns have {', '.join(str(len(c)) for c in columns)} rows, expected as many of each."
            )
        if counts == {0}:
            raise Refused(400, "There are no instances, expected at least one.")
        found = {f.name: _values(f, column) for f, column in zip(self.features.features, columns, strict=True)}
        try:
            arrays = self.features.inputs(Table(found, "the request"))
        except NacreError as error:
            raise Refused(400, one_line(error)) from error
        return [arrays[name] for name in self.names]

    def schema(self) -> dict[str, Any]:
        """An object of columns."""
        schemas = {f.name: _cell_schema(f) for f in self.features.features}
        return {"type": "object", "required": list(schemas), "properties": schemas}

    def tensor_schemas(self) -> list[dict[str, Any]]:
        """A value for each column."""
        pairs = zip(self.inputs, self.features.features, strict=True)
        return [_tensor_schema(tensor, _cell_schema(feature)) for tensor, feature in pairs]


def _tensor_schema(tensor: Tensor, item: Mapping[str, Any]) -> dict[str, Any]:
    count = math.prod(tensor.shape)
    return {
        "name": {"const": tensor.name},
        "shape": {"const": [1, *tensor.shape]},
        "datatype": {"const": tensor.datatype},
        "data": {"type": "array", "items": item, "minItems": count, "maxItems": count},
    }


def _cell(feature: Feature) -> Any:
    """The type of a value of a column. Whole numbers arrive as float, and so of any size."""
    if isinstance(feature, NumberFeature):
        return float | str | None if feature.nothing else float | None
    return str | None if isinstance(feature, DateFeature) else str | float | bool | None


def _values(feature: Feature, column: Sequence[Any]) -> Numbers | Text:
    if isinstance(feature, NumberFeature):
        for number, value in enumerate(column):
            odd = value not in feature.nothing if isinstance(value, str) else value is not None and abs(value) > _FAR
            if odd:
                told = f"Instance {number} of the column {feature.name!r} is {str(value)[:40]!r}"
                raise Refused(400, f"{told}, expected a number up to {_FAR:g}, or null.")
        return Numbers(np.array([np.nan if v is None or isinstance(v, str) else v for v in column], np.float64))
    if isinstance(feature, DateFeature) and feature.form in ("", "ISO8601"):
        for number, value in enumerate(column):
            if value is not None and not _DATE.match(value):
                told = f"Instance {number} of the column {feature.name!r} is {value[:40]!r}"
                raise Refused(400, f"{told}, expected a date such as 2024-12-31, or null.")
    nothing = (None, "") if isinstance(feature, CategoryFeature) else (None,)
    return Text.of(None if value in nothing else str(value) for value in column)


def _cell_schema(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, NumberFeature):
        return {"type": ["number", "null"], "description": feature.told(), "minimum": -_FAR, "maximum": _FAR}
    if isinstance(feature, DateFeature):
        form = (
            {}
            if feature.form not in ("", "ISO8601")
            else {"format": "date-time" if feature.hours else "date", "minLength": 10}
        )
        return {"type": ["string", "null"], "description": f"{feature.form or 'ISO 8601'}, {feature.told()}", **form}
    return {"type": ["string", "number", "boolean", "null"], "description": feature.told()}


def _column(given: Given, kind: Any) -> list[Any]:
    """The values of a tensor (n,) or (n, 1)."""
    if len(given.shape) not in (1, 2) or given.shape[1:] not in ([], [1]):
        raise Refused(400, f"The input {given.name!r} has the shape {given.shape[:20]}, expected [n] or [n, 1].")
    known = DATATYPES[:-1] if kind == float | None else ["BYTES"] if kind in (str, str | None) else DATATYPES
    if given.datatype not in known:
        raise _unknown(given, known)
    try:
        values: list[Any] = msgspec.json.decode(given.data, type=list_of(kind))
    except msgspec.ValidationError:
        rows = _decoded(given, list_of(list_of(kind)))
        values = [value for row in rows for value in row]
    if len(values) != given.shape[0]:
        raise Refused(400, f"The input {given.name!r} has {len(values)} values, its shape says {given.shape[0]}.")
    return values


# ------------------------------------------------------------------ pictures


class _File(msgspec.Struct):
    """A picture as the bytes of its file, in base64."""

    b64: str


class _Photos(Signature):
    """Files of pictures, which the rule of the model turns into arrays, or pixels as this rule would give them."""

    slow = True

    def __init__(self, model: Model, pictures: Pictures) -> None:
        self.pictures = pictures
        self.inputs = [Tensor(model.input_names[0], pictures.shape, "UINT8")]
        self.row = list[list[list[float]]] | _File
        self.columns = list_of(self.row)

    def from_rows(self, rows: Sequence[Any]) -> list[Array]:
        """Pixels (n, height, width, channels)."""
        if not rows:
            raise Refused(400, "There are no instances, expected at least one.")
        return [np.stack([self._pixels(number, row) for number, row in enumerate(rows)])]

    def from_columns(self, given: Any) -> list[Array]:
        """The same: there is one column."""
        return self.from_rows(given)

    def from_tensors(self, given: Mapping[str, Given]) -> list[Array]:
        """Pixels, or of a tensor of BYTES, files in base64."""
        tensor = _one(given, self.inputs[0].name)
        if tensor.datatype == "BYTES":
            return self.from_rows([_File(text) for text in _column(tensor, str)])
        return [_checked(self.inputs[0], _tensor(tensor))]

    def _pixels(self, number: int, row: Any) -> Array:
        if not isinstance(row, _File):
            (pixels,) = _array(self.inputs[0], [row], number)
            return np.asarray(pixels)
        try:
            data = base64.b64decode(row.b64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Refused(400, f"Instance {number} is not base64, expected the file of a picture.") from error
        try:
            return self.pictures.decoded(io.BytesIO(data))
        except NacreError as error:
            raise Refused(400, f"Instance {number}: {one_line(error)}") from error

    def schema(self) -> dict[str, Any]:
        """A file in base64, or pixels."""
        file = {"type": "string", "contentEncoding": "base64", "description": "a PNG, JPEG, WebP, BMP or GIF file"}
        boxed = {"type": "object", "required": ["b64"], "properties": {"b64": file}}
        return {"oneOf": [boxed, _numbers_schema(self.inputs[0])]}


# ------------------------------------------------------------------ JSON


def list_of(kind: Any) -> Any:
    """The type of lists of a type that is known only now."""
    return list[kind]


def _nested(depth: int) -> Any:
    kind: Any = float
    for _ in range(depth):
        kind = list_of(kind)
    return kind


def _struct(name: str, fields: Sequence[tuple[str, Any]]) -> Any:
    """A type of object with these fields, which may have any names: f0, f1, ... in Python."""
    inner = {f"f{n}": field for n, (field, _) in enumerate(fields)}
    return msgspec.defstruct(name, [(f"f{n}", kind) for n, (_, kind) in enumerate(fields)], rename=inner)


def _one(given: Mapping[str, Given], name: str) -> Given:
    if name not in given:
        raise Refused(400, f"The input {name!r} is missing, found {', '.join(map(repr, given)) or 'none'}.")
    return given[name]


def _tensor(given: Given) -> Array:
    """Numbers, flat or nested, in the shape that is said."""
    if given.datatype not in DATATYPES[:-1]:
        raise _unknown(given, DATATYPES[:-1])
    if not 1 <= len(given.shape) <= _DEEPEST or min(given.shape) < 0:
        raise Refused(
            400, f"The shape of {given.name!r} is {given.shape[:20]}, expected the number of rows and what a row has."
        )
    number: Any = bool if given.datatype == "BOOL" else float
    try:
        numbers = msgspec.json.decode(given.data, type=list_of(number))
    except msgspec.ValidationError:
        kind = number
        for _ in given.shape:
            kind = list_of(kind)
        numbers = _decoded(given, kind)
    try:
        array = np.array(numbers, np.float64)
    except ValueError:
        raise Refused(400, f"The data of {given.name!r} have rows of different lengths.") from None
    if array.size != math.prod(given.shape) or (array.ndim > 1 and list(array.shape) != given.shape):
        raise Refused(
            400, f"The data of {given.name!r} have {_size(array.shape)}, the shape says {_size(given.shape)}."
        )
    if given.datatype in _WHOLE:
        least, most = _WHOLE[given.datatype]
        if not ((array >= least) & (array <= most) & (array == np.floor(array))).all():
            raise Refused(
                400,
                f"The data of {given.name!r} are no {given.datatype}, expected whole numbers from {least} to {most}.",
            )
    return array.reshape(given.shape)


def _unknown(given: Given, known: Sequence[str]) -> Refused:
    expected = f"one of {', '.join(known)}" if len(known) > 1 else known[0]
    return Refused(400, f"The datatype of {given.name!r} is {given.datatype[:40]!r}, expected {expected}.")


def _decoded(given: Given, kind: Any) -> Any:
    try:
        return msgspec.json.decode(given.data, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(400, f"The data of {given.name!r}: {in_words(error)}") from error


_PLACE = re.compile(r"(?P<what>.*?) - at `(?:key in )?(?P<path>\$.*)`$", re.DOTALL)
_KINDS = {"float": "a number", "int": "a whole number", "str": "text", "bool": "true or false", "null": "null", "array": "a list",
          "object": "an object"}  # fmt: skip


def in_words(error: Exception) -> str:
    """What is wrong with JSON, for whoever wrote it.

    >>> in_words(msgspec.ValidationError("Expected `float`, got `str` - at `$.instances[2][5]`"))
    'Instance 2, at [5]: expected a number, found text.'
    >>> in_words(msgspec.ValidationError("Object missing required field `age` - at `$.instances[0]`"))
    "Instance 0: expected 'age', which is missing."
    """
    if isinstance(error, RecursionError):
        return "The JSON is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return "The JSON is not UTF-8."
    found = _PLACE.match(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), "$")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", what, re.DOTALL):
        what = f"expected {missing[1]!r}, which is missing"
    elif wrong := re.fullmatch(r"Expected `(.*)`, got `(.*)`", what, re.DOTALL):
        kinds = [_KINDS.get(kind, kind) for kind in wrong[1].split(" | ")]
        what = f"expected {' or '.join(kinds)}, found {_KINDS.get(wrong[2], wrong[2])}"
    elif what.startswith("Number out of range") or what.startswith("Integer value out of range"):
        what = "the number is out of range"
    where = re.match(r"\$\.instances\[(\d+)\](.*)", path, re.DOTALL)
    if where is None:
        place = path.removeprefix("$").lstrip(".")
    elif field := re.fullmatch(r"\.([^\[]+)", where[2]):
        place = f"Instance {where[1]}, {field[1]!r}"
    else:
        place = f"Instance {where[1]}, at {where[2]}" if where[2] else f"Instance {where[1]}"
    text = f"{place[:200]}: {what[:200]}" if place else what[:200]
    return text[0].upper() + text[1:] + "."


def one_line(error: NacreError) -> str:
    """An error of nacre's, as one line.

    >>> one_line(NacreError("No.", {"found": 3}, "leave it"))
    'No. found: 3; try: leave it'
    """
    more = {**error.details, **({"try": error.hint} if error.hint else {})}
    return f"{error.what} {'; '.join(f'{name}: {found}' for name, found in more.items())}".rstrip()
