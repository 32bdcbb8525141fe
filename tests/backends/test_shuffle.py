"""The orders of rows are those that NumPy draws."""

from __future__ import annotations

import numpy as np
import pytest

from nacre.backends.native import shuffled


@pytest.mark.parametrize("numbers", [(0, 0, 0), (7, 3, 2), (2**64 - 1, 10**12, -1), (5, 6, 2**33)])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 255, 256, 257, 258, 511, 512, 513, 1000, 1025, 70_001])
def test_an_order_is_the_one_that_numpy_draws(numbers, count):
    seed, step, number = numbers
    philox = np.random.Philox(
        key=np.array([seed, step], np.uint64), counter=np.array([0, 0, 0, number], np.int64).view(np.uint64)
    )
    assert np.array_equal(shuffled(*numbers, count), np.random.Generator(philox).permutation(count))
