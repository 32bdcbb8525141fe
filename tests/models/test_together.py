"""Models beside one another: copies, threads, forks, frozen layers, callbacks that train."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import nacre
from nacre.errors import UsageError
from nacre.layers import Dense, Dropout


def _model(optimizer="sgd"):
    model = nacre.Sequential(
        [nacre.Input((6,)), Dense(8, activation="tanh"), Dropout(0.2), Dense(3, activation="softmax")]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


X = np.random.default_rng(0).random((40, 6), dtype="f4")
Y = np.arange(40) % 3


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_a_copy_goes_on_to_the_same_bits_and_is_independent(duplicate):
    model = _model(nacre.optimizers.SGD(0.1, momentum=0.9))
    model.fit(X, Y, epochs=2, verbose=0)
    twin = duplicate(model)
    before = [w.tobytes() for w in twin.get_weights()]
    model.fit(X, Y, epochs=2, verbose=0)
    assert [w.tobytes() for w in twin.get_weights()] == before
    twin.fit(X, Y, epochs=2, verbose=0)
    assert [w.tobytes() for w in twin.get_weights()] == [w.tobytes() for w in model.get_weights()]


def test_what_has_no_name_is_refused_when_saving(tmp_path):
    model = nacre.Sequential([nacre.Input((6,)), Dense(3, activation=lambda x: x * 2.0)])
    assert model.predict(X, verbose=0).shape[0] == 40
    with pytest.raises(UsageError, match="cannot be saved"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_frozen_layer_keeps_its_weights_and_thaws():
    model = _model()
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    after = model.get_weights()
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)] == [True, True, False, False]
    assert len(model.trainable_weights) == 2
    model.layers[0].trainable = True
    model.fit(X, Y, verbose=0)
    assert not np.array_equal(after[0], model.get_weights()[0])


def test_many_threads_with_many_batch_sizes_get_right_answers():
    model = _model()
    right = model.predict(X, verbose=0)
    wrong = []

    def ask():
        for rows in range(1, 25):
            if not np.array_equal(model.predict(X[:rows], verbose=0), right[:rows]):
                wrong.append(rows)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def _predicted(model, shared):
    return model.predict(X, verbose=0).tobytes()


def _predicted_by_another(model, shared):
    return shared.predict(X, verbose=0).tobytes()


def _weights(model, shared):
    return b"".join(w.tobytes() for w in model.get_weights())


@pytest.mark.parametrize("look", [_predicted, _predicted_by_another, _weights])
@pytest.mark.parametrize("predicts_first", [False, True])
@pytest.mark.parametrize("device", ["native", "reference", "xla"])
def test_what_another_thread_sees_during_training_comes_from_whole_steps(look, predicts_first, device):
    wide = Dense(400, activation="tanh")
    model, steps, seen = nacre.Sequential([nacre.Input((6,)), wide, Dense(3)]), [], []
    model.compile("sgd", "mse", device=device)
    shared = nacre.Sequential([nacre.Input((6,)), wide, Dense(2)])
    targets = np.eye(3, dtype="f4")[Y]
    if predicts_first:
        model.predict(X, verbose=0)
    shared.predict(X, verbose=0)

    class Keep(nacre.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            steps.append(look(model, shared))

    steps.append(look(model, shared))
    started, over = threading.Event(), threading.Event()

    def ask():
        while not over.is_set():
            seen.append(look(model, shared))
            started.set()

    thread = threading.Thread(target=ask)
    thread.start()
    started.wait()
    model.fit(X, targets, batch_size=40, epochs=100, verbose=0, callbacks=[Keep()])
    over.set()
    thread.join()
    assert set(seen) <= set(steps)


FORK = """
import os, threading, numpy as np, nacre
m = nacre.Sequential([nacre.Input((300,)), nacre.layers.Dense(300), nacre.layers.Dense(3)])
x = np.ones((2000, 300), "f4"); p = m.predict(x, verbose=0); over = threading.Event()
t = threading.Thread(target=lambda: [m.predict(x, verbose=0) for _ in iter(over.is_set, True)]); t.start()
codes = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(m.predict(x, verbose=0), p) else 3)
    codes.append(os.waitpid(child, 0)[1])
over.set(); t.join(); print(codes)
"""


def test_a_child_forked_while_another_thread_predicts_does_not_hang():
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == str([0] * 10)


SIGNAL = """
import signal, numpy as np, nacre
m = nacre.Sequential([nacre.Input((400,)), nacre.layers.Dense(400), nacre.layers.Dense(3)]); x = np.ones((4000, 400), "f4")
m.compile(nacre.optimizers.SGD(1e-6), "mse"); y = np.zeros((4000, 3), "f4"); said = []
def handle(*_):
    try: m.predict(x[:5], verbose=0)
    except nacre.errors.UsageError as e: said.append(str(e))
