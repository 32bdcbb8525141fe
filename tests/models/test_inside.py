"""What goes on inside a network, against arithmetic and against the gradients of weights."""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre.layers import Activation, BatchNormalization, Dense, Dropout

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 5)).astype(np.float32)
Y = RANDOM.integers(0, 3, 7)


@pytest.fixture
def model() -> nacre.Sequential:
    nacre.utils.set_random_seed(1)
    layers = [
        nacre.Input((5,)),
        Dense(4, "tanh", name="hidden"),
        Dense(3, name="scores"),
        Activation("softmax", name="out"),
    ]
    model = nacre.Sequential(layers)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_calls_hand_on_what_they_give(model: nacre.Sequential) -> None:
    hidden, scores, out = model.inside(X, Y).calls[1:]
    kernel, bias = model.get_weights()[:2]
    np.testing.assert_allclose(hidden.scores, X @ kernel + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hidden.output, np.tanh(hidden.scores), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(scores.inputs[0], hidden.output)
    np.testing.assert_array_equal(out.output, model.predict(X))


def test_the_error_of_scores_is_probability_less_truth(model: nacre.Sequential) -> None:
    out = model.inside(X, Y)["out"]
    np.testing.assert_allclose(out.score_error, out.output - np.eye(3)[Y], atol=1e-6)


def test_the_gradient_of_a_weight_is_input_times_error(model: nacre.Sequential) -> None:
    hidden = model.inside(X, Y)["hidden"]
    found = model.gradients(X, Y, per_sample=True)["hidden/kernel"]
    np.testing.assert_allclose(np.einsum("ni,nj->nij", X, hidden.score_error), found, rtol=1e-5, atol=1e-7)


def test_losses_and_norms_are_those_of_each_row_alone(model: nacre.Sequential) -> None:
    inside = model.inside(X, Y, layers=False)
    assert inside.calls == []
    np.testing.assert_allclose(inside.losses, -np.log(model.predict(X)[np.arange(7), Y]), rtol=1e-5)
    for name, found in model.gradients(X, Y, per_sample=True).items():
        wanted = np.sqrt((found.reshape(7, -1).astype(float) ** 2).sum(1))
        np.testing.assert_allclose(inside.norms[name], wanted, rtol=1e-5)


def test_training_shows_the_batch_of_the_next_step() -> None:
    layers = [nacre.Input((5,)), BatchNormalization(name="norm"), Dropout(0.5, name="drop"), Dense(3, name="scores")]
    model = nacre.Sequential(layers)
    model.compile("sgd", nacre.losses.SparseCategoricalCrossentropy(from_logits=True))
    inside = model.inside(X, Y, training=True)
    np.testing.assert_allclose(inside["norm"].output.mean(axis=0), 0, atol=1e-5)
    assert (inside["drop"].output == 0).any()
    for name, found in model.gradients(X, Y, training=True).items():
        np.testing.assert_allclose(inside.norms[name], np.linalg.norm(found), rtol=1e-5)


def test_a_layer_called_twice_is_there_twice_and_without_targets_there_are_no_errors() -> None:
    shared = Dense(5, name="shared")
    x = nacre.Input((5,))
    inside = nacre.Model(x, shared(shared(x))).inside(X)
    assert [call.name for call in inside.calls][1:] == ["shared", "shared (2)"]
    assert inside["shared"].error is None
    assert not len(inside.losses)
    assert inside.norms == {}
