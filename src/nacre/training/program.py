"""Network, loss, chain rule and update traced into one graph: the program of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, Protocol

import numpy as np

from nacre import ops
from nacre.autodiff import gradients
from nacre.backends.base import Program
from nacre.configured import serialize
from nacre.data import Data
from nacre.errors import UsageError
from nacre.ir import Graph, Input, TensorType, Value, order
from nacre.layers import Parameter
from nacre.layers.layer import Called, Record
from nacre.losses import Loss
from nacre.metrics import Metric
from nacre.optimizers import Optimizer
from nacre.passes import simplified
from nacre.training.samples import of_outputs, of_weight


class Network(Protocol):
    """What training needs of a model."""

    def forward(self, inputs: Sequence[Value], training: bool, record: Record | None = None) -> Sequence[Value]:
        """The outputs for a batch; what else comes of it is added to ``record``."""

    @property
    def named(self) -> dict[str, Parameter]:
        """All weights by their names, in order."""

    def kind(self) -> str | None:
        """A text that networks have in common whose programs are the same; None if it cannot be told."""


@dataclass(frozen=True)
class RowType:
    """Type of one row of a column."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class RowTypes:
    """Types of the rows of all columns: of the inputs, and where there are any, of the targets and of a weight for each target."""

    inputs: tuple[RowType, ...]
    targets: tuple[RowType, ...] = ()
    weights: tuple[RowType, ...] = ()

    @classmethod
    def of(cls, data: Data) -> RowTypes:
        """Those of some data."""
        data = data.first
        parts = (data.inputs, data.targets, data.weights)
        return cls(*(tuple([RowType(c.array.shape[1:], c.dtype) for c in part]) for part in parts))

    def columns(self, rows: int) -> tuple[list[Input], list[Input], list[Input]]:
        """Inputs of a graph for so many rows. Their names are known from the number of each."""
        parts = (("x", self.inputs), ("y", self.targets), ("sample_weight", self.weights))
        several = [[(name if len(part) == 1 else f"{name}{n}", t) for n, t in enumerate(part)] for name, part in parts]
        inputs, targets, weights = (
            [Input(name, TensorType((rows, *t.shape), t.dtype)) for name, t in part] for part in several
        )
        return inputs, targets, weights

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(column.name for part in self.columns(1) for column in part)


@dataclass(frozen=True)
class Target:
    """What one output is compared with: by a loss, if it has one, whose ``share`` of the whole loss is a factor, and by metrics.

    ``name`` is that of the output, where there are several.
    """

    output: int
    name: str | None
    loss: Loss | None
    share: float | None = None
    metrics: Sequence[Metric] = ()
    weighted_metrics: Sequence[Metric] = ()  # those that weights of the rows count in


@dataclass(frozen=True)
class Measured:
    """A metric of a target, under the name that it has in the history."""

    name: str
    metric: Metric
    target: int
    weighted: bool


@dataclass(frozen=True)
class Goal:
    """What training is after: the sum of the losses of its targets."""

    targets: Sequence[Target]
    optimizer: Optimizer

    @cached_property
    def losses(self) -> tuple[str, ...]:
        """Names of the losses: the whole, and where there are several, each one."""
        each = [f"{t.name}_loss" for t in self.targets if t.loss is not None]
        return ("loss", *each) if len(each) > 1 else ("loss",)

    @cached_property
    def measured(self) -> tuple[Measured, ...]:
        """All metrics. Those that weights count in are called otherwise if they were called like another."""
        found: list[Measured] = []
        for number, target in enumerate(self.targets):
            for weighted in (False, True):
                for metric in target.weighted_metrics if weighted else target.metrics:
                    prefix = "" if target.name is None else f"{target.name}_"
                    names = [f"{prefix}{metric.name}", f"{prefix}weighted_{metric.name}"]
                    taken = weighted and any(names[0] == m.name for m in found)
                    found.append(Measured(names[taken], metric, number, weighted))
        names = [*self.losses, *(m.name for m in found)]
        if len(set(names)) < len(names):
            raise UsageError("Two metrics have the same name.", {"names": ", ".join(m.name for m in found)})
        return tuple(found)

    def described(self) -> list[Any]:
        """What the targets are, in JSON: metrics follow from the first rows, and not from the outputs alone."""
        return [serialize(list(vars(target).values())) for target in self.targets]

    @property
    def emitted(self) -> tuple[str, ...]:
        """What each batch gives: losses, and sums of metrics."""
        return (*self.losses, *(m.name for m in self.measured))