signal.signal(signal.SIGALRM, handle); signal.setitimer(signal.ITIMER_REAL, 0.3, 0.05)
while not said: m.fit(x, y, verbose=0)
signal.setitimer(signal.ITIMER_REAL, 0); print(said[0].splitlines()[0])
"""


def test_asking_a_running_model_from_a_signal_handler_is_an_error_not_a_deadlock():
    run = subprocess.run([sys.executable, "-c", SIGNAL], capture_output=True, text=True, check=True, timeout=60)
    assert "running already" in run.stdout


def test_a_fit_inside_a_callback_leaves_the_outer_history_alone():
    class Again(nacre.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                other = _model()
                other.fit(X, Y, epochs=3, verbose=0)
                self.model.fit(X, Y, epochs=1, verbose=0)

    assert len(_model().fit(X, Y, epochs=2, verbose=0, callbacks=[Again()]).epoch) == 2


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no /dev/null here")
def test_a_device_is_no_place_for_a_model():
    with pytest.raises(FileExistsError, match="no ordinary file"):
        _model().save("/dev/null")
    assert not os.path.isfile("/dev/null")


INTERRUPTED = """
import signal, numpy as np, nacre
from nacre.backends.native import plan
plan._WORTH_SHARING = -1  # a meeting after each step
m = nacre.Sequential([nacre.Input((9,)), nacre.layers.Dense(7, activation="relu"), nacre.layers.Dense(3, activation="softmax")])
m.compile("sgd", "sparse_categorical_crossentropy")
x = np.random.default_rng(0).random((200000, 9), dtype="f4"); y = np.zeros(200000, "int32")
for n in range(60):
    signal.setitimer(signal.ITIMER_REAL, 0.02 + n * 0.0007)
    try: m.fit(x, y, epochs=1000, verbose=0)
    except KeyboardInterrupt: pass
print(np.isfinite(m.predict(x[:5], verbose=0)).all())
"""


def test_threads_agree_where_to_stop_however_often_they_are_interrupted():
    handler = "import signal; signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
    environment = {**os.environ, "NACRE_THREADS": "2"}
    run = subprocess.run(
        [sys.executable, "-c", handler + INTERRUPTED],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    assert run.stdout.strip() == "True"


def test_what_was_predicted_belongs_to_whoever_asked():
    model = _model()
    first = model.predict(X[:1], verbose=0)
    kept = first.copy()
    second = model.predict(X[1:2], verbose=0)
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, kept)
    second[:] = 7
    assert np.array_equal(model.predict(X[1:2], verbose=0), model.predict(X[:2], verbose=0)[1:])


def test_a_prediction_knows_the_weights_of_this_moment(tmp_path):
    model, other = _model(), _model()
    asked = X[:1]
    old = model.predict(asked, verbose=0)
    model.set_weights(other.get_weights())
    assert np.array_equal(model.predict(asked, verbose=0), other.predict(asked, verbose=0))
    assert not np.array_equal(model.predict(asked, verbose=0), old)
    model.weights[-1].assign([9, 0, 0])
    assert model.predict(asked, verbose=0).argmax() == 0
    before = model.predict(asked, verbose=0)
    model.fit(X, Y, verbose=0)
    after = model.predict(asked, verbose=0)
    assert not np.array_equal(before, after)
    model.save(tmp_path / "model")
    assert np.array_equal(nacre.models.load_model(tmp_path / "model").predict(asked, verbose=0), after)


def test_models_that_share_a_layer_share_what_it_learns():
    shared = Dense(3, name="shared")
    one, two = nacre.Sequential([nacre.Input((6,)), shared]), nacre.Sequential([nacre.Input((6,)), shared])
    one.compile("sgd", "mse")
    assert np.array_equal(one.predict(X[:1], verbose=0), two.predict(X[:1], verbose=0))
    one.fit(X, np.zeros((40, 3)), verbose=0)
    assert np.array_equal(one.predict(X[:1], verbose=0), two.predict(X[:1], verbose=0))
    two.set_weights([w + 1 for w in two.get_weights()])
    assert np.array_equal(one.predict(X[:1], verbose=0), two.predict(X[:1], verbose=0))


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc here")
def test_memory_does_not_grow_however_often_a_model_is_asked():
    def pages():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    model = _model()
    for _ in range(1000):
        model.predict(X[:1], verbose=0)
    before = pages()
    for _ in range(50_000):
        model.predict(X[:1], verbose=0)
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 1 << 20


def test_a_new_weight_is_not_missed_while_others_ask():
    model = nacre.Sequential([nacre.Input((6,)), Dense(5, use_bias=False)])
    over, ones = threading.Event(), np.ones((1, 6), "f4")
    model.predict(ones, verbose=0)

    def ask():
        while not over.is_set():
            model.predict(X[:1], verbose=0)

    thread = threading.Thread(target=ask)
    thread.start()
    wrong = []
    for n in range(300):
        model.set_weights([np.full((6, 5), n, "f4")])
        if not np.array_equal(model.predict(ones, verbose=0), np.full((1, 5), 6 * n)):
            wrong.append(n)
    over.set()
    thread.join()
    assert not wrong
