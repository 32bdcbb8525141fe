"""A short training to look at: how the loss goes, what happens in each layer, and how good the network is in the end."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nacre.doctor.case import Array, Case, single, weight_of
from nacre.doctor.task import Task
from nacre.errors import NonFiniteLossError
from nacre.models import Model
from nacre.training import Callback
from nacre.training.statistics import LayerStatistics

LEAST_STEPS, MOST_STEPS = 60, 1500  # of a trial
WORK = 1.2e11  # multiply-adds and the like of a trial, at most, unless that is less than the least steps
EPOCHS = 20  # where nobody said how many
USUAL_BATCH = 64
USEFUL_STEPS = 300  # a training of fewer steps says little of anything but that it is short
_POINTS = 40  # of the curve of the loss
_JUDGED = 4000  # rows that a network is judged by


@dataclass(frozen=True)
class Score:
    """How good a network is on rows: the ``loss`` that it is trained by; for classes ``accuracy``, ``recall`` (the mean over the
    classes of the share that was found) and ``log_loss`` (of the probabilities, in nats); for numbers ``r2``, the explained share
    of the variance, and accuracy and recall of what is predicted, rounded, where it may be the number of a class. NaN where it
    does not apply."""

    loss: float
    accuracy: float = math.nan
    recall: float = math.nan
    log_loss: float = math.nan
    r2: float = math.nan

    @property
    def figure(self) -> float:
        """One number to compare by, the higher the better: r2 of numbers, recall of classes, else what the loss says."""
        return next((f for f in (self.r2, self.recall) if math.isfinite(f)), -self.loss)

    def __str__(self) -> str:
        if math.isfinite(self.r2):
            rounded = f", {self.accuracy:.3f} right when rounded" if math.isfinite(self.accuracy) else ""
            return f"r2 {self.r2:.3g}{rounded}"
        if math.isfinite(self.recall):
            uneven = f", recall {self.recall:.3f}" if abs(self.accuracy - self.recall) > 0.02 else ""
            return f"accuracy {self.accuracy:.3f}{uneven}, log loss {self.log_loss:.3f}"
        return f"loss {self.loss:.4g}"


@dataclass
class Trial:
    """What a short training of a copy came to.

    ``losses`` are means over parts of it, by ``steps``; ``epochs`` the figures of each epoch, of which so many were ``meant``, and
    ``seconds`` what they took; ``broke`` tells that the loss was not finite in the end, ``moved`` how far each matrix of weights
    came from its beginning, in parts of its length."""

    model: Model
    epochs: dict[str, list[float]]
    steps: list[int]
    losses: list[float]
    seen: LayerStatistics
    begun: Score
    train: Score
    judged: Score
    rows: int
    meant: int
    seconds: float
    broke: bool = False
    moved: dict[str, float] = field(default_factory=dict)

    @property
    def ran(self) -> int:
        """Epochs that came to their end."""
        return len(self.epochs.get("loss", []))


def plan_of(case: Case) -> tuple[int, int]:
    """Rows and epochs of a trial: as many epochs as the user means, of as many rows as there is time for."""
    rows, batch = len(case), case.batch_size
    per_step = 6.0 * max(case.model.count_params(), 1) * min(batch, rows)
    steps = int(min(MOST_STEPS, max(LEAST_STEPS, WORK / per_step)))
    of_epoch = -(-rows // batch)
    epochs = case.epochs or EPOCHS
    if batch <= USUAL_BATCH:  # with a larger one, few steps are the user's doing
        epochs = max(epochs, -(-USEFUL_STEPS // of_epoch))
    if of_epoch >= steps:
        return steps * batch, 1
    return rows, min(epochs, steps // of_epoch)


def run(case: Case, task: Task, plan: tuple[int, int] | None = None) -> Trial:
    """Train a copy of the model for a while, and judge it. The model of the case stays as it is."""
    rows, epochs = plan or plan_of(case)
    model = copy.deepcopy(case.model)
    part = case
    if rows < len(case):
        chosen = (
            np.arange(rows) if not case.shuffle else np.sort(np.random.default_rng(0).permutation(len(case))[:rows])
        )
        part = case.take(chosen)
    steps = epochs * -(-len(part) // case.batch_size)
    curve, seen = _Curve(max(1, steps // _POINTS)), LayerStatistics(max(1, steps // 20))
    begun = judge(case, task, model)
    before = {name: w.numpy() for name, w in model.named.items() if w.trainable}
    broke, clock = False, time.perf_counter()
    try:
        model.fit(
            single(part.x),
            single(part.y),
            batch_size=case.batch_size,
            epochs=epochs,
            shuffle=case.shuffle,
            class_weight=case.class_weight,
            sample_weight=single(part.weights) if part.weights else None,
            validation_data=_judging(case) if case.watched else None,
            callbacks=[*(case.stop() if case.watched else []), curve, seen],
            verbose=0,
        )
    except NonFiniteLossError:
        broke = True
    seconds = time.perf_counter() - clock
    history = model.history.history if model.history is not None else {}
    if not broke and curve.losses and not math.isfinite(curve.losses[-1]):
        broke = True
    after = {name: model.named[name].numpy() for name in before}
    moved = {n: _norm(after[n] - w) / max(_norm(w), 1e-12) for n, w in before.items() if w.ndim > 1}
    trained = part.with_(x_validation=part.x, y_validation=part.y, weights_validation=part.weights)
    return Trial(
        model, history, curve.steps, curve.losses, seen, begun,
        judge(trained, task, model), judge(case, task, model), len(part), epochs, seconds, broke, moved,
    )  # fmt: skip


def judge(case: Case, task: Task, model: Model) -> Score:
    """How good a model is on the rows that a case is judged by."""
    count = len(next(iter(case.x_validation.values())))
    rows = np.arange(count) if count <= _JUDGED else np.random.default_rng(1).permutation(count)[:_JUDGED]
    case = case.judged_by(rows)
    x, *judging = _judging(case)
    if task.kind == "other":
        y, *weight = judging
        given = {"sample_weight": weight[0]} if weight else {}
        return Score(float(model.evaluate(x, y, **given, verbose=0, return_dict=True)["loss"]))
    outputs = model.predict(x, verbose=0)
    target, weights = next(iter(case.y_validation.values())), weight_of(case.weights_validation, len(rows))

    def mean(values: Array) -> float:
        return float(np.average(values, axis=0, weights=weights).mean())

    if task.kind == "numbers":
        predicted, true = task.predicted(model, outputs), target.reshape(len(rows), -1).astype(np.float64)
        error = mean((predicted - true) ** 2)
        r2 = 1 - error / max(mean((true - np.average(true, axis=0, weights=weights)) ** 2), 1e-300)
        if not task.numbered[1] or not math.isfinite(error):
            return Score(error, r2=r2)
        right, labels = (np.rint(predicted) == true)[:, 0], true[:, 0]
        return Score(error, mean(right), _recall(right, labels, weights), r2=r2)
    labels = task.labels_of(target)
    p = task.probabilities(model, outputs.astype(np.float64))
    chosen = p.argmax(axis=1)
    right = chosen == labels
    log_loss = mean(-np.log(np.clip(p[np.arange(len(p)), labels], 1e-7, 1)))
    return Score(log_loss, mean(right), _recall(right, labels, weights), log_loss)


def _judging(case: Case) -> tuple[Any, ...]:
    """The rows a case is judged by as `fit` takes them, with their weights if they have any."""
    parts = (case.x_validation, case.y_validation, *([case.weights_validation] if case.weights_validation else []))
    return tuple(map(single, parts))


def _recall(right: Array, labels: Array, weights: Array) -> float:
    """The mean over the classes, of which some row counts, of the share of their rows that are ``right``."""
    classes = np.unique(labels[weights > 0])
    return float(np.mean([np.average(right[labels == k], weights=weights[labels == k]) for k in classes]))


class _Curve(Callback):
    """The mean loss of each part of so many steps."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.steps: list[int] = []
        self.losses: list[float] = []
        self._before = (0, 0.0)

    def stride(self, kind: str) -> int | None:
        """So many steps."""
        return self.every if kind == "train" else None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - the hook's
        """Sums begin anew."""
        self._before = (0, 0.0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """The part of the mean that is new."""
        done, total = batch + 1, (batch + 1) * (logs or {}).get("loss", math.nan)
        count, so_far = self._before
        if done > count:
            self.losses.append((total - so_far) / (done - count))
            self.steps.append(self.model.optimizer.iterations)
        self._before = (done, total)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))
