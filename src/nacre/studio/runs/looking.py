"""What is found out of a run's model when a page asks for it: its layers on some rows, and the rows that it gets wrong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nacre.callbacks import LayerStatistics
from nacre.cli.pixels import plainly, png
from nacre.cli.report import told_of
from nacre.cli.sources import Part, Source, in_memory, open_training
from nacre.errors import Limitation, UsageError
from nacre.models import Model
from nacre.studio.figures import Bar, Bars, Figure, Table, Text
from nacre.studio.folders import Followed, check_outputs, model_in
from nacre.training.checkpoint import Checkpoints
from nacre.training.inside import looked_at

Array = npt.NDArray[Any]

_ROWS = 256  # that layers are looked at with
_JUDGED = 20_000  # rows that are predicted
_CLASSES = 24  # of a matrix
_PAGE = 24  # rows that are sent at a time
_PIXELS = 256  # along the longer side of a picture that is sent
_OPEN = 2  # judged models that are kept at hand
_WAITING = 4


@dataclass(frozen=True)
class _Opened:
    """The part of a run's data that it is judged by, called ``name``, and what the model says of it, worst rows first."""

    classes: Sequence[str]
    scale: int | None
    name: str
    judge: Part
    outputs: Array
    truth: Array
    said: Array
    order: Array
    note: str


class Confusion(msgspec.Struct, frozen=True):
    """``counts[i][j]`` rows of class i were taken for class j, of the classes that are shown. Without classes, numbers
    are predicted, and there is one cell of all rows."""

    part: str
    rows: int
    right: int
    classes: Sequence[str]
    shown: Sequence[int]
    counts: Array
    note: str


class Row(msgspec.Struct, frozen=True):
    """A row behind a cell: the true class and the predicted one with their probabilities, or the numbers."""

    row: int
    truth: str
    said: str
    of_truth: float | None
    of_said: float | None
    picture: str | None
    label: str
    cells: Sequence[str]


class Rows(msgspec.Struct, frozen=True):
    """Some of ``count`` rows, worst first, from place ``first`` on."""

    count: int
    first: int
    page: int
    columns: Sequence[str]
    rows: Sequence[Row]


class Looking:
    """Models and data that were asked for. One is at work at a time, and few may wait."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], _Opened] = OrderedDict()
        self._lock, self._queue = Lock(), Semaphore(_WAITING)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for the others. Raises `UsageError` if too many wait."""
        if not self._queue.acquire(blocking=False):
            raise UsageError("The studio looks into several models already.", hint="ask again in a moment")
        try:
            with self._lock:
                yield
        finally:
            self._queue.release()

    def layers(self, found: Followed) -> list[Figure]:
        """How errors, gradients and activations are, layer by layer, on some rows to train on."""
        with self._turn():
            return _layers(model_in(_model_of(found)), _data_of(found))

    def confusion(self, found: Followed) -> Confusion:
        """Which classes are taken for which, on the part of the data that the run is judged by."""
        opened = self._opened(found)
        names = opened.classes
        if not names:
            count = len(opened.judge)
            return Confusion(opened.name, count, 0, [], [], np.array([[count]]), opened.note)
        counts = np.zeros((len(names), len(names)), np.int64)
        np.add.at(counts, (opened.truth, opened.said), 1)
        right, note = int(np.trace(counts)), opened.note
        shown = np.arange(len(names))
        if len(names) > _CLASSES:
            wrong = counts.sum(0) + counts.sum(1) - 2 * np.diag(counts)
            shown = np.sort(np.argsort(-wrong, kind="stable")[:_CLASSES])
            note = f"{note} The {_CLASSES} of {len(names)} classes that are mistaken most are shown.".strip()
        return Confusion(
            opened.name, len(opened.judge), right, names, shown.tolist(), counts[np.ix_(shown, shown)], note
        )

    def rows(self, found: Followed, truth: int, said: int, first: int) -> Rows:
        """The rows of class ``truth`` that were taken for class ``said``, worst first; all rows where numbers are predicted."""
        opened = self._opened(found)
        order, names = opened.order, opened.classes
        if names:
            order = order[(opened.truth[order] == truth) & (opened.said[order] == said)]
        chosen = order[first : first + _PAGE]
        heads, told = told_of(opened.judge, chosen)
        pictures = _pictures(opened, chosen)
        rows = []
        for row, cells, picture in zip(chosen.tolist(), told, pictures, strict=True):
            t, s = opened.truth[row], opened.said[row]
            true, taken = (names[k] if names else f"{k:.5g}" for k in (t, s))
            of_truth, of_said = (float(opened.outputs[row, k]) if names else None for k in (t, s))
            label = Path(cells[0]).name if opened.judge.files is not None else f"row {row:,}"
            rows.append(Row(row, true, taken, of_truth, of_said, picture, label, [] if picture else cells))
        return Rows(len(order), first, _PAGE, heads if rows and rows[0].picture is None else [], rows)

    def _opened(self, found: Followed) -> _Opened:
        path = _model_of(found)
        with self._turn():
            status = path.stat()
            key = (path, status.st_mtime_ns, status.st_size, status.st_ino)
            if key not in self._kept:
                self._kept[key] = _judged(model_in(path), _data_of(found))
                while len(self._kept) > _OPEN:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def _model_of(found: Followed) -> Path:
    """The model, or while the run trains its last checkpoint."""
    run = found.run
    paths = [run.model] if run.model.exists() else Checkpoints(run.checkpoints).paths()[-1:]
    if not paths:
        raise UsageError(
            f"The run {found.name!r} has no model yet.",
            hint="wait for its first checkpoint, some 10 seconds after its beginning",
        )
    return paths[0]


