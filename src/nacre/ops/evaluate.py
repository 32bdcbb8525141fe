"""Values that depend on no input, or whose inputs are given, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nacre.errors import GraphError
from nacre.ir import Input, Value, order
from nacre.ops.primitive import TABLE, Array


def evaluate(outputs: Sequence[Value], inputs: Mapping[str, Array] | None = None) -> list[Array]:
    """What values are, by the meaning of their rows in NumPy, one node at a time. ``inputs`` are looked up by name.

    Raises `GraphError` for an input that is not given.

    >>> from nacre import ops
    >>> evaluate([ops.constant([1.0, 2.0]) + 1])
    [array([2., 3.], dtype=float32)]
    """
    given = inputs or {}
    values: dict[int, Array] = {}
    with np.errstate(all="ignore"):
        for node in order(outputs):
            if isinstance(node, Input):
                if node.name not in given and type(node).numpy is not Value.numpy:  # a weight knows its numbers
                    values[id(node)] = node.numpy()
                    continue
                if node.name not in given:
                    raise GraphError(
                        f"The value depends on the input {node.name!r}, which is not given.",
                        hint="functions of nacre.ops, in place of those of math and NumPy, build programs on values",
                    )
                values[id(node)] = np.asarray(given[node.name], dtype=node.dtype)
                continue
            assert node.operation is not None
            operands = [values[id(o)] for o in node.operands]
            values[id(node)] = np.asarray(
                TABLE[node.operation.name].body(np, *operands, **node.attrs), dtype=node.dtype
            )
    return [values[id(v)] for v in outputs]
