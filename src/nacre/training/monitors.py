"""Callbacks that watch a figure: stop, keep the best model, slow down."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.training.callbacks import Callback, frequency
from nacre.training.position import Logs


class Monitor(Callback):
    """What callbacks that watch a figure share: which way is better, and whether it got better by more than ``min_delta``.

    ``mode`` is "min", "max" or "auto": down for a loss, else as the metric of that name says; `UsageError` when training begins if
    it says nothing. A figure that is NaN is never better than a number, and each number is better than it.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0) -> None:
        if mode not in ("auto", "min", "max"):
            raise UsageError(f"The mode of {type(self).__name__} is 'auto', 'min' or 'max', got {mode!r}.")
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(_number("min_delta", min_delta))
        self.best: float | None = None
        self._sign = 0  # 1 if larger is better

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out which way is better."""
        self._sign = {"min": -1, "max": 1}.get(self.mode) or self._direction()

    def _direction(self) -> int:
        name, metrics = self.monitor.removeprefix("val_"), self.position.tally.metrics
        direction = "down" if name == "loss" else getattr(metrics.get(name), "direction", None)
        if direction is None:
            raise UsageError(
                f"{type(self).__name__} cannot tell whether {self.monitor!r} should become large or small.",
                {"figures": ", ".join(["loss", *metrics])},
                'say mode="max" or mode="min"',
            )
        return 1 if direction == "up" else -1

    def better(self, figure: float, than: float | None) -> bool:
        """Whether a figure is better than another; anything is better than none."""
        if than is None or (math.isnan(than) and not math.isnan(figure)):
            return True
        return self._sign * figure - self.min_delta > self._sign * than

    def figure(self, logs: Logs | None) -> float | None:
        """The figure that is watched; with a warning, none."""
        logs = logs or {}
        if self.monitor not in logs:
            there = ", ".join(logs)
            hint = " (fit has no validation data)" if self.monitor.startswith("val_") and "val_loss" not in logs else ""
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which is not there{hint}: {there}.", stacklevel=3
            )
        return logs.get(self.monitor)


class EarlyStopping(Monitor):
    """Ends the training when a figure has not become better for ``patience`` epochs, and goes back to the best weights.

    * ``monitor``: the figure, as `History` names it. If it is not there, a warning says so and nothing is stopped.
    * ``min_delta``: what counts as better is better by more than this.
    * ``patience``: after so many epochs in a row that were not better the training ends (never after the first epoch).
    * ``verbose``: 1 tells on standard error when it stops.
    * ``mode``: "min", "max", or "auto", by the name of the figure.
    * ``baseline``: epochs count as better only if they are also better than this.
    * ``restore_best_weights``: whether the model ends with the weights of the best epoch, also if the epochs run out before the
      patience does. The state of the optimizer stays that of the last step.
    * ``start_from_epoch``: epochs before this one (from 0) are not looked at.

    It differs from Keras in one thing: ``restore_best_weights`` is True unless said otherwise.

    L. Prechelt, "Early stopping - but when?", Neural Networks: Tricks of the Trade, 1998.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile(nacre.optimizers.SGD(0.0), "mse")  # learns nothing
    >>> stop = EarlyStopping("loss", patience=3)
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=100, verbose=0, callbacks=[stop])
    >>> len(history.epoch), stop.best_epoch
    (4, 0)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = True,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = _count("patience", patience)
        self.baseline = None if baseline is None else _number("baseline", baseline)
        self.verbose, self.restore_best_weights = verbose, restore_best_weights
        self.start_from_epoch = _count("start_from_epoch", start_from_epoch)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[npt.NDArray[Any]] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        super().on_train_begin(logs)
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure."""
        figure = self.figure(logs)
        if figure is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.better(figure, self.best):
            self.best, self.best_epoch = figure, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.better(figure, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Go back to the best weights."""
        if self.stopped_epoch and self.verbose:
            _say(
                f"Epoch {self.stopped_epoch + 1}: stopped early, {self.monitor} was best in epoch {self.best_epoch + 1}."
            )
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)

    def state(self) -> dict[str, Any]:
        """How long it has waited, and for what; with the best weights."""
        weights = {f"weights/{n}": w for n, w in enumerate(self.best_weights or [])}
        names = ("best", "best_epoch", "wait", "stopped_epoch")
        return {name: getattr(self, name) for name in names} | weights

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave; a training that was stopped is not gone on with."""
        self.best, self.wait, self.stopped_epoch = state["best"], int(state["wait"]), int(state["stopped_epoch"])
        self.best_epoch = int(state["best_epoch"])
        count = sum(name.startswith("weights/") for name in state)
        self.best_weights = [state[f"weights/{n}"] for n in range(count)] or None
        self.model.stop_training = self.model.stop_training or self.stopped_epoch > 0


class TerminateOnTarget(Monitor):
    """Ends the training at the end of the first epoch in which a figure is as good as ``target``: repeat until it is good enough.

    * ``monitor``: the figure, as `History` names it. If it is not there, a warning says so and nothing is stopped.
    * ``target``: at least this much of a figure that should be large, at most this much of one that should be small.
    * ``mode``: "min", "max", or "auto", by the name of the figure.
    * ``verbose``: 1 tells on standard error when it stops.

    ``stopped_epoch`` is that epoch, from 0 on; None if the epochs ran out before. The weights are those of that epoch, unless
    another callback puts others there. A target on validation rows makes their figures too good: judge the model on others. Keras
    has no such callback. Raises `UsageError` if the target is no number, and when training begins if it cannot tell which way is
    better.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1)])
    >>> model.compile(nacre.optimizers.SGD(0.1), "mse")
    >>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> history = model.fit(x, 3 * x + 2, epochs=100, verbose=0, callbacks=[TerminateOnTarget("loss", 0.01)])
    >>> history.history["loss"][-1] <= 0.01 < history.history["loss"][-2]
    True
    """

    def __init__(self, monitor: str, target: float, mode: str = "auto", verbose: int = 0) -> None:
        super().__init__(monitor, mode)
        self.target, self.verbose = _number("target", target), verbose
        self.stopped_epoch: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        super().on_train_begin(logs)
        self.stopped_epoch = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure."""
        figure = self.figure(logs)
        if figure is not None and self._sign * figure >= self._sign * self.target:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.verbose:
                _say(f"Epoch {epoch + 1}: {self.monitor} is {figure:.4g}, the target was {self.target:g}.")

    def state(self) -> dict[str, Any]:
        """The epoch in which the target was reached."""
        return {"stopped_epoch": self.stopped_epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave; a training that was stopped is not gone on with."""
        self.stopped_epoch = state["stopped_epoch"]
        self.model.stop_training = self.model.stop_training or self.stopped_epoch is not None


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by ``factor`` when a figure has not become better for ``patience`` epochs.

    * ``monitor``, ``mode``, ``min_delta``: as in `EarlyStopping`.
    * ``factor``: below 1. ``min_lr``: the rate does not fall below this.
    * ``cooldown``: for so many epochs after a reduction nothing is counted.
    * ``verbose``: 1 tells each reduction on standard error.

    The figures of each epoch, and so the `History`, get the ``learning_rate`` that the epoch had. The learning rate of the
    optimizer must be a number, no schedule.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, trainable=False), nacre.layers.Dense(1)])
    >>> model.compile(nacre.optimizers.SGD(0.5, clipvalue=1e-9), "mse")  # learns next to nothing
    >>> slower = ReduceLROnPlateau("loss", factor=0.5, patience=2)
    >>> model.fit(np.ones((8, 2)), np.ones(8), epochs=6, verbose=0, callbacks=[slower]).history["learning_rate"]
    [0.5, 0.5, 0.5, 0.25, 0.25, 0.125]
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= _number("factor", factor) < 1:
            raise UsageError(f"The factor of ReduceLROnPlateau lies in [0, 1), got {factor!r}.")
        self.factor, self.min_lr, self.verbose = factor, _number("min_lr", min_lr), verbose
        self.patience, self.cooldown = _count("patience", patience), _count("cooldown", cooldown)
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        super().on_train_begin(logs)
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure."""
        optimizer, logs = self.model.optimizer, {} if logs is None else logs
        rate = logs["learning_rate"] = optimizer.learning_rate
        figure = self.figure(logs)
        if figure is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(figure, self.best):
            self.best, self.wait = figure, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    _say(f"Epoch {epoch + 1}: the learning rate is reduced to {optimizer.learning_rate:g}.")

    def state(self) -> dict[str, Any]:
        """How long it has waited, and for what."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.best, self.wait = state["best"], int(state["wait"])
        self.cooldown_counter = int(state["cooldown_counter"])


class ModelCheckpoint(Monitor):
    """Saves the model as it goes, each time, or each time it is the best so far.

    * ``filepath``: in which ``{epoch}`` (from 1 on), ``{batch}`` (likewise, if saved by batches) and the figures are replaced, as
      in ``"{epoch:02d}-{val_loss:.2f}.safetensors"``. The folder is made if it is missing. Each file is a model file of nacre,
      whatever its suffix, and is written whole or not at all.
    * ``monitor``, ``mode``: as in `EarlyStopping`; they matter for ``save_best_only``.
    * ``verbose``: 1 tells on standard error what is saved.
    * ``save_best_only``: save only a model that is better than all before. If the figure is not there, a warning says so and the
      model is saved.
    * ``save_weights_only``: `Model.save_weights` instead of `Model.save`.
    * ``save_freq``: "epoch", or a number n: after every n-th step of the optimizer, by the figures of the epoch so far.
    * ``initial_value_threshold``: what the first model must be better than.

    To go on after a crash, `BackupAndRestore` is what you want: a model file does not know its place in a training.

    >>> import numpy as np, nacre, tempfile
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = ModelCheckpoint(Path(folder, "after-{epoch:03d}"), monitor="loss", save_best_only=True)
    ...     history = model.fit(np.ones((8, 2)), np.ones(8), epochs=2, verbose=0, callbacks=[best])
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['after-001', 'after-002']
    """

    writes = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if not isinstance(filepath, str | os.PathLike) or not os.fspath(filepath):
            raise UsageError(f"filepath is the name of a file, got {filepath!r}.")
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = frequency("save_freq", save_freq)
        if initial_value_threshold is not None:
            self.best = _number("initial_value_threshold", initial_value_threshold)
        self._epoch = 0

    def stride(self, kind: str) -> int | None:
        """The batches that are left until it is time."""
        if kind != "train" or self.save_freq == "epoch":
            return None
        return int(self.save_freq - self.model.optimizer.iterations % self.save_freq)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out which way is better, if it matters. (What was best in an earlier training stays so.)"""
        if self.save_best_only:
            super().on_train_begin(logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save if it is time. (A step with a loss that is not finite does not count as one.)"""
        logs = logs or {}
        due = self.save_freq != "epoch" and self.model.optimizer.iterations % self.save_freq == 0
        if due and math.isfinite(logs.get("loss", math.nan)):
            self._save({"batch": batch + 1, **logs}, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save if it is time."""
        if self.save_freq == "epoch":
            self._save(logs or {}, logs or {})

    def _save(self, words: Mapping[str, Any], logs: Logs) -> None:
        figure = self.figure(logs) if self.save_best_only else None
        if figure is not None and not self.better(figure, self.best):
            return
        self.best = self.best if figure is None else figure
        path = self._path({"epoch": self._epoch + 1, **words})
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            _say(f"Epoch {self._epoch + 1}: saved {path}.")

    def _path(self, words: Mapping[str, Any]) -> Path:
        try:
            return Path(self.filepath.format(**words))
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise UsageError(
                f"The filepath of ModelCheckpoint cannot be filled in: {self.filepath!r}.",
                {"reason": f"{type(error).__name__}: {error}", "there are": ", ".join(words)},
            ) from error

    def state(self) -> dict[str, Any]:
        """The best so far."""
        return {"best": self.best}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self.best = state["best"]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or math.isnan(value):
        raise UsageError(f"{name} is a number, got {value!r}.")
    return float(value)


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise UsageError(f"{name} is a whole number from 0 on, got {value!r}.")
    return int(value)
