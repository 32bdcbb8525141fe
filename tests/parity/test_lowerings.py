"""Whole trainings agree between the lowerings, and on native between instruction sets to the bit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from update_rules import RULES

import nacre
from nacre.backends.native._binding import ISAS
from nacre.layers import Activation, Dense, Dropout, Flatten, Rescaling


def _network(optimizer, device="native"):
    nacre.utils.set_random_seed(3)
    model = nacre.Sequential(
        [
            nacre.Input((5, 4)),
            Rescaling(1 / 255),
            Flatten(),
            Dense(33, activation="relu"),
            Dropout(0.3),
            Dense(17, activation="tanh"),
            Dense(9),
            Activation("sigmoid"),
            Dense(4, activation="softmax"),
        ]
    )
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    return model


def _data():
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (103, 5, 4), dtype=np.uint8), rng.integers(0, 4, 103)


@pytest.mark.parametrize("name", RULES)
def test_a_training_on_native_is_that_of_the_oracle(name):
    x, y = _data()
    histories, weights = [], []
    for device in ("native", "reference"):
        model = _network(RULES[name](), device)
        histories.append(model.fit(x, y, epochs=3, batch_size=25, verbose=0).history)
        weights.append(model.get_weights())
    for key in histories[0]:
        assert histories[0][key] == pytest.approx(histories[1][key], rel=2e-5), key
    for a, b in zip(*weights, strict=True):
        assert np.allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["sgd", "momentum", "all of rmsprop", "adam", "everything"])
@pytest.mark.parametrize("features", [400, 403])
def test_narrow_layers_train_and_are_sampled_as_by_the_oracle(name, features):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((96, features)).astype("f4"), rng.integers(0, 3, 96)
    weights, sampled = [], []
    for device in ("native", "reference"):
        nacre.utils.set_random_seed(3)
        model = nacre.Sequential(
            [nacre.Input((features,)), Dense(32, activation="tanh"), Dense(500, activation="relu")]
        )
        model.add(Dense(7))
        model.add(Dense(3, activation="softmax"))
        model.compile(RULES[name](), "sparse_categorical_crossentropy", device=device)
        statistics = nacre.callbacks.LayerStatistics(every=2)
        model.fit(x, y, epochs=2, batch_size=32, verbose=0, callbacks=[statistics])
        weights.append(model.get_weights())
        sampled.append(statistics.history)
    for a, b in zip(*weights, strict=True):
        assert np.allclose(a, b, rtol=2e-4, atol=2e-5)
    for name, figures in sampled[0].items():
        for what, numbers in figures.items():
            assert np.allclose(numbers, sampled[1][name][what], rtol=1e-3, atol=1e-4), (name, what)


@pytest.mark.parametrize("rescaling", [(), (1 / 255,), (-2.0,), (1 / 127.5, -1.0)], ids=str)
@pytest.mark.parametrize("units", [7, 30])
@pytest.mark.parametrize("features", [400, 403])
def test_narrow_layers_learn_from_bytes_what_they_learn_from_the_same_numbers(features, units, rescaling):
    rng = np.random.default_rng(2)
    x, y = rng.integers(0, 256, (90, features), dtype=np.uint8), rng.integers(0, 3, 90)
    scale, offset = np.float32([*rescaling, *(1.0, 0.0)[len(rescaling) :]])
    weights = []
    for rows in (x, x.astype("f4") * scale + offset):
        nacre.utils.set_random_seed(3)
        scaled = [Rescaling(*rescaling)] if rescaling and rows is x else []
        model = nacre.Sequential([nacre.Input((features,)), *scaled, Dense(units, "tanh"), Dense(3, "softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(rows, y, epochs=2, batch_size=32, verbose=0)
        weights.append([*model.get_weights(), model.predict(rows[:1]), model.predict(rows)])
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def test_one_step_on_native_moves_the_weights_as_the_oracle_does():
    x, y = _data()
    moved = []
    for device in ("native", "reference"):
        model = _network(nacre.optimizers.SGD(1.0), device)
        before = model.get_weights()
        model.train_on_batch(x[:32], y[:32])
        moved.append([b - a for a, b in zip(before, model.get_weights(), strict=True)])
    for a, b in zip(*moved, strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-7)


PROGRAM = """
import sys; sys.path[:0] = [{folder!r}, {folder!r} + "/../contracts"]
import hashlib, nacre, test_lowerings as t
x, y = t._data(); model = t._network(nacre.optimizers.SGD(0.1, momentum=0.9)); model.fit(x, y, epochs=3, batch_size=25, verbose=0)
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


def _hash(**environment):
    program = PROGRAM.format(folder=os.path.dirname(__file__))
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    return run.stdout.strip()


def test_the_same_seed_gives_the_same_bits_in_another_process_and_on_every_instruction_set():
    found = {
        isa: _hash(NACRE_ISA=isa, PYTHONHASHSEED=str(i), LC_ALL="C") for i, isa in enumerate(ISAS) if isa != "reference"
    }
    assert len(set(found.values())) == 1, found


