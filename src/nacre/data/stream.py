"""Data that comes batch by batch: from a generator, a list of batches, a loader that reads as it goes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set, Sized
from typing import Any

import numpy as np

from nacre.data.dataset import Column, Dataset, described
from nacre.errors import DataError, DTypeError, NacreError, ShapeError

# Iterables that are one array or one mistake, but no batches.
_NO_STREAMS = (Sequence, Mapping, Set)
_TARGETS = ("label", "labels", "y", "target", "targets")  # what the column to predict is called
_ARRAYS = ("__array__", "__array_interface__", "to_numpy")


def is_stream(x: object) -> bool:
    """Whether x yields batches: an iterator, a list of tuples of arrays, or anything else that iterates and is no array.

    >>> is_stream(batch for batch in []), is_stream([[1, 2], [3, 4]])
    (True, False)
    """
    if _is_numbered(x):
        return True
    if isinstance(x, list):
        return bool(x) and isinstance(x[0], tuple) and all(_is_array(part) or _are_arrays(part) for part in x[0])
    return isinstance(x, Iterable) and not isinstance(x, _NO_STREAMS) and not _is_array(x)


def _is_numbered(x: object) -> bool:
    """Whether it gives batches by number, as a `PyDataset` of Keras does."""
    return all(hasattr(x, name) for name in ("__getitem__", "__len__", "on_epoch_end"))


class _Numbered:
    """Batches that are given by number, one after the other."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        last = len(self._batches) - 1
        for number in range(last + 1):
            batch = self._batches[number]
            if number == last:  # now, for nobody may ask for another one
                self._batches.on_epoch_end()
            yield batch


def _are_arrays(x: object) -> bool:
    """Whether it is what several inputs or outputs are given as."""
    parts = list(x.values()) if isinstance(x, Mapping) else x
    return isinstance(parts, list | tuple) and bool(parts) and all(map(_is_array, parts))


def _is_array(x: object) -> bool:
    return any(hasattr(x, name) for name in _ARRAYS)


class Stream:
    """Batches from an iterable, each made by ``make`` and checked by ``check`` as it comes; all must look like the first.

    With ``targets``, a batch is (x, y) or (x, y, sample_weight), or a dictionary of columns of which one is called label; else it
    is x, or a tuple that begins with x. A pass takes
    ``steps`` batches and the next one goes on from there, beginning anew where the iterable can; without ``steps`` a pass takes all
    there are. An iterator can be gone through once, which ``once`` tells. Raises `DataError` when there is no batch at all.

    >>> stream = Stream([([[1.0, 2.0]], [0]), ([[3.0, 4.0], [5.0, 6.0]], [1, 1])])
    >>> [len(batch) for batch in stream.batches()]
    [1, 2]
    """

    def __init__(
        self,
        batches: Iterable[Any],
        check: Callable[[Dataset], Dataset] = lambda data: data,
        steps: int | None = None,
        targets: bool = True,
        make: Callable[..., Dataset] = Dataset,
    ) -> None:
        batches = _Numbered(batches) if _is_numbered(batches) else batches
        self._batches, self._check, self._targets, self._make = batches, check, targets, make
        self.once = isinstance(batches, Iterator)
        self._goes_on = self.once or steps is not None  # from pass to pass
        self._promised = steps
        self.steps = _length(batches) if steps is None else steps
        self.drawn = 0  # batches handed out since the iterable began; one more may be ready
        self._iterator: Iterator[Any] | None = None
        self._used = False  # for a pass; otherwise the iterator stands where the next pass begins
        self._ready: Dataset | None = None
        self._first: Dataset | None = None
        if not self.begin():
            raise DataError("x has no batches.", {"found": type(batches).__name__}, "yield at least one pair (x, y)")

    @property
    def first(self) -> Dataset:
        """The first batch, which all others are like."""
        assert self._first is not None
        return self._first

    def begin(self) -> bool:
        """Get ready for a pass. Whether there is a batch for it."""
        if self._iterator is None or (self._used and not self._goes_on):
            self._iterator, self._ready, self.drawn = self._items(), None, 0
        self._used = False
        return self._look()

    def batches(self, done: int = 0) -> Iterator[Dataset]:
        """The batches of a pass of which ``done`` are done already. Warns when there are fewer than ``steps``."""
        self._used = True
        while done != self.steps and (batch := self._take()) is not None:
            done += 1
            yield batch
        if self._promised is not None and done < self._promised:
            warnings.warn(
                f"The data ran out after {done} of {self._promised} steps: this is the last pass over it.", stacklevel=2
            )

    def place(self, done: int) -> int:
        """How many batches to `skip`, in a stream that has just begun, to get where this one is, ``done`` batches into a pass."""
        return self.drawn if self._goes_on else done

    def skip(self, count: int) -> None:
        """Pass over batches. Raises `DataError` when there are not so many."""
        found = 0
        while found < count and self._take() is not None:
            found += 1
        if found < count:
            raise DataError(
                f"The training was {count} batches into its data, but now there are only {found}.",
                hint="give it the same batches again, from the first on",
            )

    def fingerprint(self) -> str:
        """What is known of the data in advance: the types of its rows."""
        return ", ".join(described(column.array[:0]) for column in self.first.columns)

    def _items(self) -> Iterator[Any]:
        """What the iterable yields, again and again if passes go on from each other and it can begin anew."""
        while True:
            some = False
            for item in self._batches:
                some = True
                yield item
            if self.once or not self._goes_on or not some:
                return

    def _look(self) -> bool:
        """Have the next batch ready, if there is one."""
        assert self._iterator is not None
        if self._ready is None:
            for item in self._iterator:
                self._ready = self._checked(item)
                break
        return self._ready is not None

    def _take(self) -> Dataset | None:
        """The next batch, if there is one."""
        if not self._look():
            return None
        batch, self._ready = self._ready, None
        self.drawn += 1
        return batch

    def _checked(self, item: Any) -> Dataset:
        try:
            batch = self._parted(item)
            self._first = self._first or batch
            return self._check(alike(batch, self._first))
        except NacreError as error:
            raise type(error)(f"Batch {self.drawn} of the data, counted from 0: {error}") from None

    def _parted(self, item: Any) -> Dataset:
        if not self._targets:
            return self._make(item[0] if isinstance(item, tuple) and item else item)
        if isinstance(item, Mapping):
            item = paired(item)
        if not isinstance(item, tuple | list) or len(item) not in (2, 3):
            many = f" of {len(item)}" if isinstance(item, tuple | list) else ""
            raise DataError(
                "It is no pair (x, y).",
                {
                    "found": f"{type(item).__name__}{many}",
                    "expected": "a tuple of x and y, and weights of the rows if any",
                },
                "yield (x, y); or pass arrays as x and y",
            )
        return self._make(*item)


