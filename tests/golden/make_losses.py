"""Writes losses.json: what the losses of Keras 3 answer, for `test_losses.py` to compare nacre with.

KERAS_BACKEND=jax python tests/golden/make_losses.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np
from make_keras import plain

RNG = np.random.default_rng(20240515)
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum")
WEIGHTED = ("sum_over_batch_size", "mean_with_sample_weight", "sum")


def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (RNG.standard_normal(shape) * scale).round(3).astype("float32")


def shares(*shape: int) -> np.ndarray:
    """Numbers between 0 and 1."""
    return RNG.uniform(0.02, 0.98, shape).round(3).astype("float32")


def rows(*shape: int) -> np.ndarray:
    """Rows that sum to one."""
    powers = np.exp(RNG.standard_normal(shape))
    return (powers / powers.sum(-1, keepdims=True)).round(4).astype("float32")


def bits(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2, shape).astype("float32")


def hot(*shape: int, classes: int = 4) -> np.ndarray:
    return np.eye(classes, dtype="float32")[RNG.integers(0, classes, shape)]


def labels(*shape: int, classes: int = 4) -> np.ndarray:
    return RNG.integers(0, classes, shape).astype("int32")


def cases() -> list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]]:
    made: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = []
    for name in ("MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "Huber", "LogCosh"):
        made += [(name, {}, numbers(4, 3), numbers(4, 3)), (name, {}, numbers(3, 2, 4), numbers(3, 2, 4))]
        made += [(name, {}, numbers(3, scale=20), numbers(3, 1, scale=20))]
    made += [
        ("MeanAbsolutePercentageError", {}, np.array([[0, 1e-9, -2]], "float32"), np.array([[0.5, -1, 4]], "float32")),
        ("Huber", {"delta": 0.3}, numbers(4, 3), numbers(4, 3)),
        ("Huber", {"delta": 5.0}, numbers(2, 3), np.array([[1e4, -1e4, 3], [1e15, 8, -1e15]], "float32")),
        ("LogCosh", {}, np.zeros((2, 3), "float32"), np.array([[1e4, -1e4, 88], [1e30, -88, 0.5]], "float32")),
        ("MeanSquaredLogarithmicError", {}, shares(4, 3), shares(4, 3)),
        ("MeanSquaredLogarithmicError", {}, numbers(4, 3, scale=9), numbers(4, 3, scale=9)),
        ("MeanSquaredLogarithmicError", {}, np.array([[0, 1, 1e30]], "float32"), np.array([[1e30, 2, -5]], "float32")),
        ("Poisson", {}, labels(4, 3).astype("float32"), shares(4, 3) * 4),
        ("Poisson", {}, np.array([[0, 3, 1]], "float32"), np.array([[0, 0, 1e4]], "float32")),
        ("CosineSimilarity", {}, numbers(4, 3), numbers(4, 3)),
        ("CosineSimilarity", {"axis": 1}, numbers(2, 3, 2), numbers(2, 3, 2)),
        ("CosineSimilarity", {}, np.array([[0, 0], [1, 2]], "float32"), np.array([[1, 2], [1e-9, 0]], "float32")),
    ]
    for name in ("Hinge", "SquaredHinge"):
        made += [
            (name, {}, 2 * bits(4, 3) - 1, numbers(4, 3, scale=2)),
            (name, {}, bits(4, 3), numbers(4, 3, scale=2)),
            (name, {}, np.array([[0, 1, -1]], "float32"), numbers(1, 3)),
            (name, {}, np.ones((2, 1), "float32"), numbers(2, 1)),
            (name, {}, numbers(3), numbers(3, 1)),
        ]
    made += [
        ("CategoricalHinge", {}, hot(5), numbers(5, 4, scale=2)),
        ("CategoricalHinge", {}, hot(2, 3), rows(2, 3, 4)),
        ("KLDivergence", {}, rows(4, 3), rows(4, 3)),
        ("KLDivergence", {}, rows(2, 2, 3), rows(2, 2, 3)),
        ("KLDivergence", {}, np.array([[0, 1], [0.5, 0.5]], "float32"), np.array([[0.2, 0.8], [0, 1]], "float32")),
        ("Dice", {}, bits(3, 4), shares(3, 4)),
        ("Dice", {"axis": 1}, bits(3, 4), shares(3, 4)),
        ("Dice", {"axis": [1, 2]}, bits(2, 3, 2), shares(2, 3, 2)),
        ("Dice", {"axis": -1}, np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32")),
        ("Tversky", {}, bits(3, 4), shares(3, 4)),
        ("Tversky", {"alpha": 0.2, "beta": 0.7, "axis": -1}, bits(3, 4), shares(3, 4)),
    ]
    huge = np.array([[1e4, -1e4, 0, 88], [-1e30, 1e30, 0, -88], [-1e4, -1e4, -1e4, -1e4]], "float32")
    edge = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0]], "float32")
    for name, target in (("BinaryCrossentropy", bits), ("BinaryFocalCrossentropy", bits)):
        made += [
            (name, {}, target(4, 3), shares(4, 3)),
            (name, {}, target(4), shares(4, 1)),
            (name, {}, shares(4, 3), shares(4, 3)),
            (name, {"label_smoothing": 0.2}, target(4, 3), shares(4, 3)),
            (name, {"from_logits": True}, target(4, 3), numbers(4, 3, scale=2)),
            (name, {"from_logits": True, "label_smoothing": 0.1}, target(3, 2, 2), numbers(3, 2, 2, scale=2)),
            (name, {"axis": 1}, target(3, 2, 4), shares(3, 2, 4)),
        ]
    made += [
        ("BinaryCrossentropy", {"from_logits": True}, bits(3, 4), huge),
        ("BinaryCrossentropy", {}, bits(3, 4), edge),
        ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.7}, bits(4, 3), shares(4, 3)),
        ("BinaryFocalCrossentropy", {"gamma": 0.5}, bits(4, 3), shares(4, 3)),
        ("BinaryFocalCrossentropy", {"gamma": 3.5, "from_logits": True}, bits(4, 3), numbers(4, 3)),
    ]
    for name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy"):
        made += [
            (name, {}, hot(5), rows(5, 4)),
            (name, {}, rows(5, 4), rows(5, 4)),
            (name, {}, hot(2, 3), shares(2, 3, 4)),
            (name, {"label_smoothing": 0.2}, hot(5), rows(5, 4)),
            (name, {"from_logits": True}, hot(5), numbers(5, 4, scale=3)),
            (name, {"from_logits": True, "label_smoothing": 0.1}, hot(5), numbers(5, 4)),
            (name, {"from_logits": True, "axis": 1}, rows(2, 3, 3).swapaxes(1, 2), numbers(2, 3, 3)),
            (name, {"axis": 1}, rows(2, 3, 3).swapaxes(1, 2), rows(2, 3, 3).swapaxes(1, 2)),
        ]
    made += [
        ("CategoricalCrossentropy", {"from_logits": True}, hot(3), huge),
        ("CategoricalCrossentropy", {}, hot(3), edge),
        ("CategoricalFocalCrossentropy", {"alpha": 1.0, "gamma": 0.5}, hot(5), rows(5, 4)),
        ("SparseCategoricalCrossentropy", {}, labels(5), rows(5, 4)),
        ("SparseCategoricalCrossentropy", {}, labels(5, 1), rows(5, 4)),
        ("SparseCategoricalCrossentropy", {}, labels(2, 3), shares(2, 3, 4)),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, labels(5), numbers(5, 4, scale=3)),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, labels(3), huge),
        ("SparseCategoricalCrossentropy", {"ignore_class": 2}, np.array([0, 2, 3, 2, 1], "int32"), rows(5, 4)),
        (
            "SparseCategoricalCrossentropy",
            {"ignore_class": -1, "from_logits": True},
            np.array([[0, -1, 3], [-1, -1, 1]], "int32"),
            numbers(2, 3, 4),
        ),
        ("SparseCategoricalCrossentropy", {"ignore_class": 0}, np.zeros(3, "int32"), rows(3, 4)),
        ("CategoricalGeneralizedCrossEntropy", {}, labels(5), rows(5, 4)),
        ("CategoricalGeneralizedCrossEntropy", {"q": 0.9}, labels(2, 3), rows(2, 3, 4)),
    ]
    return made


def case(name: str, config: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    def make(reduction: str) -> keras.losses.Loss:
        return getattr(keras.losses, name)(**config, reduction=reduction)

    values = make("none")(y_true, y_pred)
    weights = [np.abs(numbers(len(y_true))), shares(len(y_true), 1)]
    if values.ndim == 2:
        weights = [shares(*values.shape), shares(len(y_true), 1)]
    if name in ("Dice", "Tversky") and values.ndim == 0:
        weights = weights[:1]
    return {
        "class": name,
        "config": config,
        "y_true": y_true,
        "target_dtype": str(y_true.dtype),
        "y_pred": y_pred,
        "values": values,
        "gradient": jax.grad(lambda p: make("sum_over_batch_size")(y_true, p))(y_pred),
        "weights": weights,
        "reduced": {r: make(r)(y_true, y_pred) for r in REDUCTIONS},
        "weighted": [{str(r): make(r)(y_true, y_pred, w) for r in WEIGHTED} for w in weights],
    }


def short(x: Any) -> Any:
    """Seven digits: enough to compare to 1e-5."""
    if isinstance(x, dict):
        return {k: short(v) for k, v in x.items()}
    if isinstance(x, list):
        return [short(v) for v in x]
    return float(f"{x:.7g}") if isinstance(x, float) else x


def defaults() -> dict[str, Any]:
    classes = [n for n in public(keras.losses) if n[0].isupper() and n not in ("Loss", "CTC", "Circle")]
    return {n: getattr(keras.losses, n)().get_config() for n in classes}


def public(room: Any) -> list[str]:
    return [n for n in dir(room) if not n.startswith("_")]


def names() -> dict[str, str]:
    """Which strings Keras takes, and for what."""
    return {name: found.__name__ for name, found in keras.src.losses.ALL_OBJECTS_DICT.items()}


def main() -> None:
    """Ask Keras everything, write the file."""
    answers = {
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "public": public(keras.losses),
        "names": names(),
        "defaults": defaults(),
        "cases": [case(*c) for c in cases()],
    }
    text = json.dumps(short(plain(answers)), separators=(",", ":"))
    path = Path(__file__).with_name("losses.json")
    path.write_text(text.replace(',"', ',\n"') + "\n", encoding="utf-8")
    print(f"{path}: {len(text):,} characters, from Keras {keras.__version__} on {keras.config.backend()}")


if __name__ == "__main__":
    main()
