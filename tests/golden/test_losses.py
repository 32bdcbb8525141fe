"""Are the losses those of Keras: values, gradients, reductions, weights, names? The answers were frozen by `make_losses.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, activations, layers, losses, ops
from nacre.autodiff import gradients
from nacre.backends.reference import evaluate
from nacre.configured import serialize
from nacre.errors import Limitation, ShapeError, UsageError
from nacre.ir import Graph, TensorType, Value
from nacre.ir import Input as GraphInput
from nacre.models import load_model

Array = npt.NDArray[Any]

KERAS = json.loads(Path(__file__).with_name("losses.json").read_text(encoding="utf-8"))
CASES = KERAS["cases"]
DEVICES = ("native", "reference")
LEFT_OUT = {
    "CTC": "aligns sequences of different lengths, which no layer of nacre makes",
    "ctc": "see CTC",
    "Circle": "compares the rows of a batch with one another; the loss of a sample would depend on its neighbors",
    "circle": "see Circle",
    "deserialize": "get takes the dictionary",
    "serialize": "get_config gives the dictionary",
    "LossFunctionWrapper": "get wraps a function by itself",
}

OURS = {"HalfSquaredError", "half_squared_error"}  # Keras has none; compared with arithmetic below


def named(case: dict[str, Any]) -> str:
    settings = "-".join(f"{k}={v}" for k, v in case["config"].items())
    return f"{case['class']}-{settings}-{np.shape(case['y_pred'])}".replace(" ", "")


def near(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, "float64"), np.asarray(expected, "float64"), rtol=1e-5, atol=1e-6)


def given(case: dict[str, Any]) -> tuple[Array, Array]:
    return np.array(case["y_true"], case["target_dtype"]), np.array(case["y_pred"], "float32")


def loss(case: dict[str, Any], **more: Any) -> losses.Loss:
    return getattr(losses, case["class"])(**case["config"], **more)


def on_graph(call: Callable[..., Value], *arrays: Array) -> tuple[Array, Array]:
    """The result of a function of values, and the gradient of its sum with respect to the second."""
    inputs = [GraphInput(f"x{i}", TensorType(a.shape, str(a.dtype))) for i, a in enumerate(arrays)]
    y = call(*inputs)
    graph = Graph(inputs, {"y": y, "dy": gradients(ops.sum(y), [inputs[1]])[0]})
    found = evaluate(graph, {i.name: a for i, a in zip(inputs, arrays, strict=True)})
    return found["y"], found["dy"]


# ------------------------------------------------------------------ nothing is forgotten


def test_every_public_name_of_keras_is_here_or_left_out_for_a_reason() -> None:
    missing = {n for n in KERAS["public"] if n not in losses.__all__}
    assert missing == set(LEFT_OUT) - {"LossFunctionWrapper"}


def test_every_loss_is_compared() -> None:
    compared = {case["class"] for case in CASES}
    compared |= {losses.get(name).name for name in compared} | {"huber"}
    assert set(losses.__all__) - compared == {"Loss", "get", *OURS}


@pytest.mark.parametrize("name", [n for n, means in KERAS["names"].items() if means not in (*LEFT_OUT, "Loss")])
def test_a_name_means_what_it_means_in_keras(name: str) -> None:
    meant = getattr(losses, KERAS["names"][name])
    found = losses.get(name)
    assert type(found) is meant or type(found).function is meant


@pytest.mark.parametrize("name", KERAS["defaults"])
def test_arguments_that_nobody_gave_are_those_of_keras(name: str) -> None:
    config = getattr(losses, name)().get_config()
    expected = KERAS["defaults"][name]
    assert {key: config[key] for key in expected} == expected
    assert set(config) - set(expected) <= {"axis", "delta"}


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_loss_of_each_sample_and_its_gradient_are_those_of_keras(case: dict[str, Any]) -> None:
    y_true, y_pred = given(case)
    near(on_graph(loss(case, reduction="none"), y_true, y_pred)[0], case["values"])
    near(on_graph(loss(case), y_true, y_pred)[1], case["gradient"])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_every_reduction_is_that_of_keras(case: dict[str, Any]) -> None:
    for reduction, expected in case["reduced"].items():
        near(on_graph(loss(case, reduction=reduction), *given(case))[0], expected)
    near(on_graph(loss(case, reduction=None), *given(case))[0], case["values"])


@pytest.mark.parametrize("case", CASES, ids=named)
def test_sample_weights_count_as_in_keras(case: dict[str, Any]) -> None:
    for weights, weighted in zip(case["weights"], case["weighted"], strict=True):
        for reduction, expected in weighted.items():
            found, _ = on_graph(loss(case, reduction=reduction), *given(case), np.array(weights, "float32"))
            near(found, expected)


@pytest.mark.parametrize("case", [c for c in CASES if c["config"].get("from_logits")], ids=named)
def test_behind_its_activation_a_loss_is_that_of_the_scores(case: dict[str, Any]) -> None:
    config = {k: v for k, v in case["config"].items() if k != "from_logits"}
    made, axis = getattr(losses, case["class"])(**config), config.get("axis", -1)

    def behind(y_true: Value, scores: Value) -> Value:
        binary = case["class"].startswith("Binary")
        return made(y_true, activations.sigmoid(scores) if binary else activations.softmax(scores, axis))

    value, gradient = on_graph(behind, *given(case))
    near(value, case["reduced"]["sum_over_batch_size"])
    near(gradient, case["gradient"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES, ids=named)
def test_evaluate_gives_the_loss_of_keras(case: dict[str, Any], device: str) -> None:
    y_true, y_pred = given(case)
    if losses.TABLE[case["class"]].targets == "labels" and y_true.size != len(y_true):
        with pytest.raises(ShapeError, match="one label per row"):
            evaluated(loss(case), y_true, y_pred, device)
        return
    near(evaluated(loss(case), y_true, y_pred, device), case["reduced"]["sum_over_batch_size"])


def evaluated(made: losses.Loss, y_true: Array, y_pred: Array, device: str) -> float:
    model = Sequential([Input(y_pred.shape[1:]), layers.Activation("linear")])
    model.compile("sgd", made, device=device)
    return float(model.evaluate(y_pred, y_true, verbose=0))


@pytest.mark.filterwarnings("ignore:.*asks of each class by itself")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [kind.__name__ for kind in losses._CLASSES])
def test_every_loss_by_name_can_be_trained_with(name: str, device: str) -> None:
    kind = losses.TABLE[name]
    rng = np.random.default_rng(1)
    x, label = rng.standard_normal((32, 5)).astype("float32"), rng.integers(0, 3, 32)
    y = label if kind.targets == "labels" else np.eye(3, dtype="float32")[label]
    model = Sequential([Input((5,)), layers.Dense(3, activation="softmax", kernel_initializer="zeros")])
    model.compile("sgd", name, device=device)
    history = model.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert history[2] < history[0]


@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (3, 2, 4)])
def test_half_the_squared_distance_is_that_of_arithmetic_and_its_gradient_has_no_factor(shape: tuple[int, ...]) -> None:
    y_true, y_pred = np.random.default_rng(0).standard_normal((2, *shape)).astype("float32")
    each, gradient = on_graph(losses.HalfSquaredError(reduction="sum"), y_true, y_pred)
    near(each, ((y_pred.astype(float) - y_true) ** 2).sum() / 2)
    near(gradient, y_pred.astype(float) - y_true)
    values, _ = on_graph(losses.half_squared_error, y_true, y_pred)
    near(values, ((y_pred.astype(float) - y_true) ** 2).sum(-1) / 2)
    for device in DEVICES:
        near(evaluated(losses.get("half_squared_error"), y_true, y_pred, device), values.mean())


# ------------------------------------------------------------------ edges

EDGES = np.array([[0.0, 88.0, -88.0], [1e4, -1e4, 0.0], [1e30, -1e30, 0.0], [-1e4, -1e4, -1e4]], "float32")
LARGER = (
    "HalfSquaredError",
    "MeanSquaredError",
    "SquaredHinge",
    "MeanAbsolutePercentageError",
)  # of 1e30: more than a float32 can hold


@pytest.mark.parametrize("end", ["numbers", "softmax", "sigmoid", "scores"])
@pytest.mark.parametrize("kind", losses._CLASSES, ids=lambda k: k.__name__)
def test_a_loss_and_its_gradient_are_finite_for_outputs_of_any_size(kind: Any, end: str) -> None:
    """What a formula cannot bear is not asked of it: probabilities lie from 0 to 1, and a square must be a float32."""
    x = EDGES[:2] if kind.__name__ in LARGER else EDGES
    if end == "numbers":
        x = np.abs(x) if kind.__name__ == "Poisson" else x
        if kind.targets != "numbers":
            x = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], "float32")
    if end == "scores" and "from_logits" not in kind.config_names():
        assert not hasattr(kind(), "from_logits")
        return
    made = kind(from_logits=True) if end == "scores" else kind()
    last = {"softmax": activations.softmax, "sigmoid": activations.sigmoid}.get(end, activations.linear)
    for row in x:
        for label in range(3):
            label_only = kind.targets == "labels"
            target = np.array([label], "int32") if label_only else np.eye(3, dtype="float32")[[label]]
            with np.errstate(all="ignore"):  # what is not chosen may overflow
                value, gradient = on_graph(lambda t, p: made(t, last(p)), target, row[None])
            assert np.isfinite(value), (row, label)
            assert np.isfinite(gradient).all(), (row, label)


def test_no_weight_at_all_gives_no_loss() -> None:
    y, p, w = np.ones((3, 2), "float32"), np.zeros((3, 2), "float32"), np.zeros(3, "float32")
    for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum"):
        value, gradient = on_graph(losses.MeanSquaredError(reduction), y, p, w)
        assert value == 0
        assert gradient.tolist() == np.zeros((3, 2)).tolist()


def test_a_weight_for_each_sample_counts_for_all_of_its_losses() -> None:
    """Keras asks for weights (2, 1) or (2, 3) here."""
    y, p = np.zeros((2, 3, 1), "float32"), np.array([[[1], [2], [3]], [[4], [5], [6]]], "float32")
    value, _ = on_graph(losses.MeanAbsoluteError("none"), y, p, np.array([1, 10], "float32"))
    assert value.tolist() == [[1, 2, 3], [40, 50, 60]]


def test_classes_may_lie_along_another_axis() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, (2, 4)).astype("int32"), rng.standard_normal((2, 3, 4)).astype("float32")
    moved, usual = losses.SparseCategoricalCrossentropy(axis=1), losses.SparseCategoricalCrossentropy()
    for along, last in [(ops.softmax, ops.softmax), (lambda p, axis: ops.sigmoid(p), ops.sigmoid)]:
        found, gradient = on_graph(lambda t, p, end=along: moved(t, end(p, 1)), labels, scores)
        expected, other = on_graph(lambda t, p, end=last: usual(t, end(p)), labels, scores.swapaxes(1, 2))
        near(found, expected)
        near(gradient.swapaxes(1, 2), other)


def test_a_softmax_along_another_axis_is_not_taken_for_the_classes() -> None:
    target, scores = np.eye(3, dtype="float32")[None], np.arange(9, dtype="float32").reshape(1, 3, 3) / 3
    found, _ = on_graph(lambda t, p: losses.categorical_crossentropy(t, ops.softmax(p, axis=1)), target, scores)
    powers = np.exp(scores)
    columns = powers / powers.sum(1, keepdims=True)
    near(found, [-np.log(np.diagonal(columns[0]) / columns[0].sum(-1))])


# ------------------------------------------------------------------ one's own, and mistakes


def cubic(y_true: Value, y_pred: Value) -> Value:
    return ops.mean(ops.abs(y_pred - y_true) ** 3, axis=-1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_function_of_ones_own_is_a_loss(device: str) -> None:
    x = np.array([[1, 2], [3, 5], [-1, 0]], "float32")
    assert evaluated(losses.get(cubic), np.zeros((3, 2)), x, device) == pytest.approx(np.mean(np.abs(x) ** 3), rel=1e-6)
    assert evaluated(losses.get(lambda t, p: ops.sum(p - t)), np.zeros((3, 2)), x, device) == 10
    assert losses.get(cubic).name == "cubic"


def test_a_function_of_ones_own_may_have_the_name_of_a_loss() -> None:
    def huber(y_true: Value, y_pred: Value) -> Value:
        return y_pred

    assert type(losses.get(huber)) is not losses.Huber
    assert type(losses.get(losses.huber)) is losses.Huber


def test_a_function_of_ones_own_gets_targets_of_any_shape() -> None:
    def chosen(y_true: Value, y_pred: Value) -> Value:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    scores = np.random.default_rng(0).standard_normal((6, 3)).astype("float32")
    label = np.array([0, 1, 2, 2, 1, 0])
    usual = evaluated(losses.SparseCategoricalCrossentropy(from_logits=True), label, scores, "native")
    assert evaluated(losses.get(chosen), label, scores, "native") == pytest.approx(usual, rel=1e-6)


def test_a_model_with_a_loss_of_ones_own_trains_and_comes_back(tmp_path: Path) -> None:
    class Own(losses.Loss):
        def call(self, y_true: Value, y_pred: Value) -> Value:
            return cubic(y_true, y_pred)

    x = np.random.default_rng(0).standard_normal((16, 2)).astype("float32")
    for own in (cubic, Own()):
        model = Sequential([Input((2,)), layers.Dense(2)])
        model.compile("sgd", own)
        history = model.fit(x, x, epochs=5, verbose=0).history["loss"]
        assert history[-1] < history[0]
        model.save(tmp_path / "model.safetensors")
        again = load_model(tmp_path / "model.safetensors", {"cubic": cubic, "Own": Own})
        assert again.evaluate(x, x, verbose=0) == model.evaluate(x, x, verbose=0)


def test_a_loss_computed_with_numpy_is_refused_with_a_reason() -> None:
    with pytest.raises(UsageError, match=r"gave ndarray(.|\n)*nacre\.ops"):
        on_graph(losses.get(lambda t, p: np.zeros(3)), np.zeros((3, 2), "float32"), np.zeros((3, 2), "float32"))


def test_training_without_a_reduction_is_refused_with_a_reason() -> None:
    model = Sequential([Input((2,)), layers.Dense(2)])
    for reduction in ("none", None):
        with pytest.raises(UsageError, match=r"no reduction(.|\n)*calling the loss"):
            model.compile("sgd", losses.MeanSquaredError(reduction=reduction))


def test_labels_to_ignore_may_be_no_classes_and_do_not_count() -> None:
    x = np.random.default_rng(0).standard_normal((6, 3)).astype("float32")
    label, ignoring = np.array([0, 9, 2, 9, 1, 0]), losses.SparseCategoricalCrossentropy(True, ignore_class=9)
    usual = losses.SparseCategoricalCrossentropy(True)
    near(evaluated(ignoring, label, x, "native"), evaluated(usual, label[label < 9], x[label < 9], "native"))
    with pytest.raises(ValueError, match="Label 9 at row 1"):
        evaluated(usual, label, x, "native")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.MeanSquaredError(reduction="average"), "no reduction"),
        (lambda: losses.MeanSquaredError(color="red"), "no argument 'color'"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), "label_smoothing is a number from 0 to 1"),
        (lambda: losses.Huber(delta=-1), "delta is a number from 0 on"),
        (lambda: losses.BinaryFocalCrossentropy(gamma=-1), "gamma is a number"),
        (lambda: losses.CategoricalGeneralizedCrossEntropy(q=1), "q lies between 0 and 1"),
        (lambda: losses.get("mean_square_error"), "did you mean 'mean_squared_error'"),
        (lambda: losses.get(3), "3 is no loss"),
    ],
)
def test_a_mistake_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_dtype_is_known_and_refused() -> None:
    with pytest.raises(Limitation, match="dtype"):
        losses.MeanSquaredError(dtype="float16")


def test_weights_that_do_not_fit_are_refused() -> None:
    y = np.zeros((3, 2), "float32")
    with pytest.raises(ShapeError, match="sample weights do not fit"):
        on_graph(losses.MeanSquaredError(), y, y, np.zeros(2, "float32"))


@pytest.mark.parametrize("kind", losses._CLASSES, ids=lambda k: k.__name__)
def test_a_loss_made_from_its_description_is_the_same(kind: Any) -> None:
    made = kind(name="mine", reduction="sum")
    assert serialize(losses.get(json.loads(json.dumps(serialize(made))))) == serialize(made)
