"""Arrays in lists, tuples and dictionaries, however deep: taken out by name, and put back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def flatten(tree: Any, name: str) -> dict[str, Any]:
    """What is in a tree, by names that say where. A list of numbers is an array, and no tree.

    >>> flatten({"W": [[1.0, 2.0]], "b": (0.5, [1.5])}, "argument 0")
    {"argument 0['W']": [[1.0, 2.0]], "argument 0['b']": (0.5, [1.5])}
    """
    branches = _branches(tree)
    if branches is None:
        return {name: tree}
    return {k: v for key, branch in branches for k, v in flatten(branch, f"{name}[{key!r}]").items()}


def rebuild(tree: Any, leaves: Mapping[str, Any], name: str) -> Any:
    """A tree of the same form out of what `flatten` would name so."""
    branches = _branches(tree)
    if branches is None:
        return leaves[name]
    new = {key: rebuild(branch, leaves, f"{name}[{key!r}]") for key, branch in branches}
    return new if isinstance(tree, dict) else type(tree)(new.values())


def _branches(tree: Any) -> Iterable[tuple[Any, Any]] | None:
    if isinstance(tree, dict):
        return tree.items()
    return enumerate(tree) if isinstance(tree, list | tuple) and not _is_numbers(tree) else None


def _is_numbers(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return all(map(_is_numbers, x))
    return isinstance(x, int | float | np.generic)
