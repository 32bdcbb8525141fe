"""Writes layers.json: what the layers of Keras 3 answer in prediction and in training, and what they lead back and keep.

Run by hand, with a Python that has Keras and JAX, when nacre learns a new layer of Keras's:

    KERAS_BACKEND=jax python tests/golden/make_layers.py

Gradients are of the sum of the answers, each multiplied by a weight that is in the file, with respect to the input and to the
weights that are trained. Keras is asked in float64, for in float32 some of its answers lose their digits.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import keras
import numpy as np
from keras.src.layers.preprocessing import discretization, normalization

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")

# `adapt` asks whether data is one of TensorFlow's, which need not be there: it is none.
discretization.tf = normalization.tf = SimpleNamespace(
    data=SimpleNamespace(Dataset=type("NoDataset", (), {})), is_tensor=lambda x: False
)

RNG = np.random.default_rng(20240302)

# Name, arguments, shape of the input, and how many whole numbers the input is made of, if it is.
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...], int]] = [
    ("BatchNormalization", {}, (4, 3), 0),
    ("BatchNormalization", {"momentum": 0.5, "epsilon": 0.1, "center": False}, (4, 3), 0),
    ("BatchNormalization", {"scale": False, "moving_variance_initializer": "zeros"}, (4, 3), 0),
    ("BatchNormalization", {"axis": 1}, (3, 2, 4), 0),
    ("BatchNormalization", {"axis": -1}, (2, 2, 2, 3), 0),
    ("LayerNormalization", {}, (3, 5), 0),
    ("LayerNormalization", {"axis": 1, "epsilon": 0.2}, (2, 3, 2), 0),
    ("LayerNormalization", {"axis": [1, 2], "center": False}, (2, 3, 2), 0),
    ("LayerNormalization", {"axis": -2, "scale": False}, (2, 3, 2), 0),
    ("RMSNormalization", {}, (3, 5), 0),
    ("RMSNormalization", {"axis": [1, 2], "epsilon": 0.5}, (2, 3, 2), 0),
    ("UnitNormalization", {}, (3, 5), 0),
    ("UnitNormalization", {"axis": 1}, (2, 3, 2), 0),
    ("UnitNormalization", {"axis": [1, 2]}, (2, 3, 2), 0),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, (2, 3), 0),
    ("Reshape", {"target_shape": [3, 2]}, (2, 6), 0),
    ("Reshape", {"target_shape": [-1, 3]}, (2, 2, 3), 0),
    ("Permute", {"dims": [2, 1]}, (2, 2, 3), 0),
    ("Permute", {"dims": [3, 1, 2]}, (1, 2, 3, 2), 0),
    ("RepeatVector", {"n": 3}, (2, 2), 0),
    ("Identity", {}, (2, 2), 0),
    ("Embedding", {"input_dim": 5, "output_dim": 2}, (3, 4), 5),
    ("Embedding", {"input_dim": 3, "output_dim": 4}, (6,), 3),
    ("GaussianNoise", {"stddev": 0.0}, (2, 3), 0),
    ("GaussianDropout", {"rate": 0.0}, (2, 3), 0),
    ("AlphaDropout", {"rate": 0.0, "noise_shape": [None, 1]}, (2, 3), 0),
    ("Dropout", {"rate": 0.0, "noise_shape": [None, 1]}, (2, 3), 0),
]

# Names with arguments, and the number of features before them: trained for a few steps, on batches of 8 and one of 4.
TRAINED: list[list[tuple[str, dict[str, Any]]]] = [
    [("Dense", {"units": 4}), ("BatchNormalization", {}), ("ReLU", {}), ("Dense", {"units": 2})],
    [("BatchNormalization", {"momentum": 0.8, "scale": False, "center": False}), ("Dense", {"units": 2})],
    [("BatchNormalization", {"gamma_regularizer": "l2", "beta_constraint": "non_neg"}), ("Dense", {"units": 2})],
    [("BatchNormalization", {"trainable": False}), ("Dense", {"units": 2})],
    [("Dense", {"units": 4, "activation": "tanh"}), ("LayerNormalization", {}), ("Dense", {"units": 2})],
    [
        ("Dense", {"units": 4}),
        ("RMSNormalization", {}),
        ("ActivityRegularization", {"l2": 0.1}),
        ("Dense", {"units": 2}),
    ],
    [("Reshape", {"target_shape": [3, 2]}), ("Permute", {"dims": [2, 1]}), ("Flatten", {}), ("Dense", {"units": 2})],
]


def short(x: Any) -> Any:
    """Nested lists of numbers with the digits that float32 keeps."""
    return [short(v) for v in x] if isinstance(x, list) else float(str(np.float32(x)))


def plain(x: Any) -> Any:
    return short(np.asarray(x, "float64").tolist())


def weights_of(layer: Any) -> list[np.ndarray]:
    """Numbers for weights; those of a variance are not negative."""
    return [
        np.abs(w) if variable.path.endswith("variance") else w
        for variable in layer.weights
        for w in [RNG.standard_normal(variable.shape).round(3)]
    ]


def case(name: str, config: dict[str, Any], shape: tuple[int, ...], whole: int) -> dict[str, Any]:
    keras.utils.clear_session()
    layer = getattr(keras.layers, name)(**config)
    x = RNG.integers(0, whole, shape) if whole else RNG.standard_normal(shape).round(3)
    layer.build(shape)
    own = weights_of(layer)
    layer.set_weights(own)
    trained = [np.asarray(w) for w in layer.trainable_variables]
    fixed = [np.asarray(w) for w in layer.non_trainable_variables]
    found: dict[str, Any] = {"class": name, "config": config, "x": x.tolist(), "names": [w.path for w in layer.weights]}
    found |= {"own": [plain(w) for w in own]}
    for training in (False, True):

        def answer(x: Any, trained: Any, training: bool = training) -> Any:
            return layer.stateless_call(
                trained, fixed, x, **({"training": training} if layer._call_has_training_arg else {})
            )

        if whole:
            y, back, after = jax.vjp(lambda own: answer(jax.numpy.asarray(x), own), trained, has_aux=True)
        else:
            y, back, after = jax.vjp(answer, jax.numpy.asarray(x), trained, has_aux=True)
        weights = RNG.integers(1, 4, y.shape) / 2
        led = back(jax.numpy.asarray(weights, y.dtype))
        found["training" if training else "prediction"] = {
            "y": plain(y),
            "weights": plain(weights),
            "dx": None if whole else plain(led[0]),
            "dw": [plain(g) for g in led[-1]],
            "after": [plain(w) for w in after],
        }
    return found


def training(parts: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    keras.utils.clear_session()
    made = [getattr(keras.layers, name)(**config) for name, config in parts]
    model = keras.Sequential([keras.Input((6,)), *made])
    own = weights_of(model)
    model.set_weights(own)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = RNG.standard_normal((20, 6)).round(3), RNG.standard_normal((20, 2)).round(3)
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return {
        "layers": parts,
        "x": plain(x),
        "y": plain(y),
        "own": [plain(w) for w in own],
        "after": [plain(w) for w in model.get_weights()],
        "loss": plain(history.history["loss"]),
        "evaluated": plain(model.evaluate(x, y, verbose=0)),
        "predicted": plain(model.predict(x[:3], verbose=0)),
    }


# Name, arguments, what it is adapted to (an array or batches), and what it is asked.
PREPARED: list[tuple[str, dict[str, Any], Any, Any]] = [
    ("Normalization", {"mean": 3.0, "variance": 2.0}, None, [[1.0, 2.0], [3.0, -4.0]]),
    ("Normalization", {"mean": [3.0, 1.0], "variance": [2.0, 0.0], "invert": True}, None, [[1.0, 2.0], [3.0, -4.0]]),
    ("Normalization", {"axis": [1, 2], "mean": [1.0, 2.0], "variance": [4.0, 0.5]}, None, (2, 3, 2)),
    ("Normalization", {"axis": [1, 2], "mean": [[1.0], [2.0]], "variance": [[4.0], [0.5]]}, None, (3, 2, 3)),
    ("Normalization", {}, (7, 3), (2, 3)),
    ("Normalization", {"invert": True}, (7, 3), (2, 3)),
    ("Normalization", {"axis": None}, (7, 3), (2, 3)),
    ("Normalization", {"axis": 1}, (4, 3, 2), (2, 3, 2)),
    ("Normalization", {"axis": [1, 2]}, (4, 3, 2), (2, 3, 2)),
    ("Normalization", {}, [(5, 3), (2, 3), (4, 3)], (2, 3)),
    ("Discretization", {"bin_boundaries": [0.0, 1.0, 2.0]}, None, [[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 2.0]]),
    *(
        ("Discretization", {"bin_boundaries": [-0.5, 0.5], "output_mode": mode}, None, shape)
        for mode, shape in [
            ("one_hot", (3, 2)),
            ("one_hot", (3, 1)),
            ("one_hot", (4,)),
            ("multi_hot", (3, 4)),
            ("count", (3, 4)),
        ]
    ),
    ("Discretization", {"num_bins": 4}, (40, 5), (4, 5)),
    ("Discretization", {"num_bins": 4, "epsilon": 0.2}, (40, 5), (4, 5)),
    ("Discretization", {"num_bins": 7, "epsilon": 0.05, "output_mode": "count"}, [(50,), (30,), (80,)], (4, 5)),
    ("Discretization", {"num_bins": 3}, (2,), (4, 5)),
    ("Discretization", {"num_bins": 1}, (9,), (2, 2)),
    *(
        ("CategoryEncoding", {"num_tokens": 4, "output_mode": mode}, None, asked)
        for mode, asked in [
            ("multi_hot", [[0, 1], [0, 0], [1, 2], [3, 1]]),
            ("count", [[0, 1], [0, 0], [1, 2], [3, 1]]),
            ("one_hot", [3, 2, 0, 1]),
            ("one_hot", [[3], [2]]),
            ("one_hot", [[3, 1], [2, 2]]),
        ]
    ),
]


def drawn(shape: Any) -> Any:
    """Numbers of a shape; numbers that are given, as they are."""
    return RNG.standard_normal(shape).round(3) * 2 if isinstance(shape, tuple) else np.array(shape)


def prepared(name: str, config: dict[str, Any], data: Any, asked: Any) -> dict[str, Any]:
    keras.utils.clear_session()
    layer = getattr(keras.layers, name)(**config)
    found: dict[str, Any] = {"class": name, "config": config, "data": None}
    if data is not None:
        given = [drawn(shape) for shape in data] if isinstance(data, list) else drawn(data)
        found |= {"data": [x.tolist() for x in given] if isinstance(data, list) else given.tolist()}
        layer.adapt(given)
    x = drawn(asked)
    found |= {"batches": isinstance(data, list), "x": x.tolist(), "y": plain(layer(x))}
    learned = getattr(layer, "bin_boundaries", None) or [plain(w) for w in layer.weights[:2]]
    return found | {"learned": plain(learned) if name == "Discretization" else learned}


def defaults(name: str, config: dict[str, Any]) -> dict[str, Any]:
    found = getattr(keras.layers, name)(**config).get_config()
    return {k: v["class_name"] if isinstance(v, dict) else v for k, v in found.items() if k not in ("name", "dtype")}


def arguments(name: str) -> list[str]:
    """Those of the constructor, in order."""
    return [p for p in inspect.signature(getattr(keras.layers, name)).parameters if p not in ("args", "kwargs")]


def main() -> None:
    needed: dict[str, dict[str, Any]] = {name: {} for name, *_ in LAYERS} | {
        "AlphaDropout": {"rate": 0.5},
        "CategoryEncoding": {"num_tokens": 3},
        "Discretization": {"num_bins": 3},
        "Dropout": {"rate": 0.5},
        "Embedding": {"input_dim": 5, "output_dim": 2},
        "GaussianDropout": {"rate": 0.5},
        "GaussianNoise": {"stddev": 0.5},
        "Normalization": {"axis": [1]},
        "Permute": {"dims": [2, 1]},
        "RepeatVector": {"n": 2},
        "Reshape": {"target_shape": [2, 1]},
    }
    content = {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "names": sorted(n for n in dir(keras.layers) if not n.startswith("_")),
        "layers": [case(*one) for one in LAYERS],
        "trained": [training(parts) for parts in TRAINED],
        "prepared": [prepared(*one) for one in PREPARED],
        "defaults": [
            {"name": n, "given": c, "config": defaults(n, c), "arguments": arguments(n)} for n, c in needed.items()
        ],
    }
    lists = ",\n".join(
        f" {json.dumps(k)}: {_lines(v) if isinstance(v, list) else json.dumps(v)}" for k, v in content.items()
    )
    Path(__file__).with_name("layers.json").write_text("{\n" + lists + "\n}\n", encoding="utf-8")


def _lines(entries: list[Any]) -> str:
    """One entry a line, so that a difference can be read."""
    if all(isinstance(e, str) for e in entries):
        return json.dumps(entries)
    return "[\n" + ",\n".join("  " + json.dumps(e) for e in entries) + "\n ]"


if __name__ == "__main__":
    main()
