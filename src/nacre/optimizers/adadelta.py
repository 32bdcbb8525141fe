"""Adadelta."""

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


class Adadelta(Optimizer):
    """Steps as long as the last steps were, in units of the last gradients.

    s <- rho s + (1 - rho) g^2;  d = g * sqrt(t + epsilon) / sqrt(s + epsilon);  t <- rho t + (1 - rho) d^2;
    w <- w - rate * d. M. D. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, with a rate of 1. The arguments that
    all optimizers have are described in `Optimizer`.

    >>> list(Adadelta(1.0).slots())
    ['accumulated_grad', 'accumulated_delta_var']
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = share("The rho of Adadelta", rho)
        self.epsilon = amount("The epsilon of Adadelta", epsilon)

    def slots(self) -> Mapping[str, float]:
        """Running means of the squares of gradients and of steps."""
        return {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        squares = self.rho * slots["accumulated_grad"] + (1 - self.rho) * ops.square(gradient)
        before = slots["accumulated_delta_var"]
        step = gradient * ops.sqrt(before + self.epsilon) / ops.sqrt(squares + self.epsilon)
        steps = self.rho * before + (1 - self.rho) * ops.square(step)
        after = {"accumulated_grad": squares, "accumulated_delta_var": steps}
        return weight - numbers["learning_rate"] * step, after
