"""An activation and its derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nacre import activations, ops
from nacre.calculus import value_and_grad
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.plots.canvas import COLORS, dress, one

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 1000
_SOME = 500  # of these points, which by themselves must give what they give among all


def activation(name: str | Callable[[Value], Value], bounds: tuple[float, float] = (-5.0, 5.0), ax: Any = None) -> Axes:
    """An activation, by its name or as a function of one value, and its derivative, for scores within ``bounds``.

    Raises `UnknownName` for a name that nothing carries, and `UsageError` for an activation that looks at several scores at once,
    such as softmax.

    >>> axes = activation("relu", bounds=(-1, 1))
    >>> [line.get_ydata()[[0, -1]].tolist() for line in axes.lines]
    [[0.0, 1.0], [0.0, 1.0]]
    """
    function, shown = activations.get(name), name if isinstance(name, str) else getattr(name, "__name__", "activation")
    z = np.linspace(*bounds, _POINTS)
    y = ops.constant(z, "float64")
    values = function(y).numpy()
    if values.shape != z.shape or not np.array_equal(
        function(ops.constant(z[:_SOME], "float64")).numpy(), values[:_SOME]
    ):
        raise UsageError(
            f"{shown} looks at several scores at once, so there is no curve of it.", hint='"relu", "tanh", ...'
        )
    _, slopes = value_and_grad(lambda z: ops.sum(function(z)))(z)
    axes = one(ax)
    axes.plot(z, values, color=COLORS[0], linewidth=2, label=shown)
    axes.plot(z, slopes, color=COLORS[1], ls="--", label="derivative")
    dress(axes, f"{shown} and its derivative", "score z", f"{shown}(z)")
    axes.legend(frameon=False)
    return axes
