"""nacre summary: what a model is made of."""

from __future__ import annotations

import json
from typing import Any

import click

from nacre.cli.options import JSON, MODEL, show, table
from nacre.cli.sources import model_file
from nacre.interop import safetensors
from nacre.layers import Layer
from nacre.models import Model, load_model


@click.command()
@MODEL
@JSON
def summary(model: str, as_json: bool) -> None:
    """Print the layers of MODEL and how it was trained.

    MODEL is a model file or the folder of a run.

    \b
    Examples:
      nacre train digits --out my-run
      nacre summary my-run
      nacre summary my-run/model.safetensors --json
    """
    path = model_file(model)
    loaded = load_model(path)  # which checks everything in the file
    described = json.loads(safetensors.read(path)[1]["nacre"])
    training = described.get("training")
    show(as_json, _document(loaded, described), f"{_layers(loaded)}\n\n{_training(training)}")


def _layers(model: Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def _training(training: dict[str, Any] | None) -> str:
    if training is None:
        return "Not compiled: it has no optimizer and no loss."
    rows = {
        "optimizer": _named(training["optimizer"]),
        "loss": _named(training["loss"]),
        "metrics": ", ".join(map(_named, training["metrics"])) or "none",
        "steps": f"{training['iterations']:,}",
        "backend": training["backend"],
    }
    return table(rows)


def _named(described: Any) -> str:
    """Something from a model file in one line.

    >>> _named({"class_name": "SGD", "config": {"learning_rate": 0.1, "nesterov": False}})
    'SGD (learning_rate 0.1)'
    """
    if not isinstance(described, dict):
        return str(described)
    said = {name: _named(value) for name, value in described.get("config", {}).items() if name != "name"}
    settings = ", ".join(f"{name} {value}" for name, value in said.items() if value not in ("None", "False"))
    return f"{described.get('class_name')} ({settings})" if settings else str(described.get("class_name"))


def _document(model: Model, described: dict[str, Any]) -> dict[str, Any]:
    layers = [_layer(layer) for layer in model.layers]
    return {
        "name": model.name,
        "nacre": described["nacre"],
        "input_shape": list(model.input_shape[1:]),
        "output_shape": list(model.output_shape[1:]),
        "parameters": model.count_params(),
        "layers": layers,
        "training": described.get("training"),
    }


def _layer(layer: Layer) -> dict[str, Any]:
    return {"name": layer.name, "type": type(layer).__name__, "parameters": layer.count_params()}
