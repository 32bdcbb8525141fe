"""nacre: deep networks that train at the speed of the machine, and can be looked into down to every number.

>>> import nacre
>>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, activation="softmax")])
>>> model.count_params()
15
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nacre import (
        activations,
        callbacks,
        config,
        constraints,
        datasets,
        doctor,
        errors,
        explain,
        initializers,
        insight,
        labs,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        plots,
        regularizers,
        utils,
    )
    from nacre.calculus import grad, gradcheck, minimize, value_and_grad
    from nacre.capacity import budget
    from nacre.compression import collapse
    from nacre.doctor import diagnose
    from nacre.initializers import Initializer
    from nacre.layers import Input, Layer
    from nacre.losses import Loss
    from nacre.metrics import Metric
    from nacre.models import Model, Sequential
    from nacre.optimizers import Optimizer
    from nacre.training.devices import devices
    from nacre.training.run import Run
    from nacre.tuning import find_learning_rate, fit_many

__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Optimizer",
    "Run",
    "Sequential",
    "__version__",
    "activations",
    "budget",
    "callbacks",
    "collapse",
    "config",
    "constraints",
    "datasets",
    "devices",
    "diagnose",
    "doctor",
    "errors",
    "exchange",
    "explain",
    "find_learning_rate",
    "fit_many",
    "grad",
    "gradcheck",
    "initializers",
    "insight",
    "labs",
    "layers",
    "losses",
    "metrics",
    "minimize",
    "models",
    "ops",
    "optimizers",
    "plots",
    "regularizers",
    "utils",
    "value_and_grad",
]

_HOMES = {
    "Initializer": "nacre.initializers",
    "Input": "nacre.layers",
    "Layer": "nacre.layers",
    "Loss": "nacre.losses",
    "Metric": "nacre.metrics",
    "Model": "nacre.models",
    "Optimizer": "nacre.optimizers",
    "Run": "nacre.training.run",
    "Sequential": "nacre.models",
    "budget": "nacre.capacity",
    "collapse": "nacre.compression",
    "devices": "nacre.training.devices",
    "diagnose": "nacre.doctor",
    "find_learning_rate": "nacre.tuning",
    "fit_many": "nacre.tuning",
    **dict.fromkeys(["grad", "gradcheck", "minimize", "value_and_grad"], "nacre.calculus"),
}


def __getattr__(name: str) -> Any:
    """Rooms are imported when they are first used, so that `import nacre` costs next to nothing."""
    if name not in __all__:
        from nacre.absent import absent  # noqa: PLC0415 - only now

        return absent("", [n for n in __all__ if n != "__version__"])(name)
    found = getattr(_import_module(_HOMES[name]), name) if name in _HOMES else _import_module(f"nacre.{name}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
