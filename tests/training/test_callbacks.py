"""Callbacks in trainings: what they ask of a run, what they leave behind, what they refuse."""

from __future__ import annotations

import gc
import struct
import sys
import types
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, layers, optimizers
from nacre.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    MLflow,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TensorBoard,
    TerminateOnNaN,
    TerminateOnTarget,
)
from nacre.errors import Limitation, NonFiniteLossError, UnknownName, UsageError
from nacre.models import load_model
from nacre.training import events
from nacre.utils import set_random_seed

Array = npt.NDArray[Any]


def data() -> tuple[Array, Array]:
    x = np.random.default_rng(1).standard_normal((43, 4)).astype("float32")
    return x, x[:, :3].argmax(-1)


def make(rate: float = 0.1) -> Sequential:
    set_random_seed(3)
    model = Sequential([Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(3, activation="softmax")])
    model.compile(optimizers.SGD(rate, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model: Sequential, *callbacks: Callback, **settings: Any) -> History:
    """38 rows and 5 of validation; 5 steps an epoch."""
    chosen = {"batch_size": 8, "epochs": 4, "validation_split": 0.1, "verbose": 0} | settings
    return model.fit(*data(), callbacks=list(callbacks), **chosen)


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


class Pieces(Callback):
    """Counts the native calls of training, and asks for none."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def stride(self, kind: str) -> int | None:
        return None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(self.model.optimizer.iterations)


# ------------------------------------------------------------------ a run and its callbacks


def test_callbacks_that_do_not_look_at_batches_leave_an_epoch_in_one_piece(tmp_path: Path) -> None:
    pieces = Pieces()
    quiet = [
        EarlyStopping(patience=9),
        ReduceLROnPlateau(),
        ModelCheckpoint(tmp_path / "model"),
        LearningRateScheduler(lambda epoch, rate: rate),
        CSVLogger(tmp_path / "log.csv"),
        TensorBoard(tmp_path / "logs", histogram_freq=1),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_end=lambda epoch, logs: None, on_train_begin=lambda logs: None),
        History(),
    ]
    fit(make(), *quiet, pieces)
    assert pieces.steps == [5, 10, 15, 20]


@pytest.mark.parametrize(
    ("callback", "steps"),
    [
        (lambda folder: ModelCheckpoint(folder / "{epoch}-{batch}", save_freq=3), [3, 5, 6, 9, 10]),
        (lambda folder: TensorBoard(folder, update_freq=4), [4, 5, 8, 10]),
        (lambda folder: TensorBoard(folder, update_freq="batch"), list(range(1, 11))),
        (lambda folder: LambdaCallback(on_train_batch_end=lambda batch, logs: None), list(range(1, 11))),
        (lambda folder: LambdaCallback(on_test_batch_end=lambda batch, logs: None), [5, 10]),
    ],
)
def test_an_epoch_is_cut_only_where_it_is_asked_for(tmp_path: Path, callback: Any, steps: list[int]) -> None:
    pieces, model, plain = Pieces(), make(), make()
    fit(model, callback(tmp_path), pieces, epochs=2)
    assert pieces.steps == steps
    fit(plain, epochs=2)
    assert bits(model) == bits(plain)


def test_callbacks_see_validation_and_end_the_training_by_the_model() -> None:
    class Stop(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert list(logs) == ["loss", "accuracy", "val_loss", "val_accuracy"]
            self.model.stop_training = epoch == 1

    assert fit(make(), Stop()).epoch == [0, 1]


def test_a_history_is_that_of_keras() -> None:
    history, model = History(), make()
    assert fit(model, history) is history
    assert model.history is history
    assert history.model is model
    assert (history.params["epochs"], history.params["steps"], history.params["verbose"]) == (4, 5, 0)
    assert history.epoch == [0, 1, 2, 3]
    assert {len(values) for values in history.history.values()} == {4}
    fit(model, history, epochs=6, initial_epoch=4)
    assert history.epoch == [4, 5]
    assert len(history.history["loss"]) == 2


def test_the_line_of_an_epoch_comes_when_all_have_had_their_say(capsys: pytest.CaptureFixture[str]) -> None:
    tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print("told", file=sys.stderr))
    fit(make(), tell, LearningRateScheduler(lambda epoch, rate: 0.25), epochs=1, verbose=2)
    told, line = capsys.readouterr().err.splitlines()
    assert told == "told"
    assert line.endswith("learning_rate 0.2500")


def test_callbacks_do_not_hold_on_to_the_data() -> None:
    x, y = data()
    kept = weakref.ref(x)
    history = make().fit(x, y, verbose=0, callbacks=EarlyStopping("loss"))  # a single one needs no list
    del x
    gc.collect()
    assert history.epoch == [0]
    assert kept() is None


def test_the_history_has_what_callbacks_before_it_add() -> None:
    rates = fit(make(), LearningRateScheduler(lambda epoch, rate: 0.1 / (epoch + 1))).history["learning_rate"]
    assert rates == pytest.approx([0.1, 0.05, 0.1 / 3, 0.025])


# ------------------------------------------------------------------ stopping and slowing down


def test_the_best_weights_come_back_by_default_also_when_the_epochs_run_out() -> None:
    seen: list[list[bytes]] = []
    losses = iter([3.0, 1.0, 2.0, 2.5])

    class Figures(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["val_loss"] = next(losses)
            seen.append(bits(self.model))

    model = make()
    fit(model, Figures(), EarlyStopping(patience=10))
    assert len(seen) == 4
    assert bits(model) == seen[1] != seen[3]


@pytest.mark.parametrize(
    ("values", "best"), [([np.nan, 2.0, 1.0], 2), ([2.0, np.nan, 3.0], 0), ([np.inf, np.nan, 5.0], 2)]
)
def test_a_figure_that_is_no_number_is_worse_than_any(values: list[float], best: int) -> None:
    figures = iter(values)
    stop = EarlyStopping(patience=10)
    fit(make(), LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(val_loss=next(figures))), stop, epochs=3)
    assert stop.best_epoch == best


@pytest.mark.parametrize(
    ("monitor", "values", "target", "epochs"),
    [
        ("val_loss", [3.0, np.nan, 1.5, 1.0, 0.5], 1.0, 4),
        ("val_accuracy", [0.2, np.nan, 0.89, 0.9, 0.95], 0.9, 4),
        ("val_accuracy", [0.2, 0.3, 0.4, 0.5, 0.6], 0.9, 5),
    ],
)
def test_a_training_ends_in_the_first_epoch_that_reaches_the_target(
    monitor: str, values: list[float], target: float, epochs: int
) -> None:
    figures, stop = iter(values), TerminateOnTarget(monitor, target)
    made_up = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update({monitor: next(figures)}))
    assert len(fit(make(), made_up, stop, epochs=5).epoch) == epochs
    assert stop.stopped_epoch == (3 if epochs == 4 else None)


def test_a_training_that_reached_its_target_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(CrashError):  # just before the end, with a checkpoint of the last epoch
        fit(make(), BackupAndRestore(tmp_path), TerminateOnTarget("loss", 100.0), CrashAt(None))
    stop = TerminateOnTarget("loss", 100.0)
    model = make()
    assert fit(model, BackupAndRestore(tmp_path), stop).epoch == [0]
    assert (stop.stopped_epoch, model.optimizer.iterations) == (0, 5)


def test_what_they_do_is_told_if_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=1.0))
    reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1, verbose=1)
    save = ModelCheckpoint(tmp_path / "m{epoch}", "loss", save_best_only=True, verbose=1)
    rate = LearningRateScheduler(lambda epoch, rate: rate, verbose=1)
    target = TerminateOnTarget("loss", 1.5, mode="max", verbose=1)
    fit(make(), flat, rate, reduce, save, target, EarlyStopping("loss", patience=1, verbose=1))
    fit(make(), flat, TerminateOnTarget("loss", 1.0, verbose=1))
    assert capsys.readouterr().err.splitlines() == [
        "Epoch 1: the learning rate is set to 0.1.",
        f"Epoch 1: saved {tmp_path / 'm1'}.",
        "Epoch 2: the learning rate is set to 0.1.",
        "Epoch 2: the learning rate is reduced to 0.05.",
        "Epoch 2: stopped early, loss was best in epoch 1.",
        "Epoch 1: loss is 1, the target was 1.",
    ]


def test_a_figure_that_is_not_there_is_told_with_what_is() -> None:
    with pytest.warns(UserWarning, match=r"EarlyStopping watches 'val_loss'.*no validation data.*loss, accuracy"):
        fit(make(), EarlyStopping(), epochs=1, validation_split=0.0)


def test_a_figure_without_a_better_direction_is_refused_before_training() -> None:
    for callback in (EarlyStopping("val_lost"), ModelCheckpoint("m", "lost", save_best_only=True)):
        model = make()
        with pytest.raises(UsageError, match=r"cannot tell whether '(val_)?lost'[\s\S]*loss, accuracy[\s\S]*mode="):
            fit(model, callback)
        assert model.optimizer.iterations == 0


def test_a_rate_that_follows_a_schedule_cannot_be_set() -> None:
    model = make()
    model.compile(optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 5, 0.9)), "sparse_categorical_crossentropy")
    with pytest.raises(UsageError, match="follows a schedule"):
        fit(model, LearningRateScheduler(lambda epoch, rate: 0.1))


def diverging() -> Sequential:
    model = Sequential([Input((4,)), layers.Dense(3)])
    model.compile(optimizers.SGD(1e30), "mse")
    return model


@pytest.mark.parametrize("pieces", [(), (LambdaCallback(on_train_batch_end=lambda batch, logs: None),)])
def test_a_loss_that_is_no_number_ends_the_training_in_good_order(pieces: Any, tmp_path: Path) -> None:
    x, targets, ended = data()[0], np.ones((43, 3)), []
    alone, model = diverging(), diverging()
    with pytest.raises(NonFiniteLossError):
        alone.fit(x, targets, verbose=0, epochs=9, callbacks=[TerminateOnNaN(raise_error=True)])
    model.set_weights([np.ones((4, 3)), np.zeros(3)])
    end = LambdaCallback(on_train_end=lambda logs: ended.append(True))
    saves = [ModelCheckpoint(tmp_path / "{epoch}-{batch}", save_freq=1), BackupAndRestore(tmp_path / "backup")]
    history = model.fit(x, targets, verbose=0, epochs=9, callbacks=[*pieces, TerminateOnNaN(), end, *saves])
    assert not np.isfinite(history.history["loss"][-1])
    assert ended == [True]
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert len(list(tmp_path.iterdir())) == model.optimizer.iterations


# ------------------------------------------------------------------ going on after a kill


class CrashError(Exception):
    """Stands for what ends a process."""


class CrashAt(Callback):
    """Ends the training after some steps, or just before the end."""

    outermost = True

    def __init__(self, step: int | None) -> None:
        self.step = step

    def stride(self, kind: str) -> int | None:
        return 1 if self.step is not None else None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations == self.step:
            raise CrashError

    def on_train_end(self, logs: Any = None) -> None:
        if self.step is None:
            raise CrashError


FIGURES = [2.0, 1.0, 1.5, 1.5, 1.5, 0.5, 0.7, 0.7, 0.7, 0.7, 0.7]


def watched(folder: Path) -> list[Callback]:
    def make_up(epoch: int, logs: Any) -> None:
        logs["val_loss"] = FIGURES[epoch]

    return [
        LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        LambdaCallback(on_epoch_end=make_up),
        ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1),
        ReduceLROnPlateau("loss", factor=0.7, patience=0, min_delta=0.05),
        EarlyStopping(patience=4),
        CSVLogger(folder / "log.csv"),
        ModelCheckpoint(folder / "models" / "{epoch:02d}", save_best_only=True),
    ]


def left(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
@pytest.mark.parametrize("step", [2, 12, 17, 38, 49, None])
@pytest.mark.parametrize("first", [True, False])
def test_what_callbacks_remember_goes_on_with_the_training(
    tmp_path: Path, save_freq: Any, step: int | None, first: bool
) -> None:
    straight, resumed = make(), make()
    expected = fit(straight, *watched(tmp_path / "straight"), epochs=11)
    assert expected.epoch == list(range(10))  # stopped early, after the best in epoch 5

    def listed() -> list[Callback]:
        backup = BackupAndRestore(tmp_path / "backup", save_freq)
        return [backup, *watched(tmp_path / "resumed")] if first else [*watched(tmp_path / "resumed"), backup]

    with pytest.raises(CrashError):
        fit(make(), *listed(), CrashAt(step), epochs=11)
    found = fit(resumed, *listed(), epochs=11)
    assert (found.epoch, found.history) == (expected.epoch, expected.history)
    assert bits(resumed) == bits(straight)
    assert resumed.optimizer.learning_rate == straight.optimizer.learning_rate
    assert resumed.optimizer.iterations == straight.optimizer.iterations
    assert left(tmp_path / "resumed") == left(tmp_path / "straight")
    assert not (tmp_path / "backup").exists()


def test_a_callback_that_was_not_there_before_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        fit(make(), BackupAndRestore(tmp_path), EarlyStopping(patience=3), CrashAt(12))
    stop = EarlyStopping("loss", patience=3)
    fit(make(), BackupAndRestore(tmp_path), ReduceLROnPlateau(), stop, EarlyStopping(), epochs=4)
    assert stop.best is not None


def test_a_callback_of_ones_own_goes_on_by_its_state(tmp_path: Path) -> None:
    class Counts(Callback):
        def __init__(self) -> None:
            self.seen, self.sums = 0, np.zeros(2)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen += 1
            self.sums = self.sums + np.array([1, epoch])

        def state(self) -> dict[str, Any]:
            return {"seen": self.seen, "sums": self.sums}

        def restore(self, state: Any) -> None:
            self.seen, self.sums = state["seen"], state["sums"]

    counts = [Counts(), Counts()]
    with pytest.raises(CrashError):
        fit(make(), BackupAndRestore(tmp_path), Counts(), Counts(), CrashAt(12))
    assert load_model(sorted(tmp_path.iterdir())[-1]).optimizer.iterations == 10
    fit(make(), BackupAndRestore(tmp_path), *counts)
    assert [c.seen for c in counts] == [4, 4]
    assert [c.sums.tolist() for c in counts] == [[4, 6], [4, 6]]


def test_backups_always_are_two(tmp_path: Path) -> None:
    with pytest.raises(Limitation, match="two checkpoints"):
        BackupAndRestore(tmp_path, double_checkpoint=False)


# ------------------------------------------------------------------ files


def test_a_csv_file_may_be_added_to(tmp_path: Path) -> None:
    path, model = tmp_path / "log.csv", make()
    fit(model, CSVLogger(path, append=True), epochs=2, validation_split=0.0)
    fit(model, CSVLogger(path, append=True), epochs=3, initial_epoch=2, validation_split=0.0)
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,accuracy,loss,val_accuracy,val_loss"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2"]
    assert all(line.endswith(",NA,NA") for line in lines[1:])
    fit(model, CSVLogger(path), epochs=1)
    assert len(path.read_text().splitlines()) == 2


def test_a_checkpoint_is_whole_and_keeps_training_as_it_was(tmp_path: Path) -> None:
    model = make()
    fit(model, ModelCheckpoint(tmp_path / "{epoch:02d}-{loss:.3f}.keras"), epochs=2)
    paths = sorted(tmp_path.iterdir())
    assert [path.name[:3] for path in paths] == ["01-", "02-"]
    again = load_model(paths[0])
    again.fit(*(part[:38] for part in data()), batch_size=8, epochs=2, initial_epoch=1, verbose=0)
    assert bits(again) == bits(model) == bits(load_model(paths[1]))


@pytest.mark.parametrize("path", ["{lost}", "{epoch:z}", "{}", "{epoch", "{batch}"])
def test_a_path_that_cannot_be_filled_in_is_named_with_what_there_is(tmp_path: Path, path: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be filled in[\s\S]*epoch, loss, accuracy"):
        fit(make(), ModelCheckpoint(tmp_path / path))


def parsed(content: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer: number and value."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = content[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(content):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        part, at = content[at : at + size], at + size
        yield key >> 3, struct.unpack({1: "<d", 5: "<f"}[key & 7], part)[0] if key & 7 != 2 else part


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """What is in the event file of a folder, by tag and step; histograms as how many numbers they are of."""
    (path,) = folder.iterdir()
    content, found, at = path.read_bytes(), dict[str, dict[int, float]](), 0
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        fields = dict(parsed(content[at + 12 : at + 12 + size]))
        at += size + 16
        for _, value in parsed(fields.get(5, b"")):
            one = dict(parsed(value))
            number = one[2] if 2 in one else dict(parsed(one[5]))[3]
            found.setdefault(one[1].decode(), {})[fields.get(2, 0)] = number
    return found


def test_tensorboard_gets_figures_by_epochs_and_steps(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, histogram_freq=2, update_freq=3, write_steps_per_second=True)
    history = fit(make(), board)
    found = scalars(tmp_path / "train")
    for name in ("loss", "accuracy"):
        assert found[f"epoch_{name}"] == pytest.approx(dict(enumerate(history.history[name])), rel=1e-6)
        assert list(found[f"batch_{name}"]) == [3, 6, 9, 12, 15, 18]
    assert found["batch_loss"][15] == found["epoch_loss"][2]  # the last step of the epoch
    assert found["epoch_learning_rate"] == pytest.approx(dict.fromkeys(range(4), 0.1))
    assert all(rate > 0 for name in ("epoch", "batch") for rate in found[f"{name}_steps_per_second"].values())
    sizes = {"dense/kernel": 20, "dense/bias": 5, "dense_1/kernel": 15, "dense_1/bias": 3}
    assert {tag: found[tag] for tag in found if "/" in tag} == {
        f"{name}/histogram": {0: size, 2: size} for name, size in sizes.items()
    }
    validation = scalars(tmp_path / "validation")
    losses = history.history["val_loss"]
    assert validation["epoch_loss"] == pytest.approx(dict(enumerate(losses)), rel=1e-6)
    assert validation["evaluation_loss_vs_iterations"] == pytest.approx(dict(zip((5, 10, 15, 20), losses, strict=True)))
    assert set(validation) == {
        *(f"epoch_{name}" for name in ("loss", "accuracy")),
        *(f"evaluation_{name}_vs_iterations" for name in ("loss", "accuracy")),
    }


def test_tensorboard_writes_no_file_for_what_there_is_not(tmp_path: Path) -> None:
    fit(make(), TensorBoard(tmp_path), validation_split=0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["train"]
    assert set(scalars(tmp_path / "train")) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}


def test_the_checksum_is_that_of_the_standard() -> None:
    for content, expected in ((b"", 0), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):  # RFC 3720, B.4
        assert events.crc32c(content) == expected


# ------------------------------------------------------------------ MLflow


class StandIn(types.ModuleType):
    """As much of MLflow as is asked for."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.runs: list[Any] = []
        self.active: Any = None

    def active_run(self) -> Any:
        return self.active

    def start_run(self, run_id: str | None = None) -> Any:
        assert self.active is None
        self.active = next((run for run in self.runs if run.info.run_id == run_id), None)
        if self.active is None:
            assert run_id is None
            info = types.SimpleNamespace(run_id=f"run{len(self.runs)}")
            self.active = types.SimpleNamespace(info=info, params={}, metrics=[])
            self.runs.append(self.active)
        return self.active

    def end_run(self) -> None:
        self.active = None

    def log_params(self, params: dict[str, Any]) -> None:
        assert not set(params) & set(self.active.params)
        self.active.params.update(params)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.active.metrics.append((step, metrics))


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "mlflow", stand_in)
    return stand_in


