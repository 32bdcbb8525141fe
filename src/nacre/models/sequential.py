"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nacre.configured import resolve, serialize
from nacre.errors import NacreError, ShapeError, UsageError
from nacre.ir import Value
from nacre.layers import InputLayer, Layer, Symbol
from nacre.layers.layer import TABLE, Record, Shape, shape_text
from nacre.models.model import Model
from nacre.models.part import Part, shown

if TYPE_CHECKING:
    from typing_extensions import Self


class Sequential(Model):
    """Layers one after the other.

    >>> from nacre.layers import Dense
    >>> from nacre.models import Sequential
    >>> model = Sequential([Dense(1000, input_dim=784, activation="relu"), Dense(10, activation="softmax")])
    >>> model.count_params()
    795010
    """

    def __init__(self, layers: Iterable[Layer | Symbol | Model] | None = None, name: str = "sequential") -> None:
        super().__init__(name)  # whose symbols are that before the first layer, and those after each
        self._numbered: list[Layer] = []  # those that no other model had before, and that got their streams here
        self._streams = 0  # how many these are
        self._taken: dict[str, int] = {}  # names of layers, with the next number for more of that name
        if isinstance(layers, Layer) or not isinstance(layers, Iterable | None):
            raise UsageError(f"Sequential takes a list of layers, got {layers!r}.", hint="Sequential([layer, layer])")
        for layer in layers or []:
            self.add(layer)

    def add(self, layer: Layer | Symbol | Model) -> None:
        """Put a layer behind the others, or another model, which shares its weights then. Raises `ShapeError` if it cannot take
        what comes out of them."""
        if isinstance(layer, Symbol) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if isinstance(layer, Model):
            layer = layer.as_layer()
        if not isinstance(layer, Layer):
            raise UsageError(f"Layers are put into a model, got {layer!r}.", hint="for example nacre.layers.Dense(10)")
        if layer.name in self._taken and layer in self._stack:
            raise UsageError(f"The layer {layer.name!r} is in the model already.")
        if layer.outer or any(part in self._stack for part in layer.inside):
            raise UsageError(f"The layer {layer.name!r} is inside another, or has a layer of the model inside.")
        if isinstance(layer, InputLayer) and self._stack:
            raise UsageError("An input stands at the beginning of a model.")
        if isinstance(layer, Part) and any(one.model is self for one in layer.all() if isinstance(one, Part)):
            raise UsageError(f"The model {self.name!r} would be inside itself.")
        names = self._name(layer)
        before = list(self._symbols)
        if not self._stack and layer.expected_shape is not None:
            self._begin(layer, layer.expected_shape)
        if self._symbols:
            try:
                self._append(layer, self._stack)
            except NacreError:
                self._symbols = before
                raise
        if not layer.placed:
            self._numbered.append(layer)
            self._streams = layer.number_streams(self._streams)
        self._stack.append(layer)
        layer.placed = True
        self._taken |= names
        self._trainer = self._row = None

    def _name(self, layer: Layer) -> dict[str, int]:
        """Give the layer a name that no other has: dense, dense_1, dense_2. Returns what to note once the layer is in."""
        stem, number = layer.name, 1
        if stem in self._taken:
            if layer.given_name is not None or layer.placed:
                raise UsageError(f"Two layers of the model are called {stem!r}.", hint="give one of them another name")
            number = self._taken[stem]
            while (name := f"{stem}_{number}") in self._taken:
                number += 1
            layer.rename(name)
            number += 1
        return {stem: number, layer.name: 1} if layer.name != stem else {stem: 1}

    def _begin(self, first: Layer | None, shape: tuple[int, ...]) -> None:
        self._symbols = [(first if isinstance(first, InputLayer) else InputLayer(shape)).symbol]

    def _append(self, layer: Layer, earlier: Sequence[Layer]) -> None:
        before = self._symbols[-1]
        if layer.expected_shape is not None and layer.expected_shape != before.shape[1:] and earlier:
            other = earlier[-1]
            raise ShapeError(
                f"{type(shown(layer)).__name__} {layer.name!r} was told to expect {shape_text(layer.expected_shape)} "
                f"inputs, but {type(shown(other)).__name__} {other.name!r} before it gives {shape_text(before.shape[1:])}.",
                hint=f"leave out input_dim or input_shape of {layer.name!r}: it follows from the layer before",
            )
        after = before if isinstance(layer, InputLayer) else layer(before)
        if not isinstance(after, Symbol):
            raise UsageError(
                f"{type(shown(layer)).__name__} {layer.name!r} has several outputs, and a next layer takes one.",
                hint="nacre.Model(inputs, outputs) can do that",
            )
        self._symbols.append(after)

    def build(self, input_shape: Shape) -> None:
        """Create all weights for inputs of this shape, batch first (as None)."""
        if not self._stack:
            raise UsageError("The model has no layers.", hint="model.add(nacre.layers.Dense(10))")
        shape = tuple(int(n or 0) for n in input_shape[1:])
        if self._symbols and self._symbols[0].shape[1:] == shape:
            return
        self._row = None
        if self._symbols:
            raise ShapeError(
                f"The model {self.name!r} is built for inputs of {shape_text(self._symbols[0].shape)}.",
                {"asked for": shape_text((None, *shape))},
                "another model: clone_model, or the layers anew",
            )
        before = [part.state_of_building() for part in self._parts()]
        self._begin(self._stack[0], shape)
        try:
            for number, layer in enumerate(self._stack):
                self._append(layer, self._stack[:number])
        except NacreError:
            self._symbols = []
            for back in before:
                back()
            raise
        self._streams = 0
        for layer in self._numbered:  # some layers may have been made when others were built
            self._streams = layer.number_streams(self._streams)

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
    def inputs(self) -> list[Symbol]:
        """The symbol that the first layer is called on."""
        self._need_built()
        return self._symbols[:1]

    @property
    def outputs(self) -> list[Symbol]:
        """The symbol that the last layer gave."""
        self._need_built()
        return self._symbols[-1:]

    def _outputs(self) -> list[tuple[Layer, Shape]]:
        return [
            (layer, symbol.shape)
            for layer, symbol in zip(self._stack, self._symbols[1:], strict=True)
            if not isinstance(layer, InputLayer)
        ]

    def _ends(self) -> list[Layer]:
        return self._stack[-1:]

    def pop(self) -> Layer:
        """Take the last layer away and return it."""
        if not self._stack:
            raise UsageError("The model has no layers.")
        layer = self._stack.pop()
        self._numbered = [other for other in self._numbered if other is not layer]
        del self._taken[layer.name]
        self._trainer, self._row = None, None
        self._symbols = self._symbols[:-1] if self._stack else []
        return layer

    def get_config(self) -> dict[str, Any]:
        """Name and layers."""
        return {"name": self.name, "layers": [serialize(layer) for layer in self._stack]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model that `get_config` described, with fresh weights."""
        return cls([resolve("layer", layer, TABLE) for layer in config["layers"]], name=config["name"])


Model.kinds["Sequential"] = Sequential
