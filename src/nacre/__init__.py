"""nacre: deep networks that train at the speed of the machine, and can be looked into down to every number.

>>> import nacre
>>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, activation="softmax")])
>>> model.count_params()
15
"""

__version__ = "0.1.0"

from nacre import (
    activations,
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    utils,
)
from nacre.layers import Input
from nacre.models import Model, Sequential

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "utils",
]
