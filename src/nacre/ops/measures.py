"""Figures over axes, composed of sums and maxima, and products of vectors, with the arguments of `keras.ops`.

``axis`` is one axis, several, or None for all; axes may be counted from the end. ``keepdims`` leaves them there with size 1.

>>> from nacre.ops import constant
>>> std(constant([[1.0, 3.0], [2.0, 2.0]]), axis=-1).shape
(2,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nacre.errors import Limitation, ShapeError, UsageError
from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.arithmetic import floating, root
from nacre.ops.linalg import matmul
from nacre.ops.rearranging import moveaxis, ravel
from nacre.ops.reduction import Axis, argmax, axes_of, max, mean, min, sum
from nacre.ops.shape import axis_of, concatenate, full, iota, reshape, transpose


def amax(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Largest over axes, as `max`."""
    return max(x, axis, keepdims)


def amin(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Smallest over axes, as `min`."""
    return min(x, axis, keepdims)


def ptp(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Largest minus smallest over axes."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


def argmin(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """Index of the smallest along ``axis``, or among all elements in row-major order; the first of equals."""
    return argmax(-x if x.type.is_float else -1 - x, axis, keepdims)  # -1 - x turns the order of any integers around


def var(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Mean of the squared distances from the mean over axes: the variance of a whole population."""
    x = floating(x)
    distance = x - mean(x, axis, keepdims=True)
    return mean(distance * distance, axis, keepdims)


def std(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Standard deviation over axes, the square root of `var`. Where all numbers are alike, its gradient is 0."""
    return root(var(x, axis, keepdims))


def moments(
    x: Value, axes: int | Sequence[int], keepdims: bool = False, synchronized: bool = False
) -> tuple[Value, Value]:
    """Mean and variance over axes. Raises `Limitation` for ``synchronized``: there is one device."""
    if synchronized:
        raise Limitation("moments cannot be synchronized: there is one device.", hint="leave synchronized=False")
    return mean(x, axes, keepdims), var(x, axes, keepdims)


def average(x: Value, axis: Axis = None, weights: Value | None = None) -> Value:
    """Mean over axes, each element counted with its weight.   x (...), weights of the same shape, or (n,) for the one axis"""
    if weights is None:
        return mean(x, axis)
    if weights.shape != x.shape:
        if not isinstance(axis, int) or weights.shape != (x.shape[axis_of(axis, x.rank)],):
            raise ShapeError("The weights of average do not fit.", {"x": x.shape, "weights": weights.shape})
        weights = reshape(weights, [n if a == axis_of(axis, x.rank) else 1 for a, n in enumerate(x.shape)])
    x, weights = e.together(floating(x), weights)
    return sum(x * weights, axis) / sum(weights, axis)


def prod(x: Value, axis: Axis = None, keepdims: bool = False, dtype: str | None = None) -> Value:
    """Product over axes; of nothing, 1. Its gradient is right where factors are 0 too."""
    x = x if dtype is None else e.cast(x, dtype)
    axes = axes_of(x, axis)
    kept = [a for a in range(x.rank) if a not in axes]
    count = math.prod(x.shape[a] for a in axes)
    y = reshape(transpose(x, [*axes, *kept]), [count, *(x.shape[a] for a in kept)])
    while count > 1:  # halves are multiplied, as often as it takes
        half, odd = divmod(count, 2)
        pairs = y[:half] * y[half : 2 * half]
        y = concatenate([pairs, y[2 * half :]]) if odd else pairs
        count = half + odd
    y = y[0] if count else full(y.shape[1:], 1, y.dtype)
    return reshape(y, [1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else y


def _scan(x: Value, axis: int | None, dtype: str | None, combine: Any) -> Value:
    """What ``combine`` makes of each element and all before it, in as many passes as the length has binary digits."""
    x = x if dtype is None else e.cast(x, dtype)
    if axis is None:
        return _scan(ravel(x), 0, None, combine)
    y, reach = moveaxis(x, axis, 0), 1
    while reach < y.shape[0]:
        y = concatenate([y[:reach], combine(y[reach:], y[:-reach])])
        reach *= 2
    return moveaxis(y, 0, axis)


def cumsum(x: Value, axis: int | None = None, dtype: str | None = None) -> Value:
    """Sum of each element and those before it along ``axis``; of all elements in row-major order when none is given."""
    return _scan(x, axis, dtype, e.add)


def cumprod(x: Value, axis: int | None = None, dtype: str | None = None) -> Value:
    """Product of each element and those before it along ``axis``; of all elements in row-major order when none is given."""
    return _scan(x, axis, dtype, e.multiply)


def logsumexp(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Logarithm of the sum of exponentials over axes, without overflow."""
    top = max(x, axis, keepdims=True)
    top = e.stop_gradient(e.select(e.isfinite(top), top, 0))
    total = e.log(sum(e.exp(x - top), axis, keepdims=True)) + top
    return total if keepdims else reshape(total, [n for a, n in enumerate(x.shape) if a not in axes_of(x, axis)])


# ------------------------------------------------------------------ lengths


def norm(x: Value, ord: int | float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Value:  # noqa: A002
    """Length of vectors along ``axis``, or of all numbers; without overflow, and with gradient 0 at 0.

    ``ord`` None or 2 is the Euclidean length, for two axes ``None`` or ``"fro"``; for one axis, 1 is the sum of sizes, ``inf`` the
    largest, ``-inf`` the smallest, 0 how many are not zero, and p the p-th root of the sum of p-th powers. Raises `Limitation` for
    the norms of matrices that need singular values.

    >>> from nacre.ops import constant
    >>> norm(constant([[3.0, 4.0], [0.0, 0.0]]), axis=-1).shape
    (2,)
    """
    axes = axes_of(x, axis)
    size = e.abs(floating(x))
    if ord in (None, "fro") or (ord == 2 and len(axes) == 1):
        top = e.stop_gradient(max(size, axes, keepdims=True, initial=0.0))
        scale = e.select(e.logical_and(top > 0, e.isfinite(top)), top, 1)
        y = root(sum(e.multiply(size / scale, size / scale), axes, keepdims=True)) * scale
    elif len(axes) != 1 or isinstance(ord, str):
        raise Limitation(
            f"norm has no ord={ord!r} over {len(axes)} axes.", hint="ord None or 'fro', or a vector norm along one axis"
        )
    elif ord in (math.inf, -math.inf):
        y = (max if ord > 0 else min)(size, axes, keepdims=True)
    elif ord == 0:
        y = sum(e.cast(e.not_equal(size, 0), size.dtype), axes, keepdims=True)
    elif ord == 1:
        y = sum(size, axes, keepdims=True)
    else:
        y = e.power(sum(e.power(size, float(ord)), axes, keepdims=True), 1 / ord)
    return y if keepdims else reshape(y, [n for a, n in enumerate(x.shape) if a not in axes])


def normalize(x: Value, axis: Axis = -1, order: int | float = 2, epsilon: float | None = None) -> Value:
    """x divided by its length along ``axis``, which counts as no less than ``epsilon`` (1e-7).

    Raises `UsageError` if the order is no positive number.

    >>> from nacre.ops import constant
    >>> normalize(constant([[3.0, 4.0], [0.0, 0.0]]))
    <divide: float32[2,2]>
    """
    if isinstance(order, bool) or not isinstance(order, int | float) or order <= 0:
        raise UsageError(f"normalize needs a positive order, got {order!r}.")
    return x / e.maximum(norm(x, order, axis, keepdims=True), 1e-7 if epsilon is None else epsilon)


# ------------------------------------------------------------------ products


def tensordot(x1: Value, x2: Value, axes: int | Sequence[Any] = 2) -> Value:
    """Sum of products over pairs of axes: the last ``axes`` of x1 with the first of x2, or the two lists of axes given.

    Raises `ShapeError` if two of a pair differ in size.

    >>> from nacre.ops import ones
    >>> tensordot(ones((2, 3, 4)), ones((4, 2, 5)), axes=[[0, 2], [1, 0]]).shape
    (3, 5)
    """
    if isinstance(axes, int):
        ones, twos = list(range(x1.rank - axes, x1.rank)), list(range(axes))
    else:
        ones, twos = ([a] if isinstance(a, int) else list(a) for a in axes)
        ones, twos = [axis_of(a, x1.rank) for a in ones], [axis_of(a, x2.rank) for a in twos]
    if [x1.shape[a] for a in ones] != [x2.shape[a] for a in twos]:
        raise ShapeError(
            "The axes of tensordot differ in size.", {"x1": x1.shape, "x2": x2.shape, "axes": (ones, twos)}
        )
    left, right = ([a for a in range(x.rank) if a not in used] for x, used in ((x1, ones), (x2, twos)))
    rows, columns = [x1.shape[a] for a in left], [x2.shape[a] for a in right]
    inner = math.prod(x1.shape[a] for a in ones)
    a = reshape(transpose(x1, [*left, *ones]), [math.prod(rows), inner])
    b = reshape(transpose(x2, [*twos, *right]), [inner, math.prod(columns)])
    return reshape(matmul(a, b), [*rows, *columns])


def dot(x1: Value, x2: Value) -> Value:
    """Sum of products over the last axis of x1 and the last but one of x2 (its only one, if it has one)."""
    if x1.rank == 0 or x2.rank == 0:
        return x1 * x2
    return tensordot(x1, x2, [[-1], [-1 if x2.rank == 1 else -2]])


def inner(x1: Value, x2: Value) -> Value:
    """Sum of products over the last axes of both."""
    return x1 * x2 if x1.rank == 0 or x2.rank == 0 else tensordot(x1, x2, [[-1], [-1]])


def vdot(x1: Value, x2: Value) -> Value:
    """Sum of products of all elements."""
    return dot(ravel(x1), ravel(x2))


def outer(x1: Value, x2: Value) -> Value:
    """Each element of x1 times each of x2.   x1 of n elements, x2 of m -> (n, m)"""
    return reshape(x1, [-1, 1]) * reshape(x2, [1, -1])


# ------------------------------------------------------------------ triangles


def eye(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Value:
    """1 on the k-th diagonal, 0 elsewhere.   -> (N, M)"""
    return e.cast(e.equal(_diagonals(N, M), k), dtype or "float32")


def identity(n: int, dtype: str | None = None) -> Value:
    """The unit matrix.   -> (n, n)"""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: str | None = None) -> Value:
    """1 on and below the k-th diagonal, 0 above.   -> (N, M)"""
    return e.cast(_diagonals(N, M) <= k, dtype or "float32")


def tril(x: Value, k: int = 0) -> Value:
    """x on and below the k-th diagonal of the last two axes, 0 above."""
    return e.select(_triangle(x) <= k, x, 0)


def triu(x: Value, k: int = 0) -> Value:
    """x on and above the k-th diagonal of the last two axes, 0 below."""
    return e.select(_triangle(x) >= k, x, 0)


def _triangle(x: Value) -> Value:
    if x.rank < 2:
        raise ShapeError("A triangle is cut out of two axes.", {"input": x.shape})
    return _diagonals(*x.shape[-2:])


def _diagonals(rows: int, columns: int | None) -> Value:
    shape = (rows, rows if columns is None else columns)
    return iota(shape=shape, axis=1, dtype="int32") - iota(shape=shape, axis=0, dtype="int32")


__all__ = [
    "amax", "amin", "argmin", "average", "cumprod", "cumsum", "dot", "eye", "identity", "inner", "logsumexp", "moments",
    "norm", "normalize", "outer", "prod", "ptp", "std", "tensordot", "tri", "tril", "triu", "var", "vdot",
]  # fmt: skip
