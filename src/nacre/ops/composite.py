"""Compositions of primitives. They run on every lowering and differentiate with no extra code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.reduction import Axis, argmax, max, sum
from nacre.ops.shape import broadcast_to, concatenate, full, iota, reshape, slice

EPSILON = 1e-7  # Keras's `epsilon()`: probabilities are kept this far from 0 and 1


def composite(build: Callable[..., Value]) -> Callable[..., Value]:
    """Mark the result with the composition's name and operands (`Value.origin`)."""

    @functools.wraps(build)
    def marked(*operands: Any, **attrs: Any) -> Value:
        y = build(*operands, **attrs)
        y.origin = (build.__name__, operands)
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
    return e.relu(x) + e.log1p(e.exp(-e.abs(x)))


def categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """-sum target * log(output) along ``axis``.   target (..., k), output (..., k) -> (...)

    The output of a softmax is scored from its logits: exact and finite for scores of any size. Other outputs are scaled to sum
    to 1 and kept ``EPSILON`` away from 0 and 1.
    """
    logits = output if from_logits else (origin(output, "softmax") or (None,))[0]
    if logits is not None:
        return -sum(target * log_softmax(logits, axis), axis)
    output = output / sum(output, axis, keepdims=True)
    return -sum(target * e.log(clip(output, EPSILON, 1 - EPSILON)), axis)


def sparse_categorical_crossentropy(target: Value, output: Value, from_logits: bool = False) -> Value:
    """Crossentropy against class numbers.   target (...) of integers, output (..., k) -> (...)"""
    return categorical_crossentropy(one_hot(target, output.shape[-1], output.dtype), output, from_logits)


def binary_crossentropy(target: Value, output: Value, from_logits: bool = False) -> Value:
    """-(t log o + (1 - t) log(1 - o)), element by element; the output of a sigmoid is scored from its logits."""
    logits = output if from_logits else (origin(output, "sigmoid") or (None,))[0]
    if logits is not None:
        return e.relu(logits) - logits * target + e.log1p(e.exp(-e.abs(logits)))
    output = clip(output, EPSILON, 1 - EPSILON)
    return -(target * e.log(output) + (1 - target) * e.log(1 - output))


def in_top_1(target: Value, output: Value) -> Value:
    """Whether the largest output is the target's.   target (...) of integers, output (..., k) -> (...) bool"""
    return e.equal(argmax(output), e.cast(target, dtype="int32"))
