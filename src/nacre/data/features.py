"""What a table means to a network: which columns are numbers, categories or dates, fitted once, kept with the model.

Each column that is used is a `Feature`, which learns from the rows of training what it needs (a mean, a vocabulary) and turns any
column of its kind into numbers, or into the numbers of terms. `Features` are those of a table, and the targets.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from nacre.configured import Configured, names, resolve, serialize
from nacre.data.columns import (
    Guess,
    as_moments,
    as_numbers,
    as_text,
    filled,
    form_of,
    guess,
    is_boolean,
    numbers_in,
    odd_words,
)
from nacre.data.tables import Moments, Table, Text, Values, parsed_numbers
from nacre.errors import DataError, UsageError, find
from nacre.progress import tell

if TYPE_CHECKING:
    from typing_extensions import Self

Array = npt.NDArray[Any]

KINDS = ("number", "category", "boolean", "date", "drop")
_MOST_TERMS = 1000  # of a vocabulary; the others count as one
_RARE = 2e-4  # of the rows: a term that is seldomer is as one that was never seen
_FEW = 20  # whole numbers that take so many values at most, as a target, are classes
_SKEWED = 3.0  # skewness beyond which the logarithm is taken
_BLOCK = 1 << 13  # rows that are made ready at a time
_FAR = 8.0  # standard deviations, beyond which a number is cut


class Given(NamedTuple):
    """One number that a network gets of a row of a table.

    ``name`` says what it stands for, as in "age", "age is missing" or "city = Paris", ``column`` which column it comes from,
    ``value`` what the table has there, "" for nothing, None where the table is not known, and ``number`` what the network gets,
    which may be that of a ``term``.
    """

    name: str
    column: str
    value: str | None
    number: float
    term: bool = False


class Feature(Configured):
    """A column of a table, as a network takes it. ``name`` is the column's."""

    kind: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def fit(cls, name: str, column: Values) -> Self:
        """The feature that has learned from these rows."""
        raise NotImplementedError

    @property
    def parts(self) -> list[str]:
        """What each number stands for that it gives for a row; none, if it gives terms."""
        return []

    @property
    def width(self) -> int:
        """How many numbers it gives for a row."""
        return len(self.parts)

    def values(self, column: Values, odd: Counter[str] | None = None) -> Array:
        """The column as what it is to be: numbers float64 (n,), NaN where there is none, or points in time. What is neither is a
        `DataError`, or where ``odd`` counts it, missing."""
        raise NotImplementedError

    def numbers(self, values: Array) -> Array:
        """Some of these values as numbers for a network, about 0 and as far from it as 1.   (n,) -> (n, width)"""
        raise NotImplementedError

    def told(self) -> str:
        """What it has learned, for people."""
        raise NotImplementedError


