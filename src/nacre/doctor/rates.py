"""Learning rates that suit a case better than the one it has."""

from __future__ import annotations

import numpy as np

from nacre.doctor.case import Case, single
from nacre.errors import NonFiniteLossError
from nacre.tuning import find_learning_rate

_ROWS = 5000  # that a search sees


def with_better_rate(case: Case) -> Case:
    """The case with the learning rate that a search suggests, if its own is lower, or more than ten times as high."""
    own = case.model.optimizer.get_config()["learning_rate"]
    part = case.take(np.arange(min(len(case), _ROWS)))
    try:
        found = find_learning_rate(case.model, single(part.x), single(part.y), batch_size=case.batch_size)
    except NonFiniteLossError:
        return case
    if not isinstance(own, float) or found.suggestion <= own <= 10 * found.suggestion:
        return case
    return case.optimized_by(learning_rate=found.suggestion)
