"""Writes initializers.json: what the initializers of Keras 3 give, for `test_initializers.py` to compare nacre with.

    KERAS_BACKEND=jax python tests/golden/make_initializers.py

No two generators give the same numbers, so of random ones the file holds their extent, mean and spread.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from make_keras import plain
from make_losses import public, short

LEFT_OUT = ("Initializer", "STFT")


def cases() -> list[tuple[str, dict[str, Any], tuple[int, ...]]]:
    made: list[tuple[str, dict[str, Any], tuple[int, ...]]] = []
    for name in ("GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"):
        made += [(name, {}, shape) for shape in [(300, 200), (200, 300), (20000,), (3, 3, 30, 60)]]
        made += [(name, {"input_axes": [0, 2], "output_axes": [1]}, (40, 50, 30))]
    for mode in ("fan_in", "fan_out", "fan_avg"):
        for distribution in ("truncated_normal", "untruncated_normal", "uniform", "normal"):
            made += [("VarianceScaling", {"scale": 1.5, "mode": mode, "distribution": distribution}, (300, 200))]
    for name in ("RandomNormal", "TruncatedNormal"):
        made += [(name, {}, (300, 200)), (name, {"mean": 2.0, "stddev": 0.5}, (50, 40, 30))]
    made += [("RandomUniform", {}, (300, 200)), ("RandomUniform", {"minval": -1.0, "maxval": 3.0}, (30000,))]
    return made


def case(name: str, config: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    x = np.asarray(getattr(keras.initializers, name)(**config, seed=3)(shape))
    figures = {"mean": float(x.mean()), "std": float(x.std()), "low": float(x.min()), "high": float(x.max())}
    return {"class": name, "config": config, "shape": shape, "dtype": str(x.dtype)} | figures


def exact() -> list[dict[str, Any]]:
    made: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
        ("Zeros", {}, (2, 3)),
        ("Ones", {}, (3,)),
        ("Constant", {}, (2,)),
        ("Constant", {"value": 0.1}, (2, 3)),
        ("Constant", {"value": -3}, ()),
        ("Identity", {}, (3, 3)),
        ("Identity", {"gain": 0.1}, (2, 4)),
        ("Identity", {"gain": 2.0}, (4, 2)),
    ]
    return [
        {"class": n, "config": c, "shape": s, "values": np.asarray(getattr(keras.initializers, n)(**c)(s))}
        for n, c, s in made
    ]


def orthogonal() -> list[dict[str, Any]]:
    """The products of the rows, or of the columns, of matrices of different shapes."""
    made: list[tuple[dict[str, Any], tuple[int, ...]]] = [
        ({}, (6, 4)),
        ({}, (4, 6)),
        ({"gain": 1.5}, (5, 5)),
        ({"gain": 0.5}, (2, 3, 4)),
        ({}, (2, 2, 7)),
    ]
    found = []
    for config, shape in made:
        x = np.asarray(keras.initializers.Orthogonal(**config, seed=3)(shape)).reshape(-1, shape[-1])
        found.append({"config": config, "shape": shape, "gram": x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T})
    return found


def defaults() -> dict[str, Any]:
    kinds = {getattr(keras.initializers, n) for n in public(keras.initializers) if n[0].isupper()}
    return {k.__name__: k().get_config() for k in sorted(kinds, key=str) if k.__name__ not in LEFT_OUT}


def names() -> dict[str, str]:
    """Which strings Keras takes, and for what."""
    return {name: kind.__name__ for name, kind in keras.src.initializers.ALL_OBJECTS_DICT.items()}


def main() -> None:
    """Ask Keras everything, write the file."""
    answers = {
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "public": public(keras.initializers),
        "names": names(),
        "defaults": defaults(),
        "cases": [case(*c) for c in cases()],
        "exact": exact(),
        "orthogonal": orthogonal(),
    }
    text = json.dumps(short(plain(answers)), separators=(",", ":"), allow_nan=False)
    path = Path(__file__).with_name("initializers.json")
    path.write_text(text.replace(',"', ',\n"') + "\n", encoding="utf-8")
    print(f"{path}: {len(text):,} characters, from Keras {keras.__version__} on {keras.config.backend()}")


if __name__ == "__main__":
    main()
