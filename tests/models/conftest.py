"""A small problem and a small model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, layers
from nacre.utils import set_random_seed

Array = npt.NDArray[Any]


@pytest.fixture
def data() -> tuple[Array, Array]:
    """x (43, 4) and labels 0, 1, 2: no multiple of a batch size."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((43, 4)).astype("float32")
    return x, x[:, :3].argmax(-1)


@pytest.fixture
def make() -> Callable[..., Sequential]:
    """Makes 4 -> 5 -> 3 with dropout, the same to the bit for the same seed, and compiles it."""

    def build(seed: int = 3, dropout: float = 0.25, **settings: Any) -> Sequential:
        set_random_seed(seed)
        model = Sequential([Input((4,)), layers.Dense(5, activation="tanh"), layers.Dropout(dropout)])
        model.add(layers.Dense(3, activation="softmax"))
        defaults = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
        model.compile(**(defaults | settings))
        return model

    return build
