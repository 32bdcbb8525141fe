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


class History:
    """Figures by epoch. ``history["loss"]`` and others are lists with one number per epoch; ``epoch`` lists the epochs.

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

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Epochs and figures as arrays, which `restore` takes back."""
        figures = {name: np.array(values, np.float64) for name, values in self.history.items()}
        return {"epoch": np.array(self.epoch, np.int64), **figures}

    def restore(self, columns: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to what `columns` gave."""
        self.epoch = columns["epoch"].tolist()
        self.history = {name: array.tolist() for name, array in columns.items() if name != "epoch"}

    def lines(self) -> list[str]:
        """One JSON object per epoch."""
        rows = [{"epoch": e, **{k: _plain(v[i]) for k, v in self.history.items()}} for i, e in enumerate(self.epoch)]
        return [json.dumps(row) for row in rows]

    def save(self, path: str | Path) -> None:
        """Write one JSON line per epoch."""
        write_whole(path, [(line + "\n").encode() for line in self.lines()])

    def __repr__(self) -> str:
        return f"<History: {len(self.epoch)} epochs of {', '.join(self.history)}>"


def _plain(x: float) -> float | str:
    """JSON has no word for NaN or infinity."""
    return x if math.isfinite(x) else str(x)
