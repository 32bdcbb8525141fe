"""Adam."""

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


class Adam(Optimizer):
    """Divides a running mean of the gradients by the root of a running mean of their squares.

    m <- m + (1 - beta_1) (g - m);  v <- v + (1 - beta_2) (g^2 - v);  w <- w - a m / (sqrt(v) + epsilon), where
    a = rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t makes up for means that began at 0. With ``amsgrad`` the largest
    v so far is in place of v. D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015 (epsilon as in
    section 2.1); S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018. The arguments that
    all optimizers have are described in `Optimizer`.

    >>> list(Adam(amsgrad=True).slots())
    ['momentum', 'velocity', 'velocity_hat']
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, **common)
        kind = type(self).__name__
        self.beta_1 = share(f"The beta_1 of {kind}", beta_1)
        self.beta_2 = share(f"The beta_2 of {kind}", beta_2)
        self.epsilon = amount(f"The epsilon of {kind}", epsilon)
        self.amsgrad = bool(amsgrad)

    def slots(self) -> Mapping[str, float]:
        """Running means of gradients and squares; with ``amsgrad`` the largest of the latter."""
        return dict.fromkeys(["momentum", "velocity", *["velocity_hat"] * self.amsgrad], 0.0)

    def corrections(self, rates: Rates, times: Rates) -> dict[str, Rates]:
        """The learning rate that makes up for means that began at 0."""
        return {"corrected_rate": rates * np.sqrt(1 - self.beta_2**times) / (1 - self.beta_1**times)}

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.beta_1)
        v = slots["velocity"] + (ops.square(gradient) - slots["velocity"]) * (1 - self.beta_2)
        after = {"momentum": m, "velocity": v}
        if self.amsgrad:
            v = after["velocity_hat"] = ops.maximum(slots["velocity_hat"], v)
        return weight - numbers["corrected_rate"] * m / (ops.sqrt(v) + self.epsilon), after
