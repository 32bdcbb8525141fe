"""Follow the regularized leader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nacre import ops
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.optimizers.arguments import amount
from nacre.optimizers.optimizer import Common, Optimizer, Rates, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

_TINY = 1e-37  # in place of a divisor 0


class Ftrl(Optimizer):
    """Weights that would have been best for all gradients so far, kept small: for shallow models of many rare features.

    With p = -``learning_rate_power`` and s beginning at ``initial_accumulator_value``: t = s + g^2;
    z <- z + g + 2 l2_shrinkage w - (t^p - s^p) w / rate;  w <- (clip(z, -l1, l1) - z) / ((beta + t^p) / rate + 2 l2);
    s <- t. A weight with |z| <= l1 is exactly 0. H. B. McMahan et al., "Ad click prediction: a view from the trenches", KDD
    2013. The arguments that all optimizers have are described in `Optimizer`.

    >>> Ftrl(0.1, l1_regularization_strength=0.01).slots()
    {'accumulator': 0.1, 'linear': 0.0}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        if isinstance(learning_rate_power, bool) or not isinstance(learning_rate_power, int | float):
            raise UsageError(f"The learning_rate_power of Ftrl is a number, got {learning_rate_power!r}.")
        if not -100 <= learning_rate_power <= 0:
            raise UsageError(f"The learning_rate_power of Ftrl is 0 or negative, got {learning_rate_power!r}.")
        self.learning_rate_power = float(learning_rate_power)
        self.initial_accumulator_value = amount("The initial_accumulator_value of Ftrl", initial_accumulator_value)
        self.l1_regularization_strength = amount("The l1 of Ftrl", l1_regularization_strength)
        self.l2_regularization_strength = amount("The l2 of Ftrl", l2_regularization_strength)
        self.l2_shrinkage_regularization_strength = amount(
            "The l2_shrinkage of Ftrl", l2_shrinkage_regularization_strength
        )
        self.beta = amount("The beta of Ftrl", beta)

    def slots(self) -> Mapping[str, float]:
        """The sum of squares, and the gradients so far with what makes up for moved weights."""
        return {"accumulator": self.initial_accumulator_value, "linear": 0.0}

    def corrections(self, rates: Rates, times: Rates) -> dict[str, Rates]:  # noqa: ARG002
        """One over the learning rate, or 0; and what is added to the divisor."""
        inverse = np.divide(1.0, rates, out=np.zeros_like(rates), where=rates > 0)
        return {"inverse_rate": inverse, "damping": self.beta + 2 * self.l2_regularization_strength * rates}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        rate, l1 = numbers["learning_rate"], self.l1_regularization_strength
        total = slots["accumulator"] + ops.square(gradient)
        after, before = (ops.power(s, -self.learning_rate_power) for s in (total, slots["accumulator"]))
        pulled = gradient + 2 * self.l2_shrinkage_regularization_strength * weight
        linear = slots["linear"] + pulled - numbers["inverse_rate"] * (after - before) * weight
        divisor = ops.maximum(after + numbers["damping"], _TINY)
        return rate * (ops.clip(linear, -l1, l1) - linear) / divisor, {"accumulator": total, "linear": linear}
