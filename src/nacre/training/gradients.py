"""The gradients of a network's loss: to look at, as a function of its weights, and for L-BFGS, which goes by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.backends.base import Block, Executable, Program, State
from nacre.calculus.lbfgs import lbfgs
from nacre.data import Dataset
from nacre.errors import NonFiniteLossError, UsageError, find
from nacre.ir import Value
from nacre.layers import Parameter
from nacre.passes import replay
from nacre.training.history import History
from nacre.training.program import Goal, Network, RowTypes, graph_of, measured

Array = npt.NDArray[Any]

_PREFIX = "gradient "  # an output called as a weight would be its next value


def gradient_program(
    network: Network, goal: Goal, data: Dataset, weights: Mapping[str, Parameter], rows: int, training: bool
) -> Program:
    """Forward and backward for batches of so many rows; nothing changes, the loss and the gradients are handed out."""
    types = RowTypes.of(data)
    columns, _, loss, emits = measured(network, goal, types, rows, training)
    found = {
        _PREFIX + name: ops.expand_dims(gradient, 0)
        for name, gradient in zip(weights, gradients(loss, list(weights.values())), strict=True)
    }
    numbers = (ops.SEED, ops.STEP) if training else ()
    outputs = {"loss": emits["loss"], **found}
    graph = graph_of(network.named, [*columns, *numbers], outputs)
    return Program({rows: graph}, tuple(network.named), types.names, tuple(n.name for n in numbers), tuple(outputs))


def gradients_of(
    executable: Executable, state: State, data: Dataset, seed: int = 0, first: int = 0
) -> tuple[Array, dict[str, Array]]:
    """The loss of each batch, and the gradients by the names of weights, batches along a new first axis."""
    steps = len(executable.program.batches(len(data)))
    numbers = {
        "seed": np.full(steps, seed, np.uint32),
        "step": (np.arange(first, first + steps) % 2**32).astype(np.uint32),
    }
    found = executable.run(state, _block(data), None, numbers)
    return found.pop("loss"), {name.removeprefix(_PREFIX): gradient for name, gradient in found.items()}


def loss_function(
    network: Network, goal: Goal, data: Dataset
) -> tuple[Callable[[Mapping[str, Any]], Value], dict[str, Array]]:
    """The loss on all of the data as a function of the trained weights, by name, in float64; and these weights."""
    columns, _, loss, _ = measured(network, goal, RowTypes.of(data), len(data), training=False)
    arrays = [column.take(np.arange(len(data))) for column in data.columns]
    fixed = {i: _exact(a) for i, a in zip(columns, arrays, strict=True)}
    fixed |= {w: _exact(w.numpy()) for w in network.named.values() if not w.trainable}
    trained = {name: w for name, w in network.named.items() if w.trainable}

    def f(weights: Mapping[str, Any]) -> Value:
        """The loss for these weights."""
        (again,) = replay([loss], fixed | {w: ops.operand(weights[name]) for name, w in trained.items()}, "float64")
        return again

    return f, {name: w.numpy().astype(np.float64) for name, w in trained.items()}


def loss_along(
    loss: Callable[[Mapping[str, Any]], Value], weights: Mapping[str, Array], entry: str
) -> tuple[Callable[[Any], Value], float]:
    """The loss as a function of one number of one weight, called as in "dense/kernel[3, 7]", the others as they are; and this
    number. Raises `UnknownName` or `UsageError` for an entry that is not there."""
    name, bracket, places = entry.removesuffix("]").partition("[")
    array = find("trained weight", name, weights)
    at = tuple(int(place) if place.strip().isdecimal() else -1 for place in places.split(",")) if bracket else ()
    if len(at) != array.ndim or not all(0 <= i < n for i, n in zip(at, array.shape, strict=True)):
        last = ", ".join(str(n - 1) for n in array.shape)
        raise UsageError(
            f"{entry!r} is no entry of {name!r}.", {"shape": array.shape}, f"the last one is {name}[{last}]"
        )
    mark = np.zeros(array.shape)
    mark[at] = 1
    rest = array * (1 - mark)

    def f(number: Any) -> Value:
        """The loss for this number."""
        return loss({**weights, name: ops.constant(rest) + ops.constant(mark) * number})

    return f, float(array[at])


def fit_lbfgs(
    executable: Executable,
    state: State,
    weights: Mapping[str, Parameter],
    data: Dataset,
    steps: int,
    tolerance: float,
    evaluations: int | None,
    history: History,
) -> None:
    """Move the weights downhill on the loss over all of the data; ``history`` gets the loss after each step."""
    for name, w in weights.items():
        if w.constraint is not None:
            raise UsageError(f"L-BFGS knows no constraints, and {name!r} has one.", hint="train it with fit")
    ends = np.cumsum([w.type.size for w in weights.values()])
    current = np.empty(ends[-1])
    parts = np.split(current, ends[:-1])
    memories = [state[name] for name in weights]
    places: list[tuple[Array, Array]] = []  # where the parts of `current` belong
    names = [_PREFIX + name for name in weights]
    block = _block(data)

    def put(vector: Array) -> None:
        current[:] = vector
        for there, part in places:
            there[...] = part
        for memory in memories:
            memory.paneled_was_written()

    count = 0

    def function(vector: Array) -> tuple[float, Array]:
        nonlocal count
        count += 1
        put(vector)
        found = executable.run(state, block, None, {})
        return float(found["loss"][0]), np.concatenate([found[name] for name in names], axis=None, dtype=np.float64)

    def run() -> None:
        x = np.concatenate([memory.read().ravel() for memory in memories]).astype(np.float64)
        for memory, part, w in zip(memories, parts, weights.values(), strict=True):
            places.extend(memory.places(part.reshape(w.shape)))
        try:
            for step, point in enumerate(lbfgs(function, x)):
                x, loss, gradient = point
                if not np.isfinite(loss):
                    raise NonFiniteLossError(
                        f"The loss is {loss} to begin with.", hint="other weights, or scaled inputs"
                    )
                size = float(np.linalg.norm(gradient))
                history.append(step, {"loss": loss, "gradient_norm": size, "evaluations": count})
                if step == steps or size <= tolerance or (evaluations is not None and count >= evaluations):
                    break
        finally:
            put(x)  # the line search has been elsewhere

    state.turns.use(run)


def _block(data: Dataset) -> Block:
    return Block([c.array if c.ready else c.take(np.arange(len(data))) for c in data.columns])


def _exact(array: Array) -> Value:
    return ops.constant(array, "float64" if array.dtype.kind == "f" else str(array.dtype))
