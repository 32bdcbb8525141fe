"""Callbacks, where Keras has them."""

from nacre.training.callbacks import Callback
from nacre.training.checkpoint import BackupAndRestore
from nacre.training.history import History
from nacre.training.statistics import LayerStatistics

__all__ = ["BackupAndRestore", "Callback", "History", "LayerStatistics"]
