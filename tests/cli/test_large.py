"""Folders of Parquet files, HDF5 and Zarr on the command line, and the search for settings."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner, Result

from nacre.cli import main
from nacre.cli.tune import Range, space_of
from nacre.errors import Limitation, UnknownName, UsageError
from nacre.models import load_model


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))


def invoke(*words: str) -> Result:
    result = CliRunner().invoke(main, list(words))
    if result.exit_code and result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def done(*words: str) -> dict[str, Any]:
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def frame(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a, city = rng.normal(size=rows), rng.integers(0, 5, rows)
    return pd.DataFrame(
        {
            "row": np.arange(seed * rows, (seed + 1) * rows),
            "a": np.where(rng.random(rows) < 0.1, np.nan, a),
            "city": [None if c == 4 else f"city_{c}" for c in city.tolist()],
            "household": rng.integers(0, 50, rows) + 50 * (seed % 2),
            "day": np.datetime64("2020-01-01") + rng.integers(0, 1000, rows).astype("timedelta64[D]"),
            "paid": [None if n < 3 else "yes" if y else "no" for n, y in enumerate(a + (city == 2) > 0.3)],
            "price": 3 * a + city,
        }
    )


@pytest.fixture
def folder() -> str:
    Path("shards").mkdir()
    for k in range(4):
        frame(600, k).to_parquet(f"shards/part-{k}.parquet", row_group_size=150)
    return "shards"


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the folder were larger than the memory: what is known comes from some rows of some row groups."""
    monkeypatch.setattr("nacre.data.folders._SAMPLE", 7 * 900)
    monkeypatch.setattr("nacre.data.folders._PLACES", 12)
    monkeypatch.setattr("nacre.data.shards.WINDOW", 700 * 20)


DROPPED = ("--column", "price=drop", "--column", "household=drop")


def test_a_folder_of_parquet_files_is_trained_on_judged_and_predicted(folder: str) -> None:
    found = done("train", folder, "--target", "paid", *DROPPED, "--epochs", "40", "--seed", "1", "--out", "run", "-q")
    assert found["accuracy"] > 0.85
    assert any("12 of 2,400 rows have no target" in note for note in found["notes"])
    model = load_model("run/model.safetensors")
    assert model.features.dropped["row"] == "numbers the rows"
    whole = pd.concat([frame(600, k) for k in range(4)])
    Path("again").mkdir()
    for place in ("one.parquet", "again/part.parquet"):
        whole[whole.paid.notna()].to_parquet(place)
    assert done("evaluate", "run", "one.parquet")["accuracy"] == done("evaluate", "run", "again")["accuracy"]
    assert invoke("predict", "run", folder).stdout.count("\n") == 2401
    held = (("lab", "ablation", "run"), ("features", "run"), ("explain", "run"))
    for words in held:  # the rows that were held out are in memory
        assert done(*words, folder)["part"] == "test"
    for words in (("collapse", "run"), ("graph", "run"), *((*words, "--all-rows") for words in held)):
        with pytest.raises(Limitation, match="read piece by piece"):
            CliRunner().invoke(main.commands[words[0]], [*words[1:], folder], catch_exceptions=False)


@pytest.mark.usefixtures("small_sample")
def test_of_a_large_folder_a_sample_judges_and_all_other_rows_are_trained_on(folder: str) -> None:
    words = ("train", folder, "--target", "paid", *DROPPED, "--epochs", "30", "--seed", "1")
    result = invoke(*words, "--out", "run")
    assert result.exit_code == 0, result.output
    assert "Rows: 2,121 train, 134 validation, 133 test" in result.stderr
    assert "12 of 2,400 rows have no target" in result.stderr
    assert "learned from 900 rows, taken from 12 places" in result.stderr
    again = done(*words, "--out", "again", "-q")
    assert again["accuracy"] > 0.8
    assert Path("run/model.safetensors").read_bytes() == Path("again/model.safetensors").read_bytes()


