"""From scores to probabilities, loss and gradient, and from probabilities back to scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, UsageError
from nacre.explain.numbers import columns, short

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class ExplainedScores:
    """What softmax and crossentropy make of the ``scores`` (k,) of k classes, of which ``true_class`` is the right one, in float64.

    ``probabilities`` (k,) are e^score / sum of e^scores, ``log_probabilities`` (k,) their logarithms: the scores, less one number,
    ``shift``. The ``loss`` is minus the logarithm for the true class, in nats. ``gradient`` (k,), of the loss by the scores, is
    the probabilities less the target, which is 1 for the true class and else 0.
    """

    scores: Array
    true_class: int
    probabilities: Array
    log_probabilities: Array
    shift: float
    loss: float
    gradient: Array

    def __str__(self) -> str:
        target = np.arange(len(self.scores)) == self.true_class
        head = ["class", "score", "probability", "log probability", "target", "gradient"]
        parts = (self.scores, self.probabilities, self.log_probabilities, target, self.gradient)
        rows = [[str(k), *(short(part[k], 5) for part in parts)] for k in range(len(self.scores))]
        return "\n".join(
            [
                f"loss {self.loss:.4f} = -log of the probability of class {self.true_class}",
                f"score = log probability + {short(self.shift, 5)} for each class; gradient = probability - target",
                *columns([head, *rows]),
            ]
        )


def explain_scores(scores: Any, true_class: int) -> ExplainedScores:
    """Softmax, crossentropy and its gradient for the ``scores`` (k,) of k classes, of which number ``true_class`` is right.

    Scores of any size will do: the largest is taken off first, and logarithms are not taken of probabilities.
    Raises `DataError` for scores that are not k finite numbers, `UsageError` for a class that is not there.

    >>> print(explain_scores(np.log([0.2, 0.7, 0.1]) + 3, true_class=0))
    loss 1.6094 = -log of the probability of class 0
    score = log probability + 3 for each class; gradient = probability - target
    class   score probability log probability target gradient
        0  1.3906         0.2         -1.6094      1     -0.8
        1  2.6433         0.7        -0.35667      0      0.7
        2 0.69741         0.1         -2.3026      0      0.1
    """
    array = np.asarray(scores)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not len(array) or not np.isfinite(array).all():
        raise DataError("The scores are a list of finite numbers, one for each class.", {"found": repr(scores)[:80]})
    whole = isinstance(true_class, int | np.integer) and not isinstance(true_class, bool)
    if not whole or not 0 <= true_class < len(array):
        raise UsageError(f"true_class is a class number from 0 to {len(array) - 1}, got {true_class!r}.")
    z = array.astype(np.float64)
    top = float(z.max())
    log_p = (z - top) - np.log(np.exp(z - top).sum())
    p = np.exp(log_p)
    target = np.arange(len(z)) == true_class
    return ExplainedScores(
        z, int(true_class), p, log_p, float(z[0] - log_p[0]), 0.0 - float(log_p[true_class]), p - target
    )


__all__ = ["ExplainedScores", "explain_scores"]
