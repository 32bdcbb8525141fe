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
from nacre.errors import Limitation
from nacre.ir import Graph, Input, Value
from nacre.models import Model
from nacre.models.forms import full_ink
from nacre.training import Trainer
from nacre.training.callbacks import Callbacks
from nacre.training.program import RowType, RowTypes, prediction_program

Array = npt.NDArray[Any]

ROWS = 1000  # that a file is tried on
_TOLERANCE = 1e-4  # of the largest output: a file that is further off is wrong
_HANDS_ON = ("cast", "reshape", "transpose", "slice", "pad", "concatenate", "maximum", "minimum", "add", "floor")


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


def made_up(model: Model, one: Traced, rows: int = ROWS) -> list[Array]:
    """Rows for each input: numbers of terms where they are looked up in a table, bytes, or numbers as large as the network's first
    scaling expects them."""
    rng = np.random.default_rng(0)
    found: list[Array] = []
    for given in one.inputs.values():
        shape, terms = (rows, *given.shape[1:]), _terms(one.graph, given)
        array: Array
        if terms is not None:
            array = rng.integers(terms, size=shape)
        elif given.dtype == "bool":
            array = rng.integers(2, size=shape)
        elif given.type.is_float:
            ink = full_ink(model)
            array = rng.uniform(0, ink, shape) if ink != 1 else rng.normal(size=shape)
        else:
            array = rng.integers(256, size=shape)
        found.append(array.astype(given.dtype))
    return found


def _terms(graph: Graph, given: Input) -> int | None:
    """How many rows the smallest table has in which numbers of this input are looked up, if they are."""
    reached = {id(given)}
    for node in graph.nodes:
        if (
            node.operation is not None
            and node.operation.name in _HANDS_ON
            and any(id(o) in reached for o in node.operands)
        ):
            reached.add(id(node))
    tables = [
        node.operands[0].shape[0]
        for node in graph.nodes
        if node.operation is not None and node.operation.name == "take" and id(node.operands[1]) in reached
    ]
    return min(tables, default=None)


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
    found: Sequence[Array], expected: Sequence[Array], format: str, tolerance: float = _TOLERANCE
) -> float:
    """The largest between outputs that a file gave and those of the model; where both are NaN, or infinite alike, there is none.
    Raises `Limitation` if the file computes something else."""
    largest = 0.0
    for a, b in zip(found, expected, strict=True):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        apart = np.abs(np.subtract(a, b, dtype=np.float64, where=~same, out=np.zeros(b.shape)))
        size = float(np.abs(b[np.isfinite(b)]).max(initial=1.0))
        worst = float(apart.max(initial=0.0))
        if not worst <= tolerance * size:
            raise Limitation(
                f"The outputs in {format} are not those of the model: nothing was written.",
                {"largest difference": f"{worst:.3g}", "largest output": f"{size:.3g}"},
                "please report this with the model's summary",
            )
        largest = max(largest, worst)
    return largest


def size_of(shape: Sequence[int]) -> int:
    """Numbers in one row of this shape, with its first axis."""
    return math.prod(shape[1:])


__all__ = ["ROWS", "Traced", "largest_difference", "made_up", "predicted", "predicted_with", "size_of", "traced"]