@dataclass
class Notes:
    """What is known while a program is traced and cannot be read from its graph: the ``calls`` of layers, the ``scores`` that
    activations were applied to, by their outputs, the ``loss``, the ``gradients`` by the names of weights, and by each value that
    the chain rule ``made`` the one that it belongs to; see `gradients`."""

    calls: Sequence[Called] = ()
    scores: dict[Value, Value] = field(default_factory=dict)
    loss: Value | None = None
    gradients: dict[str, Value] = field(default_factory=dict)
    made: dict[Value, Value] = field(default_factory=dict)

    def marked(self) -> dict[str, Value]:
        """All values that the notes are on, as outputs of a graph, so that what becomes of them there is known."""
        values: list[Value] = []

        def keep(value: Value) -> Value:
            values.append(value)
            return value

        self._of(keep)
        return {
            f"/note/{n}": value for n, value in enumerate(values)
        }  # no weight is called so, whatever its layer is called

    def found_in(self, graph: Graph) -> tuple[Graph, Notes]:
        """The graph without the marks, and the same notes on its values. Where values became one, the first note holds."""
        names = self.marked().keys()
        marks = (graph.outputs[name] for name in names)
        outputs = {name: value for name, value in graph.outputs.items() if name not in names}
        return Graph(graph.inputs, outputs), self._of(lambda _: next(marks))

    def _of(self, become: Callable[[Value], Value]) -> Notes:
        calls = [Called(c.name, c.layer, [become(x) for x in c.inputs], become(c.output)) for c in self.calls]
        loss = None if self.loss is None else become(self.loss)
        gradients = {name: become(value) for name, value in self.gradients.items()}
        scores: dict[Value, Value] = {}
        made: dict[Value, Value] = {}
        for known, notes in ((scores, self.scores), (made, self.made)):
            for key, value in notes.items():
                known.setdefault(become(key), become(value))
        return Notes(calls, scores, loss, gradients, made)


def slot_types(optimizer: Optimizer, weights: Mapping[str, Parameter]) -> dict[str, TensorType]:
    """Types of all slots by name: the weight's name, then the slot's."""
    return {f"{of}/{name}": w.type for of, w in weights.items() if w.trainable for name in optimizer.state()}


def graph_of(weights: Mapping[str, Parameter], inputs: Sequence[Input], outputs: Mapping[str, Value]) -> Graph:
    """A graph whose weights are called as they are named here: in a model inside another, they have longer names than their own.
    They stand for any weights of these names and types, so that who keeps the graph keeps no model."""
    named = [Input(name, w.type) for name, w in weights.items()]
    return simplified([*named, *inputs], outputs, dict(zip(weights.values(), named, strict=True)))


def training_program(
    network: Network, goal: Goal, data: RowTypes, sizes: Sequence[int], every: int = 0, notes: Notes | None = None
) -> Program:
    """Forward, loss, backward and update, for batches of the given sizes; every so many steps with statistics, unless that is 0.
    With ``notes``, which are taken of the last size, the graph hands out what they are on."""
    weights = network.named
    slots = {name: Input(name, t) for name, t in slot_types(goal.optimizer, weights).items()}
    numbers = {name: Input(name, TensorType(())) for name in goal.optimizer.numbers(0)}
    if not any(w.trainable for w in weights.values()):
        raise UsageError("The model has no weight that can be trained.", hint="add a layer with weights, such as Dense")

    def trace(rows: int, samples: dict[str, Value] | None = None) -> Graph:
        columns, record, loss, emits = measured(network, goal, data, rows, training=True)
        trained = {name: w for name, w in weights.items() if w.trainable}
        updates = {name: record.updates[w] for name, w in weights.items() if w in record.updates}
        found = gradients(loss, list(trained.values()), made=None if notes is None else notes.made)
        own = [{slot: slots[f"{name}/{slot}"] for slot in goal.optimizer.state()} for name in trained]
        moved = goal.optimizer.step(trained, found, own, numbers)
        for (name, w), gradient, (new, after) in zip(trained.items(), found, moved, strict=True):
            updates[name] = _constrained(w, new)
            updates |= {f"{name}/{slot}": value for slot, value in after.items()}
            if samples is not None:
                samples |= of_weight(name, w, gradient, updates[name])
        if samples is not None:
            samples |= of_outputs(record.calls)
        if notes is not None:
            notes.calls, notes.scores, notes.loss = record.calls, record.scores, loss
            notes.gradients = dict(zip(trained, found, strict=True))
            updates |= notes.marked()
        inputs = [*slots.values(), *columns, *numbers.values(), ops.SEED, ops.STEP]
        return graph_of(weights, inputs, emits | updates | (samples or {}))

    graphs = {rows: trace(rows) for rows in sizes}
    samples: dict[str, Value] = {}
    sampled = trace(max(sizes), samples) if every else None
    state = (*weights, *slots)
    schedule = (*numbers, "seed", "step")
    return Program(graphs, state, data.names, schedule, goal.emitted, "loss", sampled, tuple(samples), every)


