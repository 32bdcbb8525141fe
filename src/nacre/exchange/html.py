"""A model as one page that predicts by itself: a pad to draw on, a form for a table, or numbers; nothing is loaded, nothing sent.

The graph of a prediction of one row is written as data, and a small interpreter (`pieces/network.js`) computes it operation by
operation. Matrices of weights are whole numbers of 16 bits, a multiple of which they are: that takes no more room than float16, and
changes outputs less, since the weights of a layer are of one size.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

import nacre
from nacre.data import Features, Pictures
from nacre.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nacre.errors import Limitation
from nacre.exchange.traced import ROWS, Traced, largest_difference, made_up, predicted, predicted_with, size_of, traced
from nacre.exchange.written import Written
from nacre.files import write_whole
from nacre.ir import Graph, Value
from nacre.models import Model
from nacre.models.forms import answers, drawn, field_of, full_ink, kind_of
from nacre.pages import rendered
from nacre.passes.simplify import splat

Array = npt.NDArray[Any]

_PIECES = Path(__file__).parent / "pieces"
# Sides of pictures in which digits have a known size: in MNIST's they are in a box of 20 of 28 pixels, with the center of mass in
# the middle; in the digits of UCI they fill the picture. By that they are brought to their place, if there are ten classes.
_DIGITS = {(28, 28): (20, True), (8, 8): (8, False)}
_ENOUGH = 1e-3  # of the largest output, by which 16 bits may change outputs
_INK = 255.0  # full, in bytes

GAPS = {"random_uniform": "a prediction that draws random numbers has no words in HTML"}


def write(model: Model, path: Path) -> Written:
    """Write the page. How far its rounded weights let outputs differ is computed by nacre itself. Raises `Limitation` for what the
    page has no words for."""
    one = traced(model, "HTML")
    rows = made_up(model, one.graph, list(one.inputs.values()))
    expected = predicted(model, rows)
    kept = {name: _short(w)[0] * _short(w)[1] if w.ndim >= 2 else w for name, w in one.weights.items()}
    short = predicted_with(kept, model, rows)
    difference = largest_difference(model, short, expected, "HTML", math.inf)
    is_short = difference <= _ENOUGH * max(1.0, *(float(np.abs(y).max(initial=0)) for y in expected))
    said = f"in 16 bits: outputs differ by {difference:.2g} at most, over {ROWS:,} rows that were made up"
    notes = [f"Its matrices are {said if is_short else 'in float32, since 16 bits would change outputs'}."]
    content = _content(model, one)
    if content["kind"] == "file":
        notes.append(
            "Browsers make pictures smaller in their own way, so probabilities differ a little from those of nacre predict."
        )
    text = _page(path.stem, one, content, notes, is_short)
    write_whole(path, [text])
    return Written(path, "html", len(text), ROWS if is_short else 0, difference if is_short else None, tuple(notes))


# ------------------------------------------------------------------ the graph as data


def _short(array: Array) -> tuple[Array, float]:
    """Whole numbers of 16 bits, and the number by which they are to be multiplied; numbers that are not finite stay as they are."""
    most = float(np.abs(array).max(initial=0.0))
    if array.dtype != np.float32 or not math.isfinite(most):
        return array, 1.0
    scale = most / 32767 or 1.0
    return np.round(array / scale).astype(np.int16), scale


def described(
    graph: Graph,
    inputs: Mapping[str, Value],
    outputs: Mapping[str, Value],
    weights: Mapping[str, Array],
    short: bool,
) -> tuple[dict[str, Any], str]:
    """The graph as the interpreter takes it, and all weights in base64; matrices in 16 bits, if ``short``."""
    numbers: dict[int, int] = {}
    given = [
        {"name": name, "shape": list(v.shape), "dtype": v.dtype, "count": size_of(v.shape)}
        for name, v in inputs.items()
    ]
    for value in inputs.values():
        numbers[id(value)] = len(numbers)
    tensors: list[dict[str, Any]] = []
    data = bytearray()

    def keep(value: Value, array: Array, shorten: bool) -> None:
        array, scale = _short(array) if shorten else (array, 1.0)
        data.extend(b"\0" * (-len(data) % 4))
        tensors.append(
            {
                "kind": str(array.dtype),
                "at": len(data),
                "count": array.size,
                "scale": scale,
                "shape": list(value.shape),
                "dtype": value.dtype,
            }
        )
        data.extend(array.tobytes())
        numbers[id(value)] = len(numbers)

    used = {id(o) for node in graph.nodes for o in node.operands} | {id(v) for v in outputs.values()}
    for name, array in weights.items():
        if id(graph.input(name)) in used:
            keep(graph.input(name), array, short and array.ndim >= 2)
    fixed = [v for v in graph.nodes if v.operation is not None and v.operation.name == "constant" and splat(v) is None]
    for value in fixed:
        keep(value, np.asarray(value.attrs["value"], "uint8" if value.dtype == "bool" else value.dtype), False)
    steps: list[dict[str, Any]] = []
    for node in graph.nodes:
        assert node.operation is not None
        if id(node) in numbers:
            continue
        if node.operation.name in GAPS:
            raise Limitation(f"{node.operation.name} is not there in HTML: {GAPS[node.operation.name]}.")
        of = [numbers[id(o)] for o in node.operands]
        name = "truth" if node.operation.name == "cast" and node.dtype == "bool" else node.operation.name
        attrs = {k: _finite(v) for k, v in node.attrs.items() if k != "shape"}
        steps.append({"op": name, "of": of, "shape": list(node.shape), "dtype": node.dtype, "attrs": attrs})
        numbers[id(node)] = len(numbers)
    described_ = {
        "inputs": given,
        "tensors": tensors,
        "steps": steps,
        "outputs": [numbers[id(v)] for v in outputs.values()],
    }
    return described_, base64.b64encode(bytes(data)).decode()


def _finite(attribute: Any) -> Any:
    """An attribute as JSON can hold it: what is not finite, as JavaScript spells it."""
    if isinstance(attribute, float) and not math.isfinite(attribute):
        return "NaN" if math.isnan(attribute) else "Infinity" if attribute > 0 else "-Infinity"
    return attribute


# ------------------------------------------------------------------ the page


def _content(model: Model, one: Traced) -> dict[str, Any]:
    """What kind of form the page has, and what is in it."""
    features, shapes = model.features, [given.shape[1:] for given in one.inputs.values()]
    kind, told = kind_of(model, shapes), [asdict(answer) for answer in answers(model)]
    content: dict[str, Any] = {"kind": kind, "picture": {}, "fields": [], "features": [], "outputs": told}
    if isinstance(features, Features):
        fields = [_field(feature) for feature in features.features]
        return content | {"fields": fields, "features": [_encoding(f) for f in features.features]}
    if isinstance(features, Pictures) and kind == "file":
        sides = {"rows": features.height, "columns": features.width, "colors": features.shape[2], "fit": features.fit}
        return content | {"picture": sides}
    picture = drawn(shapes[0])
    if picture is None or kind != "pad":
        return content
    digits = len(told) == 1 and len(told[0]["classes"] or ()) == 10
    box, mass = _DIGITS.get(picture, (0, False)) if digits else (0, False)
    whole = isinstance(features, Pictures) or not next(iter(one.inputs.values())).type.is_float
    ink = full_ink(model)
    sides = {"rows": picture[0], "columns": picture[1], "box": box, "mass": mass}
    return content | {
        "picture": sides | {"most": _INK if whole and ink == 1 else ink, "whole": whole},
    }


def _field(feature: Feature) -> dict[str, Any]:
    field = asdict(field_of(feature))
    if isinstance(feature, DateFeature):
        at_noon = "T12:00" if feature.hours else ""
        return field | {"kind": "datetime-local" if feature.hours else "date", "value": f"{feature.last}{at_noon}"}
    return field | ({"kind": "term"} if field["kind"] == "text" else {})


def _encoding(feature: Feature) -> dict[str, Any]:
    """What the page must know to turn a field into numbers, as the feature does it."""
    if isinstance(feature, CategoryFeature):
        return {"kind": "category", "terms": feature.terms, "fold": feature.fold}
    if isinstance(feature, DateFeature):
        known = {"mean": feature.mean, "scale": feature.scale, "hours": feature.hours, "holes": feature.holes}
        return {"kind": "date", **known}
    if isinstance(feature, NumberFeature):
        known = {"mean": feature.mean, "scale": feature.scale, "log": feature.log, "holes": feature.holes}
        return {"kind": "number", **known}
    raise Limitation(f"The feature {feature.name!r} is of a kind of its own, which a page has no words for.")


def _page(name: str, one: Traced, content: Mapping[str, Any], notes: Sequence[str], short: bool) -> bytes:
    network, weights = described(one.graph, one.inputs, one.outputs, one.weights, short)
    script = "".join((_PIECES / file).read_text(encoding="utf-8") for file in ("network.js", "page.js"))
    style = (_PIECES / "page.css").read_text(encoding="utf-8")
    description = {"network": network, **{k: content[k] for k in ("kind", "picture", "features", "outputs")}}
    return rendered(
        _PIECES / "page.html.jinja",
        {
            **content,
            "name": name,
            "parameters": one.parameters,
            "network": network,
            "description": description,
            "weights": weights,
            "notes": [*notes, f"Written by nacre {nacre.__version__}."],
            "script": Markup(script),
            "style": Markup(style),
            "script_hash": _hash(script),
            "style_hash": _hash(style),
        },
    )


def _hash(text: str) -> str:
    """How a policy names a text that may run.

    >>> _hash("")
    '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


__all__ = ["GAPS", "described", "write"]
