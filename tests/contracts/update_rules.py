"""Every optimizer, and what can be put around one, for the tests of training as a whole."""

from __future__ import annotations

from collections.abc import Callable

from nacre import optimizers as o
from nacre.optimizers import Optimizer, schedules

RULES: dict[str, Callable[[], Optimizer]] = {
    "sgd": lambda: o.SGD(0.1),
    "momentum": lambda: o.SGD(0.1, momentum=0.9),
    "nesterov": lambda: o.SGD(0.05, momentum=0.8, nesterov=True),
    "rmsprop": lambda: o.RMSprop(0.01),
    "all of rmsprop": lambda: o.RMSprop(0.01, rho=0.8, momentum=0.5, epsilon=1e-3, centered=True),
    "adagrad": lambda: o.Adagrad(0.05),
    "adadelta": lambda: o.Adadelta(1.0),
    "adam": lambda: o.Adam(0.01),
    "amsgrad": lambda: o.Adam(schedules.ExponentialDecay(0.02, 7, 0.8), amsgrad=True, epsilon=1e-4),
    "adamw": lambda: o.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.5),
    "adamax": lambda: o.Adamax(0.01, clipvalue=0.01),
    "nadam": lambda: o.Nadam(schedules.OneCycle(0.02, 20), gradient_accumulation_steps=3),
    "lion": lambda: o.Lion(0.001, weight_decay=0.1),
    "ftrl": lambda: o.Ftrl(0.1, l1_regularization_strength=0.001, l2_regularization_strength=0.01),
    "averaged": lambda: o.SGD(0.1, clipnorm=0.3, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=7),
    "everything": lambda: o.AdamW(
        0.01, amsgrad=True, clipnorm=0.3, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2
    ),
}
