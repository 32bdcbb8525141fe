"""Scores: what the activation at the end of a model is applied to."""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre import layers
from nacre.errors import UsageError


def _softmax(scores):
    powers = np.exp(scores.astype(np.float64) - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_the_softmax_of_the_scores_is_the_prediction(data, make):
    x, y = data
    model = make()
    model.fit(x, y, epochs=2, verbose=0)
    scores = model.predict_scores(x)
    first, last = model.layers[0].get_weights(), model.layers[-1].get_weights()
    hidden = np.tanh(x.astype(np.float64) @ first[0] + first[1])
    assert np.abs(scores - (hidden @ last[0] + last[1])).max() < 1e-5
    assert np.abs(_softmax(scores) - model.predict(x)).max() < 1e-6


def test_a_row_has_the_same_scores_whatever_is_beside_it(data, make):
    x, _ = data
    model = make()
    scores = model.predict_scores(x)
    assert (model.predict_scores(x, batch_size=7) == scores).all()
    assert (model.predict_scores(x[3:4]) == scores[3:4]).all()


@pytest.mark.parametrize("ending", [[layers.Softmax()], [layers.Activation("softmax")]])
def test_an_activation_may_be_a_layer_of_its_own(ending):
    stack = nacre.Sequential([nacre.Input((2,)), layers.Dense(3), *ending])
    x = np.ones((4, 2), np.float32)
    assert np.abs(_softmax(stack.predict_scores(x)) - stack.predict(x)).max() < 1e-6


def test_a_model_inside_another_one_may_be_what_ends_it():
    inner = nacre.Sequential([nacre.Input((3,)), layers.Dense(2, "sigmoid")])
    model = nacre.Sequential([nacre.Input((2,)), layers.Dense(3), inner])
    x = np.array([[1.0, -2.0]], np.float32)
    assert np.abs(1 / (1 + np.exp(-model.predict_scores(x))) - model.predict(x)).max() < 1e-6


def test_several_outputs_have_scores_each():
    x = nacre.Input((2,))
    model = nacre.Model(x, {"a": layers.Dense(3, "softmax")(x), "b": layers.Dense(1, "sigmoid")(x)})
    rows = np.ones((4, 2), np.float32)
    scores, outputs = model.predict_scores(rows), model.predict(rows)
    assert np.abs(_softmax(scores["a"]) - outputs["a"]).max() < 1e-6
    assert np.abs(1 / (1 + np.exp(-scores["b"])) - outputs["b"]).max() < 1e-6


@pytest.mark.parametrize("ending", [[], [layers.Dense(3, "softmax", name="out"), layers.Rescaling(2.0)]])
def test_a_model_without_an_activation_at_its_end_is_refused(ending):
    model = nacre.Sequential([nacre.Input((2,)), layers.Dense(3), *ending])
    with pytest.raises(UsageError, match="does not end in an activation"):
        model.predict_scores(np.ones((1, 2)))
