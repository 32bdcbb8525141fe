"""Callbacks that tell others how a training goes: a table, TensorBoard, MLflow."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nacre.errors import Limitation, UsageError
from nacre.training.callbacks import Callback, frequency
from nacre.training.events import EventFile, histogram, scalar
from nacre.training.position import Logs


class CSVLogger(Callback):
    """Writes a line of figures per epoch to a file of comma-separated values.

    ``separator`` stands between them, and ``append`` keeps what is in the file and adds to it. The columns are ``epoch`` (from 0)
    and the figures of the first epoch, sorted; if there is none of validation, those are there too, as "NA". The file is whole
    after each epoch, and a training that goes on after a kill leaves the file that it would have left without.

    >>> import numpy as np, nacre, tempfile
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, use_bias=False)])
    >>> model.compile(nacre.optimizers.SGD(0.0), "mse")
    >>> model.set_weights([[[1], [0]]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLogger(Path(folder, "log.csv"))
    ...     history = model.fit(np.ones((8, 2)), np.zeros(8), epochs=2, verbose=0, callbacks=[log])
    ...     print(Path(log.filename).read_text())
    epoch,loss,val_loss
    0,1.0,NA
    1,1.0,NA
    <BLANKLINE>
    """

    writes = True

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise UsageError(f"The separator of CSVLogger is one character, got {separator!r}.")
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._keys: list[str] = []
        self._end = 0  # of what is to be kept of the file

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out where to begin, in a folder that is made if it is missing."""
        Path(self.filename).parent.mkdir(parents=True, exist_ok=True)
        self._keys, self._end = [], self._size() if self.append else 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        logs = logs or {}
        if not self._keys:
            self._keys = sorted(logs)
            if not any(key.startswith("val_") for key in logs):
                self._keys += [f"val_{key}" for key in self._keys]
        self._end = min(self._end, self._size())
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            file.truncate(self._end)
            writer = csv.writer(file, delimiter=self.separator)
            if not self._end:
                writer.writerow(["epoch", *self._keys])
            writer.writerow([epoch, *(logs.get(key, "NA") for key in self._keys)])
        self._end = self._size()

    def _size(self) -> int:
        return os.path.getsize(self.filename) if os.path.exists(self.filename) else 0

    def state(self) -> dict[str, Any]:
        """The columns, and the length of the file."""
        return {"keys": self._keys, "end": self._end}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self._keys, self._end = list(state["keys"]), int(state["end"])


class TensorBoard(Callback):
    """Writes event files, which TensorBoard shows: ``tensorboard --logdir logs``. It need not be installed to write them.

    In ``log_dir/train`` and ``log_dir/validation`` there are, by epochs (from 0), ``epoch_loss`` and so on, with
    ``epoch_learning_rate``; and in ``log_dir/validation``, by steps, ``evaluation_loss_vs_iterations`` and so on.

    * ``histogram_freq``: every so many epochs, histograms of all weights are written; 0 for none.
    * ``update_freq``: "epoch"; "batch"; or a number n: every n-th step, ``batch_loss`` and so on, the figures of the epoch so far,
      are written too. Steps are counted over all training of the optimizer.
    * ``write_steps_per_second``: whether to write how fast it goes, by epochs and, with ``update_freq``, by steps.

    The graph, images, profiles and embeddings that Keras's can write are not there: their arguments raise `Limitation`. So
    ``write_graph`` is False unless said otherwise, unlike in Keras.

    >>> import numpy as np, nacre, tempfile
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     board = TensorBoard(folder, histogram_freq=1)
    ...     _ = model.fit(np.ones((9, 2)), np.ones(9), validation_split=0.2, verbose=0, callbacks=[board])
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['train', 'validation']
    """

    writes = True

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = False,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        instead = {
            "write_graph": (write_graph, "model.summary() or model.plan(x) shows the network"),
            "write_images": (write_images, "histogram_freq writes weights as histograms"),
            "profile_batch": (profile_batch, "model.plan(x, y, seconds=1) measures each step"),
            "embeddings_freq": (embeddings_freq, "leave it out"),
            "embeddings_metadata": (embeddings_metadata, "leave it out"),
        }
        for name, (value, hint) in instead.items():
            if value:
                raise Limitation(f"TensorBoard does not know {name}.", {"found": f"{name}={value!r}"}, hint)
        if isinstance(histogram_freq, bool) or not isinstance(histogram_freq, int) or histogram_freq < 0:
            raise UsageError(f"histogram_freq is a whole number of epochs, or 0, got {histogram_freq!r}.")
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = frequency("update_freq", 1 if update_freq == "batch" else update_freq, ("epoch", "batch"))
        self._files: dict[str, EventFile] = {}
        self._epoch_begun = self._batch_begun = (0.0, 0)  # time and step

    def set_model(self, model: Any) -> None:
        """Write to new files from now on."""
        super().set_model(model)
        self._files = {part: EventFile(Path(self.log_dir, part)) for part in ("train", "validation")}

    def stride(self, kind: str) -> int | None:
        """The batches that are left until the next step to write of."""
        if kind != "train" or self.update_freq == "epoch":
            return None
        return int(self.update_freq - self.model.optimizer.iterations % self.update_freq)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._epoch_begun = self._now()

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the clock."""
        self._batch_begun = self._now()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write if it is time. (A step with a loss that is not finite does not count as one.)"""
        step, logs = self.model.optimizer.iterations, logs or {}
        due = self.update_freq != "epoch" and step % self.update_freq == 0
        if due and math.isfinite(logs.get("loss", math.nan)):
            self._write("train", step, "batch_{}", logs | self._speed(self._batch_begun))

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the figures of an evaluation."""
        self._write("validation", self.model.optimizer.iterations, "evaluation_{}_vs_iterations", logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the figures, and the weights if it is time."""
        logs = {"learning_rate": self.model.optimizer.learning_rate, **(logs or {}), **self._speed(self._epoch_begun)}
        of_validation = {name.removeprefix("val_"): logs.pop(name) for name in list(logs) if name.startswith("val_")}
        self._write("train", epoch, "epoch_{}", logs)
        self._write("validation", epoch, "epoch_{}", of_validation)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            names = [f"{name}/histogram" for name in self.model.named]
            weights = zip(names, self.model.get_weights(), strict=True)
            self._files["train"].write(epoch, [histogram(name, weight) for name, weight in weights])

    def _write(self, part: str, step: int, tag: str, figures: Logs) -> None:
        if figures:
            self._files[part].write(step, [scalar(tag.format(name), x) for name, x in figures.items()])

    def _now(self) -> tuple[float, int]:
        return time.perf_counter(), self.model.optimizer.iterations

    def _speed(self, begun: tuple[float, int]) -> Logs:
        now = self._now()
        rate = (now[1] - begun[1]) / max(now[0] - begun[0], 1e-9)
        return {"steps_per_second": rate} if self.write_steps_per_second else {}


class MLflow(Callback):
    """Notes settings and figures in MLflow: in the run that is active, else in one of its own, which it ends.

    Noted are, as parameters, the settings of the run and of the optimizer, and, as metrics, the figures of each epoch (from 0). A
    training that goes on after a kill goes on with the run that it had. Needs the package mlflow; `UsageError` if it is missing.

    >>> import nacre
    >>> nacre.callbacks.MLflow().state()
    {'run_id': None}
    """

    def __init__(self) -> None:
        self._mlflow: Any = None
        self._run_id: str | None = None
        self._own = False  # whether the run was begun here

    def set_model(self, model: Any) -> None:
        """Find MLflow."""
        super().set_model(model)
        try:
            import mlflow  # noqa: PLC0415 - a guest who need not be there
        except ImportError as error:
            raise UsageError("The callback MLflow needs the package mlflow.", hint="pip install mlflow") from error
        self._mlflow = mlflow

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run."""
        self._run_id, self._own = None, False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Begin a run, or go on with one, and note the settings."""
        if self._own or self._mlflow.active_run() is not None:
            first = self._run_id is None
        else:
            first, self._own = self._run_id is None, True
            self._mlflow.start_run(run_id=self._run_id)
        if first:
            self._run_id = self._mlflow.active_run().info.run_id
            optimizer = self.model.optimizer
            rule = {f"optimizer_{name}": value for name, value in optimizer.get_config().items() if name != "name"}
            settings = {name: self.params[name] for name in ("epochs", "batch_size", "steps")}
            self._mlflow.log_params({**settings, "optimizer": type(optimizer).__name__, **rule})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the figures."""
        self._mlflow.log_metrics(dict(logs or {}), step=epoch)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End the run, if it was begun here."""
        if self._own:
            self._mlflow.end_run()
            self._own = False

    def state(self) -> dict[str, Any]:
        """Which run it is."""
        return {"run_id": self._run_id}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self._run_id = state["run_id"]
