"""Callbacks do what Keras's do: stop when they stop, set the rates they set, write the files they write."""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import callbacks, metrics
from nacre.models import load_model

KERAS = json.loads((Path(__file__).parent / "callbacks.json").read_text())
EXCLUDED = {
    "CallbackList": "fit makes its own; whoever trains by hand calls what he wants",
    "OrbaxCheckpoint": "a format of JAX; ModelCheckpoint and BackupAndRestore write nacre's",
    "ProgbarLogger": "fit's verbose",
    "RemoteMonitor": "sends figures to a server that hardly anyone runs: LambdaCallback(on_epoch_end=...) does it in a line",
    "SwapEMAWeights": "use_ema of the optimizers: the averages become the weights when fit is over, or every so many steps",
}
OWN = {"LayerStatistics", "MLflow", "TerminateOnTarget"}
DIFFERENT = {  # defaults
    ("EarlyStopping", "restore_best_weights"): True,
    ("BackupAndRestore", "double_checkpoint"): True,
    ("TensorBoard", "write_graph"): False,
}
SETS = {"loss": 0.5, "accuracy": 0.25, "mae": 0.75}


class Figures(callbacks.Callback):
    """Makes up the figures of an epoch, and gives the model weights that tell the epoch."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs.clear()
        logs.update(SETS | {self.name: self.values[epoch]})
        self.model.set_weights([np.full((1, 1), epoch + 1.0), np.zeros(1)])


def run(case: dict[str, Any], folder: Path) -> tuple[dict[str, Any], nacre.Sequential]:
    config = dict(case["config"])
    for name in {"filepath", "filename"} & set(config):
        config[name] = folder / config[name]
    if case["class"] == "LearningRateScheduler":
        config["schedule"] = lambda epoch, rate: rate if epoch % 2 else rate / 2
    if case["class"] == "EarlyStopping":
        config["restore_best_weights"] = True
    model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1)])
    model.compile(nacre.optimizers.SGD(0.1), "mse", metrics=["accuracy", "mae"])
    made = [Figures(case["figure"], case["values"]), getattr(callbacks, case["class"])(**config)]
    x = np.zeros((3, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(x, x, batch_size=1, epochs=len(case["values"]), verbose=0, callbacks=made)
    found: dict[str, Any] = {"epochs": len(history.epoch), "weight": model.get_weights()[0].item()}
    found["warned"] = bool(caught)
    if "learning_rate" in history.history:
        found["rates"] = history.history["learning_rate"]
    found["rate"] = model.optimizer.learning_rate
    found["files"] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    return found, model


def named(case: dict[str, Any]) -> str:
    shape = "-".join(str(value) for value in case["values"][:3])
    return "-".join([case["class"], *(f"{k}={v}" for k, v in case["config"].items()), case["figure"], shape])


@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_a_callback_does_what_that_of_keras_does(case: dict[str, Any], tmp_path: Path) -> None:
    expected = dict(case["found"])
    text = expected.pop("text", None)
    found, _ = run(case, tmp_path)
    assert found.pop("rate") == pytest.approx(expected.pop("rate"), rel=1e-5)
    assert found.pop("rates", []) == pytest.approx(expected.pop("rates", []), rel=1e-5)
    assert found == expected
    if text is not None:
        assert (tmp_path / "log.csv").read_bytes().decode() == text


def test_the_files_hold_the_models_of_their_epochs(tmp_path: Path) -> None:
    for case in KERAS["cases"]:
        if case["class"] == "ModelCheckpoint" and case["config"]["filepath"] in ("{epoch}", "w{epoch}"):
            _, model = run(case, tmp_path)
            for path in tmp_path.iterdir():
                if path.name.startswith("w"):
                    model.load_weights(path)
                else:
                    model = load_model(path)
                assert model.get_weights()[0].item() == float(path.name.lstrip("w"))
                path.unlink()


def test_every_callback_of_keras_is_here_or_excluded_for_a_reason() -> None:
    assert set(KERAS["public"]) == (set(callbacks.__all__) - OWN) | set(EXCLUDED)
    assert {case["class"] for case in KERAS["cases"]} <= set(callbacks.__all__)


@pytest.mark.parametrize("name", sorted(set(KERAS["public"]) - set(EXCLUDED)))
def test_arguments_and_defaults_are_those_of_keras(name: str) -> None:
    signature = inspect.signature(getattr(callbacks, name)).parameters.values()
    found = {
        p.name: p.default if p.default is not p.empty else "required" for p in signature if p.kind != p.VAR_KEYWORD
    }
    expected = {argument: DIFFERENT.get((name, argument), value) for argument, value in KERAS["public"][name].items()}
    assert list(found.items()) == list(expected.items())


MADE: dict[str, Callable[[Any], Any]] = {
    name: lambda kind: kind(0.5)
    for name in ("SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision")
}


@pytest.mark.parametrize("name", KERAS["directions"])
def test_the_better_direction_of_a_metric_is_that_of_keras(name: str) -> None:
    kind = getattr(metrics, name)
    assert MADE.get(name, lambda kind: kind())(kind).direction == KERAS["directions"][name]
