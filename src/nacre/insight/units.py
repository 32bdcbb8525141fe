"""Units of a layer by what they answer to: the rows that excite each most, and the classes that it tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, UsageError, find
from nacre.models import Model
from nacre.progress import tell
from nacre.training import Call

Array = npt.NDArray[Any]

_BLOCK = 1024  # rows that are looked into at a time, of which all that layers hold is in memory
_ALIKE = 0.999  # the correlation from which on two units are duplicates
_SHOWN = 20


@dataclass(frozen=True)
class Exciting:
    """For each unit of a layer, the ``rows`` (units, top) that excite it most, and the ``activations`` (units, top) they cause."""

    layer: str
    rows: Array
    activations: Array

    def __str__(self) -> str:
        lines = [f"{self.layer}: the rows that excite each unit most", "", "unit    most  rows"]
        pairs = zip(self.activations[:_SHOWN, 0], self.rows[:_SHOWN].tolist(), strict=True)
        lines += [f"{unit:>4}  {most:>6.4g}  {', '.join(map(str, rows))}" for unit, (most, rows) in enumerate(pairs)]
        return "\n".join([*lines, *_more(len(self.rows))])

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"layer": self.layer, "rows": self.rows.tolist(), "activations": self.activations.tolist()}


@dataclass(frozen=True)
class Selectivity:
    """What the units of a layer answer to.

    ``means`` (units, classes) is the mean activation by classes, ``preferred`` (units,) the class with the largest, ``index``
    (units,) the selectivity from 0, the same for all classes, to 1, one class alone. ``dead`` are the units whose activation is the
    same for all rows, ``duplicates`` the pairs of others whose activations correlate by more than 0.999.
    """

    layer: str
    classes: Sequence[str]
    means: Array
    preferred: Array
    index: Array
    dead: Array
    duplicates: list[tuple[int, int]]

    def __str__(self) -> str:
        dead, pairs = ", ".join(map(str, self.dead)), ", ".join(f"{a} and {b}" for a, b in self.duplicates)
        lines = [
            f"{self.layer}: {len(self.index)} units, selectivity {self.index.mean():.2f} on average",
            f"dead        {dead or 'none'}",
            f"duplicates  {pairs or 'none'}",
            "",
            "unit  selectivity  prefers",
        ]
        order = np.argsort(-self.index, kind="stable")[:_SHOWN].tolist()
        lines += [f"{u:>4}  {self.index[u]:>11.2f}  {self.classes[self.preferred[u]]}" for u in order]
        return "\n".join([*lines, *_more(len(self.index))])

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "layer": self.layer,
            "classes": list(self.classes),
            "means": self.means.tolist(),
            "preferred": self.preferred.tolist(),
            "selectivity": self.index.tolist(),
            "dead": self.dead.tolist(),
            "duplicates": [list(pair) for pair in self.duplicates],
        }


def activations(model: Model, x: Any) -> dict[str, Array]:
    """What each dense layer gives for each row of x (n, ...), by its name, as (n, units).

    Of a softmax these are the scores before it, which do not depend on those of other units; of a layer that is applied at several
    places of a row, the largest of these. Layers that are called again have
    ``name (2)``, and so on.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(3, "relu", kernel_initializer="ones", name="first")])
    >>> activations(model, np.array([[1.0, 2.0]]))
    {'first': array([[3., 3., 3.]], dtype=float32)}
    """
    found: dict[str, list[Array]] = {}
    count, some = model.rows_of(x, None)
    for first in range(0, count, _BLOCK):
        block, _ = some(np.arange(first, min(first + _BLOCK, count)))
        for call in model.inside(block).calls:
            if getattr(call.layer, "units", None) is not None:
                found.setdefault(call.name, []).append(_answers(call))
        tell("Looking at rows", min(first + _BLOCK, count), count, "rows")
    return {name: np.concatenate(parts) for name, parts in found.items()}


def exciting(model: Model, x: Any, layer: str, top: int = 9) -> Exciting:
    """The rows of x (n, ...) that excite each unit of ``layer`` most, the strongest first.

    Raises `UnknownName` for a layer that is not there, or has no units.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(2, kernel_initializer="identity", name="first")])
    >>> exciting(model, np.array([[1.0, 0.0], [3.0, 2.0], [2.0, 5.0]]), "first", top=2).rows.tolist()
    [[1, 2], [2, 1]]
    """
    return most_exciting(layer, find("layer with units", layer, activations(model, x)), top)


def most_exciting(layer: str, answers: Array, top: int = 9) -> Exciting:
    """The same, of activations (n, units) that are known."""
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise UsageError(f"top is a whole number from 1 on, got {top!r}.")
    rows = np.argsort(-answers, axis=0, kind="stable")[:top].T
    return Exciting(layer, rows, np.take_along_axis(answers.T, rows, 1))


def selectivity(model: Model, x: Any, y: Any, layer: str, classes: Sequence[str] | None = None) -> Selectivity:
    """How each unit of ``layer`` tells the classes y (n,) of the rows of x apart; ``classes`` are their names.

    The index is (max - mean of others) / (max + mean of others), of mean activations by classes, where max is that of the preferred
    class. A. Morcos, D. Barrett, N. Rabinowitz, M. Botvinick, "On the importance of single directions for generalization", ICLR
    2018. It is meant for activations from 0 on: those of a unit that also gives negative numbers are counted from its smallest one.

    Raises `UnknownName` for a layer that is not there, and `DataError` for labels of a single class, or of another number of rows.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(2, "relu", kernel_initializer="identity", name="first")])
    >>> x, y = np.array([[4.0, 1.0], [2.0, 1.0], [1.0, 1.0], [1.0, 1.0]]), [0, 0, 1, 1]
    >>> found = selectivity(model, x, y, "first")
    >>> found.index.tolist(), found.dead.tolist()
    ([0.5, 0.0], [1])
    """
    return told_apart(layer, find("layer with units", layer, activations(model, x)), y, classes)


def told_apart(layer: str, answers: Array, y: Any, classes: Sequence[str] | None = None) -> Selectivity:
    """The same, of activations (n, units) that are known."""
    labels = np.asarray(y).reshape(-1)
    if labels.dtype.kind not in "iu" or len(labels) != len(answers):
        raise DataError(
            "Selectivity takes a class number for each row.",
            {"found": f"{np.shape(y)} {labels.dtype}", "expected": f"({len(answers)},) of whole numbers"},
        )
    numbers = np.unique(labels)
    if len(numbers) < 2 or numbers[0] < 0:
        raise DataError("Units tell classes apart, from 0 on, and there are not two.", {"found": numbers.tolist()})
    names = [str(k) for k in range(numbers[-1] + 1)] if classes is None else list(classes)
    if len(names) <= numbers[-1]:
        raise DataError(f"There are {len(names)} names of classes, but a label {numbers[-1]}.")
    answers = answers.astype(np.float64)
    answers = answers - np.minimum(answers.min(0), 0)
    means = np.stack([answers[labels == k].mean(0) for k in numbers], 1)
    most = means.max(1)
    others = (means.sum(1) - most) / (len(numbers) - 1)
    index = np.divide(most - others, most + others, out=np.zeros_like(most), where=most + others > 0)
    spread = np.ptp(answers, axis=0)
    every = np.full((len(means), len(names)), 0.0)
    every[:, numbers] = means
    dead = np.flatnonzero(spread == 0)
    return Selectivity(layer, names, every, numbers[means.argmax(1)], index, dead, _alike(answers, spread))


def _alike(answers: Array, spread: Array) -> list[tuple[int, int]]:
    """Pairs of units that are not dead, whose activations (n, units) go up and down together."""
    living = np.flatnonzero(spread)
    centered = answers[:, living] - answers[:, living].mean(0)
    centered /= np.linalg.norm(centered, axis=0)
    first, second = np.nonzero(np.triu(centered.T @ centered > _ALIKE, 1))
    return list(zip(living[first].tolist(), living[second].tolist(), strict=True))


def _answers(call: Call) -> Array:
    softmax = getattr(getattr(call.layer, "activation", None), "__name__", "") == "softmax"
    answers = call.scores if softmax and call.scores is not None else call.output
    most: Array = answers.reshape(len(answers), -1, answers.shape[-1]).max(1)
    return most


def _more(count: int) -> list[str]:
    return [f"and {count - _SHOWN} more"] if count > _SHOWN else []


__all__ = ["Exciting", "Selectivity", "activations", "exciting", "most_exciting", "selectivity", "told_apart"]
