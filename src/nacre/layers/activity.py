"""The layer that charges for what passes through it."""

from __future__ import annotations

from typing import Any

from nacre import regularizers
from nacre.ir import Value
from nacre.layers.layer import Layer, number


class ActivityRegularization(Layer):
    """Gives what it is given, and adds l1 * sum(|x|) + l2 * sum(x^2), divided by the number of samples, to the loss.

    Raises `UsageError` for a factor that is no number.

    >>> ActivityRegularization(l1=0.01).l1
    0.01
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        self.l1, self.l2 = number("ActivityRegularization", "l1", l1), number("ActivityRegularization", "l2", l2)
        super().__init__(activity_regularizer=regularizers.L1L2(self.l1, self.l2), **kwargs)

    def call(self, x: Value) -> Value:
        """x itself."""
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again: the regularizer follows from them."""
        config = super().get_config()
        del config["activity_regularizer"]
        return config
