"""Every error a user of nacre can meet, and how its message is put together.

::

    NacreError
    ├── ShapeError          (ValueError)           a tensor has the wrong shape
    ├── DataError           (ValueError)           the data is not what it should be: NaN, label range, length, emptiness
    ├── DTypeError          (TypeError)            the data is of a kind that cannot be used
    ├── UnknownName         (ValueError)           a name that nothing carries; suggests near ones
    ├── UsageError          (ValueError)           an argument that makes no sense here
    ├── GraphError          (ValueError)           a graph that breaks a rule, or text that is no graph
    ├── ModelFileError      (ValueError)           a model file that is damaged, hostile or from elsewhere
    ├── NotBuiltError       (RuntimeError)         the model has no weights yet, or was not compiled
    ├── NonFiniteLossError  (ArithmeticError)      training produced NaN or infinity
    └── Limitation          (NotImplementedError)  known, named, and not there

A message has three parts: what was being done to what, what was found against what was expected, what to do.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class NacreError(Exception):
    """Base of all errors raised on purpose.

    ``what`` is one sentence; ``details`` are facts (found, expected, where), one line each; ``hint`` says what to do.

    >>> error = ShapeError("Dense 'output' expects 784 features, got 28.", {"input": "(batch, 28)"}, "put Flatten() before it")
    >>> print(error)
    Dense 'output' expects 784 features, got 28.
      input:  (batch, 28)
      try:    put Flatten() before it

    The three stay with it, for whoever shows them in another form.

    >>> error.what, error.details, error.hint
    ("Dense 'output' expects 784 features, got 28.", {'input': '(batch, 28)'}, 'put Flatten() before it')
    """

    def __init__(self, what: str, details: Mapping[str, object] | None = None, hint: str = "") -> None:
        self.what, self.details, self.hint = what, dict(details or {}), hint
        lines = {**self.details, **({"try": hint} if hint else {})}
        width = max((len(key) for key in lines), default=0) + 1
        super().__init__("\n".join([what] + [f"  {key + ':':<{width}}  {value}" for key, value in lines.items()]))


class ShapeError(NacreError, ValueError):
    """A tensor has the wrong shape."""


class DataError(NacreError, ValueError):
    """The data is not what it should be."""


class DTypeError(NacreError, TypeError):
    """The data is of a kind that cannot be used."""


class UnknownName(NacreError, ValueError):  # noqa: N818 - reads as what it is
    """A name that nothing carries."""


class UsageError(NacreError, ValueError):
    """An argument that makes no sense here."""


class GraphError(NacreError, ValueError):
    """A graph that breaks a rule, or text that is no graph."""


class ModelFileError(NacreError, ValueError):
    """A model file that is damaged, hostile or from elsewhere."""


class NotBuiltError(NacreError, RuntimeError):
    """The model has no weights yet, or was not compiled."""


class NonFiniteLossError(NacreError, ArithmeticError):
    """Training produced NaN or infinity."""


class Limitation(NacreError, NotImplementedError):  # noqa: N818 - not always a mistake
    """Something nacre knows of and does not do."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A hint naming the closest of ``choices``, or all of them when none is close.

    >>> did_you_mean("rellu", ["relu", "tanh"])
    "did you mean 'relu'?"
    """
    import difflib  # noqa: PLC0415 - needed only on the way to an error

    choices = list(choices)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else f"one of {', '.join(sorted(choices))}"


def guest(module: str, what: str, extra: str) -> Any:
    """A module that is not installed with nacre but with one of its extras; ``what`` is what needs it. Raises `UsageError`.

    >>> guest("no_such_library", "Reading x.abc", "abc")
    Traceback (most recent call last):
    nacre.errors.UsageError: Reading x.abc needs no_such_library.
      try:  pip install nacre[abc]
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"{what} needs {module.partition('.')[0]}.", hint=f"pip install nacre[{extra}]") from error


def add_note(error: BaseException, note: str) -> None:
    """Say more about an error on its way up, for whoever prints it.

    >>> try:
    ...     try:
    ...         int("x")
    ...     except ValueError as error:
    ...         add_note(error, "in item 7")
    ...         raise
    ... except ValueError as error:
    ...     print("in item 7" in (str(error), *getattr(error, "__notes__", [])))
    True
    """
    if sys.version_info >= (3, 11):
        error.add_note(note)
    else:  # Python 3.10 knows no notes: the text itself has to say it
        error.args = ("\n".join([str(error), note]),)


def find(kind: str, name: str, table: Mapping[str, T]) -> T:
    """The entry of ``table`` called ``name``; raises `UnknownName` with a suggestion when there is none."""
    if name in table:
        return table[name]
    raise UnknownName(f"There is no {kind} called {name!r}.", hint=did_you_mean(name, table))
