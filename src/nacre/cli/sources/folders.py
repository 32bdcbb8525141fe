"""Tables that do not fit into memory: folders of Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.settings import Settings
from nacre.cli.sources.source import Part, Source, place_of
from nacre.cli.sources.tables import (
    divided,
    fitted,
    form_of_times,
    has_all,
    kind_told,
    left_out,
    no_target,
    part_of,
    repeats,
    set_apart,
    times_in,
    with_targets,
)
from nacre.data import DATASETS, Features, Table
from nacre.data.columns import NUMBERED, Guess, as_text, counted, guess
from nacre.data.features import Target
from nacre.data.folders import ParquetFolder, TablePieces, packed, parquet_files
from nacre.data.splits import row_keys
from nacre.errors import DataError, find
from nacre.progress import tell
from nacre.recipes import output_names

Array = npt.NDArray[Any]


def holds_shards(name: str) -> bool:
    """Whether it is a folder of Parquet files."""
    return name not in DATASETS and Path(name).is_dir() and bool(parquet_files(Path(name)))


def training_folder(settings: Settings) -> Source:
    """A folder of Parquet files: what is learned of the columns, and the rows to watch by and to test on, come from a sample of
    the row groups; all other rows are read as they are trained on."""
    folder = ParquetFolder(settings.data)
    if not settings.target:
        raise no_target(settings.data, folder.names)
    kinds = dict(kind_told(text) for text in settings.column)
    apart = set_apart(settings, kinds)
    keys = [*settings.target, *(name for name in (settings.group, settings.time) if name)]
    for name in keys:
        find(f"column of {settings.data}", name, dict.fromkeys(folder.names))
    heads = folder.sample(settings.seed)
    sample = folder.read(heads)
    whole, _ = with_targets(sample, settings.target, kinds)
    learned = {name: Target.fit(name, whole[name], kinds.get(name)) for name in settings.target}
    there = has_all(sample, learned.values())
    whole = sample.take(np.flatnonzero(there))
    rows = divided(whole, settings, list(learned.values()))
    held = np.concatenate(rows[1:])
    outside = _outside(whole, held, settings)

    # All rows are trained on but those held out, and those like them, and those without a target.
    place = np.zeros(len(sample), bool)
    place[np.flatnonzero(there)[held]] = True
    classed = [name for name, one in learned.items() if one.classes is not None]
    every, trained = ({name: Counter[str]() for name in classed} for _ in range(2))
    kept, missing, like, at = [], 0, 0, 0
    for number, group in enumerate(folder.groups):
        masks, left = [], heads.get(number, 0)  # rows of the sample that are still to come in this group
        for table in folder.tables(group, keys):
            mask = has_all(table, learned.values())
            missing += int((~mask).sum())
            for name in classed:
                every[name].update(counted(table[name], mask))
            aside = mask & ~outside(table)
            mask &= ~aside
            count = min(left, len(table))
            like += int(aside[count:].sum()) + int((aside[:count] & ~place[at : at + count]).sum())
            mask[:count] &= ~place[at : at + count]
            left, at = left - count, at + count
            for name in classed:
                trained[name].update(counted(table[name], mask))
            masks.append(mask)
        kept.append(packed(np.concatenate(masks) if masks else np.zeros(0, bool)))
        tell("Reading targets", number + 1, len(folder.groups), "row groups")

    seen: dict[str, str | Guess] = {name: guess(column) for name, column in sample.columns.items()}
    ends = np.cumsum([0, *heads.values()])
    most = int(np.argmax(np.diff(ends)))
    few = sample.take(np.arange(ends[most], ends[most + 1]))  # those of one place: they may be numbered
    seen |= {name: one for name, column in few.columns.items() if (one := guess(column)).reason == NUMBERED}
    learned |= {name: Target.of_classes(name, found, len(sample)) for name, found in every.items()}
    features = fitted(whole.take(rows[0]), learned, seen | kinds | apart)
    parts = {"train": Part(TablePieces(folder, features, kept=kept))}
    for name, chosen in zip(("validation", "test"), rows[1:], strict=True):
        if len(chosen):
            parts[name] = part_of(features, whole.take(chosen))
    notes = left_out(missing, len(folder))
    if like:
        what = "later than" if settings.time else "of the same groups as"
        notes.append(f"{like:,} rows are {what} those to watch by and to test on, and are not used")
    if len(sample) < len(folder):
        notes.append(f"what columns hold was learned from {len(sample):,} rows, taken from {len(heads)} places")
    classes = features.classes or []
    frequent = np.array([trained[settings.target[0]][name] for name in classes]) if classes else None
    keys_of = row_keys(list(features.inputs(whole).values()))
    notes += repeats([keys_of[r] for r in rows], "of the rows that were looked at ")
    return Source(place_of(settings.data), parts, classes, features, notes=notes, counts=frequent)


def sampled(source: Source, seed: int) -> Source:
    """The same, with some rows from all over in memory in the place of all that are read piece by piece."""
    parts = source.train.x.sample(seed)
    assert isinstance(source.features, Features)
    names = output_names(source.features)
    x = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    several = isinstance(parts[0][1], list)
    found = [np.concatenate(columns) for columns in zip(*(p[1] if several else [p[1]] for p in parts), strict=True)]
    some = Part(x, dict(zip(names, found, strict=True)) if several else found[0])
    return replace(source, parts={**source.parts, "train": some}, counts=None)


def _outside(table: Table, held: Array, settings: Settings) -> Callable[[Table], Array]:
    """Which rows are of no group that is held out, and earlier than all that are held out."""
    if settings.time and len(held):
        form = form_of_times(table, settings.time)
        begin = times_in(table, settings.time, form)[held].min()

        def earlier(other: Table) -> Array:
            times = times_in(other, settings.time, form)
            missing = np.isnan(times) if form is None else np.isnat(times)
            if missing.any():
                raise DataError(
                    f"{other.name}: the rows are to be divided by time, but {int(missing.sum()):,} have none.",
                    hint="leave these rows out, or divide by chance",
                )
            return np.asarray(times < begin)

        return earlier
    if settings.group and len(held):
        words = as_text(table[settings.group])
        found = np.unique(words.codes[held]).tolist()
        groups, none = {words.terms[code] for code in found if code >= 0}, -1 in found  # those without are a group too

        def outside(other: Table) -> Array:
            words = as_text(other[settings.group])
            return ~np.array([*(term in groups for term in words.terms), none])[words.codes]

        return outside
    return lambda other: np.ones(len(other), bool)
