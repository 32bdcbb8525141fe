"""How much is chance? The same network on the same rows, from other random weights and in another order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from nacre.labs.result import Result, spread
from nacre.labs.trial import Pair, Task, check_seeds


def seeds(
    x: Any,
    y: Any,
    widths: Sequence[int] = (64,),
    seeds: int = 8,
    *,
    activation: str = "relu",
    epochs: int = 20,
    learning_rate: float = 0.001,
    validation_data: Pair | None = None,
    verbose: int = 0,
) -> Result:
    """Train one network with ``seeds`` seeds, which decide its first weights and the order of the rows, and nothing else.

    There is a row for each seed, with the distance to the nearest of the other solutions: the norm of the difference of all
    weights, by the mean of the two norms; for weights that have nothing to do with each other it is about 1.4. The figures are mean
    and standard deviation over the seeds, and over all pairs the mean distance, and for classes the share of rows to judge by for
    which two of the networks decide alike. x, y and ``validation_data`` are as in `depth`.

    >>> import nacre
    >>> (x, y), test = nacre.datasets.digits.load_data()
    >>> found = nacre.labs.seeds(x, y, seeds=3, epochs=5, validation_data=test)
    >>> found.figures["accuracy"]["deviation"] < 0.02, found.figures["distance of two solutions"] > 1
    (True, True)
    """
    count, task = check_seeds(seeds), Task.of(x, y, validation_data)
    models = task.trained(
        f"hidden layers {' '.join(map(str, widths)) or 'none'}",
        widths,
        range(count),
        activation=activation,
        epochs=epochs,
        learning_rate=learning_rate,
        verbose=verbose,
    )
    judged = [task.judged(model) for model in models]
    weights = [np.concatenate([w.ravel() for w in model.get_weights()]).astype(np.float64) for model in models]
    norms = [float(np.linalg.norm(w)) for w in weights]
    apart = {
        pair: float(np.linalg.norm(weights[pair[0]] - weights[pair[1]])) * 2 / (norms[pair[0]] + norms[pair[1]])
        for pair in combinations(range(count), 2)
    }
    rows = [
        {
            "seed": seed,
            f"{task.figure} in training": seen,
            task.figure: held,
            "distance to the nearest": min(distance for pair, distance in apart.items() if seed in pair),
        }
        for seed, (seen, held) in enumerate(judged)
    ]
    found = spread([held for _, held in judged])
    figures: dict[str, Any] = {task.figure: found, "distance of two solutions": float(np.mean(list(apart.values())))}
    if task.classes:
        said = [model.predict(task.held_x, verbose=0).argmax(-1) for model in models]
        figures["decided alike by two of them"] = float(np.mean([(said[a] == said[b]).mean() for a, b in apart]))
    title = f"Chance alone: {activation}, {epochs} epochs, {count} seeds, {len(task.held_x):,} rows to judge by"
    lowest, highest = min(found["seeds"]), max(found["seeds"])
    verdict = (
        f"{task.figure} is {found['mean']:.4f} ± {found['deviation']:.4f} by chance alone: "
        f"two trainings that are less than {highest - lowest:.4f} apart may differ in nothing else"
    )
    return Result(title, verdict, rows, figures)
