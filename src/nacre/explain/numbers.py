"""Numbers as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def short(number: float, digits: int = 4) -> str:
    """A number with few digits; what is 0 to float64 is 0.

    >>> short(0.30000000000000004), short(-1.5e-7), short(2.2e-17), short(12345.0)
    ('0.3', '-1.5e-07', '0', '12345')
    """
    number = float(number)
    if abs(number) < 1e-16:
        return "0"
    return f"{number:.0f}" if number == round(number) and abs(number) < 1e6 else f"{number:.{digits}g}"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines in which cells stand below one another, to the right.

    >>> columns([["a", "bcd"], ["12", "3"]])
    [' a bcd', '12   3']
    """
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return [" ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]


def top(values: Array, most: int) -> Array:
    """Places (at most so many) of the numbers (n,) that are farthest from 0, the farthest first.

    >>> top(np.array([1.0, -3.0, 2.0]), 2).tolist()
    [1, 2]
    """
    order: Array = np.argsort(-np.abs(values), kind="stable")[:most]
    return order
