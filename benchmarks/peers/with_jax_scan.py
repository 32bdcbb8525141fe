"""JAX: a whole epoch as one program, `lax.scan` over the shuffled batches."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from benchmarks.peers import with_jax
from benchmarks.workloads import Array, Job


class Learner(with_jax.Learner):
    def __init__(self, job: Job, x: Array, y: Array, weights: list[Array], threads: int) -> None:
        super().__init__(job, x, y, weights, threads)

        def sweep(weights: list[Any], x: Any, y: Any, batches: Any) -> Any:
            return jax.lax.scan(lambda w, rows: (with_jax._step(job, w, x, y, rows), None), weights, batches)[0]

        self.sweep = jax.jit(sweep, donate_argnums=0)

    def epoch(self, order: Array) -> None:
        batches = order.astype(np.int32).reshape(-1, self.job.batch)
        self.weights = self.sweep(self.weights, self.x, self.y, batches)
