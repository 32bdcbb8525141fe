"""The page on which a model can be tried: a form for a table, a place for pictures, a pad to draw on, or plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nacre.data import Features, Pictures
from nacre.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nacre.models.forms import answers, drawn, full_ink
from nacre.pages import rendered
from nacre.web import Assets

if TYPE_CHECKING:
    from nacre.serve.service import Served

_FRONT = Path(__file__).parent / "front"
_LISTED = 60  # terms in a list to choose from; more are to be typed


def assets() -> Mapping[str, tuple[bytes, bytes]]:
    """What the page loads, by path."""
    return {f"/{name}": file for name, file in Assets(_FRONT).files.items() if name.endswith((".js", ".css"))}


def rendered_for(names: Sequence[str], served: Served) -> bytes:
    """The page for a model; ``names`` are those of all models."""
    model = served.model
    features = model.features
    content: dict[str, Any] = {"names": names, "name": served.name, "fields": [], "kind": "numbers", "form": {}}
    shape = served.signature.inputs[0].shape
    if isinstance(features, Features):
        content |= {"kind": "table", "fields": [_field(one) for one in features.features]}
    elif isinstance(features, Pictures):
        content["kind"] = "pad" if features.color == "grey" and drawn(shape) is not None else "file"
        content["form"] = {"height": shape[0], "width": shape[1], "most": 0, "depth": 3}
    elif len(served.signature.inputs) == 1 and (picture := drawn(shape)) is not None:
        content["kind"] = "pad"
        content["form"] = {"height": picture[0], "width": picture[1], "most": full_ink(model), "depth": len(shape)}
    sizes = [math.prod(tensor.shape) for tensor in served.signature.inputs]
    content["sizes"] = [
        {"name": tensor.name, "size": size, "shape": list(tensor.shape)}
        for tensor, size in zip(served.signature.inputs, sizes, strict=True)
    ]
    content["outputs"] = [asdict(answer) for answer in answers(model)]
    return rendered(_FRONT / "page.html.jinja", content)


def _field(feature: Feature) -> dict[str, Any]:
    """An entry of the form: what kind, with what in it at first."""
    field: dict[str, Any] = {"name": feature.name, "told": feature.told(), "terms": [], "kind": "text", "value": ""}
    if isinstance(feature, NumberFeature):
        middle = math.expm1(feature.mean) if feature.log else feature.mean
        return field | {"kind": "number", "value": f"{min(max(middle, feature.least), feature.most):.4g}"}
    if isinstance(feature, CategoryFeature):
        kind = "choice" if len(feature.terms) <= _LISTED else "text"
        return field | {"kind": kind, "terms": feature.terms, "value": feature.terms[0] if feature.terms else ""}
    if isinstance(feature, DateFeature) and feature.form in ("", "ISO8601"):
        return field | {"kind": "date", "value": feature.last}
    return field


__all__ = ["assets", "rendered_for"]
