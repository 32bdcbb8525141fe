"""Writes callbacks.json: what Keras's callbacks do in trainings whose figures are made up, for `test_callbacks.py` to compare.

Run by hand, as `make_keras.py` is:

    KERAS_BACKEND=jax python tests/golden/make_callbacks.py
"""

from __future__ import annotations

import inspect
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

FALLING = [1.0, 0.8, 0.7, 0.65, 0.64, 0.63, 0.62, 0.61, 0.6, 0.59]
VALLEY = [1.0, 0.5, 0.25, 0.5, 0.25, 0.3, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
RISING = [0.1, 0.2, 0.3, 0.3, 0.3, 0.35, 0.2, 0.2, 0.2, 0.2]
FLAT = [0.5] * 10
STEPS = [4.0, 3.0, 3.5, 3.5, 3.5, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]

# class, arguments, the figure that is made up, its values by epoch
CASES: list[tuple[str, dict[str, Any], str, list[float]]] = [
    *(("EarlyStopping", {"patience": n}, "val_loss", VALLEY) for n in (0, 1, 2, 3, 20)),
    *(("EarlyStopping", {"min_delta": d, "patience": 2}, "val_loss", FALLING) for d in (0, 0.03, 0.15, -0.15, 10)),
    ("EarlyStopping", {"monitor": "loss", "patience": 1}, "loss", FLAT),
    ("EarlyStopping", {"monitor": "loss", "mode": "max", "patience": 2}, "loss", RISING),
    ("EarlyStopping", {"monitor": "val_accuracy", "patience": 2}, "val_accuracy", RISING),
    ("EarlyStopping", {"monitor": "accuracy", "patience": 4, "min_delta": 0.04}, "accuracy", RISING),
    ("EarlyStopping", {"monitor": "val_mae", "patience": 3}, "val_mae", STEPS),
    *(("EarlyStopping", {"baseline": b, "patience": 3}, "val_loss", VALLEY) for b in (0.3, 0.1, 2.0)),
    ("EarlyStopping", {"monitor": "accuracy", "baseline": 0.32, "patience": 4}, "accuracy", RISING),
    *(("EarlyStopping", {"start_from_epoch": n, "patience": 2}, "val_loss", STEPS) for n in (1, 2, 8, 50)),
    ("EarlyStopping", {"monitor": "val_loss", "patience": 1}, "loss", FLAT),
    ("ReduceLROnPlateau", {"patience": 2}, "val_loss", STEPS),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "monitor": "loss"}, "loss", VALLEY),
    ("ReduceLROnPlateau", {"patience": 0, "factor": 0.5}, "val_loss", VALLEY),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "cooldown": 2}, "val_loss", STEPS),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.1, "min_lr": 0.004}, "val_loss", STEPS),
    ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "min_delta": 0.3}, "val_loss", VALLEY),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.0, "min_delta": 0}, "val_loss", FLAT),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.2, "monitor": "val_accuracy"}, "val_accuracy", RISING),
    ("ReduceLROnPlateau", {"patience": 2, "factor": 0.2, "mode": "max"}, "val_loss", RISING),
    ("ReduceLROnPlateau", {"patience": 1}, "loss", FLAT),
    ("LearningRateScheduler", {"schedule": "halved"}, "loss", FLAT),
    ("ModelCheckpoint", {"filepath": "m"}, "loss", FLAT),
    ("ModelCheckpoint", {"filepath": "{epoch:02d}-{val_loss:.2f}"}, "val_loss", VALLEY),
    ("ModelCheckpoint", {"filepath": "{epoch}", "save_best_only": True}, "val_loss", VALLEY),
    ("ModelCheckpoint", {"filepath": "{epoch}", "save_best_only": True, "monitor": "accuracy"}, "accuracy", RISING),
    ("ModelCheckpoint", {"filepath": "{epoch}", "save_best_only": True, "mode": "max"}, "val_loss", RISING),
    ("ModelCheckpoint", {"filepath": "w{epoch}", "save_best_only": True, "save_weights_only": True}, "val_loss", STEPS),
    *(
        (
            "ModelCheckpoint",
            {"filepath": "{epoch}", "save_best_only": True, "initial_value_threshold": t},
            "val_loss",
            v,
        )
        for t, v in ((0.3, VALLEY), (0.1, VALLEY), (9.0, STEPS))
    ),
    ("ModelCheckpoint", {"filepath": "{epoch}", "save_best_only": True}, "loss", FLAT),
    *(("ModelCheckpoint", {"filepath": "{epoch}-{batch}", "save_freq": n}, "loss", FLAT[:5]) for n in (1, 2, 5, 7, 99)),
    ("ModelCheckpoint", {"filepath": "a/b{epoch}/m", "save_freq": 5, "save_weights_only": True}, "loss", FLAT[:5]),
    ("CSVLogger", {"filename": "log.csv"}, "val_loss", [0.5, 0.25]),
    ("CSVLogger", {"filename": "log.csv", "separator": ";", "append": True}, "val_loss", [0.5, 0.25]),
]
SETS = {"loss": 0.5, "accuracy": 0.25, "mae": 0.75}
SUFFIX = {False: ".keras", True: ".weights.h5"}


