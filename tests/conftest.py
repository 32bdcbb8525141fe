"""What several rooms' tests share."""

from __future__ import annotations

import numpy as np
import pytest

import nacre


@pytest.fixture(autouse=True)
def _repeatable():
    nacre.utils.set_random_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
