"""What a sampled step of training hands out besides: norms of each weight, and how the units of each layer behave."""

from __future__ import annotations

from collections.abc import Iterable

from nacre import ops
from nacre.activations import BOUNDS, linear
from nacre.ir import Value
from nacre.layers import Parameter
from nacre.layers.layer import Called

_EDGE = 0.01  # nearer to a bound than this part of the range, a unit is saturated


def of_weight(name: str, weight: Parameter, gradient: Value, new: Value) -> dict[str, Value]:
    """Sums of squares of a weight, its gradient and its update, by the names of samples."""
    squares = {"weight": weight, "gradient": gradient, "update": new - weight}
    return {f"{name} {what}": _number(ops.sum(x * x)) for what, x in squares.items()}


def of_outputs(calls: Iterable[Called]) -> dict[str, Value]:
    """How the outputs of layers that compute something behave over a batch, by the names of samples."""
    found: dict[str, Value] = {}
    for name, layer, _, y in calls:
        activation = getattr(layer, "activation", None)
        if activation is None or not y.type.is_float or y.type.size == 0:
            continue
        found[f"{name} activation"] = _number(ops.mean(y * y))
        if activation is linear:
            continue
        same = ops.max(y, axis=0) <= ops.min(y, axis=0)
        found[f"{name} dead"] = _number(ops.mean(ops.cast(same, dtype=y.dtype)))
        if activation in BOUNDS:
            low, high = BOUNDS[activation]
            edge = _EDGE * (high - low)
            saturated = ops.logical_or(y < low + edge, y > high - edge)
            found[f"{name} saturated"] = _number(ops.mean(ops.cast(saturated, dtype=y.dtype)))
    return found


def _number(x: Value) -> Value:
    return ops.reshape(ops.cast(x, dtype="float32"), [1])
