"""The stairs up: a few methods, such as `Model.explain`, are at home in rooms above, which are imported when one is called.

Everything else is imported at the head of a file, and downward; the walls between rooms are checked by `.importlinter`.
"""

from importlib import import_module
from typing import Any


def room(name: str) -> Any:
    """The room of that name.

    >>> room("calculus").grad.__module__
    'nacre.calculus.derivatives'
    """
    return import_module(f"nacre.{name}")
