"""How far outputs are from targets that are numbers."""

from __future__ import annotations

import math

import numpy as np

from nacre import distances, ops
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.metrics.metric import MeanMetric, Metric, Sums, aligned, spread_weight


class RootMeanSquaredError(MeanMetric):
    """Root of the mean of the squared differences.

    >>> RootMeanSquaredError()([[0.0], [0.0]], [[1.0], [7.0]])
    5.0
    """

    direction = "down"

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """(y_pred - y_true)^2."""
        return ops.square(y_pred - aligned(y_true, y_pred))

    def figure(self, sums: Sums) -> float:
        """The root of the mean."""
        return math.sqrt(super().figure(sums))


class CosineSimilarity(MeanMetric):
    """Mean cosine of the angle between targets and outputs, along ``axis``: 1 for the same direction, -1 for the opposite.

    >>> round(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]), 5)
    0.5
    """

    direction = "up"

    def __init__(self, name: str | None = None, axis: int = -1) -> None:
        super().__init__(name)
        self.axis = axis

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The cosine of each sample."""
        return -distances.cosine_similarity(aligned(y_true, y_pred), y_pred, self.axis)


class PearsonCorrelation(CosineSimilarity):
    """Mean correlation of targets and outputs along ``axis``: the cosine of what is left without their means."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The correlation of each sample."""
        y_true = aligned(y_true, y_pred)
        return super().values(_centered(y_true, self.axis), _centered(y_pred, self.axis))


class ConcordanceCorrelation(CosineSimilarity):
    """Mean concordance of targets and outputs along ``axis``: correlation that also asks for the same mean and spread.

    2 cov / (var_true + var_pred + (mean_true - mean_pred)^2). L. Lin, "A concordance correlation coefficient to evaluate
    reproducibility", Biometrics 45, 1989.
    """

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The concordance of each sample."""
        y_true, axis = aligned(y_true, y_pred), self.axis
        a, b = _centered(y_true, axis), _centered(y_pred, axis)
        apart = ops.square(ops.mean(y_true, axis=axis) - ops.mean(y_pred, axis=axis))
        spread = ops.mean(ops.square(a), axis=axis) + ops.mean(ops.square(b), axis=axis)
        return 2 * ops.mean(a * b, axis=axis) / (spread + apart + ops.EPSILON)


def _centered(x: Value, axis: int) -> Value:
    return x - ops.mean(x, axis=axis, keepdims=True)


class R2Score(Metric):
    """Share of the variance of the targets that the outputs explain: 1 - error / variance, 1 at best.

    One score for each output; ``class_aggregation`` is their "uniform_average", "variance_weighted_average", or None for all of
    them. ``num_regressors`` adjusts the score for so many inputs, where there are more samples than that.

    >>> round(R2Score()([[1.0], [2.0], [3.0]], [[1.1], [1.9], [3.0]]), 5)
    0.99
    """

    direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
    ) -> None:
        super().__init__(name or "r2_score")
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise UsageError(
                f"{class_aggregation!r} is no way to join the scores of several outputs.",
                hint="uniform_average, variance_weighted_average or None",
            )
        if isinstance(num_regressors, bool) or not isinstance(num_regressors, int) or num_regressors < 0:
            raise UsageError(f"num_regressors is a whole number that is not negative, got {num_regressors!r}.")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """Of each output: sum of squares, sum, squared error and weight; and how many numbers there are."""
        y_true = aligned(y_true, y_pred)
        if y_true.rank != 2:
            raise UsageError(f"R2Score wants outputs of shape (batch, k), got {y_true.shape}.")
        weight = ops.ones_like(y_true)
        if sample_weight is not None:
            weight = ops.broadcast_to(ops.expand_dims(spread_weight(sample_weight, y_true[:, 0]), -1), y_true.shape)
        parts = (ops.square(y_true) * weight, y_true * weight, ops.square(y_true - y_pred) * weight, weight)
        count = ops.constant([float(y_true.type.size)])  # every output counts as a sample, as in Keras
        return ops.concatenate([*(ops.sum(x, axis=0) for x in parts), count], 0)

    def figure(self, sums: Sums) -> float | Sums:
        """The score."""
        squares, total, error, count = sums[:-1].reshape(4, -1)
        with np.errstate(all="ignore"):
            variance = squares - total * total / count
            raw = 1 - error / variance
            raw = np.where(np.isinf(raw), 0.0, raw)
            if self.class_aggregation == "uniform_average":
                raw = raw.mean()
            elif self.class_aggregation == "variance_weighted_average":
                raw = (raw * variance / variance.sum()).sum()
        freedom = sums[-1] - self.num_regressors - 1
        if self.num_regressors and freedom > 0:
            raw = 1 - (1 - raw) * (sums[-1] - 1) / freedom
        return float(raw) if np.ndim(raw) == 0 else raw
