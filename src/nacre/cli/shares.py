"""Accuracies, and how sure they are where few rows were judged."""

from __future__ import annotations

from nacre.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    told_of_few,
    wilson_interval,
)
from nacre.models import Model

_OF_CLASSES = (CategoricalAccuracy, SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy)
_OF_NUMBERS = (Accuracy, BinaryAccuracy)  # of each number in the output


def shares(model: Model) -> list[str]:
    """Names of the metrics that are the share of rows with a right answer."""
    if len(model.output_shapes) > 1 or len(model.output_shapes[0]) != 2:
        return []
    kinds = _OF_CLASSES if model.output_shapes[0][-1] != 1 else _OF_NUMBERS
    return [metric.name for metric in model.metrics if isinstance(metric, kinds)]


def told(model: Model, name: str, value: float, rows: int, always: bool = False) -> str:
    """A figure of so many rows for people; with the interval around a share of few rows, or ``always``."""
    if name not in shares(model):
        return f"{value:.4f}"
    if few := told_of_few(value, rows):
        return f"{value:.4f} ({few})"
    low, high = wilson_interval(value, rows)
    return f"{value:.4f}" + (f"  ({low:.4f} to {high:.4f} with 95 % confidence)" if always else "")
