"""PyTorch, eager: tensors in memory, batches picked by index."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - everybody calls it so

from benchmarks.peers import check
from benchmarks.workloads import LEARNING_RATE, Array, Job


class Learner:
    extras: tuple[str, ...] = ()

    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job, self.extras)
        torch.set_num_threads(threads)
        self.job = job
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y.astype(np.int64))
        self.model = network(job, weights)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, fused=True)

    def train(self, epochs: int, shuffle: bool) -> float:
        begin = time.perf_counter()
        for _ in range(epochs):
            order = torch.randperm(len(self.x)) if shuffle else torch.arange(len(self.x))
            for rows in order.split(self.job.batch):
                self.step(self.x.index_select(0, rows), self.y.index_select(0, rows))
        return time.perf_counter() - begin

    def step(self, x: Any, y: Any) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.model(scaled(self.job, x)), y).backward()
        self.optimizer.step()

    def predict(self, x: Array) -> Array:
        with torch.inference_mode():
            parts = [
                torch.softmax(self.model(scaled(self.job, rows)), dim=1) for rows in torch.from_numpy(x).split(1024)
            ]
            probabilities: Array = (parts[0] if len(parts) == 1 else torch.cat(parts)).numpy()
        return probabilities


def network(job: Job, weights: list[Array]) -> Any:
    layers: list[Any] = []
    for n, (inputs, outputs) in enumerate(zip(job.units, job.units[1:], strict=False)):
        layers.append(nn.Linear(inputs, outputs))
        with torch.no_grad():
            layers[-1].weight.copy_(torch.from_numpy(weights[2 * n].T))
            layers[-1].bias.copy_(torch.from_numpy(weights[2 * n + 1]))
        if n < len(job.units) - 2:
            layers.append(nn.ReLU() if job.activation == "relu" else nn.Sigmoid())
    return nn.Sequential(*layers)


def scaled(job: Job, x: Any) -> Any:
    return x.float().mul_(1 / 255) if job.uint8 else x
