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
from nacre.losses import Loss
from nacre.metrics import Metric
from nacre.optimizers import Optimizer
from nacre.passes import simplify
from nacre.training.samples import of_outputs, of_weight

SCHEDULE = ("learning_rate", "seed", "step")


class Network(Protocol):
    """What training needs of a model."""

    def forward(self, x: Value, training: bool, outputs: list[tuple[Layer, Value]] | None = None) -> Value:
        """The output for a batch; that of each layer is added to ``outputs``."""

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


def slot_types(optimizer: Optimizer, weights: Iterable[Parameter]) -> dict[str, TensorType]:
    """Types of all slots by name: the weight's name, then the slot's."""
    return {f"{w.name}/{name}": t for w in weights if w.trainable for name, t in optimizer.slots(w.type).items()}


def training_program(
    network: Network, goal: Goal, x: RowType, y: RowType, sizes: Sequence[int], every: int = 0
) -> Program:
    """Forward, loss, backward and update, for batches of the given sizes; every so many steps with statistics, unless that is 0."""
    weights = network.weights
    slots = {name: Input(name, t) for name, t in slot_types(goal.optimizer, weights).items()}
    rate = Input("learning_rate", TensorType(()))
    if not any(w.trainable for w in weights):
        raise UsageError("The model has no weight that can be trained.", hint="add a layer with weights, such as Dense")

    def trace(rows: int, samples: dict[str, Value] | None = None) -> Graph:
        outputs: list[tuple[Layer, Value]] = []
        columns, loss, emits = _measured(network, goal, x, y, rows, training=True, outputs=outputs)
        trained = [w for w in weights if w.trainable]
        updates: dict[str, Value] = {}
        for w, gradient in zip(trained, gradients(loss, trained), strict=True):
            own = {name: slots[f"{w.name}/{name}"] for name in goal.optimizer.slots(w.type)}
            updates[w.name], after = goal.optimizer.update(w, gradient, own, _in_dtype(rate, w))
            updates |= {f"{w.name}/{name}": value for name, value in after.items()}
            if samples is not None:
                samples |= of_weight(w, gradient, updates[w.name])
        if samples is not None:
            samples |= of_outputs(outputs)
        inputs = [*weights, *slots.values(), *columns, rate, ops.SEED, ops.STEP]
        return simplify(Graph(inputs, emits | updates | (samples or {})))

    graphs = {rows: trace(rows) for rows in sizes}
    samples: dict[str, Value] = {}
    sampled = trace(max(sizes), samples) if every else None
    state = (*(w.name for w in weights), *slots)
    emits = _emit_names(goal)
    return Program(graphs, state, ("x", "y"), SCHEDULE, emits, "loss", sampled, tuple(samples), every)


def evaluation_program(network: Network, goal: Goal, x: RowType, y: RowType, sizes: Iterable[int]) -> Program:
    """Forward, loss and metrics; nothing changes."""

    def trace(rows: int) -> Graph:
        columns, _, emits = _measured(network, goal, x, y, rows, training=False)
        return simplify(Graph([*network.weights, *columns], emits))

    graphs = {rows: trace(rows) for rows in sizes}
    return Program(graphs, tuple(w.name for w in network.weights), ("x", "y"), (), _emit_names(goal))


def prediction_program(network: Network, x: RowType, sizes: Iterable[int]) -> Program:
    """Forward only."""

    def trace(rows: int) -> Graph:
        column = Input("x", x.batch(rows))
        output = network.forward(column, training=False)
        output = output if output.type.is_float else ops.cast(output, dtype="float32")
        return simplify(Graph([*network.weights, column], {"output": output}))

    graphs = {rows: trace(rows) for rows in sizes}
    return Program(graphs, tuple(w.name for w in network.weights), ("x",), (), ("output",))


def _measured(
    network: Network,
    goal: Goal,
    x: RowType,
    y: RowType,
    rows: int,
    training: bool,
    outputs: list[tuple[Layer, Value]] | None = None,
) -> tuple[list[Input], Value, dict[str, Value]]:
    """Data inputs, the loss, and what is handed out: the loss of the batch and the sums of each metric."""
    columns = [Input("x", x.batch(rows)), Input("y", y.batch(rows))]
    output = network.forward(columns[0], training=training, outputs=outputs)
    loss = goal.loss(columns[1], output)
    emits = {"loss": ops.reshape(ops.cast(loss, dtype="float32"), [1])}
    for metric in goal.metrics:
        sums = metric.update(columns[1], output)
        if np.ndim(metric.figure(np.zeros(sums.shape))):
            raise UsageError(
                f"The metric {metric.name!r} gives an array, and a history holds numbers.",
                hint="choose one figure, such as average='macro' or a single threshold; or call the metric on predictions",
            )
        emits[metric.name] = ops.expand_dims(sums, 0)
    return columns, loss, emits


def _emit_names(goal: Goal) -> tuple[str, ...]:
    return ("loss", *(m.name for m in goal.metrics))


def _in_dtype(x: Value, like: Value) -> Value:
    return x if x.dtype == like.dtype else ops.cast(x, dtype=like.dtype)
