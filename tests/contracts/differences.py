"""The witness for gradients: central differences in float64."""

from __future__ import annotations

import numpy as np

from nacre.autodiff import gradients
from nacre.backends.reference import evaluate
from nacre.ir import Graph, Input, TensorType, Value


def as_float64(type_: TensorType) -> TensorType:
    return TensorType(type_.shape, "float64" if type_.is_float else type_.dtype)


def check_gradients(inputs: list[Input], arrays: dict[str, np.ndarray], y: Value, tolerance: float = 1e-6) -> None:
    """Compare the derived gradients of ``y``, weighted at random, with central differences, entry by entry."""
    floats = [i for i in inputs if i.type.is_float]
    weight = Input("weight of y", y.type)
    derived = Graph(
        [*inputs, weight], {i.name: g for i, g in zip(floats, gradients(y, floats, seed=weight), strict=True)}
    )
    forward = Graph(inputs, {"y": y})
    weights = np.random.default_rng(5).standard_normal(y.shape)
    found = evaluate(derived, arrays | {"weight of y": weights})

    def total(changed: dict[str, np.ndarray]) -> float:
        return float((evaluate(forward, changed)["y"] * weights).sum())

    for i in floats:
        for index in list(np.ndindex(i.shape))[:60]:
            h = 1e-5 * max(1.0, abs(arrays[i.name][index]))
            ends = []
            for sign in (1, -1):
                moved = arrays[i.name].copy()
                moved[index] += sign * h
                ends.append(total(arrays | {i.name: moved}))
            expected = (ends[0] - ends[1]) / (2 * h)
            assert abs(found[i.name][index] - expected) <= tolerance * max(1.0, abs(expected)), (i.name, index)
