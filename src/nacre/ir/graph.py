"""Values and graphs.

A `Value` knows the operation that made it, its operands and its type; nothing points forward. A `Graph` is nothing but
named inputs and outputs: the nodes are whatever is reachable. So parts are shared freely, building a graph never mutates one,
and every walk is a loop, never a recursion, however deep the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from nacre.errors import GraphError
from nacre.ir.types import TensorType

Attrs = Mapping[str, Any]


class Operation(Protocol):
    """What the graph needs to know of a primitive; the rows themselves live in `nacre.ops`."""

    @property
    def name(self) -> str:
        """The word under which the operation is printed and found."""

    @property
    def infer(self) -> Callable[..., TensorType]:
        """Type of the result from the types of the operands and the attributes."""


class Value:
    """The result of an operation in a program; arithmetic on values builds more of the program.

    ``origin`` names the composition (such as softmax) that produced the value and its operands, for those who can do better
    when they know: a crossentropy that meets a softmax works on the scores.
    """

    __slots__ = ("attrs", "operands", "operation", "origin", "type")

    def __init__(
        self, operation: Operation | None, operands: tuple[Value, ...], attrs: Attrs, type_: TensorType
    ) -> None:
        self.operation = operation
        self.operands = operands
        self.attrs = attrs
        self.type = type_
        self.origin: tuple[str, tuple[Value, ...]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.type.shape

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return self.type.dtype

    @property
    def rank(self) -> int:
        """Number of axes."""
        return self.type.rank

    def __repr__(self) -> str:
        return f"<{self.operation.name if self.operation else 'input'}: {self.type}>"

    # Looking at the numbers: of a value that depends on no input, which is computed anew each time.

    def numpy(self) -> npt.NDArray[Any]:
        """The numbers, in an array of their own. Raises `GraphError` for a value that depends on an input of a program."""
        return np.array(Value.evaluate(self))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self.numpy(), dtype=dtype)

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def _number(self) -> Any:
        if self.type.size != 1:
            raise GraphError(f"Only a value of one element is a number, this is {self.type}.", hint="value.numpy()")
        return self.numpy().item()

    def __str__(self) -> str:
        unknown = any(isinstance(v, Input) and type(v).numpy is Value.numpy for v in order([self]))
        return repr(self) if unknown else str(self.numpy())

    def __format__(self, form: str) -> str:
        return format(self._number(), form) if form else str(self)

    # The operators mean what `nacre.ops`, one floor above, installs for them.
    operators: ClassVar[dict[str, Callable[..., Value]]] = {}
    evaluate: ClassVar[Callable[[Value], npt.NDArray[Any]]]
    __array_ufunc__ = None  # so that `numpy_array * value` asks the value

    def __neg__(self) -> Value:
        return self.operators["neg"](self)

    def __abs__(self) -> Value:
        return self.operators["abs"](self)

    def __add__(self, other: Any) -> Value:
        return self.operators["add"](self, other)

    def __radd__(self, other: Any) -> Value:
        return self.operators["add"](other, self)

    def __sub__(self, other: Any) -> Value:
        return self.operators["subtract"](self, other)

    def __rsub__(self, other: Any) -> Value:
        return self.operators["subtract"](other, self)

    def __mul__(self, other: Any) -> Value:
        return self.operators["multiply"](self, other)

    def __rmul__(self, other: Any) -> Value:
        return self.operators["multiply"](other, self)

    def __truediv__(self, other: Any) -> Value:
        return self.operators["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return self.operators["divide"](other, self)

    def __pow__(self, other: Any) -> Value:
        return self.operators["power"](self, other)

    def __rpow__(self, other: Any) -> Value:
        return self.operators["power"](other, self)

    def __matmul__(self, other: Any) -> Value:
        return self.operators["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Value:
        return self.operators["matmul"](other, self)

    def __lt__(self, other: Any) -> Value:
        return self.operators["less"](self, other)

    def __le__(self, other: Any) -> Value:
        return self.operators["less_equal"](self, other)

    def __gt__(self, other: Any) -> Value:
        return self.operators["greater"](self, other)

    def __ge__(self, other: Any) -> Value:
        return self.operators["greater_equal"](self, other)

    def __getitem__(self, index: Any) -> Value:
        return self.operators["getitem"](self, index)

    # Elements are compared, as in NumPy; whether two are one and the same, `is` and `id` tell.
    __hash__ = object.__hash__

    def __eq__(self, other: Any) -> Any:
        return self.operators["equal"](self, other)

    def __ne__(self, other: Any) -> Any:
        return self.operators["not_equal"](self, other)

    def __bool__(self) -> bool:
        raise GraphError(
            "A value of a graph has no truth yet: it is computed later.",
            {"value": repr(self)},
            "use ops.where(condition, a, b) instead of if",
        )

    def __iter__(self) -> Any:
        if self.rank == 0:
            raise GraphError("A scalar cannot be unpacked.", {"value": repr(self)})
        return (self[i] for i in range(self.shape[0]))


def install_operator(name: str, build: Callable[..., Value]) -> None:
    """Give the operator ``name`` of `Value` its meaning."""
    Value.operators[name] = build


def install_evaluation(evaluate: Callable[[Value], npt.NDArray[Any]]) -> None:
    """Say how the numbers of a `Value` are computed."""
    Value.evaluate = staticmethod(evaluate)


class Input(Value):
    """A value that is given, not computed: data, a weight, a learning rate."""

    __slots__ = ("name",)

    def __init__(self, name: str, type_: TensorType) -> None:
        super().__init__(None, (), {}, type_)
        self.name = name

    def __repr__(self) -> str:
        return f"<input {self.name}: {self.type}>"


def order(outputs: Iterable[Value]) -> list[Value]:
    """All values that ``outputs`` need, operands first; the same every time, for outputs are followed left to right."""
    done: set[int] = set()
    ordered: list[Value] = []
    for output in outputs:
        stack = [] if id(output) in done else [(output, iter(output.operands))]
        while stack:
            value, operands = stack[-1]
            for operand in operands:
                if id(operand) not in done:
                    stack.append((operand, iter(operand.operands)))
                    break
            else:
                stack.pop()
                done.add(id(value))
                ordered.append(value)
    return ordered


class Graph:
    """A program: ``inputs`` to named ``outputs``.

    ``nodes`` are the computed values in an order in which they can be evaluated. A graph may name inputs that it does not use;
    it may not use inputs that it does not name.
    """

    def __init__(self, inputs: Iterable[Input], outputs: Mapping[str, Value]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = dict(outputs)
        self._named = {i.name: i for i in self.inputs}
        values = order(self.outputs.values())
        self.nodes = tuple(v for v in values if v.operation is not None)
        self._check_inputs(values)

    def _check_inputs(self, values: list[Value]) -> None:
        names = [i.name for i in self.inputs]
        if len(self._named) < len(names):
            twice = next(n for n in names if names.count(n) > 1)
            raise GraphError(f"Two inputs of one graph are called {twice!r}.")
        known = {id(i) for i in self.inputs}
        for value in values:
            if value.operation is None and id(value) not in known:
                raise GraphError(f"The graph uses {value!r}, which is none of its inputs.", hint="add it to `inputs`")

    def input(self, name: str) -> Input:
        """The input called ``name``."""
        return self._named[name]

    def __repr__(self) -> str:
        return f"<Graph: {len(self.inputs)} inputs, {len(self.nodes)} nodes, {len(self.outputs)} outputs>"
