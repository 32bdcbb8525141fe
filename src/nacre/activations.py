"""Activations: functions of a value, by name. What Keras calls them, meaning what Keras means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nacre import ops
from nacre.configured import resolve
from nacre.ir import Value

Activation = Callable[[Value], Value]


def linear(x: Value) -> Value:
    """x itself."""
    return x


def relu(x: Value) -> Value:
    """max(x, 0); the gradient at 0 is 0."""
    return ops.relu(x)


def sigmoid(x: Value) -> Value:
    """1 / (1 + e^-x), without overflow."""
    return ops.sigmoid(x)


def tanh(x: Value) -> Value:
    """Hyperbolic tangent."""
    return ops.tanh(x)


def softmax(x: Value, axis: int = -1) -> Value:
    """Scores to probabilities along ``axis``."""
    return ops.softmax(x, axis)


def step(x: Value) -> Value:
    """0 for x <= 0, 1 above: the perceptron. Its gradient is zero, so gradient descent cannot train through it."""
    return ops.cast(x > 0, dtype=x.dtype)


BOUNDS: dict[Activation, tuple[float, float]] = {sigmoid: (0.0, 1.0), tanh: (-1.0, 1.0), softmax: (0.0, 1.0)}
"""Between which numbers the results of an activation lie, where they do."""

_TABLE: dict[str, Activation] = {f.__name__: f for f in (linear, relu, sigmoid, tanh, softmax, step)}


def get(identifier: Any) -> Activation:
    """The activation that ``identifier`` means: a name, a function of one value, or None for linear.

    >>> get("relu") is relu
    True
    """
    activation: Activation = linear if identifier is None else resolve("activation", identifier, _TABLE)
    return activation


__all__ = [
    "get",
    "linear",
    "relu",
    "sigmoid",
    "softmax",
    "step",
    "tanh",
]
