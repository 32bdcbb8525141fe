"""What a layer will give out, before there is data: the pieces that functional models are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from nacre.errors import UsageError

if TYPE_CHECKING:
    from nacre.layers.layer import Layer, Shape


class Symbol:
    """The output of a call of a layer on other symbols. ``shape`` begins with the batch, as None.

    Arithmetic on symbols is done by layers: ``a + b`` is ``Add()([a, b])``, and what else `nacre.ops` has is `Operation`.

    >>> from nacre import Input, layers, ops
    >>> x = Input((3,))
    >>> layers.Dense(5)(x) + layers.Dense(5)(x)
    <Symbol (None, 5) of Add 'add'>
    >>> ops.log1p(x[:, :2] ** 2)
    <Symbol (None, 2) of Operation 'log1p'>
    """

    __slots__ = ("dtype", "layer", "operands", "output", "shape", "training")
    operators: ClassVar[
        dict[str, Callable[[Symbol, Symbol], Symbol]]
    ] = {}  # filled where the layers are, as the next one
    operation: ClassVar[Callable[[str, dict[str, Any]], Symbol]]
    __array_ufunc__ = None

    def __init__(
        self,
        shape: Shape,
        dtype: str,
        layer: Layer,
        operands: tuple[Symbol, ...] = (),
        output: int = 0,
        training: bool | None = None,
    ) -> None:
        self.shape, self.dtype, self.layer, self.operands, self.output = shape, dtype, layer, operands, output
        self.training = training  # whether the call was told to be one of training, or not

    @property
    def call(self) -> tuple[int, int]:
        """What the symbols have in common that one call gave."""
        return id(self.layer), id(self.operands)

    def called_with(self, function: str, given: dict[str, Any]) -> Symbol:
        """What a function of `nacre.ops` gives for arguments of which some are symbols."""
        return type(self).operation(function, given)

    def _with(self, function: str, x1: Any, x2: Any) -> Symbol:
        if function in self.operators and isinstance(x1, Symbol) and isinstance(x2, Symbol):
            return self.operators[function](x1, x2)
        return self.called_with(function, {"x1": x1, "x2": x2})

    def __add__(self, other: Any) -> Symbol:
        return self._with("add", self, other)

    def __radd__(self, other: Any) -> Symbol:
        return self._with("add", other, self)

    def __sub__(self, other: Any) -> Symbol:
        return self._with("subtract", self, other)

    def __rsub__(self, other: Any) -> Symbol:
        return self._with("subtract", other, self)

    def __mul__(self, other: Any) -> Symbol:
        return self._with("multiply", self, other)

    def __rmul__(self, other: Any) -> Symbol:
        return self._with("multiply", other, self)

    def __truediv__(self, other: Any) -> Symbol:
        return self._with("divide", self, other)

    def __rtruediv__(self, other: Any) -> Symbol:
        return self._with("divide", other, self)

    def __pow__(self, other: Any) -> Symbol:
        return self._with("power", self, other)

    def __rpow__(self, other: Any) -> Symbol:
        return self._with("power", other, self)

    def __matmul__(self, other: Any) -> Symbol:
        return self._with("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Symbol:
        return self._with("matmul", other, self)

    __hash__ = object.__hash__

    def __eq__(self, other: Any) -> Any:
        return self._with("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return self._with("not_equal", self, other)

    def __bool__(self) -> bool:
        raise UsageError(
            "A symbol has no truth: it stands for what will be computed.",
            hint="ops.where(condition, a, b) instead of if",
        )

    def __lt__(self, other: Any) -> Symbol:
        return self._with("less", self, other)

    def __le__(self, other: Any) -> Symbol:
        return self._with("less_equal", self, other)

    def __gt__(self, other: Any) -> Symbol:
        return self._with("greater", self, other)

    def __ge__(self, other: Any) -> Symbol:
        return self._with("greater_equal", self, other)

    def __neg__(self) -> Symbol:
        return self.called_with("neg", {"x": self})

    def __abs__(self) -> Symbol:
        return self.called_with("abs", {"x": self})

    def __getitem__(self, at: Any) -> Symbol:
        return self.called_with("getitem", {"x": self, "key": at})

    def __repr__(self) -> str:
        return f"<Symbol {self.shape} of {type(self.layer).__name__} {self.layer.name!r}>"


def leading_to(outputs: Sequence[Symbol]) -> list[Symbol]:
    """All symbols that some depend on, and these themselves, each after its operands."""
    found: dict[int, Symbol] = {}
    pending = list(reversed(outputs))
    while pending:
        symbol = pending[-1]
        missing = [o for o in reversed(symbol.operands) if id(o) not in found]
        if id(symbol) in found or not missing:
            found.setdefault(id(pending.pop()), symbol)
        else:
            pending += missing
    return list(found.values())
