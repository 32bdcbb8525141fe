"""Training and evaluation with losses, metrics, layers and callbacks of one's own."""

from __future__ import annotations

import numpy as np
import pytest

import nacre as keras
from nacre import layers, ops
from nacre.datasets import digits


def load():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train = x_train.reshape(-1, 64).astype("float32") / 16
    x_test = x_test.reshape(-1, 64).astype("float32") / 16
    return x_train[:-300], y_train[:-300], x_train[-300:], y_train[-300:], x_test, y_test


def get_uncompiled_model():
    inputs = keras.Input(shape=(64,), name="digits")
    x = layers.Dense(64, activation="relu", name="dense_1")(inputs)
    x = layers.Dense(64, activation="relu", name="dense_2")(x)
    outputs = layers.Dense(10, activation="softmax", name="predictions")(x)
    return keras.Model(inputs=inputs, outputs=outputs)


def get_compiled_model():
    model = get_uncompiled_model()
    model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"])
    return model


def test_from_compile_to_predict():
    x_train, y_train, x_val, y_val, x_test, y_test = load()
    model = get_uncompiled_model()
    model.compile(
        optimizer=keras.optimizers.RMSprop(),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy()],
    )
    history = model.fit(x_train, y_train, batch_size=64, epochs=12, validation_data=(x_val, y_val), verbose=0)
    figures = {"loss", "sparse_categorical_accuracy"}
    assert set(history.history) == figures | {f"val_{name}" for name in figures}
    loss, accuracy = model.evaluate(x_test, y_test, batch_size=128, verbose=0)
    assert loss < 0.4
    assert accuracy > 0.9
    assert model.predict(x_test[:3], verbose=0).shape == (3, 10)


def custom_mean_squared_error(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def test_a_loss_that_is_a_function():
    x_train, y_train, *_, x_test, y_test = load()
    model = get_uncompiled_model()
    model.compile(optimizer=keras.optimizers.Adam(), loss=custom_mean_squared_error, metrics=["accuracy"])
    y_train_one_hot = keras.utils.to_categorical(y_train, num_classes=10)
    model.fit(x_train, y_train_one_hot, batch_size=64, epochs=15, verbose=0)
    assert model.evaluate(x_test, keras.utils.to_categorical(y_test, 10), verbose=0)[1] > 0.9


class CustomMSE(keras.losses.Loss):
    def __init__(self, regularization_factor=0.1, name="custom_mse"):
        super().__init__(name=name)
        self.regularization_factor = regularization_factor

    def call(self, y_true, y_pred):
        mse = ops.mean(ops.square(y_true - y_pred), axis=-1)
        reg = ops.mean(ops.square(0.5 - y_pred), axis=-1)
        return mse + reg * self.regularization_factor


def test_a_loss_that_is_a_class_draws_its_outputs_to_the_middle():
    x_train, y_train, *_ = load()
    y_train_one_hot = keras.utils.to_categorical(y_train, num_classes=10)
    spreads = []
    for factor in (0.0, 5.0):
        keras.utils.set_random_seed(1)
        model = get_uncompiled_model()
        model.compile(optimizer=keras.optimizers.Adam(), loss=CustomMSE(factor))
        model.fit(x_train, y_train_one_hot, batch_size=64, epochs=4, verbose=0)
        spreads.append(float(model.predict(x_train, verbose=0).std()))
    assert spreads[1] < 0.5 * spreads[0]


def share_of_sure_outputs(y_true, y_pred):
    return ops.cast(ops.max(y_pred, axis=-1) > 0.9, "float32")


def test_a_metric_that_is_a_function():
    x_train, y_train, *_ = load()
    model = get_uncompiled_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", share_of_sure_outputs])
    history = model.fit(x_train, y_train, batch_size=64, epochs=10, verbose=0)
    sure = history.history["share_of_sure_outputs"]
    assert sure[0] < 0.1 < 0.5 < sure[-1]
    found = model.evaluate(x_train, y_train, verbose=0, return_dict=True)["share_of_sure_outputs"]
    assert found == pytest.approx(np.mean(model.predict(x_train, verbose=0).max(axis=-1) > 0.9), abs=2e-3)


class Linear(layers.Layer):
    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b


class Scale(layers.Layer):
    """Each feature times a number that starts at one; in training, a little is added."""

    def build(self, input_shape):
        self.gamma = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", regularizer=keras.regularizers.L2(1e-4), name="gamma"
        )

    def call(self, inputs, training=None):
        return inputs * self.gamma + (0.05 if training else 0.0)


