"""Where a model draws the line between classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.models import Model
from nacre.models.goals import probabilities
from nacre.plots.canvas import COLORS, dress, one
from nacre.plots.classes import class_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

_CELLS = 200  # along each side
_MARGIN = 0.1
_PALEST, _DARKEST = 0.12, 0.6  # part of a class's color in a region, where it is least and most probable


def decision_boundary(model: Model, x: Any, y: Any, ax: Any = None) -> Axes:
    """The regions of the plane that a model takes for each class, the darker the more probable it is, and the points x (n, 2).

    y holds class numbers, (n,) or (n, 1), or one-hot rows. The model gives probabilities: one for each class, or one number, that
    of class 1, which is taken for it above 0.5. Scores are turned into probabilities if it was compiled with ``from_logits=True``.

    Raises `UsageError` for a model that does not take two numbers, or gives no probabilities, and `DataError` for targets that are
    no classes.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, "sigmoid")])
    >>> axes = decision_boundary(model, np.array([[0.0, 1.0], [1.0, 0.0]]), [0, 1])
    >>> axes.images[0].get_array().shape, len(axes.collections) >= 2
    ((200, 200, 4), True)
    """
    if len(model.input_shapes) != 1 or model.input_shapes[0] != (None, 2):
        found = ", ".join(map(str, model.input_shapes))
        raise UsageError(
            "A decision boundary is drawn for a model that takes two numbers.",
            {"found": found, "expected": "(None, 2)"},
        )
    points, classes = np.asarray(x), class_numbers("y", y)
    if points.ndim != 2 or points.shape != (len(classes), 2):
        raise UsageError("The points are (n, 2), with a class for each.", {"x": points.shape, "y": np.shape(y)})
    low, high = points.min(0), points.max(0)
    margin = np.where(high > low, _MARGIN * (high - low), 1.0)
    low, high = low - margin, high + margin
    across, up = (low[n] + (np.arange(_CELLS) + 0.5) / _CELLS * (high[n] - low[n]) for n in (0, 1))
    plane = np.stack(np.meshgrid(across, up), -1)
    odds = _probabilities(model, plane.reshape(-1, 2)).reshape(_CELLS, _CELLS, -1)
    said, sure = odds.argmax(-1), (odds.max(-1) - 1 / odds.shape[-1]) / (1 - 1 / odds.shape[-1])
    rgb = np.array([[int(c[n : n + 2], 16) / 255 for n in (1, 3, 5)] for c in COLORS])
    axes = one(ax, (5.4, 4.6))
    depth = _PALEST + (_DARKEST - _PALEST) * sure[..., None]
    image = np.concatenate([rgb[said % len(COLORS)], depth], -1)
    extent = (low[0], high[0], low[1], high[1])
    axes.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    for k in range(1 if odds.shape[-1] == 2 else 0, odds.shape[-1]):
        ahead = odds[..., k] - np.delete(odds, k, -1).max(-1)
        if ahead.min() < 0 < ahead.max():
            axes.contour(across, up, ahead, levels=[0.0], colors="#333333", linewidths=1.0)
    for k in np.unique(classes):
        color, (mine, high_up) = COLORS[k % len(COLORS)], points[classes == k].T
        axes.scatter(mine, high_up, s=18, color=color, edgecolors="white", linewidths=0.5, label=f"class {k}", zorder=3)
    right = _probabilities(model, points).argmax(-1) == classes
    dress(
        axes,
        f"{100 * right.mean():.1f} % of {len(points):,} points lie in the region of their class",
        "first input",
        "second input",
    )
    axes.grid(visible=False)
    axes.legend(loc="upper right", fontsize="small")
    return axes


def _probabilities(model: Model, rows: Array) -> Array:
    """Of each class, (n, classes), for rows (n, 2)."""
    found = np.asarray(model.predict(rows.astype(np.float32), verbose=0), np.float64)
    if found.ndim != 2:
        raise UsageError(
            "The model gives one row of probabilities for each point.", {"found": (None, *found.shape[1:])}
        )
    found = probabilities(model.loss if model.judged_outputs() else None, found)
    if found.min() < 0 or found.max() > 1:
        hint = "end the model with softmax or sigmoid, or compile a loss with from_logits=True"
        raise UsageError(
            "The model gives no probabilities.", {"found": f"{found.min():.4g} to {found.max():.4g}"}, hint
        )
    return found
