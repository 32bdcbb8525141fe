"""AdamW."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacre.errors import UsageError
from nacre.optimizers.adam import Adam
from nacre.optimizers.optimizer import Rest
from nacre.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AdamW(Adam):
    """`Adam` with weight decay: before each update, w <- w - rate * weight_decay * w.

    Biases, and the weights of normalization, are usually left out: `exclude_from_weight_decay`. I. Loshchilov and F. Hutter,
    "Decoupled weight decay regularization", ICLR 2019. The arguments that all optimizers have are described in `Optimizer`.

    >>> AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **common: Unpack[Rest],
    ) -> None:
        if weight_decay is None:
            raise UsageError("AdamW without weight decay is Adam, got weight_decay=None.", hint="Adam")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)
