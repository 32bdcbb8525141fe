"""Compositions that remember what made them, and the crossentropies, which use it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.arithmetic import clip
from nacre.ops.rearranging import one_hot
from nacre.ops.reduction import Axis, argmax, axes_of, max, sum

EPSILON = 1e-7  # Keras's `epsilon()`: probabilities are kept this far from 0 and 1


def composite(build: Callable[..., Value]) -> Callable[..., Value]:
    """Mark the result with the composition's name and arguments (`Value.origin`)."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def marked(*operands: Any, **attrs: Any) -> Value:
        y = build(*operands, **attrs)
        given = signature.bind(*operands, **attrs)
        given.apply_defaults()
        y.origin = (build.__name__, given.args)
        return y

    return marked


def origin(x: Value, name: str) -> tuple[Any, ...] | None:
    """The arguments of composition ``name`` if it, or the primitive of that name, made ``x``."""
    if x.origin is not None and x.origin[0] == name:
        return x.origin[1]
    return x.operands if x.operation is not None and x.operation.name == name else None


# ------------------------------------------------------------------ probabilities


def _shifted(x: Value, axis: Axis) -> Value:
    # The largest score becomes 0, so that no exponential overflows. The shift changes nothing, so no gradient goes through it.
    return x - e.stop_gradient(max(x, axis, keepdims=True))


@composite
def softmax(x: Value, axis: Axis = -1) -> Value:
    """Scores to probabilities, e^x / sum e^x along ``axis``, one or several."""
    powers = e.exp(_shifted(x, axis))
    return powers / sum(powers, axis, keepdims=True)


@composite
def log_softmax(x: Value, axis: Axis = -1) -> Value:
    """Logarithm of the softmax, exact where the probability would round to 0."""
    shifted = _shifted(x, axis)
    return shifted - e.log(sum(e.exp(shifted), axis, keepdims=True))


def categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """-sum target * log(output) along ``axis``.   target (..., k), output (..., k) -> (...)

    The output of a softmax along ``axis`` is scored from its logits: exact and finite for scores of any size. Other outputs are
    scaled to sum to 1 and kept ``EPSILON`` away from 0 and 1.
    """
    logits, along = (output, axis) if from_logits else origin(output, "softmax") or (None, axis)
    if logits is not None and axes_of(output, along) == axes_of(output, axis):
        return -sum(target * log_softmax(logits, axis), axis)
    output = output / sum(output, axis, keepdims=True)
    return -sum(target * e.log(clip(output, EPSILON, 1 - EPSILON)), axis)


def sparse_categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """Crossentropy against class numbers.   target (...) of integers, output (..., k) -> (...), the k classes along ``axis``"""
    return categorical_crossentropy(one_hot(target, output.shape[axis], axis, output.dtype), output, from_logits, axis)


def binary_crossentropy(target: Value, output: Value, from_logits: bool = False) -> Value:
    """-(t log o + (1 - t) log(1 - o)), element by element; the output of a sigmoid is scored from its logits."""
    logits = output if from_logits else (origin(output, "sigmoid") or (None,))[0]
    if logits is not None:
        # At 0, the maximum shares its gradient and the absolute value has none: together 1/2, as it must be.
        return e.maximum(logits, 0) - logits * target + e.log1p(e.exp(-e.abs(logits)))
    output = clip(output, EPSILON, 1 - EPSILON)
    return -(target * e.log(output) + (1 - target) * e.log(1 - output))


def in_top_1(target: Value, output: Value) -> Value:
    """Whether the largest output is the target's.   target (...) of integers, output (..., k) -> (...) bool"""
    return e.equal(argmax(output, axis=-1), e.cast(target, dtype="int32"))
