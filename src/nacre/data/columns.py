"""What a column holds: numbers, words, dates, or nothing of use; and the column as any of these."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.tables import Moments, Numbers, Table, Text, Values, factorized, parsed_moments, parsed_numbers
from nacre.errors import DataError

Array = npt.NDArray[Any]

NUMBERED = "numbers the rows"  # why a column is dropped
_DISTINCT = 0.5  # of the rows: text with more terms than that names rows, and does not describe them
_NEARLY = 0.9  # of the words are numbers: then the others stand for nothing
_DATE = re.compile(r"\d{1,4}[-/. ]\w{1,9}[-/., ]+\d{1,4}")
_FORMATS = (
    "%Y/%m/%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%d-%m-%Y",
    "%b %d, %Y",
    "%d %b %Y",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M",
)


@dataclass(frozen=True)
class Guess:
    """What a column seems to be, and why it is dropped, if it is."""

    kind: str
    reason: str = ""


def guess(column: Values) -> Guess:
    """The kind of a column, by its values.

    >>> guess(Text.of(["2024-01-01", "2024-02-01", None])), guess(Text.of(["a", "b", "a", "a"]))
    (Guess(kind='date', reason=''), Guess(kind='category', reason=''))
    >>> guess(Numbers(np.arange(100.0)))
    Guess(kind='drop', reason='numbers the rows')
    """
    if isinstance(column, Moments):
        return Guess("date")
    if isinstance(column, Numbers):
        there = column.values[~np.isnan(column.values)]
        if not len(there) or (there == there[0]).all():
            return Guess("drop", "always the same" if len(there) else "empty")
        steps = np.diff(there)
        if len(there) == len(column.values) > 20 and (steps == 1).all():
            return Guess("drop", NUMBERED)
        return Guess("number")
    count = len(column.codes) - int((column.codes < 0).sum())
    terms: int = len(np.unique(column.codes[column.codes >= 0]))
    if terms <= 1 and count in (0, len(column.codes)):
        return Guess("drop", "always the same" if count else "empty")
    if is_boolean(column):
        return Guess("boolean")
    if numbers_in(column) is not None:
        return Guess("number")
    if form_of(column) is not None:
        return Guess("date")
    if terms > max(50, _DISTINCT * count):
        return Guess("drop", "names the rows: nearly every one is different")
    return Guess("category")


def filled(column: Values) -> Array:
    """Whether each row has something."""
    if isinstance(column, Text):
        return np.asarray(column.codes >= 0)
    return ~(np.isnan(column.values) if isinstance(column, Numbers) else np.isnat(column.values))


def has_targets(table: Table, names: Iterable[str], kinds: Mapping[str, str]) -> Array:
    """Whether each row has all these targets: something, and among numbers, a number, unless ``kinds`` says that they are words."""
    there = np.ones(len(table), bool)
    for name in names:
        column = table[name]
        said = kinds.get(name) in ("category", "boolean")
        words = not said and isinstance(column, Text) and numbers_in(column) is not None
        there &= ~np.isnan(as_numbers(name, column)) if words else filled(column)
    return there


def counted(column: Values, rows: Array) -> Counter[str]:
    """How often each word is in some of the rows."""
    words = as_text(column)
    counts = np.bincount(words.codes[rows & (words.codes >= 0)], minlength=len(words.terms))
    return Counter({term: int(n) for term, n in zip(words.terms, counts, strict=True) if n})


def as_text(column: Values) -> Text:
    """The column as words."""
    return column if isinstance(column, Text) else factorized(column)


def as_numbers(name: str, column: Values, nothing: Sequence[str] = (), odd: Counter[str] | None = None) -> Array:
    """The column as float64, NaN where there is none, or a word that stands for ``nothing``. Raises `DataError` for other words,
    unless ``odd`` counts them."""
    if isinstance(column, Numbers):
        if not math.isfinite(column.values.sum()) and np.isinf(column.values).any():
            raise DataError(
                f"Row {int(np.flatnonzero(np.isinf(column.values))[0]):,} of the column {name!r} is infinite."
            )
        return column.values
    if isinstance(column, Moments):
        raise DataError(f"The column {name!r} holds dates, expected numbers.")
    values = parsed_numbers(column.terms)
    found = np.array([*values, np.nan])[column.codes]
    known = np.array([*(term in nothing for term in column.terms), True])[column.codes]
    wrong = np.isnan(found) & ~known
    if odd is not None:
        odd[name] += int(wrong.sum())
    elif wrong.any() and numbers_in(column) is None:
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"Row {row:,} of the column {name!r} is {column.terms[column.codes[row]]!r}, expected a number."
        )
    return found


def as_moments(name: str, column: Values, form: str, odd: Counter[str] | None = None) -> Array:
    """The column as points in time, NaT where there is none. Raises `DataError` for what is none, unless ``odd`` counts them."""
    if isinstance(column, Moments):
        return column.values
    words = as_text(column)
    moments = parsed_moments(words.terms, form or "ISO8601")
    found = np.array([*moments, np.datetime64("NaT", "us")], "datetime64[us]")[words.codes]
    wrong = np.isnat(found) & (words.codes >= 0)
    if odd is not None:
        odd[name] += int(wrong.sum())
    elif wrong.any():
        row = int(np.flatnonzero(np.isnat(found) & (words.codes >= 0))[0])
        raise DataError(
            f"Row {row:,} of the column {name!r} is {words.terms[words.codes[row]]!r}, expected a date.",
            {"form": form or "2024-12-31"},
        )
    return found


def form_of(column: Values) -> str | None:
    """How the dates in a column of words are written, None if they are none."""
    words = as_text(column)
    used = [words.terms[k] for k in np.unique(words.codes[words.codes >= 0])]
    if not used or not all(_DATE.match(word) for word in used[:100]):
        return None
    return next((form for form in ("ISO8601", *_FORMATS) if not np.isnat(parsed_moments(used, form)).any()), None)


def numbers_in(column: Text) -> Array | None:
    """What the terms are as numbers, if nearly all of them are; those that are not stand for nothing."""
    values = parsed_numbers(column.terms)
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(values))
    usable = counts[~np.isnan(values)].sum() if len(values) else 0
    odd = int((np.isnan(values) & (counts > 0)).sum())
    return values if usable and usable >= _NEARLY * counts.sum() and odd <= 3 else None


def odd_words(column: Values) -> list[str]:
    """Words among numbers, which stand for nothing."""
    if not isinstance(column, Text):
        return []
    used = np.bincount(column.codes[column.codes >= 0], minlength=len(column.terms)) > 0
    return [t for t, v, u in zip(column.terms, parsed_numbers(column.terms), used, strict=True) if u and np.isnan(v)]


def is_boolean(column: Text) -> bool:
    """Whether there are no words but true and false."""
    return {term.lower() for term in column.terms} <= {"true", "false"}
