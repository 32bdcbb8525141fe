"""JAX: one jitted step with donated weights; rows are gathered inside it."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import check
from benchmarks.workloads import LEARNING_RATE, Array, Job


class Learner:
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job)
        self.job, self.x, self.y = job, jnp.asarray(x), jnp.asarray(y)
        self.weights = [jnp.array(w) for w in weights]
        self.step = jax.jit(partial(_step, job), donate_argnums=0)
        self.probabilities = jax.jit(lambda weights, x: jax.nn.softmax(_scores(job, weights, x)))
        self.rng = np.random.default_rng(3)

    def train(self, epochs: int, shuffle: bool) -> float:
        begin = time.perf_counter()
        for _ in range(epochs):
            self.epoch(self.rng.permutation(len(self.x)) if shuffle else np.arange(len(self.x)))
        jax.block_until_ready(self.weights)
        return time.perf_counter() - begin

    def epoch(self, order: Array) -> None:
        for rows in order.astype(np.int32).reshape(-1, self.job.batch):
            self.weights = self.step(self.weights, self.x, self.y, rows)

    def predict(self, x: Array) -> Array:
        return np.asarray(self.probabilities(self.weights, x))


def _scores(job: Job, weights: list[Any], x: Any) -> Any:
    a = x.astype(jnp.float32) * (1 / 255) if job.uint8 else x
    for n in range(0, len(weights), 2):
        a = a @ weights[n] + weights[n + 1]
        if n + 2 < len(weights):
            a = jax.nn.relu(a) if job.activation == "relu" else jax.nn.sigmoid(a)
    return a


def _step(job: Job, weights: list[Any], x: Any, y: Any, rows: Any) -> list[Any]:
    # The rows are a permutation, but XLA cannot know: the promise spares it a check of each index.
    xb, yb = x.at[rows].get(mode="promise_in_bounds"), y.at[rows].get(mode="promise_in_bounds")

    def loss(weights: list[Any]) -> Any:
        scores = jax.nn.log_softmax(_scores(job, weights, xb))
        return -jnp.take_along_axis(scores, yb[:, None], axis=1).mean()

    return [w - LEARNING_RATE * g for w, g in zip(weights, jax.grad(loss)(weights), strict=True)]
