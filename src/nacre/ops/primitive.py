"""What a primitive is: one row that says everything about one indivisible operation.

A row holds the type rule (``infer``), the gradient rule (``vjp``, in terms of other primitives), the meaning (the function itself,
over any array namespace ``xp``), and samples, from which every contract test is made. No samples, no row.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import GraphError
from nacre.ir import TensorType, Value

Array = npt.NDArray[Any]
Gradients = Sequence[Value | None]


@dataclass(frozen=True)
class Argument:
    """An operand of a sample: its type, and the interval its numbers come from."""

    type: TensorType
    low: float = -2.0
    high: float = 2.0

    def draw(self, seed: int = 0, dtype: str | None = None) -> Array:
        """Numbers spread evenly over the interval, shuffled: no two alike, none at zero, so that ties and kinks stay away."""
        rng = np.random.default_rng(seed)
        dtype = dtype if dtype and self.type.is_float else self.type.dtype
        n = self.type.size
        if self.type.is_float:
            steps = (np.arange(n) + 0.37) / max(n, 1)
            numbers: Array = self.low + (self.high - self.low) * steps
        else:
            numbers = rng.integers(max(int(self.low), 0), max(int(self.high), 1), n, endpoint=False)
        return rng.permutation(numbers).reshape(self.type.shape).astype(dtype)


@dataclass(frozen=True)
class Sample:
    """One use of a primitive: operands and attributes."""

    arguments: tuple[Argument, ...]
    attrs: dict[str, Any]


def float32(*shape: int, low: float = -2.0, high: float = 2.0) -> Argument:
    """A float operand of a sample."""
    return Argument(TensorType(shape, "float32"), low, high)


def int32(*shape: int, high: int = 4) -> Argument:
    """An integer operand of a sample, 0 up to ``high`` (exclusive)."""
    return Argument(TensorType(shape, "int32"), 0, high)


def uint8(*shape: int) -> Argument:
    """An operand of small integers."""
    return Argument(TensorType(shape, "uint8"), 0, 256)


def uint32(*shape: int) -> Argument:
    """An operand of counters."""
    return Argument(TensorType(shape, "uint32"), 0, 1 << 31)


def boolean(*shape: int) -> Argument:
    """A truth-valued operand."""
    return Argument(TensorType(shape, "bool"), 0, 2)


def sample(*arguments: Argument, **attrs: Any) -> Sample:
    """One use of a primitive."""
    return Sample(arguments, attrs)


@dataclass(frozen=True, eq=False)
class Primitive:
    """A row of the table. Calling it makes a node of a graph."""

    name: str
    infer: Callable[..., TensorType]
    body: Callable[..., Any]
    vjp: Callable[..., Gradients] | None
    samples: tuple[Sample, ...]
    prepare: Callable[..., tuple[Value, ...]] | None
    operand_names: tuple[str, ...]
    __doc__: str | None = None

    @property
    def __name__(self) -> str:
        """Its name, as functions have it."""
        return self.name

    @property
    def elementwise(self) -> bool:
        """Whether each element of the result depends on the same element of the operands alone."""
        return self.prepare is not None

    def __call__(self, *operands: Any, **attrs: Any) -> Value:
        """The node; elementwise rows first bring their operands to one shape. Operands may be given by name."""
        operands += tuple(attrs.pop(n) for n in self.operand_names[len(operands) :] if n in attrs)
        if (symbol := symbol_among(operands)) is not None:
            if len(operands) > len(self.operand_names):
                raise TypeError(f"{self.name} takes {len(self.operand_names)} operands, got {len(operands)}")
            made: Value = symbol.called_with(self.name, dict(zip(self.operand_names, operands, strict=False)) | attrs)
            return made
        values = self.prepare(*operands) if self.prepare else operands
        for value in values:
            if not isinstance(value, Value):
                raise GraphError(
                    f"{self.name} works on values of a graph, got {type(value).__name__}.",
                    hint="numbers for numbers: use NumPy; for a constant in a graph: ops.constant(x)",
                )
        return Value(self, values, attrs, self.infer(*(v.type for v in values), **attrs))

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def symbol_among(given: Iterable[Any]) -> Any:
    """The first of what was given that is no value, but knows how functions are called with it: a piece of a functional model."""
    return next((x for x in given if not isinstance(x, Value) and hasattr(x, "called_with")), None)


TABLE: dict[str, Primitive] = {}


def primitive(
    name: str,
    *,
    infer: Callable[..., TensorType],
    samples: Sequence[Sample],
    vjp: Callable[..., Gradients] | None = None,
    prepare: Callable[..., tuple[Value, ...]] | None = None,
) -> Callable[[Callable[..., Any]], Primitive]:
    """Enter a row into the table. The decorated function is its meaning: ``body(xp, *arrays, **attrs)``.

    ``vjp(y, dy, *operands, **attrs)`` builds the gradients of the operands from the result ``y`` and its gradient ``dy``;
    a row without one stops gradients.
    """

    def enter(body: Callable[..., Any]) -> Primitive:
        if name in TABLE or not samples:
            raise GraphError(f"The row {name!r} is there already or has no samples.")
        parameters = list(inspect.signature(body).parameters.values())[1:]
        operands = tuple(p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD)
        TABLE[name] = Primitive(name, infer, body, vjp, tuple(samples), prepare, operands, body.__doc__)
        return TABLE[name]

    return enter


def expect(condition: bool, name: str, rule: str, *types: TensorType) -> None:
    """Raise `GraphError` saying that ``name`` demands ``rule`` unless ``condition`` holds."""
    if not condition:
        raise GraphError(f"{name} needs {rule}.", {"found": ", ".join(map(str, types))})
