"""Primitives that work element by element. Operands have one shape; broadcasting and casting are put in before."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nacre.errors import ShapeError
from nacre.ir import DTYPES, FLOATS, TensorType, Value
from nacre.ops.primitive import Array, Sample, boolean, expect, float32, int32, primitive, sample, uint8
from nacre.ops.shape import broadcast_to, constant, operand

# ------------------------------------------------------------------ type rules


def same_type(x: TensorType, *others: TensorType) -> TensorType:
    """All operands have one type, the result too."""
    expect(all(o == x for o in others), "An elementwise operation", "operands of one type", x, *others)
    return x


def number_type(x: TensorType, *others: TensorType) -> TensorType:
    """All operands have one type, and it is not bool; the result too."""
    expect(x.dtype != "bool", "Arithmetic", "numbers; cast truth values first", x)
    return same_type(x, *others)


def ordered_type(x: TensorType, *others: TensorType) -> TensorType:
    """Numbers of one type to truth values."""
    return truth_type(number_type(x, *others))


def float_type(x: TensorType, *others: TensorType) -> TensorType:
    """All operands have one floating type, the result too."""
    expect(x.is_float, "This operation", "floating-point operands", x)
    return same_type(x, *others)


def truth_type(x: TensorType, *others: TensorType) -> TensorType:
    """Operands of one type to truth values."""
    return TensorType(same_type(x, *others).shape, "bool")


def logical_type(x: TensorType, *others: TensorType) -> TensorType:
    """Truth values to truth values."""
    expect(x.dtype == "bool", "A logical operation", "bool operands", x)
    return same_type(x, *others)


def select_type(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    """A truth value and two operands of one type."""
    expect(
        condition.dtype == "bool" and condition.shape == a.shape,
        "select",
        "a bool condition of the same shape",
        condition,
        a,
    )
    return same_type(a, b)


def cast_type(x: TensorType, *, dtype: str) -> TensorType:
    """The same shape in another dtype."""
    return TensorType(x.shape, dtype)


# ------------------------------------------------------------------ operands brought together


def together(*operands: Any) -> tuple[Value, ...]:
    """Operands as values of one shape and one dtype.

    Arrays and Python numbers take the dtype of the values beside them; arrays by themselves keep theirs, as `operand` has it.
    """
    if not any(isinstance(o, Value) for o in operands):
        operands = tuple(o if type(o) in (int, float) else operand(o) for o in operands)
    dtype = max((o.dtype for o in operands if isinstance(o, Value)), key=DTYPES.index, default="float32")
    if dtype not in FLOATS and any(not isinstance(o, Value) and np.asarray(o).dtype.kind == "f" for o in operands):
        dtype = "float32"
    values = [_cast_to(o if isinstance(o, Value) else constant(o, dtype), dtype) for o in operands]
    shape = _common_shape(*values)
    return tuple(broadcast_to(v, shape) for v in values)


def fractions(*operands: Any) -> tuple[Value, ...]:
    """The same, whole numbers and truth values as float32."""
    return tuple(v if v.type.is_float else cast(v, "float32") for v in together(*operands))


def select_operands(condition: Any, a: Any, b: Any) -> tuple[Value, ...]:
    """Condition and branches brought to one shape, the branches to one dtype."""
    condition, (a, b) = operand(condition), together(a, b)
    shape = _common_shape(condition, a)
    return tuple(broadcast_to(v, shape) for v in (condition, a, b))


def _cast_to(x: Value, dtype: str) -> Value:
    return x if x.dtype == dtype else cast(x, dtype=dtype)


def _common_shape(*values: Value) -> tuple[int, ...]:
    try:
        return tuple(np.broadcast_shapes(*(v.shape for v in values)))
    except ValueError:
        raise ShapeError(
            "These values cannot be brought to one shape.", {"shapes": " and ".join(str(v.shape) for v in values)}
        ) from None


def _samples(*domain: float, operands: int = 1) -> list[Sample]:
    low, high = domain or (-2.0, 2.0)
    shapes: list[tuple[int, ...]] = [(), (1,), (0, 3), (3, 4), (5, 67)]
    return [sample(*[float32(*s, low=low, high=high)] * operands) for s in shapes]


# ------------------------------------------------------------------ one operand


@primitive("neg", infer=number_type, prepare=together, vjp=lambda y, dy, x: (-dy,), samples=_samples())
def neg(xp: Any, x: Array) -> Array:
    """-x."""
    return -x


@primitive("sign", infer=number_type, prepare=together, samples=_samples())
def sign(xp: Any, x: Array) -> Array:
    """-1, 0 or 1."""
    return xp.sign(x)


@primitive("abs", infer=number_type, prepare=together, vjp=lambda y, dy, x: (dy * sign(x),), samples=_samples())
def abs(xp: Any, x: Array) -> Array:
    """Absolute value; its gradient at 0 is 0."""
    return xp.abs(x)


@primitive("floor", infer=float_type, prepare=fractions, samples=_samples())
def floor(xp: Any, x: Array) -> Array:
    """Largest integer not above x."""
    return xp.floor(x)


@primitive("exp", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy * y,), samples=_samples(-5, 5))
def exp(xp: Any, x: Array) -> Array:
    """e to the x."""
    return xp.exp(x)


@primitive("expm1", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy * (y + 1),), samples=_samples(-5, 5))
def expm1(xp: Any, x: Array) -> Array:
    """e to the x, minus 1, exact near 0."""
    return xp.expm1(x)


@primitive("log", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy / x,), samples=_samples(0.1, 9))
def log(xp: Any, x: Array) -> Array:
    """Natural logarithm."""
    return xp.log(x)


@primitive(
    "log1p", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy / (x + 1),), samples=_samples(-0.9, 9)
)
def log1p(xp: Any, x: Array) -> Array:
    """Natural logarithm of 1 + x, exact near 0."""
    return xp.log1p(x)


@primitive("sqrt", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy * 0.5 / y,), samples=_samples(0.1, 9))
def sqrt(xp: Any, x: Array) -> Array:
    """Square root."""
    return xp.sqrt(x)


def _sin_vjp(y: Value, dy: Value, x: Value) -> tuple[Value]:
    return (dy * cos(x),)


@primitive("sin", infer=float_type, prepare=fractions, vjp=_sin_vjp, samples=_samples(-7, 7))
def sin(xp: Any, x: Array) -> Array:
    """Sine, x in radians."""
    return xp.sin(x)


@primitive("cos", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (-dy * sin(x),), samples=_samples(-7, 7))
def cos(xp: Any, x: Array) -> Array:
    """Cosine, x in radians."""
    return xp.cos(x)


@primitive(
    "tanh", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy * (1 - y * y),), samples=_samples(-4, 4)
)
def tanh(xp: Any, x: Array) -> Array:
    """Hyperbolic tangent."""
    return xp.tanh(x)


@primitive(
    "sigmoid", infer=float_type, prepare=fractions, vjp=lambda y, dy, x: (dy * (y * (1 - y)),), samples=_samples(-9, 9)
)
def sigmoid(xp: Any, x: Array) -> Array:
    """1 / (1 + e^-x), without overflow on either side."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x < 0, e, xp.ones_like(e)) / (1 + e)


