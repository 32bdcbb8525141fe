"""Activations, their slopes and losses as formulas of a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from nacre import activations, losses
from nacre.errors import Limitation
from nacre.layers import ELU, LeakyReLU, ReLU, Softmax
from nacre.losses import Loss

if TYPE_CHECKING:
    from nacre.explain.explanation import LayerStep


class Curve(NamedTuple):
    """An activation that works element by element: its formula, of a cell with a score, and that of its slope, of the cells with
    score and activation."""

    value: Callable[[str], str]
    slope: Callable[[str, str], str]


def _sigmoid(s: str) -> str:
    return f"IF({s}>=0,1/(1+EXP(-ABS({s}))),EXP(-ABS({s}))/(1+EXP(-ABS({s}))))"  # no EXP overflows


def _leaky(slope: float) -> Curve:
    return Curve(lambda s: f"IF({s}>0,{s},{slope!r}*{s})", lambda s, _: f"IF({s}>0,1,{slope!r})")


def _elu(alpha: float, scale: float = 1.0) -> Curve:
    return Curve(
        lambda s: f"{scale!r}*IF({s}>0,{s},{alpha!r}*(EXP(MIN({s},0))-1))",
        lambda s, _: f"{scale!r}*IF({s}>0,1,{alpha!r}*EXP(MIN({s},0)))",
    )


CURVES: dict[activations.Activation, Curve] = {
    activations.linear: Curve(lambda s: s, lambda _s, _a: "1"),
    activations.relu: Curve(lambda s: f"MAX({s},0)", lambda s, _: f"IF({s}>0,1,0)"),
    activations.relu6: Curve(lambda s: f"MIN(MAX({s},0),6)", lambda s, _: f"IF(AND({s}>0,{s}<6),1,0)"),
    activations.leaky_relu: _leaky(0.2),
    activations.elu: _elu(1.0),
    activations.selu: _elu(1.6732632423543772, 1.0507009873554805),
    activations.sigmoid: Curve(_sigmoid, lambda _, a: f"{a}*(1-{a})"),
    activations.hard_sigmoid: Curve(lambda s: f"MIN(MAX({s}+3,0),6)/6", lambda s, _: f"IF(AND({s}>-3,{s}<3),1/6,0)"),
    activations.tanh: Curve(lambda s: f"TANH({s})", lambda _, a: f"1-{a}*{a}"),
    activations.softplus: Curve(lambda s: f"MAX({s},0)+LN(1+EXP(-ABS({s})))", lambda s, _: _sigmoid(s)),
    activations.softsign: Curve(lambda s: f"{s}/(1+ABS({s}))", lambda s, _: f"1/((1+ABS({s}))*(1+ABS({s})))"),
    activations.silu: Curve(lambda s: f"{s}*{_sigmoid(s)}", lambda s, a: f"{_sigmoid(s)}+{a}*(1-{_sigmoid(s)})"),
    activations.gelu: Curve(
        lambda s: f"{s}*NORMSDIST({s})", lambda s, _: f"NORMSDIST({s})+{s}*EXP(-{s}*{s}/2)/SQRT(2*PI())"
    ),
    activations.exponential: Curve(lambda s: f"EXP({s})", lambda _, a: a),
}


def curve(step: LayerStep) -> Curve | None:
    """The curve of a layer that is an activation; None for softmax. Raises `Limitation` for an activation without a formula."""
    layer = step.layer
    if isinstance(layer, LeakyReLU):
        return _leaky(layer.negative_slope)
    if isinstance(layer, ELU):
        return _elu(layer.alpha)
    if isinstance(layer, ReLU) and (layer.max_value, layer.negative_slope, layer.threshold) == (None, 0, 0):
        return CURVES[activations.relu]
    if isinstance(layer, Softmax):
        return None
    activation = getattr(layer, "activation", None)
    if activation is activations.softmax:
        return None
    if activation not in CURVES:
        raise Limitation(
            f"{step.kind} {step.name!r} has no formula in a spreadsheet.",
            {"activation": step.activation or "its own settings"},
            f"save it as .html; there are formulas for softmax, {', '.join(f.__name__ for f in CURVES)}",
        )
    return CURVES[activation]


class Cells(NamedTuple):
    """Cells that a loss is computed from, for one output: what the loss takes for it, a score or an output, and the target; its
    probability, if there is a cell for that; and for all outputs the logarithm of the sum of e^score and the sum of targets."""

    score: str
    target: str
    probability: str | None
    log_total: str
    target_total: str


class Judge(NamedTuple):
    """A loss in a spreadsheet: the ``part`` of each output, whose sum is the loss, and the gradient of the loss by what it takes:
    the scores of the last layer, if it is computed ``from_scores``, else its output; and the target that counts."""

    from_scores: bool
    part: Callable[[Cells], str]
    error: Callable[[Cells], str]
    smoothed: Callable[[str], str]


def judge(loss: Loss, last: LayerStep) -> Judge:
    """The formulas of a loss behind a layer. Raises `Limitation` for a loss without."""
    k = last.output.shape[1]
    settings = loss.get_config()
    smoothing, logits = settings.get("label_smoothing", 0.0), settings.get("from_logits", False)
    end = activations.softmax if isinstance(last.layer, Softmax) else getattr(last.layer, "activation", None)
    along = settings.get("axis", -1) in (-1, 1) and loss.ignore_class is None
    if isinstance(loss, losses.CategoricalCrossentropy | losses.SparseCategoricalCrossentropy):
        if along and (logits or end is activations.softmax):
            return Judge(
                not logits,
                lambda c: f"{c.target}*({c.log_total}-{c.score})",
                lambda c: f"{c.probability or f'EXP({c.score}-{c.log_total})'}*{c.target_total}-{c.target}",
                _smoothing(smoothing, k),
            )
    elif isinstance(loss, losses.BinaryCrossentropy):
        if along and (logits or end is activations.sigmoid):
            return Judge(
                not logits,
                lambda c: f"(MAX({c.score},0)-{c.score}*{c.target}+LN(1+EXP(-ABS({c.score}))))/{k}",
                lambda c: f"({c.probability or _sigmoid(c.score)}-{c.target})/{k}",
                _smoothing(smoothing, 2),
            )
    elif isinstance(loss, losses.MeanSquaredError):
        return Judge(
            False,
            lambda c: f"({c.score}-{c.target})^2/{k}",
            lambda c: f"2*({c.score}-{c.target})/{k}",
            _smoothing(0, 1),
        )
    elif isinstance(loss, losses.MeanAbsoluteError):
        return Judge(
            False,
            lambda c: f"ABS({c.score}-{c.target})/{k}",
            lambda c: f"SIGN({c.score}-{c.target})/{k}",
            _smoothing(0, 1),
        )
    raise Limitation(
        f"The loss {loss.name!r} has no formula behind {last.kind} {last.name!r}.",
        hint="save it as .html; there are formulas for mean squared and absolute errors, and for crossentropies of scores, or "
        "behind a softmax or sigmoid",
    )


def _smoothing(share: float, classes: int) -> Callable[[str], str]:
    return lambda t: f"{t}*{1 - share!r}+{share / classes!r}" if share else t


__all__ = ["CURVES", "Cells", "Curve", "Judge", "curve", "judge"]
