"""Layers of one's own that are made of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Sequential, layers
from nacre.errors import UsageError
from nacre.ir import Value

X = np.random.default_rng(0).standard_normal((40, 6)).astype("float32")
Y = X[:, :1] * 2 - X[:, 1:2]


class Block(layers.Layer):
    """As one would write it for Keras."""

    def __init__(self, units: int, depth: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden = [layers.Dense(units, "tanh") for _ in range(depth)]
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.5)
        self.end = layers.Dense(units, name="end")

    def call(self, x: Value) -> Value:
        for layer in self.hidden:
            x = layer(x)
        return layers.ReLU()(self.end(self.drop(self.norm(x))))


class Later(layers.Layer):
    """Makes its layers when it knows its input."""

    def build(self, input_shape: Any) -> None:
        self.block = Block(int(input_shape[-1]), depth=1)

    def call(self, x: Value) -> Value:
        return x + self.block(x)


def trained(*parts: Any) -> tuple[Sequential, list[Any]]:
    nacre.utils.set_random_seed(0)
    model = Sequential([Input((6,)), *parts, layers.Dense(1)])
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(X, Y, epochs=3, verbose=0)
    return model, before


def test_layers_that_a_layer_keeps_are_trained_with_it() -> None:
    model, before = trained(Block(6), Block(6))
    names = [w.name for w in model.weights]
    assert names[:4] == ["block/dense/kernel", "block/dense/bias", "block/dense_1/kernel", "block/dense_1/bias"]
    assert "block_1/end/kernel" in names
    assert "block/batch_normalization/moving_mean" in names
    for name, old, new in zip(names, before, model.get_weights(), strict=True):
        assert not np.array_equal(old, new), name
    assert model.count_params() == sum(w.size for w in before)


def test_what_is_not_said_of_training_is_as_in_the_call_around() -> None:
    model, _ = trained(Block(6))
    assert np.array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))
    model.optimizer.learning_rate = 0.0
    losses = {model.train_on_batch(X, Y) for _ in range(4)}
    assert len(losses) == 4  # other units are left out each time


def test_layers_made_in_build_are_kept_too_and_draw_numbers_of_their_own() -> None:
    model, before = trained(Later(), Later())
    assert all(not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    names = [w.name for w in model.weights]
    assert len(set(names)) == len(names)
    assert names[0] == "later/block/dense/kernel"
    streams = [part.stream for layer in model.layers for part in layer.all()]
    assert len(set(streams)) == len(streams)


def test_frozen_layers_freeze_what_is_inside() -> None:
    model, before = trained(Block(6, trainable=False))
    assert all(np.array_equal(a, b) for a, b in zip(before[:-2], model.get_weights()[:-2], strict=True))


class Loose(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = ({"a": layers.Dense(3)},)

    def call(self, x: Value) -> Value:
        return self.parts[0]["a"](x)


class Early(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        self.part = layers.Dense(3)
        super().__init__(**kwargs)


class Twice(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.a, self.b = layers.Dense(3, name="part"), layers.Dense(3, name="part")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sequential([Input((6,)), Loose()]), "does not keep it"),
        (lambda: Early(), "super"),
        (lambda: Twice(), "called 'part'"),
    ],
)
def test_mistakes_are_named(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()
