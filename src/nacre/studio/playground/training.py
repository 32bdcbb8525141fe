"""How the playground trains. A script made of a play holds these functions as they stand here."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import nacre

Array = npt.NDArray[Any]
At = tuple[int, int]  # the epoch, and how many of its rows were taken


def network(
    inputs: int,
    hidden: list[tuple[str, int, str]],
    outputs: tuple[int, str],
    optimizer: Any,
    loss: str,
    initializer: str = "glorot_uniform",
    l1: float = 0.0,
    l2: float = 0.0,
    dropout: float = 0.0,
) -> Any:
    """A network of dense layers (name, units, activation), compiled; weights of kernels are penalized, hidden units dropped."""
    settings: dict[str, Any] = {"kernel_initializer": initializer}
    if l1 or l2:
        settings["kernel_regularizer"] = nacre.regularizers.L1L2(l1, l2)
    stack: list[Any] = [nacre.Input((inputs,))]
    for name, units, activation in hidden:
        stack.append(nacre.layers.Dense(units, activation, name=name, **settings))
        if dropout:
            stack.append(nacre.layers.Dropout(dropout))
    stack.append(nacre.layers.Dense(*outputs, name="output", **settings))
    model = nacre.Sequential(stack)
    model.compile(optimizer, loss, metrics=["mae" if loss == "mse" else "accuracy"])
    return model


def train(model: Any, x: Array, y: Array, at: At, batch_size: int, steps: int, seed: int) -> At:
    """Take steps on batches from ``at`` on; each epoch has an order of its own, drawn by the seed. Returns where it ends."""
    while steps > 0:
        order = np.random.default_rng([seed, 3, at[0]]).permutation(len(x))
        rows = order[at[1] : at[1] + steps * batch_size]
        model.fit(x[rows], y[rows], batch_size=batch_size, shuffle=False, verbose=0)
        steps -= -(-len(rows) // batch_size)
        at = moved(at, len(rows), len(x))
    return at


def moved(at: At, taken: int, rows: int) -> At:
    """Where one is after so many rows more, at most to the end of the epoch."""
    return (at[0], at[1] + taken) if at[1] + taken < rows else (at[0] + 1, 0)


def carry(old: Any, new: Any, inputs: list[tuple[int, int]]) -> None:
    """Weights of ``old`` into ``new``: of layers by their names, of the units that both have.

    A kernel is carried if the layer before is the same too; ``inputs`` are numbers of inputs that both have, old and new.
    """
    before, after = ([one for one in m.layers if isinstance(one, nacre.layers.Dense)] for m in (old, new))
    sources = {layer.name: source for source, layer in zip([None, *(one.name for one in before)], before, strict=False)}
    known = {layer.name: layer for layer in before}
    for source, layer in zip([None, *(one.name for one in after)], after, strict=False):
        if layer.name not in known:
            continue
        (kernel, bias), (old_kernel, old_bias) = layer.get_weights(), known[layer.name].get_weights()
        units = min(len(bias), len(old_bias))
        bias[:units] = old_bias[:units]
        if sources[layer.name] == source:
            common = min(len(kernel), len(old_kernel))
            for former, number in inputs if source is None else zip(range(common), range(common), strict=True):
                kernel[number, :units] = old_kernel[former, :units]
        layer.set_weights([kernel, bias])


def set_weight(model: Any, layer: str, weight: str, place: tuple[int, ...], value: float) -> None:
    """One number of a kernel or bias, by hand."""
    arrays = model.get_layer(layer).get_weights()
    arrays[["kernel", "bias"].index(weight)][place] = value
    model.get_layer(layer).set_weights(arrays)
