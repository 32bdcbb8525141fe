"""Metrics: what is measured beside the loss. Each batch gives sums, and the sums of all batches give the figure."""

from __future__ import annotations

import inspect
from typing import Any

from nacre.absent import absent as _absent
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
from nacre.metrics.distance import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    OwnFunction,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from nacre.metrics.metric import MeanMetric, Metric
from nacre.metrics.regression import (
    ConcordanceCorrelation,
    CosineSimilarity,
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
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
_SHORT: dict[str, type] = {
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
    "rmse": RootMeanSquaredError,
}
TABLE = names(*_CLASSES, **_SHORT, **{short.upper(): kind for short, kind in _SHORT.items()})
_ACCURACY = ("accuracy", "acc")


def get(identifier: Any, target: TensorType | None = None, output: TensorType | None = None) -> Metric:
    """The metric that ``identifier`` means: a name, a metric, or a function (y_true, y_pred) of values, whose mean is taken.

    "accuracy" is binary, categorical or sparse by the shapes of target and output.

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
    metric = resolve("metric", identifier, TABLE | dict.fromkeys(_ACCURACY))
    if inspect.isfunction(metric):
        return OwnFunction(metric)
    if not isinstance(metric, Metric):
        raise UsageError(f"{identifier!r} is no metric.", hint="a name, or a subclass of nacre.metrics.Metric")
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "ConfusionMatrix",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetric",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "get",
]
__getattr__ = _absent("metrics", __all__)
