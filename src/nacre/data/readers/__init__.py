"""Files to arrays: one reader per format, chosen by the first bytes of the file, then by its name."""

from __future__ import annotations

import os
import tokenize
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.limits import check_growth
from nacre.data.readers.idx import GZIP, is_idx, read_idx
from nacre.errors import DataError, NacreError, UnknownName, did_you_mean, guest

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Reader:
    """A file format: its name, how its files' names end, a test of their first bytes, and what reads them."""

    name: str
    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    read: Callable[[Path], Array | dict[str, Array]]


def read_npy(path: str | os.PathLike[str]) -> Array:
    """The array in a ``.npy`` file. Raises `DataError` if it is damaged or holds Python objects."""
    # A memory map compares the header with the size of the file before anything is allocated.
    with _refusing(path):
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))


def read_hdf5(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays in an HDF5 file, by name. Raises `DataError` if it is damaged, or what is in it lies elsewhere, and `UsageError`
    without h5py."""
    h5py = guest("h5py", f"Reading {path}", "hdf5")
    with _refusing(path), h5py.File(path, "r") as file:
        found: dict[str, Array] = {}
        size = stored = 0
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise DataError(f"{path} has a link {name!r}, which is not followed.")
            one = file[name]
            if isinstance(one, h5py.Dataset) and one.shape is not None and one.dtype.kind in "biuf":
                if one.external or one.is_virtual:
                    raise DataError(f"{path} has an array {name!r} that lies in other files, which are not opened.")
                size, stored = size + one.nbytes, stored + one.id.get_storage_size()
                check_growth(str(path), size, stored)
                found[name] = one[...]
        return found


def read_zarr(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays in the folder of a Zarr group, by name; as "x" where it is a single array. Raises as `read_hdf5` does."""
    zarr = guest("zarr", f"Reading {path}", "zarr")
    with _refusing(path):
        opened = zarr.open(str(path), mode="r")
        arrays = {"x": opened} if isinstance(opened, zarr.Array) else dict(opened.arrays())
        found: dict[str, Array] = {}
        size = stored = 0
        for name, one in arrays.items():
            if one.dtype.kind in "biuf":  # objects are made by code that the file names
                size, stored = size + one.nbytes, stored + one.nbytes_stored()
                check_growth(str(path), size, stored)
                found[name] = np.asarray(one[...])
        return found


def holds_zarr(folder: Path) -> bool:
    """Whether a folder is one of Zarr."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))


def read_npz(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays in a ``.npz`` file, by name. Raises `DataError` if it is damaged or holds Python objects."""
    # NumPy forgets to close a file that it opened and then refuses, so the file is ours.
    with _refusing(path), open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: _ordinary(archive[name]) for name in archive.files}


READERS = (
    Reader("idx", (".idx", ".idx.gz", "-ubyte", "-ubyte.gz"), is_idx, read_idx),
    Reader("npz", (".npz",), lambda head: head[:4] in (b"PK\x03\x04", b"PK\x05\x06"), read_npz),
    Reader("npy", (".npy",), lambda head: head.startswith(b"\x93NUMPY"), read_npy),
    Reader("HDF5", (".h5", ".hdf5"), lambda head: head.startswith(b"\x89HDF\r\n"), read_hdf5),
)


def read(path: str | os.PathLike[str]) -> Array | dict[str, Array]:
    """What is in the file: one array, or for ``.npz`` a dict of them.

    Raises `UnknownName` for a format that no reader knows, `DataError` for a file that is not what it should be, and
    `FileNotFoundError`.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError(f"Cannot read {path}: not an ordinary file.")
    head = _head(path)
    by_content = [reader for reader in READERS if reader.matches(head)]
    by_name = [reader for reader in READERS if path.name.lower().endswith(reader.suffixes)]
    if not (chosen := by_content + by_name):
        known = [suffix for reader in READERS for suffix in reader.suffixes]
        found = {"starts with": head[:8].hex(" ") or "nothing"}
        hint = did_you_mean(path.suffix, known)
        raise UnknownName(f"Cannot read {path}: no reader knows this kind of file.", found, hint)
    return chosen[0].read(path)


def _head(path: Path) -> bytes:
    """The first bytes of the content, looking through gzip."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if not head.startswith(GZIP):
        return head[:16]
    try:
        return zlib.decompressobj(31).decompress(head, 16)
    except zlib.error:
        return b""


def _ordinary(value: object) -> Array:
    if not isinstance(value, np.ndarray):  # a member of the archive that is no .npy file comes back as bytes
        raise ValueError("it holds something that is no array")
    return value


@contextmanager
def _refusing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what NumPy and zipfile raise on a damaged file into a `DataError` that names it."""
    from zipfile import BadZipFile  # noqa: PLC0415 - slow to import, needed only here

    damage = (ValueError, EOFError, BadZipFile, zlib.error, OSError)
    header = (SyntaxError, tokenize.TokenError, RecursionError, MemoryError)  # text that is no dtype and shape
    unusual = (NotImplementedError, RuntimeError, KeyError)  # unknown compression, a password, a directory that lies
    try:
        yield
    except (NacreError, FileNotFoundError, PermissionError):
        raise
    except (*damage, *header, *unusual) as fault:
        raise DataError(f"Cannot read {path}: {fault}.", hint="save it again with numpy.save or numpy.savez") from fault
