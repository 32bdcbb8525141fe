"""nacre, through `Sequential.fit` and `predict`."""

from __future__ import annotations

import time
from typing import Any

import nacre
from benchmarks.workloads import LEARNING_RATE, Array, Job
from nacre import layers, optimizers

# Layers that an extra puts after each hidden layer, and how they are made.
BETWEEN: dict[str, tuple[float, ...]] = {"Dropout": (0.2,), "BatchNormalization": ()}


class Clock(nacre.callbacks.Callback):
    """Notes when epochs end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.ends.append(time.perf_counter())


class Learner:
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        self.job, self.x, self.y = job, x, y
        self.model = nacre.Sequential([nacre.Input((job.units[0],))])
        if job.uint8:
            self.model.add(layers.Rescaling(1 / 255))
        last = len(job.units) - 2
        for n, units in enumerate(job.units[1:]):
            policy = "mixed_bfloat16" if job.extra == "mixed_bfloat16" else "float32"
            dense = layers.Dense(units, activation="softmax" if n == last else job.activation, dtype=policy)
            self.model.add(dense)
            dense.set_weights(weights[2 * n : 2 * n + 2])
            if n < last and job.extra in BETWEEN:
                self.model.add(getattr(layers, job.extra)(*BETWEEN[job.extra]))
        self.model.compile(_optimizer(job), loss="sparse_categorical_crossentropy", device=job.device or "native")

    def train(self, epochs: int, shuffle: bool) -> float:
        """From the end of a first epoch on: `fit` looks through all the data once before it begins."""
        clock = Clock()
        watching = [nacre.callbacks.LayerStatistics(every=50)] if self.job.extra == "LayerStatistics" else []
        lead = 1 if shuffle else 0
        begin = time.perf_counter()
        self.model.fit(
            self.x,
            self.y,
            batch_size=self.job.batch,
            epochs=epochs + lead,
            shuffle=shuffle,
            verbose=0,
            callbacks=[clock, *watching],
        )
        return clock.ends[-1] - (clock.ends[0] if lead else begin)

    def predict(self, x: Array) -> Array:
        outputs: Array = self.model.predict(x, verbose=0)
        return outputs


def _optimizer(job: Job) -> Any:
    if job.extra == "Adam":
        return getattr(optimizers, job.extra)(0.001)
    return optimizers.SGD(LEARNING_RATE, momentum=0.9 if job.extra == "momentum" else 0.0)
