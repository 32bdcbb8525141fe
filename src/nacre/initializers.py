"""How weights begin.

Random numbers come from the counters of Philox (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) by
operations that IEEE 754 rounds the same way everywhere, so that a seed means the same numbers on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.configured import Configured, names, resolve
from nacre.errors import ShapeError, UsageError
from nacre.ir import TensorType
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
    """The first value of a weight, an array that nobody else has; ``seed`` decides where the initializer has none of its own."""
    if isinstance(initializer, Initializer) and "seed" in initializer.config_names() and initializer.seed is None:
        initializer = copy(initializer)
        initializer.seed = seed
    wanted = TensorType(tuple(shape), dtype)
    try:
        array: Array = initializer(shape, dtype)
    except (MemoryError, ValueError) as error:
        if isinstance(error, ValueError) and wanted.nbytes < 2**62:  # else NumPy says that no address space is so large
            raise
        raise wanted.too_large() from None
    return (
        array if type(initializer) in _CLASSES else np.array(array)
    )  # a function of the user's may keep what it gives


# ------------------------------------------------------------------ fixed


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


class Constant(Initializer):
    """One number everywhere.

    >>> Constant(0.1)((3,))
    array([0.1, 0.1, 0.1], dtype=float32)
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = _number("value", value)

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """The number in all places."""
        return np.full(shape, self.value, dtype)


class Identity(Initializer):
    """A matrix that gives back what it is multiplied with, times ``gain``; one that is not square is cut or filled with zeros.

    >>> Identity(2.0)((2, 3))
    array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _number("gain", gain)

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """``gain`` on the diagonal. Raises `ShapeError` unless the shape is that of a matrix."""
        if len(shape) != 2:
            raise ShapeError("Identity makes matrices only.", {"found": f"shape {shape}"})
        matrix: Array = np.eye(*shape, dtype=dtype) * np.asarray(self.gain, dtype)
        return matrix


# ------------------------------------------------------------------ random


class _Random(Initializer):
    """An initializer that draws. With a ``seed`` (an integer from 0 on), each call gives the same numbers."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
            raise UsageError(f"The seed of an initializer is a whole number from 0 on, got {seed!r}.")
        self.seed = None if seed is None else int(seed)

    def bits(self) -> np.random.Philox:
        """Fresh random words, the same each time if there is a seed."""
        return np.random.Philox(next_seed() if self.seed is None else self.seed)


class RandomUniform(_Random):
    """Any number from ``minval`` up to ``maxval``, all as likely.

    >>> x = RandomUniform(-1.0, 3.0, seed=1)((1000,))
    >>> bool(x.min() >= -1 and x.max() <= 3), round(float(x.mean()))
    (True, 1)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = _number("minval", minval), _number("maxval", maxval)
        if not self.minval <= self.maxval:
            raise UsageError("minval is above maxval.", {"found": f"minval={minval}, maxval={maxval}"})

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Random numbers of the given shape."""
        return _uniform(self.bits(), shape, dtype, self.minval, self.maxval)


class RandomNormal(_Random):
    """Normal numbers with the given mean and standard deviation.

    >>> RandomNormal(stddev=2.0, seed=1)((100, 100)).std().round(1)
    np.float32(2.0)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = _number("mean", mean), _number("stddev", stddev, least=0)

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Random numbers of the given shape."""
        return (_normal(self.bits(), shape) * self.stddev + self.mean).astype(dtype)


class TruncatedNormal(_Random):
    """Normal numbers, those beyond two standard deviations drawn again.

    As in Keras, ``stddev`` is that of the numbers before any are thrown away: that of the result is 0.88 times as large.

    >>> float(abs(TruncatedNormal(stddev=1.0, seed=1)((1000,))).max()) <= 2
    True
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = _number("mean", mean), _number("stddev", stddev, least=0)

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Random numbers of the given shape."""
        return (_truncated_normal(self.bits(), shape) * self.stddev + self.mean).astype(dtype)


