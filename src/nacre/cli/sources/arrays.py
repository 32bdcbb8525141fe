"""Arrays: data sets that come with nacre, files of arrays, and folders of idx files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.settings import Settings
from nacre.cli.sources.folders import holds_shards
from nacre.cli.sources.source import Part, Source, place_of
from nacre.data import DATASETS, Dataset, read
from nacre.data.images import (
    is_picture,
)
from nacre.data.readers import holds_zarr, read_zarr
from nacre.data.splits import split_rows
from nacre.data.tables import kind_of
from nacre.errors import DataError, UnknownName, UsageError, did_you_mean

Array = npt.NDArray[Any]

ACCEPTED = (
    "an .npz or .h5 file with x and y, a .csv or .parquet file, a folder with pictures for each class, "
    "or idx files named as MNIST's"
)

# What arrays are called in files, the usual way first; letters may be large or small.
_TRAIN_NAMES = (("x_train", "y_train"), ("x", "y"), ("images", "labels"))
_TEST_NAMES = (("x_test", "y_test"),)
_MOST_LABELS = 1000  # or as many as there are rows: beyond, labels are no class numbers


def open_arrays(name: str) -> Source:
    """Arrays as they are."""
    parts, scale = _arrays(name)
    found = {part: Part(data.x, data.y) for part, data in parts.items()}
    return Source(place_of(name), found, scale=scale)


def training_arrays(settings: Settings) -> Source:
    """Arrays to train on, with labels."""
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
    return Source(place_of(settings.data), found, [str(k) for k in range(classes)], scale=scale)


def count_classes(data: Dataset) -> int:
    """How many classes the labels speak of. Raises `DataError` for labels that do not count from 0."""
    limit = max(_MOST_LABELS, len(data))
    y = data.check_labels(limit).y
    assert y is not None
    return int(y.max()) + 1


def scale_of(x: Array) -> int | None:
    """What to divide bytes by to get values from 0 to 1; None for other numbers, which are taken as they are."""
    return max(int(x.max(initial=0)), 1) if x.dtype == np.uint8 else None


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