def _data_of(found: Followed) -> Source:
    if found.settings is None:
        raise UsageError(f"The run {found.name!r} does not say what it was trained on: its run.toml cannot be read.")
    return open_training(found.settings)


def _judged(model: Model, source: Source) -> _Opened:
    """Predict, and put the rows in order: the less the truth was believed in, the earlier."""
    name, part = source.judge
    part, note = in_memory(part), ""
    if len(part) > _JUDGED:
        note = f"These are the first {_JUDGED:,} of {len(part):,} rows."
        part = part.take(np.arange(_JUDGED))
    if isinstance(part.y, Mapping) or part.y is None or len(model.output_shapes) != 1:
        raise Limitation("Rows are shown for models that predict one thing, and this one predicts several.")
    names = list(map(str, source.classes))
    outputs, truth = np.asarray(model.predict(part.x, verbose=0)), np.asarray(part.y).reshape(len(part), -1)
    check_outputs(outputs)
    if names:
        if outputs.ndim != 2 or outputs.shape[1] != len(names) or truth.shape[1] != 1:
            raise Limitation("Rows are shown for models that give a probability for each class.")
        labels = truth[:, 0].astype(np.int64)
        order = np.argsort(outputs[np.arange(len(labels)), labels], kind="stable")
        return _Opened(names, source.scale, name, part, outputs, labels, outputs.argmax(1), order, note)
    if outputs.shape[1:] != (1,) or truth.shape[1] != 1:
        raise Limitation("Rows are shown for models that predict a class, or one number.")
    said, numbers = outputs[:, 0].astype(np.float64), truth[:, 0].astype(np.float64)
    order = np.argsort(-np.abs(said - numbers), kind="stable")
    return _Opened(names, source.scale, name, part, outputs, numbers, said, order, note)


def _pictures(opened: _Opened, rows: Array) -> list[str | None]:
    """The rows as pictures, if they have the shape of pictures; large ones with fewer pixels."""
    x = opened.judge.x
    if (
        isinstance(x, Mapping)
        or len(shape := np.shape(x)[1:]) not in (2, 3)
        or (len(shape) == 3 and shape[2] not in (1, 3))
    ):
        return [None] * len(rows)
    step = max(1, -(-max(shape[:2]) // _PIXELS))
    images = [np.asarray(x[row])[::step, ::step] for row in rows.tolist()]
    scale = opened.scale
    high = float(scale) if scale else 255.0 if all(image.dtype == np.uint8 for image in images) else None
    return [png(plainly(image, 0.0 if high else float(image.min()), high or float(image.max()))) for image in images]


def _layers(model: Model, source: Source) -> list[Figure]:
    """What one step of training would show; the model, read from its file, is not written back."""
    part = in_memory(source.train)
    chosen = np.sort(np.random.default_rng(0).permutation(len(part))[:_ROWS])
    some = part.take(chosen)
    inside, steps, seen = model.inside(some.x, some.y), model.optimizer.iterations, LayerStatistics(every=1)
    model.fit(some.x, some.y, batch_size=len(chosen), epochs=1, verbose=0, callbacks=[seen])
    reached = [(c, c.error if c.score_error is None else c.score_error) for c in looked_at(inside.calls)]
    errors = [(c.name, float(np.linalg.norm(e)) / len(chosen)) for c, e in reached if e is not None]
    bars = [Bar(name, e) for name, e in errors]
    figures: list[Figure] = [
        Text(
            text="What follows was computed just now: from its model as it was "
            f"after {steps:,} steps, on {len(chosen)} of its rows to train on."
        ),
        Bars(title="Gradient flow: the norm of the error at each layer, of the gradient of the mean loss", bars=bars),
        _weights(seen.history),
        _activations(seen.history),
    ]
    return [figure for figure in figures if not isinstance(figure, Bars | Table) or _filled(figure)]


def _weights(history: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    rows: list[list[str | float | int | None]] = []
    for name, of in history.items():
        if "gradient" in of:
            weight, gradient, update = of["weight"][0], of["gradient"][0], of["update"][0]
            ratios = [x / weight if weight else None for x in (gradient, update)]
            rows.append([name, weight, gradient, update, *ratios])
    columns = ["weight", "size", "gradient", "update", "gradient / weight", "update / weight"]
    return Table(title="Weights: Euclidean norms, and what one step would change", columns=columns, rows=rows)


def _activations(history: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    kinds = ("activation", "dead", "saturated")
    rows: list[list[str | float | int | None]] = [
        [name, *(of[kind][0] if kind in of else None for kind in kinds)]
        for name, of in history.items()
        if "activation" in of
    ]
    columns = ["layer", "activation (root mean square)", "dead units (share)", "saturated outputs (share)"]
    return Table(title="Activations", columns=columns, rows=rows)


def _filled(figure: Bars | Table) -> bool:
    return bool(figure.bars if isinstance(figure, Bars) else figure.rows)


__all__ = ["Confusion", "Looking", "Row", "Rows"]
