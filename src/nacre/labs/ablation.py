"""What does a network miss when a part of it, or of a picture, is gone?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation, UsageError, find
from nacre.labs.result import Result
from nacre.layers import Input, Symbol
from nacre.layers.symbol import leading_to
from nacre.metrics import BinaryAccuracy
from nacre.metrics.accuracy import told_of_few
from nacre.models import Functional, Model, Sequential
from nacre.models.goals import probabilities
from nacre.progress import tell

Array = npt.NDArray[Any]

_VALUES: Mapping[str, Callable[[Array], Array]] = {
    "zero": lambda x: np.zeros(x.shape[1:], x.dtype),
    "mean": lambda x: x.mean(axis=0, dtype=np.float64).astype(x.dtype),
}


def ablation(
    model: Model, x: Any, y: Any, layer: str | None = None, *, value: str = "zero", patch: int | None = None
) -> Result:
    """Knock out one unit of a layer after the other, or cover one patch of the pictures x after the other.

    The output of a unit becomes 0, or its mean over these rows with ``value`` "mean", for all rows, and only the layers behind it
    run anew. ``layer`` is the name of a layer, left out the first that has weights. With ``patch``, it is squares of so many pixels
    of x (n, height, width, ...) that become 0, or the mean picture (occlusion: M. Zeiler and R. Fergus, "Visualizing and
    understanding convolutional networks", ECCV 2014). For each unit or patch, in the order of the damage, there is the change of
    the loss and of the accuracy, and the share of the rows whose answer flips; the figures tell by how many units the answer of a
    row is flipped on average. For a model with one output that was compiled; it stays as it is.

    Raises `UnknownName` for a layer that is not there, `UsageError` for pictures that are none, and `Limitation` for a layer
    around which there is another way to the output, and for a model that is written as a class.

    >>> import nacre
    >>> net = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(2, name="units"), nacre.layers.Dense(1, name="sum")])
    >>> net.compile("sgd", "mse")
    >>> net.set_weights([np.eye(2), np.zeros(2), [[3.0], [0.1]], np.zeros(1)])
    >>> found = nacre.labs.ablation(net, [[1.0, 1.0]], [3.1])
    >>> [(row["unit"], round(row["change of loss"], 2)) for row in found.rows]
    [(0, 9.0), (1, 0.01)]
    """
    blank = find("value", value, _VALUES)
    if len(model.output_names) != 1:
        raise Limitation("ablation is for models with one output.", {"outputs": ", ".join(model.output_names)})
    if patch is not None:
        whole = np.asarray(x)
        parts, what, begin, rest = _patches(whole, patch), f"patches of {patch} x {patch}", whole, model
    else:
        if not isinstance(model, Sequential | Functional):
            raise Limitation(
                f"Nothing is known of what {type(model).__name__} computes between its layers, and which are behind one.",
                hint="nacre.Sequential, or nacre.Model(inputs, outputs); or cover patches of the inputs",
            )
        twin = copy.deepcopy(model)  # calls of its layers would be noticed
        cut = _cut(twin, layer)
        begin = np.asarray(Functional(twin.inputs, cut, name="head").predict(x))
        rest = _behind(twin, cut)
        rest.compile("sgd", model.loss, metrics=_measured(model))
        parts = [({"unit": unit}, (..., unit)) for unit in range(begin.shape[-1])]
        what = f"units of {cut.layer.name}"
    instead, before = blank(begin), _judged(rest, begin, y)
    rows: list[dict[str, Any]] = []
    flips = np.zeros((len(parts), len(begin)), bool)
    for number, (said, at) in enumerate(parts):
        tell("Knocking out", number, len(parts), what.split()[0])
        damaged = begin.copy()
        damaged[(slice(None), *at) if at[0] is not ... else at] = instead[at]
        after = _judged(rest, damaged, y)
        changes = {f"change of {name}": after[0][name] - before[0][name] for name in before[0]}
        if after[1] is not None:
            flips[number] = after[1] != before[1]
            changes["answers that flip"] = float(flips[number].mean())
        rows.append(said | changes)
    rows.sort(key=lambda row: -row["change of loss"])
    figures: dict[str, Any] = dict(before[0])
    if "accuracy" in before[0] and (few := told_of_few(before[0]["accuracy"], len(begin))):
        figures["accuracy with 95 % confidence"] = few
    if before[1] is not None:
        name = what.split()[0]
        figures[f"{name} that flip the answer of a row, on average"] = float(flips.mean())
        figures[f"rows that no one of the {name} flips"] = float((~flips.any(axis=0)).mean())
    title = f"Knocked out, one by one, set to {value}: {len(parts)} {what}, {len(begin):,} rows"
    first = rows[0]
    worst = " ".join(f"{name} {value}" for name, value in first.items() if isinstance(value, int))
    return Result(title, f"most is missed of {worst}: the loss changes by {first['change of loss']:.4g}", rows, figures)


def _patches(x: Array, size: int) -> list[tuple[dict[str, int], tuple[Any, ...]]]:
    """Where each patch begins, and which part of a picture it is."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise UsageError(f"patch is a number of pixels from 1 on, got {size!r}.")
    if x.ndim < 3:
        raise UsageError("Patches are of pictures (n, height, width, ...).", {"found": x.shape}, "leave out patch")
    return [
        ({"row": top, "column": left}, (slice(top, top + size), slice(left, left + size)))
        for top in range(0, x.shape[1], size)
        for left in range(0, x.shape[2], size)
    ]


