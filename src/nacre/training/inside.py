"""What goes on inside a network: what each layer takes and gives, and how the loss hangs on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.backends.base import Block, Executable, Program, State
from nacre.data import Dataset
from nacre.ir import Value
from nacre.layers import Layer, Softmax
from nacre.layers.layer import Record
from nacre.training.program import Goal, Network, RowTypes, graph_of, measured

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Call:
    """The call of a layer, for each of n rows.

    ``name`` and ``layer`` say which; a layer that is called again has ``name (2)``. ``inputs`` is a list of arrays (n, ...), and
    ``output`` (n, ...) what the layer gave. ``scores`` (n, ...) is what its activation was applied to, None for a layer without.
    ``error`` and ``score_error`` are the gradients of the loss of a row by its output and by its scores; None without targets.
    """

    name: str
    layer: Layer
    inputs: list[Array]
    output: Array
    scores: Array | None = None
    error: Array | None = None
    score_error: Array | None = None


@dataclass(frozen=True)
class Inside:
    """What `Model.inside` found: the ``calls`` of layers, in order; the ``losses`` (n,) of the rows, and by the names of weights,
    the ``norms`` (n,) of the gradients of these losses, both empty without targets."""

    calls: list[Call]
    losses: Array
    norms: dict[str, Array]

    def __getitem__(self, name: str) -> Call:
        """The call of that name."""
        return next(call for call in self.calls if call.name == name)


def looked_at(calls: Sequence[Call]) -> list[Call]:
    """The calls, without a gradient by outputs that the loss does not look at: a crossentropy behind a softmax or sigmoid is
    computed from the scores, so the gradient by the output is 0 for all numbers."""
    for at in reversed(range(len(calls))):
        call = calls[at]
        if call.error is None or call.error.any():
            break
        scored = hasattr(call.layer, "activation") and call.score_error is not None and call.score_error.any()
        if scored or isinstance(call.layer, Softmax):
            return [*calls[:at], *(replace(one, error=None) for one in calls[at:])]
    return list(calls)


def inside_program(
    network: Network, goal: Goal | None, data: RowTypes, rows: int, training: bool, layers: bool
) -> tuple[Program, list[tuple[str, Layer, int]]]:
    """Forward, and backward if there is a goal, handing out what is on the way; and of each call name, layer, number of inputs."""
    record, loss = Record(), None
    if goal is None:
        columns, _, _ = data.columns(rows)
        outputs = network.forward(columns, training, record)
        emits = {f"output{n}": y for n, y in enumerate(outputs)}
    else:
        columns, record, loss, losses = measured(network, goal, data, rows, training)
        emits = {"loss": losses["loss"]}
    calls: list[tuple[str, Layer, int]] = []
    wanted: dict[str, Value] = {}
    for call in record.calls if layers else ():
        often = sum(name.partition(" (")[0] == call.name for name, _, _ in calls)
        name = f"{call.name} ({often + 1})" if often else call.name
        calls.append((name, call.layer, len(call.inputs)))
        emits |= {f"input{n} {name}": x for n, x in enumerate(call.inputs)}
        emits[f"output {name}"] = wanted[f"error {name}"] = call.output
        if call.output in record.scores:
            emits[f"scores {name}"] = wanted[f"score_error {name}"] = record.scores[call.output]
    if loss is not None:
        trained = {name: w for name, w in network.named.items() if w.trainable}
        wanted = {name: y for name, y in wanted.items() if y.type.is_float}
        found = gradients(loss, [*wanted.values(), *trained.values()])
        emits |= dict(zip(wanted, found, strict=False))
        for name, gradient in zip(trained, found[len(wanted) :], strict=True):
            emits[f"norm {name}"] = ops.reshape(ops.sum(gradient * gradient), [1])
    emits = {name: y if y.type.is_float else ops.cast(y, dtype="float32") for name, y in emits.items()}
    numbers = (ops.SEED, ops.STEP) if training else ()
    graph = graph_of(network.named, [*columns, *numbers], emits)
    names = data.names if goal is not None else RowTypes(data.inputs).names
    return Program({rows: graph}, tuple(network.named), names, tuple(n.name for n in numbers), tuple(emits)), calls


def look_inside(
    executable: Executable,
    calls: Sequence[tuple[str, Layer, int]],
    state: State,
    data: Dataset,
    numbers: Mapping[str, int],
) -> Inside:
    """Run the program over the rows of ``data``."""
    program, rows = executable.program, np.arange(len(data))
    columns = (*data.inputs, *data.targets, *data.weights)[: len(program.columns)]
    steps = len(program.batches(len(data)))
    schedule = {
        "seed": np.full(steps, numbers["seed"], np.uint32),
        "step": (np.arange(numbers["step"], numbers["step"] + steps) % 2**32).astype(np.uint32),
    }
    found = executable.run(state, Block([c.array if c.ready else c.take(rows) for c in columns]), rows, schedule)
    inside = [
        Call(
            name,
            layer,
            [found[f"input{n} {name}"] for n in range(count)],
            found[f"output {name}"],
            found.get(f"scores {name}"),
            found.get(f"error {name}"),
            found.get(f"score_error {name}"),
        )
        for name, layer, count in calls
    ]
    norms = {name.removeprefix("norm "): np.sqrt(x) for name, x in found.items() if name.startswith("norm ")}
    return Inside(inside, found.get("loss", np.zeros(0, np.float32)), norms)


__all__ = ["Call", "Inside", "inside_program", "look_inside", "looked_at"]
