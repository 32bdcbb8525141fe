"""What a user names: data (a data set that comes with nacre, a file, a folder) and models."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data import DATASETS, Dataset, read
from nacre.errors import DataError, UnknownName, UsageError, did_you_mean
from nacre.models import Model, load_model
from nacre.training.run import MODEL

Array = npt.NDArray[Any]

ACCEPTED = "an .npz file with x and y, or a folder of idx files named as MNIST's"

# What arrays are called in files, the usual way first; letters may be large or small.
_TRAIN_NAMES = (("x_train", "y_train"), ("x", "y"), ("images", "labels"))
_TEST_NAMES = (("x_test", "y_test"),)
_MOST_LABELS = 1000  # or as many as there are rows: beyond, labels are no class numbers


@dataclass(frozen=True)
class Source:
    """Data under the ``name`` it is found by again: a training part, a test part, or both."""

    name: str
    parts: Mapping[str, Dataset]

    @property
    def train(self) -> Dataset:
        """The part to train on, with its labels."""
        if "train" not in self.parts:
            raise DataError(f"{self.name} has only a test part, nothing to train on.", hint="add x_train and y_train")
        return self._labelled("train")

    @property
    def test(self) -> Dataset | None:
        """The part that is kept from training, with its labels."""
        return self._labelled("test") if "test" in self.parts else None

    @property
    def last(self) -> Dataset:
        """The test part, or all rows if there is only one part; with or without labels."""
        return self.parts.get("test") or self.parts["train"]

    def _labelled(self, part: str) -> Dataset:
        data = self.parts[part]
        if data.y is None:
            raise DataError(f"{self.name} has no labels for its {part} part.", hint=f"use {ACCEPTED}")
        if not len(data):
            raise DataError(f"The {part} part of {self.name} has no rows.")
        return data


def open_data(name: str) -> Source:
    """The data called ``name``. Raises `UnknownName` if there is none, `DataError` if it is not what it should be."""
    if name in DATASETS:
        train, test = DATASETS[name]()
        return Source(name, {"train": Dataset(*train), "test": Dataset(*test)})
    path = Path(name)
    if not path.exists():
        hint = did_you_mean(name, DATASETS)  # ends with a question mark if a name is near
        more = "" if hint.endswith("?") else f", {ACCEPTED}"
        raise UnknownName(f"There is no data set, file or folder called {name!r}.", hint=hint + more)
    arrays = _folder(path) if path.is_dir() else read(path)
    if not isinstance(arrays, dict):
        arrays = {"x": arrays}
    return Source(str(path.resolve()), _parts(name, arrays))


def count_classes(data: Dataset) -> int:
    """How many classes the labels speak of. Raises `DataError` for labels that do not count from 0."""
    limit = max(_MOST_LABELS, len(data))
    y = data.check_labels(limit).y
    assert y is not None
    return int(y.max()) + 1


def scale_of(x: Array) -> int | None:
    """What to divide bytes by to get values from 0 to 1; None for other numbers, which are taken as they are."""
    return max(int(x.max(initial=0)), 1) if x.dtype == np.uint8 else None


def _folder(folder: Path) -> dict[str, Array]:
    """The idx files of a folder, named as in MNIST, under the names they would have in an archive."""
    prefixes = {"x_train": "train-images", "y_train": "train-labels", "x_test": "t10k-images", "y_test": "t10k-labels"}
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    found = {key: [n for n in names if n.startswith(prefix)] for key, prefix in prefixes.items()}
    if not any(found.values()):
        raise DataError(
            f"The folder {folder} holds no data.",
            {"expected": "train-images-idx3-ubyte.gz and its like"},
            f"use {ACCEPTED}",
        )
    return {key: _array(folder / files[0]) for key, files in found.items() if files}


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


def model_file(name: str) -> Path:
    """The model file called ``name``, or the one in the run folder of this name."""
    path = Path(name)
    if path.is_dir():
        path = path / MODEL
    if not path.exists():
        raise UsageError(f"There is no model {path}.", hint="nacre train says where it puts the model")
    return path


def open_model(name: str) -> Model:
    """The model in a file or run folder."""
    return load_model(model_file(name))
