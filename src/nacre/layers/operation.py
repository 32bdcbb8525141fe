"""Functions of `nacre.ops` as layers of functional models."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np

from nacre import ops
from nacre.configured import natural, resolve
from nacre.errors import Limitation, UsageError, find
from nacre.ir import Value
from nacre.layers.layer import Layer, refuse
from nacre.layers.symbol import Symbol


def _works_on_values(function: Any) -> bool:
    """Whether it computes something of values, and does nothing else: what a file may name."""
    if isinstance(function, ops.Primitive):
        return bool(function.operand_names)
    if not isinstance(function, FunctionType):
        return False
    kinds = {name: kind for name, kind in function.__annotations__.items() if name != "return"}
    return bool({"Value", "Sequence[Value]"} & set(kinds.values())) or {"x1", "x2"} <= set(kinds)


_TABLE = {name: getattr(ops, name) for name in ops.__all__ if _works_on_values(getattr(ops, name))}
_DTYPES = ("bool", "uint8", "int32", "int64", "uint32", "float32", "float64")


class Operation(Layer):
    """A function of `nacre.ops`, called on symbols: what ``ops.exp(x)`` or ``x / 2`` stands for in a functional model.

    ``arguments`` are all that the function is given, by name; ``{"input": n}`` stands for the input with that number.
    Raises `UsageError` for a function that mixes the rows of a batch, which belong to different samples.

    >>> from nacre import Input, ops
    >>> x = Input((4,))
    >>> ops.maximum(x, 0.5).layer.get_config()["arguments"]
    {'x1': {'input': 0}, 'x2': 0.5}
    """

    several = True
    autocast = False

    def __init__(self, function: str, arguments: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.given_name is None:
            self.name = function
        self._function = find("function of nacre.ops", function, _TABLE)
        self.function, self.arguments = function, dict(arguments)

    def call(self, x: Sequence[Value]) -> Value:  # type: ignore[override]
        """function(**arguments)."""
        y = self._function(**{name: _filled(given, x) for name, given in self.arguments.items()})
        if not isinstance(y, Value):
            raise Limitation(
                f"ops.{self.function} gives {type(y).__name__}, but a layer gives one output.",
                hint="call functions that give one array",
            )
        return y

    def check_rows(self, inputs: Sequence[Symbol]) -> None:
        """Demand that a row of the output depends on the same row of the inputs alone: tried with some numbers."""
        rng = np.random.default_rng(0)
        arrays = [
            rng.random((3, *(n or 1 for n in s.shape[1:])), np.float32)
            if s.dtype in ("float32", "bfloat16")
            else rng.integers(0, 2, (3, *(n or 1 for n in s.shape[1:]))).astype(s.dtype)
            for s in inputs
        ]

        def made(rows: slice) -> Any:
            y = self.call([ops.constant(a[rows], str(a.dtype)) for a in arrays])
            return y.numpy() if y.rank and y.shape[0] == len(arrays[0][rows]) else None

        parts = [made(slice(0, 3)), *(made(slice(n, n + 1)) for n in range(3))]
        if any(part is None for part in parts) or not np.allclose(
            parts[0], np.concatenate(parts[1:]), rtol=1e-5, equal_nan=True
        ):
            raise UsageError(
                f"ops.{self.function} mixes the rows of a batch: what comes of a row would depend on those beside it.",
                hint="name the axes of a sample: axis=-1, or axis=1",
            )


class Lambda(Layer):
    """A function of one's own, written with `nacre.ops`, as a layer.   x (batch, ...), or a list of several -> what it gives

    It may ask for ``training``. Files hold its name; `load_model` is given the function.

    >>> from nacre import Input, ops
    >>> Lambda(lambda x: ops.concatenate([x, x * x], axis=-1))(Input((3,))).shape
    (None, 6)
    """

    def __init__(self, function: Any, **kwargs: Any) -> None:
        refuse(
            "Lambda",
            kwargs,
            output_shape="leave it out: it follows",
            mask="leave it out",
            arguments="a closure holds them",
        )
        super().__init__(**kwargs)
        self.function = resolve("function", function, _TABLE)

    def call(self, x: Any, training: bool = False) -> Any:
        """function(x)."""
        try:
            asks = "training" in inspect.signature(self.function).parameters
        except ValueError:  # it is in C, and does not say
            asks = False
        return self.function(x, training=training) if asks else self.function(x)

    def _take_several(self, count: int) -> None:  # noqa: ARG002 - the function knows
        self.several = True


def _filled(given: Any, inputs: Sequence[Value]) -> Any:
    """An argument as the function takes it."""
    if isinstance(given, Mapping):
        if set(given) == {"input"}:
            return inputs[natural(given["input"], len(inputs))]
        if set(given) == {"slice"}:
            return slice(*given["slice"])
        if set(given) == {"array", "dtype"} and given["dtype"] in _DTYPES:
            return np.asarray(given["array"], given["dtype"])
        if set(given) == {"tuple"}:
            return tuple(_filled(one, inputs) for one in given["tuple"])
        if set(given) == {"ellipsis"}:
            return ...
        raise UsageError(f"{given!r} is no argument of an operation.")
    return [_filled(one, inputs) for one in given] if isinstance(given, list) else given


def _described(given: Any, inputs: list[Symbol]) -> Any:
    """An argument as JSON can hold it; symbols are put into ``inputs``."""
    if isinstance(given, Symbol):
        number = next((n for n, symbol in enumerate(inputs) if symbol is given), len(inputs))
        inputs += [given] if number == len(inputs) else []
        return {"input": number}
    if isinstance(given, slice):
        return {"slice": [given.start, given.stop, given.step]}
    if given is ...:
        return {"ellipsis": True}
    if isinstance(given, tuple):
        return {"tuple": [_described(one, inputs) for one in given]}
    if isinstance(given, list):
        return [_described(one, inputs) for one in given]
    if isinstance(given, np.ndarray | np.generic) and str(given.dtype) in _DTYPES:
        return {"array": given.tolist(), "dtype": str(given.dtype)}
    if given is None or isinstance(given, bool | int | float | str):
        return given
    raise UsageError(
        f"An argument of an operation on symbols is a number, an array or text, got {type(given).__name__}."
    )


def _operation(function: str, given: Mapping[str, Any]) -> Symbol:
    """The symbol that stands for a call of a function on symbols and other arguments."""
    inputs: list[Symbol] = []
    arguments = {name: _described(one, inputs) for name, one in given.items()}
    layer = Operation(function, arguments)
    layer.check_rows(inputs)
    made: Symbol = layer(inputs)
    return made


Symbol.operation = staticmethod(_operation)
