"""Writes the files in keras/ and their entries in keras_files.json: models as Keras 2 and 3 save them, and what they answer, for
`tests/exchange`.

Run by hand, once with each Keras that wrote them; those of another version stay as they are:

    python tests/golden/make_keras_files.py                # tensorflow-cpu 2.12, whose Keras is 2.12
    python tests/golden/make_keras_files.py tf_keras       # tensorflow-cpu and tf_keras 2.21
    KERAS_BACKEND=tensorflow python tests/golden/make_keras_files.py keras

nacre itself is not needed and not imported.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
keras: Any = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "tensorflow.keras")
L = keras.layers
RNG = np.random.default_rng(8)


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).round(3).astype("float32")


def stack() -> tuple[Any, list[np.ndarray]]:
    """A stack that has been trained, so that its optimizer and metrics have something to keep."""
    normalization = L.Normalization()
    normalization.adapt(numbers(20, 4) * 3 + 1)
    hidden = [L.Dense(4, "relu", kernel_regularizer="l2"), L.BatchNormalization(), L.Dropout(0.25), L.LeakyReLU(0.125)]
    model = keras.Sequential([keras.Input((4,)), normalization, *hidden, L.LayerNormalization(), L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = numbers(6, 4)
    model.fit(x, RNG.integers(0, 3, 6), epochs=3, verbose=0)
    return model, [x]


def branches() -> tuple[Any, list[np.ndarray]]:
    """Two inputs, a layer that is shared, a model inside that is called twice, and a rate that decays."""
    x, terms, u = keras.Input((2, 2), name="x"), keras.Input((3,), dtype="int32", name="terms"), keras.Input((4,))
    inner = keras.Model(u, L.Dense(4, "tanh")(L.Activation("swish")(u)), name="inner")
    shared = L.Dense(4, "gelu", name="shared")
    flat = L.Flatten()(L.Rescaling(0.5, offset=-1)(x))
    both = L.Concatenate()([inner(shared(inner(shared(flat)))), L.Flatten()(L.Embedding(5, 2)(terms))])
    model = keras.Model([x, terms], [L.Dense(1)(both), L.Average()([flat, shared(flat)])])
    model.compile(keras.optimizers.legacy.SGD(0.125, momentum=0.5, decay=0.01), ["mse", "mae"], loss_weights=[1.0, 0.5])
    return model, [numbers(5, 2, 2), RNG.integers(0, 5, (5, 3)).astype("int32")]


def lookups() -> tuple[Any, list[np.ndarray]]:
    """Vocabularies in the description, beside it, and in a model inside."""
    learned, inside = L.IntegerLookup(mask_token=0), L.IntegerLookup(output_mode="one_hot", max_tokens=3)
    learned.adapt(np.array([[7, 7, 8], [0, 9, -1]]))
    inside.adapt(np.array([[4, 4, 1, 1, 4, 6]]))
    given = L.IntegerLookup(vocabulary=[5, 3, 2], output_mode="multi_hot")
    inner = keras.Sequential([keras.Input((1,), dtype="int64"), inside, L.Dense(2)], name="inner")
    one, several = keras.Input((1,), dtype="int64", name="one"), keras.Input((4,), dtype="int64", name="several")
    embedded = L.Flatten()(L.Embedding(6, 2)(learned(one)))
    model = keras.Model([one, several], L.Dense(2, "softmax")(L.Concatenate()([embedded, given(several), inner(one)])))
    return model, [np.array([[0], [7], [8], [9], [4], [1]]), RNG.integers(0, 6, (6, 4))]


def main() -> None:
    known = json.loads((HERE / "keras_files.json").read_text()) if (HERE / "keras_files.json").exists() else {}
    kinds = {"2.12": {"stack": ".h5", "branches": ".h5"}, "2.21": {"stack": ".keras", "lookups": ".keras"}}
    version = keras.__version__
    for kind, suffix in kinds.get(version.rpartition(".")[0], {"lookups": ".keras"}).items():
        keras.utils.set_random_seed(3)
        model, rows = globals()[kind]()
        for weight in model.trainable_weights:
            weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
        name = f"{version}-{kind}{suffix}"
        model.save(HERE / "keras" / name)
        outputs = model.predict(rows if len(rows) > 1 else rows[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        known[name] = {
            "x": [x.tolist() for x in rows],
            "y": [[[float(f"{v:.9g}") for v in row] for row in y] for y in outputs],
        }
    known = {name: known[name] for name in sorted(known)}
    (HERE / "keras_files.json").write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    (HERE / "keras").mkdir(exist_ok=True)
    main()