@pytest.mark.usefixtures("small_sample")
def test_groups_and_times_of_a_large_folder_are_not_on_both_sides(folder: str) -> None:
    from nacre.cli.settings import Settings
    from nacre.cli.sources import open_training

    options = {"target": ("price",), "column": ("paid=drop",), "validation_split": 0.15, "test_split": 0.15}
    source = open_training(Settings.of({"data": folder, "options": options | {"group": "household"}}))
    held = {word for part in ("validation", "test") for word in source.parts[part].table["household"].text()}
    every = pd.concat([frame(600, k) for k in range(4)])
    outside = ~every.household.astype(str).isin(held)
    assert len(source.train) == outside.sum()
    assert any("rows are of the same groups" in note for note in source.notes)
    source = open_training(Settings.of({"data": folder, "options": options | {"time": "day"}}))
    assert any("rows are later than those" in note for note in source.notes)
    first = min(source.parts["validation"].table["day"].values)
    assert len(source.train) == (every.day < first).sum()


@pytest.mark.usefixtures("small_sample")
def test_classes_that_only_unseen_rows_have_are_known(folder: str) -> None:
    for k in range(4):
        part = frame(600, k)
        part.loc[part.index == 149, "paid"] = "maybe"
        part.to_parquet(f"shards/part-{k}.parquet", row_group_size=150)
    done("train", folder, "--target", "paid", *DROPPED, "--epochs", "1", "--out", "run", "-q", "--balanced")
    assert load_model("run/model.safetensors").features.classes == ["maybe", "no", "yes"]


def test_shards_may_differ_in_what_does_not_matter(folder: str) -> None:
    part = frame(600, 9)
    part["household"] = part["household"].astype("float64")
    part["city"] = part["city"].astype("category")
    part["a"] = None
    part[sorted(part.columns)].to_parquet("shards/part-9.parquet")
    found = done("train", folder, "--target", "paid", *DROPPED, "--epochs", "1", "--out", "run", "-q")
    assert found["judged_on"] == "test"
    # Rows without a target are left out, and the others are judged.
    result = invoke("evaluate", "run", folder)
    assert "15 of 3,000 rows have no target, and were left out" in result.stderr
    assert "2,985" in result.stdout
    part["city"] = np.arange(600)
    part.to_parquet("shards/part-9.parquet")
    result = invoke("train", folder, "--target", "paid", "--out", "third")
    assert "The column 'city' is a number in shards/part-9.parquet, and text in shards/part-0.parquet" in result.stderr