class NumberFeature(Feature):
    """Numbers, less their mean, over their standard deviation; of those that are very uneven, the logarithm.

    Where there is none, it is the mean, and if there were none in training too, a second number says so.
    """

    kind = "number"

    def __init__(
        self,
        name: str,
        mean: float,
        scale: float,
        log: bool,
        holes: bool,
        least: float,
        most: float,
        nothing: Sequence[str] = (),
    ) -> None:
        super().__init__(name)
        self.nothing = list(nothing)
        self.mean, self.scale, self.log, self.holes, self.least, self.most = mean, scale, log, holes, least, most

    @classmethod
    def fit(cls, name: str, column: Values) -> Self:
        """Mean and deviation of these rows."""
        values = as_numbers(name, column)
        there = values[~np.isnan(values)]
        if not len(there):
            raise DataError(f"The column {name!r} has no numbers.", hint=f"leave it out: {name}=drop")
        least, most = float(there.min()), float(there.max())
        half = max(abs(least), abs(most)) / 2 or 1.0  # sums of squares of the largest numbers overflow
        spread = np.std(there / half)
        skew = np.mean(((there / half - np.mean(there / half)) / spread) ** 3) if spread > 0 else 0.0
        log = bool(least >= 0 and skew > _SKEWED)
        used = np.log1p(there) if log else there
        scale = float(np.std(used / half) * half)
        mean, holes = float(np.mean(used / half) * half), len(there) < len(values)
        return cls(name, mean, scale or 1.0, log, holes, least, most, odd_words(column))

    @property
    def parts(self) -> list[str]:
        """The number, and if there were none in training too, whether there is one."""
        return [f"log of {self.name}" if self.log else self.name, *([f"{self.name} is missing"] if self.holes else [])]

    def values(self, column: Values, odd: Counter[str] | None = None) -> Array:
        """Numbers, NaN where there is none."""
        return as_numbers(self.name, column, self.nothing, odd)

    def numbers(self, values: Array) -> Array:
        """Scaled numbers."""
        with np.errstate(over="ignore"):
            scaled = np.log1p(np.maximum(values, 0)) - self.mean if self.log else values - self.mean
            scaled /= self.scale
        np.clip(scaled, -_FAR, _FAR, out=scaled)
        if not self.holes and math.isfinite(scaled.sum()):
            return scaled[:, None]
        missing = np.isnan(values)
        scaled[missing] = 0
        return np.stack([scaled, missing], 1)[:, : self.width]

    def told(self) -> str:
        """Its range."""
        return f"{self.least:g} to {self.most:g}{', log' if self.log else ''}{', some missing' if self.holes else ''}"


class DateFeature(Feature):
    """Points in time: how late, and where in the year, the month, the week, and, if the hours differ, the day.

    What goes round is told by sine and cosine. ``form`` is how they are written, "" for those that are no text.
    """

    kind = "date"

    def __init__(
        self, name: str, form: str, mean: float, scale: float, hours: bool, holes: bool, first: str, last: str
    ) -> None:
        super().__init__(name)
        self.form, self.mean, self.scale, self.hours, self.holes = form, mean, scale, hours, holes
        self.first, self.last = first, last

    @classmethod
    def fit(cls, name: str, column: Values) -> Self:
        """Form, mean and deviation of these rows."""
        form = "" if isinstance(column, Moments) else form_of(column)
        if form is None:
            raise DataError(f"The column {name!r} holds no dates that can be read.", hint="write them as 2024-12-31")
        moments = as_moments(name, column, form)
        there = moments[~np.isnat(moments)]
        if not len(there):
            raise DataError(f"The column {name!r} has no dates.", hint=f"leave it out: {name}=drop")
        days = _days(there)
        hours = len(np.unique(days % 1)) > 1
        first, last = (str(m.astype("datetime64[D]")) for m in (there.min(), there.max()))
        holes = len(there) < len(moments)
        return cls(name, form, float(days.mean()), float(days.std()) or 1.0, hours, holes, first, last)

    @property
    def parts(self) -> list[str]:
        """How late, a sine and a cosine for each turn, and if there were none in training too, whether there is one."""
        turns = ("year", "month", "week", *(["day"] if self.hours else []))
        waves = [f"{self.name}: {wave} of the {turn}" for turn in turns for wave in ("sine", "cosine")]
        return [f"{self.name}: how late", *waves, *([f"{self.name} is missing"] if self.holes else [])]

    def values(self, column: Values, odd: Counter[str] | None = None) -> Array:
        """Points in time, NaT where there is none."""
        return as_moments(self.name, column, self.form, odd)

    def numbers(self, values: Array) -> Array:
        """How late, and turns of year, month, week and day."""
        moments = values
        missing = np.isnat(moments)
        moments = np.where(missing, np.datetime64(0, "us"), moments)
        days = _days(moments)
        year = (moments.astype("datetime64[M]").astype(np.int64) % 12) / 12
        month = (moments.astype("datetime64[D]") - moments.astype("datetime64[M]")).astype(np.int64) / 31
        turns = [year, month, (np.floor(days) + 3) % 7 / 7, *([days % 1] if self.hours else [])]
        late = np.clip((days - self.mean) / self.scale, -_FAR, _FAR)
        parts = [late, *(wave(2 * np.pi * turn) for turn in turns for wave in (np.sin, np.cos))]
        return np.stack([*(np.where(missing, 0, part) for part in parts), *([missing] if self.holes else [])], 1)

    def told(self) -> str:
        """First and last."""
        return f"{self.first} to {self.last}{', some missing' if self.holes else ''}"


