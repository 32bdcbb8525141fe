"""Shares of right answers."""

from __future__ import annotations

import math

from nacre import ops
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.metrics.metric import MeanMetric, aligned, class_numbers, whole

_NORMAL = 1.959963984540054  # 95 % of a normal distribution are within so many standard deviations


class Accuracy(MeanMetric):
    """Share of outputs that equal the target.

    >>> Accuracy()([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 4.0])
    0.75
    """

    direction = "up"

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where both are equal."""
        return ops.cast(ops.equal(aligned(y_true, y_pred), y_pred), dtype="float32")


class BinaryAccuracy(MeanMetric):
    """Share of outputs on the right side of ``threshold``."""

    direction = "up"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where the thresholded output is the target."""
        above = ops.cast(y_pred > self.threshold, dtype=y_pred.dtype)
        return ops.cast(ops.equal(aligned(y_true, y_pred), above), dtype=y_pred.dtype)


class CategoricalAccuracy(MeanMetric):
    """Share of samples whose largest output is the class that the one-hot target marks."""

    direction = "up"

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where the largest output is the target's."""
        hits = ops.in_top_1(ops.argmax(aligned(y_true, y_pred), axis=-1), y_pred)
        return ops.cast(hits, dtype=y_pred.dtype)


class SparseCategoricalAccuracy(MeanMetric):
    """Share of samples whose largest output is the class that the target numbers."""

    direction = "up"

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where the largest output is the target's."""
        return ops.cast(ops.in_top_1(class_numbers(y_true, y_pred), y_pred), dtype=y_pred.dtype)


class SparseTopKCategoricalAccuracy(MeanMetric):
    """Share of samples whose class, which the target numbers, is among the ``k`` with the largest outputs.

    >>> SparseTopKCategoricalAccuracy(k=2)([2, 1], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.0]])
    1.0
    """

    direction = "up"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = whole("The k of a top-k accuracy", k)

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where fewer than k outputs are larger than the target's."""
        return self._hits(class_numbers(y_true, y_pred), y_pred)

    def _hits(self, classes: Value, y_pred: Value) -> Value:
        marked = ops.one_hot(classes, y_pred.shape[-1]) > 0
        own = ops.sum(ops.where(marked, y_pred, 0.0), axis=-1, keepdims=True)
        larger = ops.sum(ops.cast(y_pred > own, dtype="float32"), axis=-1)
        return ops.cast(larger < float(self.k), dtype="float32")


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """Share of samples whose class, which the one-hot target marks, is among the ``k`` with the largest outputs."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """1 where fewer than k outputs are larger than the target's."""
        return self._hits(ops.argmax(aligned(y_true, y_pred), axis=-1), y_pred)


_FEW = 100  # rows, of which an accuracy says little


def told_of_few(share: float, rows: int) -> str:
    """What is to be said of an accuracy of fewer than 100 ``rows``: within what it lies with 95 % confidence; "" of more.

    >>> told_of_few(10 / 12, 12), told_of_few(0.9, 100)
    ('of 12 rows: 0.55 to 0.95', '')
    """
    if rows >= _FEW:
        return ""
    low, high = wilson_interval(share, rows)
    return f"of {rows:,} {'row' if rows == 1 else 'rows'}: {low:.2f} to {high:.2f}"


def wilson_interval(share: float, rows: int) -> tuple[float, float]:
    """Where the accuracy on all rows of this kind lies, with 95 % confidence, if ``share`` of so many ``rows`` are right that were
    drawn by chance: from the first number to the second.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927. Raises `UsageError` for a share
    that is not from 0 to 1, and for no rows.

    >>> [round(end, 4) for end in wilson_interval(0.9, 100)]
    [0.8256, 0.9448]
    """
    if rows < 1 or not 0 <= share <= 1:
        raise UsageError("An interval is for a share from 0 to 1 of some rows.", {"share": share, "rows": rows})
    z2 = _NORMAL**2 / rows
    middle, half = share + z2 / 2, _NORMAL * math.sqrt((share * (1 - share) + z2 / 4) / rows)
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))