def test_a_group_of_its_own_are_rows_without_one(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from nacre.cli.settings import Settings
    from nacre.cli.sources import open_training

    monkeypatch.setattr("nacre.data.folders._SAMPLE", 7 * 900)
    every = pd.concat([frame(600, k) for k in range(4)]).city.fillna("")
    for seed in range(6):
        options = {"target": ("price",), "column": ("paid=drop",), "test_split": 0.3, "group": "city", "seed": seed}
        source = open_training(Settings.of({"data": folder, "options": options}))
        held = set(source.parts["test"].table["city"].text())
        assert len(source.train) == (~every.isin(held)).sum()


def test_odd_values_in_a_folder_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In training one odd value is missing, and told; in a file to be predicted it is a mistake, as in any table."""
    monkeypatch.setattr("nacre.data.folders._SAMPLE", 3 * 300)
    monkeypatch.setattr("nacre.data.folders._PLACES", 4)
    Path("shards").mkdir()
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=2000).strftime("%m/%d/%Y").to_numpy()
    words = np.where(rng.random(2000) < 0.5, "u", "v")
    table = pd.DataFrame({"t": days, "c": words, "y": rng.integers(0, 2, 2000)})
    table.loc[1999, ["t", "c"]] = ["28/28/2020", "new"]
    table.to_parquet("shards/a.parquet", row_group_size=100)
    found = done("train", "shards", "--target", "y", "--epochs", "2", "--out", "run", "-q", "--seed", "1")
    assert any("'t': 1 values are odd" in note for note in found["notes"])
    assert "'28/28/2020', expected a date" in invoke("predict", "run", "shards").stderr
    table.loc[1999, "t"] = "12/31/2020"
    table.to_parquet("shards/a.parquet", row_group_size=100)
    assert "Note: 'c': 1 of 2,000 rows hold what was rare" in invoke("predict", "run", "shards").stderr


def test_times_are_read_in_one_form_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    from nacre.cli.settings import Settings
    from nacre.cli.sources import open_training

    monkeypatch.setattr("nacre.data.folders._SAMPLE", 3 * 400)
    times = pd.date_range("2020-01-01", periods=2000, freq="3h")
    table = pd.DataFrame({"t": times.strftime("%d/%m/%Y"), "x": np.random.default_rng(0).normal(size=2000)})
    table["y"] = 2 * table.x
    Path("shards").mkdir()
    table.to_parquet("shards/a.parquet", row_group_size=8)  # of which many have days that could be months
    options = {"target": ("y",), "time": "t", "test_split": 0.2}
    source = open_training(Settings.of({"data": "shards", "options": options}))
    first = min(pd.to_datetime(source.parts["test"].table["t"].text(), format="%d/%m/%Y"))
    assert len(source.train) == (times.normalize() < first).sum()


def test_what_a_target_is_does_not_change_from_part_to_part() -> None:
    """Words among numbers are classes, or stand for nothing, as in the table as a whole."""
    rng = np.random.default_rng(0)
    Path("shards").mkdir()
    whole = []
    for k, share in enumerate((0.02, 0.02, 0.9)):
        words = np.where(rng.random(400) < share, "other", rng.integers(0, 2, 400).astype(str))
        whole.append(pd.DataFrame({"x": rng.normal(size=400), "y": words}))
        whole[-1].to_parquet(f"shards/{k}.parquet", row_group_size=100)
    found = done("train", "shards", "--target", "y", "--epochs", "1", "--out", "run", "-q")
    assert not any("no target" in note for note in found["notes"])
    assert load_model("run/model.safetensors").features.classes == ["0", "1", "other"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "What is to be predicted"),
        (["--target", "paied"], "did you mean 'paid'"),
        (["--target", "row", "--column", "row=category"], "classes for"),
        (["--target", "paid", "--group", "city", "--time", "day"], "not by both"),
    ],
)
def test_mistakes_with_folders_exit_with_2(words: list[str], said: str, folder: str) -> None:
    result = invoke("train", folder, *words, "--out", "run")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("run").exists()


def test_a_damaged_file_among_the_shards_is_named(folder: str) -> None:
    Path("shards/part-2.parquet").write_bytes(Path("shards/part-2.parquet").read_bytes()[:-500])
    result = invoke("train", folder, "--target", "paid", "--out", "run")
    assert result.exit_code == 2
    assert "part-2.parquet" in result.stderr


def test_hdf5_and_zarr_are_trained_on_like_npz() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    np.savez("data.npz", x=x, y=y)
    with h5py.File("data.h5", "w") as file:
        file["x"], file["y"] = x, y
        file["words"] = ["a", "b"]
    group = zarr.open_group("data.zarr", mode="w")
    group.create_array("x", data=x)
    group.create_array("y", data=y)
    found = [
        done("train", name, "--epochs", "2", "--seed", "1", "-q", "--out", f"run-{k}")["loss"]
        for k, name in enumerate(("data.npz", "data.h5", "data.zarr"))
    ]
    assert found[0] == found[1] == found[2]


def test_hdf5_that_leads_elsewhere_or_grows_is_refused() -> None:
    with h5py.File("secret.h5", "w") as file:
        file["x"] = np.zeros(4)
    with h5py.File("link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("secret.h5", "x")
    with h5py.File("bomb.h5", "w") as file:
        file.create_dataset("x", (1 << 30,), "float32", chunks=(1 << 20,))
    Path("raw.bin").write_bytes(bytes(64))
    with h5py.File("outside.h5", "w") as file:
        file.create_dataset("x", (4,), "float32", external=[("raw.bin", 0, 16)])
    Path("damaged.h5").write_bytes(Path("secret.h5").read_bytes()[:300])
    for name, said in (
        ("link.h5", "a link 'x'"),
        ("bomb.h5", "more than 300 times"),
        ("outside.h5", "lies in other files"),
        ("damaged.h5", "Cannot read damaged.h5"),
    ):
        result = invoke("inspect", name)
        assert result.exit_code == 2, name
        assert said in result.stderr, (name, result.stderr)


# ------------------------------------------------------------------ tune


def test_tune_tries_settings_and_trains_with_the_best() -> None:
    words = ("tune", "digits", "--trials", "5", "--epochs", "6", "--seed", "3", "--jobs", "1", "-q")
    found = done(*words, "--out", "one")
    trials = [json.loads(line) for line in Path("one/trials.jsonl").read_text().splitlines()]
    assert [one["trial"] for one in trials] == [1, 2, 3, 4, 5]
    assert {"learning_rate", "batch_size", "dropout", "model"} == set(trials[0]["settings"])
    whole = [one for one in trials if one["state"] == "complete"]
    assert found["best"] == min(whole, key=lambda one: one["val_loss"])
    assert found["judged_on"] == "test"
    assert Path("one/best/report.html").exists()
    # The run in best/ is the trial again: what it came to is what the search was told.
    history = [json.loads(line) for line in Path("one/best/history.jsonl").read_text().splitlines()]
    assert min(line["val_loss"] for line in history) == found["best"]["val_loss"]
    again = done(*words, "--out", "two")
    assert [{**one, "seconds": 0} for one in again["trials"]] == [{**one, "seconds": 0} for one in trials]


def test_tune_runs_trials_side_by_side_by_chance_or_not_and_prunes() -> None:
    varied = ("--vary", "learning_rate=1e-5..1e-1", "--vary", "model=mlp:8", "--vary", "model=mlp:16,8")
    words = ("tune", "digits", *varied, "--search", "random", "--trials", "12", "--epochs", "9", "--seed", "1", "-q")
    found = done(*words, "--out", "one")
    states = [one["state"] for one in found["trials"]]
    assert sorted(one["trial"] for one in found["trials"]) == list(range(1, 13))
    assert "given up" in states
    assert all(one["epochs"] < 9 for one in found["trials"] if one["state"] == "given up")
    found = done(*words, "--no-prune", "--out", "two")
    assert {one["state"] for one in found["trials"]} == {"complete"}


def test_the_space_is_what_is_said() -> None:
    assert space_of(["learning-rate=0.001..0.1", "batch_size=8..64"]) == {
        "learning_rate": Range(0.001, 0.1, False),
        "batch_size": Range(8, 64, True),
    }
    assert Range(0.001, 0.1, False).log
    assert not Range(0.0, 0.5, False).log
    assert space_of(["optimizer=sgd", "optimizer=adam"]) == {"optimizer": ("sgd", "adam")}
    for wrong, error in (
        ("dropout", UsageError),
        ("dropout=a..b", UsageError),
        ("dropout=0.5..0.1", UsageError),
        ("model=mlp:x", UsageError),
        ("dropout=0..1.5", UsageError),
        ("learning_rate=-1..0.1", UsageError),
        ("batch_size=16.5..64", UsageError),
        ("batch_size=32,64", UsageError),
        ("batch_size=0", UsageError),
        ("dropout=0.2..0.2", UsageError),
        ("learning_rate=nan", UsageError),
        ("model=mpl:64", UsageError),
        ("optimizer=adm", UnknownName),
        ("activation=rellu", UnknownName),
        ("augment=flop", UnknownName),
        ("epochs=1..3", UnknownName),
    ):
        with pytest.raises(error):
            space_of([wrong])


def test_a_space_of_few_settings_is_gone_through_once() -> None:
    varied = ("--vary", "model=mlp:4", "--vary", "model=mlp:8", "--vary", "optimizer=adam")
    found = done("tune", "digits", *varied, "--trials", "9", "--epochs", "1", "-q", "--out", "run")
    assert sorted(one["settings"]["model"] for one in found["trials"]) == ["mlp:4", "mlp:8"]
    # The other commands take the folder for the best run in it.
    assert done("evaluate", "run", "digits")["rows"] == 1797 - 1437
    assert invoke("compare", "run", "run/best").exit_code == 0


def test_what_is_given_is_not_varied() -> None:
    found = done("tune", "digits", "--trials", "1", "--epochs", "1", "--dropout", "0.1", "-q", "--out", "run")
    assert "dropout" not in found["best"]["settings"]
    result = invoke("tune", "digits", "--dropout", "0.1", "--vary", "dropout=0..0.5")
    assert result.exit_code == 2
    assert "--dropout is given, and to be varied" in result.stderr


def test_a_search_that_is_killed_goes_on() -> None:
    words = ["tune", "digits", "--trials", "6", "--epochs", "12", "--seed", "1", "--out", "run"]
    command = [sys.executable, "-m", "nacre", *words]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    trials = Path("run/trials.jsonl")
    end = time.monotonic() + 60
    while not (trials.exists() and len(trials.read_text().splitlines()) >= 2) and time.monotonic() < end:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.stderr is not None
    child.stderr.close()
    before = trials.read_text().splitlines()
    assert 2 <= len(before) < 6
    found = done("resume", "run", "-q")
    assert trials.read_text().splitlines()[: len(before)] == before
    assert len(found["trials"]) == 6
    assert Path("run/best/model.safetensors").exists()
    shutil.rmtree("run/best")
    assert done("resume", "run", "-q")["best"] == found["best"]
