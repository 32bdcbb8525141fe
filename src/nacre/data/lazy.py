"""Rows that others keep: arrays in HDF5 and Zarr files, data sets of PyTorch and Hugging Face, known by what they can do."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from nacre.data.shards import Pieces, readers
from nacre.data.stream import is_stream, paired, stacked
from nacre.errors import DataError, UsageError, add_note

_READ = 1 << 24  # bytes, about, that are read at once
_PLACES = 32  # at which rows are looked at to tell data from other data
_ITEMS = 256  # of things that come one by one


def pieces_of(x: object, y: object = None, weight: object = None) -> Pieces | None:
    """Data that are read a piece at a time, if x is such; None for arrays, batches and all else.

    These are `Pieces`; arrays with chunks, as h5py, Zarr and Dask have them; data sets with ``__len__`` and ``__getitem__`` and no
    ``__iter__``, whose items are pairs (x, y), as PyTorch has them; and those of Hugging Face, with columns of which one is called
    label.
    """
    if isinstance(x, Pieces):
        return _alone(x, y, weight)
    if any(map(_is_chunked, _each(x))):
        return ArrayPieces(x, y, weight)
    if (
        not isinstance(x, Mapping)
        and hasattr(x, "column_names")
        and hasattr(x, "with_format")
        and hasattr(x, "__len__")
    ):
        return _alone(ColumnPieces(x), y, weight)
    known = isinstance(x, Iterable | Mapping) or any(
        hasattr(x, name) for name in ("shape", "dtype", "to_numpy", "columns")
    )
    if not known and not is_stream(x) and hasattr(x, "__getitem__") and hasattr(x, "__len__"):
        return _alone(ItemPieces(x), y, weight)
    return None


def _alone(pieces: Pieces, y: object, weight: object) -> Pieces:
    if y is not None or weight is not None:
        raise UsageError(f"{pieces.name} has its targets with it, but others were given too.", hint="leave out y")
    return pieces


class ArrayPieces:
    """Rows of x (n, ...), y (n, ...) and weights, each an array of any kind, or a list or dictionary of them, read by slices.

    >>> pieces = ArrayPieces(np.zeros((5, 3)), np.arange(5))
    >>> pieces.sizes, [part.shape for part in next(iter(pieces.read(0)))]
    ([5], [(5, 3), (5,)])
    """

    def __init__(self, x: Any, y: Any = None, weight: Any = None) -> None:
        self._parts = [part for part in (x, y, weight) if part is not None]
        if y is None and weight is not None:
            raise UsageError("Weights of rows were given, but no targets.", hint="pass y")
        arrays = [array for part in self._parts for array in _each(part)]
        self.name = "x"
        self.threads = readers()
        if any(len(np.shape(array)) == 0 for array in arrays):
            raise DataError("x and y are arrays with one row per sample, and one of them is a single number.")
        rows = {np.shape(array)[0] for array in arrays}
        if len(rows) > 1:
            raise DataError(
                f"x and y differ in length: {', '.join(f'{np.shape(a)[0]:,}' for a in arrays)} rows.",
                hint="give one target to each row",
            )
        (self._rows,) = rows
        width = sum(np.dtype(getattr(a, "dtype", "f4")).itemsize * math.prod(np.shape(a)[1:]) for a in arrays)
        # Whole chunks, of what is largest: a part of one costs as much to read as all of it.
        chunk = max((_chunk(array) for array in arrays), default=1)
        self._step = max(1, round(_READ / max(1, width) / chunk)) * chunk
        self.sizes = [min(self._step, self._rows - start) for start in range(0, self._rows, self._step)]

    def read(self, piece: int) -> Iterable[tuple[Any, ...]]:
        """Its rows, in one part."""
        rows = slice(piece * self._step, piece * self._step + self.sizes[piece])
        yield tuple(_taken(part, rows) for part in self._parts)

    def told(self, piece: int) -> str:
        """Which rows."""
        start = piece * self._step
        return f"Rows {start:,} to {start + self.sizes[piece] - 1:,}"

    def fingerprint(self) -> str:
        """A checksum of some rows from all over."""
        crc = 0
        for start in np.linspace(0, max(self._rows - 1, 0), _PLACES).astype(int).tolist():
            for part in self._parts:
                for array in _each(_taken(part, slice(start, start + 1))):
                    crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
        return f"{crc:08x}"


class ItemPieces:
    """The items of ``dataset[0]``, ``dataset[1]``, ..., each a pair (x, y), or (x, y, sample_weight), or x alone.

    Items are asked for by one thread: nothing is known of what they do.

    >>> class Squares:
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, n):
    ...         return [float(n)], n * n
    >>> [part.tolist() for part in next(iter(ItemPieces(Squares()).read(0)))]
    [[[0.0], [1.0], [2.0], [3.0]], [0, 1, 4, 9]]
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.name = type(dataset).__name__
        self.threads = 1
        count = len(dataset)
        self.sizes = [min(_ITEMS, count - start) for start in range(0, count, _ITEMS)]

    def read(self, piece: int) -> Iterable[tuple[Any, ...]]:
        """Its rows, in one part."""
        items = [self._item(piece * _ITEMS + n) for n in range(self.sizes[piece])]
        if all(isinstance(item, Mapping) for item in items):
            yield paired({name: [item[name] for item in items] for name in items[0]})
            return
        items = [tuple(item) if isinstance(item, tuple | list) else (item,) for item in items]
        if any(len(item) != len(items[0]) for item in items):
            raise DataError("Some of its items are pairs, and some are not.")
        yield tuple(stacked(parts) for parts in zip(*items, strict=True))

    def _item(self, number: int) -> Any:
        try:
            return self._dataset[number]
        except Exception as error:
            add_note(error, f"in item {number:,} of {self.name}")
            raise

    def told(self, piece: int) -> str:
        """Which items."""
        return f"Items {piece * _ITEMS:,} to {piece * _ITEMS + self.sizes[piece] - 1:,} of {self.name}"

    def fingerprint(self) -> str:
        """How many there are: asked again, they may be others, as where they vary by chance."""
        return f"{sum(self.sizes)} of {self.name}"


