"""Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nacre import ops
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.optimizers.arguments import share
from nacre.optimizers.optimizer import Common, Optimizer, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Lion(Optimizer):
    """Steps of one size, along the sign of a running mean of the gradients.

    w <- w - rate * sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g.
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, where the rate is 3 to 10 times smaller
    than for `AdamW`, and the weight decay as much larger. The arguments that all optimizers have are described in
    `Optimizer`.

    >>> Lion(1e-4, weight_decay=0.1).slots()
    {'momentum': 0.0}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share("The beta_1 of Lion", beta_1)
        self.beta_2 = share("The beta_2 of Lion", beta_2)
        if self.beta_1 == 0:
            raise UsageError(
                f"The beta_1 of Lion lies in (0, 1), got {beta_1!r}: only signs of gradients would be left."
            )

    def slots(self) -> Mapping[str, float]:
        """A running mean of gradients."""
        return {"momentum": 0.0}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        way = ops.sign(slots["momentum"] * self.beta_1 + gradient * (1 - self.beta_1))
        momentum = slots["momentum"] * self.beta_2 + gradient * (1 - self.beta_2)
        return weight - numbers["learning_rate"] * way, {"momentum": momentum}
