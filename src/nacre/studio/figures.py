"""What can be shown on the page. ``lib/figures/`` draws each kind; fields that are None are left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Of curves that mean the same in several figures; others get theirs in turn (``lib/colors.js``).
BLUE, ORANGE, GREEN, RED, GREY, SKY = "#1f6cb5", "#cc6610", "#2e9e5b", "#d9463b", "#7f7f7f", "#2b8ac9"


class Figure(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Anything that is shown, with a title above it."""

    title: str = ""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One curve; None in it leaves a gap. With ``dots``, only the points themselves."""

    label: str
    values: Sequence[float | None] | Array
    dashed: bool = False
    color: str | None = None
    dots: bool = False


class Axis(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an axis means; the values along x are shared by all curves. Without ``range``, it is as long as the values need."""

    label: str
    values: Sequence[float] | Array | None = None
    log: bool = False
    range: tuple[float, float] | None = None


class Curves(Figure, frozen=True, kw_only=True, tag="curves"):
    """Curves over a common x."""

    x: Axis
    lines: Sequence[Line]
    y: Axis | None = None
    height: int | None = None


class Point(msgspec.Struct, frozen=True, omit_defaults=True):
    """A sample in the plane; its group gives its color, and one of the test part is open."""

    x: float
    y: float
    group: int | None = None
    open: bool = False


class Heat(Figure, frozen=True, kw_only=True, tag="heat"):
    """A matrix as a picture, row by row from the top; blue above 0, orange below, or with ``colors="shade"`` from ground to ink.

    ``x`` and ``y`` are the plane that it covers, ``points``, ``path`` and ``arrows`` (x, y, and how far along x and y) lie in it.
    ``label`` says it to those who cannot see it.
    """

    label: str
    rows: int
    columns: int
    values: Array
    low: float | None = None
    high: float | None = None
    colors: str | None = None
    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None
    points: Sequence[Point] | None = None
    path: Sequence[tuple[float, float]] | Array | None = None
    arrows: Sequence[tuple[float, float, float, float]] | Array | None = None
    size: int | str | None = None
    smooth: bool = False

    @classmethod
    def of(cls, matrix: Array, label: str, **more: Any) -> Heat:
        """The picture of a matrix (rows, columns).

        >>> Heat.of(np.eye(2), "the identity").columns
        2
        """
        rounded = np.round(np.asarray(matrix, np.float64), 5)
        return cls(label=label, rows=rounded.shape[0], columns=rounded.shape[1], values=rounded.ravel(), **more)


class Image(Figure, frozen=True, kw_only=True, tag="image"):
    """A picture as it is: ``src`` is an address that holds it (data:image/png...), ``label`` says it to those who cannot see it."""

    src: str
    label: str


class Pictures(Figure, frozen=True, kw_only=True, tag="pictures"):
    """Several small pictures in a row, each with its label below."""

    pictures: Sequence[Heat]
    size: int | None = None


class Bar(msgspec.Struct, frozen=True, omit_defaults=True):
    """One number of a list; ``note`` is written instead of it."""

    label: str
    value: float
    note: str | None = None


class Bars(Figure, frozen=True, kw_only=True, tag="bars"):
    """Numbers as bars, one below the other."""

    bars: Sequence[Bar]


class Table(Figure, frozen=True, kw_only=True, tag="table"):
    """Rows under columns; ``marked`` is the row that matters."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | int | None]]
    marked: int | None = None


class Unit(msgspec.Struct, frozen=True, omit_defaults=True):
    """A unit of a layer: its color says its value; the label is written below, the note when one points at it."""

    label: str | None = None
    value: float | None = None
    note: str | None = None


class Column(msgspec.Struct, frozen=True):
    """A layer of a network."""

    name: str
    units: Sequence[Unit]


class Network(Figure, frozen=True, kw_only=True, tag="network"):
    """Layers from left to right; ``weights[k]`` (units of layer k, units of the next) are the lines between, None for thin ones."""

    layers: Sequence[Column]
    weights: Sequence[Array | None]
    height: int | None = None


class Drawing(Figure, frozen=True, kw_only=True, tag="drawing"):
    """An SVG drawing, shown as an image."""

    svg: str
    label: str = ""


class Text(Figure, frozen=True, kw_only=True, tag="text"):
    """A sentence; a strong one is the answer."""

    text: str
    strong: bool = False


class Code(Figure, frozen=True, kw_only=True, tag="code"):
    """Lines of code or of a terminal."""

    text: str
