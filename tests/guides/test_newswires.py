"""Short documents of many topics, as bags of words."""

from __future__ import annotations

import numpy as np
import pytest

import nacre as keras
from nacre import layers

MAX_WORDS, TOPICS = 600, 46


def documents(count):
    """Lists of word numbers: a document takes half its words from what all topics share, half from a list of its topic's own."""
    rng = np.random.default_rng(11)
    own = rng.integers(0, MAX_WORDS, size=(TOPICS, 25))
    topics = rng.integers(0, TOPICS, size=count)
    lengths = rng.integers(15, 60, size=count)
    return [
        np.where(rng.random(n) < 0.5, rng.choice(own[topic], n), rng.integers(0, MAX_WORDS, n)).tolist()
        for topic, n in zip(topics, lengths, strict=True)
    ], topics


def multi_hot(sequences):
    rows = np.zeros((len(sequences), MAX_WORDS))
    for number, sequence in enumerate(sequences):
        rows[number, sequence] = 1.0
    return rows


def test_topics_of_newswires():
    texts, topics = documents(4000)
    x_train, x_test = multi_hot(texts[:3200]), multi_hot(texts[3200:])
    y_train, y_test = keras.utils.to_categorical(topics[:3200]), keras.utils.to_categorical(topics[3200:])
    x_val, partial_x_train = x_train[:600], x_train[600:]
    y_val, partial_y_train = y_train[:600], y_train[600:]

    model = keras.Sequential(
        [
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(TOPICS, activation="softmax"),
        ]
    )
    model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        partial_x_train, partial_y_train, epochs=8, batch_size=64, validation_data=(x_val, y_val), verbose=0
    )
    assert history.history["val_accuracy"][-1] > 0.9
    assert history.history["val_loss"][-1] < history.history["val_loss"][0]

    results = model.evaluate(x_test, y_test, verbose=0)
    by_chance = float(np.mean(topics[3200:] == np.random.default_rng(0).permutation(topics[3200:])))
    assert results[1] > 0.9 > by_chance

    predictions = model.predict(x_test, verbose=0)
    assert predictions.shape == (800, TOPICS)
    np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(predictions.argmax(axis=1) == topics[3200:]) == pytest.approx(results[1])


def test_the_words_encoded_by_a_layer_and_class_numbers_as_targets():
    texts, topics = documents(4000)
    encoder = layers.CategoryEncoding(num_tokens=MAX_WORDS, output_mode="multi_hot")
    x = np.concatenate([np.asarray(encoder(np.array([text]))) for text in texts])
    np.testing.assert_array_equal(x, multi_hot(texts))

    model = keras.Sequential([layers.Input((MAX_WORDS,)), layers.Dropout(0.3)])
    model.add(layers.Dense(128))
    model.add(layers.BatchNormalization())
    model.add(layers.Activation("relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(TOPICS))
    model.add(layers.Activation("softmax"))
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    model.fit(x, topics, batch_size=64, epochs=8, verbose=0, validation_split=0.2)
    top = keras.metrics.SparseTopKCategoricalAccuracy(k=3)
    top.update_state(topics[3200:], model.predict(x[3200:], verbose=0))
    assert float(top.result()) > 0.95
