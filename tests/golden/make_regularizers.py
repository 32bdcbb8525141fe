"""Writes regularizers.json: what the regularizers and constraints of Keras 3 answer, for `test_regularizers.py`.

KERAS_BACKEND=jax python tests/golden/make_regularizers.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
from make_keras import plain
from make_losses import public, short

RNG = np.random.default_rng(20240516)
STEPS_KEPT = (1, 5, 20)


def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RNG.standard_normal(shape) * scale).round(3).astype("float32")


def rooms() -> dict[str, Any]:
    """Public names, and which strings mean what."""
    found = {}
    for room, source in (("regularizers", keras.src.regularizers), ("constraints", keras.src.constraints)):
        strings = {name: kind.__name__ for name, kind in source.ALL_OBJECTS_DICT.items()}
        found[room] = {"public": public(getattr(keras, room)), "names": strings}
    return found


def values() -> list[dict[str, Any]]:
    """What a regularizer is for some weights, and its gradient."""
    small, zeros = numbers(3, 4), np.zeros((2, 3), "float32")
    cases: list[tuple[str, dict[str, Any], np.ndarray]] = [
        ("L1", {}, small),
        ("L1", {"l1": 0.3}, numbers(5)),
        ("L1", {}, zeros),
        ("L2", {}, small),
        ("L2", {"l2": 0.3}, numbers(5, scale=100)),
        ("L2", {}, zeros),
        ("L1L2", {}, small),
        ("L1L2", {"l1": 0.2, "l2": 0.1}, small),
        ("L1L2", {"l2": 0.1}, small),
        ("OrthogonalRegularizer", {}, small),
        ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}, small),
        ("OrthogonalRegularizer", {"factor": 1.0}, np.eye(3, dtype="float32")),
        ("OrthogonalRegularizer", {"factor": 2.0}, np.array([[1, 2], [2, 4], [-1, -2]], "float32")),
    ]
    made = []
    for name, config, x in cases:
        regularizer = getattr(keras.regularizers, name)(**config)
        found = {"class": name, "config": config, "x": x, "value": regularizer(keras.ops.convert_to_tensor(x))}
        # At a kink there is no one gradient, and where a length is 0 there is none.
        smooth = name == "L2" or (x.all() and x is not cases[-1][2])
        made.append(found | ({"gradient": jax.grad(regularizer)(x)} if smooth else {}))
    return made


def constrained() -> list[dict[str, Any]]:
    """What a constraint makes of some weights."""
    x = numbers(4, 3, scale=2)
    x[:, 1] *= 0.1
    hard = np.array([[0, 1e-9, 1e4], [0, 0, -1e4]], "float32")
    cases: list[tuple[str, dict[str, Any], np.ndarray]] = []
    for w in (x, hard):
        cases += [("NonNeg", {}, w), ("MaxNorm", {}, w), ("UnitNorm", {}, w), ("MinMaxNorm", {}, w)]
    cases += [
        ("MaxNorm", {"max_value": 0.7, "axis": 1}, x),
        ("MaxNorm", {"max_value": 1, "axis": [0, 1]}, x),
        ("UnitNorm", {"axis": 1}, x),
        ("UnitNorm", {}, numbers(5)),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5}, x),
        ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.3, "axis": 1}, x),
    ]
    return [{"class": n, "config": c, "x": w, "y": getattr(keras.constraints, n)(**c)(w)} for n, c, w in cases]


SETTINGS: list[dict[str, Any]] = [
    {"kernel_regularizer": ["L1", {"l1": 0.05}]},
    {"kernel_regularizer": ["L2", {"l2": 0.1}], "bias_regularizer": ["L2", {"l2": 0.2}]},
    {"kernel_regularizer": ["L1L2", {"l1": 0.01, "l2": 0.02}]},
    {"kernel_regularizer": ["OrthogonalRegularizer", {"factor": 0.5}]},
    {"kernel_regularizer": ["OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}]},
    {"activity_regularizer": ["L2", {"l2": 0.1}]},
    {"activity_regularizer": ["L1", {"l1": 0.1}], "bias_regularizer": ["L1", {"l1": 0.02}]},
    {"kernel_constraint": ["MaxNorm", {"max_value": 0.6}], "bias_constraint": ["NonNeg", {}]},
    {"kernel_constraint": ["UnitNorm", {}]},
    {"kernel_constraint": ["UnitNorm", {"axis": 1}]},
    {"kernel_constraint": ["NonNeg", {}]},
    {"kernel_constraint": ["MinMaxNorm", {"min_value": 0.4, "max_value": 0.8, "rate": 0.5}]},
    {"kernel_regularizer": ["L2", {"l2": 0.05}], "kernel_constraint": ["MaxNorm", {"max_value": 1}]},
]


def made(settings: dict[str, Any]) -> dict[str, Any]:
    room = {True: keras.regularizers, False: keras.constraints}
    return {k: getattr(room[k.endswith("regularizer")], name)(**config) for k, (name, config) in settings.items()}


def trainings() -> dict[str, Any]:
    """Weights after some of twenty steps of plain descent on one batch, and the loss of each step, regularization included."""
    weights = [numbers(5, 3, scale=0.7), numbers(3, scale=0.3), numbers(3, 2, scale=0.7), numbers(2, scale=0.3)]
    x, y = numbers(6, 5), numbers(6, 2)
    runs = []
    for settings in SETTINGS:
        dense = keras.layers.Dense
        model = keras.Sequential([keras.Input((5,)), dense(3, "tanh", **made(settings)), dense(2, **made(settings))])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.set_weights(weights)
        kept, figures = {}, []
        for step in range(1, STEPS_KEPT[-1] + 1):
            figures.append(float(model.train_on_batch(x, y)))
            if step in STEPS_KEPT:
                kept[str(step)] = model.get_weights()
        evaluated = [float(model.evaluate(x, y, batch_size=n, verbose=0)) for n in (6, 4)]
        runs.append({"settings": settings, "weights": kept, "losses": figures, "evaluated": evaluated})
    return {"x": x, "y": y, "weights": weights, "runs": runs}


def defaults() -> dict[str, dict[str, Any]]:
    found = {}
    for room in ("regularizers", "constraints"):
        kinds = [n for n in public(getattr(keras, room)) if n[0].isupper() and n not in ("Regularizer", "Constraint")]
        found |= {f"{room}.{n}": getattr(getattr(keras, room), n)().get_config() for n in kinds}
    return found


def main() -> None:
    """Ask Keras everything, write the file."""
    answers = {
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "rooms": rooms(),
        "defaults": defaults(),
        "values": values(),
        "constrained": constrained(),
        "trainings": trainings(),
    }
    text = json.dumps(short(plain(answers)), separators=(",", ":"), allow_nan=False)
    path = Path(__file__).with_name("regularizers.json")
    path.write_text(text.replace(',"', ',\n"') + "\n", encoding="utf-8")
    print(f"{path}: {len(text):,} characters, from Keras {keras.__version__} on {keras.config.backend()}")


if __name__ == "__main__":
    main()
