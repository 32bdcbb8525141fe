"""Are regularizers and constraints those of Keras, alone and in training? The answers were frozen by `make_regularizers.py`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, constraints, layers, models, ops, optimizers, regularizers
from nacre.autodiff import gradients
from nacre.backends.reference import evaluate
from nacre.configured import serialize
from nacre.errors import ShapeError, UsageError
from nacre.ir import Graph, TensorType, Value
from nacre.ir import Input as GraphInput
from nacre.models import load_model

Array = npt.NDArray[Any]

KERAS = json.loads(Path(__file__).with_name("regularizers.json").read_text(encoding="utf-8"))
DEVICES = ("native", "reference")
LEFT_OUT = {"deserialize": "get takes the dictionary", "serialize": "get_config gives the dictionary"}
NAMES = [(room, name, kind) for room in KERAS["rooms"] for name, kind in KERAS["rooms"][room]["names"].items()]
BASES = ("Regularizer", "Constraint")


def named(case: dict[str, Any]) -> str:
    settings = "-".join(f"{k}={v}" for k, v in case["config"].items())
    return f"{case['class']}-{settings}-{np.shape(case['x'])}".replace(" ", "")


def near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, "float64"), np.asarray(expected, "float64"), rtol=1e-5, atol=1e-6)


def on_graph(call: Callable[[Value], Value], x: Array) -> tuple[Array, Array]:
    """The result of a function of a value, and the gradient of its sum."""
    value = GraphInput("x", TensorType(x.shape))
    y = call(value)
    found = evaluate(Graph([value], {"y": y, "dx": gradients(ops.sum(y), [value])[0]}), {"x": x})
    return found["y"], found["dx"]


# ------------------------------------------------------------------ nothing is forgotten


@pytest.mark.parametrize("room", KERAS["rooms"])
def test_every_public_name_of_keras_is_here_or_left_out_for_a_reason(room: str) -> None:
    here = set(importlib.import_module(f"nacre.{room}").__all__)
    assert set(KERAS["rooms"][room]["public"]) - here == set(LEFT_OUT)
    assert here <= set(KERAS["rooms"][room]["public"])


@pytest.mark.parametrize(("room", "name", "kind"), [n for n in NAMES if n[2] not in BASES])
def test_a_name_means_what_it_means_in_keras(room: str, name: str, kind: str) -> None:
    found = importlib.import_module(f"nacre.{room}")
    assert type(found.get(name)) is getattr(found, kind)
    assert vars(found).get(name, getattr(found, kind)) is getattr(found, kind)


@pytest.mark.parametrize("name", KERAS["defaults"])
def test_arguments_that_nobody_gave_are_those_of_keras(name: str) -> None:
    room, kind = name.split(".")
    made = getattr(importlib.import_module(f"nacre.{room}"), kind)()
    assert made.get_config() == pytest.approx(KERAS["defaults"][name])


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("case", KERAS["values"], ids=named)
def test_a_regularizer_and_its_gradient_are_those_of_keras(case: dict[str, Any]) -> None:
    value, gradient = on_graph(getattr(regularizers, case["class"])(**case["config"]), np.array(case["x"], "float32"))
    assert value.shape == ()
    near(value, case["value"])
    if "gradient" in case:
        near(gradient, case["gradient"])


@pytest.mark.parametrize("case", KERAS["constrained"], ids=named)
def test_a_constraint_is_that_of_keras(case: dict[str, Any]) -> None:
    found, _ = on_graph(getattr(constraints, case["class"])(**case["config"]), np.array(case["x"], "float32"))
    near(found, case["y"])


def setting_name(run: dict[str, Any]) -> str:
    return "-".join(f"{where}={name}{list(config.values())}" for where, (name, config) in run["settings"].items())


def trained(run: dict[str, Any], device: str) -> Sequential:
    rooms = {True: regularizers, False: constraints}

    def made() -> dict[str, Any]:
        chosen = run["settings"].items()
        return {k: getattr(rooms[k.endswith("regularizer")], name)(**config) for k, (name, config) in chosen}

    model = Sequential([Input((5,)), layers.Dense(3, "tanh", **made()), layers.Dense(2, **made())])
    model.compile(optimizers.SGD(0.1), "mse", device=device)
    model.set_weights([np.array(w, "float32") for w in KERAS["trainings"]["weights"]])
    return model


DATA = tuple(np.array(KERAS["trainings"][name], "float32") for name in "xy")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("run", KERAS["trainings"]["runs"], ids=setting_name)
def test_training_walks_where_keras_walks(run: dict[str, Any], device: str) -> None:
    model = trained(run, device)
    for step, loss in enumerate(run["losses"], start=1):
        near(model.train_on_batch(*DATA), loss)
        for found, expected in zip(model.get_weights(), run["weights"].get(str(step), []), strict=False):
            near(found, expected)
    for size, expected in zip((6, 4), run["evaluated"], strict=True):
        near(model.evaluate(*DATA, batch_size=size, verbose=0), expected)


@pytest.mark.parametrize("run", KERAS["trainings"]["runs"], ids=setting_name)
def test_a_saved_model_keeps_its_regularizers_and_constraints(run: dict[str, Any], tmp_path: Path) -> None:
    model, file = trained(run, "native"), tmp_path / "model.safetensors"
    model.train_on_batch(*DATA)
    model.save(file)
    again = models.load_model(file)
    assert serialize(again) == serialize(model)
    for loss in run["losses"][1:3]:
        near(again.train_on_batch(*DATA), loss)


# ------------------------------------------------------------------ in training


def test_a_frozen_weight_is_neither_regularized_nor_constrained() -> None:
    model = Sequential([Input((2,)), layers.Dense(2, kernel_regularizer="l2", kernel_constraint="unit_norm")])
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    weights = [np.full(w.shape, 2, "float32") for w in model.weights]
    model.set_weights(weights)
    x, y = np.zeros((3, 2), "float32"), np.full((3, 1), 10, "float32")
    near(model.evaluate(x, y, verbose=0), 0.01 * 16)
    model.layers[0].trainable = False
    near(model.evaluate(x, y, verbose=0), 0)
    model.train_on_batch(x, y)
    assert np.array_equal(model.get_weights()[0], weights[0])


@pytest.mark.parametrize("device", DEVICES)
def test_a_constraint_holds_after_every_step_of_fit_on_odd_sizes(device: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((37, 45)).astype("float32"), rng.integers(0, 3, 37)
    model = Sequential([Input((45,)), layers.Dense(67, "relu", kernel_constraint=constraints.MaxNorm(0.5))])
    model.add(layers.Dense(3, "softmax", kernel_constraint="non_neg", kernel_regularizer="l1"))
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    history = model.fit(x, y, batch_size=16, epochs=3, verbose=0).history
    first, _, second, _ = model.get_weights()
    assert np.linalg.norm(first, axis=0).max() <= 0.5 * (1 + 1e-6)
    assert second.min() == 0
    assert history["loss"][2] < history["loss"][0]


def test_the_backends_agree_bit_by_bit_or_nearly_on_all_of_it_together() -> None:
    found = []
    for device in DEVICES:
        model = Sequential([Input((7,)), layers.Dense(33, "tanh", True, "he_normal", activity_regularizer="l1")])
        model.add(layers.Dense(2, kernel_constraint="unit_norm", kernel_regularizer="orthogonal_regularizer"))
        model.set_weights([np.sin(np.arange(w.type.size) + 1).reshape(w.shape) for w in model.weights])
        model.compile("rmsprop", "huber", device=device)
        x = np.cos(np.arange(70)).reshape(10, 7)
        model.fit(x, x[:, :2], batch_size=4, epochs=4, verbose=0, shuffle=False)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)


def test_a_function_of_ones_own_works_and_comes_back_from_a_file(tmp_path: Path) -> None:
    def largest(w: Value) -> Value:
        return 0.1 * ops.max(ops.abs(w))

    def halved(w: Value) -> Value:
        return w * 0.5

    model = Sequential(
        [Input((2,)), layers.Dense(2, use_bias=False, kernel_regularizer=largest, kernel_constraint=halved)]
    )
    model.compile(optimizers.SGD(0.1), "mse")
    model.set_weights([np.array([[1, 2], [3, -4]], "float32")])
    near(model.train_on_batch(np.zeros((2, 2)), np.zeros((2, 2))), 0.4)
    near(model.get_weights()[0], [[0.5, 1], [1.5, -1.995]])
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors", {"largest": largest, "halved": halved})
    assert again.evaluate(np.zeros((2, 2)), np.zeros((2, 2)), verbose=0) == model.evaluate(
        np.zeros((2, 2)), np.zeros((2, 2)), verbose=0
    )


# ------------------------------------------------------------------ edges and mistakes


@pytest.mark.parametrize("size", [0.0, 1e-30, 88.0, 1e4, 1e30])
@pytest.mark.parametrize("kind", ["MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"])
def test_a_constraint_is_finite_for_weights_of_any_size(kind: str, size: float) -> None:
    w = np.array([[size, -size], [-size, size], [0, size]], "float32")
    found, _ = on_graph(getattr(constraints, kind)(), w)
    assert np.isfinite(found).all()
    if kind == "UnitNorm" and size > 1:
        near(np.linalg.norm(found, axis=0), [1, 1])


@pytest.mark.parametrize("size", [0.0, 1e-30, 88.0, 1e4, 1e30])
@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_the_angle_between_weights_of_any_size_is_finite_and_so_is_its_gradient(mode: str, size: float) -> None:
    w = np.array([[size, size], [-size, size], [0, size]], "float32")
    value, gradient = on_graph(regularizers.OrthogonalRegularizer(mode=mode), w)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_a_single_row_has_nothing_to_be_at_right_angles_to() -> None:
    value, gradient = on_graph(regularizers.OrthogonalRegularizer(), np.ones((1, 3), "float32"))
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.L1(-1.0), "l1 is a number from 0 on"),
        (lambda: regularizers.L2(np.inf), "l2 is a number from 0 on"),
        (lambda: regularizers.OrthogonalRegularizer(mode="both"), "no mode"),
        (lambda: regularizers.get("l3"), "no regularizer called 'l3'"),
        (lambda: layers.Dense(2, kernel_regularizer=0.01), "0.01 is no regularizer"),
        (lambda: constraints.MaxNorm(-1), "max_value is a number from 0 on"),
        (lambda: constraints.get("unitnorm"), "did you mean 'unit_norm'"),
        (lambda: layers.Dense(2, bias_constraint=3), "3 is no constraint"),
        (lambda: layers.Dense(2, lora_rank=4), "no argument 'lora_rank'"),
    ],
)
def test_a_mistake_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_regularizer_that_gives_no_scalar_is_refused() -> None:
    model = Sequential([Input((2,)), layers.Dense(2, kernel_regularizer=ops.square)])
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match=r"regularizer of 'dense/kernel'(.|\n)*ops\.sum"):
        model.train_on_batch(np.zeros((2, 2)), np.zeros((2, 2)))


@pytest.mark.parametrize("rule", [lambda w: ops.sum(w), lambda w: 0.0])
def test_a_constraint_that_gives_something_else_is_refused(rule: Any) -> None:
    model = Sequential([Input((2,)), layers.Dense(2, bias_constraint=rule)])
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match=r"constraint of 'dense/bias' did not give"):
        model.train_on_batch(np.zeros((2, 2)), np.zeros((2, 2)))


def test_an_orthogonal_regularizer_takes_matrices() -> None:
    with pytest.raises(ShapeError, match="needs a matrix"):
        on_graph(regularizers.OrthogonalRegularizer(), np.ones(3, "float32"))
