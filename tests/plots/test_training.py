"""Plots of a training: the numbers in the artists are those that were there."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import ops, plots
from nacre.callbacks import LayerStatistics
from nacre.data import Features, Table
from nacre.data.tables import Numbers
from nacre.layers import Dense
from nacre.optimizers import schedules

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 5)).astype(np.float32)
Y = RANDOM.integers(0, 3, 80)


def network(*units: int, activation: str = "sigmoid") -> nacre.Sequential:
    hidden = [Dense(n, activation, name=f"hidden_{k}") for k, n in enumerate(units)]
    model = nacre.Sequential([nacre.Input((5,)), *hidden, Dense(3, "softmax", name="out")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def lines(axes: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}


# ------------------------------------------------------------------ history


def test_the_lines_of_a_history_are_its_figures() -> None:
    history = network(8).fit(X, Y, epochs=4, validation_split=0.25, verbose=0)
    for axes, name in zip(history.plot(), ["loss", "accuracy"], strict=True):
        drawn = lines(axes)
        np.testing.assert_array_equal(drawn["training"], history.history[name])
        np.testing.assert_array_equal(drawn["validation"], history.history[f"val_{name}"])
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), [1, 2, 3, 4])
        assert axes.get_ylabel() == name


def test_the_epoch_of_the_lowest_validation_loss_is_marked_in_all_axes() -> None:
    figures = {
        "loss": [4.0, 3, 2, 1],
        "val_loss": [4.0, np.nan, 2.5, 3],
        "auc": [0.1, 0.2, 0.3, 0.4],
        "val_auc": [0, 0, 0.7, 1],
    }
    loss, auc = plots.history(figures)
    for axes in (loss, auc):
        [mark] = [line for line in axes.lines if line.get_label() == "lowest val_loss"]
        assert list(mark.get_xdata()) == [3, 3]
    assert loss.get_title(loc="left") == "loss: 2.5 in validation in epoch 3, the lowest"
    assert auc.get_title(loc="left") == "auc: 0.7 in validation in epoch 3"


def test_without_validation_nothing_is_marked() -> None:
    [axes] = plots.history({"loss": [2.0, 1.0]})
    assert [*lines(axes)] == ["training"]
    assert axes.get_legend() is None
    [axes] = plots.history({"loss": [2.0, 1.0], "val_loss": [np.nan, np.nan]})
    assert [*lines(axes)] == ["training", "validation"]


def test_no_empty_axes_stay_where_five_are_drawn() -> None:
    axes = plots.history({name: [2.0, 1.0] for name in ("loss", "a", "b", "c", "d")})
    assert [one.get_ylabel() for one in axes] == ["loss", "a", "b", "c", "d"]
    assert axes[0].figure.axes == axes.tolist()


def test_a_training_that_began_later_keeps_its_epochs() -> None:
    history = network(3).fit(X, Y, initial_epoch=5, epochs=7, verbose=0)
    assert list(history.plot()[0].lines[0].get_xdata()) == [6, 7]


# ------------------------------------------------------------------ weights


def test_histograms_hold_the_shares_of_the_weights() -> None:
    model = network(4)
    for axes, layer in zip(plots.weights(model), model.layers, strict=True):
        for container, weight in zip(axes.containers, layer.get_weights(), strict=True):
            heights = np.array([bar.get_height() for bar in container])
            edges = [bar.get_x() for bar in container] + [container[-1].get_x() + container[-1].get_width()]
            edges[0], edges[-1] = -np.inf, np.inf  # nothing is left out
            np.testing.assert_allclose(heights.sum(), 1)
            inside = [((weight >= a) & (weight < b)).mean() for a, b in itertools.pairwise(edges)]
            np.testing.assert_allclose(heights, inside, atol=1.01 / weight.size)  # rounding may move one over an edge


@pytest.mark.parametrize(("given", "shape"), [((64,), None), ((8, 8), None), ((8, 8, 1), None), ((63,), (7, 9))])
def test_first_weights_are_pictures_where_the_input_is_one(given: Any, shape: Any) -> None:
    model = nacre.Sequential([nacre.Input(given), nacre.layers.Flatten(), Dense(5, name="first"), Dense(64)])
    first, second = plots.weights(model, shape=shape)
    sheet = np.asarray(first.images[0].get_array())
    height, width = shape or (8, 8)
    kernel = model.layers[1].get_weights()[0]
    for unit in range(5):  # in three columns
        top, left = unit // 3 * (height + 1), unit % 3 * (width + 1)
        tile = sheet[top : top + height, left : left + width]
        np.testing.assert_array_equal(tile, kernel[:, unit].reshape(height, width))
    assert sheet.shape == (2 * height + 1, 3 * width + 2)
    most = np.abs(kernel).max()
    assert first.images[0].get_clim() == pytest.approx((-most, most))
    assert not second.images
    [alone] = plots.weights(model, "first", shape)
    np.testing.assert_array_equal(np.asarray(alone.images[0].get_array()), sheet)


def test_weights_of_colored_pictures_are_colored_and_grey_where_they_are_0() -> None:
    model = nacre.Sequential([nacre.Input((3, 4, 3)), nacre.layers.Flatten(), Dense(1, use_bias=False)])
    kernel = np.zeros((36, 1), np.float32)
    kernel[3 * (4 * 2 + 1) + 2] = -2.0  # row 2, column 1, blue
    model.set_weights([kernel])
    expected = np.full((3, 4, 3), 0.5)
    expected[2, 1, 2] = 0.0
    np.testing.assert_allclose(np.asarray(plots.weights(model)[0].images[0].get_array()), expected)


def test_columns_of_a_table_and_few_inputs_are_no_pictures() -> None:
    assert not plots.weights(nacre.Sequential([nacre.Input((16,)), Dense(2)]))[0].images
    table = Table({f"c{n}": Numbers(np.arange(20.0)) for n in range(65)}, "t")
    features = Features.fit(table, ["c64"])
    model = nacre.Sequential([nacre.Input((64,)), Dense(2)])
    assert plots.weights(model)[0].images
    model.features = features
    assert not plots.weights(model)[0].images


# ------------------------------------------------------------------ gradients


def test_errors_and_factors_are_those_of_the_chain_rule() -> None:
    model = network(6, 4)
    hidden, narrow, out = (w.astype(np.float64) for w in model.get_weights()[::2])
    biases = model.get_weights()[1::2]

    def sigmoid(z: Any) -> Any:
        return 1 / (1 + np.exp(-z))

    a = sigmoid(X @ hidden + biases[0])
    b = sigmoid(a @ narrow + biases[1])
    powers = np.exp(b @ out + biases[2])
    delta_out = (powers / powers.sum(1, keepdims=True) - np.eye(3)[Y]) / len(X)
    delta_b = delta_out @ out.T * b * (1 - b)
    delta_a = delta_b @ narrow.T * a * (1 - a)
    expected = [np.linalg.norm(d) for d in (delta_a, delta_b, delta_out)]
    error, gradient = plots.gradient_flow(model, X, Y)
    np.testing.assert_allclose(error.lines[0].get_ydata(), expected, rtol=1e-4)
    factors = [expected[n] / expected[n + 1] for n in range(2)]
    assert [text.get_text() for text in error.texts] == [f"x {factor:.2g}" for factor in factors]
    assert [t.get_text() for t in error.get_xticklabels()] == ["hidden_0", "hidden_1", "out"]
    assert error.get_yscale() == gradient.get_yscale() == "log"
    drawn = lines(gradient)
    of_weights = [
        np.hypot(np.linalg.norm(w), np.linalg.norm(v)) for w, v in zip((hidden, narrow, out), biases, strict=True)
    ]
    np.testing.assert_allclose(drawn["weight"], of_weights, rtol=1e-5)
    deltas = [(X, delta_a), (a, delta_b), (b, delta_out)]
    of_gradients = [np.hypot(np.linalg.norm(x.T @ d), np.linalg.norm(d.sum(0))) for x, d in deltas]
    np.testing.assert_allclose(drawn["gradient"], of_gradients, rtol=1e-4)


def test_an_error_that_comes_at_once_with_the_loss_is_that_of_the_scores() -> None:
    x, y = X.astype(np.float32), Y
    drawn = []
    for end in ([Dense(3, "softmax", name="out")], [Dense(3, name="out"), nacre.layers.Softmax(name="probabilities")]):
        model = nacre.Sequential([nacre.Input((5,)), Dense(4, "tanh", name="hidden"), *end])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.set_weights([np.random.default_rng(n).normal(size=w.shape) for n, w in enumerate(model.get_weights())])
        drawn.append(plots.gradient_flow(model, x, y)[0])
    plain, layered = (axes.lines[0].get_ydata() for axes in drawn)
    np.testing.assert_allclose(layered[:2], plain, rtol=1e-5)
    assert "nan" not in drawn[1].get_title(loc="left")
    assert all(norm > 0 for norm in layered)


def test_a_deep_network_of_sigmoids_loses_the_error_and_one_of_relus_less() -> None:
    left = {}
    for activation in ("sigmoid", "relu"):
        error = plots.gradient_flow(network(*[20] * 8, activation=activation), X, Y)[0].lines[0].get_ydata()
        left[activation] = error[0] / error[-1]
    assert left["sigmoid"] < 1e-4 < 1e-2 < left["relu"]


def test_layers_that_come_before_all_that_is_trained_are_left_out_and_branches_have_no_factor() -> None:
    x = nacre.Input((5,))
    scaled = nacre.layers.Rescaling(0.5)(x)
    branches = [Dense(4, "tanh", name=name)(scaled) for name in ("left", "right")]
    model = nacre.Model(x, Dense(3, "softmax", name="out")(nacre.layers.Add(name="add")(branches)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    error, _ = plots.gradient_flow(model, X, Y)
    assert [t.get_text() for t in error.get_xticklabels()] == ["left", "right", "add", "out"]
    assert len(error.texts) == 2  # right to add, add to out


def test_statistics_are_drawn_by_layer_and_step() -> None:
    seen = LayerStatistics(every=2)
    network(6).fit(X, Y, batch_size=16, epochs=4, verbose=0, callbacks=[seen])
    gradient, update, dead, saturated = plots.layer_statistics(seen)

    def of(layer: str, kind: str) -> Any:
        return np.hypot(seen.history[f"{layer}/kernel"][kind], seen.history[f"{layer}/bias"][kind])

    for layer in ("hidden_0", "out"):
        for axes, kind in ((gradient, "gradient"), (update, "update")):
            np.testing.assert_allclose(lines(axes)[layer], of(layer, kind) / of(layer, "weight"))
        for axes, kind in ((dead, "dead"), (saturated, "saturated")):
            np.testing.assert_array_equal(lines(axes)[layer], seen.history[layer][kind])
    assert list(gradient.lines[0].get_xdata()) == seen.steps == list(range(0, 20, 2))


def test_without_bounded_activations_there_is_no_share_of_saturated_outputs() -> None:
    seen = LayerStatistics(every=2)
    model = nacre.Sequential([nacre.Input((5,)), Dense(4, "relu"), Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[seen])
    assert [axes.get_ylabel() for axes in plots.layer_statistics(seen)] == ["ratio of norms", "ratio of norms", "share"]


# ------------------------------------------------------------------ learning rates and activations


def test_the_search_for_a_rate_is_drawn_as_it_went() -> None:
    found = nacre.find_learning_rate(network(4), X, Y, steps=40)
    axes = plots.learning_rate(found)
    losses, mean, suggestion = axes.lines
    np.testing.assert_array_equal(losses.get_ydata(), found.losses)
    np.testing.assert_array_equal(mean.get_ydata(), found.smoothed)
    np.testing.assert_array_equal(mean.get_xdata(), found.rates)
    assert list(suggestion.get_xdata()) == [found.suggestion] * 2
    assert axes.get_xscale() == "log"


def test_schedules_are_drawn_before_training_beside_each_other() -> None:
    axes = None
    chosen = [
        schedules.ExponentialDecay(0.1, 10, 0.5),
        schedules.OneCycle(0.2, 50),
        schedules.InverseTimeDecay(0.1, 5, 1),
    ]
    for schedule in chosen:
        axes = plots.schedule(schedule, 60, ax=axes)
    assert axes is not None
    drawn, step = lines(axes), np.arange(60)
    np.testing.assert_allclose(drawn["ExponentialDecay"], 0.1 * 0.5 ** (step / 10))
    np.testing.assert_allclose(drawn["InverseTimeDecay"], 0.1 / (1 + step / 5))
    assert drawn["OneCycle"].argmax() == 15  # 0.3 of 49 steps, to the nearest
    assert len({line.get_color() for line in axes.lines}) == 3
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [*drawn]


@pytest.mark.parametrize(
    ("name", "values", "slopes"),
    [
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
        ("relu", lambda z: np.maximum(z, 0), lambda z: z > 0),
        ("step", lambda z: z > 0, lambda z: 0 * z),
        ("tanh", np.tanh, lambda z: 1 / np.cosh(z) ** 2),
        (lambda z: z * ops.sigmoid(2 * z), lambda z: z / (1 + np.exp(-2 * z)), None),
    ],
)
def test_an_activation_and_its_derivative_are_drawn(name: Any, values: Any, slopes: Any) -> None:
    function, derivative = plots.activation(name, bounds=(-3, 4)).lines
    z = np.asarray(function.get_xdata())
    assert (z[0], z[-1]) == (-3, 4)
    np.testing.assert_allclose(function.get_ydata(), values(z), atol=1e-12)
    if slopes is None:
        ends = np.stack([z - 1e-5, z + 1e-5])
        np.testing.assert_allclose(derivative.get_ydata(), np.diff(values(ends), axis=0)[0] / 2e-5, atol=1e-8)
    else:
        np.testing.assert_allclose(derivative.get_ydata(), slopes(z), atol=1e-12)


def test_all_activations_of_single_scores_can_be_drawn() -> None:
    from matplotlib import pyplot

    ax, of_several = pyplot.subplots()[1], ("softmax", "log_softmax", "sparsemax", "glu")
    for name in {*nacre.activations.__all__} - {"get", "threshold", *of_several}:
        ax.clear()
        plots.activation(name, ax=ax)
        assert len(ax.lines) == 2


# ------------------------------------------------------------------ the loss by one weight


def test_the_loss_along_a_weight_is_what_evaluate_says_and_its_tangent_has_the_gradient_as_slope() -> None:
    model = network(4)
    model.compile(nacre.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    axes = plots.loss_along(model, "out/kernel[2, 1]", X, Y)
    curve, tangent, now, after = axes.lines
    gradient = float(model.gradients(X, Y)["out/kernel"][2, 1])
    weights = model.get_weights()
    number = float(weights[2][2, 1])
    xs, ys = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    assert (xs[0], xs[-1]) == pytest.approx((number - 1, number + 1))
    assert float(now.get_xdata()[0]) == pytest.approx(number)
    assert np.diff(tangent.get_ydata()) == pytest.approx(gradient * np.diff(xs), rel=1e-4)
    assert float(after.get_xdata()[0]) == pytest.approx(number - 0.5 * gradient, rel=1e-5)
    places = [(x, y) for line in (now, after) for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]
    for place, height in [(xs[0], ys[0]), (xs[70], ys[70]), *places]:
        weights[2][2, 1] = place
        model.set_weights(weights)
        assert height == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)


def test_a_step_beyond_the_bounds_is_left_out_and_bounds_go_up() -> None:
    model = network(4)
    model.compile(nacre.optimizers.SGD(1e6), "sparse_categorical_crossentropy")
    assert len(plots.loss_along(model, "out/bias[0]", X, Y, bounds=(-2, 2)).lines) == 3
    with pytest.raises(nacre.errors.UsageError, match="a larger one"):
        plots.loss_along(model, "out/bias[0]", X, Y, bounds=(2, -2))
