"""Killed and gone on with: the bits are those of a training that was left alone."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from update_rules import RULES

from nacre import Input, Sequential, layers
from nacre.callbacks import BackupAndRestore, Callback
from nacre.cli import main
from nacre.errors import DataError, ModelFileError, UsageError
from nacre.files import _host
from nacre.interop import safetensors
from nacre.models import load_model
from nacre.optimizers import SGD, schedules
from nacre.training import checkpoint
from nacre.training.checkpoint import PacedCheckpoints
from nacre.training.position import Tally
from nacre.training.program import Goal
from nacre.utils import set_random_seed

Array = npt.NDArray[Any]


def data() -> tuple[Array, Array]:
    """43 rows, so that the sixth batch of 8 is a short one."""
    x = np.random.default_rng(1).standard_normal((43, 4)).astype("float32")
    return x, x[:, :3].argmax(-1)


def make(rule: str = "momentum", units: int = 5, seed: int = 3) -> Sequential:
    set_random_seed(seed)
    model = Sequential([Input((4,)), layers.Dense(units, activation="tanh"), layers.Dropout(0.25)])
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(RULES[rule](), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model: Sequential, *callbacks: Callback, **settings: Any) -> Any:
    x, y = data()
    chosen = {"batch_size": 8, "epochs": 4, "validation_split": 0.0, "verbose": 0} | settings
    return model.fit(x, y, callbacks=list(callbacks), **chosen)


def digest(model: Sequential) -> str:
    tensors = model.snapshot()[1]
    return hashlib.sha256(b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))).hexdigest()


class CrashError(Exception):
    """Stands for what ends a process."""


class CrashAt(Callback):
    """Ends the training after some steps."""

    outermost = True  # behind the checkpoint of that step

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations == self.step:
            raise CrashError


def crashed(folder: Path, step: int, save_freq: Any = 1, rule: str = "momentum", **settings: Any) -> None:
    """What a training leaves behind that ends after ``step`` steps."""
    with pytest.raises(CrashError):
        fit(make(rule), BackupAndRestore(folder, save_freq), CrashAt(step), **settings)


def steps(folder: Path) -> list[int]:
    return [int(name[5:-12]) for name in sorted(os.listdir(folder)) if name.startswith("step-")]


# ------------------------------------------------------------------ the same bits


@pytest.mark.parametrize(
    ("rule", "save_freq", "shuffle"),
    [
        *((rule, 4, True) for rule in RULES),
        *(
            (rule, *how)
            for rule in ("momentum", "everything")
            for how in [(1, True), (5, True), ("epoch", True), (3, False)]
        ),
    ],
)
def test_a_training_that_breaks_off_at_any_step_goes_on_to_the_same_bits(
    tmp_path: Path, rule: str, save_freq: Any, shuffle: bool
) -> None:
    straight = make(rule)
    expected = fit(straight, shuffle=shuffle, validation_split=0.1)  # 38 rows, 5 steps
    for step in (1, 3, 4, 5, 6, 9, 10, 12, 15, 19, 20):
        folder = tmp_path / str(step)
        crashed(folder, step, save_freq, rule, shuffle=shuffle, validation_split=0.1)
        resumed = make(rule, seed=99)  # other weights, and another seed for shuffling and dropout
        if not steps(folder):  # nothing was saved yet
            resumed = make(rule)
        found = fit(resumed, BackupAndRestore(folder, save_freq), shuffle=shuffle, validation_split=0.1)
        assert digest(resumed) == digest(straight), step
        assert (found.epoch, found.history) == (expected.epoch, expected.history), step
        assert resumed.optimizer.iterations == straight.optimizer.iterations


CHILD = """
import hashlib, sys
import numpy as np
import nacre
from nacre import Input, Sequential, layers, optimizers
folder, rule, save_freq = sys.argv[1], sys.argv[2], int(sys.argv[3])
nacre.utils.set_random_seed(7)
rng = np.random.default_rng(0)
x = rng.standard_normal((5003, 32)).astype("float32")
y = x[:, :4].argmax(-1)
model = Sequential([Input((32,)), layers.Dense(64, activation="relu"), layers.Dropout(0.3), layers.Dense(4)])
rules = {"momentum": optimizers.SGD(0.05, momentum=0.9), "rmsprop": optimizers.RMSprop(0.001, momentum=0.3)}
loss = nacre.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(rules[rule], loss, metrics=["accuracy"])
class Tells(nacre.callbacks.Callback):
    def on_train_begin(self, logs=None):
        print("begun", model.optimizer.iterations, flush=True)
