"""How far long work is: told by whoever does it, shown by whoever wants to see it, who need not know each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Show = Callable[[str, int, int, str], None]

_SHOWN: ContextVar[Show | None] = ContextVar("shown", default=None)


def tell(what: str, done: int, total: int, unit: str) -> None:
    """Say how much of some work is done.

    >>> with shown_by(lambda what, done, total, unit: print(f"{what}: {done} of {total} {unit}")):
    ...     tell("Reading", 3, 10, "rows")
    Reading: 3 of 10 rows
    >>> tell("Reading", 4, 10, "rows")
    """
    show = _SHOWN.get()
    if show is not None:
        show(what, done, total, unit)


def showing() -> Show:
    """Who is to be told, for threads, which do not see it by themselves."""
    return _SHOWN.get() or (lambda _what, _done, _total, _unit: None)


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Have what is told inside shown by a function."""
    token = _SHOWN.set(show)
    try:
        yield
    finally:
        _SHOWN.reset(token)
