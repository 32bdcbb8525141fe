"""PyTorch with `torch.compile`: forward, backward and update as one function, which is faster than compiling the model alone."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F  # noqa: N812 - everybody calls it so

from benchmarks.peers import with_torch
from benchmarks.workloads import LEARNING_RATE, Array, Job


class Learner(with_torch.Learner):
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        super().__init__(job, x, y, weights, threads)
        names = [name for name, _ in self.model.named_parameters()]
        self.parameters = [p.detach() for p in self.model.parameters()]

        def loss(parameters: list[Any], x: Any, y: Any) -> Any:
            named = dict(zip(names, parameters, strict=True))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=job.extra == "mixed_bfloat16"):
                scores = torch.func.functional_call(self.model, named, (with_torch.scaled(job, x),))
            return F.cross_entropy(scores.float(), y)

        def update(parameters: list[Any], x: Any, y: Any) -> None:
            for p, gradient in zip(parameters, torch.func.grad(loss)(parameters, x, y), strict=True):
                p.sub_(gradient, alpha=LEARNING_RATE)

        self.update = torch.compile(update)

    def step(self, x: Any, y: Any) -> None:
        self.update(self.parameters, x, y)
