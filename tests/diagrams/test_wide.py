"""A wide picture on a page: as wide as the window while it can be read, else the window moves over it."""

from __future__ import annotations

import re

import numpy as np

import nacre
from nacre.backends.native.executor import NativeExecutable
from nacre.training.trainer import REPEATS


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


def test_times_of_kernels_are_the_least_of_repeats_and_it_is_said_of_how_many(monkeypatch) -> None:
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3)])
    model.compile("sgd", "mse")
    x, y = np.ones((64, 4), np.float32), np.ones((64, 3), np.float32)
    before = model.get_weights()
    runs: list[int] = []
    run = NativeExecutable.run

    def slow_at_times(self, state, block, rows, schedule, feed):
        """Each run took 2 s a batch, every third 1000."""
        run(self, state, block, rows, schedule, feed)
        runs.append(len(rows) // 16)
        if self.seconds is not None:
            self.seconds[:] += (1000.0 if len(runs) % 3 == 0 else 2.0) * len(rows) // 16 - self.seconds % 1

    monkeypatch.setattr(NativeExecutable, "run", slow_at_times)
    steps, seconds = model.plan(x, y, batch_size=16, seconds=1e-9)
    assert len(runs) == 1 + REPEATS
    assert set(runs) == {1}  # so little time is there for one batch at a time
    np.testing.assert_allclose(seconds, [2.0] * len(steps), rtol=1e-3)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert f"times are the least of {REPEATS} repeats" in str(model.graph(x, y, plan=True, seconds=1e-9))
    assert "repeats" not in str(model.graph(x, y, plan=True))
