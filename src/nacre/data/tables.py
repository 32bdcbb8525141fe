"""Tables: named columns of numbers, text and points in time, out of files and data frames of any make."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import os
import re
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nacre.data.limits import FREE, GROWTH, check_room
from nacre.errors import DataError, DTypeError, NacreError, find, guest
from nacre.progress import tell

Array = npt.NDArray[Any]

SUFFIXES = (".csv", ".tsv", ".parquet", ".arrow", ".feather")
_OPENERS: Mapping[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SEPARATORS = {".tsv": "\t"}
_READ = 1 << 18  # bytes of a file that are read at once
_SAMPLE = 1 << 16  # bytes that tell how the columns are separated
_MISSING = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "-")
_UNITS = "datetime64[us]"
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, float64; NaN where there is none."""

    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> Numbers:
        """Some rows."""
        return Numbers(self.values[rows])

    def text(self) -> list[str]:
        """As people write them, "" where there is none."""
        return ["" if np.isnan(v) else repr(int(v)) if v.is_integer() else repr(v) for v in self.values.tolist()]


@dataclass(frozen=True)
class Text:
    """A column of words: the number of its term for each row, int32, and -1 where there is none."""

    codes: Array
    terms: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Array) -> Text:
        """Some rows."""
        return Text(self.codes[rows], self.terms)

    def text(self) -> list[str]:
        """The words, "" where there is none."""
        words = (*self.terms, "")
        return [words[code] for code in self.codes.tolist()]

    @classmethod
    def of(cls, words: Iterable[str | None]) -> Text:
        """Words that are given one by one."""
        terms: dict[str, int] = {}
        codes = [-1 if word is None else terms.setdefault(word, len(terms)) for word in words]
        return cls(np.array(codes, np.int32), tuple(terms))


@dataclass(frozen=True)
class Moments:
    """A column of points in time, datetime64 in microseconds; NaT where there is none."""

    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Array) -> Moments:
        """Some rows."""
        return Moments(self.values[rows])

    def text(self) -> list[str]:
        """In the form of ISO 8601, "" where there is none."""
        return ["" if v == "NaT" else v.removesuffix("T00:00:00.000000") for v in self.values.astype(str).tolist()]


Values = Numbers | Text | Moments


