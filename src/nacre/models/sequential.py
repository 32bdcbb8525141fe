"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from nacre.configured import resolve, serialize
from nacre.errors import NacreError, ShapeError, UsageError
from nacre.ir import Input as GraphInput
from nacre.ir import TensorType, Value
from nacre.layers import InputLayer, Layer, Symbol
from nacre.layers.layer import TABLE, Record, Shape, shape_text
from nacre.models.model import Model


class Sequential(Model):
    """Layers one after the other.

    >>> from nacre.layers import Dense
    >>> from nacre.models import Sequential
    >>> model = Sequential([Dense(1000, input_dim=784, activation="relu"), Dense(10, activation="softmax")])
    >>> model.count_params()
    795010
    """

    def __init__(self, layers: Iterable[Layer | Symbol | Sequential] | None = None, name: str = "sequential") -> None:
        super().__init__(name)
        self._shapes: list[Shape] = []  # before the first layer, and after each
        self._end: Value | None = None
        self._taken: dict[str, int] = {}  # names of layers, with the next number for more of that name
        if isinstance(layers, Layer) or not isinstance(layers, Iterable | None):
            raise UsageError(f"Sequential takes a list of layers, got {layers!r}.", hint="Sequential([layer, layer])")
        for layer in layers or []:
            self.add(layer)

    def __call__(self, x: Any) -> Symbol:
        """The model's layers, called on a symbol: a part of another model, which shares its weights."""
        symbol = only(x)
        for layer in self.layers:
            symbol = layer(symbol)
        return symbol

    def add(self, layer: Layer | Symbol | Sequential) -> None:
        """Put a layer behind the others, or all layers of another model like this one, which shares their weights then. Raises
        `ShapeError` if it cannot take what comes out of them."""
        if isinstance(layer, Sequential):
            self._add_all(layer)
            return
        if isinstance(layer, Symbol) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            raise UsageError(f"Layers are put into a model, got {layer!r}.", hint="for example nacre.layers.Dense(10)")
        if layer.name in self._taken and layer in self._stack:
            raise UsageError(f"The layer {layer.name!r} is in the model already.")
        if layer.outer or any(part in self._stack for part in layer.inside):
            raise UsageError(f"The layer {layer.name!r} is inside another, or has a layer of the model inside.")
        if isinstance(layer, InputLayer) and self._stack:
            raise UsageError("An input stands at the beginning of a model.")
        names = self._name(layer)
        if self._end is None and not self._stack and layer.expected_shape is not None:
            self._begin(layer.expected_shape)
        if self._end is not None:
            self._append(layer, self._stack)
        begin = self._stack[-1].all()[-1].stream + 1 if self._stack else 0
        self._stack.append(layer)
        _number([layer], begin)
        layer.placed = True
        self._taken |= names
        self._trainer = self._row = None

    def _add_all(self, model: Sequential) -> None:
        model._need_built()
        for part in model.layers:  # before the first is put in: all of them, or none
            if part.name in self._taken:
                raise UsageError(
                    f"Two layers of the model are called {part.name!r}.", hint="give one of them another name"
                )
        if not self._stack and self._end is None:
            self.add(InputLayer(model.input_shape[1:]))
        for part in model.layers:
            self.add(part)

    def _name(self, layer: Layer) -> dict[str, int]:
        """Give the layer a name that no other has: dense, dense_1, dense_2. Returns what to note once the layer is in."""
        stem, number = layer.name, 1
        if stem in self._taken:
            if layer.given_name is not None or layer.built:
                raise UsageError(f"Two layers of the model are called {stem!r}.", hint="give one of them another name")
            number = self._taken[stem]
            while layer.name in self._taken:
                layer.name = f"{stem}_{number}"
                number += 1
        return {stem: number, layer.name: 1} if layer.name != stem else {stem: 1}

    def _begin(self, shape: tuple[int, ...]) -> None:
        # Traced with one row: no layer lets the rows of a batch see one another.
        self._end = GraphInput("x", TensorType((1, *shape)))
        self._shapes = [(None, *shape)]

    def _append(self, layer: Layer, earlier: Sequence[Layer]) -> None:
        assert self._end is not None
        before = self._end
        if layer.expected_shape is not None and layer.expected_shape != before.shape[1:] and earlier:
            other = earlier[-1]
            raise ShapeError(
                f"{type(layer).__name__} {layer.name!r} was told to expect {shape_text(layer.expected_shape)} inputs, "
                f"but {type(other).__name__} {other.name!r} before it gives {shape_text(before.shape[1:])}.",
                hint=f"leave out input_dim or input_shape of {layer.name!r}: it follows from the layer before",
            )
        self._end = layer(before)
        self._shapes.append((None, *self._end.shape[1:]))

    def build(self, input_shape: Shape) -> None:
        """Create all weights for inputs of this shape, batch first (as None)."""
        if not self._stack:
            raise UsageError("The model has no layers.", hint="model.add(nacre.layers.Dense(10))")
        self._row = None
        before = [(part, part.built_for, list(part.weights)) for layer in self._stack for part in layer.all()]
        self._begin(tuple(int(n or 0) for n in input_shape[1:]))
        try:
            for number, layer in enumerate(self._stack):
                self._append(layer, self._stack[:number])
            _number(self._stack)  # some layers may have been made when others were built
        except NacreError:
            self._end, self._shapes = None, []
            for layer, built_for, weights in before:
                layer.built_for, layer.weights = built_for, weights
            raise

    def forward(self, inputs: Sequence[Value], training: bool, record: Record | None = None) -> list[Value]:
        """The output for a batch; what else comes of it is added to ``record``."""
        (x,) = inputs
        for layer in self._stack:
            x = layer(x, training, record)
        return [x]

    @property
    def input_names(self) -> list[str]:
        """The name of the input, if the model begins with one."""
        return [self._stack[0].name if self._stack and isinstance(self._stack[0], InputLayer) else "x"]

    @property
    def output_names(self) -> list[str]:
        """The name of the last layer."""
        return [self._stack[-1].name if self._stack else "output"]

    @property
    def input_shapes(self) -> list[Shape]:
        """Shape of the input, batch first (as None)."""
        self._need_built()
        return self._shapes[:1]

    @property
    def output_shapes(self) -> list[Shape]:
        """Shape of the output, batch first (as None)."""
        self._need_built()
        return self._shapes[-1:]

    def _outputs(self) -> list[tuple[Layer, Shape]]:
        return [
            (layer, shape)
            for layer, shape in zip(self._stack, self._shapes[1:], strict=True)
            if not isinstance(layer, InputLayer)
        ]

    def pop(self) -> Layer:
        """Take the last layer away and return it."""
        if not self._stack:
            raise UsageError("The model has no layers.")
        layer, shape = self._stack.pop(), self._shapes[0] if self._shapes else None
        del self._taken[layer.name]
        self._trainer, self._row, self._end, self._shapes = None, None, None, []
        if shape is not None and self._stack:
            self.build(shape)
        return layer

    def get_config(self) -> dict[str, Any]:
        """Name and layers."""
        return {"name": self.name, "layers": [serialize(layer) for layer in self._stack]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model that `get_config` described, with fresh weights."""
        return cls([resolve("layer", layer, TABLE) for layer in config["layers"]], name=config["name"])


def _number(layers: Iterable[Layer], begin: int = 0) -> None:
    """Tell layers, those inside others too, which random numbers are theirs."""
    for stream, part in enumerate((part for layer in layers for part in layer.all()), begin):
        part.stream = stream


def only(x: Any) -> Symbol:
    """The one symbol that a model with one input is called on."""
    given = list(x) if isinstance(x, list | tuple) else [x]
    if len(given) == 1 and isinstance(given[0], Symbol):
        return given[0]
    raise UsageError(
        f"The input of a model is what nacre.Input or a layer gave, got {x!r}.", hint="model(nacre.Input(shape))"
    )


Model.kinds["Sequential"] = Sequential
