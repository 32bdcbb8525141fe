"""Models that are named: files, or folders of runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy.typing as npt

from nacre.errors import UsageError
from nacre.models import Model, load_model
from nacre.training.run import BEST, MODEL, SETTINGS

Array = npt.NDArray[Any]


def best_of(folder: Path) -> Path:
    """The run in a folder; in one of `nacre tune`, that with the best settings."""
    return folder / BEST if (folder / BEST / SETTINGS).is_file() else folder


def model_file(name: str) -> Path:
    """The model file called ``name``, or the one in the run folder of this name."""
    path = Path(name)
    if path.is_dir():
        path = best_of(path) / MODEL
    if not path.exists():
        stopped = (Path(name) / SETTINGS).is_file()
        hint = f"nacre resume {shlex.quote(name)}" if stopped else "nacre train says where it puts the model"
        raise UsageError(f"There is no model {path}.", hint=hint)
    return path


def open_model(name: str) -> Model:
    """The model in a file or run folder."""
    return load_model(model_file(name))
