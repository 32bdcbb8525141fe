"""nacre serve: models that answer over HTTP."""

from __future__ import annotations

import re
from pathlib import Path

import click

from nacre.cli.options import JSON, show
from nacre.cli.sources import open_model
from nacre.errors import UsageError
from nacre.models import Model
from nacre.upstairs import room

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option(
    "--host", default="127.0.0.1", help="The address to listen on; any but this machine's own needs the token."
)
@click.option("--port", type=click.IntRange(0, 65535), help="The port.  [default: the first free one from 8765]")
@click.option("--token", help="What clients show to be answered.  [default: none here, a new one on other addresses]")
@JSON
def serve(models: tuple[str, ...], host: str, port: int | None, token: str | None, as_json: bool) -> None:
    """Answer requests for predictions over HTTP, until Ctrl-C.

    A MODEL is a model file or the folder of a run, or NAME=PATH to give it a name. The first answers at /predict; all of them at
    /v1/models/NAME:predict, as TensorFlow Serving does, and at /v2/models/NAME/infer, the Open Inference Protocol. A page to try
    them on is at /, what they take and give at /openapi.json, counters for Prometheus at /metrics.

    Rows are arrays of numbers; for a model that was trained on a table, objects with its columns; for one that was trained on
    pictures, {"b64": "..."} with a file. On this machine, only this machine is answered. Elsewhere, every request needs the token:
    as Authorization: Bearer TOKEN, or as ?token=TOKEN.

    \b
    Examples:
      nacre serve my-run
      nacre serve my-run --port 8765
      nacre serve digits=my-run houses=other-run/model.safetensors
      curl localhost:8765/v2/models/my-run
      curl localhost:8765/predict -H 'Content-Type: application/json' -d '{"instances": [[0, 1, 2]]}'
    """
    named = dict(_named(text) for text in models)
    if len(named) < len(models):
        raise UsageError("Two models have the same name.", hint="give them names: first=PATH second=OTHER")
    opened: dict[str, Model] = {name: open_model(path) for name, path in named.items()}

    def started(url: str) -> None:
        lines = [f"Serving {', '.join(opened)} at {url}", "Stop with Ctrl-C."]
        show(as_json, {"url": url, "models": list(opened)}, "\n".join(lines))

    room("serve").serve(opened, host, port, token, started=started)


def _named(text: str) -> tuple[str, str]:
    """The name of a model, and where it is."""
    name, found, path = text.partition("=")
    if not found or Path(text).exists():
        name, path = Path(text).resolve().name.removesuffix(Path(text).suffix if Path(text).is_file() else ""), text
    if not _NAME.fullmatch(name):
        hint = f"name={text}" if not found else f"model={path}"
        raise UsageError(f"A model's name is letters, figures, dots, dashes and underscores, got {name!r}.", hint=hint)
    return name, path
