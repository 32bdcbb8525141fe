"""Compositions of primitives. They run on every lowering and differentiate with no extra code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.reduction import Axis, argmax, max, sum
from nacre.ops.shape import broadcast_to, concatenate, full, iota, reshape, slice, transpose

EPSILON = 1e-7  # Keras's `epsilon()`: probabilities are kept this far from 0 and 1


def composite(build: Callable[..., Value]) -> Callable[..., Value]:
    """Mark the result with the composition's name and all of its arguments (`Value.origin`)."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def marked(*operands: Any, **attrs: Any) -> Value:
        given = signature.bind(*operands, **attrs)
        given.apply_defaults()
        y = build(*given.args)
        y.origin = (build.__name__, given.args)
        return y

    return marked


def origin(x: Value, name: str) -> tuple[Any, ...] | None:
    """The operands of composition ``name`` if it, or the primitive of that name, made ``x``."""
    if x.origin is not None and x.origin[0] == name:
        return x.origin[1]
    return x.operands if x.operation is not None and x.operation.name == name else None


# ------------------------------------------------------------------ arithmetic


def square(x: Value) -> Value:
    """x times x."""
    return x * x


def power(a: Any, b: Any) -> Value:
    """a to the b; the exponents 1, 2 and 0.5 are built from simpler rows."""
    if isinstance(b, int | float) and isinstance(a, Value):
        if b == 1:
            return a
        if b == 2:
            return a * a
        if b == 0.5:
            return e.sqrt(a)
    return e.power(a, b)


def clip(x: Value, x_min: float, x_max: float) -> Value:
    """x, kept between two bounds."""
    return e.minimum(e.maximum(x, x_min), x_max)


def where(condition: Value, a: Any, b: Any) -> Value:
    """a where the condition holds, else b."""
    return e.select(condition, a, b)


def zeros_like(x: Value) -> Value:
    """Zeros of the same type."""
    return full(x.shape, 0, x.dtype)


def ones_like(x: Value) -> Value:
    """Ones of the same type."""
    return full(x.shape, 1, x.dtype)


# ------------------------------------------------------------------ lengths


def _scale(x: Value, axis: Axis) -> Value:
    # Large numbers are divided by the largest, so that no square overflows. Lengths follow, so no gradient goes through it.
    return e.stop_gradient(e.maximum(max(e.abs(x), axis, keepdims=True), 1))


def norm(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Length, the root of the sum of squares."""
    scale = _scale(x, axis)
    length = e.sqrt(sum(square(x / scale), axis, keepdims=True)) * scale
    return length if keepdims else reshape(length, sum(x, axis).shape)


def normalize(x: Value, axis: Axis = -1) -> Value:
    """x divided by its length along ``axis``, by ``EPSILON`` where it is shorter; the gradient is finite at 0."""
    x = x / _scale(x, axis)
    return x / e.sqrt(e.maximum(sum(square(x), axis, keepdims=True), EPSILON**2))


# ------------------------------------------------------------------ shapes


def expand_dims(x: Value, axis: int) -> Value:
    """A new axis of size 1 at position ``axis``."""
    axis = axis % (x.rank + 1)
    return reshape(x, [*x.shape[:axis], 1, *x.shape[axis:]])


def squeeze(x: Value, axis: int) -> Value:
    """Without the axis of size 1 at position ``axis``."""
    axis = axis % x.rank
    return reshape(x, [*x.shape[:axis], *x.shape[axis + 1 :]])


def stack(xs: Sequence[Value], axis: int = 0) -> Value:
    """Values side by side along a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis)


