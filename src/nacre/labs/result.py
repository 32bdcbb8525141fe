"""What an experiment found: rows for a table, and what they say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nacre.metrics.accuracy import told_of_few

SURE = 0.05  # what is seen by chance more seldom than this is a difference
_SHOWN = 20  # rows of a long table that people see


@dataclass(frozen=True)
class Result:
    """The outcome of an experiment: what was done, the ``verdict``, a row for each case, and ``figures`` beside the rows.

    Cells are text and numbers; what differs from seed to seed is a dictionary of ``mean``, ``deviation`` (the standard deviation,
    by n - 1) and ``seeds`` (the single values), and of an accuracy on ``rows`` that were not seen, how many these are.
    """

    experiment: str
    verdict: str
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    figures: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Everything, as JSON can hold it; a number that is not finite is text."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=str)
        return found

    def __str__(self) -> str:
        names = list(self.rows[0]) if self.rows else []
        cells = [names, *([_cell(row[name]) for name in names] for row in self.rows[:_SHOWN])]
        widths = [max(len(row[n]) for row in cells) for n in range(len(names))]
        lines = ["  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
        more = [f"and {len(self.rows) - _SHOWN:,} more rows"] if len(self.rows) > _SHOWN else []
        told = [f"{name}: {_cell(value)}" for name, value in self.figures.items()]
        return "\n".join([self.experiment, "", *lines, *more, "", *told, f"verdict: {self.verdict}"])


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        few = told_of_few(value["mean"], value["rows"]) if "rows" in value else ""
        return f"{value['mean']:.4f} ± {value['deviation']:.4f}" + (f" ({few})" if few else "")
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def spread(values: Sequence[float], rows: int | None = None) -> dict[str, Any]:
    """Mean and standard deviation over seeds, of an accuracy on so many ``rows``.

    >>> spread([1.0, 2.0, 3.0])
    {'mean': 2.0, 'deviation': 1.0, 'seeds': [1.0, 2.0, 3.0]}
    """
    numbers = [float(v) for v in values]
    deviation = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan
    of = {} if rows is None else {"rows": rows}
    return {"mean": float(np.mean(numbers)), "deviation": deviation, "seeds": numbers, **of}


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Welch's t for the means of two samples of two values or more, and how likely such a t, or a larger one, is by chance alone.

    The variances may differ; the degrees of freedom are those of Welch and Satterthwaite.
    B. L. Welch, "The generalization of 'Student's' problem when several different population variances are involved", 1947.

    >>> t, p = welch([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    >>> round(t, 2), round(p, 3)
    (2.45, 0.07)
    """
    parts = [float(np.var(sample, ddof=1)) / len(sample) for sample in (a, b)]
    difference = float(np.mean(a) - np.mean(b))
    if sum(parts) == 0:
        return (math.copysign(math.inf, difference), 0.0) if difference else (0.0, 1.0)
    freedom = sum(parts) ** 2 / sum(part**2 / (len(s) - 1) for part, s in zip(parts, (a, b), strict=True))
    t = difference / math.sqrt(sum(parts))
    return t, _two_sided(abs(t), freedom)


def _two_sided(t: float, freedom: float) -> float:
    """How likely Student's t is beyond ± t. With t = sqrt(freedom) tan(angle), its density is cos(angle)^(freedom - 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(200)

    def area(low: float) -> float:
        angles = low + (math.pi / 2 - low) * (nodes + 1) / 2
        return float((math.pi / 2 - low) / 2 * weights @ np.cos(angles) ** (freedom - 1))

    return area(math.atan(t / math.sqrt(freedom))) / area(0.0)


def compared(a: Sequence[float], b: Sequence[float], tests: int = 1) -> tuple[int, str]:
    """Whether the mean of ``a`` is surely above (1) or below (-1) that of ``b``, or neither (0), and how that was decided.

    By Welch's test, at 5 %, divided by the number of tests that were made (Bonferroni), for among many one is large by chance.
    Where no seed differs from another, nothing is known of chance, and nothing is sure.
    """
    if not np.var(a) and not np.var(b):
        return (
            0,
            f"no spread over the seeds, {np.mean(a):.4g} and {np.mean(b):.4g} each: more seeds are needed to judge",
        )
    t, p = welch(a, b)
    sure = p < SURE / tests
    limit = f"{SURE:g}" + (f" / {tests}" if tests > 1 else "")
    return (int(np.sign(t)) if sure else 0), f"Welch's t = {t:.2f}, p = {p:.2g} {'<' if sure else '>='} {limit}"
