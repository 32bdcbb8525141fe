"""What a training left behind: one number per figure and epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.files import write_whole
from nacre.training.callbacks import Callback
from nacre.training.position import Logs
from nacre.upstairs import room


class History(Callback):
    """Figures by epoch. ``history["loss"]`` and others are lists with one number per epoch; ``epoch`` lists the epochs.

    Every `fit` makes one, or takes the one among its callbacks, and returns it. ``params`` are the settings of the run. What
    callbacks that stand before it add to the figures of an epoch, as ``learning_rate``, is in it too. A training begins it anew.

    >>> h = History(); h.append(0, {"loss": 2.5}); h.append(1, {"loss": 1.5})
    >>> h.history
    {'loss': [2.5, 1.5]}
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def append(self, epoch: int, figures: dict[str, float]) -> None:
        """The figures of one more epoch."""
        self.epoch.append(epoch)
        for name, value in figures.items():
            self.history.setdefault(name, []).append(value)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self.epoch, self.history = [], {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the figures."""
        self.append(epoch, logs or {})

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Epochs and figures as arrays."""
        figures = {name: np.array(values, np.float64) for name, values in self.history.items()}
        return {"epoch": np.array(self.epoch, np.int64), **figures}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `state` gave."""
        self.epoch = state["epoch"].tolist()
        self.history = {name: array.tolist() for name, array in state.items() if name != "epoch"}

    def lines(self, first: int = 0) -> list[str]:
        """One JSON object per epoch, from the ``first`` on."""
        places = range(first, len(self.epoch))
        rows = [{"epoch": self.epoch[i], **{k: _plain(v[i]) for k, v in self.history.items()}} for i in places]
        return [json.dumps(row) for row in rows]

    def save(self, path: str | Path) -> None:
        """Write one JSON line per epoch."""
        write_whole(path, [(line + "\n").encode() for line in self.lines()])

    def plot(self, ax: Any = None) -> npt.NDArray[Any]:
        """Draw the figures by epochs, with Matplotlib: see `nacre.plots.history`. Returns an array of axes, loss first."""
        axes: npt.NDArray[Any] = room("plots").history(self, ax)
        return axes

    def __repr__(self) -> str:
        return f"<History: {len(self.epoch)} epochs of {', '.join(self.history)}>"


def _plain(x: float) -> float | str:
    """JSON has no word for NaN or infinity."""
    return x if math.isfinite(x) else str(x)
