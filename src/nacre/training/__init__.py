"""Training: programs are traced, run on a backend, and reported on. The only room that picks a backend."""

from nacre.training.callbacks import Callback
from nacre.training.history import History
from nacre.training.trainer import BACKENDS, Trainer, side_by_side

__all__ = ["BACKENDS", "Callback", "History", "Trainer", "side_by_side"]
