"""Losses, or costs: how far an output is from its target. One number for each sample, reduced to one for the batch.

Each loss is there as a function of (y_true, y_pred), see `nacre.distances`, and as a class that also reduces.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, ClassVar

from nacre import ops
from nacre.configured import Configured, names, resolve, snake_case
from nacre.distances import (
    Axis,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
    categorical_hinge,
    cosine_similarity,
    dice,
    half_squared_error,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)
from nacre.errors import Limitation, ShapeError, UsageError, did_you_mean
from nacre.ir import Value

# ------------------------------------------------------------------ objects

_MEANS = ("sum_over_batch_size", "mean")
_REDUCTIONS = (*_MEANS, "mean_with_sample_weight", "sum", "none", None)


class Loss(Configured):
    """A loss with its settings. A subclass says in ``call(y_true, y_pred)`` what it is for each sample.

    ``reduction`` says what becomes of the losses of a batch: "sum_over_batch_size" or "mean" divides their sum by their number,
    "mean_with_sample_weight" by the sum of the weights, "sum" adds them; "none" or None leaves them as they are, which is for
    whoever calls the loss, not for training. ``targets`` says what y_true holds, for whoever checks the data: "numbers",
    "probabilities" or "labels" (class numbers).
    """

    targets: ClassVar[str] = "numbers"
    ignore_class: int | None = None  # a label that is no class, and does not count

    def __init__(self, name: str | None = None, reduction: str | None = "sum_over_batch_size", **unknown: Any) -> None:
        if unknown.pop("dtype", None) is not None:
            raise Limitation("A loss has no dtype of its own: it is computed in that of the outputs.")
        if unknown:
            word = next(iter(unknown))
            raise UsageError(
                f"{type(self).__name__} has no argument {word!r}.", hint=did_you_mean(word, self.config_names())
            )
        if reduction not in _REDUCTIONS:
            raise UsageError(
                f"{reduction!r} is no reduction.",
                hint="sum_over_batch_size (the mean), mean_with_sample_weight, sum or none",
            )
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """One number per sample."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Value:
        """The loss of a batch, a scalar; without a reduction, that of each sample.

        ``sample_weight`` multiplies the losses: one number for each sample, or for each of its losses where a sample has several.

        >>> from nacre.ir import Input, TensorType
        >>> y, p, w = (Input(name, TensorType((32, 4))) for name in "ypw")
        >>> MeanSquaredError()(y, p), MeanSquaredError(reduction="none")(y, p, w[:, 0])
        (<multiply: float32[]>, <multiply: float32[32]>)
        >>> print(MeanSquaredError()([[0.0, 2.0]], [[1.0, 2.0]]))
        0.5
        """
        y_true, y_pred = ops.operand(y_true), ops.operand(y_pred)
        y_pred = y_pred if y_pred.type.is_float else ops.cast(y_pred, dtype="float32")
        y_true = self.match(y_true, y_pred)
        losses = self.call(y_true, y_pred)
        if not isinstance(losses, Value):
            raise UsageError(
                f"The loss {self.name!r} gave {type(losses).__name__}, not a value of a graph.",
                hint="compute it with nacre.ops, not with NumPy",
            )
        losses = ops.cast(losses, dtype=y_pred.dtype) if losses.dtype != y_pred.dtype else losses
        weights = None if sample_weight is None else _beside(sample_weight, losses)
        if self.ignore_class is not None:
            counts = ops.not_equal(ops.cast(y_true, dtype="int32"), self.ignore_class)
            share = ops.cast(counts, dtype=losses.dtype)
            if self.reduction in _MEANS:  # the mean over those that count
                share = share * _ratio(ops.constant(float(share.type.size), losses.dtype), ops.sum(share))
            weights = share if weights is None else weights * share
        losses = losses if weights is None else losses * weights
        if self.reduction in (None, "none"):
            return losses
        if self.reduction == "sum":
            return ops.sum(losses)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            return _ratio(ops.sum(losses), ops.sum(weights))
        return ops.mean(losses)

    def match(self, y_true: Value, y_pred: Value) -> Value:
        """The targets in the shape and dtype of the outputs; an axis of size 1 at the end may be there or not."""
        y_true = ops.cast(y_true, dtype=y_pred.dtype)
        if y_true.rank + 1 == y_pred.rank and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        if y_true.shape != y_pred.shape:
            raise self.mismatch(y_true, y_pred)
        return y_true

    def mismatch(self, y_true: Value, y_pred: Value) -> ShapeError:
        """The error for targets that do not belong to the outputs."""
        hint = ""
        if self.targets == "probabilities" and y_true.rank == 1:
            hint = "class numbers need sparse_categorical_crossentropy; or make them one-hot with nacre.utils.to_categorical"
        elif self.targets == "labels":
            hint = "one-hot targets need categorical_crossentropy"
        found = {
            "outputs": f"(batch, {', '.join(map(str, y_pred.shape[1:]))})",
            "targets": f"(batch, {', '.join(map(str, y_true.shape[1:]))})",
        }
        return ShapeError(f"The targets do not fit the outputs in {self.name}.", found, hint)


