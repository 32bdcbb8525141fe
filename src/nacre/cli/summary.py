"""nacre summary: what a model is made of."""

from __future__ import annotations

import json
from typing import Any

import click

from nacre.cli.options import JSON, MODEL, show, table
from nacre.cli.sources import model_file
from nacre.insight import lipschitz_bound
from nacre.interop import safetensors
from nacre.layers import Layer
from nacre.models import Model, load_model
from nacre.models.files import is_of_keras
from nacre.training.devices import device_of


@click.command()
@MODEL
@click.option(
    "--norms", is_flag=True, help="Also the norm of each layer: by how much it makes a change longer, at most."
)
@JSON
def summary(model: str, norms: bool, as_json: bool) -> None:
    """Print the layers of MODEL and how it was trained.

    MODEL is a model file or the folder of a run.

    \b
    Examples:
      nacre train digits --out my-run
      nacre summary my-run
      nacre summary my-run --norms
      nacre summary my-run/model.safetensors --json
    """
    path = model_file(model)
    loaded = load_model(path)
    described = loaded.snapshot()[0] if is_of_keras(path) else json.loads(safetensors.read(path)[1]["nacre"])
    training = described.get("training")
    bound = lipschitz_bound(loaded) if norms else None
    document = _document(loaded, described) | ({} if bound is None else {"norms": bound.document()})
    told = [_layers(loaded), *([] if bound is None else [str(bound)]), _training(training, loaded.output_names)]
    show(as_json, document, "\n\n".join(told))


def _layers(model: Model) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def _training(training: dict[str, Any] | None, outputs: list[str]) -> str:
    if training is None:
        return "Not compiled: it has no optimizer and no loss."
    losses, shares, metrics = (
        training[what] if len(outputs) > 1 else [training[what]] for what in ("loss", "loss_weights", "metrics")
    )
    rows = {"optimizer": _named(training["optimizer"])}
    for output, loss, share, chosen in zip(outputs, losses, shares, metrics, strict=True):
        where = f" of {output}" if len(outputs) > 1 else ""
        rows |= {
            f"loss{where}": "none" if loss is None else _named(loss) + ("" if share is None else f", times {share:g}"),
            f"metrics{where}": ", ".join(map(_named, chosen)) or "none",
        }
    rows |= {
        "steps": f"{training['iterations']:,}",
        "device": device_of(training),
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
        "inputs": {name: list(shape[1:]) for name, shape in zip(model.input_names, model.input_shapes, strict=True)},
        "outputs": {name: list(shape[1:]) for name, shape in zip(model.output_names, model.output_shapes, strict=True)},
        "parameters": model.count_params(),
        "layers": layers,
        "training": described.get("training"),
    }


def _layer(layer: Layer) -> dict[str, Any]:
    return {"name": layer.name, "type": type(layer).__name__, "parameters": layer.count_params()}
