"""nacre ledger: the rows of data that are at odds with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from nacre.cli.features import class_names
from nacre.cli.options import DATA, JSON, MODEL, as_csv, check_writable, show
from nacre.cli.pixels import page, plainly, png
from nacre.cli.sources import ACCEPTED, Part, in_memory, open_data, open_model, tell_notes
from nacre.errors import DataError
from nacre.files import write_whole
from nacre.insight import Ledger
from nacre.insight import ledger as judged_rows
from nacre.insight.pictures import sees_pictures
from nacre.models import Model

_MOST_COLUMNS = 8  # of a table, on a page


@click.command()
@MODEL
@DATA
@click.option("--top", default=20, type=click.IntRange(min=1), help="How many rows to show.")
@click.option("--folds", default=5, type=click.IntRange(min=0), help="Models that judge; 0: MODEL as it is.")
@click.option("--by", type=click.Choice(["loss", "gradient"]), default="loss", help="What puts a row first.")
@click.option("--out", type=click.Path(path_type=Path), help="Write a .csv file with all rows, or an .html page.")
@JSON
def ledger(model: str, data: str, top: int, folds: int, by: str, out: Path | None, as_json: bool) -> None:
    """Print the rows of DATA that are at odds with the others: probably mislabeled, or lying far out.

    MODEL is a model file or the folder of a run; rows are those to train on, if DATA has several parts, and are counted from 0.
    Each row is judged by a copy of MODEL that was trained from fresh weights on other rows, since a model may know wrong labels by
    heart; with --folds 0, MODEL judges as it is. With --by gradient, the rows come first that push the weights hardest. Rows of
    tables that have no target are not counted; the files say what is in the others. In a .csv file, text that a spreadsheet would
    take for a formula begins with '.

    \b
    Examples:
      nacre train digits --out my-run
      nacre ledger my-run digits
      nacre ledger my-run digits --by gradient --folds 0
      nacre ledger my-run digits --out ledger.html
    """
    if out is not None:
        check_writable(out, (".csv", ".html"))
    trained = open_model(model)
    source = open_data(data, trained)
    part = in_memory(source.parts.get("train", source.last))
    if not part.judged:
        raise DataError(f"{data} has no labels to compare with.", hint=f"use {ACCEPTED}")
    tell_notes(source.notes)
    found = judged_rows(trained, part.x, part.y, folds, class_names(trained, source))
    found = found.hardest() if by == "gradient" else found
    some = found.top(top)
    document = {"model": model, "data": data, "rows": len(found), **some.document()}
    document |= {"known": dict(_known(some, part))}
    text = found.text(top)
    if out is not None:
        is_csv = out.suffix.lower() == ".csv"
        everything = _as_csv(found, part) if is_csv else _as_page(found, some, part, trained, data)
        write_whole(out, [everything])
        document["out"], text = str(out), f"{found.summary()}\n({found.rules})\n{len(found):,} rows in {out}"
    show(as_json, document, text)


def _known(found: Ledger, part: Part) -> list[tuple[str, list[str]]]:
    """By what people know the rows: their files, or the columns of their table."""
    table = None if part.table is None else part.table.take(found.row)
    files = [] if part.files is None else [("file", [str(part.files[row]) for row in found.row.tolist()])]
    return files + ([] if table is None else [(name, table[name].text()) for name in table.columns])


def _as_csv(found: Ledger, part: Part) -> bytes:
    return as_csv([*((name, column.tolist()) for name, column in found.columns().items()), *_known(found, part)])


def _as_page(found: Ledger, some: Ledger, part: Part, model: Model, data: str) -> bytes:
    columns = [(name.replace("_", " "), column) for name, column in some.texts().items()]
    numbers = [name.replace("_", " ") for name, column in some.columns().items() if column.dtype.kind in "if"]
    columns += _known(some, part)[:_MOST_COLUMNS]
    pictures: list[str] = []
    if sees_pictures(model):
        low, high = float(np.min(part.x)), float(np.max(part.x))
        pictures = [png(plainly(part.x[row], low, high)) for row in some.row.tolist()]
    content: dict[str, Any] = {
        "title": f"Ledger of {Path(data).name}",
        "told": found.summary(),
        "rules": found.rules,
        "names": [name for name, _ in columns],
        "numbers": numbers,
        "rows": list(zip(*(column for _, column in columns), strict=True)),
        "pictures": pictures,
    }
    return page("ledger.html.jinja", content)
