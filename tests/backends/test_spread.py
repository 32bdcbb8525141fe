"""A training on several devices, or in several processes, is the training on one: also when a process is killed on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from nacre.backends import xla
from nacre.distributed import Place, free_port
from nacre.errors import UsageError

# What is trained everywhere: the whole batch counts for the normalization, and the last batch of an epoch is short.
SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
import nacre
from nacre import callbacks, layers
from nacre.distributed import place

def train(device, epochs, calls=(), seed=3):
    nacre.utils.set_random_seed(seed)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(104, 6)).astype("float32"), rng.integers(0, 3, 104)
    model = nacre.Sequential([nacre.Input((6,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.3)])
    model.add(layers.Dense(3, "softmax"))
    model.compile(nacre.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    judged = {"validation_data": (x[:20], y[:20]), "validation_batch_size": 8}
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=2, callbacks=calls, **judged)
    return model

"""
ENVIRON = os.environ | {"JAX_PLATFORMS": "cpu"}


def run(words: list[Any], **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], env=ENVIRON | environ, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The training on one device."""
    script = tmp_path_factory.mktemp("one") / "script.py"
    script.write_text(SCRIPT + "print(json.dumps(train('xla:cpu:0', 4).history.history))")
    return json.loads(run([script]).stdout)


def check(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-5), name


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_eight_devices_go_where_one_goes_and_each_holds_an_eighth_of_the_rows(one: Any) -> None:
    Path("script.py").write_text(
        SCRIPT
        + """
import warnings
from nacre.backends import xla
from nacre.backends.base import Block
from nacre.ir import TensorType

spread = xla.Spread(xla.find_devices("xla"))
rows = np.arange(64 * 6.0).reshape(64, 6)
(shared,) = spread.rows(Block([rows]), np.arange(63, 31, -1), [TensorType((16, 6))], 3)
shards = [shard.data.shape for shard in shared.addressable_shards]
same = bool(np.array_equal(np.asarray(shared)[:2], rows[63:31:-1].reshape(2, 16, 6)))
made, texts, loop_of = [], [], xla._loop

def spied(step, *more):
    loop = loop_of(step, *more)
    def run(*given, **kept):
        if step.changes and loop not in made:
            made.append(loop)
            texts.append(loop.lower(*given, **kept).compile().as_text())
        return loop(*given, **kept)
    return run

xla._loop = spied
history = train("xla", 4).history.history
sent = [[text.count(f" {what}(") for what in ("all-gather", "all-to-all", "collective-permute")] for text in texts]
xla._loop = loop_of
split_model = train("xla/4", 4)
kernels = {name: memory.on_device for name, memory in split_model._trainer.state.items() if name.endswith("kernel")}
split = [split_model.history.history, {name: kernel.addressable_shards[0].data.shape for name, kernel in kernels.items()}]
model = nacre.Sequential([nacre.Input((6,)), layers.Dense(3)])
model.compile("sgd", "mse", device="xla")
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    model.fit(rows, rows[:, :3], batch_size=30, verbose=0)
print(json.dumps([history, shards, same, [str(one.message) for one in told], sent, split]))
"""
    )
    ended = run(["script.py"], XLA_FLAGS="--xla_force_host_platform_device_count=8")
    assert ended.returncode == 0, ended.stderr
    found, shards, same, told, sent, (of_split, columns) = json.loads(ended.stdout)
    check(found, one)
    check(of_split, one)
    assert columns == {
        "dense/kernel": [6, 2],
        "dense_1/kernel": [8, 3],
    }  # of 8 columns a quarter; 3 cannot be divided by 4
    assert sent == [[0, 0, 0]] * 2  # full batches and the short one: sums are exchanged, and no rows or weights
    assert (shards, same) == ([[3, 2, 6]] * 8, True)
    assert [text[:56] for text in told] == ["Batches of 30 rows cannot be divided over 8 devices: eac"]


def test_of_two_processes_one_is_killed_and_started_again_both_go_where_one_goes(one: Any) -> None:
    Path("script.py").write_text(
        SCRIPT
        + """
