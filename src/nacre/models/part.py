"""A model inside another one, as a layer."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nacre.configured import resolve, serialize, snake_case
from nacre.errors import ShapeError
from nacre.layers import Layer, Parameter
from nacre.layers.layer import TABLE, Record, Shape, _Call, apart, shape_text

if TYPE_CHECKING:
    from nacre.models.model import Model

KINDS: dict[str, type[Model]] = {}  # the kinds of models that files name; each is put in where it is defined


class Part(Layer):
    """A model as a layer of another, which shares its weights. There they are called after it: model/layer/weight."""

    several = of_several = True
    autocast = False
    model: Model

    def __init__(
        self,
        model: Model | Mapping[str, Any],
        name: str | None = None,
        input_shapes: Sequence[Sequence[int]] | None = None,
        input_names: Sequence[str] | None = None,
    ) -> None:
        made: Model = resolve("model", model, KINDS)
        made.name = name or made.name
        object.__setattr__(self, "model", made)  # it is not inside: it stays a model of its own
        super().__init__(name=made.name)
        self.given_name = None if made.name == snake_case(type(made).__name__) else made.name
        made._part = self
        if input_shapes is not None and not made.built:
            made.build(made._shapes_to_build(input_shapes, input_names))

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @name.setter
    def name(self, name: str) -> None:
        self.model.name = name

    def rename(self, name: str) -> None:
        """Another name, for the model too."""
        self.name = name

    @property
    def steps(self) -> int:
        """As many as the model takes."""
        return self.model.steps

    def _attributes(self) -> list[Any]:
        return []

    def build(self, input_shape: Any) -> None:
        """Create the weights of the model for inputs of these shapes, if it does not have them yet."""
        if not self.model.built:
            with apart():
                shapes = [shape[1:] for shape in input_shape]
                self.model.build(self.model._shapes_to_build(shapes, self.model._names_to_build()))

    @property
    def built(self) -> bool:
        """Whether the model is."""
        return self.model.built

    @property
    def expected_shape(self) -> tuple[int, ...] | None:
        """The shape of the model's input, if there is one."""
        shapes = self.model.input_shapes if self.built else []
        return tuple(int(n or 0) for n in shapes[0][1:]) if len(shapes) == 1 else None

    def check_input(self, shape: Sequence[Shape]) -> None:
        """Demand as many inputs as the model has, each of its shape."""
        found, expected = ([(None, *one[1:]) for one in shapes] for shapes in (shape, self.model.input_shapes))
        if found != expected:
            raise ShapeError(
                f"The model {self.name!r} cannot take its input.",
                {
                    what: ", ".join(map(shape_text, shapes))
                    for what, shapes in (("found", found), ("expected", expected))
                },
            )

    def call(self, x: Any, training: bool = False, record: Record | None = None) -> Any:
        """What the model gives; a list, if it has several outputs."""
        outputs = self.model.forward(x, training, record)
        return outputs[0] if len(outputs) == 1 else outputs

    def _going_on(self, call: _Call) -> _Call:
        # Parts in parts, however deep, draw other numbers each.
        streams = zlib.crc32(f"{call.streams} {self.stream}".encode())
        return replace(call, layer=None, within=f"{call.within}{self.path}/", streams=streams)

    @property
    def named(self) -> dict[str, Parameter]:
        """The model's weights by their names, which begin with that of the model."""
        return {f"{self.path}/{name}": weight for name, weight in self.model.named.items()}

    def all(self) -> list[Layer]:
        """The layer, and all layers of the model."""
        return [self, *self.model._parts()]

    @property
    def trainable(self) -> bool:
        """Whether training changes any weight of the model."""
        return self.model.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.model.trainable = value

    def get_config(self) -> dict[str, Any]:
        """The model, its name here, and what it was built for."""
        config: dict[str, Any] = {"model": serialize(self.model), "name": self.name}
        if self.built:
            config["input_shapes"] = [list(shape[1:]) for shape in self.model.input_shapes]
            config["input_names"] = self.model._names_to_build()
        return config


def shown(layer: Layer) -> Any:
    """What a user knows a layer as: a model, or itself."""
    return layer.model if isinstance(layer, Part) else layer


TABLE["Part"] = Part
