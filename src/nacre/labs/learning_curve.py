"""How much data does a network need?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nacre.errors import UsageError
from nacre.labs.result import Result, compared
from nacre.labs.trial import Pair, Task, check_seeds

_STEPS, _LEAST = 600, 100  # steps of a training, if nothing is said; fewer if all took more operations than these:
_OPERATIONS = 2e12
_BATCH = 32


def learning_curve(
    x: Any,
    y: Any,
    sizes: Sequence[int] | None = None,
    networks: Sequence[Sequence[int]] = ((64,), (64, 64), (64,) * 5),
    seeds: int = 5,
    *,
    activation: str = "relu",
    steps: int | None = None,
    learning_rate: float = 0.001,
    validation_data: Pair | None = None,
    verbose: int = 0,
) -> Result:
    """Accuracy, or R2, by the number of rows that networks with hidden layers of such widths were trained on.

    ``sizes`` are numbers of rows; left out, all, and half as many, five times over. The rows of a smaller size are among those of
    the larger ones. Each training takes about ``steps`` steps of 32 rows, so that what differs is the data, not the work; left out,
    600, or, of wide inputs, as many as all trainings together can take with 2e12 operations, at least 100. x, y,
    ``validation_data`` and the rest are as in `depth`. The verdict compares each network with the first, at the fewest rows and at
    the most.

    >>> import nacre
    >>> (x, y), test = nacre.datasets.digits.load_data()
    >>> found = nacre.labs.learning_curve(x, y, [100, 800], [(32,)], seeds=2, steps=200, validation_data=test)
    >>> few, many = (row["accuracy"]["mean"] for row in found.rows)
    >>> few < many
    True
    """
    seeds, task = check_seeds(seeds), Task.of(x, y, validation_data)
    largest = len(task.x)
    sizes = sorted({largest >> n for n in range(6)} - {0}) if sizes is None else sorted(set(sizes))
    if not sizes or not all(1 <= size <= largest for size in sizes):
        raise UsageError(f"sizes are numbers of rows from 1 to {largest:,}, got {sizes}.")
    if steps is None:
        parameters = [task.network(widths, activation, learning_rate).count_params() for widths in networks]
        one = 6 * _BATCH * sum(parameters) * len(sizes) * seeds  # forward 2 for each parameter and row, backward 4
        steps = int(min(_STEPS, max(_LEAST, _OPERATIONS / one)))
    order = np.random.default_rng(0).permutation(largest)
    rows: list[dict[str, Any]] = []
    for widths in networks:
        said = " ".join(map(str, widths)) or "none"
        for size in sizes:
            part = task.take(order[:size])
            models = part.trained(
                f"{len(rows) + 1} of {len(networks) * len(sizes)}: hidden layers {said}, {size:,} rows",
                widths,
                range(seeds),
                activation=activation,
                epochs=max(1, round(steps / -(-size // _BATCH))),
                learning_rate=learning_rate,
                verbose=verbose,
            )
            rows.append({"hidden layers": said, "rows": size} | part.spreads(models))
    title = f"Learning curve: {activation}, about {steps} steps, {seeds} seeds, {len(task.held_x):,} rows to judge by"
    return Result(title, _verdict(rows, task.figure, sizes), rows)


def _verdict(rows: Sequence[dict[str, Any]], figure: str, sizes: Sequence[int]) -> str:
    names = list(dict.fromkeys(row["hidden layers"] for row in rows))
    found = {(row["hidden layers"], row["rows"]): row[figure]["seeds"] for row in rows}
    said = []
    ends = sorted({sizes[0], sizes[-1]})
    for size in ends:
        for name in names[1:]:
            sign, how = compared(found[name, size], found[names[0], size], len(ends) * (len(names) - 1))
            if sign:
                said.append(
                    f"with {size:,} rows, {name} is {'better' if sign > 0 else 'worse'} than {names[0]} ({how})"
                )
    if len(names) == 1:
        few, many = (np.mean(found[names[0], size]) for size in (sizes[0], sizes[-1]))
        return f"from {few:.4f} with {sizes[0]:,} rows to {many:.4f} with {sizes[-1]:,}"
    return "; ".join(said) or "no network needs more data than another, as far as these seeds show (Welch's test)"
