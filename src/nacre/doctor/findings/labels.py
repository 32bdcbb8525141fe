"""What is wrong with the labels themselves: numbers of classes that are predicted as numbers, and labels that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from nacre.doctor.case import Array, Case, Described
from nacre.doctor.facts import Facts, said_of
from nacre.doctor.finding import Finding, Fix
from nacre.doctor.findings.outcome import usual
from nacre.doctor.task import Task
from nacre.doctor.trial import Trial

_MORE = 0.1  # of the rows, and of each class, that are right if classes are told apart instead of numbers predicted
_IN_ORDER = 0.8  # share of triples of classes whose likeness goes with their numbers
_LEARNED = 0.4  # of what there is to learn: a network that knows less cannot judge labels
_ROWS = 200  # that are held out, at least
_WRONG = 0.05  # share of labels that must be wrong


def class_numbers(facts: Facts) -> Iterator[Finding]:
    """Classes whose numbers are predicted, as if class 4 lay between 3 and 5."""
    lowest, count = facts.task.numbered
    if not count or not facts.links or facts.links[-1].behind:
        return
    last = facts.links[-1]
    change = partial(told_apart, name=last.name, lowest=lowest, count=count)
    fixed = change(facts.case)
    found = facts.try_(fixed)
    before, after = facts.trial.judged, found.judged
    if after.recall - before.recall < _MORE or after.accuracy - before.accuracy < _MORE:
        return
    order = _order(*said_of(fixed, Task.of(fixed.model, fixed.y), found.model))
    if order > _IN_ORDER:
        return
    said = facts.case.model.loss.name.replace("_", " ")
    numbers = {
        "targets": f"{lowest} to {lowest + count - 1}, whole numbers",
        "right, if predictions are rounded": before.accuracy,
        "right, with an output for each class": after.accuracy,
        "likeness that goes with the numbers (0.5: by chance, 1: all)": order,
    }
    why = (
        "The numbers of classes are names: 4 is not between 3 and 5, and taking a 9 for a 1 is no worse than for an 8. A "
        f"{said} takes them for amounts, and where the network is not sure, it says a number in between, which is "
        "another class."
    )
    again = f"y - {lowest}" if lowest else "y"
    fix = Fix(
        "Give each class an output, and use the crossentropy.",
        f'Dense({count}, activation="softmax")  # the last layer\n'
        'model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])\n'
        f"model.fit(x, ({again}).astype(int))",
        change,
    )
    title = f"{said} predicts the numbers of {count} classes"
    yield Finding("wrong loss for the output", title, 91, numbers, why, fix, structure=True)


def told_apart(case: Case, name: str, lowest: int, count: int) -> Case:
    """The case with an output for each class, in the place of one for the number of the class."""
    short = name.rpartition("/")[2].partition(" (")[0]

    def change(layer: Described) -> Described:
        if layer["config"]["name"] != short:
            return layer
        return layer | {"config": layer["config"] | {"units": count, "activation": "softmax"}}

    case = case.targets_changed(lambda a: (a.reshape(len(a)) - lowest).astype(np.int64))
    return case.rebuilt(change).compiled_as(loss="sparse_categorical_crossentropy", metrics=[], weighted_metrics=[])


def label_noise(facts: Facts) -> Iterator[Finding]:
    """Labels that contradict a network just where it is sure, as often as where it is not."""
    if facts.task.kind != "classes" or facts.trial.broke or facts.judged < _LEARNED:
        return
    case, trial = facts.case, facts.trial
    if (
        case.given and facts.learned < facts.judged - _WRONG
    ):  # the labels for validation are better than those to train on
        case = facts.held_out
        trial = facts.try_(case)
    if _contradicted(case, facts.task, trial) is None:
        return
    better = usual(case)  # a network that cannot express what the data say is wrong, and sure of it, too
    found = _contradicted(case, facts.task, facts.try_(better))
    if found is None:
        return
    rows, overall, where_sure = found
    numbers = {
        "rows held out": rows,
        "of these, with another label than predicted": overall,
        "of the quarter that a network is surest of": where_sure,
    }
    if facts.task.classes > 2:
        numbers["labels drawn by chance would be"] = min(
            1.0, where_sure * facts.task.classes / (facts.task.classes - 1)
        )
    why = (
        "Where classes overlap, a network is wrong where it is not sure. Here, labels of rows that it did not see contradict it as "
        "often where it is surest: many labels are wrong, or hang on something that the inputs do not tell. No training "
        "gets beyond that on such rows; a network that goes on learns the wrong labels by heart. "
        "nacre.insight.ledger(model, x, y) lists the rows whose labels to look at, the most suspicious first."
    )
    title = f"about {where_sure:.0%} of the labels seem to be wrong"
    yield Finding("label noise", title, 64, numbers, why, structure=True)


def _contradicted(case: Case, task: Task, trial: Trial) -> tuple[int, float, float] | None:
    """Rows held out, the share of them whose label is another than predicted, and that of the quarter whose prediction is the
    surest; None if the surest are hardly ever contradicted, or clearly less than the others."""
    p, labels = said_of(case, task, trial.model)
    if trial.broke or len(labels) < _ROWS:
        return None
    wrong = (p.argmax(axis=1) != labels)[np.argsort(-p.max(axis=1), kind="stable")]
    quarter = wrong[: len(wrong) // 4]
    overall, where_sure = float(wrong.mean()), float(quarter.mean())
    at_least = where_sure - np.sqrt(where_sure * (1 - where_sure) / len(quarter))  # a standard error less
    return (len(wrong), overall, where_sure) if at_least > max(_WRONG, overall / 2) else None


def _order(p: Array, labels: Array) -> float:
    """How far classes are the more alike, the nearer their numbers are: of all classes and pairs of others, the share in which the
    nearer one is the likelier for rows of the class."""
    logs, classes = np.log(np.clip(p, 1e-12, 1)), np.unique(labels)
    logs = logs - logs.mean(axis=0)
    agree: list[bool] = []
    for k in classes:
        likely = logs[labels == k].mean(axis=0)
        for i in classes[classes != k]:
            agree += [bool(likely[i] > likely[j]) for j in classes[classes != k] if abs(i - k) < abs(j - k)]
    return float(np.mean(agree)) if agree else 0.0


RULES = (class_numbers,)
CONSEQUENCES = (label_noise,)
