"""The loss as a function of one weight, and its slope there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nacre import ops
from nacre.calculus import value_and_grad
from nacre.errors import UsageError
from nacre.ir import Input, TensorType
from nacre.models import Model
from nacre.plots.canvas import COLORS, dress, one
from nacre.training.gradients import loss_along as traced_along

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 101
_AROUND = 1.0  # on either side of the number, where nothing is said


def loss_along(model: Model, entry: str, x: Any, y: Any, bounds: Sequence[float] | None = None, ax: Any = None) -> Axes:
    """The loss on x (n, ...) and y by one number of one trained weight, all others as they are; its tangent at the present number,
    whose slope is the gradient; and where a step of plain descent at the learning rate of the optimizer leads.

    ``entry`` names the number, as in "dense/kernel[3, 7]". ``bounds`` are its lowest and highest value, by default 1 below and
    above what it is. All is computed in float64 and without dropout, as in `Model.grad_of`. The step is left out where it leads
    beyond the bounds.

    Raises `UnknownName` or `UsageError` for a number that is not there, and what `fit` raises for data that does not fit.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1, kernel_initializer="zeros", name="dense")])
    >>> model.compile(nacre.optimizers.SGD(0.1), "mse")
    >>> axes = loss_along(model, "dense/kernel[0, 0]", np.array([[1.0], [-1.0]]), np.array([2.0, -2.0]))
    >>> axes.get_title(loc="left")
    'loss 4 at dense/kernel[0, 0] = 0, with slope -4'
    """
    along, number = traced_along(*model.loss_function(x, y), entry)
    low, high = (number - _AROUND, number + _AROUND) if bounds is None else (float(end) for end in bounds)
    if not low < high:
        raise UsageError("Bounds are a number and a larger one.", {"found": bounds}, "(-1, 1)")
    height, slope = (float(found) for found in value_and_grad(along)(number))
    symbol = Input("number", TensorType((), "float64"))
    value = along(symbol)

    def loss(at: float) -> float:
        return float(ops.evaluate([value], {"number": np.asarray(at)})[0])

    places = np.linspace(low, high, _POINTS)
    curve = np.array([loss(place) for place in places])
    axes = one(ax)
    axes.plot(places, curve, color=COLORS[0], linewidth=2, label="loss")
    limits = axes.get_ylim()  # of the curve: a steep tangent would flatten it
    axes.plot(places, height + slope * (places - number), color=COLORS[1], ls="--", label=f"tangent, slope {slope:.3g}")
    axes.plot([number], [height], "o", color=COLORS[1], zorder=3, label=f"now, {number:.4g}")
    rate = model.optimizer.learning_rate
    if low <= number - rate * slope <= high:
        stepped = number - rate * slope
        axes.plot(
            [stepped], [loss(stepped)], "*", color=COLORS[2], markersize=12, label=f"after a step at rate {rate:.3g}"
        )
    axes.set_ylim(limits)
    dress(axes, f"loss {height:.4g} at {entry} = {number:.4g}, with slope {slope:.3g}", entry, "loss")
    axes.legend(frameon=False)
    return axes
