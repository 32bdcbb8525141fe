"""A run's folder: what was done (run.toml), how it went (history.jsonl), what came of it (model.safetensors).

The history grows while the run trains, so that others can watch; as long as it does, it holds a file, running. Until it is over,
there are also checkpoints/ to go on from; and
if it was asked for, layers.jsonl tells what each layer did, once an epoch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import tomli_w

from nacre.errors import NacreError, UsageError
from nacre.files import held, is_held, read_toml, write_whole
from nacre.training.callbacks import Callback
from nacre.training.history import History
from nacre.training.position import Logs
from nacre.training.statistics import LayerStatistics
from nacre.upstairs import room

SETTINGS, HISTORY, MODEL = "run.toml", "history.jsonl", "model.safetensors"
RUNNING = "running"
_MOST_SAID = 1000  # bytes
REPORT, CHECKPOINTS, STEPS = "report.html", "checkpoints", "steps"
LAYERS = "layers.jsonl"
BEST = "best"  # in the folder of a search for settings, the run with those that were best


@dataclass(frozen=True)
class Run:
    """A folder of its own for one run. Nothing that was there before is overwritten.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     run = Run.create(Path(root, "first"))
    ...     run.note({"seed": 7, "hidden": [128]})
    ...     sorted(path.name for path in run.folder.iterdir())
    ['run.toml']
    """

    folder: Path

    @classmethod
    def create(cls, folder: str | Path | None = None, kind: str = "train", root: str | Path = "runs") -> Run:
        """The run in ``folder``, which must be new or empty; left out, in the next ``root/kind-YYYY-MM-DD-NNN``.

        Raises `UsageError` for a folder that holds something, or a name that a file has.
        """
        if folder is None:
            return cls(_next_folder(Path(root), f"{kind}-{date.today().isoformat()}"))
        folder = Path(folder)
        cls.check(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    @staticmethod
    def check(folder: Path | None) -> None:
        """Raise `UsageError` for a folder that holds something, or a name that a file has; where data take long to read, before."""
        if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "is a folder that is not empty" if folder.is_dir() else "is a file"
            raise UsageError(f"The run cannot go to {folder}: it {what}.", hint="name a new folder")

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """The run that is in ``folder``. Raises `UsageError` if there is none."""
        if not Path(folder, SETTINGS).is_file():
            raise UsageError(
                f"There is no run in {folder}.", {"expected": SETTINGS}, "nacre train says where its run is"
            )
        return cls(Path(folder))

    @property
    def model(self) -> Path:
        """Where the model belongs."""
        return self.folder / MODEL

    @property
    def report(self) -> Path:
        """Where the report belongs."""
        return self.folder / REPORT

    @property
    def over(self) -> bool:
        """Whether the run came to its end: the model is there, as after Ctrl-C too, and the report, which is written last."""
        return self.model.exists() and self.report.exists() and not any(self.checkpoints.glob("step-*"))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """What a process does within this context is the run's training: `running` tells others, until it ends or dies, and
        `ended` why it was none of these, if it met with an error of nacre's."""
        with held(self.folder / RUNNING):
            try:
                yield
            except NacreError as error:
                with suppress(OSError):  # the disk may be what is wrong
                    (self.folder / RUNNING).write_text(error.what, encoding="utf-8")
                raise

    @property
    def running(self) -> bool | None:
        """Whether a process is at work on the run; None if nobody can tell: it is over, or was begun by an earlier nacre."""
        return is_held(self.folder / RUNNING)

    @property
    def ended(self) -> str:
        """What the training met with that ended it too early, as far as it could still say."""
        try:
            if not (self.folder / RUNNING).is_file():  # a pipe has no end
                return ""
            with (self.folder / RUNNING).open("rb") as file:
                return file.read(_MOST_SAID).decode("utf-8", "replace")
        except OSError:
            return ""

    @property
    def checkpoints(self) -> Path:
        """The folder for what a run goes on from."""
        return self.folder / CHECKPOINTS

    @property
    def steps(self) -> Path:
        """The folder for the checkpoints of single steps that a run keeps when it is over."""
        return self.folder / STEPS

    def at(self, step: int) -> Any:
        """The compiled model as it was after so many steps of the training, rebuilt to the bit, with the state of its optimizer.

        The training is repeated up to there, from the last checkpoint before it that the run kept (``nacre train --keep``), or from
        the beginning. ``model.optimizer.iterations`` is the step. The weights are those that the training had then: what is done
        when it ends, such as going back to the best epoch, has not been done to them.

        Raises `UsageError` for a step that the run does not have, and `DataError` if what comes out is not what the run wrote
        down, as the data are others now.

        >>> import nacre, tempfile
        >>> from click.testing import CliRunner
        >>> from nacre.cli import main
        >>> with tempfile.TemporaryDirectory() as root:
        ...     done = CliRunner().invoke(main, ["train", "digits", "--epochs", "2", "--out", f"{root}/run"])
        ...     model = nacre.Run.open(f"{root}/run").at(step=50)
        >>> model.optimizer.iterations
        50
        """
        return room("cli.moments").model_at(self, step)

    @property
    def epochs(self) -> int:
        """How many epochs `record` has written down."""
        return len(self._lines())

    @property
    def figures(self) -> dict[str, list[float]]:
        """What `record` has written down: the figures of each epoch, by name. Raises `UsageError` if it is no history."""
        try:
            lines = [json.loads(line) for line in self._lines()]
            names = dict.fromkeys(name for line in lines for name in line if name != "epoch")
            return {name: [float(line.get(name, "nan")) for line in lines] for name in names}
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{self.folder / HISTORY} cannot be read: {error}.") from error

    @property
    def layers(self) -> list[dict[str, Any]]:
        """What `FollowingLayers` has written down, an entry for each epoch: ``epoch``, ``step``, ``rows_per_second``, ``layers``
        by their names, as in `LayerStatistics`. Raises `UsageError` if it is something else."""
        try:
            return [json.loads(line) for line in self._lines(LAYERS)]
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{self.folder / LAYERS} cannot be read: {error}.") from error

    def _lines(self, name: str = HISTORY) -> list[bytes]:
        """The lines of a file that are whole: the last may be in writing."""
        path = self.folder / name
        return [line for line in path.read_bytes().splitlines(True) if line.endswith(b"\n")] if path.exists() else []

    def note(self, settings: Mapping[str, Any]) -> None:
        """Write down what is needed to repeat the run: tables, lists, text, numbers, dates."""
        write_whole(self.folder / SETTINGS, [tomli_w.dumps(settings).encode()])

    def settings(self) -> dict[str, Any]:
        """What `note` wrote down. Raises `UsageError` if that is no TOML any more."""
        return read_toml(self.folder / SETTINGS)

    def record(self, history: History) -> None:
        """Write down how it went, one line per epoch."""
        history.save(self.folder / HISTORY)


