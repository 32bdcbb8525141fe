"""Every metric, streamed over pieces of the data and over a model, gives the figures of Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import metrics
from nacre.errors import DataError, NacreError, ShapeError, UsageError
from nacre.models import load_model

KERAS = json.loads((Path(__file__).parent / "metrics.json").read_text())
WEIGHTS = np.asarray(KERAS["weights"], "float32")
DATA = {
    kind: (np.asarray(y, "int32" if kind == "classes" else "float32"), np.asarray(p, "float32"))
    for kind, (y, p) in KERAS["data"].items()
}
EXCLUDED = {
    **dict.fromkeys(["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"], "for masks of images"),
    "Mean": "a running mean of anything is no measure of a model: numpy.mean",
    "Sum": "as Mean: numpy.sum",
    "MeanMetricWrapper": "a function of (y_true, y_pred) is a metric as it is; MeanMetric is the class to derive from",
}
OWN = {"ConfusionMatrix", "MeanMetric", "get"}


def named(case: dict[str, Any]) -> str:
    return "-".join([case["class"], *(f"{k}={v}" for k, v in case["config"].items()), case["data"]])


def close(found: Any, expected: Any) -> bool:
    return bool(np.allclose(found, expected, rtol=1e-5, atol=2e-7))


def test_every_metric_of_keras_is_here_or_excluded_for_a_reason() -> None:
    classes = {name for name in metrics.__all__ if name[0].isupper()}
    assert set(KERAS["public"]) == (classes - OWN) | set(EXCLUDED)
    assert {case["class"] for case in KERAS["cases"]} == classes - OWN - {"Metric"}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_a_metric_by_hand_is_that_of_keras_after_each_piece(case: dict[str, Any], weighted: bool) -> None:
    metric = getattr(metrics, case["class"])(**case["config"])
    metric = metrics.get({"class_name": case["class"], "config": metric.get_config()})
    y_true, y_pred = DATA[case["data"]]
    for _ in range(2):
        start = 0
        for end, expected in zip(KERAS["ends"], case["weighted" if weighted else "plain"], strict=True):
            weight = WEIGHTS[start:end] if weighted else None
            metric.update_state(y_true[start:end], y_pred[start:end], sample_weight=weight)
            assert close(metric.result(), expected), end
            start = end
        metric.reset_state()


@pytest.mark.parametrize("device", ["native", "reference"])
@pytest.mark.parametrize("case", [c for c in KERAS["cases"] if np.ndim(c["plain"][-1]) == 0], ids=named)
def test_a_metric_in_a_model_is_that_of_keras(case: dict[str, Any], device: str) -> None:
    y_true, y_pred = DATA[case["data"]]
    y_pred = y_pred.reshape(len(y_pred), -1)
    model = nacre.Sequential([nacre.Input(y_pred.shape[1:]), nacre.layers.Activation("linear")])
    loss = "sparse_categorical_crossentropy" if case["data"] == "classes" else "mse"
    metric = getattr(metrics, case["class"])(**case["config"])
    model.compile("sgd", loss, metrics=[metric], device=device)
    found = model.evaluate(y_pred, y_true, batch_size=4, verbose=0, return_dict=True)
    assert close(found[metric.name], case["plain"][-1])


def test_what_is_no_single_number_is_refused_in_a_model_and_says_what_to_do() -> None:
    model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(3, activation="sigmoid")])
    x, y = np.ones((4, 3), "float32"), np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    for metric in (metrics.F1Score(), metrics.Precision(thresholds=[0.2, 0.4])):
        model.compile("sgd", "mse", metrics=[metric])
        with pytest.raises(UsageError, match="history holds numbers"):
            model.fit(x, y, verbose=0)


def test_a_function_and_a_class_of_ones_own_are_metrics(tmp_path: Path) -> None:
    def largest(y_true, y_pred):
        return nacre.ops.max(nacre.ops.abs(y_pred - y_true), axis=-1)

    class Largest(metrics.MeanMetric):
        def values(self, y_true, y_pred):
            return largest(y_true, y_pred)

    x, y = np.array([[1.0, 2.0], [3.0, 3.0]], "float32"), np.array([[1.0, 4.0], [0.0, 3.0]], "float32")
    for metric in (largest, Largest()):
        model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Activation("linear")])
        model.compile("sgd", "mse", metrics=[metric])
        assert model.evaluate(x, y, verbose=0, return_dict=True)["largest"] == 2.5
        model.save(tmp_path / "model")
        again = load_model(tmp_path / "model", {"largest": largest, "Largest": Largest})
        assert again.evaluate(x, y, verbose=0, return_dict=True)["largest"] == 2.5


def test_a_confusion_matrix_counts_pairs_of_classes() -> None:
    matrix = metrics.ConfusionMatrix(3)
    outputs = np.eye(3)[[0, 1, 1, 2, 2]]
    matrix.update_state([0, 1, 2, 2, 0], outputs)
    matrix.update_state([[0]], [[0.2, 0.9, 0.1]], sample_weight=[3.0])
    assert matrix.result().tolist() == [[1, 3, 1], [0, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=1.5), "1.5"),
        (lambda: metrics.Precision(top_k=0), "top_k"),
        (lambda: metrics.AUC(curve="roc"), "roc"),
        (lambda: metrics.AUC(summation_method="left"), "left"),
        (lambda: metrics.AUC(num_thresholds=1), "at least 2"),
        (lambda: metrics.AUC(label_weights=[1.0]), "multi_label"),
        (lambda: metrics.F1Score(average="mean"), "mean"),
        (lambda: metrics.FBetaScore(beta=0), "beta"),
        (lambda: metrics.R2Score(class_aggregation="sum"), "sum"),
        (lambda: metrics.R2Score(num_regressors=-1), "num_regressors"),
        (lambda: metrics.SensitivityAtSpecificity(2), "specificity"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0.5), "k of a top-k"),
        (lambda: metrics.Recall(class_id=5)([[1.0, 0.0]], [[0.5, 0.5]]), "no class 5"),
        (lambda: metrics.Recall()([1.0, 0.0], [0.5]), "do not fit"),
        (lambda: metrics.Recall()([1.0, 0.0], [0.5, 0.5], [1.0]), "sample weights"),
        (lambda: metrics.ConfusionMatrix(2)([0], [[0.1, 0.2, 0.7]]), "one for each class"),
        (lambda: metrics.F1Score()([1.0], [0.5]), "classes"),
    ],
)
def test_mistakes_are_named(make: Any, message: str) -> None:
    with pytest.raises((UsageError, ShapeError, DataError, NacreError), match=message):
        make()
