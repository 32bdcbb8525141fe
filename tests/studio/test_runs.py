"""The view of runs: what lies in their folder, as it is, and what can be found out of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect
from starlette.testclient import TestClient

import nacre
from nacre.cli import main
from nacre.cli.settings import Settings
from nacre.cli.sources import open_training
from nacre.errors import UnknownName
from nacre.models import load_model
from nacre.studio import application, folders
from nacre.studio import runs as views
from nacre.studio.folders import Runs
from nacre.studio.jobs import Jobs
from nacre.studio.runs import routes
from nacre.training.run import FollowingLayers, Run

HOSTILE = "<img src=x onerror=alert(1)>"
DIGITS = 'data = "digits"\n[options]\n'


def train(folder: Path, *words: str) -> Path:
    result = CliRunner().invoke(main, ["train", *words, "--out", str(folder), "--seed", "1", "--quiet"])
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three runs that are over: a good one, one that learns nothing, and one of a table."""
    root = tmp_path_factory.mktemp("done")
    train(root / "good", "digits", "--epochs", "6", "--validation-split", "0.1")
    train(root / "bad", "digits", "--epochs", "3", "--learning-rate", "30")
    random = np.random.default_rng(0)
    rows = [f"{x:.3f},{y:.3f},{'high' if x + y > 0 else 'low'}" for x, y in random.normal(size=(200, 2))]
    table = root / "points.csv"
    table.write_text("\n".join(["x,y,side", *rows]))
    train(root / "points", str(table), "--target", "side", "--epochs", "2")
    return root


