"""nacre features and nacre ledger: figures for people and programs, pages that hold all they need."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from nacre.cli import main
from nacre.cli.pixels import plainly, png, signed, strip
from nacre.pages import ABOVE, BELOW
from nacre.plots.canvas import signed_colors


def run(*words: str) -> str:
    result = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str) -> str:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code != 0
    return result.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on digits, on tables with classes and with numbers, and on colored pictures."""
    place = tmp_path_factory.mktemp("features")
    random = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'<b>yes' if a > b else 'no'}" for a, b in random.normal(size=(300, 2))]
    (place / "people.csv").write_text("\n".join(["age,height,paid", *rows]))
    (place / "prices.csv").write_text(
        "\n".join(["size,price", *(f"{n % 50},{n % 50 * 3.5 + n % 7 / 10}" for n in range(300))])
    )
    for label, shade in (("dark", 40), ("light", 180)):
        (place / "pets" / label).mkdir(parents=True)
        for n in range(20):
            Image.fromarray(random.integers(shade, shade + 40, (6, 6, 3), np.uint8)).save(
                place / "pets" / label / f"{n}.png"
            )
    run("train", "digits", "--epochs", "2", "--model", "mlp:16,16", "--out", str(place / "digits-run"))
    run(
        "train",
        str(place / "people.csv"),
        "--target",
        "paid",
        "--epochs",
        "8",
        "--model",
        "mlp:8",
        "--out",
        str(place / "table-run"),
    )
    run(
        "train",
        str(place / "prices.csv"),
        "--target",
        "price",
        "--epochs",
        "3",
        "--model",
        "mlp:8",
        "--out",
        str(place / "price-run"),
    )
    run("train", str(place / "pets"), "--epochs", "4", "--model", "mlp:8", "--out", str(place / "pets-run"))
    return place


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in found]


def test_features_tell_what_the_units_of_each_layer_prefer(place: Path) -> None:
    run_, page = str(place / "digits-run"), place / "features.html"
    text = run("features", run_, "digits", "--out", str(page))
    assert "dense: 16 units, selectivity" in text
    document: dict[str, Any] = json.loads(run("features", run_, "--json"))
    assert (document["data"], document["rows"]) == ("digits", 360)
    assert [len(layer["selectivity"]) for layer in document["layers"]] == [16, 16, 10]
    assert np.shape(document["layers"][0]["rows"]) == (16, 9)
    html = page.read_text()
    sizes = [image.size for image in pictures(html)]
    # Weights; of each layer a map, of each unit that is not dead the best input and 9 rows; and two of each class.
    dead = sum(len(layer["dead"]) for layer in document["layers"])
    assert len(sizes) == 16 + 3 + 2 * (42 - dead) + 20
    assert sizes[:16] == [(8, 8)] * 16
    assert sizes.count((9 * 8 + 8, 8)) == 42 - dead
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "prefers-color-scheme: dark" in html


def test_features_of_tables_name_rows_and_those_of_numbers_no_classes(place: Path) -> None:
    page = place / "table.html"
    document = json.loads(run("features", str(place / "table-run"), "--out", str(page), "--json"))
    assert set(document["layers"][-1]["classes"]) == {"<b>yes", "no"}
    html = page.read_text()
    assert "&lt;b&gt;yes" in html
    assert "<b>yes" not in html
    assert "gradient ascent" not in html.replace("\n", " ")
    document = json.loads(run("features", str(place / "price-run"), "--json"))
    assert all("classes" not in layer for layer in document["layers"])
    assert "the rows that excite each unit most" in run("features", str(place / "price-run"))


def test_features_of_colored_pictures_are_colored(place: Path) -> None:
    page = place / "pets.html"
    run("features", str(place / "pets-run"), str(place / "pets"), "--out", str(page))
    assert {image.mode for image in pictures(page.read_text())} >= {"RGB", "RGBA"}


