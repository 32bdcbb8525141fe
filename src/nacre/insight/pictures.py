"""The first layer as pictures, and pictures of shapes to learn parts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation, UsageError
from nacre.layers import (
    AlphaDropout,
    Augmentation,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Identity,
    InputLayer,
    Normalization,
    Rescaling,
    Reshape,
)
from nacre.models import Model

Array = npt.NDArray[Any]

SHAPES = ("line", "triangle", "rectangle")

# Layers behind which each number still belongs to the same place of the picture.
_IN_FRONT = (
    InputLayer, Flatten, Reshape, Identity, Rescaling, Normalization, Dropout, AlphaDropout, GaussianDropout, GaussianNoise,
    Augmentation,
)  # fmt: skip


@dataclass(frozen=True)
class FirstLayer:
    """The weights of the first layer, ``name``, as ``pictures`` (units, height, width), then channels, if there are any."""

    name: str
    pictures: Array

    def __str__(self) -> str:
        units, *shape = self.pictures.shape
        largest = np.abs(self.pictures).reshape(units, -1).max(1)
        lines = [
            f"{self.name}: {units} units that look at {' x '.join(map(str, shape))} numbers each",
            "",
            "unit  largest weight",
        ]
        return "\n".join([*lines, *(f"{unit:>4}  {value:.4g}" for unit, value in enumerate(largest))])

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"layer": self.name, "pictures": self.pictures.tolist()}


def sees_pictures(model: Model) -> bool:
    """Whether the model takes one input, of (height, width), or (height, width, channels) with 1 or 3 channels."""
    shapes = [shape[1:] for shape in model.input_shapes]
    return len(shapes) == 1 and (len(shapes[0]) == 2 or (len(shapes[0]) == 3 and shapes[0][2] in (1, 3)))


def first_layer(model: Model) -> FirstLayer:
    """The kernel columns of the first dense layer of a model of pictures: what each unit adds and takes away, place by place.

    Inputs are (height, width) or (height, width, channels); `Flatten`, `Rescaling`, `Normalization` and what only trains, such
    as `Dropout`, may lie in front, and the weights are by the numbers that come out of these. Raises `Limitation` for any other
    model.

    >>> import nacre
    >>> layers = [nacre.Input((2, 3)), nacre.layers.Flatten(), nacre.layers.Dense(4, kernel_initializer="ones")]
    >>> first_layer(nacre.Sequential(layers)).pictures.shape
    (4, 2, 3)
    """
    if not sees_pictures(model):
        raise Limitation(
            f"{model.name!r} does not take pictures, so its weights are none.",
            {"found": ", ".join(" x ".join(map(str, one[1:])) or "one number" for one in model.input_shapes)},
            "an input of (height, width) or (height, width, channels)",
        )
    shape = tuple(int(n or 0) for n in model.input_shapes[0][1:])
    for call in model.inside(np.zeros((1, *shape), np.float32)).calls:
        if isinstance(call.layer, Dense) and call.layer.kernel is not None:
            if call.layer.kernel.shape[0] != int(np.prod(shape)):
                break
            return FirstLayer(call.name, call.layer.kernel.numpy().T.reshape(-1, *shape))
        if not isinstance(call.layer, _IN_FRONT):
            break
    raise Limitation(
        f"The first dense layer of {model.name!r} does not see the picture as a whole.",
        hint="Flatten, Rescaling or Normalization in front of Dense",
    )


def shapes(count: int = 600, size: int = 16, seed: int = 0) -> tuple[Array, Array]:
    """Pictures of lines, triangles and rectangles, to see which parts a network learns of them.

    Returns x (count, size, size), float32 from 0 to 1, and y (count,), numbers in ``SHAPES``, in turn. Corners lie anywhere, at
    least a quarter of the size apart.

    >>> import nacre
    >>> x, y = nacre.insight.shapes(6, size=12)
    >>> x.shape, [nacre.insight.SHAPES[label] for label in y[:3]]
    ((6, 12, 12), ['line', 'triangle', 'rectangle'])
    """
    from PIL import Image, ImageDraw  # noqa: PLC0415 - slow to import, needed only here

    for name, number, least in (("count", count, 1), ("size", size, 8)):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise UsageError(f"{name} is a whole number from {least} on, got {number!r}.")
    random, drawn = np.random.default_rng(seed), []
    labels = np.arange(count) % len(SHAPES)
    for label in labels:
        image = Image.new("L", (size, size))
        draw, corners = ImageDraw.Draw(image), _corners(random, 3 if SHAPES[label] == "triangle" else 2, size)
        if SHAPES[label] == "line":
            draw.line(corners, fill=255)
        elif SHAPES[label] == "triangle":
            draw.polygon(corners, outline=255)
        else:
            (left, top), (right, bottom) = corners
            draw.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], outline=255)
        drawn.append(np.asarray(image, np.float32) / 255)
    return np.stack(drawn), labels.astype(np.int32)


def _corners(random: np.random.Generator, count: int, size: int) -> list[tuple[int, int]]:
    """So many points, each in both directions a quarter of the size away from the one before."""
    apart = size // 4
    while True:
        points = random.integers(1, size - 1, (count, 2))
        steps = np.abs(points - np.roll(points, 1, axis=0))
        (first, second), flat = (points[1] - points[0]), points[-1] - points[0]
        if (steps >= apart).all() and (count == 2 or abs(first * flat[1] - second * flat[0]) >= size * apart):
            return [(int(x), int(y)) for x, y in points]


__all__ = ["SHAPES", "FirstLayer", "first_layer", "sees_pictures", "shapes"]
