"""What rows say to a linear model, counted as equations: how many, how many are new, and which contradict each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.splits import row_keys
from nacre.errors import DataError

Array = npt.NDArray[Any]

_MOST_BYTES = 1 << 30  # of inputs that are looked through
_MOST_WORK = 5e10  # rows x columns x columns, some seconds
_BLOCK = 4096  # rows that are taken in at a time


@dataclass(frozen=True)
class Conflict:
    """Two rows with the same inputs and other targets. For numbers, ``compromise`` is what least squares makes of all rows with
    these inputs, by themselves: their mean; None for classes."""

    rows: tuple[int, int]
    targets: tuple[float | str, float | str]
    compromise: float | None


@dataclass(frozen=True)
class Equations:
    """The equations x A + b = y for n ``rows``, p ``columns`` of numbers and k ``outputs``, which are classes or numbers.

    Each row is k equations, one for each output, and a linear model has (p + 1) k unknowns. ``rank`` of p columns are independent
    of each other. ``repeats`` rows are there before, target and all, and say nothing new; ``contradictions`` rows have the inputs
    of another row, but not its target, so that no function is right about all of them; ``conflict`` is the first such pair. These
    are None where the data are too large to look.
    """

    rows: int
    columns: int
    outputs: int
    rank: int | None
    repeats: int | None
    contradictions: int | None
    conflict: Conflict | None = None

    @property
    def equations(self) -> int:
        """One for each row and output."""
        return self.rows * self.outputs

    @property
    def unknowns(self) -> int:
        """Weights and biases of a linear model."""
        return (self.columns + 1) * self.outputs

    def document(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        return {"equations": self.equations, "unknowns": self.unknowns, **asdict(self)}

    def told(self) -> dict[str, str]:
        """Everything as people read it, by names."""
        found = {
            "equations": f"{self.equations:,} = {self.rows:,} x {self.outputs:,}, rows x outputs",
            "unknowns": f"{self.unknowns:,} = ({self.columns:,} + 1) x {self.outputs:,}, "
            "(columns of numbers + 1) x outputs, for a linear model",
            "rank": _count(self.rank, f" of {self.columns:,} columns are independent"),
            "repeated rows": _count(self.repeats),
            "contradicting rows": _count(self.contradictions),
        }
        if self.conflict is not None:
            (a, b), (first, second) = self.conflict.rows, self.conflict.targets
            mean = self.conflict.compromise
            found["for example"] = f"rows {a:,} and {b:,} are the same, but say {_said(first)} and {_said(second)}" + (
                "" if mean is None else f"; least squares takes {mean:g}"
            )
        return found


def equations(x: Any, y: Any, classes: int | None = None, also: Sequence[Array] = ()) -> Equations:
    """The equations that rows x (n, ...) with targets y (n, ...) are, for a linear model.

    ``classes`` is their number where y holds class numbers. ``also`` are arrays (n,) of what else tells rows apart and is no
    column. The rank is that of the matrix x, with singular values below its rounding taken as 0.
    Raises `DataError` if there are no rows, not as many targets, or numbers that are not finite.

    >>> found = equations([[2, 1], [4, 2]], [4, 8])  # 2x + y = 4, 4x + 2y = 8
    >>> found.rank, found.columns
    (1, 2)
    >>> found = equations([[1, 1], [1, 1]], [5, 6])  # x + y = 5, x + y = 6
    >>> found.contradictions, found.conflict.compromise
    (2, 5.5)
    """
    inputs, targets = np.asarray(x), np.asarray(y)
    if not len(inputs) or len(inputs) != len(targets):
        raise DataError("Equations take rows, and a target for each.", {"rows": len(inputs), "targets": len(targets)})
    matrix, answers = inputs.reshape(len(inputs), math.prod(inputs.shape[1:])), targets.reshape(len(targets), -1)
    rows, columns = matrix.shape
    outputs = answers.shape[1] if classes is None else classes
    if matrix.nbytes > _MOST_BYTES:
        return Equations(rows, columns, outputs, None, None, None)
    if matrix.dtype.kind == "f" and not np.isfinite(matrix).all():
        raise DataError("Equations are of finite numbers.", hint="leave out rows with missing numbers")
    rank = _rank(matrix) if rows * columns**2 <= _MOST_WORK else None
    given = [*([matrix] if columns else []), *also]
    apart = row_keys(given)
    _, first, group = np.unique(apart, return_index=True, return_inverse=True)
    _, new = np.unique(row_keys([*given, answers]), return_index=True)
    against = np.bincount(group[new], minlength=len(first))[group] > 1
    conflict = _conflict(answers, group, against, classes) if against.any() else None
    return Equations(rows, columns, outputs, rank, rows - len(new), int(against.sum()), conflict)


def _rank(matrix: Array) -> int:
    """That of all rows, which are taken into a triangular matrix block by block."""
    if not matrix.shape[1]:
        return 0
    taken: Array = np.zeros((0, matrix.shape[1]))
    for start in range(0, len(matrix), _BLOCK):
        more = np.concatenate([taken, matrix[start : start + _BLOCK].astype(np.float64)])
        taken = np.asarray(np.linalg.qr(more, mode="r"))
    kind = matrix.dtype if matrix.dtype.kind == "f" else np.float64
    sizes = np.linalg.svd(taken, compute_uv=False)
    return int((sizes > sizes.max(initial=0) * max(matrix.shape) * np.finfo(kind).eps).sum())


def _conflict(answers: Array, group: Array, against: Array, classes: int | None) -> Conflict | None:
    """The first row that is contradicted, and the first that contradicts it; of one target a row."""
    if answers.shape[1] != 1:
        return None
    a = int(against.argmax())
    same, said = np.flatnonzero(group == group[a]), answers[:, 0]
    b = int(same[(said[same] != said[a]).argmax()])
    mean = float(said[same].mean(dtype=np.float64)) if classes is None else None
    return Conflict((a, b), (float(said[a]), float(said[b])), mean)


def _said(target: float | str) -> str:
    return target if isinstance(target, str) else f"{target:g}"


def _count(number: int | None, after: str = "") -> str:
    return "not looked for: the data are too large" if number is None else f"{number:,}{after}"


__all__ = ["Conflict", "Equations", "equations"]
