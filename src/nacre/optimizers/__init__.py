"""Optimizers: how weights move along their gradients. To add one: a file here, and its name in the list below."""

from typing import Any

from nacre.configured import resolve as _resolve
from nacre.errors import UsageError as _UsageError
from nacre.optimizers import schedules
from nacre.optimizers.adadelta import Adadelta
from nacre.optimizers.adagrad import Adagrad
from nacre.optimizers.adam import Adam
from nacre.optimizers.adamax import Adamax
from nacre.optimizers.adamw import AdamW
from nacre.optimizers.ftrl import Ftrl
from nacre.optimizers.lion import Lion
from nacre.optimizers.nadam import Nadam
from nacre.optimizers.optimizer import Optimizer
from nacre.optimizers.rmsprop import RMSprop
from nacre.optimizers.sgd import SGD

OPTIMIZERS = (Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Nadam, RMSprop, SGD)
_TABLE = {o.__name__: o for o in OPTIMIZERS} | {o.__name__.lower(): o for o in OPTIMIZERS}


def get(identifier: Any) -> Optimizer:
    """The optimizer that ``identifier`` means: a name such as "adam", or an `Optimizer`.

    >>> get("sgd").learning_rate
    0.01
    """
    optimizer: Optimizer = _resolve("optimizer", identifier, _TABLE)
    if not isinstance(optimizer, Optimizer):
        raise _UsageError(
            f"{identifier!r} is no optimizer.", hint="a name, or a subclass of nacre.optimizers.Optimizer"
        )
    return optimizer


__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]
