"""Learning rates that change from step to step. A schedule is a function of the steps taken; nothing is remembered.

The rates of many steps are computed at once, in float64, from an array of step numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.configured import Configured, names
from nacre.errors import NacreError, UsageError
from nacre.optimizers.arguments import amount, share, span

Rates = npt.NDArray[np.float64]


class LearningRateSchedule(Configured):
    """The base of all schedules. One of your own says the rates in ``__call__``, for an array of step numbers:

    >>> class Harmonic(LearningRateSchedule):
    ...     def __init__(self, first):
    ...         self.first = first
    ...     def __call__(self, step):
    ...         return self.first / (step + 1)
    >>> Harmonic(0.1).rates(first=0, steps=4)
    array([0.1       , 0.05      , 0.03333333, 0.025     ])

    Arguments of the constructor are kept as attributes of the same names (`get_config` reads them).
    """

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step`` (counted from 0): a float64 array of such numbers, or a single one."""
        raise NotImplementedError(f"{type(self).__name__} does not say its rates.")

    def rates(self, first: int, steps: int) -> Rates:
        """The learning rates of ``steps`` steps from ``first`` on. `UsageError` if they are no numbers that can be rates."""
        kind, at = type(self).__name__, np.arange(first, first + steps, dtype=np.float64)
        try:
            found = np.broadcast_to(np.asarray(self(at), dtype=np.float64), at.shape)
        except NacreError:
            raise
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"The schedule {kind} cannot be asked for many steps at once.",
                {"reason": f"{type(error).__name__}: {error}"},
                "work on arrays of steps; np.where(step < 100, a, b) in place of if",
            ) from error
        wrong = ~((found >= 0) & (found <= np.finfo(np.float32).max))
        if wrong.any():
            where = int(wrong.argmax())
            raise UsageError(
                f"The schedule {kind} gives {found[where]} at step {first + where}.",
                {"expected": "a number that is neither negative nor beyond float32"},
            )
        return found


class ExponentialDecay(LearningRateSchedule):
    """initial * decay_rate^(step / decay_steps); with ``staircase`` in jumps, the exponent rounded down.

    >>> ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = amount("initial_learning_rate", initial_learning_rate)
        self.decay_steps = span("decay_steps", decay_steps)
        self.decay_rate = amount("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        times = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (np.floor(times) if self.staircase else times)


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate * step / decay_steps); with ``staircase`` in jumps, the quotient rounded down.

    >>> InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)(10)
    0.05
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = amount("initial_learning_rate", initial_learning_rate)
        self.decay_steps = span("decay_steps", decay_steps)
        self.decay_rate = amount("decay_rate", decay_rate)
        self.staircase = bool(staircase)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        times = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (np.floor(times) if self.staircase else times))


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to and with step ``boundaries[0]``, then ``values[1]`` up to and with ``boundaries[1]``, and so on.

    >>> PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])(np.array([0, 10, 11, 21]))
    array([0.1  , 0.1  , 0.01 , 0.001])
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        self.boundaries = [amount("A boundary", b) for b in boundaries]
        self.values = [amount("A learning rate", v) for v in values]
        self.name = name
        if len(self.values) != len(self.boundaries) + 1:
            raise UsageError(
                "PiecewiseConstantDecay has one value more than boundaries.",
                {"boundaries": len(self.boundaries), "values": len(self.values)},
            )
        if sorted(set(self.boundaries)) != self.boundaries:
            raise UsageError("The boundaries of PiecewiseConstantDecay rise.", {"found": self.boundaries})

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        return np.asarray(self.values)[np.searchsorted(self.boundaries, step)]


class PolynomialDecay(LearningRateSchedule):
    """From initial to ``end_learning_rate``: (initial - end) * (1 - step / decay_steps)^power + end.

    Then it stays there; with ``cycle`` it jumps up instead, to where it would be if it had gone down from step 0 on over twice,
    three times, ... as many steps.

    >>> PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)(np.array([0, 5, 10, 11]))
    array([0.1 , 0.05, 0.  , 0.  ])
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = amount("initial_learning_rate", initial_learning_rate)
        self.decay_steps = span("decay_steps", decay_steps)
        self.end_learning_rate = amount("end_learning_rate", end_learning_rate)
        self.power = amount("power", power)
        self.cycle = bool(cycle)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        times = step / self.decay_steps
        done = times / np.maximum(np.ceil(times), 1) if self.cycle else np.minimum(times, 1)
        return (self.initial_learning_rate - self.end_learning_rate) * (1 - done) ** self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a wave of the cosine, from initial down to ``alpha`` times initial in ``decay_steps`` steps; there it stays.

    With ``warmup_target`` the rate first rises from initial to it, in a straight line over ``warmup_steps`` steps, and then
    falls from there, down to ``alpha`` times ``warmup_target``.
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    >>> CosineDecay(0.0, decay_steps=10, warmup_target=0.1, warmup_steps=4)(np.array([0, 2, 4, 14])).round(3)
    array([0.  , 0.05, 0.1 , 0.  ])
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = amount("initial_learning_rate", initial_learning_rate)
        self.decay_steps = span("decay_steps", decay_steps)
        self.alpha = amount("alpha", alpha)
        self.name = name
        self.warmup_target = None if warmup_target is None else amount("warmup_target", warmup_target)
        self.warmup_steps = amount("warmup_steps", warmup_steps)

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        first, top, rise = self.initial_learning_rate, self.warmup_target, self.warmup_steps
        if top is None:
            return first * _cosine(step / self.decay_steps, self.alpha)
        rising = first + (top - first) * step / (rise or 1)
        return np.where(step < rise, rising, top * _cosine((step - rise) / self.decay_steps, self.alpha))


