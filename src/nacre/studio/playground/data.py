"""What a play is about: rows to train and to test on, and how they are shown."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.capacity import free_memory
from nacre.data import DATASETS
from nacre.data.features import Features, NumberFeature
from nacre.data.tables import Table, Text
from nacre.errors import DataError, NacreError, UsageError, find
from nacre.studio.formulas import parsed
from nacre.studio.playground import sources
from nacre.studio.playground.recipe import Data, Settings

Array = npt.NDArray[Any]

GRID = 64  # cells along each side of the plane
_REACH = 3.2  # of the plane that formulas fill, from -3 to 3
_SHOWN = 600  # points of each part that are drawn
_TO_FETCH = 'fetch it once (11 MB) in a terminal: python -c "import nacre; nacre.datasets.mnist.load_data()"'
_WIDEST = 2000  # columns that a table may become
_SAMPLES = 20


@dataclass(frozen=True)
class Axis:
    """A side of the plane: a column of the inputs, from ``low`` to ``high``; ``ends`` are these in the words of the data."""

    label: str
    low: float
    high: float
    ends: tuple[float, float]
    column: int = 0


@dataclass
class Rows:
    """Rows as they come, before noise; ``targets`` are class numbers or numbers. Pictures have a ``side``, others two axes."""

    points: Array
    targets: Array
    classes: list[str]
    labels: list[str]
    axes: tuple[Axis, Axis] | None
    side: int | None = None
    table: dict[str, list[str]] | None = None  # names of all its columns, and of those of numbers that can be axes
    free: bool = False  # whether the points are x and y, of which the network may take what it likes
    training: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    test: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def loss(self) -> str:
        """The one that fits the targets."""
        if not self.classes:
            return "mse"
        return "binary_crossentropy" if len(self.classes) == 2 else "sparse_categorical_crossentropy"

    @property
    def outputs(self) -> tuple[int, str]:
        """Units and activation at the end."""
        if not self.classes:
            return 1, "linear"
        return (1, "sigmoid") if len(self.classes) == 2 else (len(self.classes), "softmax")


@dataclass(frozen=True)
class Problem:
    """What a network sees. ``x`` and ``y`` hold all rows, ``grid`` those of the plane, the upper left cell first."""

    rows: Rows
    x: Array
    y: Array
    points: Array
    names: tuple[str, ...]
    grid: Array | None

    @cached_property
    def training(self) -> tuple[Array, Array]:
        """Rows to train on, and their targets."""
        return self.x[self.rows.training], self.y[self.rows.training]

    @cached_property
    def test(self) -> tuple[Array, Array]:
        """Rows to test on, and their targets."""
        return self.x[self.rows.test], self.y[self.rows.test]

    def shown(self) -> dict[str, Any]:
        """What the page draws: points with targets, what the inputs look like over the plane, or some pictures of the test."""
        rows = self.rows
        found: dict[str, Any] = {
            "classes": rows.classes,
            "inputs": list(self.names),
            "outputs": rows.outputs[0],
            "training": len(rows.training),
            "test": len(rows.test),
            "side": rows.side,
            "table": rows.table,
        }
        if rows.axes is None:
            chosen = rows.test[:_SAMPLES]
            bright = np.clip(self.x[chosen], 0, 1)
            found["samples"] = {"pixels": np.round(bright * 255).astype(np.uint8), "labels": self.y[chosen]}
            return found
        found["axes"] = rows.axes
        for part, chosen in (("training_points", rows.training), ("test_points", rows.test)):
            some = chosen[:_SHOWN]
            found[part] = np.round(
                np.column_stack([self.points[some][:, [a.column for a in rows.axes]], self.y[some]]), 4
            )
        return found


def load(data: Data, seed: int) -> Rows:
    """The rows that a recipe asks for. Raises `DataError` or `UsageError` for what cannot be had."""
    if data.source == "table":
        rows = _table(data, seed)
    elif data.source in DATASETS:
        rows = _pictures(data, seed)
    else:
        _check_room(data.rows, 2)
        rows = _plane(data, seed)
    if len(rows.points) < 4:
        raise DataError(f"There are {len(rows.points)} rows with a target; at least 4 are needed.")
    rows.training, rows.test = sources.parts(len(rows.points), data.test, seed)
    return rows


def _plane(data: Data, seed: int) -> Rows:
    if data.source == "function":
        function = parsed(data.formula)
        points = sources.even(data.rows, seed)
        targets = function(points)
        numbers = not function.truth
    else:
        points, targets = sources.PLANE[data.source](data.rows, seed)
        numbers = data.source == "plane"
    axes = Axis("x", -_REACH, _REACH, (-_REACH, _REACH)), Axis("y", -_REACH, _REACH, (-_REACH, _REACH), 1)
    return Rows(points, targets, [] if numbers else ["0", "1"], ["x", "y"], axes, free=True)


def missing() -> dict[str, str]:
    """Sources that are not on this computer yet, and what to do."""
    return {} if DATASETS["mnist"].at_hand() else {"mnist": _TO_FETCH}


def _pictures(data: Data, seed: int) -> Rows:
    dataset = DATASETS[data.source]
    if not dataset.at_hand():
        raise DataError("MNIST is not on this computer yet.", hint=_TO_FETCH)
    points, labels = sources.pictures(dataset, data.rows, seed)
    side = math.isqrt(points.shape[1])
    names = [str(k) for k in range(dataset.classes)]
    return Rows(points, labels, names, [f"pixel {k}" for k in range(points.shape[1])], None, side)


def _table(data: Data, seed: int) -> Rows:
    _check_text(data.table)
    with written(data.table) as path:
        try:
            table = Table.read(path)
            find("column of the table", data.target, table.columns)
            widths = [min(len(c.terms), _WIDEST) if isinstance(c, Text) else 2 for c in table.columns.values()]
            _check_room(min(data.rows, len(table)), sum(widths))
            points, targets, features = sources.from_table(path, data.target, data.rows, data.test, seed)
        except (DataError, UsageError) as error:
            raise _of_the_table(error, path) from error
    if points.shape[1] > _WIDEST:
        raise DataError(f"The table becomes {points.shape[1]:,} columns; at most {_WIDEST:,} are shown here.")
    labels, numbers = _labels(features)
    names = [name for name in dict.fromkeys([*data.axes, *numbers]) if name in numbers]
    if len(names) < 2:
        raise DataError(
            f"The plane needs two columns of numbers, but beside the target {data.target!r} there are {len(names)}.",
            hint="another target, or a table with more numbers",
        )
    axes = tuple(_axis(numbers[name][0], numbers[name][1], points) for name in names[:2])
    known = {"columns": list(table.columns), "numbers": list(numbers)}
    return Rows(points, targets, list(features.classes or []), labels, (axes[0], axes[1]), table=known)


def _labels(features: Features) -> tuple[list[str], dict[str, tuple[NumberFeature, int]]]:
    """The names of all columns of the inputs, and where those of numbers are."""
    labels: list[str] = []
    numbers: dict[str, tuple[NumberFeature, int]] = {}
    for one in features.features:
        if one.width:
            if isinstance(one, NumberFeature):
                numbers[one.name] = (one, len(labels))
            labels += one.parts
    for one in features.categories:
        labels += [one.term(number) for number in range(one.size)]
    return labels, numbers


def _axis(feature: NumberFeature, column: int, points: Array) -> Axis:
    low, high = float(points[:, column].min()), float(points[:, column].max())
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin
    ends = [v * feature.scale + feature.mean for v in (low, high)]
    raw = [math.expm1(v) for v in ends] if feature.log else ends
    return Axis(feature.name, low, high, (raw[0], raw[1]), column)


@contextmanager
def written(text: str) -> Iterator[Path]:
    """A text as a file of its own for as long as it is needed: readers take files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text(text, "utf-8")
        yield path


