"""Files of PyTorch: dictionaries of tensors in an archive, read and written without PyTorch, and without running anything.

The archive holds ``data.pkl``, a pickle that says which tensors there are, and the bytes of each in a member of its own. A pickle
is a program for a machine with a stack. The machine here knows the few instructions that such dictionaries take, and of the names
that a pickle may ask for, only those below; anything else, and whatever is not as PyTorch writes it, is refused.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import ModelFileError

Array = npt.NDArray[Any]

_REBUILD, _ORDERED = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
_STORAGES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "<i8",
}
_OTHERS = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
_LONGEST = 16 << 20  # bytes of a pickle
_MOST = 1 << 40


@dataclass(frozen=True)
class _Name:
    """Something that a pickle asks for by its name; here, it stays a name."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """Numbers in a row, of which tensors are made."""

    array: Array


_MARK = _Name("(")
_CONSTANTS: dict[str, Any] = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None}
_GIVEN = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}  # whose arguments are what they put on the stack


# ------------------------------------------------------------------ reading


def read(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The tensors by their names, as ``torch.save(model.state_dict(), path)`` wrote them; bfloat16 and float16 become float32.

    Raises `ModelFileError` for a file that holds anything else, or is damaged; `FileNotFoundError`.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}")
    try:
        program, members = _members(path)
        found = _run(program, members)
        if not isinstance(found, dict) or not all(isinstance(one, np.ndarray) for one in found.values()):
            keys = ", ".join(found) if isinstance(found, dict) else type(found).__name__
            raise ValueError(f"it holds more than tensors by their names: {keys:.80}")
        return found
    except (ValueError, LookupError, TypeError, OSError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise ModelFileError(
            f"{path} is no file of tensors from PyTorch that can be read.",
            {"reason": reason},
            "torch.save(model.state_dict(), path), with PyTorch 1.6 or later",
        ) from error


def _members(path: str | os.PathLike[str]) -> tuple[bytes, dict[str, bytes]]:
    """The pickle, and the bytes of each storage by its number."""
    size = Path(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        listed = {one.filename: one for one in archive.infolist()}
        folder = next((name[: -len("data.pkl")] for name in listed if name.endswith("/data.pkl")), None)
        if folder is None or len(listed) != len(archive.infolist()):
            raise ValueError("it is an archive without data.pkl, or with two members of one name")
        members: dict[str, bytes] = {}
        for name, one in listed.items():
            inner = name.removeprefix(folder)
            number = inner.removeprefix("data/")
            if inner not in ("data.pkl", *_OTHERS) and not (name.startswith(folder) and number.isdigit()):
                raise ValueError(f"it has a member {name!r:.80}")
            if one.compress_type != zipfile.ZIP_STORED or one.file_size != one.compress_size or one.file_size > size:
                raise ValueError(f"{name!r:.80} is {one.file_size:,} bytes, made of {one.compress_size:,}")
            size -= one.file_size  # no byte counts twice
            members[number if inner.startswith("data/") else inner] = archive.read(one)
    if members.get("byteorder", b"little") != b"little":
        raise ValueError("its numbers are big-endian")
    return members.pop("data.pkl"), members


def _run(program: bytes, members: Mapping[str, bytes]) -> Any:
    """What a pickle makes."""
    if len(program) > _LONGEST:
        raise ValueError(f"its pickle is {len(program):,} bytes long")
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    storages: dict[str, _Storage] = {}

    def marked() -> list[Any]:
        at = max(n for n, one in enumerate(stack) if one is _MARK)
        found = stack[at + 1 :]
        del stack[at:]
        return found

    for operation, argument, _ in pickletools.genops(program):
        name = operation.name
        if name in _GIVEN:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "GLOBAL":
            if argument not in (_REBUILD, _ORDERED, *_STORAGES):
                raise ValueError(f"it asks for {argument!r:.80}, and only tensors are read")
            stack.append(_Name(argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name == "TUPLE":
            stack.append(tuple(marked()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop(), members, storages))
        elif name == "REDUCE":
            arguments, what = stack.pop(), stack.pop()
            stack.append(_made(what, arguments))
        elif name in ("SETITEM", "SETITEMS"):
            given = marked() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            if not isinstance(stack[-1], dict) or len(given) % 2 or not all(type(key) is str for key in given[::2]):
                raise ValueError("it has a dictionary whose keys are not names")
            stack[-1] |= dict(zip(given[::2], given[1::2], strict=True))
        elif name == "BUILD":  # of an ordered dictionary: versions of modules, which say nothing of tensors
            stack.pop()
        elif name not in ("PROTO", "STOP"):
            raise ValueError(f"its pickle has the instruction {name}, which dictionaries of tensors do not take")
    (made,) = stack
    return made


def _storage(said: Any, members: Mapping[str, bytes], known: dict[str, _Storage]) -> _Storage:
    """The numbers that a pickle refers to, each of which is in the archive."""
    # Nothing of what a pickle made is printed or hashed before its type is known: tuples in tuples in tuples can be endless.
    what, kind, key, _, count = said
    if what != "storage" or not isinstance(kind, _Name) or kind.name not in _STORAGES:
        raise ValueError("it refers to what is no storage of numbers")
    if type(key) is not str or type(count) is not int:
        raise ValueError("it refers to a storage without name or size")
    if key not in known:
        dtype = _STORAGES[kind.name]
        bits = np.dtype("<u2" if dtype == "bfloat16" else dtype)
        content = members[key]
        if len(content) != count * bits.itemsize:
            raise ValueError(f"storage {key} has {len(content):,} bytes, expected {count:,} numbers of {bits.itemsize}")
        array = np.frombuffer(content, bits)
        # The first half of a float32 is a bfloat16.
        array = (array.astype("<u4") << 16).view("<f4") if dtype == "bfloat16" else array
        known[key] = _Storage(array.astype("f4") if dtype == "<f2" else array)
    return known[key]


def _made(what: Any, arguments: Any) -> Any:
    """An empty dictionary, or a tensor: a view of a storage, which takes no number that is not there, and none twice."""
    if what == _Name(_ORDERED) and arguments == ():
        return {}
    if what != _Name(_REBUILD):
        raise ValueError("it calls what makes no tensor")
    storage, begin, shape, strides, *_ = arguments
    numbers = [begin, *shape, *strides]
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or len(shape) > 32:
        raise ValueError("it makes a tensor of what is no storage")
    if not all(type(n) is int and 0 <= n < _MOST for n in numbers):
        raise ValueError("it makes a tensor whose sizes are no numbers")
    array, count = storage.array, math.prod(shape)
    last = begin + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if count > len(array) or (count and last >= len(array)):
        raise ValueError(f"it makes a tensor of {shape} from {len(array):,} numbers")
    steps = [step * array.itemsize for step in strides]
    view = np.lib.stride_tricks.as_strided(array[begin:], shape, steps) if count else np.zeros(shape)
    return np.array(view, array.dtype.newbyteorder("="))


# ------------------------------------------------------------------ writing


def archive(tensors: Mapping[str, Array]) -> bytes:
    """The file with these float32 tensors, as ``torch.load(path, weights_only=True)`` reads it; the same bytes each time."""
    arrays = {name: np.asarray(array, "<f4", order="C") for name, array in tensors.items()}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        members = {"data.pkl": pickled({name: array.shape for name, array in arrays.items()}), "byteorder": b"little"}
        members |= {f"data/{n}": array.tobytes() for n, array in enumerate(arrays.values())}
        for name, member in (members | {"version": b"3\n"}).items():
            file.writestr(zipfile.ZipInfo(f"archive/{name}"), member)  # dated 1980, as all are
    return content.getvalue()


def pickled(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The pickle that says which float32 tensors there are: the very bytes that PyTorch writes for up to 1,000 of them."""
    out = bytearray(b"\x80\x02}")
    memo: dict[Any, int] = {}

    def put(thing: Any) -> None:
        """Note what was made last under the next number."""
        number = memo[thing] = len(memo)
        out.extend(b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number))

    def seen(thing: Any) -> bool:
        """Take what was made before, if it was."""
        if (number := memo.get(thing)) is not None:
            out.extend(b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number))
        return number is not None

    def text(given: str) -> None:
        if not seen(given):
            out.extend(b"X" + struct.pack("<I", len(given.encode())) + given.encode())
            put(given)

    def name(given: str) -> None:
        if not seen(("name", given)):
            out.extend(b"c" + given.replace(" ", "\n").encode() + b"\n")
            put(("name", given))

    def whole(number: int) -> None:
        if number < 256:
            out.extend(b"K" + bytes([number]))
        elif number < 65536:
            out.extend(b"M" + struct.pack("<H", number))
        elif number < 1 << 31:
            out.extend(b"J" + struct.pack("<i", number))
        else:
            out.extend(b"\x8a\x08" + struct.pack("<q", number))

    def sizes(numbers: list[int], of: Any) -> None:
        out.extend(b"(" if len(numbers) > 3 else b"")
        for number in numbers:
            whole(number)
        out.extend({0: b")", 1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(numbers), b"t"))
        if numbers:
            put(of)

    put("")
    out.extend(b"(")
    for number, (key, shape) in enumerate(shapes.items()):
        text(key)
        name(_REBUILD)
        out.extend(b"((")
        text("storage")
        name("torch FloatStorage")
        text(str(number))
        text("cpu")
        whole(math.prod(shape))
        out.extend(b"t")
        put((number, "storage"))
        out.extend(b"QK\x00")
        sizes(list(shape), (number, "shape"))
        sizes([math.prod(shape[n + 1 :]) for n in range(len(shape))], (number, "strides"))
        out.extend(b"\x89")
        name(_ORDERED)
        out.extend(b")R")
        put((number, "hooks"))
        out.extend(b"t")
        put((number, "arguments"))
        out.extend(b"R")
        put((number, "tensor"))
    return bytes(out + b"u.")
