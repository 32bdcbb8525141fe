"""What is wrong between the rows to train on and those to judge by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from nacre.doctor.case import Array, Case
from nacre.doctor.facts import Facts
from nacre.doctor.finding import Finding, Fix


def leak(facts: Facts) -> Iterator[Finding]:
    """Rows for validation that were trained on."""
    if not facts.case.given:
        return
    train, judged = _keys(facts.case.x), _keys(facts.case.x_validation)
    known = set(train.tolist())
    seen = np.array([key in known for key in judged.tolist()])
    again = 1 - len(known) / len(train)  # what repeats by itself, as in tables of few columns
    share = float(seen.mean())
    if share < 0.02 + 1.5 * again:
        return
    numbers = {"rows for validation": len(judged), "of them trained on": int(seen.sum()), "share": share}
    why = "A row that was trained on says nothing of rows to come: the validation looks better than the network is."
    fix = Fix(
        "Take these rows out of the validation.",
        "known = {row.tobytes() for row in x_train}\nnew = [row.tobytes() not in known for row in x_val]\nx_val, "
        "y_val = x_val[new], y_val[new]",
        partial(_judged_by_others, seen=seen),
    )
    yield Finding(
        "leakage", f"{share:.0%} of the rows for validation are rows that are trained on", 60, numbers, why, fix
    )


def shift(facts: Facts) -> Iterator[Finding]:
    """Rows for validation that are unlike those to train on."""
    if not facts.case.given:
        return
    for name, train in facts.columns.items():
        judged = facts.columns_to_judge[name]
        if len(judged) < 20:
            continue
        a, b = float(train.std()), float(judged.std())
        typical = np.maximum(train.std(axis=0), 0.1 * max(a, 1e-12))
        apart = float(np.sqrt(np.mean(((judged.mean(axis=0) - train.mean(axis=0)) / typical) ** 2)))
        ratio = b / max(a, 1e-12)
        if apart < 0.5 and 0.6 < ratio < 1.6:
            continue
        numbers = {
            "means apart, in standard deviations": apart,
            "spread of the validation, to that of training": ratio,
            "range of training": f"{train.min():.4g} to {train.max():.4g}",
            "range of validation": f"{judged.min():.4g} to {judged.max():.4g}",
        }
        why = (
            "A network is only good for rows like those it was trained on. Most often, one part was scaled, ordered "
            "or cut otherwise than "
            "the other."
        )
        fix = Fix(
            "Prepare both parts by the same steps, with the numbers of the rows to train on.",
            "mean, deviation = x_train.mean(axis=0), x_train.std(axis=0)\nx_train, x_val = ((x - mean) / deviation "
            "for x in (raw_train, raw_val))",
            partial(_aligned, name=name),
        )
        yield Finding(
            "validation data differ",
            f"{facts.called(name)} are distributed otherwise in the validation",
            87,
            numbers,
            why,
            fix,
        )


def label_shift(facts: Facts) -> Iterator[Finding]:
    """Classes that are much more frequent in one part than in the other."""
    if not facts.case.given or facts.task.kind != "classes":
        return
    judged = facts.task.labels_of(next(iter(facts.case.y_validation.values())))
    if len(judged) < 50 or len(np.setdiff1d(judged, facts.labels)):
        return
    shares = np.bincount(judged, minlength=facts.task.classes)[: facts.task.classes] / len(judged)
    apart = float(np.abs(shares - np.asarray(facts.task.shares)).sum() / 2)
    if apart < 0.3:
        return
    numbers = {"share of rows of other classes": apart}
    why = "The network learned how frequent each class is among the rows to train on; elsewhere it is wrong by as much."
    yield Finding("validation data differ", "classes are mixed otherwise in the validation", 45, numbers, why)


def _keys(inputs: Mapping[str, Array]) -> Array:
    """A number for each row, equal for equal rows."""
    rows = np.hstack([np.ascontiguousarray(a).reshape(len(a), -1).astype(np.float32) for a in inputs.values()])
    return np.array([hash(row.tobytes()) for row in rows])


def _judged_by_others(case: Case, seen: Array) -> Case:
    """The case, judged by the rows that were not seen; if hardly any are left, by some that are not trained on any more."""
    if (~seen).sum() >= 20:
        rows = np.flatnonzero(~seen)
        x, y = ({n: a[rows] for n, a in part.items()} for part in (case.x_validation, case.y_validation))
        return case.with_(x_validation=x, y_validation=y)
    order = np.random.default_rng(0).permutation(len(case))
    held, kept = np.split(order, [len(order) // 5])
    x, y = ({n: a[held] for n, a in part.items()} for part in (case.x, case.y))
    return case.take(np.sort(kept)).with_(x_validation=x, y_validation=y)


def _aligned(case: Case, name: str) -> Case:
    train, judged = case.x[name].astype(np.float64), case.x_validation[name].astype(np.float64)
    scale = train.std() / max(judged.std(), 1e-12)
    again = ((judged - judged.mean()) * scale + train.mean()).astype(np.float32)
    return case.with_(x_validation=case.x_validation | {name: again})


RULES = (leak, shift, label_shift)
