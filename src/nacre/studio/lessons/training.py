"""Trainings that a reader may go through epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

import nacre
from nacre import ops
from nacre.callbacks import LambdaCallback
from nacre.errors import NonFiniteLossError
from nacre.models import Sequential

Array = npt.NDArray[Any]
Build = Callable[[], Sequential]

# One training at a time: a reader who drags a slider must not take all of the machine, and seeds are the whole program's.
TURN = RLock()


@dataclass(frozen=True)
class Training:
    """A training with the weights after each epoch, those at the start first. ``ended`` says why it went no further, if it did."""

    build: Build
    weights: Sequence[list[Array]]
    history: dict[str, list[float]]
    ended: str = ""

    def at(self, epoch: int) -> Sequential:
        """A model as it was after so many epochs, or at the end, if that came before."""
        model = made(self.build)
        model.set_weights(self.weights[min(epoch, len(self.weights) - 1)])
        return model


def made(build: Build, seed: int = 0) -> Sequential:
    """A model whose weights are those of this seed."""
    with TURN, ops.seeded(seed):
        return build()


def train(build: Build, x: Array, y: Array, epochs: int, seed: int = 0, **fit: Any) -> Training:
    """Train what ``build`` makes for so many epochs, or until its loss is no number any more."""
    with TURN:
        model, ended = made(build, seed), ""
        weights, history = [model.get_weights()], dict[str, list[float]]()

        def kept(_epoch: int, logs: dict[str, float]) -> None:
            weights.append(model.get_weights())
            for name, value in logs.items():
                history.setdefault(name, []).append(float(value))

        try:
            model.fit(x, y, epochs=epochs, verbose=0, callbacks=[LambdaCallback(on_epoch_end=kept)], **fit)
        except NonFiniteLossError as error:
            ended = error.what
        return Training(build, weights, history, ended)


@cache
def digits() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Handwritten digits, 64 numbers from 0 to 1 each: (x, y) to train on, and others to test with."""
    train_on, test = nacre.datasets.digits.load_data()
    return _rows(*train_on), _rows(*test)


def _rows(x: Array, y: Array) -> tuple[Array, Array]:
    return x.reshape(len(x), -1).astype(np.float32) / 16, y
