"""Losses: how far an output is from its target. One number per sample, reduced to the mean over the batch."""

from __future__ import annotations

from typing import Any, ClassVar

from nacre import ops
from nacre.configured import Configured, names, resolve, snake_case
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value

# ------------------------------------------------------------------ functions: y_true, y_pred (batch, ..., k) -> (batch, ...)


def mean_squared_error(y_true: Value, y_pred: Value) -> Value:
    """Mean of (y_pred - y_true)^2 over the last axis."""
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


def mean_absolute_error(y_true: Value, y_pred: Value) -> Value:
    """Mean of |y_pred - y_true| over the last axis."""
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


def binary_crossentropy(y_true: Value, y_pred: Value, from_logits: bool = False) -> Value:
    """-(t log p + (1 - t) log(1 - p)), mean over the last axis. Behind a sigmoid it is computed from the scores: exact, finite."""
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits), axis=-1)


def categorical_crossentropy(y_true: Value, y_pred: Value, from_logits: bool = False) -> Value:
    """-sum t log p over classes; targets are one-hot or probabilities. Behind a softmax it is computed from the scores."""
    return ops.categorical_crossentropy(y_true, y_pred, from_logits)


def sparse_categorical_crossentropy(y_true: Value, y_pred: Value, from_logits: bool = False) -> Value:
    """-log p of the true class; targets are class numbers (batch, ...). Behind a softmax it is computed from the scores."""
    return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits)


# ------------------------------------------------------------------ objects


class Loss(Configured):
    """A loss with its settings. Calling it gives the mean over the batch, or the sum with ``reduction="sum"``.

    ``targets`` says what y_true holds, for whoever checks the data: "numbers", "probabilities" or "labels" (class numbers).
    """

    targets: ClassVar[str] = "numbers"

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in ("sum_over_batch_size", "sum"):
            raise UsageError(f"{reduction!r} is no reduction.", hint="sum_over_batch_size (the mean) or sum")
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """One number per sample."""
        raise NotImplementedError

    def __call__(self, y_true: Value, y_pred: Value) -> Value:
        """The loss of a batch, a scalar."""
        losses = self.call(self.match(y_true, y_pred), y_pred)
        return ops.sum(losses) if self.reduction == "sum" else ops.mean(losses)

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


class MeanSquaredError(Loss):
    """Mean of the squared differences."""

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """See `mean_squared_error`."""
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """Mean of the absolute differences."""

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """See `mean_absolute_error`."""
        return mean_absolute_error(y_true, y_pred)


class _Crossentropy(Loss):
    """A loss over probabilities, or over logits when told so."""

    targets = "probabilities"

    def __init__(
        self, from_logits: bool = False, reduction: str = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits = bool(from_logits)


class BinaryCrossentropy(_Crossentropy):
    """Crossentropy of independent yes-or-no outputs; targets are 0 or 1, or probabilities."""

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """See `binary_crossentropy`."""
        return binary_crossentropy(y_true, y_pred, self.from_logits)


class CategoricalCrossentropy(_Crossentropy):
    """Crossentropy of one of k classes; targets are one-hot or probabilities."""

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """See `categorical_crossentropy`."""
        return categorical_crossentropy(y_true, y_pred, self.from_logits)


class SparseCategoricalCrossentropy(_Crossentropy):
    """Crossentropy of one of k classes; targets are class numbers."""

    targets = "labels"

    def match(self, y_true: Value, y_pred: Value) -> Value:
        """The class numbers, without an axis of size 1 at the end."""
        if y_true.rank == y_pred.rank and y_true.shape[-1] == 1:
            y_true = ops.squeeze(y_true, -1)
        if y_true.shape != y_pred.shape[:-1]:
            raise self.mismatch(y_true, y_pred)
        return y_true

    def call(self, y_true: Value, y_pred: Value) -> Value:
        """See `sparse_categorical_crossentropy`."""
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits)


_CLASSES = (
    MeanSquaredError,
    MeanAbsoluteError,
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
_TABLE = names(
    *_CLASSES,
    mse=MeanSquaredError,
    MSE=MeanSquaredError,
    mae=MeanAbsoluteError,
    MAE=MeanAbsoluteError,
    bce=BinaryCrossentropy,
    BCE=BinaryCrossentropy,
)
_FUNCTIONS = {
    f.__name__: f
    for f in (
        mean_squared_error,
        mean_absolute_error,
        binary_crossentropy,
        categorical_crossentropy,
        sparse_categorical_crossentropy,
    )
}


def get(identifier: Any) -> Loss:
    """The loss that ``identifier`` means: a name such as "mse", a `Loss`, or one of this module's functions.

    >>> get("mse").name
    'mean_squared_error'
    """
    if callable(identifier) and getattr(identifier, "__name__", "") in _FUNCTIONS:
        identifier = identifier.__name__
    loss: Loss = resolve("loss", identifier, _TABLE)
    if not isinstance(loss, Loss):
        raise UsageError(f"{identifier!r} is no loss.", hint="a name, or a subclass of nacre.losses.Loss")
    return loss


__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]
