"""How long the estimators of `nacre.sklearn` and of scikit-learn take to fit, and how good they are.

Three tables of numbers, judged on other rows; and scikit-learn's own examples of its networks, with the settings that they have
there: `plot_mlp_alpha`, which scores other rows, `plot_mlp_training_curves` and `plot_mnist_filters`, which score the rows that
they train on. Both are fitted in turn, nacre twice: as in a new process, and again, when it has the programs of these networks.

python -m benchmarks.estimators [REPEATS]
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn import neural_network
from sklearn.datasets import (
    load_diabetes,
    load_digits,
    load_iris,
    make_circles,
    make_classification,
    make_moons,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler, scale

import nacre.sklearn
from nacre.training.trainer import PROGRAMS

EPOCHS = 30


class Task(NamedTuple):
    """What is fitted, once for each of the settings, to rows and targets; and what the fits are scored on."""

    kind: str
    train: Any
    test: Any
    settings: list[dict[str, Any]]


def table(kind: str, X: Any, y: Any, **settings: Any) -> Task:
    """Some epochs, with the defaults but for the settings; a quarter of the rows is scored."""
    train, test, y_train, y_test = train_test_split(X, y, random_state=0)
    scaler = StandardScaler().fit(train)
    settings |= {"max_iter": EPOCHS, "tol": 0, "n_iter_no_change": EPOCHS, "random_state": 0}
    return Task(kind, (scaler.transform(train), y_train), (scaler.transform(test), y_test), [settings])


def alphas(X: Any, y: Any) -> Task:
    """What plot_mlp_alpha does with each of its data."""
    train, test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
    scaler = StandardScaler().fit(train)
    shared = {"solver": "lbfgs", "random_state": 1, "max_iter": 2000, "early_stopping": True}
    settings = [shared | {"alpha": alpha, "hidden_layer_sizes": [10, 10]} for alpha in np.logspace(-1, 1, 5)]
    return Task("MLPClassifier", (scaler.transform(train), y_train), (scaler.transform(test), y_test), settings)


def curves(rows: tuple[Any, Any], epochs: int = 400) -> Task:
    """What plot_mlp_training_curves does with each of its data."""
    momenta: list[dict[str, Any]] = [
        {"momentum": 0},
        {"momentum": 0.9, "nesterovs_momentum": False},
        {"momentum": 0.9, "nesterovs_momentum": True},
    ]
    settings = [
        {"solver": "sgd", "learning_rate": rate, "learning_rate_init": 0.2, **momentum}
        for rate in ("constant", "invscaling")
        for momentum in momenta
    ]
    settings.append({"solver": "adam", "learning_rate_init": 0.01})
    scaled = MinMaxScaler().fit_transform(rows[0]), rows[1]
    return Task("MLPClassifier", scaled, scaled, [one | {"random_state": 0, "max_iter": epochs} for one in settings])


def filters() -> Task:
    """What plot_mnist_filters does with 0.3 of MNIST, on pictures made up in its shape."""
    rng = np.random.default_rng(0)
    classes = rng.integers(10, size=21_000)
    drawn = (rng.random((10, 784)) * (rng.random((10, 784)) < 0.3))[classes]
    blurred = drawn + 0.35 * rng.standard_normal(drawn.shape) * (rng.random(drawn.shape) < 0.5)
    rows = np.clip(blurred, 0, 1), classes.astype(str)
    settings = {"hidden_layer_sizes": (40,), "max_iter": 8, "alpha": 1e-4, "solver": "sgd", "learning_rate_init": 0.2}
    return Task("MLPClassifier", rows, rows, [settings | {"random_state": 1}])


def tasks() -> dict[str, Task]:
    """All, by name."""
    made = make_classification(20_000, 100, n_informative=30, n_classes=5, random_state=0)
    moons, circles = make_moons(noise=0.3, random_state=0), make_circles(noise=0.2, factor=0.5, random_state=1)
    apart = make_classification(n_features=2, n_redundant=0, n_informative=2, random_state=0, n_clusters_per_class=1)
    apart[0][:] += 2 * np.random.RandomState(2).uniform(size=apart[0].shape)
    diabetes, digits = (scale(part) for part in load_diabetes(return_X_y=True)), load_digits(return_X_y=True)
    return {
        "diabetes, 442 x 10": table("MLPRegressor", *diabetes, hidden_layer_sizes=(50,)),
        "digits, 1797 x 64": table("MLPClassifier", *digits),
        "made, 20000 x 100": table("MLPClassifier", *made, hidden_layer_sizes=(256, 128)),
        "alpha: moons": alphas(*moons),
        "alpha: circles": alphas(*circles),
        "alpha: separable": alphas(*apart),
        "curves: iris": curves(load_iris(return_X_y=True)),
        "curves: digits": curves(digits, epochs=15),
        "curves: circles": curves(circles),
        "curves: moons": curves(moons),
        "filters": filters(),
    }


def fitted(room: Any, task: Task) -> tuple[float, float]:
    """Seconds of all fits, and the mean of their scores."""
    seconds, scores = 0.0, []
    for settings in task.settings:
        estimator = getattr(room, task.kind)(**settings)
        begin = time.perf_counter()
        estimator.fit(*task.train)
        seconds += time.perf_counter() - begin
        scores.append(estimator.score(*task.test))
    return seconds, float(np.mean(scores))


def main(repeats: int = 5) -> None:
    """Print a table of medians."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # as many epochs for both
    print(f"{'':20} {'scikit-learn':>18} {'nacre at first':>18} {'again':>9}   times as fast")
    for title, task in tasks().items():
        rounds = []
        for _ in range(repeats):
            PROGRAMS.clear()
            rounds.append([fitted(room, task) for room in (neural_network, nacre.sklearn, nacre.sklearn)])
        theirs, first, again = (statistics.median(seconds for seconds, _ in one) for one in zip(*rounds, strict=True))
        scores = [score for _, score in rounds[0]]
        line = f"{title:20} {theirs:8.3f} s, {scores[0]:6.3f} {first:8.3f} s, {scores[1]:6.3f} {again:7.3f} s"
        print(f"{line}   {theirs / first:5.2f} {theirs / again:5.2f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
