"""Network, loss, chain rule and update traced into one graph: the program of a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nacre import ops
from nacre.autodiff import gradients
from nacre.backends.base import Program
from nacre.errors import UsageError
from nacre.ir import Graph, Input, TensorType, Value
from nacre.layers import Layer, Parameter
from nacre.layers.layer import Record
from nacre.losses import Loss
from nacre.metrics import Metric
from nacre.optimizers import Optimizer
from nacre.passes import simplify
from nacre.training.samples import of_outputs, of_weight

COLUMNS = ("x", "y", "sample_weight")  # of the data, as far as they are there


class Network(Protocol):
    """What training needs of a model."""

    def forward(self, x: Value, training: bool, record: Record | None = None) -> Value:
        """The output for a batch; what else comes of it is added to ``record``."""

    @property
    def weights(self) -> list[Parameter]:
        """All weights, in order."""


@dataclass(frozen=True)
class RowType:
    """Type of one row of a column."""

    shape: tuple[int, ...]
    dtype: str

    def batch(self, rows: int) -> TensorType:
        """The type of several rows."""
        return TensorType((rows, *self.shape), self.dtype)


@dataclass(frozen=True)
class Goal:
    """What training is after."""

    loss: Loss
    optimizer: Optimizer
    metrics: Sequence[Metric]
    weighted_metrics: Sequence[Metric] = ()  # those that weights of the rows count in

    @property
    def measured(self) -> tuple[Metric, ...]:
        """All metrics."""
        return (*self.metrics, *self.weighted_metrics)


def slot_types(optimizer: Optimizer, weights: Iterable[Parameter]) -> dict[str, TensorType]:
    """Types of all slots by name: the weight's name, then the slot's."""
    return {f"{w.name}/{name}": w.type for w in weights if w.trainable for name in optimizer.state()}


def training_program(
    network: Network, goal: Goal, data: Sequence[RowType], sizes: Sequence[int], every: int = 0
) -> Program:
    """Forward, loss, backward and update, for batches of the given sizes; every so many steps with statistics, unless that is 0.

    ``data`` are the types of x and y, and of the weights of the rows, if there are some.
    """
    weights = network.weights
    slots = {name: Input(name, t) for name, t in slot_types(goal.optimizer, weights).items()}
    numbers = {name: Input(name, TensorType(())) for name in goal.optimizer.numbers(0)}
    if not any(w.trainable for w in weights):
        raise UsageError("The model has no weight that can be trained.", hint="add a layer with weights, such as Dense")

    def trace(rows: int, samples: dict[str, Value] | None = None) -> Graph:
        columns, record, loss, emits = measured(network, goal, data, rows, training=True)
        trained = [w for w in weights if w.trainable]
        updates = dict(record.updates)
        found = gradients(loss, trained)
        own = [{name: slots[f"{w.name}/{name}"] for name in goal.optimizer.state()} for w in trained]
        moved = goal.optimizer.step(trained, found, own, numbers)
        for w, gradient, (new, after) in zip(trained, found, moved, strict=True):
            updates[w.name] = _constrained(w, new)
            updates |= {f"{w.name}/{name}": value for name, value in after.items()}
            if samples is not None:
                samples |= of_weight(w, gradient, updates[w.name])
        if samples is not None:
            samples |= of_outputs(record.outputs)
        inputs = [*weights, *slots.values(), *columns, *numbers.values(), ops.SEED, ops.STEP]
        return simplify(Graph(inputs, emits | updates | (samples or {})))

    graphs = {rows: trace(rows) for rows in sizes}
    samples: dict[str, Value] = {}
    sampled = trace(max(sizes), samples) if every else None
    state = (*(w.name for w in weights), *slots)
    emits = _emit_names(goal)
    schedule = (*numbers, "seed", "step")
    return Program(graphs, state, COLUMNS[: len(data)], schedule, emits, "loss", sampled, tuple(samples), every)


def evaluation_program(network: Network, goal: Goal, data: Sequence[RowType], sizes: Iterable[int]) -> Program:
    """Forward, loss and metrics; nothing changes."""

    def trace(rows: int) -> Graph:
        columns, _, _, emits = measured(network, goal, data, rows, training=False)
        return simplify(Graph([*network.weights, *columns], emits))

    graphs = {rows: trace(rows) for rows in sizes}
    return Program(graphs, tuple(w.name for w in network.weights), COLUMNS[: len(data)], (), _emit_names(goal))


def prediction_program(network: Network, x: RowType, sizes: Iterable[int]) -> Program:
    """Forward only."""

    def trace(rows: int) -> Graph:
        column = Input("x", x.batch(rows))
        output = network.forward(column, training=False)
        output = output if output.type.is_float else ops.cast(output, dtype="float32")
        return simplify(Graph([*network.weights, column], {"output": output}))

    graphs = {rows: trace(rows) for rows in sizes}
    return Program(graphs, tuple(w.name for w in network.weights), ("x",), (), ("output",))


def measured(
    network: Network,
    goal: Goal,
    data: Sequence[RowType],
    rows: int,
    training: bool,
) -> tuple[list[Input], Record, Value, dict[str, Value]]:
    """Data inputs, what the forward pass left, the loss, and what is handed out: the loss of the batch and sums of metrics."""
    columns = [Input(name, t.batch(rows)) for name, t in zip(COLUMNS, data, strict=False)]
    weight = columns[2] if len(columns) > 2 else None
    record = Record()
    output = network.forward(columns[0], training, record)
    loss = goal.loss(columns[1], output, weight)
    for term in _regularization(network, record.outputs):
        loss = loss + ops.cast(term, loss.dtype)
    emits = {"loss": ops.reshape(ops.cast(loss, dtype="float32"), [1])}
    for metric in goal.measured:
        sums = metric.update(columns[1], output, weight if metric in goal.weighted_metrics else None)
        if np.ndim(metric.figure(np.zeros(sums.shape))):
            raise UsageError(
                f"The metric {metric.name!r} gives an array, and a history holds numbers.",
                hint="choose one figure, such as average='macro' or a single threshold; or call the metric on predictions",
            )
        emits[metric.name] = ops.expand_dims(sums, 0)
    return columns, record, loss, emits


def _regularization(network: Network, outputs: Iterable[tuple[Layer, Value]]) -> list[Value]:
    """What is added to the loss: for each weight that is trained, and for each output, as a mean over the samples."""
    found = [(w.name, w.regularizer(w), 1) for w in network.weights if w.trainable and w.regularizer is not None] + [
        (layer.path, layer.activity_regularizer(y), y.shape[0])
        for layer, y in outputs
        if layer.activity_regularizer is not None
    ]
    for name, term, _ in found:
        if not isinstance(term, Value) or term.shape != ():
            raise UsageError(
                f"The regularizer of {name!r} gave {term!r}, not a scalar of the graph.",
                hint="end it with nacre.ops.sum or nacre.ops.mean",
            )
    return [term if samples == 1 else term / samples for _, term, samples in found]


def _constrained(weight: Parameter, new: Value) -> Value:
    """The new value of a weight, or what its constraint makes of it."""
    if weight.constraint is None:
        return new
    allowed = weight.constraint(new)
    if not isinstance(allowed, Value) or allowed.type != weight.type:
        raise UsageError(
            f"The constraint of {weight.name!r} did not give a weight of the same type.",
            {"found": repr(allowed), "expected": weight.type},
        )
    return allowed


def _emit_names(goal: Goal) -> tuple[str, ...]:
    return ("loss", *(m.name for m in goal.measured))
