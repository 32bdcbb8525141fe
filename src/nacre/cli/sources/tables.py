"""Tables that fit into memory: read, divided, and turned into what a network takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.settings import Settings
from nacre.cli.sources.source import Part, Source, place_of
from nacre.data import Features, Table
from nacre.data.columns import Guess, as_moments, as_numbers, as_text, form_of, guess, has_targets
from nacre.data.features import Target
from nacre.data.splits import repeated, row_keys, split_rows
from nacre.data.tables import Moments, Numbers
from nacre.errors import DataError, UsageError
from nacre.recipes import output_names

Array = npt.NDArray[Any]


def training_table(settings: Settings) -> Source:
    """A table to train on, divided as ``settings`` say, with features that have learned from the rows to train on."""
    if not settings.target:
        raise no_target(settings.data, list(Table.read(settings.data).columns))
    kinds = dict(kind_told(text) for text in settings.column)
    words = [name for name, kind in kinds.items() if kind in ("category", "boolean")]
    read_as_words = set(words)
    table = Table.read(settings.data, words)
    for name in settings.target:
        _ = table[name]
    whole, notes = with_targets(table, settings.target, kinds)
    apart = set_apart(settings, kinds)
    targets = {name: Target.fit(name, whole[name], kinds.get(name)) for name in settings.target}
    rows = divided(whole, settings, list(targets.values()))
    # What columns are is seen in all rows, what they hold is learned from those to train on.
    seen: dict[str, str | Guess] = {name: guess(column) for name, column in table.columns.items()}
    features = fitted(whole.take(rows[0]), targets, seen | kinds | apart)
    if set(features.words) - read_as_words:  # read again, as it will be for predictions: 01 is no 1
        whole, _ = with_targets(Table.read(settings.data, features.words), settings.target, kinds)
        seen |= {one.name: "category" for one in features.categories}
        targets = {
            name: Target.fit(name, whole[name], "number" if t.classes is None else "category")
            for name, t in targets.items()
        }
        features = fitted(whole.take(rows[0]), targets, seen | kinds | apart)
    part = part_of(features, whole)
    names = ["train", "validation", "test"]
    parts = {name: part.take(r) for name, r in zip(names, rows, strict=True) if len(r)}
    keys = row_keys(list(part.x.values()))
    notes += repeats([keys[r] for r in rows])
    classes = features.targets[0].classes if len(features.targets) == 1 else None
    return Source(place_of(settings.data), parts, classes or (), features, notes=notes)


def part_of(features: Features, table: Table) -> Part:
    """A table as the network takes it; several targets by the names of outputs."""
    x, y = features.pair(table)
    return Part(x, dict(zip(output_names(features), y, strict=True)) if isinstance(y, list) else y, table)


def fitted(rows: Table, targets: Mapping[str, Target], kinds: Mapping[str, str | Guess]) -> Features:
    """Features of these rows; what a number is scaled by is learned from them alone."""
    learned = [t if t.classes is not None else Target.fit(name, rows[name], "number") for name, t in targets.items()]
    return Features.fit(rows, learned, kinds)


def with_targets(table: Table, targets: Sequence[str], kinds: Mapping[str, str]) -> tuple[Table, list[str]]:
    """The rows that have all targets, which are of the ``kinds`` that are told."""
    there = has_targets(table, targets, kinds)
    missing = int((~there).sum())
    if not there.any():
        raise DataError(f"No row of {table.name} has a value for {', '.join(targets)}.")
    notes = left_out(missing, len(table))
    return (table.take(np.flatnonzero(there)) if missing else table), notes


def divided(table: Table, settings: Settings, targets: Sequence[Target]) -> list[Array]:
    """The rows to train on, to watch by, and to test on."""
    classes = (
        targets[0].values(table[targets[0].name]) if len(targets) == 1 and targets[0].classes is not None else None
    )
    shares = [settings.validation_split, settings.test_split]
    return split_rows(len(table), shares, settings.seed, **divided_by(table, settings, classes))


def divided_by(table: Table | None, settings: Settings, classes: Array | None) -> dict[str, Array | None]:
    """What rows are divided by: time, groups, or classes."""
    if table is not None and settings.time:
        return {"times": times_in(table, settings.time, form_of_times(table, settings.time))}
    if table is not None and settings.group:
        return {"groups": as_text(table[settings.group]).codes}
    return {"classes": classes}


def form_of_times(table: Table, name: str) -> str | None:
    """How points in time are written in a column, "" for those that are no text; None for numbers."""
    column = table[name]
    return None if isinstance(column, Numbers) else "" if isinstance(column, Moments) else form_of(column)


def times_in(table: Table, name: str, form: str | None) -> Array:
    """The points in time in a column, written in this form."""
    return as_numbers(name, table[name]) if form is None else as_moments(name, table[name], form)


def has_all(table: Table, targets: Iterable[Target]) -> Array:
    """Which rows have all targets."""
    found: Array = np.logical_and.reduce([target.there(table[target.name]) for target in targets])
    return found


def left_out(missing: int, rows: int) -> list[str]:
    """A note on rows without a target, if there are some."""
    return [f"{missing:,} of {rows:,} rows have no target, and were left out"] if missing else []


def repeats(keys: Sequence[Array], of: str = "") -> list[str]:
    """Notes on rows of later parts that are the same as rows of earlier ones."""
    return [
        f"{count:,} of {len(mine):,} rows {of}of the {part} part are the same as rows trained on"
        for part, mine, count in zip(("validation", "test"), keys[1:], repeated(keys), strict=True)
        if count
    ]


def set_apart(settings: Settings, kinds: Mapping[str, str]) -> dict[str, Guess]:
    """Columns that say how rows are divided, which the network does not see unless it is told to."""
    if settings.time and settings.group:
        raise UsageError("Rows are divided by groups or by time, not by both.", hint="leave out --group or --time")
    divides = Guess("drop", "divides the rows")
    return {name: divides for name in (settings.group, settings.time) if name and name not in kinds}


def no_target(name: str, columns: Sequence[str]) -> UsageError:
    """The error where it is not said what is to be predicted."""
    return UsageError(
        f"What is to be predicted from {name}?",
        {"columns": ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")},
        f"--target {shlex.quote(columns[-1])}",
    )


def kind_told(text: str) -> tuple[str, str]:
    """Column and kind out of what was given as --column."""
    name, given, kind = text.rpartition("=")
    if not given or not name:
        raise UsageError(f"--column {text!r} does not say what the column is.", hint="--column zip=category")
    return name, kind
