"""nacre inspect: what is in data, or in a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre.cli.options import JSON, complete_data, show, table
from nacre.cli.sources import holds_shards, is_of_pictures, open_data
from nacre.cli.summary import summary
from nacre.data import DATASETS, Table
from nacre.data.columns import as_numbers, as_text, filled, guess
from nacre.data.equations import Equations, equations
from nacre.data.features import KIND_FEATURES, Target
from nacre.data.folders import ParquetFolder
from nacre.data.images import common_form, find_pictures
from nacre.data.tables import Numbers, kind_of
from nacre.errors import DataError, UsageError
from nacre.training.run import SETTINGS

Array = npt.NDArray[Any]


@click.command()
@click.argument("what", shell_complete=complete_data)
@click.option("--target", help="Column of a table to predict: what rows say of it is counted.")
@JSON
@click.pass_context
def inspect(context: click.Context, what: str, target: str | None, as_json: bool) -> None:
    """Print what is in WHAT: data, a model file, or the folder of a run.

    Of a table, the columns: what each seems to be, how many values are missing, how many differ, and what they are. Columns that
    say nothing are named.

    Of arrays with targets, and of a table with --target, also the equations that the rows are for a linear model: how many, for how
    many unknowns, and rows that repeat or contradict each other.

    \b
    Examples:
      nacre inspect digits
      nacre inspect people.csv
      nacre inspect people.csv --target income
      nacre inspect my-run
    """
    path = Path(what)
    is_table = what not in DATASETS and (kind_of(what)[0] is not None or holds_shards(what))
    if target is not None and (not is_table or path.is_dir()):
        raise UsageError(f"--target is for tables in one file, and {what} is none.", hint="leave it out")
    if what not in DATASETS and (path.suffix == ".safetensors" or (path / SETTINGS).is_file()):
        context.invoke(summary, model=what, as_json=as_json)
        return
    if is_table:
        shards = ParquetFolder(what) if holds_shards(what) else None
        whole = Table.read(what) if shards is None else shards.read(shards.sample(0))
        document = _table(whole)
        document |= {} if shards is None else {"rows": len(shards)}
        rows = [
            [name, *(str(one[key]) for key in ("kind", "missing", "different", "holds"))]
            for name, one in document["columns"].items()
        ]
        found = None if target is None else _equations_of(whole, target)
        said = _lines([["column", "is", "missing", "different", "holds"], *rows], document["rows"])
        document |= {} if found is None else {"equations": found.document()}
        show(as_json, {"data": what, **document}, said if found is None else f"{said}\n\n{table(found.told())}")
        return
    if is_of_pictures(what):
        pictures, classes = find_pictures(path)
        height, width, color = common_form(pictures["train"].paths)
        counts = {part: np.bincount(files.labels, minlength=len(classes)).tolist() for part, files in pictures.items()}
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
    document = {"data": what, "parts": {part: list(data.x.shape) for part, data in parts_of.items()}}
    first = next(iter(parts_of.values()))
    if first.y is not None and len(first):
        found = equations(first.x, first.y, _classes(np.asarray(first.y)))
        document["equations"] = found.document()
        shapes |= found.told()
    show(as_json, document, table(shapes))


def _classes(y: Array) -> int | None:
    """How many classes the targets number; None if they are numbers."""
    return int(y.max()) + 1 if y.size == len(y) and y.dtype.kind in "iub" and 0 <= y.min() <= y.max() < len(y) else None


def _equations_of(found: Table, target: str) -> Equations:
    """Those of rows that have a target and all numbers."""
    kinds = {name: guess(column).kind for name, column in found.columns.items() if name != target}
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    complete = np.logical_and.reduce([filled(found[name]) for name in (target, *numbers)])
    if not complete.any():
        raise DataError(f"No row of {found.name} has a value for {', '.join((target, *numbers))}.")
    kept = np.flatnonzero(complete)
    rows = found.take(kept)
    wanted = Target.fit(target, rows[target])
    y = as_numbers(target, rows[target]) if wanted.classes is None else wanted.values(rows[target])
    x = np.array([as_numbers(name, rows[name]) for name in numbers]).reshape(len(numbers), len(rows)).T
    words = [as_text(rows[name]).codes for name, kind in kinds.items() if kind not in ("number", "drop")]
    classes = wanted.classes
    told = equations(x, y, None if classes is None else len(classes), words)
    if told.conflict is None:
        return told
    first, second = told.conflict.rows
    said = told.conflict.targets if classes is None else (classes[int(y[first])], classes[int(y[second])])
    return replace(told, conflict=replace(told.conflict, rows=(int(kept[first]), int(kept[second])), targets=said))


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
