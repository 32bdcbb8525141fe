"""Layers called on what others gave: branches, joins, several inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nacre.configured import natural, resolve, serialize
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.layers import InputLayer, Layer, Symbol
from nacre.layers.layer import TABLE, Record, Shape, numbered
from nacre.layers.symbol import leading_to
from nacre.models.model import Model
from nacre.models.part import shown

if TYPE_CHECKING:
    from typing_extensions import Self

_MOST_STEPS = (
    20_000  # that a file may ask for: a part that is called twice, in one that is called twice, ..., is soon too much
)
Ends = Symbol | Sequence[Symbol] | Mapping[str, Symbol]


class Functional(Model):
    """Layers called on what others gave, from inputs to outputs: branches, joins, layers that are used more than once.

    ``inputs`` and ``outputs`` are each one symbol, a list, or a dictionary by name. Inputs are called after their layers, outputs
    after the layers that gave them, those of a dictionary after its keys; data go by these names, or in order.

    >>> from nacre import Input, Model, layers
    >>> x = Input((8,))
    >>> wide = layers.Dense(16, activation="relu")(x)
    >>> model = Model(x, layers.Dense(1)(layers.Concatenate()([x, wide])))
    >>> model.count_params()
    169
    """

    def __init__(self, inputs: Ends, outputs: Ends, name: str = "functional") -> None:
        super().__init__(name)
        self._inputs, self._outputs_given = _ends("inputs", inputs), _ends("outputs", outputs)
        self._input_keys = list(inputs) if isinstance(inputs, Mapping) else None
        self._output_keys = list(outputs) if isinstance(outputs, Mapping) else None
        begins = [id(symbol) for symbol in self._inputs]
        for symbol in self._inputs:
            if not isinstance(symbol.layer, InputLayer):
                raise UsageError(f"A model begins with nacre.Input(shape), not with {symbol!r}.")
            if begins.count(id(symbol)) > 1:
                raise UsageError(f"{symbol!r} is an input of the model twice.")
        self._calls = leading_to(self._outputs_given)
        for symbol in self._calls:
            if not symbol.operands and id(symbol) not in begins:
                raise UsageError(f"The output depends on {symbol!r}, which is not an input of the model.")
        needed = {id(symbol) for symbol in self._calls}
        for symbol in self._inputs:
            if id(symbol) not in needed:
                raise UsageError(f"No output depends on the input {symbol!r}.")
        self._stack = _in_order(self._outputs_given, self._calls)
        self._name_layers()

    def _name_layers(self) -> None:
        """Names that no two layers share; those of layers that were given none, and that no other model knows, may change."""
        taken = {layer.name for layer in self._stack if layer.placed or layer.given_name is not None}
        fixed = [layer.name for layer in self._stack if layer.placed or layer.given_name is not None]
        if len(taken) < len(fixed):
            twice = next(name for name in fixed if fixed.count(name) > 1)
            raise UsageError(f"Two layers of the model are called {twice!r}.", hint="give one of them another name")
        stream = max((part.stream + 1 for layer in self._stack if layer.placed for part in layer.all()), default=0)
        for layer in self._stack:
            if not layer.placed:
                stream = layer.number_streams(stream)
                if layer.given_name is None:
                    layer.rename(next(n for n in numbered(layer.name) if n not in taken))
                    taken.add(layer.name)
                layer.placed = True

    def build(self, input_shape: Shape) -> None:
        """All weights exist from the beginning."""

    @property
    def built(self) -> bool:
        """They do."""
        return True

    def forward(self, inputs: Sequence[Value], training: bool, record: Record | None = None) -> list[Value]:
        """The outputs for a batch; what else comes of each call is added to ``record``."""
        given = {id(symbol): x for symbol, x in zip(self._inputs, inputs, strict=True)}
        made: dict[tuple[int, int], Any] = {}

        def found(symbol: Symbol) -> Value:
            y = made[symbol.call]
            value: Value = y[symbol.output] if isinstance(y, list | tuple) else y
            return value

        for symbol in self._calls:
            if symbol.call not in made:
                taken: Any = [found(o) for o in symbol.operands] or [given[id(symbol)]]
                taken = taken if symbol.layer.several else taken[0]
                told = training if symbol.training is None else symbol.training
                made[symbol.call] = symbol.layer(taken, training=told, record=record)
        return [found(o) for o in self._outputs_given]

    @property
    def input_names(self) -> list[str]:
        """The keys of the dictionary of inputs, else the names of their layers."""
        return self._input_keys or [symbol.layer.name for symbol in self._inputs]

    @property
    def output_names(self) -> list[str]:
        """The keys of the dictionary of outputs, else the names of the layers that gave them, with numbers if they came twice."""
        return self._output_keys or _apart([symbol.layer.name for symbol in self._outputs_given])

    @property
    def inputs(self) -> list[Symbol]:
        """The symbols that the model begins with."""
        return list(self._inputs)

    @property
    def outputs(self) -> list[Symbol]:
        """The symbols that the model ends with."""
        return list(self._outputs_given)

    def _arranged(self, outputs: list[Any]) -> Any:
        """Outputs as they were given when the model was made; one alone by itself."""
        if self._output_keys is not None:
            return dict(zip(self._output_keys, outputs, strict=True))
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def layers(self) -> list[Any]:
        """The layers, and the models that are parts of this one; like Keras, with the inputs."""
        return [shown(layer) for layer in self._stack]

    @property
    def steps(self) -> int:
        """How many calls of layers it takes."""
        return sum({symbol.call: symbol.layer.steps for symbol in self._calls}.values())

    def _outputs(self) -> list[tuple[Layer, Shape]]:
        return [(symbol.layer, symbol.shape) for symbol in self._calls if symbol.operands or len(self._inputs) > 1]

    def _sources(self) -> list[str]:
        shown = (s for s in self._calls if s.operands or len(self._inputs) > 1)
        return ["From", *(", ".join(o.layer.name for o in s.operands) for s in shown)]

    def get_config(self) -> dict[str, Any]:
        """Name, layers, and their calls: the number of a layer, of the symbols that it takes, and what else there is to say of the
        symbol: which output of the call of another symbol it is, and what the call was told of training; and which symbols are the
        inputs and outputs of the model."""
        number = {id(symbol): n for n, symbol in enumerate(self._calls)}
        place = {id(layer): n for n, layer in enumerate(self._stack)}
        first: dict[tuple[int, int], int] = {}
        calls: list[list[Any]] = []
        for n, s in enumerate(self._calls):
            more: dict[str, Any] = {} if s.training is None else {"training": s.training}
            if s.output or s.call in first:
                more |= {"output": s.output} | ({"of": first[s.call]} if s.call in first else {})
            first.setdefault(s.call, n)
            calls.append([place[id(s.layer)], [number[id(o)] for o in s.operands], *([more] if more else [])])
        ends = {
            what: numbers if keys is None else dict(zip(keys, numbers, strict=True))
            for what, keys, numbers in (
                ("inputs", self._input_keys, [number[id(s)] for s in self._inputs]),
                ("outputs", self._output_keys, [number[id(s)] for s in self._outputs_given]),
            )
        }
        return {"name": self.name, "layers": [serialize(layer) for layer in self._stack], "calls": calls, **ends}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model that `get_config` described, with fresh weights."""
        layers = [resolve("layer", layer, TABLE) for layer in config["layers"]]
        if sum(layers[natural(call[0], len(layers))].steps for call in config["calls"]) > _MOST_STEPS:
            raise UsageError(f"A model of more than {_MOST_STEPS:,} calls of layers is refused.")
        symbols: list[Symbol] = []
        made: list[Any] = []
        for at, operands, *more in config["calls"]:
            layer = layers[natural(at, len(layers))]
            given = [symbols[natural(o, len(symbols))] for o in operands]
            if isinstance(layer, InputLayer) != (not given):
                raise UsageError("A layer is called without an input.")
            said = dict(more[0]) if more else {}
            if (of := said.get("of")) is not None:
                y = made[natural(of, len(made))]
            elif given:
                y = layer(given if layer.several or len(given) > 1 else given[0], training=said.get("training"))
            else:
                y = layer.output
            made.append(y if isinstance(y, list) else [y])
            symbols.append(made[-1][natural(said.get("output", 0), len(made[-1]))])

        def ends(numbers: Any) -> Any:
            if isinstance(numbers, Mapping):
                return {str(name): symbols[natural(n, len(symbols))] for name, n in numbers.items()}
            return [symbols[natural(n, len(symbols))] for n in numbers]

        return cls(ends(config["inputs"]), ends(config["outputs"]), config["name"])


