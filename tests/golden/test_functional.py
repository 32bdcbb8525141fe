"""Layers that join, and models of branches, shared layers and other models, train as they do in Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Model, Sequential, layers
from nacre.errors import Limitation, ShapeError, UsageError

KERAS = json.loads((Path(__file__).parent / "functional.json").read_text())
A, B, X, Y = (np.asarray(KERAS[name], "float32") for name in "abxy")


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("name", KERAS["outputs"])
def test_a_layer_that_joins_gives_what_it_gives_in_keras(name: str, backend: str) -> None:
    case = KERAS["outputs"][name]
    both = Input((6,))
    # A model has one input: its halves are cut out by products with constants.
    halves = []
    for first in (0, 3):
        half = layers.Dense(3, use_bias=False)
        halves.append(half(both))
        half.set_weights([np.eye(6, dtype="float32")[:, first : first + 3]])
    model = Model(both, getattr(layers, name)(**case["config"])(halves))
    model.compile("sgd", "mse", backend=backend)
    assert np.allclose(model.predict(np.concatenate([A, B], 1), verbose=0), case["y"], rtol=1e-6, atol=1e-6)


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


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_functional_model_trains_as_in_keras(backend: str) -> None:
    model = begun()
    model.compile(nacre.optimizers.SGD(0.05, momentum=0.5), "mse", backend=backend)
    history = model.fit(X, Y, batch_size=4, epochs=5, shuffle=False, verbose=0).history
    assert np.allclose(history["loss"], KERAS["training"]["loss"], rtol=1e-5)
    assert {w.name for w in model.weights} == set(KERAS["training"]["end"])
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
    model.compile(nacre.optimizers.AdamW(0.01, clipnorm=1.0), "mse", ["mae"])
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
    middle = Model(model._input, model.get_layer("between")(model.get_layer("shared")(model._input)))
    x = Input((5,))
    outer = Model(x, layers.Dense(1)(model(x)))
    before = middle.predict(X, verbose=0)
    outer.compile("sgd", "mse")
    outer.fit(X, Y[:, :1], verbose=0)
    assert not np.array_equal(before, middle.predict(X, verbose=0))
    assert outer.get_layer("shared") is middle.get_layer("shared")


def test_layers_without_a_name_get_one_that_no_other_has() -> None:
    x = Input((3,))
    y = layers.Dense(3)(layers.Dense(3)(layers.Dense(3, name="dense_1")(x)))
    model = Model(inputs=x, outputs=y)
    assert [layer.name for layer in model.layers] == ["dense_1", "dense", "dense_2"]
    assert [w.name for w in model.weights][::2] == ["dense_1/kernel", "dense/kernel", "dense_2/kernel"]
    assert repr(model) == "<Functional 'functional': 3 layers>"


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: Model(Input((3,)), layers.Dense(2)(Input((3,)))), UsageError, "not the input"),
        (lambda: Model([Input((3,)), Input((3,))], layers.Dense(2)(Input((3,)))), Limitation, "one input"),
        (lambda: Model(layers.Dense(2)(Input((3,))), layers.Dense(2)(Input((3,)))), UsageError, "begins with"),
        (lambda: Model(Input((3,)), 5), UsageError, "output of a model"),
        (lambda: layers.Add()([Input((3,)), Input((4,))]), ShapeError, "cannot join"),
        (lambda: layers.Add()([Input((3,))]), UsageError, "at least 2"),
        (lambda: layers.Subtract()([Input((3,))] * 3), UsageError, "joins 2"),
        (lambda: layers.Concatenate()([Input((3,)), Input((3, 2))]), ShapeError, "axis -1"),
        (lambda: layers.Concatenate(axis=0), UsageError, "batch"),
        (lambda: layers.Dot(axes=2), UsageError, "features"),
        (lambda: layers.Dot(axes=1)([Input((3,)), Input((4,))]), ShapeError, "two inputs"),
        (lambda: layers.Dense(3)(np.ones((3, 3))), UsageError, "nacre.Input"),
    ],
)
def test_mistakes_are_named(make: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        make()