class Killed(callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3 and place().index == 1 and not Path("killed").exists():
            Path("killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    def on_test_begin(self, logs=None):
        self.batches = 0
    def on_test_batch_end(self, batch, logs=None):
        self.batches += 1

killed = Killed()
backup = callbacks.BackupAndRestore("backup", delete_checkpoint=False)
model = train("xla", 4, [backup, killed, callbacks.CSVLogger("log.csv")])
Path(f"history{place().index}").write_text(json.dumps([backup.begun_at, killed.batches, model.history.history]))
"""
    )
    ended = run(["-m", "nacre", "launch", "-n", "2", "--restarts", "1", "--", "script.py"])
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert "process 1 of 2 ended by signal 9 (SIGKILL); all are stopped" in ended.stderr
    of_both = [json.loads(Path(f"history{index}").read_text()) for index in range(2)]
    assert [batches for _, batches, _ in of_both] == [1, 2]  # of the three that validate
    for begun_at, _, found in of_both:
        assert begun_at in (8, 12)  # the checkpoint of the third epoch may have been in writing
        check(found, one)
    epochs = [line for line in ended.stdout.splitlines() if "Epoch " in line]
    assert {line[:3] for line in epochs} == {"[0]"}  # one tells how it goes


# What is read in pieces: a folder of Parquet files, in windows smaller than it, and others to validate by.
PIECES = """
import json, os, signal, sys
from pathlib import Path
import nacre
from nacre import callbacks, layers
from nacre.data import Features, shards
from nacre.data.folders import ParquetFolder, TablePieces
from nacre.distributed import place

shards.WINDOW = 8 * 2000

class Counted(TablePieces):
    rows = 0
    def read(self, piece, stop=None):
        for part in super().read(piece, stop):
            self.rows += len(part[1])
            yield part

class Killed(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == int(sys.argv[2]) and place().index == place().processes - 1:
            os.kill(os.getpid(), signal.SIGKILL)

def train(device, kill):
    folder, judged = ParquetFolder("training"), ParquetFolder("validation")
    features = Features.fit(folder.read({0: 100}), ["y"], {})
    data, validation = Counted(folder, features), Counted(judged, features)
    nacre.utils.set_random_seed(3)
    given = nacre.Input((1,), name="numbers")
    model = nacre.Sequential([given, layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(2, "softmax")])
    model.compile(nacre.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    calls = [callbacks.BackupAndRestore("backup", save_freq=5, delete_checkpoint=False)] if kill else []
    calls += [Killed()] if kill and int(sys.argv[2]) else []
    model.fit(data, validation_data=validation, epochs=3, batch_size=100, verbose=0, callbacks=calls)
    read = data.rows, validation.rows
    again = model.evaluate(validation, verbose=0, return_dict=True, batch_size=100)
    return model.history.history, read, again

found = train(sys.argv[1], len(sys.argv) > 2)
Path(f"found{place().index}").write_text(json.dumps(found))
"""


@pytest.fixture
def folders() -> None:
    rng = np.random.default_rng(5)
    for name, files in (("training", 8), ("validation", 4)):
        Path(name).mkdir()
        for file in range(files):
            a = rng.normal(size=1000).astype("float32")
            table = pyarrow.table({"a": a, "y": np.where(a > 0.3, "yes", "no")})
            parquet.write_table(table, f"{name}/part-{file}.parquet", row_group_size=250)


@pytest.mark.usefixtures("folders")
def test_two_processes_read_half_of_the_pieces_each_and_share_the_validation() -> None:
    Path("script.py").write_text(PIECES)
    for words in (["-m", "nacre", "launch", "-n", "2", "--", "script.py", "xla"], ["script.py", "xla:cpu:0"]):
        ended = run(words)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        if "launch" in words:
            both = [json.loads(Path(f"found{index}").read_text()) for index in range(2)]
    expected, read_alone, _ = json.loads(Path("found0").read_text())
    first = 250, 250  # what each reads to see what the others are like
    assert read_alone == [first[0] + 3 * 8000, first[1] + 3 * 4000]
    for history, read, again in both:
        check(history, expected)
        assert read == [first[0] + 3 * 4000, first[1] + 3 * 2000]
        for name, figure in again.items():  # each by itself, over all rows
            assert history[f"val_{name}"][-1] == pytest.approx(figure, abs=1e-12)


@pytest.mark.parametrize("after", [2, 1])
@pytest.mark.usefixtures("folders")
def test_what_two_processes_read_in_pieces_goes_on_in_the_middle_of_a_window(after: int) -> None:
    Path("script.py").write_text(PIECES)
    two = ["-m", "nacre", "launch", "-n", "2", "--", "script.py", "xla"]
    ended = run([*two, "107"])  # in the second epoch, not at the end of a window
    assert ended.returncode != 0
    assert "process 1 of 2 ended by signal 9" in ended.stderr
    assert list(Path("backup").iterdir())
    ended = run([*(two if after == 2 else ["script.py", "xla"]), "0"])
    assert ended.returncode == 0, ended.stderr + ended.stdout
    found = json.loads(Path("found0").read_text())
    assert found[1][0] < 250 + 2 * 8000 / after  # it did not begin anew
    ended = run(["script.py", "xla:cpu:0"])
    check(found[0], json.loads(Path("found0").read_text())[0])


@pytest.mark.usefixtures("folders")
def test_processes_with_other_files_are_told_before_they_share_them() -> None:
    shutil.copytree("training", "other")
    parquet.write_table(pyarrow.table({"a": np.ones(250, "float32"), "y": ["yes"] * 250}), "other/part-3.parquet")
    Path("script.py").write_text(PIECES.replace('"training"', '"other" if place().index else "training"'))
    ended = run(["-m", "nacre", "launch", "-n", "2", "--", "script.py", "xla"])
    assert "The processes do not begin alike." in ended.stdout
    assert re.search(r"differs: +data$", ended.stdout, re.MULTILINE)


@pytest.mark.usefixtures("folders")
def test_who_cannot_read_its_pieces_ends_and_nobody_waits_for_them() -> None:
    broken = """
            if place().index == 1 and self.rows > 5000:
                raise nacre.errors.DataError("It is damaged.")
            yield part"""
    Path("script.py").write_text(PIECES.replace("\n            yield part", broken))
    begun = time.monotonic()
    ended = run(["-m", "nacre", "launch", "-n", "2", "--restarts", "3", "--", "script.py", "xla"])
    assert time.monotonic() - begun < 60
    assert re.search(r"\[1\] .*DataError: training/part-\d.parquet, row group \d: It is damaged", ended.stdout)
    assert "process 1 of 2 ended with exit code 1" in ended.stderr
    assert "fault" in ended.stderr


def test_tasks_of_slurm_stop_on_a_signal_and_one_process_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 5)).astype("float32")
    np.savez("d.npz", x=x, y=(x[:, 0] + x[:, 1] > 0).astype("int64"))
    words = ["d.npz", "--device", "xla", "--model", "mlp:4", "--epochs", "40", "--batch-size", "4", "--seed", "5"]
    slurm = {"SLURM_JOB_ID": str(free_port()), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    slurm |= {"SLURM_STEP_NODELIST": "localhost"}
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", "nacre", "train", *words, "--out", "two"],
            env=ENVIRON | slurm | {"SLURM_PROCID": str(index)},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    until = time.monotonic() + 100
    while not Path("two/history.jsonl").exists() or len(Path("two/history.jsonl").read_text().splitlines()) < 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    for task in tasks:
        task.send_signal(signal.SIGUSR1)
    said = [task.communicate(timeout=60) for task in tasks]
    assert [task.returncode for task in tasks] == [75, 75], said
    assert [out for out, _ in said] == ["", ""]
    assert len(list(Path("two/checkpoints").iterdir())) == 1
    assert not Path("two/model.safetensors").exists()
    for command in (["resume", "two"], ["train", *words, "--out", "alone"]):
        ended = run(["-m", "nacre", *command, "-q"])
        assert ended.returncode == 0, ended.stderr
    found, expected = (
        [json.loads(line) for line in Path(name, "history.jsonl").read_text().splitlines()] for name in ("two", "alone")
    )
    assert len(found) == 40
    for epoch, other in zip(found, expected, strict=True):
        assert epoch == pytest.approx(other, abs=1e-5)


def test_processes_that_begin_differently_are_told_so_and_a_fault_of_one_ends_both() -> None:
    Path("script.py").write_text(
        SCRIPT
        + """
try:
    train("xla", 1, seed=place().index)
except nacre.errors.UsageError as error:
    print(error, flush=True)
    if place().index:
        raise
import time
time.sleep(300)
"""
    )
    begun = time.monotonic()
    ended = run(["-m", "nacre", "launch", "-n", "2", "--restarts", "3", "--", "script.py"])
    assert time.monotonic() - begun < 120
    assert "[0] The processes do not begin alike." in ended.stdout
    assert "process 1 of 2 ended with exit code 1" in ended.stderr
    assert "fault" in ended.stderr


def test_layers_are_split_over_devices_that_can_be_grouped_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot share layers in groups of 99"):
        xla.find_devices("xla/99")
    monkeypatch.setattr(xla, "joined", lambda: Place("a:1", 2, 0))
    with pytest.raises(UsageError, match="over the devices of one process"):
        xla.find_devices("xla/2")
    with pytest.raises(UsageError, match="is of one process, and there are 2"):
        xla.find_devices("xla:cpu:0")


def test_several_processes_need_xla() -> None:
    ended = run(["-m", "nacre", "launch", "-n", "2", "--", "train", "digits"])
    assert "Several processes train one model with XLA only." in ended.stdout
    assert ended.returncode == 2
