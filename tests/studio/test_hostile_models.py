"""Runs with models of people who mean it no good: each page is answered, none takes much, and none says what is not so."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from nacre.cli import main
from nacre.interop import safetensors
from nacre.studio import application, folders
from nacre.training.run import Run

MARKUP = "<img src=x onerror=alert(1)>"
PAGES = [
    *("inside/models/{}", "inside/models/{}/rows/0", "inside/models/{}/step/0", "inside/models/{}/graph"),
    *("inside/models/{}/weights", "runs/of/{}", "runs/of/{}/layers", "runs/of/{}/confusion", "runs/of/{}/report"),
]
Tensors, Metadata = dict[str, Any], dict[str, str]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("done") / "good"
    words = ["train", "digits", "--epochs", "2", "--model", "mlp:16", "--seed", "1", "--quiet", "--out", str(place)]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return place


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Run:
    return Run(shutil.copytree(done, tmp_path / "runs" / "bad"))


@pytest.fixture
def client(run: Run) -> TestClient:
    return TestClient(application(run.folder.parent), raise_server_exceptions=False)


def told(client: TestClient) -> dict[str, Any]:
    """The answers to all pages, by their addresses; every one of them has one."""
    found = {page: client.get(f"/api/{page.format('bad')}") for page in PAGES}
    found |= {
        "answer": client.post("/api/inside/models/bad/answer", json={"row": 0}),
        "update": client.post("/api/inside/models/bad/update", json={"row": 0}),
    }
    assert {answer.status_code for answer in found.values()} <= {200, 400}
    return found


def refused(client: TestClient) -> set[str]:
    """What is said of a model that cannot be opened, wherever it is asked for."""
    found = told(client)
    open_ = {found.pop(page).status_code for page in ("runs/of/{}", "runs/of/{}/report")}
    assert open_ == {200}
    assert {answer.status_code for answer in found.values()} == {400}
    return {answer.json()["error"] for answer in found.values()}


def rewrite(run: Run, change: Callable[[Tensors, Metadata], None]) -> None:
    tensors, metadata = safetensors.read(run.model)
    change(tensors, metadata)
    safetensors.write(run.model, tensors, metadata)


def framed(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda whole: whole[: len(whole) // 2], "bytes of tensors"),
        (lambda _: b"", "file is 0 bytes"),
        (lambda whole: (2**62).to_bytes(8, "little") + whole[8:], "more than 16,777,216 are not allowed"),
        (lambda _: framed(b"[" * 100_000 + b"]" * 100_000), "nested deeper"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_reason(
    run: Run, client: TestClient, content: Callable[[bytes], bytes], said: str
) -> None:
    run.model.write_bytes(content(run.model.read_bytes()))
    (error,) = refused(client)
    assert said in error


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint8"])
def test_weights_of_another_kind_are_refused(run: Run, client: TestClient, dtype: str) -> None:
    rewrite(run, lambda tensors, _: tensors.update({name: one.astype(dtype) for name, one in tensors.items()}))
    (error,) = refused(client)
    assert "dense/kernel" in error or dtype in error


def test_a_network_of_a_billion_units_is_refused_before_it_takes_memory(run: Run, client: TestClient) -> None:
    rewrite(
        run, lambda _, metadata: metadata.update(nacre=metadata["nacre"].replace('"units": 16', '"units": 1000000000'))
    )
    (error,) = refused(client)
    assert "does not fit the model" in error


def test_a_description_that_is_nested_without_end_is_refused(run: Run, client: TestClient) -> None:
    rewrite(run, lambda _, metadata: metadata.update(nacre="[" * 50_000 + "]" * 50_000))
    (error,) = refused(client)
    assert "does not describe a model" in error


def test_a_file_that_says_it_is_larger_than_the_memory_is_not_opened(run: Run, client: TestClient) -> None:
    os.truncate(run.model, 2 * folders.free_memory())  # which takes no room on the disk
    assert all("GB are free" in error for error in refused(client))  # how many may change in between


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_weights_that_are_no_numbers_give_no_answer_that_looks_like_one(
    run: Run, client: TestClient, value: float
) -> None:
    rewrite(run, lambda tensors, _: tensors.update({name: np.full_like(one, value) for name, one in tensors.items()}))
    found = told(client)
    for page in ("answer", "runs/of/{}/confusion"):
        assert "is NaN or infinite" in found[page].json()["error"]
    assert found["inside/models/{}/weights"].status_code == 200


def test_names_with_markup_stay_names(run: Run, client: TestClient) -> None:
    def named(tensors: Tensors, metadata: Metadata) -> None:
        for name in list(tensors):
            tensors[name.replace("dense/", f"{MARKUP}/")] = tensors.pop(name)
        metadata["nacre"] = metadata["nacre"].replace('"name": "dense"', f'"name": {json.dumps(MARKUP)}')

    rewrite(run, named)
    found = told(client)
    drawn = found["inside/models/{}/graph"]
    assert drawn.status_code == 200
    assert "&lt;img" in drawn.json()["svg"]
    assert "<img" not in drawn.json()["svg"]
    assert {answer.headers["content-type"].partition(";")[0] for answer in found.values()} == {
        "application/json",
        "text/html",
    }


def test_a_report_runs_nothing_and_belongs_to_nobody(run: Run, client: TestClient) -> None:
    run.report.write_text(f"<script>alert(1)</script>{MARKUP}", encoding="utf-8")
    answer = client.get("/api/runs/of/bad/report")
    policy = dict(one.strip().partition(" ")[::2] for one in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "sandbox": "",
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
    }
    run.report.unlink()
    assert "no report yet" in client.get("/api/runs/of/bad/report").json()["error"]
    assert client.get("/api/runs/of/..%2fbad/report").status_code in (400, 404)
