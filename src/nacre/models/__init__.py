"""Models: layers put together, trained, asked, saved."""

from nacre.models.files import clone_model, load_model, model_from_json
from nacre.models.functional import Functional
from nacre.models.model import Model
from nacre.models.sequential import Sequential

__all__ = ["Functional", "Model", "Sequential", "clone_model", "load_model", "model_from_json"]
