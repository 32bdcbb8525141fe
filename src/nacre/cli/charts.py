"""Small pictures for reports, as SVG: curves, bars, and how far probabilities can be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 460, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34
COLORS = ("var(--a)", "var(--b)", "var(--c)", "var(--d)")


def curves(series: Mapping[str, Sequence[float]], label: str, mark: int | None = None) -> str:
    """Lines over epochs, each with its name; ``mark`` is an epoch to point at. What is not finite is left out.

    >>> curves({"loss": [2.0, 1.0]}, "loss").count("<polyline")
    1
    """
    shown = {name: [v for v in values if math.isfinite(v)] for name, values in series.items()}
    shown = {name: values for name, values in shown.items() if values}
    if not shown:
        return ""
    low, high = min(map(min, shown.values())), max(map(max, shown.values()))
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    last = max(max(map(len, series.values())) - 1, 1)

    def x(epoch: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * epoch / last

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / ((high - low) or 1))

    parts = [_axes(label, "epoch")]
    for tick in ticks:
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for epoch in sorted({0, last // 2, last} if max(map(len, series.values())) > 1 else {0}):
        parts.append(f'<text x="{x(epoch):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{epoch + 1}</text>')
    if mark is not None:
        parts.append(f'<line x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" class="mark"/>')
    for number, (name, values) in enumerate(series.items()):
        points = " ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in enumerate(values) if math.isfinite(v))
        color = COLORS[number % len(COLORS)]
        if len(points.split()) == 1:  # of which no line can be drawn
            at, height = points.split(",")
            parts.append(f'<circle cx="{at}" cy="{height}" r="4" fill="{color}"/>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(
            f'<text x="{_WIDTH - _RIGHT - 90 * (len(series) - 1 - number)}" y="10" text-anchor="end" fill="{color}">'
            f"{escape(name)}</text>"
        )
    return _svg(parts, f"{label} by epoch")


def bars(values: Mapping[str, float], label: str) -> str:
    """Horizontal bars, the longest first.

    >>> bars({"age": 0.2, "city": 0.05}, "importance").count("<rect")
    2
    """
    rows = sorted(values.items(), key=lambda pair: -pair[1])
    most = max([value for _, value in rows if value > 0], default=1.0)
    height = 22 * len(rows) + 8
    parts = []
    for number, (name, value) in enumerate(rows):
        top = 4 + 22 * number
        width = 230 * max(value, 0) / most
        short = name if len(name) <= 22 else f"{name[:21]}\N{HORIZONTAL ELLIPSIS}"
        parts.append(f'<text x="150" y="{top + 15}" text-anchor="end">{escape(short)}</text>')
        parts.append(f'<rect x="158" y="{top + 3}" width="{width:.1f}" height="15" fill="var(--a)"/>')
        parts.append(f'<text x="{164 + width:.1f}" y="{top + 15}">{value:.4g}</text>')
    return _svg(parts, label, height)


def reliability(bins: Sequence[tuple[float, float, int]], label: str) -> str:
    """How often what was said came true, for each bin (probability said, share that came true, rows)."""

    def x(value: float) -> float:
        return _LEFT + (_HEIGHT - _TOP - _BOTTOM) * value

    def y(value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - value)

    parts = [f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" class="grid"/>']
    for tick in (0, 0.5, 1):
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<text x="{x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{tick:g}</text>')
    most = max((rows for _, _, rows in bins), default=1)
    for said, true, rows in bins:
        size = 3 + 7 * math.sqrt(rows / most)
        parts.append(
            f'<circle cx="{x(said):.1f}" cy="{y(true):.1f}" r="{size:.1f}" fill="var(--a)" fill-opacity="0.7">'
            f"<title>said {said:.2f}, true {true:.2f}, {rows:,} rows</title></circle>"
        )
    parts.append(f'<text x="{x(0.5):.1f}" y="{_HEIGHT - 2}" text-anchor="middle">probability said</text>')
    return _svg(parts, label, width=_LEFT + _HEIGHT - _TOP - _BOTTOM + _RIGHT)


def _axes(label: str, below: str) -> str:
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return (
        f'<text x="{middle}" y="{_HEIGHT - 2}" text-anchor="middle">{escape(below)}</text>'
        f'<text x="{_LEFT}" y="10" class="title">{escape(label)}</text>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Some round numbers from below ``low`` to above ``high``."""
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 3))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    first = math.floor(low / step)
    return [round((first + n) * step, 12) for n in range(math.ceil(high / step) - first + 1)]


def _svg(parts: Sequence[str], label: str, height: int = _HEIGHT, width: int = _WIDTH) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
