"""Looking into the gradients of a model, and training by them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import nacre
from nacre import ops
from nacre.errors import NonFiniteLossError, NotBuiltError, UnknownName, UsageError
from nacre.layers import Dense, Dropout

DEVICES = ("native", "reference", "xla")
RNG = np.random.default_rng(11)
X, Y = RNG.normal(size=(41, 5)).astype("float32"), RNG.integers(0, 3, 41)


def _model(device="native", dropout=0.0, loss="sparse_categorical_crossentropy", **kernel):
    nacre.utils.set_random_seed(4)
    stack = [Dense(7, activation="tanh", name="first", **kernel), Dropout(dropout), Dense(3, "softmax", name="last")]
    model = nacre.Sequential([nacre.Input((5,)), *stack])
    model.compile(nacre.optimizers.SGD(0.5), loss, device=device)
    return model


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_what_a_step_of_training_goes_by(device, dropout):
    model = _model(device, dropout, kernel_regularizer="l2")
    found = model.gradients(X, Y, training=True)
    before = {w.name: w.numpy() for w in model.weights}
    model.fit(X, Y, batch_size=len(X), shuffle=False, verbose=0)
    for w in model.weights:
        np.testing.assert_allclose((before[w.name] - w.numpy()) / 0.5, found[w.name], atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_those_of_the_loss_as_a_function(device):
    model = _model(device, dropout=0.5, kernel_regularizer="l2", activity_regularizer="l1")
    loss, weights = model.loss_function(X, Y)
    expected = nacre.grad(loss)(weights)
    found = model.gradients(X, Y)
    assert list(found) == ["first/kernel", "first/bias", "last/kernel", "last/bias"]
    for name, gradient in found.items():
        assert gradient.dtype == np.float32
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-5, atol=1e-7)
    assert float(loss(weights)) == pytest.approx(model.evaluate(X, Y, batch_size=len(X), verbose=0), rel=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_the_mean_over_samples_is_the_gradient_of_the_batch(device):
    model = _model(device)
    found, each = model.gradients(X, Y), model.gradients(X, Y, per_sample=True)
    for name, gradient in found.items():
        assert each[name].shape == (len(X), *gradient.shape)
        np.testing.assert_allclose(each[name].mean(axis=0), gradient, atol=1e-6)
    alone = model.gradients(X[7:8], Y[7:8])
    np.testing.assert_allclose(each["first/kernel"][7], alone["first/kernel"], atol=1e-6)


def test_a_single_weight_by_name_frozen_or_not():
    model = _model()
    everything = model.gradients(X, Y)
    model.get_layer("first").trainable = False
    assert list(model.gradients(X, Y)) == ["last/kernel", "last/bias"]
    found = model.gradients(X, Y, names=["first/kernel"])
    assert list(found) == ["first/kernel"]
    np.testing.assert_array_equal(found["first/kernel"], everything["first/kernel"])
    loss, weights = model.loss_function(X, Y)
    assert list(weights) == ["last/kernel", "last/bias"]
    assert nacre.gradcheck(loss, weights)


def test_looking_changes_nothing():
    model = _model(dropout=0.3)
    before = model.get_weights()
    model.gradients(X, Y, training=True)
    model.gradients(X, Y, per_sample=True)
    nacre.gradcheck(model, X, Y)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("device", DEVICES)
def test_gradcheck_of_a_model_names_its_weights(device):
    found = nacre.gradcheck(_model(device, dropout=0.5), X, Y)
    assert found
    assert {entry.where.split("[")[0] for entry in found.entries} == {
        "first/kernel",
        "first/bias",
        "last/kernel",
        "last/bias",
    }
    assert found.worst.error < 0.1


def test_gradcheck_of_a_model_finds_a_layer_that_hides_its_gradient():
    model = nacre.Sequential(
        [nacre.Input((5,)), Dense(4, activation=lambda x: x * ops.stop_gradient(x), name="odd"), Dense(3, name="end")]
    )
    model.compile("sgd", "mse")
    found = nacre.gradcheck(model, X, RNG.normal(size=(41, 3)))
    assert not found
    assert {entry.where.split("/")[0] for entry in found.wrong} == {"odd"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.gradients(X, Y, names=["first/kernle"]), UnknownName, "first/kernel"),
        (lambda m: m.gradients(X, Y, names="first/kernel"), UsageError, "list of names"),
        (lambda m: m.gradients(X, None), UsageError, "Targets"),
        (lambda m: nacre.gradcheck(m, X), UsageError, r"gradcheck\(model, x, y\)"),
        (lambda m: nacre.Sequential([nacre.Input((5,)), Dense(1)]).gradients(X, Y), NotBuiltError, "compile"),
        (lambda m: m.fit_lbfgs(X, Y, steps=0), UsageError, "steps"),
        (lambda m: m.fit_lbfgs(X, Y, tolerance=-1), UsageError, "tolerance"),
        (lambda m: m.fit_lbfgs(X, Y, evaluations=0), UsageError, "evaluations"),
    ],
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(_model())


# ------------------------------------------------------------------ L-BFGS


@pytest.mark.parametrize("device", DEVICES)
def test_lbfgs_solves_least_squares(device):
    targets = X @ RNG.normal(size=(5, 2)) + 0.1 * RNG.normal(size=(41, 2))
    model = nacre.Sequential([nacre.Input((5,)), Dense(2, name="only")])
    model.compile(loss="mse", device=device)
    history = model.fit_lbfgs(X, targets)
    expected = np.linalg.lstsq(np.c_[X, np.ones(len(X))], targets, rcond=None)[0]
    np.testing.assert_allclose(np.vstack(model.get_weights()), expected, atol=1e-4)
    assert history is model.history
    assert history.epoch == list(range(len(history.epoch)))
    assert history.history["gradient_norm"][-1] < 1e-4
    assert history.history["loss"][-1] == pytest.approx(model.evaluate(X, targets, verbose=0), rel=1e-5)


def test_lbfgs_descends_at_every_step_and_beats_gradient_descent():
    model, other = _model(), _model()
    history = model.fit_lbfgs(X, Y, steps=40)
    losses = history.history["loss"]
    assert all(b < a for a, b in itertools.pairwise(losses))
    descent = other.fit(X, Y, batch_size=len(X), epochs=40, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * descent[-1]


def test_lbfgs_counts_rows_by_their_weights():
    targets, weights = RNG.normal(size=(41, 1)), RNG.integers(0, 4, 41)
    model = nacre.Sequential([nacre.Input((5,)), Dense(1)])
    model.compile(loss="mse")
    model.fit_lbfgs(X, targets, sample_weight=weights)
    rows = np.c_[X, np.ones(len(X))].repeat(weights, 0)
    expected = np.linalg.lstsq(rows, targets.repeat(weights, 0), rcond=None)[0]
    np.testing.assert_allclose(np.vstack(model.get_weights()), expected, atol=1e-4)


def test_lbfgs_ends_after_the_evaluations_it_is_given():
    whole, few = _model(), _model()
    counts = whole.fit_lbfgs(X, Y, steps=20).history["evaluations"]
    assert counts[0] == 1
    assert all(b > a for a, b in itertools.pairwise(counts))
    allowed = few.fit_lbfgs(X, Y, steps=20, evaluations=counts[7]).history["evaluations"]
    assert allowed == counts[:8]


def test_lbfgs_leaves_frozen_weights_and_the_optimizer_alone():
    model = _model()
    model.get_layer("first").trainable = False
    before = model.get_weights()
    model.fit_lbfgs(X, Y, steps=3)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert (before[2] != after[2]).any()
    assert model.optimizer.iterations == 0


def test_lbfgs_refuses_what_it_cannot_do():
    with pytest.raises(UsageError, match="constraint"):
        _model(kernel_constraint="non_neg").fit_lbfgs(X, Y)
    frozen = _model()
    for layer in frozen.layers:
        layer.trainable = False
    with pytest.raises(UsageError, match="no weight that can be trained"):
        frozen.fit_lbfgs(X, Y)
    lost = _model(loss="mse")
    lost.set_weights([np.full(w.shape, np.nan) for w in lost.weights])
    with pytest.raises(NonFiniteLossError, match="to begin with"):
        lost.fit_lbfgs(X, np.zeros((41, 3)))


@pytest.mark.parametrize("entry", ["first/kernel[2, 6]", "first/kernel[2,6]", "last/bias[1]"])
def test_the_gradient_of_one_number_is_that_of_its_weight(entry):
    model = _model(kernel_regularizer="l2")
    found = model.grad_of(entry, X, Y)
    name, places = entry.removesuffix("]").split("[")
    assert found.where == entry
    assert found.gradient == pytest.approx(model.gradients(X, Y)[name][tuple(map(int, places.split(",")))], abs=1e-6)
    assert found.difference == pytest.approx(found.gradient, abs=1e-7)
    assert found.error < 1


def test_a_wrong_derivative_of_one_number_is_seen():
    model = _model(
        loss=lambda y_true, y_pred: y_pred * ops.stop_gradient(y_pred) + 0 * ops.cast(y_true, dtype="float32")
    )
    found = model.grad_of("last/bias[1]", X, np.eye(3)[Y])
    assert found.error > 1
    assert found.difference == pytest.approx(2 * found.gradient, rel=1e-4)


def test_a_number_that_is_not_there_is_refused_by_name():
    model = _model()
    with pytest.raises(UnknownName, match="'first/kernal'"):
        model.grad_of("first/kernal[0, 0]", X, Y)
    for entry in ("first/kernel", "first/kernel[1]", "first/kernel[5, 0]", "first/kernel[-1, 0]", "last/bias[x]"):
        with pytest.raises(UsageError, match=r"is no entry of '\w+/\w+'.*\n.*shape"):
            model.grad_of(entry, X, Y)
