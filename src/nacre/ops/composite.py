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
    """Mark the result with the composition's name and all of its arguments (`Value.origin`)."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def marked(*operands: Any, **attrs: Any) -> Value:
        given = signature.bind(*operands, **attrs)
        given.apply_defaults()
        y = build(*given.args, **given.kwargs)
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


def logits(output: Value, end: str, from_logits: bool = False, axis: int = -1) -> Value | None:
    """The scores behind ``output``, if it holds scores, or if ``end`` made it: "sigmoid", or "softmax" along ``axis``."""
    if from_logits:
        return output
    scores, *along = origin(output, end) or (None,)
    return scores if all(axes_of(output, a) == axes_of(output, axis) for a in along) else None


def log_probabilities(output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """Logarithm of the probabilities that ``output`` holds along ``axis``.

    Those of a softmax come from its scores: exact, and finite for scores of any size. Others are scaled to sum to 1 and kept
    ``EPSILON`` away from 0 and 1.
    """
    scores = logits(output, "softmax", from_logits, axis)
    if scores is not None:
        return log_softmax(scores, axis)
    total = sum(output, axis, keepdims=True)
    return e.log(clip(output / e.select(e.equal(total, 0), 1, total), EPSILON, 1 - EPSILON))


def categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """-sum target * log(output) along ``axis``, see `log_probabilities`.   target (..., k), output (..., k) -> (...)"""
    return -sum(target * log_probabilities(output, from_logits, axis), axis)


def sparse_categorical_crossentropy(target: Value, output: Value, from_logits: bool = False, axis: int = -1) -> Value:
    """Crossentropy against class numbers.   target (...) of integers, output (..., k) -> (...), the k classes along ``axis``"""
    return categorical_crossentropy(one_hot_like(target, output, axis), output, from_logits, axis)


def one_hot_like(target: Value, output: Value, axis: int = -1) -> Value:
    """Class numbers as ones and zeros in the shape of the output, classes along ``axis``."""
    return one_hot(target, output.shape[axis], axis, output.dtype)


def binary_crossentropy(target: Value, output: Value, from_logits: bool = False) -> Value:
    """-(t log o + (1 - t) log(1 - o)), element by element; the output of a sigmoid is scored from its logits."""
    scores = logits(output, "sigmoid", from_logits)
    if scores is not None:
        # At 0, the maximum shares its gradient and the absolute value has none: together 1/2, as it must be.
        return e.maximum(scores, 0) - scores * target + e.log1p(e.exp(-e.abs(scores)))
    output = clip(output, EPSILON, 1 - EPSILON)
    return -(target * e.log(output) + (1 - target) * e.log(1 - output))


def in_top_1(target: Value, output: Value) -> Value:
    """Whether the largest output is the target's.   target (...) of integers, output (..., k) -> (...) bool"""
    return e.equal(argmax(output, axis=-1), e.cast(target, dtype="int32"))
