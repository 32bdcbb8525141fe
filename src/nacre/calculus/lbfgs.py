"""L-BFGS: Newton's method with curvature learned from the last steps.

D. Liu and J. Nocedal, "On the limited memory BFGS method for large scale optimization", Mathematical Programming 45, 1989. The
numbers of algorithms are those of J. Nocedal and S. Wright, "Numerical Optimization", 2nd edition, 2006.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Function = Callable[[Array], tuple[float, Array]]  # of x (n,): the value, and the gradient (n,)

_DECREASE, _CURVATURE = 1e-4, 0.9  # c1 and c2 of the strong Wolfe conditions
_MEMORY = 10  # steps that curvature is learned from
_TRIALS = 30  # points that a line search may look at


class _Point(NamedTuple):
    """A point x + length * direction, with the slope along the direction."""

    length: float
    x: Array
    value: float
    gradient: Array
    slope: float


def lbfgs(f: Function, x: Array) -> Iterator[tuple[Array, float, Array]]:
    """The points that the method visits from x on, each with its value and gradient (algorithm 7.5).

    Ends where no line search finds a lower one, which is at the limit of what the numbers resolve.

    >>> points = list(lbfgs(lambda x: (float(x @ x), 2 * x), np.array([3.0, 4.0])))
    >>> points[-1][1]
    0.0
    """
    value, gradient = f(x)
    yield x, value, gradient
    memory: deque[tuple[Array, Array, float]] = deque(maxlen=_MEMORY)
    while gradient.any():
        direction = -_newton(memory, gradient)
        # Nothing is known of the curvature yet: no farther than the size of x, or 1.
        first = 1.0 if memory else min(1.0, max(1.0, _norm(x)) / _norm(gradient))
        found = _search(f, _Point(0.0, x, value, gradient, float(gradient.dot(direction))), direction, first)
        if found is None:
            if not memory:
                return
            memory.clear()  # what was learned misleads here
            continue
        s, y = found.x - x, found.gradient - gradient
        if (product := float(s.dot(y))) > 1e-10 * _norm(s) * _norm(y):
            memory.append((s, y, product))
        x, value, gradient = found.x, found.value, found.gradient
        yield x, value, gradient


def _norm(x: Array) -> float:
    return math.sqrt(x.dot(x))


def _newton(memory: deque[tuple[Array, Array, float]], gradient: Array) -> Array:
    """The gradient times the inverse of the curvature that the steps in memory saw (algorithm 7.4)."""
    q, weights = gradient.copy(), []
    for s, y, product in reversed(memory):
        weights.append(float(s.dot(q)) / product)
        q -= weights[-1] * y
    if memory:
        _, y, product = memory[-1]
        q *= product / y.dot(y)
    for s, y, product in memory:
        q += (weights.pop() - float(y.dot(q)) / product) * s
    return q


def _search(f: Function, start: _Point, direction: Array, first: float) -> _Point | None:
    """A point along the direction that meets the strong Wolfe conditions; failing that one that is lower, or none.

    Algorithms 3.5 and 3.6 in one loop: ``low`` is the lowest point so far, and between it and ``high`` lie points that are met.
    """
    low, high, length = start, None, first
    for _ in range(_TRIALS):
        x = start.x + length * direction
        value, gradient = f(x)
        new = _Point(length, x, value, gradient, float(gradient.dot(direction)))
        enough = start.value + _DECREASE * length * start.slope
        if not (new.value <= enough and new.value < low.value):  # NaN is too far as well
            high = new
        elif abs(new.slope) <= -_CURVATURE * start.slope:
            return new
        else:
            if new.slope * (np.inf if high is None else high.length - low.length) >= 0:
                high = low
            low = new
        if high is not None and abs(high.length - low.length) <= 1e-9 * low.length:
            break  # there is nothing in between
        length = 2 * length if high is None else _between(low, high)
    return None if low is start else low


def _between(low: _Point, high: _Point) -> float:
    """The minimum of the cubic through both (equation 3.59), kept off the ends; the middle where there is none."""
    a, b = low.length, high.length
    with np.errstate(all="ignore"):
        d1 = low.slope + high.slope - 3 * (low.value - high.value) / (a - b)
        d2 = np.sign(b - a) * np.sqrt(d1 * d1 - low.slope * high.slope)
        best = b - (b - a) * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    if not np.isfinite(best):
        best = (a + b) / 2
    near, far = a + 0.1 * (b - a), a + 0.9 * (b - a)
    return float(np.clip(best, min(near, far), max(near, far)))
