"""A function of two variables as a landscape, with a ball and the way that it came."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_WIDE, _TALL = 580, 370
_TURN, _TILT, _HEIGHT = (
    math.radians(-55),
    math.radians(32),
    1.1,
)  # how it is looked at; how high it is, by half its side


def landscape(f: Callable[[Array, Array], Array], path: Array, side: float = 3.0, cells: int = 26) -> str:
    """A picture, as SVG, of f(x, y) from -``side`` to ``side``, and of ``path`` (n, 2) on it, as far as it is in sight.

    >>> picture = landscape(lambda x, y: x**2 + y**2, np.array([[1.0, 2.0], [0.5, 1.0]]), cells=4)
    >>> picture.count("<polygon"), picture.count("<circle")
    (16, 1)
    """
    ticks = np.linspace(-side, side, cells + 1)
    x, y = np.meshgrid(ticks, ticks)
    z = f(x, y)
    low, high = float(z.min()), float(z.max())

    def seen(x: Array, y: Array, z: Array) -> tuple[Array, Array, Array]:
        """Where points are in the picture, and how far away."""
        across = (x * math.cos(_TURN) - y * math.sin(_TURN)) / side
        away = (x * math.sin(_TURN) + y * math.cos(_TURN)) / side
        up = _HEIGHT * (z - low) / (high - low or 1.0)
        return (
            _WIDE / 2 + 200 * across,
            _TALL - 115 - 140 * (up * math.cos(_TILT) + away * math.sin(_TILT)),
            away,
        )

    px, py, away = seen(x, y, z)
    here, after = slice(0, -1), slice(1, None)
    corners = [(here, here), (after, here), (after, after), (here, after)]
    points = np.stack([np.stack([px[at], py[at]], -1) for at in corners], 2).reshape(-1, 8).round(1)
    middle = np.mean([away[at] for at in corners], 0).ravel()
    shade = (np.mean([z[at] for at in corners], 0).ravel() - low) / (high - low or 1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_TALL}" width="{_WIDE}" height="{_TALL}" '
        'stroke-linejoin="round"><g stroke="#5b7a99" stroke-width="0.5">'
    ]
    for cell in np.argsort(-middle, kind="stable").tolist():  # the nearer hide those behind them
        red, green, blue = (round(a + (b - a) * shade[cell]) for a, b in ((238, 92), (244, 136), (250, 182)))
        parts.append(
            f'<polygon points="{" ".join(map(str, points[cell].tolist()))}" fill="rgb({red},{green},{blue})"/>'
        )
    inside = (np.abs(path) <= side).all(1)
    visible = path[: len(path) if inside.all() else int(inside.argmin())]
    if len(visible):
        wx, wy, _ = seen(visible[:, 0], visible[:, 1], f(visible[:, 0], visible[:, 1]))
        way = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(wx, wy, strict=True))
        parts.append(f'</g><polyline points="{way}" fill="none" stroke="#111" stroke-width="1.6"/>')
        parts.append(f'<circle cx="{wx[-1]:.1f}" cy="{wy[-1] - 6:.1f}" r="8" fill="#cc6610" stroke="#111"/></svg>')
    else:
        parts.append("</g></svg>")
    return "".join(parts)
