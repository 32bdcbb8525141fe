"""Elements moved, repeated and counted out, under the names and with the arguments of `keras.ops`.

Axes may be counted from the end. Sizes, amounts and counts are Python numbers: shapes are known before anything is computed.

>>> from nacre.ops import constant
>>> tile(constant([[1, 2, 3]]), (2, 2)).shape
(2, 6)
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nacre.errors import Limitation, ShapeError, UsageError
from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.indexing import take as take_rows
from nacre.ops.shape import axis_of, broadcast_to, concatenate, constant, full, iota, reshape, transpose
from nacre.ops.shape import pad as pad_row
from nacre.ops.shape import slice as slice_row

Axes = int | Sequence[int] | None

# ------------------------------------------------------------------ what is known beforehand


def shape(x: Value) -> tuple[int, ...]:
    """Sizes of the axes, as Python numbers."""
    return x.shape


def ndim(x: Value) -> int:
    """Number of axes, as a Python number."""
    return x.rank


def size(x: Value) -> int:
    """Number of elements, as a Python number."""
    return x.type.size


def dtype(x: Value) -> str:
    """Name of the element type."""
    return x.dtype


# ------------------------------------------------------------------ from nothing


def zeros(shape: int | Sequence[int], dtype: str | None = None) -> Value:
    """Zeros; float32 unless another dtype is named."""
    return full(shape, 0, dtype)


def ones(shape: int | Sequence[int], dtype: str | None = None) -> Value:
    """Ones; float32 unless another dtype is named."""
    return full(shape, 1, dtype)


def full_like(x: Value, fill_value: float, dtype: str | None = None) -> Value:
    """One number in all places, in the shape of x, and in its dtype unless another is named."""
    return full(x.shape, fill_value, dtype or x.dtype)


def zeros_like(x: Value, dtype: str | None = None) -> Value:
    """Zeros in the shape of x, and in its dtype unless another is named."""
    return full_like(x, 0, dtype)


def ones_like(x: Value, dtype: str | None = None) -> Value:
    """Ones in the shape of x, and in its dtype unless another is named."""
    return full_like(x, 1, dtype)


def arange(start: float, stop: float | None = None, step: float | None = None, dtype: str | None = None) -> Value:
    """Numbers from ``start`` up to ``stop`` (exclusive) in steps; with one argument, from 0 up to it. Whole numbers are int32.

    >>> arange(5), arange(0, 1, 0.25)
    (<iota: int32[5]>, <add: float32[4]>)
    """
    start, stop, step = (0, start, step) if stop is None else (start, stop, step)
    step = 1 if step is None else step
    if step == 0:
        raise UsageError("arange cannot go on in steps of 0.")
    dtype = dtype or ("int32" if builtins.all(isinstance(n, int) for n in (start, stop, step)) else "float32")
    count = iota(shape=(builtins.max(math.ceil((stop - start) / step), 0),), axis=0, dtype=dtype)
    return count if (start, step) == (0, 1) else count * step + start


def linspace(
    start: float,
    stop: float,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: str | None = None,
    axis: int = 0,
) -> Any:
    """``num`` numbers at equal distances from ``start`` to ``stop``; with ``retstep``, their distance too.

    Raises `Limitation` if start and stop are no Python numbers: only then ``axis`` would mean anything.
    """
    if not builtins.all(isinstance(n, int | float) for n in (start, stop)) or axis:
        raise Limitation(
            "linspace goes from one Python number to another.", hint="start + (stop - start) * linspace(0, 1)"
        )
    numbers, step = np.linspace(start, stop, num, endpoint, retstep=True)
    y = constant(numbers, dtype or "float32")
    return (y, float(step)) if retstep else y


# ------------------------------------------------------------------ axes


def ravel(x: Value) -> Value:
    """All elements in one row, in row-major order."""
    return reshape(x, [x.type.size])


def swapaxes(x: Value, axis1: int, axis2: int) -> Value:
    """Two axes in each other's place."""
    order = list(range(x.rank))
    a, b = axis_of(axis1, x.rank), axis_of(axis2, x.rank)
    order[a], order[b] = b, a
    return transpose(x, order)


