"""Programs that equal networks have in common."""

from __future__ import annotations

import copy
import gc
import threading
import weakref

import numpy as np
import pytest

import nacre
from nacre.layers import Dense, Discretization, Dropout
from nacre.regularizers import L2
from nacre.training.devices import LOWERINGS
from nacre.training.shelf import Shelf
from nacre.training.trainer import PROGRAMS

X = np.random.default_rng(0).random((40, 6), dtype="f4")
Y = np.arange(40) % 3


def own(x):
    return x * 2.0


def _model(activation="tanh", l2=0.1, rate=0.1, momentum=0.5, loss="sparse_categorical_crossentropy", metrics=None):
    model = nacre.Sequential(
        [nacre.Input((6,)), Dense(8, activation, kernel_regularizer=L2(l2)), Dropout(0.2), Dense(3, "softmax")]
    )
    model.compile(nacre.optimizers.SGD(rate, momentum=momentum), loss, metrics=metrics or ["accuracy"])
    return model


def _fitted(model, **how):
    model.fit(X, Y, verbose=0, **how)
    return b"".join(w.tobytes() for w in model.get_weights())


@pytest.fixture
def compiled(monkeypatch):
    """What is compiled, as it comes."""
    programs = []
    native = LOWERINGS["native"]
    monkeypatch.setitem(LOWERINGS, "native", lambda program: programs.append(program) or native(program))
    return programs


def test_equal_networks_are_compiled_once_whatever_their_weights_seeds_and_rates(compiled):
    for rate in (0.1, 0.2, 0.3):
        _fitted(_model(rate=rate), epochs=2)
    assert len(compiled) == 1
    for _ in range(3):
        _model().predict(X, verbose=0)
    assert len(compiled) == 2
    for _ in range(3):
        _model().gradients(X, Y)
    assert len(compiled) == 3


def _thawed(model):
    model.layers[0].trainable = False


def _stronger(model):
    model.layers[0].kernel_regularizer.l2 = 0.3


def _by_hand(model):
    model.weights[2].regularizer = L2(0.2)


@pytest.mark.parametrize(
    "other",
    [
        {"activation": "relu"},
        {"l2": 0.2},
        {"momentum": 0.0},
        {"loss": nacre.losses.SparseCategoricalCrossentropy(ignore_class=1)},
        {"metrics": ["accuracy", "sparse_categorical_crossentropy"]},
        {"activation": own},
        _thawed,
        _stronger,
        _by_hand,
    ],
)
def test_what_differs_is_compiled_anew_and_trained_to_the_bits_it_has_alone(other, compiled):
    def changed():
        nacre.utils.set_random_seed(1)
        model = _model(**({} if callable(other) else other))
        if callable(other):
            other(model)
        return model

    PROGRAMS.clear()
    alone = _fitted(changed(), epochs=2)
    PROGRAMS.clear()
    compiled.clear()
    nacre.utils.set_random_seed(1)
    assert _fitted(_model(), epochs=2) != alone or "metrics" in dict(other if isinstance(other, dict) else {})
    assert len(compiled) == 1
    assert _fitted(changed(), epochs=2) == alone
    assert len(compiled) == 2


def test_a_function_of_ones_own_is_shared_with_nobody(compiled):
    for _ in range(2):
        _fitted(_model(activation=own))
    assert len(compiled) == 2


def test_what_a_layer_learned_tells_it_apart():
    found = []
    for low in (0.0, 5.0):
        layer = Discretization(num_bins=4)
        layer.adapt(np.linspace(low, low + 1, 50))
        model = nacre.Sequential([nacre.Input((6,)), layer])
        model.compile("sgd", "mse")
        found.append(model.predict(X, verbose=0))
    assert not np.array_equal(*found)


def test_a_program_that_is_shared_trains_to_the_same_bits():
    first, second = _model(), _model()
    again = copy.deepcopy(second)
    _fitted(first, epochs=3)
    shared = _fitted(second, epochs=3)
    PROGRAMS.clear()
    assert _fitted(again, epochs=3) == shared


def test_equal_models_train_side_by_side_and_do_not_touch():
    models = [_model() for _ in range(6)]
    copies = [copy.deepcopy(model) for model in models]
    threads = [threading.Thread(target=_fitted, args=(model,), kwargs={"epochs": 30}) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model, other in zip(models, copies, strict=True):
        assert b"".join(w.tobytes() for w in model.get_weights()) == _fitted(other, epochs=30)


def test_a_weight_that_thaws_in_a_program_that_is_there_gets_its_velocity():
    _fitted(_model())
    model = _model()
    model.layers[0].trainable = False
    _fitted(model)
    model.layers[0].trainable = True
    before = model.get_weights()[0]
    _fitted(model)
    assert not np.array_equal(model.get_weights()[0], before)


def test_no_model_is_kept_for_its_program():
    model = _model()
    _fitted(model)
    gone = [weakref.ref(model), *(weakref.ref(w.memory) for w in model.weights)]
    del model
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


class _Made:
    def twin(self):
        return self


def test_the_last_ones_asked_for_are_kept_and_what_fails_is_tried_again():
    shelf, made = Shelf(2), []

    def make(key):
        made.append(key)
        if made == ["a"]:
            raise MemoryError
        return _Made()

    with pytest.raises(MemoryError):
        shelf.twin("a", lambda: make("a"))
    for key in "aababcacb":
        shelf.twin(key, lambda key=key: make(key))
    assert made == ["a", "a", "b", "c", "a", "b"]


def test_a_network_with_a_method_of_its_own_shares_nothing():
    plain, other = _model(), _model()
    layer = other.layers[0]
    layer.call = lambda *given, **how: Dense.call(layer, *given, **how) * 0.0
    assert other.kind() is None
    plain.set_weights(other.get_weights())
    assert not np.array_equal(plain.predict(X, verbose=0), other.predict(X, verbose=0))


def test_what_is_asked_of_a_network_takes_nothing_from_what_is_random():
    nacre.utils.set_random_seed(1)
    model = _model()
    after = nacre.ops.next_seed()
    nacre.utils.set_random_seed(1)
    model = _model()
    assert model.kind() is not None
    assert nacre.ops.next_seed() == after
