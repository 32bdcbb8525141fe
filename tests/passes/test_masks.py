"""Gradients by what came out: the numbers stay, and what went in is not asked."""

from __future__ import annotations

import numpy as np
import pytest

from nacre import ops
from nacre.autodiff import gradients
from nacre.backends import reference
from nacre.ir import Graph, Input, TensorType
from nacre.passes import simplify, unmasked

ODD = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 1e-38, 3.4e38, 1.0, -1.0])


def _names(graph):
    return [node.operation.name for node in graph.nodes]


def _dropped(scale, of=ops.relu):
    """What comes out of dropout, and its gradient, for all pairs of odd numbers, kept and dropped."""
    types = {"x": "float32", "g": "float32", "kept": "bool"}
    x, g, kept = (Input(name, TensorType((2, len(ODD), len(ODD)), dtype)) for name, dtype in types.items())
    out = ops.where(kept, of(x) * scale, 0)
    gradient = gradients(ops.sum(out * g), [x])[0]
    return simplify(Graph([x, g, kept], {"out": out, "gradient": gradient}))


def _numbers():
    shape = (2, len(ODD), len(ODD))
    x, g = (np.broadcast_to(a, shape).copy() for a in (ODD[:, None], ODD))
    return {"x": x, "g": g, "kept": np.broadcast_to([[[True]], [[False]]], shape).copy()}


@pytest.mark.parametrize("scale", [1.0, 1.25, 1e30, 0.5, 1e-20, float("nan"), float("inf")])
def test_a_gradient_through_what_was_kept_and_positive_keeps_all_numbers(scale):
    graph = _dropped(scale)
    found, wanted = (reference.evaluate(g, _numbers()) for g in (unmasked(graph), graph))
    for name, numbers in wanted.items():
        assert numbers.tobytes() == found[name].tobytes(), name


def test_it_asks_only_what_came_out():
    assert _names(unmasked(_dropped(1.25))).count("less") == 1
    less = next(node for node in unmasked(_dropped(1.25)).nodes if node.operation.name == "less")
    assert less.operands[1].operation.name == "select"


@pytest.mark.parametrize(("scale", "of"), [(0.5, ops.relu), (1.25, ops.tanh)])
def test_otherwise_the_mask_is_asked(scale, of):
    graph = unmasked(_dropped(scale, of))
    assert sum(node.operands[0] is graph.input("kept") for node in graph.nodes if node.operation.name == "select") == 2


def test_whole_numbers_that_begin_anew_below_zero_keep_their_gradient():
    x, g, kept = (
        Input(name, TensorType((4,), dtype)) for name, dtype in (("x", "int32"), ("g", "int32"), ("kept", "bool"))
    )
    y = ops.relu(x)
    out, gradient = ops.where(kept, y * 4, 0), ops.where(y > 0, ops.where(kept, g, 0) * 4, 0)
    graph = simplify(Graph([x, g, kept], {"out": out, "gradient": gradient}))
    numbers = {"x": np.int32([1_000_000_000, 1, -1, 2**30]), "g": np.int32([3, 4, 5, 6]), "kept": np.ones(4, bool)}
    found = reference.evaluate(unmasked(graph), numbers)
    assert found["gradient"].tolist() == [12, 16, 0, 24]


@pytest.mark.parametrize(("inner", "outer"), [(0.0, -0.0), (-0.0, 0.0), (-0.0, -0.0)])
def test_a_negative_zero_stays_one(inner, outer):
    x, g, kept = (
        Input(name, TensorType((3,), dtype)) for name, dtype in (("x", "float32"), ("g", "float32"), ("kept", "bool"))
    )
    y = ops.relu(x)
    gradient = ops.where(y > 0, ops.where(kept, g, inner) * 1.25, outer)
    graph = simplify(Graph([x, g, kept], {"out": ops.where(kept, y * 1.25, 0), "gradient": gradient}))
    numbers = {"x": np.float32([-1, 1, 1]), "g": np.float32([2, 2, 2]), "kept": np.array([True, False, True])}
    found, wanted = (reference.evaluate(each, numbers)["gradient"] for each in (unmasked(graph), graph))
    assert found.tobytes() == wanted.tobytes()
