"""What classifier and regressor have in common: settings, the network, training by scikit-learn's rules."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from nacre import losses, optimizers
from nacre.errors import DataError, UsageError, find
from nacre.layers import Activation, BatchNormalization, Dense, Dropout, Input
from nacre.models import Model, Sequential
from nacre.ops import seeded
from nacre.regularizers import L2
from nacre.sklearn.stopping import Stopping
from nacre.training import Callback

Array = npt.NDArray[Any]

_DENSE = 4 << 30  # bytes that sparse rows may take to train on
_PIECE = 64 << 20  # bytes of sparse rows that are predicted at a time
_MOMENTUM = 0.9  # of the running mean and variance of batches: small data makes few steps
_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid", "exp": "exponential"}  # where nacre has another name
_RATES = dict.fromkeys(["constant", "invscaling", "adaptive"])
# Settings that are numbers: of which kind, from where on, whether that is included, and up to where.
_NUMBERS: dict[str, tuple[type, float, bool, float]] = {
    "alpha": (Real, 0, True, math.inf),
    "learning_rate_init": (Real, 0, False, math.inf),
    "power_t": (Real, 0, True, math.inf),
    "max_iter": (Integral, 1, True, math.inf),
    "max_fun": (Integral, 1, True, math.inf),
    "tol": (Real, 0, True, math.inf),
    "momentum": (Real, 0, True, 1),
    "beta_1": (Real, 0, True, 1),
    "beta_2": (Real, 0, True, 1),
    "epsilon": (Real, 0, False, math.inf),
    "validation_fraction": (Real, 0, True, 1),
}
_BOOLEANS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping", "batch_norm")


def keep(estimator: Any, settings: Mapping[str, Any]) -> None:
    """Store the arguments of a constructor, as scikit-learn wants it: as they are."""
    for name, value in settings.items():
        if name != "self":
            setattr(estimator, name, value)


class MLP(BaseEstimator):  # type: ignore[misc]  # scikit-learn says nothing of its types
    """A network of dense layers. Classifier and regressor say what targets are, and what outputs mean."""

    # -------------------------------------------------------------- what a subclass says

    def _targets(self, y: Array, first: bool, incremental: bool) -> Array:
        """What the network is trained towards, (n,) class numbers or (n, outputs), when it is clear what classes there are."""
        raise NotImplementedError

    def _encoded(self, y: Array) -> Array:
        """The same for any y."""
        raise NotImplementedError

    def _ends(self) -> tuple[str, losses.Loss, float]:
        """The activation at the end, in scikit-learn's word; the loss, and a factor of it."""
        raise NotImplementedError

    def _decoded(self, outputs: Array) -> Array:
        """What `predict` gives for outputs of the network."""
        raise NotImplementedError

    def _score(self, X: Array, y: Array, sample_weight: Array | None) -> float:
        """How good the network is in validation."""
        raise NotImplementedError

    # -------------------------------------------------------------- what scikit-learn's users know

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    @property
    def coefs_(self) -> list[Array]:
        """Copies of the kernels, (inputs, units) for each layer."""
        return [layer.kernel.numpy() for layer in self._dense()]

    @property
    def intercepts_(self) -> list[Array]:
        """Copies of the biases, (units,) for each layer."""
        return [layer.bias.numpy() for layer in self._dense()]

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, X_val: Any = None, y_val: Any = None) -> Self:
        """Train on X (n, features), an array, a table or a sparse matrix, and y (n,) or (n, outputs).

        ``sample_weight`` (n,) multiplies the loss of each row. ``X_val`` and ``y_val`` are scored after each epoch; with
        ``early_stopping`` they decide, in place of a part of the rows. Ctrl-C ends the training with a warning. Raises `UsageError`
        for settings and ValueError for data that make no sense, and `NonFiniteLossError` if training diverges.
        """
        return self._fit(X, y, sample_weight, X_val, y_val, incremental=False)

    def _outputs(self, X: Any) -> Array:
        """What the network gives, float32 (n, outputs), for checked rows; sparse ones piece by piece."""
        outputs: Array
        if _is_sparse(X):
            rows = max(1, _PIECE // (4 * X.shape[1]))
            pieces = [X[begin : begin + rows].toarray() for begin in range(0, X.shape[0], rows)]
            return np.concatenate([self._outputs(piece) for piece in pieces])
        outputs = self.model_.predict(X, verbose=0)
        return outputs

    def _asked(self, X: Any) -> Array:
        """The outputs for rows as they come."""
        check_is_fitted(self)
        return self._outputs(validate_data(self, X, accept_sparse="csr", dtype=np.float32, order="C", reset=False))

    def predict(self, X: Any) -> Array:
        """The classes, (n,), or 0 and 1 of each label, (n, labels); of a regressor the numbers, float32 (n,) or (n, outputs)."""
        return self._decoded(self._asked(X))

    # -------------------------------------------------------------- settings

    def _check_settings(self) -> None:
        """Refuse what makes no sense, before anything is done."""
        kind = type(self).__name__
        for name, (number, low, included, high) in _NUMBERS.items():
            value = getattr(self, name)
            fits = not isinstance(value, bool) and isinstance(value, number)
            if not fits or not low <= value < high or (value == low and not included):
                sort = "whole number" if number is Integral else "number"
                start = f"from {low} on" if included else f"above {low}"
                end = "" if high == math.inf else f" and below {high}"
                raise UsageError(f"{name} of {kind} is a {sort} {start}{end}, got {value!r}.")
        for name in ("n_iter_no_change", "batch_size"):
            value = getattr(self, name)
            other = {"n_iter_no_change": math.inf, "batch_size": "auto"}[name]
            if value != other and (isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1):
                raise UsageError(f"{name} of {kind} is a whole number from 1 on or {other!r}, got {value!r}.")
        for name in _BOOLEANS:
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise UsageError(f"{name} of {kind} is True or False, got {getattr(self, name)!r}.")
        if not all(isinstance(rate, Real) and 0 <= float(rate) < 1 for rate in self._each("dropout")):
            raise UsageError(
                f"dropout of {kind} is a number from 0 on and below 1, or a list of them, got {self.dropout!r}."
            )
        find("learning_rate", self.learning_rate, _RATES)
        if self.solver == "lbfgs" and (self.batch_norm or any(self._each("dropout")) or self.callbacks):
            raise UsageError(
                "The solver 'lbfgs' knows no dropout, batch_norm and callbacks: it goes by all rows at once.",
                hint="leave them out, or solver='adam'",
            )

    def _hidden(self) -> list[int]:
        """The units of the hidden layers."""
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if not all(not isinstance(n, bool) and isinstance(n, Integral) and int(n) > 0 for n in sizes):
            raise UsageError(
                f"hidden_layer_sizes are whole numbers > 0, got {self.hidden_layer_sizes!r}.",
                hint="for example (100, 50)",
            )
        return [int(n) for n in sizes]

    def _each(self, name: str) -> list[Any]:
        """A setting of the hidden layers, one for each of them."""
        given, count = getattr(self, name), len(self._hidden())
        if not isinstance(given, list | tuple):
            return [given] * count
        if len(given) != count:
            raise UsageError(f"{name} has {len(given)} entries, for {count} hidden layers.", hint="give one for each")
        return list(given)

    def _optimizer(self) -> optimizers.Optimizer:
        """A fresh one."""
        rate = float(self.learning_rate_init)
        if self.solver == "sgd":
            return optimizers.SGD(rate, float(self.momentum), self.nesterovs_momentum)
        if self.solver == "adam":
            return optimizers.Adam(rate, float(self.beta_1), float(self.beta_2), float(self.epsilon))
        if isinstance(self.solver, optimizers.Optimizer):
            return type(self.solver).from_config(self.solver.get_config())
        optimizer = optimizers.get("sgd" if self.solver == "lbfgs" else self.solver)
        optimizer.learning_rate = rate
        return optimizer

    # -------------------------------------------------------------- the network

    def _form(self) -> dict[str, Any]:
        """What the network is made from, by the names of arguments."""
        return {
            "hidden_layer_sizes": self._hidden(),
            "activation": self._each("activation"),
            "dropout": self._each("dropout"),
            "batch_norm": bool(self.batch_norm),
            "out_activation": self._ends()[0],
            "number of outputs": self.n_outputs_,
        }

    def _network(self, features: int, end: str) -> Model:
        """The network, with weights as scikit-learn draws them."""
        layers: list[Any] = [Input((features,))]
        settings = zip(self._hidden(), self._each("activation"), self._each("dropout"), strict=True)
        for number, (units, word, dropout) in enumerate(settings, 1):
            activation = _activation(word)
            name = f"hidden{number}"
            if self.batch_norm:
                layers.append(Dense(units, kernel_regularizer=L2(0.0), name=name))
                layers.append(BatchNormalization(momentum=_MOMENTUM, name=f"{name}_norm"))
                layers.append(Activation(activation, name=f"{name}_activation"))
            else:
                layers.append(Dense(units, activation, kernel_regularizer=L2(0.0), name=name))
            if dropout:
                layers.append(Dropout(float(dropout), name=f"{name}_dropout"))
        layers.append(Dense(self.n_outputs_, _activation(end), kernel_regularizer=L2(0.0), name="output"))
        return Sequential(layers, name=type(self).__name__.lower())

    def _begin(self, state: np.random.RandomState, features: int) -> None:
        """A network, and figures, to begin with."""
        self.n_iter_ = self.t_ = self._no_improvement_count = 0
        self.out_activation_ = self._ends()[0]
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = None
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self._made_as = self._form()
        sizes = [features, *self._hidden(), self.n_outputs_]
        self.n_layers_ = len(sizes)
        drawn = []
        for (ins, units), word in zip(pairwise(sizes), [*self._each("activation"), self.activation], strict=True):
            bound = math.sqrt((2 if word in ("logistic", "sigmoid") else 6) / (ins + units))
            drawn.append([state.uniform(-bound, bound, shape) for shape in ((ins, units), units)])
        # Of a copy: rows for validation are drawn next, and are to be those of scikit-learn's own.
        with seeded(int(copy.deepcopy(state).randint(2**31 - 1))):
            self.model_ = self._network(features, self.out_activation_)
        own = {
            id(w): array
            for layer, two in zip(self._dense(), drawn, strict=True)
            for w, array in zip(layer.weights, two, strict=True)
        }
        self.model_.set_weights([own[id(w)] if id(w) in own else w.numpy() for w in self.model_.weights])

    def _dense(self) -> list[Any]:
        return [layer for layer in self.model_.layers if isinstance(layer, Dense)]

    def _penalize(self, rows: float, incremental: bool) -> None:
        """Let the squares of the kernels count by alpha / 2 for so many rows of a batch."""
        l2 = float(self.alpha) / 2 / rows
        regularizers = [layer.kernel_regularizer for layer in self._dense()]
        if incremental and self.model_.optimizer.iterations and l2 != regularizers[0].l2:
            self.model_ = copy.deepcopy(self.model_)  # programs that were made have the other one in them
            regularizers = [layer.kernel_regularizer for layer in self._dense()]
        for regularizer in regularizers:
            regularizer.l2 = l2

    # -------------------------------------------------------------- training

    def _fit(self, X: Any, y: Any, weight: Any, X_val: Any, y_val: Any, incremental: bool) -> Self:
        self._check_settings()
        if incremental and self.early_stopping:
            raise UsageError("partial_fit does not support early_stopping=True.", hint="early_stopping=False, or fit")
        if (X_val is None) != (y_val is None):
            raise UsageError(
                "X_val and y_val go together, and one of them is missing.", hint="fit(X, y, X_val=X_val, y_val=y_val)"
            )
        if X_val is not None and self.solver == "lbfgs":
            raise UsageError("The solver 'lbfgs' does not look at X_val.", hint="solver='adam', or score it afterwards")
        first = not hasattr(self, "model_") or not (self.warm_start or incremental)
        X, y = self._checked(X, y, reset=first)
        weight = None if weight is None else _check_sample_weight(weight, X, dtype=np.float64, ensure_non_negative=True)
        target = self._targets(y, first, incremental)
        state = check_random_state(self.random_state)
        if first:
            self._begin(state, X.shape[1])
        elif changed := next((name for name, value in self._form().items() if value != self._made_as[name]), None):
            raise UsageError(
                f"warm_start and partial_fit go on with the network there is, which has another {changed}.",
                {"found": self._form()[changed], "expected": self._made_as[changed]},
                "warm_start=False, or sklearn.base.clone",
            )
        weight = self._weighted(y, weight, incremental)
        validation = None
        if X_val is not None:
            X_val, y_val = self._checked(X_val, y_val, reset=False)
            validation = X_val, y_val, self._weighted(y_val, None, incremental)
        elif self.early_stopping and self.solver != "lbfgs":
            kept, held = self._split(target, state)
            validation = X[held], y[held], None if weight is None else weight[held]
            X, y, target, weight = X[kept], y[kept], target[kept], None if weight is None else weight[kept]
        if first or not incremental or not self.model_.optimizer.iterations:
            _, loss, factor = self._ends()
            self.model_.compile(self._optimizer(), loss, loss_weights=[factor], device=self.device)
        if self.solver == "lbfgs":
            self._fit_lbfgs(X, target, weight)
        else:
            self._fit_stochastic(X, target, weight, validation, incremental)
        return self

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        """Rows, float32 (n, features), and targets."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            dtype=np.float32,
            order="C",
            reset=reset,
            **self._y_numeric,
        )
        if _is_sparse(X):
            if (size := 4 * X.shape[0] * X.shape[1]) > _DENSE:
                raise DataError(
                    f"The sparse X would take {size / 2**30:.1f} GiB as an array to train on, and {_DENSE >> 30} is the most.",
                    {"rows": X.shape[0], "features": X.shape[1]},
                    "partial_fit with some of the rows at a time, or fewer features, as by sklearn.decomposition.TruncatedSVD",
                )
            X = X.toarray()
        return X, y.toarray() if _is_sparse(y) else y

    def _split(self, target: Array, state: np.random.RandomState) -> tuple[Array, Array]:
        """Numbers of rows to train on, and of rows for validation, those that scikit-learn's own would take."""
        rows = np.arange(len(target))
        stratify = target if self._stratified and self.n_outputs_ == 1 else None
        kept, held = train_test_split(rows, random_state=state, test_size=self.validation_fraction, stratify=stratify)
        if len(held) < 2:
            raise UsageError(
                "The validation set is too small.",
                {"rows": len(held), "validation_fraction": self.validation_fraction},
                "increase validation_fraction, or pass X_val and y_val to fit",
            )
        return kept, held

    def _weighted(self, y: Array, weight: Array | None, incremental: bool) -> Array | None:  # noqa: ARG002 - for subclasses
        """The weights of the rows."""
        return weight

    def _fit_lbfgs(self, X: Array, target: Array, weight: Array | None) -> None:
        X, target, weight, total = _condensed(X, target, weight)
        self._penalize(total, incremental=False)
        steps, most = int(self.max_iter), int(self.max_fun)
        found = self.model_.fit_lbfgs(X, target, steps, float(self.tol), weight, most).history
        self.n_iter_, self.loss_ = len(found["loss"]) - 1, found["loss"][-1]
        self.loss_curve_ += found["loss"][1:]
        self.best_loss_ = min(found["loss"])
        if self.verbose:
            for number, loss in enumerate(found["loss"]):
                print(f"Iteration {number}, loss = {loss:.8f}")
        if found["gradient_norm"][-1] > self.tol and (self.n_iter_ >= steps or found["evaluations"][-1] >= most):
            warnings.warn(
                f"lbfgs has not converged after {self.n_iter_} of max_iter={steps} steps and {found['evaluations'][-1]} of "
                f"max_fun={most} evaluations. Increase them, or scale the data.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _fit_stochastic(
        self, X: Array, target: Array, weight: Array | None, validation: Any, incremental: bool
    ) -> None:
        rows = len(X)
        size = min(200, rows) if self.batch_size == "auto" else int(self.batch_size)
        if size > rows:
            warnings.warn(f"batch_size is {size}, but there are {rows} rows: all of them are a batch.", stacklevel=4)
            size = rows
        total = size if weight is None else size * weight.mean()
        whole = size == rows and not incremental and not self.batch_norm and not any(self._each("dropout"))
        if whole:
            X, target, weight, total = _condensed(X, target, weight)
            size = len(X)
        self._penalize(total, incremental)
        stopping = Stopping(self, rows, validation)
        callbacks = [self.callbacks] if isinstance(self.callbacks, Callback) else list(self.callbacks or [])
        if self.early_stopping:
            stopping.best = self.model_.get_weights()
        judged = None
        if callbacks and validation is not None:
            judged = validation[0], self._encoded(validation[1])
        try:
            self.model_.fit(
                X,
                target,
                size,
                epochs=1 if incremental else int(self.max_iter),
                verbose=0,
                callbacks=[*callbacks, stopping],
                validation_data=judged,
                shuffle=bool(self.shuffle) and not whole,
                sample_weight=weight,
            )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        else:
            if not incremental and not self.model_.stop_training:
                warnings.warn(
                    f"max_iter={self.max_iter} epochs are over, and the training has not converged yet.",
                    ConvergenceWarning,
                    stacklevel=4,
                )
        if stopping.best is not None:
            self.model_.set_weights(stopping.best)


def _is_sparse(rows: Any) -> bool:
    """Whether checked rows are a matrix of SciPy."""
    return hasattr(rows, "toarray")


def _activation(word: Any) -> Any:
    return _ACTIVATIONS.get(word, word) if isinstance(word, str) else word


def _condensed(X: Array, target: Array, weight: Array | None) -> tuple[Array, Array, Array | None, float]:
    """Equal rows as one with the sum of their weights, in an order of their own; and the sum of all weights.

    In a batch of all rows, neither order nor repetition means anything; so, a row of weight 2 is two rows to the last bit.
    """
    weight = np.ones(len(X)) if weight is None else weight
    X, target, weight = X[weight > 0], target[weight > 0], weight[weight > 0]
    rows = np.ascontiguousarray(np.column_stack([X, target]), np.float32)
    _, index, which = np.unique(
        rows.view(np.dtype((np.void, rows.strides[0]))).ravel(), return_index=True, return_inverse=True
    )
    sums = np.bincount(which, weight)
    return X[index], target[index], None if (sums == 1).all() else sums, float(weight.sum())