class Table:
    """Named columns of one length. ``name`` is what errors call it.

    >>> table = Table.of({"age": [31, None, 40], "city": ["Oslo", "Lima", None]})
    >>> table
    Table(3 rows: age, city)
    >>> table["city"].text()
    ['Oslo', 'Lima', '']
    """

    def __init__(self, columns: Mapping[str, Values], name: str = "the table") -> None:
        self.columns, self.name = dict(columns), name
        self.left_out: dict[str, str] = {}  # columns of kinds that no table has, and what they are
        lengths = {column: len(values) for column, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"The columns of {name} differ in length.", {k: f"{v:,}" for k, v in lengths.items()})
        if not lengths:
            raise DataError(f"{name} has no columns.")

    @classmethod
    def of(cls, frame: Any, name: str = "the table") -> Table:
        """The columns of a data frame (of pandas, polars, Arrow and what else narwhals knows), or of a dictionary of lists."""
        import narwhals as nw  # noqa: PLC0415 - slow to import, needed only here
        import pandas as pd  # noqa: PLC0415

        if isinstance(frame, Table):
            return frame
        if isinstance(frame, Mapping):
            try:
                frame = pd.DataFrame(dict(frame))
            except ValueError as error:
                raise DataError(f"{name} is no table: {error}.") from error
        try:
            known = nw.from_native(frame)
        except TypeError as error:
            raise DTypeError(
                f"{name} is no table.", {"found": type(frame).__name__}, "a data frame, or a dictionary of lists"
            ) from error
        known = known.collect() if isinstance(known, nw.LazyFrame) else known
        return cls._of_columns(known.iter_columns(), name)

    @classmethod
    def _of_columns(cls, columns: Iterable[Any], name: str) -> Table:
        found: dict[str, Values] = {}
        left_out: dict[str, str] = {}
        for series in columns:
            try:
                found[str(series.name)] = _column(f"{series.name!r} of {name}", series)
            except DTypeError as error:
                left_out[str(series.name)] = error.what
        if not found and left_out:
            raise DTypeError(next(iter(left_out.values())))
        table = cls(found, name)
        table.left_out = left_out
        return table

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], text: Iterable[str] = (), names: Iterable[str] = (), rows: int | None = None
    ) -> Table:
        """The table in a file: .csv, .tsv, .parquet, .arrow or .feather, the first two also as .gz, .bz2, .xz or .zip.

        Columns named in ``text`` are read as words, whatever is in them. A first line of ``names``, or one that is not all numbers,
        names the columns. Of .csv and .tsv, at most ``rows`` are read. Raises `DataError` with file and line for what is no
        table, `UsageError` for a file of another kind or without the library that reads it.
        """
        path = Path(path)
        kind, packed = kind_of(path)
        if kind is None:
            find("kind of table", path.suffix.lower(), dict.fromkeys(SUFFIXES))
        if not path.is_file():
            raise (
                DataError(f"Cannot read {path}: not an ordinary file.")
                if path.exists()
                else FileNotFoundError(2, "There is no such file", str(path))
            )
        if kind in (".csv", ".tsv"):
            return cls.of(_read_text(path, str(kind), packed, set(text), set(names), rows), str(path))
        table = _read_arrow(path, str(kind))
        try:
            return cls.of(table, str(path))
        except NacreError:
            raise
        except Exception as error:
            raise DataError(f"Cannot read {path}: {type(error).__name__}: {error}.") from error

    @classmethod
    def joined(cls, tables: Sequence[Table], name: str) -> Table:
        """The rows of tables with the same columns, one after the other."""
        table = cls({column: _joined([t[column] for t in tables]) for column in tables[0].columns}, name)
        table.left_out = tables[0].left_out
        return table

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name: str) -> Values:
        return find(f"column of {self.name}", name, self.columns)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def take(self, rows: Array) -> Table:
        """Some rows, by number."""
        table = Table({name: column.take(rows) for name, column in self.columns.items()}, self.name)
        table.left_out = self.left_out
        return table

    def __repr__(self) -> str:
        return f"Table({len(self):,} rows: {', '.join(self.columns)})"


