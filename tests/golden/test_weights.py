"""Weights of samples and of classes mean in a training what they mean in Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre.errors import DataError, ShapeError, UsageError

KERAS = json.loads((Path(__file__).parent / "weights.json").read_text())
X, KERNEL = np.asarray(KERAS["x"], "float32"), np.asarray(KERAS["kernel"], "float32")
LABELS, WEIGHTS = np.asarray(KERAS["labels"]), np.asarray(KERAS["weights"], "float32")
HOT = np.eye(3, dtype="float32")[LABELS]


def network(loss: str, device: str = "native") -> nacre.Sequential:
    nacre.utils.set_random_seed(1)
    model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(3, activation="softmax", use_bias=False)])
    model.set_weights([KERNEL])
    weighted: list[Any] = ["accuracy"]
    if not loss.startswith("sparse"):
        weighted.append(nacre.metrics.MeanAbsoluteError(name="mae"))
    model.compile(nacre.optimizers.SGD(0.5), loss, metrics=["accuracy"], weighted_metrics=weighted, device=device)
    return model


def targets(loss: str) -> Any:
    return LABELS if loss.startswith("sparse") else HOT


@pytest.mark.parametrize("device", ["native", "reference"])
@pytest.mark.parametrize("case", KERAS["cases"], ids=lambda c: f"{c['loss']}-{'-'.join(c['fit'])}")
def test_a_weighted_training_is_that_of_keras(case: dict[str, Any], device: str) -> None:
    model, settings = network(case["loss"], device), dict(case["fit"])
    if "class_weight" in settings:
        settings["class_weight"] = {int(c): w for c, w in settings["class_weight"].items()}
    if settings.pop("sample_weight", False):
        settings["sample_weight"] = WEIGHTS
    history = model.fit(X, targets(case["loss"]), batch_size=5, epochs=3, shuffle=False, verbose=0, **settings).history
    assert history.keys() == case["history"].keys()
    for name, figures in case["history"].items():
        assert np.allclose(history[name], figures, rtol=1e-5, atol=1e-6), name
    assert np.allclose(model.get_weights()[0], case["kernel"], rtol=1e-5, atol=1e-6)
    judged = model.evaluate(X, targets(case["loss"]), batch_size=5, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert judged.keys() == case["evaluate"].keys()
    for name, figure in case["evaluate"].items():
        assert judged[name] == pytest.approx(figure, rel=1e-5, abs=1e-6), name


def test_weights_of_classes_are_weights_of_their_rows_in_training_and_validation() -> None:
    by_class, by_row = network("sparse_categorical_crossentropy"), network("sparse_categorical_crossentropy")
    weights = np.array([0.5, 1.0, 4.0], "float32")[LABELS]
    one = by_class.fit(X, LABELS, validation_data=(X, LABELS), class_weight={0: 0.5, 2: 4.0}, verbose=0)
    two = by_row.fit(
        X, LABELS, validation_data=(X, LABELS, weights), sample_weight=weights[:, None].astype("f8"), verbose=0
    )
    assert one.history == two.history
    assert np.array_equal(by_class.get_weights(), by_row.get_weights())
    own = np.linspace(0.5, 2, len(X)).astype("float32")
    one = by_class.fit(X, LABELS, validation_data=(X, LABELS, own), class_weight={0: 0.5, 2: 4.0}, verbose=0)
    two = by_row.fit(X, LABELS, validation_data=(X, LABELS, own * weights), sample_weight=weights, verbose=0)
    assert one.history == two.history


def test_batches_may_come_with_weights() -> None:
    arrays, batches = network("mse"), network("mse")
    arrays.fit(X, HOT, batch_size=4, sample_weight=WEIGHTS, shuffle=False, verbose=0)
    parts = [slice(0, 4), slice(4, 8), slice(8, 12)]
    batches.fit([(X[p], HOT[p], WEIGHTS[p]) for p in parts], verbose=0)
    assert np.array_equal(arrays.get_weights(), batches.get_weights())
    again = network("mse")
    for p in parts:
        again.train_on_batch(X[p], HOT[p], sample_weight=WEIGHTS[p])
    assert np.array_equal(arrays.get_weights(), again.get_weights())
    loss = batches.evaluate(X, HOT, sample_weight=WEIGHTS, verbose=0)[0]
    assert batches.evaluate([(X[p], HOT[p], WEIGHTS[p]) for p in parts], verbose=0)[0] == pytest.approx(loss)


def test_a_model_goes_on_after_saving_with_its_weighted_metrics(tmp_path: Path) -> None:
    model = network("mse")
    model.save(tmp_path / "model")
    again = nacre.models.load_model(tmp_path / "model")
    found = again.evaluate(X, HOT, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert list(found) == ["loss", "accuracy", "weighted_accuracy", "mae"]


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"sample_weight": WEIGHTS[:5]}, ShapeError, "each of 12 rows"),
        ({"sample_weight": np.ones((12, 3))}, ShapeError, "each of 12 rows"),
        ({"sample_weight": np.full(12, np.nan)}, DataError, "sample_weight has 12 nan"),
        ({"class_weight": [1.0, 2.0]}, UsageError, "class_weight"),
        ({"class_weight": {"a": 1.0}}, UsageError, "class numbers"),
        ({"class_weight": {0: -1.0}}, UsageError, "from 0 on"),
        ({"class_weight": {0: 1.0}, "sample_weight": WEIGHTS}, UsageError, "Both"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        network("mse").fit(X, HOT, verbose=0, **settings)
