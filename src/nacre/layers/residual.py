"""A layer made of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre import ops
from nacre.configured import resolve
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.input import InputLayer
from nacre.layers.layer import TABLE, Layer, Record, Shape


class Residual(Layer):
    """x + block(x): what the block learns is a difference.   x (batch, ...) -> same shape   K. He et al., arXiv:1512.03385

    ``block`` is a layer, or several, one behind the other; what comes out of them must have the shape of what goes in, else
    `ShapeError`. nacre's own: in Keras, this takes a functional model.

    >>> from nacre.layers import Dense, LayerNormalization
    >>> from nacre.models import Sequential
    >>> model = Sequential([Residual([LayerNormalization(), Dense(64, "relu"), Dense(8)], input_shape=(8,))])
    >>> [w.name for w in model.weights][:3]
    ['residual/layer_normalization/gamma', 'residual/layer_normalization/beta', 'residual/dense/kernel']
    """

    def __init__(self, block: Layer | Sequence[Layer], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        parts = list(block) if isinstance(block, list | tuple) else [block]
        made = [resolve("layer", part, TABLE) for part in parts]
        for part in made:
            if not isinstance(part, Layer) or isinstance(part, InputLayer) or part.built or part.outer:
                raise UsageError(
                    f"The block of Residual is made of new layers, got {part!r}.",
                    hint="Residual([Dense(64), Dense(8)])",
                )
        if not made or len(set(map(id, made))) < len(made):
            raise UsageError("The block of Residual has at least one layer, each of them once.")
        for part in made:
            self.keep(part)

    @property
    def block(self) -> list[Layer]:
        """The layers inside, in order."""
        return self.inside

    def build(self, input_shape: Shape) -> None:
        """Create the weights of the layers inside."""
        # Traced with one row: no layer lets the rows of a batch see one another.
        y = self._through(ops.zeros([1, *(n or 1 for n in input_shape[1:])], self.dtype))
        if y.shape[1:] != input_shape[1:]:
            raise ShapeError(
                f"The block of Residual {self.name!r} gives another shape than it takes.",
                {"takes": input_shape, "gives": (None, *y.shape[1:])},
                f"end it with Dense({input_shape[-1]})" if len(input_shape) == len(y.shape) else "",
            )

    def _through(self, x: Value, training: bool = False, record: Record | None = None) -> Value:
        for part in self.inside:
            x = part(x, training, record)
        return x

    def call(self, x: Value, training: bool = False, record: Record | None = None) -> Value:
        """x + block(x)."""
        return x + self._through(x, training, record)
