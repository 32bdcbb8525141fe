"""Rows to train on, to watch by, and to test on: by chance, by class, by group, or by time."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, UsageError

Array = npt.NDArray[Any]

_LONG = 1024  # bytes of a row that are read at once


def split_rows(
    rows: int,
    shares: Sequence[float],
    seed: int,
    *,
    classes: Array | None = None,
    groups: Array | None = None,
    times: Array | None = None,
) -> list[Array]:
    """The numbers of the rows of each part: of the first, which gets what is left, then of those with these ``shares``.

    With ``classes`` (rows,), each class is divided in proportion; with ``groups``, a group is in one part as a whole; with
    ``times``, the parts follow each other in time, and rows of one time stay together. The same seed divides in the same way on
    every machine. Raises `UsageError` for shares that leave nothing to train on, `DataError` if there are too few rows.

    >>> train, test = split_rows(10, [0.2], seed=0)
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    >>> split_rows(6, [1 / 3], seed=0, times=np.array([3, 1, 2, 6, 5, 4]))
    [array([0, 1, 2, 5]), array([3, 4])]
    """
    if any(not 0 <= share < 1 for share in shares) or sum(shares) >= 1:
        raise UsageError(f"The shares of the parts are {list(shares)}, which leave nothing to train on.")
    if sum(one is not None for one in (groups, times)) > 1:
        raise UsageError("Rows are divided by groups or by time, not by both.")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5EED]))
    if times is not None:
        part = _by_time(times, shares)
    elif groups is not None:
        part = _by_group(groups, shares, rng)
    elif classes is not None:
        order = rng.permutation(rows)
        order = order[np.argsort(classes[order], kind="stable")]  # class by class, each in random order
        part = np.empty(rows, np.int64)
        part[order] = _dealt(rows, shares, None)
    else:
        part = _dealt(rows, shares, rng)
    found = [np.flatnonzero(part == number) for number in range(len(shares) + 1)]
    for number, share in enumerate([1 - sum(shares), *shares]):
        if share and not len(found[number]):
            what = f"{rows:,} rows" if groups is None else f"{len(np.unique(groups)):,} groups"
            parts = 1 + sum(one > 0 for one in shares)
            raise DataError(
                f"{what} are too few to divide into {parts} parts: one of them gets none.",
                {"shares": f"{1 - sum(shares):.3g}, {', '.join(f'{one:.3g}' for one in shares)}"},
            )
    return found


def split(
    x: Any, y: Any, shares: Sequence[float] = (0.8, 0.1, 0.1), stratify: bool = True, seed: int = 0
) -> tuple[tuple[Array, Array], ...]:
    """Divide rows x (n, ...) and targets y (n, ...) at random into as many pairs (x, y) as there are ``shares`` of 1.

    The usual three are to train on, to decide by, and to test on in the end. Each row is in one of them, in the order of before.
    With ``stratify``, rows of each class, or number, are divided in proportion, so that rare classes are in every part; targets
    may be class numbers, words, one-hot rows, or numbers, which are then spread alike. The same ``seed`` divides in the same way
    on every machine.

    Raises `UsageError` for shares that are not two or more from 0 on with the sum 1, and `DataError` if x and y differ in length
    or are too few.

    >>> x, y = np.arange(40).reshape(20, 2), np.array([0] * 10 + [1] * 10)
    >>> train, validation, test = split(x, y)
    >>> [len(part_x) for part_x, _ in (train, validation, test)], [part_y.tolist() for _, part_y in (validation, test)]
    ([16, 2, 2], [[0, 1], [0, 1]])
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise DataError("There is a target in y (n, ...) for each row of x (n, ...).", {"x": x.shape, "y": y.shape})
    parts = [float(share) for share in shares]
    if len(parts) < 2 or not min(parts) >= 0 or not math.isclose(sum(parts), 1):
        raise UsageError(
            f"The shares of the parts are {parts}.", hint="two or more from 0 on, with the sum 1: (0.8, 0.1, 0.1)"
        )
    classes = np.unique(y.reshape(len(y), -1), axis=0, return_inverse=True)[1].reshape(-1) if stratify else None
    rows = split_rows(len(x), parts[1:], seed, classes=classes)
    return tuple((x[part], y[part]) for part in rows)


