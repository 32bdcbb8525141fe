"""nacre collapse: a smaller network that predicts the same."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.options import JSON, MODEL, check_writable, complete_data, show
from nacre.cli.sources import in_memory, open_data, open_model
from nacre.compression import collapse as collapsed
from nacre.plain import plain


@click.command()
@MODEL
@click.argument("data", required=False, shell_complete=complete_data)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new file for the smaller model, safetensors under any suffix.",
)
@JSON
def collapse(model: str, data: str | None, out: Path | None, as_json: bool) -> None:
    """Make one layer of layers of MODEL in a row that are one, and print what was done, and by how much outputs differ.

    MODEL is a model file or the folder of a run. With DATA, units that give 0 for all rows of its test part go too, and the
    difference is measured on these rows, else on random ones. MODEL stays as it is.

    \b
    Examples:
      nacre train digits --out my-run
      nacre collapse my-run digits --out small.safetensors
      nacre collapse my-run/model.safetensors --json
    """
    if out is not None:
        check_writable(out, new=True)
    given = open_model(model)
    found = collapsed(given, None if data is None else in_memory(open_data(data, given, judged=False).last).x)
    if out is not None:
        found.model.save(out)
    document = found.document()
    document |= {name: plain(document[name]) for name in ("difference", "largest_output")}
    saved = [] if out is None else [f"Saved to {out}."]
    show(
        as_json,
        {"model": model, "data": data, **document, "out": None if out is None else str(out)},
        "\n".join([str(found), *saved]),
    )
