"""Schedules: rates at many steps. (What Keras gives: golden/test_optimizers.py.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nacre.errors import UsageError
from nacre.optimizers import SGD
from nacre.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
)

SCHEDULES: list[LearningRateSchedule] = [
    ExponentialDecay(0.1, 100, 0.97),
    InverseTimeDecay(0.1, 7, 0.3, staircase=True),
    PiecewiseConstantDecay([10, 500], [0.1, 0.3, 0.01]),
    PolynomialDecay(0.1, 33, power=0.7, cycle=True),
    CosineDecay(0.01, 700, alpha=0.01, warmup_target=0.1, warmup_steps=13),
    CosineDecayRestarts(0.1, 11, t_mul=1.3, m_mul=0.9, alpha=0.1),
    OneCycle(0.1, 800),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_rates_do_not_depend_on_how_many_are_asked_for(schedule: LearningRateSchedule) -> None:
    whole = schedule.rates(0, 1000)
    single = np.concatenate([schedule.rates(step, 1) for step in range(1000)])
    assert whole.astype("float32").tobytes() == single.astype("float32").tobytes()
    assert schedule.rates(0, 0).shape == (0,)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_configuration_makes_the_same_schedule(schedule: LearningRateSchedule) -> None:
    again = SGD.from_config(SGD(schedule).get_config())
    assert again.rates(1000).tobytes() == schedule.rates(0, 1000).tobytes()


@pytest.mark.parametrize("t_mul", [1.0, 1.1, 1.5, 2.0, 3.0])
def test_restarts_come_when_they_should(t_mul: float) -> None:
    schedule, begin = CosineDecayRestarts(1.0, 10, t_mul=t_mul), 0.0
    for number in range(12):
        assert schedule(begin + 1e-9) == pytest.approx(1.0, abs=1e-6), number
        assert schedule(begin + 5 * t_mul**number) == pytest.approx(0.5, abs=1e-6), number
        begin += 10 * t_mul**number


def test_one_cycle_goes_up_and_down_once() -> None:
    rates = OneCycle(0.5, 101, rise=0.25, initial_share=0.1, final_share=0.01).rates(0, 200)
    assert rates[[0, 25, 100, 199]] == pytest.approx([0.05, 0.5, 0.005, 0.005])
    assert (np.diff(rates[:26]) > 0).all()
    assert (np.diff(rates[25:101]) < 0).all()
    assert rates.max() == 0.5
    assert OneCycle(0.5, 1, rise=0.0)(0) == 0.5


Wrong = tuple[Callable[[], Any], str]
WRONG: dict[str, Wrong] = {
    "no steps": (lambda: ExponentialDecay(0.1, 0, 0.5), "decay_steps"),
    "a rate below 0": (lambda: CosineDecay(-0.1, 10), "initial_learning_rate"),
    "values missing": (lambda: PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "one value more"),
    "boundaries that fall": (lambda: PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "rise"),
    "shrinking falls": (lambda: CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul"),
    "a cycle that only rises": (lambda: OneCycle(0.1, 10, rise=1.0), "rise"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_senseless_schedule_is_refused(name: str) -> None:
    make, word = WRONG[name]
    with pytest.raises(UsageError, match=word):
        make()


def test_a_schedule_of_ones_own_is_asked_for_arrays() -> None:
    class Jump(LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 0.1 if step < 10 else 0.01

    class Constant(LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 0.1

    class Falling(LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 0.1 - 0.01 * step

    assert Constant().rates(5, 3) == pytest.approx([0.1, 0.1, 0.1])
    with pytest.raises(UsageError, match=r"np\.where"):
        Jump().rates(0, 20)
    with pytest.raises(UsageError, match="at step 11"):
        Falling().rates(5, 20)
    with pytest.raises(NotImplementedError, match="LearningRateSchedule"):
        LearningRateSchedule().rates(0, 1)
