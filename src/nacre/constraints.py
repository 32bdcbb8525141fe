"""Constraints: what a weight must be. Each takes a new weight to the nearest that is allowed, after every step of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from nacre import ops
from nacre.configured import Configured, names, resolve
from nacre.errors import UsageError
from nacre.ir import Value

Rule = Callable[[Value], Value]
Axis = int | Sequence[int]


class Constraint(Configured):
    """A rule for a weight. A subclass says in ``__call__(w)`` what becomes of a new weight: another of the same type."""

    def __call__(self, w: Value) -> Value:
        """The weight that is taken instead of ``w``."""
        raise NotImplementedError


class NonNeg(Constraint):
    """No number below 0: those that are become 0."""

    def __call__(self, w: Value) -> Value:
        """max(w, 0)."""
        return ops.relu(w)


class MinMaxNorm(Constraint):
    """Lengths between ``min_value`` and ``max_value``.

    ``axis`` is along what the lengths are taken: 0 for a kernel (features, units) gives one for each unit. A ``rate`` below 1
    goes only this part of the way at each step.

    >>> from nacre.ir import Input, TensorType
    >>> MinMaxNorm(0.5, 2.0)(Input("kernel", TensorType((784, 10))))
    <multiply: float32[784,10]>
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        self.min_value, self.max_value = _number("min_value", min_value), _number("max_value", max_value)
        self.rate, self.axis = _number("rate", rate), axis

    def __call__(self, w: Value) -> Value:
        """w, longer or shorter where it must be."""
        length = ops.norm(w, axis=self.axis, keepdims=True)
        wanted = ops.clip(length, self.min_value, self.max_value)
        return _of_length(w, length, self.rate * wanted + (1 - self.rate) * length)


class MaxNorm(Constraint):
    """Lengths of ``max_value`` at most, taken along ``axis``: 0 for a kernel (features, units) gives one for each unit.

    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 2014.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = _number("max_value", max_value), axis

    def __call__(self, w: Value) -> Value:
        """w, shorter where it is too long."""
        length = ops.norm(w, axis=self.axis, keepdims=True)
        return _of_length(w, length, ops.minimum(length, self.max_value))


class UnitNorm(Constraint):
    """Lengths of 1, taken along ``axis``: 0 for a kernel (features, units) gives one for each unit."""

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Value) -> Value:
        """w, divided by its lengths."""
        length = ops.norm(w, axis=self.axis, keepdims=True)
        return _of_length(w, length, ops.ones_like(length))


def _of_length(w: Value, length: Value, wanted: Value) -> Value:
    return w * (wanted / (length + ops.EPSILON))


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UsageError(f"{name} is a number from 0 on, got {value!r}.")
    return value


# Keras's other names for the same.
max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_TABLE = names(MaxNorm, MinMaxNorm, NonNeg, UnitNorm)


def get(identifier: Any) -> Rule | None:
    """The constraint that ``identifier`` means: a name, an object, a function of a weight, or None for none.

    >>> get("max_norm").max_value
    2
    """
    constraint: Rule | None = None if identifier is None else resolve("constraint", identifier, _TABLE)
    return constraint


__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "unit_norm",
]
