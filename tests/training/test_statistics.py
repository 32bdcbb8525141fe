"""Statistics of layers: the right numbers, at the right steps, and a training that does not know it is watched."""

from __future__ import annotations

import numpy as np
import pytest
from update_rules import RULES

from nacre import Input, Sequential, callbacks, layers, optimizers, utils
from nacre.errors import UsageError


def _network(optimizer=None, device="native"):
    utils.set_random_seed(11)
    model = Sequential([Input((40,)), layers.Dense(70, activation="relu"), layers.Dropout(0.25)])
    model.add(layers.Dense(33, activation="tanh"))
    model.add(layers.Dense(4, activation="softmax"))
    model.compile(
        optimizer or optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"], device=device
    )
    return model


@pytest.fixture
def data(rng):
    return rng.standard_normal((150, 40)).astype("float32"), rng.integers(0, 4, 150)


@pytest.mark.parametrize("name", RULES)
def test_a_training_that_is_watched_is_the_same_to_the_last_bit(name, data):
    found = []
    for more in ([], [callbacks.LayerStatistics(3)]):
        model = _network(RULES[name]())
        history = model.fit(*data, batch_size=32, epochs=4, verbose=0, callbacks=more).history
        found.append((model.get_weights(), history))
    assert found[0][1] == found[1][1]
    assert all(np.array_equal(a, b) for a, b in zip(found[0][0], found[1][0], strict=True))


def test_the_numbers_are_those_of_the_weights_and_of_the_oracle(data):
    seen, moved = {}, []
    for device in ("native", "reference"):
        model = _network(device=device)
        before = model.get_weights()
        seen[device] = callbacks.LayerStatistics(1)
        model.fit(data[0][:32], data[1][:32], batch_size=32, shuffle=False, verbose=0, callbacks=[seen[device]])
        moved.append((before, model.get_weights()))
    native = seen["native"].history
    for name, weight, new in zip((w.name for w in model.weights), *moved[0], strict=True):
        found = {what: values[0] for what, values in native[name].items()}
        assert found["weight"] == pytest.approx(np.linalg.norm(weight), rel=1e-5)
        assert found["update"] == pytest.approx(np.linalg.norm(new - weight), rel=1e-4)
        assert found["gradient"] == pytest.approx(found["update"] / 0.1, rel=1e-3)
    assert native.keys() == seen["reference"].history.keys()
    for subject, of in seen["reference"].history.items():
        for what, values in of.items():
            assert native[subject][what] == pytest.approx(values, rel=1e-4, abs=1e-6), (subject, what)


def test_dead_and_saturated_units_are_counted(rng):
    x = rng.uniform(0.5, 1, (64, 3)).astype("float32")
    model = Sequential([Input((3,)), layers.Dense(4, activation="relu"), layers.Dense(2, activation="sigmoid")])
    model.compile(optimizers.SGD(0.0), "mse")
    kernel = np.ones((3, 4), "float32")
    kernel[:, 1:] = -1  # three of four units are never above 0
    model.set_weights([kernel, np.zeros(4), np.array([[9.0, 0.1]] * 4), np.zeros(2)])
    seen = callbacks.LayerStatistics(1)
    model.fit(x, np.zeros((64, 2)), batch_size=64, verbose=0, callbacks=[seen])
    hidden = x.sum(1, keepdims=True) * [1, 0, 0, 0]
    assert seen.history["dense"]["dead"] == [0.75]
    assert seen.history["dense"]["activation"] == pytest.approx([np.sqrt((hidden**2).mean())], rel=1e-5)
    assert seen.history["dense_1"]["dead"] == [0.0]
    assert seen.history["dense_1"]["saturated"] == [0.5]


def test_the_steps_do_not_depend_on_how_an_epoch_is_cut(data):
    class EachBatch(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    found = []
    for more in ([], [EachBatch()]):
        seen = callbacks.LayerStatistics(4)
        _network().fit(*data, batch_size=32, epochs=5, verbose=0, callbacks=[seen, *more])
        found.append((seen.steps, seen.history))
    # Five steps an epoch, the last of them with fewer rows: those are left out.
    assert found[0][0] == [0, 8, 12, 16, 20]
    assert found[0] == found[1]


def test_streams_are_watched_too(data):
    batches = [(data[0][i : i + 30], data[1][i : i + 30]) for i in range(0, 150, 30)]
    seen = callbacks.LayerStatistics(2)
    _network().fit(batches, epochs=2, verbose=0, callbacks=[seen])
    assert seen.steps == [0, 2, 4, 6, 8]
    assert len(seen.history["dense"]["dead"]) == 5


def test_frozen_weights_are_left_out(data):
    model = _network()
    model.layers[0].trainable = False
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    seen = callbacks.LayerStatistics(1)
    model.fit(*data, batch_size=50, verbose=0, callbacks=[seen])
    first, second = (layer.name for layer in model.layers if layer.weights[:1] and layer.units != 4)
    assert f"{first}/kernel" not in seen.history
    assert {first, f"{second}/kernel"} <= seen.history.keys()


def test_senseless_wishes_are_refused():
    for every in (0, -1, 2.5, True):
        with pytest.raises(UsageError, match="every so many steps"):
            callbacks.LayerStatistics(every)
    watchers = [callbacks.LayerStatistics(2), callbacks.LayerStatistics(3)]
    with pytest.raises(UsageError, match="agree"):
        _network().fit(np.zeros((4, 40)), np.zeros(4), verbose=0, callbacks=watchers)


def test_now_and_then_is_ever_more_seldom_however_an_epoch_is_cut(rng):
    class EachBatch(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    x, y = rng.standard_normal((1000, 3)).astype("float32"), np.zeros(1000)

    def steps_seen(epochs, *more):
        model = Sequential([Input((3,)), layers.Dense(1)])
        model.compile("sgd", "mse")
        seen = callbacks.LayerStatistics(None)
        for some in epochs:
            model.fit(x, y, batch_size=1, epochs=some, verbose=0, callbacks=[seen, *more])
        return seen.steps

    # An epoch of 1,000 steps that begins at 4,000 to 7,999 is looked into every 400 steps, one from there to 15,999 every 800.
    expected = [*range(0, 4000, 200), *range(4000, 8000, 400), *range(8000, 16000, 800), 16000]
    assert steps_seen([17]) == expected
    assert steps_seen([3, 14]) == expected  # as after a kill
    assert steps_seen([5], EachBatch()) == [s for s in expected if s < 5000]


def test_who_looks_now_and_then_looks_as_often_as_others_want(data):
    seen, often = callbacks.LayerStatistics(None), callbacks.LayerStatistics(2)
    _network().fit(*data, batch_size=32, epochs=2, verbose=0, callbacks=[seen, often])
    assert seen.steps == often.steps == [0, 2, 6, 8]
    assert seen.history == often.history
