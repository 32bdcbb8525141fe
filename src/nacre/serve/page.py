"""The page on which a model can be tried: a form for a table, a place for pictures, a pad to draw on, or plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nacre import activations
from nacre.data import Features, Pictures
from nacre.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nacre.layers import Rescaling
from nacre.models import Model
from nacre.pages import rendered
from nacre.web import Assets

if TYPE_CHECKING:
    from nacre.serve.service import Served

_FRONT = Path(__file__).parent / "front"
_LISTED = 60  # terms in a list to choose from; more are to be typed
_PAD = 64  # pixels on a side, for what can be drawn by hand


def assets() -> Mapping[str, tuple[bytes, bytes]]:
    """What the page loads, by path."""
    return {f"/{name}": file for name, file in Assets(_FRONT).files.items() if name.endswith((".js", ".css"))}


def classes_of(model: Model, output: int) -> list[str] | None:
    """The names of the classes that an output has probabilities of, if they are known."""
    if isinstance(model.features, Features) and len(model.features.targets) == len(model.output_names):
        return model.features.targets[output].classes
    return model.features.classes if isinstance(model.features, Pictures) else None


def rendered_for(names: Sequence[str], served: Served) -> bytes:
    """The page for a model; ``names`` are those of all models."""
    model = served.model
    features = model.features
    content: dict[str, Any] = {"names": names, "name": served.name, "fields": [], "kind": "numbers", "form": {}}
    shape = served.signature.inputs[0].shape
    if isinstance(features, Features):
        content |= {"kind": "table", "fields": [_field(one) for one in features.features]}
    elif isinstance(features, Pictures):
        content["kind"] = "pad" if features.color == "grey" and max(shape) <= _PAD else "file"
        content["form"] = {"height": shape[0], "width": shape[1], "most": 0, "depth": 3}
    elif len(served.signature.inputs) == 1 and _is_pad(shape):
        content["kind"] = "pad"
        content["form"] = {"height": shape[0], "width": shape[1], "most": _most(model), "depth": len(shape)}
    sizes = [math.prod(tensor.shape) for tensor in served.signature.inputs]
    content["sizes"] = [
        {"name": tensor.name, "size": size, "shape": list(tensor.shape)}
        for tensor, size in zip(served.signature.inputs, sizes, strict=True)
    ]
    content["outputs"] = [_output(model, number) for number in range(len(model.output_names))]
    return rendered(_FRONT / "page.html.jinja", content)


def _is_pad(shape: Sequence[int]) -> bool:
    return len(shape) in (2, 3) and shape[2:] in ((), (1,)) and min(shape[:2]) >= 4 and max(shape[:2]) <= _PAD


def _most(model: Model) -> float:
    """What full ink is as a number: where the network begins by scaling, what becomes 1."""
    first = model.layers[0]
    plain = isinstance(first, Rescaling) and isinstance(first.scale, int | float) and not first.offset
    return 1 / first.scale if plain else 1.0


def _output(model: Model, number: int) -> dict[str, Any]:
    name, shape, classes = model.output_names[number], model.output_shapes[number], classes_of(model, number)
    if classes is None and len(shape) == 2 and getattr(model.layers[-1], "activation", None) is activations.softmax:
        classes = [str(k) for k in range(int(shape[1] or 0))]
    if isinstance(model.features, Features) and len(model.features.targets) == len(model.output_names):
        name = model.features.targets[number].name
    return {"key": model.output_names[number], "name": name, "classes": classes}


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


__all__ = ["assets", "classes_of", "rendered_for"]
