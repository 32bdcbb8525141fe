"""The weights of a model, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.data import Features
from nacre.errors import UsageError, find
from nacre.models import Model
from nacre.plots.canvas import COLORS, dress, several, signed_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]

_BARS = 40
_LEAST_SIDE = 8  # of a square: fewer inputs are no picture
_MOST_PICTURES = 100


def weights(model: Model, layer: str | None = None, shape: Sequence[int] | None = None, ax: Any = None) -> Array:
    """The weights of each layer, or of the one called ``layer``: an axes for each, with histograms; returns the array of axes.

    Where the input is a picture, the first layer that has a matrix of weights is drawn as pictures, one for each unit, at most the
    first 100: what its weights look for, blue above 0 and orange below. The input is one if it is (height, width) or
    (height, width, channels) with 1 or 3 channels, or flat with 64, 81, 100, ... numbers that are no columns of a table, which are
    taken for a square. ``shape`` says what it is otherwise.

    Raises `NotBuiltError` for a model without weights yet, `UnknownName` for a layer without, and `UsageError` for a ``shape`` that
    does not fit.

    >>> import nacre
    >>> layers = [nacre.Input((64,)), nacre.layers.Dense(4, name="hidden"), nacre.layers.Dense(3, name="out")]
    >>> hidden, out = weights(nacre.Sequential(layers))
    >>> hidden.images[0].get_array().shape, hidden.get_title(loc="left"), len(hidden.images), len(out.images)
    ((17, 17), 'hidden: 4 units, 8 x 8 each', 1, 0)
    """
    by_layer: dict[str, dict[str, Array]] = {}
    for name, array in zip(model.named, model.get_weights(), strict=True):
        owner, _, own = name.rpartition("/")
        by_layer.setdefault(owner, {})[own] = array
    matrices = {name: array for name, group in by_layer.items() for array in group.values() if array.ndim == 2}
    pictured = next(iter(matrices), None)
    if layer is not None:
        by_layer = {layer: find("layer with weights", layer, by_layer)}
        pictured = layer if shape is not None else pictured
    if not by_layer:
        raise UsageError(f"The model {model.name!r} has no weights, so there is nothing to draw.")
    picture = _picture(model, shape, len(matrices.get(pictured or "", ())))
    axes = several(ax, list(by_layer))
    for drawn, (name, group) in zip(axes, by_layer.items(), strict=True):
        if name == pictured and picture is not None:
            _draw_pictures(drawn, name, matrices[name], picture)
        else:
            _draw_histograms(drawn, name, group)
    return axes


def _picture(model: Model, shape: Sequence[int] | None, rows: int) -> tuple[int, ...] | None:
    """The shape of the pictures that the rows of a matrix stand for, if they do."""
    own = model.input_shapes[0][1:]
    side = math.isqrt(math.prod(int(n or 0) for n in own))
    square = len(own) == 1 and side >= _LEAST_SIDE and side * side == own[0]
    guessed = (side, side) if square and not isinstance(model.features, Features) else own
    found = tuple(int(n or 0) for n in (guessed if shape is None else shape))
    if len(found) in (2, 3) and found[2:] in ((), (1,), (3,)) and math.prod(found) == rows:
        return found
    if shape is not None:
        found_and_expected = {
            "found": tuple(shape),
            "expected": f"(height, width) or (height, width, 1 or 3) of {rows:,} inputs",
        }
        raise UsageError("The weights of this layer are no pictures of that shape.", found_and_expected)
    return None


def _draw_pictures(axes: Axes, name: str, matrix: Array, shape: tuple[int, ...]) -> None:
    """Tiles, from left to right and downward, with a line of one pixel between them."""
    units = min(matrix.shape[1], _MOST_PICTURES)
    columns = math.ceil(math.sqrt(units))
    height, width = shape[0] + 1, shape[1] + 1
    colored = shape[2:] == (3,)
    sheet = np.full((-(-units // columns) * height - 1, columns * width - 1, *(shape[2:] if colored else ())), np.nan)
    most = float(np.abs(matrix[:, :units]).max()) or 1.0
    for unit in range(units):
        row, column = divmod(unit, columns)
        tile = matrix[:, unit].reshape(shape if colored else shape[:2])
        sheet[row * height : row * height + shape[0], column * width : column * width + shape[1]] = tile
    if colored:  # grey is 0, and what is between the tiles white
        axes.imshow(np.nan_to_num(0.5 + 0.5 * sheet / most, nan=1.0), interpolation="nearest")
    else:
        image = axes.imshow(sheet, cmap=signed_colors(), vmin=-most, vmax=most, interpolation="nearest")
        axes.figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    which = f"{units}" if units == matrix.shape[1] else f"first {units} of {matrix.shape[1]:,}"
    axes.set_title(f"{name}: {which} units, {shape[0]} x {shape[1]} each", loc="left", fontsize="medium")
    axes.set_axis_off()


def _draw_histograms(axes: Axes, name: str, group: Mapping[str, Array]) -> None:
    """How the numbers of each weight spread, each as shares of 1."""
    edges = np.histogram_bin_edges(np.concatenate([array.ravel() for array in group.values()]), _BARS)
    for color, (own, array) in zip(COLORS, group.items(), strict=False):
        label = f"{own} ({' x '.join(map(str, array.shape))}), standard deviation {array.std():.3g}"
        share = np.full(array.size, 1 / array.size)
        axes.hist(array.ravel(), edges.tolist(), weights=share, color=color, alpha=0.5, label=label)
    dress(axes, f"{name or 'the model'}: how its weights spread", "weight", "share of the numbers")
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, fontsize="small")
