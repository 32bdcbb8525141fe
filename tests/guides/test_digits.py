"""Handwritten digits, told apart by a multilayer perceptron."""

from __future__ import annotations

import numpy as np

import nacre as keras
from nacre import layers
from nacre.datasets import digits


def test_a_perceptron_on_one_hot_digits(capsys):
    num_classes, batch_size, epochs = 10, 32, 30

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train = x_train.reshape(len(x_train), 64).astype("float32") / 16
    x_test = x_test.reshape(len(x_test), 64).astype("float32") / 16
    y_train = keras.utils.to_categorical(y_train, num_classes)
    y_test = keras.utils.to_categorical(y_test, num_classes)
    assert y_train.shape == (len(x_train), num_classes)

    model = keras.Sequential()
    model.add(keras.Input(shape=(64,)))
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(num_classes, activation="softmax"))
    model.summary()
    assert "26,122" in capsys.readouterr().out
    model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(), metrics=["accuracy"])
    history = model.fit(x_train, y_train, batch_size=batch_size, epochs=epochs, verbose=0, validation_split=0.1)
    score = model.evaluate(x_test, y_test, verbose=0)

    assert set(history.history) == {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert all(len(figures) == epochs for figures in history.history.values())
    assert history.epoch == list(range(epochs))
    assert len(score) == 2
    assert score[0] < 0.25
    assert score[1] > 0.95


def test_the_first_steps_on_images_and_class_numbers():
    (x_train, y_train), (x_test, y_test) = keras.datasets.digits.load_data()
    x_train, x_test = x_train / 16.0, x_test / 16.0

    model = keras.models.Sequential(
        [
            layers.Input(shape=(8, 8)),
            layers.Flatten(),
            layers.Dense(96, activation="relu"),
            layers.Dropout(0.1),
            layers.Dense(10),
        ]
    )
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss_fn, metrics=["accuracy"])
    assert model.predict(x_train[:1], verbose=0).shape == (1, 10)
    model.fit(x_train, y_train, epochs=15, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.95

    probability_model = keras.Sequential([model, layers.Softmax()])
    probabilities = probability_model.predict(x_test[:5], verbose=0)
    assert probabilities.shape == (5, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(x_test[:5], verbose=0).argmax(axis=1))
