"""The door of `nacre.ops`: whoever calls from outside may bring arrays, lists and Python numbers in place of values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from nacre.ir import DTYPES, Value
from nacre.ops.primitive import symbol_among
from nacre.ops.shape import operand

F = TypeVar("F", bound=Callable[..., Any])

_SEVERAL = "Sequence[Value]"


def on_arrays(function: F) -> F:
    """The function, whose parameters annotated as values take arrays too: these become constants.

    Fractions beside values take the floating dtype of those; by themselves they keep theirs, as `operand` has it. A call with
    values alone is handed on as it is, and one with a symbol of a functional model is given to that.

    >>> def double(x: Value): return x + x
    >>> print(on_arrays(double)([1.5, 2.0]))
    [3. 4.]
    """
    names = [name for name in function.__annotations__ if name != "return"]
    kinds = {name: kind for name, kind in function.__annotations__.items() if kind in ("Value", _SEVERAL)}
    kinds.pop("return", None)
    if not kinds:
        return _on_symbols(function, names) if "Any" in function.__annotations__.values() else function
    ahead = len(kinds) if names[: len(kinds)] == list(kinds) and _SEVERAL not in kinds.values() else 0

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        if 0 < ahead <= len(args) and all(map(_is_value, args[:ahead])):  # every call of a network that is traced
            return function(*args, **kwargs)
        given = dict(zip(names, args, strict=False)) | kwargs
        taken = [name for name in kinds if name in given]
        parts = [part for name in taken for part in _parts(given[name], kinds[name])]
        if all(map(_is_value, parts)) or len(args) > len(names):
            return function(*args, **kwargs)
        if (symbol := symbol_among(parts)) is not None:
            return symbol.called_with(function.__name__, given)
        dtype = max((p.dtype for p in parts if _is_value(p) and p.type.is_float), key=DTYPES.index, default=None)
        values = {name: [_constant(part, dtype) for part in _parts(given[name], kinds[name])] for name in taken}
        return function(**given | {n: v if kinds[n] == _SEVERAL else v[0] for n, v in values.items()})

    return called  # type: ignore[return-value]


def _on_symbols(function: F, names: list[str]) -> F:
    """A function that takes numbers and arrays by itself."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        symbol = symbol_among([*args, *kwargs.values()])
        if symbol is None or len(args) > len(names):
            return function(*args, **kwargs)
        return symbol.called_with(function.__name__, dict(zip(names, args, strict=False)) | kwargs)

    return called  # type: ignore[return-value]


def _is_value(x: Any) -> bool:
    return isinstance(x, Value)


def _parts(given: Any, kind: str) -> Iterable[Any]:
    return given if kind == _SEVERAL else [given]


def _constant(x: Any, dtype: str | None) -> Value:
    if isinstance(x, Value):
        return x
    return operand(x, dtype if np.asarray(x).dtype.kind == "f" else None)