def _beside(weight: Any, losses: Value) -> Value:
    """Weights in a shape that multiplies the losses: an axis of size 1 at the end may be too many, axes at the end may lack."""
    w = ops.cast(weight if isinstance(weight, Value) else ops.constant(weight, losses.dtype), dtype=losses.dtype)
    if w.rank == losses.rank + 1 and w.shape[-1] == 1:
        w = ops.squeeze(w, -1)
    if 0 < w.rank < losses.rank:
        w = ops.reshape(w, [*w.shape, *[1] * (losses.rank - w.rank)])
    fits = w.rank == losses.rank and all(a in (1, b) for a, b in zip(w.shape, losses.shape, strict=True))
    if not fits and w.rank and losses.rank:
        raise ShapeError(
            "The sample weights do not fit the losses.", {"weights": w.shape, "losses": losses.shape}, "one per sample"
        )
    return w


def _ratio(a: Value, b: Value) -> Value:
    """a / b, and 0 where b is 0."""
    none = ops.equal(b, 0)
    return ops.where(none, 0, a / ops.where(none, 1, b))


class _Listed(Loss):
    """A loss that ``function`` computes; its arguments are the settings."""

    function: ClassVar[Callable[..., Value]]

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None, **unknown: Any) -> None:
        super().__init__(name, reduction, **unknown)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """One number per sample, as the function of the same name gives it."""
        settings = {n: getattr(self, n) for n in self.config_names() if n not in ("reduction", "name")}
        return type(self).function(y_true, y_pred, **settings)


class MeanSquaredError(_Listed):
    """Mean of the squared differences, see `mean_squared_error`."""

    function = mean_squared_error


class HalfSquaredError(_Listed):
    """Half the squared distance of output from target, see `half_squared_error`; over n rows, sum of squares / 2n.

    >>> print(HalfSquaredError()([[0.0, 2.0]], [[1.0, 4.0]]), MeanSquaredError()([[0.0, 2.0]], [[1.0, 4.0]]))
    2.5 2.5
    >>> print(HalfSquaredError()([[0.0]], [[3.0]]), MeanSquaredError()([[0.0]], [[3.0]]))
    4.5 9.0
    """

    function = half_squared_error


class MeanAbsoluteError(_Listed):
    """Mean of the absolute differences, see `mean_absolute_error`."""

    function = mean_absolute_error


class MeanAbsolutePercentageError(_Listed):
    """Mean difference in percent of the target, see `mean_absolute_percentage_error`."""

    function = mean_absolute_percentage_error


class MeanSquaredLogarithmicError(_Listed):
    """Mean of the squared differences of logarithms, see `mean_squared_logarithmic_error`."""

    function = mean_squared_logarithmic_error


class Huber(_Listed):
    """Squares near the target, straight lines farther away than ``delta``, see `huber`."""

    function = huber

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "huber_loss",
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.delta = _between("delta", delta)


class LogCosh(_Listed):
    """Logarithm of the hyperbolic cosine of the difference, see `log_cosh`."""

    function = log_cosh


class Poisson(_Listed):
    """-log of the Poisson probability of a count, see `poisson`."""

    function = poisson


class CosineSimilarity(_Listed):
    """Minus the cosine of the angle between target and output along ``axis``, see `cosine_similarity`."""

    function = cosine_similarity

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.axis = axis


class Hinge(_Listed):
    """How far an output is from the right side of 0, and 1 beyond; targets are -1 or 1, or 0 or 1. See `hinge`."""

    function = hinge


class SquaredHinge(_Listed):
    """The hinge squared; targets are -1 or 1, or 0 or 1. See `squared_hinge`."""

    function = squared_hinge


class CategoricalHinge(_Listed):
    """How far the right output is from being the largest by 1; targets are one-hot. See `categorical_hinge`."""

    function = categorical_hinge


class KLDivergence(_Listed):
    """Kullback-Leibler divergence of the output from the target, both probabilities. See `kl_divergence`."""

    function = kl_divergence
    targets = "probabilities"


class Dice(_Listed):
    """One minus the overlap of target and output, see `dice`."""

    function = dice
    targets = "probabilities"

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Axis = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.axis = axis


class Tversky(_Listed):
    """One minus the overlap, with weights for what is missed and what is too much, see `tversky`."""

    function = tversky
    targets = "probabilities"

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Axis = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.alpha, self.beta, self.axis = _between("alpha", alpha), _between("beta", beta), axis


class _Crossentropy(_Listed):
    """A loss over probabilities, or over scores when told so."""

    targets = "probabilities"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.from_logits = bool(from_logits)
        self.label_smoothing = _between("label_smoothing", label_smoothing, 1)
        self.axis = axis


class BinaryCrossentropy(_Crossentropy):
    """Crossentropy of independent yes-or-no outputs; targets are 0 or 1, or probabilities. See `binary_crossentropy`."""

    function = binary_crossentropy


class CategoricalCrossentropy(_Crossentropy):
    """Crossentropy of one of k classes; targets are one-hot or probabilities. See `categorical_crossentropy`."""

    function = categorical_crossentropy


