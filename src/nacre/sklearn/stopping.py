"""When training ends, by scikit-learn's rules: the loss, or the score in validation, does not get better by ``tol`` any more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from nacre.training import Callback

if TYPE_CHECKING:
    from nacre.sklearn.base import MLP

_LOWEST_RATE = 1e-6  # where "adaptive" ends
_FACTOR = 5.0  # by which it divides the rate


class Stopping(Callback):
    """Keeps the figures of an estimator, changes the rate of its SGD, and ends its training.

    ``validation`` are rows, targets and weights to score; ``best`` are the weights of the best score, if the score decides.
    """

    def __init__(self, estimator: MLP, rows: int, validation: tuple[Any, Any, Any] | None) -> None:
        self.estimator, self.rows, self.validation = estimator, rows, validation
        self.best: list[npt.NDArray[Any]] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the figures, and look whether it is time."""
        mlp = self.estimator
        mlp.n_iter_ = epoch + 1
        mlp.t_ += self.rows
        mlp.loss_ = (logs or {})["loss"]
        mlp.loss_curve_.append(mlp.loss_)
        if mlp.verbose:
            print(f"Iteration {mlp.n_iter_}, loss = {mlp.loss_:.8f}")
        scored = self.validation is not None and self._score()
        better = scored if mlp.early_stopping else self._loss()
        mlp._no_improvement_count = 0 if better else mlp._no_improvement_count + 1
        if mlp.solver == "sgd" and mlp.learning_rate == "invscaling":
            self.model.optimizer.learning_rate = mlp.learning_rate_init / (mlp.t_ + 1) ** mlp.power_t
        if mlp._no_improvement_count > mlp.n_iter_no_change:
            self._end()

    def _loss(self) -> bool:
        """Whether the loss is lower than the lowest by ``tol``."""
        mlp = self.estimator
        lowest = math.inf if mlp.best_loss_ is None else mlp.best_loss_
        mlp.best_loss_ = min(mlp.loss_, lowest)
        return bool(mlp.loss_ <= lowest - mlp.tol)

    def _score(self) -> bool:
        """Whether the score is higher than the highest by ``tol``; the weights of the highest are kept, if it decides."""
        mlp = self.estimator
        assert self.validation is not None
        score = float(mlp._score(*self.validation))
        highest = -math.inf if mlp.best_validation_score_ is None else mlp.best_validation_score_
        mlp.validation_scores_ = [*(mlp.validation_scores_ or []), score]
        mlp.best_validation_score_ = max(score, highest)
        if mlp.verbose:
            print(f"Validation score: {score:.6f}")
        if score > highest and mlp.early_stopping:
            self.best = self.model.get_weights()
        return bool(score >= highest + mlp.tol)

    def _end(self) -> None:
        """End it, or go on at a lower rate."""
        mlp, rate = self.estimator, self.model.optimizer.learning_rate
        what = "Validation score" if mlp.early_stopping else "Training loss"
        said = f"{what} did not improve more than tol={mlp.tol:g} for {mlp.n_iter_no_change} consecutive epochs."
        if mlp.solver == "sgd" and mlp.learning_rate == "adaptive" and rate > _LOWEST_RATE:
            self.model.optimizer.learning_rate = rate / _FACTOR
            mlp._no_improvement_count = 0
            said = f"{said} Setting learning rate to {rate / _FACTOR:g}."
        else:
            self.model.stop_training = True
            said = f"{said} Stopping."
        if mlp.verbose:
            print(said)
