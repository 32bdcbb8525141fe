"""Tables: columns of numbers are normalized, columns of words and codes are looked up and encoded."""

from __future__ import annotations

import numpy as np
import pytest

import nacre as keras
from nacre import layers


def cars(count=800):
    """What cars use, by cylinders, weight, power and origin."""
    rng = np.random.default_rng(8)
    cylinders = rng.choice([4, 6, 8], size=count)
    weight = 400 * cylinders + rng.normal(900, 200, count)
    power = 20 * cylinders + rng.normal(20, 10, count)
    origin = rng.choice(["Europe", "Japan", "USA"], size=count)
    mpg = 60 - 0.008 * weight - 0.05 * power + 3 * (origin == "Japan") + rng.normal(0, 0.5, count)
    return {"cylinders": cylinders, "weight": weight, "power": power, "origin": origin}, mpg


def test_a_regression_on_normalized_columns():
    columns, mpg = cars()
    origins = ["Europe", "Japan", "USA"]
    one_hot = (columns["origin"][:, None] == np.array(origins)).astype("float32")
    features = np.column_stack([columns["cylinders"], columns["weight"], columns["power"], one_hot]).astype("float32")
    train_features, test_features, train_labels, test_labels = features[:640], features[640:], mpg[:640], mpg[640:]

    normalizer = layers.Normalization(axis=-1)
    normalizer.adapt(np.array(train_features))
    normalized = np.asarray(normalizer(train_features))
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(normalized.std(axis=0), 1, atol=1e-3)

    results = {}
    linear_model = keras.Sequential([normalizer, layers.Dense(units=1)])
    linear_model.compile(optimizer=keras.optimizers.Adam(learning_rate=0.1), loss="mean_absolute_error")
    assert linear_model.predict(train_features[:10], verbose=0).shape == (10, 1)
    assert linear_model.layers[1].kernel.shape == (6, 1)
    history = linear_model.fit(train_features, train_labels, epochs=60, verbose=0, validation_split=0.2)
    assert set(history.history) == {"loss", "val_loss"}
    results["linear_model"] = linear_model.evaluate(test_features, test_labels, verbose=0)

    dnn_model = keras.Sequential(
        [normalizer, layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)]
    )
    dnn_model.compile(loss="mean_absolute_error", optimizer=keras.optimizers.Adam(0.001), metrics=["mse"])
    dnn_model.fit(train_features, train_labels, validation_split=0.2, verbose=0, epochs=80)
    results["dnn_model"] = dnn_model.evaluate(test_features, test_labels, verbose=0)[0]

    by_mean = np.abs(test_labels - train_labels.mean()).mean()
    assert results["linear_model"] < 0.2 * by_mean
    assert results["dnn_model"] < 0.3 * by_mean
    error = dnn_model.predict(test_features, verbose=0).flatten() - test_labels
    assert np.abs(error).mean() == pytest.approx(results["dnn_model"], rel=1e-4)


def test_house_prices_by_folds():
    rng = np.random.default_rng(2)
    data = rng.normal(size=(400, 13)) * rng.uniform(1, 300, 13) + rng.uniform(0, 50, 13)
    targets = 22 + (data - data.mean(axis=0)) / data.std(axis=0) @ rng.normal(size=13)
    mean = data.mean(axis=0)
    data -= mean
    std = data.std(axis=0)
    data /= std

    def build_model():
        model = keras.Sequential(
            [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)]
        )
        model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
        return model

    k = 4
    num_val_samples = len(data) // k
    all_mae = []
    for i in range(k):
        val_data = data[i * num_val_samples : (i + 1) * num_val_samples]
        val_targets = targets[i * num_val_samples : (i + 1) * num_val_samples]
        partial_train_data = np.concatenate([data[: i * num_val_samples], data[(i + 1) * num_val_samples :]], axis=0)
        partial_train_targets = np.concatenate(
            [targets[: i * num_val_samples], targets[(i + 1) * num_val_samples :]], axis=0
        )
        model = build_model()
        history = model.fit(
            partial_train_data,
            partial_train_targets,
            validation_data=(val_data, val_targets),
            epochs=40,
            batch_size=16,
            verbose=0,
        )
        all_mae.append(history.history["val_mae"][-1])
    assert np.mean(all_mae) < 0.7 * np.abs(targets - targets.mean()).mean()


def patients(count=1200):
    """Columns of patients, and who is ill."""
    rng = np.random.default_rng(6)
    columns = {
        "age": rng.uniform(30, 80, count),
        "pressure": rng.normal(130, 20, count),
        "sex": rng.integers(0, 2, count),
        "vessels": rng.integers(0, 4, count),
        "thal": rng.choice(["normal", "fixed", "reversible"], count),
    }
    risk = 0.1 * (columns["age"] - 55) + 0.02 * (columns["pressure"] - 130) + 1.5 * (columns["vessels"] - 1.5)
    risk = risk + 2.5 * (columns["thal"] == "reversible") - 1.0 * (columns["thal"] == "fixed") + 0.3 * columns["sex"]
    return columns, (risk + 0.5 * rng.normal(size=count) > 0).astype("int32")


