"""Models in files: whole, their weights alone, and their descriptions."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nacre as keras
from nacre import layers


def get_model():
    inputs = keras.Input(shape=(32,))
    outputs = layers.Dense(1)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(), loss="mean_squared_error")
    return model


def create_layer():
    layer = layers.Dense(64, activation="relu", name="dense_2")
    layer.build((None, 784))
    return layer


def test_a_model_that_is_saved_goes_on_where_it_was(tmp_path):
    model = get_model()
    rng = np.random.default_rng(0)
    test_input, test_target = rng.random((128, 32)), rng.random((128, 1))
    model.fit(test_input, test_target, epochs=2, verbose=0)

    path = tmp_path / "my_model.keras"
    model.save(path)
    assert path.is_file()
    reconstructed_model = keras.models.load_model(path)
    np.testing.assert_array_equal(
        model.predict(test_input, verbose=0), reconstructed_model.predict(test_input, verbose=0)
    )

    again = [m.fit(test_input, test_target, epochs=2, verbose=0).history["loss"] for m in (model, reconstructed_model)]
    np.testing.assert_allclose(*again)
    with pytest.raises(ValueError, match="there already"):
        model.save(path, overwrite=False)


def create_model():
    model = keras.Sequential(
        [keras.Input((20,)), layers.Dense(32, activation="relu"), layers.Dropout(0.2), layers.Dense(4)]
    )
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    return model


def test_weights_saved_while_training_are_put_into_an_untrained_model(tmp_path):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(600, 20))
    y = x[:, :4].argmax(axis=-1)
    (tmp_path / "training").mkdir()
    checkpoint_path = str(tmp_path / "training" / "cp-{epoch:04d}.weights.h5")
    cp_callback = keras.callbacks.ModelCheckpoint(filepath=checkpoint_path, save_weights_only=True, verbose=0)
    model = create_model()
    model.save_weights(checkpoint_path.format(epoch=0))
    model.fit(x, y, epochs=20, callbacks=[cp_callback], validation_split=0.2, verbose=0)
    assert len(list((tmp_path / "training").iterdir())) == 21

    model = create_model()
    _, untrained = model.evaluate(x, y, verbose=0)
    model.load_weights(checkpoint_path.format(epoch=20))
    loss, trained = model.evaluate(x, y, verbose=0)
    assert untrained < 0.5 < 0.7 < trained

    model.save_weights(tmp_path / "my_checkpoint.weights.h5")
    model = create_model()
    model.load_weights(tmp_path / "my_checkpoint.weights.h5")
    assert model.evaluate(x, y, verbose=0) == [loss, trained]


def test_a_description_makes_a_model_with_fresh_weights():
    model = keras.Sequential([keras.Input((32,)), layers.Dense(1, kernel_initializer="he_normal")])
    config = model.get_config()
    new_model = keras.Sequential.from_config(config)
    assert json.loads(json.dumps(config)) == config
    assert new_model.get_config() == config
    assert [w.shape for w in new_model.get_weights()] == [(32, 1), (1,)]
    assert not np.array_equal(new_model.get_weights()[0], model.get_weights()[0])

    inputs = keras.Input((32,))
    model = keras.Model(inputs, layers.Dense(1)(layers.Dense(8, activation="tanh")(inputs)))
    new_model = keras.Model.from_config(model.get_config())
    new_model.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 32))
    np.testing.assert_array_equal(new_model.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_layer_is_made_again_from_its_description_and_takes_weights():
    layer_1, layer_2 = create_layer(), create_layer()
    layer_2.set_weights(layer_1.get_weights())
    np.testing.assert_array_equal(layer_1.get_weights()[0], layer_2.get_weights()[0])
    again = layers.Dense.from_config(layer_1.get_config())
    assert (again.units, again.name) == (64, "dense_2")


class CustomLayer(layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.bias = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="bias")

    def call(self, x):
        return x * self.factor + self.bias

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_a_layer_of_ones_own_is_described_and_its_weights_are_kept(tmp_path):
    assert CustomLayer.from_config(CustomLayer(2.0, name="twice").get_config()).factor == 2.0

    def build():
        model = keras.Sequential([keras.Input((6,)), CustomLayer(2.0, name="twice"), layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    x = np.random.default_rng(0).normal(size=(64, 6))
    model = build()
    model.fit(x, x[:, :1], epochs=3, verbose=0)
    model.save_weights(tmp_path / "own.weights.h5")
    other = build()
    other.load_weights(tmp_path / "own.weights.h5")
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert np.abs(other.get_layer("twice").get_weights()[0]).max() > 0


def test_what_was_learned_goes_on_frozen_below_a_new_head():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(500, 10))
    base_model = keras.Sequential([keras.Input((10,)), layers.Dense(32, activation="relu", name="features")])
    source = keras.Sequential([base_model, layers.Dense(3, name="old_head")])
    source.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    source.fit(x, x[:, :3].argmax(axis=-1), epochs=5, verbose=0)

    base_model.trainable = False
    inputs = keras.Input(shape=(10,))
    outputs = layers.Dense(1, name="new_head")(base_model(inputs))
    model = keras.Model(inputs, outputs)
    assert len(model.trainable_weights) == len(model.non_trainable_weights) == 2
    before = base_model.get_weights()
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0.0)],
    )
    y = (x[:, 0] > x[:, 1]).astype("float32")
    model.fit(x, y, epochs=15, verbose=0)
    for old, new in zip(before, base_model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

    base_model.trainable = True
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(x, y, epochs=10, verbose=0)
    assert not np.array_equal(before[0], base_model.get_weights()[0])
    assert np.mean((model.predict(x, verbose=0)[:, 0] > 0) == y) > 0.9
