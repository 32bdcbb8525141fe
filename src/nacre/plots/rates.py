"""Learning rates: those that were tried, and those of a schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nacre.errors import UsageError
from nacre.optimizers.schedules import LearningRateSchedule
from nacre.plots.canvas import COLORS, dress, one

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def learning_rate(found: Any, ax: Any = None) -> Axes:
    """The losses at the learning rates that `nacre.find_learning_rate` tried, their running mean, and the rate that it suggests.

    >>> import numpy as np, nacre
    >>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> axes = learning_rate(nacre.find_learning_rate(model, x, 3 * x, steps=30))
    >>> [line.get_label().split(":")[0] for line in axes.lines]
    ['loss of a batch', 'running mean', 'suggestion']
    """
    if not all(hasattr(found, name) for name in ("suggestion", "rates", "losses", "smoothed")):
        raise UsageError(f"learning_rate draws what nacre.find_learning_rate returns, got {found!r}.")
    axes = one(ax)
    axes.semilogx(found.rates, found.losses, color=COLORS[0], alpha=0.35, label="loss of a batch")
    axes.semilogx(found.rates, found.smoothed, color=COLORS[0], label="running mean")
    axes.axvline(found.suggestion, color=COLORS[1], ls="--", label=f"suggestion: {found.suggestion:.1g}")
    dress(axes, f"loss by learning rate, tried in {len(found.rates)} steps", "learning rate", "loss")
    axes.legend(frameon=False)
    return axes


def schedule(schedule: Any, steps: int, ax: Any = None) -> Axes:
    """The learning rates of the first ``steps`` steps. Several schedules can be drawn on the same ``ax``.

    A step is one batch: an epoch of n rows has n / batch_size. Raises `UsageError` for what is no schedule, such as a number.

    >>> from nacre.optimizers.schedules import ExponentialDecay
    >>> axes = schedule(ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5), steps=21)
    >>> axes.lines[0].get_ydata()[[0, 10, 20]].tolist()
    [0.1, 0.05, 0.025]
    """
    if not isinstance(schedule, LearningRateSchedule):
        hint = "one of nacre.optimizers.schedules; a number stays what it is"
        raise UsageError(f"schedule draws a learning rate schedule, got {schedule!r}.", hint=hint)
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise UsageError(f"steps is a whole number from 1 on, got {steps!r}.")
    axes = one(ax)
    color = COLORS[len(axes.lines) % len(COLORS)]
    axes.plot(np.arange(steps), schedule.rates(0, int(steps)), color=color, label=type(schedule).__name__)
    dress(axes, "learning rate by step", "step", "learning rate")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return axes
