"""scikit-learn's `MLPClassifier.fit`, with solver "sgd", no momentum, no penalty."""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.peers import check
from benchmarks.workloads import LEARNING_RATE, Array, Job

warnings.simplefilter("ignore", ConvergenceWarning)  # it was told to stop after so many epochs


class Learner:
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job)
        self.job = job
        self.x, self.y = self._scaled(x), y
        self.model = MLPClassifier(
            job.units[1:-1],
            activation={"sigmoid": "logistic"}.get(job.activation, job.activation),
            solver="sgd",
            alpha=0.0,
            batch_size=job.batch,
            learning_rate_init=LEARNING_RATE,
            momentum=0.0,
            nesterovs_momentum=False,
            warm_start=True,
            tol=0.0,
            n_iter_no_change=10**9,
        )
        if job.units[-1] > 2:  # for two classes it has a single output, and other weights
            every = np.resize(np.unique(self.y, return_index=True)[1], max(job.batch, job.units[-1]))
            self.model.partial_fit(self.x[every], self.y[every], classes=np.arange(job.units[-1]))
            self.model.coefs_ = [w.copy() for w in weights[::2]]
            self.model.intercepts_ = [b.copy() for b in weights[1::2]]

    def train(self, epochs: int, shuffle: bool) -> float:
        self.model.set_params(max_iter=epochs, shuffle=shuffle)
        begin = time.perf_counter()
        self.model.fit(self.x, self.y)
        return time.perf_counter() - begin

    def predict(self, x: Array) -> Array:
        probabilities: Array = self.model.predict_proba(self._scaled(x))
        return probabilities

    def _scaled(self, x: Array) -> Array:
        # It would turn bytes into float64; float32 is half of that.
        return x.astype(np.float32) / np.float32(255) if self.job.uint8 else x
