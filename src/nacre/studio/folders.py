"""What lies in the folder of the runs, followed while it grows: only what has changed is read, and only while somebody asks."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from nacre.capacity import free_memory
from nacre.cli.compare import best_epoch
from nacre.cli.settings import Settings
from nacre.cli.sources import best_of
from nacre.errors import DataError, NacreError, UnknownName, UsageError
from nacre.models import Model, load_model
from nacre.training.run import HISTORY, SETTINGS, Run

PAUSE = 0.5  # seconds at least between two looks at the folder
SHARE = 0.005  # of the time that looking may take
QUIET = (
    120.0  # seconds without a sign of life after which a training counts as interrupted; checkpoints come more often
)
WRITING = 15.0  # the same once the model is written: a report follows, unless the training was stopped
_MOST_SETTINGS = 1 << 20  # bytes
_MOST_HISTORY = 1 << 28
_MOST_LINES = 1 << 20
_MOST_NUMBERS = 1 << 22  # in all columns of a history
_PIECE = 1 << 20  # bytes of a history that are read at a time
_MOST_LINE = 1 << 16
_MOST_FIGURES = 200
_LONGEST = 300  # letters of a text in the list
_SPARKS = 48  # points of the small curve in the list
_PACE = 10.0  # seconds over which the pace is measured

Columns = Mapping[str, Sequence[float]]


class Best(msgspec.Struct, frozen=True):
    """A figure at the best epoch, by the validation loss, or by the loss where there was no validation."""

    name: str
    value: float
    epoch: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the list. ``begun`` and ``seen`` (the last sign of life) are seconds since 1970, ``pace`` is in epochs per second,
    None unless it could be watched. ``trouble`` says what is wrong with its files."""

    name: str
    state: str
    data: str
    network: str
    epochs: int
    planned: int | None
    begun: float
    seen: float
    best: Best | None
    loss: float | None
    sparks: list[float | None]
    pace: float | None
    trouble: list[str]


