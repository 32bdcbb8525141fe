"""Training: programs are traced, run on a device, and reported on. The only room that picks a backend."""

from nacre.training.callbacks import Callback
from nacre.training.history import History
from nacre.training.inside import Call, Inside
from nacre.training.trainer import Trainer, engine, side_by_side

__all__ = ["Call", "Callback", "History", "Inside", "Trainer", "engine", "side_by_side"]
