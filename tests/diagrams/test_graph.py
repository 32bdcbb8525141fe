"""What is drawn is what runs: against the program of the trainer, the plan of the engine, and arithmetic in NumPy."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import pytest

import nacre
from nacre.diagrams import Diagram
from nacre.errors import ShapeError, UnknownName, UsageError
from nacre.ir import to_text
from nacre.layers import Activation, Add, BatchNormalization, Concatenate, Dense, Dropout, LayerNormalization, Residual

Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 6)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 48)
HOSTILE = "<img src=x onerror=alert(1)> & \"quoted' {title}"


def network(**settings: Any) -> nacre.Sequential:
    model = nacre.Sequential([nacre.Input((6,)), Dense(5, "relu", name="hidden"), Dense(3, "softmax", name="out")])
    model.compile(
        **({"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]} | settings)
    )
    return model


def branched() -> nacre.Model:
    x = nacre.Input((6,))
    left, right = Dense(4, "relu", name="left")(x), Dense(4, "tanh", name="right")(x)
    model = nacre.Model(
        x, Dense(3, "softmax", name="out")(Dropout(0.5, name="drop")(Concatenate(name="join")([left, right])))
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def residual() -> nacre.Sequential:
    block = [LayerNormalization(), Dense(8, "relu"), Dense(5)]
    model = nacre.Sequential([nacre.Input((6,)), Dense(5, "relu", name="first"), Residual(block), Dense(3, name="out")])
    model.compile(
        nacre.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=1.0),
        nacre.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def normalized() -> nacre.Sequential:
    layers = [
        nacre.Input((6,)),
        BatchNormalization(),
        Dense(5, "relu", kernel_regularizer="l2", name=HOSTILE),
        Dense(3),
    ]
    model = nacre.Sequential(layers)
    model.compile("rmsprop", nacre.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def shared() -> nacre.Model:
    x = nacre.Input((6,))
    twice, inner = Dense(6, name="twice"), nacre.Sequential([nacre.Input((6,)), Dense(6, "tanh")], name="inner")
    model = nacre.Model(x, Dense(3, "softmax", name="loss")(Add()([twice(inner(twice(x))), x])))
    model.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Written(nacre.Model):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Dense(4, "relu"), Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.second(self.first(inputs * 2.0) + 1.0)


def written() -> nacre.Model:
    model = Written()
    model.compile("sgd", nacre.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


MODELS = [network, branched, residual, normalized, shared, written]


def computed(graph: Diagram) -> list[Any]:
    return [node for node in graph.nodes if node.count]


# ------------------------------------------------------------------ what runs


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_every_operation_of_the_program_that_runs_is_a_node(make: Any) -> None:
    model = make()
    data = model._dataset(X, LABELS)
    runs = model._training(data)._executable_for("train", data, 32).program.graphs[32]
    drawn, _, _ = model._training(data).traced(data, 32)
    assert to_text(drawn.graphs[32]) == to_text(runs)
    nodes = computed(model.graph(X, LABELS, "operations"))
    assert len(nodes) == len(runs.nodes)
    assert Counter(node.operation for node in nodes) == Counter(value.operation.name for value in runs.nodes)
    assert sum(node.count for node in model.graph(X, LABELS).nodes) == len(runs.nodes)


def test_data_that_are_cast_come_in_before_the_first_layer() -> None:
    x = nacre.Input((6,))
    left, right = Dense(4, name="left")(x), Dense(4, name="right")(x)
    model = nacre.Model(x, Dense(3, "softmax", name="out")(Concatenate(name="join")([left, right])))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    whole = RANDOM.integers(0, 255, (48, 6)).astype(np.uint8)
    for kind in ("layers", "operations"):
        graph = model.graph(whole, LABELS, kind)
        parts = {node.name: node.part for node in graph.nodes}
        assert parts["x"] == "forward"
        read = [(edge.source, edge.target) for edge in graph.edges if parts[edge.target] == "forward"]
        assert read
        assert all(parts[source] == "forward" for source, _ in read)
    for graph in (model.graph(whole, LABELS), model.graph(whole, predict=True)):
        formulas = {node.name: node.formula for node in graph.nodes}
        assert formulas["left"] == "x A1 + b1 = X1"
        assert formulas["right"] == "x A2 + b2 = X2"
        assert "output" not in formulas
    assert formulas.keys() >= {"x", "left", "right", "join"}


def test_rows_made_up_for_a_drawing_have_the_dtype_of_the_inputs() -> None:
    model = nacre.Sequential(
        [nacre.Input((4,), dtype="int32"), nacre.layers.Embedding(9, 3), nacre.layers.Flatten(), Dense(2)]
    )
    model.compile("sgd", "mse")
    x, y = nacre.diagrams.rows_like(model, 5)
    assert (x.shape, x.dtype, y.shape) == ((5, 4), np.int32, (5, 2))
    assert not x.any()
    assert {node.name for node in model.graph().nodes} >= {"embedding", "loss"}


def test_sequences_of_labels_are_made_up_for_outputs_that_are_sequences() -> None:
    model = nacre.Sequential([nacre.Input((4, 6)), Dense(3, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = nacre.diagrams.rows_like(model, 5)
    assert y.shape == (5, 4)
    with pytest.raises(ShapeError) as drawn:
        model.graph()
    with pytest.raises(ShapeError) as trained:
        model.fit(x, y, verbose=0)
    assert str(drawn.value).splitlines()[0] == str(trained.value).splitlines()[0]  # such a model cannot be trained yet
    assert {node.name for node in model.graph(predict=True).nodes} >= {"out"}


def test_layers_may_be_called_what_marks_are_called() -> None:
    model = nacre.Sequential([nacre.Input((6,)), Dense(5, "relu", name="note 1"), Dense(3, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    formulas = [node.formula for node in network(metrics=[]).graph(X, LABELS).nodes]
    assert [node.formula for node in model.graph(X, LABELS).nodes] == formulas


def test_a_plan_has_a_node_for_each_kernel_with_what_it_costs() -> None:
    model = network()
    graph = model.graph(X, LABELS, plan=True, seconds=0.01)
    steps, _ = model.plan(X, LABELS, 32)
    found = [(node.operation, node.flops, node.bytes) for node in graph.nodes]
    assert found == [(step.kernel, step.flops, step.nbytes) for step in steps]
    assert all(node.seconds is not None and node.seconds >= 0 for node in graph.nodes)
    # Whatever a kernel reads was made before, by the last that wrote it.
    at = {node.name: n for n, node in enumerate(graph.nodes)}
    assert all(at[edge.source] < at[edge.target] for edge in graph.edges)
    made = {name for step in steps for name in step.results} - set(model.named)
    reads = sum(len({o for o in step.operands if o in made}) for step in steps)
    assert reads == len(graph.edges) > 0


def test_without_an_operation_there_is_another_graph_and_another_result() -> None:
    layers = [nacre.Input((6,)), Dense(5, name="a"), Activation("relu", name="bend"), Dense(3, name="b")]
    whole = nacre.Sequential(layers)
    without = nacre.Sequential([layers[0], layers[1], layers[3]])  # the same weights
    for model in (whole, without):
        model.compile("sgd", nacre.losses.SparseCategoricalCrossentropy(from_logits=True))
    names = [{node.name for node in model.graph().nodes} for model in (whole, without)]
    assert names[0] - names[1] == {"bend", "backward of bend"}
    assert not np.allclose(whole.predict(X), without.predict(X))
    with_it, without_it = (Counter(n.operation for n in m.graph(kind="operations").nodes) for m in (whole, without))
    assert with_it - without_it == Counter(relu=1, less=1, select=1, constant=2)  # and its gradient


# ------------------------------------------------------------------ forward


def test_two_layers_are_two_affine_maps_and_two_activations() -> None:
    model = nacre.Sequential([nacre.Input((784,)), Dense(1000, "relu"), Dense(10, "softmax")])
    graph = model.graph()
    assert graph.step == "prediction"
    assert [(n.formula, n.shape) for n in graph.nodes] == [
        ("x", (32, 784)),
        ("x A1 + b1 = Z1", (32, 1000)),
        ("relu(Z1) = X1", (32, 1000)),
        ("X1 A2 + b2 = Z2", (32, 10)),
        ("softmax(Z2) = X2", (32, 10)),
    ]
    assert [n.parameter for n in graph.nodes] == [False, True, False, True, False]
    assert [w[:2] for n in graph.nodes for w in n.weights] == [(name, w.shape) for name, w in model.named.items()]
    assert graph.sums() == {"forward": 2 * 32 * (784 * 1000 + 1000 * 10) + 32 * (1000 + 1000 + 10) + 5 * 320}


def test_only_affine_operations_read_parameters() -> None:
    graph = branched().graph(kind="operations", predict=True)
    readers = Counter(graph[e.target].operation for e in graph.edges if graph[e.source].parameter)
    assert readers == {"matmul": 3, "broadcast": 3}
    bias = [
        e.target for e in graph.edges if graph[e.source].operation == "broadcast" and graph[e.source].layer == "left"
    ]
    assert [graph[name].operation for name in bias] == ["add"]


@pytest.mark.parametrize("kind", ["layers", "operations"])
def test_a_prediction_has_forward_nodes_only(kind: str) -> None:
    for graph in (network().graph(X, kind=kind), network().graph(kind=kind, predict=True)):
        assert {node.part for node in graph.nodes} == {"forward"}
    steps = [network().graph(X, y, plan=True) for y in (None, LABELS)]
    assert sum(n.bytes for n in steps[0].nodes) < sum(n.bytes for n in steps[1].nodes)


def test_a_layer_without_operations_is_named_and_not_drawn() -> None:
    graph = branched().graph(predict=True)
    assert graph.idle == ("drop",)
    assert "no operation of their own: drop" in str(graph)
    assert "drop" not in {node.layer for node in graph.nodes}
    unasked = network(metrics=[]).graph()  # then nobody needs probabilities
    assert unasked.idle == ("out softmax",)


# ------------------------------------------------------------------ backward


@pytest.mark.parametrize("kind", ["layers", "operations"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_every_backward_node_belongs_to_a_forward_node_and_no_other_node_does(make: Any, kind: str) -> None:
    graph = make().graph(X, LABELS, kind)
    backward = [node for node in graph.nodes if node.part == "backward"]
    assert backward
    assert all(graph[node.partner].part in ("forward", "loss") for node in backward if node.partner)
    assert all((node.partner is not None) == (node.part == "backward") for node in graph.nodes)


def test_an_operation_is_differentiated_by_its_own_rule() -> None:
    graph = network().graph(kind="operations")
    by_partner: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.partner is not None:
            by_partner.setdefault(f"{graph[node.partner].layer} {graph[node.partner].operation}", []).append(
                node.operation
            )
    assert sorted(by_partner["hidden relu"]) == ["constant", "constant", "less", "select"]
    assert by_partner["hidden matmul"] == ["matmul"]  # nobody asks for the gradient of x
    assert by_partner["out matmul"] == ["matmul", "matmul"]
    assert by_partner["hidden broadcast"] == by_partner["out broadcast"] == ["reduce_sum"]
    assert "hidden add" not in by_partner  # which hands gradients on as they are
    assert by_partner["out exp"] == ["multiply"]


def test_gradients_flow_against_the_forward_graph() -> None:
    graph = branched().graph()
    back = {
        (graph[e.target].partner, graph[e.source].partner) for e in graph.edges if graph[e.source].part == "backward"
    }
    back = {edge for edge in back if edge[0] is not None}
    forward = {(e.source, e.target) for e in graph.edges if graph[e.target].part in ("forward", "loss")}
    assert back == {edge for edge in forward if edge[0] not in ("x", "y")}


def test_the_loss_is_where_both_graphs_meet() -> None:
    graph = network().graph()
    assert {e.source for e in graph.edges if e.target == "loss"} == {"out softmax", "y"}
    assert graph["loss"].shape == ()
    begin = next(node for node in graph.nodes if node.part == "backward")
    assert (begin.partner, begin.formula) == ("loss", "dL -> dZ2")
    assert not [e for e in graph.edges if e.target == begin.name and graph[e.source].part == "backward"]


def test_a_layer_takes_the_one_before_and_its_weights_and_gives_the_gradients_of_both() -> None:
    graph = network().graph()
    assert graph["out"].formula == "X1 A2 + b2 = Z2"
    assert graph["backward of out"].formula == "dZ2 -> dX1, dA2, db2"
    assert graph["backward of out"].shape == (32, 5)
    assert [w.name for w in graph["update of out"].weights] == ["out/kernel", "out/bias"]


def test_shared_weights_are_drawn_in_each_call() -> None:
    graph = shared().graph()
    assert graph["twice"].formula == "x A1 + b1 = X1"
    assert graph["twice (2)"].formula == "X2 A1 + b1 = X3"
    assert graph["twice"].weights == graph["twice (2)"].weights
    assert graph["loss"].layer == "loss"  # a layer may be called so
    assert graph["loss (2)"].part == "loss"


def test_backward_takes_twice_the_operations_of_forward_and_a_step_three_times() -> None:
    width, depth, rows = 64, 8, 32
    model = nacre.Sequential([nacre.Input((width,)), *(Dense(width, use_bias=False) for _ in range(depth))])
    model.compile("sgd", "mse")
    counted = Counter[str]()
    for node in model.graph(kind="operations", batch_size=rows).nodes:
        counted[node.part] += node.flops if node.operation == "matmul" else 0
    one = 2 * rows * width * width
    assert counted["forward"] == depth * one
    assert counted["backward"] == (2 * depth - 1) * one  # the first layer hands no gradient on
    sums = model.graph(batch_size=rows).sums()
    assert 1.8 < sums["backward"] / sums["forward"] < 2.05
    assert 2.8 < sum(sums.values()) / sums["forward"] < 3.2


# ------------------------------------------------------------------ numbers


def test_ranges_are_those_of_the_numbers_in_numpy() -> None:
    model = network()
    A1, b1, A2, b2 = (w.astype(np.float64) for w in model.get_weights())
    x, n = X[:32].astype(np.float64), 32
    z1 = x @ A1 + b1
    x1 = np.maximum(z1, 0)
    z2 = x1 @ A2 + b2
    p = np.exp(z2) / np.exp(z2).sum(1, keepdims=True)
    dz2 = (p - np.eye(3)[LABELS[:32]]) / n
    dz1 = (dz2 @ A2.T) * (z1 > 0)
    graph = model.graph(X, LABELS)
    wanted = {
        "x": x,
        "hidden": z1,
        "hidden relu": x1,
        "out": z2,
        "out softmax": p,
        "loss": -np.log(p[np.arange(n), LABELS[:n]]).mean(),
        "backward of loss": dz2,
        "backward of out": dz2 @ A2.T,
        "backward of hidden relu": dz1,
        "backward of hidden": x.T @ dz1,
    }
    for name, array in wanted.items():
        found = graph[name].range
        assert found is not None
        np.testing.assert_allclose(found, [np.min(array), np.mean(array), np.max(array)], rtol=1e-4, atol=1e-7)
    every = model.graph(X, LABELS, "operations")
    matmuls = [node.range for node in every.nodes if node.operation == "matmul" and node.part == "backward"]
    for array in (x.T @ dz1, x1.T @ dz2, dz2 @ A2.T):
        numbers = [array.min(), array.mean(), array.max()]
        assert any(np.allclose(found, numbers, rtol=1e-4, atol=1e-7) for found in matmuls if found is not None)


def test_looking_changes_nothing() -> None:
    model = branched()
    before, predicted = model.get_weights(), model.predict(X)
    for kind in ("layers", "operations"):
        model.graph(X, LABELS, kind)
    model.graph(X, LABELS, plan=True, seconds=0.01)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert np.array_equal(predicted, model.predict(X))
    assert model.optimizer.iterations == 0


def test_without_rows_there_are_shapes_and_no_ranges() -> None:
    graph = network().graph(batch_size=7)
    assert all(node.range is None for node in graph.nodes)
    assert graph["out"].shape == (7, 3)
    assert network().graph(X[:5], LABELS[:5]).rows == 5


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(UnknownName, match="layers"):
        network().graph(kind="layer")
    with pytest.raises(UsageError, match="no rows"):
        network().graph(None, LABELS)
    with pytest.raises(UsageError, match="only a plan"):
        network().graph(seconds=1)


# ------------------------------------------------------------------ as pictures and text


def rectangles(svg: str) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each node, by its title."""
    found = {}
    for group in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        if (group.get("class") or "").startswith("node "):
            place = next(iter(group.iter("{http://www.w3.org/2000/svg}rect")))
            x, y, width, height = (float(place.get(key) or "nan") for key in ("x", "y", "width", "height"))
            assert group.get("id") not in found
            found[str(group.get("id"))] = (x, y, x + width, y + height)
    return found


