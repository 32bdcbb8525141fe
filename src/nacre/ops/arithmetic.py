"""Functions of numbers, element by element, under the names and with the arguments of `keras.ops`.

Operands may be values of a graph or Python numbers; they are brought to one shape and one dtype, as by the operators.

>>> from nacre.ops import constant
>>> logaddexp(constant([0.0, 1.0]), 0.0)
<add: float32[2]>
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from nacre.errors import Limitation, UsageError
from nacre.ir import Value
from nacre.ops import elementwise as e
from nacre.ops.reduction import sum

absolute = fabs = e.abs
negative = e.neg
true_divide = e.divide


def floating(x: Value) -> Value:
    """x, as float32 if it is not of a floating dtype."""
    return x if x.type.is_float else e.cast(x, "float32")


# ------------------------------------------------------------------ powers and logarithms


def square(x: Value) -> Value:
    """x times x."""
    return x * x


def power(x1: Any, x2: Any) -> Value:
    """x1 to the x2; the exponents 1, 2 and 0.5 are built from simpler rows."""
    if isinstance(x2, int | float) and isinstance(x1, Value):
        if x2 == 1:
            return x1
        if x2 == 2:
            return x1 * x1
        if x2 == 0.5:
            return e.sqrt(x1)
    return e.power(x1, x2)


def root(x: Value) -> Value:
    """The square root with gradient 0 at 0, where that of `sqrt` is infinite: for lengths."""
    zero = e.equal(x, 0)
    return e.select(zero, 0, e.sqrt(e.select(zero, 1, x)))


def reciprocal(x: Value) -> Value:
    """1 / x."""
    return 1 / x


def rsqrt(x: Value) -> Value:
    """1 / sqrt(x)."""
    return 1 / e.sqrt(x)


def exp2(x: Value) -> Value:
    """2 to the x."""
    return e.power(2.0, x)


def log2(x: Value) -> Value:
    """Logarithm to base 2."""
    return e.log(x) * (1 / math.log(2))


def log10(x: Value) -> Value:
    """Logarithm to base 10."""
    return e.log(x) * (1 / math.log(10))


def logaddexp(x1: Any, x2: Any) -> Value:
    """log(e^x1 + e^x2), without overflow."""
    x1, x2 = e.together(x1, x2)
    # Equal infinities have no difference. At a tie, the maximum shares the gradient as it should be shared.
    gap = e.select(e.equal(x1, x2), 0, x1 - x2)
    return e.maximum(x1, x2) + e.log1p(e.exp(-e.abs(gap)))


def logaddexp2(x1: Any, x2: Any) -> Value:
    """log2(2^x1 + 2^x2), without overflow."""
    x1, x2 = e.together(x1, x2)
    return logaddexp(x1 * math.log(2), x2 * math.log(2)) * (1 / math.log(2))


def hypot(x1: Any, x2: Any) -> Value:
    """sqrt(x1^2 + x2^2), without overflow: the longest side of a right triangle."""
    a, b = (e.abs(x) for x in e.together(x1, x2))
    long, short = e.maximum(a, b), e.minimum(a, b)
    share = short / e.select(e.logical_and(long > 0, e.isfinite(long)), long, 1)
    return long * e.sqrt(1 + share * share)


# ------------------------------------------------------------------ angles


def tan(x: Value) -> Value:
    """Tangent, x in radians."""
    return e.sin(x) / e.cos(x)


def sinh(x: Value) -> Value:
    """Hyperbolic sine, exact near 0."""
    half = x * 0.5
    return ((e.expm1(half) - e.expm1(-half)) * 0.5) * (e.exp(half) + e.exp(-half))


def cosh(x: Value) -> Value:
    """Hyperbolic cosine."""
    half = e.exp(e.abs(x) * 0.5)  # its square may overflow where half of that does not
    return half * (half * 0.5) + e.exp(-e.abs(x)) * 0.5


def deg2rad(x: Value) -> Value:
    """Degrees to radians."""
    return x * (math.pi / 180)


def rad2deg(x: Value) -> Value:
    """Radians to degrees."""
    return x * (180 / math.pi)


# ------------------------------------------------------------------ whole numbers


def ceil(x: Value) -> Value:
    """Smallest integer not below x."""
    return -e.floor(-x)


def trunc(x: Value) -> Value:
    """x without its fraction."""
    return e.select(x < 0, ceil(x), e.floor(x))


def round(x: Value, decimals: int = 0) -> Value:
    """The nearest number with so many decimals; halves go to the even neighbor."""
    if decimals:
        return round(x * 10.0**decimals) / 10.0**decimals
    below = e.floor(x)
    rest = x - below
    odd = e.not_equal(below, e.floor(below * 0.5) * 2.0)
    up = e.logical_or(rest > 0.5, e.logical_and(e.equal(rest, 0.5), odd))
    return below + e.cast(up, x.dtype)


# ------------------------------------------------------------------ comparisons and choices


def clip(x: Value, x_min: Any, x_max: Any) -> Value:
    """x, kept between two bounds."""
    return e.minimum(e.maximum(x, x_min), x_max)


def where(condition: Value, x1: Any = None, x2: Any = None) -> Value:
    """x1 where the condition holds, else x2. Raises `Limitation` without them: how many places hold is not known beforehand."""
    if x1 is None or x2 is None:
        raise Limitation("where needs both x1 and x2.", hint="where(condition, x1, x2)")
    return e.select(condition, x1, x2)


def select(condlist: Sequence[Value], choicelist: Sequence[Any], default: Any = 0) -> Value:
    """At each place, the choice whose condition is the first to hold; ``default`` where none does.

    Raises `UsageError` if there is not one choice for each condition.

    >>> from nacre.ops import constant
    >>> x = constant([-1.0, 0.5, 2.0])
    >>> select([x < 0, x > 1], [0.0, 1.0], default=x)
    <select: float32[3]>
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise UsageError(
            "select needs one choice for each condition.",
            {"conditions": len(condlist), "choices": len(choicelist)},
            "where(condition, a, b) chooses between two",
        )
    y = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        y = e.select(condition, choice, y)
    return y


