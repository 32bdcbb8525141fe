"""How a training went, by epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.plots.canvas import COLORS, GREY, dress, several
from nacre.training import History

Array = npt.NDArray[Any]

_DOTTED = 25  # epochs up to which each is a dot on the line


def history(history: History | Mapping[str, Sequence[float]], ax: Any = None) -> Array:
    """The figures of a training by epochs, counted from 1: an axes for the loss, and one for each metric. Returns these axes.

    ``history`` is what `Model.fit` returns, or a dictionary of lists, one number per epoch. What was measured in validation is
    drawn beside what was in training, with a mark at the epoch of the lowest ``val_loss``. ``ax`` is an array of as many axes.
    Raises `UsageError` for a history without an epoch, or lists of different lengths.

    >>> [axes] = history({"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 2.0, 2.5]})
    >>> [line.get_label() for line in axes.lines], axes.lines[1].get_ydata().tolist()
    (['training', 'validation', 'lowest val_loss'], [3.0, 2.0, 2.5])
    """
    epochs, figures = _figures(history)
    names = figure_names(figures)
    judged = np.asarray(figures.get("val_loss", []), np.float64)
    best = int(np.nanargmin(judged)) if np.isfinite(judged).any() else None
    axes = several(ax, names)
    for drawn, name in zip(axes, names, strict=True):
        parts = {"training": name, "validation": f"val_{name}"}
        there = {part: figures[key] for part, key in parts.items() if key in figures}
        for color, (part, values) in zip(COLORS, there.items(), strict=False):
            marker = "." if len(epochs) <= _DOTTED else ""
            drawn.plot(epochs, values, color=color, marker=marker, label=part)
        title = f"{name} by epoch"
        if best is not None and "validation" in there:
            lowest = ", the lowest" if name == "loss" else ""
            title = f"{name}: {there['validation'][best]:.4g} in validation in epoch {epochs[best]}{lowest}"
            drawn.axvline(epochs[best], color=GREY, ls=":", label="lowest val_loss")
        dress(drawn, title, "epoch", name)
        drawn.xaxis.get_major_locator().set_params(integer=True)
        if len(there) > 1:
            drawn.legend(frameon=False)
    return axes


def figure_names(history: History | Mapping[str, Sequence[float]]) -> list[str]:
    """What `history` draws an axes for each of: the loss, and each metric.

    >>> figure_names({"loss": [1.0], "accuracy": [0.5], "val_loss": [1.0], "val_accuracy": [0.5]})
    ['loss', 'accuracy']
    """
    return list(dict.fromkeys(name.removeprefix("val_") for name in _figures(history)[1]))


def _figures(given: Any) -> tuple[list[int], dict[str, Sequence[float]]]:
    """The numbers of the epochs, from 1, and the figures."""
    if not isinstance(given, History | Mapping):
        raise UsageError(f"A history is what Model.fit returns, or a dictionary of lists, got {given!r}.")
    figures = dict(given.history if isinstance(given, History) else given)
    count = max(map(len, figures.values()), default=0)
    if not count:
        raise UsageError("The history has no epoch yet, so there is nothing to draw.", hint="model.fit(...) first")
    if short := [name for name, values in figures.items() if len(values) != count]:
        raise UsageError(f"The history has {count} epochs, but {len(figures[short[0]])} numbers of {short[0]!r}.")
    first = given.epoch if isinstance(given, History) else range(count)
    return [epoch + 1 for epoch in first], figures
