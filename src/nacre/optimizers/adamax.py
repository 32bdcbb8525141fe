"""Adamax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nacre import ops
from nacre.ir import Value
from nacre.optimizers.arguments import amount, share
from nacre.optimizers.optimizer import Common, Optimizer, Rates, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adamax(Optimizer):
    """Divides a running mean of the gradients by the largest recent one.

    m <- m + (1 - beta_1) (g - m);  u <- max(beta_2 u, |g|);  w <- w - rate / (1 - beta_1^t) * m / (u + epsilon) at step t.
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7. The arguments that all
    optimizers have are described in `Optimizer`.

    >>> list(Adamax().slots())
    ['momentum', 'norm']
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share("The beta_1 of Adamax", beta_1)
        self.beta_2 = share("The beta_2 of Adamax", beta_2)
        self.epsilon = amount("The epsilon of Adamax", epsilon)

    def slots(self) -> Mapping[str, float]:
        """A running mean of gradients, and the largest recent one."""
        return {"momentum": 0.0, "norm": 0.0}

    def corrections(self, rates: Rates, times: Rates) -> dict[str, Rates]:
        """The learning rate that makes up for a mean that began at 0."""
        return {"corrected_rate": rates / (1 - self.beta_1**times)}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        u = ops.maximum(self.beta_2 * slots["norm"], ops.abs(gradient))
        return weight - numbers["corrected_rate"] * m / (u + self.epsilon), {"momentum": m, "norm": u}
