"""What a layer will give out, before there is data: the pieces that functional models are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from nacre.layers.layer import Layer, Shape


class Symbol:
    """The output of a call of a layer on other symbols. ``shape`` begins with the batch, as None.

    Arithmetic on symbols is done by layers: ``a + b`` is ``Add()([a, b])``.

    >>> from nacre import Input, layers
    >>> x = Input((3,))
    >>> layers.Dense(5)(x) + layers.Dense(5)(x)
    <Symbol (None, 5) of Add 'add'>
    """

    __slots__ = ("dtype", "layer", "operands", "shape")
    operators: ClassVar[dict[str, Callable[[Symbol, Symbol], Symbol]]] = {}  # filled where the layers are
    __array_ufunc__ = None

    def __init__(self, shape: Shape, dtype: str, layer: Layer, operands: Sequence[Symbol] = ()) -> None:
        self.shape, self.dtype, self.layer, self.operands = shape, dtype, layer, tuple(operands)

    def __add__(self, other: Any) -> Symbol:
        return self.operators["add"](self, other)

    def __sub__(self, other: Any) -> Symbol:
        return self.operators["subtract"](self, other)

    def __mul__(self, other: Any) -> Symbol:
        return self.operators["multiply"](self, other)

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
