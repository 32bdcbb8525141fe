"""The minimum of a function, step by step, so that one can look at the way."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.calculus.derivatives import call
from nacre.calculus.lbfgs import Function, lbfgs
from nacre.calculus.trees import flatten, rebuild
from nacre.errors import DTypeError, UsageError, find
from nacre.ir import Graph, Input, TensorType
from nacre.passes import simplify

Array = npt.NDArray[Any]
Points = Iterator[tuple[Array, float, Array]]  # where, the value there, and the gradient

_PERIODS = range(2, 9)  # of the cycles that are looked for
_FAR = 1e10  # beyond so many times the size of the first point, nothing is found


@dataclass(frozen=True)
class Minimum:
    """What `minimize` found.

    ``x`` is the last point, in the form of the first one, ``value`` and ``gradient_norm`` are those there. ``path`` holds all
    points that were visited, the first included, along a new first axis, and ``values`` their values. ``status`` is "converged",
    "cycles", "diverges", "stands still" or "not there yet", and ``message`` says it in a sentence.
    """

    x: Any
    value: float
    gradient_norm: float
    steps: int
    status: str
    message: str
    path: Any = field(repr=False)
    values: Array = field(repr=False)

    @property
    def converged(self) -> bool:
        """Whether the norm of the gradient is within the tolerance."""
        return self.status == "converged"

    def __str__(self) -> str:
        figures = {"x": self.x, "value": f"{self.value:.10g}", "gradient norm": f"{self.gradient_norm:.3g}"}
        return "\n".join([self.message] + [f"  {name:<13}  {figure}" for name, figure in figures.items()])


def minimize(
    f: Callable[[Any], Any],
    x0: Any,
    method: str = "gd",
    learning_rate: float | None = None,
    steps: int = 1000,
    tolerance: float = 1e-6,
) -> Minimum:
    """Go downhill on ``f`` from ``x0``, in float64, until the norm of the gradient is at most ``tolerance``, for at most ``steps``.

    ``f`` takes one argument and returns a scalar, as in `grad`. ``method`` is "gd", x - rate * gradient; "momentum", which keeps
    0.9 of the last step; "adam" (D. Kingma and J. Ba, 2015, as `nacre.optimizers.Adam`); or "lbfgs" (D. Liu and J. Nocedal,
    1989, with a line search after the strong Wolfe conditions), which needs no rate and far fewer steps. ``learning_rate`` is 0.1
    unless given.

    All points are kept, for drawing. Raises `UsageError` for arguments that make no sense and `UnknownName` for another method.

    >>> import nacre
    >>> from nacre import ops
    >>> print(nacre.minimize(lambda x: (x - 3) ** 2, 0.0, method="lbfgs"))
    converged after 2 steps
      x              3.0
      value          0
      gradient norm  0
    >>> nacre.minimize(lambda x: x**2 / 2, 1.0, learning_rate=2.0).message
    'cycles: after 2 steps it is where it was; take a smaller learning_rate'
    """
    rule = find("method", method, _METHODS) if isinstance(method, str) else None
    if rule is None:
        raise UsageError(f"method is a name, got {method!r}.", hint=f"one of {', '.join(_METHODS)}")
    if method == "lbfgs" and learning_rate is not None:
        raise UsageError('"lbfgs" finds the length of a step by itself.', hint="leave out learning_rate")
    rate = 0.1 if learning_rate is None else learning_rate
    if not isinstance(rate, int | float | np.number) or not 0 < rate < math.inf:
        raise UsageError(f"learning_rate is a positive number, got {learning_rate!r}.")
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise UsageError(f"steps is a whole number from 1 on, got {steps!r}.")
    if not tolerance >= 0:
        raise UsageError(f"tolerance is a number from 0 on, got {tolerance!r}.")
    function, start, put_back = _of_one_vector(f, x0)
    with np.errstate(all="ignore"):
        points, status, message = follow(rule(function, start, float(rate)), int(steps), float(tolerance))
    x, value, gradient = points[-1]
    return Minimum(
        put_back(x),
        value,
        float(np.linalg.norm(gradient)),
        len(points) - 1,
        status,
        message,
        put_back(np.stack([x for x, _, _ in points])),
        np.array([value for _, value, _ in points]),
    )


def follow(points: Points, steps: int, tolerance: float) -> tuple[list[tuple[Array, float, Array]], str, str]:
    """The points up to where it is over, and why it is, in a word and in a sentence."""
    visited: list[tuple[Array, float, Array]] = []
    for x, value, gradient in itertools.islice(points, steps + 1):
        visited.append((x, value, gradient))
        done = len(visited) - 1
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            hint = "; take a smaller learning_rate" if done else ": begin at another point"
            return visited, "diverges", f"diverges: the value is {value} after {done} steps{hint}"
        if np.linalg.norm(gradient) <= tolerance:
            return visited, "converged", f"converged after {done} steps"
        if np.linalg.norm(x) > _FAR * (1 + np.linalg.norm(visited[0][0])):
            return visited, "diverges", f"diverges: far away after {done} steps, with a value of {value:.3g}"
        if done and np.array_equal(x, visited[-2][0]):
            return visited, "stands still", f"stands still after {done} steps: they are too short to change x"
        if period := _period([x for x, _, _ in visited[-3 * _PERIODS[-1] :]]):
            return visited, "cycles", f"cycles: after {period} steps it is where it was; take a smaller learning_rate"
    done = len(visited) - 1
    if done < steps:
        return visited, "stands still", f"stands still after {done} steps: nothing lower was found"
    if _climbs(visited):
        return (
            visited,
            "diverges",
            f"diverges: after {done} steps it climbs faster and faster; take a smaller learning_rate",
        )
    return visited, "not there yet", f"not there yet after {done} steps: take more of them, or another learning_rate"


def _period(points: list[Array]) -> int:
    """After how many steps the last points repeat, twice over; 0 if they do not."""
    for period in _PERIODS:
        if len(points) < 3 * period:
            break
        size = np.linalg.norm(points[-1] - points[-2])
        pairs = zip(points[-2 * period :], points[-3 * period : -period], strict=True)
        if all(np.linalg.norm(a - b) <= 1e-9 * size for a, b in pairs):
            return period
    return 0


def _climbs(visited: list[tuple[Array, float, Array]]) -> bool:
    """Whether the last value is the highest, and the last step the longest."""
    lengths = [float(np.linalg.norm(b[0] - a[0])) for a, b in itertools.pairwise(visited)]
    return visited[-1][1] > max(value for _, value, _ in visited[:-1]) and lengths[-1] >= max(lengths)


# ------------------------------------------------------------------ how a point follows the last


def _descent(f: Function, x: Array, rate: float) -> Points:
    while True:
        value, gradient = f(x)
        yield x, value, gradient
        x = x - rate * gradient


def _momentum(f: Function, x: Array, rate: float) -> Points:
    velocity = np.zeros_like(x)
    while True:
        value, gradient = f(x)
        yield x, value, gradient
        velocity = 0.9 * velocity - rate * gradient
        x = x + velocity


def _adam(f: Function, x: Array, rate: float) -> Points:
    m = v = np.zeros_like(x)
    for step in itertools.count(1):
        value, gradient = f(x)
        yield x, value, gradient
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x = x - rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m / (np.sqrt(v) + 1e-7)


def _lbfgs(f: Function, x: Array, rate: float) -> Points:  # noqa: ARG001 - it finds the length of a step by itself
    return lbfgs(f, x)


_METHODS: dict[str, Callable[[Function, Array, float], Points]] = {
    "gd": _descent,
    "momentum": _momentum,
    "adam": _adam,
    "lbfgs": _lbfgs,
}


# ------------------------------------------------------------------ one vector for all there is


def _of_one_vector(f: Callable[[Any], Any], x0: Any) -> tuple[Function, Array, Callable[[Array], Any]]:
    """``f`` with its gradient as a function of all numbers in one vector, the vector at x0, and the way back.

    The way back takes vectors (..., n), and keeps what axes come first.
    """
    arrays = {name: np.asarray(x) for name, x in flatten(x0, "x0").items()}
    if any(a.dtype.kind not in "biuf" for a in arrays.values()) or not sum(a.size for a in arrays.values()):
        raise DTypeError(f"minimize begins at an array of numbers, got {x0!r}.")
    types = {name: TensorType(a.shape, "float64") for name, a in arrays.items()}
    inputs = {name: Input(name, t) for name, t in types.items()}
    y = call(lambda: f(rebuild(x0, inputs, "x0")), (), (), {})
    graph = simplify(
        Graph(inputs.values(), {"value": y} | dict(zip(inputs, gradients(y, [*inputs.values()]), strict=True)))
    )
    outputs = [*graph.outputs.values()]
    ends = list(itertools.accumulate(t.size for t in types.values()))

    def cut(vector: Array) -> dict[str, Array]:
        parts = np.split(vector, ends[:-1], axis=-1)
        return {n: p.reshape(p.shape[:-1] + types[n].shape) for n, p in zip(types, parts, strict=True)}

    def function(vector: Array) -> tuple[float, Array]:
        value, *found = ops.evaluate(outputs, cut(vector))
        return float(value), np.concatenate([g.ravel() for g in found])

    start = np.concatenate([a.ravel() for a in arrays.values()]).astype(np.float64)
    return function, start, lambda vector: rebuild(x0, cut(vector), "x0")
