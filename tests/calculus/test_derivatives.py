"""Gradients of functions, and their check."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nacre
from nacre import ops
from nacre.errors import DTypeError, GraphError, ShapeError, UsageError
from nacre.ir import Input, TensorType
from nacre.passes import replay


def test_a_gradient_has_the_shape_and_dtype_of_its_argument():
    def f(x):
        return ops.sum(x**2)

    for dtype in ("float32", "float64"):
        x = np.arange(6, dtype=dtype).reshape(2, 3)
        found = nacre.grad(f)(x)
        assert isinstance(found, np.ndarray)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, 2 * x)
    assert nacre.grad(ops.exp)(1.0) == np.exp(1.0)  # to the last bit: in float64


def test_arguments_are_chosen_by_their_places():
    def f(x, y, power):
        return ops.sum(x * y**power)

    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_allclose(nacre.grad(f)(x, y, 2), y**2)
    found = nacre.grad(f, argnums=(1, 0))(x, y, 2)
    np.testing.assert_allclose(found[0], 2 * x * y)
    np.testing.assert_allclose(found[1], y**2)
    np.testing.assert_allclose(nacre.grad(f, -2)(x, y, 2), 2 * x * y)


def test_lists_and_dictionaries_come_back_as_they_went_in():
    def network(p, x):
        for layer in p["layers"]:
            x = ops.tanh(ops.matmul(x, layer["W"]) + layer["b"])
        return ops.mean(x**2) * p["scale"]

    rng = np.random.default_rng(3)
    p = {"layers": [{"W": rng.normal(size=(3, 3)), "b": np.zeros(3)} for _ in range(2)], "scale": 2.0}
    value, found = nacre.value_and_grad(network)(p, rng.normal(size=(4, 3)))
    assert found["layers"][1]["W"].shape == (3, 3)
    assert found["scale"] == pytest.approx(value / 2)


@pytest.mark.parametrize(("order", "expected"), [(1, 2), (2, 4), (3, 8), (4, 16)])
def test_gradients_nest(order, expected):
    f = lambda x: ops.exp(2 * x)  # noqa: E731
    for _ in range(order):
        f = nacre.grad(f)
    assert f(0.5) == pytest.approx(expected * math.e, rel=1e-14)


def test_a_hessian_by_rows():
    def f(v):
        return v[0] ** 2 * v[1] + ops.sin(v[1])

    def row(i):
        return nacre.grad(lambda v: nacre.grad(f)(v)[i])(np.array([3.0, 2.0]))

    np.testing.assert_allclose([row(0), row(1)], [[4, 6], [6, -math.sin(2)]])


def test_an_inner_variable_is_not_mistaken_for_the_outer_one():
    assert nacre.grad(lambda x: nacre.grad(lambda y: x * y)(x))(3.0) == 1
    assert nacre.grad(lambda x: x * nacre.grad(lambda y: x * y)(2.0))(3.0) == 6
    assert nacre.grad(lambda x: nacre.grad(lambda y, z: y * z, 0)(2.0, x))(3.0) == 1


def test_what_it_does_not_depend_on_has_gradient_zero():
    np.testing.assert_array_equal(nacre.grad(lambda x: ops.sum(ops.stop_gradient(x)))(np.ones(3)), np.zeros(3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nacre.grad(ops.sin)(3), DTypeError, "2.0 instead of 2"),
        (lambda: nacre.grad(ops.sin)(np.arange(3)), DTypeError, "argument 0 is int64"),
        (lambda: nacre.grad(lambda p: p["n"])({"n": 1}), DTypeError, r"argument 0\['n'\]"),
        (lambda: nacre.grad(ops.sin)(np.ones(2)), ShapeError, "nacre.ops.sum"),
        (lambda: nacre.grad(lambda x: ops.cast(x, "int32"))(1.0), DTypeError, "whole numbers"),
        (lambda: nacre.grad(lambda x: 3.0)(1.0), UsageError, "returned float"),
        (lambda: nacre.grad(lambda x: np.sin(x))(1.0), UsageError, "function of NumPy"),
        (lambda: nacre.grad(lambda x: x * math.sin(x))(1.0), GraphError, "nacre.ops, in place of those of math"),
        (lambda: nacre.grad(lambda x: x if x > 0 else -x)(1.0), GraphError, "ops.where"),
        (lambda: nacre.grad(ops.sin, 1)(1.0), UsageError, "the first is 0"),
        (lambda: nacre.grad(3.0), UsageError, r"grad\(f\)\(x\)"),
        (lambda: nacre.gradcheck(ops.sin, 2), DTypeError, "2.0 instead of 2"),
        (lambda: nacre.gradcheck(ops.sin, 2.0, eps=0), UsageError, "eps"),
    ],
)
def test_mistakes_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_type_error_of_the_function_itself_is_not_hidden():
    with pytest.raises(TypeError, match="missing 1 required"):
        nacre.grad(lambda x, y: x)(1.0)


# ------------------------------------------------------------------ the check


def test_gradcheck_agrees_with_right_gradients():
    rng = np.random.default_rng(1)
    found = nacre.gradcheck(
        lambda x, labels: ops.mean(ops.sparse_categorical_crossentropy(labels, ops.softmax(x))),
        rng.normal(size=(20, 5)),
        rng.integers(0, 5, 20),
    )
    assert found
    assert len(found.entries) == 50
    assert found.worst.error < 0.1
    assert "True, all 50 entries agree" in repr(found)


def test_gradcheck_finds_the_one_wrong_entry():
    def f(x):
        return ops.sum(x[:2] ** 2) + ops.stop_gradient(x[2]) ** 2

    found = nacre.gradcheck(f, np.array([1.0, 2.0, 3.0]))
    assert not found
    assert [entry.where for entry in found.wrong] == ["argument 0[2]"]
    assert found.worst.gradient == 0
    assert found.worst.difference == pytest.approx(6)


def test_gradcheck_works_in_float64_whatever_it_is_given_and_sees_nan():
    assert nacre.gradcheck(lambda x: ops.sum(ops.exp(x)), np.float32([1, 2]))
    assert not nacre.gradcheck(lambda x: ops.sqrt(x - x), 1.0)


def test_gradcheck_is_not_misled_by_a_kink_nearby():
    assert nacre.gradcheck(ops.relu, 3e-6)
    assert nacre.gradcheck(ops.relu, -3e-6)
    assert not nacre.gradcheck(ops.relu, 0.0)  # there is none


def test_replay_computes_in_the_dtype_it_is_told():
    x = Input("x", TensorType((3,)))
    y = ops.sum(x * ops.constant([0.5, 0.25, 0.125])) + ops.cast(ops.arange(3), "float32")[1]
    (again,) = replay([y], {x: ops.constant([1 + 1e-12, 0, 0], "float64")}, "float64")
    assert again.dtype == "float64"
    assert float(again) == 1 + 0.5 * (1 + 1e-12)
