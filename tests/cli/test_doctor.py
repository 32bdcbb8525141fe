"""nacre doctor."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from nacre.cli import main
from nacre.models import load_model


def doctor(*arguments: str) -> str:
    found = CliRunner().invoke(main, ["doctor", *arguments, "-q"])
    assert found.exit_code == 0, found.output
    return found.stdout


def test_a_run_is_examined_and_its_fix_is_tried_and_kept(tmp_path: Path) -> None:
    run, model = str(tmp_path / "run"), tmp_path / "fixed"
    options = ["--learning-rate", "30", "--epochs", "3", "--seed", "1", "-q"]
    CliRunner().invoke(main, ["train", "digits", *options, "--out", run])
    told = doctor(run, "--fix", "--out", str(model))
    assert "1. learning rate too large: 30 is too large" in told
    assert "it helped" in told
    assert load_model(model).optimizer.learning_rate < 30


def test_data_are_examined_as_nacre_train_would_take_them() -> None:
    found = json.loads(doctor("digits", "--epochs", "5", "--seed", "1", "--json"))
    assert [one["name"] for one in found["findings"] if one["alarm"]] == []
    deep = json.loads(doctor("digits", "--model", "mlp:32,32,32,32,32,32,32,32", "--activation", "sigmoid", "--json"))
    assert deep["findings"][0]["name"] == "vanishing gradient"


def test_a_script_is_examined(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import nacre\n"
        "(x, y), _ = nacre.datasets.digits.load_data()\n"
        "model = nacre.Sequential([nacre.Input((8, 8)), nacre.layers.Flatten(), nacre.layers.Dense(10)])\n"
        "model.compile('adam', 'sparse_categorical_crossentropy')\n"
        "model.fit(x / x.max(), y, epochs=2)\n"
    )
    assert "1. wrong loss for the output" in doctor(str(script))
