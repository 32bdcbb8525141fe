"""nacre export: a model for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.options import JSON, MODEL, check_writable, show
from nacre.cli.sources import open_model
from nacre.errors import UsageError
from nacre.exchange import FORMATS
from nacre.exchange import export as exported

_LISTED = "\n".join(f"  {name:<6}  {known.what}" for name, known in FORMATS.items())


@click.command(epilog=f"\b\nFormats:\n{_LISTED}")
@click.argument("format", type=click.Choice(list(FORMATS)))
@MODEL
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; else a name like the model's, beside it."
)
@JSON
def export(format: str, model: str, out: Path | None, as_json: bool) -> None:
    """Write MODEL for other programs, and say how far its outputs there differ from those here.

    MODEL is a model file or the folder of a run.

    \b
    Examples:
      nacre train digits --out my-run
      nacre export onnx my-run
      nacre export onnx my-run --out digits.onnx --json
    """
    given = open_model(model)
    path = _beside(Path(model), FORMATS[format].suffix) if out is None else out
    check_writable(path)
    if path.exists() and path.samefile(model):
        raise UsageError(f"Cannot write {path} in its own place.", hint="name another file: --out FILE")
    written = exported(given, path, format)
    show(as_json, written.document(), str(written))


def _beside(model: Path, suffix: str) -> Path:
    """A file that is called like the model."""
    named = model if model.name not in ("", "..") else model.resolve()  # "." and ".." are no names
    return named.with_name((named.name if named.is_dir() else named.stem) + suffix)