class Orthogonal(_Random):
    """A random matrix whose rows or columns, whichever are fewer, are orthogonal and of length ``gain``.

    All such matrices are as likely. More axes than two are put together into rows, all but the last. The numbers are those of a
    factorization, the same on every machine up to rounding. A. Saxe et al., "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks", ICLR 2014.

    >>> W = Orthogonal(seed=1)((4, 3))
    >>> bool(np.allclose(W.T @ W, np.eye(3), atol=1e-6))
    True
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = _number("gain", gain)

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """A random orthogonal matrix. Raises `ShapeError` for fewer than two axes."""
        if len(shape) < 2:
            raise ShapeError("Orthogonal needs at least two axes.", {"found": f"shape {tuple(shape)}"})
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(_normal(self.bits(), (max(rows, columns), min(rows, columns))))
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)  # without this, some matrices would be likelier than others
        return ((q if rows >= columns else q.T).reshape(shape) * self.gain).astype(dtype)


# The standard deviation of a normal distribution that is cut off at two standard deviations.
_TRUNCATED = 0.87962566103423978


class VarianceScaling(_Random):
    """Random weights whose variance is ``scale / n``, with n the inputs, the outputs or their mean.

    ``mode`` is "fan_in", "fan_out" or "fan_avg"; ``distribution`` is "truncated_normal" (also called "normal"),
    "untruncated_normal" or "uniform". The inputs of a weight are its last axis but one and its outputs the last, each times the
    axes before; ``input_axes`` and ``output_axes`` say so for a weight that is laid out in another way.

    >>> VarianceScaling(1.0, "fan_in", "uniform", seed=1)((100, 50)).std().round(2)
    np.float32(0.1)
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
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
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise UsageError(
                f"{distribution!r} is no distribution.", hint="truncated_normal, untruncated_normal or uniform"
            )
        if (input_axes is None) != (output_axes is None):
            raise UsageError("input_axes and output_axes are given together, or neither is.")
        self.scale, self.mode, self.distribution = scale, mode, distribution
        self.input_axes, self.output_axes = input_axes, output_axes

    def __call__(self, shape: Shape, dtype: str = "float32") -> Array:
        """Random numbers of the given shape."""
        fan_in, fan_out = self._fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(n, 1.0))
        if self.distribution == "uniform":
            limit = math.sqrt(3.0) * deviation
            return _uniform(self.bits(), shape, dtype, -limit, limit)
        if self.distribution == "untruncated_normal":
            return (_normal(self.bits(), shape) * deviation).astype(dtype)
        return (_truncated_normal(self.bits(), shape) * (deviation / _TRUNCATED)).astype(dtype)

    def _fans(self, shape: Shape) -> tuple[int, int]:
        """Inputs and outputs of one unit of a weight of this shape."""
        if self.input_axes is not None and self.output_axes is not None:
            inputs, outputs = (math.prod(shape[a] for a in axes) for axes in (self.input_axes, self.output_axes))
            return inputs, outputs
        if len(shape) < 2:
            return math.prod(shape), math.prod(shape)
        field = math.prod(shape[:-2])
        return shape[-2] * field, shape[-1] * field


class _Scaled(VarianceScaling):
    """A kind of `VarianceScaling` that has a name; see there for ``input_axes`` and ``output_axes``."""

    _kind: tuple[float, str, str]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self._kind, seed, input_axes, output_axes)


