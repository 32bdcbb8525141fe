"""Writes functional.json: layers that join, and a training of a functional model, by Keras, for `test_functional.py`.

Run by hand, as `make_keras.py` is:

    KERAS_BACKEND=jax python tests/golden/make_functional.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from make_keras import plain

RNG = np.random.default_rng(5)
A, B = (RNG.standard_normal((4, 3)).round(2).astype("float32") for _ in range(2))
X, Y = RNG.standard_normal((12, 5)).round(2).astype("float32"), RNG.standard_normal((12, 2)).round(2).astype("float32")
JOINS: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")},
    "Dot": {"axes": 1, "normalize": True},
}


def network() -> keras.Model:
    """A branch, a shared layer, a jump, and a model in a model."""
    x = keras.Input((5,))
    shared = layers.Dense(4, activation="tanh", name="shared")
    once = shared(x)
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(4, activation="relu", name="inner")])
    twice = shared(layers.Dense(5, name="between")(once))
    joined = layers.Concatenate()([once * twice, layers.Average()([once, inner(x)]), x])
    return keras.Model(x, layers.Dense(2, name="end")(joined))


if __name__ == "__main__":
    outputs = {}
    for name, config in JOINS.items():
        a, b = keras.Input((3,)), keras.Input((3,))
        model = keras.Model([a, b], getattr(layers, name)(**config)([a, b]))
        outputs[name] = {"config": config, "y": plain(model.predict([A, B], verbose=0))}
    model = network()
    begin = [RNG.standard_normal(w.shape).round(2).astype("float32") for w in model.get_weights()]
    model.set_weights(begin)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.5), "mse")
    names = [w.path.split("/")[-2] + "/" + w.name for w in model.weights]
    history = model.fit(X, Y, batch_size=4, epochs=5, shuffle=False, verbose=0).history
    trained = {"begin": dict(zip(names, plain(begin), strict=True)), "loss": history["loss"]}
    trained["end"] = dict(zip(names, plain(model.get_weights()), strict=True))
    found = {"keras": keras.__version__, "backend": keras.backend.backend()}
    found |= {"a": plain(A), "b": plain(B), "x": plain(X), "y": plain(Y), "outputs": outputs, "training": trained}
    (Path(__file__).parent / "functional.json").write_text(json.dumps(found) + "\n")
