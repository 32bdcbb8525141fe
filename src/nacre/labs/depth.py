"""Deeper, or wider? Networks with as many parameters as each other, in few wide layers and in many narrow ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from nacre.errors import UsageError
from nacre.labs.result import Result, compared
from nacre.labs.trial import Pair, Task, check_seeds

_APART = 0.02  # part of the parameters by which networks may differ


def depth(
    x: Any,
    y: Any,
    depths: Sequence[int] = (1, 2, 3, 5),
    parameters: int = 10_000,
    seeds: int = 5,
    *,
    activation: str = "relu",
    epochs: int = 20,
    learning_rate: float = 0.001,
    validation_data: Pair | None = None,
    verbose: int = 0,
) -> Result:
    """How well networks of so many hidden layers do with ``parameters`` parameters each, which agree within 2 %.

    x (n, ...) are numbers, or bytes, which are divided by the largest; y (n,) are labels, judged by accuracy, or numbers, judged
    by R2, on ``validation_data`` (x, y), or on a fifth of the rows, which is held out. Each network is trained by Adam, with
    ``seeds`` seeds. The verdict compares each depth with the first by Welch's test at 5 %, divided by the number of tests, unless
    neither learned: did surely better than always saying the most frequent class, or the mean.

    Raises `UsageError` for depths that so many parameters do not suffice for, `DataError` for data that is none.

    >>> import nacre
    >>> (x, y), test = nacre.datasets.digits.load_data()
    >>> found = nacre.labs.depth(x[:300], y[:300], depths=(1, 3), parameters=4000, seeds=2, epochs=2, validation_data=test)
    >>> [(row["depth"], row["widths"], row["parameters"]) for row in found.rows]
    [(1, '53', 3985), (3, '29 30 30', 4025)]
    """
    seeds, task = check_seeds(seeds), Task.of(x, y, validation_data)
    if not depths or any(isinstance(d, bool) or not isinstance(d, int) or d < 1 for d in depths):
        raise UsageError(f"depths are numbers of hidden layers, from 1 on, got {depths!r}.")
    ends = task.x.shape[1], task.classes or 1
    rows: list[dict[str, Any]] = []
    for hidden, widths in [(hidden, equal_widths(*ends, hidden, parameters)) for hidden in depths]:
        said = {"depth": hidden, "widths": " ".join(map(str, widths)), "parameters": count(*ends, widths)}
        models = task.trained(
            f"{len(rows) + 1} of {len(depths)}: depth {hidden}, {said['widths']}",
            widths,
            range(seeds),
            activation=activation,
            epochs=epochs,
            learning_rate=learning_rate,
            verbose=verbose,
        )
        rows.append(said | task.spreads(models))
    title = f"Depth at equal parameter counts: {activation}, {epochs} epochs, {seeds} seeds, {len(task.held_x):,} rows to judge by"
    return Result(title, _verdict(rows, task), rows)


def _verdict(rows: Sequence[dict[str, Any]], task: Task) -> str:
    figure = task.figure
    blind = [row["depth"] for row in rows if not task.learned(row[figure]["seeds"])]
    what = "the most frequent class" if task.classes else "the mean"
    if len(blind) == len(rows):
        none = "neither learned" if len(rows) == 2 else "none learned" if len(rows) > 2 else "nothing was learned"
        return f"{none}: {figure} is not surely above {task.blind:.4g}, that of always saying {what}"
    first, *others = rows
    said = []
    for row in others:
        if {first["depth"], row["depth"]} <= set(blind):
            said.append(f"neither depth {first['depth']} nor depth {row['depth']} learned")
            continue
        sign, how = compared(row[figure]["seeds"], first[figure]["seeds"], len(others))
        if sign:
            said.append(
                f"depth {row['depth']} is {'better' if sign > 0 else 'worse'} than depth {first['depth']} ({how})"
            )
    return "; ".join(said) or f"no difference that {len(first[figure]['seeds'])} seeds show (Welch's test)"


def count(features: int, outputs: int, widths: Sequence[int]) -> int:
    """Parameters of dense layers with biases.

    >>> count(784, 10, [128])
    101770
    """
    sizes = [features, *widths, outputs]
    return sum((before + 1) * after for before, after in pairwise(sizes))


def equal_widths(features: int, outputs: int, hidden: int, parameters: int) -> list[int]:
    """Widths of so many hidden layers, as equal as can be, for so many parameters within 2 %. Raises `UsageError` if none are near.

    >>> equal_widths(784, 10, 1, 101_770), equal_widths(784, 10, 3, 101_770)
    ([128], [102, 102, 102])
    """
    width = 1
    while count(features, outputs, [width + 1] * hidden) <= parameters:
        width += 1
    tried = [[width] * (hidden - wider) + [width + 1] * wider for wider in range(hidden + 1)]
    best = min(tried, key=lambda widths: abs(count(features, outputs, widths) - parameters))
    found = count(features, outputs, best)
    if abs(found - parameters) > _APART * parameters:
        raise UsageError(
            f"No {hidden} hidden layers of equal width have {parameters:,} parameters, within {_APART:.0%}.",
            {"nearest": f"{found:,}"},
            f"more parameters, or parameters={found}",
        )
    return best
