"""nacre export: a model for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.options import JSON, MODEL, check_writable, show
from nacre.cli.sources import open_model
from nacre.exchange import FORMATS
from nacre.exchange import export as exported


@click.command()
@click.argument("format", type=click.Choice(list(FORMATS)))
@MODEL
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; else a name like the model's, beside it."
)
@JSON
def export(format: str, model: str, out: Path | None, as_json: bool) -> None:
    """Write MODEL for other programs, and check what was written.

    MODEL is a model file or the folder of a run.

    \b
    Examples:
      nacre train digits --out my-run
    """
    given = open_model(model)
    path = Path(model).with_suffix(FORMATS[format].suffix) if out is None else out
    check_writable(path)
    written = exported(given, path, format)
    show(as_json, written.document(), str(written))
