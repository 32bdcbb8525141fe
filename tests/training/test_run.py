"""Run folders."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

import nacre
from nacre.callbacks import Callback
from nacre.errors import UsageError
from nacre.files import read_toml, write_whole
from nacre.training import History
from nacre.training.run import Following, Run


def test_folders_are_numbered_after_the_last(tmp_path: Path) -> None:
    first = Run.create(root=tmp_path).folder
    assert first.name.startswith("train-")
    assert first.name.endswith("-001")
    (tmp_path / first.name.replace("-001", "-041")).mkdir()
    first.rmdir()
    assert Run.create(root=tmp_path).folder.name.endswith("-042")


def test_number_999_is_not_the_end(tmp_path: Path) -> None:
    stem = Run.create(root=tmp_path).folder.name[:-4]
    (tmp_path / f"{stem}-999").mkdir()
    assert Run.create(root=tmp_path).folder.name == f"{stem}-1000"


def test_kinds_are_numbered_apart(tmp_path: Path) -> None:
    names = [Run.create(kind=kind, root=tmp_path).folder.name for kind in ("train", "demo")]
    assert [name[-4:] for name in names] == ["-001", "-001"]


def test_runs_that_start_together_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: Run.create(root=tmp_path).folder, range(24)))
    assert len(set(folders)) == 24


def test_a_new_or_empty_folder_is_used(tmp_path: Path) -> None:
    assert Run.create(tmp_path / "a" / "b").folder.is_dir()
    assert Run.create(tmp_path / "a" / "b").folder == tmp_path / "a" / "b"


@pytest.mark.parametrize(("name", "said"), [("full", "not empty"), ("full/file", "is a file")])
def test_a_folder_that_holds_something_and_a_file_are_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    with pytest.raises(UsageError, match=said):
        Run.create(tmp_path / name)
    assert (tmp_path / "full" / "file").read_text() == "mine"


def test_settings_are_read_back_as_they_were(tmp_path: Path) -> None:
    settings = {
        "command": 'nacre train "a b"',
        "begun": datetime(2026, 1, 2, tzinfo=timezone.utc),
        "options": {"hidden": [128, 64], "learning_rate": 0.1, "seed": 2**32 - 1, "none": []},
    }
    run = Run.create(tmp_path / "run")
    run.note(settings)
    assert read_toml(run.folder / "run.toml") == settings


def test_history_is_one_json_line_per_epoch(tmp_path: Path) -> None:
    history = History()
    history.append(0, {"loss": 2.5})
    history.append(1, {"loss": 1.5})
    run = Run.create(tmp_path / "run")
    run.record(history)
    lines = (run.folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 0, "loss": 2.5}, {"epoch": 1, "loss": 1.5}]


class _Looking(Callback):
    """Notes how many epochs others see in the run's folder, when an epoch has ended."""

    outermost = True  # behind `Following`, which is before it in the list

    def __init__(self, run: Run) -> None:
        self.run, self.seen = run, list[int]()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seen.append(self.run.epochs)


def _fit(run: Run, epochs: int, pause: float = 0.0) -> tuple[History, list[int]]:
    nacre.utils.set_random_seed(0)
    model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    model.compile("sgd", "mse")
    following, looking = Following(run), _Looking(run)
    following.pause = pause
    x = np.arange(8.0).reshape(4, 2) / 8
    return model.fit(x, x.sum(1), epochs=epochs, verbose=0, callbacks=[following, looking]), looking.seen


def test_each_epoch_can_be_read_when_it_has_ended(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    history, seen = _fit(run, 4)
    assert seen == [1, 2, 3, 4]
    assert run.figures == history.history
    followed = (run.folder / "history.jsonl").read_bytes()
    run.record(history)
    assert (run.folder / "history.jsonl").read_bytes() == followed


def test_epochs_that_follow_fast_are_written_together(tmp_path: Path) -> None:
    assert _fit(Run.create(tmp_path / "run"), 4, pause=3600.0)[1] == [1, 1, 1, 1]


def test_what_was_there_of_a_training_that_begins_anew_is_replaced(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    (run.folder / "history.jsonl").write_text('{"epoch": 0, "loss": 9.0}\n' * 7)
    assert _fit(run, 2)[1] == [1, 2]


def test_a_line_that_is_half_written_does_not_count_yet(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    (run.folder / "history.jsonl").write_text('{"epoch": 0, "loss": 2.5}\n{"epoch": 1, "lo')
    assert (run.epochs, run.figures) == (1, {"loss": [2.5]})


@pytest.mark.parametrize("line", ["no JSON", "[1]", '{"loss": "much"}', '{"loss": []}'])
def test_a_history_that_is_none_is_said(tmp_path: Path, line: str) -> None:
    run = Run.create(tmp_path / "run")
    (run.folder / "history.jsonl").write_text(f"{line}\n")
    with pytest.raises(UsageError, match=r"history\.jsonl cannot be read"):
        _ = run.figures


def test_the_old_file_survives_a_write_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, [b"old"])

    def fail(_descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_whole(tmp_path / "link", [b"content"])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"