class GlorotUniform(_Scaled):
    """Uniform within sqrt(6 / (fan_in + fan_out)): X. Glorot, Y. Bengio, AISTATS 2010. Keras's default for kernels."""

    _kind = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan_in + fan_out): X. Glorot, Y. Bengio, AISTATS 2010."""

    _kind = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform within sqrt(6 / fan_in), made for ReLU: K. He et al., ICCV 2015."""

    _kind = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan_in, made for ReLU: K. He et al., ICCV 2015."""

    _kind = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform within sqrt(3 / fan_in): Y. LeCun et al., "Efficient BackProp", 1998."""

    _kind = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in, made for SELU: Y. LeCun et al., "Efficient BackProp", 1998."""

    _kind = (1.0, "fan_in", "truncated_normal")


# ------------------------------------------------------------------ drawing


def _number(name: str, value: Any, least: float = -math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise UsageError(f"{name} is a number{' from 0 on' if least == 0 else ''}, got {value!r}.")
    return value


_DRAWN = 1 << 16  # numbers drawn at a time; even, since two of them come from one word


def _uniform(bits: np.random.Philox, shape: Shape, dtype: str, low: float, high: float) -> Array:
    """Numbers from ``low`` up to ``high``: in float32 from 24 random bits each, else from 53."""
    n = math.prod(shape)
    numbers: Array = np.empty(n, dtype)
    for begin in range(0, n, _DRAWN):  # in parts, so that random words take no memory to speak of
        part = numbers[begin : begin + _DRAWN]
        if dtype == "float32":
            words = bits.random_raw(-(-len(part) // 2)).astype("<u8", copy=False).view("<u4")[: len(part)]
            np.multiply(words >> np.uint32(8), np.float32(2.0**-24), out=part, dtype=np.float32, casting="unsafe")
        else:
            np.multiply(bits.random_raw(len(part)) >> np.uint64(11), 2.0**-53, out=part)
    numbers *= high - low
    numbers += low
    return numbers.reshape(shape)


def _normal(bits: np.random.Philox, shape: Shape) -> Array:
    """Standard normal numbers: the polar method of G. Marsaglia and T. Bray, SIAM Review 6, 1964."""
    n = math.prod(shape)
    x = _uniform(bits, (2, -(-n // 2)), "float64", -1.0, 1.0)
    square = x[0] * x[0] + x[1] * x[1]
    while (outside := np.flatnonzero((square >= 1) | (square == 0))).size:
        x[:, outside] = again = _uniform(bits, (2, outside.size), "float64", -1.0, 1.0)
        square[outside] = again[0] * again[0] + again[1] * again[1]
    x *= np.sqrt(-2 * _log(square) / square)
    return x.reshape(-1)[:n].reshape(shape)


def _log(x: Array) -> Array:
    """Natural logarithm: of the mantissa as 2 atanh((m - 1) / (m + 1)), after m has been brought close to 1.

    Python and NumPy ask the machine's library, and those differ in the last bit.
    """
    mantissa, exponent = np.frexp(x)
    middle = math.sqrt(0.5)
    z = (mantissa - middle) / (mantissa + middle)
    series = np.zeros_like(z)
    for n in range(21, 0, -2):
        series = series * (z * z) + 1 / n
    return (exponent - 0.5) * 0.6931471805599453 + 2 * z * series


def _truncated_normal(bits: np.random.Philox, shape: Shape) -> Array:
    """Standard normal numbers, those beyond two standard deviations drawn again."""
    x = _normal(bits, (math.prod(shape),))
    while (outside := np.flatnonzero(np.abs(x) > 2)).size:
        x[outside] = _normal(bits, (outside.size,))
    return x.reshape(shape)


# ------------------------------------------------------------------ by name

# Keras's other names for the same.
constant, identity, ones, orthogonal, zeros = Constant, Identity, Ones, Orthogonal, Zeros
glorot_normal, glorot_uniform, he_normal, he_uniform = GlorotNormal, GlorotUniform, HeNormal, HeUniform
lecun_normal, lecun_uniform, variance_scaling = LecunNormal, LecunUniform, VarianceScaling
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal

_CLASSES = (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)
_TABLE = names(
    *_CLASSES,
    IdentityInitializer=Identity,
    OrthogonalInitializer=Orthogonal,
    normal=RandomNormal,
    one=Ones,
    uniform=RandomUniform,
    zero=Zeros,
)


def get(identifier: Any) -> Initializer:
    """The initializer that ``identifier`` means: a name, an object, or a function of (shape, dtype).

    >>> type(get("he_normal")).__name__
    'HeNormal'
    """
    initializer: Initializer = resolve("initializer", identifier, _TABLE)
    return initializer


__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
