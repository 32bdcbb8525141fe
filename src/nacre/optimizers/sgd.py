"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping

from nacre.ir import TensorType, Value
from nacre.optimizers.optimizer import Optimizer, share


class SGD(Optimizer):
    """w <- w - learning_rate * gradient; with momentum, a velocity carries on.

    ``momentum`` m in [0, 1): v <- m v - rate * g, w <- w + v. With ``nesterov``: w <- w + m v - rate * g, v being the new one.
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    >>> SGD(0.1, momentum=0.9).get_config()["momentum"]
    0.9
    """

    def __init__(
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, name: str | None = None
    ) -> None:
        super().__init__(learning_rate, name)
        self.momentum = share("The momentum of SGD", momentum)
        self.nesterov = bool(nesterov)

    def slots(self, weight: TensorType) -> Mapping[str, TensorType]:
        """A velocity, if there is momentum."""
        return {"velocity": weight} if self.momentum else {}

    def update(
        self, weight: Value, gradient: Value, slots: Mapping[str, Value], learning_rate: Value
    ) -> tuple[Value, dict[str, Value]]:
        """One step."""
        step = learning_rate * gradient
        if not self.momentum:
            return weight - step, {}
        velocity = self.momentum * slots["velocity"] - step
        return weight + (self.momentum * velocity - step if self.nesterov else velocity), {"velocity": velocity}
