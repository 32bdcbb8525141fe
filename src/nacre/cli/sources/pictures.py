"""Pictures: in a folder for each class, or named by a table."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.settings import Settings
from nacre.cli.sources.source import Part, Source, place_of
from nacre.cli.sources.tables import divided_by, kind_told, no_target, with_targets
from nacre.data import DATASETS, Pictures, Table
from nacre.data.features import Target
from nacre.data.images import (
    Found,
    common_form,
    find_pictures,
    holds_pictures,
    list_pictures,
    named_pictures,
    part_folders,
    picture_column,
)
from nacre.data.splits import repeated, row_keys, split_rows
from nacre.data.tables import kind_of
from nacre.errors import DataError, UnknownName, UsageError

Array = npt.NDArray[Any]


def is_of_pictures(name: str, column: Sequence[str] = ()) -> bool:
    """Whether it is a folder of folders with pictures, or a table that names pictures in a column of which nothing else is said."""
    path = Path(name)
    if name in DATASETS or not path.is_dir():
        found = None if name in DATASETS else picture_column(name)
        return found is not None and found not in dict(kind_told(text) for text in column)
    return any(p.is_dir() and holds_pictures(p) for p in path.iterdir())


def training_pictures(settings: Settings) -> Source:
    """Pictures to train on, decoded, and divided as ``settings`` say."""
    table: Table | None = None
    target, notes = "", list[str]()
    if Path(settings.data).is_dir():
        for option in ("target", "column", "group", "time"):
            if getattr(settings, option):
                raise UsageError(f"--{option} is for tables, and {settings.data} is none.")
        found, classes = find_pictures(Path(settings.data))
    else:
        table, found, classes, target, notes = _named_pictures(settings)
    height, width, color = common_form(found["train"].paths)
    size = settings.size
    pictures = Pictures(size or height, size or width, settings.color or color, settings.fit, classes, target)
    parts: dict[str, Part] = {}
    for part, files in found.items():
        x, rows, wrong = pictures.inputs(files.paths, settings.skip_broken, keep=True)
        if wrong:
            notes.append(f"{len(wrong):,} pictures of the {part} part cannot be read, and were left out: {wrong[0]}")
        parts[part] = Part(
            x,
            files.labels[rows],
            None if table is None else table.take(np.array(rows)),
            [files.paths[row] for row in rows],
        )
    whole = parts["train"]
    shares = [
        0.0 if part in parts else share
        for part, share in (("validation", settings.validation_split), ("test", settings.test_split))
    ]
    if any(shares):
        rows_of = split_rows(len(whole), shares, settings.seed, **divided_by(whole.table, settings, whole.y))
        for part, mine in zip(("train", "validation", "test"), rows_of, strict=True):
            if len(mine):
                parts[part] = whole.take(mine)
    counts = repeated([row_keys([part.x]) for part in parts.values()])
    for part, count in zip(list(parts)[1:], counts, strict=True):
        if count:
            notes.append(
                f"{count:,} of {len(parts[part]):,} pictures of the {part} part are the same as pictures trained on"
            )
    order = [part for part in ("train", "validation", "test") if part in parts]
    return Source(place_of(settings.data), {part: parts[part] for part in order}, classes, pictures, notes=notes)


def _named_pictures(settings: Settings) -> tuple[Table, dict[str, Found], list[str], str, list[str]]:
    """A table, the pictures that it names, their classes, the column these are in, and what people should know."""
    column = picture_column(settings.data)
    assert column is not None
    table = Table.read(settings.data, [column, *settings.target])
    others = [name for name in table.columns if name != column]
    if not others:
        raise DataError(f"{settings.data} names pictures, but not what is on them.", hint="add a column with classes")
    if len(settings.target) != 1 and (settings.target or len(others) > 1):
        raise no_target(settings.data, others)
    name = settings.target[0] if settings.target else others[0]
    if settings.column:
        raise UsageError(
            f"{settings.data} names pictures, from which classes are told: its other columns are not used.",
            hint=f"leave out --column; or --column {shlex.quote(column)}=drop for a network on the other columns",
        )
    table, notes = with_targets(table, [name], {name: "category"})
    if unused := [other for other in others if other not in (name, settings.group, settings.time)]:
        notes.append(
            f"it is taken as a list of pictures: {', '.join(unused[:5])} {'is' if len(unused) == 1 else 'are'} not used"
        )
    target = Target.fit(name, table[name], "category")
    paths = named_pictures(table, column)
    return table, {"train": Found(paths, target.values(table[name]))}, list(target.classes or []), name, notes


def pictures_for(name: str, pictures: Pictures, judged: bool) -> Source:
    """Pictures as a model takes them: all in a folder, or one, or named by a table; if they are to be ``judged``, with classes,
    where the folders below are called like them, or the table has a column with these."""
    path = Path(name)
    if not path.exists():
        raise UnknownName(f"There is no file or folder called {name!r}.")
    if (column := picture_column(name)) is not None:
        return _listed_for(name, column, pictures, judged)
    if path.is_file() and kind_of(name)[0] is not None:
        raise DataError(f"{name} is a table that names no pictures, and the model takes pictures.")
    place = part_folders(path).get("test", path) if path.is_dir() else path.parent
    paths = list_pictures(place) if path.is_dir() else [path]
    if not paths:
        raise DataError(f"{name} holds no pictures.")
    x, _, _ = pictures.inputs(paths)
    numbers = {label: at for at, label in enumerate(pictures.classes)}
    below = [p.relative_to(place).parts for p in paths]
    found = [numbers.get(parts[0], -1) if len(parts) > 1 else -1 for parts in below]
    y = np.array(found, np.int32) if min(found) >= 0 else None
    return Source(place_of(name), {"train": Part(x, y, files=paths)}, pictures.classes, pictures)


def _listed_for(name: str, column: str, pictures: Pictures, judged: bool) -> Source:
    table = Table.read(name, [column, pictures.target])
    y, notes = None, list[str]()
    if judged and pictures.target in table:
        table, notes = with_targets(table, [pictures.target], {pictures.target: "category"})
        y = Target(pictures.target, pictures.classes).values(table[pictures.target])
    paths = named_pictures(table, column)
    x, _, _ = pictures.inputs(paths)
    return Source(place_of(name), {"train": Part(x, y, table, paths)}, pictures.classes, pictures, notes=notes)
