"""Small pictures of weights and rows, and the pages that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.pages import ABOVE, BELOW, png, rendered

Array = npt.NDArray[Any]


def page(template: str, content: Mapping[str, Any]) -> bytes:
    """A page from a template of this folder."""
    return rendered(Path(__file__).with_name(template), content)


def plainly(image: Array, low: float, high: float) -> Array:
    """A picture (height, width[, channels]) of numbers from low to high, as bytes in three colors.

    >>> plainly(np.array([[0.0, 2.0]]), 0.0, 2.0).tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    bytes_ = np.clip(255 * (image.astype(np.float64) - low) / max(high - low, 1e-12), 0, 255).round().astype(np.uint8)
    bytes_ = bytes_[..., None] if bytes_.ndim == 2 else bytes_
    return np.repeat(bytes_, 3, 2) if bytes_.shape[2] == 1 else bytes_


def signed(image: Array, most: float) -> Array:
    """A picture (height, width[, channels]) as bytes with transparency: blue above 0, orange below, clear at 0. Of three colors,
    each is a shade around grey.

    >>> signed(np.array([[1.0, 0.0, -1.0]]), 1.0)[..., 3].tolist()
    [[255, 0, 255]]
    """
    part = np.clip(image.astype(np.float64) / max(most, 1e-12), -1, 1)
    if part.ndim == 3 and part.shape[2] == 3:
        return (127.5 + 127.5 * part).round().astype(np.uint8)
    part = part.reshape(part.shape[:2])
    color = np.where(part[..., None] > 0, np.array(ABOVE), np.array(BELOW))
    return np.concatenate([color, 255 * np.abs(part[..., None])], 2).round().astype(np.uint8)


def strip(pictures: Sequence[Array], gap: int = 1) -> Array:
    """Pictures (height, width, 3) side by side, with something clear between them."""
    height = pictures[0].shape[0]
    clear = np.zeros((height, gap, 4), np.uint8)
    parts: list[Array] = []
    for picture in pictures:
        opaque = np.full((*picture.shape[:2], 1), 255, np.uint8)
        parts += [clear, np.concatenate([picture, opaque], 2)]
    return np.concatenate(parts[1:], 1)


__all__ = ["page", "plainly", "png", "signed", "strip"]
