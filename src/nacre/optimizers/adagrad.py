"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nacre import ops
from nacre.ir import Value
from nacre.optimizers.arguments import amount
from nacre.optimizers.optimizer import Common, Optimizer, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Adagrad(Optimizer):
    """Divides each gradient by the root of the sum of all its squares so far: what rarely has a gradient takes larger steps.

    s <- s + g^2, beginning at ``initial_accumulator_value``;  w <- w - rate * g / sqrt(s + epsilon).
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR
    2011. The arguments that all optimizers have are described in `Optimizer`.

    >>> Adagrad(0.1).slots()
    {'accumulator': 0.1}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = amount("The initial_accumulator_value of Adagrad", initial_accumulator_value)
        self.epsilon = amount("The epsilon of Adagrad", epsilon)

    def slots(self) -> Mapping[str, float]:
        """The sum of squares."""
        return {"accumulator": self.initial_accumulator_value}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        total = slots["accumulator"] + ops.square(gradient)
        step = numbers["learning_rate"] * gradient / ops.sqrt(total + self.epsilon)
        return weight - step, {"accumulator": total}
