"""What layers do that no other system is there to compare with: noise, weights that follow the data, layers inside layers."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Sequential, layers
from nacre.backends import native
from nacre.backends.reference import evaluate
from nacre.callbacks import BackupAndRestore, Callback, LayerStatistics
from nacre.errors import Limitation, NonFiniteLossError, ShapeError, UnknownName, UsageError
from nacre.ir import Graph, TensorType, order
from nacre.ir import Input as GraphInput
from nacre.models import load_model
from nacre.ops import SEED, STEP, normal

DEVICES = ["native", "reference", "xla"]


def data(rows: int = 43) -> tuple[Any, Any]:
    x = np.random.default_rng(1).standard_normal((rows, 6)).astype("float32") * 3 + 1
    return x, x[:, :3].argmax(-1)


def make(*parts: Any, device: str = "native", seed: int = 3, units: int = 3) -> Sequential:
    nacre.utils.set_random_seed(seed)
    model = Sequential([Input((6,)), *parts, layers.Dense(units, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], device=device)
    return model


def everything() -> list[Any]:
    """Layers with state, with chance and with layers inside."""
    return [
        layers.Dense(8),
        layers.BatchNormalization(momentum=0.9),
        layers.GaussianNoise(0.3),
        layers.Residual([layers.LayerNormalization(), layers.Dense(8, "relu"), layers.GaussianDropout(0.2)]),
        layers.Residual([layers.BatchNormalization(), layers.Dropout(0.2), layers.Residual(layers.AlphaDropout(0.1))]),
        layers.ActivityRegularization(l2=0.01),
    ]


def bits(model: Sequential) -> str:
    tensors = model.snapshot()[1]
    return hashlib.sha256(b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))).hexdigest()


# ------------------------------------------------------------------ weights that follow the data


@pytest.mark.parametrize("affine", [True, False])
def test_a_frozen_batch_normalization_uses_what_it_knows_and_keeps_it(affine: bool) -> None:
    x, y = data()
    norm = layers.BatchNormalization(center=affine, scale=affine)
    model = make(norm)
    model.fit(x, y, verbose=0)
    known = norm.get_weights()
    norm.trainable = False
    model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(known, norm.get_weights(), strict=True))
    model = make(layers.BatchNormalization(center=affine, scale=affine, trainable=False))
    asked = model.evaluate(x, y, verbose=0)[0]
    loss = model.train_on_batch(x, y)[0]
    assert loss == pytest.approx(asked, rel=1e-6)  # training saw what evaluation sees
    model.layers[0].trainable = True
    assert model.train_on_batch(x, y)[0] != pytest.approx(loss, rel=1e-3)
    assert not np.array_equal(model.layers[0].get_weights()[-1], np.ones(6))


def test_evaluation_and_prediction_change_nothing_and_see_each_row_alone() -> None:
    x, y = data()
    model = make(*everything())
    model.fit(x, y, epochs=2, verbose=0)
    before = bits(model)
    all_rows = model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    assert bits(model) == before
    assert np.array_equal(model.predict(x[7:8], verbose=0)[0], all_rows[7])


@pytest.mark.parametrize("device", DEVICES)
def test_moving_statistics_follow_the_batches(device: str) -> None:
    x, y = data(40)
    norm = layers.BatchNormalization(momentum=0.75)
    model = make(norm, device=device)
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    mean, variance = np.zeros(6), np.ones(6)
    for batch in np.split(x.astype("float64"), 5):
        mean, variance = 0.75 * mean + 0.25 * batch.mean(0), 0.75 * variance + 0.25 * batch.var(0)
    np.testing.assert_allclose(norm.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance.numpy(), variance, rtol=1e-5)


class CrashAt(Callback):
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.iterations == 9:
            raise InterruptedError


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_that_breaks_off_goes_on_to_the_same_bits(device: str, tmp_path: Path) -> None:
    x, y = data()
    straight = make(*everything(), device=device)
    straight.fit(x, y, batch_size=8, epochs=3, verbose=0)
    backup = BackupAndRestore(tmp_path, save_freq=4)
    with pytest.raises(InterruptedError):
        make(*everything(), device=device).fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[backup, CrashAt()])
    resumed = make(*everything(), device=device, seed=99)
    resumed.fit(x, y, batch_size=8, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path, save_freq=4)])
    assert bits(resumed) == bits(straight)


def test_all_devices_train_to_the_same_weights_with_the_same_noise() -> None:
    x, y = data()
    models = [make(*everything(), device=device) for device in DEVICES]
    for model in models:
        model.compile(nacre.optimizers.SGD(0.05), "sparse_categorical_crossentropy", device=model._compiled["device"])
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    for same in zip(*(model.get_weights() for model in models), strict=True):
        for weight in same[1:]:
            np.testing.assert_allclose(weight, same[0], rtol=1e-4, atol=1e-5)


def test_bits_do_not_depend_on_threads_or_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.random.default_rng(0).standard_normal((300, 6)).astype("float32"), np.arange(300) % 3
    parts = [
        lambda: layers.Dense(70),
        layers.BatchNormalization,
        lambda: layers.GaussianNoise(0.5),
        layers.LayerNormalization,
    ]
    found = set()
    for isa, threads in [(None, 1), (None, 2), (None, 3), ("baseline", 2)]:
        monkeypatch.setitem(
            nacre.training.devices.LOWERINGS, "native", lambda p, i=isa, t=threads: native.compile(p, i, t)
        )
        model = make(*(part() for part in parts))
        model.fit(x, y, batch_size=64, epochs=2, verbose=0)
        found.add(bits(model))
    assert len(found) == 1


# ------------------------------------------------------------------ chance


def numbers(shape: tuple[int, ...], step: int = 5) -> Any:
    graph = Graph([SEED, STEP], {"y": normal(shape, 1)})
    return evaluate(graph, {"seed": np.uint32(3), "step": np.uint32(step)})["y"]


def test_normal_numbers_are_normal() -> None:
    x = numbers((400, 501)).astype("float64").ravel()
    assert np.isfinite(x).all()
    assert abs(x.mean()) < 0.01
    assert abs(x.var() - 1) < 0.01
    assert abs((x**3).mean()) < 0.03
    assert abs((x**4).mean() - 3) < 0.06
    share = np.array([0.5 * math.erfc(-edge / math.sqrt(2)) for edge in np.linspace(-3, 3, 25)])
    found = np.array([(x < edge).mean() for edge in np.linspace(-3, 3, 25)])
    assert np.abs(found - share).max() < 0.004  # Kolmogorov and Smirnov: 1.63 / sqrt(200400) at 1 in 100
    assert 4 < np.abs(x).max() < 5.8


def test_normal_numbers_depend_on_their_place_and_the_step() -> None:
    assert np.array_equal(numbers((3, 40)), numbers((9, 40))[:3])
    assert not np.array_equal(numbers((3, 40)), numbers((3, 40), step=6))
    assert abs(np.corrcoef(numbers((1, 5000))[0], numbers((2, 5000))[1])[0, 1]) < 0.05
    assert numbers(()).shape == ()


def trained(layer: Any, x: Any) -> Any:
    """What a layer gives in training."""
    given = GraphInput("x", TensorType(x.shape))
    graph = Graph([given, SEED, STEP], {"y": layer(given, training=True)})
    return evaluate(graph, {"x": x, "seed": np.uint32(3), "step": np.uint32(5)})["y"].astype("float64")


def test_noise_has_the_mean_and_deviation_that_was_asked_for() -> None:
    x = np.full((300, 400), 2.0, "float32")
    found = trained(layers.GaussianNoise(0.5), x)
    assert found.mean() == pytest.approx(2, abs=0.01)
    assert found.std() == pytest.approx(0.5, abs=0.01)
    found = trained(layers.GaussianDropout(0.2), x)
    assert found.mean() == pytest.approx(2, abs=0.01)
    assert found.std() == pytest.approx(2 * math.sqrt(0.2 / 0.8), abs=0.01)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).standard_normal((300, 400)).astype("float32")
    found = trained(layers.AlphaDropout(0.3), x)
    assert found.mean() == pytest.approx(0, abs=0.02)
    assert found.var() == pytest.approx(1, abs=0.02)
    _, counts = np.unique(found, return_counts=True)
    assert counts.max() / x.size == pytest.approx(0.3, abs=0.01)  # those that were dropped are alike


@pytest.mark.parametrize("cls", [layers.Dropout, layers.AlphaDropout])
def test_elements_along_axes_of_one_drop_together(cls: Any) -> None:
    found = trained(cls(0.5, noise_shape=(None, 1, 4)), np.ones((30, 5, 4), "float32"))
    assert (found == found[:, :1]).all()
    assert 0.3 < (found == found.min()).mean() < 0.7


@pytest.mark.parametrize(
    "layer", [layers.Dropout(0), layers.GaussianNoise(0), layers.GaussianDropout(0), layers.AlphaDropout(0)]
)
def test_no_noise_changes_nothing(layer: Any) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
    assert np.array_equal(trained(layer, x), x)


# ------------------------------------------------------------------ layers inside layers


def test_a_residual_layer_adds_what_comes_in_to_what_comes_out() -> None:
    x, _ = data()
    model = Sequential([Input((6,)), layers.Residual([layers.Dense(5, "tanh"), layers.Dense(6)])])
    w1, b1, w2, b2 = model.get_weights()
    np.testing.assert_allclose(model.predict(x, verbose=0), x + np.tanh(x @ w1 + b1) @ w2 + b2, rtol=1e-5, atol=1e-5)
    assert [w.name for w in model.weights][2:] == ["residual/dense_1/kernel", "residual/dense_1/bias"]
    assert model.count_params() == 71


def test_a_model_with_layers_inside_layers_is_saved_and_loaded(tmp_path: Path) -> None:
    x, y = data()
    model = make(*everything())
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert bits(again) == bits(model)
    for one in (model, again):
        one.fit(x, y, epochs=2, verbose=0)
    assert bits(again) == bits(model)


def test_freezing_a_residual_layer_freezes_what_is_inside() -> None:
    x, y = data()
    model = make(layers.Residual([layers.BatchNormalization(), layers.Dense(6)]))
    outer = model.layers[0]
    outer.trainable = False
    before = outer.get_weights()
    model.fit(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, outer.get_weights(), strict=True))
    outer.trainable = True
    model.fit(x, y, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, outer.get_weights(), strict=True))
    frozen = layers.Residual(layers.Dense(6), trainable=False)
    assert not frozen.block[0].trainable


def test_layers_inside_have_chance_of_their_own() -> None:
    model = Sequential([Input((6,)), *everything(), layers.Dropout(0.5)])
    streams = [part.stream for layer in model._stack for part in layer.all()]
    assert streams == list(range(len(streams)))


def test_regularizers_and_statistics_reach_inside() -> None:
    x, y = data()
    block = layers.Residual([layers.Dense(6, "relu", kernel_regularizer="l2", activity_regularizer="l2", name="one")])
    plain = layers.Residual([layers.Dense(6, "relu", name="one")])
    losses = []
    for part in (block, plain):
        model = make(layers.Dense(6, "relu", name="one"), part)
        seen = LayerStatistics(every=1)
        model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[seen])
        losses.append(seen.history["residual/one"]["activation"] and model.history.history["loss"][0])
        assert {"one", "residual/one", "one/kernel", "residual/one/kernel"} <= set(seen.history)
    assert losses[0] > losses[1]


# ------------------------------------------------------------------ looking up


def test_a_number_that_an_embedding_has_no_row_for_stops_training() -> None:
    model = Sequential([Input((2,)), layers.Embedding(5, 3), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.array([[0, 4], [1, 2]]), np.zeros((2, 1))
    assert np.isfinite(model.train_on_batch(x, y))
    for wrong in (-1, 5, 2**31 - 1):
        assert np.isnan(model.predict(np.array([[0, wrong]]), verbose=0)).all()
        with pytest.raises(NonFiniteLossError):
            model.fit(np.array([[0, wrong]]), y[:1], verbose=0)


# ------------------------------------------------------------------ mistakes

X = GraphInput("x", TensorType((3, 4)))


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: layers.BatchNormalization(axis=[1]), UsageError, "one whole number"),
        (lambda: layers.BatchNormalization(axis=2)(X), ShapeError, "axis=2"),
        (lambda: layers.BatchNormalization(axis=0)(X), ShapeError, "the batch"),
        (lambda: layers.BatchNormalization(momentum=1.5), UsageError, "not above 1 for momentum"),
        (lambda: layers.BatchNormalization(epsilon="small"), UsageError, "epsilon"),
        (lambda: layers.BatchNormalization(synchronized=True), Limitation, "synchronized.*\n.*one device"),
        (lambda: layers.BatchNormalization(renorm=True), Limitation, "renorm"),
        (lambda: layers.BatchNormalization(renorm_momentum=0.9), Limitation, "renorm_momentum"),
        (lambda: layers.LayerNormalization(axis="last"), UsageError, "axis of LayerNormalization"),
        (lambda: layers.LayerNormalization(axis=[]), UsageError, "axis of LayerNormalization"),
        (lambda: layers.LayerNormalization(rms_scaling=True), Limitation, "RMSNormalization"),
        (lambda: layers.RMSNormalization(axis=0)(X), ShapeError, "the batch"),
        (lambda: layers.UnitNormalization(axis=None), UsageError, "axis of UnitNormalization"),
        (lambda: layers.Dropout(0.5, seed=1), Limitation, "set_random_seed"),
        (lambda: layers.Dropout(0.5, noise_shape=3), UsageError, "noise_shape"),
        (lambda: layers.Dropout(0.5, noise_shape=(None,))(X, training=True), ShapeError, "noise_shape"),
        (lambda: layers.AlphaDropout(1), UsageError, "below 1"),
        (lambda: layers.GaussianDropout(1.0), UsageError, "below 1"),
        (lambda: layers.GaussianDropout(True), UsageError, "between 0 and 1"),
        (lambda: layers.GaussianNoise(2), UsageError, "stddev"),
        (lambda: layers.ActivityRegularization("much"), UsageError, "l1"),
        (lambda: layers.Reshape(5), UsageError, "target_shape"),
        (lambda: layers.Reshape((-1, -1)), UsageError, "one may be -1"),
        (lambda: layers.Reshape((3, 2))(X), ShapeError, "cannot make"),
        (lambda: layers.Reshape((3, -1))(X), ShapeError, "cannot make"),
        (lambda: layers.Permute((1, 3)), UsageError, "each once"),
        (lambda: layers.Permute((2, 1))(X), ShapeError, "orders 2 axes"),
        (lambda: layers.RepeatVector(0), UsageError, "positive whole number"),
        (lambda: layers.RepeatVector(2)(GraphInput("x", TensorType((3, 4, 5)))), ShapeError, "repeats rows"),
        (lambda: layers.Embedding(0, 3), UsageError, "input_dim"),
        (lambda: layers.Embedding(3, 2.5), UsageError, "output_dim"),
        (lambda: layers.Embedding(3, 2, mask_zero=True), Limitation, "no masks"),
        (lambda: layers.Embedding(3, 2, lora_rank=4), Limitation, "lora_rank"),
        (lambda: layers.Residual([]), UsageError, "at least one layer"),
        (lambda: layers.Residual([layers.Dense(3)] * 2), UsageError, "each of them once"),
        (lambda: layers.Residual([layers.Dense(3, name="a"), layers.Dense(3, name="a")]), UsageError, "called 'a'"),
        (lambda: layers.Residual("relu6"), UnknownName, "no layer called 'relu6'"),
        (lambda: layers.Residual(layers.InputLayer((4,))), UsageError, "new layers"),
        (lambda: layers.Residual(layers.Residual(layers.Dense(4)).block), UsageError, "new layers"),
        (lambda: Sequential(layers.Residual(layers.Dense(4)).block), UsageError, "inside another"),
        (lambda: Sequential([dense := layers.Dense(4), layers.Residual(dense)]), UsageError, "of the model inside"),
        (lambda: layers.Residual(layers.Dense(3))(X), ShapeError, "another shape.*\n.*\n.*\n.*Dense\\(4\\)"),
    ],
)
def test_a_mistake_is_named(wrong: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_pictures_far_back_in_a_large_batch_are_found_to_the_pixel() -> None:
    rows, side = 300, 257  # more pixels than float32 can count
    layer = nacre.layers.Augmentation(shift=0.1)
    moved = layer(GraphInput("x", TensorType((rows, side, side, 1))), training=True)
    constants = [v.numpy() for v in order([moved]) if v.operation is not None and v.operation.name == "constant"]
    begins = next(c for c in constants if c.shape == (rows, 1) and c.dtype.kind == "i")
    np.testing.assert_array_equal(begins[:, 0], np.arange(rows) * side * side)
