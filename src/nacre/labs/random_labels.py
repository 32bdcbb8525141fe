"""Does a network learn, or does it remember? The same network on true labels, and on labels by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nacre.errors import UsageError
from nacre.labs.result import Result, spread
from nacre.labs.trial import Pair, Task, check_seeds

_ALL = 0.99  # of the rows, when they are known by heart
_FAR = 3.0  # standard deviations from chance


def random_labels(
    x: Any,
    y: Any,
    widths: Sequence[int] = (256,),
    rows: int = 1000,
    seeds: int = 3,
    *,
    activation: str = "relu",
    epochs: int = 150,
    learning_rate: float = 0.003,
    validation_data: Pair | None = None,
    verbose: int = 0,
) -> Result:
    """Train one network on ``rows`` rows, drawn from all, with their labels, and on the same rows with the labels shuffled, for
    each seed in another way.

    Shuffled labels have nothing to do with the rows: whoever is right about them in training remembers single rows, and is right
    about others by chance. The verdict is "memorizes" if 99 % of the shuffled labels are learned, and the accuracy on other rows
    is within 3 standard deviations of chance. x, y and ``validation_data`` are as in `depth`; y are labels.

    C. Zhang and others, "Understanding deep learning requires rethinking generalization", ICLR 2017.

    >>> import nacre
    >>> (x, y), test = nacre.datasets.digits.load_data()
    >>> nacre.labs.random_labels(x, y, rows=200, seeds=2, validation_data=test).verdict
    'memorizes: 100.0 % of the shuffled labels are learned, and other rows are right by chance'
    """
    seeds, task = check_seeds(seeds), Task.of(x, y, validation_data)
    task.need_classes("random_labels")
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise UsageError(f"rows is how many rows are trained on, from 1 on, got {rows!r}.")
    true = task.take(np.random.default_rng(0).permutation(len(task.x))[:rows])  # data may be sorted
    how: dict[str, Any] = {
        "activation": activation,
        "epochs": epochs,
        "learning_rate": learning_rate,
        "verbose": verbose,
    }
    chances = [np.random.default_rng(seed).permutation(true.y) for seed in range(seeds)]
    shuffled = [replace(true, y=labels) for labels in chances]
    models = true.trained("true labels", widths, range(seeds), **how)
    judged = {"true": [true.judged(model) for model in models], "shuffled": []}
    for seed, part in enumerate(shuffled):
        (model,) = part.trained("shuffled labels", widths, [seed], **how)
        judged["shuffled"].append(part.judged(model))
    found = [
        {
            "labels": labels,
            "accuracy in training": spread([seen for seen, _ in pairs]),
            "accuracy": spread([held for _, held in pairs], task.judged_rows),
        }
        for labels, pairs in judged.items()
    ]
    shares = [np.bincount(labels, minlength=task.classes) / len(labels) for labels in (true.y, task.held_y)]
    chance = float(shares[0] @ shares[1])
    parameters = task.network(widths, activation, learning_rate).count_params()
    title = f"True and shuffled labels: {len(true.x):,} rows, {parameters:,} parameters, {epochs} epochs, {seeds} seeds"
    return Result(title, _verdict(found[1], chance, len(task.held_y)), found, {"chance": chance})


def _verdict(row: dict[str, Any], chance: float, judged: int) -> str:
    learned, held = row["accuracy in training"]["mean"], row["accuracy"]["mean"]
    near = abs(held - chance) <= _FAR * math.sqrt(chance * (1 - chance) / judged)
    if learned >= _ALL and near:
        return (
            f"memorizes: {learned:.1%} of the shuffled labels are learned, and other rows are right by chance".replace(
                "%", " %"
            )
        )
    where = "at chance" if near else "not at chance: were rows there twice, or are there too few?"
    return f"does not memorize all: {learned:.1%} of the shuffled labels are learned; other rows: {where}".replace(
        "%", " %"
    )