class CategoryFeature(Feature):
    """Terms of a vocabulary: 0 for one that is rare or was never seen, 1 for none, then those of ``terms``.

    With ``fold``, large and small letters are the same.
    """

    kind = "category"

    def __init__(self, name: str, terms: Sequence[str], fold: bool = False) -> None:
        super().__init__(name)
        self.terms, self.fold = list(terms), bool(fold)

    @classmethod
    def fit(cls, name: str, column: Values) -> Self:
        """The vocabulary of these rows, the most frequent terms first."""
        words = as_text(column)
        if fold := is_boolean(words):
            words = Text.of(term.lower() or None for term in words.text())
        counts = np.bincount(words.codes[words.codes >= 0], minlength=len(words.terms))
        order = sorted(range(len(words.terms)), key=lambda k: (-counts[k], words.terms[k]))
        least = max(1, _RARE * len(words))
        return cls(name, [words.terms[k] for k in order if counts[k] >= least][:_MOST_TERMS], fold)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return 2 + len(self.terms)

    def term(self, number: int) -> str:
        """What a number means."""
        if not 0 <= number < self.size:
            return f"{self.name} is no term"
        if number < 2:
            return f"{self.name} is {('rare or new', 'missing')[number]}"
        return f"{self.name} = {self.terms[number - 2]}"

    def known(self, words: Text) -> Array:
        """The numbers of all terms of these words, and the last, -1, of none."""
        numbers = {term: at for at, term in enumerate(self.terms, 2)}
        found = [_number_of(term.lower() if self.fold else term, numbers) or 0 for term in words.terms]
        return np.array([*found, 1], np.int32)

    def told(self) -> str:
        """Its first terms."""
        shown = ", ".join(self.terms[:4])
        return f"{len(self.terms):,} categories: {shown}{', ...' if len(self.terms) > 4 else ''}"


FEATURES = names(NumberFeature, DateFeature, CategoryFeature)
KIND_FEATURES: Mapping[str, type[Feature]] = {
    "number": NumberFeature,
    "date": DateFeature,
    "category": CategoryFeature,
    "boolean": CategoryFeature,
}