@pytest.mark.parametrize("kind", ["layers", "operations", "plan"])
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_a_picture_holds_every_node_and_none_over_another(make: Any, kind: str) -> None:
    model = make()
    graph = model.graph(X, LABELS, plan=True) if kind == "plan" else model.graph(X, LABELS, kind)
    picture = graph.svg()
    root = ElementTree.fromstring(picture)
    boxes = list(rectangles(picture).values())
    assert len(boxes) == len(graph.nodes)
    for n, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= float(root.get("width") or 0)
        assert 0 <= top < bottom <= float(root.get("height") or 0)
        for other in boxes[:n]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    lines = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("data-from")]
    assert len(lines) == len(graph.edges) + sum(node.partner is not None for node in graph.nodes)


def test_forward_goes_down_and_backward_goes_up_beside_it() -> None:
    graph = network().graph()
    places = list(rectangles(graph.svg()).values())
    at = {node.name: places[n] for n, node in enumerate(graph.nodes)}
    assert at["x"][1] < at["hidden"][1] < at["hidden relu"][1] < at["out"][1] < at["loss"][1]
    for node in graph.nodes:
        if node.partner is not None:
            mine, its = at[node.name], at[node.partner]
            assert mine[0] > its[2]
            assert math.isclose(mine[1] + mine[3], its[1] + its[3], abs_tol=0.3)


