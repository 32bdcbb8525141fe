"""Inside: one model, looked into down to every number."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

import nacre
from nacre.cli import main
from nacre.studio import application

_ROWS = (f"{20 + i % 40},{('Oslo', 'Lima', 'Rome')[i % 3]},{('low', 'high')[i % 2]}" for i in range(90))
TABLE = "\n".join(["age,city,income", *_ROWS])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("inside") / "runs"
    table = root.parent / "people.csv"
    table.write_text(TABLE)
    for name, words in {
        "digits-run": ["digits", "--model", "mlp:16"],
        "table-run": [str(table), "--target", "income"],
    }.items():
        run = ["train", "--epochs", "3", *words, "--out", str(root / name)]
        done = CliRunner().invoke(main, run, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return root


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    return copytree(trained, tmp_path / "runs")


@pytest.fixture
def client(runs: Path) -> TestClient:
    return TestClient(application(runs), base_url="http://localhost/api/inside/")


def test_the_models_of_runs_are_listed_and_described(client):
    assert {model["name"] for model in client.get("models").json()["models"]} == {"digits-run", "table-run"}
    told = client.get("models/digits-run").json()
    assert told["picture"] == [8, 8]
    assert told["classes"] == [str(k) for k in range(10)]
    assert told["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert client.get("models/table-run").json()["picture"] is None


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", "..%2fruns%2fdigits-run", "digits-run%00", "x" * 5000])
def test_other_names_are_none_of_a_model(client, name):
    for way in ("", "/weights", "/step/0"):
        answer = client.get(f"models/{name}{way}")
        assert answer.status_code in (400, 404)
        assert "Traceback" not in answer.text


def test_a_drawing_is_answered_as_the_model_itself_answers(client, runs):
    pixels = np.random.default_rng(0).random(64)
    told = client.post("models/digits-run/answer", json={"pixels": pixels.tolist()}).json()
    model = nacre.models.load_model(runs / "digits-run" / "model.safetensors")
    (x, _), _ = nacre.datasets.digits.load_data()
    drawn = np.rint(pixels * x.max()).astype(x.dtype).reshape(1, 8, 8)
    expected = model.predict(drawn, verbose=0)[0]
    assert np.allclose([bar["value"] for bar in told["outputs"]["bars"]], expected, atol=1e-6)
    assert told["said"] == str(expected.argmax())


def test_votes_add_up_to_the_score(client):
    text, table = client.post("models/digits-run/answer", json={"row": 3}).json()["votes"]
    assert "add up" in text["text"]
    *votes, score = [row[3] for row in table["rows"]]
    assert sum(votes) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pixels": []},
        {"pixels": [0.0] * 63},
        {"pixels": ["a"] * 64},
        {"row": -1},
        {"row": 10**9},
        {"row": "1"},
        {"other": 1},
        [],
        {"row": 1e99},
    ],
)
def test_what_is_no_row_and_no_picture_is_refused(client, body):
    answer = client.post("models/digits-run/answer", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_table_is_asked_by_rows_alone(client):
    assert client.post("models/table-run/answer", json={"pixels": [0.0]}).status_code == 400
    assert client.post("models/table-run/answer", json={"row": 0}).json()["said"] in ("low", "high")
    shown = client.get("models/table-run/rows/0").json()
    assert [name for name, _ in shown["figure"]["rows"]][:2] == ["age", "city"]


def test_a_step_is_the_step_of_the_engine(client, runs):
    model = nacre.models.load_model(runs / "digits-run" / "model.safetensors")
    kernel = model.layers[-1].kernel
    before = kernel.numpy().copy()
    told = client.get("models/digits-run/step/5").json()
    losses = client.post("models/digits-run/update", json={"row": 5}).json()
    (_, _), (x, y) = nacre.datasets.digits.load_data()
    assert losses["before"] == pytest.approx(float(model.inside(x[5:6], y[5:6]).losses[0]), rel=1e-6)
    model.train_on_batch(x[5:6], y[5:6])
    assert losses["after"] == pytest.approx(float(model.inside(x[5:6], y[5:6]).losses[0]), rel=1e-6)
    of_kernel = [row for row in told["update"][1]["rows"] if row[0].startswith(f"{model.layers[-1].name}/kernel")]
    assert of_kernel
    for name, old, change, new in of_kernel:
        at = tuple(int(i) for i in name.partition("[")[2].rstrip("]").split(", "))
        assert (old, new) == (pytest.approx(float(before[at])), pytest.approx(float(kernel.numpy()[at]), rel=1e-5))
        assert change == pytest.approx(new - old)
    assert client.get("models/digits-run/step/5").json()["steps"] == 1
    client.post("models/digits-run/update", json={"row": None})
    assert client.get("models/digits-run/step/5").json()["steps"] == 0


def test_a_file_that_was_trained_anew_is_read_anew(client, runs):
    first = client.get("models/digits-run/weights").text
    done = CliRunner().invoke(
        main, ["train", "digits", "--model", "mlp:16", "--epochs", "4", "--out", str(runs / "other")]
    )
    assert done.exit_code == 0
    (runs / "other" / "model.safetensors").replace(runs / "digits-run" / "model.safetensors")
    assert client.get("models/digits-run/weights").text != first


@pytest.mark.parametrize("what", ["step", "operations", "predict", "plan"])
def test_graphs_are_drawn(client, what):
    figure = client.get(f"models/digits-run/graph?what={what}").json()
    assert figure["svg"].startswith("<svg")
    assert client.get("models/digits-run/graph?what=other").status_code == 400


def test_a_digit_is_drawn_and_a_step_taken(page: Page, studio: str, runs, shot):
    page.goto(f"{studio}#/inside/digits-run")
    pad = page.get_by_role("application")
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 140, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 250, steps=10)
    page.mouse.up()
    expect(page.get_by_role("img", name="what the network sees")).to_be_visible()
    expect(page.get_by_text("They add up to its score")).to_be_visible()
    shot(page, "inside-ask")
    page.get_by_role("link", name="One step").click()
    for name in ("2. Loss", "3. Backward", "4. Update"):
        page.get_by_role("button", name=name).click()
    expect(page.get_by_text("The loss of this row fell")).to_be_visible()
    shot(page, "inside-step")
    page.get_by_role("link", name="Graph").click()
    expect(page.locator(".drawing img")).to_be_visible()
    shot(page, "inside-graph")
    corner = """image => { const context = new OffscreenCanvas(9, 9).getContext('2d'); context.drawImage(image, 0, 0);
        return Math.max(...context.getImageData(4, 4, 1, 1).data.slice(0, 3)); }"""
    assert page.locator(".drawing img").evaluate(corner) == 255
    page.get_by_role("button", name="Change between light and dark").click()
    page.wait_for_function(f"({corner})(document.querySelector('.drawing img')) < 60")
    shot(page, "inside-graph-dark")
    page.get_by_role("link", name="Weights").click()
    expect(page.get_by_role("img", name="unit 0", exact=True)).to_be_visible()
    shot(page, "inside-weights")


def test_the_pad_is_drawn_on_by_keyboard(page: Page, studio: str, runs):
    page.goto(f"{studio}#/inside/digits-run")
    pad = page.get_by_role("application")
    pad.focus()
    for key in ("Space", "Shift+ArrowDown", "Shift+ArrowDown"):
        pad.press(key)
    expect(page.get_by_role("img", name="what the network sees")).to_be_visible()


def test_a_studio_without_runs_trains_one(page: Page, studio: str):
    page.goto(f"{studio}#/inside")
    page.get_by_role("button", name="Train one on handwritten digits").click()
    expect(page.get_by_role("heading", name="Draw a digit")).to_be_visible(timeout=60_000)
