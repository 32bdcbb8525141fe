"""Functions that stand behind layers: what `keras.ops` and `keras.activations` share.

Each is right, and has finite gradients, for inputs of any size; NaN stays NaN. At a kink, the gradient is one of those beside it,
or their mean.

>>> from nacre.ops import constant
>>> glu(constant([[1.0, 2.0, 0.0, 0.0]]))
<multiply: float32[1,2]>
"""

from __future__ import annotations

import math

from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.arithmetic import clip
from nacre.ops.rearranging import expand_dims, moveaxis, split
from nacre.ops.reduction import max, sum
from nacre.ops.shape import axis_of, broadcast_to

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _below(x: Value) -> Value:
    """x where it is not above 0, else 0: what an exponential may see without overflow, in a branch that is not taken too."""
    return e.select(x > 0, 0, x)


# ------------------------------------------------------------------ straight lines with kinks


def relu6(x: Value) -> Value:
    """min(max(x, 0), 6)."""
    return e.minimum(e.relu(x), 6)


def leaky_relu(x: Value, negative_slope: float = 0.2) -> Value:
    """x above 0, negative_slope * x below.   A. Maas et al., ICML 2013"""
    return e.select(x > 0, x, x * negative_slope)


def threshold(x: Value, threshold: float, default_value: float) -> Value:
    """x where it is above the threshold, else the default value."""
    return e.select(x <= threshold, default_value, x)


def hard_tanh(x: Value) -> Value:
    """x, kept between -1 and 1."""
    return clip(x, -1, 1)


def hard_sigmoid(x: Value) -> Value:
    """x / 6 + 1/2, kept between 0 and 1."""
    return relu6(x + 3) * (1 / 6)


def hard_silu(x: Value) -> Value:
    """x times its `hard_sigmoid`.   A. Howard et al., arXiv:1905.02244"""
    return x * hard_sigmoid(x)


def sparse_sigmoid(x: Value) -> Value:
    """(x + 1) / 2, kept between 0 and 1."""
    return clip(x * 0.5 + 0.5, 0, 1)


def hard_shrink(x: Value, threshold: float = 0.5) -> Value:
    """x where it is farther from 0 than the threshold, else 0."""
    return e.select(e.abs(x) <= threshold, 0, x)


def soft_shrink(x: Value, threshold: float = 0.5) -> Value:
    """x moved towards 0 by the threshold, and 0 where it would go beyond."""
    return e.select(e.abs(x) <= threshold, 0, x - e.sign(x) * threshold)


# ------------------------------------------------------------------ smooth ones


def softplus(x: Value) -> Value:
    """log(1 + e^x), without overflow."""
    # At 0, the maximum shares its gradient and the absolute value has none: together 1/2, as it must be.
    return e.maximum(x, 0) + e.log1p(e.exp(-e.abs(x)))


def log_sigmoid(x: Value) -> Value:
    """Logarithm of the sigmoid, exact where the sigmoid would round to 0."""
    return -softplus(-x)


def softsign(x: Value) -> Value:
    """x / (1 + |x|)."""
    return x / (1 + e.abs(x))


def tanh_shrink(x: Value) -> Value:
    """x - tanh(x)."""
    return x - e.tanh(x)


def squareplus(x: Value, b: float = 4) -> Value:
    """(x + sqrt(x^2 + b)) / 2, without overflow; b is positive.   J. Barron, arXiv:2112.11687

    Raises `UsageError` for another b.
    """
    if not b > 0:
        raise UsageError(f"squareplus needs a positive b, got {b!r}.", hint="with b = 0 it is relu")
    size, width = e.select(x < 0, -x, x), math.sqrt(b)
    long = e.maximum(size, width)
    share = e.minimum(size, width) / long
    right = size * 0.5 + long * e.sqrt(1 + share * share) * 0.5
    return e.select(x < 0, (b / 4) / right, right)  # the two solutions of y^2 - x y = b / 4 multiply to -b / 4


def sparse_plus(x: Value) -> Value:
    """0 below -1, x above 1, (x + 1)^2 / 4 between."""
    middle = clip(x, -1, 1) + 1
    return e.select(x < 1, middle * middle * 0.25, x)


def silu(x: Value) -> Value:
    """x times its sigmoid.   S. Elfwing et al., Neural Networks 107 (2018)"""
    return x * e.sigmoid(x)


def gelu(x: Value, approximate: bool = True) -> Value:
    """x times the chance that a normal number is below x; ``approximate`` by a tanh.   D. Hendrycks, K. Gimpel, arXiv:1606.08415"""
    if not approximate:
        return x * (e.erf(x * math.sqrt(0.5)) * 0.5 + 0.5)
    near = clip(x, -20, 20)  # beyond, the sigmoid is 0 or 1, and a cube could overflow
    return x * e.sigmoid((near + near * near * near * 0.044715) * math.sqrt(8 / math.pi))


def elu(x: Value, alpha: float = 1.0) -> Value:
    """x above 0, alpha * (e^x - 1) below.   D.-A. Clevert et al., arXiv:1511.07289"""
    return e.select(x > 0, x, e.expm1(_below(x)) * alpha)


def selu(x: Value) -> Value:
    """1.0507 times the `elu` with alpha 1.6733: keeps mean 0 and variance 1.   G. Klambauer et al., arXiv:1706.02515"""
    return elu(x, _SELU_ALPHA) * _SELU_SCALE


def celu(x: Value, alpha: float = 1.0) -> Value:
    """x above 0, alpha * (e^(x / alpha) - 1) below; alpha is not 0.   J. Barron, arXiv:1704.07483

    Raises `UsageError` if alpha is 0.
    """
    if alpha == 0:
        raise UsageError("celu divides by alpha, which cannot be 0.", hint="the limit of small alpha is relu")
    return e.select(x > 0, x, e.expm1(_below(x) * (1 / alpha)) * alpha)


# ------------------------------------------------------------------ by rows


def glu(x: Value, axis: int = -1) -> Value:
    """The first half of x along ``axis`` times the sigmoid of the second.   (..., 2 n) -> (..., n)   arXiv:1612.08083

    Raises `ShapeError` if there are no two halves.
    """
    if x.shape[axis_of(axis, x.rank)] % 2:
        raise ShapeError("glu needs an even size along its axis.", {"input": x.shape, "axis": axis})
    a, b = split(x, 2, axis)
    return a * e.sigmoid(b)


def sparsemax(x: Value, axis: int = -1) -> Value:
    """The point of the simplex nearest to x: probabilities, most of them 0.   A. Martins, R. Astudillo, arXiv:1602.02068

    max(x - t, 0), with t such that they sum to 1. All pairs along ``axis`` are compared, so n classes take memory for n^2 numbers.
    """
    x = moveaxis(x, axis, -1)
    z = x - e.stop_gradient(max(x, -1, keepdims=True))
    pairs = (*z.shape, z.shape[-1])
    one, other = broadcast_to(expand_dims(z, -1), pairs), broadcast_to(expand_dims(z, -2), pairs)
    larger = other >= one  # each score beside those that come before it in order, itself included
    count, total = sum(e.cast(larger, z.dtype), -1), sum(e.select(larger, other, 0), -1)
    kept = e.stop_gradient(e.cast(count * z + 1 > total, z.dtype))
    t = (sum(e.select(kept > 0, z, 0), -1, keepdims=True) - 1) / sum(kept, -1, keepdims=True)
    return moveaxis(e.relu(z - t), -1, axis)


swish, hard_swish = silu, hard_silu

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "leaky_relu",
    "log_sigmoid", "relu6", "selu", "silu", "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip
