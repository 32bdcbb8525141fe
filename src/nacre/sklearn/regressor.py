"""A network that gives numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from nacre import losses
from nacre.errors import DataError
from nacre.sklearn.base import MLP, keep

Array = npt.NDArray[Any]


class MLPRegressor(RegressorMixin, MLP):  # type: ignore[misc]  # scikit-learn says nothing of its types
    """scikit-learn's ``MLPRegressor``, trained by nacre: the same arguments, attributes and rules, and some more.

    The arguments mean what they mean there. ``activation`` may also be any activation of nacre, or a list with one for each hidden
    layer, ``solver`` any optimizer, ``loss`` any loss, by name or as an object. Besides, there are

    * ``out_activation``: that of the output, as "softplus" for numbers above 0; None is the identity, or exp for "poisson";
    * ``dropout``: the rate after each hidden layer, or a list of them; ``batch_norm``: whether batches are normalized before each
      hidden activation;
    * ``callbacks``: a list of nacre's, which see ``val_loss`` if there is validation; ``device``: as `Model.compile` takes it.

    ``model_`` is the `nacre.Model`. X is float32 within, and so are ``coefs_``, ``intercepts_`` (copies) and predictions.

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> regressor = MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", alpha=0, max_iter=1000, random_state=0)
    >>> regressor.fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.99
    True
    """

    _stratified: ClassVar[bool] = False
    _y_numeric: ClassVar[dict[str, bool]] = {"y_numeric": True}

    def __init__(
        self,
        loss: Any = "squared_error",
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
        out_activation: Any = None,
        dropout: float | Sequence[float] = 0.0,
        batch_norm: bool = False,
        callbacks: Sequence[Any] | None = None,
        device: str = "native",
    ) -> None:
        keep(self, locals())

    @available_if(lambda self: self.solver != "lbfgs")  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over these rows; the optimizer goes on from where it was."""
        return self._fit(X, y, sample_weight, None, None, incremental=True)

    def _targets(self, y: Array, first: bool, incremental: bool) -> Array:  # noqa: ARG002 - a classifier asks
        target = self._encoded(column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y)
        self.n_outputs_ = target.shape[1]
        return target

    def _encoded(self, y: Array) -> Array:
        if isinstance(self.loss, str) and self.loss == "poisson" and (y < 0).any():
            raise DataError("The loss 'poisson' is for counts, and y has numbers below 0.", hint="loss='squared_error'")
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told
            target = y.reshape(len(y), -1).astype(np.float32)
        if not np.isfinite(target).all():
            raise DataError(
                "y has numbers that are too large for float32, beyond 3.4e38.",
                hint="scale them: sklearn.compose.TransformedTargetRegressor",
            )
        return target

    def _ends(self) -> tuple[str, losses.Loss, float]:
        loss: losses.Loss
        if self.loss == "squared_error":
            end, loss, factor = "identity", losses.HalfSquaredError(reduction="mean_with_sample_weight"), 1.0
        elif self.loss == "poisson":
            end, loss, factor = "exp", losses.Poisson(reduction="mean_with_sample_weight"), float(self.n_outputs_)
        else:
            end, loss, factor = "identity", losses.get(self.loss), 1.0
        return end if self.out_activation is None else self.out_activation, loss, factor

    def _decoded(self, outputs: Array) -> Array:
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _score(self, X: Array, y: Array, sample_weight: Array | None) -> float:
        return float(r2_score(y, self._decoded(self._outputs(X)), sample_weight=sample_weight))