def test_layers_of_ones_own():
    x_train, y_train, *_, x_test, y_test = load()
    model = keras.Sequential(
        [keras.Input((64,)), Linear(64), layers.ReLU(), Scale(), Linear(units=10, name="last"), layers.Softmax()]
    )
    assert model.count_params() == 64 * 64 + 64 + 64 + 64 * 10 + 10
    assert [w.shape for w in model.get_layer("last").weights] == [(64, 10), (10,)]
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, batch_size=32, epochs=15, verbose=0)
    assert model.evaluate(x_test, y_test, verbose=0)[1] > 0.9
    gamma = model.layers[2].get_weights()[0]
    assert gamma.shape == (64,)
    assert np.abs(gamma - 1).max() > 0.01


def test_weights_of_classes_and_of_samples_favor_a_class():
    x_train, y_train, *_ = load()
    class_weight = dict.fromkeys(range(10), 1.0) | {5: 20.0}
    sample_weight = np.ones(shape=(len(y_train),))
    sample_weight[y_train == 5] = 20.0

    def trained(**weights):
        keras.utils.set_random_seed(2)
        model = get_compiled_model()
        history = model.fit(x_train, y_train, batch_size=64, epochs=1, verbose=0, **weights)
        return history.history["loss"][0], np.mean(model.predict(x_train, verbose=0).argmax(axis=-1) == 5)

    plain, by_class, by_sample = (
        trained(),
        trained(class_weight=class_weight),
        trained(sample_weight=sample_weight),
    )
    assert by_class == pytest.approx(by_sample, rel=1e-4)
    assert by_class[0] > 1.5 * plain[0]
    assert by_class[1] > 1.5 * plain[1]


def test_weights_of_validation_rows_count_in_weighted_metrics_alone():
    x_train, y_train, x_val, y_val, *_ = load()
    keep = (y_val < 5).astype("float32")
    model = get_uncompiled_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=3, verbose=0, validation_data=(x_val, y_val, keep))
    right = model.predict(x_val, verbose=0).argmax(axis=-1) == y_val
    found = model.evaluate(x_val, y_val, sample_weight=keep, verbose=0)
    assert found[1] == pytest.approx(right.mean(), abs=1e-6)
    assert found[2] == pytest.approx(right[y_val < 5].mean(), abs=1e-6)


def get_two_headed_model():
    wide_input = keras.Input(shape=(32,), name="wide_input")
    series_input = keras.Input(shape=(20, 10), name="series_input")
    x1 = layers.Dense(16, activation="relu")(wide_input)
    x2 = layers.Flatten()(layers.Dense(3, activation="relu")(series_input))
    x = layers.concatenate([x1, x2])
    score_output = layers.Dense(1, name="score_output")(x)
    class_output = layers.Dense(5, name="class_output")(x)
    return keras.Model(inputs=[wide_input, series_input], outputs=[score_output, class_output])


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "in order"])
def test_data_for_several_inputs_and_outputs(by_name):
    model = get_two_headed_model()
    losses = [keras.losses.MeanSquaredError(), keras.losses.CategoricalCrossentropy(from_logits=True)]
    metrics = [
        [keras.metrics.MeanAbsolutePercentageError(), keras.metrics.MeanAbsoluteError()],
        [keras.metrics.CategoricalAccuracy()],
    ]
    names = ["score_output", "class_output"]
    if by_name:
        model.compile(
            optimizer=keras.optimizers.RMSprop(1e-3),
            loss=dict(zip(names, losses, strict=True)),
            metrics=dict(zip(names, metrics, strict=True)),
            loss_weights={"score_output": 2.0, "class_output": 1.0},
        )
    else:
        model.compile(keras.optimizers.RMSprop(1e-3), losses, metrics=metrics, loss_weights=[2.0, 1.0])

    rng = np.random.default_rng(0)
    wide_data, series_data = rng.random((100, 32)), rng.random((100, 20, 10))
    score_targets = rng.random((100, 1)) + 1
    class_targets = keras.utils.to_categorical(rng.integers(0, 5, 100), 5)
    if by_name:
        x = {"wide_input": wide_data, "series_input": series_data}
        y = {"score_output": score_targets, "class_output": class_targets}
    else:
        x, y = [wide_data, series_data], [score_targets, class_targets]
    history = model.fit(x, y, batch_size=32, epochs=3, verbose=0)
    assert set(history.history) == {
        *("loss", "score_output_loss", "class_output_loss", "score_output_mean_absolute_percentage_error"),
        *("score_output_mean_absolute_error", "class_output_categorical_accuracy"),
    }
    total = 2 * np.array(history.history["score_output_loss"]) + np.array(history.history["class_output_loss"])
    np.testing.assert_allclose(history.history["loss"], total, rtol=1e-4)
    assert history.history["loss"][-1] < history.history["loss"][0]


