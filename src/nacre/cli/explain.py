"""nacre explain: one row through a model, forward and backward, with all its numbers."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from nacre.cli.held import ALL_ROWS, held_out
from nacre.cli.options import DATA, JSON, MODEL, check_writable, show
from nacre.cli.sources import Part, Source, in_memory, open_data, open_model, tell_notes
from nacre.data import Features
from nacre.errors import DataError, UsageError
from nacre.explain import explain as explain_step
from nacre.models import Model


@click.command()
@MODEL
@DATA
@click.option("--row", type=int, default=0, help="Which of the rows looked at, counted from 0.")
@ALL_ROWS
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page (.html), or a spreadsheet with live formulas (.xlsx), instead.",
)
@JSON
def explain(model: str, data: str, row: int, all_rows: bool, out: Path | None, as_json: bool) -> None:
    """Print how MODEL comes to what it says of a row of DATA, and what it would learn from it.

    MODEL is a model file or the folder of a run; of the data of a run, the rows that it was not trained on are looked at. Forward:
    scores and activations of each layer, and the votes of its units for each
    class. If DATA has labels, also the loss, the error of each unit, and the weights with the most blame, before and after a step.

    \b
    Examples:
      nacre train digits --out my-run
      nacre explain my-run digits --row 3
      nacre explain my-run digits --out step.html
      nacre explain my-run digits --out step.xlsx
    """
    if out is not None:
        check_writable(out, (".html", ".xlsx"))
    trained = open_model(model)
    looked = held_out(model, trained, data, all_rows, _opened)
    part = _row(data, looked.rows, row)
    tell_notes(looked.notes)
    x = part.table if isinstance(trained.features, Features) else part.x  # a table says what its columns hold
    explanation = explain_step(trained, x, part.y if trained.judged_outputs() else None)
    told = {"model": model, "data": data, "part": looked.part, "rows": len(looked.rows), "row": row}
    if out is None:
        show(as_json, told | {"explanation": explanation.document()}, str(explanation))
        return
    explanation.save(out)
    show(as_json, told | {"out": str(out)}, f"row {row} of {data} explained in {out}")


def _opened(name: str, model: Model) -> Source:
    """The data, with targets where there are any."""
    try:
        return open_data(name, model)
    except DataError:
        if not isinstance(model.features, Features):
            raise
        return open_data(name, model, judged=False)  # a table may lack the column that is to be predicted


def _row(name: str, rows: Part, row: int) -> Part:
    if not 0 <= row < len(rows):
        raise UsageError(f"{name} has rows 0 to {len(rows) - 1:,}, got {row}.")
    return in_memory(rows).take(np.array([row]))