def _dealt(count: int, shares: Sequence[float], rng: np.random.Generator | None) -> Array:
    """A part for each of so many rows, as near to the shares as whole numbers are: in random order, or without ``rng``, evenly
    spread, so that any stretch of rows is divided alike."""
    ends = np.floor(np.cumsum([0.0, *shares]) * count + 0.5).astype(np.int64)
    sizes = np.array([count - ends[-1], *np.diff(ends)])
    part = np.repeat(np.arange(len(sizes)), sizes)
    if rng is not None:
        return rng.permutation(part)
    places = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
    return part[np.argsort(places, kind="stable")]


def _by_group(groups: Array, shares: Sequence[float], rng: np.random.Generator) -> Array:
    _, at, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    wanted = [share * len(groups) for share in shares]
    part_of = np.zeros(len(sizes), np.int64)
    filled = [0.0] * len(shares)
    for group in order:
        for number, want in enumerate(wanted):
            # A group goes where it brings a part nearer to its share.
            if abs(want - filled[number] - sizes[group]) < want - filled[number]:
                part_of[group], filled[number] = number + 1, filled[number] + sizes[group]
                break
    found: Array = part_of[at]
    return found


def _by_time(times: Array, shares: Sequence[float]) -> Array:
    missing = np.isnat(times) if times.dtype.kind == "M" else np.isnan(times.astype(np.float64))
    if missing.any():
        raise DataError(
            f"The rows are to be divided by time, but {int(missing.sum()):,} have none, first row {int(missing.argmax()):,}.",
            hint="leave these rows out, or divide by chance",
        )
    ordered = np.sort(times, kind="stable")
    bounds = [
        ordered[min(len(ordered) - 1, round(len(ordered) * (1 - sum(shares[number:]))))]
        for number in range(len(shares))
    ]
    part = np.zeros(len(times), np.int64)
    for number, (share, bound) in enumerate(zip(shares, bounds, strict=True), 1):
        if share:
            part[times >= bound] = number
    return part


def row_keys(arrays: Sequence[Array]) -> Array:
    """A number for each row of all arrays (n, ...) together, the same for rows that are the same, and for no others.

    Of 64 bits: that two rows share one by chance, nobody lives to see. Long rows are read one by one, where they lie.
    """
    keys = np.zeros(len(arrays[0]), np.uint64)
    if sum(math.prod(a.shape[1:]) * a.dtype.itemsize for a in arrays) > _LONG:
        for row in range(len(keys)):
            digest = hashlib.blake2b(digest_size=8)
            for array in arrays:
                digest.update(np.ascontiguousarray(array[row]).tobytes())
            keys[row] = int.from_bytes(digest.digest(), "little")
        return keys
    rng = np.random.default_rng(0)
    for array in arrays:
        flat = np.ascontiguousarray(array.reshape(len(array), -1))
        words = flat.view(np.uint32 if array.dtype.itemsize % 4 == 0 else np.uint8)
        for column in words.reshape(len(array), -1).T:
            keys += (column.astype(np.uint64) + np.uint64(0x9E3779B9)) * rng.integers(1, 2**64, dtype=np.uint64)
            keys ^= keys >> np.uint64(29)
    return keys


def repeated(parts: Sequence[Array]) -> list[int]:
    """How many rows of each part but the first are the same as a row of a part before it; parts are given by `row_keys`.

    >>> keys = row_keys([np.array([[1, 2], [3, 4], [1, 2], [5, 6]])])
    >>> repeated([keys[:2], keys[2:]])
    [1]
    """
    seen, found = parts[0], []
    for keys in parts[1:]:
        found.append(int(np.isin(keys, seen).sum()))
        seen = np.concatenate([seen, keys])
    return found
