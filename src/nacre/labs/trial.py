"""What experiments share: rows to train on and to judge by, networks of some widths, and replicas that differ in seed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.splits import split_rows
from nacre.errors import DataError, UsageError
from nacre.labs.result import spread
from nacre.layers import Dense, Input
from nacre.metrics.accuracy import wilson_interval
from nacre.models import Model, Sequential
from nacre.tuning import fit_many

Array = npt.NDArray[Any]
Pair = tuple[Any, Any]

_HELD_OUT = 0.2  # of the rows, where none are given to judge by


@dataclass(frozen=True)
class Task:
    """Rows x (n, features) float32 and targets y (n,) to train on, others to judge by; how many classes, 0 where y is a number."""

    x: Array
    y: Array
    held_x: Array
    held_y: Array
    classes: int

    @classmethod
    def of(cls, x: Any, y: Any, validation_data: Pair | None) -> Task:
        """Rows x (n, ...) and labels or numbers y (n,). They are judged by ``validation_data``, else a fifth of the rows.

        Bytes are divided by the largest, numbers to predict are taken in deviations from their mean. Raises `DataError` for what
        is no such data.
        """
        pairs = [_pair(x, y)] + ([] if validation_data is None else [_pair(*validation_data)])
        largest = max(1, int(np.max(x, initial=0))) if np.asarray(x).dtype == np.uint8 else 1
        classes = int(max(y.max() for _, y in pairs)) + 1 if pairs[0][1].dtype.kind in "iu" else 0
        if classes and min(y.min() for _, y in pairs) < 0:
            raise DataError("Labels count from 0.", {"found": int(min(y.min() for _, y in pairs))})
        (x, y), *held = pairs
        if not held:
            parts = split_rows(len(x), [_HELD_OUT], 0, classes=y if classes else None)
            (x, y), *held = [(x[rows], y[rows]) for rows in parts]
        if not classes:
            mean, deviation = float(np.mean(y)), float(np.std(y)) or 1.0
            y, held = (y - mean) / deviation, [(held[0][0], (held[0][1] - mean) / deviation)]
        return cls(x / np.float32(largest), y, held[0][0] / np.float32(largest), held[0][1], classes)

    @property
    def figure(self) -> str:
        """What is judged by."""
        return "accuracy" if self.classes else "r2_score"

    @property
    def judged_rows(self) -> int | None:
        """How many rows an accuracy is judged by; None where it is R2."""
        return len(self.held_y) if self.classes else None

    def take(self, rows: Array) -> Task:
        """The same with some of the rows to train on."""
        return replace(self, x=self.x[rows], y=self.y[rows])

    def learned(self, held: Sequence[float]) -> bool:
        """Whether accuracies, or R2, on the rows to judge by are surely better than those of always saying the most frequent class,
        or the mean: the lower end of Wilson's interval, and the mean less its deviation."""
        if not self.classes:
            return bool(np.mean(held) - np.std(held) > 0)
        return wilson_interval(float(np.mean(held)), len(self.held_y))[0] > self.blind

    @property
    def blind(self) -> float:
        """What is reached without looking: the share of the most frequent class among the rows to judge by; of R2, 0."""
        return float(np.bincount(self.held_y).max() / len(self.held_y)) if self.classes else 0.0

    def need_classes(self, experiment: str) -> None:
        """Raise `UsageError` where a number is to be predicted, or all rows are of one class."""
        if not self.classes:
            raise UsageError(
                f"{experiment} is about classes, and these targets are numbers.", hint="whole numbers as y"
            )
        if (self.y == self.y[0]).all():
            raise UsageError(
                f"{experiment} is about classes, and all rows are of one class.", {"label": int(self.y[0])}
            )

    def network(self, widths: Sequence[int], activation: str, learning_rate: float) -> Sequential:
        """Hidden layers so wide, compiled."""
        layers: list[Any] = [Input((self.x.shape[1],)), *(Dense(width, activation) for width in widths)]
        model = Sequential([*layers, Dense(self.classes or 1, "softmax" if self.classes else None)])
        loss = "sparse_categorical_crossentropy" if self.classes else "mse"
        model.compile({"class_name": "Adam", "config": {"learning_rate": learning_rate}}, loss, metrics=[self.figure])
        return model

    def judged(self, model: Model) -> tuple[float, float]:
        """Accuracy or R2 on the rows to train on, and on the others."""
        parts = ((self.x, self.y), (self.held_x, self.held_y))
        seen, held = (model.evaluate(x, y, verbose=0, return_dict=True)[self.figure] for x, y in parts)
        return float(seen), float(held)

    def spreads(self, models: Sequence[Model]) -> dict[str, Any]:
        """How replicas do on the rows to train on, and on the others: two columns of a result."""
        seen, held = zip(*(self.judged(model) for model in models), strict=True)
        return {f"{self.figure} in training": spread(seen), self.figure: spread(held, self.judged_rows)}

    def trained(
        self,
        what: str,
        widths: Sequence[int],
        seeds: Iterable[int],
        *,
        activation: str,
        epochs: int,
        learning_rate: float,
        verbose: int,
    ) -> list[Model]:
        """A replica for each seed; if ``verbose``, ``what`` is told on standard error, and a line when one is trained."""
        if verbose:
            print(what, file=sys.stderr, flush=True)
        build = lambda: self.network(widths, activation, learning_rate)  # noqa: E731
        found = fit_many(build, self.x, self.y, seeds=seeds, epochs=epochs, verbose=verbose)
        return [replica.model for replica in found]


def check_seeds(seeds: Any) -> int:
    """How many seeds; there is no spread of fewer than two."""
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 2:
        raise UsageError(f"seeds is how many trainings differ in nothing but chance, from 2 on, got {seeds!r}.")
    return seeds


def _pair(x: Any, y: Any) -> Pair:
    x, y = np.asarray(x), np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(x) != len(y) or not len(y):
        raise DataError(
            "An experiment has a row of x (n, ...) for each target in y (n,).", {"x": x.shape, "y": y.shape}
        )
    return x.reshape(len(x), -1).astype(np.float32), y if y.dtype.kind in "iu" else y.astype(np.float32)
