"""Graphs of layers: shared ones, models as layers, several inputs and outputs."""

from __future__ import annotations

import numpy as np
import pytest

import nacre as keras
from nacre import layers, ops
from nacre.datasets import digits


def test_the_first_functional_model(capsys, tmp_path):
    inputs = keras.Input(shape=(64,), name="img")
    assert inputs.shape == (None, 64)
    assert inputs.dtype == "float32"
    dense = layers.Dense(64, activation="relu")
    x = dense(inputs)
    x = layers.Dense(64, activation="relu")(x)
    outputs = layers.Dense(10)(x)
    model = keras.Model(inputs=inputs, outputs=outputs, name="digits_model")
    model.summary()
    said = capsys.readouterr().out
    assert all(word in said for word in ("digits_model", "dense_2", "8,970"))
    assert len(model.layers) >= 3

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train = x_train.reshape(-1, 64).astype("float32") / 16
    x_test = x_test.reshape(-1, 64).astype("float32") / 16
    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.RMSprop(),
        metrics=["accuracy"],
    )
    history = model.fit(x_train, y_train, batch_size=64, epochs=20, validation_split=0.2, verbose=0)
    assert history.history["val_accuracy"][-1] > 0.9
    test_scores = model.evaluate(x_test, y_test, verbose=0)
    assert test_scores[1] > 0.9

    path = tmp_path / "my_model.keras"
    model.save(path)
    del model
    model = keras.models.load_model(path)
    assert model.name == "digits_model"
    np.testing.assert_allclose(model.evaluate(x_test, y_test, verbose=0), test_scores, rtol=1e-6)


def test_an_autoencoder_chained_of_two_models_that_keep_their_weights():
    (x_train, _), (x_test, _) = digits.load_data()
    x_train, x_test = x_train.reshape(-1, 64) / 16.0, x_test.reshape(-1, 64) / 16.0

    encoder_input = keras.Input(shape=(64,), name="original_img")
    x = layers.Dense(32, activation="relu", name="encoder_hidden")(encoder_input)
    encoder_output = layers.Dense(16, activation="relu", name="code")(x)
    encoder = keras.Model(encoder_input, encoder_output, name="encoder")

    decoder_input = keras.Input(shape=(16,), name="encoded_img")
    x = layers.Dense(32, activation="relu", name="decoder_hidden")(decoder_input)
    decoder_output = layers.Dense(64, activation="sigmoid", name="image")(x)
    decoder = keras.Model(decoder_input, decoder_output, name="decoder")

    autoencoder_input = keras.Input(shape=(64,), name="img")
    encoded_img = encoder(autoencoder_input)
    assert encoded_img.shape == (None, 16)
    decoded_img = decoder(encoded_img)
    autoencoder = keras.Model(autoencoder_input, decoded_img, name="autoencoder")
    assert autoencoder.count_params() == encoder.count_params() + decoder.count_params()

    autoencoder.compile(optimizer="adam", loss="mse")
    autoencoder.fit(
        x_train, x_train, epochs=60, batch_size=64, shuffle=True, validation_data=(x_test, x_test), verbose=0
    )
    assert autoencoder.evaluate(x_test, x_test, verbose=0) < 0.4 * np.mean((x_test - x_train.mean(axis=0)) ** 2)

    # What was trained as a whole is there in the parts.
    codes = encoder.predict(x_test, verbose=0)
    assert codes.shape == (len(x_test), 16)
    np.testing.assert_allclose(
        decoder.predict(codes, verbose=0), autoencoder.predict(x_test, verbose=0), rtol=1e-5, atol=1e-6
    )


