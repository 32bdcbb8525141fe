"""Layers that join others, as functions; and models inside models one behind the other."""

from __future__ import annotations

import numpy as np
import pytest

from nacre import Input, Model, Sequential, layers
from nacre.errors import UsageError
from nacre.ops import matmul

X = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")


@pytest.mark.parametrize("name", ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"])
def test_a_join_as_a_function_is_the_layer_called(name):
    kind = name.title()
    settings = {"axes": -1} if name == "dot" else {}
    x = Input((4,))
    both = [x, x * 2.0 - 1.0]
    called = getattr(layers, name)(both, name="join")
    assert (type(called.layer).__name__, called.layer.name) == (kind, "join")
    again = getattr(layers, kind)(**settings)(both)
    np.testing.assert_array_equal(Model(x, called).predict(X), Model(x, again).predict(X))


def test_a_model_in_a_model_one_behind_the_other_shares_its_weights():
    inner = Sequential([Input((4,)), layers.Dense(3, name="scores")])
    outer = Sequential([inner, layers.Softmax()])
    assert outer.weights[0] is inner.weights[0]
    np.testing.assert_allclose(outer.predict(X).sum(-1), 1, rtol=1e-6)
    with pytest.raises(UsageError, match="called 'sequential'"):
        Sequential([Input((4,)), layers.Dense(4, name="sequential"), inner])
    late = Sequential([Sequential([layers.Dense(3)])])
    assert not late.built
    assert late.predict(X).shape == (len(X), 3)


def test_a_model_that_is_frozen_keeps_its_weights():
    model = Sequential([Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (4, 2)
    model.trainable = False
    assert not model.trainable
    assert (len(model.trainable_weights), len(model.non_trainable_weights)) == (0, 6)


def test_weights_without_a_name_are_numbered():
    class Own(layers.Layer):
        def build(self, input_shape):
            self.w, self.b = self.add_weight((4, 2)), self.add_weight((2,))

        def call(self, x):
            return matmul(x, self.w) + self.b

    model = Sequential([Input((4,)), Own()])
    assert [w.name for w in model.weights] == ["own/weight", "own/weight_1"]
    model.compile("sgd", "mse")
    model.fit(X, X[:, :2], verbose=0)


def test_a_description_of_a_functional_model_is_read_by_the_class_that_made_it():
    x = Input((4,))
    config = Model(x, layers.Dense(2)(x)).get_config()
    assert Model.from_config(config).get_config() == config