def _cut(model: Model, layer: str | None) -> Symbol:
    """The output of a layer in the model; of the first with weights that is passed on every way, if none is named."""
    symbols = {s.layer.name: s for s in leading_to(model.outputs) if s.operands}
    if layer is not None:
        return find("layer", layer, symbols)
    able = [s for s in symbols.values() if s.layer.weights and _is_passed_by_all(model, s)]
    if not able:
        raise UsageError(
            "No layer of the model has weights and is passed on every way.", hint=f"name a layer: {', '.join(symbols)}"
        )
    return able[0]


def _is_passed_by_all(model: Model, cut: Symbol) -> bool:
    """Whether no way leads from an input to an output around a symbol."""
    pending, seen = list(model.outputs), {id(cut)}
    while pending:
        symbol = pending.pop()
        if id(symbol) in seen:
            continue
        if not symbol.operands:
            return False
        seen.add(id(symbol))
        pending += symbol.operands
    return True


def _behind(model: Model, cut: Symbol) -> Functional:
    """The layers behind a symbol, as a model that shares their weights."""
    begin = Input([int(n or 0) for n in cut.shape[1:]], dtype=cut.dtype)
    made: dict[int, Any] = {id(cut): begin}
    for symbol in leading_to(model.outputs):
        if id(symbol) in made or not any(id(operand) in made for operand in symbol.operands):
            continue
        if around := [operand for operand in symbol.operands if id(operand) not in made]:
            raise Limitation(
                f"There is a way to the output around the layer {cut.layer.name!r}.",
                {"from": around[0].layer.name, "into": symbol.layer.name},
                "another layer",
            )
        given = [made[id(operand)] for operand in symbol.operands]
        found = symbol.layer(given if symbol.layer.several else given[0], training=symbol.training)
        made[id(symbol)] = found[symbol.output] if isinstance(found, list) else found
    (end,) = model.outputs
    if end is cut:
        raise UsageError(f"{cut.layer.name!r} is the last layer: behind it, there is nothing.", hint="an earlier layer")
    return Functional(begin, made[id(end)], name="behind")


def _decides(model: Model) -> bool:
    """Whether the output is an answer, and no number."""
    return model.judged_outputs()[0][0] != "numbers" or "binary" in type(model.loss).__name__.lower()


def _measured(model: Model) -> list[Any]:
    """The accuracy, if there is one; of one score, the answer is yes above 0."""
    if not _decides(model):
        return []
    score = getattr(model.loss, "from_logits", False) and model.output_shapes[0][-1] == 1
    return [BinaryAccuracy(name="accuracy", threshold=0.0) if score else "accuracy"]


def _judged(model: Model, x: Array, y: Any) -> tuple[dict[str, float], Array | None]:
    """Loss and accuracy, and the answer to each row, if the model gives some."""
    figures = model.evaluate(x, y, verbose=0, return_dict=True)
    if not _decides(model):
        return figures, None
    said = np.asarray(model.predict(x))
    return figures, probabilities(model.loss, said.reshape(-1, said.shape[-1])).argmax(-1).reshape(said.shape[:-1])
