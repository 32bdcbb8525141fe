"""What a user names: data (a data set that comes with nacre, a file, a folder) and models."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.settings import Settings
from nacre.data import DATASETS, Dataset, Features, Pictures, Table, read
from nacre.data.features import (
    NUMBERED,
    Guess,
    Target,
    as_moments,
    as_numbers,
    as_text,
    counted,
    form_of,
    guess,
    has_targets,
    presence,
)
from nacre.data.folders import ParquetFolder, TablePieces, packed, parquet_files
from nacre.data.images import (
    Found,
    common_form,
    find_pictures,
    holds_pictures,
    is_picture,
    list_pictures,
    named_pictures,
    part_folders,
    picture_column,
)
from nacre.data.readers import holds_zarr, read_zarr
from nacre.data.splits import repeated, row_keys, split_rows
from nacre.data.tables import Moments, Numbers, Text, Values, kind_of
from nacre.errors import DataError, UnknownName, UsageError, did_you_mean, find
from nacre.models import Model, load_model
from nacre.progress import tell
from nacre.recipes import output_names
from nacre.training.run import BEST, MODEL, SETTINGS

Array = npt.NDArray[Any]

ACCEPTED = (
    "an .npz or .h5 file with x and y, a .csv or .parquet file, a folder with pictures for each class, "
    "or idx files named as MNIST's"
)

# What arrays are called in files, the usual way first; letters may be large or small.
_TRAIN_NAMES = (("x_train", "y_train"), ("x", "y"), ("images", "labels"))
_TEST_NAMES = (("x_test", "y_test"),)
_MOST_LABELS = 1000  # or as many as there are rows: beyond, labels are no class numbers


@dataclass(frozen=True)
class Part:
    """Rows of data: inputs and targets as `Model.fit` takes them, and the rows of the table, or the files, that they came from."""

    x: Any
    y: Any = None
    table: Table | None = None
    files: Sequence[Path] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.x.values())) if isinstance(self.x, Mapping) else self.x)

    @property
    def judged(self) -> bool:
        """Whether there are targets."""
        return self.y is not None or getattr(self.x, "judged", False)

    def take(self, rows: Array) -> Part:
        """Some rows."""

        def of(arrays: Any) -> Any:
            if isinstance(arrays, Mapping):
                return {name: array[rows] for name, array in arrays.items()}
            return None if arrays is None else arrays[rows]

        files = None if self.files is None else [self.files[row] for row in rows.tolist()]
        return Part(of(self.x), of(self.y), None if self.table is None else self.table.take(rows), files)


@dataclass(frozen=True)
class Source:
    """Data under the ``name`` it is found by again: a part to train on, others to watch by and to test on.

    ``classes`` are the names of classes, none if a number is to be predicted. Arrays of bytes are divided by ``scale``.
    ``notes`` are what people should know of the data, ``counts`` the rows of each class, where those to train on are not in memory.
    """

    name: str
    parts: Mapping[str, Part]
    classes: Sequence[str] = ()
    features: Features | Pictures | None = None
    scale: int | None = None
    notes: Sequence[str] = field(default_factory=list)
    counts: Array | None = None

    @property
    def train(self) -> Part:
        """The part to train on, with its labels."""
        if "train" not in self.parts:
            raise DataError(f"{self.name} has only a test part, nothing to train on.", hint="add x_train and y_train")
        return self.parts["train"]

    @property
    def class_weight(self) -> dict[int, float]:
        """Weights with which each class counts alike. Raises `UsageError` where there are no classes."""
        if not self.classes:
            raise UsageError("Classes are balanced where there are some, and one target.", hint="leave out --balanced")
        counts = self.counts
        if counts is None:
            counts = np.bincount(np.asarray(self.train.y).reshape(-1), minlength=len(self.classes))
        return {k: len(self.train) / (len(counts) * max(1, int(n))) for k, n in enumerate(counts)}

    @property
    def last(self) -> Part:
        """The test part, or all rows if there is only one part; with or without labels."""
        return self.parts.get("test") or self.parts["train"]

    @property
    def judge(self) -> tuple[str, Part]:
        """The part to judge a model by, the less it was seen in training the better."""
        return next(
            (name if name != "train" else "training", self.parts[name])
            for name in ("test", "validation", "train")
            if name in self.parts
        )


def open_data(name: str, model: Model | None = None, judged: bool = True) -> Source:
    """The data called ``name``, as it is; a table as ``model`` takes it. Raises `UnknownName` if there is none, `DataError` if it
    is not what it should be."""
    if model is not None and isinstance(model.features, Pictures):
        return _pictures_for(name, model.features)
    if name not in DATASETS and (kind_of(name)[0] is not None or holds_shards(name)):
        return _for_model(name, model, judged)
    parts, scale = _arrays(name)
    found = {part: Part(data.x, data.y) for part, data in parts.items()}
    return Source(_place(name), found, scale=scale)


def open_training(settings: Settings) -> Source:
    """The data to train on, divided as ``settings`` say, and known to fit."""
    if is_of_pictures(settings.data, settings.column):
        return _training_pictures(settings)
    if settings.data not in DATASETS and kind_of(settings.data)[0] is not None:
        return _training_table(settings)
    if holds_shards(settings.data):
        return _training_folder(settings)
    parts, scale = _arrays(settings.data)
    for option in ("target", "column", "group", "time"):
        if getattr(settings, option):
            raise UsageError(f"--{option} is for tables, and {settings.data} is none.")
    if "train" not in parts:
        raise DataError(f"{settings.data} has only a test part, nothing to train on.", hint="add x_train and y_train")
    labelled = {part: _labelled(settings.data, part, data) for part, data in parts.items()}
    classes = count_classes(labelled["train"])
    if "test" in labelled:
        labelled["test"].check_shape(labelled["train"].x.shape[1:], "The network")
        labelled["test"] = labelled["test"].check_labels(classes)
    found = {part: Part(data.x, data.y) for part, data in labelled.items()}
    whole = found["train"]
    test_split = 0.0 if "test" in found else settings.test_split
    if settings.validation_split or test_split:
        shares = [settings.validation_split, test_split]
        rows = split_rows(len(whole), shares, settings.seed, classes=whole.y.reshape(-1))
        names = ["train", "validation", "test"]
        found = {part: whole.take(r) for part, r in zip(names, rows, strict=True) if len(r)} | {
            part: data for part, data in found.items() if part == "test"
        }
    return Source(_place(settings.data), found, [str(k) for k in range(classes)], scale=scale)


def count_classes(data: Dataset) -> int:
    """How many classes the labels speak of. Raises `DataError` for labels that do not count from 0."""
    limit = max(_MOST_LABELS, len(data))
    y = data.check_labels(limit).y
    assert y is not None
    return int(y.max()) + 1


def scale_of(x: Array) -> int | None:
    """What to divide bytes by to get values from 0 to 1; None for other numbers, which are taken as they are."""
    return max(int(x.max(initial=0)), 1) if x.dtype == np.uint8 else None


# ------------------------------------------------------------------ tables


def _for_model(name: str, model: Model | None, judged: bool) -> Source:
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
    if judged and (
        absent := [t.name for t in features.targets if t.name not in (shards.names if shards else table or ())]
    ):
        raise DataError(f"{name} has no column {absent[0]!r} to compare with.")
    present = {t.name: presence(Text.of([]), t.classes is None) for t in features.targets} if judged else {}
    if table is None:
        assert shards is not None
        kept, missing = _kept(shards, present) if judged else (None, 0)
        pieces = TablePieces(shards, features, judged, kept)
        return Source(_place(name), {"train": Part(pieces)}, features=features, notes=_left_out(missing, len(shards)))
    if not judged:
        part = Part(features.inputs(table), None, table)
        return Source(_place(name), {"train": part}, features=features, notes=_unknown(table, features))
    there = _present(table, present)
    rows = table.take(np.flatnonzero(there))
    notes = _left_out(int((~there).sum()), len(table)) + _unknown(rows, features)
    return Source(_place(name), {"train": _part_of(features, rows)}, features=features, notes=notes)


def _kept(folder: ParquetFolder, present: Mapping[str, Callable[[Values], Array]]) -> tuple[list[Array | None], int]:
    """Which rows of each group have all targets, and how many have not."""
    kept, missing = [], 0
    for number, group in enumerate(folder.groups, 1):
        masks = [_present(table, present) for table in folder.tables(group, present)]
        missing += sum(int((~mask).sum()) for mask in masks)
        kept.append(packed(np.concatenate(masks) if masks else np.zeros(0, bool)))
        tell("Reading targets", number, len(folder.groups), "row groups")
    return kept, missing


def _left_out(missing: int, rows: int) -> list[str]:
    return [f"{missing:,} of {rows:,} rows have no target, and were left out"] if missing else []


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


def _training_table(settings: Settings) -> Source:
    if not settings.target:
        raise _no_target(settings.data, list(Table.read(settings.data).columns))
    kinds = dict(_kind(text) for text in settings.column)
    words = [name for name, kind in kinds.items() if kind in ("category", "boolean")]
    read_as_words = set(words)
    table = Table.read(settings.data, words)
    for name in settings.target:
        _ = table[name]
    whole, notes = _with_targets(table, settings.target)
    apart = _apart(settings, kinds)
    targets = {name: Target.fit(name, whole[name], kinds.get(name)) for name in settings.target}
    rows = _divided(whole, settings, list(targets.values()))
    # What columns are is seen in all rows, what they hold is learned from those to train on.
    seen: dict[str, str | Guess] = {name: guess(column) for name, column in table.columns.items()}
    features = _fitted(whole.take(rows[0]), targets, seen | kinds | apart)
    if set(features.words) - read_as_words:  # read again, as it will be for predictions: 01 is no 1
        whole, _ = _with_targets(Table.read(settings.data, features.words), settings.target)
        seen |= {one.name: "category" for one in features.categories}
        targets = {
            name: Target.fit(name, whole[name], "number" if t.classes is None else "category")
            for name, t in targets.items()
        }
        features = _fitted(whole.take(rows[0]), targets, seen | kinds | apart)
    part = _part_of(features, whole)
    names = ["train", "validation", "test"]
    parts = {name: part.take(r) for name, r in zip(names, rows, strict=True) if len(r)}
    keys = row_keys(list(part.x.values()))
    notes += _repeats([keys[r] for r in rows])
    classes = features.targets[0].classes if len(features.targets) == 1 else None
    return Source(_place(settings.data), parts, classes or (), features, notes=notes)


def _part_of(features: Features, table: Table) -> Part:
    """A table as the network takes it; several targets by the names of outputs."""
    x, y = features.pair(table)
    return Part(x, dict(zip(output_names(features), y, strict=True)) if isinstance(y, list) else y, table)


def _fitted(rows: Table, targets: Mapping[str, Target], kinds: Mapping[str, str | Guess]) -> Features:
    """Features of these rows; what a number is scaled by is learned from them alone."""
    learned = [t if t.classes is not None else Target.fit(name, rows[name], "number") for name, t in targets.items()]
    return Features.fit(rows, learned, kinds)


def _with_targets(table: Table, targets: Sequence[str]) -> tuple[Table, list[str]]:
    """The rows that have all targets."""
    there = has_targets(table, targets)
    missing = int((~there).sum())
    if not there.any():
        raise DataError(f"No row of {table.name} has a value for {', '.join(targets)}.")
    notes = _left_out(missing, len(table))
    return (table.take(np.flatnonzero(there)) if missing else table), notes


def _divided(table: Table, settings: Settings, targets: Sequence[Target]) -> list[Array]:
    classes = (
        targets[0].values(table[targets[0].name]) if len(targets) == 1 and targets[0].classes is not None else None
    )
    shares = [settings.validation_split, settings.test_split]
    return split_rows(len(table), shares, settings.seed, **_by(table, settings, classes))


def _by(table: Table | None, settings: Settings, classes: Array | None) -> dict[str, Array | None]:
    """What rows are divided by: time, groups, or classes."""
    if table is not None and settings.time:
        return {"times": _times(table, settings.time, _form_of_times(table, settings.time))}
    if table is not None and settings.group:
        return {"groups": as_text(table[settings.group]).codes}
    return {"classes": classes}


def _form_of_times(table: Table, name: str) -> str | None:
    """How points in time are written in a column, "" for those that are no text; None for numbers."""
    column = table[name]
    return None if isinstance(column, Numbers) else "" if isinstance(column, Moments) else form_of(column)


def _times(table: Table, name: str, form: str | None, lenient: bool = False) -> Array:
    column = table[name]
    if form is None:
        return as_numbers(name, column, lenient=lenient)
    return as_moments(name, column, form, lenient)


def _present(table: Table, present: Mapping[str, Callable[[Values], Array]]) -> Array:
    """Which rows have all targets."""
    found: Array = np.logical_and.reduce([there(table[name]) for name, there in present.items()])
    return found


def _repeats(keys: Sequence[Array], of: str = "") -> list[str]:
    """Notes on rows of later parts that are the same as rows of earlier ones."""
    return [
        f"{count:,} of {len(mine):,} rows {of}of the {part} part are the same as rows trained on"
        for part, mine, count in zip(("validation", "test"), keys[1:], repeated(keys), strict=True)
        if count
    ]


def _apart(settings: Settings, kinds: Mapping[str, str]) -> dict[str, Guess]:
    """Columns that say how rows are divided, which the network does not see unless it is told to."""
    if settings.time and settings.group:
        raise UsageError("Rows are divided by groups or by time, not by both.", hint="leave out --group or --time")
    divides = Guess("drop", "divides the rows")
    return {name: divides for name in (settings.group, settings.time) if name and name not in kinds}


def _no_target(name: str, columns: Sequence[str]) -> UsageError:
    return UsageError(
        f"What is to be predicted from {name}?",
        {"columns": ", ".join(columns[:20]) + (", ..." if len(columns) > 20 else "")},
        f"--target {shlex.quote(columns[-1])}",
    )


def _kind(text: str) -> tuple[str, str]:
    name, given, kind = text.rpartition("=")
    if not given or not name:
        raise UsageError(f"--column {text!r} does not say what the column is.", hint="--column zip=category")
    return name, kind


# ------------------------------------------------------------------ tables that do not fit into memory


def holds_shards(name: str) -> bool:
    """Whether it is a folder of Parquet files."""
    return name not in DATASETS and Path(name).is_dir() and bool(parquet_files(Path(name)))


def _training_folder(settings: Settings) -> Source:
    """A folder of Parquet files: what is learned of the columns, and the rows to watch by and to test on, come from a sample of
    the row groups; all other rows are read as they are trained on."""
    folder = ParquetFolder(settings.data)
    if not settings.target:
        raise _no_target(settings.data, folder.names)
    kinds = dict(_kind(text) for text in settings.column)
    apart = _apart(settings, kinds)
    keys = [*settings.target, *(name for name in (settings.group, settings.time) if name)]
    for name in keys:
        find(f"column of {settings.data}", name, dict.fromkeys(folder.names))
    heads = folder.sample(settings.seed)
    sample = folder.read(heads)
    if not has_targets(sample, settings.target).any():
        raise DataError(f"No row of {settings.data} has a value for {', '.join(settings.target)}.")
    kind_of_target = {name: Target.fit(name, sample[name], kinds.get(name)) for name in settings.target}
    present = {name: presence(sample[name], one.classes is None) for name, one in kind_of_target.items()}
    there = _present(sample, present)
    whole = sample.take(np.flatnonzero(there))
    learned = {name: Target.fit(name, whole[name], kinds.get(name)) for name in settings.target}
    rows = _divided(whole, settings, list(learned.values()))
    held = np.concatenate(rows[1:])
    outside = _outside(whole, held, settings)

    # All rows are trained on but those held out, and those like them, and those without a target.
    place = np.zeros(len(sample), bool)
    place[np.flatnonzero(there)[held]] = True
    classed = [name for name, one in learned.items() if one.classes is not None]
    every, trained = ({name: Counter[str]() for name in classed} for _ in range(2))
    kept, missing, at = [], 0, 0
    for number, group in enumerate(folder.groups):
        masks, left = [], heads.get(number, 0)  # rows of the sample that are still to come in this group
        for table in folder.tables(group, keys):
            mask = _present(table, present)
            missing += int((~mask).sum())
            for name in classed:
                every[name].update(counted(table[name], mask))
            mask &= outside(table)
            count = min(left, len(table))
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
    features = _fitted(whole.take(rows[0]), learned, seen | kinds | apart)
    parts = {"train": Part(TablePieces(folder, features, kept=kept))}
    for name, chosen in zip(("validation", "test"), rows[1:], strict=True):
        if len(chosen):
            parts[name] = _part_of(features, whole.take(chosen))
    notes = _left_out(missing, len(folder))
    if len(sample) < len(folder):
        notes.append(f"what columns hold was learned from {len(sample):,} rows, taken from {len(heads)} places")
    classes = features.classes or []
    frequent = np.array([trained[settings.target[0]][name] for name in classes]) if classes else None
    keys_of = row_keys(list(features.inputs(whole).values()))
    notes += _repeats([keys_of[r] for r in rows], "of the rows that were looked at ")
    return Source(_place(settings.data), parts, classes, features, notes=notes, counts=frequent)


def _outside(table: Table, held: Array, settings: Settings) -> Callable[[Table], Array]:
    """Which rows are of no group that is held out, and earlier than all that are held out."""
    if settings.time and len(held):
        form = _form_of_times(table, settings.time)
        begin = _times(table, settings.time, form)[held].min()
        return lambda other: np.asarray(_times(other, settings.time, form, lenient=True) < begin)
    if settings.group and len(held):
        words = as_text(table[settings.group])
        found = np.unique(words.codes[held]).tolist()
        groups, none = {words.terms[code] for code in found if code >= 0}, -1 in found  # those without are a group too

        def outside(other: Table) -> Array:
            words = as_text(other[settings.group])
            return ~np.array([*(term in groups for term in words.terms), none])[words.codes]

        return outside
    return lambda other: np.ones(len(other), bool)


# ------------------------------------------------------------------ pictures


def is_of_pictures(name: str, column: Sequence[str] = ()) -> bool:
    """Whether it is a folder of folders with pictures, or a table that names pictures in a column of which nothing else is said."""
    path = Path(name)
    if name in DATASETS or not path.is_dir():
        found = None if name in DATASETS else picture_column(name)
        return found is not None and found not in dict(_kind(text) for text in column)
    return any(p.is_dir() and holds_pictures(p) for p in path.iterdir())


def _training_pictures(settings: Settings) -> Source:
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
        rows_of = split_rows(len(whole), shares, settings.seed, **_by(whole.table, settings, whole.y))
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
    return Source(_place(settings.data), {part: parts[part] for part in order}, classes, pictures, notes=notes)


def _named_pictures(settings: Settings) -> tuple[Table, dict[str, Found], list[str], str, list[str]]:
    """A table, the pictures that it names, their classes, the column these are in, and what people should know."""
    column = picture_column(settings.data)
    assert column is not None
    table = Table.read(settings.data, [column, *settings.target])
    others = [name for name in table.columns if name != column]
    if not others:
        raise DataError(f"{settings.data} names pictures, but not what is on them.", hint="add a column with classes")
    if len(settings.target) != 1 and (settings.target or len(others) > 1):
        raise _no_target(settings.data, others)
    name = settings.target[0] if settings.target else others[0]
    if settings.column:
        raise UsageError(
            f"{settings.data} names pictures, from which classes are told: its other columns are not used.",
            hint=f"leave out --column; or --column {shlex.quote(column)}=drop for a network on the other columns",
        )
    table, notes = _with_targets(table, [name])
    if unused := [other for other in others if other not in (name, settings.group, settings.time)]:
        notes.append(
            f"it is taken as a list of pictures: {', '.join(unused[:5])} {'is' if len(unused) == 1 else 'are'} not used"
        )
    target = Target.fit(name, table[name], "category")
    paths = named_pictures(table, column)
    return table, {"train": Found(paths, target.values(table[name]))}, list(target.classes or []), name, notes


def _pictures_for(name: str, pictures: Pictures) -> Source:
    """Pictures as a model takes them: all in a folder, or one; with classes, if the folders below are called like them."""
    path = Path(name)
    if not path.exists():
        raise UnknownName(f"There is no file or folder called {name!r}.")
    if (column := picture_column(name)) is not None:
        return _listed_for(name, column, pictures)
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
    return Source(_place(name), {"train": Part(x, y, files=paths)}, pictures.classes, pictures)


def _listed_for(name: str, column: str, pictures: Pictures) -> Source:
    """Pictures that a table names; with classes, if it has the column with these."""
    table = Table.read(name, [column, pictures.target])
    paths = named_pictures(table, column)
    y = None
    if pictures.target in table and not (as_text(table[pictures.target]).codes < 0).any():
        y = Target(pictures.target, pictures.classes).values(table[pictures.target])
    x, _, _ = pictures.inputs(paths)
    return Source(_place(name), {"train": Part(x, y, table, paths)}, pictures.classes, pictures)


# ------------------------------------------------------------------ arrays


def _place(name: str) -> str:
    return name if name in DATASETS else str(Path(name).resolve())


def _arrays(name: str) -> tuple[dict[str, Dataset], int | None]:
    """The parts of a data set, file or folder of arrays, and what to divide bytes by."""
    if name in DATASETS:
        train, test = DATASETS[name]()
        return {"train": Dataset(*train), "test": Dataset(*test)}, DATASETS[name].scale
    path = Path(name)
    if not path.exists():
        hint = did_you_mean(name, DATASETS)  # ends with a question mark if a name is near
        more = "" if hint.endswith("?") else f", {ACCEPTED}"
        raise UnknownName(f"There is no data set, file or folder called {name!r}.", hint=hint + more)
    arrays = read_zarr(path) if holds_zarr(path) else _folder(path) if path.is_dir() else read(path)
    parts = _parts(name, arrays if isinstance(arrays, dict) else {"x": arrays})
    return parts, scale_of(next(iter(parts.values())).x)


def _labelled(name: str, part: str, data: Dataset) -> Dataset:
    if data.y is None:
        raise DataError(f"{name} has no labels for its {part} part.", hint=f"use {ACCEPTED}")
    if not len(data):
        raise DataError(f"The {part} part of {name} has no rows.")
    return data


def _folder(folder: Path) -> dict[str, Array]:
    """The idx files of a folder, named as in MNIST, under the names they would have in an archive."""
    prefixes = {"x_train": "train-images", "y_train": "train-labels", "x_test": "t10k-images", "y_test": "t10k-labels"}
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    found = {key: [n for n in names if n.startswith(prefix)] for key, prefix in prefixes.items()}
    if not any(found.values()):
        raise DataError(
            f"The folder {folder} holds no data that is known.", {"found": _holds(folder)}, _instead(folder)
        )
    return {key: _array(folder / files[0]) for key, files in found.items() if files}


def _holds(folder: Path) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in os.scandir(folder))
    return (
        ", ".join(names[:4]) + (f" and {len(names) - 4:,} more" if len(names) > 4 else "")
    ) or "nothing: it is empty"


def _instead(folder: Path) -> str:
    """What to do with a folder that holds something, but not as it is expected."""
    names = [entry.name for entry in os.scandir(folder)]
    if any(kind_of(name)[0] for name in names):
        return "a table is given by its own name; a folder of tables has to hold .parquet files"
    if any(is_picture(name) for name in names):
        return "put the pictures into a folder for each class"
    inside = next((name for name in names if holds_shards(str(folder / name))), None)
    return f"name {folder / inside}" if inside else f"use {ACCEPTED}"


def _array(path: Path) -> Array:
    array = read(path)
    if isinstance(array, dict):
        raise DataError(f"{path} is an archive, expected an idx file.")
    return array


def _parts(name: str, arrays: Mapping[str, Array]) -> dict[str, Dataset]:
    parts = {"train": _part(name, arrays, _TRAIN_NAMES), "test": _part(name, arrays, _TEST_NAMES)}
    found = {part: data for part, data in parts.items() if data is not None}
    if not found:
        names = " or ".join(" and ".join(pair) for pair in (*_TRAIN_NAMES, *_TEST_NAMES))
        raise DataError(
            f"{name} holds no data by a name that is known.",
            {"found": ", ".join(arrays) or "nothing", "expected": names},
            "save it again with numpy.savez(file, x=..., y=...)",
        )
    return found


def _part(name: str, arrays: Mapping[str, Array], pairs: tuple[tuple[str, str], ...]) -> Dataset | None:
    """The first of ``pairs`` whose inputs are there, with labels or without."""
    known = {key.lower(): key for key in arrays}
    for x, y in pairs:
        if x in known:
            labels = arrays[known[y]] if y in known else None
            return Dataset(
                arrays[known[x]],
                labels,
                name_x=f"{known[x]} in {name}",
                name_y=f"{known.get(y, y)} in {name}",
                allow_empty=True,
            )
    return None


def best_of(folder: Path) -> Path:
    """The run in a folder; in one of `nacre tune`, that with the best settings."""
    return folder / BEST if (folder / BEST / SETTINGS).is_file() else folder


def model_file(name: str) -> Path:
    """The model file called ``name``, or the one in the run folder of this name."""
    path = Path(name)
    if path.is_dir():
        path = best_of(path) / MODEL
    if not path.exists():
        raise UsageError(f"There is no model {path}.", hint="nacre train says where it puts the model")
    return path


def tell_notes(source: Source) -> None:
    """Tell people, beside the result, what they should know of the data."""
    for note in source.notes:
        print(f"Note: {note}.", file=sys.stderr)


def open_model(name: str) -> Model:
    """The model in a file or run folder."""
    return load_model(model_file(name))
