"""Models: layers put together, trained, asked, saved."""

from nacre.models.functional import Functional
from nacre.models.model import Model, load_model
from nacre.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "load_model"]
