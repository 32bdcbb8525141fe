"""A function of two variables from above, and the way down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.calculus import Minimum
from nacre.calculus.derivatives import call
from nacre.errors import UsageError
from nacre.ir import Input, TensorType
from nacre.plots.canvas import COLORS, dress, one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

_POINTS, _ARROWS, _LEVELS = 101, 17, 24  # points and arrows are along each side
_DOTTED = 200  # points up to which each is a dot on the path
_MARGIN = 0.3  # around a path
_USUAL = ((-2.0, 2.0), (-2.0, 2.0))


def level_sets(
    function: Callable[[Any], Any],
    path: Minimum | Any = None,
    bounds: Sequence[Sequence[float]] | None = None,
    gradient: bool = False,
    ax: Any = None,
) -> Axes:
    """The level sets of a function of two variables, and the path of a descent on it.

    ``function`` takes an array of two numbers and returns one, as in `nacre.minimize`; ``path`` is what that returns, or points
    (n, 2). ``bounds`` are (lowest, highest) of the first variable and of the second; by default what the path needs, else -2 to 2.
    With ``gradient``, arrows show which way it falls fastest, against the gradient, all of the same length.

    Raises `UsageError` for a path that is none in the plane, for bounds that are none, and for a function that is the same
    everywhere; and what `nacre.grad` raises for a function that it cannot follow.

    >>> import nacre
    >>> from nacre import ops
    >>> def f(v):
    ...     return v[0] * ops.exp(-(v[0] ** 2 + v[1] ** 2))
    >>> level_sets(f, nacre.minimize(f, [-0.2, 0.6])).get_title(loc="left")
    'from (-0.2, 0.6) in 152 steps to (-0.7071, 0), where it is -0.4289'
    """
    points = None if path is None else np.asarray(path.path if isinstance(path, Minimum) else path, np.float64)
    if points is not None and (points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).any()):
        raise UsageError(
            "A path in the plane is points (n, 2).", {"found": points.shape}, "minimize from an array of two numbers"
        )
    limits = _limits(points, bounds)
    point = Input("point", TensorType((2,), "float64"))
    value = call(lambda: function(point), (), (), {})
    xs, ys = (np.linspace(*limit, _POINTS) for limit in limits)
    heights = np.array([[ops.evaluate([value], {"point": np.array([x, y])})[0] for x in xs] for y in ys], np.float64)
    finite = heights[np.isfinite(heights)]
    if not finite.size or finite.min() == finite.max():
        raise UsageError("The function is the same everywhere within the bounds.", {"bounds": limits})
    axes = one(ax, (6.2, 4.8))
    filled = axes.contourf(xs, ys, heights, levels=_levels(finite), cmap="viridis")
    axes.contour(xs, ys, heights, levels=filled.levels, colors="white", linewidths=0.4, alpha=0.6)
    axes.figure.colorbar(filled, ax=axes, label="value", format="%.3g")
    if gradient:
        [slope] = gradients(value, [point])
        sparse = [np.linspace(low, high, _ARROWS + 2)[1:-1] for low, high in limits]
        downhill = np.array(
            [[-ops.evaluate([slope], {"point": np.array([x, y])})[0] for x in sparse[0]] for y in sparse[1]]
        )
        length = np.maximum(np.linalg.norm(downhill, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
        axes.quiver(*sparse, *np.moveaxis(downhill / length, -1, 0), color="white", alpha=0.8, width=0.003, scale=30)
    title = "level sets"
    if points is not None:
        marker = "." if len(points) <= _DOTTED else ""
        axes.plot(*points.T, color=COLORS[1], marker=marker, linewidth=1.4, label="path")
        axes.plot(*points[:1].T, "o", color="white", markeredgecolor=COLORS[1], label="begin")
        axes.plot(*points[-1:].T, "*", color=COLORS[1], markeredgecolor="white", markersize=13, label="end")
        axes.legend(fontsize="small")
        [last] = ops.evaluate([value], {"point": points[-1]})
        size = max(high - low for low, high in limits)
        begin, end = (f"({x:.4g}, {y:.4g})" for x, y in np.where(abs(points) < 1e-4 * size, 0, points)[[0, -1]])
        title = f"from {begin} in {len(points) - 1:,} steps to {end}, where it is {float(last):.4g}"
    dress(axes, title, "first variable", "second variable")
    axes.grid(visible=False)
    axes.set(xlim=limits[0], ylim=limits[1])
    return axes


def _limits(points: Array | None, bounds: Any) -> tuple[tuple[float, float], ...]:
    if bounds is not None:
        given = np.asarray(bounds, np.float64)
        if given.shape != (2, 2) or not np.isfinite(given).all() or not (given[:, 0] < given[:, 1]).all():
            raise UsageError(
                "Bounds are two pairs of a number and a larger one.", {"found": bounds}, "((-2, 2), (-1, 1))"
            )
        return tuple((float(low), float(high)) for low, high in given)
    if points is None:
        return _USUAL
    low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    around = max(float(_MARGIN * (high - low).max()), 0.1)
    return tuple((float(a - around), float(b + around)) for a, b in zip(low, high, strict=True))


def _levels(heights: Array) -> Array:
    """Heights between which the bands lie. Half of them cut the range, and half the area, evenly: so a narrow valley in high
    mountains has some too."""
    shares = np.linspace(0, 1, _LEVELS // 2 + 1)
    even = heights.min() + shares * (heights.max() - heights.min())
    return np.unique(np.concatenate([even, np.quantile(heights, shares)]))
