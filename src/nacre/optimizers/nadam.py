"""Nadam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nacre import ops
from nacre.ir import Value
from nacre.optimizers.arguments import amount, share
from nacre.optimizers.optimizer import Common, Optimizer, Rates, Slots
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

# 1 - 0.96^t / 2, multiplied up: by t = 1000 the factors are 1.
_FACTORS = np.cumprod(1 - 0.5 * 0.96 ** np.arange(1.0, 1001.0))


class Nadam(Optimizer):
    """`Adam` with Nesterov's look ahead.

    m and v as in Adam. With u_t = beta_1 (1 - 0.96^t / 2) and U_t = u_1 u_2 ... u_t, at step t:
    w <- w - rate * (m u_{t+1} / (1 - U_{t+1}) + g (1 - u_t) / (1 - U_t)) / (sqrt(v / (1 - beta_2^t)) + epsilon).
    T. Dozat, "Incorporating Nesterov momentum into Adam", 2015. The arguments that all optimizers have are described in
    `Optimizer`.

    >>> list(Nadam().slots())
    ['momentum', 'velocity']
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
        self.beta_1 = share("The beta_1 of Nadam", beta_1)
        self.beta_2 = share("The beta_2 of Nadam", beta_2)
        self.epsilon = amount("The epsilon of Nadam", epsilon)

    def slots(self) -> Mapping[str, float]:
        """Running means of gradients and squares."""
        return {"momentum": 0.0, "velocity": 0.0}

    def corrections(self, rates: Rates, times: Rates) -> dict[str, Rates]:
        """What the mean of gradients, the gradient, and the root of the mean of squares are multiplied by."""
        return {
            "of_momentum": rates * self._u(times + 1) / (1 - self._product(times + 1)),
            "of_gradient": rates * (1 - self._u(times)) / (1 - self._product(times)),
            "of_root": 1 / np.sqrt(1 - self.beta_2**times),
        }

    def _u(self, times: Rates) -> Rates:
        return self.beta_1 * (1 - 0.5 * 0.96**times)

    def _product(self, times: Rates) -> Rates:
        last = np.minimum(times, len(_FACTORS)).astype(np.int64)
        return self.beta_1**times * _FACTORS[last - 1]

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        v = slots["velocity"] + (ops.square(gradient) - slots["velocity"]) * (1 - self.beta_2)
        ahead = numbers["of_momentum"] * m + numbers["of_gradient"] * gradient
        step = ahead / (numbers["of_root"] * ops.sqrt(v) + self.epsilon)
        return weight - step, {"momentum": m, "velocity": v}
