"""Data under the name by which they are found again: parts to train on, to watch by, and to test on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data import DATASETS, Features, Pictures, Table
from nacre.data.folders import TablePieces
from nacre.errors import DataError, Limitation, UsageError
from nacre.plain import printable

Array = npt.NDArray[Any]


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
    def notes(self) -> list[str]:
        """What is known of rows that are read piece by piece, once they were."""
        return self.x.notes() if isinstance(self.x, TablePieces) else []

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

    def after(self, part: Part) -> Source:
        """The same, with notes on rows of a part that were read piece by piece."""
        return replace(self, notes=[*self.notes, *part.notes])

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


def in_memory(part: Part) -> Part:
    """The rows, which are in memory. Raises `Limitation` for rows that are read piece by piece."""
    if not hasattr(part.x, "__getitem__"):
        raise Limitation("Rows are looked at one by one, and these are read piece by piece.", hint="name a single file")
    return part


def place_of(name: str) -> str:
    """The name by which data are found again, from anywhere."""
    return name if name in DATASETS else str(Path(name).resolve())


def tell_notes(notes: Sequence[str]) -> None:
    """Tell people, beside the result, what they should know of the data."""
    for note in notes:
        print(printable(f"Note: {note}."), file=sys.stderr)
