"""Folded constants, neutral operations and common sub-expressions, in one walk; what nobody needs is not reached and so is gone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nacre.ir import Graph, Input, Value, order, verify
from nacre.ops import TABLE, full

# The constant beside which an operation hands its other operand through: left and right.
_NEUTRAL: dict[str, tuple[float | None, float | None]] = {
    "subtract": (None, 0),
    "multiply": (1, 1),
    "divide": (None, 1),
}


def simplify(graph: Graph) -> Graph:
    """A graph that computes the same outputs with fewer nodes.

    >>> from nacre.ir import Input, TensorType
    >>> x = Input("x", TensorType((3,)))
    >>> simplify(Graph([x], {"y": (x * 1.0 - 0.0) * (2.0 * full((3,), 3.0))}))
    <Graph: 1 inputs, 2 nodes, 1 outputs>
    """
    return simplified(graph.inputs, graph.outputs, {})


def simplified(inputs: Sequence[Input], outputs: Mapping[str, Value], given: Mapping[Input, Input]) -> Graph:
    """The same of outputs in which each input of ``given`` is the one beside it."""
    new: dict[int, Value] = {id(i): other for i, other in given.items()}
    seen: dict[tuple[Any, ...], Value] = {}
    for node in order(outputs.values()):
        if node.operation is None:
            new.setdefault(id(node), node)
            continue
        operands = tuple([new[id(o)] for o in node.operands])
        value = _fold(node, operands)
        if value is None:
            value = _neutral(node, operands)
        if value is None:
            key = (node.operation.name, *map(id, operands), repr(sorted(node.attrs.items())))  # 0.0 and -0.0 differ
            unchanged = all(a is b for a, b in zip(operands, node.operands, strict=True))
            value = seen.setdefault(key, node if unchanged else Value(node.operation, operands, node.attrs, node.type))
        new[id(node)] = value
    return verify(Graph(inputs, {name: new[id(v)] for name, v in outputs.items()}))


def splat(x: Value) -> float | None:
    """The one number that is in all places of a constant; None for anything else."""
    if x.operation is None or x.operation.name != "constant":
        return None
    value = x.attrs["value"]
    return value if isinstance(value, int | float) else None


def _fold(node: Value, operands: tuple[Value, ...]) -> Value | None:
    """A computation on constants that are the same in all places is done now."""
    assert node.operation is not None
    row = TABLE[node.operation.name]
    numbers = [splat(o) for o in operands]
    if not operands or any(n is None for n in numbers):
        return None
    if row.elementwise:
        with np.errstate(all="ignore"):
            arrays = [np.asarray(n, dtype=o.dtype) for n, o in zip(numbers, operands, strict=True)]
            result = np.asarray(row.body(np, *arrays, **node.attrs)).item()
        # JSON and C++ would each have to agree on how to spell what is not finite; such a node stays as it is.
        return full(node.shape, result, node.dtype) if math.isfinite(result) else None
    if row.name in ("broadcast", "reshape", "transpose", "slice"):
        return full(node.shape, numbers[0], node.dtype)  # type: ignore[arg-type]
    return None


def _neutral(node: Value, operands: tuple[Value, ...]) -> Value | None:
    """The operand that an operation hands through unchanged."""
    assert node.operation is not None
    name = node.operation.name
    if name in _NEUTRAL:
        for kept, number, neutral in zip(reversed(operands), map(splat, operands), _NEUTRAL[name], strict=True):
            if number is not None and number == neutral:
                return kept
    if name in ("cast", "reshape", "broadcast", "transpose") and operands[0].type == node.type:
        in_place = name != "transpose" or list(node.attrs["axes"]) == sorted(node.attrs["axes"])
        return operands[0] if in_place else None
    if name == "neg" and operands[0].operation is not None and operands[0].operation.name == "neg":
        return operands[0].operands[0]
    return None
