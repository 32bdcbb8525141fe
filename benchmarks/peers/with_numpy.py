"""NumPy by hand: float32 throughout, every product and map into a buffer made once."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.peers import check
from benchmarks.workloads import LEARNING_RATE, Array, Job


class Learner:
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job)
        self.job, self.x, self.y = job, x, y
        self.W = [w.copy() for w in weights[::2]]
        self.b = [b.copy() for b in weights[1::2]]
        self.a = [np.empty((job.batch, units), np.float32) for units in job.units]  # what each layer puts out
        self.d = [np.empty((job.batch, units), np.float32) for units in job.units]  # the loss's gradient to it
        self.dW = [np.empty_like(w) for w in self.W]
        self.bytes = np.empty((job.batch, job.units[0]), np.uint8)
        self.rng = np.random.default_rng(3)
        self.each = np.arange(job.batch)

    def train(self, epochs: int, shuffle: bool) -> float:
        begin = time.perf_counter()
        for _ in range(epochs):
            order = self.rng.permutation(len(self.x)) if shuffle else np.arange(len(self.x))
            for start in range(0, len(order), self.job.batch):
                self._step(order[start : start + self.job.batch])
        return time.perf_counter() - begin

    def _step(self, rows: Array) -> None:
        a, d, W, b = self.a, self.d, self.W, self.b
        if self.job.uint8:
            np.take(self.x, rows, axis=0, out=self.bytes, mode="clip")
            np.multiply(self.bytes, np.float32(1 / 255), out=a[0])
        else:
            np.take(self.x, rows, axis=0, out=a[0], mode="clip")  # "clip" writes into out without a copy
        for n in range(len(W)):
            np.matmul(a[n], W[n], out=a[n + 1])
            a[n + 1] += b[n]
            if n + 1 < len(W):
                _activate(a[n + 1], self.job.activation)
        delta = _softmax(a[-1])
        delta[self.each, self.y[rows]] -= 1
        delta *= np.float32(LEARNING_RATE / self.job.batch)
        for n in reversed(range(len(W))):
            if n:
                np.matmul(delta, W[n].T, out=d[n])
            np.matmul(a[n].T, delta, out=self.dW[n])
            W[n] -= self.dW[n]
            b[n] -= delta.sum(axis=0)
            if n:
                delta = d[n]
                if self.job.activation == "relu":
                    np.multiply(delta, a[n] > 0, out=delta)
                else:
                    delta *= a[n]
                    np.subtract(1, a[n], out=a[n])
                    delta *= a[n]

    def predict(self, x: Array) -> Array:
        parts = [self._predict(x[start : start + 1024]) for start in range(0, len(x), 1024)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _predict(self, x: Array) -> Array:
        a = x * np.float32(1 / 255) if self.job.uint8 else x
        for n in range(len(self.W)):
            a = a @ self.W[n]
            a += self.b[n]
            if n + 1 < len(self.W):
                _activate(a, self.job.activation)
        return _softmax(a)


def _activate(z: Array, name: str) -> None:
    """In place.   z (n, units)"""
    if name == "relu":
        np.maximum(z, 0, out=z)
        return
    np.negative(z, out=z)
    np.exp(z, out=z)
    z += 1
    np.reciprocal(z, out=z)


def _softmax(z: Array) -> Array:
    """In place.   z (n, classes)"""
    z -= z.max(axis=1, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis=1, keepdims=True)
    return z
