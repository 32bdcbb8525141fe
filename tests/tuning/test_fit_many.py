"""Replicas that train side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import nacre
from nacre.errors import DataError, UsageError
from nacre.layers import Dense, Dropout
from nacre.training.trainer import PROGRAMS

X = np.random.default_rng(0).standard_normal((97, 6)).astype("float32")
Y = X[:, :3].argmax(-1)


def build(rate: float = 0.1, drop: float = 0.2) -> nacre.Sequential:
    model = nacre.Sequential([nacre.Input((6,)), Dense(40, activation="tanh"), Dropout(drop), Dense(3, "softmax")])
    model.compile(nacre.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


SAME = build()


def bits(model: Any) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


@pytest.mark.parametrize("settings", [None, [{"rate": 0.01 * n, "drop": 0.1 * n} for n in range(5)]])
def test_each_replica_ends_with_the_bits_it_has_alone(settings: Any) -> None:
    found = nacre.fit_many(
        build, X, Y, seeds=range(5), settings=settings, epochs=4, batch_size=16, validation_split=0.2
    )
    for seed, (model, history) in enumerate(found):
        nacre.utils.set_random_seed(seed)
        PROGRAMS.clear()  # none that another has
        alone = build(**(settings[seed] if settings else {}))
        expected = alone.fit(X, Y, epochs=4, batch_size=16, validation_split=0.2, verbose=0)
        assert history.history == expected.history
        assert bits(model) == bits(alone)
        for m in (model, alone):  # and they go on alike, each on all threads again
            m.fit(X, Y, verbose=0)
        assert bits(model) == bits(alone)


def swish(x: Any) -> Any:
    return x * nacre.ops.sigmoid(x)


def mixed(kind: str, rate: float = 0.1) -> nacre.Sequential:
    """Some differ in what only the program knows, some in names of the same length, some in numbers alone."""
    act = {"own": swish, "other": lambda x: x * 0.5}.get(kind, "relu")
    model = nacre.Sequential([nacre.Input((6,)), Dense(8, act), Dense(3, "softmax", use_bias=kind != "no bias")])
    model.layers[0].trainable = kind != "frozen"
    optimizer = nacre.optimizers.SGD(rate, momentum=0.5 if kind == "momentum" else 0.0)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def test_only_replicas_of_the_same_kind_share_their_programs() -> None:
    kinds = ["plain", "own", "other", "frozen", "no bias", "momentum", "plain", "frozen", "own"]
    settings = [{"kind": kind, "rate": 0.05 * n + 0.05} for n, kind in enumerate(kinds)]
    found = nacre.fit_many(mixed, X, Y, seeds=range(9), settings=settings, epochs=2)
    for seed, (model, history) in enumerate(found):
        nacre.utils.set_random_seed(seed)
        PROGRAMS.clear()  # none that another has
        alone = mixed(**settings[seed])
        assert alone.fit(X, Y, epochs=2, verbose=0).history == history.history
        assert bits(model) == bits(alone)
        for m in (model, alone):  # what one becomes afterwards is its own
            m.layers[0].trainable = seed % 2 == 0
            m.fit(X, Y, batch_size=20, verbose=0)
        assert bits(model) == bits(alone)


def test_a_line_for_each_replica_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    nacre.fit_many(build, X, Y, seeds=[3, 4], epochs=1, verbose=1)
    said = capsys.readouterr()
    assert said.out == ""
    assert sorted(line.split()[:3] for line in said.err.splitlines()) == [["seed", "3", "loss"], ["seed", "4", "loss"]]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nacre.fit_many(build, X, Y, seeds=[1, 2], settings=[{}]), UsageError, "one setting for each seed"),
        (
            lambda: nacre.fit_many(build, X, Y, seeds=[1], callbacks=[nacre.callbacks.Callback()]),
            UsageError,
            "Callbacks",
        ),
        (lambda: nacre.fit_many(lambda: 5, X, Y, seeds=[1]), UsageError, "build gives"),
        (lambda: nacre.fit_many(lambda: SAME, X, Y, seeds=[1, 2]), UsageError, "new model"),
        (lambda: nacre.fit_many(build, X * np.nan, Y, seeds=[1, 2, 3]), DataError, "nan"),
    ],
)
def test_mistakes_are_named(call: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


INTERRUPTED = """
import signal, threading, os, numpy as np, nacre, time
def build():
    m = nacre.Sequential([nacre.Input((6,)), nacre.layers.Dense(40), nacre.layers.Dense(3)]); m.compile("sgd", "mse"); return m
x = np.ones((64, 6), "f4"); y = np.zeros((64, 3), "f4")
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try: nacre.fit_many(build, x, y, seeds=range(6), epochs=10**6)
except KeyboardInterrupt: print("stopped")
"""


def test_ctrl_c_ends_all_of_them() -> None:
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert run.stdout == "stopped\n", run.stderr
    assert run.returncode == 0