def test_the_ledger_lists_the_rows_that_are_at_odds(place: Path) -> None:
    run_, page, file = str(place / "digits-run"), place / "ledger.html", place / "ledger.csv"
    document = json.loads(run("ledger", run_, "digits", "--top", "7", "--json"))
    assert document["rows"] == 1437
    assert len(document["row"]) == 7
    assert document["loss"] == sorted(document["loss"], reverse=True)
    assert "judged by 5 models that did not see them" in run("ledger", run_, "digits", "--out", str(page), "--top", "7")
    assert [image.size for image in pictures(page.read_text())] == [(8, 8)] * 7
    run("ledger", run_, "digits", "--out", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [int(row["row"]) for row in rows[:7]] == document["row"]
    assert sorted(int(row["row"]) for row in rows) == list(range(1437))
    hardest = json.loads(run("ledger", run_, "digits", "--by", "gradient", "--folds", "0", "--json"))
    assert hardest["folds"] == 0
    assert hardest["gradient_norm"] == sorted(hardest["gradient_norm"], reverse=True)


def test_the_ledger_takes_tables_and_pictures(place: Path) -> None:
    document = json.loads(run("ledger", str(place / "table-run"), str(place / "people.csv"), "--folds", "2", "--json"))
    assert set(document["given"]) <= {"<b>yes", "no"}
    rows_ = (place / "people.csv").read_text().splitlines()[1:]
    ages = [float(rows_[row].split(",")[0]) for row in document["row"]]
    assert [float(age) for age in document["known"]["age"]] == ages
    page = place / "people.html"
    run("ledger", str(place / "table-run"), str(place / "people.csv"), "--folds", "2", "--out", str(page))
    assert "<b>yes" not in page.read_text()
    document = json.loads(run("ledger", str(place / "price-run"), str(place / "prices.csv"), "--folds", "2", "--json"))
    assert "residual" in document
    document = json.loads(run("ledger", str(place / "pets-run"), str(place / "pets"), "--folds", "2", "--json"))
    assert all(Path(file).is_file() for file in document["known"]["file"])
    assert {Path(f).parent.name for f in document["known"]["file"]} == set(document["given"]) == {"dark", "light"}


def test_what_cannot_be_is_said_before_anything_takes_long(place: Path) -> None:
    run_ = str(place / "digits-run")
    assert "unknown format '.pdf'" in refused("features", run_, "digits", "--out", "page.pdf")
    assert "no folder" in refused("ledger", run_, "digits", "--out", str(place / "nowhere" / "l.csv"))
    (place / "alone.safetensors").write_bytes((place / "digits-run" / "model.safetensors").read_bytes())
    assert "name the data" in refused("features", str(place / "alone.safetensors"))
    assert "from 2 on" in refused("ledger", run_, "digits", "--folds", "1")


def test_pixels_show_sign_by_color_and_size_by_how_clear_they_are() -> None:
    image = np.array(
        Image.open(io.BytesIO(base64.b64decode(png(signed(np.array([[2.0, -1.0, 0.0]]), 2.0)).split(",")[1])))
    )
    assert image[0, :, 3].tolist() == [255, 127, 0] or image[0, :, 3].tolist() == [255, 128, 0]
    assert image[0, 0, :3].tolist() == list(ABOVE)  # blue
    assert image[0, 1, :3].tolist() == list(BELOW)  # orange
    assert ABOVE[2] > ABOVE[0]
    assert BELOW[0] > BELOW[2]
    pair = strip([plainly(np.full((2, 2), n), 0, 1) for n in (0, 1)])
    assert pair[0, :, 3].tolist() == [255, 255, 0, 255, 255]
    assert pair[0, :, 0].tolist() == [0, 0, 0, 255, 255]


def test_names_out_of_data_are_neither_formulas_nor_commands_to_a_terminal(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    names = ["=1+1", "\x1b]0;title\x07red", "-1"]
    rows = [f"{a:.3f},{'@sum' if a > 1 else 'b'},{names[int(a > 0) + int(a > 1)]}" for a in random.normal(size=300)]
    (tmp_path / "t.csv").write_text("\n".join(["a,word,paid", *rows]))
    table, file = str(tmp_path / "t.csv"), tmp_path / "out.csv"
    said = run("train", table, "--target", "paid", "--epochs", "3", "--model", "mlp:8", "--out", str(tmp_path / "run"))
    trained = str(tmp_path / "run")
    said += (
        run("ledger", trained, table, "--folds", "0") + run("explain", trained, table) + run("features", trained, table)
    )
    said += run("predict", trained, table)
    assert "red" in said
    assert not {"\x1b", "\x07"} & set(said)
    run("ledger", trained, table, "--folds", "0", "--out", str(file))
    ledger = list(csv.reader(io.StringIO(file.read_text())))
    run("predict", trained, table, "--out", str(file))
    predicted = list(csv.reader(io.StringIO(file.read_text())))
    cells = {cell for row in [*ledger, *predicted] for cell in row}
    assert {"'=1+1", "'@sum", "-1"} <= cells
    for cell in cells:
        assert cell[:1] not in ("=", "+", "@", "\t", "\r")
        assert not cell.startswith("-") or float(cell) < 0  # a number stays one
    assert "=1+1" in run("predict", trained, table, "--json")


def test_pages_and_plots_show_what_is_above_zero_in_one_blue_and_what_is_below_in_one_orange(place: Path) -> None:
    out = place / "signs.html"
    run("features", str(place / "digits-run"), "--out", str(out))
    page = out.read_text()
    colors = set()
    for image in pictures(page)[:16]:
        seen = np.array(image).reshape(-1, 4)
        colors |= {tuple(color) for color in seen[seen[:, 3] > 0][:, :3].tolist()}
    assert colors == {ABOVE, BELOW}
    style = f"--for: {', '.join(map(str, ABOVE))}; --against: {', '.join(map(str, BELOW))};"
    run("explain", str(place / "digits-run"), "digits", "--out", str(out))
    assert style in page
    assert style in out.read_text()
    ends = [tuple(round(255 * part) for part in signed_colors()(x)[:3]) for x in (0.0, 0.5, 1.0)]
    assert (ends[0], ends[2]) == (BELOW, ABOVE)
    assert min(ends[1]) > 250
