"""Keras 3, through `fit`, on the backend that KERAS_BACKEND names. The loss works on scores, which is the faster way."""

from __future__ import annotations

import os
import time
from typing import Any

import keras
import numpy as np

from benchmarks.peers import check
from benchmarks.workloads import LEARNING_RATE, Array, Job


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes when epochs end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ends.append(time.perf_counter())


class Learner:
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job)
        if os.environ["KERAS_BACKEND"] == "torch":
            import torch

            torch.set_num_threads(threads)
        self.job, self.x, self.y = job, x, y
        layers = [keras.Input((job.units[0],), dtype="uint8" if job.uint8 else "float32")]
        if job.uint8:
            layers.append(keras.layers.Rescaling(1 / 255))
        layers += [keras.layers.Dense(units, activation=job.activation) for units in job.units[1:-1]]
        self.model = keras.Sequential([*layers, keras.layers.Dense(job.units[-1])])
        self.model.set_weights(weights)
        self.model.compile(
            keras.optimizers.SGD(LEARNING_RATE), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        self.reader = keras.Sequential([self.model, keras.layers.Softmax()])

    def train(self, epochs: int, shuffle: bool) -> float:
        """From the end of a first epoch on, as for nacre."""
        clock = Clock()
        lead = 1 if shuffle else 0
        begin = time.perf_counter()
        self.model.fit(
            self.x,
            self.y,
            batch_size=self.job.batch,
            epochs=epochs + lead,
            shuffle=shuffle,
            verbose=0,
            callbacks=[clock],
        )
        return clock.ends[-1] - (clock.ends[0] if lead else begin)

    def predict(self, x: Array) -> Array:
        return np.asarray(self.reader.predict(x, batch_size=1024, verbose=0))