def problem(rows: Rows, settings: Settings, seed: int) -> Problem:
    """What a network sees of rows with these settings: their noise, and their inputs."""
    points, targets = sources.noisy(rows.points, rows.targets, settings.noise, seed)
    y = targets.astype(np.int32 if rows.classes else np.float32)
    if rows.axes is None:
        return Problem(rows, points.astype(np.float32), y, points, tuple(rows.labels), None)
    cells = _cells(rows.axes)
    if rows.free:
        names = settings.inputs
        x, grid = sources.columns(points, list(names)), sources.columns(cells, list(names))
        return Problem(rows, x, y, points, names, grid)
    grid = np.tile(rows.points.mean(0), (len(cells), 1))
    grid[:, [axis.column for axis in rows.axes]] = cells
    return Problem(rows, points.astype(np.float32), y, points, tuple(rows.labels), grid.astype(np.float32))


def _cells(axes: tuple[Axis, Axis]) -> Array:
    """The middle of each cell of the plane, row by row from the top.   -> (GRID * GRID, 2)"""
    middle = (np.arange(GRID) + 0.5) / GRID
    across, up = (axis.low + middle * (axis.high - axis.low) for axis in axes)
    return np.stack(np.meshgrid(across, up[::-1]), -1).reshape(-1, 2)


def _check_room(rows: int, width: int) -> None:
    """Refuse rows that take more than a quarter of the memory; some ten numbers are kept for each that is asked for."""
    taken, free = rows * (width + 8) * 8, free_memory()
    if taken > free / 4:
        raise DataError(
            f"{rows:,} rows take {taken / 1e9:,.1f} GB here; {free / 1e9:,.1f} GB are free for all.", hint="fewer rows"
        )


def _check_text(text: str) -> None:
    """Refuse a table that is empty, or of so many columns that reading it would not end."""
    if not text.strip():
        raise UsageError("The table is empty.", hint="paste its text, or drop a CSV file")
    for line in text.splitlines():
        if len(line) > _WIDEST and (columns := 1 + max(map(line.count, ",;\t|"))) > _WIDEST:
            raise DataError(f"The table has a line of {columns:,} columns; at most {_WIDEST:,} are shown here.")


def _of_the_table(error: NacreError, path: Path) -> NacreError:
    """An error that does not tell where the table lies meanwhile."""
    return type(error)(error.what.replace(str(path), "the table"), error.details, error.hint)


def looked_at(text: str) -> dict[str, Any]:
    """The columns of a table, which of them hold numbers, and the last one as a guess of what is to be predicted."""
    _check_text(text)
    with written(text) as path:
        try:
            table = Table.read(path)
        except DataError as error:
            raise _of_the_table(error, path) from error
    features = Features.fit(table, [])
    _, numbers = _labels(features)
    names = list(table.columns)
    return {"rows": len(table), "columns": names, "numbers": list(numbers), "target": names[-1]}
