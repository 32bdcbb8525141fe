"""Right and wrong answers counted apart: precision, recall, what is made of them, and the areas under their curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nacre import ops
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.metrics.metric import Metric, Sums, aligned, class_numbers, ratio, spread_weight, whole

_FAR_BELOW = -1e10  # an output that is not among the k largest


@dataclass(frozen=True)
class Counts:
    """True and false positives, true and false negatives, each (thresholds, ...)."""

    tp: Sums
    fp: Sums
    tn: Sums
    fn: Sums

    @property
    def precision(self) -> Sums:
        """Share of right ones among the positive answers; 0 where there are none."""
        return np.asarray(ratio(self.tp, self.tp + self.fp))

    @property
    def recall(self) -> Sums:
        """Share of the positive samples that were found; the sensitivity."""
        return np.asarray(ratio(self.tp, self.tp + self.fn))

    @property
    def specificity(self) -> Sums:
        """Share of the negative samples that were called so."""
        return np.asarray(ratio(self.tn, self.tn + self.fp))


class _AtThresholds(Metric):
    """Made of the four counts, at each of some thresholds.

    ``thresholds`` is a number in [0, 1] or a list of them; then the figure is an array. With ``top_k``, only the k largest outputs
    of a sample can be positive; with ``class_id``, only that column counts.
    """

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.thresholds = _checked(thresholds)
        self.top_k = None if top_k is None else whole("top_k", top_k)
        self.class_id = class_id

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """True positives, false positives, true negatives and false negatives, at each threshold."""
        y_true, y_pred, weight = _flat(y_true, y_pred, sample_weight, self.top_k, self.class_id)
        default = 0.5 if self.top_k is None else _FAR_BELOW
        thresholds = [default] if self.thresholds is None else np.atleast_1d(self.thresholds).tolist()
        shape = (len(thresholds), y_pred.shape[0])
        above = ops.broadcast_to(y_pred, shape) > ops.expand_dims(ops.constant(thresholds), -1)
        positive = ops.cast(above, dtype="float32") * weight
        right = positive * y_true
        both = [ops.sum(right, axis=1), ops.sum(positive - right, axis=1)]
        missed = ops.sum(weight * y_true) - both[0]
        rest = ops.sum(weight * (1 - y_true)) - both[1]
        return ops.concatenate([*both, rest, missed], 0)

    def figure(self, sums: Sums) -> Any:
        """One number, or one for each threshold."""
        found = self.of(Counts(*sums.reshape(4, -1)))
        return float(found[0]) if np.ndim(self.thresholds) == 0 else found

    def of(self, n: Counts) -> Sums:
        """What is made of the four counts."""
        raise NotImplementedError


class Precision(_AtThresholds):
    """Share of right ones among the positive answers.

    >>> Precision()([0, 1, 1, 1], [1, 0, 1, 1])
    0.6666666666666666
    """

    direction = "up"

    def of(self, n: Counts) -> Sums:
        """tp / (tp + fp)."""
        return n.precision


class Recall(_AtThresholds):
    """Share of the positive samples that were found.

    >>> Recall()([0, 1, 1, 1], [1, 0, 1, 1])
    0.6666666666666666
    """

    direction = "up"

    def of(self, n: Counts) -> Sums:
        """tp / (tp + fn)."""
        return n.recall


class _OneCount(_AtThresholds):
    def __init__(self, thresholds: float | Sequence[float] | None = None, name: str | None = None) -> None:
        super().__init__(thresholds, name=name)


class TruePositives(_OneCount):
    """How many positive samples were called so."""

    def of(self, n: Counts) -> Sums:
        """The first count."""
        return n.tp


class FalsePositives(_OneCount):
    """How many negative samples were called positive."""

    def of(self, n: Counts) -> Sums:
        """The second count."""
        return n.fp


class TrueNegatives(_OneCount):
    """How many negative samples were called so."""

    def of(self, n: Counts) -> Sums:
        """The third count."""
        return n.tn


class FalseNegatives(_OneCount):
    """How many positive samples were called negative."""

    def of(self, n: Counts) -> Sums:
        """The fourth count."""
        return n.fn


# ------------------------------------------------------------------ curves


class _Curve(Metric):
    """Counts at many thresholds, from 0 to 1 in equal steps. An output is sorted into the step it lies in, so that a batch costs no
    more for many thresholds than for few."""

    direction = "up"

    def __init__(self, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.num_thresholds = whole("num_thresholds", num_thresholds)
        if self.num_thresholds < 2:
            raise UsageError(f"A curve has at least 2 thresholds, got {num_thresholds}.")
        self.class_id = class_id

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """Weights of the positive samples in each step, then of the negative ones."""
        y_true, y_pred, weight = _flat(y_true, y_pred, sample_weight, None, self.class_id)
        return _sorted_in(y_true, y_pred, weight, self.num_thresholds)

    def counts(self, sums: Sums) -> Counts:
        """The counts at each threshold, lowest first."""
        positive, negative = sums.reshape(2, self.num_thresholds, *([-1] if sums.ndim > 1 else []))
        tp, fp = (np.cumsum(x[::-1], axis=0)[::-1] for x in (positive, negative))
        return Counts(tp, fp, negative.sum(0) - fp, positive.sum(0) - tp)


class AUC(_Curve):
    """Area under a curve over all thresholds: of recall over false alarms ("ROC"), or of precision over recall ("PR").

    ``summation_method``: "interpolation" (trapezoids; for PR as J. Davis and M. Goadrich, "The relationship between
    precision-recall and ROC curves", 2006), "minoring" or "majoring" (the lower or higher end of each step). With
    ``multi_label``, the areas of the columns are averaged, weighted by ``label_weights``. ``from_logits`` puts a sigmoid before.

    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        multi_label: bool = False,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(num_thresholds, None, name or "auc")
        if curve not in ("ROC", "PR"):
            raise UsageError(f"{curve!r} is no curve.", hint='"ROC" or "PR"')
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise UsageError(
                f"{summation_method!r} is no way to sum up an area.", hint="interpolation, minoring or majoring"
            )
        if label_weights is not None and not multi_label:
            raise UsageError("label_weights go with multi_label=True.")
        self.curve, self.summation_method = curve, summation_method
        self.multi_label, self.from_logits = bool(multi_label), bool(from_logits)
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """Weights in each step, for all columns together or each."""
        y_pred = ops.sigmoid(y_pred) if self.from_logits else y_pred
        if not self.multi_label:
            return super().update(y_true, y_pred, sample_weight)
        y_true = aligned(y_true, y_pred)
        columns = [super(AUC, self).update(y_true[:, n], y_pred[:, n], sample_weight) for n in range(y_pred.shape[-1])]
        return ops.stack(columns, axis=1)

    def figure(self, sums: Sums) -> float:
        """The area, or the mean of the areas."""
        n = self.counts(sums)
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _area_of_precision(n)
        else:
            x, y = (n.recall, n.precision) if self.curve == "PR" else (np.asarray(ratio(n.fp, n.fp + n.tn)), n.recall)
            areas = ((x[:-1] - x[1:]) * _HEIGHTS[self.summation_method](y[:-1], y[1:])).sum(0)
        if not self.multi_label:
            return float(areas)
        weights = np.ones_like(areas) if self.label_weights is None else np.asarray(self.label_weights)
        return float(ratio((areas * weights).sum(), weights.sum()))


_HEIGHTS: dict[str, Callable[[Sums, Sums], Sums]] = {
    "interpolation": lambda a, b: (a + b) / 2,
    "minoring": np.minimum,
    "majoring": np.maximum,
}


def _area_of_precision(n: Counts) -> Sums:
    """Between two thresholds, true positives are taken as linear in all positives, and precision integrated over recall."""
    tp, positives = n.tp, n.tp + n.fp
    gained = tp[:-1] - tp[1:]
    slope = np.asarray(ratio(gained, np.maximum(positives[:-1] - positives[1:], 0)))
    begin = tp[1:] - slope * positives[1:]
    both = (positives[:-1] > 0) & (positives[1:] > 0)
    growth = np.where(both, ratio(positives[:-1], np.maximum(positives[1:], 0)), 1.0)
    areas = np.asarray(ratio(slope * (gained + begin * np.log(growth)), np.maximum(tp[1:] + n.fn[1:], 0)))
    return np.asarray(areas.sum(0))


class _At(_Curve):
    """The best of one figure among the thresholds where another is at least a given value; 0 if it is nowhere."""

    def _best(self, wanted: Sums, held: Sums, least: float) -> float:
        return float(wanted[held >= least].max(initial=0.0))


class SensitivityAtSpecificity(_At):
    """The best recall where at least the share ``specificity`` of the negative samples is called so.

    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    def __init__(
        self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(num_thresholds, class_id, name)
        self.specificity = _share("specificity", specificity)

    def figure(self, sums: Sums) -> float:
        """The best sensitivity."""
        n = self.counts(sums)
        return self._best(n.recall, n.specificity, self.specificity)


class SpecificityAtSensitivity(_At):
    """The best specificity where at least the share ``sensitivity`` of the positive samples is found."""

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(num_thresholds, class_id, name)
        self.sensitivity = _share("sensitivity", sensitivity)

    def figure(self, sums: Sums) -> float:
        """The best specificity."""
        n = self.counts(sums)
        return self._best(n.specificity, n.recall, self.sensitivity)


class PrecisionAtRecall(_At):
    """The best precision where recall is at least ``recall``."""

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(num_thresholds, class_id, name)
        self.recall = _share("recall", recall)

    def figure(self, sums: Sums) -> float:
        """The best precision."""
        n = self.counts(sums)
        return self._best(n.precision, n.recall, self.recall)


class RecallAtPrecision(_At):
    """The best recall where precision is at least ``precision``."""

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(num_thresholds, class_id, name)
        self.precision = _share("precision", precision)

    def figure(self, sums: Sums) -> float:
        """The best recall."""
        n = self.counts(sums)
        return self._best(n.recall, n.precision, self.precision)


# ------------------------------------------------------------------ one figure of precision and recall


class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall: (1 + b^2) p r / (b^2 p + r), of each class.

    ``average``: None for one score a class, "macro" for their mean, "weighted" for their mean by the number of samples, "micro" for
    the score of all answers together. Positive is the largest output of a sample, or what is above ``threshold``.

    >>> score = FBetaScore(beta=2.0, threshold=0.5)([[1, 1, 1], [1, 0, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6]])
    >>> score.round(4).tolist()
    [0.0, 0.8333, 0.8333]
    """

    direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
    ) -> None:
        super().__init__(name)
        if average not in (None, "micro", "macro", "weighted"):
            raise UsageError(
                f"{average!r} is no average.", hint="micro, macro, weighted, or None for one score a class"
            )
        if isinstance(beta, bool) or not isinstance(beta, int | float) or beta <= 0:
            raise UsageError(f"beta is a positive number, got {beta!r}.")
        self.average, self.beta, self.threshold = average, float(beta), threshold

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """True positives, false positives, false negatives and the weight of each class."""
        y_true = aligned(y_true, y_pred)
        if y_pred.rank != 2:
            raise ShapeError(f"{self.name} wants outputs of shape (batch, classes), got {y_pred.shape}.")
        if self.threshold is None:
            largest = ops.max(y_pred, axis=-1, keepdims=True)
            positive = ops.logical_and(y_pred >= largest, ops.abs(y_pred) > 1e-12)
        else:
            positive = y_pred > self.threshold
        called = ops.cast(positive, dtype="float32")
        weight = ops.ones_like(y_true)
        if sample_weight is not None:
            weight = ops.broadcast_to(ops.expand_dims(spread_weight(sample_weight, y_true[:, 0]), -1), y_true.shape)
        parts = (called * y_true, called * (1 - y_true), (1 - called) * y_true, y_true)
        return ops.concatenate([ops.sum(x * weight, axis=0) for x in parts], 0)

    def figure(self, sums: Sums) -> Any:
        """The score, or the scores."""
        tp, fp, fn, weight = sums.reshape(4, -1)
        if self.average == "micro":
            tp, fp, fn = tp.sum(), fp.sum(), fn.sum()
        precision, recall = tp / (tp + fp + ops.EPSILON), tp / (tp + fn + ops.EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + ops.EPSILON)
        if self.average == "weighted":
            return float((score * weight / (weight.sum() + ops.EPSILON)).sum())
        return score if self.average is None else float(np.mean(score))


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall; see `FBetaScore`.

    >>> round(F1Score(average="macro")([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]]), 5)
    1.0
    """

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = "f1_score"
    ) -> None:
        super().__init__(average, 1.0, threshold, name)


class ConfusionMatrix(Metric):
    """How many samples of each class (row) were taken for which class (column). Targets are class numbers.

    It is no single number, so it stands outside of ``compile``: ask it with what a model predicts.

    >>> ConfusionMatrix(2)([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    array([[1., 0.],
           [1., 1.]])
    """

    def __init__(self, num_classes: int, name: str | None = None) -> None:
        super().__init__(name)
        self.num_classes = whole("num_classes", num_classes)

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """The weight of each pair of classes."""
        classes = ops.cast(class_numbers(y_true, y_pred), dtype="int32")
        if y_pred.shape[-1] != self.num_classes:
            raise ShapeError(
                "The outputs are not one for each class.", {"classes": self.num_classes, "outputs": y_pred.shape[-1]}
            )
        weight = ops.full(classes.shape, 1.0) if sample_weight is None else spread_weight(sample_weight, classes)
        return ops.scatter_add(
            classes * self.num_classes + ops.argmax(y_pred, axis=-1), weight, rows=self.num_classes**2
        )

    def figure(self, sums: Sums) -> Sums:
        """The matrix."""
        return sums.reshape(self.num_classes, self.num_classes)


# ------------------------------------------------------------------ parts


def _flat(
    y_true: Value, y_pred: Value, sample_weight: Value | None, top_k: int | None, class_id: int | None
) -> tuple[Value, Value, Value]:
    """Targets as 0 and 1, outputs and weights, one number each for all places of all samples."""
    y_true = aligned(y_true, y_pred)
    if top_k is not None:
        y_pred = ops.where(_among_largest(y_pred, top_k), y_pred, _FAR_BELOW)
    if class_id is not None:
        if not isinstance(class_id, int) or not 0 <= class_id < y_pred.shape[-1]:
            raise UsageError(f"There is no class {class_id!r} among {y_pred.shape[-1]} outputs.")
        y_true, y_pred = y_true[..., class_id], y_pred[..., class_id]
    weight = ops.ones_like(y_pred)
    if sample_weight is not None:
        own = spread_weight(sample_weight, y_pred)
        weight = weight * ops.reshape(own, [*own.shape, *([1] * (y_pred.rank - own.rank))])
    truth = ops.cast(ops.not_equal(y_true, 0.0), dtype="float32")
    return tuple(ops.reshape(x, [x.type.size]) for x in (truth, y_pred, weight))  # type: ignore[return-value]


def _among_largest(x: Value, k: int) -> Value:
    """Whether a number is among the k largest along the last axis; of equal ones, the first come first."""
    size = x.shape[-1]
    shape = (*x.shape, size)
    mine = ops.broadcast_to(ops.expand_dims(x, -1), shape)
    other = ops.broadcast_to(ops.expand_dims(x, -2), shape)
    earlier = ops.iota(shape=shape, axis=x.rank, dtype="int32") < ops.iota(shape=shape, axis=x.rank - 1, dtype="int32")
    ahead = ops.logical_or(other > mine, ops.logical_and(ops.equal(other, mine), earlier))
    return ops.sum(ops.cast(ahead, dtype="float32"), axis=-1) < float(k)


def _sorted_in(y_true: Value, y_pred: Value, weight: Value, steps: int) -> Value:
    """Weights of the positive numbers in each step between 0 and 1, then of the negative ones. A step takes its upper end in."""
    place = ops.cast(-ops.floor(-y_pred * float(steps - 1)), dtype="int32") - 1
    place = ops.where(place < 0, 0, place)
    tables = [ops.scatter_add(place, weight * x, rows=steps) for x in (y_true, 1 - y_true)]
    return ops.concatenate(tables, 0)


def _checked(thresholds: Any) -> Any:
    for t in np.atleast_1d(0.0 if thresholds is None else thresholds).tolist():
        _share("A threshold", t)
    return thresholds if thresholds is None or np.ndim(thresholds) == 0 else [float(t) for t in thresholds]


def _share(what: str, number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise UsageError(f"{what} lies in [0, 1], got {number!r}.")
    return float(number)
