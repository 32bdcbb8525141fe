"""Runs that are killed, and disks that are full or closed: what was there before is whole, and goes on."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import nacre
from nacre.callbacks import BackupAndRestore
from nacre.cli import main
from nacre.interop import safetensors
from nacre.training import checkpoint
from nacre.training.run import Run


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))


def frame(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, city = rng.normal(size=rows), rng.integers(0, 5, rows)
    return pd.DataFrame({"a": a, "city": [f"city_{c}" for c in city.tolist()], "paid": a + (city == 2) > 0.3})


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def a_table() -> list[str]:
    frame(3000, 0).to_csv("people.csv", index=False)
    return ["people.csv", "--target", "paid", "--epochs", "6", "--batch-size", "16"]


def a_folder_of_shards() -> list[str]:
    Path("shards").mkdir()
    for k in range(3):
        frame(1000, k).to_parquet(f"shards/part-{k}.parquet", row_group_size=300)
    return ["shards", "--target", "paid", "--epochs", "6", "--batch-size", "16"]


def pictures() -> list[str]:
    rng = np.random.default_rng(0)
    for n in range(300):
        place = Path("pets", "ab"[n % 2])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 200 + 50 * (n % 2), (12, 12, 3)).astype(np.uint8)).save(place / f"{n}.png")
    return ["pets", "--epochs", "12", "--batch-size", "4", "--augment", "flip,shift,noise"]


# A child that writes checkpoints as often as it can, and kills itself at a step that it is told.
CHILD = """
import os, signal, sys
from nacre.training import checkpoint
checkpoint.REST, checkpoint.SHARE = 0.0, 1e9
old = checkpoint.PacedCheckpoints.on_train_batch_end
def watched(self, batch, logs=None):
    old(self, batch, logs)
    if self.model.optimizer.iterations >= int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.PacedCheckpoints.on_train_batch_end = watched
checkpoint.PacedCheckpoints.stride = lambda self, kind: 3 if kind == "train" else None
from nacre.cli import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize("kind", [a_table, a_folder_of_shards, pictures], ids=lambda kind: kind.__name__)
def test_a_run_that_is_killed_goes_on_to_the_same_bits(kind: Callable[[], list[str]]) -> None:
    words = ["train", *kind(), "--seed", "5", "-q"]
    assert invoke(*words, "--out", "whole").exit_code == 0
    for at in (100, 333):
        command = [sys.executable, "-c", CHILD, str(at), *words, "--out", f"run-{at}"]
        ended = subprocess.run(command, capture_output=True, timeout=120, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not Path(f"run-{at}/model.safetensors").exists()
        assert list(Path(f"run-{at}/checkpoints").glob("step-*.safetensors"))
        result = invoke("resume", f"run-{at}", "-q")
        assert result.exit_code == 0, result.output
        assert Path(f"run-{at}/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
        assert Path(f"run-{at}/history.jsonl").read_bytes() == Path("whole/history.jsonl").read_bytes()


@pytest.mark.parametrize("kind", [a_table, pictures], ids=lambda kind: kind.__name__)
def test_a_full_disk_stops_the_run_with_the_last_good_checkpoint_intact(
    kind: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", *kind(), "--seed", "5", "-q"]
    assert invoke(*words, "--out", "whole").exit_code == 0
    monkeypatch.setattr(checkpoint, "REST", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    monkeypatch.setattr(checkpoint.PacedCheckpoints, "stride", lambda self, kind: 5 if kind == "train" else None)
    written, real = [], safetensors.write

    def full(path: Any, *rest: Any) -> None:
        if len(written) >= 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, *rest)
        written.append(path)

    monkeypatch.setattr(safetensors, "write", full)
    result = invoke(*words, "--out", "run")
    assert result.exit_code == 1
    assert "No space left on device.\n  try:  free some space" in result.stderr
    assert sorted(Path("run/checkpoints").iterdir()) == sorted(written[-2:])
    monkeypatch.setattr(safetensors, "write", real)
    assert invoke("resume", "run", "-q").exit_code == 0
    assert Path("run/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_a_real_disk_that_fills_up_leaves_whole_files_only(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    words = [*a_table(), "--model", "mlp:256,256", "--seed", "1", "-q", "--out", "run"]
    limit = 200_000  # bytes of a file; the model is larger

    def bound() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-m", "nacre", "train", *words]
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=bound, timeout=120, check=False)
    assert ended.returncode == 1
    assert "run/model.safetensors: File too large.\n  try:  free some space" in ended.stderr
    left = sorted(path.name for path in Path("run").rglob("*") if path.is_file())
    assert left == ["history.jsonl", "run.toml", "running"]  # the last one tells that nobody is at work on the run
    assert Run(Path("run")).running is False
    assert Path("run/history.jsonl").read_bytes().endswith(b"}\n")
    assert invoke("resume", "run", "-q").exit_code == 0
    assert not Path("run/running").exists()


def test_a_folder_that_cannot_be_written_to_is_told_before_training() -> None:
    words = ["train", *a_table(), "-q", "--out"]
    Path("file").write_text("")
    result = invoke(*words, "file/run")
    assert result.exit_code == 2
    assert "file/run" in result.stderr
    assert "Epoch" not in result.stderr


def test_checkpoints_are_written_while_the_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training is not held up by a slow disk, and what is written is of the moment at which it was asked for."""
    real, begun, steps = safetensors.write, [], []

    def slow(path: Any, *rest: Any) -> None:
        begun.append(path)
        time.sleep(0.3)
        real(path, *rest)

    class Watch(nacre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            steps.append((self.model.optimizer.iterations, len(list(tmp_path.glob("step-*")))))

    monkeypatch.setattr(safetensors, "write", slow)
    nacre.utils.set_random_seed(0)
    model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(64, 2))
    kept: dict[int, Any] = {}

    class Keep(nacre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            kept[self.model.optimizer.iterations] = self.model.get_weights()

    backup = BackupAndRestore(tmp_path, save_freq=10, delete_checkpoint=False)
    model.fit(x, x.sum(1), batch_size=4, epochs=1, verbose=0, callbacks=[Watch(), Keep(), backup])
    assert (16, 0) in steps  # six steps later, it is still being written
    (path,) = backup.paths()
    tensors, _ = safetensors.read(path)
    for name, weight in zip(("dense/kernel", "dense/bias"), kept[10], strict=True):
        assert np.array_equal(tensors[next(n for n in tensors if n.endswith(name.split("/")[1]))], weight)
