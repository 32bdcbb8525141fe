"""Callbacks, where Keras has them."""

from nacre.training.callbacks import Callback
from nacre.training.history import History

__all__ = ["Callback", "History"]