class Followed:
    """A run's folder as it was at the last look."""

    def __init__(self, name: str, place: Path) -> None:
        self.name, self.place = name, place
        self.version = 0  # how often something changed
        self.noted: dict[str, Any] = {}
        self.settings: Settings | None = None
        self.columns: dict[str, list[float]] = {}
        self.epochs = 0
        self._marks: tuple[Any, ...] = ()
        self._wrong: dict[str, str] = {}
        self._offset, self._lines, self._inode = 0, 0, -1
        self._paces: deque[tuple[float, int]] = deque()
        self.run = Run(best_of(place))
        self.summary: Summary | None = None

    @property
    def figures(self) -> dict[str, list[float]]:
        """The figures of the epochs so far, all as long as each other while another thread reads on."""
        epochs = self.epochs
        return {name: values[:epochs] for name, values in list(self.columns.items())}

    def look(self, now: float) -> None:
        """Read what has changed. Raises `OSError` if the folder went away."""
        folder = self.run.folder
        if self.summary is not None and self.summary.state == "over" and self._marks[0] == _mark(folder):
            return  # nothing is added to the files of a run that is over, and files that are replaced change their folder
        self.run = Run(best_of(self.place))
        folder = self.run.folder
        files = (SETTINGS, HISTORY, self.run.model.name, self.run.report.name, self.run.checkpoints.name)
        marks = (_mark(folder), *(_mark(folder / name) for name in files))
        if marks[1] is None:
            raise FileNotFoundError(folder)
        if marks != self._marks:
            if self._marks[1:2] != marks[1:2]:
                self._settle()
            if self._marks[2:3] != marks[2:3]:
                self._follow()
            self._marks = marks
        self._update(now)

    def _settle(self) -> None:
        """Read run.toml."""
        self.noted, self.settings = {}, None
        self._wrong.pop(SETTINGS, None)
        path = self.run.folder / SETTINGS
        try:
            if not path.is_file():  # a device or a pipe has no end
                self._wrong[SETTINGS] = f"{SETTINGS} is no file."
                return
            if path.stat().st_size > _MOST_SETTINGS:
                self._wrong[SETTINGS] = f"{SETTINGS} is too large."
                return
            self.noted = self.run.settings()
            self.settings = Settings.of(self.noted)
        except (NacreError, OSError, RecursionError) as error:
            self._wrong[SETTINGS] = _cut(" ".join(str(error).replace(f"{self.run.folder}{os.sep}", "").split()))

    def _follow(self) -> None:
        """Read what was added to the history; all of it, if it is another file now."""
        for what in (HISTORY, "file"):
            self._wrong.pop(what, None)
        path = self.run.folder / HISTORY
        try:
            if path.exists() and not path.is_file():
                self._begin(-1)
                self._wrong["file"] = f"{HISTORY} is no file."
                return
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._begin(status.st_ino)
                while self._has_room() and self._take(file):
                    pass
        except FileNotFoundError:
            self._begin(-1)
            return
        except OSError as error:
            self._wrong["file"] = f"{HISTORY} cannot be read: {error.strerror}."
            return
        if not self._has_room():
            self._wrong["file"] = f"{HISTORY} is very large: only its beginning is shown."

    def _take(self, file: BinaryIO) -> bool:
        """Read some more lines; whether there may be others after them."""
        file.seek(self._offset)
        piece = file.read(_PIECE)
        whole = piece[: piece.rfind(b"\n") + 1]
        if not whole and len(piece) == _PIECE:
            whole = piece  # no line is as long as that
        for line in whole.splitlines(keepends=True):
            if not self._has_room():
                return False
            self._add(line)
            self._lines += 1
            self._offset += len(line)
        if len(piece) == _PIECE:
            return True
        if len(whole) < len(piece):
            self._wrong[HISTORY] = f"The last line of {HISTORY} is half written, and left out."
        return False

    def _has_room(self) -> bool:
        """Whether more of the history may be read: what it takes in memory depends on its lines, too."""
        numbers = self._lines * max(1, len(self.columns))
        return self._offset < _MOST_HISTORY and self._lines < _MOST_LINES and numbers < _MOST_NUMBERS

    def _begin(self, inode: int) -> None:
        self._inode, self._offset, self._lines, self.epochs, self.columns = inode, 0, 0, 0, {}
        self._wrong.pop("line", None)
        self._paces.clear()

    def _add(self, line: bytes) -> None:
        """One epoch more."""
        try:
            if len(line) > _MOST_LINE:
                raise ValueError("it is too long")
            found = {name: float(value) for name, value in _LINE.decode(line).items() if name != "epoch"}
            if len(self.columns.keys() | found.keys()) > _MOST_FIGURES:
                raise ValueError("there are too many figures")
        except (ValueError, RecursionError) as error:
            self._wrong.setdefault("line", _cut(f"A line of {HISTORY} is no epoch, and left out: {error}"))
            return
        for name in found:
            if name not in self.columns:
                self.columns[name] = [math.nan] * self.epochs
        for name, values in self.columns.items():
            values.append(found.get(name, math.nan))
        self.epochs += 1

    def _update(self, now: float) -> None:
        """Sum up, and count if something changed."""
        options = self.settings
        times = [mark[0] / 1e9 for mark in self._marks[1:] if mark is not None]
        state = self._state(now, max(times))
        losses = self.columns.get("loss", [])
        summary = Summary(
            name=self.name,
            state=state,
            data=_cut(Path(options.data).name) if options else "",
            network=_cut(f"{options.model}, {options.activation}") if options else "",
            epochs=self.epochs,
            planned=options.epochs if options else None,
            begun=_seconds(self.noted.get("begun"), times[0]),
            seen=max(times),
            best=best_of_columns(self.columns),
            loss=finite(losses[-1]) if losses else None,
            sparks=[finite(value) for value in thinned(losses, _SPARKS)],
            pace=self._pace(now) if state == "training" else None,
            trouble=[
                *(text for what, text in self._wrong.items() if what != HISTORY or state != "training"),
                *([_cut(self.run.ended)] if state == "interrupted" and self.run.ended else []),
                *unlearned(self.columns, state),
            ],
        )
        if summary != self.summary:
            self.summary, self.version = summary, self.version + 1

    def _state(self, now: float, seen: float) -> str:
        """Over, or training as long as its process lives, or where nobody can tell that, as long as there are signs of life."""
        if self.run.over:
            return "over"
        if (running := self.run.running) is not None:
            return "training" if running else "interrupted"
        history, model = self._marks[2], self._marks[3]
        ended = (
            history is not None and model is not None and abs(history[0] - model[0]) < 5e9
        )  # written one after the other
        return "training" if now - seen < (WRITING if ended else QUIET) else "interrupted"

    def _pace(self, now: float) -> float | None:
        """Epochs per second, as watched over the last seconds."""
        self._paces.append((now, self.epochs))
        while now - self._paces[0][0] > _PACE:
            self._paces.popleft()
        (since, first), (until, last) = self._paces[0], self._paces[-1]
        return float(f"{(last - first) / (until - since):.2g}") if until - since >= 1 and last > first else None


