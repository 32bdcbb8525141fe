"""How what was said of classes compares with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, ShapeError, UsageError
from nacre.plots.canvas import COLORS, GREY, dress, one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

_MOST_WRITTEN = 20  # classes whose counts are written into the cells
_DARK = 0.5  # share of the largest number from which a cell is dark


def confusion_matrix(
    y_true: Any, y_pred: Any, names: Sequence[str] | None = None, normalize: bool = False, ax: Any = None
) -> Axes:
    """How many rows of each class (downward) were taken for which class (across).

    ``y_true`` holds class numbers from 0 on, (n,) or (n, 1), or one-hot rows (n, classes). ``y_pred`` holds class numbers too, or
    what a model predicts: (n, classes), of which the largest counts, or (n, 1) probabilities of class 1, which counts above 0.5.
    ``names`` are those of the classes. With ``normalize``, each count is divided by the rows of its true class.

    Raises `ShapeError` if there are not as many predictions as truths, `DataError` for what are no classes, and `UsageError` if
    there are fewer names than classes.

    >>> axes = confusion_matrix([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], names=["cat", "dog"])
    >>> axes.images[0].get_array().tolist(), axes.get_title(loc="left")
    ([[1, 0], [1, 1]], '2 of 3 rows are right (66.7 %)')
    """
    true, said = class_numbers("y_true", y_true), class_numbers("y_pred", y_pred)
    _check_lengths(true, said)
    widths = [np.shape(y)[1] for y in (y_true, y_pred) if np.ndim(y) == 2]
    count = max(int(true.max()) + 1, int(said.max()) + 1, *(w for w in widths if w > 1), len(names or ()), 2)
    names = [str(k) for k in range(count)] if names is None else list(names)
    if len(names) < count:
        raise UsageError(f"There are {count} classes, but {len(names)} names.", {"names": ", ".join(map(str, names))})
    counts = np.zeros((count, count), np.int64)
    np.add.at(counts, (true, said), 1)
    cells = counts / np.maximum(counts.sum(1, keepdims=True), 1) if normalize else counts
    axes = one(ax, (4.2 + 0.22 * min(count, 20), 3.4 + 0.2 * min(count, 20)))
    most = 1.0 if normalize else float(counts.max())
    image = axes.imshow(cells, cmap="Blues", vmin=0, vmax=most)
    right = int(np.trace(counts))
    dress(
        axes,
        f"{right:,} of {len(true):,} rows are right ({100 * right / len(true):.1f} %)",
        "predicted class",
        "true class",
    )
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    slant = 45 if max(map(len, map(str, names))) * count > 40 else 0
    axes.set_xticks(range(count), names, rotation=slant, ha="right" if slant else "center")
    axes.set_yticks(range(count), names)
    if count > _MOST_WRITTEN:
        axes.figure.colorbar(image, ax=axes, label="share of the true class" if normalize else "rows")
        return axes
    for (row, column), value in np.ndenumerate(cells):
        color = GREY if not value else "white" if value > _DARK * most else "black"
        text = f"{value:.2f}" if normalize else f"{value:,}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
    return axes


def calibration(y_true: Any, probabilities: Any, bins: int = 10, ax: Any = None) -> Axes:
    """How often what was said with some probability came true, in ``bins`` of equal width, and the expected calibration error.

    Of probabilities (n, classes), the largest of each row is what was said, and it came true if the row is of that class. Of
    probabilities (n,) or (n, 1) of class 1, it came true if the row is of class 1. The error is the distance between the share
    that came true and the mean probability of a bin, on average over all rows.

    C. Guo et al., "On calibration of modern neural networks", ICML 2017. Raises what `confusion_matrix` raises, and `DataError` for
    what are no probabilities.

    >>> calibration([1, 1, 0, 0], [0.9, 0.7, 0.3, 0.3]).get_title(loc="left")
    'expected calibration error 0.25 over 4 rows'
    """
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise UsageError(f"bins is a whole number from 1 on, got {bins!r}.")
    true, given = class_numbers("y_true", y_true), np.asarray(probabilities, np.float64)
    _check_lengths(true, given)
    if given.ndim not in (1, 2) or not ((given >= 0) & (given <= 1)).all():
        found = {"found": f"shape {given.shape}, numbers from {given.min():.4g} to {given.max():.4g}"}
        raise DataError(
            "Probabilities are (n,) or (n, classes) numbers within 0 and 1.", found, "apply softmax or sigmoid"
        )
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if true.max() >= (classes := given.shape[1] if given.ndim == 2 else 2):
        raise DataError(f"These are probabilities of {classes} classes.", {"found": f"class {true.max()} in y_true"})
    sure, right = (given, true == 1) if given.ndim == 1 else (given.max(1), given.argmax(1) == true)
    where = np.minimum((sure * bins).astype(np.int64), bins - 1)
    rows = np.bincount(where, minlength=bins)
    filled = np.flatnonzero(rows)
    said = np.bincount(where, sure, bins)[filled] / rows[filled]
    came = np.bincount(where, right, bins)[filled] / rows[filled]
    error = float((rows[filled] * np.abs(came - said)).sum() / len(true))
    axes = one(ax, (5.0, 4.6))
    axes.bar(
        (filled + 0.5) / bins,
        came,
        1 / bins,
        color=COLORS[0],
        alpha=0.35,
        edgecolor="white",
        label="share that came true",
    )
    axes.plot([0, 1], [0, 1], color=GREY, ls="--", label="as it should be")
    axes.plot(said, came, "o", color=COLORS[1], clip_on=False, label="mean probability of these rows")
    for bin_ in filled:
        axes.text((bin_ + 0.5) / bins, 0.01, f"{rows[bin_]:,}", ha="center", fontsize="x-small")
    what = "probability of class 1" if given.ndim == 1 else "probability of the class said"
    dress(axes, f"expected calibration error {error:.3g} over {len(true):,} rows", what, "share that came true")
    axes.set(xlim=(0, 1), ylim=(0, 1.25), yticks=np.linspace(0, 1, 6))  # with room for the legend
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    return axes


def class_numbers(name: str, y: Any) -> Array:
    """Class numbers (n,), of such numbers, one-hot rows, or what a model predicts. Raises `DataError` for what is none of these."""
    given = np.asarray(y)
    if given.ndim not in (1, 2) or given.dtype.kind not in "biuf" or not given.size or not np.isfinite(given).all():
        expected = {
            "found": f"shape {given.shape}, {given.dtype}",
            "expected": "finite numbers, (n,), (n, 1) or (n, classes)",
        }
        raise DataError(f"{name} holds no classes.", expected)
    if given.ndim == 2 and given.shape[1] > 1:
        numbers: Array = given.argmax(1)
        return numbers
    flat = given.reshape(-1)
    if given.dtype.kind == "f" and (flat != np.floor(flat)).any() and flat.min() >= 0 and flat.max() <= 1:
        return (flat > 0.5).astype(np.int64)
    if flat.min() < 0 or (flat != np.floor(flat)).any():
        raise DataError(
            f"{name} holds no classes.", {"found": flat[(flat < 0) | (flat != np.floor(flat))][0]}, "count from 0"
        )
    return flat.astype(np.int64)


def _check_lengths(true: Array, said: Array) -> None:
    if len(true) != len(said):
        raise ShapeError("There is one prediction for each truth.", {"truths": len(true), "predictions": len(said)})