def test_names_are_text_and_never_markup() -> None:
    graph = normalized().graph(X, LABELS)
    assert HOSTILE in str(graph)
    told = [title.text or "" for title in ElementTree.fromstring(graph.svg()).iter("{http://www.w3.org/2000/svg}title")]
    assert any(text.startswith(HOSTILE) for text in told)
    for page in (graph.html(), graph.svg(), graph._repr_html_(), normalized().graph(kind="operations").html()):
        assert "<img" not in page
    assert graph.html().count("<script>") == 1


def test_text_says_each_layer_forward_and_in_reverse_backward() -> None:
    lines = [re.sub(" {2,}", " | ", line.strip()) for line in str(network().graph()).splitlines()]
    begins = [line.split(" | ")[:3] for line in lines]
    assert ["hidden", "x A1 + b1 = Z1", "(32, 5)"] in begins
    assert ["hidden relu", "relu(Z1) = X1", "(32, 5)"] in begins
    order = [line[0] for line in begins if line[0].startswith("backward of")]
    assert order == ["backward of loss", "backward of out", "backward of hidden relu", "backward of hidden"]
    assert "A1 = hidden/kernel (6, 5)" in lines


def test_a_document_is_json_even_of_what_is_not_finite(tmp_path: Path) -> None:
    model = network()
    model.layers[0].set_weights([np.full((6, 5), np.inf, np.float32), np.zeros(5, np.float32)])
    document = json.loads(json.dumps(model.graph(X).document(), allow_nan=False))
    hidden = next(node for node in document["nodes"] if node["name"] == "hidden")
    assert {hidden["range"]["low"], hidden["range"]["high"]} <= {"-inf", "inf", "nan"}
    graph = network().graph()
    for name, text in (("a.svg", graph.svg()), ("a.html", graph.html()), ("a.txt", str(graph))):
        graph.save(tmp_path / name)
        assert (tmp_path / name).read_text() == text
    with pytest.raises(UsageError, match="unknown format"):
        graph.save(tmp_path / "a.pdf")