def test_one_stack_of_layers_is_two_models():
    inputs = keras.Input(shape=(20,))
    encoded = layers.Dense(4, activation="tanh")(layers.Dense(10, activation="relu")(inputs))
    encoder = keras.Model(inputs, encoded, name="encoder")
    outputs = layers.Dense(20)(layers.Dense(10, activation="relu")(encoded))
    autoencoder = keras.Model(inputs, outputs, name="autoencoder")

    x = np.random.default_rng(0).normal(size=(256, 4)) @ np.random.default_rng(1).normal(size=(4, 20))
    before = encoder.predict(x, verbose=0)
    autoencoder.compile("adam", "mse")
    autoencoder.fit(x, x, epochs=3, verbose=0)
    assert np.abs(encoder.predict(x, verbose=0) - before).max() > 1e-3


def get_model(number):
    inputs = keras.Input(shape=(128,))
    outputs = layers.Dense(1, name=f"opinion_{number}")(inputs)
    return keras.Model(inputs, outputs)


def test_an_ensemble_gives_the_mean_of_its_models():
    model1, model2, model3 = get_model(1), get_model(2), get_model(3)
    inputs = keras.Input(shape=(128,))
    y1, y2, y3 = model1(inputs), model2(inputs), model3(inputs)
    outputs = layers.average([y1, y2, y3])
    ensemble_model = keras.Model(inputs=inputs, outputs=outputs)

    x = np.random.default_rng(3).normal(size=(10, 128))
    each = [model.predict(x, verbose=0) for model in (model1, model2, model3)]
    assert not np.allclose(each[0], each[1])
    np.testing.assert_allclose(ensemble_model.predict(x, verbose=0), np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
    assert len(ensemble_model.trainable_weights) == 6


def test_tickets_with_several_inputs_and_outputs(tmp_path):
    num_tags, num_words, num_departments, count = 12, 200, 4, 640
    title_input = keras.Input(shape=(num_words,), name="title")
    body_input = keras.Input(shape=(num_words,), name="body")
    tags_input = keras.Input(shape=(num_tags,), name="tags")
    title_features = layers.Dense(64, activation="relu")(title_input)
    body_features = layers.Dense(32, activation="relu")(body_input)
    x = layers.concatenate([title_features, body_features, tags_input])
    priority_pred = layers.Dense(1, name="priority")(x)
    department_pred = layers.Dense(num_departments, name="department")(x)
    model = keras.Model(
        inputs=[title_input, body_input, tags_input],
        outputs={"priority": priority_pred, "department": department_pred},
    )
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 1.0, "department": 0.2},
        metrics={"department": ["accuracy"]},
    )

    rng = np.random.default_rng(0)
    title_data = rng.integers(2, size=(count, num_words)).astype("float32")
    body_data = rng.integers(2, size=(count, num_words)).astype("float32")
    tags_data = rng.integers(2, size=(count, num_tags)).astype("float32")
    departments = (title_data @ rng.normal(size=(num_words, num_departments))).argmax(axis=-1)
    priority_targets = tags_data[:, :1]
    dept_targets = keras.utils.to_categorical(departments, num_departments)

    history = model.fit(
        {"title": title_data, "body": body_data, "tags": tags_data},
        {"priority": priority_targets, "department": dept_targets},
        epochs=20,
        batch_size=32,
        verbose=0,
    )
    assert set(history.history) == {"loss", "priority_loss", "department_loss", "department_accuracy"}
    figures = {name: values[-1] for name, values in history.history.items()}
    assert figures["loss"] == pytest.approx(figures["priority_loss"] + 0.2 * figures["department_loss"], rel=1e-4)
    assert figures["department_accuracy"] > 0.9

    given = {"title": title_data, "body": body_data, "tags": tags_data}
    found = model.predict(given, verbose=0)
    assert {name: values.shape for name, values in found.items()} == {"priority": (count, 1), "department": (count, 4)}
    assert np.mean((found["priority"] > 0) == priority_targets) > 0.9

    model.save(tmp_path / "tickets.keras")
    again = keras.models.load_model(tmp_path / "tickets.keras").predict([title_data, body_data, tags_data], verbose=0)
    np.testing.assert_allclose(again["department"], found["department"], rtol=1e-5)


