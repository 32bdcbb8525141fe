"""What is trained: networks, their data and their first weights. Imported by peers' processes too, so NumPy is all it needs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Job:
    """One network to train: widths from the input to the classes, in batches of ``batch``, ``steps`` of them in an epoch."""

    units: tuple[int, ...]
    activation: str
    batch: int
    steps: int
    uint8: bool = False  # rows stay bytes, and are divided by 255 on their way into the network
    # What is added to plain SGD: "momentum", "Adam", "Dropout", "BatchNormalization", "mixed_bfloat16", "LayerStatistics".
    extra: str = ""
    device: str = (
        ""  # what trains it, in nacre's words, such as "xla:gpu"; empty: the processors, each peer in its own way
    )

    @property
    def rows(self) -> int:
        return self.batch * self.steps

    @property
    def weights(self) -> list[int]:
        """Weights of each layer, biases left out."""
        return [a * b for a, b in zip(self.units, self.units[1:], strict=False)]

    @property
    def step_flops(self) -> int:
        """Of one step: two for a multiply-add, three products with each weight; the first layer needs no gradient of its input."""
        return self.batch * (6 * sum(self.weights) - 2 * self.weights[0])

    @property
    def row_flops(self) -> int:
        """Of predicting one row."""
        return 2 * sum(self.weights)

    @property
    def step_bytes(self) -> int:
        """What a step reads from memory in any case: its rows, as the data set is larger than the caches."""
        return self.batch * self.units[0] * (1 if self.uint8 else 4)

    def __str__(self) -> str:
        runs = [(width, len(list(same))) for width, same in groupby(self.units)]
        widths = "-".join(f"{n}x{width}" if n > 2 else "-".join([str(width)] * n) for width, n in runs)
        what = f"{widths} {self.activation}" if len(self.units) > 2 else widths
        return f"{what} [{self.batch}]{' from bytes' * self.uint8}"


def to_json(job: Job) -> dict[str, Any]:
    return asdict(job)


def from_json(fields: dict[str, Any]) -> Job:
    return Job(**{**fields, "units": tuple(fields["units"])})


# Steps are chosen so that the rows are larger than the caches, though no more than MNIST's 60,000 where there are 784 columns, and
# so that an epoch of the slowest peer takes a second or two.
WORKLOADS: dict[str, Job] = {
    "W1": Job((784, 30, 10), "sigmoid", 10, 2000),
    "W2": Job((784, 128, 10), "relu", 32, 1875),
    "W3": Job((784, 1000, 10), "relu", 32, 1875),
    "W4": Job((784, 512, 512, 10), "relu", 128, 468),
    "W5": Job((784, *[256] * 8, 10), "relu", 128, 468),
    "W6": Job((784, 2048, 2048, 10), "relu", 256, 60),
    "W7": Job((784, 10), "relu", 128, 468),
    "W8": Job((54, 128, 64, 7), "relu", 256, 780),
    "W9": Job((12288, 20, 7, 5, 2), "sigmoid", 32, 128),
}


# As pictures come: those that reading rows bounds, once more from bytes.
RACED: dict[str, Job] = WORKLOADS | {
    "W1b": replace(WORKLOADS["W1"], uint8=True, steps=6000),
    "W7b": replace(WORKLOADS["W7"], uint8=True),
    "W9b": replace(WORKLOADS["W9"], uint8=True),
}

# On a GPU, which multiplies bfloat16 an order of magnitude faster: the wide ones with it too.
ON_DEVICE: dict[str, Job] = WORKLOADS | {
    f"{name}-bf16": replace(WORKLOADS[name], extra="mixed_bfloat16") for name in ("W3", "W4", "W5", "W6")
}


def shorter(job: Job, steps: int) -> Job:
    """The same work with at most ``steps`` steps in an epoch."""
    return replace(job, steps=min(job.steps, steps))


def data(job: Job) -> tuple[Array, Array]:
    """Rows (n, features), float32 in [0, 1) or uint8, and labels (n,) int32 that can be learnt. The same in every process."""
    rng = np.random.default_rng(1)
    shape = (job.rows, job.units[0])
    x = rng.integers(0, 256, shape, np.uint8) if job.uint8 else rng.random(shape, np.float32)
    direction = rng.standard_normal((job.units[0], job.units[-1]), np.float32)
    y = np.empty(job.rows, np.int32)
    for start in range(0, job.rows, 4096):  # in blocks, so that the peak of memory is the data itself
        block = x[start : start + 4096].astype(np.float32)
        y[start : start + 4096] = (block @ (direction - direction.mean(axis=0))).argmax(axis=1)
    return x, y


def first_weights(job: Job) -> list[Array]:
    """Kernel (inputs, outputs) and bias (outputs,) of each layer, float32.

    He's bounds for relu, so that neither values nor gradients fade in deep networks and nobody computes with subnormal numbers.
    """
    rng = np.random.default_rng(2)
    arrays: list[Array] = []
    for inputs, outputs in zip(job.units, job.units[1:], strict=False):
        bound = math.sqrt(6 / inputs if job.activation == "relu" else 6 / (inputs + outputs))
        arrays.append(rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32))
        arrays.append(np.zeros(outputs, np.float32))
    return arrays


def crossentropy(probabilities: Array, labels: Array) -> float:
    """Mean of -log p.   probabilities (n, classes), labels (n,)"""
    chosen = np.take_along_axis(np.asarray(probabilities, np.float64), labels[:, None].astype(np.int64), axis=1)
    return float(-np.log(np.maximum(chosen, 1e-30)).mean())
