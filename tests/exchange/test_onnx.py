"""ONNX files compute what the model computes; onnxruntime, which knows nothing of nacre, is the witness."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from test_layers import IN_GRAPHS, MAKERS, NAMES, NEEDED, WHOLE

import nacre
from nacre import layers
from nacre.data import Features, Pictures, Table
from nacre.errors import Limitation, ModelFileError
from nacre.exchange.onnx_nodes import OPERATORS, Writer
from nacre.ir import Graph, Input, TensorType
from nacre.ops import TABLE
from nacre.ops.primitive import Argument
from nacre.recipes import picture_network


def session(content):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def proto(writer, graph):
    """Nodes as a file, put together without the writer of models."""
    types = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float64": 11, "uint32": 12}
    info = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node(
            n.operator, n.inputs, [n.name], **{k: types.get(str(v), v) for k, v in n.attributes.items()}
        )
        for n in writer.nodes
    ]
    body = onnx.helper.make_graph(
        nodes,
        "one",
        [info(i.name, types[i.dtype], i.shape) for i in graph.inputs],
        [info(name, types[v.dtype], v.shape) for name, v in graph.outputs.items()],
        [onnx.numpy_helper.from_array(a, name) for name, a in writer.constants.items()],
    )
    made = onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def meant(row, sample, types):
    """What onnxruntime makes of one use of a primitive, and what the row means."""
    inputs = [Input(f"x{n}", t) for n, t in enumerate(types)]
    value = row(*inputs, **sample.attrs)
    graph = Graph(inputs, {"y": value})
    writer = Writer((graph, graph), (1, 2), {i.name: i.name for i in inputs}, ["y"])
    writer.write()
    arrays = [Argument(t, a.low, a.high).draw(n) for n, (t, a) in enumerate(zip(types, sample.arguments, strict=True))]
    (found,) = session(proto(writer, graph)).run(None, {i.name: a for i, a in zip(inputs, arrays, strict=True)})
    attrs = sample.attrs | ({"precision": "full"} if row.name == "matmul" else {})
    expected = np.asarray(row.body(np, *arrays, **attrs), value.dtype)
    assert (found.shape, found.dtype) == (value.shape, value.dtype)
    longest = 1e-8 * sum(float(np.abs(a.astype(np.float64)).sum()) for a in arrays)  # of sums, the order differs
    assert np.allclose(found, expected, rtol=2e-6, atol=1e-6 + longest)


SAMPLES = [
    pytest.param(row, sample, id=f"{name}-{number}")
    for name, row in TABLE.items()
    if not isinstance(OPERATORS.get(name), Limitation)
    for number, sample in enumerate(row.samples)
]


def test_every_primitive_is_in_the_table_or_has_a_reason():
    assert OPERATORS.keys() == TABLE.keys()
    gaps = {name for name, rule in OPERATORS.items() if isinstance(rule, Limitation)}
    assert gaps == {"random_uniform", "scatter_add"}


def has_gaps(sample):
    return any(sample.attrs.get("interior", ()))


@pytest.mark.parametrize(("row", "sample"), SAMPLES)
def test_a_primitive_means_the_same_in_onnx(row, sample):
    if has_gaps(sample):  # the gradient of a slice, which nothing that predicts has
        with pytest.raises(Limitation, match="zeros between elements"):
            meant(row, sample, [a.type for a in sample.arguments])
    else:
        meant(row, sample, [a.type for a in sample.arguments])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *(("neg", d) for d in ("uint8", "int32", "float64")),
        *(("relu", d) for d in ("uint8", "int32", "float64")),
        *((row, d) for row in ("reduce_max", "argmax", "reduce_min") for d in ("bool", "uint8", "float64")),
        *((row, d) for row in ("add", "maximum", "less", "multiply") for d in ("uint8", "int32", "float64")),
        *((row, "float64") for row in ("erf", "log1p", "expm1", "sigmoid", "matmul", "take", "divide")),
        ("reduce_sum", "uint8"),
        ("equal", "bool"),
    ],
)
def test_a_primitive_means_the_same_for_other_types(name, dtype):
    row = TABLE[name]
    for sample in (s for s in row.samples[:6] if s.arguments[0].type.dtype == "float32"):
        types = [TensorType(a.type.shape, dtype if a.type.is_float else a.type.dtype) for a in sample.arguments]
        meant(row, sample, types)


def test_a_choice_between_truth_values_is_one():
    sample = TABLE["select"].samples[0]
    meant(TABLE["select"], sample, [TensorType((3, 4), "bool")] * 3)


@pytest.mark.parametrize(("name", "function"), [("expm1", np.expm1), ("log1p", np.log1p)])
def test_no_digits_are_lost_near_zero(name, function):
    x = Input("x", TensorType((7,), "float32"))
    graph = Graph([x], {"y": TABLE[name](x)})
    writer = Writer((graph, graph), (1, 2), {"x": "x"}, ["y"])
    writer.write()
    numbers = np.float32([1e-9, -1e-7, 1e-4, -0.3, 0.6, 3, 80])
    (found,) = session(proto(writer, graph)).run(None, {"x": numbers})
    assert np.allclose(found, function(numbers.astype(np.float64)), rtol=3e-6, atol=0)


# ------------------------------------------------------------------ models


def rows_for(run, rng, whole):
    """1,000 rows of other numbers than those that the writer makes up."""
    kinds = {"tensor(float)": lambda shape: rng.normal(0, 3, shape).astype(np.float32)}
    kinds["tensor(int32)"] = lambda shape: rng.integers(0, whole, shape).astype(np.int32)
    return [kinds[one.type]((1000, *one.shape[1:])) for one in run.get_inputs()]


def agrees(model, rng, whole=4, far=1e-5):
    """Export the model with random weights, and compare its outputs by onnxruntime with `predict`. Returns the session."""
    for layer in model.layers:
        layer.set_weights([np.abs(rng.normal(1, 0.3, w.shape)) for w in layer.get_weights()])
    assert model.export("model.onnx").rows == 1000
    onnx.checker.check_model("model.onnx", full_check=True)
    run = session(Path("model.onnx").read_bytes())
    rows = rows_for(run, rng, whole)
    found = run.run(None, {one.name: x for one, x in zip(run.get_inputs(), rows, strict=True)})
    expected = model.predict(rows[0] if len(rows) == 1 else rows, verbose=0)
    expected = list(expected.values()) if isinstance(expected, dict) else expected
    expected = expected if isinstance(expected, list) else [expected]
    for ours, theirs in zip(expected, found, strict=True):
        assert ours.shape == theirs.shape
        size = np.max(np.abs(ours), where=np.isfinite(ours), initial=0)
        assert np.allclose(ours, theirs, rtol=far, atol=far * size, equal_nan=True)
    return run


def operators():
    return [node.op_type for node in onnx.load("model.onnx").graph.node]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("cls", IN_GRAPHS, ids=lambda c: c.__name__)
def test_a_layer_computes_the_same_in_onnx(cls, rng):
    arguments, shape = copy.deepcopy(MAKERS[cls.__name__])
    if cls is layers.Residual:
        arguments = {"block": [layers.Dense(6, "tanh"), layers.Dense(4)]}
    layer = cls(**arguments)
    inputs = [nacre.Input(s[1:]) for s in (shape if layer.several else [shape])]
    model = nacre.Model(inputs, layer(inputs if layer.several else inputs[0]))
    agrees(model, rng, WHOLE.get(cls.__name__, 4))


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_computes_the_same_in_onnx(name, rng):
    arguments = NEEDED.get(name, {})
    x = nacre.Input((6,))
    model = nacre.Model(x, layers.Lambda(lambda v: getattr(nacre.activations, name)(v, **arguments))(x))
    agrees(model, rng)


def test_a_network_with_parts_and_several_inputs_and_outputs_computes_the_same(rng):
    inside = nacre.Sequential([nacre.Input((3,)), layers.Dense(4, "gelu"), layers.BatchNormalization()], name="part")
    numbers, terms = nacre.Input((3,), name="numbers"), nacre.Input((2,), dtype="int32", name="terms")
    x = layers.Concatenate()([inside(numbers), layers.Flatten()(layers.Embedding(9, 3)(terms)), inside(numbers)])
    model = nacre.Model([numbers, terms], {"class": layers.Dense(3, "softmax")(x), "value": layers.Dense(1)(x)})
    run = agrees(model, rng, 9)
    assert [(one.name, one.shape, one.type) for one in run.get_inputs()] == [
        ("numbers", ["batch", 3], "tensor(float)"),
        ("terms", ["batch", 2], "tensor(int32)"),
    ]
    assert [(one.name, one.shape) for one in run.get_outputs()] == [("class", ["batch", 3]), ("value", ["batch", 1])]
    named = {one.name for one in onnx.load("model.onnx").graph.initializer if "/" in one.name}
    assert named == set(model.named)


@pytest.mark.parametrize("count", [0, 1, 2, 257])
def test_a_file_takes_any_number_of_rows(count, rng):
    model = nacre.Sequential([nacre.Input((4, 3)), layers.Dense(5), layers.LayerNormalization(), layers.Softmax(1)])
    run = agrees(model, rng)
    x = rng.normal(size=(count, 4, 3)).astype(np.float32)
    (found,) = run.run(None, {run.get_inputs()[0].name: x})
    assert found.shape == (count, 4, 5)
    assert np.allclose(found, model.predict(x, verbose=0), atol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: nacre.ops.concatenate([x, nacre.ops.ones((x.shape[0], 2))], axis=1),
        lambda x: nacre.ops.reshape(
            nacre.ops.concatenate(
                [nacre.ops.reshape(x, (x.shape[0] * 2, 3)), nacre.ops.full((x.shape[0] * 2, 1), 7.0)], axis=1
            ),
            (x.shape[0], 8),
        ),
        lambda x: nacre.ops.broadcast_to(x[:, :1], x.shape) @ nacre.ops.ones((6, 2)),
        lambda x: nacre.ops.broadcast_to(x[:, :1], x.shape) + nacre.ops.broadcast_to(x[:, 1:2], x.shape),
        lambda x: nacre.ops.exp(nacre.ops.broadcast_to(x[:, None, :1], (x.shape[0], 2, 3))),
        lambda x: nacre.ops.broadcast_to(nacre.ops.constant([[1.0, 2.0]]), (x.shape[0], 2)),
        lambda x: x[:, ::-2],
    ],
    ids=["constants", "twice the rows", "repeated", "both repeated", "one repeated", "the same for all", "backward"],
)
def test_what_is_as_long_as_the_rows_is_so_for_any_number_of_them(function, rng):
    x = nacre.Input((6,))
    model = nacre.Model(x, layers.Lambda(function)(x))
    run = agrees(model, rng)
    one = rng.normal(size=(1, 6)).astype(np.float32)
    (found,) = run.run(None, {run.get_inputs()[0].name: one})
    assert np.allclose(found, model.predict(one, verbose=0), atol=1e-6)


def test_a_class_with_its_own_call_is_exported(rng):
    class Halves(nacre.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, inputs):
            wide = nacre.ops.reshape(inputs, [inputs.shape[0], 2, 3])
            return nacre.ops.max(self.dense(wide), axis=1) + nacre.ops.argmax(inputs, axis=1, keepdims=True)

    model = Halves()
    model.build((None, 6))
    agrees(model, rng)


def test_a_class_that_takes_inputs_by_name_is_exported(rng):
    class Ratio(nacre.Model):
        def call(self, inputs):
            return inputs["meters"] / (inputs["seconds"] ** 2 + 1)

    model = Ratio()
    model.build({"seconds": (None, 2), "meters": (None, 2)})
    x = {"seconds": rng.normal(size=(5, 2)), "meters": rng.normal(size=(5, 2))}
    model.export("model.onnx")
    given = {name: array.astype(np.float32) for name, array in x.items()}
    (found,) = session(Path("model.onnx").read_bytes()).run(None, given)
    assert np.allclose(found, x["meters"] / (x["seconds"] ** 2 + 1), atol=1e-6)


def test_numbers_that_name_no_row_of_a_table_give_nan_as_here(rng):
    model = nacre.Sequential([nacre.Input((2,)), layers.Embedding(5, 3), layers.Flatten()])
    run = agrees(model, rng, 5)
    x = np.array([[0, 4], [5, 1], [-1, 2]], np.int32)
    (found,) = run.run(None, {run.get_inputs()[0].name: x})
    assert np.isnan(found).tolist() == [[False] * 6, [True] * 3 + [False] * 3, [True] * 3 + [False] * 3]
    assert np.array_equal(found, model.predict(x, verbose=0), equal_nan=True)


def test_dense_layers_and_softmax_are_single_operators(rng):
    model = nacre.Sequential([nacre.Input((4,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")])
    agrees(model, rng)
    assert operators() == ["Gemm", "Relu", "Gemm", "Softmax"]


def test_a_product_that_is_read_twice_is_made_once(rng):
    x, dense = nacre.Input((4,)), layers.Dense(5, use_bias=False)
    y = dense(x)
    agrees(nacre.Model(x, layers.Add()([y * 2, y + np.float32([1, 2, 3, 4, 5])])), rng)
    assert operators().count("MatMul") + operators().count("Gemm") == 1


def test_a_square_softmax_over_the_other_axis_is_not_mistaken(rng):
    def turned(x):
        powers = nacre.ops.exp(x - nacre.ops.max(x, axis=1, keepdims=True))
        total = nacre.ops.sum(powers, axis=1)
        return powers / nacre.ops.expand_dims(total, 2)  # sums of columns, put beside rows

    x = nacre.Input((3, 3))
    agrees(nacre.Model(x, layers.Lambda(turned)(x)), rng)
    assert "Softmax" not in operators()


def test_a_model_in_bfloat16_is_written_in_float32_and_says_so(rng):
    model = nacre.Sequential([nacre.Input((64,)), layers.Dense(64, dtype="mixed_bfloat16"), layers.Dense(3)])
    model.set_weights([rng.normal(0, 0.1, w.shape) for w in model.get_weights()])
    written = model.export("model.onnx")
    assert written.notes == ("It computes in float32, and the model rounds what it multiplies to bfloat16.",)
    assert 1e-5 < written.difference < 0.1
    assert {one.data_type for one in onnx.load("model.onnx").graph.initializer if "/" in one.name} == {1}
    exact = model.predict(x := rng.normal(size=(9, 64)).astype(np.float32), verbose=0)
    w, b, v, c = (a.astype(np.float64) for a in model.get_weights())
    run = session(Path("model.onnx").read_bytes())
    (found,) = run.run(None, {run.get_inputs()[0].name: x})
    assert np.allclose(found, (x @ w + b) @ v + c, atol=1e-5)
    assert not np.allclose(found, exact, atol=1e-5)


# ------------------------------------------------------------------ trained models


def test_a_model_trained_on_digits_gives_the_same_classes(invoke):
    invoke("train", "digits", "--epochs", "2", "--out", "my-run", "-q")
    told = json.loads(invoke("export", "onnx", "my-run", "--json").stdout)
    assert told["difference"] < 1e-5
    run = session(Path("my-run.onnx").read_bytes())
    _, (x, _) = nacre.datasets.digits.load_data()
    model = nacre.models.load_model("my-run/model.safetensors")
    (found,) = run.run(None, {run.get_inputs()[0].name: np.asarray(x, np.float32)})
    assert np.allclose(found, model.predict(x, verbose=0), atol=1e-5)


def test_a_model_of_a_table_takes_what_its_features_make_of_it(invoke):
    people = [
        "age,city,paid",
        *(f"{20 + n % 40},{['Oslo', 'Lima', ''][n % 3]},{'no' if n % 5 else 'yes'}" for n in range(300)),
    ]
    Path("people.csv").write_text("\n".join(people))
    invoke("train", "people.csv", "--target", "paid", "--epochs", "2", "--out", "my-run", "-q")
    told = json.loads(invoke("export", "onnx", "my-run", "--out", "people.onnx", "--json").stdout)
    assert told["notes"][1:] == [
        "numbers, float32 (rows, 1): age",
        "categories, int32 (rows, 1): city from 0 on",
    ]
    model = nacre.models.load_model("my-run/model.safetensors")
    table = Table.of({"age": [30, 61, None], "city": ["Oslo", None, "Rome"]})
    (found,) = session(Path("people.onnx").read_bytes()).run(None, model.features.inputs(table))
    assert np.allclose(found, model.predict(table, verbose=0), atol=1e-6)
    kept = {one.key: one.value for one in onnx.load("people.onnx").metadata_props}
    assert json.loads(kept["classes"]) == {"output": ["no", "yes"]}
    again = Features.from_config(json.loads(kept["features"])["config"])
    assert all(np.array_equal(a, model.features.inputs(table)[name]) for name, a in again.inputs(table).items())


def test_a_model_of_pictures_takes_bytes(rng):
    pictures = Pictures(4, 5, "grey", "crop", ["cat", "dog"])
    model = picture_network(pictures, [6], "relu", 0.0, {"flip": "horizontal"})
    written = model.export("model.onnx")
    assert written.notes == ("It takes pictures as bytes from 0 to 255, (rows, 4, 5, 1).",)
    run = session(Path("model.onnx").read_bytes())
    x = rng.integers(0, 256, (20, 4, 5, 1)).astype(np.uint8)
    (found,) = run.run(None, {run.get_inputs()[0].name: x})
    assert np.allclose(found, model.predict(x, verbose=0), atol=1e-6)
    assert run.get_modelmeta().custom_metadata_map["classes"] == '{"dense_1": ["cat", "dog"]}'


# ------------------------------------------------------------------ the file


def small():
    return nacre.Sequential([nacre.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(2)])


def test_the_same_model_gives_the_same_bytes():
    model = small()
    model.export("a.onnx")
    model.save("model.safetensors")
    nacre.models.load_model("model.safetensors").export("b.onnx")
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


def test_versions_are_those_that_readers_of_some_years_know():
    small().export("model.onnx")
    file = onnx.load("model.onnx")
    assert (file.ir_version, file.opset_import[0].version) == (8, 17)
    assert (file.producer_name, file.producer_version) == ("nacre", nacre.__version__)
    assert {one.key: one.value for one in file.metadata_props} == {"nacre": nacre.__version__}


def test_names_of_any_kind_stay_apart_and_run(rng):
    x, y = nacre.Input((3,), name='a"b{}'), nacre.Input((3,), name="<script>")
    one, two = layers.Dense(4, "relu", name="Gemm_1")(x), layers.Dense(4, name="constant_1")(y)
    outputs = {
        "Gemm_1": one,
        'a"b\n': layers.Add()([one, two]),
        "": one,
        "\ud800\0": two,
        "<script>": x,
        "Add_1": one * 2 + 1,
    }
    model = nacre.Model([x, y], outputs, name="\ud800")
    run = agrees(model, rng)
    names = [one.name for one in (*run.get_inputs(), *run.get_outputs())]
    assert len(set(names)) == 8
    assert names[:3] == ['a"b{}', "<script>", "Gemm_1"]
    assert "<script>_2" in names


def test_a_file_that_computes_something_else_is_not_written(monkeypatch):
    monkeypatch.setitem(OPERATORS, "tanh", lambda w, value: w("Sigmoid", w.of(value.operands[0])))
    with pytest.raises(ModelFileError, match="in ONNX is not the model's"):
        small().export("model.onnx")
    assert list(Path().iterdir()) == []


def test_a_file_that_gives_nan_is_not_written(monkeypatch):
    monkeypatch.setitem(
        OPERATORS, "tanh", lambda w, value: w("Log", w("Sub", w.of(value.operands[0]), w.constant(1e9, "f4")))
    )
    with pytest.raises(ModelFileError, match=r"difference: *nan"):
        small().export("model.onnx")


def test_without_onnxruntime_the_file_is_written_and_says_that_it_was_not_run(monkeypatch):
    model = small()
    model.export("checked.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    written = model.export("model.onnx")
    assert (written.rows, written.difference) == (0, None)
    assert written.notes == ("It was not run: onnxruntime is not installed.",)
    assert Path("model.onnx").read_bytes() == Path("checked.onnx").read_bytes()


def test_what_is_too_large_is_refused_before_anything_is_made():
    model = nacre.Sequential([nacre.Input((30_000,)), layers.Dense(30_000)])
    with pytest.raises(Limitation, match="holds 2 GB, and the weights take 3,600,120,000 bytes"):
        model.export("model.onnx")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x - nacre.ops.mean(x, axis=0, keepdims=True),
        lambda x: x * nacre.ops.cast(nacre.ops.arange(x.shape[0]), "float32")[:, None],
        lambda x: nacre.ops.concatenate([x, nacre.ops.ones((1, 3))], axis=0)[1:],
        lambda x: x - nacre.ops.exp(x) if x.shape[0] % 4 == 1 else nacre.ops.exp(x) - x,
        lambda x: nacre.ops.concatenate([x[1:], x[: x.shape[0] - 1], x[:1]], axis=0)[: x.shape[0]],
    ],
)
def test_what_depends_on_the_number_of_rows_is_refused(function):
    x = nacre.Input((3,))
    with pytest.raises(Limitation, match="how many rows there are"):
        nacre.Model(x, layers.Lambda(function)(x)).export("model.onnx")
    assert not Path("model.onnx").exists()


def test_a_layer_that_draws_numbers_when_it_predicts_is_refused():
    x = nacre.Input((3,))
    model = nacre.Model(x, layers.Dropout(0.5)(x, training=True))
    with pytest.raises(Limitation, match="draws random numbers"):
        model.export("model.onnx")
