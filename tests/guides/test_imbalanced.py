"""Fraud among many payments: the classes have weights, and are counted by themselves."""

from __future__ import annotations

import numpy as np
import pytest

import nacre as keras
from nacre import layers


def payments(count):
    """Features of payments, and whether they are fraud, (count, 1): one in a hundred is, and lies aside from the others."""
    rng = np.random.default_rng(5)
    fraud = (rng.random(count) < 0.01).astype("uint8")
    features = rng.normal(size=(count, 12)) * 30 + 70
    features[:, :4] += 60.0 * fraud[:, None]
    return features.astype("float32"), fraud[:, None]


def test_fraud_is_found_though_it_is_rare(tmp_path):
    features, targets = payments(20_000)
    num_val_samples = int(len(features) * 0.2)
    train_features, train_targets = features[:-num_val_samples], targets[:-num_val_samples]
    val_features, val_targets = features[-num_val_samples:], targets[-num_val_samples:]

    counts = np.bincount(train_targets[:, 0])
    weight_for_0, weight_for_1 = 1.0 / counts[0], 1.0 / counts[1]
    assert counts[1] / len(train_targets) < 0.02

    mean = np.mean(train_features, axis=0)
    train_features -= mean
    val_features -= mean
    std = np.std(train_features, axis=0)
    train_features /= std
    val_features /= std

    model = keras.Sequential(
        [
            keras.Input(shape=train_features.shape[1:]),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    metrics = [
        keras.metrics.FalseNegatives(name="fn"),
        keras.metrics.FalsePositives(name="fp"),
        keras.metrics.TrueNegatives(name="tn"),
        keras.metrics.TruePositives(name="tp"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
    ]
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="binary_crossentropy", metrics=metrics)
    callbacks = [keras.callbacks.ModelCheckpoint(str(tmp_path / "fraud_model_at_epoch_{epoch}.keras"))]
    history = model.fit(
        train_features,
        train_targets,
        batch_size=2048,
        epochs=10,
        verbose=0,
        callbacks=callbacks,
        validation_data=(val_features, val_targets),
        class_weight={0: weight_for_0, 1: weight_for_1},
    )

    names = ["loss", "fn", "fp", "tn", "tp", "precision", "recall"]
    assert set(history.history) == {*names, *(f"val_{name}" for name in names)}
    last = {name: figures[-1] for name, figures in history.history.items()}
    assert last["val_fn"] + last["val_fp"] + last["val_tn"] + last["val_tp"] == num_val_samples
    assert last["val_fn"] + last["val_tp"] == val_targets.sum()
    assert last["val_recall"] == pytest.approx(last["val_tp"] / val_targets.sum())
    assert last["val_recall"] > 0.8
    assert last["val_fp"] < 0.05 * num_val_samples

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"fraud_model_at_epoch_{n}.keras" for n in range(1, 11)
    )
    again = keras.models.load_model(tmp_path / "fraud_model_at_epoch_10.keras")
    found = again.evaluate(val_features, val_targets, verbose=0, return_dict=True)
    assert found["fp"] == last["val_fp"]
    assert found["recall"] == pytest.approx(last["val_recall"])


def test_the_bias_of_the_last_layer_starts_at_the_odds_and_the_best_area_under_the_curve_is_kept(tmp_path):
    features, targets = payments(12_000)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    positive, total = int(targets.sum()), len(targets)
    initial_bias = np.log([positive / (total - positive)])

    model = keras.Sequential()
    model.add(keras.Input((12,)))
    model.add(layers.Dense(16, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(
        layers.Dense(1, activation="sigmoid", bias_initializer=keras.initializers.Constant(float(initial_bias[0])))
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=1e-3),
        loss=keras.losses.BinaryCrossentropy(),
        metrics=["accuracy", keras.metrics.AUC(name="auc"), keras.metrics.AUC(name="prc", curve="PR")],
    )
    expected = -(positive * np.log(positive / total) + (total - positive) * np.log(1 - positive / total)) / total
    untrained = model.evaluate(features, targets, batch_size=2048, verbose=0, return_dict=True)
    assert untrained["loss"] < 4 * expected  # that of a bias of zero is twelve times as much

    best = keras.callbacks.ModelCheckpoint(
        tmp_path / "best.keras", monitor="val_prc", mode="max", save_best_only=True, verbose=0
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_prc", patience=10, mode="max", restore_best_weights=True)
    history = model.fit(
        features, targets, batch_size=256, epochs=15, callbacks=[best, stop], validation_split=0.25, verbose=0
    )
    found = keras.models.load_model(tmp_path / "best.keras").evaluate(
        features[-3000:], targets[-3000:], verbose=0, return_dict=True
    )
    assert found["prc"] == pytest.approx(max(history.history["val_prc"]), abs=1e-3)
    assert found["auc"] > 0.95
