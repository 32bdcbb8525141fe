"""Random numbers as a function of counters."""

from __future__ import annotations

import numpy as np

from nacre.ops import random_uniform, threefry


def test_threefry_gives_the_published_numbers():
    """The known answers of Random123, the reference implementation by the authors of the paper."""

    def words(k, c):
        with np.errstate(over="ignore"):
            return [int(x) for x in threefry(np, *(np.uint32(v) for v in (*k, *c)))]

    assert words((0, 0), (0, 0)) == [0x6B200159, 0x99BA4EFE]
    assert words((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2) == [0x1CB996FC, 0xBB002BE7]
    assert words((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3)) == [0xC4923A9C, 0x483DF7A0]


def _draw(seed=1, step=2, stream=3, shape=(1000,)):
    with np.errstate(over="ignore"):
        return random_uniform.body(np, np.uint32(seed), np.uint32(step), stream=stream, shape=shape)


def test_numbers_are_uniform():
    x = _draw(shape=(200_000,))
    assert 0 <= x.min() < 1e-4
    assert 1 - 1e-4 < x.max() < 1
    counts = np.bincount((x * 64).astype(int), minlength=64)
    assert ((counts - 3125) ** 2 / 3125).sum() < 110  # chi-squared with 63 degrees of freedom: 1 in 5,000


def test_an_element_depends_on_seed_stream_step_and_its_place():
    assert np.array_equal(_draw(shape=(1000,))[:10], _draw(shape=(7, 10))[0])
    assert np.array_equal(_draw(shape=(7, 10)), _draw(shape=(9, 10))[:7])
    assert len(np.unique(_draw(shape=(70, 40)))) > 2790
    for other in (_draw(seed=2), _draw(step=3), _draw(stream=4)):
        assert abs(np.corrcoef(_draw(), other)[0, 1]) < 0.12
