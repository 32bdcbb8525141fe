"""Optimizers: how weights move along their gradients. To add one: a file here, and its name in the list below."""

from typing import Any

from nacre.configured import resolve as _resolve
from nacre.errors import UsageError as _UsageError
from nacre.optimizers.optimizer import Optimizer
from nacre.optimizers.rmsprop import RMSprop
from nacre.optimizers.sgd import SGD

OPTIMIZERS = (RMSprop, SGD)
_TABLE = {o.__name__: o for o in OPTIMIZERS} | {o.__name__.lower(): o for o in OPTIMIZERS}


def get(identifier: Any) -> Optimizer:
    """The optimizer that ``identifier`` means: a name such as "sgd", or an `Optimizer`.

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
    "Optimizer",
    "RMSprop",
    "get",
]