def getitem(x: Value, index: Any) -> Value:
    """Basic indexing: integers, slices with positive steps, ... and None.   x[1], x[:, 2:5], x[..., None]"""
    import builtins  # noqa: PLC0415 - the row `slice` hides Python's

    parts = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = [builtins.slice(None)] * (x.rank - builtins.sum(p is not None for p in parts) + 1)
    parts += [builtins.slice(None)] * (x.rank - builtins.sum(p is not None for p in parts))
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
            last = builtins.max(first, last)
            shape.append(-(-(last - first) // step))
        else:
            if not -size <= part < size:
                raise IndexError(f"index {part} is out of range for axis {len(start)} of size {size}")
            first, last, step = part % size, part % size + 1, 1
        start.append(first)
        limit.append(last)
        stride.append(step)
    return reshape(slice(x, start=tuple(start), limit=tuple(limit), stride=tuple(stride)), shape)


def one_hot(x: Value, num_classes: int, dtype: str = "float32") -> Value:
    """1 at the place that each number names, 0 elsewhere.   x (...) -> (..., num_classes)"""
    shape = (*x.shape, num_classes)
    classes = iota(shape=shape, axis=x.rank, dtype="int32")
    return e.cast(e.equal(broadcast_to(expand_dims(e.cast(x, dtype="int32"), -1), shape), classes), dtype=dtype)


# ------------------------------------------------------------------ probabilities


def _shifted(x: Value, axis: int) -> Value:
    # The largest score becomes 0, so that no exponential overflows. The shift changes nothing, so no gradient goes through it.
    return x - e.stop_gradient(max(x, axis, keepdims=True))


@composite
def softmax(x: Value, axis: int = -1) -> Value:
    """Scores to probabilities, e^x / sum e^x along ``axis``."""
    powers = e.exp(_shifted(x, axis))
    return powers / sum(powers, axis, keepdims=True)


@composite
def log_softmax(x: Value, axis: int = -1) -> Value:
    """Logarithm of the softmax, exact where the probability would round to 0."""
    shifted = _shifted(x, axis)
    return shifted - e.log(sum(e.exp(shifted), axis, keepdims=True))


def logsumexp(x: Value, axis: Axis = None, keepdims: bool = False) -> Value:
    """Logarithm of the sum of exponentials."""
    top = e.stop_gradient(max(x, axis, keepdims=True))
    total = e.log(sum(e.exp(x - top), axis, keepdims=True)) + top
    return total if keepdims else reshape(total, sum(x, axis).shape)


def softplus(x: Value) -> Value:
    """log(1 + e^x), without overflow."""
    return e.maximum(x, 0) + e.log1p(e.exp(-e.abs(x)))


def logits(output: Value, end: str, from_logits: bool = False, axis: int = -1) -> Value | None:
    """The scores behind ``output``, if it holds scores, or if ``end`` made it: "sigmoid", or "softmax" along ``axis``."""
    if from_logits:
        return output
    scores, *along = origin(output, end) or (None,)
    return scores if all(a % output.rank == axis % output.rank for a in along) else None


def log_probabilities(output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """Logarithm of the probabilities that ``output`` holds along ``axis``.

    Those of a softmax come from its scores: exact, and finite for scores of any size. Others are scaled to sum to 1 and kept
    ``EPSILON`` away from 0 and 1.
    """
    scores = logits(output, "softmax", from_logits, axis)
    if scores is not None:
        return log_softmax(scores, axis)
    total = sum(output, axis, keepdims=True)
    return e.log(clip(output / where(e.equal(total, 0), 1, total), EPSILON, 1 - EPSILON))


def categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """-sum target * log(output) along ``axis``, see `log_probabilities`.   target (..., k), output (..., k) -> (...)"""
    return -sum(target * log_probabilities(output, from_logits, axis), axis)


def sparse_categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """Crossentropy against class numbers.   target (...) of integers, output (..., k) -> (...)"""
    return categorical_crossentropy(one_hot_like(target, output, axis), output, from_logits, axis)


def one_hot_like(target: Value, output: Value, axis: int = -1) -> Value:
    """Class numbers as ones and zeros in the shape of the output, classes along ``axis``."""
    last = output.rank - 1
    axis = axis % output.rank
    hot = one_hot(target, output.shape[axis], output.dtype)
    return hot if axis == last else transpose(hot, [*range(axis), last, *range(axis, last)])


def binary_crossentropy(target: Value, output: Value, from_logits: bool = False) -> Value:
    """-(t log o + (1 - t) log(1 - o)), element by element; the output of a sigmoid is scored from its logits."""
    scores = logits(output, "sigmoid", from_logits)
    if scores is not None:
        # At 0 the gradient of relu would be 0, that of the maximum is one half, and so is that of the whole.
        return e.maximum(scores, 0) - scores * target + e.log1p(e.exp(-e.abs(scores)))
    output = clip(output, EPSILON, 1 - EPSILON)
    return -(target * e.log(output) + (1 - target) * e.log(1 - output))


def in_top_1(target: Value, output: Value) -> Value:
    """Whether the largest output is the target's.   target (...) of integers, output (..., k) -> (...) bool"""
    return e.equal(argmax(output), e.cast(target, dtype="int32"))
