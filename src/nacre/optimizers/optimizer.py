"""What all optimizers share: a learning rate, and slots beside each weight."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nacre.configured import Configured
from nacre.errors import UsageError
from nacre.ir import TensorType, Value


class Optimizer(Configured):
    """One update rule, as a graph. ``iterations`` counts the steps taken."""

    def __init__(self, learning_rate: float, name: str | None = None) -> None:
        self.learning_rate = learning_rate
        self.name = name or type(self).__name__.lower()
        self.iterations = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the next steps; may be set at any time."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._learning_rate = amount("A learning rate", rate)

    def rates(self, steps: int) -> npt.NDArray[np.float32]:
        """The learning rate of each of the next ``steps`` steps."""
        return np.full(steps, self.learning_rate, dtype=np.float32)

    def slots(self, weight: TensorType) -> Mapping[str, TensorType]:
        """What is kept beside a weight of this type from step to step; all begin at zero."""
        raise NotImplementedError

    def update(
        self, weight: Value, gradient: Value, slots: Mapping[str, Value], learning_rate: Value
    ) -> tuple[Value, dict[str, Value]]:
        """The weight and its slots after a step."""
        raise NotImplementedError


def amount(name: str, value: float) -> float:
    """A number that is not negative and fits in float32, or `UsageError`."""
    largest = float(np.finfo(np.float32).max)
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= largest:
        raise UsageError(f"{name} is a number that is neither negative nor beyond float32, got {value!r}.")
    return float(value)


def share(name: str, value: float) -> float:
    """A number in [0, 1), or `UsageError`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise UsageError(f"{name} lies in [0, 1), got {value!r}.")
    return float(value)
