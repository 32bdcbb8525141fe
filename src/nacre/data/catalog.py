"""The data sets that come with nacre: `digits` is in the package, `mnist` is fetched once and kept.

Digits: "Optical recognition of handwritten digits", E. Alpaydin and C. Kaynak, UCI Machine Learning Repository,
CC BY 4.0 (see digits.LICENSE.txt).
"""

from __future__ import annotations

import hashlib
import math
import os
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.readers.idx import read_idx
from nacre.errors import DataError
from nacre.files import write_whole

Array = npt.NDArray[Any]
Split = tuple[tuple[Array, Array], tuple[Array, Array]]

MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
TIMEOUT = 30.0  # seconds without a byte
_TEST_DIGITS = 360


@dataclass(frozen=True)
class Catalogued:
    """A data set by name: call it, or its `load_data()`, for ``(x_train, y_train), (x_test, y_test)``, all uint8.

    ``scale`` is the number to divide x by to get values from 0 to 1; labels are 0 to ``classes - 1``.

    >>> (x_train, y_train), (x_test, y_test) = digits()
    >>> x_train.shape, y_test.shape, digits.scale
    ((1437, 8, 8), (360,), 16)
    """

    name: str
    description: str
    scale: int
    classes: int
    source: Callable[[], Split] = field(repr=False)
    at_hand: Callable[[], bool] = field(repr=False, default=lambda: True)  # whether nothing needs to be fetched

    def __call__(self) -> Split:
        """The data set; see `load_data`."""
        return self.source()

    def load_data(self) -> Split:
        """The data set, split for good into training and test part. Raises `DataError` when it cannot be had."""
        return self.source()


@dataclass(frozen=True)
class _Part:
    """One of MNIST's files. The checksum is of the content, so that another way of compressing it does not matter."""

    file: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def nbytes(self) -> int:
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


