"""The page on which a model can be tried: a form for a table, a place for pictures, a pad to draw on, or plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nacre.data import Features, Pictures
from nacre.models.forms import answers, drawn, field_of, full_ink, kind_of
from nacre.pages import rendered
from nacre.web import Assets

if TYPE_CHECKING:
    from nacre.serve.service import Served

_FRONT = Path(__file__).parent / "front"


def assets() -> Mapping[str, tuple[bytes, bytes]]:
    """What the page loads, by path."""
    return {f"/{name}": file for name, file in Assets(_FRONT).files.items() if name.endswith((".js", ".css"))}


def rendered_for(names: Sequence[str], served: Served) -> bytes:
    """The page for a model; ``names`` are those of all models."""
    model = served.model
    features = model.features
    shapes = [tensor.shape for tensor in served.signature.inputs]
    kind, shape = kind_of(model, shapes), shapes[0]
    content: dict[str, Any] = {"names": names, "name": served.name, "fields": [], "kind": kind, "form": {}}
    if isinstance(features, Features):
        content["fields"] = [asdict(field_of(one)) for one in features.features]
    elif isinstance(features, Pictures):
        content["form"] = {"height": shape[0], "width": shape[1], "most": 0, "depth": 3}
    elif (picture := drawn(shape)) is not None and kind == "pad":
        content["form"] = {"height": picture[0], "width": picture[1], "most": full_ink(model), "depth": len(shape)}
    sizes = [math.prod(tensor.shape) for tensor in served.signature.inputs]
    content["sizes"] = [
        {"name": tensor.name, "size": size, "shape": list(tensor.shape)}
        for tensor, size in zip(served.signature.inputs, sizes, strict=True)
    ]
    content["outputs"] = [asdict(answer) for answer in answers(model)]
    return rendered(_FRONT / "page.html.jinja", content)


__all__ = ["assets", "rendered_for"]
