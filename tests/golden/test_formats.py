"""Files that released versions of nacre wrote are read for ever, and mean what they meant: the promise of docs/policy.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nacre
from nacre.cli import main
from nacre.models import clone_model, load_model
from nacre.models.files import FORMAT
from nacre.training.run import Run

HERE = Path(__file__).parent
FOLDERS = sorted(HERE.glob("format-*"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(request.param, tmp_path / request.param.name))


@pytest.fixture
def expected(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return found | {"x": np.array(found["x"], np.float32), "y": np.array(found["y"], np.int32)}


def test_each_format_up_to_the_one_of_today_has_golden_files() -> None:
    assert [folder.name for folder in FOLDERS] == [f"format-{number}" for number in range(1, FORMAT + 1)]


def test_models_predict_are_judged_and_go_on_as_they_did(folder: Path, expected: dict[str, Any]) -> None:
    model, x, y = load_model(folder / "model.safetensors"), expected["x"], expected["y"]
    np.testing.assert_allclose(model.predict(x, verbose=0), expected["predicted"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), expected["judged"], rtol=1e-5)
    history = model.fit(x, y, batch_size=16, epochs=1, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["going_on"], rtol=1e-5)


def test_weights_alone_fit_into_a_model_with_the_same_layers(folder: Path, expected: dict[str, Any]) -> None:
    model = clone_model(load_model(folder / "model.safetensors", compile=False))
    model.load_weights(folder / "weights.safetensors")
    np.testing.assert_allclose(model.predict(expected["x"], verbose=0), expected["predicted"], rtol=1e-5, atol=1e-6)


def test_trainings_go_on_from_checkpoints(folder: Path, expected: dict[str, Any]) -> None:
    model = load_model(folder / "checkpoints" / "step-000000000006.safetensors")
    assert model.optimizer.iterations == 6
    fresh = clone_model(model)
    fresh.compile_from_config(model.get_compile_config())
    backup = nacre.callbacks.BackupAndRestore(folder / "checkpoints", save_freq=2)
    history = fresh.fit(expected["x"], expected["y"], batch_size=16, epochs=3, verbose=0, callbacks=[backup]).history
    np.testing.assert_allclose(history["loss"], expected["whole"], rtol=1e-5)


def test_run_folders_are_read(folder: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    run = Run.open("run")
    assert run.settings()["options"]["target"] == ["income"]
    assert len(Path("run/history.jsonl").read_text().splitlines()) == len(run.layers) == 4
    asked = CliRunner().invoke(main, ["predict", "run", "people.csv", "--json"])
    found = json.loads(asked.stdout)
    assert found["prediction"] == expected["people"]["prediction"]
    np.testing.assert_allclose(found["probabilities"], expected["people"]["probabilities"], atol=1e-6)
    for words in (["compare", "run", "run"], ["summary", "run"], ["evaluate", "run", "people.csv"]):
        assert CliRunner().invoke(main, words).exit_code == 0, words
