"""Run folders."""

from __future__ import annotations

import json
import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nacre.errors import UsageError
from nacre.files import write_whole
from nacre.training import History
from nacre.training.run import Run


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
        "begun": datetime(2026, 1, 2, tzinfo=UTC),
        "options": {"hidden": [128, 64], "learning_rate": 0.1, "seed": 2**32 - 1, "none": []},
    }
    run = Run.create(tmp_path / "run")
    run.note(settings)
    assert tomllib.loads((run.folder / "run.toml").read_text(encoding="utf-8")) == settings


def test_history_is_one_json_line_per_epoch(tmp_path: Path) -> None:
    history = History()
    history.append(0, {"loss": 2.5})
    history.append(1, {"loss": 1.5})
    run = Run.create(tmp_path / "run")
    run.record(history)
    lines = (run.folder / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 0, "loss": 2.5}, {"epoch": 1, "loss": 1.5}]


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
