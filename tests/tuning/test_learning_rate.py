"""Does the search for a learning rate find one that trains, and leave everything as it was?"""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre.errors import DataError, NonFiniteLossError, NotBuiltError, UsageError

RNG = np.random.default_rng(2)
X = RNG.normal(size=(300, 4))
Y = X @ RNG.normal(size=(4, 1)) + 1


def _model(optimizer="sgd"):
    nacre.utils.set_random_seed(8)
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(16, activation="tanh"), nacre.layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_suggestion_trains_well(optimizer):
    found = nacre.find_learning_rate(_model(optimizer), X, Y)
    model = _model(optimizer)
    model.optimizer.learning_rate = found.suggestion
    losses = model.fit(X, Y, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    assert found.rates[0] == pytest.approx(1e-6)
    np.testing.assert_allclose(np.diff(np.log(found.rates)), np.log(1e7) / 99)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 100
    assert f"{found.suggestion:.1g}" in str(found)


def test_it_stops_when_the_loss_blows_up():
    found = nacre.find_learning_rate(_model(), X, Y, highest=1e6)
    assert len(found.rates) < 100
    assert np.isfinite(found.losses).all()


def test_the_model_stays_as_it_was():
    model = _model("adam")
    model.fit(X, Y, epochs=2, verbose=0)
    before, rate, seed = model.get_weights(), model.optimizer.learning_rate, model._seed
    nacre.find_learning_rate(model, X, Y, steps=20)
    assert (model.optimizer.learning_rate, model.optimizer.iterations, model._seed) == (rate, 20, seed)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_the_same_every_time_and_takes_lists_and_few_rows():
    a, b = (nacre.find_learning_rate(_model(), X[:5].tolist(), Y[:5].tolist(), steps=30) for _ in range(2))
    np.testing.assert_array_equal(a.losses, b.losses)


def test_a_model_that_cannot_be_copied_is_named_so():
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(1, activation=lambda x: x * x)])
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match="cannot be copied"):
        nacre.find_learning_rate(model, X, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"lowest": 0}, UsageError, "positive number to a larger"),
        ({"lowest": 1, "highest": 0.1}, UsageError, "positive number to a larger"),
        ({"steps": 1}, UsageError, "steps is a whole number from 2"),
        ({"batch_size": 0}, UsageError, "batch_size is a whole number from 1"),
        ({"model": "model"}, UsageError, "compiled model"),
        ({"model": nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(1)])}, NotBuiltError, "compile"),
        ({"y": Y[:7]}, DataError, "7"),
        (
            {"model": _model(nacre.optimizers.SGD(nacre.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)))},
            UsageError,
            "ExponentialDecay",
        ),
        ({"y": 1e30 * Y}, NonFiniteLossError, "to begin with"),
    ],
)
def test_mistakes_are_explained(arguments, error, message):
    with pytest.raises(error, match=message):
        nacre.find_learning_rate(**{"model": _model(), "x": X, "y": Y} | arguments)
