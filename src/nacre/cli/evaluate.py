"""nacre evaluate: how well a model does on data."""

from __future__ import annotations

import click

from nacre.cli.options import DATA, JSON, MODEL, show, table
from nacre.cli.sources import ACCEPTED, open_data, open_model, tell_notes
from nacre.errors import DataError
from nacre.plain import plain


@click.command()
@MODEL
@DATA
@JSON
def evaluate(model: str, data: str, as_json: bool) -> None:
    """Print loss and metrics of MODEL on the test part of DATA.

    MODEL is a model file or the folder of a run. All rows of DATA count if it has only one part, also those that were trained on;
    rows without a target are left out.

    \b
    Examples:
      nacre train digits --out my-run
      nacre evaluate my-run digits
      nacre evaluate my-run/model.safetensors digits --json
    """
    trained = open_model(model)
    source = open_data(data, trained)
    rows = source.last
    if not rows.judged:
        raise DataError(f"{data} has no labels to compare with.", hint=f"use {ACCEPTED}")
    figures = trained.evaluate(rows.x, rows.y, verbose=0, return_dict=True)
    source = source.after(rows)
    tell_notes(source.notes)
    told = {"model": model, "data": data, "rows": len(rows), "notes": list(source.notes)}
    document = {**told, **{k: plain(v) for k, v in figures.items()}}
    show(as_json, document, table({**{k: f"{v:.4f}" for k, v in figures.items()}, "rows": f"{len(rows):,}"}))
