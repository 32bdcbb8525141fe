"""What plots have in common: axes in, axes out, and errors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes

import nacre
from nacre import ops, plots
from nacre.callbacks import LayerStatistics
from nacre.errors import NacreError, NotBuiltError, UnknownName, UsageError
from nacre.layers import Dense
from nacre.optimizers.schedules import CosineDecay
from nacre.tuning import LearningRates

X, Y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
FOUND = LearningRates(0.1, np.array([0.01, 0.1, 1.0]), np.array([3.0, 2.0, 4.0]), np.array([3.0, 2.5, 3.0]))


def classifier(*units: int, rate: float = 0.05) -> nacre.Sequential:
    model = nacre.Sequential([nacre.Input((2,)), *[Dense(n, "tanh") for n in units], Dense(1, "sigmoid", name="out")])
    model.compile(nacre.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def statistics() -> LayerStatistics:
    seen = LayerStatistics(every=4)
    classifier(3).fit(X, Y, epochs=4, verbose=0, callbacks=[seen])
    return seen


SINGLE: dict[str, Any] = {
    "activation": lambda ax: plots.activation("tanh", ax=ax),
    "calibration": lambda ax: plots.calibration([0, 1], [0.2, 0.9], ax=ax),
    "confusion_matrix": lambda ax: plots.confusion_matrix([0, 1], [0, 1], ax=ax),
    "decision_boundary": lambda ax: plots.decision_boundary(classifier(3), X, Y, ax=ax),
    "learning_rate": lambda ax: plots.learning_rate(FOUND, ax=ax),
    "level_sets": lambda ax: plots.level_sets(lambda v: ops.sum(v * v), ax=ax),
    "loss_along": lambda ax: plots.loss_along(classifier(3), "out/kernel[0, 0]", X, Y, ax=ax),
    "schedule": lambda ax: plots.schedule(CosineDecay(0.1, 10), 20, ax=ax),
}
SEVERAL: dict[str, Any] = {
    "gradient_flow": (2, lambda ax: plots.gradient_flow(classifier(3), X, Y, ax=ax)),
    "history": (2, lambda ax: plots.history({"loss": [2.0, 1.0], "accuracy": [0.5, 0.6]}, ax=ax)),
    "layer_statistics": (4, lambda ax: plots.layer_statistics(statistics(), ax=ax)),
    "weights": (2, lambda ax: plots.weights(classifier(3), ax=ax)),
}


def test_every_plot_is_tried_here() -> None:
    assert {*SINGLE, *SEVERAL} == {*plots.__all__}


@pytest.mark.parametrize("name", SINGLE)
def test_a_plot_draws_on_the_axes_it_is_given_or_on_new_ones(name: str) -> None:
    ax = pyplot.subplots()[1]
    assert SINGLE[name](ax) is ax
    made = SINGLE[name](None)
    assert made is not ax
    for axes in (ax, made):
        assert axes.get_title(loc="left")
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    for wrong in (5, np.array([ax])):
        with pytest.raises(UsageError, match="ax is an axes"):
            SINGLE[name](wrong)


@pytest.mark.parametrize("name", SEVERAL)
def test_several_axes_go_in_and_come_out_in_order(name: str) -> None:
    count, draw = SEVERAL[name]
    given = pyplot.subplots(1, count)[1]
    assert draw(given).tolist() == given.tolist()
    made = draw(None)
    assert made.shape == (count,)
    assert all(isinstance(ax, Axes) and ax.get_title(loc="left") for ax in made)
    assert made[0].figure.axes[:count] == made.tolist()  # spare ones are gone
    with pytest.raises(UsageError, match=f"takes {count} axes"):
        draw(pyplot.subplots()[1])
    with pytest.raises(UsageError, match="ax is an axes"):
        draw(["no axes"] * count)


def test_drawing_makes_no_figure_where_axes_are_given() -> None:
    grid = pyplot.subplots(2, 4)[1].ravel()
    for draw, ax in zip(SINGLE.values(), grid, strict=False):
        draw(ax)
    assert len(pyplot.get_fignums()) == 1


def test_importing_plots_does_not_import_matplotlib() -> None:
    code = "import sys, nacre, nacre.plots; print([m for m in sys.modules if m.partition('.')[0] == 'matplotlib'])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("draw", [SINGLE["schedule"], SEVERAL["history"][1]])
def test_without_matplotlib_an_error_says_what_to_install(draw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(UsageError, match=r"needs matplotlib.\n  try:  pip install nacre\[plot\]"):
        draw(None)


def path_of(*shape: int) -> np.ndarray[Any, Any]:
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("draw", "error", "says"),
    [
        (lambda: plots.history({}), UsageError, "no epoch yet"),
        (lambda: plots.history(nacre.training.History()), UsageError, "no epoch yet"),
        (lambda: plots.history([1.0]), UsageError, r"dictionary of lists, got \[1.0\]"),
        (lambda: plots.history({"loss": [1.0, 2.0], "a": [1.0]}), UsageError, "2 epochs, but 1 numbers of 'a'"),
        (lambda: plots.weights(nacre.Sequential([Dense(2)])), NotBuiltError, "no weights yet"),
        (lambda: plots.weights(classifier(2), "inner"), UnknownName, "inner"),
        (lambda: plots.weights(classifier(2), shape=(3, 3)), UsageError, r"found: +\(3, 3\)"),
        (
            lambda: plots.weights(nacre.Sequential([nacre.Input((2,)), nacre.layers.Flatten()])),
            UsageError,
            "no weights",
        ),
        (lambda: plots.decision_boundary(wide(3), np.ones((4, 3)), [0, 1, 0, 1]), UsageError, r"\(None, 3\)"),
        (lambda: plots.decision_boundary(classifier(), X, Y[:5]), UsageError, "a class for each"),
        (lambda: plots.decision_boundary(wide(2), X, Y), UsageError, "no probabilities"),
        (lambda: plots.level_sets(lambda v: v[0], path_of(4, 3)), UsageError, r"\(4, 3\)"),
        (lambda: plots.level_sets(lambda v: v[0], bounds=((1, 0), (0, 1))), UsageError, r"\(\(1, 0\), \(0, 1\)\)"),
        (lambda: plots.level_sets(lambda v: 0 * v[0]), UsageError, "same everywhere"),
        (lambda: plots.level_sets(lambda v: np.sin(v[0])), NacreError, "nacre.ops"),
        (lambda: plots.level_sets(lambda v: v), NacreError, "scalar"),
        (lambda: plots.confusion_matrix([0, 1], [1]), NacreError, "predictions: +1"),
        (lambda: plots.confusion_matrix([0, 2], [1, 1], names=["a", "b"]), UsageError, "3 classes, but 2 names"),
        (lambda: plots.confusion_matrix(["a"], [1]), NacreError, "y_true holds no classes"),
        (lambda: plots.confusion_matrix([0.5, 3.5], [1, 1]), NacreError, "0.5"),
        (lambda: plots.confusion_matrix([], []), NacreError, "no classes"),
        (lambda: plots.confusion_matrix([0], [[np.nan, 1.0]]), NacreError, "y_pred holds no classes"),
        (lambda: plots.calibration([0, 1], [0.5, 1.5]), NacreError, "0.5 to 1.5"),
        (lambda: plots.calibration([0, 2], [[0.5, 0.5], [0.1, 0.9]]), NacreError, "class 2 in y_true"),
        (lambda: plots.calibration([0, 1], [0.5, 0.5], bins=0), UsageError, "got 0"),
        (lambda: plots.learning_rate(0.1), UsageError, "got 0.1"),
        (lambda: plots.schedule(0.1, 10), UsageError, "got 0.1"),
        (lambda: plots.schedule(CosineDecay(0.1, 10), 0), UsageError, "got 0"),
        (lambda: plots.activation("rellu"), UnknownName, "relu"),
        (lambda: plots.activation("softmax"), UsageError, "softmax looks at several"),
        (lambda: plots.activation("glu"), UsageError, "glu looks at several"),
        (lambda: plots.layer_statistics(LayerStatistics()), UsageError, "no step yet"),
        (lambda: plots.layer_statistics({}), UsageError, "got {}"),
        (lambda: plots.gradient_flow(frozen(), X, Y), UsageError, "Nothing of the model"),
    ],
)
def test_mistakes_are_named(draw: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        draw()
    assert pyplot.get_fignums() == []  # nothing half drawn is left to be shown


def wide(features: int) -> nacre.Sequential:
    model = nacre.Sequential([nacre.Input((features,)), Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    return model


def frozen() -> nacre.Sequential:
    model = classifier(3)
    model.trainable = False
    return model
