"""Does a layer answer, lead back and keep what it does in Keras? Frozen by `make_layers.py`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, layers
from nacre.autodiff import gradients
from nacre.backends import native, reference
from nacre.backends.base import Block, Program, State
from nacre.ir import Graph, TensorType
from nacre.ir import Input as GraphInput
from nacre.layers.layer import Record
from nacre.models import load_model
from nacre.optimizers import SGD

Array = npt.NDArray[Any]

KERAS = json.loads(Path(__file__).with_name("layers.json").read_text(encoding="utf-8"))
LOWERINGS = [native, reference]
IDS = ["native", "reference"]

# Why a layer of Keras is not there.
LEFT_OUT = {
    "there are no convolutions": "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose Convolution1D "
    "Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose DepthwiseConv1D "
    "DepthwiseConv2D SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D",
    "it goes with convolutions": "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
    "AdaptiveMaxPooling2D AdaptiveMaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D "
    "Cropping1D Cropping2D Cropping3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D "
    "GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D "
    "GlobalMaxPooling3D GroupNormalization MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D SpatialDropout1D "
    "SpatialDropout2D SpatialDropout3D UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D",
    "nothing goes through time": "Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU GRUCell LSTM LSTMCell Masking RNN SimpleRNN "
    "SimpleRNNCell StackedRNNCells TimeDistributed",
    "there is no attention": "AdditiveAttention Attention EinsumDense GroupQueryAttention MultiHeadAttention ReversibleEmbedding",
    "images are prepared before they come": "AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix "
    "Equalization MaxNumBoundingBoxes MixUp Pipeline RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter "
    "RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue "
    "RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear "
    "RandomTranslation RandomZoom Resizing Solarization",
    "sound and text are prepared before they come": "MelSpectrogram STFTSpectrogram TextVectorization",
    "it holds what belongs to another framework": "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    "its numbers are those of a hash of TensorFlow's": "HashedCrossing Hashing",
    "a class of one's own, derived from Layer, does it": "Wrapper",
    "it needs singular values": "SpectralNormalization",
    "a layer says in `check_input` what it takes": "InputSpec",
    "nacre.configured does it": "deserialize serialize",
}
NOT_COMPARED = {
    **dict.fromkeys(["Add", "Average", "Concatenate", "Dot", "Maximum"], "with functional models"),
    **dict.fromkeys(["Minimum", "Multiply", "Subtract"], "with functional models"),
    "Symbol": "is no layer",
    **dict.fromkeys(
        ["add", "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract"],
        "calls the layer of its name",
    ),
    "Activation": "with the activations",
    "ELU": "with the activations",
    "LeakyReLU": "with the activations",
    "PReLU": "with the activations",
    "ReLU": "with the activations",
    "Softmax": "with the activations",
    "Dense": "with all that Keras trains",
    "Flatten": "with all that Keras trains",
    "Rescaling": "with all that Keras trains",
    "Input": "has nothing to answer",
    "InputLayer": "has nothing to answer",
    "Layer": "is what the others are made from",
    "Parameter": "is no layer",
    "Lambda": "gives what its function gives",
    "Operation": "what ops called on symbols make; in Keras a class that users do not meet",
    "Augmentation": "nacre's own",
    "Residual": "nacre's own",
    "IntegerLookup": "needs TensorFlow; compared with what its documentation says",
    "StringLookup": "needs TensorFlow; compared with what its documentation says",
}


def near(found: Any, expected: Any) -> None:
    wanted = np.array(expected, "float64")
    assert np.shape(found) == wanted.shape
    np.testing.assert_allclose(np.asarray(found, "float64"), wanted, rtol=1e-5, atol=1e-6)


def named(case: dict[str, Any]) -> str:
    return "-".join([case["class"], *(f"{k}={v}" for k, v in case["config"].items())]).replace(" ", "")


def chain(case: dict[str, Any]) -> str:
    return "-".join("".join([name, *(f",{k}={v}" for k, v in config.items())]) for name, config in case["layers"])


def run(lowering: Any, inputs: dict[GraphInput, Any], outputs: dict[str, Any]) -> dict[str, Array]:
    """The outputs of a graph whose inputs are all state."""
    names = tuple(i.name for i in inputs)
    program = Program({1: Graph(inputs, outputs)}, names, (), (), tuple(outputs))
    state = State()
    state.add({i.name: i.type for i in inputs})
    for i, array in inputs.items():
        state[i.name].write(np.asarray(array, i.dtype))
    return dict(lowering.compile(program).run(state, Block([]), np.zeros(1, dtype=np.int64), {}))


def test_every_name_of_keras_is_there_or_left_out_for_a_reason() -> None:
    left_out = [name for names in LEFT_OUT.values() for name in names.split()]
    assert sorted(set(KERAS["names"]) - set(layers.__all__)) == sorted(left_out)
    assert {case["class"] for case in KERAS["layers"] + KERAS["prepared"]} == set(layers.__all__) - set(NOT_COMPARED)


@pytest.mark.parametrize("lowering", LOWERINGS, ids=IDS)
@pytest.mark.parametrize("training", [False, True], ids=["prediction", "training"])
@pytest.mark.parametrize("case", KERAS["layers"], ids=named)
def test_a_layer_answers_leads_back_and_keeps_what_it_does_in_keras(
    case: dict[str, Any], training: bool, lowering: Any
) -> None:
    wanted = case["training" if training else "prediction"]
    layer = getattr(layers, case["class"])(**case["config"])
    x = GraphInput("x", TensorType(np.shape(case["x"]), "int32" if wanted["dx"] is None else "float32"))
    record = Record()
    y = layer(x, training, record)
    assert [w.name for w in layer.weights] == case["names"]
    seed = GraphInput("seed of y", y.type)
    inputs = {x: case["x"], seed: wanted["weights"], **dict(zip(layer.weights, case["own"], strict=True))}
    trained = [w for w in layer.weights if w.trainable]
    leads = gradients(y, [x, *trained] if x.type.is_float else trained, seed=seed)
    kept = [record.updates.get(w, w) for w in layer.weights if not w.trainable]
    outputs = {"y": y, **{f"g{n}": g for n, g in enumerate(leads)}, **{f"k{n}": k for n, k in enumerate(kept)}}
    found = run(lowering, inputs, {name: value + 0.0 for name, value in outputs.items()})
    near(found["y"], wanted["y"])
    expected = wanted["dw"] if wanted["dx"] is None else [wanted["dx"], *wanted["dw"]]
    for n, gradient in enumerate(expected):
        near(found[f"g{n}"], gradient)
    for n, weight in enumerate(wanted["after"]):
        near(found[f"k{n}"], weight)
    assert len(wanted["after"]) == len(kept)


def _model(case: dict[str, Any], device: str) -> Sequential:
    model = Sequential([Input((6,)), *(getattr(layers, name)(**config) for name, config in case["layers"])])
    model.compile(SGD(0.1), "mse", device=device)
    model.set_weights([np.array(w) for w in case["own"]])
    return model


@pytest.mark.parametrize("device", IDS)
@pytest.mark.parametrize("case", KERAS["trained"], ids=chain)
def test_a_model_trains_to_the_weights_of_keras(case: dict[str, Any], device: str, tmp_path: Path) -> None:
    model = _model(case, device)
    x, y = np.array(case["x"], "float32"), np.array(case["y"], "float32")
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for weight, expected in zip(model.get_weights(), case["after"], strict=True):
        near(weight, expected)
    near(history.history["loss"], case["loss"])
    near(model.evaluate(x, y, verbose=0), case["evaluated"])
    near(model.predict(x[:3], verbose=0), case["predicted"])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    for weight, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        assert weight.tobytes() == expected.tobytes()
    assert again.predict(x, verbose=0).tobytes() == model.predict(x, verbose=0).tobytes()


def _prepared(case: dict[str, Any]) -> Any:
    layer = getattr(layers, case["class"])(**case["config"])
    if case["data"] is not None:
        layer.adapt([np.array(x) for x in case["data"]] if case["batches"] else np.array(case["data"]))
    return layer


@pytest.mark.parametrize("case", KERAS["prepared"], ids=named)
def test_what_prepares_numbers_learns_and_answers_what_it_does_in_keras(case: dict[str, Any]) -> None:
    layer = _prepared(case)
    near(layer(case["x"]), case["y"])
    learned = [w.numpy() for w in layer.weights] or getattr(layer, "bin_boundaries", None) or []
    assert len(learned) == len(case["learned"])
    for found, expected in zip(learned, case["learned"], strict=True):
        near(found, expected)


@pytest.mark.parametrize("device", IDS)
@pytest.mark.parametrize("case", [c for c in KERAS["prepared"] if np.ndim(c["x"]) > 1], ids=named)
def test_what_prepares_numbers_does_it_in_a_model_too(case: dict[str, Any], device: str, tmp_path: Path) -> None:
    x = np.array(case["x"])
    model = Sequential([Input(x.shape[1:]), _prepared(case)])
    model.compile("sgd", "mse", device=device)
    near(model.predict(x, verbose=0), case["y"])
    model.save(tmp_path / "model")
    near(load_model(tmp_path / "model").predict(x, verbose=0), case["y"])


@pytest.mark.parametrize("case", KERAS["defaults"], ids=lambda case: case["name"])
def test_arguments_that_nobody_gave_are_those_of_keras(case: dict[str, Any]) -> None:
    cls = getattr(layers, case["name"])
    config = cls(**case["given"]).get_config()
    for name, expected in case["config"].items():
        found = config.get(name)
        if name not in config:  # refused, unless it is what it is without
            assert expected in (None, False) or name == "renorm_momentum", name
            continue
        found = found["class_name"] if isinstance(found, dict) else list(found) if isinstance(found, tuple) else found
        assert found == expected, name
    order = [p for p in inspect.signature(cls).parameters if p in case["arguments"]]
    assert order == [p for p in case["arguments"] if p in order]


EDGES = np.array(
    [
        [0, 0, 0, 0],
        [88, -88, 1, 0],
        [1e4, -1e4, 1e4, 1],
        [1e4, 1e4, 1e4, 1e4],
        [1e30, -1e30, 0, 1],
        [1e-30, 0, 0, 1e-30],
    ]
)


EXACT = {
    layers.LayerNormalization: lambda x: (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3),
    layers.RMSNormalization: lambda x: x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-6),
    layers.UnitNormalization: lambda x: x / np.maximum(np.sqrt((x * x).sum(1, keepdims=True)), 1e-12),
}


@pytest.mark.parametrize("training", [False, True], ids=["prediction", "training"])
@pytest.mark.parametrize("lowering", LOWERINGS, ids=IDS)
@pytest.mark.parametrize(
    "cls", [layers.BatchNormalization, layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization]
)
def test_answers_and_gradients_are_finite_for_numbers_of_any_size(cls: Any, lowering: Any, training: bool) -> None:
    layer = cls()
    x = GraphInput("x", TensorType(EDGES.shape))
    y = layer(x, training)
    seed = GraphInput("seed of y", y.type)
    leads = {f"g{n}": g for n, g in enumerate(gradients(y, [x, *(w for w in layer.weights if w.trainable)], seed=seed))}
    inputs = {x: EDGES, seed: np.ones(EDGES.shape), **{w: w.numpy() for w in layer.weights}}
    found = run(lowering, inputs, {"y": y} | leads)
    for name, array in found.items():
        assert np.isfinite(array).all(), name
    if cls in EXACT:  # the others square a batch, and hold a variance, in float32
        np.testing.assert_allclose(found["y"], EXACT[cls](EDGES), rtol=2e-6, atol=1e-7)
