"""Writes several.json: trainings of models with several inputs and outputs, by Keras, for `test_several.py`.

Run by hand, as `make_keras.py` is:

    KERAS_BACKEND=jax python tests/golden/make_several.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from make_keras import plain

RNG = np.random.default_rng(11)
ROWS = 14
DATA = {
    "a": RNG.standard_normal((ROWS, 5)).round(2).astype("float32"),
    "b": RNG.standard_normal((ROWS, 3)).round(2).astype("float32"),
    "kind": RNG.integers(0, 3, ROWS),
    "size": RNG.standard_normal((ROWS, 1)).round(2).astype("float32"),
    "w_kind": RNG.random(ROWS).round(2).astype("float32"),
    "w_size": RNG.random(ROWS).round(2).astype("float32"),
}
LABELS = "sparse_categorical_crossentropy"
# Of each case: what compile is told, how data are given, and of what sort inputs, outputs and weights are.
CASES: dict[str, dict[str, Any]] = {
    "lists": {"loss": [LABELS, "mse"], "loss_weights": [1.0, 0.3], "metrics": [["accuracy"], ["mae"]]},
    "dictionaries": {
        "loss": {"kind": LABELS, "size": "mae"},
        "loss_weights": {"kind": 0.5, "size": 2.0},
        "metrics": {"size": ["mse"], "kind": "accuracy"},
        "weighted_metrics": {"kind": ["accuracy"]},
        "weights": "each",
    },
    "one loss": {"loss": "mse", "numbers": True, "weights": "one", "weighted_metrics": [["mae"], None]},
    "untrained output": {"loss": [LABELS, None]},
}


def network(numbers: bool) -> keras.Model:
    """Two inputs that join, and two outputs."""
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    hidden = layers.Concatenate(name="joined")([layers.Dense(4, activation="tanh", name="left")(a), b])
    kind = layers.Dense(1 if numbers else 3, activation=None if numbers else "softmax", name="kind")(hidden)
    size = layers.Dense(1, name="size")(layers.Dense(6, activation="relu", name="deeper")(hidden))
    return keras.Model([a, b], [kind, size])


def given(case: dict[str, Any], rows: slice) -> dict[str, Any]:
    """The arguments of `fit` for some rows."""
    part = {name: array[rows] for name, array in DATA.items()}
    if case.get("numbers"):
        part["kind"] = part["kind"].astype("float32")[:, None]
    found: dict[str, Any] = {"x": [part["a"], part["b"]], "y": [part["kind"], part["size"]]}
    if isinstance(case["loss"], dict):
        found = {"x": {"b": part["b"], "a": part["a"]}, "y": {"size": part["size"], "kind": part["kind"]}}
    if isinstance(case["loss"], list) and None in case["loss"]:
        found["y"] = [part["kind"]]
    if case.get("weights") == "each":
        # Keras takes dictionaries of targets only without weights.
        found |= {"y": [part["kind"], part["size"]], "sample_weight": [part["w_kind"], part["w_size"]]}
    if case.get("weights") == "one":
        found["sample_weight"] = part["w_kind"]
    return found


if __name__ == "__main__":
    found: dict[str, Any] = {"keras": keras.__version__, "data": {name: plain(a) for name, a in DATA.items()}}
    found["cases"] = {}
    for name, case in CASES.items():
        model = network(bool(case.get("numbers")))
        begin = [RNG.standard_normal(w.shape).round(2).astype("float32") for w in model.get_weights()]
        model.set_weights(begin)
        told = {k: v for k, v in case.items() if k in ("loss", "loss_weights", "metrics", "weighted_metrics")}
        model.compile(keras.optimizers.SGD(0.05), **told)
        data, judge = given(case, slice(0, 10)), given(case, slice(10, ROWS))
        history = model.fit(
            **data, batch_size=4, epochs=3, shuffle=False, verbose=0, validation_data=tuple(judge.values())
        ).history
        figures = model.evaluate(**judge, verbose=0, return_dict=True)
        found["cases"][name] = {
            "case": case,
            "begin": plain(begin),
            "history": history,
            "evaluated": figures,
            "end": plain(model.get_weights()),
            "predicted": plain(model.predict(data["x"], verbose=0)),
        }
    (Path(__file__).parent / "several.json").write_text(json.dumps(found) + "\n")
