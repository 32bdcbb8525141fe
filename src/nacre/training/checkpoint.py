"""Checkpoints: a training that was killed goes on from the last one, and ends with the bits of one that was not."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nacre.distributed import RESTART, joined, leave
from nacre.errors import Limitation, ModelFileError, NacreError, UsageError
from nacre.files import sweep
from nacre.interop import safetensors
from nacre.training.callbacks import Callback, frequency
from nacre.training.devices import device_of
from nacre.training.position import Logs

KEPT = 2  # the newest, and the one before in case the newest is damaged
REST = 10.0  # seconds at least between two checkpoints that are paced by the clock
SHARE = 0.01  # of the time that they may take

CALLBACK_PREFIX = "/callback/"  # of tensors; a weight is called layer/weight, and no layer has an empty name
_PLACE = "nacre.place"  # in the metadata, beside "nacre", where any model file has its description


class Moment(NamedTuple):
    """All that a training is at some step, as a checkpoint holds it: arrays by name, and what is said of them."""

    tensors: dict[str, Any]
    metadata: dict[str, str]


class Checkpoints(Callback):
    """Writes checkpoints to a folder, and goes on from the newest that is whole. Subclasses say when to write.

    A checkpoint is a model file that also knows its place in the training, and what the callbacks remember. A thread writes it
    while the training goes on. The newest two are kept.
    """

    outermost = True  # the others see where the training goes on from, and are seen when they have done their work
    kept: int | None = KEPT  # how many of them; None: all

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.begun_at: int | None = None  # the step from which the training went on
        self._terms: dict[str, Any] = {}
        self._writing: Future[float] | None = None  # the seconds that it takes

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Go on from the newest checkpoint, if there is one; with a warning from the one before, if the newest is damaged.

        Raises `UsageError` when it is of another model, other settings or other data.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.go_on()
        self.begun_at = self.model.optimizer.iterations

    def go_on(self, last: int | None = None) -> Moment | None:
        """Go on from the newest checkpoint that is whole, of step ``last`` or before; gives what it holds, or None."""
        self._terms = self.position.terms()
        for path in reversed(self.paths()):
            if last is not None and int(path.stem.removeprefix("step-")) > last:
                continue
            try:
                moment = Moment(*safetensors.read(path))
            except ModelFileError as error:
                warnings.warn(f"A checkpoint is damaged; going on from the one before. {error.what}", stacklevel=2)
                continue
            self._go_on_from(path, moment)
            return moment
        return None

    def save(self) -> None:
        """Begin to write a checkpoint of this moment, once the last one is written; raises what that one met with. Of several
        processes, which are all at this moment, the first does it."""
        self.finish()
        if not joined().first:
            return
        path = self.folder / f"step-{self.model.optimizer.iterations:012}.safetensors"
        pool = ThreadPoolExecutor(1, "nacre-checkpoint")
        self._writing = pool.submit(self._write, path, self.moment())
        pool.shutdown(wait=False)

    def moment(self) -> Moment:
        """This moment of the training, in copies."""
        described, tensors = self.model.snapshot()
        remembered: dict[str, dict[str, Any]] = {}
        for who, state in self.position.callbacks.state().items():
            arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
            tensors |= {f"{CALLBACK_PREFIX}{who}/{name}": array for name, array in arrays.items()}
            remembered[who] = {name: value for name, value in state.items() if name not in arrays}
        place = json.dumps(self.position.state() | {"terms": self._terms, "callbacks": remembered})
        copies = {name: np.array(array) for name, array in tensors.items()}  # the training writes on in these
        return Moment(copies, {"nacre": json.dumps(described), _PLACE: place})

    def _write(self, path: Path, moment: Moment) -> float:
        """Write one, then remove those before the last."""
        begun = time.monotonic()
        safetensors.write(path, *moment)
        if self.kept is not None:  # what is further on than this was damaged, or it would have been gone on from
            self._remove(kept=[other for other in self.paths() if other <= path][-self.kept :])
        return time.monotonic() - begun

    def finish(self) -> None:
        """Wait until the checkpoint is written. Raises `OSError` if it could not be: those before it are as they were."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def paths(self) -> list[Path]:
        """The checkpoints there are, the newest last."""
        return sorted(self.folder.glob("step-*.safetensors"))

    def clear(self) -> None:
        """Remove all checkpoints, and the folder if there is nothing else in it."""
        self.finish()
        if not joined().first:
            return
        self._remove(kept=[])
        with suppress(OSError):
            sweep(self.folder, r"step-\d+\.safetensors")
            self.folder.rmdir()

    def _remove(self, kept: list[Path]) -> None:
        for path in self.paths():
            if path not in kept:
                path.unlink(missing_ok=True)

    def _go_on_from(self, path: Path, moment: Moment) -> None:
        try:
            described, place = json.loads(moment.metadata["nacre"]), json.loads(moment.metadata[_PLACE])
            here = _identity(json.loads(json.dumps(self.model.snapshot()[0])), self._terms)
            if other := _difference(_identity(described, place["terms"]), here):
                raise UsageError(
                    f"The checkpoint {path} is of another training.",
                    other,
                    "go on with the same model, settings and data; or begin in another folder",
                )
            self.go_to(moment)
        except NacreError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            reason = {"reason": f"{type(error).__name__}: {error}"}
            raise ModelFileError(f"{path} is no checkpoint.", reason, "remove it to begin anew") from error

    def go_to(self, moment: Moment) -> None:
        """Go on from a moment of this training, or of one that differs in settings, but not in weights and slots."""
        place = json.loads(moment.metadata[_PLACE])
        remembered = {who: dict(state) for who, state in place["callbacks"].items()}
        for name in [name for name in moment.tensors if name.startswith(CALLBACK_PREFIX)]:
            who, what = name.removeprefix(CALLBACK_PREFIX).split("/", 1)
            remembered[who][what] = moment.tensors[name]
        self.position.move(place)
        self.position.callbacks.kept = remembered
        put(self.model, moment)


