"""Data that need not fit into memory: pieces are read ahead of the training, in an order by chance, and mixed in a window."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nacre.data.dataset import Column, Dataset
from nacre.data.stream import alike
from nacre.distributed import Others
from nacre.errors import DataError, NacreError, UsageError

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]

WINDOW = 1 << 28  # bytes of the rows that are mixed with each other; those that come next need as much again
_LOOKED_AT = 256  # rows that tell what the others are like


@runtime_checkable
class Pieces(Protocol):
    """Rows that are read a piece at a time, by as many ``threads`` at once as they allow. ``name`` is what errors call them."""

    name: str
    threads: int

    @property
    def sizes(self) -> Sequence[int]:
        """How many rows each piece has."""

    def read(self, piece: int) -> Iterable[tuple[Any, ...]]:
        """The rows of a piece in their order, in parts: (x,), (x, y) or (x, y, sample_weight), as `Model.fit` takes them."""

    def told(self, piece: int) -> str:
        """What errors call the piece."""

    def fingerprint(self) -> str:
        """What tells these rows from others, without reading all of them."""


@dataclass(frozen=True)
class _Span:
    """Rows ``start`` to ``stop`` of a piece."""

    piece: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Shards:
    """The rows of ``pieces``, each part made by ``make`` and checked by ``check`` as it is read; all must look like the first.

    An epoch takes the pieces in an order by chance, as many at a time as fill a window, and the rows of a window in an order by
    chance: each row once. While a window is trained on, threads read the next one. If one window holds all, the order is that of an
    array in memory. Raises `DataError` for a piece that has other rows than it says.

    Of several processes that go over the rows together, each reads a part of the pieces of each window, and hands it to the others.

    >>> from nacre.data.lazy import ArrayPieces
    >>> shards = Shards(ArrayPieces(np.arange(6.0), np.arange(6)))
    >>> [(len(window), order.tolist()) for window, order in shards.windows(4)]
    [(6, [0, 1, 2, 3, 4, 5])]
    """

    def __init__(
        self,
        pieces: Pieces,
        check: Callable[[Dataset], Dataset] = lambda data: data,
        targets: bool = True,
        make: Callable[..., Dataset] = Dataset,
    ) -> None:
        self._pieces, self._check, self._targets, self._make = pieces, check, targets, make
        self._spans = [_Span(number, 0, rows) for number, rows in enumerate(pieces.sizes) if rows]
        if not self._spans:
            raise DataError(f"{pieces.name} has no rows.")
        # Only what is looked at stays: the part that it comes from may be large.
        part = next(iter(self._read(self._spans[0])))
        few = part.rows(0, min(len(part), _LOOKED_AT))
        self.first = Dataset.of(*(tuple(map(_copied, part)) for part in (few.inputs, few.targets, few.weights)))
        self._width = sum(c.array.itemsize * math.prod(c.array.shape[1:]) for c in self.first.columns)

    def __len__(self) -> int:
        return sum(map(len, self._spans))

    def fingerprint(self) -> str:
        """Types, and checksums of the first rows, of which rows are in which piece, and of what the pieces tell of themselves."""
        sizes = [(span.piece, span.start, span.stop) for span in self._spans]
        told = f"{sizes} {self._pieces.fingerprint()}"
        return f"{len(self):,} rows in pieces ({zlib.crc32(told.encode()):08x}), {self.first.fingerprint()}"

    def split(self, fraction: float) -> tuple[Shards, Shards]:
        """All but the last ``fraction`` of the rows, and those. Raises `UsageError` for a fraction outside (0, 1), or one that
        leaves a part empty."""
        at = math.floor(len(self) * (1 - fraction)) if 0 < fraction < 1 else 0
        if at in (0, len(self)):
            raise UsageError(f"validation_split={fraction} of {len(self):,} rows leaves a part without rows.")
        return self.rows(0, at), self.rows(at, len(self))

    def rows(self, start: int, stop: int) -> Shards:
        """Rows ``start`` to ``stop`` (exclusive). Pieces outside of them are not read."""
        found, begin = [], 0
        for span in self._spans:
            a, b = max(start - begin, 0), min(stop - begin, len(span))
            if a < b:
                found.append(_Span(span.piece, span.start + a, span.start + b))
            begin += len(span)
        part = Shards.__new__(Shards)
        part.__dict__.update(self.__dict__)
        part._spans = found
        return part

    def windows(
        self,
        batch_size: int,
        begin: int = 0,
        permutation: Callable[[int, int], Rows] | None = None,
        others: Others | None = None,
    ) -> Iterator[tuple[Dataset, Rows]]:
        """Rows in memory and the order in which to take them, until all were taken, whole batches except for the last one; of which
        the first ``begin`` rows are left out. ``permutation`` gives the order of so many things, for each number another one;
        without it, all stay in their order. With ``others``, all go over the same rows at the same time, and share in the reading.
        """
        plan = self._plan(permutation)
        while plan and begin >= _count(plan[0][1]):
            begin -= _count(plan.pop(0)[1])
        if not plan:
            return
        if len(plan) > 1 and batch_size * self._width > WINDOW:
            raise UsageError(
                f"A batch of {batch_size:,} rows is larger than what is kept in memory, {WINDOW // self._width:,} rows.",
                hint="a smaller batch_size",
            )
        room = batch_size if len(plan) > 1 else 0  # in front of a window, for rows left over from the one before
        most = max(_count(spans) for _, spans in plan) + room
        columns = self.first.columns
        buffers = [[np.empty((most, *c.array.shape[1:]), c.dtype) for c in columns] for _ in range(min(2, len(plan)))]
        pool = ThreadPoolExecutor(self._pieces.threads, "nacre-read")
        try:
            filling = self._fill(pool, plan[0], buffers[0], room, others)
            left = 0  # rows over from the last window
            for at, (number, spans) in enumerate(plan):
                for future in filling:
                    future.result()
                arrays, rows = buffers[at % 2], _count(spans)
                if at + 1 < len(plan):
                    filling = self._fill(pool, plan[at + 1], buffers[(at + 1) % 2], room, others)
                if others is not None:
                    ends = np.cumsum([room, *map(len, spans)])
                    parts = [slice(*ends[[part.start, part.stop]]) for part in _dealt(spans, number, others.processes)]
                    for array in arrays:
                        others.share(array, parts)
                order = np.arange(rows) if permutation is None else permutation(rows, number)
                order = np.concatenate([np.arange(room - left, room), order[begin:] + room])
                begin = 0
                whole = len(order) if at + 1 == len(plan) else len(order) // batch_size * batch_size
                over, order = order[whole:], order[:whole]
                if len(order):
                    yield self._window(arrays, rows + room), order
                left = len(over)
                if left:
                    for array, other in zip(arrays, buffers[(at + 1) % 2], strict=True):
                        other[room - left : room] = array[over]
        finally:
            pool.shutdown(cancel_futures=True)

    def _plan(self, permutation: Callable[[int, int], Rows] | None) -> list[tuple[int, list[_Span]]]:
        """The spans of each window, and its number."""
        most = max(1, WINDOW // max(1, self._width))
        spans = [
            _Span(span.piece, start, min(start + most, span.stop))
            for span in self._spans
            for start in range(span.start, span.stop, most)
        ]
        if permutation is not None and sum(map(len, spans)) > most:
            spans = [spans[at] for at in permutation(len(spans), -1).tolist()]
        windows: list[list[_Span]] = [[]]
        for span in spans:
            if _count(windows[-1]) + len(span) > most:
                windows.append([])
            windows[-1].append(span)
        return list(enumerate(windows))

    def _fill(
        self,
        pool: ThreadPoolExecutor,
        window: tuple[int, Sequence[_Span]],
        arrays: list[Array],
        at: int,
        others: Others | None,
    ) -> list[Future[None]]:
        """Begin to read a window into ``arrays``, from row ``at`` on, each span to its place, whichever is read first; all of them,
        or those that this process reads for ``others``."""
        number, spans = window
        mine = slice(None) if others is None else _dealt(spans, number, others.processes)[others.index]
        at += _count(spans[: mine.start or 0])
        futures = []
        for span in spans[mine]:
            futures.append(pool.submit(self._read_into, span, [array[at : at + len(span)] for array in arrays]))
            at += len(span)
        return futures

    def _read_into(self, span: _Span, arrays: list[Array]) -> None:
        at = 0
        for part in self._read(span):
            for array, column in zip(arrays, part.columns, strict=True):
                array[at : at + len(part)] = column.array
            at += len(part)

    def _read(self, span: _Span) -> Iterator[Dataset]:
        """The rows of a span, in parts. Raises `DataError` if they are not as many as was said."""
        size, at = self._pieces.sizes[span.piece], 0
        try:
            for given in self._pieces.read(span.piece):
                part = self._checked(given)
                if at + len(part) > size:
                    raise DataError(f"It has more rows than the {size:,} that were expected.")
                first, last = max(span.start - at, 0), min(span.stop - at, len(part))
                at += len(part)
                if first < last:
                    yield part.rows(first, last)
                if at >= span.stop < size:
                    break
            if at < span.stop:
                raise DataError(f"It has {at:,} rows, expected {size:,}.")
        except NacreError as error:
            raise type(error)(f"{self._pieces.told(span.piece)}: {error}") from None

    def _checked(self, given: tuple[Any, ...]) -> Dataset:
        if self._targets and len(given) < 2:
            raise UsageError("It has no targets.", hint="pass y")
        part = self._make(*given) if self._targets else self._make(given[0])
        part = self._check(part)
        return alike(part, self.first) if hasattr(self, "first") else part

    def _window(self, arrays: list[Array], rows: int) -> Dataset:
        """Arrays as the columns of a dataset."""
        columns = [Column(c.name, array[:rows]) for c, array in zip(self.first.columns, arrays, strict=True)]
        inputs, targets = len(self.first.inputs), len(self.first.targets)
        return Dataset.of(
            tuple(columns[:inputs]), tuple(columns[inputs : inputs + targets]), tuple(columns[inputs + targets :])
        )


def readers() -> int:
    """How many threads read at once."""
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _dealt(spans: Sequence[_Span], number: int, processes: int) -> list[slice]:
    """Which spans each process reads of the window with a number: neighbors, of about as many rows. Where there are fewer spans
    than processes, others read from window to window."""
    sizes = np.array([len(span) for span in spans])
    middles = 2 * np.cumsum(sizes) - sizes  # twice that of each span, in rows
    cuts = np.searchsorted(middles * processes // (2 * sizes.sum()), np.arange(processes + 1))
    parts = [slice(*cut) for cut in pairwise(cuts.tolist())]
    return [parts[(index - number) % processes] for index in range(processes)]


def _count(spans: Iterable[_Span]) -> int:
    return sum(map(len, spans))


def _copied(column: Column) -> Column:
    return Column(column.name, np.array(column.array, column.dtype))
