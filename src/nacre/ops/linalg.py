"""The matrix product, where nearly all of the time goes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from nacre.errors import ShapeError
from nacre.ir import DTYPES, TensorType, Value
from nacre.ops.elementwise import cast
from nacre.ops.primitive import Array, Sample, expect, float32, primitive, sample
from nacre.ops.shape import reshape

PRECISIONS = ("full", "bfloat16")


def _matmul_type(a: TensorType, b: TensorType, *, transpose_a: bool, transpose_b: bool, precision: str) -> TensorType:
    expect(a.rank == b.rank == 2 and a.dtype == b.dtype and a.is_float, "matmul", "two float matrices", a, b)
    expect(precision in PRECISIONS, "matmul", f"a precision out of {', '.join(PRECISIONS)}", a, b)
    rows, inner = a.shape[::-1] if transpose_a else a.shape
    inner_b, columns = b.shape[::-1] if transpose_b else b.shape
    expect(inner == inner_b, "matmul", f"inner sizes that agree, got {inner} and {inner_b}", a, b)
    return TensorType((rows, columns), a.dtype)


def _matmul_vjp(
    y: Value, dy: Value, a: Value, b: Value, transpose_a: bool, transpose_b: bool, precision: str
) -> tuple[Value, Value]:
    product = partial(_matmul, precision=precision)
    da = (
        product(b, dy, transpose_a=transpose_b, transpose_b=True)
        if transpose_a
        else product(dy, b, transpose_a=False, transpose_b=not transpose_b)
    )
    db = (
        product(dy, a, transpose_a=True, transpose_b=transpose_a)
        if transpose_b
        else product(a, dy, transpose_a=not transpose_a, transpose_b=False)
    )
    return da, db


def to_bfloat16(xp: Any, x: Array) -> Array:
    """The numbers of bfloat16 (8 bits of mantissa) nearest to those of a float32 array, ties to even, as float32.

    >>> import numpy as np
    >>> to_bfloat16(np, np.float32([1.003, 1.005, 3e38]))
    array([1.0000000e+00, 1.0078125e+00, 3.0040553e+38], dtype=float32)
    """
    bits = x.view(xp.uint32)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return xp.where(xp.isnan(x), x, rounded.view(xp.float32))


def _use(n: int, m: int, k: int, ta: bool, tb: bool, precision: str = "full") -> Sample:
    a, b = ((m, n) if ta else (n, m)), ((k, m) if tb else (m, k))
    return sample(float32(*a), float32(*b), transpose_a=ta, transpose_b=tb, precision=precision)


@primitive(
    "matmul",
    infer=_matmul_type,
    vjp=_matmul_vjp,
    samples=[
        *(_use(3, 4, 5, ta, tb) for ta in (False, True) for tb in (False, True)),
        *(_use(17, 13, 35, ta, tb) for ta in (False, True) for tb in (False, True)),
        *(_use(19, 37, 35, ta, tb, "bfloat16") for ta in (False, True) for tb in (False, True)),
        *(_use(*size, False, False) for size in [(1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 70, 33), (29, 5, 1)]),
    ],
)
def _matmul(xp: Any, a: Array, b: Array, *, transpose_a: Any, transpose_b: Any, precision: Any) -> Array:
    """Product of two matrices, either one transposed on the way, and both rounded to bfloat16 first where the precision says so.
    Numbers in float64 are not rounded: they are what a gradient in float32 is checked against."""
    if precision == "bfloat16" and a.dtype == np.float32:
        a, b = to_bfloat16(xp, a), to_bfloat16(xp, b)
    return xp.matmul(a.T if transpose_a else a, b.T if transpose_b else b)


def matmul(
    x1: Value, x2: Value, *, transpose_a: bool = False, transpose_b: bool = False, precision: str = "full"
) -> Value:
    """Matrix product over the last axis of ``x1``.   x1 (..., m), x2 (m, k) -> (..., k)

    Either may be a vector (m,); the result has no axis for it.

    With ``precision="bfloat16"`` both are rounded to bfloat16 before they are multiplied, as are the factors of the gradients;
    sums are made in float32. Numbers too small to be normal count as 0 then. Whole numbers are multiplied as float32.

    >>> from nacre import ops
    >>> print(ops.matmul([[1, 2], [3, 4]], [1, 0]))
    [1. 3.]
    """
    dtype = max(x1.dtype, x2.dtype, "float32", key=DTYPES.index)
    x1, x2 = (x if x.dtype == dtype else cast(x, dtype) for x in (x1, x2))
    inner_a, inner_b = x1.shape[-2 if transpose_a else -1 :][:1], x2.shape[-1 if transpose_b else 0 :][:1]
    vectors = x1.rank == 1 or x2.rank == 1
    if x2.rank not in (1, 2) or x1.rank == 0 or inner_a != inner_b or (vectors and (transpose_a or transpose_b)):
        raise ShapeError("These cannot be multiplied as matrices.", {"shapes": f"{x1.shape} and {x2.shape}"})
    if vectors:
        rows = reshape(x1, [math.prod(x1.shape[:-1]), *inner_a])
        columns = reshape(x2, [*inner_b, math.prod(x2.shape[1:])])
        y = _matmul(rows, columns, transpose_a=False, transpose_b=False, precision=precision)
        return reshape(y, [*x1.shape[:-1], *x2.shape[1:]])
    if x1.rank == 2:
        return _matmul(x1, x2, transpose_a=transpose_a, transpose_b=transpose_b, precision=precision)
    rows = reshape(x1, [-1, x1.shape[-1]])
    y = _matmul(rows, x2, transpose_a=False, transpose_b=transpose_b, precision=precision)
    return reshape(y, [*x1.shape[:-1], y.shape[-1]])