class Runs:
    """The runs in a folder. However many ask, it is looked at so seldom that a training beside it is not slowed down."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._runs: dict[str, Followed] = {}
        self._lock = Lock()
        self._due = 0.0
        self._took = 0.0  # by the last look; one that has much to read is followed by one that has not

    def all(self) -> dict[str, Followed]:
        """The runs by the names of their folders, as they are now, or were half a second ago."""
        with self._lock:
            begun = time.monotonic()
            if begun >= self._due:
                self._look(time.time())
                took = time.monotonic() - begun
                self._due = begun + max(PAUSE, min(took, self._took) / SHARE)
                self._took = took
            return dict(self._runs)

    def __getitem__(self, name: str) -> Followed:
        """The run of that name. Raises `UnknownName` for any that is not in the list."""
        found = self.all().get(name)
        if found is None:
            raise UnknownName(f"There is no run called {name!r}.", hint="choose one of the list")
        return found

    def _look(self, now: float) -> None:
        found: dict[str, Followed] = {}
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.root) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not _is_text(entry.name):
                    continue
                with suppress(OSError):  # it went away meanwhile, or is a link that leads nowhere
                    run = self._runs.get(entry.name)
                    if run is None and not Path(entry.path, SETTINGS).is_file():
                        continue
                    run = run or Followed(entry.name, Path(entry.path))
                    run.look(now)
                    found[entry.name] = run
        self._runs = found


def model_in(path: Path) -> Model:
    """The model in a file. Raises `UsageError` for one that would take more than half of the memory that is free; a file need not
    take the room on its disk that its size says."""
    size, free = path.stat().st_size, free_memory()
    if size > free / 2:
        raise UsageError(
            f"The model of this run takes {size / 1e9:,.1f} GB; {free / 1e9:,.1f} GB are free for all.",
            hint="nacre inspect, where there is more memory",
        )
    return load_model(path)


def check_outputs(outputs: npt.NDArray[Any]) -> None:
    """Raise `DataError` for outputs of a model that say nothing, as they are no numbers."""
    if not np.isfinite(outputs).all():
        raise DataError(
            "What the model computes is NaN or infinite: its weights are, or are too large.",
            hint="train it again with a smaller learning rate",
        )


def best_of_columns(columns: Columns) -> Best | None:
    """The figure that tells most at the best epoch: of validation before of training, a metric before the loss.

    >>> best_of_columns({"loss": [2, 1], "accuracy": [0.5, 0.8], "val_loss": [1, 2], "val_accuracy": [0.7, 0.6]})
    Best(name='val_accuracy', value=0.7, epoch=1)
    """
    watched = columns.get("val_loss") or columns.get("loss")
    if not watched:
        return None
    epoch = best_epoch(watched)
    names = sorted(
        columns, key=lambda name: (not name.startswith("val_"), name.endswith("loss"), name == "learning_rate")
    )
    value = columns[names[0]][epoch]
    return Best(names[0], value, epoch + 1) if math.isfinite(value) else None


def unlearned(columns: Columns, state: str = "over") -> list[str]:
    """What tells a run that diverged, or learned nothing, from others: a loss that grew, or an accuracy that did not.

    >>> unlearned({"loss": [2.3, 0.4], "accuracy": [0.1, 0.9]}), unlearned({"loss": [2.3, 46.0]})
    ([], ['The loss grew, from 2.3 in the first epoch to 46 in the last.'])
    >>> unlearned({"loss": [2928.0, 7.3], "accuracy": [0.102, 0.099]})
    ['The accuracy did not grow: 10.2 % in the first epoch, 9.9 % in the last.']
    """
    losses, accuracies = columns.get("loss", ()), columns.get("accuracy", ())
    if len(losses) > 1 and losses[-1] > 1.1 * losses[0]:
        return [f"The loss grew, from {losses[0]:.3g} in the first epoch to {losses[-1]:.3g} in the last."]
    if state != "training" and len(accuracies) > 1 and accuracies[-1] < min(1.1 * accuracies[0], 0.5):
        first, last = (f"{100 * accuracies[at]:.1f} %" for at in (0, -1))
        return [f"The accuracy did not grow: {first} in the first epoch, {last} in the last."]
    return []


def thinned(values: Sequence[float], most: int) -> list[float]:
    """The first of the values, and every so many up to the last, so that these are at most ``most``.

    >>> thinned([1, 2, 3, 4, 5, 6], 3), thinned([1, 2], 3)
    ([1, 2, 4, 6], [1, 2])
    """
    every = stride(len(values), most)
    first = (len(values) - 1) % every if values else 0
    return [*values[: min(first, 1)], *values[first::every]]


def stride(count: int, most: int) -> int:
    """Every how many-th of ``count`` values is taken so that there are at most ``most``.

    >>> [stride(count, 100) for count in (0, 100, 101, 250)]
    [1, 1, 2, 3]
    """
    return max(1, -(-count // most))


def finite(value: float) -> float | None:
    """A number for a curve; None leaves a gap."""
    return value if math.isfinite(value) else None


_LINE = msgspec.json.Decoder(dict[str, float | str])


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _seconds(noted: object, otherwise: float) -> float:
    """A date in seconds since 1970, if it is one, and such that computers can tell."""
    if isinstance(noted, datetime):
        with suppress(ValueError, OverflowError):
            return noted.timestamp()
    return otherwise


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _is_text(name: str) -> bool:
    """Whether a name can be sent: bytes that are no text come as halves of characters."""
    return name.isprintable() and len(name) <= 200