def _in_order(outputs: Sequence[Symbol], calls: Sequence[Symbol]) -> list[Layer]:
    """The layers as Keras orders them, and with them the weights: by the longest way from a call to an output, those farthest away
    first; of those as far, in the order in which one meets them going back from the outputs."""
    distance: dict[int, int] = {}
    for symbol in reversed(calls):
        far = distance[id(symbol.layer)] = max(distance.get(id(symbol), 0), distance.get(id(symbol.layer), 0))
        for operand in symbol.operands:
            distance[id(operand)] = max(distance.get(id(operand), 0), far + 1)
    met: dict[int, Layer] = {}
    seen: set[int] = set()
    pending = list(reversed(outputs))
    while pending:
        symbol = pending.pop()
        if id(symbol) not in seen:
            seen.add(id(symbol))
            met.setdefault(id(symbol.layer), symbol.layer)
            pending += reversed(symbol.operands)
    return sorted(met.values(), key=lambda layer: -distance[id(layer)])


def _ends(what: str, given: Any) -> list[Symbol]:
    """The symbols at which a model begins or ends."""
    listed = list(given.values()) if isinstance(given, Mapping) else given
    listed = list(listed) if isinstance(listed, list | tuple) else [listed]
    if listed and all(isinstance(s, Symbol) for s in listed):
        return listed
    raise UsageError(
        f"The {what} of a model are what nacre.Input or a layer gave, got {given!r}.",
        hint="Model(inputs=x, outputs=layer(x)), or a list or dictionary of several",
    )


def _apart(names: list[str]) -> list[str]:
    """Names with numbers behind those that were taken already."""
    found: list[str] = []
    for name in names:
        found.append(next(n for n in numbered(name) if n not in found))
    return found


Model.kinds["Functional"] = Functional
