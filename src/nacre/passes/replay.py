"""The same computation once more, on other inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nacre.ir import FLOATS, Input, Value, order
from nacre.ops import cast


def replay(outputs: Sequence[Value], given: Mapping[Input, Value], dtype: str | None = None) -> list[Value]:
    """What ``outputs`` are when each input of ``given`` is the value beside it; with ``dtype``, all fractions are of it on the way.

    >>> from nacre import ops
    >>> from nacre.ir import TensorType
    >>> x = Input("x", TensorType(()))
    >>> [y] = replay([x * x + 0.5], {x: ops.constant(3.0, "float64")}, "float64")
    >>> print(y, y.dtype)
    9.5 float64
    """
    new = {id(i): _of_dtype(value, dtype) for i, value in given.items()}
    for value in order(outputs):
        if id(value) in new:
            continue
        operands = tuple(new[id(o)] for o in value.operands)
        attrs = value.attrs
        if dtype is not None and attrs.get("dtype") in FLOATS:
            attrs = {**attrs, "dtype": dtype}
        again = value
        changed = any(new is not old for new, old in zip(operands, value.operands, strict=True))
        if value.operation is not None and (attrs is not value.attrs or changed):
            type_ = value.operation.infer(*(o.type for o in operands), **attrs)
            again = Value(value.operation, operands, attrs, type_)
        new[id(value)] = _of_dtype(again, dtype)
    return [new[id(v)] for v in outputs]


def _of_dtype(x: Value, dtype: str | None) -> Value:
    return x if dtype in (None, x.dtype) or not x.type.is_float else cast(x, dtype)
