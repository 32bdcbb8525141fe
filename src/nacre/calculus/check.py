"""Is a gradient right? Central differences know nothing of the chain rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.calculus.derivatives import call, leaves, type_of
from nacre.calculus.trees import flatten
from nacre.errors import DTypeError, UsageError
from nacre.ir import Input, Value
from nacre.progress import tell

Array = npt.NDArray[Any]

_ENTRIES = 50  # looked at in one array


@runtime_checkable
class HasLoss(Protocol):
    """A model: its loss over some data is a function of its weights."""

    def loss_function(self, x: Any, y: Any) -> tuple[Callable[[Any], Value], dict[str, Array]]:
        """The loss as a function of a dictionary of the weights, and the weights."""


@dataclass(frozen=True)
class Entry:
    """One partial derivative: derived, and as a central difference. ``error`` is their distance by what is allowed."""

    where: str
    gradient: float
    difference: float
    error: float


@dataclass(frozen=True)
class GradientCheck:
    """What `gradcheck` found. It is true if all ``entries`` agree; the worst one is ``worst``."""

    entries: tuple[Entry, ...]

    @property
    def worst(self) -> Entry:
        """The entry that is farthest from its central difference, by what is allowed."""
        return max(self.entries, key=lambda entry: entry.error)

    @property
    def wrong(self) -> list[Entry]:
        """The entries that do not agree."""
        return [entry for entry in self.entries if entry.error > 1]

    def __bool__(self) -> bool:
        return not self.wrong

    def __repr__(self) -> str:
        count, wrong, worst = len(self.entries), len(self.wrong), self.worst
        says = f"{wrong} of {count} entries differ from" if wrong else f"all {count} entries agree with"
        return (
            f"gradcheck: {bool(self)}, {says} central differences\n"
            f"  worst at    {worst.where}\n"
            f"  gradient    {worst.gradient:.7g}\n"
            f"  difference  {worst.difference:.7g}\n"
            f"  apart       {worst.error:.2g} times what is allowed"
        )


def gradcheck(
    f: Callable[..., Any] | HasLoss, *args: Any, eps: float = 1e-5, rtol: float = 1e-5, atol: float = 1e-7
) -> GradientCheck:
    """Compare the gradient of a function with central differences, both in float64.

    The difference at an entry x is (f(x + h) - f(x - h)) / 2h, with h = ``eps`` * max(1, abs(x)); its error is of the order of h^2.
    A gradient may differ from it by ``atol`` + ``rtol`` * abs(difference). Looked at are all arguments that hold fractions, of
    each array at most 50 entries, picked at random, but always the same.

    Where they differ, h is tried 10 and 100 times smaller: a kink, such as that of relu, may lie between x - h and x + h.

    For a compiled model, ``gradcheck(model, x, y)`` checks its loss on these data against its weights, dropout off.

    Raises `DTypeError` if no argument holds fractions.

    >>> import nacre
    >>> from nacre import ops
    >>> bool(nacre.gradcheck(lambda x: ops.sum(ops.tanh(x) ** 2), np.array([0.5, -1.0])))
    True
    >>> nacre.gradcheck(lambda x: x * ops.stop_gradient(x), 3.0)
    gradcheck: False, 1 of 1 entries differ from central differences
      worst at    argument 0
      gradient    3
      difference  6
      apart       5e+04 times what is allowed
    """
    for name, number in (("eps", eps), ("rtol", rtol), ("atol", atol)):
        if not 0 < number < np.inf:
            raise UsageError(f"{name} is a positive number, got {number!r}.")
    titles: list[str] = []
    if isinstance(f, HasLoss):
        if len(args) != 2:
            raise UsageError(
                f"A model is checked on x and y, got {len(args)} arguments.", hint="gradcheck(model, x, y)"
            )
        f, weights = f.loss_function(*args)
        args, titles = (weights,), list(weights)
    places = [n for n, x in enumerate(args) if any(np.asarray(a).dtype.kind == "f" for a in flatten(x, "").values())]
    if not places:
        raise DTypeError("No argument holds fractions, so there is no gradient to check.", hint="2.0 instead of 2")
    point = {name: np.array(x, np.float64) for name, x in leaves(args, places).items()}
    inputs = {name: Input(name, type_of(x)) for name, x in point.items()}
    y = call(f, args, places, inputs)
    found = ops.evaluate(gradients(y, [*inputs.values()]), point)
    entries: list[Entry] = []
    total = sum(min(_ENTRIES, x.size) for x in point.values())
    for (name, x), derived, title in zip(point.items(), found, titles or point, strict=True):
        for at in _some(x):
            where = title + (f"[{', '.join(map(str, at))}]" if at else "")
            tries: list[Entry] = []
            for h in eps * max(1.0, abs(x[at])) / np.array([1, 10, 100]):
                ends = [x[at] + h, x[at] - h]
                values = [float(ops.evaluate([y], point | {name: _moved(x, at, end)})[0]) for end in ends]
                difference = (values[0] - values[1]) / (ends[0] - ends[1])
                error = abs(derived[at] - difference) / (atol + rtol * abs(difference))
                tries.append(
                    Entry(where, float(derived[at]), float(difference), float(error if error >= 0 else np.inf))
                )
                if error <= 1:
                    break
            entries.append(min(tries, key=lambda entry: entry.error))
            tell("Taking differences", len(entries), total, "entries")
    return GradientCheck(tuple(entries))


def _some(x: Array) -> list[tuple[int, ...]]:
    chosen = np.random.default_rng(0).permutation(x.size)[:_ENTRIES]
    return [tuple(int(n) for n in np.unravel_index(flat, x.shape)) for flat in sorted(chosen)]


def _moved(x: Array, at: tuple[int, ...], to: float) -> Array:
    moved = x.copy()
    moved[at] = to
    return moved
