"""Small tools, where Keras has them."""

from nacre.absent import absent as _absent
from nacre.configured import custom_object_scope
from nacre.data.labels import to_categorical
from nacre.data.splits import split
from nacre.ops import set_random_seed

__all__ = ["custom_object_scope", "set_random_seed", "split", "to_categorical"]
__getattr__ = _absent("utils", __all__)
