"""Pictures as they might also have been taken: turned, moved, enlarged, mirrored, noisy, covered."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nacre import ops
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.dropout import _Noise
from nacre.layers.layer import number

_FLIPS = (None, "horizontal", "vertical", "horizontal_and_vertical")


class Augmentation(_Noise):
    """Other pictures of the same, anew for each step of training; elsewhere x itself.   x (batch, height, width, channels) -> same

    Each picture by itself is mirrored with probability 1/2 (``flip``: "horizontal", "vertical" or "horizontal_and_vertical"), moved
    by up to ``shift`` of its size along each axis, turned by up to ``rotate`` of a full turn either way, enlarged or reduced by up
    to ``zoom``; all of it at once, by one bilinear interpolation, in which pixels at the edge go on outside. Then normal noise of
    deviation ``noise`` is added, and a square that is ``cutout`` of the width is covered by 0 somewhere (T. DeVries, G. Taylor,
    arXiv:1708.04552). nacre's own; in Keras, several layers do this one after the other.

    Raises `UsageError` for amounts out of range, `ShapeError` for inputs that are no pictures.

    >>> import numpy as np
    >>> layer = Augmentation(flip="horizontal", shift=0.1)
    >>> picture = np.arange(12.0).reshape(1, 2, 2, 3)
    >>> np.array_equal(layer(picture), picture), layer(picture, training=True).shape
    (True, (1, 2, 2, 3))
    """

    def __init__(
        self,
        flip: str | None = None,
        shift: float = 0.0,
        rotate: float = 0.0,
        zoom: float = 0.0,
        noise: float = 0.0,
        cutout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if flip not in _FLIPS:
            raise UsageError(f"Augmentation flips {', '.join(map(repr, _FLIPS))}, got {flip!r}.")
        self.flip = flip
        self.shift = number("Augmentation", "shift", shift, 0, 1)
        self.rotate = number("Augmentation", "rotate", rotate, 0, 0.5)
        self.zoom = number("Augmentation", "zoom", zoom, 0, 0.9)
        self.noise = number("Augmentation", "noise", noise, 0)
        self.cutout = number("Augmentation", "cutout", cutout, 0, 1)

    def number_streams(self, begin: int) -> int:
        """Two: where things go, and noise."""
        self.stream = begin
        return begin + 2

    def check_input(self, shape: Any) -> None:
        """Demand pictures."""
        if len(shape) != 4:
            raise ShapeError(
                f"Augmentation {self.name!r} takes pictures (batch, height, width, channels).",
                {"input": tuple(shape)},
                "Reshape((height, width, 1)) makes pictures of pixels in a row",
            )

    def call(self, x: Value, training: bool = False) -> Value:
        """x, or in training what might have been."""
        if not training:
            return x
        rows = x.shape[0]
        chance = ops.uniform((rows, 8), self.random_stream)
        if self.flip or self.shift or self.rotate or self.zoom:
            x = self._moved(x, chance)
        if self.noise:
            x = x + ops.cast(ops.normal(x.shape, self.random_stream + 1), dtype=x.dtype) * self.noise
        return self._covered(x, chance) if self.cutout else x

    def _moved(self, x: Value, chance: Value) -> Value:
        rows, height, width, channels = x.shape
        down, right = (
            a.reshape(1, -1).astype(np.float32)
            for a in np.meshgrid(
                np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij"
            )
        )
        # Where each pixel comes from: the other way round than where the picture goes.
        flips = [
            (1.0 - 2.0 * (chance[:, n : n + 1] < 0.5)) if which in (self.flip or "") else 1.0
            for n, which in enumerate(("horizontal", "vertical"))
        ]
        angle = (2 * chance[:, 2:3] - 1) * (2 * math.pi * self.rotate)
        scale = 1 + (2 * chance[:, 3:4] - 1) * self.zoom
        cos, sin = ops.cos(angle) * scale, ops.sin(angle) * scale
        across = (cos * right - sin * down) * flips[0] + (2 * chance[:, 4:5] - 1) * (self.shift * width)
        along = (sin * right + cos * down) * flips[1] + (2 * chance[:, 5:6] - 1) * (self.shift * height)
        across = ops.clip(across + (width - 1) / 2, 0.0, width - 1.0)
        along = ops.clip(along + (height - 1) / 2, 0.0, height - 1.0)
        left, top = ops.floor(across), ops.floor(along)
        share_x, share_y = across - left, along - top
        begins = ops.constant((np.arange(rows, dtype=np.int64).reshape(-1, 1) * (height * width)).astype(np.int32))
        left, top = ops.cast(left, dtype="int32"), ops.cast(top, dtype="int32")
        farther, lower = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)
        pixels = ops.reshape(x, [rows * height * width, channels])

        def at(row: Value, column: Value, share: Value) -> Value:
            place = ops.reshape(begins + row * width + column, [rows * height * width])
            return ops.take(pixels, place, axis=0) * ops.reshape(share, [rows * height * width, 1])

        found = (
            at(top, left, (1 - share_y) * (1 - share_x))
            + at(top, farther, (1 - share_y) * share_x)
            + at(lower, left, share_y * (1 - share_x))
            + at(lower, farther, share_y * share_x)
        )
        return ops.reshape(found, x.shape)

    def _covered(self, x: Value, chance: Value) -> Value:
        _, height, width, _ = x.shape
        down, right = np.arange(height, dtype=np.float32).reshape(1, -1, 1, 1), np.arange(width, dtype=np.float32)
        middle_y, middle_x = (ops.reshape(chance[:, n], [-1, 1, 1, 1]) for n in (6, 7))
        half = self.cutout / 2
        inside = ops.logical_and(
            ops.abs(down - middle_y * height) < half * height,
            ops.abs(right.reshape(1, 1, -1, 1) - middle_x * width) < half * width,
        )
        return ops.where(inside, 0.0, x)