class ColumnPieces:
    """Rows of a data set of columns, as Hugging Face has them: the one called label (or labels, y, target) is what is to be
    predicted, the others are the inputs: the only one, or by their names."""

    def __init__(self, dataset: Any) -> None:
        self.name = type(dataset).__name__
        self.threads = 1
        self._dataset = dataset.with_format("numpy")
        count = len(dataset)
        self.sizes = [min(_ITEMS, count - start) for start in range(0, count, _ITEMS)]

    def read(self, piece: int) -> Iterable[tuple[Any, ...]]:
        """Its rows, in one part."""
        start = piece * _ITEMS
        yield paired(self._dataset[start : start + self.sizes[piece]])

    def told(self, piece: int) -> str:
        """Which rows."""
        return f"Rows {piece * _ITEMS:,} to {piece * _ITEMS + self.sizes[piece] - 1:,} of {self.name}"

    def fingerprint(self) -> str:
        """What the data set says of itself, or how many rows there are."""
        return str(getattr(self._dataset, "_fingerprint", sum(self.sizes)))


def _each(given: Any) -> Iterator[Any]:
    """The arrays in what is given for one or several inputs."""
    if isinstance(given, Mapping):
        yield from given.values()
    elif isinstance(given, list | tuple) and given and all(hasattr(one, "shape") for one in given):
        yield from given
    else:
        yield given


def _is_chunked(x: object) -> bool:
    """Whether it is an array that lies elsewhere."""
    return all(hasattr(x, name) for name in ("shape", "dtype", "chunks", "__getitem__")) and not isinstance(
        x, np.ndarray
    )


def _chunk(array: Any) -> int:
    """Rows that lie together."""
    chunks = getattr(array, "chunks", None)
    first = chunks[0] if chunks else 1
    return int(first[0] if isinstance(first, tuple) else first) or 1


def _taken(part: Any, rows: slice) -> Any:
    if isinstance(part, Mapping):
        return {name: np.asarray(array[rows]) for name, array in part.items()}
    if isinstance(part, list | tuple) and all(hasattr(one, "shape") for one in part):
        return [np.asarray(array[rows]) for array in part]
    some = part[rows]
    return some if isinstance(some, np.ndarray) else np.asarray(some)  # masked arrays stay, and are refused
