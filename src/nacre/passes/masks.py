"""Gradients through dropout behind a relu, by what came out of both: nobody has to keep what went in, nor what was dropped."""

from __future__ import annotations

import math

from nacre.ir import Graph, Value
from nacre.ops import where
from nacre.passes.simplify import splat


def unmasked(graph: Graph) -> Graph:
    """A simplified graph with the same outputs, in which the gradient of ``out = select(kept, relu(x) * scale, 0)`` does not ask
    ``kept`` and ``x`` but ``out``, which the next layer keeps anyway: where it is above 0, both let the gradient through. All stays
    the same, to the bit; only in products in bfloat16, which take numbers too small to be normal for 0, ``x`` may be one of
    these where ``out`` is not.

    >>> from nacre import ops
    >>> from nacre.autodiff import gradients
    >>> from nacre.ir import Input, TensorType
    >>> from nacre.passes import simplify
    >>> x, g, kept = (Input(name, TensorType((3,), dtype)) for name, dtype in (("x", "float32"), ("g", "float32"), ("k", "bool")))
    >>> out = ops.where(kept, ops.relu(x) * 1.25, 0)
    >>> graph = simplify(Graph([x, g, kept], {"out": out, "gradient": gradients(out, [x], g)[0]}))
    >>> for g in graph, unmasked(graph):
    ...     print([node.operands[0] is kept for node in g.nodes if node.operation.name == "select"])
    [True, True, False]
    [True, False]
    """
    new: dict[int, Value] = {}
    outs: dict[tuple[int, int, float], Value] = {}  # what came out, by what was kept, what a relu gave, and the scale
    for node in graph.nodes:
        operands = tuple([new.get(id(o), o) for o in node.operands])
        unchanged = all(a is b for a, b in zip(operands, node.operands, strict=True))
        value = node if unchanged else Value(node.operation, operands, node.attrs, node.type)
        if (chosen := _choice(value)) is not None:
            condition, scaled = chosen
            y, scale = _scaled(scaled)
            if scale is not None and _is(y, "relu"):
                outs[id(condition), id(y), scale] = value
            elif scale is not None and (inner := _choice(y)) is not None and (relu := _positive(condition)) is not None:
                kept, gradient = inner
                out = outs.get((id(kept), id(relu), scale))
                value = value if out is None else where(out > 0, gradient, 0) * scale
        new[id(node)] = value
    return Graph(graph.inputs, {name: new.get(id(v), v) for name, v in graph.outputs.items()})


def _choice(x: Value) -> tuple[Value, Value] | None:
    """Of what lets some of a value through, and is 0 elsewhere: where, and the value."""
    if not _is(x, "select") or x.dtype != "float32":  # whole numbers that are scaled may begin anew below 0
        return None
    zero = splat(x.operands[2])
    return (x.operands[0], x.operands[1]) if zero == 0 and math.copysign(1, zero) > 0 else None


def _scaled(x: Value) -> tuple[Value, float | None]:
    """The value that is multiplied by a number which leaves above 0 what is above 0, and the number."""
    if not _is(x, "multiply"):
        return x, None
    scale = splat(x.operands[1])
    return x.operands[0], scale if scale is not None and 1 <= scale < math.inf else None


def _positive(condition: Value) -> Value | None:
    """What is above 0 where the condition holds, if that is what it says."""
    return condition.operands[1] if _is(condition, "less") and splat(condition.operands[0]) == 0 else None


def _is(x: Value, name: str) -> bool:
    return x.operation is not None and x.operation.name == name
