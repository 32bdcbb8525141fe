"""The model file: named tensors and text in ONE safetensors file, in which no damage goes unseen.

The layout is that of the safetensors library, which can read these files. nacre writes them itself, because the library
puts the metadata in a random order and the same model should give the same bytes; and it reads them itself, because it
demands more: a checksum of every tensor (with its dtype and shape) and of the metadata, a header in the one form that
safetensors writers produce, and limits on everything a hostile file could exaggerate.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from nacre.errors import DTypeError, ModelFileError, UsageError
from nacre.files import write_whole

Array = npt.NDArray[Any]

DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I32": "int32",
    "U32": "uint32",
    "I64": "int64",
    "F32": "float32",
    "F64": "float64",
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
CHECKSUMS = "nacre.checksums"
METADATA_CRC32 = "nacre.metadata_crc32"
MAX_HEADER = 16 << 20
MAX_TENSORS = 100_000
MAX_NAME = 1024
MAX_DEPTH = 64
MAX_RANK = 32
_METADATA = "__metadata__"


class _Entry(NamedTuple):
    """What the header says of a tensor; ``dtype`` is little-endian, as the file is."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    stop: int


def write(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write the file at ``path`` whole or not at all: at every moment there is the old file or the new one.

    The same tensors in the same order, with the same metadata, give the same bytes. Raises `DTypeError` for a tensor
    that is not of one of `DTYPES`, `UsageError` for names and metadata that `read` would refuse, `FileNotFoundError`
    when the folder is missing, and any other `OSError` of the disk.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write(f"{folder.name}/model", {"dense/bias": np.zeros(3, "float32")}, {"framework": "nacre"})
    >>> read(f"{folder.name}/model")
    ({'dense/bias': array([0., 0., 0.], dtype=float32)}, {'framework': 'nacre'})
    >>> folder.cleanup()
    """
    arrays = {name: _stored(name, np.asarray(array)) for name, array in tensors.items()}
    # Wide items first keeps every tensor aligned; otherwise the order is the caller's.
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    _check_names(arrays)
    header = _header(arrays, _sealed(arrays, metadata))
    write_whole(path, [header, *map(_bytes, arrays.values())])


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """Tensors and metadata of a file that `write` made; the tensors are new arrays, in the order of the file.

    Nothing in the file is run, and nothing is allocated before the header was checked against the size of the file.
    Raises `ModelFileError` for a file that is damaged, hostile or from elsewhere, and `FileNotFoundError`.
    """
    try:
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size
            header = _read_header(file, size)
            metadata = _read_metadata(header.pop(_METADATA, None))
            entries = _read_entries(header, size - file.tell())
            checksums = _open_seal(metadata, entries)
            return {entry.name: _read_tensor(file, entry, checksums) for entry in entries}, metadata
    except ValueError as fault:  # the helpers below say what is wrong, this says where
        hint = "it is damaged or was not written by nacre; use another copy"
        raise ModelFileError(f"Cannot load {path}: {fault}.", hint=hint) from fault


def read_of_others(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The tensors of a safetensors file that others wrote, who have no checksums; else as `read`, and raises as it does.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/model", {"bias": np.zeros(3, "float32")}, {})
    ...     read_of_others(f"{folder}/model")
    {'bias': array([0., 0., 0.], dtype=float32)}
    """
    try:
        with _open(path) as file:
            size = os.fstat(file.fileno()).st_size
            header = _read_header(file, size)
            _read_metadata(header.pop(_METADATA, {}))
            entries = _read_entries(header, size - file.tell())
            return {entry.name: _read_tensor(file, entry, None) for entry in entries}
    except ValueError as fault:
        raise ModelFileError(f"Cannot load {path}: {fault}.", hint="it is damaged; use another copy") from fault


# Writing


def _stored(name: str, array: Array) -> Array:
    """``array`` as it will lie in the file: C-contiguous, little-endian."""
    if array.dtype.name not in CODES:
        what = f"Tensor {name!r} has dtype {array.dtype}, which a model file cannot hold."
        raise DTypeError(what, {"can hold": ", ".join(CODES)})
    return np.require(array, array.dtype.newbyteorder("<"), "C")


def _check_names(names: Iterable[str]) -> None:
    """Raise `UsageError` for names that `read` would refuse."""
    names = list(names)
    if len(names) > MAX_TENSORS:
        raise UsageError(f"A model file holds at most {MAX_TENSORS:,} tensors, got {len(names):,}.")
    for name in names:
        if fault := _name_fault(name):
            raise UsageError(f"A tensor cannot be called {_short(name)}: {fault}.")


def _sealed(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata, sorted, with the checksums of everything."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise UsageError(f"Metadata is text to text, got {key!r}: {type(value).__name__}.")
        if key in (CHECKSUMS, METADATA_CRC32):
            raise UsageError(f"The metadata key {key!r} is reserved.")
    checksums = {name: _checksum(array.dtype, array.shape, array) for name, array in arrays.items()}
    sealed = {**metadata, CHECKSUMS: json.dumps(checksums)}
    return dict(sorted({**sealed, METADATA_CRC32: _metadata_crc32(sealed)}.items()))


def _header(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Length and JSON header of a file in which ``arrays`` follow each other."""
    entries: dict[str, object] = {_METADATA: metadata}
    stop = 0
    for name, array in arrays.items():
        start, stop = stop, stop + array.nbytes
        entries[name] = {"dtype": CODES[array.dtype.name], "shape": array.shape, "data_offsets": (start, stop)}
    try:
        header = _encoded(entries)
    except UnicodeEncodeError as fault:
        raise UsageError(f"The metadata is not valid Unicode: {fault}.") from fault
    if len(header) > MAX_HEADER:
        raise UsageError(f"Names and metadata take {len(header):,} bytes, a model file has room for {MAX_HEADER:,}.")
    return len(header).to_bytes(8, "little") + header


# Reading. Here a ValueError is a reason to refuse the file; `read` adds which file.


@contextlib.contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """The file, if it is an ordinary one; a pipe without a writer must not make us wait."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}")
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is not an ordinary file")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not an ordinary file")
        yield file


def _read_header(file: BinaryIO, size: int) -> dict[str, Any]:
    """The JSON object at the start of a file of ``size`` bytes."""
    if size < 10:
        raise ValueError(f"file is {size} bytes, a model file has at least 10")
    start = file.read(8)
    if start.startswith((b"PK\x03\x04", b"\x89HDF")):
        raise ValueError(
            "it is an archive or an HDF5 file, as Keras and PyTorch write them, not a model file of nacre's"
        )
    length = int.from_bytes(start, "little")
    if length > MAX_HEADER:
        raise ValueError(
            f"it does not begin as a model file does: of a header of {length:,} bytes, more than {MAX_HEADER:,} are not allowed"
        )
    if 8 + length > size:
        raise ValueError(f"file is {size:,} bytes, header says {8 + length:,}")
    content = file.read(length)
    _check_depth(content)
    header = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    # Any other form, say \u00AB for \u00ab, would be a change that no checksum sees.
    if not isinstance(header, dict) or _encoded(header) != content:
        raise ValueError("the header is not in the form that safetensors files have")
    return header


def _check_depth(header: bytes) -> None:
    """Refuse deep nesting before a recursive parser meets it."""
    outside = re.sub(rb'"[^"\\]*(?:\\.?[^"\\]*)*(?:"|\Z)', b"", header, flags=re.DOTALL)
    brackets = np.frombuffer(outside, np.uint8)
    steps = np.isin(brackets, [ord("["), ord("{")]).astype(np.int8) - np.isin(brackets, [ord("]"), ord("}")])
    if steps.cumsum(dtype=np.int32).max(initial=0) > MAX_DEPTH:
        raise ValueError(f"the header is nested deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the header has {_short(key)} twice")
        content[key] = value
    return content


def _no_constant(constant: str) -> None:
    raise ValueError(f"the header holds {constant}")


def _read_metadata(metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("it has no text metadata")
    return metadata


def _read_entries(header: dict[str, Any], available: int) -> list[_Entry]:
    """The tensors in the order of the file, which must fill the ``available`` bytes without gap or overlap."""
    if len(header) > MAX_TENSORS:
        raise ValueError(f"it says it holds {len(header):,} tensors, more than {MAX_TENSORS:,} are not allowed")
    entries = sorted((_read_entry(name, spec) for name, spec in header.items()), key=lambda e: (e.start, e.stop))
    end = 0
    for entry in entries:
        if entry.start != end:
            raise ValueError(f"tensor {entry.name!r} starts at byte {entry.start:,}, expected {end:,}")
        end = entry.stop
    if end != available:
        raise ValueError(f"file has {available:,} bytes of tensors, header says {end:,}")
    return entries


def _read_entry(name: str, spec: object) -> _Entry:
    if fault := _name_fault(name):
        raise ValueError(f"a tensor is called {_short(name)}: {fault}")
    if not isinstance(spec, dict) or list(spec) != ["dtype", "shape", "data_offsets"]:
        raise ValueError(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    code, shape, offsets = spec.values()
    if not isinstance(code, str) or code not in DTYPES:
        raise ValueError(f"tensor {name!r} has dtype {_short(code)}, expected one of {', '.join(DTYPES)}")
    dtype = np.dtype(DTYPES[code]).newbyteorder("<")
    if not _naturals(shape) or len(shape) > MAX_RANK or not _naturals(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {name!r} has shape {_short(shape)} and offsets {_short(offsets)}")
    start, stop = offsets
    needed = math.prod(shape) * dtype.itemsize
    if stop - start != needed:
        raise ValueError(f"tensor {name!r}, {code} {shape}, takes {needed:,} bytes, header says {stop - start:,}")
    return _Entry(name, dtype, tuple(shape), start, stop)


def _naturals(value: object) -> bool:
    """Whether this is a list of whole numbers that an index can hold. (A JSON true is an int in Python.)"""
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 40 for n in value)


def _open_seal(metadata: dict[str, str], entries: Iterable[_Entry]) -> dict[str, str]:
    """Check the metadata against its checksum; take the checksums of the tensors out of it."""
    expected, found = metadata.pop(METADATA_CRC32, None), _metadata_crc32(metadata)
    if expected != found:
        raise ValueError(f"its metadata has checksum {found}, expected {_short(expected)}")
    sealed = metadata.pop(CHECKSUMS, "{}")
    _check_depth(sealed.encode())
    checksums = json.loads(sealed, object_pairs_hook=_unique, parse_constant=_no_constant)
    if not isinstance(checksums, dict) or set(checksums) != {entry.name for entry in entries}:
        raise ValueError("its tensors are not those that have checksums")
    return checksums


def _read_tensor(file: BinaryIO, entry: _Entry, checksums: Mapping[str, str] | None) -> Array:
    """The next tensor of the file, read straight into its array."""
    array = np.empty(entry.shape, entry.dtype)
    content = _bytes(array)
    if file.readinto(content) != content.nbytes:  # type: ignore[attr-defined]
        raise ValueError(f"file ends inside tensor {entry.name!r}")
    found = _checksum(entry.dtype, entry.shape, array)
    if checksums is not None and found != checksums[entry.name]:
        raise ValueError(f"tensor {entry.name!r} has checksum {found}, expected {_short(checksums[entry.name])}")
    if entry.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError(f"tensor {entry.name!r} is BOOL, but not all of its bytes are 0 or 1")
    return array.astype(entry.dtype.newbyteorder("="), copy=False)


# Both


def _encoded(header: Mapping[str, object]) -> bytes:
    """The JSON as the safetensors library writes it: compact, in UTF-8, filled up with spaces to a multiple of 8."""
    content = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return content + b" " * (-len(content) % 8)


def _checksum(dtype: np.dtype[Any], shape: tuple[int, ...], array: Array) -> str:
    """CRC-32 of what the tensor is and holds: with zero elements, only the shape tells two tensors apart."""
    kind = f"{CODES[dtype.name]} {list(shape)}".encode()
    return f"{zlib.crc32(_bytes(array), zlib.crc32(kind)):08x}"


def _metadata_crc32(metadata: Mapping[str, str]) -> str:
    """CRC-32 of the metadata in one fixed form, whatever the order of its keys."""
    canonical = json.dumps(metadata, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(canonical.encode()):08x}"


def _bytes(array: Array) -> memoryview:
    """The memory of a contiguous array, as bytes."""
    return array.reshape(-1).view(np.uint8).data


def _name_fault(name: object) -> str:
    """Why this cannot be a tensor's name; nothing if it can. Names are labels: they never become paths."""
    if not isinstance(name, str) or not name or name == _METADATA:
        return "a name is text, not empty, and not reserved"
    if len(name) > MAX_NAME:
        return f"{len(name):,} characters, more than {MAX_NAME:,} are not allowed"
    if any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) < 0xE000 for c in name):
        return "control characters are not allowed"
    return ""


def _short(value: object) -> str:
    """A value of unknown size, for an error message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
