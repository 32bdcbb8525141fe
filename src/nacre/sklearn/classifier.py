"""A network that tells classes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from nacre import losses
from nacre.errors import DataError, UsageError
from nacre.sklearn.base import MLP, keep

Array = npt.NDArray[Any]


class MLPClassifier(ClassifierMixin, MLP):  # type: ignore[misc]  # scikit-learn says nothing of its types
    """scikit-learn's ``MLPClassifier``, trained by nacre: the same arguments, attributes and rules, and some more.

    The arguments mean what they mean there. ``activation`` may also be any activation of nacre, or a list with one for each hidden
    layer, ``solver`` any optimizer, ``loss`` any loss, by name or as an object. Besides, there are

    * ``dropout``: the rate after each hidden layer, or a list of them; ``batch_norm``: whether batches are normalized before each
      hidden activation;
    * ``class_weight``: a dictionary from classes to weights, or "balanced";
    * ``callbacks``: a list of nacre's, which see ``val_loss`` if there is validation; ``device``: as `Model.compile` takes it.

    ``model_`` is the `nacre.Model`. X is float32 within, and so are ``coefs_``, ``intercepts_`` (copies) and predictions.

    >>> import numpy as np
    >>> X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array(["same", "other", "other", "same"])
    >>> classifier = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=1).fit(X, y)
    >>> classifier.predict(X).tolist(), [kernel.shape for kernel in classifier.coefs_]
    (['same', 'other', 'other', 'same'], [(2, 8), (8, 1)])
    """

    _stratified: ClassVar[bool] = True
    _y_numeric: ClassVar[dict[str, bool]] = {}

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] | int = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: Any = "log_loss",
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        class_weight: Mapping[Any, float] | str | None = None,
        callbacks: Sequence[Any] | None = None,
        device: str = "native",
    ) -> None:
        keep(self, locals())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @available_if(lambda self: self.solver != "lbfgs")  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """One epoch over these rows; the optimizer goes on from where it was. The first call needs all ``classes``."""
        if not hasattr(self, "classes_"):
            if classes is None:
                raise UsageError("The first call of partial_fit needs all classes.", hint="classes=np.unique(all of y)")
            self._learn_classes(y if type_of_target(y).startswith("multilabel") else classes)
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise UsageError(
                "partial_fit got other classes than before.",
                {"found": classes, "expected": self.classes_},
                "leave them out; or a new estimator",
            )
        return self._fit(X, y, sample_weight, None, None, incremental=True)

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class, in the order of ``classes_``, or of each label: float32 (n, classes)."""
        p = self._asked(X)
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):  # that of 0 is minus infinity
            found: Array = np.log(self.predict_proba(X))
        return found

    def _learn_classes(self, y: Any) -> None:
        self._binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._binarizer.classes_

    def _targets(self, y: Array, first: bool, incremental: bool) -> Array:
        check_classification_targets(y)
        y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
        if first and not incremental:
            self._learn_classes(y)
        elif self.warm_start and len(unique_labels(y)) < len(self.classes_):
            found = {"found": unique_labels(y), "expected": self.classes_}
            raise DataError("warm_start needs the same classes in y as in the training before.", found)
        return self._encoded(y)

    def _encoded(self, y: Array) -> Array:
        if not np.isin(found := unique_labels(y), self.classes_).all():
            raise DataError("y has classes that the classifier has not.", {"found": found, "expected": self.classes_})
        if self._binarizer.y_type_ == "multiclass":
            self.n_outputs_ = len(self.classes_)
            numbers: Array = np.searchsorted(self.classes_, y).astype(np.int32)
            return numbers if self._ends()[1].targets == "labels" else np.eye(self.n_outputs_, dtype=np.uint8)[numbers]
        if self._binarizer.y_type_ == "binary":
            target: Array = np.searchsorted(self.classes_, y).astype(np.uint8)[:, None]
        else:
            target = self._binarizer.transform(y).astype(np.uint8)
        self.n_outputs_ = target.shape[1]
        return target

    def _ends(self) -> tuple[str, losses.Loss, float]:
        several = self._binarizer.y_type_ == "multiclass"
        end = "softmax" if several else "logistic"
        if self.loss != "log_loss":
            return end, losses.get(self.loss), 1.0
        if several:
            return end, losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight"), 1.0
        return end, losses.BinaryCrossentropy(reduction="mean_with_sample_weight"), float(self.n_outputs_)

    def _weighted(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:
        if self.class_weight is None:
            return weight
        weights = self.class_weight.values() if isinstance(self.class_weight, Mapping) else ()
        if not (weights or self.class_weight == "balanced") or not all(w >= 0 for w in weights):
            raise UsageError(
                f"class_weight is a dictionary from classes to weights from 0 on, or 'balanced', got {self.class_weight!r}."
            )
        if weights and self._binarizer.y_type_.startswith("multilabel"):
            raise UsageError(
                "Labels of which a row may have several have no class_weight of their own.",
                hint="class_weight='balanced', or sample_weight",
            )
        if incremental and self.class_weight == "balanced":
            raise UsageError(
                "class_weight='balanced' needs all rows, and partial_fit has some.",
                hint="a dictionary of weights, or fit",
            )
        of_classes: Array = compute_sample_weight(self.class_weight, y)
        return of_classes if weight is None else weight * of_classes

    def _decoded(self, outputs: Array) -> Array:
        decoded: Array = self._binarizer.inverse_transform(outputs.ravel() if outputs.shape[1] == 1 else outputs)
        return decoded

    def _score(self, X: Array, y: Array, sample_weight: Array | None) -> float:
        return float(accuracy_score(y, self._decoded(self._outputs(X)), sample_weight=sample_weight))
