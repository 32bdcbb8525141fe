"""What a file that predicts is made from: the graph of a prediction of one row, with its weights; and rows to try it on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.backends.base import State
from nacre.data import Dataset
from nacre.errors import Limitation, ModelFileError
from nacre.ir import Graph, Input, Value
from nacre.models import Model
from nacre.models.forms import full_ink
from nacre.training import Trainer
from nacre.training.callbacks import Callbacks
from nacre.training.program import RowType, RowTypes, prediction_program

Array = npt.NDArray[Any]

ROWS = 1000  # that a file is tried on
_FAR = 1e-4  # how far outputs may be from the model's, as a share of the largest
_SMALL = 1e-6  # and where all outputs are small, at least
_MOVING = ("broadcast", "cast", "concatenate", "reshape", "slice", "stop_gradient", "transpose")


@dataclass(frozen=True)
class Traced:
    """A prediction of one row: its ``inputs`` and ``outputs`` by their names in the model, in order, and its weights."""

    graph: Graph
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Value]
    weights: Mapping[str, Array]

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(w.size for w in self.weights.values())


def traced(model: Model, format: str) -> Traced:
    """The prediction of one row. Raises `Limitation` for what ``format`` cannot have: random numbers, and float64."""
    shapes = [tuple(int(n or 0) for n in shape[1:]) for shape in model.input_shapes]
    types = RowTypes(tuple(RowType(s, symbol.dtype) for s, symbol in zip(shapes, model.inputs, strict=True)))
    program = prediction_program(model, types, (1,))
    graph = program.graphs[1]
    if program.schedule:
        raise Limitation(
            f"A model that draws random numbers when it predicts has no words in {format}.",
            hint="leave out layers that are called with training=True",
        )
    wide = next((v for v in [*graph.inputs, *graph.nodes] if v.dtype == "float64"), None)
    if wide is not None:
        raise Limitation(f"A model in float64 has no words in {format}.", {"found": wide.type}, "make it in float32")
    inputs = dict(zip(model.input_names, (graph.input(name) for name in program.columns), strict=True))
    outputs = dict(zip(model.output_names, (graph.outputs[name] for name in program.emits), strict=True))
    return Traced(graph, inputs, outputs, {name: w.numpy() for name, w in model.named.items()})


def made_up(model: Model, graph: Graph, inputs: Sequence[Input]) -> list[Array]:
    """`ROWS` rows for each of these inputs of a graph: numbers as large as the network's first scaling expects them, bytes, or
    whole numbers below one of those that `limits` finds, in each row another one."""
    random, ink = np.random.default_rng(0), full_ink(model)
    return [_made_up(random, given, limits(graph, given), ink) for given in inputs]


def _made_up(random: np.random.Generator, given: Input, below: Sequence[int], ink: float) -> Array:
    shape = (ROWS, *given.shape[1:])
    if given.type.is_float and not below:
        return (random.uniform(0, ink, shape) if ink != 1 else random.standard_normal(shape)).astype(given.dtype)
    most = random.choice(below, ROWS) if below else {"bool": 2, "uint8": 256}.get(given.dtype, 100)
    numbers: Array = np.floor(random.random(shape) * np.reshape(most, [-1] + [1] * (given.rank - 1)))
    return numbers.astype(given.dtype)


def limits(graph: Graph, given: Input) -> list[int]:
    """The numbers below which what an input holds is a row of a table, or a number that it is compared with."""
    same, found = {id(given)}, set()
    for node in graph.nodes:
        name, read = name_of(node), [id(o) in same for o in node.operands]
        if any(read) and name in _MOVING:
            same.add(id(node))
        elif name == "take" and read[1]:
            found.add(node.operands[0].shape[0])
        elif any(read) and (name == "equal" or (name in ("less", "less_equal") and read[0])):
            above = [_above(o) for o, one in zip(node.operands, read, strict=True) if not one]
            found.update(limit - (name == "less") for limit in above)
    return sorted(limit for limit in found if limit > 0)


def _above(value: Value) -> int:
    """The number above all that are in a constant; 0 for what is none of whole numbers."""
    while name_of(value) in _MOVING and len(value.operands) == 1:
        value = value.operands[0]
    if value.dtype != "int32" or name_of(value) not in ("constant", "iota"):
        return 0
    return value.shape[value.attrs["axis"]] if name_of(value) == "iota" else int(np.max(value.attrs["value"])) + 1


def name_of(value: Value) -> str:
    """The name of the primitive that makes a value; "" for inputs."""
    return "" if value.operation is None else value.operation.name


def predicted(model: Model, inputs: Sequence[Array]) -> list[Array]:
    """What the model itself says, an array for each output."""
    answered = model.predict(inputs[0] if len(inputs) == 1 else list(inputs))
    each = answered.values() if isinstance(answered, dict) else answered if isinstance(answered, list) else [answered]
    return [np.asarray(y) for y in each]


def predicted_with(weights: Mapping[str, Array], model: Model, inputs: Sequence[Array]) -> list[Array]:
    """What the model would say with these weights, by their names, instead of its own."""
    state = State()
    state.add({name: w.type for name, w in model.named.items()})
    for name, array in weights.items():
        state[name].write(array)
    data = Dataset(inputs[0] if len(inputs) == 1 else dict(zip(model.input_names, inputs, strict=True)))
    return Trainer(model, state, "native", None, 0).predict(data, len(data), Callbacks([], model))


def largest_difference(
    model: Model, found: Sequence[Array], expected: Sequence[Array], format: str, far: float = _FAR
) -> float:
    """The largest between outputs that a file gave and those of the model; where both are NaN, or infinite alike, there is none.
    Raises `ModelFileError` for more than ``far``, as a share of the largest number of an output."""
    largest = 0.0
    for name, a, b in zip(model.output_names, found, expected, strict=True):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        apart = np.abs(np.subtract(a, b, dtype=np.float64, where=~same, out=np.zeros(b.shape)))
        size = float(np.max(np.abs(b), initial=0, where=np.isfinite(b)))
        worst = float(np.max(apart, initial=0))
        if not worst <= far * size + _SMALL:
            raise ModelFileError(
                f"The output {name!r} in {format} is not the model's, so the file was not written.",
                {"difference": f"{worst:.2g}, where the largest output is {size:.2g}"},
                "this is a fault of nacre's: please tell, with model.summary()",
            )
        largest = max(largest, worst)
    return largest


def size_of(shape: Sequence[int]) -> int:
    """Numbers in one row of this shape, with its first axis."""
    return math.prod(shape[1:])


__all__ = [
    "ROWS",
    "Traced",
    "largest_difference",
    "made_up",
    "name_of",
    "predicted",
    "predicted_with",
    "size_of",
    "traced",
]