@primitive(
    "erf",
    infer=float_type,
    prepare=fractions,
    vjp=lambda y, dy, x: (dy * exp(-(x * x)) * (2 / math.sqrt(math.pi)),),
    samples=_samples(-3, 3),
)
def erf(xp: Any, x: Array) -> Array:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    return xp.vectorize(math.erf, otypes=[x.dtype])(x)


def _relu_vjp(y: Value, dy: Value, x: Value) -> tuple[Value]:
    return (select(y > 0, dy, 0),)  # y is positive where x is, and is kept anyway


@primitive("relu", infer=number_type, prepare=together, vjp=_relu_vjp, samples=_samples())
def relu(xp: Any, x: Array) -> Array:
    """x where it is positive, else 0; its gradient at 0 is 0 (the maximum of x and 0 would share it)."""
    return xp.maximum(x, 0)


@primitive("logical_not", infer=logical_type, prepare=together, samples=[sample(boolean(3, 4)), sample(boolean(0))])
def logical_not(xp: Any, x: Array) -> Array:
    """Not x."""
    return xp.logical_not(x)


@primitive("isfinite", infer=lambda x: truth_type(float_type(x)), prepare=fractions, samples=_samples())
def isfinite(xp: Any, x: Array) -> Array:
    """Whether x is neither NaN nor infinite."""
    return xp.isfinite(x)


