"""The commands that look inside a network, on tables with categories: they say which columns, and which rows."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import nacre
from nacre.cli import main
from nacre.cli.settings import Settings
from nacre.cli.sources import open_training
from nacre.data import Table
from nacre.insight import maximize
from nacre.insight.units import activations
from nacre.labs import Result as Result_
from nacre.labs.result import spread
from nacre.metrics.accuracy import told_of_few
from nacre.models import load_model
from nacre.progress import shown_by
from nacre.training.run import Run


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def output(*words: Any) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 60 people, and a run on it."""
    place = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    ages, cities = random.integers(20, 80, 60), random.choice(["Oslo", "Lima"], 60)
    rows = [f"{age},{city},{'yes' if age > 50 else 'no'}" for age, city in zip(ages, cities, strict=True)]
    (place / "people.csv").write_text("\n".join(["age,city,paid", *rows]) + "\n")
    few = ["--epochs", 2, "--model", "mlp:4", "--seed", 1, "-q"]
    output("train", place / "people.csv", "--target", "paid", *few, "--out", place / "run")
    return place


def test_a_run_on_a_table_with_categories_is_collapsed(place: Path) -> None:
    out = place / "small.safetensors"
    found = json.loads(output("collapse", place / "run", place / "people.csv", "--out", out, "--json"))
    assert found["difference"] < 1e-5
    same = [json.loads(output("evaluate", model, place / "people.csv", "--json")) for model in (place / "run", out)]
    assert same[0]["loss"] == pytest.approx(same[1]["loss"], rel=1e-5)


def test_labs_give_each_term_a_number_of_its_own(place: Path) -> None:
    words = ["lab", "permutation", place / "people.csv", "--target", "paid", "--seeds", 2, "--epochs", 1]
    result = run(*words)
    assert result.exit_code == 0, result.output
    # Age, and of the city: rare, missing, Oslo, Lima.
    assert "Permuted inputs: 5 of them" in result.stdout
    assert "each term of city is a number of its own" in result.stderr
    assert result.stderr.count("Note") == 1
    assert "Note" not in run(*words, "-q").stderr


def test_labs_refuse_tables_with_more_terms_than_memory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["nacre.cli.lab"], "_MOST", 100)
    result = run("lab", "depth", place / "people.csv", "--target", "paid")
    assert result.exit_code == 2
    assert "5 numbers for each of 48 rows" in result.stderr
    assert "city (4)" in result.stderr
    assert "--column NAME=drop" in result.stderr


def test_rows_that_the_run_did_not_see_are_looked_at_unless_all_are_asked_for(place: Path) -> None:
    of_run = (place / "run", place / "people.csv")
    settings = Settings.of(Run.open(place / "run").settings())
    tested = open_training(settings).parts["test"]
    assert 0 < len(tested) < 20
    told = f"the {len(tested)} rows of the test part of people.csv, which the run was not trained on"
    # Row 0 is the first of these, and not of the file.
    result = run("explain", *of_run, "--json")
    document = json.loads(result.stdout)
    assert told in result.stderr
    assert (document["part"], document["rows"]) == ("test", len(tested))
    values = {one["column"]: one["value"] for one in document["explanation"]["rows"][0]["given"]}
    assert values == {name: tested.table[name].text()[0] for name in ("age", "city")}
    assert document["explanation"]["rows"][0]["true"] == tested.table["paid"].text()[0]
    every = json.loads(run("explain", *of_run, "--all-rows", "--row", 59, "--json").stdout)
    assert (every["part"], every["rows"]) == ("all", 60)
    assert f"people.csv has rows 0 to {len(tested) - 1}" in run("explain", *of_run, "--row", 59).stderr
    # So do the others.
    for words in (["features", place / "run"], ["features", *of_run], ["lab", "ablation", *of_run]):
        document = json.loads(output(*words, "--json"))
        assert document["part"] == "test"
        assert told in (document["looked_at"] if words[0] == "features" else document["experiment"])
    assert told in output("lab", "ablation", *of_run)
    assert "all 60 rows of people.csv, those too" in output("lab", "ablation", *of_run, "--all-rows")
    result = run("gradcheck", *of_run, "--json")
    assert (json.loads(result.stdout)["part"], json.loads(result.stdout)["rows"]) == ("test", len(tested))
    assert f"the loss is that of {len(tested)} of {told}" in result.stderr


def test_a_run_is_evaluated_on_what_it_did_not_see_if_no_data_are_named(place: Path) -> None:
    found = json.loads(output("evaluate", place / "run", "--json"))
    settings = Settings.of(Run.open(place / "run").settings())
    tested = open_training(settings).parts["test"]
    model = load_model(place / "run" / "model.safetensors")
    assert found["loss"] == pytest.approx(model.evaluate(tested.x, tested.y, verbose=0)[0])
    assert (found["part"], found["rows"]) == ("test", len(tested))
    assert json.loads(output("evaluate", place / "run", place / "people.csv", "--json"))["rows"] == 60
    shutil.copy(place / "run" / "model.safetensors", place / "alone.safetensors")
    refused = run("evaluate", place / "alone.safetensors")
    assert refused.exit_code == 2
    assert "name the data behind it" in refused.stderr