def _length(batches: Iterable[Any]) -> int | None:
    """How many batches there are, where they know."""
    try:
        return len(batches) if isinstance(batches, Sized) else None
    except TypeError:  # a loader of PyTorch over data without a length has one that refuses
        return None


def paired(columns: Mapping[str, Any]) -> tuple[Any, ...]:
    """Columns as (x, y), or (x,) where none is called like a target; several inputs by their names.

    >>> paired({"pixels": [[1, 2], [3, 4]], "label": [0, 1]})
    (array([[1, 2],
           [3, 4]]), array([0, 1]))
    """
    targets = [name for name in columns if name.lower() in _TARGETS]
    inputs = {name: stacked(rows) for name, rows in columns.items() if name not in targets}
    if len(targets) > 1 or not inputs:
        raise DataError(
            "It has columns of which none, or several, could be the target." if targets else "It has no columns.",
            {"columns": ", ".join(columns)},
            "call the one to predict label, and no other",
        )
    x = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    return (x, stacked(columns[targets[0]])) if targets else (x,)


def stacked(parts: Any) -> Any:
    """Rows one upon the other; of dictionaries, those of each name."""
    if not isinstance(parts, Sequence) and np.ndim(parts) == 0:
        return parts  # a mistake that is told where arrays are checked
    first = parts[0] if len(parts) else None
    if isinstance(first, Mapping):
        return {name: stacked([part[name] for part in parts]) for name in first}
    try:
        if any(isinstance(part, np.ma.MaskedArray) for part in parts):
            return np.ma.stack(parts)  # which is refused where arrays are checked
        return (
            parts
            if isinstance(parts, np.ndarray) and parts.dtype != object
            else np.stack([np.asarray(p) for p in parts])
        )
    except ValueError as error:
        raise DataError(f"Its rows differ in shape: {error}.") from error


def alike(batch: Dataset, first: Dataset) -> Dataset:
    """The batch, if its rows are of the types of those of the first."""
    if len(batch.columns) != len(first.columns):
        raise DataError("Some batches come with weights of their rows, and some without.")
    for column, one in zip(batch.columns, first.columns, strict=True):
        if column.array.shape[1:] != one.array.shape[1:]:
            raise ShapeError(
                f"Its rows of {column.name} have another shape than those of the first.", _both(column, one)
            )
        if column.dtype != one.dtype:
            raise DTypeError(f"Its {column.name} has another dtype than that of the first.", _both(column, one))
    return batch


def _both(column: Column, first: Column) -> dict[str, str]:
    return {"found": described(column.array), "expected": described(first.array[:0]).replace("[0", "[rows")}
