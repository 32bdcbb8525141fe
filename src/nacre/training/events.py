"""Event files, which TensorBoard shows: records around protocol buffers, of which only what is needed is here.

* Records (TFRecord): length as uint64, checksum of these 8 bytes, content, checksum of the content; all little-endian. A checksum
  is CRC-32C (RFC 3720, B.4), rotated right by 15 bits, plus 0xa282ead8. (tensorflow.org/tutorials/load_data/tfrecord)
* Protocol buffers: each field is a varint of number << 3 | kind, then the value; kinds are 0 varint, 1 eight bytes, 2 length and
  bytes, 5 four bytes. A field that is 0 is left out. (protobuf.dev/programming-guides/encoding)
* Messages (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto, histogram.proto):
  Event {wall_time = 1 double, step = 2 int64, file_version = 3 string, summary = 5}; Summary {value = 1 repeated};
  Value {tag = 1 string, simple_value = 2 float, histo = 5};
  Histogram {min = 1, max = 2, num = 3, sum = 4, sum_squares = 5, bucket_limit = 6 packed, bucket = 7 packed}, all double.
  The first event of a file has only a time and the version "brain.Event:2".
"""

from __future__ import annotations

import itertools
import os
import platform
import struct
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_BINS = 30  # of a histogram
_NUMBER = itertools.count()  # of the files of this process


class EventFile:
    """One file of events in a folder. It is made with the first event, and closed between two writes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = EventFile(Path(folder))
    ...     file.write(3, [scalar("loss", 0.5)])
    ...     len(list(Path(folder).glob("events.out.tfevents.*")))
    1
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path: Path | None = None

    def write(self, step: int, values: Iterable[bytes]) -> None:
        """Add an event at a step, with what `scalar` and `histogram` gave."""
        now = time.time()
        if self._path is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            who = f"{int(now):010}.{platform.node() or 'nobody'}.{os.getpid()}.{next(_NUMBER)}"
            self._path = self.folder / f"events.out.tfevents.{who}.v2"
            self._path.write_bytes(first(now))
        with self._path.open("ab") as file:
            file.write(event(now, step, values))


def first(wall_time: float) -> bytes:
    """The record that a file begins with."""
    return _record(_double(1, wall_time) + _bytes(3, b"brain.Event:2"))


def event(wall_time: float, step: int, values: Iterable[bytes]) -> bytes:
    """The record of an event with some values; the time is in seconds since 1970."""
    summary = b"".join(_bytes(1, value) for value in values)
    at = _varint(2 << 3) + _varint(step) if step else b""
    return _record(_double(1, wall_time) + at + _bytes(5, summary))


def scalar(tag: str, value: float) -> bytes:
    """A number under a name."""
    with np.errstate(over="ignore"):
        number: bytes = np.array(value, "<f4").tobytes()
    return _bytes(1, tag.encode()) + _varint(2 << 3 | 5) + number


def histogram(tag: str, values: npt.NDArray[Any]) -> bytes:
    """How numbers are distributed, in bins of equal width, under a name. What is not finite is left out."""
    x = np.asarray(values, np.float64)
    x = x[np.isfinite(x)]
    if not x.size:
        return _bytes(1, tag.encode()) + _bytes(5, b"")
    counts, edges = np.histogram(x, _BINS)
    plain = [x.min(), x.max(), x.size, x.sum(), np.square(x).sum()]
    content = b"".join(_double(n, float(number)) for n, number in enumerate(plain, 1))
    content += b"".join(_bytes(n, a.astype("<f8").tobytes()) for n, a in ((6, edges[1:]), (7, counts)))
    return _bytes(1, tag.encode()) + _bytes(5, content)


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """The checksum of Castagnoli, G. Castagnoli et al., IEEE Transactions on Communications 41, 1993.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc, table = 0xFFFFFFFF, _table()
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [n >> 1 ^ (0x82F63B78 if n & 1 else 0) for n in table]
    return table


def _varint(number: int) -> bytes:
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*content, number])


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number) if number else b""


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
