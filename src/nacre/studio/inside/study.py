"""A model that is looked into, with rows of the data it is judged by."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.cli.features import class_names
from nacre.cli.pixels import plainly, png
from nacre.cli.settings import Settings
from nacre.cli.sources import in_memory, open_training
from nacre.cli.sources.source import Part, Source
from nacre.errors import UsageError
from nacre.insight.pictures import sees_pictures
from nacre.models import Model
from nacre.studio.figures import Figure, Heat, Image, Table
from nacre.studio.folders import Runs, model_in

Array = npt.NDArray[Any]

_KEPT = 4  # studies in memory
_ROWS = 1000  # of the data, at most


class Studies:
    """The models of runs, each loaded when it is asked for; the latest few stay in memory."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self._open: OrderedDict[tuple[str, int], Study] = OrderedDict()
        self._lock = threading.Lock()

    def listed(self) -> list[dict[str, str]]:
        """The runs that have a model, the newest first."""
        found = [
            (name, run.run.model.stat().st_mtime) for name, run in self.runs.all().items() if run.run.model.is_file()
        ]
        return [{"name": name} for name, _ in sorted(found, key=lambda one: -one[1])]

    @contextmanager
    def open(self, name: str) -> Iterator[Study]:
        """The study of the run of that name, which nobody else uses meanwhile. Raises `UnknownName` if there is no such run,
        `UsageError` if it has no model."""
        run = self.runs[name]
        if run.settings is None or not run.run.model.is_file():
            raise UsageError(
                f"The run {name!r} has no model yet, or its run.toml cannot be read.", hint="choose another"
            )
        key = name, run.run.model.stat().st_mtime_ns
        with self._lock:
            if key not in self._open:
                self._open[key] = Study(name, run.run.model, run.settings)
                while len(self._open) > _KEPT:
                    self._open.popitem(last=False)
            self._open.move_to_end(key)
            study = self._open[key]
        with study.lock:
            yield study


class Study:
    """One model, with at most a thousand rows of its test part, or what there is instead.

    ``steps`` counts what it has learned here since it came from its file.
    """

    def __init__(self, name: str, file: Path, settings: Settings) -> None:
        self.name, self.file, self.settings, self.lock = name, file, settings, threading.Lock()
        source = open_training(settings)
        self.part, rows = source.judge
        self.rows: Part = in_memory(rows).take(np.arange(min(len(rows), _ROWS)))
        self.begin_again()
        self.pictured = sees_pictures(self.model)
        self.classes = self._classes(source)
        self.high = float(self.rows.x.max()) if self.pictured else 1.0

    def begin_again(self) -> None:
        """Go back to the weights in the file."""
        self.model: Model = model_in(self.file)
        self.steps = 0

    def learn(self, row: int) -> dict[str, float]:
        """Take one step on a row; its loss before and after."""
        part = self.at(row)
        before = float(self.model.inside(part.x, part.y).losses[0])
        self.model.train_on_batch(part.x, part.y)
        self.steps += 1
        return {"before": before, "after": float(self.model.inside(part.x, part.y).losses[0])}

    def at(self, row: int) -> Part:
        """One row, as a part of its own."""
        if not 0 <= row < len(self.rows):
            raise UsageError(f"There are rows 0 to {len(self.rows) - 1:,}, got {row:,}.")
        return self.rows.take(np.array([row]))

    def input_of(self, row: int | None, pixels: list[float] | None) -> Any:
        """The input of a row, or of a picture that was drawn, in the form that the model takes."""
        if row is not None:
            return self.at(row).x
        if not self.pictured:
            raise UsageError(f"{self.name} takes no pictures.", hint="choose a row")
        shape = self.shape
        drawn = np.array(pixels or [], np.float64)
        if drawn.size != shape[0] * shape[1] or not np.isfinite(drawn).all():
            raise UsageError(
                f"A picture has {shape[0]} x {shape[1]} shades from 0 to 1, got {drawn.size:,} numbers.",
            )
        shades = np.clip(drawn, 0, 1).reshape(shape[:2])
        if len(shape) == 3:
            shades = np.repeat(shades[..., None], shape[2], 2)
        form = self.rows.x.dtype
        return (np.rint(shades * self.high) if form.kind in "iu" else shades * self.high).astype(form)[None]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a picture."""
        return tuple(int(n or 0) for n in self.model.input_shapes[0][1:])

    def described(self) -> dict[str, Any]:
        """What the page should know of it."""
        return {
            "name": self.name,
            "command": self.settings.command,
            "rows": len(self.rows),
            "part": self.part,
            "labels": None if self.classes is None else [self.label(row) for row in range(len(self.rows))],
            "classes": self.classes,
            "picture": list(self.shape) if self.pictured else None,
            "layers": [
                {"name": layer.name, "kind": type(layer).__name__, "parameters": layer.count_params()}
                for layer in self.model.layers
            ],
            "parameters": self.model.count_params(),
            "optimizer": self.model.optimizer.name if self.model.optimizer is not None else None,
            "steps": self.steps,
        }

    def classes_of(self, outputs: Array) -> list[str] | None:
        """Names of outputs, if there is one for each class."""
        return self.classes if self.classes is not None and len(self.classes) == len(outputs) else None

    def label(self, row: int) -> str:
        """What the row truly is."""
        true = np.asarray(self.at(row).y).reshape(-1)
        return self.classes[int(true[0])] if self.classes is not None else ", ".join(f"{v:.4g}" for v in true.tolist())

    def sample(self, row: int) -> dict[str, Any]:
        """A row as people see it, and what it truly is."""
        return {"figure": self.shown(self.at(row)), "label": self.label(row)}

    def shown(self, part: Part) -> Figure:
        """The picture, or the cells of the table, of the first row of a part."""
        if self.pictured:
            return self.picture(np.asarray(part.x[0], np.float64), f"the picture, {self.shape[0]} by {self.shape[1]}")
        if part.table is not None:
            cells = [[name, values.text()[0]] for name, values in part.table.columns.items()]
            return Table(columns=["column", "value"], rows=cells)
        values = np.concatenate([np.asarray(x[:1]).reshape(-1) for x in _arrays(part.x)])
        return Table(columns=["input", "value"], rows=[[f"x{i}", float(v)] for i, v in enumerate(values[:200])])

    def picture(self, image: Array, label: str) -> Figure:
        """A picture (height, width[, channels]) of the data."""
        if image.ndim == 3 and image.shape[2] == 3:
            return Image(src=png(plainly(image, 0.0, self.high)), label=label)
        return Heat.of(image.reshape(image.shape[:2]), label, colors="shade", low=0.0, high=self.high)

    def _classes(self, source: Source) -> list[str] | None:
        judged = self.model.judged_outputs()
        if len(judged) != 1 or judged[0][0] != "labels":
            return None
        names = class_names(self.model, source)
        if names is not None:
            return list(names)
        return [str(k) for k in range(int(np.asarray(self.rows.y).max()) + 1)]


def _arrays(x: Any) -> list[Array]:
    return list(x.values()) if isinstance(x, dict) else [x]
