"""How stable a network is: by how much, at most, a change of its input comes out longer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nacre.errors import Limitation, UsageError
from nacre.layers import Activation, Dense, Dropout, Flatten, Layer, Rescaling, Reshape, Softmax
from nacre.models import Model, Sequential

# The steepest slope. Of a softmax: the Jacobian diag(p) - p p^T has rows whose absolute values add up to 2 p (1 - p).
_STEEPEST: Mapping[str, float] = {
    "linear": 1.0,
    "relu": 1.0,
    "relu6": 1.0,
    "elu": 1.0,
    "tanh": 1.0,
    "softplus": 1.0,
    "softsign": 1.0,
    "leaky_relu": 1.0,
    "sigmoid": 0.25,
    "softmax": 0.5,
}


@dataclass(frozen=True)
class LipschitzBound:
    """What `lipschitz_bound` found: for each layer by how much it makes a change longer, at most, and their product, ``bound``."""

    layers: tuple[tuple[str, float], ...]

    @property
    def bound(self) -> float:
        """Of the whole network: the change of the output is at most so many times as long as that of the input."""
        return math.prod(norm for _, norm in self.layers)

    def document(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {"layers": dict(self.layers), "bound": self.bound}

    def __str__(self) -> str:
        rows = [*self.layers, ("product", self.bound)]
        width = max(len(name) for name, _ in rows)
        lines = [f"{name:<{width}}  {norm:.4g}" for name, norm in rows]
        return "\n".join(["A change of the input comes out longer by at most:", *lines])


def lipschitz_bound(model: Model) -> LipschitzBound:
    """By how much each layer of a chain, and all of them, make a change of what comes in longer at most, in Euclidean norms.

    Of a dense layer it is the largest singular value of its kernel, ‖W‖₂, times the steepest slope of its activation: 1 of relu,
    1/4 of a sigmoid, 1/2 of a softmax. For one linear layer the bound is reached; for several it may be far above what inputs do.
    It is that of predictions: dropout does not act.

    H. Gouk and others, "Regularisation of neural networks by enforcing Lipschitz continuity", Machine Learning, 2021.

    Raises `Limitation` for what is no chain of Dense, Activation, Softmax, Rescaling, Flatten, Reshape and Dropout, and for other
    activations.

    >>> import numpy as np, nacre
    >>> from nacre.layers import Dense
    >>> model = nacre.Sequential([nacre.Input((2,)), Dense(2, "relu", name="hidden"), Dense(1, name="out")])
    >>> model.set_weights([np.diag([3.0, 4.0]), np.zeros(2), np.array([[0.6], [0.8]]), np.zeros(1)])
    >>> print(lipschitz_bound(model))
    A change of the input comes out longer by at most:
    hidden   4
    out      1
    product  4
    """
    if not isinstance(model, Model):
        raise UsageError(f"lipschitz_bound looks at a model, got {model!r}.")
    if not isinstance(model, Sequential):
        raise Limitation(f"{model.name!r} is no chain of layers.", hint="a Sequential")
    model.count_params()  # it must be built
    found = [(layer.name, _norm(layer)) for layer in model.layers]
    return LipschitzBound(tuple((name, norm) for name, norm in found if norm is not None))


def _norm(layer: Layer) -> float | None:
    """Of one layer; None if it moves numbers at most."""
    if isinstance(layer, Flatten | Reshape | Dropout):
        return None
    if isinstance(layer, Softmax):
        return _STEEPEST["softmax"]
    if isinstance(layer, Rescaling):
        return abs(float(layer.scale))
    if type(layer) in (Dense, Activation):
        name = getattr(layer.activation, "__name__", "")  # type: ignore[attr-defined]
        if name not in _STEEPEST:
            raise Limitation(f"The steepest slope of {name or 'the activation'} in {layer.name!r} is not known.")
        kernel = layer.get_weights()[0].astype(np.float64) if isinstance(layer, Dense) else np.eye(1)
        return float(np.linalg.norm(kernel, 2)) * _STEEPEST[name]
    raise Limitation(f"There is no norm of {type(layer).__name__} {layer.name!r}.")
