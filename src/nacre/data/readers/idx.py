"""The idx format of MNIST: two zero bytes, type, rank, sizes, then the numbers, all big-endian; often gzipped."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError

Array = npt.NDArray[Any]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_RANK = 8
GZIP = b"\x1f\x8b"
_CHUNK = 1 << 20
_DEFLATE_LIMIT = 1040  # deflate cannot make data smaller than 1/1032; a header that needs more than that lies


def is_idx(head: bytes) -> bool:
    """Whether a file whose (decompressed) content starts with ``head`` is idx.

    >>> is_idx(bytes([0, 0, 8, 3])), is_idx(b"PK..")
    (True, False)
    """
    return len(head) >= 4 and head[:2] == b"\0\0" and head[2] in TYPES and 1 <= head[3] <= MAX_RANK


def read_idx(path: str | os.PathLike[str]) -> Array:
    """The array in an idx or gzipped idx file, in native byte order and of the rank (1 to 8) and sizes it declares.

    Raises `DataError` for a file that is damaged, cut short, too long, or no idx file at all; never reads more than the
    file's header declares, so that a small file cannot fill the memory.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise DataError(f"Cannot read {path}: not an ordinary file.")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        zipped = file.peek(2)[:2] == GZIP
        if not zipped:
            return _parse(path, file, limit=size, exact=True)
        try:
            with gzip.GzipFile(fileobj=file) as unzipped:
                return _parse(path, unzipped, limit=size * _DEFLATE_LIMIT, exact=False)
        except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
            raise _refused(path, f"the gzip data is damaged ({fault})") from fault


def _parse(path: Path, stream: BinaryIO | gzip.GzipFile, limit: int, exact: bool) -> Array:
    """Header, then numbers. The content has at most ``limit`` bytes, and just as many if ``exact``."""
    dtype, shape = _header(path, stream)
    start, count = 4 + 4 * len(shape), math.prod(shape)
    declared = start + count * dtype.itemsize
    if declared > limit or (exact and declared != limit):
        raise _wrong_size(path, f"{'' if exact else 'at most '}{limit:,}", declared, dtype, shape)
    content = _take(stream, declared - start + 1)
    if len(content) != declared - start:
        more = len(content) > declared - start
        found = f"more than {declared:,}" if more else f"{start + len(content):,}"
        raise _wrong_size(path, found, declared, dtype, shape)
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _header(path: Path, stream: BinaryIO | gzip.GzipFile) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = bytes(_take(stream, 4))
    if not is_idx(magic):
        found = magic.hex(" ") or "nothing"
        raise _refused(path, f"no idx file: it starts with {found}, expected 00 00, a type, a rank of 1 to {MAX_RANK}")
    rank = magic[3]
    sizes = _take(stream, 4 * rank)
    if len(sizes) != 4 * rank:
        raise _refused(path, f"the file ends in its header, after {4 + len(sizes)} of {4 + 4 * rank} bytes")
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{rank}I", sizes)


def _take(stream: BinaryIO | gzip.GzipFile, count: int) -> bytearray:
    """Up to ``count`` bytes, in chunks: memory grows with what is there, not with what the header promises."""
    content = bytearray()
    while chunk := stream.read(min(_CHUNK, count - len(content))):
        content += chunk
    return content


def _wrong_size(path: Path, found: str, declared: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> DataError:
    what = f"{dtype.newbyteorder('=')} {' x '.join(map(str, shape))}"
    return _refused(path, f"its content is {found} bytes, its header says {declared:,} ({what})")


def _refused(path: Path, why: str) -> DataError:
    return DataError(f"Cannot read {path}: {why}.", hint="get the file again")
