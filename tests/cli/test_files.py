"""Tables and pictures on the command line: trained on, judged, predicted, reported, repeated."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import nacre
from nacre.cli import main
from nacre.data import Table
from nacre.models import load_model

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))


def invoke(*words: str) -> Result:
    result = CliRunner().invoke(main, list(words))
    if result.exit_code and result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def people(rows: int = 1200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 12, rows)
    city = rng.choice(["Oslo", "Lima", "Cairo", ""], rows)
    member = rng.random(rows) < 0.5
    frame = pd.DataFrame({"id": np.arange(rows), "age": age.round(2), "city": city, "member": member})
    frame["joined"] = [
        f"20{y}-0{m}-11" for y, m in zip(rng.integers(10, 24, rows), rng.integers(1, 9, rows), strict=True)
    ]
    frame["zip"] = [f"0{n}" for n in rng.integers(1, 9, rows)]
    frame["paid"] = np.where((age > 40) ^ (city == "Lima"), "yes", "no")
    frame["height"] = 100 + 2 * age + 5 * member
    frame.loc[rng.random(rows) < 0.03, "age"] = np.nan
    return frame


@pytest.fixture
def table() -> str:
    people().to_csv("people.csv", index=False)
    return "people.csv"


def trained(*words: str) -> dict[str, Any]:
    result = invoke("train", *words, "--json", "-q")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_table_is_trained_on_and_the_file_predicts_what_training_saw(table: str) -> None:
    found = trained(
        table, "--target", "paid", "--column", "height=drop", "--epochs", "30", "--seed", "1", "--out", "run"
    )
    assert found["judged_on"] == "test"
    assert found["accuracy"] > 0.9
    assert sorted(os.listdir("run")) == ["history.jsonl", "model.safetensors", "report.html", "run.toml"]
    rows = list(csv.reader(io.StringIO(invoke("predict", "run", table).stdout)))
    assert rows[0] == ["prediction", "probability_no", "probability_yes"]
    assert len(rows) == 1201
    model = load_model("run/model.safetensors")
    frame = people().drop(columns=["paid", "height", "id"])
    probabilities = model.predict(model.features.inputs(Table.read(table, model.features.words)))
    np.testing.assert_array_equal(np.array(rows[1:])[:, 1:].astype("float32"), probabilities)
    assert [row[0] for row in rows[1:]] == [["no", "yes"][k] for k in probabilities.argmax(1)]
    frame["member"] = frame["member"].map({True: "true", False: "FALSE"})
    np.testing.assert_allclose(model.predict(frame), probabilities, rtol=1e-6)
    judged = json.loads(invoke("evaluate", "run", table, "--json").stdout)
    assert judged["rows"] == 1200
    assert judged["accuracy"] > 0.9
    frame.iloc[:1].assign(city="Atlantis", age=np.nan, zip="99").to_csv("new.csv", index=False)
    assert invoke("predict", "run", "new.csv").stdout.count("\n") == 2


def test_what_the_columns_are_is_said_and_may_be_told(table: str) -> None:
    said = invoke("train", table, "--target", "paid", "--epochs", "1", "--column", "zip=number").stderr
    for words in ("id", "numbers the rows", "zip", "number", "joined", "date", "2 classes: no, yes", "Rows: 840 train"):
        assert words in said, words
    assert "01" not in said.split("zip")[1].splitlines()[0]


def test_config_repeats_a_run_to_the_same_bits(table: str) -> None:
    trained(table, "--target", "paid", "--epochs", "3", "--dropout", "0.2", "--out", "first")
    trained("--config", "first/run.toml", "--out", "second")
    for name in ("model.safetensors", "history.jsonl"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()
    other = trained("--config", "first/run.toml", "--epochs", "2", "--out", "third")
    assert other["epochs"] == 2


def test_a_number_is_predicted_in_its_own_units_and_several_targets_at_once(table: str) -> None:
    found = trained(table, "--target", "height", "--column", "paid=drop", "--epochs", "40", "--out", "one")
    assert found["r2_score"] > 0.9
    values = [float(line) for line in invoke("predict", "one", table).stdout.splitlines()[1:]]
    heights = people()["height"].to_numpy()
    assert np.corrcoef(values, heights)[0, 1] > 0.9
    assert abs(np.mean(values) - heights.mean()) < 5
    both = trained(table, "--target", "height", "--target", "paid", "--epochs", "5", "--out", "both")
    assert {"height_mae", "paid_accuracy", "loss"} <= set(both)
    result = invoke("predict", "both", table)
    said = pd.read_csv(io.StringIO(result.stdout))
    assert list(said.columns) == ["height", "paid", "paid_probability_no", "paid_probability_yes"]
    assert np.corrcoef(said["height"], people()["height"])[0, 1] > 0.5
    assert set(said["paid"]) <= {"no", "yes"}
    assert invoke("predict", "both", table, "--out", "both.npy").exit_code == 0
    assert np.load("both.npy").shape == (1200, 3)


def test_rows_stay_together_by_group_and_in_order_by_time(table: str) -> None:
    frame = people()
    frame["who"] = np.repeat(np.arange(300), 4)
    frame["day"] = pd.date_range("2020-01-01", periods=1200).strftime("%Y-%m-%d")
    frame.to_csv(table, index=False)
    for words in (["--group", "who"], ["--time", "day"]):
        found = trained(table, "--target", "paid", "--epochs", "1", *words)
        assert found["judged_on"] == "test"
        assert (
            "left out  divides the rows" in invoke("train", table, "--target", "paid", "--epochs", "1", *words).stderr
        )


def test_identical_rows_and_rows_without_target_are_told(table: str) -> None:
    frame = pd.concat([people(300), people(300)])
    frame.loc[frame.index[:5], "paid"] = np.nan
    frame.to_csv(table, index=False)
    notes = trained(table, "--target", "paid", "--column", "id=drop", "--epochs", "1", "--balanced")["notes"]
    assert any("are the same as rows trained on" in note for note in notes)
    assert any("have no target" in note for note in notes)


def test_a_network_of_ones_own_takes_the_table(table: str) -> None:
    Path("own.py").write_text(
        "import nacre\n"
        "from nacre import layers\n"
        "def build(source):\n"
        "    x = nacre.Input((source.features.width,), name='numbers')\n"
        "    c = nacre.Input((len(source.features.categories),), name='categories', dtype='int32')\n"
        "    e = layers.Flatten()(layers.Embedding(source.features.terms, 3)(c))\n"
        "    y = layers.Dense(2, 'softmax')(layers.Dense(9, 'relu')(layers.Concatenate()([x, e])))\n"
        "    return nacre.Model([x, c], y)\n"
    )
    trained(table, "--target", "paid", "--model", "own.py:build", "--epochs", "2", "--out", "own")
    assert invoke("predict", "own", table).exit_code == 0
    for wrong in ("own.py:none", "none.py:build", "own.txt:build", "cnn:3"):
        assert invoke("train", table, "--target", "paid", "--model", wrong).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "What is to be predicted"),
        (["--target", "paidd"], "did you mean 'paid'"),
        (["--target", "paid", "--column", "age"], "does not say what"),
        (["--target", "paid", "--column", "age=word"], "kind of column"),
        (
            [
                "--target",
                "paid",
                "--group",
                "id",
                "--time",
                "joined",
                "--test-split",
                "0.9",
                "--validation-split",
                "0.5",
            ],
            "not by both",
        ),
    ],
)
def test_mistakes_with_tables_exit_with_2_and_leave_nothing(words: list[str], said: str, table: str) -> None:
    result = invoke("train", table, *words, "--epochs", "1")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("runs").exists()


def test_the_report_holds_all_that_it_promises_and_escapes_what_it_quotes() -> None:
    frame = people(400)
    frame["city"] = frame["city"].replace({"Oslo": "<script>alert(1)</script>"})
    frame.to_csv("people.csv", index=False)
    trained("people.csv", "--target", "paid", "--epochs", "3", "--out", "run")
    page = Path("run/report.html").read_text()
    for words in (
        "How it learned", "What is taken for what", "Class by class", "Can its probabilities be believed",
        "The mistakes it was most sure of", "Which columns matter", "The data", "The network", "To repeat it", "MB at most",
        "nacre train --config",
    ):  # fmt: skip
        assert words in page, words
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def pets(root: str, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for label, shade in (("dark", 60), ("light", 190)):
        Path(root, label).mkdir(parents=True)
        for n in range(count):
            pixels = np.clip(rng.normal(shade, 40, (20, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(Path(root, label, f"{n}.jpg"))


def test_folders_of_pictures_are_trained_on_and_predicted() -> None:
    pets("pets/train", 20, 0)
    pets("pets/test", 5, 1)
    words = ["pets", "--epochs", "20", "--model", "mlp:16", "--learning-rate", "0.001", "--augment", "flip,shift:0.1"]
    found = trained(*words, "--seed", "3", "--out", "run")
    assert (found["judged_on"], found["accuracy"]) == ("test", 1.0)
    trained("--config", "run/run.toml", "--out", "again")
    assert Path("run/model.safetensors").read_bytes() == Path("again/model.safetensors").read_bytes()
    model = load_model("run/model.safetensors")
    assert any(isinstance(layer, nacre.layers.Augmentation) for layer in model.layers)
    assert (
        invoke("predict", "run", "pets/test").stdout.splitlines()[0] == "prediction,probability_dark,probability_light"
    )
    said = invoke("predict", "run", "pets/test/light/0.jpg").stdout.splitlines()
    assert [line.split(",")[0] for line in said] == ["prediction", "light"]
    assert json.loads(invoke("evaluate", "run", "pets/test", "--json").stdout)["accuracy"] == 1.0
    assert (
        "data:image/png" in Path("run/report.html").read_text() or "mistakes" not in Path("run/report.html").read_text()
    )


def test_broken_pictures_stop_the_run_unless_they_are_left_out() -> None:
    pets("pets", 12, 0)
    Path("pets/dark/3.jpg").write_bytes(b"no picture")
    result = invoke("train", "pets", "--epochs", "1")
    assert result.exit_code == 2
    assert "pets/dark/3.jpg" in result.stderr
    assert "--skip-broken" in result.stderr
    found = trained("pets", "--epochs", "1", "--skip-broken", "--size", "8", "--color", "grey", "--fit", "pad")
    assert "1 pictures of the train part" in found["notes"][0]
    assert invoke("train", "pets", "--augment", "flop").exit_code == 2


def test_inspect_tells_what_is_in_tables_pictures_arrays_and_runs(table: str) -> None:
    said = invoke("inspect", table).stdout
    for words in ("1,200 rows", "numbers the rows", "joined", "date", "boolean", "zip"):
        assert words in said, words
    found = json.loads(invoke("inspect", table, "--json").stdout)["columns"]
    assert found["age"]["kind"] == "number"
    assert found["age"]["missing"] == int(people()["age"].isna().sum())
    assert found["city"]["different"] == 3
    pets("pets", 4, 0)
    assert json.loads(invoke("inspect", "pets", "--json").stdout)["pictures"] == {"train": [4, 4]}
    assert "8 x 8" in invoke("inspect", "digits").stdout
    trained(table, "--target", "paid", "--epochs", "1", "--out", "run")
    assert "embedding" in invoke("inspect", "run").stdout
    assert invoke("inspect", "run").stdout == invoke("inspect", "run/model.safetensors").stdout
    assert "digits" in invoke("datasets").stdout
    assert invoke("inspect", "nothing").exit_code == 2


def test_inspect_counts_the_equations_of_a_table(tmp_path: Path) -> None:
    Path("t.csv").write_text("age,zip,paid\n20,a,no\n,b,yes\n20,a,yes\n20,b,no\n40,b,yes\n")
    found = json.loads(invoke("inspect", "t.csv", "--target", "paid", "--json").stdout)["equations"]
    assert (found["rows"], found["equations"], found["unknowns"], found["contradictions"]) == (4, 8, 4, 2)
    assert (found["conflict"]["rows"], found["conflict"]["targets"]) == ([0, 2], ["no", "yes"])  # as in the file
    assert "rows 0 and 2 are the same, but say no and yes" in invoke("inspect", "t.csv", "--target", "paid").stdout
    assert "equations" not in json.loads(invoke("inspect", "t.csv", "--json").stdout)
    np.savez("numbers.npz", x=[[1.0, 1.0], [1.0, 1.0]], y=[5.0, 6.0])
    found = json.loads(invoke("inspect", "numbers.npz", "--json").stdout)["equations"]
    assert (found["outputs"], found["conflict"]["compromise"]) == (1, 5.5)
    np.savez("unlabeled.npz", x=[[1.0, 1.0]])
    assert "equations" not in invoke("inspect", "unlabeled.npz").stdout
    for words in (("t.csv", "--target", "agge"), ("digits", "--target", "paid")):
        assert invoke("inspect", *words).exit_code == 2


def test_compare_shows_what_differs_and_the_best_epochs(table: str) -> None:
    trained(table, "--target", "paid", "--epochs", "2", "--seed", "1", "--out", "one")
    trained(table, "--target", "paid", "--epochs", "3", "--seed", "1", "--dropout", "0.3", "--out", "two")
    found = json.loads(invoke("compare", "one", "two", "--json").stdout)
    assert set(found["differing"]) == {"epochs", "dropout"}
    history = [json.loads(line) for line in Path("two/history.jsonl").read_text().splitlines()]
    best = min(history, key=lambda line: line["val_loss"])
    assert found["runs"]["two"]["epoch"] == best["epoch"] + 1
    assert found["runs"]["two"]["figures"]["val_accuracy"] == best["val_accuracy"]
    said = invoke("compare", "one", "two").stdout
    assert all(words in said for words in ("dropout", "best epoch", "val_loss"))
    assert invoke("compare", "one").exit_code == 2
    assert invoke("compare", "one", "none").exit_code == 2


def test_the_same_file_is_read_alike_for_training_and_judging() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=300)
    for yes, no in (("True", "False"), ("01", "02"), ("1.0", "0.0")):
        pd.DataFrame({"a": a, "y": np.where(a > 0, yes, no)}).to_csv("t.csv", index=False)
        run = f"run-{yes}"
        trained("t.csv", "--target", "y", "--epochs", "3", "--out", run)
        assert invoke("evaluate", run, "t.csv").exit_code == 0, yes
    pd.DataFrame({"a": a[:3], "y": ["", "new", "01"]}).to_csv("new.csv", index=False)
    assert invoke("predict", "run-01", "new.csv").stdout.count("\n") == 4
    assert invoke("evaluate", "run-01", "new.csv").exit_code == 2
    # One odd word among numbers stands for nothing, in training and in judging, unless one says that it is a class.
    y = np.where(a > 0, "1", "0")
    y[7] = "unknown"
    pd.DataFrame({"a": a, "y": y}).to_csv("t.csv", index=False)
    for words, rows in (((), 299), (("--column", "y=category"), 300)):
        trained("t.csv", "--target", "y", "--epochs", "3", "--out", f"odd-{rows}", *words)
        result = invoke("evaluate", f"odd-{rows}", "t.csv", "--json")
        assert json.loads(result.stdout)["rows"] == rows


def test_words_that_stand_for_nothing_are_known_in_other_files() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=200).round(3).astype(str)
    a[::40] = "missing"
    pd.DataFrame({"a": a, "b": rng.normal(size=200), "y": rng.choice(["u", "v"], 200)}).to_csv("odd.csv", index=False)
    trained("odd.csv", "--target", "y", "--epochs", "1", "--out", "run")
    pd.read_csv("odd.csv", dtype=str).iloc[[0, 1, 40]].to_csv("three.csv", index=False)
    assert invoke("predict", "run", "three.csv").stdout.count("\n") == 4
    pd.DataFrame({"a": ["soon"], "b": [1.0]}).to_csv("one.csv", index=False)
    assert "'soon', expected a number" in invoke("predict", "run", "one.csv").stderr


def test_pictures_are_judged_by_the_test_part_and_their_outermost_folder() -> None:
    for part, swap in (("train", 0), ("test", 1)):
        for label in range(2):
            Path("pets", part, "ab"[label], "train").mkdir(parents=True)
            for n in range(6):
                shade = 40 + 150 * (label ^ swap)
                Image.new("RGB", (6, 6), (shade, shade, n)).save(Path("pets", part, "ab"[label], "train", f"{n}.png"))
    words = ["--epochs", "30", "--learning-rate", "0.01", "--model", "mlp:8", "--augment", "none", "--out", "run"]
    assert trained("pets", *words)["accuracy"] == 0.0
    found = json.loads(invoke("evaluate", "run", "pets", "--json").stdout)
    assert (found["rows"], found["accuracy"]) == (12, 0.0)


def test_a_table_may_name_pictures_and_their_classes() -> None:
    rng = np.random.default_rng(0)
    Path("album/pictures").mkdir(parents=True)
    rows = []
    for n in range(60):
        label = "ab"[n % 2]
        pixels = rng.integers(0, 90, (12, 12, 3)) + 120 * (n % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(f"album/pictures/{n}.png")
        rows.append({"file": f"pictures/{n}.png", "kind": label, "session": n // 6, "note": f"note {n}"})
    pd.DataFrame(rows).to_csv("album/list.csv", index=False)
    result = invoke("train", "album/list.csv", "--out", "run")
    assert result.exit_code == 2
    assert "What is to be predicted from album/list.csv" in result.stderr
    words = ("album/list.csv", "--target", "kind", "--epochs", "5", "--seed", "1")
    found = trained(*words, "--group", "session", "--validation-split", "0.2", "--out", "run")
    assert found["accuracy"] == 1
    assert json.loads(invoke("evaluate", "run", "album/list.csv", "--json").stdout)["rows"] == 60
    said = [row[0] for row in csv.reader(io.StringIO(invoke("predict", "run", "album/list.csv").stdout))]
    assert said[1:] == ["ab"[n % 2] for n in range(60)]
    Path("album/pictures/7.png").write_bytes(b"no picture")
    result = invoke("train", *words, "--out", "again")
    assert result.exit_code == 2
    assert "7.png" in result.stderr
    assert any("1 pictures" in note for note in trained(*words, "--skip-broken", "--out", "again")["notes"])
    pd.DataFrame([*rows, {"file": None, "kind": "a"}]).to_csv("album/list.csv", index=False)
    result = invoke("train", *words, "--out", "third")
    assert result.exit_code == 2
    assert "Row 60 of album/list.csv names no picture" in result.stderr


def test_how_far_reading_is_can_be_seen(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import nacre.cli.waiting as waiting

    monkeypatch.setattr(waiting, "_SELDOM", 0.0)
    result = invoke("train", table, "--target", "paid", "--epochs", "1", "--out", "run")
    size = Path(table).stat().st_size
    assert result.stderr.startswith(f"Reading {table}\n")
    assert f"  Reading {table}: {size:,} of {size:,} bytes\n" in result.stderr
    assert "  Learning what columns hold: 8 of 8 columns\n" in result.stderr
    assert "bytes" not in invoke("train", table, "--target", "paid", "--epochs", "1", "--out", "quiet", "-q").stderr


@pytest.mark.parametrize("packing", ["gzip", "bz2", "xz", "zip"])
def test_packed_tables_tell_how_far_they_are_read(packing: str) -> None:
    from nacre.progress import shown_by

    name = f"people.csv.{ {'gzip': 'gz'}.get(packing, packing) }".replace(" ", "")
    people().to_csv(name, index=False, compression=packing)
    seen: list[tuple[str, int, int, str]] = []
    with shown_by(lambda *told: seen.append(told)):
        assert len(Table.read(name)) == 1200
    size = Path(name).stat().st_size
    assert {(what, total, unit) for what, _, total, unit in seen} == {(f"Reading {name}", size, "bytes")}
    assert 0.9 * size < max(done for _, done, _, _ in seen) <= size


def test_a_packed_table_that_is_none_is_told() -> None:
    for suffix in ("gz", "bz2", "xz", "zip"):
        Path(f"people.csv.{suffix}").write_bytes(b"a,b\n1,2\n")
        result = invoke("train", f"people.csv.{suffix}", "--target", "b")
        assert result.exit_code == 2
        assert f"Cannot read people.csv.{suffix}" in result.stderr


def test_terms_that_training_did_not_know_are_told(table: str) -> None:
    trained(table, "--target", "paid", "--column", "height=drop", "--epochs", "1", "--out", "run")
    new = people(50, 1)
    new["member"] = np.where(new["member"], "ja", "nein")
    new.loc[:3, "city"] = "Atlantis"
    new.to_csv("new.csv", index=False)
    said = invoke("predict", "run", "new.csv").stderr
    assert "Note: 'member': all rows hold what was rare in training, or never seen: 'nein', 'ja'" in said
    assert "Note: 'city': 4 of 50 rows hold what was rare in training, or never seen: 'Atlantis'." in said
    new.loc[5:9, "paid"] = None
    new.to_csv("new.csv", index=False)
    assert "Note: 5 of 50 rows have no target, and were left out." in invoke("evaluate", "run", "new.csv").stderr
    result = invoke("evaluate", "run", "new.csv", "--json")
    assert json.loads(result.stdout)["rows"] == 45


def test_a_table_of_pictures_is_judged_by_its_own_target(tmp_path: Path) -> None:
    Path("album").mkdir()
    rows = []
    for n in range(40):
        Image.new("RGB", (8, 8), (250 * (n % 2), 20, 20)).save(f"album/{n}.png")
        rows.append({"file": f"{n}.png", "flipped": "ab"[n % 3 == 0], "label": "ab"[n % 2]})
    pd.DataFrame(rows).to_csv("album/list.csv", index=False)
    result = invoke("train", "album/list.csv", "--target", "label", "--epochs", "40", "--seed", "1", "--out", "run")
    assert "it is taken as a list of pictures: flipped is not used" in result.stderr
    found = json.loads(invoke("evaluate", "run", "album/list.csv", "--json").stdout)
    assert found["accuracy"] == 1
    result = invoke("predict", "run", "album/list.csv", "--out", "said.csv")
    assert list(pd.read_csv("said.csv").columns)[-1] == "file"
    result = invoke("train", "album/list.csv", "--target", "label", "--column", "flipped=category", "--out", "no")
    assert "--column file=drop for a network on the other columns" in result.stderr
    words = ("album/list.csv", "--target", "label", "--column", "file=drop", "--epochs", "1", "--out", "table")
    assert trained(*words)["judged_on"] == "test"
    people(30).to_csv("people.csv", index=False)
    assert "is a table that names no pictures" in invoke("predict", "run", "people.csv").stderr


def test_a_target_that_holds_dates_is_refused(table: str) -> None:
    result = invoke("train", table, "--target", "joined", "--out", "run")
    assert "holds dates, which are neither classes nor numbers" in result.stderr


def test_folders_that_hold_something_else_say_what_to_do() -> None:
    for name in ("empty", "csvs", "loose", "hive/year=2020"):
        Path(name).mkdir(parents=True)
    people(30).to_csv("csvs/a.csv", index=False)
    people(30).to_parquet("hive/year=2020/a.parquet")
    Image.new("RGB", (8, 8)).save("loose/1.png")
    for name, said in (
        ("empty", "nothing: it is empty"),
        ("csvs", "a folder of tables has to hold .parquet files"),
        ("loose", "put the pictures into a folder for each class"),
        ("hive", "name hive/year=2020"),
    ):
        result = invoke("train", name, "--target", "paid")
        assert result.exit_code == 2
        assert said in result.stderr, (name, result.stderr)


def test_a_table_of_pictures_is_judged_by_the_rows_that_have_a_class() -> None:
    Path("album").mkdir()
    rows = []
    for n in range(40):
        Image.new("RGB", (8, 8), (250 * (n % 2), 20, 20)).save(f"album/{n}.png")
        rows.append({"file": f"{n}.png", "label": "ab"[n % 2]})
    pd.DataFrame(rows).to_csv("album/list.csv", index=False)
    trained("album/list.csv", "--epochs", "2", "--out", "run")
    rows[3]["label"], rows[4]["label"] = None, "bird"
    pd.DataFrame(rows).to_csv("album/list.csv", index=False)
    assert invoke("predict", "run", "album/list.csv").stdout.count("\n") == 41
    assert "'bird', which was no class" in invoke("evaluate", "run", "album/list.csv").stderr
    rows[4]["label"] = "a"
    pd.DataFrame(rows).to_csv("album/list.csv", index=False)
    result = invoke("evaluate", "run", "album/list.csv")
    assert "1 of 40 rows have no target, and were left out" in result.stderr
    assert "39" in result.stdout
