"""Does nacre answer what Keras answers? The answers were frozen by `make_keras.py`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, activations, initializers, layers, losses, metrics, optimizers
from nacre.backends.reference import evaluate
from nacre.ir import Graph, TensorType, Value
from nacre.ir import Input as GraphInput

Array = npt.NDArray[Any]

KERAS = json.loads(Path(__file__).with_name("keras.json").read_text(encoding="utf-8"))
FUNCTIONAL = json.loads(Path(__file__).with_name("functional.json").read_text(encoding="utf-8"))
ACTIVATIONS = json.loads(Path(__file__).with_name("activations.json").read_text(encoding="utf-8"))
LAYERS = json.loads(Path(__file__).with_name("layers.json").read_text(encoding="utf-8"))
DEVICES = ("native", "reference")

ROOMS = ("activations", "layers")  # the others have files of their own
NOT_COMPARED = {
    "activations.get": "finds the others by name; each case here goes through it",
    "activations.sparsemax": "that of Keras 3.15 does not sum to 1; compared with the algorithm of the paper",
    "activations.step": "nacre's own: the perceptron",
    "layers.Input": "begins every model here",
    "layers.InputLayer": "what Input makes; begins every model here",
    "layers.IntegerLookup": "Keras's needs TensorFlow; its files are in keras/",
    "layers.Layer": "a base class",
    "layers.Symbol": "what keras calls a KerasTensor",
    "layers.Parameter": "nacre's own: a weight as an input of a graph",
    **{
        f"layers.{name}": "calls the layer of its name"
        for name in ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"]
    },
    "layers.Operation": "in Keras a class that users do not meet; test_functional.py",
    "layers.Augmentation": "nacre's own",
    "layers.Lambda": "gives what its function gives",
    "layers.Residual": "nacre's own",
    "layers.StringLookup": "Keras's needs TensorFlow",
}


def near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, "float64"), np.asarray(expected, "float64"), rtol=1e-5, atol=1e-6)


def floats(x: Any) -> Array:
    return np.array(x, "float32")


def targets(case: dict[str, Any]) -> Array:
    return np.array(case["y_true"], case["target_dtype"])


def on_graph(call: Callable[..., Value], *arrays: Array) -> Array:
    """What the meaning of the rows gives for a function of values."""
    inputs = [GraphInput(f"x{i}", TensorType(a.shape, str(a.dtype))) for i, a in enumerate(arrays)]
    return evaluate(Graph(inputs, {"y": call(*inputs)}), {i.name: a for i, a in zip(inputs, arrays, strict=True)})["y"]


def echo(shape: tuple[int, ...]) -> Sequential:
    """A model that gives back its input."""
    return Sequential([Input(shape), layers.Activation("linear")])


def named(case: dict[str, Any]) -> str:
    settings = "-".join(f"{k}={v}" for k, v in case["config"].items())
    return f"{case['class']}-{settings}".replace(" ", "")


# ------------------------------------------------------------------ nothing is forgotten


def test_every_public_name_is_compared_with_keras_or_has_a_reason() -> None:
    compared = {f"activations.{name}" for name in KERAS["activations"]}
    compared |= {f"layers.{case['class']}" for case in KERAS["layers"]}
    compared |= {f"activations.{case['name']}" for case in ACTIVATIONS["cases"]}
    compared |= {f"layers.{case['class']}" for case in ACTIVATIONS["layers"]}
    compared |= {f"layers.{name}" for name in FUNCTIONAL["outputs"]}
    compared |= {f"layers.{case['class']}" for case in LAYERS["layers"] + LAYERS["prepared"]}
    public = {f"{room}.{name}" for room in ROOMS for name in importlib.import_module(f"nacre.{room}").__all__}
    assert public - compared == set(NOT_COMPARED)
    assert compared <= public


def test_the_file_says_where_it_comes_from() -> None:
    assert KERAS["keras"].startswith("3.")
    assert KERAS["backend"] in ("jax", "torch", "tensorflow")


@pytest.mark.parametrize("case", KERAS["names"], ids=lambda c: f"{c['room']}-{c['name']}")
def test_a_name_means_what_it_means_in_keras(case: dict[str, str]) -> None:
    room = importlib.import_module(f"nacre.{case['room']}")
    found, meant = room.get(case["name"]), getattr(room, case["means"])
    assert found is meant or type(found) is meant


# ------------------------------------------------------------------ activations and layers


@pytest.mark.parametrize("name", KERAS["activations"])
def test_an_activation_means_what_keras_means(name: str) -> None:
    for case in KERAS["activations"][name]:
        x = floats(case["x"])
        near(on_graph(activations.get(name), x), case["y"])
        for device in DEVICES:
            model = Sequential([Input(x.shape[1:]), layers.Activation(name)])
            model.compile("sgd", "mse", device=device)
            near(model.predict(x), case["y"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", KERAS["layers"], ids=named)
def test_a_layer_gives_what_it_gives_in_keras(case: dict[str, Any], device: str) -> None:
    x = np.array(case["x"], case["dtype"])
    model = Sequential([Input(x.shape[1:]), getattr(layers, case["class"])(**case["config"])])
    model.compile("sgd", "mse", device=device)
    model.set_weights([floats(w) for w in case["weights"]])
    assert [w.name for w in model.weights] == case["names"]
    near(model.predict(x), case["y"])


def test_weights_are_called_and_shaped_as_in_keras() -> None:
    model = Sequential(
        [Input((2, 3)), layers.Flatten(), layers.Dense(5), layers.Dense(4, use_bias=False), layers.Dense(3)]
    )
    assert [{"name": w.name, "shape": list(w.shape)} for w in model.weights] == KERAS["architecture"]


@pytest.mark.parametrize("name", KERAS["defaults"])
def test_arguments_that_nobody_gave_are_those_of_keras(name: str) -> None:
    room, kind = name.split(".")
    needed = {"Dense": (3,), "Rescaling": (0.5,)}.get(kind, ())
    config = getattr(importlib.import_module(f"nacre.{room}"), kind)(*needed).get_config()
    expected = KERAS["defaults"][name]
    common = [key for key in config if key in expected]
    found = {key: config[key]["class_name"] if isinstance(config[key], dict) else config[key] for key in common}
    assert found == {key: expected[key] for key in common}
    assert common


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize("case", KERAS["losses"], ids=named)
def test_a_loss_per_sample_is_that_of_keras(case: dict[str, Any]) -> None:
    y_true, y_pred = targets(case), floats(case["y_pred"])
    if case["function"].startswith("sparse"):
        y_true = y_true.reshape(y_pred.shape[:-1])
    elif y_true.ndim < y_pred.ndim:
        y_true = y_true[:, None]
    function = getattr(losses, case["function"])
    near(on_graph(lambda t, p: function(t, p, **case["config"]), y_true, y_pred), case["values"])


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("case", KERAS["losses"], ids=named)
def test_a_reduced_loss_is_that_of_keras(case: dict[str, Any], reduction: str) -> None:
    y_true, y_pred = targets(case), floats(case["y_pred"])
    loss = getattr(losses, case["class"])(**case["config"], reduction=reduction)
    near(on_graph(loss, y_true, y_pred), case["reduced"][reduction])
    for device in DEVICES:
        model = echo(y_pred.shape[1:])
        model.compile("sgd", loss, device=device)
        near(model.evaluate(y_pred, y_true, verbose=0), case["reduced"][reduction])


@pytest.mark.parametrize("case", [c for c in KERAS["losses"] if not c["config"]], ids=named)
def test_a_loss_by_name_over_short_batches_is_the_mean_over_samples(case: dict[str, Any]) -> None:
    model = echo(np.shape(case["y_pred"])[1:])
    model.compile("sgd", case["function"])
    found = model.evaluate(floats(case["y_pred"]), targets(case), batch_size=4, verbose=0)
    near(found, case["reduced"]["sum_over_batch_size"])


# ------------------------------------------------------------------ metrics


@pytest.mark.parametrize("case", KERAS["metrics"], ids=named)
def test_a_metric_streamed_over_batches_is_that_of_keras(case: dict[str, Any]) -> None:
    y_true, y_pred = targets(case), floats(case["y_pred"])
    metric = getattr(metrics, case["class"])(**case["config"])
    sums, start = np.zeros(2), 0
    for end, expected in zip(case["ends"], case["so_far"], strict=True):
        sums += on_graph(metric.update, y_true[start:end], y_pred[start:end])
        near(metric.figure(sums), expected)
        start = end


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("batch_size", [1, 4, None])
@pytest.mark.parametrize("case", KERAS["metrics"], ids=named)
def test_evaluate_gives_the_metric_of_keras_whatever_the_batches(
    case: dict[str, Any], batch_size: int | None, device: str
) -> None:
    y_true, y_pred = targets(case), floats(case["y_pred"])
    sparse = case["class"].startswith("Sparse")
    model = echo(y_pred.shape[1:])
    metric = getattr(metrics, case["class"])(**case["config"])
    model.compile("sgd", "sparse_categorical_crossentropy" if sparse else "mse", metrics=[metric], device=device)
    found = model.evaluate(y_pred, y_true, batch_size=batch_size, verbose=0, return_dict=True)
    near(found[metric.name], case["so_far"][-1])


@pytest.mark.parametrize(
    "case", KERAS["accuracies"], ids=lambda c: f"{c['loss']}-{np.shape(c['y_true'])}-{c['metrics'][0]}"
)
def test_accuracy_is_binary_categorical_or_sparse_as_in_keras(case: dict[str, Any]) -> None:
    model = echo(np.shape(case["y_pred"])[1:])
    model.compile("sgd", case["loss"], metrics=case["metrics"])
    found = model.evaluate(floats(case["y_pred"]), targets(case), batch_size=4, verbose=0, return_dict=True)
    assert set(found) == set(case["answer"])
    for name, figure in case["answer"].items():
        near(found[name], figure)


@pytest.mark.parametrize("case", KERAS["metric_names"], ids=lambda c: c["given"])
def test_a_metric_given_by_name_is_called_as_in_keras(case: dict[str, Any]) -> None:
    model = echo((3,))
    model.compile("sgd", "mse", metrics=[case["given"]])
    x = np.eye(4, 3, dtype="float32")
    assert set(model.evaluate(x, x, verbose=0, return_dict=True)) == set(case["keys"])


# ------------------------------------------------------------------ training


def small_net(features: int, hidden: int, classes: int, weights: list[Any]) -> Sequential:
    model = Sequential(
        [Input((features,)), layers.Dense(hidden, activation="tanh"), layers.Dense(classes, activation="softmax")]
    )
    model.set_weights([floats(w) for w in weights])
    return model


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("run", KERAS["trajectories"]["runs"], ids=named)
def test_an_optimizer_walks_where_keras_walks(run: dict[str, Any], device: str) -> None:
    given = KERAS["trajectories"]
    model = small_net(*given["sizes"], given["weights"])
    model.compile(getattr(optimizers, run["class"])(**run["config"]), "sparse_categorical_crossentropy", device=device)
    x, y = floats(given["x"]), np.array(given["y"])
    for step, loss in enumerate(run["losses"], start=1):
        near(model.train_on_batch(x, y), loss)
        for found, expected in zip(model.get_weights(), run["weights"].get(str(step), []), strict=False):
            near(found, expected)
    assert model.optimizer.iterations == len(run["losses"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "run", KERAS["histories"][0]["runs"], ids=lambda r: f"{r['optimizer']}-{r['loss']}-{len(r['fit'])}"
)
def test_fit_reports_what_keras_reports(run: dict[str, Any], device: str) -> None:
    given = KERAS["histories"][0]
    model = small_net(4, 6, 3, given["weights"])
    model.compile(run["optimizer"], run["loss"], metrics=["accuracy"], device=device)
    history = model.fit(floats(given["x"]), np.array(run["y"]), shuffle=False, verbose=0, **run["fit"])
    assert history.epoch == run["epoch"]
    assert set(history.history) == set(run["history"])
    for name, figures in run["history"].items():
        near(history.history[name], figures)
    for found, expected in zip(model.get_weights(), run["weights"], strict=True):
        near(found, expected)


# ------------------------------------------------------------------ how weights begin


@pytest.mark.parametrize("case", KERAS["initializers"], ids=lambda c: f"{named(c)}-{c['shape']}")
def test_an_initializer_has_the_extent_and_spread_of_keras(case: dict[str, Any]) -> None:
    seed = {} if case["class"] in ("Zeros", "Ones") else {"seed": 5}
    x = getattr(initializers, case["class"])(**case["config"], **seed)(tuple(case["shape"]), "float32")
    assert list(x.shape) == case["shape"]
    assert str(x.dtype) == case["dtype"]
    # Sixteen thousand samples or more: a standard deviation is known to about 1/2 percent, a mean to std / 127.
    assert x.std() == pytest.approx(case["std"], rel=0.03, abs=1e-12)
    assert x.mean() == pytest.approx(case["mean"], abs=0.05 * case["std"] + 1e-12)
    if case["config"].get("distribution") != "untruncated_normal":
        assert np.abs(x).max() == pytest.approx(case["largest"], rel=0.01, abs=1e-12)
    assert np.array_equal(
        x, getattr(initializers, case["class"])(**case["config"], **seed)(tuple(case["shape"]), "float32")
    )
