"""Metrics of one's own, written as in Keras: totals, update_state, result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Sequential, layers, metrics, ops
from nacre.errors import Limitation, UsageError

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((70, 5)).astype("float32"), RNG.integers(0, 3, 70)


class Share(metrics.Metric):
    """The share of samples whose most likely class is the right one."""

    def __init__(self, name: str = "share", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.right = self.add_weight(shape=(), initializer="zeros", name="right")
        self.all = self.add_variable(shape=(1,), initializer=nacre.initializers.Zeros(), dtype="float32")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        found = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        right = ops.cast(ops.equal(ops.cast(ops.reshape(ops.operand(y_true), [-1]), "int32"), found), "float32")
        weight = ops.ones_like(right) if sample_weight is None else ops.operand(sample_weight)
        self.right.assign(self.right + ops.sum(right * weight))
        self.all.assign_add(ops.reshape(ops.sum(weight), [1]))
        self.all.assign_sub([0.0])

    def result(self) -> Any:
        return self.right / self.all[0]


def model(*measured: Any, **settings: Any) -> Sequential:
    nacre.utils.set_random_seed(2)
    made = Sequential([Input((5,)), layers.Dense(3, "softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", *measured], **settings)
    return made


@pytest.mark.parametrize("device", ["native", "reference"])
def test_it_is_measured_over_all_batches_like_one_of_nacre(device: str) -> None:
    trained = model(Share(), weighted_metrics=[Share("weighted"), "sparse_categorical_accuracy"], device=device)
    weight = RNG.random(70).astype("float32")
    history = trained.fit(X, Y, batch_size=16, epochs=3, verbose=0, sample_weight=weight, validation_split=0.3).history
    for prefix in ("", "val_"):
        np.testing.assert_allclose(history[f"{prefix}share"], history[f"{prefix}accuracy"], rtol=1e-6)
        expected = history[f"{prefix}sparse_categorical_accuracy"]
        np.testing.assert_allclose(history[f"{prefix}weighted"], expected, rtol=1e-5)


def test_by_hand_it_adds_up_until_it_is_reset() -> None:
    share, own = Share(), metrics.SparseCategoricalAccuracy()
    p = RNG.random((70, 3)).astype("float32")
    for rows in (slice(0, 30), slice(30, 70)):
        share.update_state(Y[rows], p[rows])
        own.update_state(Y[rows], p[rows])
    np.testing.assert_allclose(float(share.result()), own.result(), rtol=1e-6)
    assert (share.right.numpy(), share.variables) == (float(share.right), [share.right, share.all])
    share.reset_state()
    assert float(share.right) == 0
    assert float(share(Y[:1], p[:1])) in (0.0, 1.0)


def test_training_with_it_does_not_disturb_what_was_added_by_hand() -> None:
    share = Share()
    share.update_state([0, 1], np.eye(3, dtype="float32")[:2])
    model(share).fit(X, Y, verbose=0)
    assert float(share.result()) == 1.0


def test_what_cannot_be_added_up_is_named() -> None:
    class Largest(Share):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.right.assign(ops.maximum(self.right.value, ops.max(y_pred)))

    class Read(Share):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.right.assign_add(ops.maximum(self.right, 1.0))

    for kind, words in ((Largest, "assign_add"), (Read, "is read while")):
        with pytest.raises(Limitation, match=words):
            model(kind()).fit(X, Y, verbose=0)
    with pytest.raises(Limitation, match="begins as zeros"):
        Share().add_variable((), initializer="ones")

    class Nothing(metrics.Metric):
        pass

    with pytest.raises(UsageError, match="does not say what it measures"):
        model(Nothing()).fit(X, Y, verbose=0)
    with pytest.raises(UsageError, match="no argument 'nam'"):
        Share(nam="x")


def test_a_metric_may_be_made_of_others() -> None:
    class F1(metrics.Metric):
        def __init__(self, name: str = "f1", **kwargs: Any) -> None:
            super().__init__(name=name, **kwargs)
            self.precision, self.recall = metrics.Precision(), metrics.Recall()

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.precision.update_state(y_true, y_pred, sample_weight)
            self.recall.update_state(y_true, y_pred, sample_weight)

        def result(self) -> Any:
            p, r = self.precision.result(), self.recall.result()
            return 2 * p * r / (p + r + 1e-12)

    trained = Sequential([Input((5,)), layers.Dense(1, "sigmoid")])
    trained.compile("sgd", "binary_crossentropy", metrics=[F1(), "Precision", "Recall"])
    found = trained.fit(X, Y > 0, batch_size=16, epochs=2, verbose=0).history
    p, r = np.array(found["Precision"]), np.array(found["Recall"])
    np.testing.assert_allclose(found["f1"], 2 * p * r / (p + r), rtol=1e-6)
    by_hand = F1()
    by_hand.update_state(Y > 0, trained.predict(X)[:, 0])
    assert 0 < by_hand.result() <= 1
    by_hand.reset_state()
    assert by_hand.result() == 0


def test_equality_counts_in_a_metric_as_keras_writes_it() -> None:
    class Hits(Share):
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            hits = ops.cast(y_true, "int32") == ops.cast(ops.argmax(y_pred, axis=-1), "int32")
            self.right.assign_add(ops.sum(ops.cast(hits, "float32")))
            self.all.assign_add([float(hits.shape[0])])

    trained = model(Hits("hits"))
    found = trained.evaluate(X, Y, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["hits"], found["accuracy"], rtol=1e-6)
