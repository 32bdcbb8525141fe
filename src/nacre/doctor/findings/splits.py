"""What is wrong between the rows to train on and those to judge by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from nacre.doctor.case import Array, Case
from nacre.doctor.facts import Facts, how_far
from nacre.doctor.finding import Finding, Fix

_EXPECTED = 10  # rows of a class for validation, of which there are none


def leak(facts: Facts) -> Iterator[Finding]:
    """Rows for validation that were trained on."""
    if not facts.case.given:
        return
    train, judged = _keys(facts.case.x), _keys(facts.case.x_validation)
    known = set(train.tolist())
    seen = np.array([key in known for key in judged.tolist()])
    share = float(seen.mean())
    if share < 0.02 + 3 * facts.met_by_chance(len(train)):  # which happens in tables of few columns
        return
    numbers = {"rows for validation": len(judged), "of them trained on": int(seen.sum()), "share": share}
    why = "A row that was trained on says nothing of rows to come: the validation looks better than the network is."
    fix = Fix(
        "Take these rows out of the validation.",
        "known = {row.tobytes() for row in x_train}\nnew = [row.tobytes() not in known for row in x_val]\nx_val, "
        "y_val = x_val[new], y_val[new]",
        partial(_judged_by_others, seen=seen),
    )
    title = f"{share:.0%} of the rows for validation are rows that are trained on"
    yield Finding("leakage", title, 60, numbers, why, fix, structure=True)


def given_away(facts: Facts) -> Iterator[Finding]:
    """A column that tells the target all by itself, where no other comes near."""
    if facts.task.kind not in ("classes", "numbers") or len(facts.columns) != 1:
        return
    ((name, columns),) = facts.columns.items()
    if columns.shape[1] < 3:
        return
    rows = facts.rows[: len(columns)]
    told = (
        _told_by_labels(columns, facts.labels[rows]) if facts.task.kind == "classes" else _told(columns, facts.targets)
    )
    order = np.argsort(-told)
    best, second = float(told[order[0]]), float(told[order[1]])
    if best < 0.98 or second > 0.8:
        return
    numbers = {"column": int(order[0]), "it explains of the target": best, "the next best column": second}
    why = (
        "One column is as good as the target itself: was it made from it, or written down afterwards? Of rows to come "
        "it will not be "
        "known, and the network learns nothing else."
    )
    fix = Fix(
        "Leave the column out.",
        f"x = np.delete(x, {int(order[0])}, axis=1)",
        partial(_without, name=name, column=int(order[0])),
    )
    yield Finding(
        "leakage",
        f"column {int(order[0])} of {facts.called(name)} gives the target away",
        63,
        numbers,
        why,
        fix,
        structure=True,
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
        worse = how_far(facts.trial.train, facts.task) - how_far(facts.trial.judged, facts.task)
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
        title = f"{facts.called(name)} are distributed otherwise in the validation"
        yield Finding(
            "validation data differ",
            title,
            87 if worse > 0.1 or apart > 3 or not 0.25 < ratio < 4 else 20,
            numbers,
            why,
            fix,
            structure=True,
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
    numbers: dict[str, Any] = {"share of rows of other classes": apart}
    why = "The network learned how frequent each class is among the rows to train on; elsewhere it is wrong by as much."
    absent = np.flatnonzero((shares == 0) & (np.asarray(facts.task.shares) * len(judged) > _EXPECTED))
    title = "classes are mixed otherwise in the validation"
    if len(absent):
        numbers |= {"rows for validation": len(judged), "classes without any": ", ".join(map(str, absent[:10]))}
        title = f"{len(absent)} of the classes that are trained {'is' if len(absent) == 1 else 'are'} never judged"
        why += " And the score says nothing of what is not in it. Were the rows mixed before they were divided?"
    yield Finding("validation data differ", title, 45, numbers, why, structure=len(absent) > 0)


def _keys(inputs: Mapping[str, Array]) -> Array:
    """A number for each row, equal for equal rows."""
    rows = np.hstack([np.ascontiguousarray(a).reshape(len(a), -1).astype(np.float32) for a in inputs.values()])
    return np.array([hash(row.tobytes()) for row in rows])


def _judged_by_others(case: Case, seen: Array) -> Case:
    """The case, judged by the rows that were not seen; if hardly any are left, by some that are not trained on any more."""
    if (~seen).sum() >= 20:
        return case.judged_by(np.flatnonzero(~seen))
    return case.holding_out(np.random.default_rng(0).permutation(len(case))[: len(case) // 5])


def _aligned(case: Case, name: str) -> Case:
    train, judged = case.x[name].astype(np.float64), case.x_validation[name].astype(np.float64)
    scale = train.std() / max(judged.std(), 1e-12)
    again = ((judged - judged.mean()) * scale + train.mean()).astype(np.float32)
    return case.with_(x_validation=case.x_validation | {name: again})


def _told(columns: Array, targets: Array) -> Array:
    """How much of the variance of the target each column explains, by a straight line."""
    x, y = columns - columns.mean(axis=0), targets[: len(columns)] - targets[: len(columns)].mean(axis=0)
    scale = np.maximum(np.sqrt((x**2).sum(axis=0))[:, None] * np.sqrt((y**2).sum(axis=0)), 1e-300)
    return np.asarray(((x.T @ y / scale) ** 2).max(axis=1))


def _told_by_labels(columns: Array, labels: Array) -> Array:
    """How much of the variance of each column the classes explain."""
    counts = np.bincount(labels)
    classes = np.flatnonzero(counts)
    means = np.stack([columns[labels == k].mean(axis=0) for k in classes])
    between = (counts[classes, None] * (means - columns.mean(axis=0)) ** 2).sum(axis=0)
    whole = ((columns - columns.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(np.where(whole > 0, between / np.maximum(whole, 1e-300), 0))


def _without(case: Case, name: str, column: int) -> Case:
    def silent(a: Array) -> Array:
        again = a.reshape(len(a), -1).copy()
        again[:, column] = 0
        return again.reshape(a.shape)

    return case.inputs_changed(silent, name).fresh()


RULES = (leak, given_away, shift, label_shift)
