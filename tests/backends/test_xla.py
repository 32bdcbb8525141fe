"""What XLA computes through JAX: the trainings of the oracle to rounding, and its own to the bit, however a run is cut."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from update_rules import RULES

import nacre
from nacre import Sequential, callbacks, config, layers
from nacre.backends import xla
from nacre.errors import NonFiniteLossError
from nacre.optimizers import SGD, Optimizer
from nacre.training.trainer import PROGRAMS

Array = npt.NDArray[Any]

X = np.random.default_rng(1).integers(0, 256, (96, 5, 4), dtype=np.uint8)
Y = np.random.default_rng(2).integers(0, 3, 96)


def network(device: str, optimizer: Optimizer | None = None, dropout: float = 0.3) -> Sequential:
    nacre.utils.set_random_seed(3)
    model = Sequential([nacre.Input((5, 4)), layers.Rescaling(1 / 255), layers.Flatten()])
    model.add(layers.Dense(7, activation="relu"))
    model.add(layers.Dropout(dropout))
    model.add(layers.Dense(3, activation="softmax"))
    rule = optimizer or SGD(0.1, momentum=0.9)
    model.compile(rule, "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    return model


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def alike(one: Sequential, other: Sequential) -> bool:
    weights = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.allclose(a, b, rtol=2e-4, atol=2e-5) for a, b in weights)


# ------------------------------------------------------------------ the same training


@pytest.mark.parametrize("name", RULES)
def test_every_optimizer_goes_where_the_oracle_goes(name: str) -> None:
    models = [network(device, RULES[name](), dropout=0) for device in ("xla", "reference")]
    found, expected = (m.fit(X, Y, epochs=2, batch_size=16, verbose=0).history for m in models)
    for key in expected:
        assert found[key] == pytest.approx(expected[key], rel=2e-5), key
    assert alike(*models)


def test_what_is_dropped_is_what_is_dropped_on_native() -> None:
    kept = []
    for device in ("xla", "native"):
        nacre.utils.set_random_seed(3)
        model = Sequential([nacre.Input((50,)), layers.Dropout(0.4, name="dropout"), layers.Dense(1)])
        model.compile("sgd", "mse", device=device)
        kept.append(model.inside(np.ones((8, 50)), np.ones((8, 1)), training=True)["dropout"].output)
    assert np.array_equal(*kept)
    assert np.unique(kept[0]) == pytest.approx([0, 1 / 0.6])


def test_statistics_of_layers_are_those_of_native() -> None:
    seen = {device: callbacks.LayerStatistics(every=2) for device in ("xla", "native")}
    for device, statistics in seen.items():
        network(device).fit(X, Y, epochs=2, batch_size=32, verbose=0, callbacks=[statistics])
    found, expected = (statistics.history for statistics in seen.values())
    assert found.keys() == expected.keys()
    for subject, of in expected.items():
        for what, numbers in of.items():
            assert found[subject][what] == pytest.approx(numbers, rel=1e-3, abs=1e-5), (subject, what)


@pytest.fixture
def policy() -> Iterator[Callable[[str], None]]:
    yield config.set_dtype_policy
    config.set_dtype_policy("float32")


def test_float64_is_computed_in_float64(policy: Callable[[str], None]) -> None:
    policy("float64")
    models = [network(device) for device in ("xla", "reference")]
    for model in models:
        model.fit(X, Y, batch_size=32, verbose=0)
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        assert a.dtype == np.float64
        assert np.allclose(a, b, rtol=1e-12, atol=1e-14)


def test_factors_are_rounded_to_bfloat16_and_sums_are_not(policy: Callable[[str], None]) -> None:
    policy("mixed_bfloat16")
    x = np.random.default_rng(0).standard_normal((16, 40)).astype("float32")
    found = []
    for device in ("xla", "reference"):
        nacre.utils.set_random_seed(3)
        model = Sequential([nacre.Input((40,)), layers.Dense(9)])
        model.compile("sgd", "mse", device=device)
        found.append(model.predict(x, verbose=0))
    exact = x.astype("f8") @ model.get_weights()[0].astype("f8")
    assert np.allclose(*found, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found[0], exact, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------ however a run is cut


class EachBatch(callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses = [*getattr(self, "losses", ()), logs["loss"]]


def test_how_a_run_is_cut_changes_no_bit() -> None:
    each, cut, whole = EachBatch(), network("xla"), network("xla")
    histories = [
        m.fit(X, Y, epochs=2, batch_size=16, verbose=0, callbacks=c).history for m, c in ((whole, []), (cut, [each]))
    ]
    assert bits(cut) == bits(whole)
    assert histories[0] == histories[1]
    assert len(each.losses) == 12


def test_programs_of_the_same_text_are_compiled_once() -> None:
    network("xla").fit(X, Y, batch_size=16, verbose=0)
    before = xla._loop.cache_info()
    network("xla").fit(X[:64], Y[:64], batch_size=16, verbose=0)  # other rows, as many in a batch
    after = xla._loop.cache_info()
    assert (after.misses, after.hits > before.hits) == (before.misses, True)
    network("xla", SGD(0.1, momentum=0.7)).fit(X[:64], Y[:64], batch_size=16, verbose=0)
    assert xla._loop.cache_info().misses == before.misses + 1


def test_a_step_whose_loss_is_not_finite_changes_nothing() -> None:
    x = np.zeros((96, 4), "float32")
    x[50] = 1e30  # in the seventh batch, so in the middle of a piece
    weights, steps = [], []
    for rows in (96, 48):
        nacre.utils.set_random_seed(3)
        model = Sequential([nacre.Input((4,)), layers.Dense(2)])
        model.compile(SGD(0.1, momentum=0.9), "mse", device="xla")
        y = np.ones((96, 2))
        if rows == 96:
            with pytest.raises(NonFiniteLossError, match="step 7"):
                model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
        else:
            model.fit(x[:rows], y[:rows], batch_size=8, shuffle=False, verbose=0)
        weights.append(model.get_weights())
        steps.append(model.optimizer.iterations)
    assert steps == [6, 6]
    assert all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
    assert weights[0][1].any()


def test_ctrl_c_leaves_the_state_of_whole_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.tile(X, (40, 1, 1)), np.tile(Y, 40)
    taken, take = [], xla._take

    def interrupted(*given: Any) -> None:
        taken.append(given)
        if len(taken) == 4:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # until whoever waits has heard of it
        take(*given)

    monkeypatch.setattr(xla, "_take", interrupted)
    model, straight = network("xla"), network("xla")
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    steps = model.optimizer.iterations
    assert 0 < steps < 240
    monkeypatch.undo()
    straight.fit(x[: steps * 16], y[: steps * 16], batch_size=16, shuffle=False, verbose=0)
    assert bits(model) == bits(straight)


# ------------------------------------------------------------------ how it is launched


def test_an_epoch_of_rows_that_stay_on_the_device_is_one_execution_and_one_for_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[int] = []  # steps of each execution
    loop = xla._loop

    def counted(*which: Any) -> Callable[..., Any]:
        def run(*state: Any, **given: Any) -> Any:
            ran.append(int(given["steps"]))
            return loop(*which)(*state, **given)

        return run

    monkeypatch.setattr(xla, "_loop", counted)
    monkeypatch.setattr(xla, "_SECONDS", 1e9)  # however slow this machine is
    monkeypatch.setattr(xla.Place, "free", 1 << 40)
    x, y = np.tile(X, (7, 1, 1)), np.tile(Y, 7)
    model = network("xla")
    model.fit(x[:-1], y[:-1], epochs=2, batch_size=2, verbose=0)  # finds its pace
    ran.clear()
    model.fit(x[:-1], y[:-1], epochs=3, batch_size=2, verbose=0)
    assert ran == [335, 1] * 3  # more than the loop over rows that are sent has room for


def test_of_two_ways_to_launch_the_faster_one_is_kept_and_no_bit_depends_on_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = network("xla")
    plain.fit(X, Y, epochs=20, batch_size=8, verbose=0)
    for faster in (0, 1):
        gone: list[tuple[int, float]] = []

        def note(choice: xla._Choice, way: int, seconds: float, faster: int = faster, gone: Any = gone) -> None:
            gone.append((way, seconds))
            choice.seconds[way] = 1.0 if way == faster else 2.0

        with monkeypatch.context() as patched:
            patched.setattr(
                xla.Place, "ways", xla._WAYS["gpu"]
            )  # whose names this XLA knows, though a CPU ignores them
            patched.setattr(xla._Choice, "note", note)
            PROGRAMS.clear()
            tried = network("xla")
            tried.fit(X, Y, epochs=20, batch_size=8, verbose=0)
        ways = [way for way, _ in gone]
        assert ways[: 2 * xla._TRIALS] == [0] * xla._TRIALS + [1] * xla._TRIALS
        assert set(ways[2 * xla._TRIALS + 1 :]) == {faster}
        assert all(seconds > 0 for _, seconds in gone)
        assert bits(tried) == bits(plain)


def test_a_way_counts_by_its_fastest_trial() -> None:
    choice = xla._Choice(("a", "b"))  # type: ignore[arg-type]
    took = {0: [9.0, 5.0, 2.0, 3.0], 1: [70.0, 8.0, 1.5, 1.6]}  # compiled, recorded, and then as fast as it is
    for number in range(2 * xla._TRIALS):
        assert choice.trying
        choice.note(choice.take(), took[number // 4][number % 4])
    assert not choice.trying
    assert [choice.take(), choice.take()] == [1, 1]


# ------------------------------------------------------------------ where arrays are


def test_rows_stay_on_a_device_with_a_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, put = [], xla.jax.device_put

    def counted(array: Any, *where: Any) -> Any:
        sent.append(np.shape(array))
        return put(array, *where)

    streamed, resident = network("xla"), network("xla")
    streamed.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    monkeypatch.setattr(xla.Place, "free", 1 << 40)
    monkeypatch.setattr(xla.jax, "device_put", counted)
    resident.fit(X, Y, epochs=3, batch_size=16, verbose=0)
    assert bits(resident) == bits(streamed)
    assert sent.count(X.shape) == 1
    monkeypatch.setattr(xla.Place, "free", 2 * X.nbytes)  # too little for both columns
    sent.clear()
    resident.fit(X, Y, epochs=1, batch_size=16, verbose=0)
    assert sent.count(X.shape) == 0


def test_rows_that_nobody_learns_from_stay_on_a_device_when_they_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, put = [], xla.jax.device_put

    def counted(array: Any, *where: Any) -> Any:
        sent.append(np.shape(array))
        return put(array, *where)

    monkeypatch.setattr(xla.Place, "free", 1 << 40)
    monkeypatch.setattr(xla.jax, "device_put", counted)
    model = network("xla")
    seen = model.fit(X, Y, validation_data=(X[:40], Y[:40]), epochs=3, batch_size=16, verbose=0).history["val_loss"]
    assert sent.count((40, 5, 4)) == 1
    model.predict(X[:40], verbose=0)
    assert sent.count((40, 5, 4)) == 1
    assert seen[-1] == pytest.approx(model.evaluate(X[:40], Y[:40], verbose=0, return_dict=True)["loss"], rel=1e-5)


def test_a_state_stays_on_its_device_until_somebody_asks() -> None:
    model = network("xla")
    model.fit(X, Y, batch_size=16, verbose=0)
    kernel = model.weights[0].memory
    there = kernel.on_device
    assert isinstance(there, xla.jax.Array)
    assert np.array_equal(kernel.read(), np.asarray(there))
    model.predict(X, verbose=0)
    assert kernel.on_device is there
    model.set_weights([w * 0 for w in model.get_weights()])
    assert kernel.on_device is None
    assert np.allclose(model.predict(X, verbose=0), 1 / 3)


def test_models_on_two_devices_share_a_layer() -> None:
    """Its weights are a matrix in panels, a narrow one that lies as its transpose, and a vector."""
    x, found = np.random.default_rng(0).standard_normal((32, 400)).astype("float32"), []
    for device in ("xla", "native"):
        nacre.utils.set_random_seed(3)
        shared = [layers.Dense(5, activation="tanh"), layers.Dense(40, activation="tanh")]
        one = Sequential([nacre.Input((400,)), *shared, layers.Dense(3)])
        other = Sequential([nacre.Input((400,)), *shared, layers.Dense(2)])
        one.compile(SGD(0.1), "mse", device=device)
        other.compile(SGD(0.1), "mse", device="native")
        for _ in range(3):
            one.fit(x, x[:, :3], batch_size=16, shuffle=False, verbose=0)
            other.fit(x, x[:, :2], batch_size=16, shuffle=False, verbose=0)
        found.append([*one.get_weights(), *other.get_weights(), one.predict(x, verbose=0), other.predict(x, verbose=0)])
    for a, b in zip(*found, strict=True):
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_device_without_room_is_told_of_and_the_state_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("xla")
    before = bits(model)

    def full(*given: Any, **named: Any) -> Any:
        raise xla.jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1 bytes.")

    monkeypatch.setattr(xla, "_loop", lambda *_: full)
    with pytest.raises(MemoryError, match=r"A batch of 16 rows needs more memory than .* has; use smaller batches\."):
        model.fit(X, Y, batch_size=16, verbose=0)
    assert bits(model) == before
