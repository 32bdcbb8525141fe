"""Images as text."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from nacre.cli.pictures import Picture, Style, draw, gallery, style_for

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal, or not."""

    def __init__(self, tty: bool = True, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@pytest.mark.parametrize(
    ("environ", "tty", "style"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, True, Style.TRUE),
        ({"TERM": "xterm-256color"}, True, Style.GREYS),
        ({"TERM": "xterm"}, True, Style.PLAIN),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, True, Style.PLAIN),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, Style.PLAIN),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True, Style.GREYS),
        ({"TERM": "xterm-256color"}, False, Style.PLAIN),
        ({"FORCE_COLOR": "1"}, False, Style.GREYS),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, Style.PLAIN),
        ({}, True, Style.PLAIN),
    ],
)
def test_style_is_what_the_terminal_can_show_and_the_user_wants(
    environ: dict[str, str], tty: bool, style: Style
) -> None:
    assert style_for(Terminal(tty), environ) is style


def test_a_terminal_that_cannot_say_half_blocks_gets_plain_characters() -> None:
    assert style_for(Terminal(encoding="ascii"), {"TERM": "xterm-256color"}) is Style.PLAIN


def test_plain_shades_go_from_space_to_the_darkest_character() -> None:
    assert draw(np.array([[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]]), Style.PLAIN) == [" =@"]


def test_two_rows_become_the_colours_of_one_character() -> None:
    assert draw(np.array([[1.0], [0.0]]), Style.TRUE) == ["\x1b[38;2;255;255;255;48;2;0;0;0m▀\x1b[0m"]
    assert draw(np.array([[1.0], [0.0]]), Style.GREYS) == ["\x1b[38;5;255;48;5;232m▀\x1b[0m"]


def test_an_odd_last_row_stands_on_black() -> None:
    assert draw(np.ones((3, 1)), Style.TRUE)[1] == "\x1b[38;2;255;255;255;48;2;0;0;0m▀\x1b[0m"


def test_numbers_beyond_0_and_1_are_cut() -> None:
    assert draw(np.array([[-5.0, 7.0], [-5.0, 7.0]]), Style.PLAIN) == [" @"]


@pytest.mark.parametrize("style", Style)
@pytest.mark.parametrize("width", [10, 40, 79, 200])
def test_a_gallery_keeps_to_the_width_if_a_picture_fits(style: Style, width: int) -> None:
    pictures = [Picture(np.ones((8, 8)), f"true {k}, said {k}") for k in range(5)]
    lines = [ESCAPE.sub("", line) for line in gallery(pictures, style, width).split("\n")]
    assert max(map(len, lines)) <= max(width, 16)
    assert sum(line.count("said") for line in lines) == 5


@pytest.mark.parametrize("style", Style)
def test_captions_stand_below_their_pictures(style: Style) -> None:
    pictures = [Picture(np.ones((28, 28)), "one"), Picture(np.ones((28, 28)), "two", wrong=True)]
    *drawn, captions = [ESCAPE.sub("", line) for line in gallery(pictures, style, 80).split("\n")]
    assert len(drawn) == 14
    assert {line.rindex("@" if style is Style.PLAIN else "▀") for line in drawn} == {58}
    assert captions.rstrip() == "one".ljust(31) + "two !"
