"""Does an activation answer what Keras answers, and lead back what Keras leads back? Frozen by `make_activations.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, activations, layers
from nacre.autodiff import gradients
from nacre.backends import native, reference
from nacre.backends.base import Block, Program, State
from nacre.backends.reference import evaluate
from nacre.errors import Limitation, NacreError, ShapeError, UsageError
from nacre.ir import Graph, TensorType
from nacre.ir import Input as GraphInput
from nacre.models import load_model

Array = npt.NDArray[Any]

KERAS = json.loads(Path(__file__).with_name("activations.json").read_text(encoding="utf-8"))
DEVICES = ("native", "reference")
LEFT_OUT = {
    "deserialize": "nacre.activations.get makes an activation of what a file says",
    "serialize": "an activation is written as its name",
}
NOT_COMPARED = {
    "get": "finds the others by name",
    "sparsemax": "that of Keras 3.15 does not sum to 1; compared with the algorithm of the paper instead",
    "step": "nacre's own: the perceptron",
}


def near(found: Array, expected: Any) -> None:
    """Everywhere where Keras has a finite answer."""
    wanted = np.array(expected, "float64")
    known = np.isfinite(wanted)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found[known].astype("float64"), wanted[known], rtol=1e-5, atol=1e-6)


def floats(x: Any, dtype: str = "float32") -> Array:
    return np.array(x, dtype)


def named(case: dict[str, Any]) -> str:
    return "-".join([case.get("name") or case["class"], *(f"{k}={v}" for k, v in case["config"].items())]).replace(
        " ", ""
    )


def applied(case: dict[str, Any], dtype: str = "float32") -> dict[str, Array]:
    """The answer and its gradient."""
    numbers = {"x": floats(case["x"], dtype), "weights": floats(case["weights"], dtype)}
    x, weights = (GraphInput(name, TensorType(a.shape, dtype)) for name, a in numbers.items())
    y = getattr(activations, case["name"])(x, **case["config"])
    return evaluate(Graph([x, weights], {"y": y, "dx": gradients(y, [x], seed=weights)[0]}), numbers)


def test_every_name_of_keras_is_there_or_left_out_for_a_reason() -> None:
    assert set(KERAS["names"]) - set(activations.__all__) == set(LEFT_OUT)
    assert {case["name"] for case in KERAS["cases"]} == set(activations.__all__) - set(NOT_COMPARED)


@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_an_activation_and_its_gradient_are_those_of_keras(case: dict[str, Any]) -> None:
    found = applied(case)
    near(found["y"], case["y"])
    near(found["dx"], case["dx"])


@pytest.mark.parametrize("case", [c for c in KERAS["cases"] if c["name"] != "exponential"], ids=named)
def test_answers_and_gradients_are_finite_and_as_good_as_in_twice_the_digits(case: dict[str, Any]) -> None:
    found, exact = applied(case), applied(case, "float64")
    for name in ("y", "dx"):
        assert np.isfinite(found[name]).all()
        np.testing.assert_allclose(found[name], exact[name], rtol=1e-5, atol=5e-7)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", [c for c in KERAS["cases"] if c["config"].get("axis") != 0], ids=named)
def test_a_model_with_an_activation_predicts_what_keras_answers(case: dict[str, Any], device: str) -> None:
    x = floats(case["x"])
    function = activations.get(case["name"])
    given = (lambda value: function(value, **case["config"])) if case["config"] else case["name"]
    model = Sequential([Input(x.shape[1:]), layers.Activation(given)])
    model.compile("sgd", "mse", device=device)
    near(model.predict(x, verbose=0), case["y"])


@pytest.mark.parametrize("name", sorted(set(activations.__all__) - {"get", "threshold"}))
def test_a_step_of_training_through_an_activation_is_the_same_on_both_lowerings(name: str) -> None:
    draw = np.random.default_rng(4)
    x, y = (draw.standard_normal(shape).astype("float32") for shape in ((6, 5), (6, 2)))
    weights = [
        draw.standard_normal(shape).astype("float32") for shape in ((5, 4), (4,), (2 if name == "glu" else 4, 2), (2,))
    ]
    found = []
    for device in DEVICES:
        model = Sequential([Input((5,)), layers.Dense(4, activation=name), layers.Dense(2)])
        model.compile("sgd", "mse", device=device)
        model.set_weights(weights)
        model.train_on_batch(x, y)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def _made(case: dict[str, Any], device: str) -> Sequential:
    model = Sequential([Input(np.shape(case["x"])[1:]), getattr(layers, case["class"])(**case["config"])])
    model.compile("sgd", "mse", device=device)
    model.set_weights([floats(w) for w in case["own"]])
    return model


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", KERAS["layers"], ids=named)
def test_a_layer_gives_what_it_gives_in_keras(case: dict[str, Any], device: str, tmp_path: Path) -> None:
    model = _made(case, device)
    assert [w.name for w in model.weights] == case["names"]
    near(model.predict(floats(case["x"]), verbose=0), case["y"])
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors").predict(floats(case["x"]), verbose=0)
    assert again.tobytes() == model.predict(floats(case["x"]), verbose=0).tobytes()


@pytest.mark.parametrize("case", KERAS["layers"], ids=named)
def test_a_layer_leads_back_what_it_leads_back_in_keras(case: dict[str, Any]) -> None:
    shape = np.shape(case["x"])
    x, weights = GraphInput("x", TensorType(shape)), GraphInput("seed of y", TensorType(shape))
    layer = getattr(layers, case["class"])(**case["config"])
    y = layer(x)
    own = dict(zip((w.name for w in layer.weights), map(floats, case["own"]), strict=True))
    graph = Graph([x, weights, *layer.weights], {"dx": gradients(y, [x], seed=weights)[0]})
    found = evaluate(graph, {"x": floats(case["x"]), "seed of y": floats(case["weights"]), **own})
    near(found["dx"], case["dx"])


@pytest.mark.parametrize("name", KERAS["defaults"])
def test_arguments_that_nobody_gave_are_those_of_keras(name: str) -> None:
    config = getattr(layers, name)().get_config()
    found = {k: v["class_name"] if isinstance(v, dict) else v for k, v in config.items()}
    expected = {k: v for k, v in KERAS["defaults"][name].items() if k != "trainable"}
    assert {k: found[k] for k in expected} == expected


@pytest.mark.parametrize("lowering", [native, reference], ids=["native", "reference"])
@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_nan_comes_out_where_nan_went_in(case: dict[str, Any], lowering: Any) -> None:
    x = GraphInput("x", TensorType((1, 4)))
    y = getattr(activations, case["name"])(x, **{k: v for k, v in case["config"].items() if k != "axis"})
    program = Program({1: Graph([x], {"y": y})}, ("x",), (), (), ("y",))
    state = State()
    state.add({"x": x.type})
    state["x"].write(np.array([[np.nan, 1.0, np.nan, -1.0]], "float32"))
    found = lowering.compile(program).run(state, Block([]), np.zeros(1, dtype=np.int64), {})["y"]
    assert np.isnan(found[0, 0])


@pytest.mark.parametrize("device", DEVICES)
def test_sparsemax_is_the_nearest_point_of_the_simplex(device: str) -> None:
    edges = [[0, 0, 0, 0, 0], [1e4, -1e4, 0, 1, 1e4], [1e30, 0, -1e30, 1, 2], [88, 89, 90, 0, 89.5], [3, 3, 3, 2.9, -1]]
    x = np.concatenate([np.array(edges), np.random.default_rng(3).standard_normal((40, 5))]).astype("float32")
    model = Sequential([Input((5,)), layers.Activation("sparsemax")])
    model.compile("sgd", "mse", device=device)
    found = model.predict(x, verbose=0)
    # Algorithm 1 of A. Martins and R. Astudillo, arXiv:1602.02068.
    z = x.astype("float64") - x.max(-1, keepdims=True)
    ordered = -np.sort(-z, axis=-1)
    sums = ordered.cumsum(-1)
    kept = (1 + np.arange(1, 6) * ordered > sums).sum(-1)
    t = (sums[np.arange(len(x)), kept - 1] - 1) / kept
    np.testing.assert_allclose(found, np.maximum(z - t[:, None], 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)


def test_bounds_are_those_that_the_answers_keep() -> None:
    grid = floats(next(case["x"] for case in KERAS["cases"] if case["name"] == "relu"))
    x = GraphInput("x", TensorType(grid.shape))
    for name in set(activations.__all__) - {"get", "step", "glu", "threshold"}:
        function = getattr(activations, name)
        y = evaluate(Graph([x], {"y": function(x)}), {"x": grid})["y"]
        bounded = np.abs(y).max() < 100
        assert bounded == (function in activations.BOUNDS), name
        if bounded:
            low, high = activations.BOUNDS[function]
            assert low <= y.min() <= low + 0.01, name
            assert high - 0.01 <= y.max() <= high, name


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: layers.ReLU(max_value=-1), UsageError, "ReLU needs a number not below 0 for max_value, got -1"),
        (lambda: layers.ReLU(threshold=None), UsageError, "threshold, got None"),
        (lambda: layers.LeakyReLU(-0.1), UsageError, "negative_slope"),
        (lambda: layers.ELU("one"), UsageError, "ELU needs a number for alpha"),
        (lambda: layers.PReLU(alpha_regularizer="l2"), Limitation, "no alpha_regularizer"),
        (lambda: layers.PReLU(alpha_constraint="non_neg"), Limitation, "no alpha_constraint"),
        (lambda: layers.PReLU(shared_axes=[0]), UsageError, "count from 1"),
        (lambda: layers.PReLU(shared_axes=[2])(GraphInput("x", TensorType((3, 4)))), ShapeError, "share axis 2"),
        (lambda: layers.Softmax(axis="last"), UsageError, "axis of Softmax"),
        (lambda: activations.glu(GraphInput("x", TensorType((3, 5)))), ShapeError, "even size"),
        (lambda: activations.celu(GraphInput("x", TensorType((3,))), alpha=0), UsageError, "cannot be 0"),
        (lambda: activations.squareplus(GraphInput("x", TensorType((3,))), b=0), UsageError, "positive b"),
    ],
)
def test_a_mistake_is_named(make: Any, kind: type[NacreError], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()