def moveaxis(x: Value, source: int | Sequence[int], destination: int | Sequence[int]) -> Value:
    """Axes moved to other places; the rest stay in order."""
    sources, destinations = (
        [axis_of(a, x.rank) for a in ([axes] if isinstance(axes, int) else axes)] for axes in (source, destination)
    )
    if len(sources) != len(destinations):
        raise UsageError(f"moveaxis needs one destination for each source, got {source} and {destination}.")
    order = [a for a in range(x.rank) if a not in sources]
    for to, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(to, axis)
    return x if order == list(range(x.rank)) else transpose(x, order)


def expand_dims(x: Value, axis: int | Sequence[int]) -> Value:
    """New axes of size 1, at these positions of the result."""
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = x.rank + len(axes)
    places = {axis_of(a, rank) for a in axes}
    if len(places) < len(axes):
        raise ShapeError(f"expand_dims cannot make two axes at one place, got {axis}.")
    sizes = iter(x.shape)
    return reshape(x, [1 if a in places else next(sizes) for a in range(rank)])


def squeeze(x: Value, axis: Axes = None) -> Value:
    """Without these axes of size 1; without all of them when none is given. Raises `ShapeError` for an axis of another size."""
    given = [a for a, n in enumerate(x.shape) if n == 1] if axis is None else [axis] if isinstance(axis, int) else axis
    gone = {axis_of(a, x.rank) for a in given}
    if builtins.any(x.shape[a] != 1 for a in gone):
        raise ShapeError(f"squeeze takes away axes of size 1, and axis {axis} of {x.shape} is not.")
    return reshape(x, [n for a, n in enumerate(x.shape) if a not in gone])


# ------------------------------------------------------------------ joining and splitting


def stack(x: Sequence[Value], axis: int = 0) -> Value:
    """Values side by side along a new axis."""
    return concatenate([expand_dims(part, axis) for part in x], axis)


def vstack(xs: Sequence[Value]) -> Value:
    """Values one below the other; vectors become rows."""
    return concatenate([reshape(x, [1, -1]) if x.rank < 2 else x for x in xs])


def hstack(xs: Sequence[Value]) -> Value:
    """Values one beside the other: along the second axis, or the first of vectors."""
    parts = [reshape(x, [1]) if x.rank == 0 else x for x in xs]
    return concatenate(parts, 0 if parts[0].rank == 1 else 1)


def append(x1: Value, x2: Value, axis: int | None = None) -> Value:
    """x2 after x1 along ``axis``; both in one row when none is given."""
    return concatenate([ravel(x1), ravel(x2)]) if axis is None else concatenate([x1, x2], axis)


