"""Tables as a model takes them, to be judged or predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.sources.folders import holds_shards
from nacre.cli.sources.source import Part, Source, place_of
from nacre.cli.sources.tables import has_all, left_out, part_of
from nacre.data import Features, Table
from nacre.data.columns import as_text, has_targets
from nacre.data.features import Target
from nacre.data.folders import ParquetFolder, TablePieces, packed
from nacre.errors import DataError, UsageError
from nacre.models import Model
from nacre.progress import tell

Array = npt.NDArray[Any]


def for_model(name: str, model: Model | None, judged: bool) -> Source:
    """A table as a model takes it, with targets if the model is to be ``judged`` and they are there."""
    features = None if model is None else model.features
    if not isinstance(features, Features):
        raise UsageError(
            f"{name} is a table, and the model was not trained on one."
            if model
            else f"{name} is a table: a model says what is in it."
        )
    assert model is not None
    names = [one.name for one in features.features] + [target.name for target in features.targets]
    shards = ParquetFolder(name) if holds_shards(name) else None
    table = Table.read(name, features.words, names) if shards is None else None
    columns = shards.names if shards is not None else table.columns if table is not None else ()
    if judged and (absent := [target.name for target in features.targets if target.name not in columns]):
        raise DataError(f"{name} has no column {absent[0]!r} to compare with.")
    if table is None:
        assert shards is not None
        kept, missing = _kept(shards, features.targets) if judged else (None, 0)
        pieces = TablePieces(shards, features, judged, kept, lenient=False)
        return Source(place_of(name), {"train": Part(pieces)}, features=features, notes=left_out(missing, len(shards)))
    if not judged:
        part = Part(features.inputs(table), None, table)
        return Source(place_of(name), {"train": part}, features=features, notes=_unknown(table, features))
    words = {target.name: "category" for target in features.targets if target.of_words}
    there = has_targets(table, [target.name for target in features.targets], words)
    rows = table.take(np.flatnonzero(there))
    notes = left_out(int((~there).sum()), len(table)) + _unknown(rows, features)
    return Source(place_of(name), {"train": part_of(features, rows)}, features=features, notes=notes)


def _kept(folder: ParquetFolder, targets: Sequence[Target]) -> tuple[list[Array | None], int]:
    """Which rows of each group have all targets, and how many have not."""
    kept, missing = [], 0
    for number, group in enumerate(folder.groups, 1):
        masks = [has_all(table, targets) for table in folder.tables(group, [target.name for target in targets])]
        missing += sum(int((~mask).sum()) for mask in masks)
        kept.append(packed(np.concatenate(masks) if masks else np.zeros(0, bool)))
        tell("Reading targets", number, len(folder.groups), "row groups")
    return kept, missing


def _unknown(table: Table, features: Features) -> list[str]:
    """Notes on terms that were rare in training, or never seen."""
    notes = []
    for one in features.categories:
        words = as_text(table[one.name])
        known = one.known(words)
        count = int(((known[words.codes] == 0) & (words.codes >= 0)).sum())
        if count:
            terms = [term for term, number in zip(words.terms, known.tolist(), strict=False) if number == 0]
            shown = ", ".join(map(repr, terms[:3])) + (", ..." if len(terms) > 3 else "")
            which = "all" if count == len(table) else f"{count:,} of {len(table):,}"
            notes.append(f"{one.name!r}: {which} rows hold what was rare in training, or never seen: {shown}")
    return notes