_MNIST = (
    _Part(
        "train-images-idx3-ubyte", (60000, 28, 28), "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    _Part("train-labels-idx1-ubyte", (60000,), "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    _Part(
        "t10k-images-idx3-ubyte",
        (10000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    _Part("t10k-labels-idx1-ubyte", (10000,), "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)


def _load_digits() -> Split:
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    train, test = _stratified(labels, _TEST_DIGITS)
    return (images[train], labels[train]), (images[test], labels[test])


def _stratified(labels: Array, size: int) -> tuple[list[int], list[int]]:
    """Rows to train on and ``size`` rows to test on, each class in proportion.   labels (n,)

    The order is that of a hash of the row's number: shuffled, and the same for every machine and version of NumPy.
    """
    left = _shares(np.bincount(labels).tolist(), size)
    train: list[int] = []
    test: list[int] = []
    for row in _shuffled(range(len(labels)), "choose"):
        (test if left[labels[row]] > 0 else train).append(row)
        left[labels[row]] -= 1
    # Again, with another salt: as chosen, training would start with the classes whose share of the test is full first.
    return _shuffled(train, "order"), _shuffled(test, "order")


def _shuffled(rows: Iterable[int], salt: str) -> list[int]:
    return sorted(rows, key=lambda row: hashlib.sha256(f"{salt} {row}".encode()).digest())


def _shares(counts: list[int], size: int) -> list[int]:
    """``size`` divided in proportion to ``counts``, in whole numbers: those with the largest remainder get one more.

    >>> _shares([5, 3, 2], 5)
    [3, 1, 1]
    """
    shares = [count * size // sum(counts) for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda k: -(counts[k] * size % sum(counts)))
    for k in by_remainder[: size - sum(shares)]:
        shares[k] += 1
    return shares


def _load_mnist() -> Split:
    complete = _complete()
    folder = complete[0] if complete else _fetched(_cache())
    x_train, y_train, x_test, y_test = (_read(folder, part) for part in _MNIST)
    return (x_train, y_train), (x_test, y_test)


def _complete() -> list[Path]:
    """Folders that hold all of MNIST."""
    shelf = os.environ.get("NACRE_DATA")
    folders = [Path(shelf) / "mnist"] if shelf else []
    return [folder for folder in [*folders, _cache()] if all(_local(folder, part) for part in _MNIST)]


def _cache() -> Path:
    """Where fetched data is kept for the next time."""
    from platformdirs import user_cache_dir  # noqa: PLC0415 - slow to import, needed only here

    return Path(os.environ.get("NACRE_HOME") or user_cache_dir("nacre")) / "mnist"


def _local(folder: Path, part: _Part) -> Path | None:
    return next((path for path in (folder / f"{part.file}.gz", folder / part.file) if path.is_file()), None)


def _read(folder: Path, part: _Part) -> Array:
    """One file of a folder that has it. Structure is checked, not the checksum: look-alikes of MNIST are welcome."""
    path = _local(folder, part)
    assert path is not None
    array = read_idx(path)
    if array.shape != part.shape or array.dtype != np.uint8:
        raise DataError(f"{path} holds {array.dtype} {array.shape}, expected uint8 {part.shape}.")
    if array.ndim == 1 and array.max() > 9:
        raise DataError(f"{path} holds the label {array.max()}, expected labels 0 to 9.")
    return array


def _fetched(folder: Path) -> Path:
    """``folder``, with the files that it lacked."""
    if os.environ.get("NACRE_OFFLINE", "0") not in ("", "0"):
        raise _unavailable(folder, "NACRE_OFFLINE is set, so nothing is downloaded")
    from http.client import HTTPException  # noqa: PLC0415 - slow to import, needed only here

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in _MNIST:
            if not _local(folder, part):
                write_whole(folder / f"{part.file}.gz", [_verified(part, _download(part))])
    except (OSError, HTTPException) as fault:
        raise _unavailable(folder, f"{type(fault).__name__}: {fault}") from fault
    except ValueError as fault:
        raise _unavailable(folder, str(fault)) from fault
    return folder


def _download(part: _Part) -> bytes:
    """The compressed file; at most as many bytes as could make sense."""
    from urllib.error import HTTPError  # noqa: PLC0415 - slow to import, needed only here
    from urllib.request import urlopen  # noqa: PLC0415

    try:
        with urlopen(f"{MIRROR}{part.file}.gz", timeout=TIMEOUT) as response:
            content: bytes = response.read(part.nbytes + 1024)
    except HTTPError as fault:
        fault.close()  # it holds the connection
        raise
    return content


def _verified(part: _Part, content: bytes) -> bytes:
    """``content``, a whole gzip file that holds what it should. Raises `ValueError` otherwise."""
    unzip = zlib.decompressobj(31)
    try:
        plain = unzip.decompress(content, part.nbytes + 1)
    except zlib.error as fault:
        raise ValueError(f"{part.file}.gz arrived damaged: {fault}") from fault
    found = hashlib.sha256(plain).hexdigest()
    if found != part.sha256 or not unzip.eof or unzip.unused_data:
        sums = f"sha256 {found[:12]}..., expected {part.sha256[:12]}..."
        raise ValueError(f"{part.file}.gz has the wrong checksum: {sums}")
    return content


def _unavailable(folder: Path, why: str) -> DataError:
    return DataError(
        "MNIST is not on this computer, and it could not be downloaded.",
        {"found": why, "files": ", ".join(f"{part.file}.gz" for part in _MNIST), "from": MIRROR},
        f"put these four files in {folder}, or in mnist/ of the folder that NACRE_DATA names",
    )


digits = Catalogued("digits", "1,797 handwritten digits, 8 x 8, in the package", 16, 10, _load_digits)
mnist = Catalogued(
    "mnist",
    "70,000 handwritten digits, 28 x 28, downloaded once (11 MB)",
    255,
    10,
    _load_mnist,
    lambda: bool(_complete()),
)

DATASETS: dict[str, Catalogued] = {dataset.name: dataset for dataset in (digits, mnist)}
