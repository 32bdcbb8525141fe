"""Regularizers: what is added to the loss for large or similar weights, or for large outputs. Each takes a value to a scalar."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from nacre import ops
from nacre.configured import Configured, names, resolve
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value

Term = Callable[[Value], Value]


class Regularizer(Configured):
    """A term of the loss. A subclass says in ``__call__(x)`` how large it is, a scalar."""

    def __call__(self, x: Value) -> Value:
        """The term for a weight or an output."""
        raise NotImplementedError


class L1L2(Regularizer):
    """l1 sum |x| + l2 sum x^2: a few weights, and small ones. H. Zou, T. Hastie, "Regularization and variable selection via the
    elastic net", 2005.

    >>> from nacre.ir import Input, TensorType
    >>> L1L2(l1=0.1, l2=0.01)(Input("kernel", TensorType((784, 10))))
    <add: float32[]>
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = _factor("l1", l1, 0.0), _factor("l2", l2, 0.0)

    def __call__(self, x: Value) -> Value:
        """l1 sum |x| + l2 sum x^2."""
        total = ops.constant(0.0, x.dtype)
        if self.l1:
            total = total + self.l1 * ops.sum(ops.abs(x))
        if self.l2:
            total = total + self.l2 * ops.sum(ops.square(x))
        return total


class L1(Regularizer):
    """l1 sum |x|: weights that are not needed go to 0. R. Tibshirani, "Regression shrinkage and selection via the lasso", 1996."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor("l1", l1, 0.01)

    def __call__(self, x: Value) -> Value:
        """l1 sum |x|."""
        return self.l1 * ops.sum(ops.abs(x))


class L2(Regularizer):
    """l2 sum x^2: weights stay small, and none is much larger than needed. A. Hoerl, R. Kennard, "Ridge regression", 1970."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor("l2", l2, 0.01)

    def __call__(self, x: Value) -> Value:
        """l2 sum x^2."""
        return self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """``factor`` times the mean of |cosine| over all pairs of rows of a matrix, or of columns with ``mode="columns"``.

    0 if all are at right angles to one another, ``factor`` if they lie on one line. A single row or column gives 0.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor, 0.01)
        if mode not in ("rows", "columns"):
            raise UsageError(f"{mode!r} is no mode of OrthogonalRegularizer.", hint="rows or columns")
        self.mode = mode

    def __call__(self, x: Value) -> Value:
        """The mean over all pairs, times ``factor``. Raises `ShapeError` for anything but a matrix."""
        if x.rank != 2:
            raise ShapeError("OrthogonalRegularizer needs a matrix.", {"found": f"shape {x.shape}"})
        rows = self.mode == "rows"
        lines = ops.normalize(x, axis=1 if rows else 0)
        cosines = ops.abs(ops.matmul(lines, lines, transpose_a=not rows, transpose_b=rows))
        number, across = (ops.iota(shape=cosines.shape, axis=a, dtype="int32") for a in (0, 1))
        pairs = max(cosines.shape[0] * (cosines.shape[0] - 1) // 2, 1)
        return self.factor / pairs * ops.sum(ops.where(number < across, cosines, 0))


def _factor(name: str, value: Any, usual: float) -> float:
    """A number from 0 on; None is the usual one, as in Keras."""
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UsageError(f"{name} is a number from 0 on, got {value!r}.")
    return float(value)


# Keras's other names for the same.
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_TABLE = names(L1, L1L2, L2, OrthogonalRegularizer, l1l2=L1L2)


def get(identifier: Any) -> Term | None:
    """The regularizer that ``identifier`` means: a name, an object, a function of one value to a scalar, or None for none.

    >>> get("l2").l2
    0.01
    """
    regularizer: Term | None = None if identifier is None else resolve("regularizer", identifier, _TABLE)
    return regularizer


__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
]
