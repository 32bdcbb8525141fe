"""The chain rule, where it is easy to get wrong."""

from __future__ import annotations

import numpy as np
import pytest

from nacre import ops
from nacre.autodiff import gradients
from nacre.backends.reference import evaluate
from nacre.errors import GraphError
from nacre.ir import Graph, Input, TensorType, order


def _gradient(build, *numbers):
    inputs = [Input(f"x{i}", TensorType(np.shape(n), "float64")) for i, n in enumerate(numbers)]
    found = gradients(build(*inputs), inputs)
    graph = Graph(inputs, {i.name: g for i, g in zip(inputs, found, strict=True)})
    return [
        a.tolist()
        for a in evaluate(graph, {i.name: np.asarray(n) for i, n in zip(inputs, numbers, strict=True)}).values()
    ]


def test_the_gradient_at_zero_is_that_of_the_smooth_whole():
    assert _gradient(ops.softplus, 0.0) == [0.5]
    assert _gradient(lambda x: ops.binary_crossentropy(ops.constant(1.0, "float64"), x, from_logits=True), 0.0) == [
        -0.5
    ]


def test_a_length_has_the_right_gradient_for_numbers_whose_squares_overflow():
    for size in (1e-3, 1.0, 1e300):
        found = _gradient(lambda x: ops.norm(x), [3 * size, -4 * size])
        assert np.allclose(found, [[0.6, -0.8]], rtol=1e-15)
        found = _gradient(
            lambda x: ops.sum(ops.normalize(x) * ops.constant([1.0, 0.0], "float64")), [3 * size, -4 * size]
        )
        assert np.allclose(np.array(found) * size, [[0.128, 0.096]], rtol=1e-9)


def test_a_value_used_twice_receives_the_sum_of_its_uses():
    assert _gradient(lambda x: x * x, 3.0) == [6.0]
    assert _gradient(lambda x: x + x + x, 3.0) == [3.0]
    assert _gradient(lambda x, y: (x * y) * (x + y), 2.0, 3.0) == [3 * 5 + 6, 2 * 5 + 6]


def test_two_paths_that_join_again_are_both_followed():
    # f = a b with a = 2 x and b = 3 x
    def diamond(x):
        a, b = 2.0 * x, 3.0 * x
        return a * b

    assert _gradient(diamond, 5.0) == [12 * 5.0]


def test_what_does_not_matter_has_gradient_zero():
    assert _gradient(lambda x, y: ops.exp(x) * 0 + ops.stop_gradient(y), 1.0, 2.0) == [0.0, 0.0]


def test_a_later_parameter_does_not_move_an_earlier_output():
    x, later = Input("x", TensorType(())), Input("later", TensorType(()))
    earlier = ops.tanh(x)
    assert later * earlier is not earlier
    graph = Graph([x, later], {"d": gradients(earlier, [later])[0]})
    assert evaluate(graph, {"x": 1.0, "later": 1.0})["d"] == 0


def test_relu_has_gradient_zero_at_zero_and_a_tie_is_shared():
    assert _gradient(lambda x: ops.sum(ops.relu(x)), [-1.0, 0.0, 2.0]) == [[0.0, 0.0, 1.0]]
    assert _gradient(lambda x: ops.maximum(x, 1.0), 1.0) == [0.5]
    assert _gradient(lambda x: ops.max(x), [1.0, 3.0, 3.0]) == [[0.0, 0.5, 0.5]]


def test_a_crossentropy_of_logits_has_the_slope_of_its_sigmoid_at_zero_too():
    logits, targets = np.array([0.0, 0.0, 2.0, -800.0, 800.0]), np.array([0.0, 1.0, 0.25, 1.0, 1.0])
    (found,) = _gradient(lambda x: ops.sum(ops.binary_crossentropy(ops.constant(targets, "float64"), x, True)), logits)
    with np.errstate(over="ignore"):
        assert found == pytest.approx(1 / (1 + np.exp(-logits)) - targets)


def test_powers_at_zero_have_the_gradients_of_calculus():
    assert _gradient(lambda x: ops.power(x, 0), 0.0) == [0.0]
    assert _gradient(lambda x: x**3, 0.0) == [0.0]
    assert _gradient(lambda x, p: x**p, 2.0, 3.0) == pytest.approx([12.0, 8 * np.log(2)])


def test_only_of_a_scalar_is_the_gradient_clear():
    x = Input("x", TensorType((2,)))
    with pytest.raises(GraphError, match="scalar"):
        gradients(x * 2.0, [x])


def test_descent_on_the_bowl_finds_its_bottom():
    x = Input("x", TensorType((2,), "float64"))
    f = x[0] * ops.exp(-(x[0] ** 2 + x[1] ** 2))
    graph = Graph([x], {"f": f, "df": gradients(f, [x])[0]})
    at = np.array([-0.2, 0.3])
    for _ in range(500):
        at = at - 0.5 * evaluate(graph, {"x": at})["df"]
    assert np.allclose(at, [-np.sqrt(0.5), 0], atol=1e-6)
    assert round(float(evaluate(graph, {"x": at})["f"]), 4) == -0.4289


def test_a_thousand_layers_are_differentiated_without_recursion():
    x = y = Input("x", TensorType((3,)))
    for _ in range(3000):
        y = ops.tanh(y)
    assert len(Graph([x], {"d": gradients(ops.sum(y), [x])[0]}).nodes) > 6000


def test_what_the_chain_rule_makes_belongs_to_the_value_whose_rule_made_it():
    x = Input("x", TensorType((3, 3)))
    bent = ops.tanh(x)
    used = bent * bent
    made = {}
    loss = ops.reduce_sum(used, axes=[0, 1])
    (found,) = gradients(loss, [x], made=made)
    assert all(id(value) in map(id, order([loss])) for value in made.values())
    assert made[found] is bent  # dy * (1 - y * y)
    total = next(value for value in made if value.operation.name == "add")
    assert made[total] is bent  # both uses of it, added up
    by_product = [value for value, y in made.items() if y is used]
    assert [value.operation.name for value in by_product] == ["multiply", "multiply"]
    assert {id(v) for v in order([found])} - {id(v) for v in order([loss])} == {id(v) for v in made}
