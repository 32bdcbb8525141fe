"""How long the estimators of `nacre.sklearn` and of scikit-learn take to fit, and how good they are on other rows.

python -m benchmarks.estimators [REPEATS]
"""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from sklearn import neural_network
from sklearn.datasets import load_diabetes, load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler, scale

import nacre.sklearn

EPOCHS = 30


def tasks() -> dict[str, tuple[str, Any, dict[str, Any]]]:
    """Class, data and settings by name."""
    made = make_classification(20_000, 100, n_informative=30, n_classes=5, random_state=0)
    return {
        "diabetes, 442 x 10": (
            "MLPRegressor",
            [scale(part) for part in load_diabetes(return_X_y=True)],
            {"hidden_layer_sizes": (50,)},
        ),
        "digits, 1797 x 64": ("MLPClassifier", load_digits(return_X_y=True), {}),
        "made, 20000 x 100": ("MLPClassifier", made, {"hidden_layer_sizes": (256, 128)}),
    }


def fitted(room: Any, name: str, data: Any, settings: dict[str, Any], repeats: int) -> tuple[float, float]:
    """Seconds of the fastest fit, and its score."""
    train, test, y_train, y_test = train_test_split(*data, random_state=0)
    scaler = StandardScaler().fit(train)
    seconds = []
    for _ in range(repeats):
        estimator = getattr(room, name)(max_iter=EPOCHS, tol=0, n_iter_no_change=EPOCHS, random_state=0, **settings)
        begin = time.perf_counter()
        estimator.fit(scaler.transform(train), y_train)
        seconds.append(time.perf_counter() - begin)
    return min(seconds), estimator.score(scaler.transform(test), y_test)


def main(repeats: int = 3) -> None:
    """Print a table."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # as many epochs for both
    print(f"{'':20} {'scikit-learn':>20} {'nacre':>20}   times as fast")
    for title, task in tasks().items():
        theirs, ours = (fitted(room, *task, repeats) for room in (neural_network, nacre.sklearn))
        cells = " ".join(f"{seconds:8.3f} s, {score:8.3f}" for seconds, score in (theirs, ours))
        print(f"{title:20} {cells}   {theirs[0] / ours[0]:.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
