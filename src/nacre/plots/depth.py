"""Gradients through the depth of a network, of one batch, and step by step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.models import Model
from nacre.plots.canvas import COLORS, dress, several
from nacre.training.inside import looked_at
from nacre.training.statistics import LayerStatistics

Array = npt.NDArray[Any]


def gradient_flow(model: Model, x: Any, y: Any, ax: Any = None) -> Array:
    """How the error comes back through the layers, and how large gradients are against weights. Returns an array of two axes.

    The rows of x (n, ...) and y are one batch, as in the next step of training; some hundred rows are enough. Nothing is trained.

    First, from the first layer that is trained on, the Euclidean norm of the error of each layer: of the gradient of the loss by
    its scores, which its activation is applied to, or by its outputs, for a layer without activation. Between a layer and the one
    that takes its output stands the factor by which the error is multiplied on its way back. Second, of each layer that is trained,
    the norm of its weights and of the gradient of the loss by them.

    Raises `UsageError` for a model of which nothing is trained, and what `Model.inside` raises.

    >>> import numpy as np, nacre
    >>> layers = [nacre.Input((2,)), nacre.layers.Dense(2, name="first"), nacre.layers.Dense(1, name="last")]
    >>> model = nacre.Sequential(layers)
    >>> model.compile("sgd", "mse")
    >>> model.layers[1].set_weights([[[0.3], [0.4]], [0.0]])
    >>> error, gradient = gradient_flow(model, np.ones((4, 2)), np.zeros(4))
    >>> [text.get_text() for text in error.texts], gradient.lines[0].get_label()
    (['x 0.5'], 'weight')
    """
    inside = model.inside(x, y, training=True)
    arrays = dict(zip(model.named, model.get_weights(), strict=True))
    trained = _by_layer(
        {name: (float(np.linalg.norm(arrays[name])), float(norm[0])) for name, norm in inside.norms.items()}
    )
    if not trained:
        raise UsageError(f"Nothing of the model {model.name!r} is trained, so there are no gradients.")
    reached = [(c, c.error if c.score_error is None else c.score_error) for c in looked_at(inside.calls)]
    errors = [(c, error) for c, error in reached if error is not None]
    errors = [*itertools.dropwhile(lambda pair: not pair[0].layer.trainable_weights, errors)]
    calls, norms = [c for c, _ in errors], [float(np.linalg.norm(error)) for _, error in errors]
    error, gradient = several(ax, ["error", "gradient"], (5.2, 3.8))
    _log_line(error, norms, COLORS[0], "error")
    for n, (here, there) in enumerate(itertools.pairwise(calls)):
        if norms[n + 1] > 0 and norms[n] > 0 and any(np.array_equal(here.output, given) for given in there.inputs):
            middle, factor = math.sqrt(norms[n] * norms[n + 1]), norms[n] / norms[n + 1]
            side = (
                {"xytext": (-4, 4), "ha": "right"} if factor < 1 else {"xytext": (4, 4), "ha": "left"}
            )  # beside the line
            error.annotate(f"x {factor:.2g}", (n + 0.5, middle), textcoords="offset points", fontsize="small", **side)
    left = norms[0] / norms[-1] if norms[-1] else math.nan
    dress(error, f"error: {calls[0].name} gets {left:.2g} times that of {calls[-1].name}", "layer", "norm of the error")
    _name_layers(error, [c.name for c in calls])
    _log_line(gradient, [of_weight for of_weight, _ in trained.values()], COLORS[2], "weight")
    _log_line(gradient, [of_gradient for _, of_gradient in trained.values()], COLORS[1], "gradient")
    ratios = [g / w for w, g in trained.values() if w]
    told = f": {min(ratios):.1g} to {max(ratios):.1g} of the weight" if ratios else ""
    dress(gradient, f"gradient by layer{told}", "layer", "norm")
    _name_layers(gradient, list(trained))
    gradient.legend(frameon=False)
    return np.array([error, gradient], dtype=object)


def layer_statistics(seen: LayerStatistics, ax: Any = None) -> Array:
    """What `callbacks.LayerStatistics` saw, by steps: an axes each for gradient / weight and update / weight, the ratios of the
    norms of all weights of a layer, and for the shares of dead units and of saturated outputs, where there are any to tell of.
    Returns the array of axes.

    Raises `UsageError` if it has seen nothing yet.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, "tanh", name="hidden"), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> seen = nacre.callbacks.LayerStatistics(every=5)
    >>> history = model.fit(np.ones((64, 4)), np.ones(64), batch_size=8, epochs=2, verbose=0, callbacks=[seen])
    >>> [axes.get_title(loc="left") for axes in layer_statistics(seen)]
    ['gradient / weight', 'update / weight', 'dead: units that give one number', 'saturated: outputs near a bound']
    """
    if not isinstance(seen, LayerStatistics):
        raise UsageError(f"layer_statistics draws a callbacks.LayerStatistics, got {seen!r}.")
    if not seen.steps:
        raise UsageError(
            "LayerStatistics has seen no step yet.", hint="fit(..., callbacks=[seen]), with a smaller every="
        )
    kinds = ("weight", "gradient", "update")
    found = {n: np.array([h[kind] for kind in kinds]) for n, h in seen.history.items() if "gradient" in h}
    layers = {name: np.array(norms) for name, norms in _by_layer(found).items()}
    drawn: dict[str, dict[str, Any]] = {}
    with np.errstate(divide="ignore", invalid="ignore"):  # weights may all be 0 to begin with
        drawn["gradient / weight"] = {name: gradient / weight for name, (weight, gradient, _) in layers.items()}
        drawn["update / weight"] = {name: update / weight for name, (weight, _, update) in layers.items()}
    for kind, title in (("dead", "dead: units that give one number"), ("saturated", "saturated: outputs near a bound")):
        drawn[title] = {name: h[kind] for name, h in seen.history.items() if kind in h}
    drawn = {title: lines for title, lines in drawn.items() if lines}
    colors = dict(zip(dict.fromkeys(name for lines in drawn.values() for name in lines), itertools.cycle(COLORS)))
    axes = several(ax, list(drawn))
    for one, (title, lines) in zip(axes, drawn.items(), strict=True):
        for name, values in lines.items():
            marker = "." if len(seen.steps) <= 25 else ""
            one.plot(seen.steps, values, color=colors[name], marker=marker, label=name)
        ratio = "/" in title
        dress(one, title, "step", "ratio of norms" if ratio else "share")
        one.set(yscale="log") if ratio else one.set(ylim=(-0.03, 1.03))
        one.legend(frameon=False, fontsize="small")
    return axes


def _by_layer(of_weights: Mapping[str, Iterable[Any]]) -> dict[str, tuple[Any, ...]]:
    """Norms of all weights of each layer, from the norms of each weight, which are called layer/weight."""
    squares: dict[str, list[Array]] = {}
    for name, norms in of_weights.items():
        squares.setdefault(name.rpartition("/")[0], []).append(np.square(np.array(norms)))
    return {layer: tuple(np.sqrt(sum(found))) for layer, found in squares.items()}


def _log_line(axes: Any, norms: list[float], color: str, label: str) -> None:
    axes.semilogy(range(len(norms)), norms, "o-", color=color, label=label)


def _name_layers(axes: Any, names: list[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
