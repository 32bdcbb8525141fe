"""What is told, as terminals and JSON can hold it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

# Control characters but tabs and ends of lines, what turns the direction of text around, invisible marks, halves of characters.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """Text without what would steer a terminal, as names out of data may hold it.

    >>> printable("a\\x1b[31mb\\nc")
    'a?[31mb\\nc'
    """
    return _STEERING.sub("?", text)


def plain(array: Any) -> Any:
    """Numbers as lists, as JSON can hold them, with as many digits as their precision tells apart; NaN and infinity become text.

    >>> plain(np.array([[0.1, np.nan]], np.float32)), plain(0.5)
    ([[0.1, 'nan']], 0.5)
    """
    array = np.asarray(array)
    if array.ndim:
        return [plain(one) for one in array]
    if array.dtype.kind != "f":
        return array.item()
    return float(str(array)) if math.isfinite(array) else str(array)


__all__ = ["plain", "printable"]
