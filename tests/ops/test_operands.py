"""Functions of `nacre.ops` called with arrays and numbers, and values looked at."""

from __future__ import annotations

import numpy as np
import pytest

from nacre import ops
from nacre.errors import GraphError
from nacre.ir import Graph, Input, TensorType, parse, to_text
from nacre.passes import simplify

A = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]])
X = Input("x", TensorType((2, 3), "float32"))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda: ops.exp(A), np.exp(A)),
        (lambda: ops.exp(1), np.float32(np.e)),
        (lambda: ops.exp(np.arange(3)), np.exp(np.arange(3, dtype="float32"))),
        (lambda: ops.add([1, 2], [3, 4]), np.int32([4, 6])),
        (lambda: ops.square(3), np.float32(9)),
        (lambda: ops.sum(A, axis=0), A.sum(axis=0)),
        (lambda: ops.sum(x=A), A.sum()),
        (lambda: ops.mean([1.0, 2.0]), np.float32(1.5)),
        (lambda: ops.logical_xor([True, False], [True, True]), np.array([False, True])),
        (lambda: ops.where([True, False], 1.0, [2.0, 3.0]), np.float32([1, 3])),
        (lambda: ops.cast([1.7, -1.7], "int32"), np.int32([1, -1])),
        (lambda: ops.stack([A, ops.zeros((2, 3))]), np.stack([A, 0 * A]).astype("float32")),
        (lambda: ops.divide(np.array([1, 2]), 2), np.float32([0.5, 1])),
        (lambda: A.T @ ops.ones((2, 2), "float64"), A.T @ np.ones((2, 2))),
        (lambda: ops.ones((2, 2), "float64") @ A, np.ones((2, 2)) @ A),
        (lambda: ops.constant([1, 2]) * np.array([0.5, 0.25]), np.float32([0.5, 0.5])),
        (lambda: A @ ops.constant([1, 2, 3]), A @ [1.0, 2, 3]),
        (lambda: ops.constant(A, "float64") @ A[0], A @ A[0]),
        (lambda: ops.constant(A[0], "float64") @ A.T, A[0] @ A.T),
        (lambda: ops.matmul(A[0], A[0]), A[0] @ A[0]),
        (lambda: ops.matmul(A[:, :0], A[0, :0]), A[:, :0] @ A[0, :0]),
        (lambda: ops.matmul([[1, 2], [3, 4]], [[1], [0]]), np.float32([[1], [3]])),
        (lambda: ops.one_hot([0, 2], 3), np.eye(3, dtype="float32")[[0, 2]]),
    ],
)  # fmt: skip
def test_arrays_lists_and_numbers_become_constants(found, expected):
    found = found()
    assert str(found.dtype) == str(np.asarray(expected).dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_array_beside_values_takes_their_dtype():
    assert ops.dot(A, ops.transpose(X)).dtype == (X + A).dtype == ops.append(A, X).dtype == "float32"
    assert ops.matmul(A.astype("float32"), ops.ones((3, 1), "float64")).dtype == "float64"


def test_a_value_can_be_looked_at():
    y = ops.exp(ops.constant([0.0, 1.0]))
    assert str(y) == "[1.       2.718282]"
    assert repr(y) == "<exp: float32[2]>"
    assert f"{y[1]:.3f} {int(y[1])} {float(y[0])}" == "2.718 2 1.0"
    assert np.asarray(y, "float64").dtype == np.float64
    y.numpy()[0] = 7  # an array of one's own
    assert float(y[0]) == 1


def test_a_value_of_a_program_is_printed_as_ever_and_has_no_numbers():
    y = ops.exp(X)
    assert str(y) == repr(y) == "<exp: float32[2,3]>"
    for look in (np.asarray, lambda y: y.numpy()):
        with pytest.raises(GraphError, match=r"input 'x'.*\n.*nacre.ops"):
            look(y)
    with pytest.raises(GraphError, match="one element"):
        float(y)


def test_a_constant_keeps_its_array_and_nobody_can_change_it():
    given = np.arange(3.0)
    kept = ops.constant(given)
    given[:] = 9
    assert kept.numpy().tolist() == [0, 1, 2]
    assert len(repr(ops.constant(np.zeros(10**6)).attrs)) < 200


def test_constants_that_differ_in_one_place_stay_apart_and_others_are_merged():
    a = np.zeros((100, 100))
    b = a.copy()
    b[50, 50] = -0.0
    same = simplify(Graph([], {"a": ops.exp(ops.constant(a)), "b": ops.exp(ops.constant(a))}))
    other = simplify(Graph([], {"a": ops.exp(ops.constant(a)), "b": ops.exp(ops.constant(b))}))
    assert len(same.nodes) == 2
    assert len(other.nodes) == 4


def test_a_graph_with_constants_is_printed_and_read_back():
    numbers = np.array([[0.1, np.inf], [-np.inf, 1e-45]], "float32")
    text = to_text(Graph([], {"y": ops.constant(numbers)}))
    again = parse(text, ops.TABLE)
    assert to_text(again) == text
    np.testing.assert_array_equal(again.outputs["y"], numbers)
