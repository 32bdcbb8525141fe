"""Primitives that move elements and compute nothing, and those that make them from nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nacre.errors import GraphError, ShapeError
from nacre.ir import TensorType, Value
from nacre.ops.primitive import Array, expect, float32, int32, primitive, sample

Shape = tuple[int, ...]

# ------------------------------------------------------------------ from nothing


class Numbers:
    """The numbers of a constant in row-major order: an array that nobody changes, and that is printed as a digest of what it holds,
    so that constants are told apart without making a Python number of each element.

    >>> Numbers(np.float32([1, 2]))
    <2 numbers 42f796cded228dc080ef1964ee5d73c3>
    """

    __slots__ = ("_array", "_printed")

    def __init__(self, array: Array) -> None:
        self._array = array.ravel().copy()
        self._array.setflags(write=False)
        self._printed = ""

    def __len__(self) -> int:
        return self._array.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._array, dtype=dtype, copy=copy)

    def tolist(self) -> list[Any]:
        """As Python numbers, for a graph that is printed."""
        return self._array.tolist()

    def __repr__(self) -> str:
        self._printed = self._printed or hashlib.blake2b(self._array.data, digest_size=16).hexdigest()
        return f"<{len(self)} numbers {self._printed}>"


def _constant_type(*, value: Any, shape: Shape, dtype: str) -> TensorType:
    count = len(value) if isinstance(value, tuple | Numbers) else 1
    expect(count in (1, math.prod(shape)), "constant", f"as many numbers as {shape} has places")
    return TensorType(shape, dtype)


@primitive(
    "constant",
    infer=_constant_type,
    samples=[
        sample(value=1.5, shape=(), dtype="float32"),
        sample(value=2, shape=(3, 4), dtype="int32"),
        sample(value=(1.0, 2.0, 3.0), shape=(3,), dtype="float32"),
    ],
)
def _constant(xp: Any, *, value: Any, shape: Any, dtype: Any) -> Array:
    """Fixed numbers: one for all places, or one for each."""
    several = isinstance(value, tuple | Numbers)
    return xp.broadcast_to(xp.asarray(value, dtype=dtype).reshape(shape if several else ()), shape)


def constant(x: Any, dtype: str | None = None) -> Value:
    """Numbers (a Python number, a list, an array) as a value of a graph.

    >>> constant(0.5)
    <constant: float32[]>
    """
    array = np.asarray(x)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise GraphError(f"{x!r} cannot stand in a graph.", hint="numbers and arrays of numbers can")
    if dtype is None:
        dtype = {"b": "bool", "f": "float32"}.get(array.dtype.kind, "int32")
    array = array.astype(dtype)
    return _constant(value=Numbers(array) if array.ndim else array.item(), shape=array.shape, dtype=dtype)


def operand(x: Any, dtype: str | None = None) -> Value:
    """A value as it is; anything else as a constant of this dtype. If none is named, an array of float64 stays so, and a Python
    number is float32; for the rest see `constant`."""
    if isinstance(x, Value):
        return x
    if dtype is None and getattr(x, "dtype", None) == np.float64:
        dtype = "float64"
    if dtype is None and type(x) in (int, float):
        dtype = "float32"
    return constant(x, dtype)


def full(shape: int | Sequence[int], fill_value: float, dtype: str | None = None) -> Value:
    """One number in all places of ``shape``; float32 unless another dtype is named."""
    shape, dtype = (shape,) if isinstance(shape, int) else tuple(shape), dtype or "float32"
    return _constant(value=np.asarray(fill_value).astype(dtype).item(), shape=shape, dtype=dtype)


@primitive(
    "iota",
    infer=lambda *, shape, axis, dtype: TensorType(shape, dtype),
    samples=[
        sample(shape=(3, 4), axis=1, dtype="int32"),
        sample(shape=(3, 4), axis=0, dtype="int32"),
        sample(shape=(70,), axis=0, dtype="float32"),
    ],
)
def iota(xp: Any, *, shape: Any, axis: Any, dtype: Any) -> Array:
    """Each element is its own index along ``axis``."""
    count = xp.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return xp.broadcast_to(count, shape).astype(dtype)


# ------------------------------------------------------------------ rearranging


def _reshape_type(x: TensorType, *, shape: Shape) -> TensorType:
    result = TensorType(shape, x.dtype)
    expect(result.size == x.size, "reshape", f"as many places in {shape} as in the operand", x)
    return result


def _reshape_vjp(y: Value, dy: Value, x: Value, shape: Shape) -> tuple[Value]:
    return (_reshape(dy, shape=x.shape),)


@primitive(
    "reshape",
    infer=_reshape_type,
    vjp=_reshape_vjp,
    samples=[sample(float32(3, 4), shape=(2, 6)), sample(float32(1), shape=()), sample(float32(0, 3), shape=(3, 0))],
)
def _reshape(xp: Any, x: Array, *, shape: Any) -> Array:
    """The same elements in row-major order under another shape."""
    return x.reshape(shape)


def reshape(x: Value, newshape: Sequence[int]) -> Value:
    """``x`` under another shape; one size may be -1 and is then inferred.   x (...) -> (newshape)"""
    known = math.prod(n for n in newshape if n != -1)
    if list(newshape).count(-1) > 1 or (-1 in newshape and (known == 0 or x.type.size % known)):
        raise ShapeError(f"Cannot reshape {x.shape} to {tuple(newshape)}: the -1 has no answer.")
    shape = tuple(x.type.size // known if n == -1 else int(n) for n in newshape)
    if math.prod(shape) != x.type.size:
        raise ShapeError(f"Cannot reshape {x.shape} ({x.type.size} elements) to {tuple(newshape)}.")
    return x if shape == x.shape else _reshape(x, shape=shape)


def axis_of(axis: int, rank: int) -> int:
    """``axis``, counted from the front. Raises `ShapeError` if there is no such axis.

    >>> axis_of(-1, 3)
    2
    """
    if not -rank <= axis < rank:
        raise ShapeError(f"There is no axis {axis} in a shape of {rank} axes.")
    return axis % rank


def _transpose_type(x: TensorType, *, axes: Shape) -> TensorType:
    expect(sorted(axes) == list(range(x.rank)), "transpose", "each axis once", x)
    return TensorType(tuple(x.shape[a] for a in axes), x.dtype)


def _transpose_vjp(y: Value, dy: Value, x: Value, axes: Shape) -> tuple[Value]:
    return (_transpose(dy, axes=tuple(int(a) for a in np.argsort(axes))),)


@primitive(
    "transpose",
    infer=_transpose_type,
    vjp=_transpose_vjp,
    samples=[
        sample(float32(3, 4), axes=(1, 0)),
        sample(float32(2, 3, 4), axes=(2, 0, 1)),
        sample(float32(0, 3), axes=(1, 0)),
    ],
)
def _transpose(xp: Any, x: Array, *, axes: Any) -> Array:
    """Axes in another order."""
    return xp.transpose(x, axes)


def transpose(x: Value, axes: Sequence[int] | None = None) -> Value:
    """Axes in another order; reversed when none is given."""
    order = tuple(range(x.rank))[::-1] if axes is None else tuple(axis_of(int(a), x.rank) for a in axes)
    return _transpose(x, axes=order)


def _broadcast_type(x: TensorType, *, shape: Shape, axes: Shape) -> TensorType:
    fits = (
        len(axes) == x.rank
        and list(axes) == sorted(set(axes))
        and all(shape[a] == n for a, n in zip(axes, x.shape, strict=True))
    )
    expect(fits, "broadcast", f"axes {axes} of {shape} that fit the operand", x)
    return TensorType(shape, x.dtype)


def _broadcast_vjp(y: Value, dy: Value, x: Value, shape: Shape, axes: Shape) -> tuple[Value]:
    from nacre.ops.reduction import reduce_sum  # noqa: PLC0415 - the two rules need one another

    return (reduce_sum(dy, axes=tuple(a for a in range(len(shape)) if a not in axes)),)


@primitive(
    "broadcast",
    infer=_broadcast_type,
    vjp=_broadcast_vjp,
    samples=[
        sample(float32(), shape=(3, 4), axes=()),
        sample(float32(4), shape=(3, 4), axes=(1,)),
        sample(float32(3), shape=(3, 4), axes=(0,)),
        sample(float32(3, 2), shape=(3, 5, 2), axes=(0, 2)),
        sample(float32(4), shape=(0, 4), axes=(1,)),
    ],
)
def broadcast(xp: Any, x: Array, *, shape: Any, axes: Any) -> Array:
    """Repeated along new axes; axis i of the operand becomes axis axes[i] of the result."""
    return xp.broadcast_to(x.reshape([shape[a] if a in axes else 1 for a in range(len(shape))]), shape)


def broadcast_to(x: Value, shape: Shape) -> Value:
    """``x`` repeated to ``shape`` by NumPy's rule: axes are matched from the right, axes of size 1 stretch."""
    if x.shape == shape:
        return x
    offset = len(shape) - x.rank
    kept = [a for a in range(x.rank) if x.shape[a] == shape[a + offset]]
    if any(x.shape[a] != 1 for a in range(x.rank) if a not in kept):
        raise ShapeError(f"Cannot broadcast {x.shape} to {shape}.")
    return broadcast(reshape(x, [x.shape[a] for a in kept]), shape=tuple(shape), axes=tuple(a + offset for a in kept))