def kind_of(path: str | os.PathLike[str]) -> tuple[str | None, str | None]:
    """The suffix that tells the kind of table, and that of how it is compressed.

    >>> kind_of("data.csv.gz"), kind_of("data.npz")
    (('.csv', '.gz'), (None, None))
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes[-2:]]
    if len(suffixes) == 2 and suffixes[0] in (".csv", ".tsv") and suffixes[1] in (*_OPENERS, ".zip"):
        return suffixes[0], suffixes[1]
    return (suffixes[-1], None) if suffixes and suffixes[-1] in SUFFIXES else (None, None)


def looks_like_table(x: object) -> bool:
    """Whether x is a `Table` or a data frame, and not an array, a list or a dictionary of arrays."""
    return (
        isinstance(x, Table)
        or any(hasattr(x, name) for name in ("__narwhals_dataframe__", "__dataframe__", "iloc"))
        or (type(x).__module__.partition(".")[0] in ("polars", "pyarrow") and hasattr(x, "columns"))
    )


# ------------------------------------------------------------------ columns


def _column(what: str, series: Any) -> Values:
    """A column of a data frame as one of the three kinds."""
    import narwhals as nw  # noqa: PLC0415 - slow to import, needed only here

    dtype = series.dtype
    if dtype == nw.Boolean:
        values = series.cast(nw.Int8).to_numpy() if not series.is_null().any() else None
        if values is None:
            return _words(series.to_list())
        return Text(values.astype(np.int32), ("false", "true"))
    if dtype.is_numeric():
        native = series.to_native()
        if type(native).__module__.startswith("pyarrow"):  # whole numbers beyond 2**53 lose digits, as everywhere
            return Numbers(np.asarray(native.cast("float64", safe=False).to_numpy(), np.float64))
        return Numbers(np.asarray(series.cast(nw.Float64).to_numpy(), np.float64))
    if dtype in (nw.Datetime, nw.Date):
        zone = getattr(dtype, "time_zone", None)
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else series
        return Moments(np.asarray(series.cast(nw.Datetime("us")).to_numpy()).astype(_UNITS))
    if dtype in (nw.Categorical, nw.Enum):
        return _coded(*_terms(series))
    if dtype in (nw.String, nw.Object, nw.Unknown):
        return _words(series.to_native() if dtype not in (nw.Object, nw.Unknown) else series.to_list(), what)
    raise DTypeError(
        f"Values {what} is of a kind that no table of nacre has.", {"found": str(dtype)}, "numbers, text, dates"
    )


def _words(values: Any, what: str = "") -> Text:
    """Words as terms and their numbers; what stands for nothing is none."""
    import pandas as pd  # noqa: PLC0415 - slow to import, needed only here

    if isinstance(values, list):
        scalars = [None if np.ndim(v) == 0 and pd.isna(v) else v for v in values]
        values = [str(v).lower() if isinstance(v, bool | np.bool_) else v for v in scalars]
        odd = next((v for v in values if not isinstance(v, str | int | float | None)), None)
        if odd is not None:
            raise DTypeError(f"Values {what} holds {type(odd).__name__}, which is neither number nor word.")
        values = pd.Series([v if v is None or isinstance(v, str) else repr(v) for v in values], dtype="str")
    return _coded(*pd.factorize(np.asarray(values, object) if not hasattr(values, "array") else values))


def _terms(series: Any) -> tuple[Array, Iterable[Any]]:
    """The numbers of the terms of categories, -1 for none, and the terms."""
    native = series.to_native()
    if hasattr(native, "cat") and hasattr(native.cat, "codes"):  # pandas, which needs no Arrow for it
        terms = native.cat.categories  # written as they are in columns
        written = terms if terms.dtype in (object, "str") else Table.of({"terms": terms})["terms"].text()
        return native.cat.codes.to_numpy(), written
    arrow = series.to_arrow()
    arrow = arrow.unify_dictionaries().combine_chunks() if hasattr(arrow, "chunks") else arrow
    arrow = arrow.chunk(0) if hasattr(arrow, "chunks") else arrow
    codes = arrow.indices.cast("int64").fill_null(-1) if arrow.null_count else arrow.indices
    return codes.to_numpy(), arrow.dictionary.to_pylist()


def _coded(codes: Array, terms: Iterable[Any]) -> Text:
    """Words out of the numbers of their terms."""
    words = ["" if term is None else str(term).strip() for term in terms]
    # What differs only by blanks is one term, and some words mean that there is none.
    numbers: dict[str, int] = {}
    known = [-1 if w in _MISSING else numbers.setdefault(w, len(numbers)) for w in words]
    same = len(numbers) == len(words)
    return Text(codes.astype(np.int32) if same else np.array([*known, -1], np.int32).take(codes), tuple(numbers))


def _joined(columns: Sequence[Values]) -> Values:
    """Columns of one kind, one after the other; those that are empty are of any kind."""
    kinds = {type(one) for one in columns if not (isinstance(one, Text) and not one.terms)}
    if kinds <= {Text}:
        numbers: dict[str, int] = {}
        texts = [one for one in columns if isinstance(one, Text)]
        maps = [np.array([*(numbers.setdefault(w, len(numbers)) for w in c.terms), -1], np.int32) for c in texts]
        return Text(np.concatenate([m[c.codes] for m, c in zip(maps, texts, strict=True)]), tuple(numbers))
    (kind,) = kinds
    nothing: Any = np.nan if kind is Numbers else np.datetime64("NaT", "us")
    values = np.concatenate([np.full(len(c), nothing) if isinstance(c, Text) else c.values for c in columns])
    return Numbers(values) if kind is Numbers else Moments(values)


def factorized(column: Numbers | Moments) -> Text:
    """Values as words: each that differs is a term."""
    import pandas as pd  # noqa: PLC0415 - slow to import, needed only here

    codes, values = pd.factorize(column.values)
    return Text(codes.astype(np.int32), tuple(replace(column, values=np.asarray(values)).text()))


def parsed_numbers(words: Iterable[str]) -> Array:
    """Words as float64, NaN for those that are no finite numbers."""
    import pandas as pd  # noqa: PLC0415 - slow to import, needed only here

    found = pd.to_numeric(pd.Series(list(words), dtype="str"), errors="coerce").to_numpy(np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def parsed_moments(words: Iterable[str], form: str) -> Array:
    """Words as points in time, NaT for those that are not written in this form."""
    import pandas as pd  # noqa: PLC0415 - slow to import, needed only here

    found = pd.to_datetime(pd.Series(list(words), dtype="str"), format=form, errors="coerce", utc=True)
    return np.asarray(found.dt.tz_localize(None)).astype(_UNITS)


# ------------------------------------------------------------------ files


class _Watched(io.RawIOBase):
    """What is in a file, packed or not, as long as it does not grow out of proportion; tells how far it was read."""

    def __init__(self, file: Any, path: Path, raw: BinaryIO) -> None:
        self._file, self._path, self._raw, self._size = file, path, raw, path.stat().st_size
        self._left = max(FREE, self._size * GROWTH)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        data = self._file.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"{self._path} grows to more than {GROWTH} times its size: it is refused.", hint="unpack it first"
            )
        buffer[: len(data)] = data
        tell(f"Reading {self._path.name}", self._raw.tell(), self._size, "bytes")
        return len(data)

    def close(self) -> None:
        """Close what is below too."""
        super().close()
        self._file.close()
        self._raw.close()


def _opened(path: Path, packed: str | None) -> BinaryIO:
    raw = path.open("rb")
    try:
        return io.BufferedReader(_Watched(_unpacked(path, packed, raw), path, raw), _READ)
    except BaseException:
        raw.close()
        raise


def _unpacked(path: Path, packed: str | None, raw: BinaryIO) -> Any:
    if packed is None:
        return raw
    if packed != ".zip":
        return _OPENERS[packed](raw, "rb")
    archive = zipfile.ZipFile(raw)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if len(names) != 1:
        raise DataError(f"{path} holds {len(names)} files, expected one table.")
    return archive.open(names[0])


def first_bytes(path: str | os.PathLike[str]) -> bytes:
    """What a .csv or .tsv file begins with, unpacked."""
    try:
        with _opened(Path(path), kind_of(path)[1]) as file:
            return file.read(_SAMPLE)
    except (NacreError, FileNotFoundError, PermissionError):
        raise
    except _DAMAGE as error:
        raise DataError(f"Cannot read {path}: {type(error).__name__}: {error}.") from error


def _read_text(path: Path, kind: str, packed: str | None, text: set[str], names: set[str], rows: int | None) -> Any:
    import pandas as pd  # noqa: PLC0415 - slow to import, needed only here

    try:
        head = first_bytes(path)
        if not head.strip() or b"\0" in head:
            what = "is no text: it has zero bytes" if head.strip() else "is empty"
            raise DataError(f"{path} {what}.", hint="export it as UTF-8 text")
        separator, decimal, first = _form(head, kind)
        header = not all(map(_is_number, first)) or (bool(first) and {field.strip() for field in first} <= names)
        columns = [(header and field.strip()) or f"column_{number}" for number, field in enumerate(first, 1)]
        if (twice := next((name for name, count in Counter(columns).items() if count > 1), None)) is not None:
            raise DataError(f"{path} has two columns called {twice!r}.", hint="give one of them another name")
        with _opened(path, packed) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # fields would be lost
            frame = pd.read_csv(
                file,
                sep=separator,
                decimal=decimal,
                header=0 if header else None,
                encoding="utf-8-sig",
                dtype={at: "str" for at, name in enumerate(columns) if name in text},
                low_memory=False,
                skipinitialspace=True,
                na_values=list(_MISSING),
                index_col=False,
                nrows=rows,
                on_bad_lines="error",
            )
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no UTF-8 text: {error.reason} at byte {error.start:,}.", hint="save it as UTF-8"
        ) from error
    except NacreError:
        raise
    except (
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        pd.errors.EmptyDataError,
        csv.Error,
        ValueError,
        OverflowError,
    ) as error:
        raise DataError(
            f"Cannot read {path}: {_plainly(error)}", hint="each line needs as many fields as the first"
        ) from error
    except FileNotFoundError:
        raise
    except _DAMAGE as error:
        raise DataError(f"Cannot read {path}: {type(error).__name__}: {error}.") from error
    if len(frame.columns) != len(columns):
        raise DataError(f"{path} has {len(frame.columns)} columns, but its first line names {len(columns)}.")
    frame.columns = columns
    return frame


def _form(head: bytes, kind: str) -> tuple[str, str, list[str]]:
    """How columns are separated, what stands in fractions, and what is in the first line."""
    sample = head.decode("utf-8-sig", errors="replace")
    lines = [line for line in re.split(r"[\r\n]+", sample) if line.strip()][:50]
    if not lines:
        raise ValueError("there is nothing but blanks")
    lines = lines[:-1] if len(lines) > 2 and len(head) == _SAMPLE else lines
    separator = _SEPARATORS.get(kind) or max(
        ",;\t|", key=lambda s: min(line.count(s) for line in lines) * 8 + (s == ",")
    )
    first = next(csv.reader([lines[0]], delimiter=separator))
    fields = [field.strip() for line in lines[1:] for field in line.split(separator)]
    commas, points = (sum(bool(re.fullmatch(rf"-?\d+{mark}\d+", f)) for f in fields) for mark in (",", r"\."))
    return separator, "," if separator != "," and commas > points else ".", first


def _is_number(field: str) -> bool:
    try:
        float(field.replace(",", "."))
    except ValueError:
        return False
    return True


def _plainly(error: Exception) -> str:
    said = str(error).strip().removeprefix("Error tokenizing data. C error: ").rstrip(".")
    if said.startswith("Length of header"):
        return "its lines have more fields than the first."
    return f"{said}."


def _read_arrow(path: Path, kind: str) -> Any:
    with arrow_for(path) as pyarrow:
        if kind == ".parquet":
            with pyarrow.parquet.ParquetFile(path) as file:
                rows, columns = file.metadata.num_rows, file.metadata.num_columns
                check_room(f"{path}, {rows:,} rows of {columns:,} columns,", rows * columns * 8)
                table = file.read()
        elif kind == ".feather":
            table = pyarrow.feather.read_table(path)
        else:
            with pyarrow.OSFile(str(path)) as source:
                head = source.read(6)
                source.seek(0)
                table = (pyarrow.ipc.open_file if head == b"ARROW1" else pyarrow.ipc.open_stream)(source).read_all()
        table.validate(full=True)  # Arrow believes what a file says of lengths, and reads elsewhere if it lies
    return table


@contextmanager
def arrow_for(path: Path) -> Iterator[Any]:
    """The library for the files of Arrow; what it finds wrong with the file becomes a `DataError`."""
    pyarrow = guest("pyarrow", f"Reading {path}", "parquet")
    for part in ("feather", "ipc", "parquet"):
        guest(f"pyarrow.{part}", f"Reading {path}", "parquet")
    try:
        yield pyarrow
    except (NacreError, FileNotFoundError):
        raise
    except (pyarrow.ArrowException, OSError, ValueError, IndexError, MemoryError, OverflowError) as error:
        raise DataError(f"Cannot read {path}: {(str(error).splitlines() or ['damaged'])[0]}.") from error
