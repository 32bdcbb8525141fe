"""Objects that know how they were made, and names that stand for them.

A layer, an initializer, a loss or an optimizer can be given as itself, as its name, or as the dictionary that a model file holds;
`resolve` makes the object. `Configured.get_config` gives the dictionary back. Classes and functions of one's own go by their names
where `custom_object_scope` says which they are.
"""

from __future__ import annotations

import inspect
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from nacre.errors import UsageError, find

if TYPE_CHECKING:
    from typing_extensions import Self

_OWN: ContextVar[Mapping[str, Any]] = ContextVar("own", default={})  # noqa: B039 - a mapping that nobody changes


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
        for name in self.config_names():
            if not hasattr(self, name):
                raise UsageError(
                    f"{type(self).__name__} does not know the argument {name!r} any more that made it.",
                    hint=f"store it in __init__, self.{name} = {name}, or define get_config",
                )
        return {name: _encode(getattr(self, name)) for name in self.config_names()}

    def described(self) -> Any:
        """The object in JSON, as `resolve` understands it."""
        return {"class_name": type(self).__name__, "config": self.get_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The object that `get_config` described."""
        return cls(**config)


def serialize(thing: Any) -> Any:
    """Name and arguments of a configured object or function."""
    return _encode(thing)


def _encode(value: Any) -> Any:
    if isinstance(value, Configured):
        return value.described()
    if isinstance(value, tuple | list):
        return [_encode(v) for v in value]
    if callable(value):
        return value.__name__
    return value


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Inside, these classes and functions are found by their names, wherever a name stands for a layer, loss, metric and so on.

    >>> from nacre import layers, ops
    >>> def cubic(x):
    ...     return x * x * x
    >>> with custom_object_scope({"cubic": cubic}):
    ...     layers.Dense(2, activation="cubic").activation is cubic
    True
    """
    if not isinstance(custom_objects, Mapping) or not all(isinstance(name, str) for name in custom_objects):
        raise UsageError(
            f"custom_objects is a dictionary by name, got {custom_objects!r}.", hint='{"MyLayer": MyLayer}'
        )
    token = _OWN.set({**_OWN.get(), **custom_objects})
    try:
        yield
    finally:
        _OWN.reset(token)


def known(name: str) -> Any:
    """What a name stands for inside `custom_object_scope`; elsewhere itself."""
    return _OWN.get().get(name, name)


def strangers(thing: Any) -> dict[str, Any]:
    """The classes and functions in a configured object, or that it is, that are not nacre's, by their names. Raises `UsageError`
    for one without a name of its own, such as a lambda, and for two of the same name."""
    found: dict[str, Any] = {}
    pending = [thing]
    while pending:
        one = pending.pop()
        if isinstance(one, list | tuple):
            pending += one
            continue
        own = type(one) if isinstance(one, Configured) else one if callable(one) else None
        if isinstance(one, Configured):
            pending += [getattr(one, name) for name in one.config_names() if hasattr(one, name)]
        if own is None or str(getattr(own, "__module__", "")).partition(".")[0] == "nacre":
            continue
        name = str(getattr(own, "__name__", "<lambda>"))
        if not name.isidentifier() or found.setdefault(name, own) is not own:
            raise UsageError(
                f"{own!r} has no name of its own by which it could be found again.",
                hint="a function made with def, or a class, each with another name",
            )
    return found


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
    if own := _OWN.get():
        name = thing if isinstance(thing, str) else str(thing["class_name"]) if _is_described(thing) else ""
        if name in own and name in table and own[name] is not table[name]:
            raise UsageError(
                f"{name!r} is nacre's own, and among custom_objects something else that is called like it.",
                hint="give yours another name",
            )
        table = ChainMap(dict(own), dict(table))
    if isinstance(thing, str):
        made = find(kind, thing, table)
        return made() if inspect.isclass(made) else made
    if _is_described(thing):
        return find(kind, str(thing["class_name"]), table).from_config(thing["config"])
    if inspect.isclass(thing):
        return thing()
    if callable(thing) or isinstance(thing, Configured):
        return thing
    raise UsageError(
        f"{thing!r} is no {kind}.", hint=f"a name ({', '.join(sorted(k for k in table if k.islower()))}) or an object"
    )


def _is_described(thing: Any) -> bool:
    return isinstance(thing, Mapping) and set(thing) == {"class_name", "config"}


def names(*classes: type, **aliases: type) -> dict[str, Any]:
    """Classes under their own names and in snake case, and under other names they go by."""
    return {c.__name__: c for c in classes} | {snake_case(c.__name__): c for c in classes} | aliases


def natural(number: Any, limit: int) -> int:
    """A whole number out of a file."""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < limit:
        raise UsageError(f"{number!r} is no whole number from 0 to {limit - 1}.")
    return number
