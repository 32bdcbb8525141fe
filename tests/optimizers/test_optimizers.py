"""Optimizers: what a step is made of, and what is refused. (Where they walk: golden/test_optimizers.py.)"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from update_rules import RULES

from nacre import Input, Sequential, layers, ops
from nacre.backends.reference import evaluate
from nacre.errors import Limitation, ModelFileError, UnknownName, UsageError
from nacre.ir import Graph, TensorType
from nacre.ir import Input as GraphInput
from nacre.models import load_model
from nacre.optimizers import OPTIMIZERS, SGD, Adam, AdamW, Ftrl, Lion, Optimizer, get, schedules
from nacre.optimizers.optimizer import norm


def network(optimizer: Optimizer, device: str = "native") -> Sequential:
    model = Sequential([Input((6,)), layers.Dense(40, activation="tanh"), layers.Dense(3, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", device=device)
    return model


def data() -> tuple[Any, Any]:
    x = np.random.default_rng(1).standard_normal((64, 6)).astype("float32")
    return x, x[:, :3].argmax(-1)


def moved(optimizer: Optimizer, gradient: Any, weight: Any = (1.0, -2.0, 0.5), steps: int = 1) -> Any:
    """A weight after some steps along one gradient."""
    w = GraphInput("w", TensorType((len(weight),)))
    g = GraphInput("g", w.type)
    slots = {name: GraphInput(f"w/{name}", w.type) for name in optimizer.state()}
    numbers = {name: GraphInput(name, TensorType(())) for name in optimizer.numbers(0)}
    [(new, after)] = optimizer.step({"w": w}, [g], [slots], numbers)
    outputs = {"w": new} | {f"w/{name}": value for name, value in after.items()}
    graph = Graph([w, g, *slots.values(), *numbers.values()], outputs)
    state = {"w": np.array(weight, "float32")}
    state |= {f"w/{name}": np.full(len(weight), begin, "float32") for name, begin in optimizer.state().items()}
    for _ in range(steps):
        given = {name: of[0] for name, of in optimizer.numbers(1).items()}
        state = evaluate(graph, state | {"g": np.array(gradient, "float32")} | given)
        optimizer.iterations += 1
    return state["w"]


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("rule", RULES)
def test_the_numbers_of_a_step_do_not_depend_on_how_a_run_is_cut(rule: str) -> None:
    whole, cut = RULES[rule](), RULES[rule]()
    expected = whole.numbers(100)
    for step in range(100):
        for name, number in cut.numbers(1).items():
            assert number.tobytes() == expected[name][step : step + 1].tobytes(), (name, step)
        cut.iterations += 1


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("iterations", [0, 10**6, 2**53 - 2])
def test_the_numbers_stay_numbers_however_long_a_training_is(kind: Any, iterations: int) -> None:
    optimizer = kind(gradient_accumulation_steps=2, use_ema=True, weight_decay=0.1)
    optimizer.iterations = iterations
    for name, of in optimizer.numbers(3).items():
        assert np.isfinite(of).all(), name


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("gradient", [0.0, 88.0, -1e4, 1e-30, -1e18])
def test_weights_stay_finite(rule: str, gradient: float) -> None:
    assert np.isfinite(moved(RULES[rule](), [gradient, 0.0, 1.0], steps=3)).all()


@pytest.mark.parametrize("how", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_a_gradient_whose_square_overflows_is_clipped(how: str) -> None:
    found = moved(SGD(1.0, **{how: 1.0}), [1e30, -1e30, 0.0], weight=[0.0, 0.0, 0.0])
    length = 1.0 if how == "clipvalue" else 0.5**0.5
    assert found == pytest.approx([-length, length, 0.0], rel=1e-6)


def test_a_norm_is_that_of_all_numbers_together() -> None:
    a, b = GraphInput("a", TensorType((2,))), GraphInput("b", TensorType((1, 1)))
    given = {"a": np.array([3e30, 0], "float32"), "b": np.array([[-4e30]], "float32")}
    graph = Graph([a, b], {"n": norm([a, b])})
    assert evaluate(graph, given)["n"] == pytest.approx(5e30)
    assert evaluate(graph, {"a": np.zeros(2), "b": np.zeros((1, 1))})["n"] == 0


def test_a_short_gradient_is_not_clipped() -> None:
    assert (moved(SGD(1.0, clipnorm=10), [1, 2, 2]) == moved(SGD(1.0), [1, 2, 2])).all()


def test_ftrl_makes_weights_exactly_zero() -> None:
    assert (moved(Ftrl(0.1, l1_regularization_strength=100), [1, 2, -3]) == 0).all()


def test_ftrl_that_begins_with_nothing_divides_nothing_by_nothing() -> None:
    assert np.isfinite(moved(Ftrl(0.1, initial_accumulator_value=0), [0, 1, 0], steps=3)).all()


# ------------------------------------------------------------------ steps


def test_accumulated_gradients_move_the_weights_at_every_nth_step() -> None:
    model, (x, y) = network(SGD(0.1, gradient_accumulation_steps=3)), data()
    seen = [model.get_weights()]
    for _ in range(7):
        model.train_on_batch(x, y)
        seen.append(model.get_weights())
    changed = [any((a != b).any() for a, b in zip(*pair, strict=True)) for pair in pairwise(seen)]
    assert changed == [False, False, True, False, False, True, False]


def test_accumulating_parts_of_a_batch_is_one_step_of_the_batch() -> None:
    x, y = data()
    whole, parts = network(Adam(0.01)), network(Adam(0.01, gradient_accumulation_steps=4))
    parts.set_weights(whole.get_weights())
    whole.fit(x, y, batch_size=64, epochs=3, shuffle=False, verbose=0)
    parts.fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        assert np.allclose(a, b, atol=2e-6)


@pytest.mark.parametrize("device", ["native", "reference"])
def test_a_layer_that_is_trained_later_gets_its_slots_then(device: str) -> None:
    model, (x, y) = network(Adam(0.01, use_ema=True), device), data()
    model.layers[0].trainable = False
    model.fit(x, y, verbose=0)
    model.layers[0].trainable = True
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        assert 0 < np.abs(a - b).max() < 0.1  # its average began at the weight, not at 0


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_the_update_of_a_matrix_is_one_pass_over_its_gradient(kind: Any) -> None:
    steps, _ = network(kind(weight_decay=0.1)).plan(*data())
    writing = [step for step in steps if any(r.startswith("dense/kernel") for r in step.results)]
    assert [step.kernel for step in writing] == ["matmul_map"]
    slots = kind().slots()
    assert set(writing[0].results) == {"dense/kernel", *(f"dense/kernel/{slot}" for slot in slots)}


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_measuring_a_plan_takes_time_and_changes_nothing(kind: Any) -> None:
    model, (x, y) = network(kind(use_ema=True)), data()
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    _, seconds = model.plan(x, y, seconds=0.02)
    assert sum(seconds) > 0
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: kind.__name__)
def test_a_configuration_makes_the_same_optimizer(kind: Any) -> None:
    optimizer = kind(0.02, weight_decay=0.3, clipvalue=2.0, use_ema=True, gradient_accumulation_steps=2, name="mine")
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    assert kind.from_config(optimizer.get_config()).get_config() == optimizer.get_config()


Wrong = tuple[Callable[[], Any], tuple[str, ...]]
WRONG: dict[str, Wrong] = {
    "two ways to clip": (lambda: SGD(clipnorm=1, clipvalue=2), ("one way", "clipnorm:", "1", "clipvalue:", "2")),
    "clipnorm 0": (lambda: SGD(clipnorm=0), ("clipnorm", "positive", "None")),
    "clipvalue below 0": (lambda: Adam(clipvalue=-1.0), ("clipvalue of Adam", "-1.0")),
    "weight_decay": (lambda: Adam(weight_decay=-0.1), ("weight_decay of Adam", "-0.1")),
    "AdamW without": (lambda: AdamW(weight_decay=None), ("weight_decay=None", "Adam")),
    "ema_momentum": (lambda: SGD(use_ema=True, ema_momentum=1.5), ("ema_momentum", "1.5")),
    "ema_overwrite_frequency": (lambda: SGD(ema_overwrite_frequency=0), ("ema_overwrite_frequency", "0")),
    "gradient_accumulation_steps": (lambda: SGD(gradient_accumulation_steps=1), ("from 2 on", "1")),
    "beta_1 of Lion": (lambda: Lion(beta_1=0), ("beta_1 of Lion",)),
    "learning_rate_power": (lambda: Ftrl(learning_rate_power=0.5), ("learning_rate_power", "0.5")),
    "an argument misspelled": (lambda: Adam(learning_rat=0.1), ("'learning_rat'", "did you mean 'learning_rate'")),
    "a callable": (lambda: SGD(lambda: 0.1), ("LearningRateSchedule", "__call__")),
    "a weight that is no list": (lambda: SGD().exclude_from_weight_decay("dense/bias"), ("var_list", "'dense/bias'")),
    "names that are no list": (lambda: SGD().exclude_from_weight_decay(var_names="bias"), ("'bias'", '["bias"]')),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_senseless_setting_is_refused_with_a_word_about_it(name: str) -> None:
    make, words = WRONG[name]
    with pytest.raises(UsageError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_scaling_the_loss_is_refused() -> None:
    with pytest.raises(Limitation, match="loss_scale_factor=128"):
        SGD(loss_scale_factor=128.0)


def test_what_decays_cannot_be_changed_on_the_way() -> None:
    optimizer = AdamW()
    network(optimizer).fit(*data(), verbose=0)
    with pytest.raises(UsageError, match="settled"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])


def test_weights_are_excluded_from_decay_themselves_or_by_name() -> None:
    model = network(SGD(0.0001, weight_decay=1000.0))
    model.optimizer.exclude_from_weight_decay(var_list=[model.weights[0]], var_names=["bias"])
    before = model.get_weights()
    model.fit(*data(), epochs=1, verbose=0)
    ratios = [
        float(np.abs(b).sum() / max(np.abs(a).sum(), 1e-9)) for a, b in zip(before, model.get_weights(), strict=True)
    ]
    assert ratios[0] == pytest.approx(1, abs=0.01)
    assert ratios[2] == pytest.approx(0.9**2, abs=0.01)  # two batches


def test_what_does_not_decay_is_known_after_loading(tmp_path: Path) -> None:
    model = network(AdamW(0.01, weight_decay=5.0))
    model.optimizer.exclude_from_weight_decay(var_names=["kernel"])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    for one in (model, again):
        one.fit(*data(), shuffle=False, verbose=0)
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_an_update_rule_of_ones_own_trains(tmp_path: Path) -> None:
    class Signs(Optimizer):
        def slots(self) -> dict[str, float]:
            return {}

        def update(self, weight: Any, gradient: Any, slots: Any, numbers: Any) -> Any:
            return weight - numbers["learning_rate"] * ops.sign(gradient), {}

    model, (x, y) = network(Signs(0.003)), data()
    losses = model.fit(x, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", {"Signs": Signs})
    assert type(again.optimizer) is Signs
    assert again.optimizer.iterations == model.optimizer.iterations
    with pytest.raises(ModelFileError, match="Signs"):
        load_model(tmp_path / "model")
    with pytest.raises(UnknownName, match="did you mean"):
        get("adamm")


# ------------------------------------------------------------------ a schedule as learning rate


def test_the_learning_rate_is_that_of_the_next_step() -> None:
    model, (x, y) = network(SGD(schedules.InverseTimeDecay(0.1, 1, 1.0))), data()
    rates = [model.optimizer.learning_rate]
    for _ in range(3):
        model.train_on_batch(x, y)
        rates.append(model.optimizer.learning_rate)
    assert rates == pytest.approx([0.1, 0.1 / 2, 0.1 / 3, 0.1 / 4])


def test_a_number_does_not_replace_a_schedule_but_a_schedule_a_number() -> None:
    optimizer = SGD(0.1)
    optimizer.learning_rate = schedules.ExponentialDecay(0.2, 10, 0.5)
    assert optimizer.learning_rate == 0.2
    with pytest.raises(UsageError, match="ExponentialDecay"):
        optimizer.learning_rate = 0.1
    assert optimizer.get_config()["learning_rate"]["class_name"] == "ExponentialDecay"


def test_a_schedule_is_saved_and_goes_on(tmp_path: Path) -> None:
    model, (x, y) = network(Adam(schedules.CosineDecay(0.0, 5, warmup_target=0.1, warmup_steps=3))), data()
    model.fit(x, y, batch_size=16, verbose=0)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.optimizer.learning_rate == model.optimizer.learning_rate
    for one in (model, again):
        one.fit(x, y, batch_size=16, verbose=0)
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
