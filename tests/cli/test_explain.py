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
    assert run.stdout.strip() == str(step)
    assert "the 360 rows of the test part of digits" in run.stderr
    document = json.loads(_nacre(file, "digits", "--row", 7, "--json").stdout)
    assert (document["part"], document["rows"]) == ("test", 360)
    assert document["row"] == 7
    assert document["explanation"] == json.loads(json.dumps(step.document()))


@pytest.mark.parametrize("suffix", ["html", "xlsx"])
def test_a_page_or_a_spreadsheet_is_written(digits, tmp_path, suffix):
    out = tmp_path / f"step.{suffix}"
    run = _nacre(digits[1], "digits", "--out", out)
    assert run.exit_code == 0, run.output
    assert run.stdout == f"row 0 of digits explained in {out}\n"
    assert json.loads(_nacre(digits[1], "digits", "--out", out, "--json").stdout)["out"] == str(out)
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
    assert run.stdout.startswith("A prediction")
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


@pytest.fixture
def people(tmp_path):
    """A table with holes, categories, dates and a hostile name, and a network that was made for it."""
    rows = {
        "age": [30, None, 28, 50] * 5,
        "city": ["Oslo", "=1+1", "Oslo", "<b>Lima"] * 5,
        "born": ["1990-01-01", "1980-06-01", "1999-12-31", "1985-03-03"] * 5,
        "paid": ["yes", "no", "no", "yes"] * 5,
    }
    table = Table.of(rows)
    model = table_network(Features.fit(table, ["paid"]), [4], "relu", 0.0)
    model.compile("sgd", **table_goals(model.features))
    return model, table


def test_each_number_is_called_by_the_column_and_the_value_that_it_stands_for(people):
    model, table = people
    step = model.explain(table.take(np.array([1, 0])), np.array([0, 1]))
    given = {one.name: one for one in step.given[0]}
    assert list(given)[:3] == ["age", "age is missing", "born: how late"]
    assert len(given) == 2 + 7 + 1
    assert (given["age"].value, given["age"].number, given["age is missing"].number) == ("", 0.0, 1.0)
    assert given["born: how late"].value == "1980-06-01"
    month = np.array([given[f"born: {wave} of the year"].number for wave in ("sine", "cosine")])
    np.testing.assert_allclose(month, [np.sin(2 * np.pi * 5 / 12), np.cos(2 * np.pi * 5 / 12)], atol=1e-6)
    assert given["city = =1+1"].value == "=1+1"
    # The other row is known by its own term, and what came in is by the same names in the table of blame.
    assert step[1].given[0][-1].name == "city = Oslo"
    ages = np.array([30, 28, 50] * 5, float)
    assert step[1].given[0][0].number == pytest.approx((30 - ages.mean()) / ages.std(), rel=1e-5)
    row = step.layer("row")
    assert row.called[0] == [*list(given)[:9], *(f"city = =1+1 [{n}]" for n in range(8))]
    for blame in step.blame("dense"):
        assert blame.name == row.called[0][blame.source]
    assert step.blame("output")[0].name is None
    # Without the table the numbers are known, and what it held is not.
    features = model.features
    assert {one.value for one in model.explain(features.inputs(table.take(np.array([1])))).given[0]} == {None}


def test_what_is_predicted_and_what_is_true_are_said_by_name(people):
    model, table = people
    for row, true in ((0, "yes"), (1, "no")):
        step = model.explain(table.take(np.array([row])), np.array([int(true == "yes")]))
        said = ["no", "yes"][int(step.outputs[0].argmax())]
        assert (step.predicted, step.true) == (said, true)
        assert f"Predicted: {said} ({step.outputs[0].max():.4g}); true: {true}." in str(step)
        assert step.document()["rows"][0]["true"] == true
    assert model.explain(table.take(np.array([0]))).true is None
    line = nacre.Sequential([nacre.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
    line.compile("sgd", "mse")
    assert "Predicted: 3; true: 5." in str(line.explain(np.array([[1.0, 2.0]]), np.array([5.0])))


def test_text_page_and_spreadsheet_name_columns_and_values(people, tmp_path):
    model, table = people
    step = model.explain(table.take(np.array([3])), np.array([1]))
    text = str(step)
    assert "city = <b>Lima" in text
    (line,) = [one for one in text.splitlines() if one.strip().startswith("age ") and "missing" not in one][:1]
    assert line.split()[:2] == ["age", "50"]
    step.save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "<th>city = &lt;b&gt;Lima</th><td>&lt;b&gt;Lima</td>" in page
    assert "<b>Lima" not in page
    step.save(tmp_path / "a.xlsx")
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    rows = [[cell.value for cell in row] for row in book["input"].iter_rows(min_row=3)]
    assert rows[0][0::2] == ["age", 50] or rows[0][0::2] == ["age", "50"]
    assert rows[-1][0] == "city = <b>Lima"
    assert [row[0].value for row in book["terms 1"].iter_rows(min_row=3)] == model.features.vocabulary
    assert all(cell.data_type != "f" for row in book["terms 1"].iter_rows() for cell in row)
