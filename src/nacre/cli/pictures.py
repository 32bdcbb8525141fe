"""Images as text: two pixels to a character in shades of grey, or plain characters where there is no colour."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_SHADES = " .:-=+*#%@"
_HALF = "\N{UPPER HALF BLOCK}"
_RESET, _ALARM = "\x1b[0m", "\x1b[1;31m"
_SMALLEST = 16  # characters across: smaller images are enlarged
_GAP = "   "


class Style(Enum):
    """How to draw."""

    PLAIN = "characters"
    GREYS = "256 colours"
    TRUE = "24-bit colour"


@dataclass(frozen=True)
class Picture:
    """An image (rows, columns) of numbers from 0, black, to 1, white, and what to write below it."""

    image: Array
    caption: str
    wrong: bool = False


def style_for(stream: TextIO, environ: Mapping[str, str]) -> Style:
    """The best style that what is behind ``stream`` can show; NO_COLOR and FORCE_COLOR are heard."""
    forced = environ.get("FORCE_COLOR", "") not in ("", "0")
    plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or not (forced or stream.isatty())
    if plain or not _can_say(stream, _HALF):
        return Style.PLAIN
    if environ.get("COLORTERM") in ("truecolor", "24bit") or "WT_SESSION" in environ:
        return Style.TRUE
    return Style.GREYS if forced or "256color" in environ.get("TERM", "") else Style.PLAIN


def draw(image: Array, style: Style) -> list[str]:
    """Lines of text that look like ``image`` (rows, columns) of numbers from 0 to 1; two rows make a line.

    >>> draw(np.array([[0.0, 1.0], [0.0, 1.0]]), Style.PLAIN)
    [' @']
    """
    pairs = np.vstack([image, np.zeros((len(image) % 2, image.shape[1]))]).clip(0, 1)
    return [_line(top, bottom, style) for top, bottom in zip(pairs[::2], pairs[1::2], strict=True)]


def gallery(pictures: Sequence[Picture], style: Style, width: int) -> str:
    """Pictures side by side, captions below, in lines of at most ``width`` characters."""
    cell = max(max(_enlarged(p.image).shape[1], len(_caption(p))) for p in pictures)
    across = max(1, (width + len(_GAP)) // (cell + len(_GAP)))
    bands = [pictures[i : i + across] for i in range(0, len(pictures), across)]
    return "\n\n".join(_band(band, style, cell) for band in bands)


def _band(pictures: Sequence[Picture], style: Style, cell: int) -> str:
    blocks = [_block(picture, style, cell) for picture in pictures]
    return "\n".join(_GAP.join(line).rstrip() for line in zip(*blocks, strict=True))


def _block(picture: Picture, style: Style, cell: int) -> list[str]:
    """Lines that are ``cell`` characters wide on the screen; escape codes take no room there."""
    image = _enlarged(picture.image)
    caption = _caption(picture).ljust(cell)
    if picture.wrong and style is not Style.PLAIN:
        caption = f"{_ALARM}{caption}{_RESET}"
    return [*(line + " " * (cell - image.shape[1]) for line in draw(image, style)), caption]


def _caption(picture: Picture) -> str:
    return f"{picture.caption} !" if picture.wrong else picture.caption


def _enlarged(image: Array) -> Array:
    times = max(1, _SMALLEST // max(image.shape[1], 1))
    return image.repeat(times, axis=0).repeat(times, axis=1)


def _line(top: Array, bottom: Array, style: Style) -> str:
    """top and bottom (columns,)"""
    if style is Style.PLAIN:
        return "".join(_SHADES[round(float(grey) * (len(_SHADES) - 1))] for grey in (top + bottom) / 2)
    paint = _true if style is Style.TRUE else _grey
    cells = (f"\x1b[38;{paint(t)};48;{paint(b)}m{_HALF}" for t, b in zip(top.tolist(), bottom.tolist(), strict=True))
    return "".join(cells) + _RESET


def _true(grey: float) -> str:
    level = round(grey * 255)
    return f"2;{level};{level};{level}"


def _grey(grey: float) -> str:
    """One of the 24 greys that start at colour 232."""
    return f"5;{232 + round(grey * 23)}"


def _can_say(stream: TextIO, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or sys.getdefaultencoding())
    except (UnicodeEncodeError, LookupError):
        return False
    return True
