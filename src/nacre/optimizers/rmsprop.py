"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nacre import ops
from nacre.ir import Value
from nacre.optimizers.arguments import amount, share
from nacre.optimizers.optimizer import Common, Optimizer, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class RMSprop(Optimizer):
    """Divides each gradient by the root of a running mean of its squares.

    v <- rho v + (1 - rho) g^2;  w <- w - rate * g / sqrt(v + epsilon), with ``centered`` the variance in place of v, and
    with ``momentum`` a velocity of such steps. T. Tieleman and G. Hinton, "Neural networks for machine learning", lecture
    6.5, 2012. The arguments that all optimizers have are described in `Optimizer`.

    >>> RMSprop().learning_rate
    0.001
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = share("The rho of RMSprop", rho)
        self.momentum = share("The momentum of RMSprop", momentum)
        self.epsilon = amount("The epsilon of RMSprop", epsilon)
        self.centered = bool(centered)

    def slots(self) -> Mapping[str, float]:
        """A running mean of squares; with ``centered`` one of gradients; with ``momentum`` a velocity."""
        wanted = {"velocity": True, "average_gradient": self.centered, "momentum": bool(self.momentum)}
        return {name: 0.0 for name, used in wanted.items() if used}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        after = {"velocity": self._mean(slots["velocity"], ops.square(gradient))}
        spread = after["velocity"] + self.epsilon
        if self.centered:
            after["average_gradient"] = self._mean(slots["average_gradient"], gradient)
            spread = spread - ops.square(after["average_gradient"])
        step = numbers["learning_rate"] * gradient / ops.sqrt(spread)
        if self.momentum:
            step = after["momentum"] = self.momentum * slots["momentum"] + step
        return weight - step, after

    def _mean(self, mean: Value, x: Value) -> Value:
        return self.rho * mean + (1 - self.rho) * x
