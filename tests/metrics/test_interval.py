"""The interval of an accuracy: does it hold what it promises?"""

from __future__ import annotations

import numpy as np
import pytest

from nacre.errors import UsageError
from nacre.metrics.accuracy import wilson_interval


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_of_many_tests_95_percent_hold_the_true_accuracy(rng, share):
    right = rng.binomial(200, share, 4000)
    inside = [low <= share <= high for low, high in (wilson_interval(count / 200, 200) for count in right)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_the_interval_stays_within_0_and_1_and_shrinks_with_the_rows():
    low, high = wilson_interval(1.0, 10)  # 10 of 10: n / (n + z^2)
    assert (low, high) == (pytest.approx(10 / (10 + 1.959964**2)), pytest.approx(1))
    assert high <= 1
    assert wilson_interval(0.0, 10) == (0.0, pytest.approx(1 - low))
    widths = [high - low for low, high in (wilson_interval(0.9, rows) for rows in (100, 400, 1600))]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.05)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.05)


def test_no_rows_and_no_share_are_refused():
    for share, rows in ((0.5, 0), (1.5, 10), (float("nan"), 10)):
        with pytest.raises(UsageError, match="share from 0 to 1"):
            wilson_interval(share, rows)
