"""Plots are looked at through what is in their axes; no figure stays open."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import pytest

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    before = dict(mpl.rcParams)
    yield
    from matplotlib import pyplot  # after the backend was chosen

    pyplot.close("all")
    assert dict(mpl.rcParams) == before, "a plot changed what holds for all plots"