backup = [nacre.callbacks.BackupAndRestore(folder, save_freq), Tells()] if save_freq else []
watch = [nacre.callbacks.ReduceLROnPlateau(factor=0.8, patience=1), nacre.callbacks.EarlyStopping(patience=30)]
h = model.fit(x, y, batch_size=16, epochs=40, verbose=0, callbacks=[*backup, *watch], validation_split=0.1)
print(hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest(), h.history, flush=True)
"""


@pytest.mark.parametrize(("rule", "save_freq"), [("momentum", 37), ("rmsprop", 101)])
def test_a_process_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path, rule: str, save_freq: int) -> None:
    def start(save: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(tmp_path / "backup"), rule, str(save)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    alone, _ = start(0).communicate(timeout=120)
    chance, begun = random.Random(save_freq), []
    while len(begun) < 6 or not any(n % 282 for n in begun):  # of 282 steps in an epoch
        assert len(begun) < 24, begun
        with start(save_freq) as process:
            assert process.stdout is not None
            begun.append(int(process.stdout.readline().split()[1]))
            time.sleep(chance.uniform(0.0, 0.12 * (1 + len(begun) // 6)))  # longer, where it got nowhere
            process.send_signal(signal.SIGKILL)
    with start(save_freq) as process:
        out, err = process.communicate(timeout=120)
    assert err == ""
    assert out.splitlines()[1:] == alone.splitlines()
    assert begun == sorted(begun)
    assert not (tmp_path / "backup").exists()


def test_checkpoints_change_no_bit_and_draw_no_random_number(tmp_path: Path) -> None:
    def next_model() -> Sequential:
        return Sequential([Input((4,)), layers.Dense(3)])

    straight = make()
    expected, after = fit(straight), digest(next_model())
    saved = make()
    found, after_saving = fit(saved, BackupAndRestore(tmp_path, save_freq=1)), digest(next_model())
    assert digest(saved) == digest(straight)
    assert found.history == expected.history
    assert after_saving == after


def test_sums_do_not_depend_on_the_pieces() -> None:
    class Pieces:
        def __init__(self, losses: Array) -> None:
            self.batches, self.emits = np.full(len(losses), 3), {"loss": losses}

    losses = (10.0 ** np.random.default_rng(0).uniform(-30, 10, 1000)).astype("float32")
    goal = Goal([], SGD(0.1))
    whole, parts = Tally(goal, "train", None), Tally(goal, "train", None)
    whole.add(Pieces(losses), 1000)  # type: ignore[arg-type]
    for first in range(0, 1000, 7):
        parts.add(Pieces(losses[first : first + 7]), len(losses[first : first + 7]))  # type: ignore[arg-type]
    assert parts.losses == whole.losses
    assert parts.losses["loss"] > 0
    assert (parts.steps, parts.rows) == (1000, 3000)


class Fading(schedules.LearningRateSchedule):
    """Known to this program only."""

    def __init__(self, first: float) -> None:
        self.first = first

    def __call__(self, step: Any) -> Any:
        return self.first / (1 + step)


def test_a_training_on_a_schedule_of_ones_own_goes_on(tmp_path: Path) -> None:
    def faded(first: float) -> Sequential:
        model = make()
        model.compile(SGD(Fading(first)), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    straight, resumed = faded(0.1), faded(0.1)
    fit(straight)
    with pytest.raises(CrashError):
        fit(faded(0.1), BackupAndRestore(tmp_path, 4), CrashAt(15))
    with pytest.raises(UsageError, match=r"0\.1 in the checkpoint, 0\.2 here"):
        fit(faded(0.2), BackupAndRestore(tmp_path, 4))
    with pytest.raises(UsageError, match="another training"):
        fit(make(), BackupAndRestore(tmp_path, 4))
    fit(resumed, BackupAndRestore(tmp_path, 4))
    assert digest(resumed) == digest(straight)


def test_a_learning_rate_that_changed_on_the_way_is_kept(tmp_path: Path) -> None:
    class Halve(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate *= 0.5

    straight, resumed = make(), make()
    fit(straight, Halve())
    with pytest.raises(CrashError):
        fit(make(), Halve(), BackupAndRestore(tmp_path), CrashAt(15))
    fit(resumed, Halve(), BackupAndRestore(tmp_path))
    assert digest(resumed) == digest(straight)


def test_the_same_model_goes_on_after_ctrl_c(tmp_path: Path) -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.optimizer.iterations == 9:
                raise KeyboardInterrupt

    straight, model = make(), make()
    fit(straight)
    with pytest.raises(KeyboardInterrupt):
        fit(model, BackupAndRestore(tmp_path, 2), Stop())
    fit(model, BackupAndRestore(tmp_path, 2))
    assert digest(model) == digest(straight)


@pytest.mark.parametrize("piece", [None, 1, 4])
def test_a_pass_is_watched_as_a_whole_however_it_is_cut(tmp_path: Path, piece: int | None) -> None:
    class Watches(Callback):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        @contextmanager
        def watching(self, look: Callable[[], Tally]) -> Iterator[None]:
            before = look()
            yield
            after = look()
            self.seen.append((after.kind, before.rows, after.rows, after.total, after.figures()))

    watches = Watches()
    backup = [] if piece is None else [BackupAndRestore(tmp_path, piece)]
    history = fit(make(), watches, *backup, epochs=1, validation_split=0.1).history
    trained, tested = ({"loss": history[f"{p}loss"][0], "accuracy": history[f"{p}accuracy"][0]} for p in ("", "val_"))
    assert watches.seen == [("train", 0, 38, 38, trained), ("test", 0, 5, 5, tested)]


# ------------------------------------------------------------------ files


def test_the_newest_two_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    crashed(tmp_path, 17, save_freq=3)
    assert steps(tmp_path) == [12, 15]
    assert len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path, damage: str) -> None:
    straight, resumed = make(), make(seed=8)
    expected = fit(straight)
    crashed(tmp_path, 17, save_freq=3)
    newest = tmp_path / sorted(os.listdir(tmp_path))[-1]
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes({"cut": content[:-100], "flipped": content, "empty": b""}[damage])
    with pytest.warns(UserWarning, match=f"damaged; going on from the one before.*{newest.name}"):
        found = fit(resumed, BackupAndRestore(tmp_path, 3))
    assert digest(resumed) == digest(straight)
    assert found.history == expected.history


def test_a_damaged_checkpoint_does_not_stay_when_the_next_is_written(tmp_path: Path) -> None:
    crashed(tmp_path, 17, save_freq=3)
    (tmp_path / "step-000000000015.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(CrashError):
        fit(make(), BackupAndRestore(tmp_path, 2), CrashAt(14))
    assert steps(tmp_path) == [12, 14]


def test_when_all_are_damaged_the_training_begins_anew(tmp_path: Path) -> None:
    straight, resumed = make(), make()
    fit(straight)
    crashed(tmp_path, 17, save_freq=3)
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="damaged"):
        fit(resumed, BackupAndRestore(tmp_path, 3))
    assert digest(resumed) == digest(straight)


def test_a_model_file_is_no_checkpoint(tmp_path: Path) -> None:
    make().save(tmp_path / "step-000000000001.safetensors")
    with pytest.raises(ModelFileError, match="no checkpoint"):
        fit(make(), BackupAndRestore(tmp_path))


def test_a_place_that_makes_no_sense_is_refused_in_words(tmp_path: Path) -> None:
    crashed(tmp_path, 4)
    path = tmp_path / "step-000000000003.safetensors"
    tensors, metadata = safetensors.read(path)
    place = json.loads(metadata["nacre.place"])
    for spoilt in ([], {}, place | {"epoch": "x"}, place | {"tally": 3}, place | {"callbacks": {}}):
        safetensors.write(path, tensors, metadata | {"nacre.place": json.dumps(spoilt)})
        os.utime(path)
        (tmp_path / "step-000000000004.safetensors").unlink(missing_ok=True)
        with pytest.raises(ModelFileError, match="no checkpoint"):
            fit(make(), BackupAndRestore(tmp_path))


def test_a_checkpoint_is_a_model_file(tmp_path: Path) -> None:
    crashed(tmp_path, 17, save_freq=3)
    loaded = load_model(tmp_path / "step-000000000015.safetensors")
    assert loaded.optimizer.iterations == 15
    assert loaded.predict(data()[0]).shape == (43, 3)


def test_checkpoints_go_when_the_training_is_over_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    fit(make(), BackupAndRestore(tmp_path))
    assert os.listdir(tmp_path) == ["mine"]
    fit(make(), BackupAndRestore(tmp_path / "new" / "folder"))
    assert sorted(os.listdir(tmp_path)) == ["mine", "new"]


def test_checkpoints_can_be_kept_and_a_longer_training_goes_on_from_them(tmp_path: Path) -> None:
    straight, resumed = make(), make(seed=8)
    expected = fit(straight, epochs=6)
    fit(make(), BackupAndRestore(tmp_path, delete_checkpoint=False))
    assert steps(tmp_path) == [18, 24]
    assert fit(resumed, BackupAndRestore(tmp_path), epochs=6).history == expected.history
    assert digest(resumed) == digest(straight)


def test_a_training_that_is_over_is_not_trained_any_further(tmp_path: Path) -> None:
    straight, again = make(), make(seed=8)
    expected = fit(straight, BackupAndRestore(tmp_path, delete_checkpoint=False))
    assert fit(again, BackupAndRestore(tmp_path, delete_checkpoint=False)).history == expected.history
    assert digest(again) == digest(straight)


# ------------------------------------------------------------------ mistakes


def other_rows() -> tuple[Array, Array]:
    x, y = data()
    x[42, 3] += 1
    return x, y


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "model": (lambda: fit_with(make(units=6)), "units: +5 in the checkpoint, 6 here"),
    "optimizer": (lambda: fit_with(make("rmsprop")), '"SGD" in the checkpoint, "RMSprop" here'),
    "batch size": (lambda: fit_with(make(), batch_size=4), "batch_size: +8 in the checkpoint, 4 here"),
    "order": (lambda: fit_with(make(), shuffle=False), "shuffle: +true in the checkpoint, false here"),
    "rows": (lambda: fit_with(make(), data=[part[:40] for part in data()]), r"float32\[43,4\].*float32\[40,4\]"),
    "one number": (lambda: fit_with(make(), data=other_rows()), "checksum"),
    "validation": (lambda: fit_with(make(), validation_data=data()), "validation_data"),
}
BACKUP: list[BackupAndRestore] = []


def fit_with(model: Sequential, data: Any = None, **settings: Any) -> None:
    x, y = globals()["data"]() if data is None else data
    chosen = {"batch_size": 8, "epochs": 4, "verbose": 0} | settings
    before = [w.tobytes() for w in model.get_weights()]
    try:
        model.fit(x, y, callbacks=BACKUP, **chosen)
    finally:
        assert [w.tobytes() for w in model.get_weights()] == before


@pytest.mark.parametrize("other", WRONG)
def test_another_training_is_refused_and_told_where_it_differs(tmp_path: Path, other: str) -> None:
    crashed(tmp_path, 4)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    BACKUP[:] = [BackupAndRestore(tmp_path)]
    attempt, said = WRONG[other]
    with pytest.raises(UsageError, match=f"(?s)of another training.*{said}"):
        attempt()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("save_freq", [0, -1, 1.5, "batch", None, True])
def test_save_freq_is_epoch_or_a_number(save_freq: Any) -> None:
    with pytest.raises(UsageError, match="save_freq"):
        BackupAndRestore("folder", save_freq)


@pytest.mark.parametrize("folder", ["", None, 3])
def test_backup_dir_is_a_name(folder: Any) -> None:
    with pytest.raises(UsageError, match="backup_dir"):
        BackupAndRestore(folder)


# ------------------------------------------------------------------ streams


class Batches:
    """Six batches, again and again."""

    def __init__(self, taken: list[int] | None = None) -> None:
        self.taken = [] if taken is None else taken

    def __iter__(self) -> Any:
        x, y = data()
        for first in range(0, 43, 8):
            self.taken.append(first)
            yield x[first : first + 8], y[first : first + 8]


def endless() -> Any:
    while True:
        yield from Batches()


@pytest.mark.parametrize("step", [1, 6, 7, 13, 23])
@pytest.mark.parametrize(
    ("source", "per_epoch"), [(Batches, None), (Batches, 4), (endless, 6), (endless, 5)], ids=["all", "4", "6", "5"]
)
def test_a_stream_goes_on_where_it_was(tmp_path: Path, step: int, source: Any, per_epoch: int | None) -> None:
    settings: dict[str, Any] = {"epochs": 6, "steps_per_epoch": per_epoch, "verbose": 0}
    straight, resumed = make(), make(seed=8)
    expected = straight.fit(source(), **settings)
    with pytest.raises(CrashError):
        make().fit(source(), **settings, callbacks=[BackupAndRestore(tmp_path, 1), CrashAt(step)])
    found = resumed.fit(source(), **settings, callbacks=[BackupAndRestore(tmp_path, 1)])
    assert digest(resumed) == digest(straight)
    assert found.history == expected.history


def test_a_stream_that_is_shorter_than_before_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        make().fit(endless(), steps_per_epoch=20, verbose=0, callbacks=[BackupAndRestore(tmp_path, 1), CrashAt(9)])
    with pytest.raises(DataError, match=r"9 batches into its data, but now there are only 6"):
        make().fit(iter(Batches()), steps_per_epoch=20, verbose=0, callbacks=[BackupAndRestore(tmp_path, 1)])


# ------------------------------------------------------------------ by the clock


def test_paced_checkpoints_come_by_the_clock_not_by_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Ticks(Callback):
        """A step takes a second; a checkpoint takes none."""

        def stride(self, kind: str) -> int | None:
            return None

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.begun = self.model.optimizer.iterations

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock[0] += self.model.optimizer.iterations - self.begun
            pieces.append(self.model.optimizer.iterations - self.begun)

    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    saved: list[int] = []
    paced, pieces = PacedCheckpoints(tmp_path), []
    monkeypatch.setattr(paced, "save", lambda: saved.append(paced.model.optimizer.iterations))
    fit(make(), Ticks(), paced, batch_size=1, epochs=2)  # 86 steps
    assert saved == [10, 20, 30, 40, 50, 60, 70, 80]
    assert pieces == [1, 9, 10, 10, 10, 3, 7, 10, 10, 10, 6]


def test_a_checkpoint_that_takes_long_comes_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Ticks(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            clock[0] += 1

    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    saved: list[float] = []
    paced = PacedCheckpoints(tmp_path)

    def save() -> None:
        saved.append(clock[0])
        clock[0] += 0.5

    monkeypatch.setattr(paced, "save", save)
    fit(make(), Ticks(), paced, batch_size=1, epochs=4)
    assert saved == [10, 60.5, 111, 161.5]


# ------------------------------------------------------------------ the command line

SOON = """
import sys
from nacre.training import checkpoint
checkpoint.REST = 0.05
checkpoint.SHARE = 1.0
from nacre.cli import main
main(prog_name="nacre")
"""


def nacre(*words: str) -> subprocess.Popen[str]:
    """The command line, with checkpoints as often as can be."""
    return subprocess.Popen(
        [sys.executable, "-c", SOON, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(found: Callable[[], bool]) -> None:
    for _ in range(3000):
        if found():
            return
        time.sleep(0.01)
    raise AssertionError


TRAIN = ("train", "digits", "--epochs", "400", "--seed", "5", "--dropout", "0.2", "--momentum", "0.9", "-q")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_stopped_is_resumed_to_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.chdir(tmp_path)
    with nacre(*TRAIN, "--validation-split", "0.1", "--out", "straight") as process:
        expected, _ = process.communicate(timeout=120)
    with nacre(*TRAIN, "--validation-split", "0.1", "--out", "run") as process:
        wait_for(lambda: len(list(Path("run").glob("checkpoints/step-*"))) >= 2)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert ("nacre resume run" in err) == (how == signal.SIGINT)
    # As if it had been killed while it wrote one.
    Path("run/checkpoints", f".step-000000000007.safetensors.{_host()}.{process.pid}.01234567.tmp").touch()
    with nacre("resume", "run", "-q") as process:
        found, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert found.splitlines()[:2] == expected.splitlines()[:2]  # loss and accuracy
    assert sorted(os.listdir("run")) == ["history.jsonl", "model.safetensors", "report.html", "run.toml"]
    for name in ("model.safetensors", "history.jsonl"):
        assert Path("run", name).read_bytes() == Path("straight", name).read_bytes()


def invoke(*words: str) -> Any:
    from click.testing import CliRunner

    return CliRunner().invoke(main, words)


def test_a_run_that_is_over_is_judged_and_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "digits", "--epochs", "2", "--seed", "5", "--out", "run", "-q", "--json")
    first = json.loads(invoke(*words).stdout)
    before = Path("run/model.safetensors").read_bytes()
    again = json.loads(invoke("resume", "run", "-q", "--json").stdout)
    changing = {"seconds", "samples_per_second"}
    assert {k: v for k, v in again.items() if k not in changing} == {
        k: v for k, v in first.items() if k not in changing
    }
    assert Path("run/model.safetensors").read_bytes() == before


def test_a_run_killed_before_its_first_checkpoint_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("train", "digits", "--epochs", "3", "--seed", "5", "-q")
    assert invoke(*words, "--out", "straight").exit_code == 0
    assert invoke(*words, "--out", "run").exit_code == 0
    for name in ("model.safetensors", "history.jsonl"):
        Path("run", name).unlink()
    assert invoke("resume", "run", "-q").exit_code == 0
    for name in ("model.safetensors", "history.jsonl"):
        assert Path("run", name).read_bytes() == Path("straight", name).read_bytes()


def test_a_run_stopped_before_its_first_checkpoint_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves the model as it is then, which is not the end."""
    monkeypatch.chdir(tmp_path)
    words = ("train", "digits", "--seed", "5", "-q")
    assert invoke(*words, "--epochs", "3", "--out", "straight").exit_code == 0
    assert invoke(*words, "--epochs", "1", "--out", "run").exit_code == 0
    noted = Path("run/run.toml")
    noted.write_text(noted.read_text().replace("epochs = 1", "epochs = 3"))
    Path("run/report.html").unlink()
    assert invoke("resume", "run", "-q").exit_code == 0
    for name in ("model.safetensors", "history.jsonl"):
        assert Path("run", name).read_bytes() == Path("straight", name).read_bytes()


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        result = invoke("resume", str(folder))
        assert result.exit_code == 2
        assert "no run" in result.stderr


@pytest.mark.parametrize("text", ["[", "", 'data = "digits"', 'data = "digits"\n[options]\nhidden = [3]\nwidth = 3'])
def test_a_run_of_something_else_cannot_be_resumed(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    result = invoke("resume", str(tmp_path))
    assert result.exit_code == 2, result.output
    assert "run" in result.stderr


def test_a_run_whose_data_has_changed_is_refused_and_keeps_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = data()
    np.savez("data.npz", x=x, y=y)
    with nacre("train", "data.npz", "--epochs", "1000000", "--out", "run", "-q") as process:
        wait_for(lambda: bool(list(Path("run").glob("checkpoints/step-*"))))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    before = Path("run/model.safetensors").read_bytes()
    np.savez("data.npz", x=x + 1, y=y)
    result = invoke("resume", "run", "-q")
    assert result.exit_code == 2
    assert "of another training" in result.stderr
    assert Path("run/model.safetensors").read_bytes() == before
