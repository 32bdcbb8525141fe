"""Rows as equations: are ranks, repeats and contradictions those that one counts oneself?"""

from __future__ import annotations

import numpy as np
import pytest

from nacre.data import equations as module
from nacre.data.equations import equations
from nacre.errors import DataError


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_rank_is_that_of_the_matrix_in_one_block_or_many(rng, monkeypatch, rank):
    x = rng.normal(size=(90, rank)) @ rng.normal(size=(rank, 7))
    y = rng.normal(size=90)
    assert np.linalg.matrix_rank(x) == rank
    for block in (1, 13, 4096):
        monkeypatch.setattr(module, "_BLOCK", block)
        assert equations(x, y).rank == rank
    # In float32, the same product is only dependent up to rounding.
    assert equations(x.astype("float32"), y).rank == rank


def test_repeats_and_contradictions_are_counted_by_rows(rng):
    x, y = rng.integers(0, 6, (300, 3)), rng.integers(0, 2, 300)
    rows = [(*inputs, label) for inputs, label in zip(x.tolist(), y.tolist(), strict=True)]
    said = {tuple(row[:3]): {other[3] for other in rows if other[:3] == row[:3]} for row in map(tuple, rows)}
    found = equations(x, y, classes=2)
    assert found.repeats == 300 - len(set(map(tuple, rows)))
    assert 300 > found.contradictions == sum(len(said[tuple(row[:3])]) > 1 for row in rows) > 0
    a, b = found.conflict.rows
    assert x[a].tolist() == x[b].tolist()
    assert (y[a], y[b]) == found.conflict.targets
    assert y[a] != y[b]
    assert found.conflict.compromise is None


def test_the_compromise_is_what_least_squares_takes():
    x, y = [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]], [1.0, 2.0, 6.0]
    solution = np.linalg.lstsq(np.array(x), np.array(y), rcond=None)[0]
    assert equations(x, y).conflict.compromise == pytest.approx(np.array(x)[0] @ solution)


def test_what_else_tells_rows_apart_is_looked_at():
    x, y = np.array([[1.0], [1.0]]), np.array([0, 1])
    assert equations(x, y, 2).contradictions == 2
    assert equations(x, y, 2, also=[np.array([0, 1])]).contradictions == 0
    words = equations(np.zeros((3, 0)), np.array([0, 1, 0]), 2, also=[np.array([4, 4, 5])])
    assert (words.rank, words.contradictions, words.unknowns) == (0, 2, 2)


def test_several_targets_and_large_data_are_told_without_what_is_not_known(monkeypatch):
    several = equations([[1, 2], [1, 2]], [[1, 0], [0, 1]])
    assert (several.equations, several.unknowns, several.contradictions, several.conflict) == (4, 6, 2, None)
    monkeypatch.setattr(module, "_MOST_WORK", 1)
    assert equations([[1, 2], [1, 2]], [0, 1]).rank is None
    monkeypatch.setattr(module, "_MOST_BYTES", 1)
    large = equations([[1, 2], [1, 2]], [0, 1])
    assert (large.rank, large.repeats, large.contradictions) == (None, None, None)
    assert large.told()["repeated rows"] == "not looked for: the data are too large"


def test_what_is_no_equation_is_refused():
    for x, y in (([], []), ([[1.0]], [1.0, 2.0]), ([[np.nan]], [1.0])):
        with pytest.raises(DataError, match="Equations"):
            equations(x, y)
