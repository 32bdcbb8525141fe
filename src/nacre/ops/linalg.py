"""The matrix product, where nearly all of the time goes."""

from __future__ import annotations

from typing import Any

from nacre.errors import ShapeError
from nacre.ir import TensorType, Value
from nacre.ops.primitive import Array, Sample, expect, float32, primitive, sample
from nacre.ops.shape import reshape


def _matmul_type(a: TensorType, b: TensorType, *, transpose_a: bool, transpose_b: bool) -> TensorType:
    expect(a.rank == b.rank == 2 and a.dtype == b.dtype and a.is_float, "matmul", "two float matrices", a, b)
    rows, inner = a.shape[::-1] if transpose_a else a.shape
    inner_b, columns = b.shape[::-1] if transpose_b else b.shape
    expect(inner == inner_b, "matmul", f"inner sizes that agree, got {inner} and {inner_b}", a, b)
    return TensorType((rows, columns), a.dtype)


def _matmul_vjp(y: Value, dy: Value, a: Value, b: Value, transpose_a: bool, transpose_b: bool) -> tuple[Value, Value]:
    da = (
        _matmul(b, dy, transpose_a=transpose_b, transpose_b=True)
        if transpose_a
        else _matmul(dy, b, transpose_a=False, transpose_b=not transpose_b)
    )
    db = (
        _matmul(dy, a, transpose_a=True, transpose_b=transpose_a)
        if transpose_b
        else _matmul(a, dy, transpose_a=not transpose_a, transpose_b=False)
    )
    return da, db


def _use(n: int, m: int, k: int, ta: bool, tb: bool) -> Sample:
    a, b = ((m, n) if ta else (n, m)), ((k, m) if tb else (m, k))
    return sample(float32(*a), float32(*b), transpose_a=ta, transpose_b=tb)


@primitive(
    "matmul",
    infer=_matmul_type,
    vjp=_matmul_vjp,
    samples=[
        *(_use(3, 4, 5, ta, tb) for ta in (False, True) for tb in (False, True)),
        *(_use(17, 13, 35, ta, tb) for ta in (False, True) for tb in (False, True)),
        *(_use(*size, False, False) for size in [(1, 1, 1), (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 70, 33), (29, 5, 1)]),
    ],
)
def _matmul(xp: Any, a: Array, b: Array, *, transpose_a: Any, transpose_b: Any) -> Array:
    """Product of two matrices, either one transposed on the way."""
    return xp.matmul(a.T if transpose_a else a, b.T if transpose_b else b)


def matmul(a: Value, b: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    """Matrix product over the last axis of ``a``.   a (..., m), b (m, k) -> (..., k)"""
    inner_a, inner_b = a.shape[-2 if transpose_a else -1 :][:1], b.shape[-1 if transpose_b else 0 :][:1]
    if b.rank != 2 or a.rank < 2 or inner_a != inner_b:
        raise ShapeError("These cannot be multiplied as matrices.", {"shapes": f"{a.shape} and {b.shape}"})
    if a.rank == 2:
        return _matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)
    y = _matmul(reshape(a, [-1, a.shape[-1]]), b, transpose_a=False, transpose_b=transpose_b)
    return reshape(y, [*a.shape[:-1], y.shape[-1]])
