"""Where a network begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre.ir import Value
from nacre.layers.layer import Layer, sizes
from nacre.layers.symbol import Symbol


class InputLayer(Layer):
    """States the shape of one sample, without the batch; ``output`` is its `Symbol`."""

    autocast = False

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = self.input_shape = sizes("The shape of an input", shape)
        self.output = Symbol((None, *self.shape), self.dtype, self)

    def call(self, x: Value) -> Value:
        """x itself."""
        return x


def Input(shape: Sequence[int], *, name: str | None = None) -> Symbol:  # noqa: N802 - Keras's name
    """The beginning of a network: ``shape`` of one sample, without the batch.

    >>> Input((28, 28)).shape
    (None, 28, 28)
    """
    return InputLayer(shape, name=name).output
