"""Layers that prepare the input: they own no weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from nacre import ops
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer


class Flatten(Layer):
    """Each sample as one row, in row-major order: pixel (r, c) of a 28 x 28 image is feature 28 r + c.

    x (batch, a, b, ...) -> (batch, a * b * ...)
    """

    autocast = False

    def call(self, x: Value) -> Value:
        """x, flattened."""
        return ops.reshape(x, [x.shape[0], x.type.size // max(x.shape[0], 1)])


class Rescaling(Layer):
    """x * scale + offset; bytes become floats here.   x (batch, ...) -> same shape

    ``Rescaling(1 / 255)`` maps pixels to 0..1, ``Rescaling(1 / 127.5, offset=-1)`` to -1..1.
    """

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not np.isfinite([scale, offset]).all():
            raise UsageError(f"Rescaling needs finite numbers, got scale={scale!r} and offset={offset!r}.")
        self.scale, self.offset = float(scale), float(offset)

    def call(self, x: Value) -> Value:
        """x * scale + offset."""
        y = x * self.scale
        return y + self.offset if self.offset else y
