"""Arguments of optimizers and schedules, checked where they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from nacre.errors import UsageError


def amount(name: str, value: Any) -> float:
    """A number that is not negative and fits in float32, or `UsageError`."""
    if not _number(value) or not 0 <= value <= float(np.finfo(np.float32).max):
        raise UsageError(f"{name} is a number that is neither negative nor beyond float32, got {value!r}.")
    return float(value)


def share(name: str, value: Any) -> float:
    """A number in [0, 1), or `UsageError`."""
    if not _number(value) or not 0 <= value < 1:
        raise UsageError(f"{name} lies in [0, 1), got {value!r}.")
    return float(value)


def bound(name: str, value: Any) -> float | None:
    """A positive number that fits in float32, or None for none."""
    if value is None:
        return None
    if amount(name, value) == 0:
        raise UsageError(f"{name} is a positive number, got {value!r}.", hint="None for no bound")
    return float(value)


def span(name: str, value: Any) -> float:
    """A positive number of steps, whole or not."""
    if amount(name, value) == 0:
        raise UsageError(f"{name} is a positive number of steps, got {value!r}.")
    return int(value) if value == int(value) else float(value)


def count(name: str, value: Any, least: int) -> int | None:
    """A whole number from ``least`` on, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name} is a whole number from {least} on, or None, got {value!r}.")
    return int(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
