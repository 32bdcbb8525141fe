"""Every layer, activation and loss, found through the registries, has right gradients and survives its own description."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest
from differences import check_gradients

from nacre import activations, losses
from nacre.autodiff import gradients
from nacre.backends.reference import evaluate
from nacre.configured import serialize
from nacre.ir import Graph, Input, TensorType
from nacre.layers import LAYERS, TABLE, Dense, StringLookup
from nacre.ops import SEED, STEP

# How each layer is made for the tests, and the shape of what comes in, or their shapes. A layer that is missing here fails.
MAKERS = {
    "Activation": ({"activation": "tanh"}, (3, 4)),
    "ActivityRegularization": ({"l1": 0.1}, (3, 4)),
    "Add": ({}, [(3, 4), (3, 4), (3, 1)]),
    "AlphaDropout": ({"rate": 0.5}, (3, 40)),
    "Average": ({}, [(3, 4), (3, 4), (3, 4)]),
    "BatchNormalization": ({"axis": 1}, (3, 4, 2)),
    "CategoryEncoding": ({"num_tokens": 4, "output_mode": "count"}, (3, 4)),
    "Concatenate": ({"axis": 1}, [(3, 4, 2), (3, 1, 2)]),
    "Dense": ({"units": 5, "activation": "sigmoid", "bias_initializer": "ones"}, (3, 4)),
    "Discretization": ({"bin_boundaries": [-0.1, 0.6], "output_mode": "count"}, (3, 4)),
    "Dot": ({"axes": -1, "normalize": True}, [(3, 4), (3, 4)]),
    "Dropout": ({"rate": 0.5}, (3, 40)),
    "ELU": ({"alpha": 0.7}, (3, 4)),
    "Embedding": ({"input_dim": 5, "output_dim": 2}, (3, 4)),
    "Flatten": ({}, (3, 4, 2)),
    "GaussianDropout": ({"rate": 0.5}, (3, 4)),
    "Augmentation": ({"flip": "horizontal", "shift": 0.2, "rotate": 0.1, "zoom": 0.2, "cutout": 0.3}, (3, 5, 4, 2)),
    "Lambda": ({"function": "exp"}, (3, 4)),
    "GaussianNoise": ({"stddev": 0.5}, (3, 4)),
    "Identity": ({}, (3, 4)),
    "InputLayer": ({"shape": (4,)}, (3, 4)),
    "IntegerLookup": ({"vocabulary": [3, 0, 2], "mask_token": 5, "output_mode": "count"}, (3, 4)),
    "LayerNormalization": ({"axis": [1, 2]}, (3, 4, 2)),
    "LeakyReLU": ({"negative_slope": 0.1}, (3, 4)),
    "Maximum": ({}, [(3, 4), (3, 4)]),
    "Minimum": ({}, [(3, 4), (3, 4)]),
    "Multiply": ({}, [(3, 4), (3, 4)]),
    "Normalization": ({"axis": [1]}, (3, 4, 2)),
    "Operation": (
        {"function": "maximum", "arguments": {"x1": {"input": 0}, "x2": {"input": 1}}},
        [(3, 4), (3, 4)],
    ),
    "PReLU": ({"shared_axes": [1], "alpha_initializer": "ones"}, (3, 4, 2)),
    "Permute": ({"dims": (2, 1)}, (3, 4, 2)),
    "RMSNormalization": ({}, (3, 4)),
    "ReLU": ({"max_value": 1.5, "negative_slope": 0.1, "threshold": 0.2}, (3, 4)),
    "RepeatVector": ({"n": 3}, (3, 4)),
    "Rescaling": ({"scale": 0.5, "offset": 1.0}, (3, 4)),
    "Reshape": ({"target_shape": (2, -1)}, (3, 4)),
    "Residual": ({"block": [Dense(6, "tanh", dtype="float64"), Dense(4, dtype="float64")]}, (3, 4)),
    "Softmax": ({"axis": 1}, (3, 4, 2)),
    "Subtract": ({}, [(3, 4), (3, 4)]),
    "StringLookup": ({"vocabulary": ["a", "b"], "mask_token": ""}, ()),
    "UnitNormalization": ({}, (3, 4)),
}
WHOLE = {"CategoryEncoding": 4, "Embedding": 5, "IntegerLookup": 6}  # layers of whole numbers, and how many there are
IN_GRAPHS = [cls for cls in LAYERS if cls is not StringLookup]  # no graph holds words


def _applied(cls, training):
    arguments, shape = MAKERS[cls.__name__]
    layer = cls(dtype="float64", **copy.deepcopy(arguments))
    type_ = "int32" if cls.__name__ in WHOLE else "float64"
    xs = [Input(f"x{n}", TensorType(s, type_)) for n, s in enumerate(shape if layer.several else [shape])]
    y = layer(xs if layer.several else xs[0], training=training)
    inputs = [*xs, *layer.weights, SEED, STEP]
    draw = np.random.default_rng(1)
    arrays = {i.name: draw.standard_normal(i.shape) for i in inputs[:-2]} | {"seed": np.uint32(3), "step": np.uint32(5)}
    arrays |= {name: np.abs(array) for name, array in arrays.items() if name.endswith("variance")}
    if cls.__name__ in WHOLE:
        arrays["x0"] = draw.integers(0, WHOLE[cls.__name__], shape)
    return layer, inputs, arrays, y


@pytest.mark.parametrize("training", [False, True], ids=["asked", "trained"])
@pytest.mark.parametrize("cls", IN_GRAPHS, ids=lambda c: c.__name__)
def test_gradients_of_a_layer_match_central_differences(cls, training):
    _, inputs, arrays, y = _applied(cls, training)
    check_gradients(inputs, arrays, y)


@pytest.mark.parametrize("cls", LAYERS, ids=lambda c: c.__name__)
def test_a_layer_made_from_its_description_is_the_same_layer(cls):
    layer = cls(name="one of them", **copy.deepcopy(MAKERS[cls.__name__][0]))
    described = serialize(layer)
    again = TABLE[described["class_name"]].from_config(described["config"])
    assert serialize(again) == described
    assert again.name == "one of them"


@pytest.mark.parametrize("cls", LAYERS, ids=lambda c: c.__name__)
def test_a_layer_refuses_an_argument_it_does_not_have(cls):
    with pytest.raises(ValueError, match="has no argument 'colour'"):
        cls(**copy.deepcopy(MAKERS[cls.__name__][0]), colour="red")


@pytest.mark.parametrize("cls", IN_GRAPHS, ids=lambda c: c.__name__)
def test_rows_of_a_batch_do_not_see_one_another(cls):
    layer, inputs, arrays, y = _applied(cls, training=False)
    together = evaluate(Graph(inputs, {"y": y}), arrays)["y"]
    ones = [Input(x.name, TensorType((1, *x.shape[1:]), x.dtype)) for x in inputs if x.name in ("x0", "x1", "x2")]
    alone = Graph([*ones, *inputs[len(ones) :]], {"y": layer(ones if layer.several else ones[0])})
    for row in range(len(together)):
        found = evaluate(alone, arrays | {x.name: arrays[x.name][row : row + 1] for x in ones})["y"]
        assert np.allclose(found[0], together[row], rtol=1e-14)


NAMES = [n for n in activations.__all__ if n not in ("get", "step")]


NEEDED = {"threshold": {"threshold": 0.3, "default_value": 2.0}}  # arguments without a default


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_an_activation_match_central_differences(name):
    x = Input("x", TensorType((3, 6), "float64"))
    arrays = {"x": np.random.default_rng(2).standard_normal((3, 6)) * 3}
    check_gradients([x], arrays, getattr(activations, name)(x, **NEEDED.get(name, {})))


def test_the_step_has_no_gradient():
    x = Input("x", TensorType((4,), "float64"))
    graph = Graph([x], {"y": activations.step(x)})
    assert evaluate(graph, {"x": np.array([-1.0, 0.0, 1e-300, 2.0])})["y"].tolist() == [0, 0, 1, 1]


LOSSES = [
    c
    for c in vars(losses).values()
    if inspect.isclass(c) and issubclass(c, losses.Loss) and c.__name__ in losses.__all__ and c is not losses.Loss
]


def _targets(loss, shape, rng):
    if loss.targets == "labels":
        return TensorType(shape[:-1], "int32"), rng.integers(0, shape[-1], shape[:-1]).astype("int32")
    one_hot = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    shares = 0.9 * one_hot + 0.1 / shape[-1]  # at 0 and 1, a divergence has a kink
    return TensorType(shape, "float64"), shares if loss.targets == "probabilities" else rng.standard_normal(shape)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum"])
@pytest.mark.parametrize("end", ["scores", "probabilities", "softmax", "sigmoid"])
@pytest.mark.parametrize("cls", LOSSES, ids=lambda c: c.__name__)
def test_gradients_of_a_loss_match_central_differences(cls, end, reduction, rng):
    takes_logits = "from_logits" in cls.config_names()
    loss = cls(from_logits=True, reduction=reduction) if end == "scores" and takes_logits else cls(reduction=reduction)
    type_, target = _targets(loss, (4, 3), rng)
    y, x = Input("y", type_), Input("x", TensorType((4, 3), "float64"))
    output = x if end in ("scores", "probabilities") else getattr(activations, end)(x)
    numbers = (
        rng.uniform(0.1, 0.9, (4, 3))
        if end == "probabilities" or (end == "scores" and not takes_logits)
        else rng.standard_normal((4, 3))
    )
    check_gradients([x, y], {"x": numbers, "y": target}, loss(y, output))


@pytest.mark.parametrize("scores", [[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4]])
@pytest.mark.parametrize("cls", [c for c in LOSSES if "from_logits" in c.config_names()], ids=lambda c: c.__name__)
def test_a_crossentropy_behind_its_activation_is_finite_for_scores_of_ten_thousand(cls, scores):
    x = Input("x", TensorType((1, 3)))
    y = Input("y", TensorType((1,), "int32") if cls.targets == "labels" else TensorType((1, 3)))
    binary = cls.__name__.startswith("Binary")
    end = activations.sigmoid if binary else activations.softmax
    value = cls()(y, end(x))
    graph = Graph([x, y], {"loss": value, "dx": gradients(value, [x])[0]})
    target = np.array([1], "int32") if cls.targets == "labels" else np.array([[0.0, 1.0, 0.0]], "float32")
    found = evaluate(graph, {"x": np.array([scores], "float32"), "y": target})
    assert np.isfinite(found["loss"])
    assert np.isfinite(found["dx"]).all()
    if scores[0] == 1e4 and scores[1] == -1e4 and not binary:
        part = 0.25 if "Focal" in cls.__name__ else 1.0
        assert found["loss"] == 2e4 * part
        assert found["dx"].tolist() == [[part, -part, 0.0]]


def test_the_gradient_of_softmax_and_crossentropy_is_probability_minus_target():
    x, y = Input("x", TensorType((1, 3), "float64")), Input("y", TensorType((1,), "int32"))
    loss = losses.SparseCategoricalCrossentropy()(y, activations.softmax(x))
    graph = Graph([x, y], {"loss": loss, "dx": gradients(loss, [x])[0]})
    found = evaluate(graph, {"x": np.log([[0.2, 0.7, 0.1]]), "y": np.array([0])})
    assert round(float(found["loss"]), 4) == 1.6094
    assert np.allclose(found["dx"], [[-0.8, 0.7, 0.1]], rtol=1e-12)
