"""Networks as estimators of scikit-learn, which ``nacre[sklearn]`` brings: its own classes of these names, with nacre inside.

>>> from sklearn.datasets import load_iris
>>> from nacre.sklearn import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> MLPClassifier((20,), learning_rate_init=0.01, tol=1e-3, random_state=0).fit(X, y).score(X, y) > 0.95
True
"""

from nacre.errors import guest

guest("sklearn", "nacre.sklearn", "sklearn")

from nacre.sklearn.classifier import MLPClassifier  # noqa: E402 - they need the guest
from nacre.sklearn.regressor import MLPRegressor  # noqa: E402

__all__ = ["MLPClassifier", "MLPRegressor"]
