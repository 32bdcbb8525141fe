"""Beside scikit-learn's own: the same weights to begin with, the same steps, the same end."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import neural_network as own
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_moons, make_multilabel_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler, scale

import nacre.sklearn

DIGITS = tuple(part[:600] for part in load_digits(return_X_y=True))
DIGITS = DIGITS[0] / 16, DIGITS[1]
IRIS = load_iris(return_X_y=True)
MOONS = make_moons(300, noise=0.2, random_state=0)
LABELS = make_multilabel_classification(200, random_state=0)
LABELS = scale(LABELS[0]), LABELS[1]
DIABETES = tuple(scale(part) for part in load_diabetes(return_X_y=True))
COUNTS = DIABETES[0], np.round(np.exp(DIABETES[1] / 2))
WEIGHTS = np.random.default_rng(0).uniform(0, 2, 300)

SGD = {"solver": "sgd", "learning_rate_init": 0.1}
CASES = {
    "adam": ("MLPClassifier", DIGITS, {"alpha": 0.1}),
    "sgd": ("MLPClassifier", DIGITS, {**SGD, "activation": "tanh", "nesterovs_momentum": False}),
    "invscaling": ("MLPClassifier", DIGITS, {**SGD, "learning_rate": "invscaling", "power_t": 0.3}),
    "adaptive": ("MLPClassifier", IRIS, {**SGD, "learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 2}),
    "until the loss stays": ("MLPClassifier", IRIS, {"activation": "logistic", "tol": 1e-3, "learning_rate_init": 0.1}),
    "early stopping": ("MLPClassifier", MOONS, {"activation": "identity", "early_stopping": True}),
    "several layers": ("MLPClassifier", MOONS, {"hidden_layer_sizes": (9, 7), "batch_size": 50, "activation": "tanh"}),
    "labels": ("MLPClassifier", LABELS, {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3}),
    "no hidden layer": ("MLPClassifier", IRIS, {"hidden_layer_sizes": ()}),
    "numbers": ("MLPRegressor", DIABETES, {"batch_size": 221}),
    "numbers, early stopping": ("MLPRegressor", DIABETES, {"early_stopping": True, "tol": 1e-2}),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", CASES)
def test_losses_steps_and_weights_are_those_of_scikit_learn(case):
    name, (X, y), settings = CASES[case]
    settings = {"max_iter": 40, "shuffle": False, "random_state": 3, **settings}
    theirs, ours = (getattr(room, name)(**settings).fit(X, y) for room in (own, nacre.sklearn))
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=2e-4)
    for kind in ("coefs_", "intercepts_"):
        for mine, other in zip(getattr(ours, kind), getattr(theirs, kind), strict=True):
            np.testing.assert_allclose(mine, other, atol=3e-3)
    for figure in ("t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, figure) == getattr(theirs, figure)
    for figure in ("loss_", "best_loss_", "best_validation_score_"):
        mine, other = getattr(ours, figure), getattr(theirs, figure)
        assert (mine is other is None) or mine == pytest.approx(other, rel=1e-3)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-2)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), abs=1e-3)


def test_weights_of_rows_count_as_with_scikit_learn():
    settings = {"max_iter": 30, "random_state": 0, "batch_size": 300, "alpha": 5.0, "tol": 1.0, "n_iter_no_change": 20}
    theirs, ours = (room.MLPClassifier(**settings).fit(*MOONS, sample_weight=WEIGHTS) for room in (own, nacre.sklearn))
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(ours.predict_proba(MOONS[0]), theirs.predict_proba(MOONS[0]), atol=1e-5)
    np.testing.assert_allclose(ours.predict_log_proba(MOONS[0]), theirs.predict_log_proba(MOONS[0]), atol=1e-4)


def test_the_loss_for_counts_differs_by_what_no_weight_can_change():
    y = COUNTS[1]
    settings = {
        "loss": "poisson",
        "max_iter": 20,
        "random_state": 0,
        "batch_size": 442,
        "tol": 1.0,
        "n_iter_no_change": 15,
    }
    theirs, ours = (room.MLPRegressor(**settings).fit(*COUNTS) for room in (own, nacre.sklearn))
    constant = np.mean(y * np.log(np.where(y > 0, y, 1)) - y)
    np.testing.assert_allclose(np.array(ours.loss_curve_) + constant, theirs.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(ours.predict(COUNTS[0]), theirs.predict(COUNTS[0]), rtol=1e-4)


def test_several_numbers_are_learned_as_by_scikit_learn():
    X, y = DIABETES[0], np.column_stack([DIABETES[1], DIABETES[1] ** 2, DIABETES[0][:, 2]])
    settings = {"max_iter": 30, "random_state": 0, "shuffle": False, "batch_size": 221, "tol": 0, "alpha": 1.0}
    settings |= {"early_stopping": True, "validation_fraction": 0.5, "n_iter_no_change": 30}
    with pytest.warns(UserWarning, match="converged"):
        theirs, ours = (room.MLPRegressor(**settings).fit(X, y) for room in (own, nacre.sklearn))
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-4)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-3)


def test_lbfgs_ends_where_scikit_learn_s_does():
    settings = {"solver": "lbfgs", "hidden_layer_sizes": (), "alpha": 1.0, "max_iter": 1000, "random_state": 0}
    theirs, ours = (room.MLPClassifier(**settings).fit(scale(IRIS[0]), IRIS[1]) for room in (own, nacre.sklearn))
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-5)  # there is one minimum only
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], atol=1e-2)
    theirs, ours = (
        room.MLPRegressor(**settings).fit(*DIABETES, sample_weight=np.arange(442)) for room in (own, nacre.sklearn)
    )
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-5)
    np.testing.assert_allclose(ours.predict(DIABETES[0]), theirs.predict(DIABETES[0]), atol=3e-3)


# What scikit-learn's own examples do: how alpha smooths, how solvers compare, what units of the first layer see.
LBFGS = {"solver": "lbfgs", "hidden_layer_sizes": (10, 10), "max_iter": 2000}
QUALITY = {
    "moons, little alpha": ("MLPClassifier", MOONS, {**LBFGS, "alpha": 0.1}),
    "moons, much alpha": ("MLPClassifier", MOONS, {**LBFGS, "alpha": 10.0}),
    "iris, sgd": ("MLPClassifier", IRIS, {"solver": "sgd", "learning_rate_init": 0.2, "max_iter": 100}),
    "digits, adam": ("MLPClassifier", load_digits(return_X_y=True), {"hidden_layer_sizes": (40,), "max_iter": 40}),
    "diabetes, adam": ("MLPRegressor", DIABETES, {"hidden_layer_sizes": (20,), "max_iter": 100}),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:lbfgs failed to converge")
@pytest.mark.parametrize("case", QUALITY)
def test_on_rows_that_were_not_seen_it_is_as_good_as_scikit_learn_s(case):
    name, (X, y), settings = QUALITY[case]
    scores = []
    for seed in range(3):
        train, test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=seed)
        scaler = StandardScaler().fit(train)
        both = [getattr(room, name)(random_state=seed, **settings) for room in (own, nacre.sklearn)]
        scores.append([one.fit(scaler.transform(train), y_train).score(scaler.transform(test), y_test) for one in both])
    theirs, ours = np.mean(scores, axis=0)
    assert ours >= theirs - 0.01
    assert theirs > (0.3 if name == "MLPRegressor" else 0.8)
