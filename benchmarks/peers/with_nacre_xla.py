"""nacre on XLA: the same programs, computed by JAX's CPU."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.peers import with_nacre
from benchmarks.workloads import Array, Job


class Learner(with_nacre.Learner):
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        super().__init__(replace(job, device="xla"), x, y, weights, threads)
