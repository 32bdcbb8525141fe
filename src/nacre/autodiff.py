"""The chain rule over a graph: the backward half of every program is derived here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from nacre.errors import GraphError
from nacre.ir import Value, order
from nacre.ops import TABLE, full, zeros_like


def gradients(of: Value, wrt: Sequence[Value], seed: Value | None = None) -> list[Value]:
    """Gradients of ``of`` with respect to each value of ``wrt``, as values of a graph.

    ``seed`` is the gradient that flows into ``of`` (same type); for a scalar it is 1 when left out. A value that is used
    twice receives the sum over its uses; one that ``of`` does not depend on receives zeros.

    >>> from nacre import ops
    >>> from nacre.ir import Input, TensorType
    >>> x = Input("x", TensorType(()))
    >>> gradients(x * x, [x])
    [<add: float32[]>]
    """
    if seed is None:
        if of.shape != ():
            raise GraphError(
                f"Only of a scalar is the gradient clear, this is {of.type}.", hint="sum it, or pass `seed`"
            )
        seed = full((), 1, of.dtype)
    values = order([of])
    needed = {id(v) for v in wrt}
    for value in values:
        if any(id(o) in needed for o in value.operands):
            needed.add(id(value))
    incoming: dict[int, Value] = {id(of): seed}
    for y in reversed(values):
        dy = incoming.get(id(y))
        if dy is None or id(y) not in needed or y.operation is None:
            continue
        row = TABLE[y.operation.name]
        if row.vjp is None:
            continue
        for operand, gradient in zip(y.operands, row.vjp(y, dy, *y.operands, **y.attrs), strict=True):
            if gradient is not None and id(operand) in needed and operand.type.is_float:
                known = incoming.get(id(operand))
                incoming[id(operand)] = gradient if known is None else known + gradient
    return [incoming[id(v)] if id(v) in incoming else zeros_like(v) for v in wrt]