@pytest.fixture
def root(tmp_path: Path, done: Path) -> Path:
    """The folder of the studio, with copies of these runs."""
    return shutil.copytree(done, tmp_path / "runs")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is looked at whenever it is asked for."""
    monkeypatch.setattr(folders, "PAUSE", 0.0)
    monkeypatch.setattr(folders, "SHARE", np.inf)
    monkeypatch.setattr("nacre.studio.runs.PAUSE", 0.05)


@pytest.fixture
def client(root: Path) -> TestClient:
    return TestClient(application(root))


def given(client: TestClient, path: str) -> Any:
    answer = client.get(f"/api/runs{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def write_run(folder: Path, lines: str, settings: str | None = None) -> Path:
    """A run under way."""
    run = Run.create(folder)
    run.note({"data": "digits", "options": Settings("digits").options})
    if settings is not None:
        (folder / "run.toml").write_text(settings)
    (folder / "history.jsonl").write_text(lines)
    return folder


def epoch(number: int, loss: float | str) -> str:
    return json.dumps({"epoch": number, "loss": loss}) + "\n"


# ------------------------------------------------------------------ the list


def test_the_list_says_of_each_run_what_its_folder_says(client: TestClient, root: Path) -> None:
    listed = {run["name"]: run for run in given(client, "")["runs"]}
    assert set(listed) == {"good", "bad", "points"}
    good, figures = listed["good"], Run.open(root / "good").figures
    best = int(np.argmin(figures["val_loss"]))
    assert good["best"] == {"name": "val_accuracy", "value": figures["val_accuracy"][best], "epoch": best + 1}
    assert (good["state"], good["data"], good["network"], good["epochs"]) == ("over", "digits", "mlp:128, relu", 6)
    assert good["sparks"] == figures["loss"]
    assert listed["points"]["data"] == "points.csv"
    assert {name: [text[:25] for text in run["trouble"]] for name, run in listed.items()} == {
        "good": [],
        "bad": ["The accuracy did not grow"],
        "points": [],
    }


def test_a_folder_that_is_not_there_yet_holds_no_runs(tmp_path: Path) -> None:
    assert given(TestClient(application(tmp_path / "none")), "")["runs"] == []


def test_only_folders_with_a_run_are_listed(root: Path) -> None:
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    (root / ".hidden/run.toml").write_text("")
    assert set(Runs(root).all()) == {"good", "bad", "points"}


def test_a_history_is_read_on_from_where_it_was_and_a_half_line_waits(root: Path) -> None:
    folder = write_run(root / "now", epoch(0, 2.5) + '{"epoch": 1, "lo')
    runs = Runs(root)
    run = runs["now"]
    assert (run.columns, run.summary.state, run.summary.trouble) == ({"loss": [2.5]}, "training", [])
    before = run.version
    with (folder / "history.jsonl").open("a") as file:
        file.write('ss": 1.5}\n' + epoch(2, "nan"))
    assert runs["now"] is run
    assert run.columns["loss"][:2] == [2.5, 1.5]
    assert (run.epochs, run.version, run.summary.loss) == (3, before + 1, None)
    (folder / "history.jsonl").write_text(epoch(0, 9.0))
    assert runs["now"].columns == {"loss": [9.0]}


def test_a_run_that_goes_away_leaves_the_list(root: Path) -> None:
    runs = Runs(root)
    assert "bad" in runs.all()
    shutil.rmtree(root / "bad")
    assert "bad" not in runs.all()


@pytest.mark.parametrize(
    ("age", "model", "state"),
    [(1, False, "training"), (300, False, "interrupted"), (1, True, "training"), (60, True, "interrupted")],
)
def test_a_run_without_signs_of_life_is_interrupted(root: Path, age: float, model: bool, state: str) -> None:
    """One that was stopped has a model, but no report."""
    folder = write_run(root / "now", epoch(0, 2.5))
    if model:
        (folder / "model.safetensors").write_bytes(b"")
    for path in folder.iterdir():
        os.utime(path, (time.time() - age,) * 2)
    assert Runs(root)["now"].summary.state == state


def test_a_run_whose_process_is_killed_is_interrupted_at_once_and_goes_on(root: Path) -> None:
    place = root / "killed"
    words = ["nacre", "train", "digits", "--epochs", "100000", "--quiet", "--out", str(place)]
    with subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL) as training:
        runs = Runs(root)
        until = time.monotonic() + 60
        while "killed" not in (found := runs.all()) or not found["killed"].epochs:
            assert time.monotonic() < until, "it never began"
            time.sleep(0.05)
        assert (summary := runs["killed"].summary) is not None
        assert summary.state == "training"
        training.kill()
        training.wait()
    assert (summary := runs["killed"].summary) is not None
    assert (summary.state, summary.seen > time.time() - folders.QUIET) == ("interrupted", True)
    with Run(place).at_work():
        assert (summary := runs["killed"].summary) is not None
        assert summary.state == "training"


def test_news_of_progress_come_the_slower_the_longer_a_training_takes_and_its_end_at_once(root: Path) -> None:
    run = Runs(root)["good"]
    assert run.summary is not None
    run.summary = msgspec.structs.replace(run.summary, state="training", begun=1000.0)
    run.version = 5
    news = views._is_news
    assert news(run, None, 1000.0)
    for age, pause in ((0.3, 0.1), (6.0, 2.0), (3600.0, views._SLOWEST)):
        now = 1000.0 + age
        assert not news(run, (4, "training", now - 0.9 * pause), now)
        assert news(run, (4, "training", now - 1.1 * pause), now)
        assert not news(run, (5, "training", now - 1.1 * pause), now)  # nothing has changed
        assert news(run, (5, "interrupted", now), now)


def test_a_training_that_ends_by_an_error_says_which(root: Path) -> None:
    words = ["train", "digits", "--learning-rate", "1e30", "--epochs", "2", "--quiet", "--out", str(root / "nan")]
    assert CliRunner().invoke(main, words).exit_code != 0
    assert (summary := Runs(root)["nan"].summary) is not None
    assert summary.state == "interrupted"
    assert re.match("The loss became .* at step", summary.trouble[0])


def test_only_settings_that_did_something_are_shown(client: TestClient) -> None:
    assert set(given(client, "/of/good")["settings"]) == {
        *("data", "model", "activation", "optimizer", "epochs", "batch_size", "learning_rate", "seed"),
        *("kernel_initializer", "validation_split", "device"),
    }


def test_a_run_is_over_with_its_report(root: Path) -> None:
    (root / "good/report.html").rename(root / "report.html")
    runs = Runs(root)
    assert runs["good"].summary.state == "training"
    (root / "report.html").rename(root / "good/report.html")
    assert runs["good"].summary.state == "over"


def test_the_best_settings_of_a_search_stand_for_it(root: Path) -> None:
    write_run(root / "search", "")
    shutil.copytree(root / "good", root / "search/best")
    assert Runs(root)["search"].summary.epochs == 6


@pytest.mark.parametrize(
    ("settings", "lines", "said"),
    [
        ("no = toml = at all", epoch(0, 1.0), "run.toml cannot be read"),
        ("data = 7", epoch(0, 1.0), "no settings of nacre train"),
        ("x = [" * 3000, epoch(0, 1.0), "run.toml"),
        ("#" * (2 << 20), epoch(0, 1.0), "too large"),
        (None, epoch(0, 1.0) + '{"epoch": 1, "loss"\n', "is no epoch"),
        (None, epoch(0, 1.0) + '{"epoch": 1, "loss": "much"}\n', "is no epoch"),
        (None, epoch(0, 1.0) + "[" * 60_000 + "\n", "is no epoch"),
        (None, epoch(0, 1.0) + "9" * 70_000 + "\n", "too long"),
        (None, epoch(0, 1.0) + json.dumps({f"figure {n}": 1.0 for n in range(300)}) + "\n", "too many figures"),
        (None, epoch(0, 1.0) + '{"epoch": 1, "lo', "half written"),
    ],
)
def test_broken_files_are_told_and_break_nothing(root: Path, settings: str | None, lines: str, said: str) -> None:
    folder = write_run(root / "broken", lines, settings)
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))  # a training may be writing a line
    client = TestClient(application(root))
    listed = {run["name"]: run for run in given(client, "")["runs"]}
    assert said in " ".join(listed["broken"]["trouble"])
    assert listed["broken"]["epochs"] == 1
    assert listed["good"]["trouble"] == []
    assert given(client, "/of/broken")["curves"][0]["lines"][0]["values"] == [1.0]
    for path in ("layers", "confusion", "cell/0/0/0"):
        answer = client.get(f"/api/runs/of/broken/{path}")
        assert answer.status_code == 400
        assert "broken" in answer.json()["error"]


def test_what_no_run_would_write_neither_stops_the_list_nor_fills_the_memory(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "PAUSE", 0.0)
    monkeypatch.setattr(folders, "_MOST_NUMBERS", 10_000)
    monkeypatch.setattr(folders, "_PIECE", 1 << 17)
    (root / "loop").symlink_to("loop")
    os.mkfifo(write_run(root / "pipe", epoch(0, 1.0)) / "other")
    (root / "pipe" / "other").rename(root / "pipe" / "history.jsonl")
    write_run(root / "endless", epoch(0, 1.0))
    (root / "endless" / "history.jsonl").unlink()
    (root / "endless" / "history.jsonl").symlink_to("/dev/zero")
    write_run(root / "first", epoch(0, 1.0), f"begun = 0001-01-01T00:00:00\n{DIGITS}")
    wide = json.dumps({"loss": 1.0, **{f"figure {n}": 1.0 for n in range(99)}}) + "\n"
    write_run(root / "wide", wide + "{}\n" * 50_000)
    write_run(root / "line", "9" * 200_000 + "\n" + epoch(0, 1.0))
    write_run(root / "wordy", epoch(0, 1.0), f'data = "{"A" * 100_000}"\n[options]\n')
    runs = Runs(root)
    listed = {name: run.summary for name, run in runs.all().items() if run.summary is not None}
    assert {"good", "bad", "points", "pipe", "endless", "first", "wide", "line", "wordy"} == set(listed)
    assert [listed[name].trouble for name in ("pipe", "endless")] == [["history.jsonl is no file."]] * 2
    assert sum(map(len, runs["wide"].columns.values())) <= 10_100
    assert "very large" in " ".join(listed["wide"].trouble)
    assert (listed["line"].epochs, "too long" in " ".join(listed["line"].trouble)) == (1, True)
    assert len(listed["wordy"].data) <= 300
    client = TestClient(application(root), raise_server_exceptions=False)
    for name in listed:
        assert client.get(f"/api/runs/of/{name}").status_code == 200
        assert client.get(f"/api/runs/compare/good/{name}/bad").status_code == 200


@pytest.mark.parametrize(
    "noted", ["before = 5", "before = [{until = 3}]\nfix = 3", "x = " + "[" * 3000, "fix = {also = [1]}"]
)
def test_a_run_that_tells_nonsense_of_its_past_is_left_out_of_comparisons(root: Path, noted: str) -> None:
    write_run(root / "odd", epoch(0, 1.0), f"{noted}\n{DIGITS}")
    found = given(TestClient(application(root)), "/compare/good/odd/bad")
    assert found["names"] == ["good", "bad"]
    assert "odd" in found["without"]


@pytest.mark.parametrize("name", ["%2e%2e", "..%2fdone", "good%2f..%2fbad", "/etc", "none", "%00", HOSTILE])
def test_only_names_of_the_list_are_found(client: TestClient, root: Path, name: str) -> None:
    with pytest.raises(UnknownName):
        _ = Runs(root)[unquote(name)]
    for path in (f"of/{name}", f"of/{name}/confusion", f"of/{name}/layers", f"compare/good/{name}"):
        assert client.get(f"/api/runs/{path}", follow_redirects=False).status_code in (400, 404), path
    assert client.post(f"/api/runs/of/{name}/jobs", json={"kind": "ask"}).status_code in (400, 404, 405)
    assert {path.name for path in root.iterdir()} == {"good", "bad", "points", "points.csv"}


def test_the_stream_tells_all_at_first_and_then_what_changed(root: Path) -> None:
    app = application(root)
    (news,) = [route.endpoint for route in routes(Runs(root), Jobs()) if getattr(route, "path", "") == "/runs/news"]

    async def three() -> list[Any]:
        response = await news(type("Request", (), {"path_params": {}, "app": app})())
        events = response.body_iterator
        told = [await anext(events)]
        folder = write_run(root / "now", epoch(0, 2.5))
        told.append(await anext(events))
        shutil.rmtree(folder)
        told.append(await anext(events))
        await events.aclose()
        return [json.loads(event.removeprefix(b"data: ")) for event in told]

    first, new, gone = asyncio.run(three())
    assert ({run["name"] for run in first["runs"]}, first["all"]) == ({"good", "bad", "points"}, True)
    assert ([run["name"] for run in new["runs"]], new["all"], new["jobs"]) == (["now"], False, None)
    assert (gone["runs"], gone["gone"]) == ([], ["now"])


# ------------------------------------------------------------------ one run, several


def test_long_curves_have_no_more_points_than_can_be_seen(root: Path) -> None:
    write_run(root / "long", "".join(epoch(n, n + 0.5) for n in range(2500)))
    detail = given(TestClient(application(root)), "/of/long")
    (curves,) = detail["curves"]
    assert (len(curves["x"]["values"]), detail["every"]) == (834, 3)
    assert curves["x"]["values"][-2:] == [2497, 2500]
    assert curves["lines"][0]["values"][-2:] == [2496.5, 2499.5]


def test_curves_have_both_parts_and_gaps_where_a_figure_is_not_finite(root: Path) -> None:
    write_run(root / "now", epoch(0, 2.5) + epoch(1, "nan") + epoch(2, "inf") + epoch(3, 1.0))
    client = TestClient(application(root))
    assert given(client, "/of/now")["curves"][0]["lines"][0]["values"] == [2.5, None, None, 1.0]
    curves = {one["title"]: [line["label"] for line in one["lines"]] for one in given(client, "/of/good")["curves"]}
    assert curves == {"loss": ["training", "validation"], "accuracy": ["training", "validation"]}


def test_comparing_tells_what_differs_and_the_figures_of_the_best_epochs(client: TestClient, root: Path) -> None:
    found = given(client, "/compare/good/bad")
    assert found["names"] == ["good", "bad"]
    assert {row[0]: row[1:] for row in found["differing"]} == {
        "epochs": ["6", "3"],
        "learning_rate": ["0.1", "30.0"],
        "validation_split": ["0.1", "0.0"],
    }
    losses = Run.open(root / "bad").figures["loss"]
    assert found["best"][1] == int(np.argmin(losses)) + 1
    assert dict(found["figures"])["loss"][1] == min(losses)
    assert found["curves"]["loss"]["lines"][1]["values"] == [*losses, None, None, None]


def test_a_run_that_cannot_be_compared_is_left_out_with_a_reason(root: Path) -> None:
    write_run(root / "young", "")
    client = TestClient(application(root))
    found = given(client, "/compare/good/bad/young")
    assert found["names"] == ["good", "bad"]
    assert "no epoch yet" in found["without"]["young"]
    assert client.get("/api/runs/compare/good").status_code == 400
    assert client.get("/api/runs/compare/" + "/".join(f"r{n}" for n in range(13))).status_code == 400


# ------------------------------------------------------------------ looking into a model


def test_the_confusion_matrix_counts_the_rows_of_the_test_part(client: TestClient, root: Path) -> None:
    found = given(client, "/of/good/confusion")
    test = open_training(Settings.of(Run.open(root / "good").settings())).parts["test"]
    said = load_model(root / "good/model.safetensors").predict(test.x, verbose=0).argmax(1)
    expected = [[int(((test.y == t) & (said == s)).sum()) for s in range(10)] for t in range(10)]
    assert (found["part"], found["rows"], found["counts"]) == ("test", 360, expected)
    assert found["right"] == int((said == test.y).sum())


def test_behind_a_cell_are_its_rows_the_worst_first(client: TestClient, root: Path) -> None:
    found = given(client, "/of/good/cell/3/3/0")
    test = open_training(Settings.of(Run.open(root / "good").settings())).parts["test"]
    outputs = load_model(root / "good/model.safetensors").predict(test.x, verbose=0)
    mine = np.flatnonzero((test.y == 3) & (outputs.argmax(1) == 3))
    mine = mine[np.argsort(outputs[mine, 3], kind="stable")]
    assert (found["count"], [row["row"] for row in found["rows"]]) == (len(mine), mine[:24].tolist())
    first = found["rows"][0]
    assert (first["truth"], first["said"]) == ("3", "3")
    assert first["of_truth"] == pytest.approx(float(outputs[mine[0], 3]))
    assert first["picture"].startswith("data:image/png;base64,")
    rest = given(client, "/of/good/cell/3/3/24")
    assert [row["row"] for row in rest["rows"]] == mine[24:48].tolist()
    assert given(client, "/of/good/cell/3/99/0")["rows"] == []


def test_rows_of_a_table_are_shown_as_cells(client: TestClient) -> None:
    found = given(client, "/of/points/confusion")
    assert found["classes"] == ["high", "low"]
    cell = next((t, s) for t in (0, 1) for s in (0, 1) if found["counts"][t][s])
    rows = given(client, f"/of/points/cell/{cell[0]}/{cell[1]}/0")
    assert rows["columns"] == ["x", "y", "side"]
    first = rows["rows"][0]
    assert first["picture"] is None
    assert first["cells"][2] == found["classes"][cell[0]]
    assert len(rows["rows"]) == min(24, found["counts"][cell[0]][cell[1]])


def test_numbers_that_are_furthest_off_come_first(root: Path) -> None:
    table = root / "sums.csv"
    random = np.random.default_rng(0)
    table.write_text("\n".join(["x,y,sum", *(f"{x:.3f},{y:.3f},{x + y:.3f}" for x, y in random.normal(size=(120, 2)))]))
    train(root / "sums", str(table), "--target", "sum", "--epochs", "2")
    client = TestClient(application(root))
    assert given(client, "/of/sums/confusion")["classes"] == []
    off = [abs(float(row["truth"]) - float(row["said"])) for row in given(client, "/of/sums/cell/0/0/0")["rows"]]
    assert off == pytest.approx(sorted(off, reverse=True), abs=1e-3)
    assert off[0] > off[-1]


def test_layers_are_looked_at_on_demand_and_the_run_stays_as_it_is(client: TestClient, root: Path) -> None:
    before = (root / "good/model.safetensors").read_bytes()
    text, flow, weights, activations = given(client, "/of/good/layers")
    assert "was computed just now" in text["text"]
    assert "256 of its rows" in text["text"]
    assert [bar["label"] for bar in flow["bars"]][-2:] == ["dense", "dense_1"]
    rows = {row[0]: row[1:] for row in weights["rows"]}
    kernel = load_model(root / "good/model.safetensors").get_weights()[0]
    size, gradient, update, share, _ = rows["dense/kernel"]
    assert size == pytest.approx(float(np.linalg.norm(kernel)), rel=1e-5)
    assert update == pytest.approx(0.1 * gradient, rel=1e-3)  # plain gradient descent with a rate of 0.1
    assert share == pytest.approx(gradient / size)
    assert [row[0] for row in activations["rows"]] == ["dense", "dense_1"]
    assert (root / "good/model.safetensors").read_bytes() == before


def test_a_run_without_a_model_is_looked_at_in_its_last_checkpoint(client: TestClient, root: Path) -> None:
    folder = write_run(root / "now", epoch(0, 2.5))
    (folder / "checkpoints").mkdir()
    for run, step in (("bad", 7), ("good", 20)):
        shutil.copy(root / run / "model.safetensors", folder / f"checkpoints/step-{step:012}.safetensors")
    assert given(client, "/of/now/confusion")["counts"] == given(client, "/of/good/confusion")["counts"]


# ------------------------------------------------------------------ jobs


def ended(client: TestClient, number: str) -> Any:
    """The job when it is over."""
    for _ in range(3000):
        job = next(job for job in given(client, "")["jobs"] if job["id"] == number)
        if job["state"] != "running":
            return job
        time.sleep(0.02)
    raise AssertionError("the job does not end")


def test_what_a_command_met_with_is_told(client: TestClient, root: Path) -> None:
    (root / "points.csv").unlink()
    (root / "points/run.toml").write_text((root / "points/run.toml").read_text().replace("points.csv", "nowhere.csv"))
    job = client.post("/api/runs/of/points/jobs", json={"kind": "ask"}).json()
    assert (job["state"], job["run"]) == ("running", "points")
    assert "nowhere.csv" in ended(client, job["id"])["error"]


def test_a_run_is_examined_once_at_a_time_and_jobs_are_canceled(client: TestClient) -> None:
    first = client.post("/api/runs/of/bad/jobs", json={"kind": "ask"}).json()
    again = client.post("/api/runs/of/bad/jobs", json={"kind": "ask"})
    assert again.status_code == 400
    assert "at work on 'bad' already" in again.json()["error"]
    second = client.post("/api/runs/of/good/jobs", json={"kind": "ask"}).json()
    assert client.post("/api/runs/of/points/jobs", json={"kind": "ask"}).status_code == 400
    for job in (first, second):
        assert client.post(f"/api/runs/jobs/{job['id']}/cancel", json={}).status_code == 200
        assert ended(client, job["id"])["state"] == "canceled"
    assert client.post("/api/runs/jobs/77/cancel", json={}).status_code == 400


@pytest.mark.parametrize("body", ["{}", '{"kind": "train"}', '{"kind": "ask", "out": "/tmp/x"}', "[", "7"])
def test_a_page_asks_for_nothing_else(client: TestClient, body: str) -> None:
    assert client.post("/api/runs/of/bad/jobs", content=body).status_code == 400
    assert given(client, "")["jobs"] == []


def test_children_end_with_the_studio(root: Path) -> None:
    jobs = Jobs()
    jobs.start("bad", "ask", ["doctor", "--json", str(root / "bad")])
    jobs.close()
    for _ in range(1000):
        if jobs.all()[0].state == "canceled":
            return
        time.sleep(0.01)
    raise AssertionError("the child goes on")


# ------------------------------------------------------------------ in the browser


@pytest.fixture
def look(root: Path, studio: str, page: Page) -> Iterator[Page]:
    """A page on the list, which is left before the studio is closed."""
    page.goto(f"{studio}#/runs")
    yield page
    page.goto("about:blank")


def test_a_training_appears_by_itself_and_its_curve_grows(look: Page, root: Path, shot) -> None:
    expect(look.get_by_role("link", name="good")).to_be_visible()
    (root / HOSTILE.replace("/", "")).mkdir()
    (root / HOSTILE.replace("/", "") / "run.toml").write_text("x = <b>")
    command = [sys.executable, "-m", "nacre", "train", "digits", "--epochs", "1000000", "--validation-split", "0.1"]
    training = subprocess.Popen([*command, "--quiet", "--out", str(root / "live")])
    try:
        look.get_by_role("link", name="live").click()
        expect(look.locator(".head .state")).to_have_text("training")
        curve = look.get_by_role("img", name=re.compile("^loss by epoch: at the end training"))
        expect(curve).to_be_visible()
        then = curve.get_attribute("aria-label")
        expect(curve).not_to_have_attribute("aria-label", str(then))
        look.get_by_label("Loss on a log axis").check()
        shot(look, "runs-training")
    finally:
        training.kill()
        training.wait()
    expect(look.locator(".head .state")).to_have_text("interrupted")  # long before its last sign of life is old
    look.get_by_role("link", name="All runs").click()
    expect(look.get_by_role("link", name=HOSTILE)).to_be_visible()
    look.get_by_label("Filter").fill("good")
    expect(look.get_by_role("row")).to_have_count(2)
    look.get_by_label("Filter").fill("")
    look.get_by_role("button", name="Epochs").click()
    expect(look.get_by_role("columnheader", name="Epochs")).to_have_attribute("aria-sort", "ascending")
    for name in ("good", "bad"):
        look.get_by_label(f"Compare {name}").check()
    expect(look.get_by_role("link", name="Compare 2 runs")).to_have_attribute("href", "#/runs?compare=good%2Fbad")
    shot(look, "runs-list")
    look.set_viewport_size({"width": 390, "height": 844})
    assert look.evaluate("document.documentElement.scrollWidth") == 390
    shot(look, "runs-list-narrow")


def test_a_page_that_nobody_sees_hears_nothing(look: Page) -> None:
    expect(look.get_by_role("link", name="good")).to_be_visible()
    turn = """is => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => is});
        document.dispatchEvent(new Event('visibilitychange')); }"""
    with look.expect_event("requestfailed", lambda request: request.url.endswith("runs/news")):
        look.evaluate(turn, True)
    with look.expect_request("**/runs/news"):
        look.evaluate(turn, False)
    expect(look.get_by_role("link", name="good")).to_be_visible()


def test_the_report_of_a_run_opens_beside_it(look: Page) -> None:
    look.get_by_role("link", name="good").click()
    with look.expect_popup() as opened:
        look.get_by_role("link", name="Report").click()
    expect(opened.value.get_by_role("heading").first).to_be_visible()
    assert (
        opened.value.evaluate("getComputedStyle(document.body).fontFamily") != "Times New Roman"
    )  # its style is let in


def test_the_pictures_behind_a_cell_are_shown(look: Page, shot) -> None:
    look.get_by_role("link", name="good").click()
    expect(look.locator("#main")).to_be_focused()  # and not the beginning of the window
    expect(look).to_have_title(re.compile("^good .* Runs"))
    look.get_by_role("button", name="Show its mistakes").click()
    look.get_by_role("button", name=re.compile("true 3, predicted 3")).click()
    expect(look.get_by_role("img", name=re.compile("true 3, predicted 3"))).to_have_count(24)
    look.get_by_role("button", name="Less bad").click()
    expect(look.get_by_text("25 to")).to_be_visible()
    look.get_by_role("button", name="Look at the layers").click()
    expect(look.get_by_text("gradient / weight")).to_be_visible()
    shot(look, "runs-one")


def test_the_doctor_is_asked_its_fix_applied_and_both_runs_compared(look: Page, shot) -> None:
    look.get_by_role("link", name="bad").click()
    look.get_by_role("button", name="Ask the doctor").click()
    expect(look.get_by_role("heading", name=re.compile("learning rate too large"))).to_be_visible()
    expect(look.get_by_role("button", name="Ask the doctor again")).to_be_focused()  # it waited, and kept the focus
    look.get_by_role("button", name="Try the fix on a copy").click()
    expect(look.get_by_role("button", name="Cancel")).to_be_visible()
    look.reload()  # the job goes on
    expect(look.get_by_role("heading", name="The fix of “learning rate too large” helped")).to_be_visible(
        timeout=60_000
    )
    shot(look, "runs-doctor")
    look.get_by_role("link", name="Compare both runs").click()
    expect(look.get_by_role("heading", name="Compare")).to_be_visible()
    expect(look.get_by_role("row", name=re.compile("^learning rate"))).to_contain_text("30")
    expect(look.get_by_role("img", name=re.compile("loss by epoch.*bad.*fix-"))).to_be_visible()
    shot(look, "runs-compare")


def test_what_a_run_wrote_of_its_layers_is_drawn_by_epochs(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    words = ["train", "digits", "--model", "mlp:16", "--epochs", "4", "--seed", "1", "-q"]
    for more in (["--layers", "--out", str(root / "with")], ["--out", str(root / "without")]):
        assert CliRunner().invoke(main, [*words, *more]).exit_code == 0
    assert (root / "with/model.safetensors").read_bytes() == (root / "without/model.safetensors").read_bytes()
    client = TestClient(application(root))
    assert given(client, "/of/without")["layers"] == []
    pace, gradients, updates, *_ = given(client, "/of/with")["layers"]
    assert pace["x"]["values"] == [1, 2, 3, 4]
    assert all(value > 0 for value in pace["lines"][0]["values"])
    entries = Run.open(root / "with").layers
    of_kernel = [entry["layers"]["dense/kernel"] for entry in entries]
    line = next(line for line in gradients["lines"] if line["label"] == "dense/kernel")
    assert line["values"] == pytest.approx([one["gradient"] / one["weight"] for one in of_kernel])
    ratio = next(line for line in updates["lines"] if line["label"] == "dense/kernel")["values"]
    assert ratio == pytest.approx([0.1 * one["gradient"] / one["weight"] for one in of_kernel], rel=1e-4)  # by the rate
    for hostile in (
        "{}\n",
        "[]\n",
        '{"epoch": "x"}\n',
        '{"epoch": 0, "rows_per_second": 1, "layers": {"a": 3}}\n',
        "no\n",
    ):
        (root / "with/layers.jsonl").write_text(hostile)
        (told,) = given(client, "/of/with")["layers"]
        assert "cannot be read" in told["text"]


def test_a_training_that_goes_on_writes_no_epoch_twice(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    (run.folder / "layers.jsonl").write_text('{"epoch": 0, "step": 0}\n{"epoch": 1, "step": 45}\n{"epoch": 2, "st')
    (x, y), _ = nacre.datasets.digits.load_data()
    model = nacre.Sequential([nacre.Input((64,)), nacre.layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = x.reshape(len(x), 64) / 16
    model.fit(x, y, batch_size=len(x) // 40, epochs=1, verbose=0)
    steps = model.optimizer.iterations
    model.fit(x, y, batch_size=len(x) // 40, epochs=1, verbose=0, callbacks=[FollowingLayers(run, steps, len(x))])
    assert [entry["step"] for entry in run.layers] == [0, steps]
