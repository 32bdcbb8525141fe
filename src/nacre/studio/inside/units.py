"""What units answer to an input, and what they vote for; and what weights look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation
from nacre.explain import explain
from nacre.explain.explanation import Explanation
from nacre.insight import first_layer
from nacre.layers import Dense
from nacre.studio.figures import Bar, Bars, Figure, Heat, Pictures, Table, Text
from nacre.studio.folders import check_outputs
from nacre.studio.inside.phases import Row, strip
from nacre.studio.inside.study import Study

Array = npt.NDArray[Any]

_VOTERS = 8  # units of a table
_PICTURES = 144  # of units, at most
_SIDE = 256  # of a matrix that is drawn whole


def answered(study: Study, x: Any) -> dict[str, Any]:
    """What the network says of one row: outputs, votes of the units before the last layer, and all activations."""
    found = explain(study.model, x)
    outputs = found.outputs[0].reshape(-1)
    check_outputs(outputs)
    names = study.classes_of(outputs)
    best = int(outputs.argmax()) if names else 0
    shares = names is not None and bool(outputs.min() >= 0) and abs(float(outputs.sum()) - 1) < 1e-3
    bars = [
        Bar(names[k] if names else f"output {k}", float(v), _percent(v) if shares else None)
        for k, v in enumerate(outputs[:100].tolist())
    ]
    layers = [
        strip(layer.output[0], f"activations of {layer.name}", f"{layer.name}, {layer.output[0].size} units")
        for layer in found.layers
        if layer.scores is not None
    ]
    return {
        "said": names[best] if names else f"{outputs[0]:.4g}",
        "outputs": Bars(bars=bars),
        "votes": _votes(study, found, best),
        "layers": layers,
        "input": study.picture(np.asarray(x[0], np.float64), "what the network sees") if study.pictured else None,
    }


def _percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def _votes(study: Study, found: Explanation, output: int) -> list[Figure]:
    votes = found.votes()
    if votes is None or votes.votes.shape[1] <= output:
        return []
    names = study.classes_of(votes.totals)
    name = names[output] if names else f"output {output}"
    kernel = found.layer(votes.layer).weights["kernel"].value
    rows: list[Row] = [
        [f"unit {i}", float(votes.activations[i]), float(kernel[i, output]), float(votes.votes[i, output])]
        for i in votes.order(output)[:_VOTERS].tolist()
    ]
    rest = float(votes.votes[:, output].sum()) - sum(
        float(votes.votes[i, output]) for i in votes.order(output)[:_VOTERS]
    )
    rows += [
        ["all other units", "", "", rest],
        ["bias", "", "", float(votes.bias[output])],
        ["score", "", "", float(votes.totals[output])],
    ]
    return [
        Text(text=f"Votes for “{name}”: activation times weight. They add up to its score."),
        Table(columns=["unit", "activation", "weight", "vote"], rows=rows, marked=len(rows) - 1),
    ]


def weights(study: Study) -> list[Figure]:
    """The weights of each dense layer: as pictures where they look at one, as a matrix otherwise."""
    figures: list[Figure] = []
    seen = ""
    if study.pictured:
        try:
            first = first_layer(study.model)
        except Limitation:
            pass
        else:
            seen = first.name
            figures.append(_looked(first.name, first.pictures))
    for layer in study.model.layers:
        if isinstance(layer, Dense) and layer.kernel is not None and layer.name != seen:
            kernel = layer.kernel.numpy()
            rows, columns = kernel.shape
            cut = f", the first {_SIDE}" if max(kernel.shape) > _SIDE else ""
            title = f"{layer.name}: from {rows} numbers (down) to {columns} units (across){cut}"
            figures.append(
                Heat.of(
                    kernel[:_SIDE, :_SIDE],
                    f"weights of {layer.name}",
                    title=title,
                    size=f"{max(60, min(640, 10 * columns))}px",
                )
            )
    return figures or [Text(text="This network has no dense layer.")]


def _looked(name: str, pictures: Array) -> Figure:
    most = float(np.abs(pictures).max()) or 1.0
    gray = pictures.mean(-1) if pictures.ndim == 4 else pictures
    shown = [Heat.of(p, f"unit {i}", low=-most, high=most) for i, p in enumerate(gray[:_PICTURES])]
    more = f", the first {_PICTURES} of {len(gray)}" if len(gray) > _PICTURES else ""
    return Pictures(
        title=f"{name}: what each unit looks for (blue) and against (orange){more}", pictures=shown, size=72
    )