def put(model: Any, moment: Moment) -> None:
    """Give a model in training the weights, the state of the optimizer and the seed of a moment.

    Raises `ModelFileError` if its weights or slots are others.
    """
    tensors = {name: array for name, array in moment.tensors.items() if not name.startswith(CALLBACK_PREFIX)}
    model.revert(json.loads(moment.metadata["nacre"]), tensors)


class BackupAndRestore(Checkpoints):
    """Keeps checkpoints of a training in ``backup_dir``; the same `fit`, started again after a crash, goes on from there.

    The weights, the history and everything else then end with the same bits as without the crash. ``save_freq`` is "epoch", or
    after how many batches a checkpoint is written. When the training is over they are removed, unless ``delete_checkpoint`` is
    False. What the other callbacks remember is kept too, wherever they stand in the list: that of nacre's own, and of others what
    their `Callback.state` gives. An iterable of batches must yield the same batches again, from the first on.

    The newest two checkpoints are kept, whatever happens to the disk: Keras's ``double_checkpoint`` is always on.

    `fit` raises `UsageError` if the checkpoint is of another model, of other settings or of other data, and warns when the newest
    checkpoint is damaged and it goes on from the one before.

    >>> import nacre, tempfile
    >>> nacre.utils.set_random_seed(0)
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     backup = BackupAndRestore(folder, save_freq=3, delete_checkpoint=False)
    ...     history = model.fit([[1, 2], [3, 4]], [0, 1], batch_size=1, epochs=4, verbose=0, callbacks=[backup])
    ...     [path.name for path in backup.paths()]
    ['step-000000000003.safetensors', 'step-000000000006.safetensors']
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = True,
        delete_checkpoint: bool = True,
    ) -> None:
        if not isinstance(backup_dir, str | os.PathLike) or not os.fspath(backup_dir):
            raise UsageError(f"backup_dir is the name of a folder, got {backup_dir!r}.")
        frequency("save_freq", save_freq)
        if not double_checkpoint:
            raise Limitation(
                "BackupAndRestore always keeps two checkpoints.",
                {"found": f"double_checkpoint={double_checkpoint!r}"},
                "leave it out: the second is there in case the newest is damaged",
            )
        super().__init__(Path(backup_dir))
        self.backup_dir, self.save_freq, self.delete_checkpoint = backup_dir, save_freq, delete_checkpoint
        self._saved = 0  # at which step

    def stride(self, kind: str) -> int | None:
        """The batches that are left until the next checkpoint."""
        return self._left() if kind == "train" and self.save_freq != "epoch" else None

    def _left(self) -> int:
        return self._saved + int(self.save_freq) - int(self.model.optimizer.iterations)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Go on from the newest checkpoint, if there is one."""
        super().on_train_begin(logs)
        self._saved = self.model.optimizer.iterations

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write a checkpoint if it is time."""
        if self.save_freq != "epoch" and self._left() <= 0:
            self.save()
            self._saved = self.model.optimizer.iterations

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a checkpoint if it is time. (A loss that is not finite ends the training, as it will when this goes on.)"""
        if self.save_freq == "epoch" and math.isfinite((logs or {}).get("loss", math.nan)):
            self.save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """The training is over: what was kept for going on is not needed any more."""
        if self.delete_checkpoint:
            self.clear()


