"""Writes activations.json: what Keras 3 answers for activations and their layers, and the gradients of those answers.

Run by hand, with a Python that has Keras and JAX, when nacre learns a new activation of Keras's:

    KERAS_BACKEND=jax python tests/golden/make_activations.py

Gradients are of the sum of the answers, each multiplied by a weight that is in the file. At a kink, where every framework has an
opinion of its own, there is null in place of the gradient, as where an answer is not finite in float32. Keras is asked in float64,
for in float32 some of its answers lose their digits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import keras
import numpy as np

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")

RNG = np.random.default_rng(20240301)
SIZES = [0.0, 1e-8, 1e-3, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 6.0, 9.1, 20.0, 88.0, 104.0, 1e4, 1e30]
LINE = np.array([[sign * n for n in SIZES for sign in (1, -1)]], "float32")
ROWS = np.array(
    [[0, 0, 0, 0], [1e4, -1e4, 0, 1], [1e4, 1e4, 1e4, -1e4], [88, 89, 90, 0], [1e30, 0, -1e30, 1], [1, 2, 3, 0.5]],
    "float32",
)

# Name, arguments, where the kinks are.
ELEMENTWISE: list[tuple[str, dict[str, Any], list[float]]] = [
    ("linear", {}, []),
    ("relu", {}, [0]),
    ("relu", {"negative_slope": 0.1}, [0]),
    ("relu", {"max_value": 5.0}, [0, 5]),
    ("relu", {"threshold": 1.0}, [1]),
    ("relu", {"negative_slope": 0.5, "max_value": 6.0, "threshold": 2.0}, [2, 6]),
    ("relu6", {}, [0, 6]),
    ("leaky_relu", {}, [0]),
    ("leaky_relu", {"negative_slope": 0.01}, [0]),
    ("elu", {}, []),
    ("elu", {"alpha": 0.5}, [0]),
    ("selu", {}, [0]),
    ("celu", {}, []),
    ("celu", {"alpha": 0.5}, []),
    ("gelu", {}, []),
    ("gelu", {"approximate": True}, []),
    ("silu", {}, []),
    ("swish", {}, []),
    ("mish", {}, []),
    ("softplus", {}, []),
    ("softsign", {}, []),
    ("soft_shrink", {}, [-0.5, 0.5]),
    ("soft_shrink", {"threshold": 1.0}, [-1, 1]),
    ("hard_shrink", {}, [-0.5, 0.5]),
    ("hard_shrink", {"threshold": 1.0}, [-1, 1]),
    ("tanh", {}, []),
    ("tanh_shrink", {}, []),
    ("squareplus", {}, []),
    ("squareplus", {"b": 0.5}, []),
    ("sparse_plus", {}, []),
    ("threshold", {"threshold": 1.0, "default_value": 7.0}, [1]),
    ("sigmoid", {}, []),
    ("log_sigmoid", {}, []),
    ("hard_sigmoid", {}, [-3, 3]),
    ("sparse_sigmoid", {}, [-1, 1]),
    ("hard_silu", {}, [-3, 3]),
    ("hard_swish", {}, [-3, 3]),
    ("hard_tanh", {}, [-1, 1]),
    ("exponential", {}, []),
]
BY_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("glu", {}),
    ("glu", {"axis": 0}),
]
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("ReLU", {}, (3, 4)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.25, "threshold": 0.5}, (3, 4)),
    ("LeakyReLU", {}, (3, 4)),
    ("LeakyReLU", {"negative_slope": 0.1}, (3, 4)),
    ("PReLU", {"alpha_initializer": "ones"}, (3, 4)),
    ("PReLU", {"shared_axes": [1]}, (3, 4, 2)),
    ("PReLU", {"shared_axes": [1, 2]}, (3, 4, 2)),
    ("ELU", {}, (3, 4)),
    ("ELU", {"alpha": 0.3}, (3, 4)),
    ("Softmax", {}, (3, 4)),
    ("Softmax", {"axis": 1}, (3, 4, 2)),
    ("Softmax", {"axis": [1, 2]}, (3, 4, 2)),
    ("Activation", {"activation": "mish"}, (3, 4)),
]


def short(x: Any) -> Any:
    """Nested lists of numbers with the digits that float32 keeps, null where they are not finite in it."""
    if isinstance(x, list):
        return [short(v) for v in x]
    return float(str(np.float32(x))) if np.abs(x) <= np.finfo("float32").max else None


def plain(x: Any) -> Any:
    return short(np.asarray(x, "float64").tolist())


def answers(function: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers, weights and gradients."""
    y, back = jax.vjp(function, jax.numpy.asarray(x, "float64"))
    weights = RNG.integers(1, 4, y.shape) / 2
    return np.asarray(y), weights, np.array(back(jax.numpy.asarray(weights, y.dtype))[0])


def elementwise(name: str, config: dict[str, Any], kinks: list[float]) -> dict[str, Any]:
    y, weights, dx = answers(lambda x: getattr(keras.activations, name)(x, **config), LINE)
    dx[np.isin(LINE, np.float32(kinks))] = np.nan
    return {"name": name, "config": config, "x": plain(LINE), "y": plain(y), "weights": plain(weights), "dx": plain(dx)}


def by_rows(name: str, config: dict[str, Any]) -> dict[str, Any]:
    x = (RNG.standard_normal((4, 4)) * 3).round(3).astype("float32")
    x = x if config else np.concatenate([ROWS, x])
    y, weights, dx = answers(lambda x: getattr(keras.activations, name)(x, **config), x)
    return {"name": name, "config": config, "x": plain(x), "y": plain(y), "weights": plain(weights), "dx": plain(dx)}


def layer(name: str, config: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    keras.utils.clear_session()
    made = getattr(keras.layers, name)(**config)
    x = RNG.standard_normal(shape).round(3).astype("float32")
    x[x == 0] = 0.5
    made.build(x.shape)
    own = [RNG.standard_normal(w.shape).round(3).astype("float32") for w in made.weights]
    made.set_weights(own)
    y, weights, dx = answers(made, x)
    case = {"class": name, "config": config, "names": [w.path for w in made.weights], "own": [plain(w) for w in own]}
    return case | {"x": plain(x), "y": plain(y), "weights": plain(weights), "dx": plain(dx)}


def defaults(name: str) -> dict[str, Any]:
    config = getattr(keras.layers, name)().get_config()
    return {k: v["class_name"] if isinstance(v, dict) else v for k, v in config.items() if k not in ("name", "dtype")}


def main() -> None:
    cases = [elementwise(*case) for case in ELEMENTWISE] + [by_rows(*case) for case in BY_ROWS]
    public = sorted(n for n in dir(keras.activations) if not n.startswith("_"))
    content = {
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "names": public,
        "cases": cases,
        "layers": [layer(*case) for case in LAYERS],
        "defaults": {name: defaults(name) for name in ("ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")},
    }
    lists = ",\n".join(
        f" {json.dumps(k)}: {_lines(v) if isinstance(v, list) else json.dumps(v)}" for k, v in content.items()
    )
    Path(__file__).with_name("activations.json").write_text("{\n" + lists + "\n}\n", encoding="utf-8")


def _lines(entries: list[Any]) -> str:
    """One entry a line, so that a difference can be read."""
    return "[\n" + ",\n".join("  " + json.dumps(e) for e in entries) + "\n ]"


if __name__ == "__main__":
    main()
