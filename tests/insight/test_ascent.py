"""Activation maximization and attributions, against what algebra and finite differences say."""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre.errors import Limitation, UnknownName, UsageError
from nacre.insight import gradient_times_input, maximize
from nacre.layers import Dense, Flatten, Rescaling

RANDOM = np.random.default_rng(0)


@pytest.fixture
def deep():
    layers = [
        nacre.Input((3, 4)),
        Rescaling(0.5),
        Flatten(),
        Dense(16, "relu", name="hidden"),
        Dense(5, "softmax", name="out"),
    ]
    return nacre.Sequential(layers)


def _scores(model, x):
    """Before the softmax, in float64."""
    a, b, c, d = (w.astype(np.float64) for w in model.get_weights())
    return np.maximum(0.5 * x.reshape(len(x), -1) @ a + b, 0) @ c + d


def test_what_a_linear_unit_likes_best_is_its_weights_at_full_length(deep):
    found = maximize(deep, "hidden", steps=200)
    kernel = deep.get_weights()[0].T.reshape(-1, 3, 4)
    norms = np.linalg.norm(kernel.reshape(16, -1), axis=1)[:, None, None]
    np.testing.assert_allclose(found.inputs, np.sqrt(12) * kernel / norms, atol=0.02)
    np.testing.assert_allclose(found.activations[:, -1], 0.5 * np.sqrt(12) * norms[:, 0, 0], rtol=1e-3)


def test_the_score_of_an_output_climbs_to_more_than_any_row_gives(deep):
    rows = RANDOM.uniform(0, 1, size=(500, 3, 4))
    found = maximize(deep, units=[4, 1], x=rows)
    assert found.activations.shape == (2, 101)
    np.testing.assert_allclose(
        found.activations[:, 0], _scores(deep, rows.mean(0)[None])[0, [4, 1]], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(found.activations[:, -1], _scores(deep, found.inputs).T[[4, 1], [0, 1]], rtol=1e-4)
    assert (found.activations[:, -1] > _scores(deep, rows)[:, [4, 1]].max(0)).all()
    assert min(rows.min(), 0) - 1e-6 <= found.inputs.min() < found.inputs.max() <= rows.max() + 1e-6
    largest = np.linalg.norm(rows.reshape(500, -1), axis=1).mean()
    assert (np.linalg.norm(found.inputs.reshape(2, -1), axis=1) <= largest * (1 + 1e-6)).all()


def test_maximizing_is_the_same_every_time_and_a_dead_unit_stays_where_it_is(deep):
    np.testing.assert_array_equal(maximize(deep).inputs, maximize(deep).inputs)
    weights = deep.get_weights()
    deep.set_weights([weights[0] * 0, *weights[1:]])
    assert np.ptp(maximize(deep, "hidden", 0, steps=5).activations) == 0


def test_attributions_of_a_linear_model_and_its_bias_add_up_to_the_score():
    model = nacre.Sequential([nacre.Input((6,)), Dense(4, "softmax", bias_initializer="random_normal")])
    kernel, bias = model.get_weights()
    x = RANDOM.normal(size=(30, 6))
    y = RANDOM.integers(0, 4, 30)
    found = gradient_times_input(model, x, y)
    np.testing.assert_allclose(found.values, x * kernel.T[y], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.values.sum(1) + bias[y], found.scores, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.rest, bias[y], atol=1e-5)
    np.testing.assert_array_equal(gradient_times_input(model, x).units, (x @ kernel + bias).argmax(1))


def test_attributions_are_gradient_times_input_by_finite_differences(deep):
    x, y = RANDOM.normal(size=(2, 3, 4)), np.array([3, 0])
    found = gradient_times_input(deep, x, y)
    for place in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[place] = 1e-6
        slope = (_scores(deep, x + step) - _scores(deep, x - step))[[0, 1], y] / 2e-6
        np.testing.assert_allclose(
            found.values[(slice(None), *place)], slope * x[(slice(None), *place)], rtol=1e-3, atol=1e-5
        )


def test_what_does_not_fit_is_refused(deep):
    with pytest.raises(UnknownName, match="hiden"):
        maximize(deep, "hiden")
    with pytest.raises(UsageError, match="0 to 4, got 5"):
        maximize(deep, units=5)
    with pytest.raises(UsageError, match="as the model takes them"):
        maximize(deep, x=np.zeros((3, 12)))
    with pytest.raises(UsageError, match="a class from 0 to 4"):
        gradient_times_input(deep, np.zeros((2, 3, 4)), [0, 7])
    a, b = nacre.Input((2,)), nacre.Input((2,))
    with pytest.raises(Limitation, match="several inputs"):
        maximize(nacre.Model([a, b], nacre.layers.Add()([a, b])))


@pytest.mark.parametrize("dtype", ["int32", None])
def test_numbers_of_terms_have_no_gradient(dtype):
    model = nacre.Sequential(
        [nacre.Input((4,), dtype=dtype), nacre.layers.Embedding(9, 3), nacre.layers.Flatten(), nacre.layers.Dense(2)]
    )
    for asked in (maximize, lambda model: gradient_times_input(model, np.ones((2, 4)))):
        with pytest.raises(Limitation, match="no gradient"):
            asked(model)


def test_where_all_inputs_are_far_from_0_the_norm_is_still_kept():
    model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    model.set_weights([[[1.0], [0.2]], [0.0]])
    rows = np.array([[4.0, 5.0], [6.0, 5.0]])
    (found,) = maximize(model, x=rows).inputs
    assert np.linalg.norm(found) <= np.linalg.norm(rows, axis=1).mean() + 1e-4
    assert found.max() <= 6 + 1e-6
