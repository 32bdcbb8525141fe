"""nacre graph: what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import nacre
from nacre.cli import main
from nacre.layers import Dense


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = nacre.Sequential([nacre.Input((4,)), Dense(5, "relu"), Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save("model.safetensors")
    random = np.random.default_rng(0)
    np.savez("rows.npz", x=random.normal(size=(40, 4)).astype("float32"), y=random.integers(0, 3, 40))


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, ["graph", "model.safetensors", *words])


def document(*words: str) -> Any:
    result = invoke(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_graph_is_printed_layer_by_layer_with_numbers_of_given_rows() -> None:
    assert "X1 A2 + b2" in invoke().stdout
    assert " .. " not in invoke().stdout
    assert " .. " in invoke("rows.npz").stdout
    nodes = {node["name"]: node for node in document("rows.npz")["nodes"]}
    x = np.load("rows.npz")["x"][:32].astype(float)
    np.testing.assert_allclose(list(nodes["x"]["range"].values()), [x.min(), x.mean(), x.max()], rtol=1e-5, atol=1e-6)
    assert nodes["backward of dense"]["partner"] == "dense"


def test_operations_kernels_and_predictions_are_asked_for_by_name() -> None:
    assert {"matmul", "select"} <= {node["operation"] for node in document("--operations")["nodes"]}
    assert {node["part"] for node in document("rows.npz", "--predict")["nodes"]} == {"forward"}
    plan = document("--plan", "--time", "--batch-size", "8")
    assert plan["kind"] == "plan"
    assert all(node["seconds"] >= 0 for node in plan["nodes"])


def test_pictures_are_written_and_other_formats_refused() -> None:
    assert "graph.svg" in invoke("--out", "graph.svg").stdout
    assert Path("graph.svg").read_text().startswith("<svg")
    assert document("--out", "graph.html")["out"] == "graph.html"
    assert Path("graph.html").read_text().startswith("<!doctype html>")
    refused = CliRunner().invoke(main, ["graph", "no-such-model", "--out", "graph.png"])
    assert refused.exit_code != 0
    assert "unknown format" in refused.output + refused.stderr


def test_a_plan_has_no_operations() -> None:
    refused = invoke("--plan", "--operations")
    assert refused.exit_code == 2
    assert "--operations" in refused.stderr
