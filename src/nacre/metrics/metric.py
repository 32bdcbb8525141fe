"""What all metrics share: a batch gives sums, and the sums of all batches give the figure."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.configured import Configured, snake_case
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.ops import evaluate

Sums = npt.NDArray[np.float64]


class Metric(Configured):
    """A figure over all samples.

    In a model, `update` is part of the program of a step, and `figure` makes of its sums, added up over the steps, what the history
    holds. By hand, ``update_state`` takes arrays, ``result`` gives the figure so far, and ``reset_state`` begins anew.

    >>> from nacre.metrics import MeanAbsoluteError
    >>> metric = MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
    >>> metric.result()
    0.5
    """

    direction: ClassVar[str | None] = None  # which way is better, "up" or "down", where that is so for all data

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._sums: Sums | None = None

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """What a batch adds to the sums.   y_true, y_pred (batch, ...), sample_weight (batch,) -> (n,)"""
        raise NotImplementedError

    def figure(self, sums: Sums) -> Any:
        """The figure from the sums over all batches: a number, or an array where there is one for each class."""
        raise NotImplementedError

    # -------------------------------------------------------------- by hand

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of arrays."""
        weight = None if sample_weight is None else ops.constant(np.asarray(sample_weight, "float32"))
        new = evaluate([self.update(_value(y_true), _value(y_pred), weight)])[0].astype(np.float64)
        self._sums = new if self._sums is None else self._sums + new

    def result(self) -> Any:
        """The figure over all batches since the last reset; 0 before the first."""
        return 0.0 if self._sums is None else self.figure(self._sums)

    def reset_state(self) -> None:
        """Forget all batches."""
        self._sums = None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; the figure so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


def _value(x: Any) -> Value:
    array = np.asarray(x)
    return ops.constant(array.astype("float32") if array.dtype.kind in "fb" else array)


class MeanMetric(Metric):
    """The mean of one number per sample, which `values` gives; weighted, if the samples have weights."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """One number per sample, or per part of one.   y_true, y_pred (batch, ...) -> (batch, ...)"""
        raise NotImplementedError

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """Total and weight."""
        values = ops.cast(self.values(y_true, y_pred), dtype="float32")
        if sample_weight is None:
            return ops.stack([ops.sum(values), ops.constant(float(values.type.size))])
        weight = spread_weight(sample_weight, values)
        if weight.rank < values.rank:
            values = ops.mean(values, axis=tuple(range(weight.rank, values.rank)))
        return ops.stack([ops.sum(values * weight), ops.sum(weight)])

    def figure(self, sums: Sums) -> float:
        """Total over weight; 0 without samples."""
        return float(ratio(sums[0], sums[1]))


def ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0; a float if both are numbers."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    found = np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)
    return float(found) if found.ndim == 0 else found


def spread_weight(weight: Value, values: Value) -> Value:
    """Weights of the first axes of ``values``, without an axis of size 1 at the end that is too much."""
    if weight.rank == values.rank + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    if weight.rank > values.rank or weight.shape != values.shape[: weight.rank]:
        raise ShapeError(
            "The sample weights do not fit the samples.", {"weights": weight.shape, "samples": values.shape}
        )
    return weight


def aligned(y_true: Value, y_pred: Value) -> Value:
    """The targets in the shape and dtype of the outputs; an axis of size 1 at the end may be there or not."""
    y_true = ops.cast(y_true, dtype=y_pred.dtype)
    if y_true.rank + 1 == y_pred.rank and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif y_pred.rank + 1 == y_true.rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            "The targets do not fit the outputs in a metric.", {"outputs": y_pred.shape, "targets": y_true.shape}
        )
    return y_true


def class_numbers(y_true: Value, y_pred: Value) -> Value:
    """Targets that are class numbers, without an axis of size 1 at the end."""
    if y_true.rank == y_pred.rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if y_true.shape != y_pred.shape[:-1]:
        raise ShapeError(
            "The targets do not fit the outputs in a metric.", {"outputs": y_pred.shape, "targets": y_true.shape}
        )
    return y_true


def whole(what: str, number: Any) -> int:
    """A positive whole number, or `UsageError`."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(f"{what} is a positive whole number, got {number!r}.")
    return number
