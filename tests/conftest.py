"""What several rooms' tests share."""

from __future__ import annotations

import signal

import numpy as np
import pytest

import nacre
from nacre.backends.native import plan as planning
from nacre.training.trainer import PROGRAMS

# A shell that starts something in the background has it ignore Ctrl-C, and so would every program that a test starts and stops so.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _repeatable():
    nacre.utils.set_random_seed(0)
    PROGRAMS.clear()


@pytest.fixture(autouse=True)
def _threads_meet(monkeypatch):
    monkeypatch.setattr(planning, "_WORTH_A_RUN", 0)  # for tests train on little


@pytest.fixture
def rng():
    return np.random.default_rng(0)