class BinaryFocalCrossentropy(_Crossentropy):
    """Crossentropy of yes-or-no outputs, most of it for those that are wrong, see `binary_focal_crossentropy`."""

    function = binary_focal_crossentropy

    def __init__(
        self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha, self.gamma = _between("alpha", alpha, 1), _between("gamma", gamma)


class CategoricalFocalCrossentropy(_Crossentropy):
    """Crossentropy of one of k classes, most of it for samples that are wrong, see `categorical_focal_crossentropy`."""

    function = categorical_focal_crossentropy

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alpha, self.gamma = _between("alpha", alpha), _between("gamma", gamma)


class _OfLabels(_Listed):
    """A loss whose targets are class numbers; the classes lie along ``axis`` of the outputs."""

    targets = "labels"
    axis: int = -1

    def match(self, y_true: Value, y_pred: Value) -> Value:
        """The class numbers, without an axis of size 1 where the classes are."""
        axis = self.axis % y_pred.rank
        if y_true.rank == y_pred.rank and y_true.shape[axis] == 1:
            y_true = ops.squeeze(y_true, axis)
        if y_true.shape != y_pred.shape[:axis] + y_pred.shape[axis + 1 :]:
            raise self.mismatch(y_true, y_pred)
        return y_true


class SparseCategoricalCrossentropy(_OfLabels):
    """Crossentropy of one of k classes; targets are class numbers. See `sparse_categorical_crossentropy`.

    Samples whose target is ``ignore_class`` do not count, in the mean either.
    """

    function = sparse_categorical_crossentropy

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.from_logits, self.ignore_class, self.axis = bool(from_logits), ignore_class, axis


class CategoricalGeneralizedCrossEntropy(_OfLabels):
    """A crossentropy that bears wrong labels; targets are class numbers. See `categorical_generalized_cross_entropy`."""

    function = categorical_generalized_cross_entropy

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(reduction, name, **unknown)
        self.q = _between("q", q, 1)
        if not 0 < q < 1:
            raise UsageError(f"q lies between 0 and 1, got {q!r}.", hint="for 0, categorical_crossentropy")


class _OwnFunction(Loss):
    """A loss that somebody's function of (y_true, y_pred) computes; it alone knows which targets fit."""

    def __init__(self, function: Callable[[Value, Value], Value]) -> None:
        if not _takes_two(function):
            raise UsageError(f"{function!r} is no loss.", hint="a function that takes (y_true, y_pred)")
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function

    def described(self) -> str:
        """The name of the function."""
        return self.name

    def match(self, y_true: Value, y_pred: Value) -> Value:
        """The targets in the dtype of the outputs; an axis of size 1 at the end is put in or left out to get the same rank."""
        y_true = ops.cast(y_true, dtype=y_pred.dtype)
        if y_true.rank + 1 == y_pred.rank and y_pred.shape[-1] == 1:
            return ops.expand_dims(y_true, -1)
        return ops.squeeze(y_true, -1) if y_true.rank == y_pred.rank + 1 and y_true.shape[-1] == 1 else y_true

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """What the function gives."""
        return self.function(y_true, y_pred)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with two values; one that is built into Python cannot."""
    if inspect.isbuiltin(function):
        return False
    try:
        inspect.signature(function).bind("y_true", "y_pred")
    except (TypeError, ValueError):  # the latter where a function in C does not say what it takes
        return False
    return True


def _between(name: str, value: Any, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or value == math.inf:
        raise UsageError(f"{name} is a number from 0 {'on' if most == math.inf else f'to {most}'}, got {value!r}.")
    return value


# ------------------------------------------------------------------ by name

_CLASSES: tuple[type[_Listed], ...] = (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    CosineSimilarity,
    Dice,
    HalfSquaredError,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
)
_SHORT: dict[str, type] = {
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
TABLE = names(*_CLASSES, **_SHORT, **{short.upper(): kind for short, kind in _SHORT.items()})
_FUNCTIONS: dict[Callable[..., Value], type[_Listed]] = {kind.function: kind for kind in _CLASSES}


def get(identifier: Any) -> Loss:
    """The loss that ``identifier`` means: a name such as "mse", a `Loss`, or a function of (y_true, y_pred).

    A function gives one number per sample, or any other number of them, computed with `nacre.ops`; their mean is the loss of a
    batch. y_true comes in the dtype of y_pred.

    >>> get("mse").name
    'mean_squared_error'
    >>> from nacre import ops
    >>> get(lambda y_true, y_pred: ops.mean(ops.abs(y_pred - y_true) ** 1.5, axis=-1)).reduction
    'sum_over_batch_size'
    """
    loss = resolve("loss", identifier, TABLE)
    if callable(loss) and not isinstance(loss, Configured):
        known = _FUNCTIONS.get(loss)
        return _OwnFunction(loss) if known is None else known()
    if not isinstance(loss, Loss):
        raise UsageError(f"{identifier!r} is no loss.", hint="a name, or a subclass of nacre.losses.Loss")
    return loss


__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
    "HalfSquaredError",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "cosine_similarity",
    "dice",
    "get",
    "half_squared_error",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