def test_outputs_in_a_list_go_by_the_names_of_their_layers():
    first, second = keras.Input(shape=(6,), name="first"), keras.Input(shape=(3,), name="second")
    joined = layers.Concatenate()([first, second])
    score, kind = layers.Dense(1, name="score")(joined), layers.Dense(5, activation="softmax", name="kind")(joined)
    model = keras.Model([first, second], [score, kind])
    model.compile(
        optimizer="adam",
        loss=["mse", "sparse_categorical_crossentropy"],
        loss_weights=[0.5, 1.0],
        metrics=[["mae"], ["accuracy"]],
    )
    rng = np.random.default_rng(1)
    x1, x2 = rng.normal(size=(100, 6)), rng.normal(size=(100, 3))
    y1, y2 = rng.normal(size=(100, 1)), rng.integers(0, 5, size=(100,))
    history = model.fit([x1, x2], [y1, y2], batch_size=20, epochs=2, validation_data=([x1, x2], [y1, y2]), verbose=0)
    each = {"loss", "score_loss", "kind_loss", "score_mae", "kind_accuracy"}
    assert set(history.history) == each | {f"val_{name}" for name in each}
    assert set(model.evaluate([x1, x2], [y1, y2], return_dict=True, verbose=0)) == each
    assert [values.shape for values in model.predict([x1, x2], verbose=0)] == [(100, 1), (100, 5)]


def test_a_residual_network_of_dense_blocks():
    inputs = keras.Input(shape=(64,), name="img")
    x = layers.Dense(32, activation="relu")(inputs)
    block_1_output = layers.Dense(32, activation="relu")(x)
    x = layers.Dense(32, activation="relu")(block_1_output)
    x = layers.Dense(32)(x)
    block_2_output = layers.add([x, block_1_output])
    x = layers.LayerNormalization()(block_2_output)
    x = layers.Dense(32, activation="relu")(x)
    block_3_output = layers.Add(name="join")([x, block_2_output])
    x = layers.Dropout(0.2)(block_3_output)
    outputs = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs, outputs, name="toy_resnet")
    assert model.get_layer("join").count_params() == 0

    (x_train, y_train), (x_test, y_test) = digits.load_data()
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["acc"])
    history = model.fit(
        x_train.reshape(-1, 64) / 16, y_train, batch_size=64, epochs=20, validation_split=0.2, verbose=0
    )
    assert set(history.history) == {"loss", "acc", "val_loss", "val_acc"}
    assert model.evaluate(x_test.reshape(-1, 64) / 16, y_test, verbose=0)[1] > 0.93


def test_a_shared_embedding_and_a_shared_tower():
    shared_embedding = layers.Embedding(100, 8)
    tower = keras.Sequential([keras.Input((6, 8)), layers.Flatten(), layers.Dense(16, activation="tanh")])
    text_input_a, text_input_b = keras.Input(shape=(6,), name="a"), keras.Input(shape=(6,), name="b")
    a, b = tower(shared_embedding(text_input_a)), tower(shared_embedding(text_input_b))
    distance = ops.sqrt(ops.sum(ops.square(a - b), axis=-1, keepdims=True) + 1e-7)
    model = keras.Model([text_input_a, text_input_b], layers.Dense(1, activation="sigmoid")(distance))
    assert model.count_params() == 100 * 8 + 48 * 16 + 16 + 2

    rng = np.random.default_rng(4)
    texts_a = rng.integers(0, 100, size=(600, 6))
    same = rng.integers(0, 2, size=600)
    texts_b = np.where(same[:, None] == 1, texts_a, rng.integers(0, 100, size=(600, 6)))
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit([texts_a, texts_b], same, epochs=25, verbose=0)
    assert model.evaluate([texts_a, texts_b], same, verbose=0)[1] > 0.95
    shift = model.predict([texts_a, texts_b], verbose=0) - model.predict([texts_b, texts_a], verbose=0)
    np.testing.assert_allclose(shift, 0, atol=1e-6)
