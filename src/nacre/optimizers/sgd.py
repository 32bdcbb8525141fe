"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nacre.ir import Value
from nacre.optimizers.arguments import share
from nacre.optimizers.optimizer import Common, Optimizer, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class SGD(Optimizer):
    """w <- w - learning_rate * gradient; with momentum, a velocity carries on.

    ``momentum`` m in [0, 1): v <- m v - rate * g, w <- w + v. With ``nesterov``: w <- w + m v - rate * g, with the new v.
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013. The arguments that
    all optimizers have are described in `Optimizer`.

    >>> SGD(0.1, momentum=0.9).get_config()["momentum"]
    0.9
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = share("The momentum of SGD", momentum)
        self.nesterov = bool(nesterov)

    def slots(self) -> Mapping[str, float]:
        """A velocity, if there is momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        step = numbers["learning_rate"] * gradient
        if not self.momentum:
            return weight - step, {}
        velocity = self.momentum * slots["velocity"] - step
        return weight + (self.momentum * velocity - step if self.nesterov else velocity), {"velocity": velocity}
