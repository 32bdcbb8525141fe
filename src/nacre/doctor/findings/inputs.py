"""What is wrong with the inputs: their scale, outliers, columns that say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from nacre.doctor.case import Array, Case, Described
from nacre.doctor.facts import NORMALIZING, Facts, rms
from nacre.doctor.finding import Finding, Fix, many
from nacre.layers import Dense

_LARGE, _SMALL = 8.5, 0.02  # typical size of numbers that a network takes badly
_SPREAD = 100.0  # between columns
_FAR = 30.0  # standard deviations

_SCALED = """
normalize = nacre.layers.Normalization()
normalize.adapt(x_train)          # the means and deviations of the rows to train on
model = nacre.Sequential([normalize, *layers])
"""
_CLIPPED = """
middle = np.median(x_train, axis=0)
deviation = 1.48 * np.median(np.abs(x_train - middle), axis=0)
x_train, x_test = (np.clip(x, middle - 5 * deviation, middle + 5 * deviation) for x in (x_train, x_test))
"""


def scale(facts: Facts) -> Iterator[Finding]:
    """Inputs that are large, tiny, or on different scales, where they reach the first layer that learns."""
    first = facts.first
    if first is None or not isinstance(first.layer, Dense) or not facts.columns:
        return
    arriving = first.inputs[0].reshape(len(first.inputs[0]), -1).astype(np.float64)
    body = trimmed(arriving)
    size, deviations = rms(body), body.std(axis=0)
    varying = deviations[deviations > 0]
    spread = float(varying.max() / np.median(varying)) if len(varying) else 1.0
    numbers = {
        "typical size of an input": size,
        "standard deviation of columns": f"{varying.min():.3g} to {varying.max():.3g}" if len(varying) else "0",
        "fits well": "about 1",
    }
    fix = Fix("Bring every column to mean 0 and standard deviation 1.", _SCALED, standardized)
    uneven = spread > _SPREAD and float(deviations.max()) > _LARGE
    if size > _LARGE or uneven:
        why = (
            "The first step of each weight is in proportion to its input: large inputs make the gradient of the first "
            "layer large, so "
            "that a usual learning rate is too large for it, and units are driven to where they do not answer any more."
        )
        which = "on very different scales" if size <= _LARGE else f"about {size:.3g} large"
        yield Finding("unscaled inputs", f"the numbers that reach {first.name!r} are {which}", 92, numbers, why, fix)
    elif 0 < size < _SMALL:
        why = "The gradient of the first layer is in proportion to its inputs: with such small ones it hardly moves."
        yield Finding("unscaled inputs", f"the numbers that reach {first.name!r} are tiny", 92, numbers, why, fix)
    elif size == 0:
        why = "Every row looks alike: nothing can be told apart."
        yield Finding("constant inputs", f"all that reaches {first.name!r} is 0", 96, numbers, why, structure=True)


def outliers(facts: Facts) -> Iterator[Finding]:
    """Numbers that are far beyond all others."""
    if facts.first is None or isinstance(facts.first.layer, NORMALIZING):
        return
    for name, columns in facts.columns.items():
        middle, typical = spread_of(columns)
        away = np.abs(columns - middle) / typical
        rows = np.flatnonzero((away > _FAR).any(axis=1))
        if not len(rows):
            continue
        row, column = np.unravel_index(int(away.argmax()), away.shape)
        value = columns[row, column]
        repeated = int((columns == value).any(axis=1).sum())
        if repeated > max(3, 0.3 * len(rows)):
            numbers: dict[str, Any] = {"rows": repeated, "deviations away": float(away.max())}
            why = (
                "One number, far from all others, stands in many rows: it is likely how a missing value was written. The network "
                "takes it for a number like others, and it drowns them."
            )
            fix = Fix(
                "Put the median in its place, and say in a column of its own where it was missing.",
                f"missing = x == {value:.6g}\nx = np.where(missing, np.median(x, axis=0), x)",
                partial(_filled, name=name, value=float(value)),
            )
            title = f"{value:.6g} stands in {many(repeated, 'row')} of {facts.called(name)}"
            yield Finding("outliers", f"{title}: missing values?", 93, numbers, why, fix)
            continue
        if len(rows) > 0.01 * len(columns):
            continue
        numbers = {
            "rows": len(rows),
            "furthest": f"{columns[row, column]:.4g} in column {column} of row {facts.rows[row]}",
            "deviations away": float(away.max()),
        }
        why = (
            "A row pushes the weights in proportion to its inputs: a few such rows push harder than all others "
            "together, and throw "
            "the network in an arbitrary direction each time they come."
        )
        fix = Fix(
            "Clip the numbers to where nearly all of them are, or mend these rows.",
            _CLIPPED,
            partial(_clipped, name=name),
        )
        title = f"{many(len(rows), 'row')} of {facts.called(name)} far beyond the others"
        yield Finding("outliers", title, 91, numbers, why, fix)


def silent_columns(facts: Facts) -> Iterator[Finding]:
    """Columns that say nothing, or say the same as another."""
    for name, columns in facts.columns.items():
        low, high = columns.min(axis=0), columns.max(axis=0)
        constant = np.flatnonzero(low == high)
        if len(constant):
            numbers = {"columns": len(constant), "of": columns.shape[1], "first": int(constant[0])}
            why = "They say nothing about the target, and their weights never learn anything; they only cost time."
            yield Finding(
                "constant columns", f"{len(constant):,} columns of {facts.called(name)} never change", 8, numbers, why
            )
        varying = np.flatnonzero(low != high)
        _, first, counts = np.unique(columns[:, varying], axis=1, return_index=True, return_counts=True)
        twice = int((counts - 1).sum())
        if twice and columns.shape[1] <= 2000:
            pair = varying[first[counts > 1][:1]]
            numbers = {"columns too many": twice, "for example": f"column {int(pair[0])} is there again"}
            why = "Weights of equal columns share one job in an arbitrary way: nothing is gained, and weights become hard to read."
            yield Finding(
                "duplicate columns", f"{twice:,} columns of {facts.called(name)} repeat others", 9, numbers, why
            )


def trimmed(columns: Array) -> Array:
    """Columns whose lowest and highest fiftieth is cut back to the rest."""
    low, high = np.percentile(columns, [2, 98], axis=0)
    return np.clip(columns, low, high)


def spread_of(columns: Array) -> tuple[Array, Array]:
    """Middle and typical deviation of each column, of which a few broken rows change nothing. A column that hardly varies is
    measured by the others."""
    middle = np.median(columns, axis=0)
    tenth, quarter, three, nine = np.percentile(columns, [10, 25, 75, 90], axis=0)
    body = np.clip(columns, tenth, nine)
    typical = np.where(three > quarter, (three - quarter) / 1.349, trimmed(columns).std(axis=0))
    return middle, np.maximum(typical, max(0.3 * rms(body - body.mean(axis=0)), 1e-12))


def standardized(case: Case) -> Case:
    """The case with inputs of mean 0 and standard deviation 1: in a row of layers by one before them, so that the network takes
    what it took; else as data."""
    for name, array in case.x.items():
        if array.dtype.kind in "fu":
            mean = array.mean(axis=0, dtype=np.float64)
            deviation = array.std(axis=0, dtype=np.float64)
            floor = max(1e-3 * float(deviation.max()), 1e-30)  # a column that hardly varies is no signal to be blown up
            deviation = np.maximum(deviation, floor)
            if type(case.model).__name__ == "Sequential":
                return case.rebuilt(
                    partial(_normalized, first=case.model.layers[0].name, mean=mean, deviation=deviation)
                )
            case = case.inputs_changed(partial(_measured_by, mean=mean, deviation=deviation), name)
    return case.fresh()


def _normalized(layer: Described, first: str, mean: Array, deviation: Array) -> Any:
    """The layers in the place of one: before the first, one that normalizes."""
    config = layer["config"]
    if config["name"] != first:
        return layer
    came = {name: config.get(name) for name in ("input_shape", "input_dim")}
    axes = list(range(1, mean.ndim + 1))
    own = {"axis": axes, "mean": mean.tolist(), "variance": (deviation**2).tolist(), "name": "standardized", **came}
    return [{"class_name": "Normalization", "config": own}, layer | {"config": config | dict.fromkeys(came)}]


def _filled(case: Case, name: str, value: float) -> Case:
    columns = case.x[name].astype(np.float64)
    middle = np.nanmedian(np.where(columns == value, np.nan, columns), axis=0)
    return case.inputs_changed(lambda a: np.where(a == value, middle, a).astype(a.dtype), name).fresh()


def _measured_by(a: Array, mean: Array, deviation: Array) -> Array:
    return np.clip((a - mean) / deviation, -10, 10).astype(np.float32)


def _clipped(case: Case, name: str) -> Case:
    columns = case.x[name].reshape(len(case), -1).astype(np.float64)
    middle, typical = (a.reshape(case.x[name].shape[1:]) for a in spread_of(columns))
    return case.inputs_changed(
        lambda a: np.clip(a, middle - 5 * typical, middle + 5 * typical).astype(a.dtype), name
    ).fresh()


RULES = (scale, outliers, silent_columns)