def _cast_vjp(y: Value, dy: Value, x: Value, dtype: str) -> tuple[Value | None]:
    return (cast(dy, dtype=x.dtype) if x.type.is_float and y.type.is_float else None,)


@primitive(
    "cast",
    infer=cast_type,
    prepare=lambda x: (operand(x),),
    vjp=_cast_vjp,
    samples=[
        sample(uint8(3, 4), dtype="float32"),
        sample(boolean(5), dtype="float32"),
        sample(int32(0, 3), dtype="float32"),
        sample(float32(3, 67, low=0, high=200), dtype="int32"),
        sample(uint8(3, 4), dtype="int32"),
        sample(boolean(3, 4), dtype="int32"),
        sample(int32(3, 4), dtype="uint8"),
    ],
)
def _cast(xp: Any, x: Array, *, dtype: Any) -> Array:
    """The same numbers in another dtype; a float becomes an integer by dropping its fraction."""
    return x.astype(dtype)


def cast(x: Value, dtype: str) -> Value:
    """The same numbers in another dtype; a float becomes an integer by dropping its fraction."""
    return _cast(x, dtype=dtype)


@primitive("stop_gradient", infer=same_type, prepare=together, samples=_samples())
def stop_gradient(xp: Any, variable: Array) -> Array:
    """The value itself, and no gradient to it."""
    return variable


# ------------------------------------------------------------------ two operands


@primitive("add", infer=number_type, prepare=together, vjp=lambda y, dy, a, b: (dy, dy), samples=_samples(operands=2))
def add(xp: Any, x1: Array, x2: Array) -> Array:
    """x1 + x2."""
    return x1 + x2


@primitive(
    "subtract", infer=number_type, prepare=together, vjp=lambda y, dy, a, b: (dy, -dy), samples=_samples(operands=2)
)
def subtract(xp: Any, x1: Array, x2: Array) -> Array:
    """x1 - x2."""
    return x1 - x2


@primitive(
    "multiply",
    infer=number_type,
    prepare=together,
    vjp=lambda y, dy, a, b: (dy * b, dy * a),
    samples=_samples(operands=2),
)
def multiply(xp: Any, x1: Array, x2: Array) -> Array:
    """x1 times x2, element by element."""
    return x1 * x2


@primitive(
    "divide",
    infer=float_type,
    prepare=fractions,
    vjp=lambda y, dy, a, b: (dy / b, -(dy * y / b)),
    samples=_samples(0.5, 4, operands=2),
)
def divide(xp: Any, x1: Array, x2: Array) -> Array:
    """x1 / x2; division by zero gives an infinity or NaN."""
    return x1 / x2


def _power_vjp(y: Value, dy: Value, a: Value, b: Value) -> tuple[Value, Value]:
    # a ** (b - 1) is infinite at a = 0 for b < 1; the gradient of a ** 0 is zero all the same.
    da = select(equal(b, 0), 0, b * power(a, select(equal(b, 0), 1, b - 1)))
    db = select(a > 0, y * log(select(a > 0, a, 1)), 0)
    return dy * da, dy * db


