"""Does a network of dense layers know which pixels are neighbors? It does not: their order makes no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nacre.labs.result import Result, compared
from nacre.labs.trial import Pair, Task, check_seeds

_ROUNDED = 1e-4  # float32 sums in another order differ by less


def pixel_permutation(
    x: Any,
    y: Any,
    widths: Sequence[int] = (64,),
    seeds: int = 5,
    *,
    activation: str = "relu",
    epochs: int = 20,
    learning_rate: float = 0.001,
    validation_data: Pair | None = None,
    verbose: int = 0,
) -> Result:
    """Permute the inputs of all rows alike, and see what changes, in two ways.

    Exactly: a trained network, with the rows of its first kernel permuted like the inputs, gives the same predictions, but for
    rounding, as its sums are taken in another order; the largest difference is told. Trained anew: networks that see the permuted
    inputs do as well as those that see them as they are, within the spread of the seeds (Welch's test at 5 %). x, y and
    ``validation_data`` are as in `depth`.

    >>> import nacre
    >>> (x, y), test = nacre.datasets.digits.load_data()
    >>> found = nacre.labs.pixel_permutation(x, y, seeds=2, epochs=3, validation_data=test)
    >>> found.figures["largest difference of predictions"] < 1e-5
    True
    """
    seeds, task = check_seeds(seeds), Task.of(x, y, validation_data)
    order = np.random.default_rng(0).permutation(task.x.shape[1])
    permuted = replace(task, x=task.x[:, order], held_x=task.held_x[:, order])
    rows: list[dict[str, Any]] = []
    before = []
    for inputs, part in (("as they are", task), ("permuted", permuted)):
        models = part.trained(
            f"inputs {inputs}",
            widths,
            range(seeds),
            activation=activation,
            epochs=epochs,
            learning_rate=learning_rate,
            verbose=verbose,
        )
        rows.append({"inputs": inputs} | part.spreads(models))
        before.append(models[0])
    model = before[0]
    expected = model.predict(task.held_x)
    kernel, *others = model.get_weights()
    model.set_weights([kernel[order], *others])
    difference = float(np.abs(model.predict(permuted.held_x) - expected).max())
    sign, how = compared(rows[1][task.figure]["seeds"], rows[0][task.figure]["seeds"])
    exact = "the same predictions but for rounding" if difference <= _ROUNDED else "other predictions"
    anew = "no difference that the seeds show" if not sign else "better" if sign > 0 else "worse"
    title = f"Permuted inputs: {task.x.shape[1]} of them, {epochs} epochs, {seeds} seeds, {len(task.held_x):,} rows to judge by"
    verdict = f"kernel permuted like the inputs: {exact}; trained anew: {anew} ({how})"
    return Result(title, verdict, rows, {"largest difference of predictions": difference})