class CosineDecayRestarts(LearningRateSchedule):
    """`CosineDecay` over and over: the first fall takes ``first_decay_steps``, each further one ``t_mul`` times the steps of
    the one before, and begins ``m_mul`` times as high; none goes below ``alpha`` times initial.

    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    >>> CosineDecayRestarts(0.1, first_decay_steps=10)(np.array([0, 5, 10, 20, 30])).round(3)
    array([0.1 , 0.05, 0.1 , 0.05, 0.1 ])
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = amount("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = span("first_decay_steps", first_decay_steps)
        self.t_mul = amount("t_mul", t_mul)
        self.m_mul = amount("m_mul", m_mul)
        self.alpha = amount("alpha", alpha)
        self.name = name
        if self.t_mul < 1:
            raise UsageError(f"t_mul is a number from 1 on, got {t_mul!r}: shorter and shorter falls come to an end.")

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        times = step / self.first_decay_steps
        number = np.floor(times if self.t_mul == 1 else np.log1p(times * (self.t_mul - 1)) / np.log(self.t_mul))
        # The logarithm may miss by one, at a restart.
        number = number + (times >= self._begin(number + 1)) - (times < self._begin(number))
        done = (times - self._begin(number)) / self.t_mul**number
        return self.initial_learning_rate * ((1 - self.alpha) * self.m_mul**number * _cosine(done, 0.0) + self.alpha)

    def _begin(self, number: Any) -> Any:
        """When a fall begins, in first falls."""
        return number if self.t_mul == 1 else (self.t_mul**number - 1) / (self.t_mul - 1)


class OneCycle(LearningRateSchedule):
    """Up to ``max_learning_rate`` and down again, in half waves of the cosine, once in ``total_steps`` steps.

    Keras has none such. It begins at ``initial_share`` of the maximum, is at the top after ``rise`` of the way, a number in
    [0, 1), and ends at ``final_share`` of the maximum, at step total_steps - 1, where it stays.
    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018.

    >>> OneCycle(0.1, total_steps=11)(np.array([0, 3, 10, 99])).round(4)
    array([0.004, 0.1  , 0.   , 0.   ])
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        rise: float = 0.3,
        initial_share: float = 0.04,
        final_share: float = 4e-6,
        name: str = "OneCycle",
    ) -> None:
        self.max_learning_rate = amount("max_learning_rate", max_learning_rate)
        self.total_steps = span("total_steps", total_steps)
        self.rise = share("rise", rise)
        self.initial_share = amount("initial_share", initial_share)
        self.final_share = amount("final_share", final_share)
        self.name = name

    def __call__(self, step: Any) -> Any:
        """The learning rate at ``step``."""
        done = np.minimum(step / max(self.total_steps - 1, 1), 1)
        up = _cosine(1 - done / (self.rise or 1), self.initial_share)
        down = _cosine((done - self.rise) / (1 - self.rise), self.final_share)
        return self.max_learning_rate * np.where(done < self.rise, up, down)


def _cosine(done: Any, least: float) -> Any:
    """From 1 to ``least`` as ``done`` goes from 0 to 1, and no further."""
    return (1 - least) * 0.5 * (1 + np.cos(np.pi * np.clip(done, 0, 1))) + least


TABLE = names(
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
]
