"""Does the ledger find rows that were spoiled on purpose, with models that did not see them, and are its columns right?"""

from __future__ import annotations

import json

import numpy as np
import pytest

import nacre
from nacre.errors import Limitation, NotBuiltError, UsageError
from nacre.insight import ledger
from nacre.layers import Dense, Flatten, Rescaling

(X, Y), _ = nacre.datasets.digits.load_data()
COUNT = len(X)


def _model(loss="sparse_categorical_crossentropy", activation="softmax", units=10):
    nacre.utils.set_random_seed(0)
    layers = [nacre.Input((8, 8)), Rescaling(1 / 16), Flatten(), Dense(64, "relu"), Dense(units, activation)]
    model = nacre.Sequential(layers)
    model.compile("adam", loss)
    return model


def _flipped(seed):
    """Labels of which 2 % are wrong, and which these are."""
    random = np.random.default_rng(seed)
    wrong = random.permutation(COUNT)[: round(0.02 * COUNT)]
    labels = Y.astype(int)
    labels[wrong] = (labels[wrong] + random.integers(1, 10, len(wrong))) % 10
    return labels, set(wrong.tolist())


@pytest.fixture(scope="module")
def spoiled():
    labels, wrong = _flipped(0)
    return ledger(_model(), X, labels), labels, wrong


def test_the_first_rows_hold_most_of_the_wrong_labels(spoiled):
    found, _, wrong = spoiled
    first = set(found.row[: int(0.03 * COUNT)].tolist())
    assert len(first & wrong) >= 0.8 * len(wrong)


def test_what_is_called_mislabeled_is_so_and_both_classes_are_named(spoiled):
    found, labels, wrong = spoiled
    called = np.flatnonzero(np.char.startswith(found.verdict, "probably mislabeled"))
    rows = found.row[called]
    assert len(wrong & set(rows.tolist())) >= max(0.8 * len(wrong), 0.8 * len(rows))
    told = [
        f"probably mislabeled: {labels[row]} looks like {found.predicted[n]}"
        for n, row in zip(called, rows, strict=True)
    ]
    assert found.verdict[called].tolist() == told
    np.testing.assert_array_equal(found.given, labels[found.row])
    assert f"{len(rows)} probably mislabeled" in str(found)


def test_a_model_that_knows_wrong_labels_by_heart_hides_them_but_folds_do_not():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(120, 20)), random.integers(0, 2, 120)  # nothing to learn but by heart
    nacre.utils.set_random_seed(0)
    model = nacre.Sequential([nacre.Input((20,)), Dense(128, "relu"), Dense(2, "softmax")])
    model.compile(nacre.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=100, verbose=0)
    assert ledger(model, x, y, folds=0).loss.mean() < 0.05
    assert ledger(model, x, y).loss.mean() > 0.6  # that of guessing is 0.69


def test_rows_that_lie_far_out_are_named_however_well_they_fit():
    x = X.astype(np.float32)
    far = [3, 200, 700]
    x[far] *= 20
    found = ledger(_model(), x, Y)
    assert sorted(found.row[found.verdict == "outlying input"].tolist()) == far
    assert set(far) <= set(found.row[:6].tolist())
    assert not (ledger(_model(), X, Y, folds=0).verdict == "outlying input").any()