def test_of_other_data_or_of_data_that_changed_all_rows_are_looked_at(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "people.csv"
    other.write_text((place / "people.csv").read_text())
    result = run("explain", place / "run", other)
    assert "looked at are all 60 rows of people.csv." in result.stderr
    shutil.copytree(place / "run", tmp_path / "run")
    table = tmp_path / "table.csv"
    table.write_text((place / "people.csv").read_text())
    file = tmp_path / "run" / "run.toml"
    file.write_text(file.read_text().replace(str(place / "people.csv"), str(table)))
    assert "of the test part of table.csv" in run("explain", tmp_path / "run", table).stderr
    with table.open("a") as more:
        more.write("200,Rome,no\n" * 20)
    assert "all 80 rows of table.csv; they are not what they were" in run("explain", tmp_path / "run", table).stderr


def test_what_takes_long_says_how_far_it_is(place: Path) -> None:
    trained = load_model(place / "run" / "model.safetensors")
    found: list[tuple[str, int, int, str]] = []
    with shown_by(lambda *told: found.append(told)):
        model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(2, name="end")])
        maximize(model, steps=4)
        nacre.gradcheck(lambda x: nacre.ops.sum(x * x), np.ones((2, 3)))
        activations(trained, trained.features.inputs(Table.read(place / "people.csv")))
    assert found[:4] == [("Finding what excites output most", step, 4, "steps") for step in (1, 2, 3, 4)]
    assert found[4:10] == [("Taking differences", n, 6, "entries") for n in range(1, 7)]
    assert found[-1] == ("Looking at rows", 60, 60, "rows")
    for words in (["gradcheck", place / "run"], ["features", place / "run"]):
        assert run(*words).stderr.count("\n") - run(*words, "-q").stderr.count("\n") == 1


def test_an_accuracy_of_few_rows_comes_with_how_little_it_says(place: Path, tmp_path: Path) -> None:
    words = [
        "train",
        place / "people.csv",
        "--target",
        "paid",
        "--epochs",
        1,
        "--seed",
        1,
        "-q",
        "--out",
        tmp_path / "a",
    ]
    told = output(*words)
    found = json.loads(output("evaluate", tmp_path / "a", "--json"))
    low, high = found["intervals"]["accuracy"]
    few = f"{found['accuracy']:.4f} (of {found['rows']} rows: {low:.2f} to {high:.2f})"
    assert f"test accuracy  {few}\n" in told
    assert f"accuracy  {few}\n" in output("evaluate", tmp_path / "a")
    assert f"of {found['rows']} rows: {low:.2f} to {high:.2f}</div>" in (tmp_path / "a" / "report.html").read_text()
    # A loss is no share, and of 60 rows of the table there are 12 to judge an experiment by.
    (loss,) = [line for line in told.splitlines() if line.startswith("test loss")]
    assert len(loss.split()) == 3
    experiment = ["lab", "depth", place / "people.csv", "--target", "paid", "--seeds", 2, "--epochs", 1, "-q"]
    assert "(of 12 rows: " in output(*experiment, "--depths", "1", "--parameters", "130")
    assert "accuracy with 95 % confidence: of " in output("lab", "ablation", place / "run", place / "people.csv", "-q")


def test_of_many_rows_an_accuracy_stands_alone() -> None:
    assert told_of_few(0.5, 99) == "of 99 rows: 0.40 to 0.60"
    assert told_of_few(0.5, 100) == ""
    assert "rows" not in str(Result_("", "", [{"accuracy": spread([0.5, 0.7], 360)}]))
    assert "0.6000 ± 0.1414 (of 10 rows: 0.31 to 0.83)" in str(Result_("", "", [{"accuracy": spread([0.5, 0.7], 10)}]))


def test_a_ledger_says_in_a_line_why_rows_get_their_verdicts(place: Path) -> None:
    of_run = ("ledger", place / "run", place / "people.csv", "--folds", 2)
    lines = output(*of_run).splitlines()
    assert lines[1] == f"({json.loads(output(*of_run, '--json'))['rules']})"
    for part in ("probably mislabeled: the judge says another class", "outlying input", "more than 6 robust"):
        assert part in lines[1]
    output(*of_run, "--out", place / "ledger.html")
    assert f"P{lines[1][2:-1]}." in (place / "ledger.html").read_text()


def test_a_budget_of_a_run_knows_its_rows_and_epochs(place: Path, tmp_path: Path) -> None:
    found = json.loads(output("budget", place / "run", "--json"))
    settings = Settings.of(Run.open(place / "run").settings())
    trained = len(open_training(settings).train)
    assert (found["rows"], found["epochs"], found["batch_size"]) == (trained, 2, 32)
    assert f"an epoch of {trained} rows" in output("budget", place / "run")
    assert json.loads(output("budget", place / "run", "--rows", 1000, "--epochs", 7, "--json"))["rows"] == 1000
    # Without the data, what can be said is said.
    shutil.copytree(place / "run", tmp_path / "run")
    file = tmp_path / "run" / "run.toml"
    file.write_text(file.read_text().replace("people.csv", "gone.csv"))
    result = run("budget", tmp_path / "run", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"] is None
    assert "the rows of the run are not known" in result.stderr
    assert "gone.csv" in result.stderr