WIDE = """
import hashlib, numpy as np, nacre; L = nacre.layers
nacre.utils.set_random_seed(7); r = np.random.default_rng(0); nacre.config.set_dtype_policy({policy!r})
x = r.random((701, 97), dtype="f4"); y = r.integers(0, 7, 701)
m = nacre.Sequential([nacre.Input((97,)), L.Dense(331, activation="relu"), L.Dropout(0.2)])
m.add(L.Dense(165, activation="relu")); m.add(L.Dense(65, activation="tanh")); m.add(L.Dense(20))
m.add(L.Dense(7, activation="softmax"))
m.compile(nacre.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
h = m.fit(x, y, epochs=2, batch_size=100, verbose=0)
found = [w.tobytes() for w in m.get_weights()] + [repr(h.history).encode(), m.predict(x, verbose=0).tobytes()]
print(hashlib.sha256(b"".join(found)).hexdigest())
"""


# Layers that are long and narrow: over data, over bytes, between others; batches of as many rows as a layer has units.
NARROW = """
import hashlib, numpy as np, nacre; L = nacre.layers
nacre.utils.set_random_seed(7); r = np.random.default_rng(0); nacre.config.set_dtype_policy({policy!r})
found = []
for x in (r.random((220, 784), dtype="f4"), r.random((220, 401), dtype="f4"), r.integers(0, 256, (220, 784), dtype="u1")):
    m = nacre.Sequential([nacre.Input(x.shape[1:]), L.Rescaling(1 / x.max()), L.Dense(20, activation="sigmoid")])
    for n in (400, 30, 400, 9, 32, 1000): m.add(L.Dense(n, activation="relu"))
    m.add(L.Dense(3, activation="softmax"))
    m.compile(nacre.optimizers.SGD(0.05, momentum={momentum}), "sparse_categorical_crossentropy")
    h = m.fit(x, r.integers(0, 3, 220), epochs=2, batch_size=32, verbose=0)
    found += [w.tobytes() for w in m.get_weights()] + [repr(h.history).encode(), m.predict(x, verbose=0).tobytes()]
    one = m.predict(x[5:6], verbose=0); assert np.array_equal(one, m.predict(x, verbose=0)[5:6])
print(hashlib.sha256(b"".join(found)).hexdigest())
"""


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize(("program", "momentum"), [(WIDE, 0.9), (NARROW, 0.0), (NARROW, 0.9)])
def test_any_number_of_threads_gives_the_same_bits_on_any_isa(program, momentum, policy):
    found, program = set(), program.format(policy=policy, momentum=momentum)
    ways = [("baseline", 1), ("avx2", 2), ("avx512", 3), (ISAS[-1], 1), (ISAS[-1], 2), (ISAS[-1], 3), (ISAS[-1], 8)]
    for isa, threads in ways:
        environment = {**os.environ, "NACRE_THREADS": str(threads), "NACRE_ISA": isa if isa in ISAS else ISAS[-1]}
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
        )
        found.add(run.stdout)
    assert len(found) == 1


SCARCE = """
import hashlib, resource, numpy as np, nacre; L = nacre.layers
nacre.utils.set_random_seed(7); r = np.random.default_rng(0); x = r.random((512, 300), dtype="f4"); y = r.integers(0, 3, 512)
m = nacre.Sequential([nacre.Input((300,)), L.Dense(300, activation="relu"), L.Dense(3, activation="softmax")])
m.compile("sgd", "sparse_categorical_crossentropy"); m.plan(x, y)
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
limit = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize() + ({room} << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
m.fit(x, y, epochs=2, verbose=0)
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
print(hashlib.sha256(b"".join(w.tobytes() for w in m.get_weights())).hexdigest())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="tells how much memory is in use")
def test_where_the_system_starts_no_more_threads_one_does_the_same():
    """Wherever in the last stack the memory ends: what threads have for themselves is taken before."""
    found = set()
    for threads, room in [("1", 256), *(("200", room) for room in range(249, 265, 2))]:
        environment = {**os.environ, "NACRE_THREADS": threads}
        run = subprocess.run(
            [sys.executable, "-c", SCARCE.format(room=room)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        found.add(run.stdout)
    assert len(found) == 1


FORKED = """
import os, numpy as np, nacre; L = nacre.layers
x = np.random.default_rng(0).random((512, 300), dtype="f4"); y = np.zeros(512, "int32")
m = nacre.Sequential([nacre.Input((300,)), L.Dense(300, activation="relu"), L.Dense(3, activation="softmax")])
m.compile("sgd", "sparse_categorical_crossentropy"); m.fit(x, y, verbose=0); p = m.predict(x, verbose=0)
child = os.fork()
if child == 0:
    ok = np.array_equal(m.predict(x, verbose=0), p); m.fit(x, y, verbose=0); os._exit(0 if ok else 3)
print(os.waitpid(child, 0)[1], np.array_equal(m.predict(x, verbose=0), p))
"""


def test_a_forked_child_trains_and_predicts_like_its_parent():
    environment = {**os.environ, "NACRE_THREADS": "3"}
    run = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, env=environment, check=True, timeout=60
    )
    assert run.stdout.split() == ["0", "True"]


def test_a_row_is_predicted_to_the_same_bits_whatever_stands_beside_it():
    x, _ = _data()
    model = _network("sgd")
    whole = model.predict(x, verbose=0)
    for size in (1, 7, 32, 103):
        assert np.array_equal(model.predict(x, batch_size=size, verbose=0), whole), size
    assert np.array_equal(model.predict(x[40:41], verbose=0)[0], whole[40])
