"""Objects that know how they were made, and names that stand for them.

A layer, an initializer, a loss or an optimizer can be given as itself, as its name, or as the dictionary that a model file holds;
`resolve` makes the object. `Configured.get_config` gives the dictionary back.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Self, TypeVar

from nacre.errors import UsageError, find

T = TypeVar("T")


def snake_case(name: str) -> str:
    """A class name as its string name.

    >>> snake_case("GlorotUniform"), snake_case("SGD")
    ('glorot_uniform', 'sgd')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Configured:
    """An object whose constructor's arguments are attributes of the same names."""

    @classmethod
    @cache
    def config_names(cls) -> list[str]:
        """Arguments of the constructor, and those of the base class that it passes on as ``**kwargs``."""
        names: dict[str, None] = {}
        for base in cls.__mro__[:-1]:
            if "__init__" in base.__dict__:
                parameters = list(inspect.signature(base.__dict__["__init__"]).parameters.values())[1:]
                names |= dict.fromkeys(
                    p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
                )
                if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                    break
        return list(names)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this object again, as JSON can hold them."""
        return {name: _encode(getattr(self, name)) for name in self.config_names()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The object that `get_config` described."""
        return cls(**config)


def serialize(thing: Any) -> Any:
    """Name and arguments of a configured object or function."""
    return _encode(thing)


def _encode(value: Any) -> Any:
    if isinstance(value, Configured):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, tuple | list):
        return [_encode(v) for v in value]
    if callable(value):
        return value.__name__
    return value


def differing(mine: Any, other: Any) -> Any:
    """The first part of a configured object or function that is of another kind than in its copy, made by `resolve`; None if there
    is none. A function of one's own may be called like another."""
    if isinstance(mine, Configured):
        if type(mine) is not type(other):
            return mine
        names = [name for name in mine.config_names() if hasattr(mine, name)]
        found = (differing(getattr(mine, name), getattr(other, name, None)) for name in names)
        return next((part for part in found if part is not None), None)
    if isinstance(mine, list | tuple) and isinstance(other, list | tuple):
        return next((part for part in map(differing, mine, other) if part is not None), None)
    return mine if callable(mine) and mine is not other else None


def resolve(kind: str, thing: Any, table: Mapping[str, Any]) -> Any:
    """The object that ``thing`` means: itself, a name out of ``table``, or a dictionary with class_name and config.

    Raises `UnknownName` with a suggestion for a name that is not in the table.
    """
    if isinstance(thing, str):
        made = find(kind, thing, table)
        return made() if inspect.isclass(made) else made
    if isinstance(thing, Mapping) and set(thing) == {"class_name", "config"}:
        return find(kind, str(thing["class_name"]), table).from_config(thing["config"])
    if inspect.isclass(thing):
        return thing()
    if callable(thing) or isinstance(thing, Configured):
        return thing
    raise UsageError(
        f"{thing!r} is no {kind}.", hint=f"a name ({', '.join(sorted(k for k in table if k.islower()))}) or an object"
    )


def names(*classes: type, **aliases: type) -> dict[str, Any]:
    """Classes under their own names and in snake case, and under other names they go by."""
    return {c.__name__: c for c in classes} | {snake_case(c.__name__): c for c in classes} | aliases


def natural(number: Any, limit: int) -> int:
    """A whole number out of a file."""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < limit:
        raise UsageError(f"{number!r} is no whole number from 0 to {limit - 1}.")
    return number
