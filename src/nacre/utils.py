"""Small tools, where Keras has them."""

from nacre.data.labels import to_categorical
from nacre.ops import set_random_seed

__all__ = ["set_random_seed", "to_categorical"]
