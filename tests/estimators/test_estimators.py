"""Estimators in the hands of scikit-learn's users, and what they have more."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import nacre
from nacre.callbacks import EarlyStopping, LambdaCallback
from nacre.errors import DataError, NonFiniteLossError, UnknownName, UsageError
from nacre.sklearn import MLPClassifier, MLPRegressor, base

X, Y = load_iris(return_X_y=True)
NAMES = load_iris().target_names[Y]
MOONS = make_moons(120, noise=0.1, random_state=0)
QUICK = {"hidden_layer_sizes": (12,), "learning_rate_init": 0.03, "random_state": 0, "max_iter": 500}
LINE = np.linspace(-1, 1, 80).reshape(-1, 1)


def _same(one, other, rows=X):
    return np.array_equal(one.predict_proba(rows), other.predict_proba(rows))


# ------------------------------------------------------------------ in scikit-learn's hands


def test_classes_are_whatever_they_were_called():
    classifier = MLPClassifier(**QUICK).fit(X, NAMES)
    assert classifier.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert np.mean(classifier.predict(X) == NAMES) > 0.95
    np.testing.assert_allclose(classifier.predict_proba(X).sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(classifier.classes_[classifier.predict_proba(X).argmax(1)], classifier.predict(X))


def test_two_classes_have_two_probabilities():
    classifier = MLPClassifier(**QUICK).fit(*MOONS)
    p = classifier.predict_proba(MOONS[0])
    assert p.shape == (120, 2)
    assert [kernel.shape for kernel in classifier.coefs_] == [(2, 12), (12, 1)]
    assert np.mean((p[:, 1] > 0.5) == MOONS[1]) == classifier.score(*MOONS) > 0.95


def test_each_label_has_a_probability_of_its_own():
    labels = np.column_stack([Y == 0, Y == 2, X[:, 0] > 5.8]).astype(int)
    classifier = MLPClassifier(**QUICK, tol=1e-3).fit(X, labels)
    assert classifier.out_activation_ == "logistic"
    assert np.mean(classifier.predict(X) == labels) > 0.95
    np.testing.assert_array_equal(classifier.predict_proba(X) > 0.5, classifier.predict(X))


def test_pipelines_grids_and_folds_in_other_processes_work():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**QUICK, tol=1e-3))
    scores = cross_val_score(pipeline, X, NAMES, cv=3, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(pipeline, X, NAMES, cv=3))
    assert scores.mean() > 0.9
    grid = {"mlpclassifier__alpha": [1e-4, 100.0], "mlpclassifier__solver": ["adam", nacre.optimizers.Nadam(0.03)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, NAMES)
    assert search.best_params_["mlpclassifier__alpha"] == 1e-4
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("more", [{}, {"dropout": 0.3, "batch_norm": True}, {"solver": "lbfgs"}])
def test_a_random_state_repeats_to_the_bit(more):
    settings = {**QUICK, "batch_size": 40, "max_iter": 5, "tol": 1.0, "n_iter_no_change": 2, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first, second, other = (MLPClassifier(**{**settings, "random_state": s}).fit(X, Y) for s in (1, 1, 2))
    assert _same(first, second)
    assert not _same(first, other)


def test_pickles_and_copies_predict_and_train_the_same():
    classifier = MLPClassifier(**QUICK).partial_fit(X, NAMES, classes=np.unique(NAMES))
    again = [pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier), copy.copy(classifier)]
    assert all(_same(classifier, one) for one in again)
    expected = classifier.partial_fit(X, NAMES).predict_proba(X)
    for one in again[:2]:
        np.testing.assert_array_equal(one.partial_fit(X, NAMES).predict_proba(X), expected)


def test_a_clone_is_as_new():
    optimizer = nacre.optimizers.AdamW(0.01)
    classifier = MLPClassifier(**QUICK).set_params(solver=optimizer).fit(X, Y)
    assert optimizer.iterations == 0
    new = clone(classifier)
    with pytest.raises(NotFittedError):
        new.predict(X)
    assert not hasattr(new, "coefs_")
    assert _same(new.fit(X, Y), classifier)


def test_partial_fit_takes_one_epoch_at_a_time_and_goes_on():
    settings = {**QUICK, "batch_size": 50, "shuffle": False, "max_iter": 4, "tol": 0.0}
    with pytest.warns(ConvergenceWarning):
        whole = MLPClassifier(**settings).fit(X, Y)
    parts = MLPClassifier(**settings)
    for _ in range(4):
        parts.partial_fit(X, Y, classes=[0, 1, 2])
    assert _same(whole, parts)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 1
    assert parts.t_ == whole.t_ == 600


def test_parts_of_other_sizes_are_penalized_by_their_own_number_of_rows():
    regressor = MLPRegressor(hidden_layer_sizes=(), solver="sgd", momentum=0, learning_rate_init=0.1, alpha=8.0)
    regressor.partial_fit(LINE[:40], LINE[:40, 0])
    for rows in (LINE[:40], LINE[:10]):  # by hand, in float64
        w, b = regressor.coefs_[0].astype(float), regressor.intercepts_[0].astype(float)
        wrong = rows @ w + b - 3 * rows
        expected = w - 0.1 * (rows.T @ wrong + 8.0 * w) / len(rows)
        regressor.partial_fit(rows, 3 * rows[:, 0])
        np.testing.assert_allclose(regressor.coefs_[0], expected, rtol=1e-5)


def test_what_lbfgs_began_another_solver_can_take_further():
    with pytest.warns(ConvergenceWarning):
        classifier = MLPClassifier(**{**QUICK, "max_iter": 5}, solver="lbfgs").fit(X, Y)
    before = classifier.loss_
    classifier.set_params(solver="adam").partial_fit(X, Y).partial_fit(X, Y)
    assert classifier.model_.optimizer.name == "adam"
    assert classifier.model_.optimizer.iterations == 2
    assert classifier.loss_curve_[-2] == pytest.approx(before, rel=1e-5)  # where the first epoch began


def test_a_warm_start_goes_on_from_the_weights_there_are():
    classifier = MLPClassifier(**{**QUICK, "max_iter": 10}, warm_start=True)
    with pytest.warns(ConvergenceWarning, match="max_iter=10 epochs"):
        classifier.fit(X, Y)
    before = classifier.loss_
    with pytest.warns(ConvergenceWarning):
        classifier.fit(X, Y)
    assert classifier.loss_ < before
    assert (len(classifier.loss_curve_), classifier.n_iter_) == (20, 10)
    with pytest.raises(DataError, match="same classes"):
        classifier.fit(X[:100], Y[:100])


@pytest.mark.parametrize(
    "changed", [{"hidden_layer_sizes": (5,)}, {"activation": "tanh"}, {"dropout": 0.5}, {"batch_norm": True}]
)
def test_a_network_that_goes_on_cannot_become_another_one(changed):
    classifier = MLPClassifier(**QUICK, warm_start=True).fit(X, Y)
    classifier.set_params(**changed)
    with pytest.raises(UsageError, match=f"another {next(iter(changed))}"):
        classifier.fit(X, Y)
    with pytest.raises(UsageError, match=r"sklearn\.base\.clone"):
        classifier.partial_fit(X, Y)
    clone(classifier).fit(X, Y)


def test_sparse_rows_and_tables_are_learned_like_arrays(monkeypatch):
    plain = MLPClassifier(**QUICK).fit(X, Y)
    for kind in (sparse.csr_array, sparse.csc_matrix):
        found = MLPClassifier(**QUICK).fit(kind(X), Y)
        monkeypatch.setattr(base, "_PIECE", 16 * 7)  # seven rows
        np.testing.assert_array_equal(found.predict_proba(kind(X)), plain.predict_proba(X))
    table = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    found = MLPClassifier(**QUICK).fit(table, Y)
    assert found.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(found.predict_proba(table), plain.predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        found.predict(table[["b", "a", "c", "d"]])


def test_sparse_rows_that_would_fill_the_memory_are_refused():
    rows = sparse.csr_array((1_000_000, 2000), dtype=np.float32)
    with pytest.raises(DataError, match=r"7\.5 GiB.*(\n.*)*partial_fit"):
        MLPClassifier().fit(rows, np.arange(1_000_000) % 2)


def test_a_row_of_weight_two_is_two_rows_to_the_bit():
    weights = np.arange(150) % 3
    for more in ({}, {"solver": "lbfgs"}):
        weighted = MLPClassifier(**QUICK, **more).set_params(batch_size=150).fit(X, Y, sample_weight=weights)
        repeated = MLPClassifier(**QUICK, **more).fit(X.repeat(weights, 0), Y.repeat(weights))
        assert _same(weighted, repeated)


def test_it_tells_of_its_epochs_when_asked(capsys):
    MLPClassifier(**QUICK, early_stopping=True, verbose=True).fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1, loss = ")
    assert lines[1].startswith("Validation score: 0.")
    assert lines[-1].endswith("tol=0.0001 for 10 consecutive epochs. Stopping.")


def test_ctrl_c_ends_the_training_and_leaves_an_estimator():
    def interrupt(epoch, logs):
        if epoch == 4:
            raise KeyboardInterrupt

    classifier = MLPClassifier(**QUICK, callbacks=LambdaCallback(on_epoch_end=interrupt))
    with pytest.warns(UserWarning, match="interrupted"):
        classifier.fit(X, Y)
    assert len(classifier.loss_curve_) == 4
    assert classifier.predict(X).shape == (150,)


# ------------------------------------------------------------------ what there is more


def test_dropout_and_batch_norm_are_layers_of_the_model():
    classifier = MLPClassifier(
        (8, 6), ["tanh", "gelu"], dropout=[0.1, 0], batch_norm=True, **_less("hidden_layer_sizes")
    )
    classifier.fit(X, Y)
    kinds = [type(layer).__name__ for layer in classifier.model_.layers]
    block = ["Dense", "BatchNormalization", "Activation"]
    assert kinds == [*block, "Dropout", *block, "Dense"]
    assert [layer.activation.__name__ for layer in classifier.model_.layers if hasattr(layer, "activation")] == [
        "linear", "tanh", "linear", "gelu", "softmax"
    ]  # fmt: skip
    assert classifier.score(X, Y) > 0.9
    assert [kernel.shape for kernel in classifier.coefs_] == [(4, 8), (8, 6), (6, 3)]


def test_a_model_can_be_saved_without_its_estimator(tmp_path):
    classifier = MLPClassifier(**QUICK).fit(X, Y)
    classifier.model_.save(tmp_path / "iris")
    model = nacre.models.load_model(tmp_path / "iris")
    np.testing.assert_array_equal(model.predict(X.astype(np.float32), verbose=0), classifier.predict_proba(X))


def test_rare_classes_can_weigh_more():
    rows = np.flatnonzero((Y > 0) & ((Y == 1) | (np.arange(150) % 8 == 0)))
    x, y = X[rows][:, :1], Y[rows]  # one feature, in which the classes overlap
    found = [MLPClassifier(**QUICK, class_weight=weights).fit(x, y) for weights in (None, "balanced", {1: 1.0, 2: 8.0})]
    of_two = [np.mean(one.predict(x) == 2) for one in found]
    assert of_two[0] < of_two[1]
    assert of_two[0] < of_two[2]
    by_rows = MLPClassifier(**QUICK).fit(x, y, sample_weight=np.where(y == 2, 8.0, 1.0))
    assert _same(by_rows, found[2], x)
    with pytest.raises(UsageError, match="balanced"):
        found[1].partial_fit(x, y)


def test_rows_for_validation_may_be_ones_own():
    train, held = np.arange(0, 150, 2), np.arange(1, 150, 2)
    watched = MLPClassifier(**QUICK).fit(X[train], NAMES[train], X_val=X[held], y_val=NAMES[held])
    assert _same(watched, MLPClassifier(**QUICK).fit(X[train], NAMES[train]))
    assert len(watched.validation_scores_) == watched.n_iter_
    assert watched.validation_scores_[-1] == watched.score(X[held], NAMES[held])
    ended = MLPClassifier(**QUICK, early_stopping=True).fit(X[train], NAMES[train], X_val=X[held], y_val=NAMES[held])
    assert ended.n_iter_ < watched.n_iter_
    assert ended.score(X[held], NAMES[held]) == ended.best_validation_score_ == max(ended.validation_scores_)


def test_callbacks_of_nacre_see_the_validation_and_may_end_the_training():
    classifier = MLPClassifier(**QUICK, callbacks=[EarlyStopping("val_loss", patience=3)])
    classifier.fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    assert classifier.n_iter_ < 500
    losses = classifier.model_.history.history["val_loss"]
    assert min(losses) == losses[-4]


def test_any_loss_optimizer_and_end_of_nacre_can_be_taken():
    smooth = nacre.losses.CategoricalCrossentropy(label_smoothing=0.2)
    sure, unsure = (MLPClassifier(**QUICK, solver="nadam", loss=loss).fit(X, Y) for loss in ("log_loss", smooth))
    assert unsure.score(X, Y) > 0.85
    assert unsure.predict_proba(X).max() < 0.95 < sure.predict_proba(X).max()
    y = np.abs(LINE[:, 0])
    y[::9] = 30  # far out
    regressor = MLPRegressor("mae", **QUICK, out_activation="softplus").fit(LINE, y)
    assert regressor.out_activation_ == "softplus"
    assert regressor.predict(LINE).min() > 0
    assert np.median(np.abs(regressor.predict(LINE) - y)) < 0.1
    assert regressor.predict(LINE).max() < 2  # the mean would be drawn to 30


def test_the_reference_learns_the_same():
    settings = {**QUICK, "max_iter": 9, "tol": 9.0, "n_iter_no_change": 1}
    native, reference = (MLPClassifier(**settings, device=name).fit(X, Y) for name in ("native", "reference"))
    np.testing.assert_allclose(native.predict_proba(X), reference.predict_proba(X), atol=1e-5)


def _less(name):
    return {key: value for key, value in QUICK.items() if key != name}


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha": -1}, "alpha of MLPClassifier is a number from 0 on, got -1"),
        ({"learning_rate_init": 0}, "learning_rate_init of MLPClassifier is a number above 0, got 0"),
        ({"momentum": 1.0}, "momentum of MLPClassifier is a number from 0 on and below 1, got 1.0"),
        ({"max_iter": 1.5}, "max_iter of MLPClassifier is a whole number from 1 on, got 1.5"),
        ({"n_iter_no_change": 0}, "n_iter_no_change of MLPClassifier is a whole number from 1 on or inf, got 0"),
        ({"batch_size": "all"}, "batch_size of MLPClassifier is a whole number from 1 on or 'auto', got 'all'"),
        ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes are whole numbers > 0"),
        ({"dropout": [0.1, 0.2]}, "dropout has 2 entries, for 1 hidden layers"),
        ({"solver": "lbfgs", "dropout": 0.1}, "'lbfgs' knows no dropout"),
        ({"learning_rate": "falling"}, "There is no learning_rate called 'falling'"),
        ({"solver": "adem"}, "There is no optimizer called 'adem'"),
        ({"activation": "rellu"}, "There is no activation called 'rellu'"),
        ({"loss": "no_loss"}, "There is no loss called 'no_loss'"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "The validation set is too small"),
        ({"shuffle": "no"}, "shuffle of MLPClassifier is True or False, got 'no'"),
        ({"batch_norm": 1}, "batch_norm of MLPClassifier is True or False, got 1"),
        (
            {"dropout": "much"},
            "dropout of MLPClassifier is a number from 0 on and below 1, or a list of them, got 'much'",
        ),
        (
            {"dropout": [1.0]},
            "dropout of MLPClassifier is a number from 0 on and below 1, or a list of them, got [1.0]",
        ),
        ({"class_weight": "heavy"}, "class_weight is a dictionary from classes to weights from 0 on, or 'balanced'"),
        ({"class_weight": [1, 2, 3]}, "class_weight is a dictionary from classes to weights from 0 on, or 'balanced'"),
        ({"class_weight": {0: -1.0}}, "class_weight is a dictionary from classes to weights from 0 on, or 'balanced'"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, said):
    with pytest.raises((UsageError, UnknownName), match=re.escape(said)):
        MLPClassifier(**settings).fit(X, Y)


def test_data_that_does_not_fit_is_refused():
    classifier = MLPClassifier(**QUICK)
    with pytest.raises(UsageError, match="needs all classes"):
        classifier.partial_fit(X, Y)
    classifier.partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(DataError, match="classes that the classifier has not"):
        classifier.partial_fit(X, Y + 1)
    with pytest.raises(UsageError, match="other classes"):
        classifier.partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(UsageError, match="early_stopping"):
        classifier.set_params(early_stopping=True).partial_fit(X, Y)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        MLPClassifier().fit(X, X[:, 0])
    with pytest.raises(DataError, match="below 0"):
        MLPRegressor("poisson").fit(LINE, LINE[:, 0])
    with pytest.raises(UsageError, match="too small"):
        MLPRegressor(early_stopping=True).fit(LINE[:9], LINE[:9, 0])
    with pytest.raises(ValueError, match="Negative"):
        MLPRegressor().fit(LINE, LINE[:, 0], sample_weight=-np.ones(80))
    with pytest.raises(UsageError, match="does not look at X_val"):
        MLPRegressor(solver="lbfgs").fit(LINE, LINE[:, 0], X_val=LINE, y_val=LINE[:, 0])
    with pytest.raises(UsageError, match="X_val and y_val go together"):
        MLPRegressor().fit(LINE, LINE[:, 0], y_val=LINE[:, 0])
    with pytest.raises(UsageError, match="X_val and y_val go together"):
        MLPRegressor().fit(LINE, LINE[:, 0], X_val=LINE)
    with pytest.raises(DataError, match="too large for float32"):
        MLPRegressor().fit(LINE, LINE[:, 0] + 1e300)
    with pytest.raises(UsageError, match="sample_weight"):
        MLPClassifier(class_weight={0: 1, 1: 2}).fit(X, np.c_[Y == 0, Y > 0])
    with pytest.raises(NonFiniteLossError, match="learning rate"):
        MLPRegressor(solver="sgd", learning_rate_init=1e10).fit(LINE, LINE[:, 0])
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")


def test_training_that_did_not_converge_is_told():
    with pytest.warns(ConvergenceWarning, match="2 of max_iter=2 steps"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X, Y)
    with pytest.warns(ConvergenceWarning, match="of max_fun=5 evaluations"):
        few = MLPClassifier(solver="lbfgs", max_fun=5).fit(X, Y)
    assert few.n_iter_ <= 5
    with pytest.warns(UserWarning, match="batch_size is 999, but there are 150 rows"):
        MLPClassifier(**QUICK, batch_size=999).fit(X, Y)


def test_without_scikit_learn_nacre_works_and_says_what_is_missing():
    hidden = "import sys; sys.modules['sklearn'] = None; import nacre, nacre.models\n"
    code = f"{hidden}try:\n    import nacre.sklearn\nexcept nacre.errors.UsageError as error: print(error)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "nacre.sklearn needs sklearn.\n  try:  pip install nacre[sklearn]\n"