class PacedCheckpoints(Checkpoints):
    """Writes a checkpoint every `REST` seconds, or less often where writing would take more than `SHARE` of the time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.leaving = False  # set by whoever wants this process to write a checkpoint soon, and end
        self._due = 0.0  # when the next is written
        self._speed = 0.0  # batches per second, at last
        self._begun = (0.0, 0)  # time and step at the beginning of a native call

    def stride(self, kind: str) -> int | None:
        """As many batches as will take until the next checkpoint, going by the last ones; first a single one, to find out."""
        seconds = min(REST, self._due - time.monotonic())  # who asks it to end need not wait for long
        return max(1, int(self._speed * seconds)) if kind == "train" else None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Go on from the newest checkpoint, if there is one."""
        super().on_train_begin(logs)
        self._due = time.monotonic() + REST

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._begun = (time.monotonic(), self.model.optimizer.iterations)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write a checkpoint if it is time. (A loss that is not finite ends the training.)"""
        now = time.monotonic()
        self._speed = (self.model.optimizer.iterations - self._begun[1]) / max(now - self._begun[0], 1e-9)
        if self.leaving:
            self.save()
            self.finish()
            leave(RESTART)
            raise SystemExit(RESTART)
        if now < self._due or not math.isfinite((logs or {}).get("loss", math.nan)):
            return
        took = self._writing.result() if self._writing is not None else 0.0
        self.save()
        self._due = time.monotonic() + max(REST, (time.monotonic() - now + took) / SHARE)


class KeptCheckpoints(Checkpoints):
    """Writes a checkpoint after every so many steps, and keeps all of them, for who comes back to one of these steps."""

    kept = None

    def __init__(self, folder: Path, every: Any) -> None:
        super().__init__(folder)
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise UsageError(f"Checkpoints are kept after a number of steps from 1 on, got {every!r}.")
        self.every = every

    def stride(self, kind: str) -> int | None:
        """The batches that are left until the next."""
        return self.every - self.model.optimizer.iterations % self.every if kind == "train" else None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """The training begins, or goes on, elsewhere."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._terms = self.position.terms()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write one if it is time. (A loss that is not finite ends the training.)"""
        if self.model.optimizer.iterations % self.every == 0 and math.isfinite((logs or {}).get("loss", math.nan)):
            self.save()


class GoFrom(Checkpoints):
    """Begins a training at a moment of another, which had other settings; the learning rate is that of this one."""

    def __init__(self, moment: Moment) -> None:
        super().__init__(Path())
        self._moment = moment

    def stride(self, kind: str) -> int | None:
        """Nothing is to be done between batches."""
        return None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Go there."""
        optimizer = self.model.optimizer
        rate = optimizer.get_config()["learning_rate"]
        self.go_to(self._moment)
        if not isinstance(rate, Mapping):
            optimizer.learning_rate = rate


class GoUntil(Checkpoints):
    """Ends a training after a step, with its ``reached`` moment; begins at the last checkpoint in ``folder`` before it."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__(folder)
        self.step = step
        self.reached: Moment | None = None

    def stride(self, kind: str) -> int | None:
        """The batches that are left."""
        return self.step - self.model.optimizer.iterations if kind == "train" else None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Go on from the last checkpoint before the step."""
        found = self.go_on(self.step)
        if self.model.optimizer.iterations >= self.step:
            self.reached = found or self.moment()
            self.model.stop_training = True

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """End if this was the step."""
        if self.model.optimizer.iterations >= self.step:
            self.reached = self.moment()
            self.model.stop_training = True


def _identity(described: Mapping[str, Any], terms: Mapping[str, Any]) -> dict[str, Any]:
    """All that makes this training this one. A learning rate that is a number is no part of it: it may change on the way."""
    training = described["training"]
    rule = dict(training["optimizer"]["config"])
    if not isinstance(rule["learning_rate"], Mapping):
        del rule["learning_rate"]
    return {
        "model": described["architecture"],
        "input_shapes": described["input_shapes"],
        "optimizer": {"class_name": training["optimizer"]["class_name"], "config": rule},
        **{name: training[name] for name in ("loss", "loss_weights", "metrics", "weighted_metrics")},
        "device": device_of(training),
        **terms,
    }


def _difference(there: Any, here: Any, name: str = "") -> dict[str, str]:
    """Where two descriptions differ first, and how; nothing if they do not.

    >>> _difference({"a": [1, {"units": 5}]}, {"a": [1, {"units": 6}]})
    {'a.1.units': '5 in the checkpoint, 6 here'}
    """
    if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        there, here = (dict(enumerate(items)) for items in (there, here))
    if isinstance(there, dict) and isinstance(here, dict) and set(there) == set(here):
        found = (_difference(there[key], here[key], f"{name}.{key}".lstrip(".")) for key in there)
        return next((one for one in found if one), {})
    return {} if there == here else {name: f"{_short(there)} in the checkpoint, {_short(here)} here"}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