class Following(Callback):
    """Writes down in a run's folder how it goes while it goes, at most so often that training takes no longer.

    What `Run.record` writes in the end is the same, and durable.
    """

    writes = True
    outermost = True  # when an epoch ends, its figures are in the history before
    pause = 0.25  # seconds at least between two times

    def __init__(self, run: Run) -> None:
        self._path = run.folder / HISTORY
        self._written = 0  # lines
        self._due = 0.0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epochs that came since the last time; first all, as the training may have gone on from a checkpoint."""
        if time.monotonic() < self._due:
            return
        history: History = self.model.history
        new = [line + "\n" for line in history.lines(self._written)]
        with self._path.open("a" if self._written else "w", encoding="utf-8", newline="") as file:
            file.write("".join(new))
        self._written += len(new)
        self._due = time.monotonic() + self.pause


class FollowingLayers(LayerStatistics):
    """Writes down in a run's folder what its layers do, in the first batch of each epoch, and how many of the ``rows`` a second it
    took. ``every`` are the steps of an epoch."""

    def __init__(self, run: Run, every: int, rows: int) -> None:
        super().__init__(every)
        self._run, self._rows, self._begun = run, rows, 0.0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Leave out what a training that was broken off wrote of steps that come again."""
        done = self.model.optimizer.iterations
        kept = [entry for entry in self._run.layers if entry["step"] < done]
        write_whole(self._run.folder / LAYERS, [(json.dumps(entry) + "\n").encode() for entry in kept])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._begun = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        if not self.steps:  # there are no full batches
            return
        layers = {name: {what: of[-1] for what, of in kinds.items()} for name, kinds in self.history.items()}
        pace = self._rows / (time.perf_counter() - self._begun)
        entry = {"epoch": epoch, "step": self.steps[-1], "rows_per_second": round(pace), "layers": layers}
        with (self._run.folder / LAYERS).open("a", encoding="utf-8", newline="") as file:
            file.write(json.dumps(entry) + "\n")


def _next_folder(root: Path, stem: str) -> Path:
    """A new folder ``root/stem-NNN``, numbered after all that there are."""
    root.mkdir(parents=True, exist_ok=True)
    number = max((_number(path.name) for path in root.glob(f"{stem}-*")), default=0)
    while True:
        number += 1
        folder = root / f"{stem}-{number:03}"
        try:
            folder.mkdir()
        except FileExistsError:  # another run took this number a moment ago
            continue
        return folder


def _number(name: str) -> int:
    digits = name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
