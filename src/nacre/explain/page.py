"""An explanation as one page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.explain.numbers import short, top
from nacre.explain.text import formulas, heading, outcome, rule, shown_outputs
from nacre.pages import png, rendered

if TYPE_CHECKING:
    from nacre.explain.explanation import Explanation, LayerStep

Array = npt.NDArray[Any]

_UNITS, _BLAMED, _OUTPUTS = 12, 10, 12  # shown of a layer, of its weights, of the outputs
_SMALLEST = 8  # side of what is drawn as a picture


def page(explanation: Explanation) -> bytes:
    """The page about the first row, as HTML."""
    return rendered(Path(__file__).with_name("page.html.jinja"), _content(explanation))


def _content(explanation: Explanation) -> dict[str, Any]:
    """All that the page shows."""
    first, backward = explanation[0], explanation.losses is not None
    steps = list(zip(formulas(first.layers), first.layers, strict=True))
    x = first.layers[0].inputs[0][0]
    return {
        "title": heading(explanation),
        "outcome": outcome(first),
        "notes": explanation.notes,
        "given": _given(first),
        "picture": _picture(x) if len(first.layers[0].inputs) == 1 else None,
        "shape": " x ".join(map(str, x.shape)),
        "range": f"{short(x.min())} to {short(x.max())}",
        "forward": [{"formula": line, "table": None if _same(step) else _forward(step)} for line, step in steps],
        "votes": _votes(first),
        "loss": _loss(first) if backward else None,
        "backward": [
            _backward(step) for step in reversed(first.layers) if step.error is not None or step.score_error is not None
        ],
        "together": "" if explanation.batch == 1 else f", of all {explanation.batch} rows together",
        "rule": rule(explanation) if backward else "",
        "update": [_update(first, step) for step in first.layers if step.dense and step.score_error is not None],
    }


def _given(explanation: Explanation) -> dict[str, Any] | None:
    """What the numbers that come in stand for."""
    if explanation.given is None:
        return None
    row = explanation.given[0]
    largest = max((abs(one.number) for one in row if not one.term), default=0.0) or 1.0
    return {
        "known": any(one.value is not None for one in row),
        "rows": [
            (one.name, one.value, short(one.number), 0.0 if one.term else abs(one.number) / largest, one.number < 0)
            for one in row
        ],
    }


def _same(step: LayerStep) -> bool:
    """Whether a layer gives what it takes."""
    return len(step.inputs) == 1 and np.array_equal(step.inputs[0].reshape(-1), step.output.reshape(-1))


def _picture(x: Array) -> dict[str, Any] | None:
    """One row as a picture, if it may be one: (height, width), with 1 or 3 channels, or the square number of pixels of one."""
    side = math.isqrt(x.size)
    if x.ndim == 1 and side * side == x.size and side >= _SMALLEST:
        x = x.reshape(side, side)
    x = x[:, :, 0] if x.ndim == 3 and x.shape[2] == 1 else x
    if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[2] != 3) or max(x.shape[:2]) > 1024:
        return None
    if min(x.shape[:2]) < _SMALLEST or not np.isfinite(x).all():
        return None
    low, high = float(x.min()), float(x.max())
    pixels = ((x.astype(np.float64) - low) / (high - low or 1) * 255).round().astype(np.uint8)
    return {"url": png(pixels), "flat": x.ndim == 2}


def _table(
    rows: dict[str, Array], by: Array, unit: str = "unit", called: Sequence[str] | None = None
) -> dict[str, Any]:
    """Numbers of those units that are largest ``by`` something, or of all, if they are few; the last row with bars."""
    chosen = np.arange(len(by)) if len(by) <= _UNITS else np.sort(top(by, _UNITS))
    largest = float(np.abs(by[chosen]).max()) or 1.0
    return {
        "unit": unit,
        "units": chosen.tolist() if called is None else [called[u] for u in chosen.tolist()],
        "rows": [(name, [short(v) for v in values[chosen]]) for name, values in rows.items()],
        "bars": [(abs(v) / largest, v < 0) for v in by[chosen].tolist()],
        "rest": len(by) - len(chosen),
        "all": len(by),
    }


def _forward(step: LayerStep) -> dict[str, Any]:
    output = step.output[0].reshape(-1)
    rows = {"output": output}
    if step.scores is not None and step.scores.size == step.output.size:
        rows = {"score": step.scores[0].reshape(-1), "activation": output}
    return _table(rows, output, "unit" if step.scores is not None else "number", _called(step))


def _called(step: LayerStep) -> list[str] | None:
    """What the numbers of the output stand for, as columns of a table."""
    return None if step.called is None else step.called[0]


def _votes(explanation: Explanation) -> dict[str, Any] | None:
    votes = explanation.votes()
    if votes is None:
        return None
    chosen = shown_outputs(explanation, len(votes.totals), _OUTPUTS)
    said = int(np.argmax(votes.scores))
    order = votes.order(said)
    shown, others = order[:_UNITS], order[_UNITS:]
    largest = float(np.abs(votes.votes[shown][:, chosen]).max()) or 1.0

    def cells(row: Array) -> list[tuple[str, float, bool]]:
        return [(short(v, 3), min(1.0, abs(v) / largest), v < 0) for v in row[chosen].tolist()]

    return {
        "layer": votes.layer,
        "said": explanation.label(said),
        "names": [explanation.label(k) for k in chosen],
        "units": [(int(u), short(votes.activations[u]), cells(votes.votes[u])) for u in shown],
        "others": (len(others), [short(v, 3) for v in votes.votes[others].sum(0)[chosen]]),
        "bias": [short(votes.bias[k], 3) for k in chosen],
        "totals": [short(votes.totals[k], 6) for k in chosen],
        "scores": [short(votes.scores[k], 6) for k in chosen],
        "difference": short(votes.difference, 2),
    }


def _loss(explanation: Explanation) -> dict[str, Any]:
    assert explanation.loss is not None
    assert explanation.losses is not None
    last, table = explanation.layers[-1], None
    if explanation.targets is not None and last.output.shape == explanation.targets.shape:
        error = last.score_error if last.score_error is not None else last.error
        rows = [
            (
                explanation.label(k),
                *(short(values[0, k]) for values in (last.output, explanation.targets, error) if values is not None),
            )
            for k in shown_outputs(explanation, last.output.shape[1], _OUTPUTS).tolist()
        ]
        table = {"rows": rows, "left_out": last.output.shape[1] - len(rows)}
    return {"name": explanation.loss.name, "value": f"{explanation.losses[0]:.6g}", "table": table}


def _backward(step: LayerStep) -> dict[str, Any]:
    error = step.error if step.score_error is None else step.score_error
    assert error is not None
    rows = {"error": error[0].reshape(-1)}
    if step.slope is not None and step.error is not None:
        rows = {"gradient by output": step.error[0].reshape(-1), "x slope": step.slope[0].reshape(-1), **rows}
    what = "its scores" if step.score_error is not None else "its output"
    if step.score_error is not None and step.error is None:
        what += ", at once with the loss"
    norm = short(float(np.linalg.norm(error[0].astype(np.float64))))
    return {"name": step.name, "by": what, "norm": norm, "table": _table(rows, rows["error"], called=_called(step))}


def _update(explanation: Explanation, step: LayerStep) -> dict[str, Any]:
    rows = [
        [
            str(b.source) if b.name is None else b.name, str(b.unit), short(b.input), short(b.error), short(b.share),
            *("not trained" if v is None else short(float(v), 6) for v in (b.weight.gradient, b.weight.value, b.weight.new)),
        ]
        for b in explanation.blame(step.name, _BLAMED)
    ]  # fmt: skip
    return {"name": step.name, "rows": rows, "rest": step.weights["kernel"].value.size - len(rows)}


__all__ = ["page"]
