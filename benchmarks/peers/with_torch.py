"""PyTorch, eager: tensors in the memory of what computes, batches picked there by index."""

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
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        check(job, ("mixed_bfloat16",))
        torch.set_num_threads(threads)
        self.job = job
        self.device = torch.device("cuda" if job.device.startswith("xla:gpu") else "cpu")
        self.x = torch.from_numpy(x).to(self.device)
        self.y = torch.from_numpy(y.astype(np.int64)).to(self.device)
        self.model = network(job, weights).to(self.device)
        self.scores = self._rounded if job.extra == "mixed_bfloat16" else self.model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LEARNING_RATE, fused=True)

    def train(self, epochs: int, shuffle: bool) -> float:
        begin = time.perf_counter()
        for _ in range(epochs):
            order = (torch.randperm if shuffle else torch.arange)(len(self.x), device=self.device)
            for rows in order.split(self.job.batch):
                self.take(rows)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    def take(self, rows: Any) -> None:
        """A step on the rows of these numbers."""
        self.step(self.x.index_select(0, rows), self.y.index_select(0, rows))

    def step(self, x: Any, y: Any) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(self.scores(scaled(self.job, x)), y).backward()
        self.optimizer.step()

    def _rounded(self, x: Any) -> Any:
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.model(x).float()

    def predict(self, x: Array) -> Array:
        with torch.inference_mode():
            parts = [
                torch.softmax(self.scores(scaled(self.job, rows.to(self.device))), dim=1)
                for rows in torch.from_numpy(x).split(1024)
            ]
            probabilities: Array = (parts[0] if len(parts) == 1 else torch.cat(parts)).cpu().numpy()
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
