"""PyTorch with CUDA graphs: a step is recorded once, batches picked in it, and then launched as a whole."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.peers import with_torch
from benchmarks.workloads import Array, Job


class Learner(with_torch.Learner):
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        super().__init__(job, x, y, weights, threads)
        self.rows = torch.zeros(job.batch, dtype=torch.int64, device=self.device)
        before = [p.detach().clone() for p in self.model.parameters()]
        aside = (
            torch.cuda.Stream()
        )  # some steps first, elsewhere: libraries allocate and choose what must not be recorded
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                super().take(self.rows)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            super().take(self.rows)
        with torch.no_grad():
            for p, first in zip(self.model.parameters(), before, strict=True):
                p.copy_(first)

    def take(self, rows: Any) -> None:
        self.rows.copy_(rows)
        self.graph.replay()
