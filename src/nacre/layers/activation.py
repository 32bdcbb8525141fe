"""An activation as a layer of its own."""

from __future__ import annotations

from typing import Any

from nacre import activations
from nacre.ir import Value
from nacre.layers.layer import Layer


class Activation(Layer):
    """Applies an activation, element by element (softmax: row by row).   x (batch, ...) -> same shape

    >>> Activation("relu").activation.__name__
    'relu'
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Value) -> Value:
        """activation(x)."""
        return self.activation(x)
