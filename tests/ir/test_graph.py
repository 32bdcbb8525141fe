"""Values, graphs, their text, and their rules."""

from __future__ import annotations

import pytest

from nacre import ops
from nacre.errors import GraphError
from nacre.ir import Graph, Input, TensorType, Value, parse, to_text, verify
from nacre.ops import TABLE


def _x(*shape, name="x"):
    return Input(name, TensorType(shape))


def test_shape_and_dtype_are_known_when_a_node_is_made():
    y = ops.matmul(_x(2, 3), _x(3, 4, name="w"))
    assert (y.shape, y.dtype) == ((2, 4), "float32")


def test_numbers_beside_a_value_take_its_dtype():
    x = Input("x", TensorType((3,), "int32"))
    assert (x + 1).dtype == "int32"
    assert (x + 0.5).dtype == "float32"
    assert (2.0 - Input("y", TensorType((3,), "float64"))).dtype == "float64"


def test_broadcasting_follows_numpy():
    assert (_x(2, 1, 4) + _x(3, 1, name="y")).shape == (2, 3, 4)
    with pytest.raises(ValueError, match="one shape"):
        _x(2, 3) + _x(4, name="y")


def test_a_value_has_no_truth():
    with pytest.raises(GraphError, match="no truth"):
        bool(_x(1) > 0)


def test_indexing_is_that_of_numpy():
    import numpy as np

    from nacre.backends.reference import evaluate

    array = np.arange(24.0).reshape(2, 3, 4)
    x = Input("x", TensorType((2, 3, 4), "float64"))
    for index in [
        0,
        -1,
        (1, 2),
        (slice(None), slice(0, 3, 2)),
        (Ellipsis, 1),
        (slice(None), None, 1),
        (Ellipsis, slice(1, 3)),
        slice(5, 1),
    ]:
        assert np.array_equal(evaluate(Graph([x], {"y": x[index]}), {"x": array})["y"], array[index]), index
    with pytest.raises(IndexError):
        x[2]


def test_a_graph_knows_all_inputs_it_uses():
    x, w = _x(2), _x(2, name="w")
    with pytest.raises(GraphError, match="none of its inputs"):
        Graph([x], {"y": x + w})
    with pytest.raises(GraphError, match="called 'x'"):
        Graph([x, _x(3)], {"y": x})


def test_names_of_any_letters_survive_printing():
    x, w = _x(2), Input('odd "name"/κ, %1: float32[3])', TensorType((2,)))
    text = to_text(Graph([x, w], {"loss of it": x * w}))
    again = parse(text, TABLE)
    assert to_text(again) == text
    assert again.inputs[1].name == w.name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tanh", "tanhh", "no primitive"),
        ("%x)", "%z)", "before it is made"),
        ("tanh(%x) : float32[2]", "tanh(%x) : float32[3]", "wrong type"),
        ("  %0 = ", "  ?? ", "no node"),
        ("graph(", "grph(", "no graph"),
    ],
)
def test_text_that_is_no_graph_is_refused_with_its_line(old, new, message):
    assert old in TEXT
    with pytest.raises(GraphError, match=message):
        parse(TEXT.replace(old, new), TABLE)


TEXT = """graph(%x: float32[2]) {
  %0 = tanh(%x) : float32[2]
  return y=%0
}"""


def test_the_text_of_a_graph_is_one_line_a_node():
    x = _x(2)
    assert to_text(Graph([x], {"y": ops.tanh(x)})) == TEXT


def test_a_wrong_type_is_found():
    x = _x(2)
    with pytest.raises(GraphError, match="wrong type"):
        verify(Graph([x], {"y": Value(TABLE["tanh"], (x,), {}, TensorType((3,)))}))


def test_a_graph_ten_thousand_nodes_deep_is_built_simplified_printed_and_parsed():
    from nacre.passes import simplify

    x = y = _x(2)
    for _ in range(10_000):
        y = ops.tanh(y)
    graph = simplify(Graph([x], {"y": y}))
    assert len(parse(to_text(graph), TABLE).nodes) == 10_000