def test_rows_of_ones_and_zeros_are_not_outlying_for_having_two_ones_but_a_thousand_is():
    random = np.random.default_rng(0)
    y = random.integers(0, 4, 200)
    x = np.eye(4, dtype=np.float32)[y]
    both = random.permutation(200)[:20]
    x[both, (y[both] + 1) % 4] = 1
    x[0] *= 1000
    model = nacre.Sequential([nacre.Input((4,)), Dense(4, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = ledger(model, x, y, folds=0)
    assert found.row[np.char.endswith(found.verdict, "outlying input")].tolist() == [0]
    assert not np.char.endswith(ledger(model, x[1:], y[1:], folds=0).verdict, "outlying input").any()


def test_a_row_may_be_both_outlying_and_mislabeled():
    x = X.astype(np.float32)
    labels = Y.astype(int)
    x[3] *= 20
    labels[3] = (labels[3] + 1) % 10
    found = ledger(_model(), x, labels)
    (verdict,) = found.verdict[found.row == 3]
    assert verdict == f"probably mislabeled: {labels[3]} looks like {Y[3]}; outlying input"
    assert "1 outlying input" in found.summary()
    assert "probably mislabeled" in found.summary()


def test_the_columns_are_those_of_each_row_and_the_largest_loss_comes_first():
    model = _model()
    model.fit(X, Y, epochs=2, verbose=0)
    found = ledger(model, X[:200], Y[:200], folds=0)
    p = model.predict(X[:200], verbose=0).astype(np.float64)
    rows, given = found.row, Y[:200][found.row]
    np.testing.assert_allclose(found.loss, -np.log(p[rows, given]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.probability, p[rows, given], rtol=1e-6)
    np.testing.assert_array_equal(found.predicted, p[rows].argmax(1))
    assert (np.diff(found.loss) <= 0).all()
    gradients = model.gradients(X[:200], Y[:200], per_sample=True).values()
    norms = np.sqrt(sum((g.reshape(200, -1).astype(np.float64) ** 2).sum(1) for g in gradients))
    np.testing.assert_allclose(found.gradient_norm, norms[rows], rtol=1e-4)


def test_the_20_rows_that_push_hardest_have_the_largest_gradients(spoiled):
    found, _, _ = spoiled
    hardest = found.hardest().top(20)
    np.testing.assert_array_equal(hardest.gradient_norm, np.sort(found.gradient_norm)[::-1][:20])
    np.testing.assert_array_equal(hardest.given, [found.given[found.row == row].item() for row in hardest.row])


def test_scores_one_hot_targets_and_labels_say_the_same():
    plain = _model()
    scores = _model(nacre.losses.SparseCategoricalCrossentropy(from_logits=True), None)
    one_hot = _model("categorical_crossentropy")
    a = ledger(plain, X, Y, folds=0)
    for model, y in ((scores, Y), (one_hot, np.eye(10)[Y])):
        model.set_weights(plain.get_weights())
        b = ledger(model, X, y, folds=0)
        np.testing.assert_allclose(b.probability[np.argsort(b.row)], a.probability[np.argsort(a.row)], rtol=1e-4)
        np.testing.assert_array_equal(b.given[np.argsort(b.row)], Y)


def test_two_classes_may_be_one_output():
    for loss, activation in (
        ("binary_crossentropy", "sigmoid"),
        (nacre.losses.BinaryCrossentropy(from_logits=True), None),
    ):
        model = _model(loss, activation, 1)
        y = (Y == 3).astype(int)
        y[:5] = 1 - y[:5]
        found = ledger(model, X, y, folds=3)
        assert len(set(range(5)) & set(found.row[:40].tolist())) >= 4
        np.testing.assert_allclose(found.probability, np.exp(-found.loss), rtol=1e-3, atol=1e-6)


def test_numbers_are_judged_by_residuals():
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.1 * random.normal(size=400)
    y[17] += 3
    nacre.utils.set_random_seed(0)
    model = nacre.Sequential([nacre.Input((3,)), Dense(1)])
    model.compile(nacre.optimizers.SGD(0.05), "mse")
    found = ledger(model, x, y)
    assert found.row[0] == 17
    assert found.verdict[0].startswith(f"target far off: {y[17]:.4g}, where ")
    assert 20 < found.residual[0] < 40  # 3 is 30 deviations of the noise
    assert (np.abs(found.residual) > 1).mean() == pytest.approx(0.32, abs=0.08)  # as of a normal distribution
    assert found.probability is None


def test_the_model_stays_as_it_was_and_the_ledger_is_the_same_every_time():
    model = _model()
    model.fit(X, Y, epochs=1, verbose=0)
    before, steps = model.get_weights(), model.optimizer.iterations
    nacre.utils.set_random_seed(5)
    a = ledger(model, X[:300], Y[:300], folds=2)
    nacre.utils.set_random_seed(6)
    b = ledger(model, X[:300], Y[:300], folds=2)
    assert a.document() == b.document()
    assert model.optimizer.iterations == steps
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_weights_that_are_frozen_stay_in_the_models_that_judge():
    model = _model()
    model.layers[2].trainable = False
    kernel = np.zeros((64, 64))
    model.layers[2].set_weights([kernel, np.zeros(64)])  # nothing comes through
    found = ledger(model, X[:200], Y[:200], folds=2)
    assert found.loss.min() > 1


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(UsageError, match="from 2 on, got 1"):
        ledger(_model(), X, Y, folds=1)
    with pytest.raises(UsageError, match="one name for each class"):
        ledger(_model(), X, Y, folds=0, classes=["a", "b"])
    with pytest.raises(UsageError, match="too few rows"):
        ledger(_model(), X[:4], Y[:4])
    with pytest.raises(Limitation, match="several classes at once"):
        ledger(_model("binary_crossentropy", "sigmoid"), X, np.ones((COUNT, 10)))
    with pytest.raises(Limitation, match="2 targets"):
        ledger(_model("mse", None, 2), X, np.ones((COUNT, 2)))
    with pytest.raises((NotBuiltError, Limitation)):
        ledger(nacre.Sequential([nacre.Input((8, 8)), Flatten(), Dense(10)]), X, Y)
    own = nacre.Sequential([nacre.Input((8, 8)), Flatten(), Dense(10, lambda x: x * 1.0)])
    own.compile("sgd", nacre.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(UsageError, match="cannot be copied"):
        ledger(own, X, Y)
    assert len(ledger(own, X[:50], Y[:50], folds=0)) == 50


def test_the_document_is_json_and_names_classes(spoiled):
    found, _, _ = spoiled
    document = json.loads(json.dumps(found.top(3).document(), allow_nan=False))
    assert document["folds"] == 5
    assert document["given"] == [str(k) for k in found.given[:3]]


def test_weak_judges_are_told():
    x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
    y = np.random.default_rng(1).integers(0, 3, 120)
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    found = nacre.insight.ledger(model, x, y, folds=0)
    right = np.mean(model.predict(x).argmax(axis=1) == y)
    assert f"They give {right:.0%} of the rows their label; such weak judges" in found.summary()