def test_columns_of_all_kinds_are_encoded_and_joined():
    columns, target = patients()
    train, val = slice(0, 900), slice(900, None)

    def encode_numerical_feature(name):
        normalizer = layers.Normalization()
        normalizer.adapt(columns[name][train].reshape(-1, 1))
        return np.asarray(normalizer(columns[name].reshape(-1, 1)))

    def encode_categorical_feature(name, is_string):
        lookup_class = layers.StringLookup if is_string else layers.IntegerLookup
        lookup = lookup_class(output_mode="one_hot")
        lookup.adapt(columns[name][train])
        return np.asarray(lookup(columns[name].reshape(-1, 1)))

    encoded = {
        "age": encode_numerical_feature("age"),
        "pressure": encode_numerical_feature("pressure"),
        "sex": encode_categorical_feature("sex", False),
        "vessels": encode_categorical_feature("vessels", False),
        "thal": encode_categorical_feature("thal", True),
    }
    assert {name: values.shape[1] for name, values in encoded.items()} == {
        **{"age": 1, "pressure": 1},
        **{"sex": 3, "vessels": 5, "thal": 4},
    }
    inputs = {name: keras.Input(shape=values.shape[1:], name=name) for name, values in encoded.items()}
    all_features = layers.concatenate(list(inputs.values()))
    x = layers.Dense(32, activation="relu")(all_features)
    x = layers.Dropout(0.5)(x)
    output = layers.Dense(1, activation="sigmoid")(x)
    model = keras.Model(inputs, output)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(
        {name: values[train] for name, values in encoded.items()},
        target[train],
        epochs=40,
        validation_data=({name: values[val] for name, values in encoded.items()}, target[val]),
        verbose=0,
    )
    assert model.evaluate({name: values[val] for name, values in encoded.items()}, target[val], verbose=0)[1] > 0.85
    sample = {name: values[:1] for name, values in encoded.items()}
    assert 0 <= model.predict(sample, verbose=0)[0][0] <= 1


def test_codes_are_looked_up_inside_the_model(tmp_path):
    columns, target = patients()
    age_input, vessels_input = keras.Input(shape=(1,), name="age"), keras.Input(shape=(1,), name="vessels")
    normalizer = layers.Normalization()
    normalizer.adapt(columns["age"].reshape(-1, 1))
    lookup = layers.IntegerLookup(output_mode="int")
    lookup.adapt(columns["vessels"])
    encoder = layers.CategoryEncoding(num_tokens=lookup.vocabulary_size(), output_mode="one_hot")
    joined = layers.concatenate([normalizer(age_input), encoder(lookup(vessels_input))])
    output = layers.Dense(1, activation="sigmoid")(layers.Dense(16, activation="relu")(joined))
    model = keras.Model({"age": age_input, "vessels": vessels_input}, output)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    x = {"age": columns["age"].reshape(-1, 1), "vessels": columns["vessels"].reshape(-1, 1)}
    model.fit(x, target, epochs=30, verbose=0)
    assert model.evaluate(x, target, verbose=0)[1] > 0.75

    path = tmp_path / "heart.keras"
    model.save(path)
    again = keras.models.load_model(path)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_words_are_numbered_for_an_embedding():
    vocab = ["a", "b", "c", "d"]
    lookup = layers.StringLookup(vocabulary=vocab)
    data = np.array([["a", "c", "d"], ["d", "z", "b"]])
    np.testing.assert_array_equal(np.asarray(lookup(data)), [[1, 3, 4], [4, 0, 2]])
    inverse = layers.StringLookup(vocabulary=vocab, invert=True)
    assert np.asarray(inverse(lookup(data))).tolist() == [["a", "c", "d"], ["d", "[UNK]", "b"]]
    counts = layers.CategoryEncoding(num_tokens=5, output_mode="count")(lookup(data))
    np.testing.assert_array_equal(np.asarray(counts), [[0, 1, 0, 1, 1], [1, 0, 1, 0, 1]])

    model = keras.Sequential(
        [keras.Input((3,)), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(keras.optimizers.Adam(0.1), "binary_crossentropy")
    model.fit(lookup(data), np.array([0, 1]), epochs=60, verbose=0)
    assert model.predict(lookup(data), verbose=0)[:, 0].round().tolist() == [0, 1]


def test_bins_of_numbers():
    layer = layers.Discretization(bin_boundaries=[0.0, 1.0, 2.0])
    np.testing.assert_array_equal(np.asarray(layer(np.array([[-1.5, 1.0, 3.4, 0.5]]))), [[0, 2, 3, 1]])
    learned = layers.Discretization(num_bins=4, epsilon=0.01)
    learned.adapt(np.array([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, 0.0]]))
    assert np.asarray(learned(np.array([[-2.0, 3.5]]))).tolist() == [[0, 3]]
