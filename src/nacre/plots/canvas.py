"""What plots are drawn on, axes that are given or made, and what they have in common: colors, frame, grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError, guest
from nacre.pages import ABOVE, BELOW

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D3B")
GREY = "#777777"


def one(ax: Any, size: tuple[float, float] = (6.0, 4.0)) -> Axes:
    """The axes that were given, or those of a new figure, ``size`` in inches. Raises `UsageError` for what is no axes."""
    if ax is None:
        made: Axes = _pyplot().subplots(figsize=size, layout="constrained")[1]
        return made
    if not isinstance(ax, guest("matplotlib.axes", "A plot", "plot").Axes):
        raise UsageError(f"ax is an axes of Matplotlib, got {ax!r}.", hint="leave it out, or take plt.subplots()[1]")
    given: Axes = ax
    return given


def several(ax: Any, names: Sequence[str], size: tuple[float, float] = (4.6, 3.4)) -> Array:
    """An array of axes, one for each of ``names``: those that were given, or those of a new figure, each ``size`` in inches.

    Raises `UsageError` if there are more or fewer, or something is no axes.
    """
    if ax is not None:
        given = np.asarray(ax, dtype=object).ravel()
        if len(given) != len(names):
            found = {"drawn": ", ".join(names), "found": f"{len(given)} axes"}
            hint = f"leave ax out, or take plt.subplots(1, {len(names)})[1]"
            raise UsageError(f"This plot takes {len(names)} axes.", found, hint)
        return np.array([one(a) for a in given], dtype=object)
    columns = 2 if len(names) == 4 else min(len(names), 3)
    rows = -(-len(names) // columns)
    figure_size = (size[0] * columns, size[1] * rows)
    axes: Array = _pyplot().subplots(rows, columns, figsize=figure_size, layout="constrained", squeeze=False)[1].ravel()
    for spare in axes[len(names) :]:
        spare.remove()
    return axes[: len(names)]


def dress(ax: Axes, title: str, x: str, y: str) -> None:
    """Title, names of what lies along the axes, and a frame and grid that stay behind what is drawn."""
    ax.set_title(title, loc="left", fontsize="medium")
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(color=GREY, alpha=0.2, linewidth=0.8)
    ax.set_axisbelow(True)


def signed_colors() -> Any:
    """The map of colors for numbers around 0: blue above, orange below, as on pages."""
    ends = [tuple(part / 255 for part in color) for color in (BELOW, (255, 255, 255), ABOVE)]
    return guest("matplotlib.colors", "A plot", "plot").LinearSegmentedColormap.from_list("signed", ends)


def _pyplot() -> Any:
    return guest("matplotlib.pyplot", "A plot", "plot")