def split(x: Value, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Value]:
    """x cut along ``axis`` into so many equal parts, or at these places.

    Raises `ShapeError` if the parts would not be equal.

    >>> [part.shape for part in split(zeros((5, 2)), [1, 3])]
    [(1, 2), (2, 2), (2, 2)]
    """
    axis = axis_of(axis, x.rank)
    n = x.shape[axis]
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0 or n % indices_or_sections:
            raise ShapeError(f"An axis of size {n} cannot be split into {indices_or_sections} equal parts.")
        each = n // indices_or_sections
        ends = [each * (i + 1) for i in range(indices_or_sections)]
    else:
        ends = [builtins.slice(i).indices(n)[1] for i in indices_or_sections] + [n]
    return [_cut(x, axis, begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def unstack(x: Value, num: int | None = None, axis: int = 0) -> list[Value]:
    """The parts of x along ``axis``, without it. Raises `ShapeError` if they are not ``num``."""
    n = x.shape[axis_of(axis, x.rank)]
    if num not in (None, n):
        raise ShapeError(f"unstack finds {n} parts along axis {axis}, not {num}.", {"input": x.shape})
    return [squeeze(part, axis) for part in split(x, n, axis)] if n else []


def slice(inputs: Value, start_indices: Sequence[int], shape: Sequence[int]) -> Value:
    """The block of this shape that begins at these indices.

    Raises `ShapeError` if it reaches beyond ``inputs``.

    >>> slice(zeros((4, 4)), (1, 2), (3, 2)).shape
    (3, 2)
    """
    start = tuple(start_indices)
    limit = tuple(a + n for a, n in zip(start, shape, strict=True))
    if len(start) != inputs.rank or builtins.any(
        not 0 <= a <= b <= n for a, b, n in zip(start, limit, inputs.shape, strict=True)
    ):
        raise ShapeError(f"A block of {tuple(shape)} at {start} does not lie inside {inputs.shape}.")
    return slice_row(inputs, start=start, limit=limit, stride=(1,) * inputs.rank)


def _cut(x: Value, axis: int, begin: int, end: int) -> Value:
    start = tuple(begin if a == axis else 0 for a in range(x.rank))
    limit = tuple(builtins.max(begin, end) if a == axis else n for a, n in enumerate(x.shape))
    return slice_row(x, start=start, limit=limit, stride=(1,) * x.rank)


# ------------------------------------------------------------------ picking and repeating


def take(x: Value, indices: Any, axis: int | None = None) -> Value:
    """The elements of x at ``indices`` along ``axis``; of all elements in row-major order when none is given.

    ``indices`` are whole numbers in any shape, a value or an array, and count from the end where they are negative. Numbers
    beyond either end mean the element there.

    >>> take(zeros((2, 5)), [0, -1, 3], axis=1).shape
    (2, 3)
    """
    if axis is None:
        return take(ravel(x), indices, 0)
    axis = axis_of(axis, x.rank)
    n = x.shape[axis]
    at = e.cast(indices, "int32") if isinstance(indices, Value) else constant(indices, "int32")
    picked = take_rows(moveaxis(x, axis, 0), e.select(at < 0, at + n, at))
    new = list(range(at.rank))
    return moveaxis(picked, new, [axis + a for a in new])


def flip(x: Value, axis: Axes = None) -> Value:
    """The order of elements turned around along axes, all when none is given."""
    for a in range(x.rank) if axis is None else [axis] if isinstance(axis, int) else axis:
        x = take(x, np.arange(x.shape[axis_of(a, x.rank)])[::-1], a)
    return x


def roll(x: Value, shift: int | Sequence[int], axis: Axes = None) -> Value:
    """Elements moved on by ``shift`` places along axes; what leaves at one end comes in at the other."""
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    for amount, a in zip([shift] * len(axes) if isinstance(shift, int) else shift, axes, strict=True):
        n = x.shape[axis_of(a, x.rank)]
        at = -amount % builtins.max(n, 1)
        x = concatenate(split(x, [at], a)[::-1], a)
    return x


def repeat(x: Value, repeats: int | Sequence[int], axis: int | None = None) -> Value:
    """Each element so many times along ``axis``, or each its own number of times; in one row when no axis is given."""
    if axis is None:
        return repeat(ravel(x), repeats, 0)
    axis = axis_of(axis, x.rank)
    if not isinstance(repeats, int):
        return take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis)
    spread = [*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]]
    return reshape(
        broadcast_to(expand_dims(x, axis + 1), tuple(spread)),
        [n * repeats if a == axis else n for a, n in enumerate(x.shape)],
    )


def tile(x: Value, repeats: int | Sequence[int]) -> Value:
    """x as a whole so many times along each of its last axes."""
    times = [repeats] if isinstance(repeats, int) else list(repeats)
    rank = builtins.max(x.rank, len(times))
    times = [1] * (rank - len(times)) + times
    sizes = [1] * (rank - x.rank) + list(x.shape)
    between = reshape(x, [n for size in sizes for n in (1, size)])
    spread = broadcast_to(between, tuple(n for pair in zip(times, sizes, strict=True) for n in pair))
    return reshape(spread, [a * b for a, b in zip(times, sizes, strict=True)])


