"""Layers that join, and models of branches, shared layers and other models, train as they do in Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Model, Sequential, layers
from nacre.errors import DTypeError, Limitation, ModelFileError, ShapeError, UsageError
from nacre.interop import safetensors

KERAS = json.loads((Path(__file__).parent / "functional.json").read_text())
A, B, X, Y = (np.asarray(KERAS[name], "float32") for name in "abxy")


@pytest.mark.parametrize("device", ["native", "reference", "xla"])
@pytest.mark.parametrize("name", KERAS["outputs"])
def test_a_layer_that_joins_gives_what_it_gives_in_keras(name: str, device: str) -> None:
    case = KERAS["outputs"][name]
    a, b = Input((3,)), Input((3,))
    model = Model([a, b], getattr(layers, name)(**case["config"])([a, b]))
    model.compile("sgd", "mse", device=device)
    assert np.allclose(model.predict([A, B], verbose=0), case["y"], rtol=1e-6, atol=1e-6)


def network() -> Model:
    x = Input((5,))
    shared = layers.Dense(4, activation="tanh", name="shared")
    once = shared(x)
    inner = Sequential([Input((5,)), layers.Dense(4, activation="relu", name="inner")])
    twice = shared(layers.Dense(5, name="between")(once))
    joined = layers.Concatenate()([once * twice, layers.Average()([once, inner(x)]), x])
    return Model(x, layers.Dense(2, name="end")(joined))


def begun() -> Model:
    model = network()
    for weight in model.weights:
        weight.assign(KERAS["training"]["begin"][weight.name])
    return model


@pytest.mark.parametrize("device", ["native", "reference", "xla"])
def test_a_functional_model_trains_as_in_keras(device: str) -> None:
    model = begun()
    model.compile(nacre.optimizers.SGD(0.05, momentum=0.5), "mse", device=device)
    history = model.fit(X, Y, batch_size=4, epochs=5, shuffle=False, verbose=0).history
    assert np.allclose(history["loss"], KERAS["training"]["loss"], rtol=1e-5)
    assert [w.name for w in model.weights] == list(KERAS["training"]["end"])
    for weight in model.weights:
        assert np.allclose(weight.numpy(), KERAS["training"]["end"][weight.name], rtol=1e-5, atol=1e-6), weight.name


def test_a_functional_model_goes_on_from_its_file(tmp_path: Path) -> None:
    model = begun()
    model.compile(nacre.optimizers.SGD(0.05, momentum=0.5), "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model")
    again = nacre.models.load_model(tmp_path / "model")
    assert isinstance(again, Model)
    for m in (model, again):
        m.fit(X, Y, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in again.get_weights()]
    lines: list[str] = []
    again.summary(print_fn=lines.append)
    assert any("shared" in line for line in lines)


def test_all_kinds_of_layers_go_together_and_go_on_from_a_file(tmp_path: Path) -> None:
    x = Input((5,))
    scaled = layers.Normalization()
    scaled.adapt(X)
    h = layers.ReLU()(layers.BatchNormalization()(layers.Dense(8, use_bias=False)(scaled(x))))
    for _ in range(2):
        h = layers.Residual([layers.Dense(8, activation="relu"), layers.Dropout(0.2), layers.Dense(8)])(h)
    h = layers.LayerNormalization()(h) + layers.Dense(8, kernel_regularizer="l2")(scaled(x))
    model = Model(x, layers.Dense(2)(layers.Dropout(0.1)(h)))
    names = [w.name for w in model.weights]
    assert len(set(names)) == len(names)
    assert "residual_1/dense_1/kernel" in names
    model.compile(nacre.optimizers.AdamW(0.01, clipnorm=1.0), "mse", metrics=["mae"])
    model.fit(X, Y, batch_size=5, epochs=2, validation_split=0.25, verbose=0)
    model.save(tmp_path / "model")
    again = nacre.models.load_model(tmp_path / "model")
    for m in (model, again):
        m.fit(X, Y, batch_size=5, epochs=2, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in again.get_weights()]
    assert np.array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))
    assert nacre.gradcheck(model, X, Y)


def test_models_share_what_they_share() -> None:
    model = begun()
    middle = Model(model._inputs, model.get_layer("between")(model.get_layer("shared")(model._inputs[0])))
    x = Input((5,))
    outer = Model(x, layers.Dense(1)(model(x)))
    before = middle.predict(X, verbose=0)
    outer.compile("sgd", "mse")
    outer.fit(X, Y[:, :1], verbose=0)
    assert not np.array_equal(before, middle.predict(X, verbose=0))
    assert outer.get_layer("functional").get_layer("shared") is middle.get_layer("shared")


def test_layers_without_a_name_get_one_that_no_other_has() -> None:
    x = Input((3,))
    y = layers.Dense(3)(layers.Dense(3)(layers.Dense(3, name="dense_1")(x)))
    model = Model(inputs=x, outputs=y)
    assert [layer.name for layer in model.layers] == ["input_layer", "dense_1", "dense", "dense_2"]
    assert [w.name for w in model.weights][::2] == ["dense_1/kernel", "dense/kernel", "dense_2/kernel"]
    assert repr(model) == "<Functional 'functional': 4 layers>"


OPERATIONS: dict[str, tuple[Any, Any]] = {
    "a number": (lambda a, b: 1 - a * 2 + b / 3, lambda a, b: 1 - a * 2 + b / 3),
    "a power and a sign": (lambda a, b: abs(-a) ** 2 @ np.ones((3, 3), "float32") + b, lambda a, b: a**2 @ np.ones((3, 3)) + b),
    "a part": (lambda a, b: a[:, 1:] - b[..., :2], lambda a, b: a[:, 1:] - b[:, :2]),
    "functions": (
        lambda a, b: nacre.ops.log1p(nacre.ops.exp(a)) + nacre.ops.where(nacre.ops.greater(b, 0), b, 0.5),
        lambda a, b: np.log1p(np.exp(a)) + np.where(b > 0, b, 0.5),
    ),
    "turned around": (lambda a, b: a[:, ::-1] + b[:, 2:0:-1][:, :1], lambda a, b: a[:, ::-1] + b[:, 2:0:-1][:, :1]),
    "comparisons": (lambda a, b: nacre.ops.where(a > b, 2**a, 1 - b), lambda a, b: np.where(a > b, 2**a, 1 - b)),
    "a list": (lambda a, b: nacre.ops.concatenate([a, b, a], axis=-1), lambda a, b: np.concatenate([a, b, a], 1)),
    "a mean": (lambda a, b: nacre.ops.mean(a, axis=1, keepdims=True) * b, lambda a, b: a.mean(1, keepdims=True) * b),
    "a constant": (lambda a, b: nacre.ops.power(np.float32([1, 2, 3]), b) * a, lambda a, b: np.float32([1, 2, 3]) ** b * a),
    "an activation": (lambda a, b: nacre.activations.softplus(a + b), lambda a, b: np.log1p(np.exp(a + b))),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_symbols_are_layers(name: str, tmp_path: Path) -> None:
    make, witness = OPERATIONS[name]
    a, b = Input((3,)), Input((3,))
    model = Model([a, b], layers.Dense(2)(make(a, b)))
    shown = Model([a, b], make(a, b))
    assert np.allclose(shown.predict([A, B], verbose=0), witness(A, B), rtol=1e-5, atol=1e-6)
    model.compile("adam", "mse")
    model.fit([A, B], A[:, :2], verbose=0)
    model.save(tmp_path / "model")
    again = nacre.models.load_model(tmp_path / "model")
    assert np.array_equal(model.predict([A, B], verbose=0), again.predict([A, B], verbose=0))


def described(arguments: dict[str, Any], function: str = "maximum") -> dict[str, Any]:
    """What a model file says of a model with one operation."""
    x = Input((3,))
    config = Model(x, nacre.ops.maximum(x, 0.5)).get_config()
    config["layers"][1]["config"] |= {"function": function, "arguments": arguments}
    return config


@pytest.mark.parametrize(
    ("arguments", "function"),
    [
        ({"x1": {"input": 0}, "x2": {"input": 5}}, "maximum"),
        ({"x1": {"input": 0}, "x2": {"input": -1}}, "maximum"),
        ({"x1": {"input": 0}, "x2": {"input": float("inf")}}, "maximum"),
        ({"x1": {"input": 0}, "x2": {"array": 2**70, "dtype": "int32"}}, "maximum"),
        ({"x1": {"input": 0}, "x2": {"array": 0, "dtype": "(400000000,)f4"}}, "maximum"),
        ({"x1": {"input": 0}, "x2": {"array": "a", "dtype": "U300000000"}}, "maximum"),
        ({"x1": {"input": 0}, "x2": {"call": "os.system"}}, "maximum"),
        ({"seed": 7}, "set_random_seed"),
        ({"start": 0, "stop": 1, "num": 10**10}, "linspace"),
        ({"x": {"input": 0}, "key": 10**30}, "getitem"),
        ({"x": {"input": 0}, "pad_width": float("inf")}, "pad"),
        ({"x": {"input": 0}}, "no such thing"),
    ],
)
def test_a_file_with_nonsense_for_an_operation_is_refused(
    arguments: dict[str, Any], function: str, tmp_path: Path
) -> None:
    x = Input((3,))
    model = Model(x, nacre.ops.maximum(x, 0.5))
    model.save(tmp_path / "model")
    tensors, metadata = safetensors.read(tmp_path / "model")
    said = json.loads(metadata["nacre"])
    said["architecture"]["config"] = described(arguments, function)
    safetensors.write(tmp_path / "model", tensors, {"nacre": json.dumps(said)})
    nacre.utils.set_random_seed(3)
    before = nacre.ops.next_seed()
    nacre.utils.set_random_seed(3)
    with pytest.raises(ModelFileError):
        nacre.models.load_model(tmp_path / "model")
    assert nacre.ops.next_seed() == before


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Model(Input((3,)), layers.Dense(2)(Input((3,)))), UsageError, "not an input"),
        (lambda: Model([], layers.Dense(2)(Input((3,)))), UsageError, "inputs of a model"),
        (lambda: Model(layers.Dense(2)(Input((3,))), layers.Dense(2)(Input((3,)))), UsageError, "begins with"),
        (lambda: Model(Input((3,)), 5), UsageError, "outputs of a model"),
        (lambda: layers.Add()([Input((3,)), Input((4,))]), ShapeError, "cannot join"),
        (lambda: layers.Add()([Input((3,))]), UsageError, "at least 2"),
        (lambda: layers.Subtract()([Input((3,))] * 3), UsageError, "joins 2"),
        (lambda: layers.Concatenate()([Input((3,)), Input((3, 2))]), ShapeError, "axis -1"),
        (lambda: layers.Concatenate(axis=0), UsageError, "batch"),
        (lambda: layers.Dot(axes=2), UsageError, "features"),
        (lambda: layers.Dot(axes=1)([Input((3,)), Input((4,))]), ShapeError, "two inputs"),
        (lambda: layers.Dense(3)("text"), DTypeError, "not made of numbers"),
        (lambda: nacre.ops.sum(Input((3,))), UsageError, "mixes the rows"),
        (lambda: nacre.ops.softmax(Input((3,)), axis=0), UsageError, "mixes the rows"),
        (lambda: Input((3,)) - nacre.ops.mean(Input((3,)), axis=0, keepdims=True), UsageError, "mixes the rows"),
        (lambda: nacre.ops.split(Input((4,)), 2, axis=1), Limitation, "one output"),
        (lambda: nacre.ops.exp(Input((3,)), other=object()), UsageError, "got object"),
        (lambda: nacre.ops.cumsum(Input((3,)), axis=0), UsageError, "mixes the rows"),
        (lambda: nacre.ops.tril(Input((3,))), UsageError, "mixes the rows"),
        (lambda: nacre.ops.maximum(Input((3,)), 0.5, 7), TypeError, "2 operands"),
        (lambda: nacre.ops.power(Input((3,)), 0.5, 7), TypeError, "positional"),
        (lambda: Input((3,))[:, [0, 2]], Limitation, "take"),
    ],
)
def test_mistakes_are_named(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()
