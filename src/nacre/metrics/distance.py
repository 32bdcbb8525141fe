"""Means of distances between targets and outputs; what is a loss elsewhere is measured here. See `nacre.distances`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from nacre import distances
from nacre.ir import Value
from nacre.metrics.metric import MeanMetric, aligned, class_numbers


class _Distance(MeanMetric):
    """The mean of ``function`` over the samples, called with the ``settings`` of the metric."""

    function: ClassVar[Callable[..., Value]]
    settings: ClassVar[tuple[str, ...]] = ()
    direction = "down"

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The distance of each sample."""
        return self._distance(aligned(y_true, y_pred), y_pred)

    def _distance(self, y_true: Value, y_pred: Value) -> Value:
        chosen: dict[str, Any] = {name: getattr(self, name) for name in self.settings}
        return type(self).function(y_true, y_pred, **chosen)


class MeanSquaredError(_Distance):
    """Mean of the squared differences."""

    function = staticmethod(distances.mean_squared_error)


class MeanAbsoluteError(_Distance):
    """Mean of the absolute differences."""

    function = staticmethod(distances.mean_absolute_error)


class MeanAbsolutePercentageError(_Distance):
    """Mean of the differences as a share of the targets, in percent."""

    function = staticmethod(distances.mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Distance):
    """Mean of the squared differences of log(1 + x)."""

    function = staticmethod(distances.mean_squared_logarithmic_error)


class LogCoshError(_Distance):
    """Mean of log(cosh(difference)).

    >>> LogCoshError(name="far")([[0.0]], [[0.0]])
    0.0
    """

    function = staticmethod(distances.log_cosh)

    def __init__(self, name: str | None = "logcosh") -> None:
        super().__init__(name)


class Poisson(_Distance):
    """Mean of p - t log p."""

    function = staticmethod(distances.poisson)


class KLDivergence(_Distance):
    """Mean divergence of the outputs, as distributions, from the targets."""

    function = staticmethod(distances.kl_divergence)


class Hinge(_Distance):
    """Mean of max(1 - t p, 0)."""

    function = staticmethod(distances.hinge)


class SquaredHinge(_Distance):
    """Mean of max(1 - t p, 0)^2."""

    function = staticmethod(distances.squared_hinge)


class CategoricalHinge(_Distance):
    """Mean of max(1 + the largest wrong output - the right output, 0)."""

    function = staticmethod(distances.categorical_hinge)


class BinaryCrossentropy(_Distance):
    """Mean crossentropy of independent yes-or-no outputs.

    >>> round(BinaryCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    function = staticmethod(distances.binary_crossentropy)
    settings = ("from_logits", "label_smoothing")

    def __init__(self, name: str | None = None, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(name)
        self.from_logits, self.label_smoothing = bool(from_logits), float(label_smoothing)


class CategoricalCrossentropy(_Distance):
    """Mean crossentropy of one of k classes along ``axis``; targets are one-hot or probabilities."""

    function = staticmethod(distances.categorical_crossentropy)
    settings = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self, name: str | None = None, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
    ) -> None:
        super().__init__(name)
        self.from_logits, self.label_smoothing, self.axis = bool(from_logits), float(label_smoothing), axis


class SparseCategoricalCrossentropy(_Distance):
    """Mean crossentropy of one of k classes along ``axis``; targets are class numbers."""

    function = staticmethod(distances.sparse_categorical_crossentropy)
    settings = ("from_logits", "axis")

    def __init__(self, name: str | None = None, from_logits: bool = False, axis: int = -1) -> None:
        super().__init__(name)
        self.from_logits, self.axis = bool(from_logits), axis

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """The crossentropy of each sample."""
        return self._distance(class_numbers(y_true, y_pred), y_pred)


class OwnFunction(MeanMetric):
    """The mean of a function (y_true, y_pred) of one's own."""

    def __init__(self, function: Callable[[Value, Value], Value], name: str | None = None) -> None:
        super().__init__(name or getattr(function, "__name__", "metric"))
        self.function = function

    def described(self) -> str:
        """The name of the function."""
        return self.function.__name__

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """What the function gives."""
        return self.function(y_true, y_pred)
