"""Layers that add chance to training. Their numbers depend on the model's seed, the layer, the step and the element alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nacre import ops
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer, number, refuse

_ALPHA_PRIME = -1.0507009873554805 * 1.6732632423543772  # where selu ends on the left


class _Noise(Layer):
    """What all of them share: no seed of their own."""

    by_chance = True

    def __init__(self, **kwargs: Any) -> None:
        way = "nacre.utils.set_random_seed, before the model is made, makes everything random in it repeat"
        refuse(type(self).__name__, kwargs, seed=way)
        super().__init__(**kwargs)

    def _rate(self, rate: Any, whole: bool = False) -> float:
        """A rate from 0 up to 1, 1 included or not."""
        name = type(self).__name__
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise UsageError(f"The rate of {name} lies between 0 and 1, got {rate!r}.")
        if rate == 1 and not whole:
            raise UsageError(f"The rate of {name} lies below 1: at 1 nothing would be left, got {rate!r}.")
        return float(rate)


class _Dropping(_Noise):
    """What draws which elements are dropped."""

    def __init__(self, noise_shape: Sequence[int | None] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        sizes = noise_shape if noise_shape is not None else ()
        if not isinstance(sizes, list | tuple) or any(
            n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1) for n in sizes
        ):
            raise UsageError(
                f"The noise_shape of {type(self).__name__} has a size or None for each axis, got {noise_shape!r}.",
                hint="(None, 1, 64) drops the same features at all places of a sample",
            )
        self.noise_shape = None if noise_shape is None else list(noise_shape)

    def _kept(self, x: Value, rate: float) -> Value:
        """Whether each element stays."""
        shape = x.shape
        if self.noise_shape is not None:
            if len(self.noise_shape) != x.rank:
                raise ShapeError(
                    f"The noise_shape of {type(self).__name__} {self.name!r} has {len(self.noise_shape)} axes.",
                    {"input": x.shape, "noise_shape": self.noise_shape},
                )
            shape = tuple(n if given is None else given for n, given in zip(x.shape, self.noise_shape, strict=True))
        return ops.broadcast_to(ops.uniform(shape, self.random_stream) >= rate, x.shape)


class Dropout(_Dropping):
    """In training, sets a random ``rate`` of the inputs to 0 and scales the others by 1 / (1 - rate); else changes nothing.

    Along axes of ``noise_shape`` that are 1, elements are dropped together; None stands for the size that the input has.
    N. Srivastava et al., JMLR 15 (2014). The choice depends on the model's seed, this layer, the step and the element alone.
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, **kwargs: Any) -> None:
        super().__init__(noise_shape=noise_shape, **kwargs)
        self.rate = self._rate(rate, whole=True)

    def call(self, x: Value, training: bool = False) -> Value:
        """x, or x with some of it dropped."""
        if not training or self.rate == 0:
            return x
        if self.rate == 1:
            return ops.zeros_like(x)
        return ops.where(self._kept(x, self.rate), x * (1 / (1 - self.rate)), 0.0)


class AlphaDropout(_Dropping):
    """In training, sets a random ``rate`` of the inputs to -1.7581, where selu ends, then scales and shifts so that inputs of mean
    0 and variance 1 keep these; else changes nothing. For networks of selu.   G. Klambauer et al., arXiv:1706.02515

    ``noise_shape`` is as in `Dropout`. Raises `UsageError` for a rate that is not from 0 up to 1.

    >>> AlphaDropout(0.2).rate
    0.2
    """

    def __init__(self, rate: float, noise_shape: Sequence[int | None] | None = None, **kwargs: Any) -> None:
        super().__init__(noise_shape=noise_shape, **kwargs)
        self.rate = self._rate(rate)

    def call(self, x: Value, training: bool = False) -> Value:
        """x, or x with some of it dropped."""
        if not training or self.rate == 0:
            return x
        scale = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * _ALPHA_PRIME**2))
        shift = -scale * _ALPHA_PRIME * self.rate
        return ops.where(self._kept(x, self.rate), x, _ALPHA_PRIME) * scale + shift


class GaussianNoise(_Noise):
    """In training, adds normal noise of mean 0 and standard deviation ``stddev``; else changes nothing.

    x (batch, ...) -> same shape   Raises `UsageError` for a stddev that is not from 0 to 1.

    >>> GaussianNoise(0.1).stddev
    0.1
    """

    def __init__(self, stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = number("GaussianNoise", "stddev", stddev, 0, 1)

    def call(self, x: Value, training: bool = False) -> Value:
        """x, or x with noise."""
        if not training or self.stddev == 0:
            return x
        return x + ops.cast(ops.normal(x.shape, self.random_stream), dtype=x.dtype) * self.stddev


class GaussianDropout(_Noise):
    """In training, multiplies by normal noise of mean 1 and the standard deviation that `Dropout` of this rate has,
    sqrt(rate / (1 - rate)); else changes nothing.   N. Srivastava et al., JMLR 15 (2014)

    x (batch, ...) -> same shape   Raises `UsageError` for a rate that is not from 0 up to 1.

    >>> GaussianDropout(0.5).rate
    0.5
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = self._rate(rate)

    def call(self, x: Value, training: bool = False) -> Value:
        """x, or x times noise."""
        if not training or self.rate == 0:
            return x
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return x * (ops.cast(ops.normal(x.shape, self.random_stream), dtype=x.dtype) * stddev + 1.0)
