"""The chain rule over a graph: the backward half of every program is derived here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nacre.errors import GraphError
from nacre.ir import Value, order
from nacre.ops import TABLE, full, zeros_like


def gradients(
    of: Value, wrt: Sequence[Value], seed: Value | None = None, made: dict[Value, Value] | None = None
) -> list[Value]:
    """Gradients of ``of`` with respect to each value of ``wrt``, as values of a graph.

    ``seed`` is the gradient that flows into ``of`` (same type); for a scalar it is 1 when left out. A value that is used
    twice receives the sum over its uses; one that ``of`` does not depend on receives zeros. ``made`` is told what each new value
    belongs to: the value whose rule made it, or whose gradients it sums.

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
    before = {id(v) for v in values}
    _note(made, before, of, [seed])
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
        found = row.vjp(y, dy, *y.operands, **y.attrs)
        _note(made, before, y, found)
        for operand, gradient in zip(y.operands, found, strict=True):
            if gradient is not None and id(operand) in needed and operand.type.is_float:
                known = incoming.get(id(operand))
                incoming[id(operand)] = total = gradient if known is None else known + gradient
                _note(made, before, operand, [total])
    results = [incoming[id(v)] if id(v) in incoming else zeros_like(v) for v in wrt]
    for value, gradient in zip(wrt, results, strict=True):
        _note(made, before, value, [gradient])
    return results


def _note(made: dict[Value, Value] | None, before: set[int], y: Value, found: Iterable[Value | None]) -> None:
    """Everything that ``found`` needs, and that was not there yet, belongs to y."""
    pending = [value for value in found if value is not None] if made is not None else []
    while made is not None and pending:
        value = pending.pop()
        if id(value) not in before and value not in made:
            made[value] = y
            pending += value.operands
