"""How weights begin."""

from __future__ import annotations

import math
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.configured import Configured, names, resolve
from nacre.errors import UsageError
from nacre.ops import next_seed

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class Initializer(Configured):
    """Makes the first value of a weight. Subclasses say how in ``__call__(shape, dtype)``; ``seed`` makes it repeat."""

    seed: int | None = None

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """An array of the given shape and dtype."""
        raise NotImplementedError


def initial(initializer: Any, shape: Shape, dtype: str, seed: int) -> Array:
    """The first value of a weight; ``seed`` decides where the initializer has none of its own."""
    if isinstance(initializer, Initializer) and "seed" in initializer.config_names() and initializer.seed is None:
        initializer = copy(initializer)
        initializer.seed = seed
    array: Array = initializer(shape, dtype)
    return array


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Zeros of the given shape."""
        return np.zeros(shape, dtype)


class Ones(Initializer):
    """All ones."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Ones of the given shape."""
        return np.ones(shape, dtype)


# The standard deviation of a normal distribution that is cut off at two standard deviations.
_TRUNCATED = 0.87962566103423978


class VarianceScaling(Initializer):
    """Random weights whose variance is ``scale / n``, with n the inputs, the outputs or their mean.

    ``mode`` is "fan_in", "fan_out" or "fan_avg"; ``distribution`` is "truncated_normal", "untruncated_normal" or "uniform".
    With a ``seed``, each call gives the same numbers.

    >>> VarianceScaling(1.0, "fan_in", "uniform", seed=1)((100, 50)).std().round(2)
    np.float32(0.1)
    """

    def __init__(
        self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: int | None = None
    ) -> None:
        if (
            not isinstance(scale, int | float)
            or not 0 < scale < math.inf
            or mode not in ("fan_in", "fan_out", "fan_avg")
        ):
            raise UsageError(
                "VarianceScaling needs a positive scale and a known mode.",
                {"found": f"scale={scale}, mode={mode!r}"},
                "mode is fan_in, fan_out or fan_avg",
            )
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise UsageError(
                f"{distribution!r} is no distribution.", hint="truncated_normal, untruncated_normal or uniform"
            )
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Random numbers of the given shape."""
        rng = np.random.Generator(np.random.Philox(self.seed if self.seed is not None else next_seed()))
        fan_in, fan_out = _fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(n, 1.0))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * deviation
            numbers = rng.random(shape, dtype=np.float32 if dtype == "float32" else np.float64)
            numbers *= 2 * limit
            numbers -= limit
            return numbers
        if self.distribution == "untruncated_normal":
            return (rng.standard_normal(shape) * deviation).astype(dtype)
        return (_truncated_normal(rng, shape) * (deviation / _TRUNCATED)).astype(dtype)


def _fans(shape: Shape) -> tuple[float, float]:
    """Inputs and outputs of one unit of a weight of this shape."""
    if len(shape) < 2:
        size = float(shape[0]) if shape else 1.0
        return size, size
    field = math.prod(shape[:-2])
    return float(shape[-2] * field), float(shape[-1] * field)


def _truncated_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Standard normal numbers, those beyond two standard deviations drawn again."""
    x = rng.standard_normal(shape)
    while (outside := np.abs(x) > 2).any():
        x[outside] = rng.standard_normal(int(outside.sum()))
    return x


class GlorotUniform(VarianceScaling):
    """Uniform within sqrt(6 / (fan_in + fan_out)): X. Glorot, Y. Bengio, AISTATS 2010. Keras's default for kernels."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Truncated normal with variance 2 / (fan_in + fan_out): X. Glorot, Y. Bengio, AISTATS 2010."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """Uniform within sqrt(6 / fan_in), made for ReLU: K. He et al., ICCV 2015."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """Truncated normal with variance 2 / fan_in, made for ReLU: K. He et al., ICCV 2015."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


_CLASSES = (Zeros, Ones, VarianceScaling, GlorotUniform, GlorotNormal, HeUniform, HeNormal)
_TABLE = names(*_CLASSES)


def get(identifier: Any) -> Initializer:
    """The initializer that ``identifier`` means: a name, an object, or a function of (shape, dtype).

    >>> type(get("he_normal")).__name__
    'HeNormal'
    """
    initializer: Initializer = resolve("initializer", identifier, _TABLE)
    return initializer


__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Ones",
    "VarianceScaling",
    "Zeros",
    "get",
]