def halved(epoch: int, rate: float) -> float:
    return rate if epoch % 2 else rate / 2


class Figures(keras.callbacks.Callback):
    """Makes up the figures of an epoch, and gives the model weights that tell the epoch."""

    def __init__(self, name: str, values: list[float]) -> None:
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs.clear()
        logs.update(SETS | {self.name: self.values[epoch]})
        self.model.layers[-1].set_weights([np.full((1, 1), epoch + 1.0), np.zeros(1)])


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def run(kind: str, config: dict[str, Any], figure: str, values: list[float], folder: Path) -> dict[str, Any]:
    made = dict(config)
    if kind == "ModelCheckpoint":
        made["filepath"] = str(folder / config["filepath"]) + SUFFIX[config.get("save_weights_only", False)]
    if kind == "CSVLogger":
        made["filename"] = str(folder / config["filename"])
    if kind == "LearningRateScheduler":
        made["schedule"] = halved
    if kind == "EarlyStopping":
        made["restore_best_weights"] = True
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse", metrics=["accuracy", "mae"])
    callback = getattr(keras.callbacks, kind)(**made)
    x = np.zeros((3, 1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = model.fit(
            x, x, batch_size=1, epochs=len(values), verbose=0, callbacks=[Figures(figure, values), callback]
        )
    found: dict[str, Any] = {"epochs": len(history.epoch), "weight": float(model.layers[-1].get_weights()[0][0, 0])}
    found["warned"] = any("available" in str(w.message) for w in caught)
    if "learning_rate" in history.history:
        found["rates"] = [float(f"{rate:.7g}") for rate in history.history["learning_rate"]]
    found["rate"] = float(f"{float(model.optimizer.learning_rate):.7g}")
    suffix = SUFFIX[config.get("save_weights_only", False)]
    found["files"] = [name.removesuffix(suffix) for name in files(folder)]
    if kind == "CSVLogger":
        found["text"] = (folder / "log.csv").read_bytes().decode()
    return found


def parameters(kind: type) -> dict[str, Any]:
    found = inspect.signature(kind).parameters.values()
    return {p.name: p.default if p.default is not p.empty else "required" for p in found if p.kind != p.VAR_KEYWORD}


def direction(name: str) -> str | None:
    try:
        return getattr(getattr(keras.metrics, name)(), "_direction", None)
    except TypeError:  # it wants arguments
        return getattr(getattr(keras.metrics, name)(0.5), "_direction", None)


if __name__ == "__main__":
    cases = []
    for kind, config, figure, values in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = run(kind, config, figure, values, Path(folder))
        cases.append({"class": kind, "config": config, "figure": figure, "values": values, "found": found})
    public = {n: parameters(getattr(keras.callbacks, n)) for n in sorted(dir(keras.callbacks)) if n[0].isupper()}
    metrics = [n for n in dir(keras.metrics) if n[0].isupper() and "IoU" not in n and n != "MeanMetricWrapper"]
    described = {"keras": keras.__version__, "backend": keras.backend.backend(), "public": public}
    described |= {"directions": {n: direction(n) for n in metrics if n not in ("Mean", "Sum", "Metric")}}
    lines = [json.dumps(described)[:-1] + ', "cases": [', ",\n".join(json.dumps(c) for c in cases), "]}"]
    (Path(__file__).parent / "callbacks.json").write_text("\n".join(lines) + "\n")
