"""Writes weights.json: trainings of Keras with weights of samples and of classes, for `test_weights.py`.

Run by hand, as `make_keras.py` is:

    KERAS_BACKEND=jax python tests/golden/make_weights.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from make_keras import plain

RNG = np.random.default_rng(3)
X = RNG.standard_normal((12, 3)).round(2).astype("float32")
LABELS = RNG.integers(0, 3, 12)
WEIGHTS = np.array([1, 2, 0.5, 0, 1, 1, 3, 1, 1, 0.25, 1, 2], "float32")
KERNEL = RNG.standard_normal((3, 3)).round(2).astype("float32")
TARGETS = {
    "sparse_categorical_crossentropy": LABELS,
    "categorical_crossentropy": np.eye(3, dtype="float32")[LABELS],
    "mse": np.eye(3, dtype="float32")[LABELS],
}
CASES: list[dict[str, Any]] = [
    {"loss": "sparse_categorical_crossentropy", "fit": {"sample_weight": True}},
    {"loss": "categorical_crossentropy", "fit": {"sample_weight": True, "validation_split": 0.25}},
    {"loss": "mse", "fit": {"sample_weight": True}},
    {"loss": "sparse_categorical_crossentropy", "fit": {"class_weight": {0: 0.5, 2: 4.0}}},
    {"loss": "categorical_crossentropy", "fit": {"class_weight": {0: 2.0, 1: 0.0, 2: 1.0}}},
]


def run(case: dict[str, Any]) -> dict[str, Any]:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax", use_bias=False)])
    model.set_weights([KERNEL])
    metrics = {"metrics": ["accuracy"], "weighted_metrics": ["accuracy", keras.metrics.MeanAbsoluteError(name="mae")]}
    if case["loss"].startswith("sparse"):
        metrics["weighted_metrics"] = ["accuracy"]
    model.compile(keras.optimizers.SGD(0.5), case["loss"], **metrics)
    settings = dict(case["fit"])
    if settings.pop("sample_weight", False):
        settings["sample_weight"] = WEIGHTS
    y = TARGETS[case["loss"]]
    history = model.fit(X, y, batch_size=5, epochs=3, shuffle=False, verbose=0, **settings)
    judged = model.evaluate(X, y, batch_size=5, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    return case | {"history": history.history, "evaluate": judged, "kernel": plain(model.get_weights()[0])}


if __name__ == "__main__":
    data = {"x": plain(X), "labels": plain(LABELS), "weights": plain(WEIGHTS), "kernel": plain(KERNEL)}
    found = {"keras": keras.__version__, "backend": keras.backend.backend(), **data, "cases": [run(c) for c in CASES]}
    (Path(__file__).parent / "weights.json").write_text(json.dumps(found) + "\n")
