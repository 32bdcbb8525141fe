"""Units by what they answer to, against NumPy."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nacre
from nacre.errors import DataError, UnknownName, UsageError
from nacre.insight import activations, exciting, selectivity
from nacre.layers import Dense

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(1500, 4))  # more than one block of rows
Y = RANDOM.integers(0, 3, 1500)


@pytest.fixture
def model():
    model = nacre.Sequential([nacre.Input((4,)), Dense(5, "relu", name="hidden"), Dense(3, "softmax", name="out")])
    kernel, bias, *_ = model.get_weights()
    kernel[:, 3], kernel[:, 4], bias[3] = 0, 2 * kernel[:, 1], -1  # unit 3 is dead, and 4 does twice what 1 does
    model.set_weights([kernel, bias, *model.get_weights()[2:]])
    return model


def _hidden(model):
    kernel, bias = model.get_weights()[:2]
    return np.maximum(X @ kernel + bias, 0)


def test_units_give_what_numpy_says_and_scores_instead_of_probabilities(model):
    found = activations(model, X)
    np.testing.assert_allclose(found["hidden"], _hidden(model), rtol=1e-5, atol=1e-6)
    kernel, bias = model.get_weights()[2:]
    np.testing.assert_allclose(found["out"], _hidden(model) @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_exciting_rows_are_the_largest_activations(model):
    found, expected = exciting(model, X, "hidden", top=4), _hidden(model)
    for unit in (0, 1, 2, 4):
        assert set(found.rows[unit]) == set(np.argsort(expected[:, unit])[-4:])
        np.testing.assert_allclose(found.activations[unit], np.sort(expected[:, unit])[::-1][:4], rtol=1e-5)
    assert str(found).count("\n") == 2 + 5


def test_selectivity_is_the_index_of_means(model):
    found, hidden = selectivity(model, X, Y, "hidden", ["a", "b", "c"]), _hidden(model)
    for unit in (0, 1, 2, 4):
        means = np.array([hidden[k == Y, unit].mean() for k in range(3)])
        best, others = means.max(), np.sort(means)[:2].mean()
        assert found.index[unit] == pytest.approx((best - others) / (best + others), rel=1e-4)
        assert found.preferred[unit] == means.argmax()
        np.testing.assert_allclose(found.means[unit], means, rtol=1e-5)


def test_dead_units_and_duplicates_are_named(model):
    found = selectivity(model, X, Y, "hidden")
    assert found.dead.tolist() == [3]
    assert found.duplicates == [(1, 4)]
    assert "dead        3\nduplicates  1 and 4" in str(found)
    assert json.loads(json.dumps(found.document()))["duplicates"] == [[1, 4]]


def test_a_unit_that_answers_to_one_class_alone_has_selectivity_1_also_if_it_gives_negative_numbers():
    model = nacre.Sequential([nacre.Input((1,)), Dense(1, kernel_initializer="ones", name="only")])
    x, y = np.array([[5.0], [5.0], [-2.0], [-2.0], [-2.0]]), np.array([4, 4, 1, 1, 7])  # classes with gaps
    found = selectivity(model, x, y, "only")
    assert found.index.tolist() == [1.0]
    assert found.preferred.tolist() == [4]


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(UnknownName, match="hiden"):
        exciting(model, X, "hiden")
    with pytest.raises(DataError, match="not two"):
        selectivity(model, X, np.zeros(1500, int), "hidden")
    with pytest.raises(DataError, match="each row"):
        selectivity(model, X, Y[:7], "hidden")
    with pytest.raises(DataError, match="2 names"):
        selectivity(model, X, Y, "hidden", ["a", "b"])
    with pytest.raises(UsageError, match="top"):
        exciting(model, X, "hidden", top=0)


def test_several_inputs_may_be_a_list_or_a_dictionary():
    a, b = nacre.Input((4,), name="a"), nacre.Input((4,), name="b")
    model = nacre.Model([a, b], Dense(3, "relu", name="both")(nacre.layers.Add()([a, b])))
    expected = model.get_layer("both").get_weights()[0]
    expected = np.maximum((X + 2 * X) @ expected, 0)
    for given in ([X, 2 * X], {"a": X, "b": 2 * X}):
        np.testing.assert_allclose(activations(model, given)["both"], expected, rtol=1e-4, atol=1e-5)


def test_a_layer_that_is_applied_at_several_places_answers_with_the_largest():
    model = nacre.Sequential([nacre.Input((2, 4)), Dense(5, "relu", name="places"), nacre.layers.Flatten(), Dense(3)])
    x = X[:20].reshape(10, 2, 4)
    found = activations(model, x)["places"]
    kernel = model.get_weights()[0]
    np.testing.assert_allclose(found, np.maximum(x @ kernel, 0).max(1), rtol=1e-4, atol=1e-5)
    assert selectivity(model, x, np.arange(10) % 2, "places").index.shape == (5,)
