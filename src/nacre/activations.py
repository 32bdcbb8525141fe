"""Activations: functions of a value, by name. What Keras calls them, meaning what Keras means.

They work element by element; softmax, log_softmax, sparsemax and glu along an axis. All but the exponential are right, and have
finite gradients, for inputs of any size. At a kink, the gradient is one of those beside it, or their mean.

>>> from nacre.layers import Dense
>>> Dense(3, activation="silu").activation is get("swish")
True

Other arguments than the defaults are given in a function of one value, ``Dense(3, activation=lambda x: leaky_relu(x, 0.01))``.
Such a function has no name to be saved under; the layers `LeakyReLU`, `ReLU`, `ELU` and `Softmax` are saved with their arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nacre import ops
from nacre.configured import resolve
from nacre.ir import Value
from nacre.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu6,
    selu,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh_shrink,
    threshold,
)

Activation = Callable[..., Value]


def linear(x: Value) -> Value:
    """x itself."""
    return x


def relu(x: Value, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Value:
    """max(x, 0); the gradient at 0 is 0.

    With other arguments: x above the threshold, negative_slope * (x - threshold) below, and nowhere more than ``max_value``.
    """
    if negative_slope == 0 and threshold == 0:
        y = ops.relu(x)
    else:
        y = ops.where(x <= threshold, (x - threshold) * negative_slope if negative_slope else 0.0, x)
    return y if max_value is None else ops.minimum(y, max_value)


def sigmoid(x: Value) -> Value:
    """1 / (1 + e^-x), without overflow."""
    return ops.sigmoid(x)


def tanh(x: Value) -> Value:
    """Hyperbolic tangent."""
    return ops.tanh(x)


def exponential(x: Value) -> Value:
    """e to the x."""
    return ops.exp(x)


def gelu(x: Value, approximate: bool = False) -> Value:
    """x times the chance that a normal number is below x; ``approximate`` by a tanh.   D. Hendrycks, K. Gimpel, arXiv:1606.08415"""
    return ops.gelu(x, approximate)


def mish(x: Value) -> Value:
    """x * tanh(log(1 + e^x)).   D. Misra, arXiv:1908.08681"""
    return x * ops.tanh(ops.softplus(x))


def step(x: Value) -> Value:
    """0 for x <= 0, 1 above: the perceptron. Its gradient is zero, so gradient descent cannot train through it."""
    return ops.cast(x > 0, dtype=x.dtype)


BOUNDS: dict[Activation, tuple[float, float]] = {
    **dict.fromkeys((sigmoid, hard_sigmoid, sparse_sigmoid, softmax, sparsemax), (0.0, 1.0)),
    **dict.fromkeys((tanh, hard_tanh, softsign), (-1.0, 1.0)),
    relu6: (0.0, 6.0),
}
"""Between which numbers the results of an activation lie, where they do; but for `step`, which has nothing between."""

_NAMED = (
    celu,
    elu,
    exponential,
    gelu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    linear,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    step,
    tanh,
    tanh_shrink,
    threshold,
)
_TABLE: dict[str, Activation] = {f.__name__: f for f in _NAMED} | {"swish": swish, "hard_swish": hard_swish}


def get(identifier: Any) -> Activation:
    """The activation that ``identifier`` means: a name, a function of one value, or None for linear.

    >>> get("relu") is relu
    True
    """
    activation: Activation = linear if identifier is None else resolve("activation", identifier, _TABLE)
    return activation


__all__ = [
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "step",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
]
