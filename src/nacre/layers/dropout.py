"""Layers that add chance to training."""

from __future__ import annotations

from typing import Any

from nacre import ops
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer


class Dropout(Layer):
    """In training, sets a random ``rate`` of the inputs to 0 and scales the others by 1 / (1 - rate); else changes nothing.

    N. Srivastava et al., JMLR 15 (2014). The choice depends on the model's seed, this layer, the step and the element alone.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise UsageError(f"The rate of Dropout lies between 0 and 1, got {rate!r}.")
        self.rate = float(rate)

    def call(self, x: Value, training: bool = False) -> Value:
        """x, or x with some of it dropped."""
        if not training or self.rate == 0:
            return x
        if self.rate == 1:
            return ops.zeros_like(x)
        kept = ops.uniform(x.shape, self.stream) >= self.rate
        return ops.where(kept, x * (1 / (1 - self.rate)), 0.0)
