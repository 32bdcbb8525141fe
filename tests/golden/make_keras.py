"""Writes keras.json: what Keras 3 answers, for `test_keras.py` to compare nacre with.

Run by hand, with a Python that has Keras and one of its backends, when nacre learns a new name of Keras's:

    KERAS_BACKEND=jax python tests/golden/make_keras.py

nacre itself is not needed and not imported. The file records the versions it came from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

RNG = np.random.default_rng(20240229)
STEPS_KEPT = (1, 2, 5, 10, 20)


def plain(x: Any) -> Any:
    """Arrays and tensors as nested lists; float32 numbers with the nine digits that give them back exactly."""
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, tuple | list):
        return [plain(v) for v in x]
    if isinstance(x, bool | int | str | float) or x is None:
        return x
    array = np.asarray(x)
    if array.dtype.kind == "f":
        return json.loads(json.dumps(array.tolist()), parse_float=lambda s: float(f"{float(s):.9g}"))
    return array.tolist()


def numbers(*shape: int, scale: float = 1.0) -> np.ndarray:
    """Normal numbers with three decimals, which are short to write down."""
    return (RNG.standard_normal(shape) * scale).round(3).astype("float32")


def probabilities(*shape: int) -> np.ndarray:
    """Rows that sum to one."""
    powers = np.exp(RNG.standard_normal(shape))
    return (powers / powers.sum(-1, keepdims=True)).astype("float32")


# ------------------------------------------------------------------ activations and layers


def activations() -> dict[str, Any]:
    tiny, huge = 1e-30, 3e38
    grid = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-8, -1e-8, tiny, -tiny, 3.0, -3.0, 9.1, -9.1, 20.0, -20.0]
    grid += [88.0, -88.0, 104.0, -104.0, 1e4, -1e4, 1e30, -1e30, huge, -huge]
    line = np.array([grid + numbers(14, scale=3).tolist()], "float32")
    rows = np.array(
        [
            [0, 0, 0],
            [0, -0.0, 1],
            [1e4, -1e4, 0],
            [1e4, 1e4, 1e4],
            [-1e4, -1e4, -1e4],
            [88, 89, 90],
            [1e30, 0, -1e30],
            [1, 2, 3],
        ],
        "float32",
    )
    cases = {name: [line] for name in ("linear", "relu", "sigmoid", "tanh")}
    cases["softmax"] = [rows, numbers(6, 7, scale=4), numbers(3, 1), numbers(2, 3, 4)]
    return {name: [{"x": x, "y": keras.activations.get(name)(x)} for x in xs] for name, xs in cases.items()}


def layers() -> list[dict[str, Any]]:
    cases: list[tuple[str, dict[str, Any], np.ndarray]] = [
        ("Dense", {"units": 4}, numbers(5, 3)),
        ("Dense", {"units": 4, "use_bias": False}, numbers(5, 3)),
        ("Dense", {"units": 1, "activation": "sigmoid"}, numbers(4, 7)),
        ("Dense", {"units": 6, "activation": "softmax"}, numbers(4, 7)),
        ("Dense", {"units": 3, "activation": "tanh"}, numbers(2, 4, 5)),
        ("Dense", {"units": 33, "activation": "relu"}, numbers(3, 17)),
        ("Activation", {"activation": "relu"}, numbers(3, 4)),
        ("Activation", {"activation": "softmax"}, numbers(3, 2, 4)),
        ("Flatten", {}, numbers(2, 3, 4)),
        ("Flatten", {}, numbers(2, 5)),
        ("Flatten", {}, numbers(2, 2, 3, 2)),
        ("Rescaling", {"scale": 1 / 255}, RNG.integers(0, 256, (3, 5), dtype=np.uint8)),
        ("Rescaling", {"scale": 1 / 127.5, "offset": -1}, RNG.integers(0, 256, (2, 3, 2), dtype=np.uint8)),
        ("Rescaling", {"scale": 2.0, "offset": 0.5}, numbers(3, 2)),
        ("Dropout", {"rate": 0.5}, numbers(4, 5)),
    ]
    return [layer(*case) for case in cases]


def layer(name: str, config: dict[str, Any], x: np.ndarray) -> dict[str, Any]:
    keras.utils.clear_session()
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=str(x.dtype)), getattr(keras.layers, name)(**config)])
    weights = [numbers(*w.shape) for w in model.weights]
    model.set_weights(weights)
    return {
        "class": name,
        "config": config,
        "x": x,
        "dtype": str(x.dtype),
        "weights": weights,
        "names": ["/".join(w.path.split("/")[-2:]) for w in model.weights],
        "y": model.predict(x, verbose=0),
    }


def architecture() -> list[dict[str, Any]]:
    """Names and shapes of the weights of a deeper model."""
    keras.utils.clear_session()
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((2, 3)), keras.layers.Flatten(), dense(5), dense(4, use_bias=False), dense(3)]
    )
    return [{"name": "/".join(w.path.split("/")[-2:]), "shape": list(w.shape)} for w in model.weights]


# ------------------------------------------------------------------ losses


def losses() -> list[dict[str, Any]]:
    edge = np.array([[0, 1, 0], [1, 0, 0], [0.5, 0.5, 0], [1, 1, 1], [0, 0, 1]], "float32")
    hot = np.eye(3, dtype="float32")[[0, 0, 2, 1, 2]]
    soft = probabilities(6, 4)
    cases: list[tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = []
    for name in ("MeanSquaredError", "MeanAbsoluteError"):
        cases += [
            (name, {}, numbers(5, 3), numbers(5, 3)),
            (name, {}, numbers(6), numbers(6, 1)),
            (name, {}, numbers(6, 1), numbers(6, 1)),
            (name, {}, numbers(3, 2, 4, scale=100), numbers(3, 2, 4, scale=100)),
            (name, {}, np.zeros((2, 2), "float32"), np.zeros((2, 2), "float32")),
        ]
    bits = RNG.integers(0, 2, (6, 4)).astype("float32")
    cases += [
        ("BinaryCrossentropy", {}, bits, (1 / (1 + np.exp(-numbers(6, 4)))).astype("float32")),
        ("BinaryCrossentropy", {}, bits[:, 0], probabilities(6, 4)[:, :1]),
        ("BinaryCrossentropy", {}, bits[:, :1], probabilities(6, 4)[:, :1]),
        ("BinaryCrossentropy", {}, hot, edge),
        ("BinaryCrossentropy", {}, soft, probabilities(6, 4)),
        ("BinaryCrossentropy", {"from_logits": True}, bits, numbers(6, 4, scale=4)),
        (
            "BinaryCrossentropy",
            {"from_logits": True},
            bits[:3, :2],
            np.array([[0, -0.0], [1e4, -1e4], [90, -90]], "float32"),
        ),
        ("CategoricalCrossentropy", {}, hot, probabilities(5, 3)),
        ("CategoricalCrossentropy", {}, soft, probabilities(6, 4)),
        ("CategoricalCrossentropy", {}, hot, edge),
        ("CategoricalCrossentropy", {}, hot, (probabilities(5, 3) * 3.7).astype("float32")),
        ("CategoricalCrossentropy", {"from_logits": True}, hot, numbers(5, 3, scale=4)),
        ("CategoricalCrossentropy", {"from_logits": True}, hot, numbers(5, 3, scale=3e3)),
        ("CategoricalCrossentropy", {"from_logits": True}, soft, numbers(6, 4)),
    ]
    labels = np.array([0, 2, 1, 2, 0], "int32")
    cases += [
        ("SparseCategoricalCrossentropy", {}, labels, probabilities(5, 3)),
        ("SparseCategoricalCrossentropy", {}, labels[:, None], probabilities(5, 3)),
        ("SparseCategoricalCrossentropy", {}, labels, edge),
        ("SparseCategoricalCrossentropy", {}, labels, (probabilities(5, 3) * 0.21).astype("float32")),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, labels, numbers(5, 3, scale=4)),
        ("SparseCategoricalCrossentropy", {"from_logits": True}, labels[:, None], numbers(5, 3, scale=3e3)),
    ]
    return [loss(*case) for case in cases]


def loss(name: str, config: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    make = getattr(keras.losses, name)
    answers = {r: make(**config, reduction=r)(y_true, y_pred) for r in ("sum_over_batch_size", "sum")}
    function = make().name
    # The functions, unlike the objects, do not bring (n,) and (n, 1) together for us.
    target = y_true[:, None] if y_true.ndim + 1 == y_pred.ndim and y_pred.shape[-1] == 1 else y_true
    values = getattr(keras.losses, function)(target, y_pred, **config)
    return {
        "class": name,
        "function": function,
        "config": config,
        "y_true": y_true,
        "target_dtype": str(y_true.dtype),
        "y_pred": y_pred,
        "values": values,
        "reduced": answers,
    }


# ------------------------------------------------------------------ metrics


def metrics() -> list[dict[str, Any]]:
    bits, chances = RNG.integers(0, 2, (12, 1)).astype("float32"), probabilities(12, 2)[:, :1]
    chances[3] = 0.5
    many, shares = RNG.integers(0, 2, (9, 3)).astype("float32"), RNG.random((9, 3)).round(2).astype("float32")
    labels, scores = RNG.integers(0, 4, 13).astype("int32"), probabilities(13, 4)
    scores[5] = 0.25
    hot = np.eye(4, dtype="float32")[labels]
    cases = [
        ("BinaryAccuracy", {}, bits, chances),
        ("BinaryAccuracy", {}, bits[:, 0], chances),
        ("BinaryAccuracy", {"threshold": 0.3}, bits, chances),
        ("BinaryAccuracy", {"threshold": 0.75}, many, shares),
        ("CategoricalAccuracy", {}, hot, scores),
        ("CategoricalAccuracy", {}, probabilities(13, 4), scores),
        ("SparseCategoricalAccuracy", {}, labels, scores),
        ("SparseCategoricalAccuracy", {}, labels[:, None], scores),
        ("MeanSquaredError", {}, numbers(11, 3), numbers(11, 3)),
        ("MeanSquaredError", {}, numbers(11, 1), numbers(11, 1)),
        ("MeanAbsoluteError", {}, numbers(11, 3), numbers(11, 3)),
        ("MeanAbsoluteError", {}, numbers(11, 1), numbers(11, 1)),
    ]
    return [metric(*case) for case in cases]


def metric(name: str, config: dict[str, Any], y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, Any]:
    """Streamed in pieces of 1, 4 and the remaining rows; the result so far after each."""
    measured = getattr(keras.metrics, name)(**config)
    so_far = []
    for rows in (slice(0, 1), slice(1, 5), slice(5, None)):
        measured.update_state(y_true[rows], y_pred[rows])
        so_far.append(float(measured.result()))
    described = {"class": name, "config": config, "name": measured.name, "so_far": so_far, "ends": [1, 5, len(y_true)]}
    return described | {"y_true": y_true, "target_dtype": str(y_true.dtype), "y_pred": y_pred}


def accuracies() -> list[dict[str, Any]]:
    """What "accuracy" means, by the shapes of targets and outputs."""
    labels, scores = RNG.integers(0, 3, 10).astype("int32"), probabilities(10, 3)
    bits, chances = RNG.integers(0, 2, 10).astype("float32"), probabilities(10, 2)[:, :1]
    cases = [
        ("binary_crossentropy", bits, chances),
        ("binary_crossentropy", bits[:, None], chances),
        ("categorical_crossentropy", np.eye(3, dtype="float32")[labels], scores),
        ("sparse_categorical_crossentropy", labels, scores),
        ("sparse_categorical_crossentropy", labels[:, None], scores),
    ]
    return [evaluation(*case, ["accuracy"]) for case in cases] + [evaluation(*cases[0], ["acc"])]


def evaluation(loss: str, y_true: np.ndarray, y_pred: np.ndarray, chosen: list[str]) -> dict[str, Any]:
    """`evaluate` of a model that gives back its input."""
    model = keras.Sequential([keras.Input(y_pred.shape[1:]), keras.layers.Activation("linear")])
    model.compile(optimizer="sgd", loss=loss, metrics=chosen)
    answer = model.evaluate(y_pred, y_true, batch_size=4, verbose=0, return_dict=True)
    described = {"loss": loss, "metrics": chosen, "answer": answer}
    return described | {"y_true": y_true, "target_dtype": str(y_true.dtype), "y_pred": y_pred}


def metric_names() -> list[dict[str, Any]]:
    """What a metric that is given by name is called in the history."""
    hot, scores = np.eye(3, dtype="float32")[[0, 1, 2, 0]], probabilities(4, 3)
    chosen = ["accuracy", "acc", "mse", "MSE", "mae", "MAE", "mean_squared_error", "mean_absolute_error"]
    chosen += ["categorical_accuracy", "binary_accuracy", "MeanSquaredError", "CategoricalAccuracy", "BinaryAccuracy"]
    return [{"given": n, "keys": list(evaluation("mse", hot, scores, [n])["answer"])} for n in chosen]


# ------------------------------------------------------------------ training


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    ("RMSprop", {"learning_rate": 0.01}),
    ("RMSprop", {"learning_rate": 0.003, "momentum": 0.7, "rho": 0.8}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "epsilon": 1e-3}),
    ("RMSprop", {"learning_rate": 0.002, "momentum": 0.5, "centered": True, "epsilon": 1e-3}),
]


def small_net(features: int, hidden: int, classes: int, weights: list[np.ndarray]) -> keras.Sequential:
    dense = keras.layers.Dense
    model = keras.Sequential(
        [keras.Input((features,)), dense(hidden, activation="tanh"), dense(classes, activation="softmax")]
    )
    model.set_weights(weights)
    return model


def small_weights(features: int, hidden: int, classes: int) -> list[np.ndarray]:
    return [
        numbers(features, hidden, scale=0.5),
        numbers(hidden, scale=0.1),
        numbers(hidden, classes, scale=0.5),
        numbers(classes, scale=0.1),
    ]


def trajectories() -> dict[str, Any]:
    """Weights after some of twenty steps on one batch."""
    sizes = (5, 4, 3)
    weights, x, y = small_weights(*sizes), numbers(8, sizes[0]), RNG.integers(0, sizes[2], 8)
    runs = []
    for name, config in OPTIMIZERS:
        model = small_net(*sizes, weights)
        model.compile(optimizer=getattr(keras.optimizers, name)(**config), loss="sparse_categorical_crossentropy")
        kept, figures = {}, []
        for step in range(1, STEPS_KEPT[-1] + 1):
            figures.append(float(model.train_on_batch(x, y)))
            if step in STEPS_KEPT:
                kept[str(step)] = model.get_weights()
        runs.append({"class": name, "config": config, "weights": kept, "losses": figures})
    return {"sizes": sizes, "x": x, "y": y, "weights": weights, "runs": runs}


def histories() -> list[dict[str, Any]]:
    """What `fit` reports without shuffling: the last batch is short, the last rows are held out."""
    labels = RNG.integers(0, 3, 23)
    hot = np.eye(3, dtype="float32")[labels]
    settings: list[tuple[str, str, np.ndarray, dict[str, Any]]] = [
        ("sgd", "sparse_categorical_crossentropy", labels, {"batch_size": 8, "epochs": 3, "validation_split": 0.2}),
        ("rmsprop", "categorical_crossentropy", hot, {"batch_size": 5, "epochs": 2}),
        ("sgd", "mse", hot, {"epochs": 3, "validation_split": 0.5}),
        ("sgd", "categorical_crossentropy", hot, {"batch_size": 100, "epochs": 2, "initial_epoch": 1}),
    ]
    weights, x = small_weights(4, 6, 3), numbers(23, 4)
    runs = []
    for optimizer, loss_name, y, how in settings:
        model = small_net(4, 6, 3, weights)
        model.compile(optimizer=optimizer, loss=loss_name, metrics=["accuracy"])
        history = model.fit(x, y, shuffle=False, verbose=0, **how)
        described = {"optimizer": optimizer, "loss": loss_name, "y": y, "fit": how, "epoch": history.epoch}
        runs.append(described | {"history": history.history, "weights": model.get_weights()})
    return [{"x": x, "weights": weights, "runs": runs}]


# ------------------------------------------------------------------ how things begin


def initializers() -> list[dict[str, Any]]:
    """Extent and spread, large shapes first; no two generators give the same numbers."""
    shapes = [(300, 200), (20000,), (3, 3, 30, 60)]
    cases: list[tuple[str, dict[str, Any]]] = [
        (n, {}) for n in ("Zeros", "Ones", "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal")
    ]
    for mode in ("fan_in", "fan_out", "fan_avg"):
        for distribution in ("truncated_normal", "untruncated_normal", "uniform"):
            cases.append(("VarianceScaling", {"scale": 1.5, "mode": mode, "distribution": distribution}))
    return [initializer(name, config, shape) for name, config in cases for shape in shapes]


def initializer(name: str, config: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    seed = {} if name in ("Zeros", "Ones") else {"seed": 3}
    x = np.asarray(getattr(keras.initializers, name)(**config, **seed)(shape))
    figures = {"mean": float(x.mean()), "std": float(x.std()), "largest": float(np.abs(x).max())}
    return {"class": name, "config": config, "shape": shape, "dtype": str(x.dtype)} | figures


def defaults() -> dict[str, dict[str, Any]]:
    """Arguments that nobody gave."""
    made = {
        "layers.Dense": keras.layers.Dense(3),
        "layers.Rescaling": keras.layers.Rescaling(0.5),
        "optimizers.SGD": keras.optimizers.SGD(),
        "optimizers.RMSprop": keras.optimizers.RMSprop(),
        "losses.BinaryCrossentropy": keras.losses.BinaryCrossentropy(),
        "losses.CategoricalCrossentropy": keras.losses.CategoricalCrossentropy(),
        "losses.SparseCategoricalCrossentropy": keras.losses.SparseCategoricalCrossentropy(),
        "losses.MeanSquaredError": keras.losses.MeanSquaredError(),
        "losses.MeanAbsoluteError": keras.losses.MeanAbsoluteError(),
        "metrics.BinaryAccuracy": keras.metrics.BinaryAccuracy(),
        "initializers.VarianceScaling": keras.initializers.VarianceScaling(),
    }
    leave = {"name", "dtype", "trainable", "seed"}
    configs = {name: {k: v for k, v in thing.get_config().items() if k not in leave} for name, thing in made.items()}
    for config in configs.values():
        for key, value in config.items():
            if isinstance(value, dict):
                config[key] = value["class_name"]
            elif isinstance(value, float):
                config[key] = float(f"{value:.7g}")
    return configs


def names() -> list[dict[str, str]]:
    """Which strings Keras takes for what nacre has."""
    kinds = {
        "optimizers": ("SGD", "RMSprop"),
        "initializers": ("Zeros", "Ones", "VarianceScaling", "GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal"),
        "activations": ("linear", "relu", "sigmoid", "tanh", "softmax"),
        "losses": (
            "MeanSquaredError",
            "MeanAbsoluteError",
            "BinaryCrossentropy",
            "CategoricalCrossentropy",
            "SparseCategoricalCrossentropy",
        ),
        "metrics": (
            "BinaryAccuracy",
            "CategoricalAccuracy",
            "SparseCategoricalAccuracy",
            "MeanSquaredError",
            "MeanAbsoluteError",
        ),
    }
    short = {"MeanSquaredError": "mse", "MeanAbsoluteError": "mae", "BinaryCrossentropy": "bce"}
    taken = []
    for room, classes in kinds.items():
        for kind in classes:
            snake = keras.src.utils.naming.to_snake_case(kind)
            candidates = {kind, snake, kind.lower()} | {n for k, n in short.items() if k == kind}
            candidates |= {name.upper() for name in candidates & set(short.values())}
            for name in sorted(candidates):
                try:
                    found = getattr(keras, room).get(name)
                except ValueError:
                    continue
                if found is not None:
                    taken.append({"room": room, "name": name, "means": kind})
    return taken


def main() -> None:
    """Ask Keras everything, write the file."""
    answers = {
        "keras": keras.__version__,
        "backend": keras.config.backend(),
        "names": names(),
        "activations": activations(),
        "layers": layers(),
        "architecture": architecture(),
        "losses": losses(),
        "metrics": metrics(),
        "accuracies": accuracies(),
        "metric_names": metric_names(),
        "trajectories": trajectories(),
        "histories": histories(),
        "initializers": initializers(),
        "defaults": defaults(),
    }
    text = json.dumps(plain(answers), separators=(",", ":"), allow_nan=False)
    path = Path(__file__).with_name("keras.json")
    path.write_text(text.replace(',"', ',\n"') + "\n", encoding="utf-8")
    print(f"{path}: {len(text):,} characters, from Keras {keras.__version__} on {keras.config.backend()}")


if __name__ == "__main__":
    main()