class LossHistory(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.per_batch_losses, self.epochs = [], []

    def on_batch_end(self, batch, logs):
        self.per_batch_losses.append(logs.get("loss"))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append((epoch, sorted(logs)))
        if logs["val_sparse_categorical_accuracy"] > 0.9:
            self.model.stop_training = True


def test_callbacks_stop_and_take_notes():
    x_train, y_train, x_val, y_val, *_ = load()
    model, notes = get_compiled_model(), LossHistory()
    history = model.fit(
        x_train, y_train, epochs=50, batch_size=64, callbacks=[notes], validation_data=(x_val, y_val), verbose=0
    )
    steps = -(-len(x_train) // 64)
    assert 1 < len(history.epoch) < 50
    assert len(notes.per_batch_losses) == steps * len(history.epoch)
    assert notes.per_batch_losses[-1] < notes.per_batch_losses[0]
    assert notes.epochs[0] == (
        0,
        ["loss", "sparse_categorical_accuracy", "val_loss", "val_sparse_categorical_accuracy"],
    )
    assert notes.params["epochs"] == 50
    assert notes.params["steps"] == steps


def test_training_stops_when_validation_does_not_get_better():
    x_train, y_train, *_ = load()
    model = get_compiled_model()
    callbacks = [
        keras.callbacks.EarlyStopping(
            monitor="val_loss",
            min_delta=1e-2,
            patience=2,
            verbose=0,
        )
    ]
    history = model.fit(
        x_train, y_train, epochs=200, batch_size=32, callbacks=callbacks, validation_split=0.2, verbose=0
    )
    losses = history.history["val_loss"]
    assert len(losses) < 200
    assert min(losses[-2:]) > min(losses[:-2]) - 1e-2


def test_rates_that_decay_and_rates_that_wait():
    x_train, y_train, x_val, y_val, *_ = load()
    lr_schedule = keras.optimizers.schedules.ExponentialDecay(
        initial_learning_rate=0.1, decay_steps=100, decay_rate=0.5, staircase=True
    )
    np.testing.assert_allclose([float(lr_schedule(step)) for step in (0, 99, 100, 250)], [0.1, 0.1, 0.05, 0.025])
    model = get_uncompiled_model()
    model.compile(keras.optimizers.SGD(learning_rate=lr_schedule), "sparse_categorical_crossentropy")
    history = model.fit(x_train, y_train, epochs=20, verbose=0)
    assert history.history["loss"][-1] < 0.25 * history.history["loss"][0]

    model = get_compiled_model()
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.2, patience=2, min_lr=1e-5)
    history = model.fit(
        x_train, y_train, epochs=30, batch_size=32, validation_data=(x_val, y_val), callbacks=[plateau], verbose=0
    )
    rates = history.history["learning_rate"]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] < rates[0]
    assert float(model.optimizer.learning_rate) == pytest.approx(rates[-1])


def test_a_rate_for_each_epoch_and_steps_by_hand():
    x_train, y_train, *_ = load()
    model = get_compiled_model()

    def scheduler(epoch, lr):
        return lr if epoch < 2 else lr * 0.5

    history = model.fit(
        x_train, y_train, epochs=4, callbacks=[keras.callbacks.LearningRateScheduler(scheduler)], verbose=0
    )
    np.testing.assert_allclose(history.history["learning_rate"], [1e-3, 1e-3, 5e-4, 2.5e-4], rtol=1e-6)

    loss, accuracy = model.train_on_batch(x_train[:64], y_train[:64])
    assert loss > 0
    assert 0 <= accuracy <= 1
    assert len(model.test_on_batch(x_train[:64], y_train[:64])) == 2
    assert model.predict_on_batch(x_train[:64]).shape == (64, 10)


def test_batches_out_of_a_generator():
    x_train, y_train, *_, x_test, y_test = load()

    def batches():
        rng = np.random.default_rng(0)
        while True:
            rows = rng.integers(0, len(x_train), 64)
            yield x_train[rows], y_train[rows]

    model = get_compiled_model()
    history = model.fit(batches(), epochs=10, steps_per_epoch=20, verbose=0, validation_data=(x_test, y_test))
    assert history.history["val_sparse_categorical_accuracy"][-1] > 0.85
