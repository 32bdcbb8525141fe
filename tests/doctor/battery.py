"""Runs with a planted fault, and healthy ones. Each gives a compiled model and what `fit` is told."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import nacre
from nacre.layers import (
    Activation,
    Add,
    BatchNormalization,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNormalization,
    Normalization,
    Rescaling,
    Residual,
)
from nacre.optimizers import SGD, Adam, RMSprop

LABELS = "sparse_categorical_crossentropy"


@dataclass(frozen=True)
class Planted:
    """A run, and names of findings of which any is right; none if it is healthy."""

    name: str
    make: Callable[[], tuple[nacre.Model, dict[str, Any]]]
    expected: tuple[str, ...] = ()


FAULTS: list[Planted] = []
HEALTHY: list[Planted] = []


def fault(*expected: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def add(make: Callable[[], Any]) -> Callable[[], Any]:
        FAULTS.append(Planted(make.__name__, make, expected))
        return make

    return add


def healthy(make: Callable[[], Any]) -> Callable[[], Any]:
    HEALTHY.append(Planted(make.__name__, make))
    return make


# ------------------------------------------------------------------ data


def digits(count: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    (x, y), _ = nacre.datasets.digits.load_data()
    return x[:count].reshape(len(x[:count]), -1).astype("float32") / x.max(), y[:count].astype("int64")


def blobs(count: int = 1000, features: int = 10, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, count)
    return (random.normal(size=(classes, features))[y] * 1.5 + random.normal(size=(count, features))).astype(
        "float32"
    ), y


def circles(count: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-1.5, 1.5, (count, 2))
    return x.astype("float32"), (np.hypot(*x.T) < 0.85).astype("int64")


def houses(count: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 8))
    y = x[:, 0] + np.sin(2 * x[:, 1]) + 0.5 * x[:, 2] * x[:, 3] + 0.1 * random.normal(size=count)
    return x.astype("float32"), y.astype("float32")


def mlp(
    features: int, *widths: int, classes: int = 10, activation: str = "relu", out: str = "softmax", **dense: Any
) -> list[Any]:
    return [
        nacre.Input((features,)),
        *(Dense(w, activation, **dense) for w in widths),
        Dense(classes, out),
    ]


def run(
    layers: list[Any], data: tuple[np.ndarray, np.ndarray], optimizer: Any = "adam", loss: Any = LABELS, **fit: Any
) -> Any:
    nacre.utils.set_random_seed(7)
    model = nacre.Sequential(layers)
    with warnings.catch_warnings():  # of some of these faults, compile warns already
        warnings.simplefilter("ignore")
        model.compile(optimizer, loss)
    return model, {"x": data[0], "y": data[1], **fit}


def fresh(make: Callable[[], Any]) -> Any:
    """Layers are made behind the seed."""
    nacre.utils.set_random_seed(7)
    return make()


# ------------------------------------------------------------------ faults of data


@fault("unscaled inputs")
def pixels_as_bytes() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x * 255, y), SGD(0.1))


@fault("unscaled inputs")
def columns_on_different_scales() -> Any:
    x, y = blobs()
    return run(mlp(10, 32, classes=3), ((x * 10.0 ** np.arange(-4, 6)).astype("float32"), y), SGD(0.05))


@fault("unscaled inputs")
def scaled_twice() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x / 255, y), SGD(0.1), epochs=15)


@fault("outliers")
def a_few_broken_rows() -> Any:
    x, y = houses()
    x = x.copy()
    x[::150] *= 3000
    return run(mlp(8, 32, classes=1, out="linear"), (x, y), SGD(0.01), "mse")


@fault("sorted labels")
def sorted_and_not_shuffled() -> Any:
    x, y = digits()
    order = np.argsort(y, kind="stable")
    return run(mlp(64, 64), (x[order], y[order]), SGD(0.1), shuffle=False, validation_data=(x[::7], y[::7]))


@fault("missing classes", "sorted labels")
def sorted_and_split_off() -> Any:
    x, y = digits()
    order = np.argsort(y, kind="stable")
    return run(mlp(64, 64), (x[order], y[order]), "adam", validation_split=0.2)


@fault("class imbalance")
def one_in_forty() -> Any:
    random = np.random.default_rng(0)
    y = (random.random(2000) < 0.025).astype(int)
    x = (random.normal(size=(2000, 6)) + 1.2 * y[:, None] * np.array([1, 1, 0, 0, 0, 0])).astype("float32")
    return run(mlp(6, 16, classes=2), (x, y), "adam", epochs=10)


@fault("conflicting labels")
def rows_are_there_again_with_another_label() -> Any:
    x, y = blobs(1000)
    again = np.random.default_rng(0).permutation(1000)[:400]
    x, y = np.concatenate([x, x[again]]), np.concatenate([y, (y[again] + 1) % 3])
    order = np.random.default_rng(1).permutation(len(x))
    return run(mlp(10, 32, classes=3), (x[order], y[order]), "adam")


@fault("leakage")
def validated_on_rows_trained_on() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x, y), "adam", validation_data=(x[:300], y[:300]), epochs=10)


@fault("validation data differ")
def validation_not_scaled() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x[:900], y[:900]), "adam", validation_data=(x[900:] * 255, y[900:]), epochs=10)


@fault("unscaled targets")
def prices_in_dollars() -> Any:
    x, y = houses()
    return run(mlp(8, 32, classes=1, out="linear"), (x, y * 60_000 + 250_000), SGD(0.01), "mse")


@fault("memorizing", "no signal")
def labels_mixed_up() -> Any:
    x, y = digits(600)
    return run(mlp(64, 256), (x, np.random.default_rng(0).permutation(y)), "adam", epochs=40)


# ------------------------------------------------------------------ faults of construction


@fault("vanishing gradient")
def a_wide_softmax_inside() -> Any:
    return run(
        [nacre.Input((64,)), Dense(500), Activation("softmax"), Dense(10), Activation("softmax")], digits(), "sgd"
    )


@fault("missing non-linearity")
def forgotten_activation() -> Any:
    return run([nacre.Input((2,)), Dense(32), Dense(32), Dense(2, "softmax")], circles())


@fault("softmax applied twice")
def softmax_and_logits() -> Any:
    loss = nacre.losses.SparseCategoricalCrossentropy(from_logits=True)
    return run(mlp(64, 64), digits(), "sgd", loss)


@fault("softmax applied twice")
def two_softmaxes() -> Any:
    return run([nacre.Input((64,)), Dense(64, "relu"), Dense(10, "softmax"), Activation("softmax")], digits(), "sgd")


@fault("wrong loss for the output")
def scores_for_probabilities() -> Any:
    return run(mlp(64, 64, out="linear"), digits(), "sgd")


@fault("wrong loss for the output")
def sigmoids_for_classes() -> Any:
    return run(mlp(64, 64, out="sigmoid"), digits(), SGD(0.05), epochs=10)


@fault("softmax of one unit")
def softmax_of_one() -> Any:
    x, y = circles()
    return run(mlp(2, 32, classes=1), (x, y), "adam", "binary_crossentropy")


@fault("wrong output activation")
def relu_over_negative_targets() -> Any:
    return run(mlp(8, 32, classes=1, out="relu"), houses(), "adam", "mse")


@fault("step activation")
def step_units() -> Any:
    return run(mlp(2, 32, classes=2, activation="step"), circles())


@fault("wrong loss for the output")
def squared_error_for_classes() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x, np.eye(10)[y]), SGD(0.1), "mse", epochs=10)


@fault("under-fitting")
def a_line_for_circles() -> Any:
    return run(mlp(2, classes=2), circles())


@fault("under-fitting")
def a_narrow_neck() -> Any:
    return run(mlp(64, 64, 1, 64), digits(), "adam", epochs=10)


# ------------------------------------------------------------------ faults of the beginning, and of the flow


@fault("symmetric weights")
def zeros_everywhere() -> Any:
    return run(mlp(64, 64, kernel_initializer="zeros"), digits())


@fault("saturated units", "exploding signal")
def large_weights_of_tanh() -> Any:
    return run(
        mlp(64, 64, 64, activation="tanh", kernel_initializer=nacre.initializers.RandomNormal(stddev=3.0)),
        digits(),
        "sgd",
    )


@fault("vanishing gradient")
def deep_sigmoids() -> Any:
    return run(mlp(64, *[64] * 8, activation="sigmoid"), digits(), SGD(0.1))


@fault("vanishing signal", "vanishing gradient")
def deep_relu_with_small_weights() -> Any:
    return run(
        mlp(64, *[64] * 14, kernel_initializer=nacre.initializers.RandomNormal(stddev=0.05)), digits(), SGD(0.05)
    )


@fault("exploding signal", "exploding gradient")
def deep_relu_with_large_weights() -> Any:
    return run(mlp(64, *[64] * 8, kernel_initializer=nacre.initializers.RandomNormal(stddev=0.5)), digits(), SGD(0.01))


@fault("dead ReLU")
def negative_biases() -> Any:
    return run(mlp(64, 64, 64, bias_initializer=nacre.initializers.Constant(-6.0)), digits(), SGD(0.05))


# ------------------------------------------------------------------ faults of the optimization


@fault("learning rate too large")
def rate_far_too_large() -> Any:
    return run(mlp(64, 64), digits(), SGD(20.0))


@fault("learning rate too large")
def adam_at_one() -> Any:
    return run(mlp(64, 64, 64), digits(), Adam(0.5))


@fault("learning rate too small")
def rate_far_too_small() -> Any:
    return run(mlp(64, 64), digits(), SGD(1e-5), epochs=20)


@fault("batch too large", "learning rate too small")
def one_batch_of_all() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.1), batch_size=960, epochs=20)


@fault("clipping too tight")
def clipped_to_nothing() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.1, clipnorm=1e-4), epochs=15)


@fault("regularization too strong")
def heavy_penalty() -> Any:
    return run(mlp(64, 64, kernel_regularizer=nacre.regularizers.L2(1.0)), digits(), "adam", epochs=15)


@fault("learning rate falls too early")
def decays_at_once() -> Any:
    rate = nacre.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    return run(mlp(64, 64), digits(), SGD(rate), epochs=15)


@fault("frozen layers")
def forgotten_to_thaw() -> Any:
    layers = [nacre.Input((64,)), Dense(8, "relu", trainable=False), Dense(10, "softmax")]
    return run(layers, digits(), "adam", epochs=15)


@fault("dropout too strong")
def drops_nearly_all() -> Any:
    layers = [
        nacre.Input((64,)),
        Dense(32, "relu"),
        Dropout(0.95),
        Dense(32, "relu"),
        Dropout(0.95),
        Dense(10, "softmax"),
    ]
    return run(layers, digits(), "adam", epochs=15)


@fault("over-fitting", "memorizing")
def too_many_weights_for_few_rows() -> Any:
    x, y = blobs(120, features=30, classes=2, seed=3)
    random = np.random.default_rng(1)
    x = (0.25 * x + random.normal(size=x.shape)).astype("float32")
    return run(mlp(30, 256, 256, classes=2), (x, y), "adam", epochs=100)


@fault("batch too small")
def normalized_batches_of_one() -> Any:
    layers = [nacre.Input((64,)), Dense(32), BatchNormalization(), Activation("relu"), Dense(10, "softmax")]
    return run(layers, digits(800), SGD(0.05), batch_size=1, epochs=10)


@fault("momentum too large")
def momentum_of_nearly_one() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.1, momentum=0.999), epochs=10)


# ------------------------------------------------------------------ healthy runs


@healthy
def digits_adam() -> Any:
    return run(mlp(64, 64), digits(), "adam", epochs=10)


@healthy
def digits_sgd() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.1), epochs=15)


@healthy
def digits_sgd_default_rate() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.01, momentum=0.9), epochs=15)


@healthy
def digits_linear() -> Any:
    return run(mlp(64), digits(), "adam", epochs=20)


@healthy
def digits_tanh() -> Any:
    return run(mlp(64, 64, 32, activation="tanh"), digits(), "adam", epochs=10)


@healthy
def digits_one_sigmoid_layer() -> Any:
    return run(mlp(64, 64, activation="sigmoid"), digits(), SGD(0.5), epochs=20)


@healthy
def digits_deep_relu() -> Any:
    return run(mlp(64, *[64] * 4, kernel_initializer="he_normal"), digits(), "adam", epochs=10)


@healthy
def digits_dropout() -> Any:
    layers = [
        nacre.Input((64,)),
        Dense(128, "relu"),
        Dropout(0.5),
        Dense(64, "relu"),
        Dropout(0.3),
        Dense(10, "softmax"),
    ]
    return run(layers, digits(), "adam", epochs=15)


@healthy
def digits_batch_normalization() -> Any:
    layers = [nacre.Input((64,)), Dense(64), BatchNormalization(), Activation("relu"), Dense(10, "softmax")]
    return run(layers, digits(), SGD(0.1), epochs=10)


@healthy
def digits_logits() -> Any:
    loss = nacre.losses.SparseCategoricalCrossentropy(from_logits=True)
    return run(mlp(64, 64, out="linear"), digits(), "adam", loss, epochs=10)


@healthy
def digits_one_hot() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x, np.eye(10, dtype="float32")[y]), "adam", "categorical_crossentropy", epochs=10)


@healthy
def digits_as_pictures_scaled_inside() -> Any:
    x, y = digits()
    layers = [nacre.Input((8, 8)), Rescaling(1 / 255), Flatten(), Dense(64, "relu"), Dense(10, "softmax")]
    return run(layers, ((x.reshape(-1, 8, 8) * 255).astype("uint8"), y), "adam", epochs=10)


@healthy
def digits_rmsprop_gelu() -> Any:
    return run(mlp(64, 64, 64, activation="gelu"), digits(), RMSprop(0.001), epochs=10)


@healthy
def digits_l2() -> Any:
    return run(mlp(64, 64, kernel_regularizer="l2"), digits(), "adam", epochs=10)


@healthy
def digits_schedule() -> Any:
    return run(mlp(64, 64), digits(), SGD(nacre.optimizers.schedules.CosineDecay(0.2, 600)), epochs=15)


@healthy
def digits_residual() -> Any:
    nacre.utils.set_random_seed(7)
    blocks = [Residual([LayerNormalization(), Dense(64, "relu"), Dense(64)]) for _ in range(6)]
    return run([nacre.Input((64,)), *blocks, Dense(10, "softmax")], digits(), "adam", epochs=8)


@healthy
def digits_clipped() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.1, global_clipnorm=1.0), epochs=15)


@healthy
def digits_functional_branches() -> Any:
    nacre.utils.set_random_seed(7)
    x = nacre.Input((64,))
    a, b = Dense(32, "relu")(x), Dense(32, "tanh")(x)
    model = nacre.Model(x, Dense(10, "softmax")(Add()([a, b])))
    model.compile("adam", LABELS)
    images, labels = digits()
    return model, {"x": images, "y": labels, "epochs": 10}


@healthy
def digits_validated() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x[:900], y[:900]), "adam", validation_data=(x[900:], y[900:]), epochs=10)


@healthy
def digits_large_batch_enough_epochs() -> Any:
    return run(mlp(64, 64), digits(), Adam(0.003), batch_size=128, epochs=30)


@healthy
def already_trained() -> Any:
    model, fit = run(mlp(64, 64), digits(), "adam", epochs=10)
    model.fit(**fit, verbose=0)
    return model, fit


@healthy
def blobs_softmax() -> Any:
    return run(mlp(10, 16, classes=3), blobs(), "adam", epochs=20)


@healthy
def blobs_a_little_unbalanced() -> Any:
    x, y = blobs(1500)
    keep = (y > 0) | (np.arange(1500) % 3 == 0)
    return run(mlp(10, 16, classes=3), (x[keep], y[keep]), "adam", epochs=20)


@healthy
def blobs_noisy() -> Any:
    x, y = blobs(2000, seed=2)
    x = (0.3 * x + np.random.default_rng(5).normal(size=x.shape)).astype("float32")
    return run(mlp(10, 8, classes=3), (x, y), "adam", epochs=10)


@healthy
def circles_sigmoid() -> Any:
    return run(mlp(2, 32, classes=1, out="sigmoid"), circles(), Adam(0.01), "binary_crossentropy", epochs=30)


@healthy
def circles_two_layers() -> Any:
    return run(mlp(2, 16, 16, classes=2), circles(2000), Adam(0.01), epochs=20)


@healthy
def houses_mse() -> Any:
    return run(mlp(8, 64, 32, classes=1, out="linear"), houses(2000), "adam", "mse", epochs=20)


@healthy
def houses_mae_normalized_inside() -> Any:
    x, y = houses(2000)
    x = x * np.array([1, 10, 100, 1, 1, 50, 1, 1], dtype="float32") + 20
    normalize = Normalization()
    normalize.adapt(x)
    layers = [nacre.Input((8,)), normalize, Dense(64, "relu"), Dense(1)]
    return run(layers, (x, y), Adam(0.003), "mae", epochs=20)


@healthy
def houses_line() -> Any:
    random = np.random.default_rng(0)
    x = random.normal(size=(800, 5)).astype("float32")
    return run([nacre.Input((5,)), Dense(1)], (x, x @ np.array([1, -2, 0.5, 0, 3]) + 1), SGD(0.05), "mse", epochs=20)


@healthy
def autoencoder_with_a_narrow_code() -> Any:
    x, _ = digits()
    layers = [nacre.Input((64,)), Dense(48, "relu"), Dense(16), Dense(48, "relu"), Dense(64, "sigmoid")]
    return run(layers, (x, x), Adam(0.003), "mse", epochs=20)


@healthy
def words_looked_up() -> Any:
    random = np.random.default_rng(0)
    x = random.integers(0, 50, (1500, 6))
    y = (np.sin(x * 1.7).sum(axis=1) > 0).astype(int)
    layers = [nacre.Input((6,), dtype="int32"), Embedding(50, 8), Flatten(), Dense(32, "relu"), Dense(1, "sigmoid")]
    return run(layers, (x, y), Adam(0.005), "binary_crossentropy", epochs=15)


@healthy
def two_outputs() -> Any:
    nacre.utils.set_random_seed(7)
    x, y = houses(1500)
    given = nacre.Input((8,))
    hidden = Dense(32, "relu")(given)
    model = nacre.Model(given, [Dense(1, name="price")(hidden), Dense(2, "softmax", name="dear")(hidden)])
    model.compile("adam", {"price": "mse", "dear": LABELS})
    return model, {"x": x, "y": {"price": y, "dear": (y > 0.5).astype(int)}, "epochs": 15}


# ------------------------------------------------------------------ faults that were found to be missed


@fault("leakage")
def the_target_among_the_inputs() -> Any:
    x, y = blobs(1000, classes=2, seed=4)
    x = (0.3 * x + np.random.default_rng(1).normal(size=x.shape)).astype("float32")
    x[:, 7] = y * 2 - 1 + 0.02 * np.random.default_rng(0).normal(size=len(y))
    return run(mlp(10, 16, classes=2), (x, y), "adam", epochs=10)


@fault("leakage")
def rows_were_repeated_before_the_split() -> Any:
    x, y = blobs(500)
    again = np.random.default_rng(0).integers(0, 500, 1500)
    return run(mlp(10, 32, classes=3), (x[again], y[again]), "adam", validation_split=0.2, epochs=10)


@fault("outliers")
def missing_values_as_a_number() -> Any:
    x, y = houses()
    x = x.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.02] = -9999
    return run(mlp(8, 32, classes=1, out="linear"), (x, y), "adam", "mse")


@fault("sorted targets")
def numbers_sorted_and_split_off() -> Any:
    x, y = houses()
    order = np.argsort(y)
    return run(mlp(8, 32, classes=1, out="linear"), (x[order], y[order]), "adam", "mse", validation_split=0.2)


@fault("class weights out of balance")
def one_class_counts_for_all() -> Any:
    return run(mlp(10, 16, classes=3), blobs(), "adam", class_weight={0: 1.0, 1: 300.0, 2: 1.0}, epochs=10)


@fault("batch normalization lags")
def means_that_never_arrive() -> Any:
    layers = [
        nacre.Input((64,)),
        Dense(32),
        BatchNormalization(momentum=0.9999),
        Activation("relu"),
        Dense(10, "softmax"),
    ]
    return run(layers, digits(), "adam", epochs=5)


@fault("wrong loss for the output")
def one_of_several_that_are_true() -> Any:
    x, _ = blobs(800)
    y = (x @ np.random.default_rng(3).normal(size=(10, 5)) > 0).astype("float32")
    return run(mlp(10, 32, classes=5), (x, y), "adam", "categorical_crossentropy")


@fault("wrong output activation")
def counts_below_zero() -> Any:
    x, _ = houses()
    y = np.random.default_rng(0).poisson(np.exp(0.5 * x[:, 0]))
    return run(mlp(8, 32, classes=1, out="linear"), (x, y.astype("float32")), "adam", "poisson")


@fault("dropout on the output")
def answers_dropped() -> Any:
    return run([*mlp(64, 64), Dropout(0.5)], digits(), "adam", epochs=10)


@fault("too few epochs")
def one_epoch_of_few_rows() -> Any:
    return run(mlp(64, 64), digits(), SGD(0.05), epochs=1)


@fault("constant target")
def the_wrong_column() -> Any:
    x, y = houses()
    return run(mlp(8, 16, classes=1, out="linear"), (x, np.full_like(y, 3)), "adam", "mse")


@fault("no signal", "memorizing")
def numbers_shifted_by_a_row() -> Any:
    x, y = houses()
    return run(mlp(8, 64, 64, classes=1, out="linear"), (x, np.roll(y, 1)), "adam", "mse")


# ------------------------------------------------------------------ healthy runs that drew an alarm


@healthy
def digits_as_they_are_adam() -> Any:
    x, y = digits()
    return run(mlp(64, 64), (x * 16, y), "adam", epochs=10)


@healthy
def a_table_of_categories() -> Any:
    random = np.random.default_rng(0)
    words = random.integers(0, 4, (1500, 4))
    score = (words == 1).sum(axis=1) - (words == 2).sum(axis=1) + random.normal(size=1500)
    x = np.eye(4, dtype="float32")[words].reshape(1500, 16)
    cut = 1200
    data = (x[:cut], (score > 0).astype(int)[:cut])
    return run(
        mlp(16, 16, classes=2), data, "adam", validation_data=(x[cut:], (score > 0).astype(int)[cut:]), epochs=10
    )


@healthy
def hinge_and_signs() -> Any:
    x, y = blobs(1000, classes=2, seed=4)
    return run(mlp(10, 16, classes=1, out="tanh"), (x, 2.0 * y - 1), "adam", "hinge", epochs=15)


@healthy
def truth_table_of_xor() -> Any:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
    return run(
        mlp(2, 16, classes=1, activation="tanh", out="sigmoid"),
        (x, np.array([0, 1, 1, 0])),
        Adam(0.05),
        "binary_crossentropy",
        epochs=300,
    )


@healthy
def a_series_with_a_trend() -> Any:
    t = np.arange(1600) / 400
    series = 0.3 * t + np.sin(12 * t) + 0.05 * np.random.default_rng(0).normal(size=1600)
    x = np.lib.stride_tricks.sliding_window_view(series, 12)[:-1].astype("float32")
    y = series[12:].astype("float32")
    return run(
        mlp(12, 32, classes=1, out="linear"),
        (x[:1200], y[:1200]),
        "adam",
        "mse",
        validation_data=(x[1200:], y[1200:]),
        epochs=30,
    )


@healthy
def batch_normalization_as_scaler() -> Any:
    x, y = blobs(1500)
    x = (x * 10.0 ** np.arange(-4, 6)).astype("float32")
    layers = [nacre.Input((10,)), BatchNormalization(), Dense(32, "relu"), Dense(3, "softmax")]
    return run(layers, (x, y), "adam", epochs=20)


@healthy
def a_loss_of_ones_own() -> Any:
    model, fit = run(mlp(8, 32, classes=1, out="linear"), houses(2000), "adam", absolute_and_squared, epochs=20)
    return model, fit


def absolute_and_squared(y_true: Any, y_pred: Any) -> Any:
    return nacre.ops.mean(nacre.ops.square(y_true - y_pred) + 0.1 * nacre.ops.abs(y_true - y_pred), axis=-1)


# ------------------------------------------------------------------ faults and healthy runs that were found later, by twos


def mislabeled(y: np.ndarray, share: float, classes: int) -> np.ndarray:
    random = np.random.default_rng(9)
    return np.where(random.random(len(y)) < share, random.integers(0, classes, len(y)), y)


@fault("label noise")
def a_third_of_many_labels_drawn_by_chance() -> Any:
    x, y = blobs(8000, classes=5)
    return run(mlp(10, 32, classes=5), (x, mislabeled(y, 0.35, 5)), "adam", epochs=3)


@fault("label noise")
def answers_flipped_where_there_are_two() -> Any:
    x, y = circles(3000)
    layers = mlp(2, 32, classes=1, out="sigmoid")
    return run(layers, (x, mislabeled(y, 0.4, 2)), Adam(0.01), "binary_crossentropy", epochs=8)


@fault("label noise")
def only_the_validation_was_looked_through() -> Any:
    x, y = blobs(5000, classes=4)
    held = (x[4000:], y[4000:])
    return run(mlp(10, 32, classes=4), (x[:4000], mislabeled(y, 0.3, 4)[:4000]), "adam", validation_data=held, epochs=4)


@healthy
def few_labels_are_wrong() -> Any:
    x, y = blobs(4000, classes=5)
    return run(mlp(10, 32, classes=5), (x, mislabeled(y, 0.04, 5)), "adam", epochs=5)


@healthy
def classes_that_overlap() -> Any:
    random = np.random.default_rng(5)
    x = random.normal(size=(4000, 6)).astype("float32")
    y = random.random(4000) < 1 / (1 + np.exp(-1.5 * x[:, :3].sum(axis=1)))
    return run(mlp(6, 16, classes=2), (x, y.astype(int)), "adam", epochs=6)


@fault("wrong loss for the output")
def class_numbers_as_amounts() -> Any:
    x, y = digits()
    return run(mlp(64, 64, classes=1, out="linear"), (x, y.astype("float32")), "adam", "mse", epochs=10)


@fault("wrong loss for the output")
def class_numbers_from_one() -> Any:
    x, y = blobs(1200, classes=6)
    return run(mlp(10, 32, classes=1, out="relu"), (x, y + 1), Adam(0.003), "mae", epochs=10)


@healthy
def stars_are_amounts() -> Any:
    x, y = houses(2000)
    return run(mlp(8, 32, classes=1, out="linear"), (x, np.clip(np.rint(y + 3), 1, 5)), Adam(0.003), "mse", epochs=20)


@healthy
def counts_are_amounts() -> Any:
    x, _ = houses(2000)
    y = np.random.default_rng(0).binomial(9, 1 / (1 + np.exp(-x[:, 0] - 0.5 * x[:, 1])))
    return run(mlp(8, 32, classes=1, out="linear"), (x, y), Adam(0.003), "mse", epochs=15)


@fault("constraint too tight")
def weights_kept_next_to_nothing() -> Any:
    tight = nacre.constraints.MaxNorm(0.01)
    return run(mlp(64, 64, kernel_constraint=tight), digits(), "adam", epochs=10)


@fault("constraint too tight")
def only_what_adds_though_some_takes_away() -> Any:
    x = houses()[0]
    y = x @ np.array([-2, -1, 1, 0.5, -0.5, 0, -1, 0.3])
    return run(
        [nacre.Input((8,)), Dense(1, kernel_constraint="non_neg")], (x, y / y.std()), Adam(0.02), "mse", epochs=15
    )


@healthy
def weights_kept_in_bounds() -> Any:
    usual = nacre.constraints.MaxNorm(3.0)
    return run(mlp(64, 64, 64, kernel_constraint=usual), digits(), "adam", epochs=10)


@fault("dropout too strong")
def inputs_dropped() -> Any:
    x, y = houses()
    return run([nacre.Input((8,)), Dropout(0.6), Dense(32, "relu"), Dense(1)], (x, y), Adam(0.003), "mse", epochs=20)


@fault("dropout too strong")
def a_half_dropped_five_times() -> Any:
    hidden = [layer for _ in range(5) for layer in (Dense(32, "relu"), Dropout(0.5))]
    return run([nacre.Input((64,)), *hidden, Dense(10, "softmax")], digits(), "adam", epochs=10)


@healthy
def a_fifth_of_the_inputs_dropped() -> Any:
    layers = [nacre.Input((64,)), Dropout(0.2), Dense(128, "relu"), Dropout(0.5), Dense(10, "softmax")]
    return run(layers, digits(), "adam", epochs=15)


@healthy
def ten_to_one_and_learned() -> Any:
    random = np.random.default_rng(0)
    y = (random.random(2500) < 0.09).astype(int)
    x = (random.normal(size=(2500, 6)) + 2 * y[:, None] * np.array([1, 1, 1, 0, 0, 0])).astype("float32")
    return run(mlp(6, 16, classes=2), (x, y), "adam", epochs=10)


@healthy
def random_features_on_purpose() -> Any:
    x, y = houses(2000)
    layers = [nacre.Input((8,)), Dense(400, "relu", trainable=False), Dense(1)]
    return run(layers, (x, y), Adam(0.003), "mse", epochs=20)


@healthy
def a_twentieth_of_the_variance() -> Any:
    random = np.random.default_rng(0)
    x = random.normal(size=(6000, 5))
    y = 0.23 * x[:, 0] + random.normal(size=6000)
    return run(mlp(5, 8, classes=1, out="linear"), (x.astype("float32"), y), "adam", "mse", epochs=5)


@fault("constant inputs")
def filled_with_the_first_row() -> Any:
    x, y = blobs()
    return run(mlp(10, 16, classes=3), (np.repeat(x[:1], len(x), axis=0), y), "adam", epochs=10)


@fault("wrong output activation")
def relu_before_the_softmax() -> Any:
    return run([nacre.Input((64,)), Dense(64, "relu"), Dense(10, "relu"), Activation("softmax")], digits(), SGD(0.05))


@healthy
def softmax_as_a_layer() -> Any:
    layers = [nacre.Input((64,)), Dense(64), Activation("relu"), Dense(10), Activation("softmax")]
    return run(layers, digits(), "adam", epochs=10)


@fault("symmetric weights")
def all_tenths() -> Any:
    layers = mlp(
        10, 32, 16, classes=1, activation="tanh", out="sigmoid", kernel_initializer=nacre.initializers.Constant(0.1)
    )
    return run(layers, blobs(classes=2), SGD(0.05), "binary_crossentropy", epochs=10)


@healthy
def blocks_that_begin_with_nothing() -> Any:
    nacre.utils.set_random_seed(7)
    blocks = [Residual([Dense(64, "relu"), Dense(64, kernel_initializer="zeros")]) for _ in range(4)]
    return run([nacre.Input((64,)), *blocks, Dense(10, "softmax")], digits(), "adam", epochs=8)


@fault("learning rate falls too early")
def falls_after_a_few_steps() -> Any:
    rate = nacre.optimizers.schedules.PiecewiseConstantDecay([15], [0.1, 1e-6])
    return run(mlp(64, 64), digits(), SGD(rate), epochs=10)


@fault("validation data differ")
def judged_by_one_class_alone() -> Any:
    x, y = blobs(1500, classes=4)
    order = np.argsort(y > 2, kind="stable")
    return run(mlp(10, 32, classes=4), (x[order], y[order]), "adam", validation_split=0.2, epochs=10)


@healthy
def several_true_at_once_as_scores() -> Any:
    random = np.random.default_rng(0)
    x = random.normal(size=(2000, 10)).astype("float32")
    y = (x @ random.normal(size=(10, 6)) + 0.5 * np.abs(x[:, :6]) > 0.5).astype("float32")
    loss = nacre.losses.BinaryCrossentropy(from_logits=True)
    return run(mlp(10, 48, classes=6, out="linear"), (x, y), Adam(0.003), loss, epochs=15)
