"""Rows to train on, to decide by and to test on, out of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nacre.errors import DataError, UsageError
from nacre.utils import split


def rows(count: int) -> tuple[Any, Any]:
    """Rows that know their number, of three classes: 60 %, 30 % and 10 %."""
    y = np.repeat([0, 1, 2], [count * 6 // 10, count * 3 // 10, count // 10])
    return np.arange(count)[:, None], np.random.default_rng(0).permutation(y)


def test_each_row_is_in_one_part_with_its_own_target_in_the_order_of_before() -> None:
    x, y = rows(500)
    parts = split(x, y)
    assert [len(part) for part, _ in parts] == [400, 50, 50]
    assert sorted(np.concatenate([part[:, 0] for part, _ in parts]).tolist()) == list(range(500))
    for part, targets in parts:
        assert (np.diff(part[:, 0]) > 0).all()
        np.testing.assert_array_equal(targets, y[part[:, 0]])


def test_each_class_is_divided_in_proportion_and_without_that_by_chance() -> None:
    x, y = rows(500)
    for words in (y, np.array(["usual", "seldom", "rare"])[y], np.eye(3)[y]):
        parts = split(x, words)
        counts = [np.bincount(y[part[:, 0]]).tolist() for part, _ in parts]
        assert counts == [[240, 120, 40], [30, 15, 5], [30, 15, 5]]
    rare = [
        int((targets == 2).sum()) for seed in range(20) for _, targets in [split(x, y, stratify=False, seed=seed)[2]]
    ]
    assert min(rare) < 5 < max(rare)


def test_numbers_are_spread_alike() -> None:
    y = np.random.default_rng(0).exponential(size=1000)
    for _, part in split(y, y):
        assert part.mean() == pytest.approx(y.mean(), rel=0.03)
        assert np.median(part) == pytest.approx(np.median(y), rel=0.03)


def test_the_seed_decides_and_shares_may_be_any() -> None:
    x, y = rows(100)
    first, again, other = (split(x, y, (0.5, 0.5), seed=seed)[1][0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.tolist() != other.tolist()
    assert [len(part) for part, _ in split(x, y, (0.4, 0.3, 0.2, 0.1))] == [40, 30, 20, 10]


@pytest.mark.parametrize("shares", [(1.0,), (0.8, 0.1), (1.2, -0.2), (float("nan"), 0.5), (0.0, 1.0)])
def test_shares_that_are_none_are_refused(shares: Any) -> None:
    with pytest.raises(UsageError, match="shares of the parts"):
        split(*rows(100), shares)


def test_rows_without_targets_and_too_few_rows_are_refused() -> None:
    x, y = rows(100)
    with pytest.raises(DataError, match="a target in y"):
        split(x, y[:-1])
    with pytest.raises(DataError, match="too few"):
        split(x[:2], y[:2])
