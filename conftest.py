"""What the tests share with the examples in the docstrings: no figure stays open after either."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")  # only what a test has loaded holds figures
    if pyplot is not None:
        pyplot.close("all")