def pad(
    x: Value, pad_width: int | Sequence[Any], mode: str = "constant", constant_values: float | None = None
) -> Value:
    """x with more elements before and after along each axis.

    ``pad_width`` is one number, one pair (before, after), or one pair for each axis. ``mode`` is ``"constant"`` (0, or
    ``constant_values``), ``"edge"``, ``"reflect"``, ``"symmetric"`` or ``"wrap"``, as NumPy's. Raises `Limitation` for others.

    >>> pad(constant([[1.0, 2.0]]), ((0, 0), (1, 1))).shape
    (1, 4)
    """
    if mode not in ("constant", "edge", "reflect", "symmetric", "wrap"):
        raise Limitation(f"pad has no mode {mode!r}.", hint="constant, edge, reflect, symmetric or wrap")
    if mode != "constant" and constant_values is not None:
        raise UsageError(f"constant_values mean nothing in mode {mode!r}.")
    widths = [tuple(int(n) for n in pair) for pair in np.broadcast_to(np.asarray(pad_width), (x.rank, 2)).tolist()]
    value = constant_values or 0.0
    if mode == "constant" and not value:
        low, high = zip(*widths, strict=True) if widths else ((), ())
        return pad_row(x, low=low, high=high, interior=(0,) * x.rank)
    for axis, (before, after) in enumerate(widths):
        if mode != "constant":
            x = take(x, np.pad(np.arange(x.shape[axis]), (before, after), mode=mode), axis)  # type: ignore[call-overload]
            continue
        ends = [full([n if a == axis else m for a, m in enumerate(x.shape)], value, x.dtype) for n in (before, after)]
        x = concatenate([ends[0], x, ends[1]], axis)
    return x


def diff(a: Value, n: int = 1, axis: int = -1) -> Value:
    """Each element minus the one before it along ``axis``, ``n`` times over."""
    axis = axis_of(axis, a.rank)
    for _ in range(n):
        size = a.shape[axis]
        a = _cut(a, axis, builtins.min(1, size), size) - _cut(a, axis, 0, builtins.max(size - 1, 0))
    return a


def one_hot(x: Value, num_classes: int, axis: int = -1, dtype: str | None = None, sparse: bool = False) -> Value:
    """1 at the place that each number names, 0 elsewhere.   x (...) -> (..., num_classes), the new axis at ``axis``

    Raises `Limitation` for ``sparse``: there are no sparse values.
    """
    if sparse:
        raise Limitation("one_hot has no sparse results.", hint="leave sparse=False")
    axis = axis_of(axis, x.rank + 1)
    shape = (*x.shape[:axis], num_classes, *x.shape[axis:])
    classes = iota(shape=shape, axis=axis, dtype="int32")
    return e.cast(e.equal(broadcast_to(expand_dims(e.cast(x, "int32"), axis), shape), classes), dtype or "float32")


def getitem(x: Value, key: Any) -> Value:
    """Basic indexing: integers, slices, ... and None.   x[1], x[:, 2:5], x[..., None], x[::-1]

    Raises `Limitation` for an index that is an array: see `take`.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    for part in parts:
        if part is not None and part is not Ellipsis and not isinstance(part, builtins.slice | int | np.integer):
            raise Limitation(
                f"Values are indexed by numbers and slices, got {type(part).__name__}.",
                hint="ops.take(x, indices, axis=1)",
            )
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [builtins.slice(None)] * (x.rank - sum(p is not None for p in parts) + 1)
    parts += [builtins.slice(None)] * (x.rank - sum(p is not None for p in parts))
    start: list[int] = []
    limit: list[int] = []
    stride: list[int] = []
    shape: list[int] = []
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        size = x.shape[len(start)]
        if isinstance(part, builtins.slice):
            first, last, step = part.indices(size)
            if step < 0:
                x = flip(x, len(start))
                first, last, step = size - 1 - first, size - 1 - last, -step
            last = builtins.max(first, last)
            shape.append(-(-(last - first) // step))
        else:
            if not -size <= part < size:
                raise IndexError(f"index {part} is out of range for axis {len(start)} of size {size}")
            first, last, step = part % size, part % size + 1, 1
        start.append(first)
        limit.append(last)
        stride.append(step)
    return reshape(slice_row(x, start=tuple(start), limit=tuple(limit), stride=tuple(stride)), shape)


get_item = getitem

__all__ = [
    "append", "arange", "diff", "dtype", "expand_dims", "flip", "full_like", "get_item", "getitem", "hstack", "linspace",
    "moveaxis", "ndim", "one_hot", "ones", "ones_like", "pad", "ravel", "repeat", "roll", "shape", "size", "slice", "split",
    "squeeze", "stack", "swapaxes", "take", "tile", "unstack", "vstack", "zeros", "zeros_like",
]  # fmt: skip