class Target(Configured):
    """What is to be predicted: one of ``classes``, or where there are none, a number, with its mean and deviation in training."""

    def __init__(self, name: str, classes: Sequence[str] | None = None, mean: float = 0.0, scale: float = 1.0) -> None:
        self.name, self.classes = name, None if classes is None else list(classes)
        self.mean, self.scale = mean, scale

    @classmethod
    def fit(cls, name: str, column: Values, kind: str | None = None) -> Self:
        """Classes or a number, as the values look, or as ``kind`` says."""
        told = kind is not None
        if kind is None:
            kind = "category" if isinstance(column, Text) and numbers_in(column) is None else "number"
            if kind == "number":
                values = as_numbers(name, column)
                distinct = np.unique(values[~np.isnan(values)])
                whole = np.array_equal(distinct, np.round(distinct))
                kind = "category" if whole and len(distinct) <= _FEW and len(distinct) < len(values) / 2 else "number"
        if kind in ("category", "boolean"):
            classes = as_text(column)
            used = np.bincount(classes.codes[classes.codes >= 0], minlength=len(classes.terms)) > 0
            found = [t for t, u in zip(classes.terms, used, strict=True) if u]
            if not told and form_of(column) is not None:
                raise DataError(
                    f"The target {name!r} holds dates, which are neither classes nor numbers.",
                    hint="another target; or a column with the days until then, as numbers",
                )
            return cls.of_classes(name, found, len(classes))
        if kind != "number":
            raise UsageError(f"A target is number or category, got {name}={kind}.")
        values = as_numbers(name, column)
        there = values[~np.isnan(values)]
        mean, scale = float(there.mean()), float(there.std()) or 1.0
        if not 1e-15 < scale < 1e15 or scale < 1e-5 * abs(mean):
            raise DataError(
                f"The target {name!r} cannot be told apart in float32: {mean:g} on average, {scale:g} of deviation.",
                hint="predict the difference from something near, or another unit",
            )
        return cls(name, None, mean, scale)

    @classmethod
    def of_classes(cls, name: str, classes: Iterable[str], rows: int) -> Self:
        """One of these, in the order in which people would put them. Raises `DataError` for a single class, or too many for so many
        rows."""
        found = sorted(classes, key=_natural)
        if len(found) < 2 or len(found) > max(_FEW, rows / 2):
            single = len(found) == 1
            is_what = f"is always {found[0]!r}" if single else f"has {len(found):,} classes for {rows:,} rows"
            hint = "" if single else f"; or --column {shlex.quote(name)}=number"
            raise DataError(f"The target {name!r} {is_what}.", hint=f"another target{hint}")
        return cls(name, found)

    @property
    def of_words(self) -> bool:
        """Whether there are classes that are no numbers."""
        return self.classes is not None and bool(np.isnan(parsed_numbers(self.classes)).any())

    def there(self, column: Values) -> Array:
        """Which rows have a target: where classes are numbers, or a number is to be predicted, a number, else something."""
        if self.of_words:
            return filled(column)
        return ~np.isnan(as_numbers(self.name, column, odd=Counter()))

    def values(self, column: Values) -> Array:
        """Numbers of classes, int32 (n,), or numbers, float32 (n, 1). Raises `DataError` for a row without, or with a new class."""
        if self.classes is None:
            values = as_numbers(self.name, column)
            if np.isnan(values).any():
                raise _missing(self.name, int(np.flatnonzero(np.isnan(values))[0]))
            return values.astype(np.float32)[:, None]
        words = as_text(column)
        numbers = {name: at for at, name in enumerate(self.classes)}
        each = [_number_of(term, numbers) for term in words.terms]
        found = np.array([*(-2 if at is None else at for at in each), -1], np.int32)[words.codes]
        if (found < 0).any():
            row = int(np.flatnonzero(found < 0)[0])
            if found[row] == -1:
                raise _missing(self.name, row)
            raise DataError(
                f"Row {row:,} of the target {self.name!r} is {words.terms[words.codes[row]]!r}, which was no class in training.",
                {"classes": ", ".join(self.classes[:20])},
            )
        return found


def _missing(name: str, row: int) -> DataError:
    return DataError(f"Row {row:,} of the target {name!r} is empty.", hint="leave out rows without a target")


