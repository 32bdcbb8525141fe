"""The commands that look inside a network, on tables with categories: they say which columns, and which rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from nacre.cli import main


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
