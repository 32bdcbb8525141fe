"""Writes metrics.json: the figures of Keras's metrics, streamed in pieces, for `test_metrics.py` to compare nacre's with.

Run by hand, as `make_keras.py` is:

    KERAS_BACKEND=jax python tests/golden/make_metrics.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from make_keras import plain, probabilities

RNG = np.random.default_rng(7)
ENDS = [3, 4, 11]  # where the pieces end


def _some(*shape: int) -> np.ndarray:
    return RNG.random(shape).round(2).astype("float32")


WEIGHTS = np.array([1, 2, 0.5, 1, 0, 3, 1, 1, 0.25, 1, 2], "float32")
CLASSES = RNG.integers(0, 4, 11)
DATA = {
    "bits": (RNG.integers(0, 2, 11).astype("float32"), _some(11)),
    "column": (RNG.integers(0, 2, (11, 1)).astype("float32"), _some(11, 1)),
    "labels": (RNG.integers(0, 2, (11, 3)).astype("float32"), _some(11, 3)),
    "logits": (RNG.integers(0, 2, 11).astype("float32"), RNG.standard_normal(11).round(2).astype("float32")),
    "one hot": (np.eye(4, dtype="float32")[CLASSES], probabilities(11, 4).round(3)),
    "classes": (CLASSES, probabilities(11, 4).round(3)),
    "numbers": (
        RNG.standard_normal((11, 2)).round(2).astype("float32"),
        RNG.standard_normal((11, 2)).round(2).astype("float32"),
    ),
    "amounts": (_some(11, 2) + 0.5, _some(11, 2) + 0.5),
    "signs": (np.sign(_some(11, 2) - 0.5), (_some(11, 2) - 0.5) * 3),
    "equal": (RNG.integers(0, 3, (11, 2)).astype("float32"), RNG.integers(0, 3, (11, 2)).astype("float32")),
}

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("Accuracy", {}, "equal"),
    ("BinaryAccuracy", {}, "bits"),
    ("BinaryAccuracy", {"threshold": 0.3}, "column"),
    ("CategoricalAccuracy", {}, "one hot"),
    ("SparseCategoricalAccuracy", {}, "classes"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "classes"),
    *((name, {}, kind) for name in ("Precision", "Recall") for kind in ("bits", "column", "labels")),
    *((name, {"thresholds": [0.0, 0.4, 1.0]}, "bits") for name in ("Precision", "Recall")),
    *((name, {"top_k": 2}, "one hot") for name in ("Precision", "Recall")),
    *((name, {"class_id": 1, "thresholds": 0.3}, "labels") for name in ("Precision", "Recall")),
    *((f"{a}{b}", {}, "bits") for a in ("True", "False") for b in ("Positives", "Negatives")),
    ("FalseNegatives", {"thresholds": [0.2, 0.7]}, "labels"),
    *(
        ("AUC", {"curve": curve, "summation_method": how, "num_thresholds": n}, kind)
        for curve in ("ROC", "PR")
        for how in ("interpolation", "minoring", "majoring")
        for n, kind in ((200, "bits"), (5, "labels"))
    ),
    ("AUC", {"from_logits": True}, "logits"),
    ("AUC", {"multi_label": True}, "labels"),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 0.0, 3.0], "curve": "PR"}, "labels"),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, "bits"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 10}, "bits"),
    ("PrecisionAtRecall", {"recall": 0.4}, "labels"),
    ("RecallAtPrecision", {"precision": 0.6}, "bits"),
    ("RecallAtPrecision", {"precision": 0.6, "class_id": 2}, "labels"),
    *(("F1Score", {"average": average}, "one hot") for average in (None, "micro", "macro", "weighted")),
    ("F1Score", {"threshold": 0.4, "average": "macro"}, "labels"),
    ("FBetaScore", {"beta": 2.0, "average": "weighted"}, "one hot"),
    ("FBetaScore", {"beta": 0.5, "threshold": 0.6}, "labels"),
    *((name, {}, "numbers") for name in ("MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError")),
    *((name, {}, "numbers") for name in ("CosineSimilarity", "LogCoshError", "R2Score")),
    ("R2Score", {"class_aggregation": None}, "numbers"),
    ("R2Score", {"class_aggregation": "variance_weighted_average", "num_regressors": 1}, "amounts"),
    *((name, {}, "amounts") for name in ("PearsonCorrelation", "ConcordanceCorrelation")),
    *((name, {}, "amounts") for name in ("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson")),
    ("KLDivergence", {}, "one hot"),
    *((name, {}, "signs") for name in ("Hinge", "SquaredHinge", "CategoricalHinge")),
    ("BinaryCrossentropy", {}, "labels"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "column"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one hot"),
    ("SparseCategoricalCrossentropy", {}, "classes"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "classes"),
]


def figures(name: str, config: dict[str, Any], kind: str, weighted: bool) -> list[Any]:
    """The figure after each piece."""
    y_true, y_pred = DATA[kind]
    metric, found, start = getattr(keras.metrics, name)(**config), [], 0
    for end in ENDS:
        weight = WEIGHTS[start:end] if weighted else None
        metric.update_state(y_true[start:end], y_pred[start:end], sample_weight=weight)
        found.append(plain(metric.result()))
        start = end
    return found


if __name__ == "__main__":
    cases = []
    for name, config, kind in CASES:
        two = {"plain": figures(name, config, kind, False), "weighted": figures(name, config, kind, True)}
        cases.append({"class": name, "config": config, "data": kind, **two})
    public = sorted(n for n in dir(keras.metrics) if n[0].isupper())
    data = {kind: [plain(x) for x in pair] for kind, pair in DATA.items()}
    described = {"keras": keras.__version__, "backend": keras.backend.backend(), "public": public, "ends": ENDS}
    described |= {"weights": plain(WEIGHTS), "data": data}
    lines = [json.dumps(described)[:-1] + ', "cases": [', ",\n".join(json.dumps(c) for c in cases), "]}"]
    (Path(__file__).parent / "metrics.json").write_text("\n".join(lines) + "\n")