class Features(Configured):
    """What a network takes of a table, and what it is to predict.

    Made by `fit` from the rows of training; `inputs` and `targets` then turn any table with these columns into arrays.

    >>> table = Table.of({"age": [30, 41, None, 28], "city": ["Oslo", "Lima", "Oslo", None], "paid": ["yes", "no", "no", "yes"]})
    >>> features = Features.fit(table, ["paid"])
    >>> {name: array.tolist() for name, array in features.inputs(table).items()}["categories"]
    [[2], [3], [2], [1]]
    >>> features.targets[0].values(table["paid"])
    array([1, 0, 0, 1], dtype=int32)
    """

    def __init__(
        self, features: Sequence[Any], targets: Sequence[Any] = (), dropped: Mapping[str, str] | None = None
    ) -> None:
        self.features: list[Feature] = [resolve("feature", one, FEATURES) for one in features]
        self.targets: list[Target] = [resolve("target", one, {"Target": Target}) for one in targets]
        self.dropped = dict(dropped or {})
        if not self.features:
            raise DataError(
                "The table has no column to predict from.", self.dropped, "say what columns are: --column NAME=category"
            )

    @classmethod
    def fit(cls, table: Table, targets: Sequence[str | Target], kinds: Mapping[str, str | Guess] | None = None) -> Self:
        """Features that have learned from these rows; ``kinds`` says what columns are, for those that are not what they seem. A
        target that is given by its name learns too."""
        seen = {name: one if isinstance(one, Guess) else Guess(one, "as told") for name, one in (kinds or {}).items()}
        for name, one in seen.items():
            if name not in table.left_out:
                _ = table[name]
            find("kind of column", one.kind, dict.fromkeys(KINDS))
        told = {name: one.kind for name, one in seen.items()}
        wanted = [t if isinstance(t, Target) else Target.fit(t, table[t], told.get(t)) for t in targets]
        found: list[Feature] = []
        dropped: dict[str, str] = {}
        for number, (name, column) in enumerate(table.columns.items(), 1):
            tell("Learning what columns hold", number, len(table.columns), "columns")
            if any(name == target.name for target in wanted):
                continue
            seems = seen[name] if name in seen else guess(column)
            if seems.kind == "drop":
                dropped[name] = seems.reason
            elif seems.reason == "" and not filled(column).any():
                dropped[name] = "empty in the rows to train on"
            else:
                found.append(KIND_FEATURES[seems.kind].fit(name, column))
        return cls(found, wanted, dropped | table.left_out)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes of the only target, if it has some."""
        return self.targets[0].classes if len(self.targets) == 1 else None

    @property
    def words(self) -> list[str]:
        """Columns that are read from files as text, whatever is in them."""
        classes = [target.name for target in self.targets if target.classes is not None]
        return [one.name for one in self.features if isinstance(one, CategoryFeature)] + classes

    @property
    def categories(self) -> list[CategoryFeature]:
        """Those that are terms of a vocabulary."""
        return [one for one in self.features if isinstance(one, CategoryFeature)]

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return sum(one.width for one in self.features)

    @property
    def terms(self) -> int:
        """How many terms all vocabularies have together."""
        return sum(one.size for one in self.categories)

    @property
    def vocabulary(self) -> list[str]:
        """What each number of a term means, over all vocabularies: as many as `terms`."""
        return [one.term(number) for one in self.categories for number in range(one.size)]

    def inputs(self, table: Table, odd: Counter[str] | None = None) -> dict[str, Array]:
        """Arrays for a network: "numbers" (n, width) float32, and "categories" (n, columns) int32, in which each column counts on
        from the one before. Raises `DataError` for a column that is missing, or is not what it was; single values that are not are
        missing where ``odd`` counts them."""
        for one in self.features:
            if one.name not in table:
                raise DataError(
                    f"{table.name} has no column {one.name!r}, which the model was trained with.",
                    {"columns": ", ".join(list(table.columns)[:20])},
                )
        found: dict[str, Array] = {}
        if self.width:
            matrix = np.empty((len(table), self.width), np.float32)
            wide = [one for one in self.features if one.width]
            ends = np.cumsum([0, *(one.width for one in wide)]).tolist()
            columns = [one.values(table[one.name], odd) for one in wide]
            for start in range(0, len(matrix), _BLOCK):  # of columns and rows, what was just read stays in the cache
                rows = slice(start, start + _BLOCK)
                for one, column, begin, end in zip(wide, columns, ends, ends[1:], strict=False):
                    matrix[rows, begin:end] = one.numbers(column[rows])
            found["numbers"] = matrix
        if self.categories:
            begins = np.cumsum([0, *(one.size for one in self.categories)])[:-1]
            texts = [as_text(table[one.name]) for one in self.categories]
            known = [
                c.known(text) + np.int32(begin) for c, text, begin in zip(self.categories, texts, begins, strict=True)
            ]
            codes = np.empty((len(table), len(begins)), np.int32)
            for start in range(0, len(codes), _BLOCK):
                rows = slice(start, start + _BLOCK)
                for number, (text, numbers) in enumerate(zip(texts, known, strict=True)):
                    codes[rows, number] = numbers.take(text.codes[rows])
            found["categories"] = codes
        return found

    def as_numbers(self, inputs: Mapping[str, Array]) -> Array:
        """What `inputs` gave as numbers alone, (n, width + terms) float32: a term is a number of its own, 1 where the row has it.

        >>> table = Table.of({"age": [30, 50, 30, 50], "city": ["Oslo", "Lima", "Oslo", "Oslo"], "paid": [1, 0, 0, 1]})
        >>> features = Features.fit(table, ["paid"])
        >>> features.vocabulary
        ['city is rare or new', 'city is missing', 'city = Oslo', 'city = Lima']
        >>> features.as_numbers(features.inputs(table))[:2].tolist()
        [[-1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0, 1.0]]
        """
        found = np.zeros((len(next(iter(inputs.values()))), self.width + self.terms), np.float32)
        if "numbers" in inputs:
            found[:, : self.width] = inputs["numbers"]
        if "categories" in inputs:
            np.put_along_axis(found[:, self.width :], inputs["categories"], 1, axis=1)
        return found

    def pair(self, table: Table, judged: bool = True, odd: Counter[str] | None = None) -> tuple[Any, ...]:
        """`inputs` and, if the table is to be ``judged`` by them, targets, an array or a list of several: (x,) or (x, y)."""
        if not judged:
            return (self.inputs(table, odd),)
        values = [target.values(table[target.name]) for target in self.targets]
        return self.inputs(table, odd), values[0] if len(values) == 1 else values

    def given(self, inputs: Mapping[str, Array], table: Table | None = None) -> list[list[Given]]:
        """Of each row, what the numbers stand for that `inputs` gave: first "numbers", then "categories". With the ``table``, also
        what it holds there.

        >>> table = Table.of({"age": [30, 41, None], "city": ["Oslo", "Lima", "Oslo"], "paid": ["yes", "no", "no"]})
        >>> features = Features.fit(table, ["paid"])
        >>> for one in features.given(features.inputs(table), table)[1]:
        ...     print(one)
        Given(name='age', column='age', value='41', number=1.0, term=False)
        Given(name='age is missing', column='age', value='41', number=0.0, term=False)
        Given(name='city = Lima', column='city', value='Lima', number=3.0, term=True)
        """
        columns = [(one.name, part) for one in self.features for part in one.parts]
        begins = np.cumsum([0, *(one.size for one in self.categories)])[:-1].tolist()
        names = {one.name for one in self.features}
        texts = {} if table is None else {name: table[name].text() for name in names}
        found: list[list[Given]] = []
        for row in range(len(next(iter(inputs.values())))):
            value = {name: text[row] for name, text in texts.items()}
            numbers = inputs["numbers"][row].tolist() if columns else []
            terms = inputs["categories"][row].tolist() if begins else []
            of_numbers = zip(columns, numbers, strict=True)
            of_terms = zip(self.categories, terms, begins, strict=True)
            found.append(
                [Given(part, name, value.get(name), number) for (name, part), number in of_numbers]
                + [Given(c.term(int(n) - at), c.name, value.get(c.name), float(n), True) for c, n, at in of_terms]
            )
        return found

    def unknown(self, categories: Array) -> Array:
        """Of what `inputs` gave: in how many rows each category holds a term that is not known.   (n, columns) -> (columns,)"""
        begins = np.cumsum([0, *(one.size for one in self.categories)])[:-1]
        found: Array = (categories == begins).sum(0)
        return found

    def get_config(self) -> dict[str, Any]:
        """Features, targets, and what was left out."""
        return {
            "features": [serialize(one) for one in self.features],
            "targets": [serialize(one) for one in self.targets],
            "dropped": self.dropped,
        }


def _number_of(term: str, known: Mapping[str, int]) -> int | None:
    """The number of a term, also where a whole number is written as a fraction: 10.0 for 10."""
    if term in known:
        return known[term]
    return known.get(re.sub(r"(?<=\d)\.0+$", "", term)) if re.fullmatch(r"-?\d+\.0+", term) else None


def _days(moments: Array) -> Array:
    return moments.astype(np.int64) / 86_400e6


def _natural(word: str) -> tuple[Any, ...]:
    """Numbers in words count as numbers: 2 comes before 10."""
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", word) if p)
