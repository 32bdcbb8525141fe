"""Threads that share a step read nothing that another has yet to write, and overwrite nothing that another has yet to read.

Here it shows in the weights, and only if it goes wrong. `make sanitize` runs the same under the thread sanitizer, which sees
that two threads did not meet in between even where it went well.
"""

from __future__ import annotations

import gc
import signal

import numpy as np
import pytest
from update_rules import RULES

import nacre
from nacre.backends.native import early
from nacre.backends.native import plan as planning
from nacre.layers import Activation, BatchNormalization, Dense, Dropout, Flatten, Rescaling
from nacre.training.trainer import PROGRAMS

SGD, RMSprop = nacre.optimizers.SGD, nacre.optimizers.RMSprop
SPARSE, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"


def _dense(shape, *units, activation="relu", last="softmax", dropout=0.0):
    layers = [nacre.Input(shape), Rescaling(1 / 255), Flatten()]
    for n in units[:-1]:
        layers += [Dense(n, activation=activation), *([Dropout(dropout)] if dropout else [])]
    return nacre.Sequential([*layers, Dense(units[-1], activation=last)])


# What differs: how many steps are shared by rows and how many otherwise, and what must be turned or kept in between.
NETWORKS = {
    "digits": (lambda rows: _dense((28, 28), 128, 10, dropout=0.2), SPARSE, lambda: SGD(0.1)),
    "narrow and long": (lambda rows: _dense((784,), 10), SPARSE, lambda: SGD(0.1, momentum=0.9)),
    "longer": (lambda rows: _dense((2000,), 20, last=None), "mse", lambda: SGD(0.01)),
    "long inside": (lambda rows: _dense((5,), 900, 3, activation="tanh"), SPARSE, lambda: RMSprop(0.01)),
    "deep": (
        lambda rows: _dense((30,), *[40, 33, 64, 31, 97], 5, activation="sigmoid", dropout=0.1),
        SPARSE,
        lambda: SGD(0.1, momentum=0.9, nesterov=True),
    ),
    "as wide as the batch": (lambda rows: _dense((rows,), rows, rows, activation="tanh"), SPARSE, lambda: SGD(0.1)),
    "many scores": (lambda rows: _dense((33,), 40, 600, dropout=0.5), SPARSE, lambda: SGD(0.1)),
    "one score": (
        lambda rows: _dense((8,), 65, 17, 1, activation="tanh", last="sigmoid"),
        BINARY,
        lambda: RMSprop(0.01, momentum=0.5, centered=True),
    ),
    "normalized": (
        lambda rows: nacre.Sequential(
            [nacre.Input((30,))]
            + [layer for n in (270, 64, 96, 20) for layer in (Dense(n), BatchNormalization(), Activation("relu"))]
            + [Dense(5, activation="softmax")]
        ),
        SPARSE,
        lambda: SGD(0.1, momentum=0.9),
    ),
    "softmax inside": (
        lambda rows: nacre.Sequential(
            [nacre.Input((50,)), Dense(64, activation="softmax"), Dropout(0.3), Dense(10), Activation("softmax")]
        ),
        SPARSE,
        lambda: SGD(0.1, momentum=0.9),
    ),
}


def _trained(name, rows, threads, monkeypatch, rule=None):
    """Everything that comes of two full batches and a shorter one, in training, in evaluation and in prediction."""
    monkeypatch.setenv("NACRE_THREADS", str(threads))
    nacre.utils.set_random_seed(1)
    build, loss, optimizer = NETWORKS[name]
    model = build(rows)
    rng, count = np.random.default_rng(0), 2 * rows + max(rows // 3, 1)
    x = rng.integers(0, 256, (count, *model.input_shape[1:]), dtype=np.uint8)
    wanted = rng.random((count, *model.output_shape[1:]), dtype="f4")
    y = wanted if loss == "mse" else rng.integers(0, max(model.output_shape[-1], 2), count)
    model.compile((rule or optimizer)(), loss, metrics=[] if loss == "mse" else ["accuracy"])
    history = model.fit(x, y, batch_size=rows, verbose=0).history
    found = [repr(history), repr(model.evaluate(x, y, batch_size=rows, verbose=0))]
    return found, model.predict(x, batch_size=rows, verbose=0).tobytes(), [w.tobytes() for w in model.get_weights()]


def _share_all(monkeypatch):
    monkeypatch.setattr(planning, "_WORTH_SHARING", -1)
    monkeypatch.setattr(planning, "_WORTH_SHARING_BY_ROWS", -1)
    monkeypatch.setattr(early, "_CACHED", 0)  # weights are updated as soon as they can be


# Batches are shared by panels too where each thread gets whole ones, and by rows where there are as many as threads.
@pytest.mark.parametrize(
    ("rows", "threads", "all_steps"),
    [
        *[(2, 3, True), (32, 2, False), (32, 3, True), (64, 2, True), (64, 3, False), (96, 3, False), (96, 2, True)],
        *[(100, 3, False), (100, 8, True), (128, 2, False), (128, 3, True), (256, 8, False), (256, 2, False)],
    ],
)
@pytest.mark.parametrize("name", NETWORKS)
def test_one_thread_and_many_come_to_the_same_bits(name, rows, threads, all_steps, monkeypatch):
    if all_steps:
        _share_all(monkeypatch)
    assert _trained(name, rows, threads, monkeypatch) == _trained(name, rows, 1, monkeypatch)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["deep", "digits", "softmax inside"])
