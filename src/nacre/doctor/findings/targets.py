"""What is wrong with the targets: their order, their balance, their scale, and rows that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nacre.doctor.case import Array, Case
from nacre.doctor.facts import Facts, rms
from nacre.doctor.finding import Finding, Fix, many
from nacre.layers import Rescaling

_RARE = 8.0  # so many times rarer than the most frequent one
_LARGE, _SMALL = 20.0, 0.02


def sorted_labels(facts: Facts) -> Iterator[Finding]:
    """Labels that arrive one class after the other, where nothing mixes them."""
    if facts.task.kind == "numbers":
        yield from _sorted_numbers(facts)
    if facts.task.kind != "classes":
        return
    labels, counts = facts.labels, np.bincount(facts.labels)
    changes = int((labels[1:] != labels[:-1]).sum())
    expected = (len(labels) - 1) * (1 - float(((counts / len(labels)) ** 2).sum()))
    if changes > 0.2 * expected or expected < 10:
        return
    numbers = {"changes of the label": changes, "by chance there were": round(expected), "shuffle": facts.case.shuffle}
    why = (
        "What comes last leaves the deepest imprint: each batch shows one class alone, and the network unlearns the "
        "others. A share of "
        "the rows that is split off at the end holds classes that were never trained."
    )
    fix = Fix(
        "Mix the rows, and let fit mix them anew for each epoch.",
        "order = np.random.default_rng(0).permutation(len(x))\nx, y = x[order], y[order]\nmodel.fit(x, y, shuffle=True)",
        _mixed,
    )
    broken = not facts.case.shuffle or facts.case.split or _missing(facts).size > 0
    title = "rows come one class after the other" + ("" if broken else "; fit mixes them")
    yield Finding("sorted labels", title, 93 if broken else 10, numbers, why, fix, structure=True)


def _sorted_numbers(facts: Facts) -> Iterator[Finding]:
    y = next(iter(facts.case.y.values()))
    y = y.reshape(len(y), -1)[:, 0].astype(np.float64)
    if len(y) < 20 or not (facts.case.split or not facts.case.shuffle):
        return
    ranks = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    order = float(np.corrcoef(ranks, np.arange(len(y)))[0, 1]) if y.std() > 0 else 0.0
    if abs(order) < 0.97:
        return
    why = "The share that is split off at the end holds targets that the others do not reach; and what comes last is learned best."
    code = "order = np.random.default_rng(0).permutation(len(x))  # before anything is split off\nx, y = x[order], y[order]"
    fix = Fix("Mix the rows before they are divided.", code, _mixed)
    numbers = {"correlation of the target with the place of its row": order}
    yield Finding("sorted targets", "rows come in the order of their targets", 93, numbers, why, fix, structure=True)


def constant(facts: Facts) -> Iterator[Finding]:
    """Targets that never change."""
    y = next(iter(facts.case.y.values()))
    if len(facts.case.y) == 1 and len(y) > 1 and (y == y[:1]).all():
        numbers = {"rows": len(y), "the target": str(y.reshape(len(y), -1)[0][:3].tolist())}
        why = "There is nothing to learn: the same answer is always right. Was the column chosen that you meant?"
        yield Finding("constant target", "every row has the same target", 99, numbers, why, structure=True)


def missing_classes(facts: Facts) -> Iterator[Finding]:
    """Classes that are judged but were never trained, and outputs that nothing belongs to."""
    if facts.task.kind != "classes":
        return
    missing = _missing(facts)
    if len(missing):
        numbers = {
            "classes": ", ".join(map(str, missing[:10])),
            "rows for validation": len(next(iter(facts.case.y_validation.values()))),
        }
        why = "The network cannot know what it was never shown: the rows were divided in a way that leaves classes out."
        fix = Fix(
            "Divide the rows so that each class is in every part.",
            "order = np.random.default_rng(0).permutation(len(x))  # before anything is split off\nx, y = x[order], y[order]",
            _mixed,
        )
        are = "class is" if len(missing) == 1 else "classes are"
        title = f"{len(missing)} {are} judged but not trained"
        yield Finding("missing classes", title, 92, numbers, why, fix, structure=True)
    empty = np.flatnonzero(np.asarray(facts.task.shares) == 0)
    if len(empty) and not len(missing):
        numbers = {"outputs": facts.task.classes, "without rows": ", ".join(map(str, empty[:10]))}
        why = "An output without rows only learns to be small. It does no harm, but is it meant to be there?"
        yield Finding("unused outputs", f"{len(empty)} outputs stand for no row", 7, numbers, why)


def imbalance(facts: Facts) -> Iterator[Finding]:
    """Rare classes that the network gives up."""
    if facts.task.kind != "classes" or facts.case.class_weight is not None:
        return
    counts, mass = np.bincount(facts.labels, minlength=facts.task.classes), facts.mass
    present, weighed = counts[mass > 0], mass[mass > 0]
    if len(present) < 2 or weighed.max() < _RARE * weighed.min():
        return
    score = facts.trial.judged
    given_up = score.accuracy - score.recall > 0.12
    weights = {int(k): mass.sum() / (len(present) * n) for k, n in enumerate(mass.tolist()) if n}
    numbers = {
        "rows of the rarest class": int(present.min()),
        "of the most frequent": int(present.max()),
        "accuracy": score.accuracy,
        "mean recall of the classes": score.recall,
    }
    why = (
        "The loss is a mean over rows: a class with few rows hardly counts, and saying the frequent class is right "
        "most of the time. "
        "Accuracy hides it; the recall of each class shows it."
    )
    fix = Fix(
        "Let each class count alike, and watch the recall of each class.",
        "counts = np.bincount(y)\nmodel.fit(x, y, class_weight={k: len(y) / (len(counts) * n) for k, n in enumerate(counts)})",
        lambda case: case.with_(class_weight=weights).fresh(),
        keeps=True,
    )
    yield Finding("class imbalance", "rare classes are given up", 76 if given_up else 12, numbers, why, fix)


def class_weights(facts: Facts) -> Iterator[Finding]:
    """Weights of classes that let one of them count for all."""
    weights = facts.case.class_weight
    if facts.task.kind != "classes" or weights is None:
        return
    counts = facts.mass
    whole = {k: float(weights.get(k, 1.0)) * n for k, n in enumerate(counts.tolist()) if n}
    if len(whole) < 2 or max(whole.values()) < 10 * max(min(whole.values()), 1e-12):
        return
    numbers = {f"weight of class {k}, all rows together": value for k, value in list(whole.items())[:10]}
    why = "The loss is all but that of one class: saying it each time is nearly always right, as far as the loss is concerned."
    balanced = {k: counts.sum() / (len(whole) * float(counts[k])) for k in whole}
    fix = Fix(
        "Let each class count alike.",
        "counts = np.bincount(y)\nclass_weight = {k: len(y) / (len(counts) * n) for k, n in enumerate(counts)}",
        lambda case: case.with_(class_weight=balanced).fresh(),
        keeps=True,
    )
    yield Finding("class weights out of balance", "one class counts for all", 90, numbers, why, fix)


def contradictions(facts: Facts) -> Iterator[Finding]:
    """Equal rows with different targets."""
    if facts.task.kind != "classes" or not facts.columns:
        return
    columns = np.hstack(list(facts.columns.values()))
    labels = facts.labels[facts.rows[: len(columns)]]
    _, group = np.unique(columns, axis=0, return_inverse=True)
    group = group.reshape(-1)
    low, high = np.full(group.max() + 1, np.iinfo(np.int64).max), np.full(group.max() + 1, -1)
    np.minimum.at(low, group, labels)
    np.maximum.at(high, group, labels)
    torn = (low != high)[group]
    share = float(torn.mean())
    if share < 0.02:
        return
    noise = share < 3 * facts.met_by_chance(len(columns))  # equal rows are nothing to wonder at
    best = sum(np.bincount(labels[group == g]).max() for g in np.unique(group[torn])) if torn.sum() < 2000 else 0
    ceiling = (int((~torn).sum()) + int(best)) / len(labels)
    numbers = {"rows": int(torn.sum()), "share of the rows": share}
    if best:
        numbers["accuracy is at most"] = ceiling
    why = (
        "Equations that contradict each other have no solution: no network can be right about all of these rows, and "
        "it settles for the "
        "share of each label. Either a column is missing that tells them apart, or labels are wrong: np.unique(x, "
        "axis=0, return_inverse=True) groups equal rows."
    )
    yield Finding(
        "conflicting labels",
        f"{share:.0%} of the rows have equals with another label",
        15 if noise else 66,
        numbers,
        why,
        structure=True,
    )


def scale(facts: Facts) -> Iterator[Finding]:
    """Numbers to predict that are large or tiny."""
    if facts.task.kind != "numbers":
        return
    y = facts.targets
    size = rms(y - y.mean(axis=0) if rms(y) <= _LARGE else y)
    last = facts.links[-1].behind if facts.links else ()
    if _SMALL <= size <= _LARGE or size == 0 or any(isinstance(call.layer, Rescaling) for call in last):
        return
    numbers = {
        "mean of the targets": float(y.mean()),
        "standard deviation": float(y.std()),
        "fits well": "about 0 and 1",
    }
    why = (
        "The outputs of a fresh network are about 1 large, and the gradient of a squared error grows with the "
        "distance to the target: "
        "far targets make steps that blow up, or take very long to reach; tiny ones give hardly a gradient."
    )
    fix = Fix(
        "Train on targets of mean 0 and standard deviation 1, and turn predictions back.",
        "mean, deviation = y_train.mean(axis=0), y_train.std(axis=0)\nmodel.fit(x_train, (y_train - mean) / deviation)\n"
        "prediction = model.predict(x) * deviation + mean",
        _standard_targets,
    )
    yield Finding("unscaled targets", f"the numbers to predict are about {size:.3g} large", 83, numbers, why, fix)


def heavy_tails(facts: Facts) -> Iterator[Finding]:
    """A few targets that are far beyond all others, under a squared error."""
    if facts.task.kind != "numbers" or facts.case.model.loss.name not in ("mean_squared_error", "mse"):
        return
    y = facts.targets
    middle = np.median(y, axis=0)
    typical = 1.4826 * np.median(np.abs(y - middle), axis=0)
    away = np.abs(y - middle) / np.maximum(typical, 1e-12)
    rows = (away > 30).any(axis=1)
    if not rows.any() or rows.mean() > 0.05 or not (typical > 0).all():
        return
    share = float(((y[rows] - middle) ** 2).sum() / ((y - middle) ** 2).sum())
    numbers = {"rows": int(rows.sum()), "their share of the squared error": share}
    why = (
        "A squared error counts a target that is 30 times as far 900 times as much: a few rows decide what is learned."
    )
    fix = Fix(
        "Use a loss that grows with the distance, not with its square, or mend these rows.",
        'model.compile(optimizer, loss="huber")',
        lambda case: _within(case).with_loss("huber").fresh(),
    )
    yield Finding("outliers", f"{many(int(rows.sum()), 'target')} far beyond the others", 85, numbers, why, fix)


def _missing(facts: Facts) -> Array:
    """Classes of validation rows that no row to train on has."""
    judged = facts.task.labels_of(next(iter(facts.case.y_validation.values())))
    return np.setdiff1d(judged, facts.labels)


def _mixed(case: Case) -> Case:
    """All rows mixed, and divided as they were."""
    held = len(next(iter(case.x_validation.values())))
    pairs = (case.x, case.x_validation), (case.y, case.y_validation), (case.weights, case.weights_validation)
    x, y, weights = ({n: np.concatenate([a, other[n]]) for n, a in of.items() if n in other} for of, other in pairs)
    order = np.random.default_rng(0).permutation(len(case) + held)
    return case.with_(x=x, y=y, weights=weights, shuffle=True).holding_out(order[:held]).fresh()


def _standard_targets(case: Case) -> Case:
    y = next(iter(case.y.values())).astype(np.float64)
    mean, deviation = y.mean(axis=0), np.maximum(y.std(axis=0), 1e-30)
    return case.targets_changed(lambda a: ((a - mean) / deviation).astype(np.float32)).fresh()


def _within(case: Case) -> Case:
    y = next(iter(case.y.values())).astype(np.float64)
    middle = np.median(y, axis=0)
    typical = 1.4826 * np.median(np.abs(y - middle), axis=0)
    near = (np.abs(y - middle) <= 30 * typical).reshape(len(y), -1).all(axis=1)
    return case.take(np.flatnonzero(near))


RULES = (constant, sorted_labels, missing_classes, class_weights, imbalance, contradictions, scale, heavy_tails)
