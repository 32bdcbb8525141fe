"""Layers that arrange and scale numbers: they own no weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nacre import ops
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer, sizes, whole


class Flatten(Layer):
    """Each sample as one row, in row-major order: pixel (r, c) of a 28 x 28 image is feature 28 r + c.

    x (batch, a, b, ...) -> (batch, a * b * ...)
    """

    autocast = False

    def call(self, x: Value) -> Value:
        """x, flattened."""
        return ops.reshape(x, [x.shape[0], x.type.size // max(x.shape[0], 1)])


class Reshape(Layer):
    """Each sample under another shape, in row-major order; one size of ``target_shape`` may be -1 and is then inferred.

    x (batch, ...) -> (batch, *target_shape)   Raises `ShapeError` for inputs that do not have as many elements.

    >>> from nacre.models import Sequential
    >>> Sequential([Reshape((4, -1), input_shape=(12,))]).output_shape
    (None, 4, 3)
    """

    autocast = False

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(target_shape, list | tuple) or list(target_shape).count(-1) > 1:
            raise UsageError(f"The target_shape of Reshape has sizes, of which one may be -1, got {target_shape!r}.")
        sizes("The target_shape of Reshape", [1 if n == -1 else n for n in target_shape])
        self.target_shape = tuple(target_shape)

    def call(self, x: Value) -> Value:
        """x, under another shape."""
        known, each = abs(math.prod(self.target_shape)), math.prod(x.shape[1:])
        if each % known or (-1 not in self.target_shape and each != known):
            raise ShapeError(
                f"Reshape {self.name!r} cannot make {self.target_shape} of {x.shape[1:]}.", {"elements": each}
            )
        return ops.reshape(x, [x.shape[0], *(each // known if n == -1 else n for n in self.target_shape)])


class Permute(Layer):
    """The axes of each sample in another order: output axis i is input axis ``dims[i]``, counted from 1, for 0 is the batch.

    >>> from nacre.models import Sequential
    >>> Sequential([Permute((2, 1), input_shape=(10, 64))]).output_shape
    (None, 64, 10)
    """

    autocast = False

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(dims, list | tuple) or sorted(sizes("dims", dims)) != list(range(1, len(dims) + 1)):
            raise UsageError(f"The dims of Permute are the numbers from 1 on, each once, got {dims!r}.")
        self.dims = tuple(dims)

    def call(self, x: Value) -> Value:
        """x, its axes in another order."""
        if x.rank != len(self.dims) + 1:
            raise ShapeError(
                f"Permute {self.name!r} orders {len(self.dims)} axes beside the batch.", {"input": x.shape}
            )
        return ops.transpose(x, [0, *self.dims])


class RepeatVector(Layer):
    """Each sample ``n`` times over.   x (batch, features) -> (batch, n, features)

    >>> from nacre.models import Sequential
    >>> Sequential([RepeatVector(3, input_shape=(32,))]).output_shape
    (None, 3, 32)
    """

    autocast = False

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if (times := whole(n, 1)) is None:
            raise UsageError(f"RepeatVector needs a positive whole number n, got {n!r}.")
        self.n = times

    def call(self, x: Value) -> Value:
        """x, repeated."""
        if x.rank != 2:
            raise ShapeError(f"RepeatVector {self.name!r} repeats rows (batch, features).", {"input": x.shape})
        return ops.repeat(ops.expand_dims(x, 1), self.n, axis=1)


class Identity(Layer):
    """Gives what it is given.

    >>> from nacre.models import Sequential
    >>> Sequential([Identity(input_shape=(3,))]).count_params()
    0
    """

    autocast = False

    def call(self, x: Value) -> Value:
        """x itself."""
        return x


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
