"""nacre evaluate: how well a model does on data."""

from __future__ import annotations

import click

from nacre.cli.held import held_out, trained_on
from nacre.cli.options import JSON, MODEL, complete_data, show, table
from nacre.cli.shares import shares
from nacre.cli.shares import told as figure
from nacre.cli.sources import ACCEPTED, open_data, open_model, tell_notes
from nacre.errors import DataError
from nacre.metrics.accuracy import wilson_interval
from nacre.plain import plain


@click.command()
@MODEL
@click.argument("data", required=False, shell_complete=complete_data)
@JSON
def evaluate(model: str, data: str | None, as_json: bool) -> None:
    """Print loss and metrics of MODEL on the test part of DATA.

    MODEL is a model file or the folder of a run. Left out, DATA are the rows that the run was not trained on. All rows of DATA
    count if it has only one part, also those that were trained on; rows without a target are left out. With an accuracy comes the
    interval in which it lies with 95 % confidence on all such rows.

    \b
    Examples:
      nacre train digits --out my-run
      nacre evaluate my-run
      nacre evaluate my-run digits
      nacre evaluate my-run/model.safetensors digits --json
    """
    trained = open_model(model)
    part: dict[str, str] = {}
    if data is None:
        data = trained_on(model)
        looked = held_out(model, trained, data, all_rows=False)
        source, rows, part = looked.source, looked.rows, {"part": looked.part}
        tell_notes(looked.notes[:1])
    else:
        source = open_data(data, trained)
        rows = source.last
    if not rows.judged:
        raise DataError(f"{data} has no labels to compare with.", hint=f"use {ACCEPTED}")
    figures = trained.evaluate(rows.x, rows.y, verbose=0, return_dict=True)
    source = source.after(rows)
    tell_notes(source.notes)
    told = {"model": model, "data": data, **part, "rows": len(rows), "notes": list(source.notes)}
    intervals = {name: wilson_interval(figures[name], len(rows)) for name in shares(trained)}
    document = {**told, **{k: plain(v) for k, v in figures.items()}, "intervals": intervals}
    lines = {name: figure(trained, name, value, len(rows), always=True) for name, value in figures.items()}
    show(as_json, document, table({**lines, "rows": f"{len(rows):,}"}))
