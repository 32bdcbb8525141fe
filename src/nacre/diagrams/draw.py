"""Asking a model for what it runs, and drawing that."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.diagrams.build import boxes, kernels, layers, operations
from nacre.diagrams.diagram import Diagram
from nacre.diagrams.groups import Groups
from nacre.diagrams.nodes import Box, Range
from nacre.errors import UsageError, find
from nacre.ir import Value
from nacre.models import Model
from nacre.models.goals import blank_targets
from nacre.ops import evaluate

Array = npt.NDArray[Any]

KINDS = {"layers": True, "operations": False}


def draw(
    model: Model, x: Any, y: Any, kind: str, plan: bool, batch_size: int, seconds: float, predict: bool
) -> Diagram:
    """What `Model.graph` gives."""
    by_layers = find("kind of graph", kind, KINDS)
    if seconds and not plan:
        raise UsageError("Time is measured of kernels, which only a plan has.", hint="plan=True, or --plan")
    if x is None and y is not None:
        raise UsageError("There are targets y and no rows x.", hint="pass both, or neither")
    given = x is not None
    if not given:
        x, y = rows_like(model, batch_size * 8 if seconds else batch_size)
    y = None if predict else y
    data = model._build_for(model._columns(x)) if y is None else model._dataset(x, y)
    rows = min(batch_size, len(data))
    step = "prediction" if y is None else "training"
    if plan:
        steps, times = model.plan(x, y, rows, seconds)
        types = {name: w.type for name, w in model.named.items()}
        nodes, edges = kernels(steps, times, types, model.metrics_names if y is not None else ())
        return Diagram(
            model.name,
            "plan",
            step,
            rows,
            tuple(nodes),
            tuple(edges),
            {n.name: Box(n.part, n.name, n.name) for n in nodes},
        )
    trainer = model._training(data) if data.targets else model._predicting()
    program, notes, numbers = trainer.traced(data, rows)
    groups = Groups(program, notes, list(model.named), split=by_layers)
    ranges: dict[int, Range] = {}
    if given:
        values = [value for value in [*groups.graph.inputs, *groups.graph.nodes] if id(value) in groups.of]
        arrays = evaluate(values, numbers)
        ranges = {id(value): _range(array) for value, array in zip(values, arrays, strict=True) if array.size}

    def range_of(value: Value) -> Range | None:
        return ranges.get(id(value))

    if not by_layers:
        nodes, edges = operations(groups, range_of)
    elif y is None:
        nodes, edges = layers(groups, range_of)
    else:
        losses = model.loss if isinstance(model.loss, list) else [model.loss]
        said = " + ".join(one.name for one in losses if one is not None)
        nodes, edges = layers(groups, range_of, said, model.optimizer.name)
    return Diagram(model.name, kind, step, rows, tuple(nodes), tuple(edges), boxes(groups), tuple(groups.idle))


def _range(array: Array) -> Range:
    exact = array.astype(np.float64)
    with np.errstate(all="ignore"):
        return Range(float(exact.min()), float(exact.mean()), float(exact.max()))


def rows_like(model: Model, count: int) -> tuple[Any, Any]:
    """Random rows that a model takes, zeros where it takes whole numbers, and targets of the sort that its losses want; None if it
    was not compiled."""
    random = np.random.default_rng(0)
    x: list[Array] = []
    for symbol in model.inputs:
        shape = (count, *(int(n or 1) for n in symbol.shape[1:]))
        drawn = symbol.dtype.startswith("float")
        x.append(random.random(shape, dtype=np.float32) if drawn else np.zeros(shape, symbol.dtype))
    y = blank_targets(model.judged_outputs(), count)
    return x if len(x) > 1 else x[0], None if not y else y if len(y) > 1 else y[0]