def fmax(x1: Any, x2: Any) -> Value:
    """The larger; if one is NaN, the other."""
    x1, x2 = e.together(x1, x2)
    return e.select(isnan(x1), x2, e.select(isnan(x2), x1, e.maximum(x1, x2)))


def fmin(x1: Any, x2: Any) -> Value:
    """The smaller; if one is NaN, the other."""
    x1, x2 = e.together(x1, x2)
    return e.select(isnan(x1), x2, e.select(isnan(x2), x1, e.minimum(x1, x2)))


def heaviside(x1: Any, x2: Any) -> Value:
    """0 where x1 is below 0, 1 where it is above, x2 where it is 0."""
    x1, x2 = e.together(x1, x2)
    return e.select(e.equal(x1, 0), x2, e.select(isnan(x1), x1, e.cast(x1 > 0, x1.dtype)))


def divide_no_nan(x1: Any, x2: Any) -> Value:
    """x1 / x2, and 0 where x2 is 0."""
    x1, x2 = e.together(x1, x2)
    zero = e.equal(x2, 0)
    return e.select(zero, 0, x1 / e.select(zero, 1, x2))


def logical_xor(x1: Any, x2: Any) -> Value:
    """Whether exactly one holds."""
    return e.logical_or(e.logical_and(x1, e.logical_not(x2)), e.logical_and(e.logical_not(x1), x2))


def isnan(x: Value) -> Value:
    """Whether x is not a number."""
    return e.not_equal(x, x)


def isinf(x: Value) -> Value:
    """Whether x is infinite."""
    return e.logical_not(e.logical_or(e.isfinite(x), isnan(x)))


def isposinf(x: Value) -> Value:
    """Whether x is infinite and above 0."""
    return e.logical_and(isinf(x), x > 0)


def isneginf(x: Value) -> Value:
    """Whether x is infinite and below 0."""
    return e.logical_and(isinf(x), x < 0)


def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Value:
    """Whether x1 is no farther from x2 than atol + rtol * abs(x2)."""
    x1, x2 = e.together(x1, x2)
    near = e.logical_and(e.isfinite(x2), e.abs(x1 - x2) <= atol + rtol * e.abs(x2))
    near = e.logical_or(near, e.equal(x1, x2))
    return e.logical_or(near, e.logical_and(isnan(x1), isnan(x2))) if equal_nan else near


def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Value:
    """Whether all places are close, as `isclose` has it."""
    return all(isclose(x1, x2, rtol, atol, equal_nan))


def nan_to_num(x: Value, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Value:
    """x, with these numbers in place of NaN and the infinities; those become the largest and smallest number if none is given."""
    largest = float(np.finfo(x.dtype).max)
    x = e.select(isposinf(x), largest if posinf is None else posinf, x)
    x = e.select(isneginf(x), -largest if neginf is None else neginf, x)
    return e.select(isnan(x), nan, x)


# ------------------------------------------------------------------ truth over axes


def _nonzero(x: Value) -> Value:
    return e.cast(x if x.dtype == "bool" else e.not_equal(x, 0), "float32")


def any(x: Value, axis: Any = None, keepdims: bool = False) -> Value:
    """Whether some element along ``axis`` is not 0; of nothing, no."""
    return sum(_nonzero(x), axis, keepdims) > 0


def all(x: Value, axis: Any = None, keepdims: bool = False) -> Value:
    """Whether no element along ``axis`` is 0; of nothing, yes."""
    return e.equal(sum(1 - _nonzero(x), axis, keepdims), 0)


def count_nonzero(x: Value, axis: Any = None) -> Value:
    """How many elements along ``axis`` are not 0, as int32. Exact up to 2^24."""
    return e.cast(sum(_nonzero(x), axis), "int32")


__all__ = [
    "absolute",
    "all",
    "allclose",
    "any",
    "ceil",
    "clip",
    "cosh",
    "count_nonzero",
    "deg2rad",
    "divide_no_nan",
    "exp2",
    "fabs",
    "fmax",
    "fmin",
    "heaviside",
    "hypot",
    "isclose",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logical_xor",
    "nan_to_num",
    "negative",
    "power",
    "rad2deg",
    "reciprocal",
    "round",
    "rsqrt",
    "select",
    "sinh",
    "square",
    "tan",
    "true_divide",
    "trunc",
    "where",
]  # fmt: skip