@primitive("power", infer=float_type, prepare=fractions, vjp=_power_vjp, samples=_samples(0.2, 3, operands=2))
def power(xp: Any, x1: Array, x2: Array) -> Array:
    """x1 to the x2."""
    return xp.power(x1, x2)


def _share(picked: Value, dy: Value, a: Value, b: Value) -> Value:
    """The gradient where ``picked``, half of it where ``a`` equals ``b``."""
    return dy * select(equal(a, b), 0.5, cast(picked, dtype=dy.dtype))


@primitive(
    "maximum",
    infer=number_type,
    prepare=together,
    vjp=lambda y, dy, a, b: (_share(a > b, dy, a, b), _share(b > a, dy, a, b)),
    samples=_samples(operands=2),
)
def maximum(xp: Any, x1: Array, x2: Array) -> Array:
    """The larger; NaN if either is. At a tie the gradient is shared."""
    return xp.maximum(x1, x2)


@primitive(
    "minimum",
    infer=number_type,
    prepare=together,
    vjp=lambda y, dy, a, b: (_share(a < b, dy, a, b), _share(b < a, dy, a, b)),
    samples=_samples(operands=2),
)
def minimum(xp: Any, x1: Array, x2: Array) -> Array:
    """The smaller; NaN if either is. At a tie the gradient is shared."""
    return xp.minimum(x1, x2)


_COMPARED = [*_samples(operands=2), sample(int32(5, 67), int32(5, 67)), sample(uint8(3), uint8(3))]


@primitive("equal", infer=truth_type, prepare=together, samples=_COMPARED)
def equal(xp: Any, x1: Array, x2: Array) -> Array:
    """Whether x1 equals x2."""
    return x1 == x2


@primitive("not_equal", infer=truth_type, prepare=together, samples=_COMPARED)
def not_equal(xp: Any, x1: Array, x2: Array) -> Array:
    """Whether x1 differs from x2."""
    return x1 != x2


@primitive("less", infer=ordered_type, prepare=together, samples=_COMPARED)
def less(xp: Any, x1: Array, x2: Array) -> Array:
    """Whether x1 is below x2."""
    return x1 < x2


@primitive("less_equal", infer=ordered_type, prepare=together, samples=_COMPARED)
def less_equal(xp: Any, x1: Array, x2: Array) -> Array:
    """Whether x1 is at most x2."""
    return x1 <= x2


def greater(x1: Any, x2: Any) -> Value:
    """Whether x1 is above x2."""
    return less(x2, x1)


def greater_equal(x1: Any, x2: Any) -> Value:
    """Whether x1 is at least x2."""
    return less_equal(x2, x1)


@primitive("logical_and", infer=logical_type, prepare=together, samples=[sample(boolean(3, 4), boolean(3, 4))])
def logical_and(xp: Any, x1: Array, x2: Array) -> Array:
    """Whether both hold."""
    return xp.logical_and(x1, x2)


@primitive("logical_or", infer=logical_type, prepare=together, samples=[sample(boolean(3, 4), boolean(3, 4))])
def logical_or(xp: Any, x1: Array, x2: Array) -> Array:
    """Whether one holds."""
    return xp.logical_or(x1, x2)


# ------------------------------------------------------------------ three operands


def _select_vjp(y: Value, dy: Value, condition: Value, a: Value, b: Value) -> tuple[None, Value, Value]:
    return None, select(condition, dy, 0), select(condition, 0, dy)


@primitive(
    "select",
    infer=select_type,
    prepare=select_operands,
    vjp=_select_vjp,
    samples=[sample(boolean(*s), float32(*s), float32(*s)) for s in [(3, 4), (0,), (5, 67), ()]],
)
def select(xp: Any, condition: Array, a: Array, b: Array) -> Array:
    """a where the condition holds, else b."""
    return xp.where(condition, a, b)
