"""Writes the folder format-N, N being the number of nacre's file formats: files of today, for `test_formats.py` to read ever after.

Run by hand, once for each number, when a release with that number is made. Files of a number that was released stay as they are:

    python tests/golden/make_formats.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import nacre
from nacre import layers
from nacre.models.files import FORMAT

FOLDER = Path(__file__).parent / f"format-{FORMAT}"
ROWS = 40


def plain(array: Any) -> Any:
    return np.asarray(array, np.float64).round(9).tolist()


def rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    x = random.standard_normal((ROWS, 6)).round(3).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(np.int32) + (x[:, 2] > 1)


def model() -> nacre.Model:
    """A part of each kind: branches, statistics, random numbers, slots of an optimizer with a schedule."""
    nacre.utils.set_random_seed(3)
    x = nacre.Input((6,), name="x")
    wide = layers.Dense(8, "relu", kernel_regularizer="l2", name="wide")(layers.BatchNormalization(name="norm")(x))
    both = layers.Concatenate(name="both")([layers.Dropout(0.25, name="drop")(wide), x])
    made = nacre.Model(x, layers.Dense(3, "softmax", name="out")(both), name="golden")
    rate = nacre.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    made.compile(nacre.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def table() -> str:
    random = np.random.default_rng(8)
    lines = ["age,town,member,joined,income"]
    for _ in range(120):
        age, town = random.integers(18, 80), ("Bonn", "Köln", "Ulm")[random.integers(3)]
        member, day = ("yes", "no")[random.integers(2)], random.integers(1, 29)
        lines.append(f"{age},{town},{member},2025-{random.integers(1, 13):02}-{day:02},{'high' if age > 45 else 'low'}")
    return "\n".join(lines) + "\n"


def command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "nacre", *words], cwd=FOLDER, check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    x, y = rows()
    made = model()
    made.fit(x, y, batch_size=16, epochs=2, verbose=0)
    made.save(FOLDER / "model.safetensors")
    made.save_weights(FOLDER / "weights.safetensors")
    predicted, judged = made.predict(x, verbose=0), made.evaluate(x, y, verbose=0)
    going_on = made.fit(x, y, batch_size=16, epochs=1, verbose=0).history["loss"]

    broken = model()
    backup = nacre.callbacks.BackupAndRestore(FOLDER / "checkpoints", save_freq=2, delete_checkpoint=False)
    whole = broken.fit(x, y, batch_size=16, epochs=3, verbose=0, callbacks=[backup]).history["loss"]

    (FOLDER / "people.csv").write_text(table(), encoding="utf-8")
    words = [
        "--target",
        "income",
        "--epochs",
        "4",
        "--model",
        "mlp:8",
        "--seed",
        "1",
        "--out",
        "run",
        "--layers",
        "--quiet",
    ]
    command("train", "people.csv", *words)
    settings = FOLDER / "run" / "run.toml"
    settings.write_text(settings.read_text(encoding="utf-8").replace(f"{FOLDER}/", ""), encoding="utf-8")
    (FOLDER / "run" / "report.html").write_text("<!doctype html><title>left out of the golden files</title>\n")
    document = json.loads(command("predict", "run", "people.csv", "--json"))
    expected = {
        "nacre": nacre.__version__,
        "x": plain(x),
        "y": y.tolist(),
        "predicted": plain(predicted),
        "judged": plain(judged),
        "going_on": plain(going_on),
        "whole": plain(whole),
        "people": {name: document[name] for name in ("prediction", "probabilities")},
    }
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
