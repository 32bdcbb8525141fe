"""Training, as a user of Keras expects it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, layers
from nacre.callbacks import Callback, History
from nacre.errors import DataError, ShapeError
from nacre.optimizers import SGD, RMSprop
from nacre.utils import set_random_seed

Array = npt.NDArray[Any]
Data = tuple[Array, Array]
Make = Callable[..., Sequential]


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


# ------------------------------------------------------------------ history


def test_history_has_one_figure_per_epoch_and_metric(make: Make, data: Data) -> None:
    model = make()
    history = model.fit(*data, epochs=3, verbose=0)
    assert isinstance(history, History)
    assert history.epoch == [0, 1, 2]
    assert list(history.history) == ["loss", "accuracy"]
    assert all(len(v) == 3 and all(isinstance(n, float) for n in v) for v in history.history.values())
    assert model.history is history


def test_validation_data_adds_figures_after_those_of_training(make: Make, data: Data) -> None:
    history = make().fit(*data, epochs=2, validation_data=data, verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_validation_figures_are_those_of_evaluate(make: Make, data: Data) -> None:
    x, y = data
    model = make()
    history = model.fit(x, y, epochs=2, validation_data=(x[:11], y[:11]), verbose=0)
    loss, accuracy = model.evaluate(x[:11], y[:11], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)
    assert history.history["val_accuracy"][-1] == pytest.approx(accuracy, rel=1e-6)


def test_validation_split_is_the_last_rows_and_the_others_train(make: Make, data: Data) -> None:
    x, y = data
    split, apart = make(), make()
    found = split.fit(x, y, epochs=2, validation_split=0.25, verbose=0)
    at = int(len(x) * 0.75)
    expected = apart.fit(x[:at], y[:at], epochs=2, validation_data=(x[at:], y[at:]), verbose=0)
    assert found.history == expected.history
    assert bits(split) == bits(apart)


def test_validation_changes_no_weight(make: Make, data: Data) -> None:
    with_it, without = make(), make()
    with_it.fit(*data, epochs=2, validation_data=data, verbose=0)
    without.fit(*data, epochs=2, verbose=0)
    assert bits(with_it) == bits(without)


def test_initial_epoch_counts_from_where_it_is_told(make: Make, data: Data) -> None:
    assert make().fit(*data, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]


def test_initial_epoch_at_the_end_trains_nothing(make: Make, data: Data) -> None:
    model = make()
    before = bits(model)
    assert model.fit(*data, epochs=2, initial_epoch=2, verbose=0).epoch == []
    assert bits(model) == before


def test_the_loss_of_an_epoch_weighs_every_row_the_same(make: Make, data: Data) -> None:
    model = make(optimizer=SGD(0.0), dropout=0.0)
    expected = model.evaluate(*data, verbose=0)
    history = model.fit(*data, batch_size=8, verbose=0).history
    assert [history["loss"][0], history["accuracy"][0]] == pytest.approx(expected, rel=1e-5)


def test_a_model_learns(make: Make, data: Data) -> None:
    model = make(dropout=0.0, optimizer=SGD(0.5, momentum=0.9))
    model.fit(*data, epochs=60, verbose=0)
    assert model.evaluate(*data, verbose=0)[1] > 0.9


def test_fit_goes_on_where_it_stopped(make: Make, data: Data) -> None:
    once, twice = make(optimizer=SGD(0.1, momentum=0.9)), make(optimizer=SGD(0.1, momentum=0.9))
    once.fit(*data, epochs=4, verbose=0)
    twice.fit(*data, epochs=2, verbose=0)
    twice.fit(*data, epochs=4, initial_epoch=2, verbose=0)
    assert bits(once) == bits(twice)


# ------------------------------------------------------------------ what is printed


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
def test_fit_prints_a_line_per_epoch_to_standard_error(
    make: Make, data: Data, verbose: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    make().fit(*data, epochs=2, validation_split=0.2, verbose=verbose)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, start=1):
        assert f"Epoch {number}/2" in line
        assert all(name in line for name in ("loss", "accuracy", "val_loss", "val_accuracy"))


def test_verbose_0_prints_nothing(make: Make, data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    model = make()
    model.fit(*data, validation_split=0.2, verbose=0)
    model.evaluate(*data, verbose=0)
    model.predict(data[0], verbose=0)
    assert capsys.readouterr() == ("", "")


def test_evaluate_prints_to_standard_error(make: Make, data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    make().evaluate(*data)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "43" in printed.err
    assert "accuracy" in printed.err


# ------------------------------------------------------------------ callbacks


class Epochs(Callback):
    """Notes the hooks that are not about batches."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.seen.append("train begin")

    def on_train_end(self, logs: Any = None) -> None:
        self.seen.append("train end")

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(("epoch begin", epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(("epoch end", epoch, list(logs)))

    def on_test_begin(self, logs: Any = None) -> None:
        self.seen.append("test begin")

    def on_test_end(self, logs: Any = None) -> None:
        self.seen.append(("test end", list(logs)))


class Batches(Epochs):
    """Notes all hooks."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("batch begin", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("batch end", batch, list(logs)))

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("test batch begin", batch))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(("test batch end", batch))


def test_hooks_of_epochs_come_in_the_order_of_keras(make: Make, data: Data) -> None:
    seen = Epochs()
    make().fit(*data, epochs=2, validation_data=data, callbacks=[seen], verbose=0)
    figures = ["loss", "accuracy", "val_loss", "val_accuracy"]
    an_epoch = [
        [("epoch begin", n), "test begin", ("test end", figures[:2]), ("epoch end", n, figures)] for n in range(2)
    ]
    assert seen.seen == ["train begin", *an_epoch[0], *an_epoch[1], "train end"]


def test_hooks_of_batches_come_in_the_order_of_keras(make: Make, data: Data) -> None:
    seen = Batches()
    x, y = data
    make().fit(x, y, batch_size=20, validation_data=(x[:25], y[:25]), callbacks=[seen], verbose=0)
    figures = ["loss", "accuracy"]
    steps = [step for b in range(3) for step in (("batch begin", b), ("batch end", b, figures))]
    tests = [(f"test batch {edge}", b) for b in range(2) for edge in ("begin", "end")]
    end = ("epoch end", 0, [*figures, "val_loss", "val_accuracy"])
    tested = ["test begin", *tests, ("test end", figures)]
    assert seen.seen == ["train begin", ("epoch begin", 0), *steps, *tested, end, "train end"]


@pytest.mark.parametrize("optimizer", [SGD(0.1, momentum=0.9), RMSprop(0.01, centered=True)], ids=["sgd", "rmsprop"])
def test_watching_batches_changes_no_bit(make: Make, data: Data, optimizer: Any) -> None:
    models = [make(optimizer=type(optimizer).from_config(optimizer.get_config())) for _ in range(2)]
    histories = [
        model.fit(*data, batch_size=8, epochs=3, callbacks=callbacks, verbose=0, validation_split=0.3)
        for model, callbacks in zip(models, [[], [Batches()]], strict=True)
    ]
    assert bits(models[0]) == bits(models[1])
    assert histories[0].history == histories[1].history


def test_the_figures_of_the_last_batch_are_those_of_the_epoch(make: Make, data: Data) -> None:
    class Last(Callback):
        figures: dict[str, float]

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.figures = dict(logs)

    last = Last()
    history = make().fit(*data, batch_size=8, callbacks=[last], verbose=0)
    assert {name: [value] for name, value in last.figures.items()} == history.history


def test_a_callback_knows_model_and_settings(make: Make, data: Data) -> None:
    class Looks(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.found = (self.model, self.params["epochs"], self.params["steps"])

    looks, model = Looks(), make()
    model.fit(*data, batch_size=10, epochs=2, callbacks=[looks], verbose=0)
    assert looks.found == (model, 2, 5)


def test_stop_training_ends_after_the_epoch(make: Make, data: Data) -> None:
    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.stop_training = epoch == 1

    seen, model = Epochs(), make()
    assert model.fit(*data, epochs=9, callbacks=[Stop(), seen], verbose=0).epoch == [0, 1]
    assert seen.seen[-1] == "train end"
    assert model.fit(*data, epochs=3, verbose=0).epoch == [0, 1, 2]


def test_stop_training_from_a_batch_hook_ends_after_that_batch(make: Make, data: Data) -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    model = make()
    assert model.fit(*data, batch_size=5, epochs=4, callbacks=[Stop()], verbose=0).epoch == [0]
    assert model.optimizer.iterations == 3


def test_evaluate_and_predict_call_their_hooks(make: Make, data: Data) -> None:
    class Asked(Callback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_test_begin(self, logs: Any = None) -> None:
            self.seen.append("test")

        def on_predict_begin(self, logs: Any = None) -> None:
            self.seen.append("predict")

        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen.append(batch)

    asked, model = Asked(), make()
    model.evaluate(*data, callbacks=[asked], verbose=0)
    watched = model.predict(data[0], batch_size=20, callbacks=[asked])
    assert asked.seen == ["test", "predict", 0, 1, 2]
    assert watched.tobytes() == model.predict(data[0]).tobytes()
    asked.seen.clear()
    assert model.predict(data[0][:0], callbacks=[asked], verbose=0).shape == (0, 3)
    assert asked.seen == ["predict"]


@pytest.mark.parametrize("device", ["native", "reference", "xla"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_prediction_finds_what_is_not_finite_wherever_it_is(make: Make, data: Data, device: str, bad: float) -> None:
    class Asked(Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    model = make(device=device)
    for row, column in [(0, 0), (20, 3), (42, 1)]:
        x = data[0].copy()
        x[row, column] = bad
        for callbacks in (None, [Callback()], [Asked()]):
            with pytest.raises(DataError, match=f"the first at row {row}, column {column}"):
                model.predict(x, batch_size=20, callbacks=callbacks, verbose=0)
    assert np.isfinite(model.predict(np.full((1, 4), np.finfo("float32").max), verbose=0)).all()


def test_rows_are_checked_against_the_layers_there_are_now(make: Make, data: Data) -> None:
    model = make()
    model.predict(data[0], verbose=0)
    with pytest.raises(ShapeError, match="4 features"):
        model.predict(data[0][:, :3], verbose=0)
    model.pop()
    assert model.predict(data[0], verbose=0).shape == (43, 5)
    with pytest.raises(ShapeError, match="4 features"):
        model.predict(data[0][:, :3], verbose=0)


# ------------------------------------------------------------------ evaluate, predict, train_on_batch


def test_evaluate_gives_a_list_a_number_or_a_dictionary(make: Make, data: Data) -> None:
    model = make()
    as_list = model.evaluate(*data, verbose=0)
    assert isinstance(as_list, list)
    assert model.evaluate(*data, verbose=0, return_dict=True) == dict(zip(["loss", "accuracy"], as_list, strict=True))
    plain = make(metrics=None)
    assert isinstance(plain.evaluate(*data, verbose=0), float)
    assert list(plain.evaluate(*data, verbose=0, return_dict=True)) == ["loss"]


def test_evaluate_changes_nothing(make: Make, data: Data) -> None:
    model = make()
    before = bits(model)
    first = model.evaluate(*data, verbose=0)
    assert model.evaluate(*data, verbose=0) == first
    assert bits(model) == before
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("rows", [0, 1, 2, 43])
@pytest.mark.parametrize("device", ["native", "reference", "xla"])
def test_predict_gives_one_float32_row_per_row(make: Make, data: Data, rows: int, device: str) -> None:
    y = make(device=device).predict(data[0][:rows])
    assert y.shape == (rows, 3)
    assert y.dtype == np.float32


def test_predict_needs_no_compile(data: Data) -> None:
    model = Sequential([Input((4,)), layers.Dense(3)])
    assert model.predict(data[0]).shape == (43, 3)


@pytest.mark.parametrize("sizes", [(784, 33, 10), (5, 1), (64, 64, 64), (3, 130, 7)])
def test_a_prediction_does_not_depend_on_the_rows_beside_it(sizes: tuple[int, ...]) -> None:
    set_random_seed(1)
    model = Sequential([Input((sizes[0],)), *(layers.Dense(n, activation="tanh") for n in sizes[1:-1])])
    model.add(layers.Dense(sizes[-1], activation="softmax"))
    x = np.random.default_rng(0).standard_normal((301, sizes[0])).astype("float32")
    whole = model.predict(x)
    assert model.predict(x, batch_size=301).tobytes() == whole.tobytes()
    assert model.predict(x, batch_size=7).tobytes() == whole.tobytes()
    assert model.predict(x[::-1])[::-1].tobytes() == whole.tobytes()
    for row in (0, 1, 128, 300):
        assert model.predict(x[row : row + 1]).tobytes() == whole[row].tobytes()


def test_train_on_batch_is_one_step_of_fit(make: Make, data: Data) -> None:
    fitted, stepped = make(optimizer=SGD(0.1, momentum=0.9)), make(optimizer=SGD(0.1, momentum=0.9))
    for _ in range(3):
        figures = stepped.train_on_batch(*data, return_dict=True)
        history = fitted.fit(*data, batch_size=43, shuffle=False, verbose=0).history
        assert history == {name: [value] for name, value in figures.items()}
    assert bits(fitted) == bits(stepped)


def test_train_on_batch_reports_the_batch_before_the_step(make: Make, data: Data) -> None:
    model = make(dropout=0.0)
    before = model.evaluate(*data, verbose=0)
    assert model.train_on_batch(*data) == pytest.approx(before, rel=1e-5)


# ------------------------------------------------------------------ the learning rate


def test_a_learning_rate_set_between_epochs_takes_effect(make: Make, data: Data) -> None:
    class Freeze(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.1 if epoch == 0 else 0.0

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after.append(bits(self.model))

    after: list[list[bytes]] = []
    model = make(optimizer=SGD(0.5))
    begin = bits(model)
    model.fit(*data, epochs=3, callbacks=[Freeze()], verbose=0)
    assert after[0] != begin
    assert after[0] == after[1] == after[2]


def test_a_learning_rate_set_between_runs_takes_effect(make: Make, data: Data) -> None:
    model = make()
    model.fit(*data, verbose=0)
    before = bits(model)
    model.optimizer.learning_rate = 0.0
    model.fit(*data, verbose=0)
    assert bits(model) == before


# ------------------------------------------------------------------ chance


@pytest.mark.parametrize("device", ["native", "reference", "xla"])
def test_one_seed_gives_one_training_to_the_bit(make: Make, data: Data, device: str) -> None:
    models = [make(seed=11, device=device) for _ in range(2)]
    histories = [m.fit(*data, batch_size=8, epochs=3, verbose=0).history for m in models]
    assert bits(models[0]) == bits(models[1])
    assert histories[0] == histories[1]


def test_other_seeds_give_other_weights(make: Make, data: Data) -> None:
    assert bits(make(seed=1)) != bits(make(seed=2))


def test_shuffling_changes_the_order_from_epoch_to_epoch(make: Make, data: Data) -> None:
    shuffled, straight = make(dropout=0.0), make(dropout=0.0)
    shuffled.fit(*data, batch_size=8, verbose=0)
    straight.fit(*data, batch_size=8, verbose=0, shuffle=False)
    assert bits(shuffled) != bits(straight)


def test_models_trained_in_threads_give_the_bits_they_give_alone(make: Make, data: Data) -> None:
    def train(model: Sequential) -> None:
        model.fit(*data, batch_size=8, epochs=20, verbose=0)

    alone = [make(seed=s) for s in (1, 2)]
    together = [make(seed=s) for s in (1, 2)]
    for model in alone:
        train(model)
    threads = [threading.Thread(target=train, args=(m,)) for m in together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [bits(m) for m in together] == [bits(m) for m in alone]


# ------------------------------------------------------------------ Ctrl-C

INTERRUPTED = """
import time, sys
import numpy as np
from nacre import Input, Sequential, layers
model = Sequential([Input((64,)), layers.Dense(256, activation="tanh"), layers.Dense(256), layers.Dense(3)])
model.compile("sgd", "mse")
x = np.random.default_rng(0).standard_normal((100_000, 64), dtype=np.float32)
model.fit(x[:32], x[:32, :3], verbose=0)  # all is there when it counts, however slow the machine
before, steps = model.predict(x[:3]), model.optimizer.iterations
print("ready", flush=True)
try:
    model.fit(x, x[:, :3], epochs=1000, verbose=0)
except KeyboardInterrupt:
    print("interrupted", flush=True)
after = model.predict(x[:3])
print(np.isfinite(after).all() and model.optimizer.iterations > steps and not np.array_equal(before, after))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_fit_at_once_and_leaves_a_model_that_predicts() -> None:
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.7)
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "interrupted\n"
        assert child.stdout.read() == "True\n"
    assert child.returncode == 0