# ------------------------------------------------------------------ cutting and joining


def _slice_type(x: TensorType, *, start: Shape, limit: Shape, stride: Shape) -> TensorType:
    fits = all(0 <= a <= b <= n and s > 0 for a, b, s, n in zip(start, limit, stride, x.shape, strict=True))
    expect(fits, "slice", f"bounds {start} to {limit} inside the operand", x)
    return TensorType(tuple(-(-(b - a) // s) for a, b, s in zip(start, limit, stride, strict=True)), x.dtype)


def _slice_vjp(y: Value, dy: Value, x: Value, start: Shape, limit: Shape, stride: Shape) -> tuple[Value]:
    covered = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, y.shape, stride, strict=True)]
    high = tuple(n - c for n, c in zip(x.shape, covered, strict=True))
    return (pad(dy, low=start, high=high, interior=tuple(s - 1 for s in stride)),)


@primitive(
    "slice",
    infer=_slice_type,
    vjp=_slice_vjp,
    samples=[
        sample(float32(5, 4), start=(1, 0), limit=(4, 4), stride=(1, 1)),
        sample(float32(7), start=(1,), limit=(7,), stride=(3,)),
        sample(float32(5, 4), start=(2, 1), limit=(2, 3), stride=(1, 1)),
    ],
)
def slice(xp: Any, x: Array, *, start: Any, limit: Any, stride: Any) -> Array:
    """Elements from ``start`` up to ``limit``, every ``stride``-th, along each axis."""
    import builtins  # noqa: PLC0415 - the row's name hides Python's

    return x[tuple(builtins.slice(a, b, s) for a, b, s in zip(start, limit, stride, strict=True))]


def _pad_type(x: TensorType, *, low: Shape, high: Shape, interior: Shape) -> TensorType:
    expect(min((*low, *high, *interior), default=0) >= 0, "pad", "no negative amounts", x)
    sizes = zip(x.shape, low, high, interior, strict=True)
    return TensorType(tuple(n + a + b + max(n - 1, 0) * i for n, a, b, i in sizes), x.dtype)


def _pad_vjp(y: Value, dy: Value, x: Value, low: Shape, high: Shape, interior: Shape) -> tuple[Value]:
    stride = tuple(i + 1 for i in interior)
    limit = tuple(a + max((n - 1) * s + 1, 0) if n else a for a, n, s in zip(low, x.shape, stride, strict=True))
    return (slice(dy, start=low, limit=limit, stride=stride),)


@primitive(
    "pad",
    infer=_pad_type,
    vjp=_pad_vjp,
    samples=[
        sample(float32(3, 4), low=(1, 0), high=(0, 2), interior=(0, 0)),
        sample(float32(3), low=(0,), high=(1,), interior=(2,)),
        sample(float32(0, 2), low=(1, 1), high=(1, 0), interior=(0, 0)),
    ],
)
def pad(xp: Any, x: Array, *, low: Any, high: Any, interior: Any) -> Array:
    """Zeros before, after and between the elements of each axis; the gradient of slicing."""
    for axis, gap in enumerate(interior):
        if gap and x.shape[axis] > 1:
            moved = xp.moveaxis(x, axis, -1)
            spread = xp.concatenate([moved[..., None], xp.zeros((*moved.shape, gap), dtype=x.dtype)], axis=-1)
            spread = spread.reshape((*moved.shape[:-1], moved.shape[-1] * (gap + 1)))[
                ..., : spread.shape[-2] * (gap + 1) - gap
            ]
            x = xp.moveaxis(spread, -1, axis)
    return xp.pad(x, list(zip(low, high, strict=True))) if low else x


def _concatenate_type(*xs: TensorType, axis: int) -> TensorType:
    def rest(x: TensorType) -> Shape:
        return x.shape[:axis] + x.shape[axis + 1 :]

    fits = all(0 <= axis < x.rank and rest(x) == rest(xs[0]) and x.dtype == xs[0].dtype for x in xs)
    expect(bool(xs) and fits, "concatenate", f"operands that differ along axis {axis} only", *xs)
    total = sum(x.shape[axis] for x in xs)
    return TensorType((*xs[0].shape[:axis], total, *xs[0].shape[axis + 1 :]), xs[0].dtype)


def _concatenate_vjp(y: Value, dy: Value, *xs: Value, axis: int) -> list[Value]:
    parts, begin = [], 0
    for x in xs:
        start = tuple(begin if a == axis else 0 for a in range(x.rank))
        begin += x.shape[axis]
        limit = tuple(begin if a == axis else n for a, n in enumerate(x.shape))
        parts.append(slice(dy, start=start, limit=limit, stride=(1,) * x.rank))
    return parts


@primitive(
    "concatenate",
    infer=_concatenate_type,
    vjp=_concatenate_vjp,
    samples=[
        sample(float32(3, 2), float32(3, 4), axis=1),
        sample(float32(2), float32(0), float32(3), axis=0),
        sample(int32(2, 2), int32(1, 2), axis=0),
    ],
)
def _concatenate(xp: Any, *xs: Array, axis: Array) -> Array:
    """Operands one after the other along an axis."""
    return xp.concatenate(xs, axis=axis)


def concatenate(xs: Sequence[Value], axis: int = 0) -> Value:
    """Values one after the other along ``axis``."""
    return _concatenate(*xs, axis=axis_of(axis, xs[0].rank))