def evaluation_program(network: Network, goal: Goal, data: RowTypes, sizes: Iterable[int]) -> Program:
    """Forward, loss and metrics; nothing changes."""

    def trace(rows: int) -> tuple[list[Input], dict[str, Value]]:
        columns, _, _, emits = measured(network, goal, data, rows, training=False)
        return columns, emits

    return _unchanging(network, data, {rows: trace(rows) for rows in sizes})


def prediction_program(network: Network, data: RowTypes, sizes: Iterable[int], notes: Notes | None = None) -> Program:
    """Forward only. With ``notes``, which are taken of the last size, the graph hands out what they are on."""

    def trace(rows: int) -> tuple[list[Input], dict[str, Value]]:
        inputs, _, _ = data.columns(rows)
        record = None if notes is None else Record()
        outputs = network.forward(inputs, False, record)
        floats = (y if y.type.is_float else ops.cast(y, dtype="float32") for y in outputs)
        handed_out = {f"output{n}": y for n, y in enumerate(floats)}
        if notes is not None and record is not None:
            notes.calls, notes.scores = record.calls, record.scores
            handed_out |= notes.marked()
        return inputs, handed_out

    return _unchanging(network, data, {rows: trace(rows) for rows in sizes})


def _unchanging(
    network: Network, data: RowTypes, traced: Mapping[int, tuple[list[Input], dict[str, Value]]]
) -> Program:
    """A program that changes no weight. It takes a seed if random numbers are drawn all the same, in layers that are told to act as
    if it were training."""
    emits = next(iter(traced.values()))[1]
    used = {id(value) for value in order(emits.values())}
    chance = [ops.SEED, ops.STEP] if {id(ops.SEED), id(ops.STEP)} & used else []
    weights = network.named
    graphs = {rows: graph_of(weights, [*inputs, *chance], outputs) for rows, (inputs, outputs) in traced.items()}
    return Program(graphs, tuple(weights), data.names, tuple(n.name for n in chance), tuple(emits))


def measured(
    network: Network,
    goal: Goal,
    data: RowTypes,
    rows: int,
    training: bool,
) -> tuple[list[Input], Record, Value, dict[str, Value]]:
    """Data inputs, what the forward pass left, the loss, and what is handed out: losses of the batch and sums of metrics."""
    inputs, targets, weights = data.columns(rows)
    record = Record()
    outputs = network.forward(inputs, training, record)
    weight = dict(enumerate(weights))
    losses = {
        n: t.loss(targets[n], outputs[t.output], weight.get(n))
        for n, t in enumerate(goal.targets)
        if t.loss is not None
    }
    parts = [
        loss if (share := goal.targets[n].share) is None else ops.cast(loss, dtype="float32") * share
        for n, loss in losses.items()
    ]
    loss = reduce(lambda a, b: a + ops.cast(b, a.dtype), parts)
    for term in [*_regularization(network, record.calls), *record.losses]:
        loss = loss + ops.cast(term, loss.dtype)
    found = [loss, *losses.values()] if len(losses) > 1 else [loss]
    emits = {
        name: ops.reshape(ops.cast(value, dtype="float32"), [1]) for name, value in zip(goal.losses, found, strict=True)
    }
    for m in goal.measured:
        output = outputs[goal.targets[m.target].output]
        sums = m.metric.update(targets[m.target], output, weight.get(m.target) if m.weighted else None)
        if np.ndim(m.metric.figure(np.zeros(sums.shape))):
            raise UsageError(
                f"The metric {m.name!r} gives an array, and a history holds numbers.",
                hint="choose one figure, such as average='macro' or a single threshold; or call the metric on predictions",
            )
        emits[m.name] = ops.expand_dims(sums, 0)
    return [*inputs, *targets, *weights], record, loss, emits


def _regularization(network: Network, calls: Iterable[Called]) -> list[Value]:
    """What is added to the loss: for each weight that is trained, and for each output, as a mean over the samples."""
    weights = network.named.items()
    found = [(name, w.regularizer(w), 1) for name, w in weights if w.trainable and w.regularizer is not None] + [
        (name, layer.activity_regularizer(y), y.shape[0])
        for name, layer, _, y in calls
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
