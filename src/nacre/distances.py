"""How far an output is from its target: functions (y_true, y_pred) of shape (batch, ..., k) that give (batch, ...).

``y_pred`` is what a network gives out; t and p below are one number of the target and of the output. A crossentropy takes scores
with ``from_logits=True``, and finds them by itself behind a sigmoid or softmax. Losses reduce them, metrics average them.
"""

from __future__ import annotations

from collections.abc import Sequence

from nacre import ops
from nacre.ir import Value

Axis = int | Sequence[int] | None

# ------------------------------------------------------------------ of numbers


def mean_squared_error(y_true: Value, y_pred: Value) -> Value:
    """Mean of (p - t)^2 over the last axis."""
    return ops.mean(ops.square(y_pred - y_true), axis=-1)


def half_squared_error(y_true: Value, y_pred: Value) -> Value:
    """Half the squared distance, sum of (p - t)^2 / 2 over the last axis: the gradient by p is p - t, with no factor.

    `mean_squared_error` over k numbers is 2 / k times that. M. Nielsen, "Neural networks and deep learning", 2015, chapter 1.
    """
    return 0.5 * ops.sum(ops.square(y_pred - y_true), axis=-1)


def mean_absolute_error(y_true: Value, y_pred: Value) -> Value:
    """Mean of |p - t| over the last axis."""
    return ops.mean(ops.abs(y_pred - y_true), axis=-1)


def mean_absolute_percentage_error(y_true: Value, y_pred: Value) -> Value:
    """100 times the mean of |p - t| / |t| over the last axis, in percent; a t below 1e-7 counts as 1e-7."""
    return 100 * ops.mean(ops.abs((y_pred - y_true) / ops.maximum(ops.abs(y_true), ops.EPSILON)), axis=-1)


def mean_squared_logarithmic_error(y_true: Value, y_pred: Value) -> Value:
    """Mean of (log(1 + p) - log(1 + t))^2 over the last axis, for numbers from 0 on; those below 1e-7 count as 1e-7."""
    p, t = (ops.log1p(ops.maximum(x, ops.EPSILON)) for x in (y_pred, y_true))
    return ops.mean(ops.square(p - t), axis=-1)


def huber(y_true: Value, y_pred: Value, delta: float = 1.0) -> Value:
    """Mean over the last axis of e^2 / 2 where e = |p - t| is at most ``delta``, of delta (e - delta / 2) where it is larger.

    Far targets pull no harder than ``delta``. P. Huber, "Robust estimation of a location parameter", 1964.
    """
    error = ops.abs(y_pred - y_true)
    near = ops.minimum(error, delta)
    return ops.mean(near * (error - 0.5 * near), axis=-1)


def log_cosh(y_true: Value, y_pred: Value) -> Value:
    """Mean of log(cosh(p - t)) over the last axis: about e^2 / 2 for a small error e, |e| - log 2 for a large one."""
    error = ops.abs(y_pred - y_true)
    return ops.mean(error + ops.log1p(0.5 * ops.expm1(-2 * error)), axis=-1)


def poisson(y_true: Value, y_pred: Value) -> Value:
    """Mean of p - t log p over the last axis, for counts t and rates p from 0 on: -log of the Poisson probability of t, up to a
    constant. A negative output gives NaN: end the network with softplus, or an exponential."""
    return ops.mean(y_pred - y_true * ops.log(y_pred + ops.EPSILON), axis=-1)


def cosine_similarity(y_true: Value, y_pred: Value, axis: int = -1) -> Value:
    """Minus the cosine of the angle between target and output along ``axis``: -1 for the same direction, 0 if either is zero."""
    return -ops.sum(ops.normalize(y_true, axis) * ops.normalize(y_pred, axis), axis)


# ------------------------------------------------------------------ of sides


def hinge(y_true: Value, y_pred: Value) -> Value:
    """Mean of max(1 - t p, 0) over the last axis, for targets -1 and 1. If all of the batch are 0 or 1, 0 counts as -1."""
    return ops.mean(ops.relu(1 - _signs(y_true) * y_pred), axis=-1)


def squared_hinge(y_true: Value, y_pred: Value) -> Value:
    """Mean of max(1 - t p, 0)^2 over the last axis, for targets -1 and 1. If all of the batch are 0 or 1, 0 counts as -1."""
    return ops.mean(ops.square(ops.relu(1 - _signs(y_true) * y_pred)), axis=-1)


def _signs(y_true: Value) -> Value:
    binary = ops.logical_or(ops.equal(y_true, 0), ops.equal(y_true, 1))
    return ops.where(ops.min(ops.cast(binary, dtype=y_true.dtype)) > 0, 2 * y_true - 1, y_true)


def categorical_hinge(y_true: Value, y_pred: Value) -> Value:
    """max(1 + the largest wrong output - the right output, 0) over the last axis; targets are one-hot."""
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1 - y_true) * y_pred, axis=-1)
    return ops.relu(wrong - right + 1)


# ------------------------------------------------------------------ of probabilities


def binary_crossentropy(
    y_true: Value, y_pred: Value, from_logits: bool = False, label_smoothing: float = 0.0, axis: Axis = -1
) -> Value:
    """-(t log p + (1 - t) log(1 - p)), mean over ``axis``. Behind a sigmoid it is computed from the scores: exact, finite.

    ``label_smoothing`` s moves the targets 0 and 1 to s / 2 and 1 - s / 2.
    """
    return ops.mean(ops.binary_crossentropy(_smooth(y_true, label_smoothing, 2), y_pred, from_logits), axis)


