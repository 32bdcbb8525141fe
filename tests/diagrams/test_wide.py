"""A wide picture on a page: as wide as the window while it can be read, else the window moves over it."""

from __future__ import annotations

import re

import nacre


def test_a_page_fits_a_picture_to_the_window_but_makes_it_no_smaller_than_can_be_read() -> None:
    stack = [nacre.Input((4,)), *(nacre.layers.Dense(3, "relu") for _ in range(3))]
    model = nacre.Sequential(stack)
    model.compile("sgd", "mse")
    for drawn in (model.graph(), model.graph(plan=True), model.graph(kind="operations")):
        page = drawn.html()
        (width,) = re.findall(r'<svg [^>]*class="nacre-graph" width="(\d+)"', page)
        (least, most) = re.findall(r"width: clamp\((\d+)px, 100%, (\d+)px\); height: auto", page)[0]
        assert most == width
        assert abs(int(least) - 0.65 * int(width)) <= 1
        assert re.search(r"main \{ overflow: auto; height: 100vh; \}", page)
        assert "<main>\n<svg" in page