def test_mlflow_gets_settings_and_figures_in_a_run_of_its_own(mlflow: StandIn) -> None:
    history = fit(make(), MLflow())
    (run,) = mlflow.runs
    assert mlflow.active is None
    expected = {"epochs": 4, "batch_size": 8, "steps": 5, "optimizer": "SGD", "optimizer_momentum": 0.9}
    assert expected.items() <= run.params.items()
    assert [step for step, _ in run.metrics] == [0, 1, 2, 3]
    assert [metrics["val_loss"] for _, metrics in run.metrics] == history.history["val_loss"]


def test_mlflow_takes_the_run_that_is_active_and_leaves_it_so(mlflow: StandIn) -> None:
    active = mlflow.start_run()
    fit(make(), MLflow(), epochs=1)
    assert mlflow.active is active
    assert len(active.metrics) == 1


def test_a_training_that_goes_on_goes_on_with_its_mlflow_run(mlflow: StandIn, tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        fit(make(), MLflow(), BackupAndRestore(tmp_path), CrashAt(12))
    mlflow.end_run()  # as at the end of a process
    fit(make(), MLflow(), BackupAndRestore(tmp_path))
    (run,) = mlflow.runs
    assert [step for step, _ in run.metrics] == [0, 1, 2, 3]


def test_a_missing_mlflow_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    model = make()
    with pytest.raises(UsageError, match=r"needs the package mlflow[\s\S]*pip install mlflow"):
        fit(model, MLflow())
    assert model.optimizer.iterations == 0


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda: EarlyStopping(mode="up"), UsageError, "'auto', 'min' or 'max', got 'up'"),
        (lambda: EarlyStopping(patience=-1), UsageError, "patience"),
        (lambda: EarlyStopping(min_delta="a"), UsageError, "min_delta"),
        (lambda: EarlyStopping(baseline=float("nan")), UsageError, "baseline"),
        (lambda: TerminateOnTarget("loss", "low"), UsageError, "target"),
        (lambda: fit(make(), TerminateOnTarget("lost", 1.0)), UsageError, "cannot tell whether 'lost'"),
        (lambda: EarlyStopping(start_from_epoch=1.5), UsageError, "start_from_epoch"),
        (lambda: ReduceLROnPlateau(factor=1.0), UsageError, "factor"),
        (lambda: ReduceLROnPlateau(cooldown=None), UsageError, "cooldown"),
        (lambda: ModelCheckpoint("m", save_freq=0), UsageError, "save_freq is 'epoch' or a number"),
        (lambda: ModelCheckpoint(3), UsageError, "filepath"),
        (lambda: LearningRateScheduler(0.1), UsageError, "schedule"),
        (lambda: fit(make(), LearningRateScheduler(lambda epoch, rate: 1)), UsageError, "gives a float, got 1"),
        (lambda: CSVLogger("log", separator=""), UsageError, "separator"),
        (lambda: LambdaCallback(on_epoch=print), UnknownName, "on_epoch_"),
        (lambda: LambdaCallback(on_epoch_end=3), UsageError, "on_epoch_end is a function"),
        (lambda: TensorBoard(update_freq="step"), UsageError, "update_freq is 'epoch' or 'batch' or a number"),
        (lambda: TensorBoard(histogram_freq=-1), UsageError, "histogram_freq"),
        (lambda: TensorBoard(write_graph=True), Limitation, "write_graph"),
        (lambda: TensorBoard(write_images=True), Limitation, "write_images"),
        (lambda: TensorBoard(profile_batch=(1, 2)), Limitation, "profile_batch"),
        (lambda: TensorBoard(embeddings_freq=1), Limitation, "embeddings_freq"),
        (lambda: TensorBoard(embeddings_metadata="a"), Limitation, "embeddings_metadata"),
    ],
)
def test_mistakes_are_named(attempt: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