def binary_focal_crossentropy(
    y_true: Value,
    y_pred: Value,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: Axis = -1,
) -> Value:
    """The binary crossentropy, each number times (1 - q)^gamma, with q the probability of the right answer; mean over ``axis``.

    What is right already counts little. With ``apply_class_balancing``, numbers with target 1 also count ``alpha`` times, the
    others 1 - alpha times. T. Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """
    t = _smooth(y_true, label_smoothing, 2)
    scores = ops.logits(y_pred, "sigmoid", from_logits)
    p, not_p = (y_pred, 1 - y_pred) if scores is None else (ops.sigmoid(scores), ops.sigmoid(-scores))
    wrong = t * not_p + (1 - t) * p
    losses = _focus(wrong, gamma) * ops.binary_crossentropy(t, y_pred, from_logits)
    if apply_class_balancing:
        losses = (t * alpha + (1 - t) * (1 - alpha)) * losses
    return ops.mean(losses, axis)


def categorical_crossentropy(
    y_true: Value, y_pred: Value, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Value:
    """-sum t log p over the classes along ``axis``; targets are one-hot or probabilities. Behind a softmax it is computed from
    the scores.

    ``label_smoothing`` s takes the part s of each target and gives it to all k classes alike: s / k each.
    """
    t = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    return ops.categorical_crossentropy(t, y_pred, from_logits, axis)


def categorical_focal_crossentropy(
    y_true: Value,
    y_pred: Value,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Value:
    """-sum alpha (1 - p)^gamma t log p over the classes along ``axis``: what is right already counts little.

    T. Lin et al., "Focal loss for dense object detection", ICCV 2017.
    """
    t = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    log_p = ops.log_probabilities(y_pred, from_logits, axis)
    return -ops.sum(alpha * _focus(1 - ops.exp(log_p), gamma) * t * log_p, axis)


def sparse_categorical_crossentropy(
    y_true: Value, y_pred: Value, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Value:
    """-log p of the true class; targets are class numbers (batch, ...). Behind a softmax it is computed from the scores.

    The classes lie along ``axis``. Where the target is ``ignore_class``, the loss is 0.
    """
    losses = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits, axis)
    if ignore_class is None:
        return losses
    return ops.where(ops.equal(ops.cast(y_true, dtype="int32"), ignore_class), 0, losses)


def categorical_generalized_cross_entropy(y_true: Value, y_pred: Value, q: float) -> Value:
    """(1 - p^q) / q of the true class, for targets that may be wrong; targets are class numbers (batch, ...).

    Between the crossentropy (q near 0) and the absolute error (q = 1). Z. Zhang, M. Sabuncu, "Generalized cross entropy loss for
    training deep neural networks with noisy labels", NeurIPS 2018.
    """
    hot = ops.one_hot_like(y_true, y_pred)
    scores = ops.logits(y_pred, "softmax")
    if scores is not None:
        return (1 - ops.exp(q * ops.sum(hot * ops.log_softmax(scores), axis=-1))) / q
    p = ops.sum(hot * y_pred, axis=-1)
    return (1 - ops.power(ops.maximum(p, 1e-30), q)) / q  # the gradient of p^q is infinite at 0


def kl_divergence(y_true: Value, y_pred: Value) -> Value:
    """sum t log(t / p) over the last axis, t and p kept between 1e-7 and 1: how far a distribution p is from t.

    S. Kullback, R. Leibler, "On information and sufficiency", 1951.
    """
    t, p = (ops.clip(x, ops.EPSILON, 1) for x in (y_true, y_pred))
    return ops.sum(t * ops.log(t / p), axis=-1)


# ------------------------------------------------------------------ of overlap


def dice(y_true: Value, y_pred: Value, axis: Axis = None) -> Value:
    """1 - 2 sum t p / (sum t + sum p), sums over ``axis``; over all of the batch where it is None. 0 for the same sets.

    L. Dice, "Measures of the amount of ecologic association between species", 1945.
    """
    both = ops.sum(y_true * y_pred, axis)
    return 1 - 2 * both / (ops.sum(y_true, axis) + ops.sum(y_pred, axis) + ops.EPSILON)


def tversky(y_true: Value, y_pred: Value, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> Value:
    """1 - b / (b + alpha m + beta f), with b = sum t p, m = sum t (1 - p) what is missed and f = sum (1 - t) p what is too much.

    Sums over ``axis``; over all of the batch where it is None. S. Salehi et al., "Tversky loss function for image segmentation
    using 3D fully convolutional deep networks", 2017.
    """
    both = ops.sum(y_true * y_pred, axis)
    missed, more = ops.sum(y_true * (1 - y_pred), axis), ops.sum((1 - y_true) * y_pred, axis)
    return 1 - both / (both + alpha * missed + beta * more + ops.EPSILON)


def _smooth(y_true: Value, smoothing: float, classes: int) -> Value:
    return y_true * (1 - smoothing) + smoothing / classes if smoothing else y_true


def _focus(wrong: Value, gamma: float) -> Value:
    """wrong^gamma. The gradient would be infinite at 0 for a gamma below 1."""
    return ops.power(ops.maximum(wrong, ops.EPSILON), gamma)
