"""Who takes part. To add a peer: a module here with a class `Learner`, and its row in the table below."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.workloads import Array, Job


class Learner(Protocol):
    """One network in one library. Every module of this package has one, made as ``Learner(job, x, y, weights, threads)``."""

    def train(self, epochs: int, shuffle: bool) -> float:
        """Train, and return the seconds that these epochs took; what a run costs only once may be left out."""

    def predict(self, x: Array) -> Array:
        """Probabilities (n, classes) of the rows of x, as fast as the library gives them."""


@dataclass(frozen=True)
class Peer:
    """A library, or a way of using one."""

    label: str
    module: str  # in this package
    imports: str  # what a script that trains begins with
    distributions: tuple[str, ...]  # what one installs
    environment: dict[str, str] = field(default_factory=dict)
    trains: bool = True
    gpu: bool = False  # trains on a GPU only


_TORCH = "import torch"
_JAX = "import jax, jax.numpy"

PEERS: dict[str, Peer] = {
    "nacre": Peer("nacre", "with_nacre", "from nacre import Sequential, layers, optimizers", ("nacre",)),
    "nacre-xla": Peer("nacre on XLA", "with_nacre_xla", "import jax, nacre", ("nacre", "jax", "jaxlib")),
    "torch": Peer("PyTorch eager", "with_torch", _TORCH, ("torch",)),
    "torch-compile": Peer("torch.compile", "with_torch_compile", _TORCH, ("torch",)),
    "torch-graphs": Peer("PyTorch CUDA graphs", "with_torch_graphs", _TORCH, ("torch",), gpu=True),
    "jax": Peer("JAX jitted step", "with_jax", _JAX, ("jax", "jaxlib")),
    "jax-scan": Peer("JAX scanned epoch", "with_jax_scan", _JAX, ("jax", "jaxlib")),
    "keras-jax": Peer("Keras fit (JAX)", "with_keras", "import keras", ("keras", "jax"), {"KERAS_BACKEND": "jax"}),
    "keras-torch": Peer(
        "Keras fit (PyTorch)", "with_keras", "import keras", ("keras", "torch"), {"KERAS_BACKEND": "torch"}
    ),
    "sklearn": Peer(
        "scikit-learn", "with_sklearn", "from sklearn.neural_network import MLPClassifier", ("scikit-learn",)
    ),
    "numpy": Peer("NumPy by hand", "with_numpy", "import numpy", ("numpy",)),
    "onnxruntime": Peer("ONNX Runtime", "with_onnx", "import onnxruntime", ("onnxruntime",), trains=False),
}

# Run by the Python that runs the benchmarks; the others by the one that --python names.
AT_HOME = ("nacre", "nacre-xla", "numpy")


def check(job: Job, supported: tuple[str, ...] = ()) -> None:
    """Refuse what only nacre is measured with."""
    if job.extra not in ("", *supported):
        raise ValueError(f"not written with {job.extra}")
