"""Do the optimizers walk where Keras's walk, and the schedules give what Keras's give? Frozen by `make_optimizers.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nacre import Input, Sequential, layers, optimizers
from nacre.optimizers import Optimizer, schedules

KERAS = json.loads(Path(__file__).with_name("optimizers.json").read_text(encoding="utf-8"))
WALKS = KERAS["optimizers"]
DEVICES = ("native", "reference")

NOT_IN_NACRE = {
    "Adafactor": "its slots are rows and columns of a matrix, not of the weight's shape",
    "Lamb": "for batches of many thousands on many machines",
    "LossScaleOptimizer": "for float16; float32 and bfloat16 have the range for small gradients",
    "MultiOptimizer": "one rule for all weights",
    "Muon": "one rule for all weights: it is Adam for some and another for others",
    "OptimizerMap": "one rule for all weights",
    "ScheduleFreeAdamW": "gradients are taken elsewhere than at the weights",
    "deserialize": "from_config",
    "legacy": "what Keras keeps for old files",
    "serialize": "get_config",
}
OWN = {"OneCycle": "nacre's own"}


def near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, "float64"), np.asarray(expected, "float64"), rtol=1e-5, atol=1e-6)


def named(case: dict[str, Any]) -> str:
    settings = "-".join(f"{k}={v}" for k, v in case["config"].items())
    return f"{case['class']}-{settings}".replace(" ", "")


def network(optimizer: Optimizer, device: str) -> Sequential:
    features, hidden = np.shape(WALKS["weights"][0])
    classes = len(WALKS["weights"][3])
    model = Sequential([Input((features,)), layers.Dense(hidden, activation="tanh")])
    model.add(layers.Dense(classes, activation="softmax"))
    model.set_weights([np.array(w, "float32") for w in WALKS["weights"]])
    model.compile(optimizer, "sparse_categorical_crossentropy", device=device)
    return model


def check(optimizer: Optimizer, device: str, expected: dict[str, Any]) -> None:
    model, x, y = network(optimizer, device), np.array(WALKS["x"], "float32"), np.array(WALKS["y"])
    for step in range(1, int(max(expected, key=int)) + 1):
        model.train_on_batch(x[step % 2], y[step % 2])
        for found, there in zip(model.get_weights(), expected.get(str(step), []), strict=False):
            near(found, there)


@pytest.mark.parametrize("room", KERAS["public"])
def test_every_name_of_keras_is_here_or_left_out_for_a_reason(room: str) -> None:
    here = optimizers if room == "optimizers" else schedules
    there = set(KERAS["public"][room])
    assert there - set(here.__all__) == set(NOT_IN_NACRE) & there
    assert set(here.__all__) - there == set(OWN if room == "schedules" else {})


def test_every_optimizer_and_schedule_is_compared() -> None:
    assert {run["class"] for run in WALKS["runs"]} == {o.__name__ for o in optimizers.OPTIMIZERS}
    compared = {case["class"] for case in KERAS["schedules"]} | set(OWN) | {"LearningRateSchedule"}
    assert compared == set(schedules.__all__)


@pytest.mark.parametrize("name", KERAS["strings"])
def test_a_name_means_what_it_means_in_keras(name: str) -> None:
    assert type(optimizers.get(name)).__name__ == KERAS["strings"][name]


@pytest.mark.parametrize("name", KERAS["defaults"])
def test_arguments_that_nobody_gave_are_those_of_keras(name: str) -> None:
    config = optimizers.get(name).get_config()
    del config["name"]
    assert config == KERAS["defaults"][name]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("run", WALKS["runs"], ids=named)
def test_an_optimizer_walks_where_keras_walks(run: dict[str, Any], device: str) -> None:
    check(getattr(optimizers, run["class"])(**run["config"]), device, run["weights"])


@pytest.mark.parametrize("run", WALKS["scheduled"], ids=named)
def test_an_optimizer_on_a_schedule_walks_where_keras_walks(run: dict[str, Any]) -> None:
    rate = getattr(schedules, run["schedule"])(**run["config"])
    check(getattr(optimizers, run["class"])(rate), "native", run["weights"])


def test_weights_excluded_from_decay_do_not_decay() -> None:
    optimizer = optimizers.AdamW(0.01, weight_decay=3.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    check(optimizer, "native", WALKS["bias_excluded_from_decay"])


@pytest.mark.parametrize("device", DEVICES)
def test_after_fit_the_weights_are_their_averages(device: str) -> None:
    model = network(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7), device)
    x, y = np.array(WALKS["x"][0], "float32"), np.array(WALKS["y"][0])
    model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    for found, there in zip(model.get_weights(), WALKS["fitted_with_averages"], strict=True):
        near(found, there)


@pytest.mark.parametrize("case", KERAS["schedules"], ids=named)
def test_a_schedule_gives_what_keras_gives(case: dict[str, Any]) -> None:
    schedule = getattr(schedules, case["class"])(**case["config"])
    near(schedule(np.array(KERAS["at"], "float64")), case["rates"])
    near([schedule(step) for step in KERAS["at"]], case["rates"])
    assert {k: v for k, v in schedule.get_config().items() if v is not None} == case["full"]
