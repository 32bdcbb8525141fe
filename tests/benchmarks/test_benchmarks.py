"""The benchmarks run and say what they measured. How fast anything is, is not asserted."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from benchmarks.gpu import OnDevice, goals
from benchmarks.workloads import Job

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "benchmarks", "--quick"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("benchmarks")
    chosen = ["--workloads", "W4", "--peers", "nacre,numpy", "--python", "/nowhere/python"]
    files = ["--json", str(folder / "all.json"), "--figure", str(folder / "all.svg")]
    run = subprocess.run([*COMMAND, *chosen, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    results: dict[str, Any] = json.loads((folder / "all.json").read_text())
    return results | {"printed": run.stdout, "svg": (folder / "all.svg").read_text()}


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)
    elif isinstance(value, int | float):
        yield value


def test_every_table_is_there_and_every_figure_is_finite(measured: dict[str, Any]) -> None:
    expected = {"training", "predict_row", "predict_rows", "extras", "growth", "memory", "footprint"}
    assert expected <= set(measured["tables"])
    assert (measured["finished"], measured["quick"], measured["failed"]) == (True, True, [])
    assert all(math.isfinite(n) and n >= 0 for n in _numbers(measured["tables"]))


def test_machine_and_versions_are_told(measured: dict[str, Any]) -> None:
    assert measured["machine"]["processors"] >= 1
    assert measured["versions"]["numpy"] == np.__version__
    assert measured["date"][:2] == "20"
    assert all(0 <= share <= 1 for share in measured["used_by_others"])


def test_training_has_a_record_for_each_workload_and_peer(measured: dict[str, Any]) -> None:
    records = measured["tables"]["training"]
    assert [(r["workload"], r["peer"]) for r in records] == [(w, p) for w in ["W4"] for p in ("nacre", "numpy")]
    for record in records:
        assert record["step_s"] == min(record["rounds_s"])
        assert record["flops_per_s"] == pytest.approx(record["flops"] / record["step_s"])
        assert record["peak_bytes"] > 0
    assert [r["ratio"] for r in records if r["peer"] == "nacre"] == [1.0]


def test_peers_that_train_in_the_same_order_come_to_the_same_loss(measured: dict[str, Any]) -> None:
    nacre, numpy = (r["loss"] for r in measured["tables"]["training"] if r["workload"] == "W4")
    assert nacre == pytest.approx(numpy, rel=1e-5)
    assert measured["notes"] == []


def test_peers_that_read_bytes_come_to_the_same_loss_and_have_a_table_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "bytes.json"
    chosen = ["--tables", "training", "--workloads", "W1,W1b", "--peers", "nacre,sklearn", "--json", str(file)]
    run = subprocess.run(
        [*COMMAND, *chosen, "--python", sys.executable], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    results = json.loads(file.read_text())
    assert (results["notes"], results["failed"], results["skipped"]) == ([], [], {})
    assert "as a multiple of nacre's, from bytes" in " ".join(run.stdout.split())


def test_what_was_printed_has_the_same_rows(measured: dict[str, Any]) -> None:
    for words in ("W4: 784-512-512-10 relu [128]", "NumPy by hand", "momentum", "installed", "A quick look"):
        assert words in measured["printed"]


def test_the_figure_has_a_dot_for_each_peer_in_each_workload_and_in_the_legend(measured: dict[str, Any]) -> None:
    dots = ElementTree.fromstring(measured["svg"]).findall("{*}circle")
    assert len(dots) == 1 + 1


def test_a_peer_that_cannot_be_had_is_skipped_with_the_reason(tmp_path: Path) -> None:
    options = ["--workloads", "W1", "--peers", "numpy,torch", "--tables", "training", "--python", "/nowhere/python"]
    file = tmp_path / "all.json"
    run = subprocess.run(
        [*COMMAND, *options, "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "/nowhere/python" in json.loads(file.read_text())["skipped"]["torch"]
    assert "Not measured: PyTorch eager" in run.stdout


def test_stopping_leaves_what_was_measured(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    options = ["--workloads", "W1,W2", "--peers", "numpy", "--json", str(file)]
    run = subprocess.Popen([*COMMAND, *options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout
    while "At least" not in (line := run.stdout.readline()) and "NumPy" not in line:
        assert line, run.communicate()
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert run.returncode == 130
    results = json.loads(file.read_text())
    assert results["finished"] is False
    assert [r["workload"] for r in results["tables"]["training"]][:1] == ["W1"]


def test_flops_of_a_step_are_counted_by_hand() -> None:
    job = Job((3, 5, 2), "relu", batch=4, steps=1)
    # forward 15 and 10 multiply-adds a sample, to the weights as many, to the hidden layer's output 10 more
    assert job.step_flops == 2 * 4 * (15 + 10 + 15 + 10 + 10)
    assert job.row_flops == 2 * 25
    assert job.step_bytes == 4 * 3 * 4


def test_the_benchmark_of_devices_says_how_far_from_the_limit_each_is(tmp_path: Path) -> None:
    options = ["--device", "xla:cpu", "--quick", "--workloads", "W8", "--peers", "nacre,torch,torch-graphs"]
    files = ["--python", "/nowhere/python", "--json", str(tmp_path / "gpu.json")]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *options, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    (record,) = found["tables"]["training"]
    products, width = found["limits"]["products"]["float32"], found["limits"]["bytes_per_s"]
    assert record["limit_s"] == pytest.approx(max(record["flops"] / products, 256 * 54 * 4 / width))
    assert record["limit_fraction"] == pytest.approx(record["limit_s"] / record["step_s"])
    assert record["chain_s"] == pytest.approx(6 * found["limits"]["wait_s"])
    assert (found["finished"], found["notes"], found["failed"], list(found["skipped"])) == (True, [], [], ["torch"])
    assert "GB/s copied" in run.stdout


def test_the_benchmark_of_devices_says_which_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "xla:cpu:999"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Error: There is no device 'xla:cpu:999'." in run.stderr
    assert "xla:cpu:0" in run.stderr


def test_the_benchmark_of_devices_says_which_goals_are_reached() -> None:
    report = OnDevice(None, quick=True)  # type: ignore[arg-type]
    ratios = {"W1": 25.0, "W8": 9.5, "W4": 1.0, "W6": 1.3}
    report.add("training", [{"workload": w, "peer": "torch", "ratio": r} for w, r in ratios.items()])
    report.add("training", [{"workload": "W1", "peer": "torch-compile", "ratio": 1.0}])
    narrow, widest = goals(report)
    assert "9.50 times as long or more (W8) on W1, W8: wanted 10, not reached." in narrow
    assert "1.30 times as long or more (W6) on W6: wanted 1.2, reached." in widest


def test_the_benchmark_of_shards_says_what_it_measured(tmp_path: Path) -> None:
    words = ["--gigabytes", "0.0005", "--folder", str(tmp_path / "shards"), "--rounds", "2", "--groups", "2"]
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.shards", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "each row once: True" in run.stdout
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["ratio"] > 0
    assert found["gigabytes_of_memory"] > 0


def test_serving_is_measured_in_both_ways_and_answers_are_right(tmp_path: Path) -> None:
    options = ["--requests", "200", "--rate", "400", "--connections", "4", "--json", str(tmp_path / "serving.json")]
    subprocess.run([sys.executable, "-m", "benchmarks.serving", *options], cwd=ROOT, check=True, capture_output=True)
    (served,) = json.loads((tmp_path / "serving.json").read_text())["servers"].values()
    for told in served.values():
        assert told["errors"] == 0
        assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
    assert served["open_loop"]["per_second"] < 410  # no faster than was asked for
