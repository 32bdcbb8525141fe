"""Metrics: what is measured beside the loss. Each batch gives sums, and the sums of all batches give the figure."""

from __future__ import annotations

from typing import Any

from nacre.configured import names, resolve
from nacre.errors import UsageError
from nacre.ir import TensorType
from nacre.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from nacre.metrics.confusion import (
    AUC,
    ConfusionMatrix,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from nacre.metrics.metric import MeanMetric, Metric
from nacre.metrics.regression import (
    ConcordanceCorrelation,
    CosineSimilarity,
    MeanAbsoluteError,
    MeanSquaredError,
    PearsonCorrelation,
    R2Score,
    RootMeanSquaredError,
)

_CLASSES = (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    AUC,
    F1Score,
    FBetaScore,
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
    ConcordanceCorrelation,
    CosineSimilarity,
    MeanAbsoluteError,
    MeanSquaredError,
    PearsonCorrelation,
    R2Score,
    RootMeanSquaredError,
)
_TABLE = names(*_CLASSES, mse=MeanSquaredError, MSE=MeanSquaredError, mae=MeanAbsoluteError, MAE=MeanAbsoluteError)
_ACCURACY = ("accuracy", "acc")


def get(identifier: Any, target: TensorType | None = None, output: TensorType | None = None) -> Metric:
    """The metric that ``identifier`` means. "accuracy" is binary, categorical or sparse by the shapes of target and output.

    >>> get("mse").name
    'mse'
    """
    if isinstance(identifier, str) and identifier in _ACCURACY:
        if target is None or output is None:
            raise UsageError('"accuracy" needs the shapes of targets and outputs to know which accuracy is meant.')
        binary = output.shape[-1] == 1
        sparse = target.rank < output.rank or target.shape[-1] == 1
        return (BinaryAccuracy if binary else SparseCategoricalAccuracy if sparse else CategoricalAccuracy)(
            name=identifier
        )
    metric: Metric = resolve("metric", identifier, _TABLE | dict.fromkeys(_ACCURACY))
    if not isinstance(metric, Metric):
        raise UsageError(f"{identifier!r} is no metric.", hint="a name, or a subclass of nacre.metrics.Metric")
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConcordanceCorrelation",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "MeanAbsoluteError",
    "MeanMetric",
    "MeanSquaredError",
    "Metric",
    "PearsonCorrelation",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "get",
]
