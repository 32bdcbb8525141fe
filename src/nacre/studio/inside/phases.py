"""The four parts of one step of training on one row: forward, loss, backward, update, with all their numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.explain import explain
from nacre.explain.explanation import Explanation, LayerStep
from nacre.studio.figures import Figure, Heat, Table, Text
from nacre.studio.inside.study import Study

Array = npt.NDArray[Any]
Row = list[str | float | None]

_LISTED = 10  # units or weights of a table
_SHOWN = 4096  # units of a strip
_ACROSS = 64  # units in a row of a strip


def of(study: Study, row: int) -> dict[str, Any]:
    """What each of the four buttons shows for this row, with the weights as they are now."""
    part = study.at(row)
    step = explain(study.model, part.x, part.y)
    return {
        "steps": study.steps,
        "forward": [study.shown(part), *(figure for layer in step.layers for figure in _forward(layer))],
        "loss": _loss(study, step, study.label(row)),
        "backward": [figure for layer in reversed(step.layers) for figure in _backward(layer)],
        "update": _update(step),
        "notes": step.notes,
    }


def strip(values: Array, label: str, title: str = "") -> Heat:
    """The numbers of units as one picture, in rows of at most 64."""
    flat = np.asarray(values, np.float64).reshape(-1)[:_SHOWN]
    columns = min(len(flat), _ACROSS)
    padded = np.zeros(math.ceil(len(flat) / columns) * columns)
    padded[: len(flat)] = flat
    return Heat.of(padded.reshape(-1, columns), label, size=f"{14 * columns}px", title=title)


def _largest(values: Array) -> list[int]:
    order = np.argsort(-np.abs(values.reshape(-1)), kind="stable")
    return [int(i) for i in order[:_LISTED]]


def _forward(layer: LayerStep) -> list[Figure]:
    output = layer.output[0].reshape(-1)
    if layer.scores is None:
        return [strip(output, f"the {output.size} numbers that {layer.name} gives", f"{layer.name} ({layer.kind})")]
    scores = layer.scores[0].reshape(-1)
    rows: list[Row] = [[f"unit {i}", float(scores[i]), float(output[i])] for i in _largest(output)]
    head = f"{layer.name}: {len(output)} units, each a weighted sum z and its activation a = {layer.activation}(z)"
    listed = f"The {len(rows)} largest" if len(output) > len(rows) else ""
    return [
        strip(output, f"activations of {layer.name}", head),
        Table(title=listed, columns=["unit", "z", f"a = {layer.activation}(z)"], rows=rows),
    ]


def _loss(study: Study, step: Explanation, true: str) -> list[Figure]:
    assert step.targets is not None
    assert step.losses is not None
    outputs, targets, loss = step.outputs[0].reshape(-1), step.targets[0].reshape(-1), float(step.losses[0])
    name = step.loss.name if step.loss is not None else "loss"
    names = study.classes_of(outputs)
    rows: list[Row] = [
        [names[k] if names else f"output {k}", float(targets[k]), float(outputs[k]), float(outputs[k] - targets[k])]
        for k in range(min(len(outputs), 100))
    ]
    said = f"The loss of this row ({name}) is {loss:.4g}."
    if names and name.endswith("categorical_crossentropy"):
        p = float(outputs[int(targets.argmax())])
        said = (
            f"The network gives {true!r} the probability {p:.4g}; the loss of this row is -log({p:.4g}) = {loss:.4g}."
        )
    columns = ["class" if names else "output", "true", "given", "given - true"]
    return [
        Text(text=said, strong=True),
        Table(columns=columns, rows=rows, marked=int(targets.argmax()) if names else None),
    ]


def _backward(layer: LayerStep) -> list[Figure]:
    if layer.score_error is None:
        return []
    error = layer.score_error[0].reshape(-1)
    shown = _largest(error)
    rows: list[Row]
    if layer.error is None or layer.slope is None:  # the loss is computed from the scores, or units share a slope
        columns, rows = ["unit", "dL/dz"], [[f"unit {i}", float(error[i])] for i in shown]
    else:
        above, slope = layer.error[0].reshape(-1), layer.slope[0].reshape(-1)
        columns = ["unit", "dL/da", f"slope of {layer.activation}", "dL/dz, their product"]
        rows = [[f"unit {i}", float(above[i]), float(slope[i]), float(error[i])] for i in shown]
    trained = ((name, weight.gradient) for name, weight in layer.weights.items() if weight.gradient is not None)
    sizes = ", ".join(f"{name} {float(np.linalg.norm(gradient)):.3g}" for name, gradient in trained)
    return [
        strip(error, f"errors of {layer.name}", f"{layer.name}: how the loss changes with each z"),
        Table(columns=columns, rows=rows),
        Text(text=f"Norms of the gradients by the weights of {layer.name}: {sizes or 'none is trained'}."),
    ]


def _update(step: Explanation) -> list[Figure]:
    rows: list[Row] = [[one.name, one.old, one.new - one.old, one.new] for one in step.updates(_LISTED)]
    rate = "" if step.learning_rate is None else f", learning rate {step.learning_rate:.4g}"
    plain = ": each weight moves by the learning rate times its gradient, downhill" if step.plain else ""
    return [
        Text(text=f"The step of {step.optimizer}{rate}{plain}. The weights that it changes most:"),
        Table(columns=["weight", "before", "change", "after"], rows=rows),
    ]
