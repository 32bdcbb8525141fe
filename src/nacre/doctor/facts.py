"""What is measured of a case, each thing once, and only when somebody asks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from nacre.activations import linear
from nacre.doctor.case import Array, Case, single, weight_of
from nacre.doctor.task import Task
from nacre.doctor.trial import Score, Trial, judge, plan_of, run
from nacre.layers import (
    ELU,
    AlphaDropout,
    BatchNormalization,
    Dense,
    Dropout,
    Embedding,
    GaussianDropout,
    GaussianNoise,
    LayerNormalization,
    LeakyReLU,
    PReLU,
    ReLU,
    RMSNormalization,
    Softmax,
    UnitNormalization,
)
from nacre.models import Model
from nacre.training import Call, Inside

_SAMPLE, _CELLS = 4000, 1 << 22  # rows, and numbers, of the data that are looked at
_LOOKED_AT = 256  # rows of the batch that is followed through the network
NORMALIZING = (BatchNormalization, LayerNormalization, RMSNormalization, UnitNormalization)
NOISE = (Dropout, AlphaDropout, GaussianDropout, GaussianNoise)
_BENDING = {ReLU: "relu", LeakyReLU: "leaky_relu", PReLU: "leaky_relu", ELU: "elu", Softmax: "softmax"}


@dataclass(frozen=True)
class Link:
    """A dense layer in the network: its call, those of the layers behind it up to the next one, and whether the next one takes just
    what comes out of these."""

    call: Call
    behind: tuple[Call, ...]
    chained: bool

    @property
    def name(self) -> str:
        """Name of the dense layer."""
        return self.call.name

    @property
    def dense(self) -> Dense:
        """The layer."""
        assert isinstance(self.call.layer, Dense)
        return self.call.layer

    @property
    def activation(self) -> tuple[str, Call]:
        """The activation that its scores go through, and the call that applies it."""
        return next(self._bends(self.call, *self.behind), ("linear", self.call))

    @property
    def ending(self) -> tuple[str, Call]:
        """The activation that is applied last before the next dense layer, and the call that applies it."""
        return next(self._bends(*self.behind[::-1], self.call), ("linear", self.call))

    @staticmethod
    def _bends(*calls: Call) -> Iterator[tuple[str, Call]]:
        """The activations among calls."""
        for call in calls:
            activation = getattr(call.layer, "activation", None)
            if activation is not None and activation is not linear:
                yield activation.__name__, call
            elif type(call.layer) in _BENDING:
                yield _BENDING[type(call.layer)], call

    @property
    def normalized(self) -> bool:
        """Whether what it gives is normalized before the next dense layer."""
        return any(isinstance(call.layer, NORMALIZING) for call in self.behind)


class Facts:
    """What is measured of a case. ``history`` holds the figures of the user's own training, where there are some."""

    def __init__(self, case: Case, history: Mapping[str, list[float]] | None = None) -> None:
        self.case = case
        self.history = dict(history or {})
        self.task = Task.of(case.model, case.y)
        self.fresh = case.model.optimizer.iterations == 0  # has never been trained

    @cached_property
    def held_out(self) -> Case:
        """The case with a fifth of the rows to train on held out, to be judged by."""
        return self.case.holding_out(np.random.default_rng(0).permutation(len(self.case))[: len(self.case) // 5])

    def called(self, name: str) -> str:
        """An input, in a sentence."""
        return f"the input {name!r}" if len(self.case.x) > 1 else "the inputs"

    # -------------------------------------------------------------- data

    @cached_property
    def rows(self) -> Array:
        """Some rows to train on, in order."""
        count = len(self.case)
        return np.arange(count) if count <= _SAMPLE else np.sort(np.random.default_rng(0).permutation(count)[:_SAMPLE])

    @cached_property
    def columns(self) -> dict[str, Array]:
        """Some rows of each input of numbers, flat, in float64; bytes and terms that are looked up are no such input."""
        return self.flat(self.case.x, self.rows)

    @cached_property
    def columns_to_judge(self) -> dict[str, Array]:
        """The same of the rows for validation."""
        count = len(next(iter(self.case.x_validation.values())))
        rows = np.arange(count) if count <= _SAMPLE else np.sort(np.random.default_rng(0).permutation(count)[:_SAMPLE])
        return self.flat(self.case.x_validation, rows)

    def flat(self, inputs: Mapping[str, Array], rows: Array) -> dict[str, Array]:
        """Rows of inputs as flat rows of numbers."""
        taken = "fu" if self._is_looked_up else "fuib"
        numbers = {name: array for name, array in inputs.items() if array.dtype.kind in taken}
        width = max((int(np.prod(array.shape[1:])) for array in numbers.values()), default=1)
        rows = rows[: max(64, _CELLS // max(width, 1))]
        return {name: array[rows].reshape(len(rows), -1).astype(np.float64) for name, array in numbers.items()}

    @cached_property
    def _is_looked_up(self) -> bool:
        return any(isinstance(layer, Embedding) for layer in self.case.model._parts())

    @cached_property
    def equal_by_chance(self) -> float:
        """How likely it is that two rows are equal by chance: the columns by themselves, as if they knew nothing of each other."""
        likely = 1.0
        for columns in self.columns.values():
            for column in columns.T:
                _, counts = np.unique(column, return_counts=True)
                likely *= float(((counts / len(column)) ** 2).sum())
        return likely if self.columns else 1.0

    def met_by_chance(self, rows: int) -> float:
        """How likely it is that a row meets an equal one among so many."""
        return float(-np.expm1(rows * np.log1p(-min(self.equal_by_chance, 1 - 1e-12))))

    @cached_property
    def labels(self) -> Array:
        """All labels to train on."""
        return self.task.labels_of(next(iter(self.case.y.values())))

    @cached_property
    def mass(self) -> Array:
        """How much the rows of each class count in the loss, all together: how many they are, if they have no weights."""
        weights = self.case.row_weights / self.case.row_weights.mean()
        return np.bincount(self.labels, weights=weights, minlength=self.task.classes)

    @cached_property
    def targets(self) -> Array:
        """Some targets that are numbers, (rows, outputs) in float64."""
        y = next(iter(self.case.y.values()))[self.rows]
        return np.asarray(y.reshape(len(y), -1).astype(np.float64))

    # -------------------------------------------------------------- network

    @cached_property
    def start(self) -> Inside:
        """What goes on inside for one batch, with the weights as they are; all rows count alike."""
        part = self.case.take(np.random.default_rng(1).permutation(len(self.case))[:_LOOKED_AT])
        return self.case.model.inside(single(part.x), single(part.y), training=True)

    @property
    def first_loss(self) -> float:
        """The loss of that batch, on the scale of the training: as if losses and weights of rows had nothing to do with each other,
        which before the training they have not."""
        scale = self.case.row_weights.mean() if len(self.case.y) == 1 else 1.0
        return float(self.start.losses.mean() * scale)

    @cached_property
    def links(self) -> list[Link]:
        """The dense layers, in order."""
        calls = [c for c in self.start.calls if type(c.layer).__name__ not in ("InputLayer", "Residual", "Part")]
        at = [n for n, call in enumerate(calls) if isinstance(call.layer, Dense)]
        found = []
        for n, begin in enumerate(at):
            end = at[n + 1] if n + 1 < len(at) else len(calls)
            behind = calls[begin + 1 : end]
            row = calls[begin : end + 1]
            chained = all(_feeds(a, b) for a, b in pairwise(row))
            found.append(Link(calls[begin], tuple(behind), chained))
        return found

    @cached_property
    def first(self) -> Call | None:
        """The first call of a layer that learns."""
        return next((c for c in self.start.calls if c.layer.trainable_weights or c.layer.own_weights), None)

    # -------------------------------------------------------------- training

    @cached_property
    def plan(self) -> tuple[int, int]:
        """Rows and epochs of each trial."""
        return plan_of(self.case)

    @cached_property
    def trial(self) -> Trial:
        """A short training of the case as it is."""
        return run(self.case, self.task, self.plan)

    def try_(self, changed: Case) -> Trial:
        """A short training of the case otherwise, over as many rows."""
        rows = min(self.plan[0], len(changed))
        return run(changed, Task.of(changed.model, changed.y), (rows, self.plan[1]))

    @property
    def learned(self) -> float:
        """How far the trial came on the rows it was trained on, from nothing (0) to everything (1)."""
        return learned(self.trial, self.task)

    @property
    def judged(self) -> float:
        """How far the trial came on other rows."""
        return how_far_of(self.trial, self.task)

    @property
    def learned_so_far(self) -> float:
        """How far the network is, as it was handed in, on the rows for validation."""
        return how_far(judge(self.case, self.task, self.case.model), self.task)

    @cached_property
    def evidence(self) -> float:
        """How sure it is that the trial predicts other rows better than by chance; see `evidence`."""
        return evidence(self.case, self.task, self.trial.model)


def said_of(case: Case, task: Task, model: Model) -> tuple[Array, Array]:
    """What a model says of some rows for validation, as probabilities of classes or as numbers, and what is true of them."""
    return _said(_some_judged(case), task, model)


def _some_judged(case: Case) -> Case:
    """The case, judged by no more than some rows."""
    count = len(next(iter(case.y_validation.values())))
    return case.judged_by(np.random.default_rng(1).permutation(count)[:_SAMPLE])


def _said(case: Case, task: Task, model: Model) -> tuple[Array, Array]:
    outputs = model.predict(single(case.x_validation), verbose=0).astype(np.float64)
    target = next(iter(case.y_validation.values()))
    if task.kind == "classes":
        return task.probabilities(model, outputs), task.labels_of(target)
    return task.predicted(model, outputs), target.reshape(len(target), -1).astype(np.float64)


def evidence(case: Case, task: Task, model: Model) -> float:
    """How sure it is that a model predicts rows for validation better than by chance: by how many standard errors a score is above
    0 whose mean is 0 if its predictions have nothing to do with the targets. For classes that is the logarithm of the probability
    of the class, less its mean over the classes as often as they are; for numbers, the covariance of both."""
    case = _some_judged(case)
    said, true = _said(case, task, model)
    if len(true) < 2:
        return 0.0
    weights = weight_of(case.weights_validation, len(true))
    if task.kind == "classes":
        logs = np.log(np.clip(said, 1e-3, 1))
        shares = np.bincount(true, weights=weights, minlength=said.shape[1]) / weights.sum()
        scores = logs[np.arange(len(true)), true] - logs @ shares
    else:
        about = [values - np.average(values, axis=0, weights=weights) for values in (said, true)]
        scores = (about[0] * about[1] / np.maximum(true.std(axis=0), 1e-30)).sum(axis=1)
    scores = scores * weights / weights.mean()
    spread = float(scores.std())
    return float(scores.mean()) / spread * math.sqrt(len(scores)) if spread > 0 and math.isfinite(spread) else 0.0


def learned(found: Trial, task: Task) -> float:
    """How far a trial came on its rows, from nothing (0) to everything (1)."""
    if task.kind == "other":
        return max(0.0, 1 - found.train.loss / found.begun.loss) if found.begun.loss > 0 and not found.broke else 0.0
    return 0.0 if found.broke else how_far(found.train, task)


def how_far_of(found: Trial, task: Task) -> float:
    """How far a trial came on other rows than its own."""
    if task.kind == "other":
        return learned(found, task)
    return 0.0 if found.broke else how_far(found.judged, task)


def how_far(score: Score, task: Task) -> float:
    """How far a network is from guessing (0) to being right about everything (1)."""
    if task.kind == "classes":
        chance = 1 / max(1, int((np.asarray(task.shares) > 0).sum()))
        return max(0.0, (score.recall - chance) / max(1 - chance, 1e-9))
    return max(0.0, score.r2) if task.kind == "numbers" else 1.0


def _feeds(a: Call, b: Call) -> bool:
    """Whether what comes out of one call is all that goes into the other."""
    return len(b.inputs) == 1 and a.output.shape == b.inputs[0].shape and bool(np.array_equal(a.output, b.inputs[0]))


def rms(array: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else 0.0


__all__ = ["NOISE", "NORMALIZING", "Facts", "Link", "evidence", "how_far", "how_far_of", "learned", "rms", "said_of"]
