"""Primitives that sum or pick over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre.ir import TensorType, Value
from nacre.ops.elementwise import cast, equal, maximum, minimum
from nacre.ops.primitive import Array, Primitive, Sample, expect, float32, int32, primitive, sample
from nacre.ops.shape import axis_of, broadcast, reshape

Axis = int | Sequence[int] | None


def reduced_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    """The type without the reduced axes."""
    expect(
        list(axes) == sorted(set(axes)) and all(0 <= a < x.rank for a in axes),
        "A reduction",
        f"axes of the operand, got {axes}",
        x,
    )
    return TensorType(tuple(n for a, n in enumerate(x.shape) if a not in axes), x.dtype)


def picked_type(x: TensorType, *, axes: tuple[int, ...]) -> TensorType:
    """Like `reduced_type`, of something."""
    expect(all(x.shape[a] for a in axes), "A maximum or minimum", "at least one element", x)
    return reduced_type(x, axes=axes)


def _spread(y: Value, x: Value, axes: tuple[int, ...]) -> Value:
    """A reduced value back in the operand's shape."""
    return broadcast(y, shape=x.shape, axes=tuple(a for a in range(x.rank) if a not in axes))


def _extreme_vjp(y: Value, dy: Value, x: Value, axes: tuple[int, ...]) -> tuple[Value]:
    # Elements that tie share the gradient.
    picked = cast(equal(x, _spread(y, x, axes)), dtype=x.dtype)
    return (picked * _spread(dy / reduce_sum(picked, axes=axes), x, axes),)


def _samples(zero: bool) -> list[Sample]:
    uses: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3, 4), (1,)), ((3, 4), (0,)), ((3, 4), (0, 1)), ((2, 3, 5), (0, 2)), ((1,), (0,)), ((70, 33), (0,)), ((3, 301), (1,)),
        ((9001,), (0,)), ((2, 3), ()), ((2, 3, 5), (1,)),
    ]  # fmt: skip
    floats = uses + ([((0, 3), (0,)), ((3, 0), (1,))] if zero else [])
    whole = [int32(*shape, high=90) for shape in ((3, 4), (4, 3), (2, 3, 5))]
    return [
        *(sample(float32(*shape), axes=axes) for shape, axes in floats),
        *(sample(x, axes=axes) for x, axes in zip(whole, ((1,), (0,), (0, 2)), strict=True)),
    ]


@primitive(
    "reduce_sum", infer=reduced_type, vjp=lambda y, dy, x, axes: (_spread(dy, x, axes),), samples=_samples(zero=True)
)
def reduce_sum(xp: Any, x: Array, *, axes: Any) -> Array:
    """Sum over axes; of nothing, 0."""
    return xp.sum(x, axis=axes, dtype=x.dtype)


@primitive("reduce_max", infer=picked_type, vjp=_extreme_vjp, samples=_samples(zero=False))
def reduce_max(xp: Any, x: Array, *, axes: Any) -> Array:
    """Largest over axes; NaN if one is."""
    return xp.max(x, axis=axes)


@primitive("reduce_min", infer=picked_type, vjp=_extreme_vjp, samples=_samples(zero=False))
def reduce_min(xp: Any, x: Array, *, axes: Any) -> Array:
    """Smallest over axes; NaN if one is."""
    return xp.min(x, axis=axes)


def _argmax_type(x: TensorType, *, axis: int) -> TensorType:
    return TensorType(picked_type(x, axes=(axis,)).shape, "int32")


@primitive(
    "argmax",
    infer=_argmax_type,
    samples=[
        sample(float32(3, 4), axis=1),
        sample(float32(3, 4), axis=0),
        sample(float32(5), axis=0),
        sample(float32(2, 3, 4), axis=1),
        sample(int32(3, 4, high=3), axis=1),
    ],
)
def _argmax(xp: Any, x: Array, *, axis: Any) -> Array:
    """Index of the largest, the first of equals."""
    return xp.argmax(x, axis=axis).astype("int32")


# ------------------------------------------------------------------ with Keras's arguments


def axes_of(x: Value, axis: Axis) -> tuple[int, ...]:
    """The axes that are meant, counted from the front, in order; all for None."""
    if axis is None:
        return tuple(range(x.rank))
    return tuple(sorted({axis_of(a, x.rank) for a in ([axis] if isinstance(axis, int) else axis)}))


def _reduced(row: Primitive, x: Value, axis: Axis, keepdims: bool) -> Value:
    axes = axes_of(x, axis)
    y = row(x, axes=axes)
    return reshape(y, [1 if a in axes else n for a, n in enumerate(x.shape)]) if keepdims else y


def sum(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Sum over axes, all when none is given; of nothing, 0. Truth values and bytes are summed as int32."""
    return _reduced(reduce_sum, cast(x, "int32") if x.dtype in ("bool", "uint8") else x, axis, keepdims)


def max(x: Value, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Value:
    """Largest over axes, all when none is given, and at least ``initial``; NaN if one is."""
    y = _reduced(reduce_max, x, axis, keepdims)
    return y if initial is None else maximum(y, initial)


def min(x: Value, axis: Axis = None, keepdims: bool = False, initial: float | None = None) -> Value:
    """Smallest over axes, all when none is given, and at most ``initial``; NaN if one is."""
    y = _reduced(reduce_min, x, axis, keepdims)
    return y if initial is None else minimum(y, initial)


def mean(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Arithmetic mean over axes; all when none is given."""
    axes = axes_of(x, axis)
    count = 1
    for a in axes:
        count *= x.shape[a]
    return sum(x, axis, keepdims) * (1 / count) if count else sum(x, axis, keepdims) / 0.0


def argmax(x: Value, axis: int | None = None, keepdims: bool = False) -> Value:
    """Index of the largest along ``axis``, or among all elements in row-major order; the first of equals."""
    if axis is None:
        y = _argmax(reshape(x, [-1]), axis=0)
        return reshape(y, [1] * x.rank) if keepdims else y
    axis = axis_of(axis, x.rank)
    y = _argmax(x, axis=axis)
    return reshape(y, [*x.shape[:axis], 1, *x.shape[axis + 1 :]]) if keepdims else y