def test_weights_that_are_updated_early_get_the_same_bits(name, rule, monkeypatch):
    late = _trained(name, 64, 2, monkeypatch, RULES[rule])
    monkeypatch.setattr(early, "_CACHED", 0)
    PROGRAMS.clear()
    assert _trained(name, 64, 2, monkeypatch, RULES[rule]) == late


# A first layer of another shape than the others has factors of its own, a learning rate for each weight say.
@pytest.mark.parametrize("inputs", [64, 48])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_early_updates_need_no_memory_for_all_gradients(optimizer, inputs, monkeypatch):
    """Each layer's update runs before the gradient is passed on to the layer before the next."""
    model = _dense((inputs,), *[64] * 20, 10)
    x, y = np.zeros((128, inputs), "u1"), np.zeros(128, "int32")
    bytes_of = {}
    for cached in (0, 1 << 20):
        monkeypatch.setattr(early, "_CACHED", cached)
        PROGRAMS.clear()
        model.compile(optimizer, SPARSE)
        kernels = [
            step.results[0] for step in model.plan(x, y, 128, 0)[0] if step.kernel.startswith("matmul") and step.updates
        ]
        updates = [n for n, name in enumerate(kernels) if name.startswith("dense")]
        assert (max(np.diff(updates)) == 2) == (cached == 0), kernels
        bytes_of[cached] = nacre.budget(model, batch_size=128).memory.activations
    assert bytes_of[0] < 0.7 * bytes_of[1 << 20]


@pytest.mark.parametrize("rule", RULES)
def test_any_optimizer_comes_to_the_same_bits_with_one_thread_and_two(rule, monkeypatch):
    _share_all(monkeypatch)
    assert _trained("deep", 64, 2, monkeypatch, RULES[rule]) == _trained("deep", 64, 1, monkeypatch, RULES[rule])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("threads", [2, 3])
def test_a_run_that_is_stopped_anywhere_is_stopped_for_all(threads, monkeypatch):
    _share_all(monkeypatch)
    monkeypatch.setenv("NACRE_THREADS", str(threads))
    model = _dense((9,), 7, 3)
    model.compile("sgd", SPARSE)
    x, y = np.zeros((50_000, 9), "f4"), np.zeros(50_000, "int32")
    model.fit(x[:100], y[:100], verbose=0)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    gc.collect()
    gc.disable()  # what a signal raises while Python collects garbage, Python itself drops
    try:
        for n in range(8):
            signal.setitimer(signal.ITIMER_REAL, 0.03 + n * 0.0037)
            with pytest.raises(KeyboardInterrupt):
                model.fit(x, y, epochs=1000, verbose=0)
    finally:
        gc.enable()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert np.isfinite(model.predict(x[:5], verbose=0)).all()


def test_a_loss_that_is_no_number_stops_all_before_the_weights_change(monkeypatch):
    _share_all(monkeypatch)
    monkeypatch.setenv("NACRE_THREADS", "3")
    model = _dense((9,), 40, 3, last=None)
    model.compile(SGD(0.1), "mse")
    x, y = np.ones((300, 9), "f4"), np.ones((300, 3), "f4")
    model.fit(x, y, epochs=1, verbose=0, shuffle=False)
    before = [w.tobytes() for w in model.get_weights()]
    y[0] = 3e38
    with pytest.raises(nacre.errors.NonFiniteLossError):
        model.fit(x, y, batch_size=100, verbose=0, shuffle=False)
    assert [w.tobytes() for w in model.get_weights()] == before


def test_others_are_woken_for_a_run_that_is_worth_it(monkeypatch):
    monkeypatch.setattr(planning, "_WORTH_A_RUN", 100_000)
    model = _dense((9,), 40, 3)
    model.compile("sgd", SPARSE)
    x, y = np.ones((100, 9), "f4"), np.zeros(100, "int32")
    model.fit(x, y, batch_size=100, verbose=0)
    plan = model._trainer._executable_for("train", model._dataset(x, y), 100).plans[100]
    work = sum(step.work for step, how in zip(plan.steps, plan.sharings(), strict=True) if how)
    assert 0 < work < 100_000
    assert (plan.together - 1) * work < 100_000 <= plan.together * work
