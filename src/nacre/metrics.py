"""Metrics: what is measured beside the loss. Each batch gives sums, and the sums of all batches give the figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.configured import Configured, names, resolve, snake_case
from nacre.errors import ShapeError, UsageError
from nacre.ir import TensorType, Value


class Metric(Configured):
    """A figure over all samples. ``values`` gives one number per sample; the figure is their mean."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """One number per sample.   y_true, y_pred (batch, ...) -> (batch, ...)"""
        raise NotImplementedError

    def update(self, y_true: Value, y_pred: Value) -> Value:
        """What a batch adds to the sums: total and count.   -> (2,)"""
        values = self.values(y_true, y_pred)
        total = ops.cast(ops.sum(values), dtype="float32")
        return ops.stack([total, ops.constant(float(values.type.size))])

    def result(self, sums: npt.NDArray[np.float64]) -> float:
        """The figure from the sums over all batches."""
        return float(sums[0] / sums[1]) if sums[1] else 0.0


def _aligned(y_true: Value, y_pred: Value) -> Value:
    y_true = ops.cast(y_true, dtype=y_pred.dtype)
    if y_true.rank + 1 == y_pred.rank and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            "The targets do not fit the outputs in a metric.", {"outputs": y_pred.shape, "targets": y_true.shape}
        )
    return y_true


class BinaryAccuracy(Metric):
    """Share of outputs on the right side of ``threshold``."""

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where the thresholded output is the target."""
        above = ops.cast(y_pred > self.threshold, dtype=y_pred.dtype)
        return ops.cast(ops.equal(_aligned(y_true, y_pred), above), dtype=y_pred.dtype)


class CategoricalAccuracy(Metric):
    """Share of samples whose largest output is the class that the one-hot target marks."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where the largest output is the target's."""
        hits = ops.in_top_1(ops.argmax(_aligned(y_true, y_pred), axis=-1), y_pred)
        return ops.cast(hits, dtype=y_pred.dtype)


class SparseCategoricalAccuracy(Metric):
    """Share of samples whose largest output is the class that the target numbers."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where the largest output is the target's."""
        if y_true.rank == y_pred.rank and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        if y_true.shape != y_pred.shape[:-1]:
            raise ShapeError(
                "The targets do not fit the outputs in a metric.", {"outputs": y_pred.shape, "targets": y_true.shape}
            )
        return ops.cast(ops.in_top_1(y_true, y_pred), dtype=y_pred.dtype)


class MeanSquaredError(Metric):
    """Mean of the squared differences."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """(y_pred - y_true)^2, mean over the last axis."""
        return ops.mean(ops.square(y_pred - _aligned(y_true, y_pred)), axis=-1)


class MeanAbsoluteError(Metric):
    """Mean of the absolute differences."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """|y_pred - y_true|, mean over the last axis."""
        return ops.mean(ops.abs(y_pred - _aligned(y_true, y_pred)), axis=-1)


_CLASSES = (BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, MeanSquaredError, MeanAbsoluteError)
_TABLE = names(*_CLASSES, mse=MeanSquaredError, MSE=MeanSquaredError, mae=MeanAbsoluteError, MAE=MeanAbsoluteError)
_ACCURACY = ("accuracy", "acc")


def get(identifier: Any, target: TensorType | None = None, output: TensorType | None = None) -> Metric:
    """The metric that ``identifier`` means. "accuracy" is binary, categorical or sparse by the shapes of target and output.

    >>> get("mse").name
    'mse'
    """
    if identifier in _ACCURACY:
        if target is None or output is None:
            raise UsageError('"accuracy" needs the shapes of targets and outputs to know which accuracy is meant.')
        binary = output.shape[-1] == 1
        sparse = target.rank < output.rank or target.shape[-1] == 1
        return (BinaryAccuracy if binary else SparseCategoricalAccuracy if sparse else CategoricalAccuracy)(
            name=identifier
        )
    metric: Metric = resolve("metric", identifier, _TABLE | dict.fromkeys(_ACCURACY))
    if not isinstance(metric, Metric):
        raise UsageError(f"{identifier!r} is no metric.", hint="a name, or a subclass of nacre.metrics.Metric")
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


__all__ = [
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "SparseCategoricalAccuracy",
    "get",
]
