"""nacre inspect: what is in data, or in a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from nacre.cli.options import JSON, complete_data, show, table
from nacre.cli.sources import holds_shards, is_of_pictures, open_data
from nacre.cli.summary import summary
from nacre.data import DATASETS, Table
from nacre.data.columns import as_text, guess
from nacre.data.features import KIND_FEATURES
from nacre.data.folders import ParquetFolder
from nacre.data.images import common_form, find_pictures
from nacre.data.tables import Numbers, kind_of
from nacre.training.run import SETTINGS


@click.command()
@click.argument("what", shell_complete=complete_data)
@JSON
@click.pass_context
def inspect(context: click.Context, what: str, as_json: bool) -> None:
    """Print what is in WHAT: data, a model file, or the folder of a run.

    Of a table, the columns: what each seems to be, how many values are missing, how many differ, and what they are. Columns that
    say nothing are named.

    \b
    Examples:
      nacre inspect digits
      nacre inspect people.csv
      nacre inspect my-run
    """
    path = Path(what)
    if what not in DATASETS and (path.suffix == ".safetensors" or (path / SETTINGS).is_file()):
        context.invoke(summary, model=what, as_json=as_json)
        return
    if what not in DATASETS and (kind_of(what)[0] is not None or holds_shards(what)):
        shards = ParquetFolder(what) if holds_shards(what) else None
        document = _table(Table.read(what) if shards is None else shards.read(shards.sample(0)))
        document |= {} if shards is None else {"rows": len(shards)}
        rows = [
            [name, *(str(one[key]) for key in ("kind", "missing", "different", "holds"))]
            for name, one in document["columns"].items()
        ]
        show(
            as_json,
            {"data": what, **document},
            _lines([["column", "is", "missing", "different", "holds"], *rows], document["rows"]),
        )
        return
    if is_of_pictures(what):
        found, classes = find_pictures(path)
        height, width, color = common_form(found["train"].paths)
        counts = {part: np.bincount(files.labels, minlength=len(classes)).tolist() for part, files in found.items()}
        document = {
            "data": what,
            "classes": classes,
            "pictures": counts,
            "height": height,
            "width": width,
            "color": color,
        }
        parts = {
            part: ", ".join(f"{n:,} {name}" for name, n in zip(classes, each, strict=True))
            for part, each in counts.items()
        }
        show(as_json, document, table({**parts, "taken as": f"{height} x {width}, {color}"}))
        return
    parts_of = open_data(what).parts
    shapes = {
        part: f"{len(data):,} rows of {' x '.join(map(str, data.x.shape[1:]))} {data.x.dtype}"
        for part, data in parts_of.items()
    }
    show(as_json, {"data": what, "parts": {part: list(data.x.shape) for part, data in parts_of.items()}}, table(shapes))


def _table(found: Table) -> dict[str, Any]:
    """What the columns of a table seem to be."""
    columns: dict[str, Any] = {}
    for name, column in found.columns.items():
        seems = guess(column)
        words = as_text(column) if not isinstance(column, Numbers) else None
        missing = (
            int(np.isnan(column.values).sum())
            if isinstance(column, Numbers)
            else int((words.codes < 0).sum())
            if words
            else 0
        )
        different = (
            len(np.unique(column.values[~np.isnan(column.values)]))
            if isinstance(column, Numbers)
            else len(words.terms)
            if words
            else 0
        )
        holds = seems.reason if seems.kind == "drop" else KIND_FEATURES[seems.kind].fit(name, column).told()
        columns[name] = {"kind": seems.kind, "missing": missing, "different": different, "holds": holds}
    return {"rows": len(found), "columns": columns}


def _lines(rows: list[list[str]], count: int) -> str:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    lines = [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    return "\n".join([f"{count:,} rows", "", *lines])
