"""Primitives that look rows up by number."""

from __future__ import annotations

from typing import Any

from nacre.ir import TensorType, Value
from nacre.ops.primitive import Array, expect, float32, int32, primitive, sample


def _take_type(table: TensorType, indices: TensorType) -> TensorType:
    expect(
        table.rank >= 1 and table.shape[0] > 0 and indices.dtype == "int32",
        "take",
        "a table with rows, and int32 indices",
        table,
        indices,
    )
    return TensorType(indices.shape + table.shape[1:], table.dtype)


def _scatter_type(indices: TensorType, updates: TensorType, *, rows: int) -> TensorType:
    fits = indices.dtype == "int32" and rows > 0 and updates.shape[: indices.rank] == indices.shape
    expect(fits, "scatter_add", "int32 indices and one update each", indices, updates)
    return TensorType((rows, *updates.shape[indices.rank :]), updates.dtype)


# An index outside of the table means its nearest row: the data is checked at the door, and memory is safe on any lowering.


def _take_vjp(y: Value, dy: Value, table: Value, indices: Value) -> tuple[Value, None]:
    return scatter_add(indices, dy, rows=table.shape[0]), None


@primitive(
    "take",
    infer=_take_type,
    vjp=_take_vjp,
    samples=[
        sample(float32(4, 3), int32(5)),
        sample(float32(4), int32(2, 3)),
        sample(float32(4, 3), int32(0)),
        sample(float32(2, 3), int32(5)),
    ],
)
def take(xp: Any, table: Array, indices: Array) -> Array:
    """Rows of a table by their numbers."""
    return table[xp.clip(indices, 0, table.shape[0] - 1)]


@primitive(
    "scatter_add",
    infer=_scatter_type,
    vjp=lambda y, dy, indices, updates, rows: (None, take(dy, indices)),
    samples=[
        sample(int32(5), float32(5, 3), rows=4),
        sample(int32(2, 3), float32(2, 3), rows=4),
        sample(int32(0), float32(0, 3), rows=2),
    ],
)
def scatter_add(xp: Any, indices: Array, updates: Array, *, rows: Any) -> Array:
    """Updates added into the rows of a table of zeros, in order."""
    flat = xp.clip(indices.reshape(-1), 0, rows - 1)
    table = xp.zeros((rows, *updates.shape[indices.ndim :]), dtype=updates.dtype)
    xp.add.at(table, flat, updates.reshape((flat.size, *updates.shape[indices.ndim :])))
    return table
