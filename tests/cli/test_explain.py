"""nacre explain: a row of arrays, tables and pictures, as text, JSON, page and spreadsheet."""

from __future__ import annotations

import json

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner
from PIL import Image

import nacre
from nacre import layers
from nacre.cli import main
from nacre.data import Features, Pictures, Table
from nacre.recipes import picture_network, table_goals, table_network


def _nacre(*arguments):
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


@pytest.fixture
def digits(tmp_path):
    stack = [nacre.Input((8, 8)), layers.Rescaling(1 / 16), layers.Flatten(), layers.Dense(6, "relu")]
    model = nacre.Sequential([*stack, layers.Dense(10, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.safetensors")
    return model, tmp_path / "model.safetensors"


def test_a_row_of_arrays_is_explained_as_text_and_json(digits):
    model, file = digits
    (_, _), (x, y) = nacre.datasets.digits.load_data()
    step = model.explain(x[7:8], y[7:8])
    run = _nacre(file, "digits", "--row", 7)
    assert run.exit_code == 0, run.output
    assert run.output.strip() == str(step)
    document = json.loads(_nacre(file, "digits", "--row", 7, "--json").output)
    assert document["row"] == 7
    assert document["explanation"] == json.loads(json.dumps(step.document()))


@pytest.mark.parametrize("suffix", ["html", "xlsx"])
def test_a_page_or_a_spreadsheet_is_written(digits, tmp_path, suffix):
    out = tmp_path / f"step.{suffix}"
    run = _nacre(digits[1], "digits", "--out", out)
    assert run.exit_code == 0, run.output
    assert run.output == f"row 0 of digits explained in {out}\n"
    assert json.loads(_nacre(digits[1], "digits", "--out", out, "--json").output)["out"] == str(out)
    if suffix == "html":
        assert "<h2>3. Backward</h2>" in out.read_text()
    else:
        assert "2 dense" in openpyxl.load_workbook(out).sheetnames


def test_rows_and_formats_that_are_not_there_are_refused(digits, tmp_path):
    for arguments, message in (
        (["--row", "360"], "digits has rows 0 to 359, got 360"),
        (["--row=-1"], "digits has rows 0 to 359, got -1"),
        (["--out", str(tmp_path / "a.txt")], "unknown format '.txt'"),
    ):
        run = _nacre(digits[1], "digits", *arguments)
        assert run.exit_code != 0
        assert message in run.output


def test_a_row_of_a_table_is_explained_with_the_names_of_its_classes_and_without_the_target_too(tmp_path):
    rows = {"age": [30, 41, 28, 50], "city": ["Oslo", "Lima", "Oslo", "Lima"], "paid": ["yes", "no", "no", "yes"]}
    table = Table.of(rows)
    model = table_network(Features.fit(table, ["paid"]), [4], "relu", 0.0)
    model.compile("sgd", **table_goals(model.features))
    model.save(tmp_path / "model.safetensors")
    lines = [",".join(map(str, row)) for row in zip(*rows.values(), strict=True)]
    (tmp_path / "with.csv").write_text("age,city,paid\n" + "\n".join(lines) + "\n")
    (tmp_path / "without.csv").write_text("age,city\n" + "\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    run = _nacre(tmp_path / "model.safetensors", tmp_path / "with.csv", "--row", 1)
    assert run.exit_code == 0, run.output
    assert "LOSS: sparse_categorical_crossentropy" in run.output
    assert {"no", "yes"} < set(run.output.split())
    run = _nacre(tmp_path / "model.safetensors", tmp_path / "without.csv", "--row", 1)
    assert run.exit_code == 0, run.output
    assert run.output.startswith("A prediction")
    assert "VOTES" in run.output
    run = _nacre(tmp_path / "model.safetensors", tmp_path / "none.csv")
    assert run.exit_code != 0


def test_a_picture_is_explained(tmp_path, rng):
    model = picture_network(Pictures(8, 8, "rgb", "crop", ["cat", "dog"]), [5], "relu", 0.0, {})
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "data" / "dog").mkdir(parents=True)
    Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(tmp_path / "data" / "dog" / "a.png")
    run = _nacre(tmp_path / "model.safetensors", tmp_path / "data", "--out", tmp_path / "a.html")
    assert run.exit_code == 0, run.output
    text = (tmp_path / "a.html").read_text()
    assert "data:image/png" in text
    assert "<th>dog</th>" in text
    assert "2. Loss" in text
