"""Tables that do not fit into memory: the row groups of the Parquet files of a folder."""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.features import Features
from nacre.data.limits import check_room
from nacre.data.shards import readers
from nacre.data.tables import Table, arrow_for
from nacre.errors import DataError
from nacre.progress import tell

Array = npt.NDArray[Any]

_PART = 1 << 17  # rows that are decoded at a time
_SAMPLE = 1 << 24  # values, about, of a table that tell what the others are like
_TEXT = "text"
_END = 1 << 16  # bytes
_PLACES = 32  # where they are taken from, in a large table


@dataclass(frozen=True)
class Group:
    """A row group of a file, and its number of rows."""

    path: Path
    number: int
    rows: int

    def __str__(self) -> str:
        return f"{self.path}, row group {self.number}"


class ParquetFolder:
    """The row groups of all .parquet files in a folder, file by file in the order of their names; or of one such file.

    Raises `DataError` for a file that is damaged or has other columns than the first, and `UsageError` without pyarrow.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._files = parquet_files(self.path)
        if not self._files:
            raise DataError(f"There are no .parquet files in {path}.")
        self.groups: list[Group] = []
        self._metadata: dict[Path, Any] = {}
        kinds: dict[str, tuple[str, Path]] = {}  # of columns, and where they are such
        self.names: list[str] = []
        for file in self._files:
            with arrow_for(file) as pyarrow:
                known = pyarrow.parquet.read_metadata(file)
                schema = known.schema.to_arrow_schema()
                sizes = [known.row_group(k).num_rows for k in range(known.num_row_groups)]
                found = {field.name: _kind(field.type, pyarrow.types) for field in schema}
            self.names = self.names or list(found)
            if set(found) != set(self.names):
                raise DataError(
                    f"{file} has other columns than {self._files[0]}.",
                    {
                        "only there": _listed(set(found) - set(self.names)),
                        "missing": _listed(set(self.names) - set(found)),
                    },
                    "shards of one table have the same columns",
                )
            for name, kind in found.items():
                before, place = kinds.setdefault(name, (kind, file)) if kind else (kind, file)
                if before != kind:
                    raise DataError(f"The column {name!r} is {kind} in {file}, and {before} in {place}.")
            check_room(str(file), max(sizes, default=0) * len(found) * 8)
            self._metadata[file] = known
            self.groups += [Group(file, k, rows) for k, rows in enumerate(sizes)]
        if not len(self):
            raise DataError(f"{path} has no rows.")
        self._words = [name for name, (kind, _) in kinds.items() if kind == _TEXT]

    def __len__(self) -> int:
        return sum(group.rows for group in self.groups)

    def tables(self, group: Group, columns: Iterable[str] | None = None, stop: int | None = None) -> Iterator[Table]:
        """The rows of a group up to ``stop``, some at a time; those of its ``columns`` that there are."""
        names = self.names if columns is None else [name for name in self.names if name in set(columns)]
        left = group.rows if stop is None else stop
        with arrow_for(group.path) as pyarrow:
            # Not mapped: what is read is used once, and large reads are several times as fast as faults of single pages.
            file = pyarrow.parquet.ParquetFile(
                group.path, metadata=self._metadata[group.path], read_dictionary=self._words, pre_buffer=stop is None
            )
            with file:
                part = max(-(-left // -(-left // _PART)), 1) if left else 1  # parts of one size
                batches = file.iter_batches(part, [group.number], names, use_threads=False)
                while left > 0 and (batch := next(batches, None)) is not None:
                    batch = batch.slice(0, left)
                    batch.validate()
                    left -= len(batch)
                    yield Table.of(pyarrow.Table.from_batches([batch]), str(group))

    def sample(self, seed: int) -> dict[int, int]:
        """The numbers of some groups from all over, and how many rows to look at from the first on: all, if they are few."""
        most = max(1, _SAMPLE // max(1, len(self.names)))
        if len(self) <= most:
            return {number: group.rows for number, group in enumerate(self.groups)}
        order = np.random.default_rng([seed, 0x5A3]).permutation(len(self.groups))[:_PLACES]
        return {number: min(self.groups[number].rows, most // len(order)) for number in sorted(order.tolist())}

    def read(self, rows: Mapping[int, int]) -> Table:
        """So many rows of some groups, from the first on."""
        found: list[Table] = []
        for done, (number, stop) in enumerate(rows.items(), 1):
            found += self.tables(self.groups[number], stop=stop)
            tell("Looking at some rows", done, len(rows), "row groups")
        return Table.joined(found, str(self.path))


class TablePieces:
    """The rows of a `ParquetFolder` as the network takes them, with targets if these are ``judged``; of each group those that
    ``kept`` says, which are all where it says nothing.
    """

    def __init__(
        self,
        folder: ParquetFolder,
        features: Features,
        judged: bool = True,
        kept: Sequence[Array | None] | None = None,
        lenient: bool = True,
    ) -> None:
        self._folder, self._features, self._kept, self._lenient = folder, features, kept, lenient
        self._odd: dict[int, Counter[str]] = {}  # of each group, how many values were no numbers or dates
        self._unknown: dict[int, Array] = {}  # and how many terms of each category were not known
        self.judged = judged
        self.name, self.threads = str(folder.path), readers()
        self.sizes = [
            group.rows if (mask := self._mask(at)) is None else int(mask.sum())
            for at, group in enumerate(folder.groups)
        ]
        self._columns = [one.name for one in features.features]
        self._columns += [target.name for target in features.targets] if judged else []

    def __len__(self) -> int:
        return sum(self.sizes)

    def read(self, piece: int, stop: int | None = None) -> Iterable[tuple[Any, ...]]:
        """The rows of a group, those up to ``stop`` if it is given."""
        at, mask = 0, self._mask(piece)
        odd: Counter[str] = Counter()
        unknown = np.zeros(len(self._features.categories), np.int64)
        for table in self._folder.tables(self._folder.groups[piece], self._columns, stop):
            rows = None if mask is None else np.flatnonzero(mask[at : at + len(table)])
            at += len(table)
            # One odd word somewhere does not end a training after hours: it counts as missing.
            table = table if rows is None else table.take(rows)
            given = self._features.pair(table, self.judged, odd if self._lenient else None)
            if not self._lenient and len(unknown):
                unknown += self._features.unknown(given[0]["categories"])
            yield given
        self._odd[piece], self._unknown[piece] = odd, unknown

    def sample(self, seed: int) -> list[tuple[Any, ...]]:
        """Some rows of groups from all over, part by part; all rows, if they are few."""
        return [part for piece, stop in self._folder.sample(seed).items() for part in self.read(piece, stop)]

    def fingerprint(self) -> str:
        """A checksum of the ends of all files, where what is in them is described, and of which rows are kept."""
        crc = 0
        for file in dict.fromkeys(group.path for group in self._folder.groups):
            with file.open("rb") as opened:
                opened.seek(max(0, file.stat().st_size - _END))
                crc = zlib.crc32(opened.read(), crc)
        for bits in self._kept or ():
            crc = zlib.crc32(b"" if bits is None else bits.tobytes(), crc)
        return f"{crc:08x}"

    def _mask(self, piece: int) -> Array | None:
        """Which rows of a group are kept; None for all."""
        bits = None if self._kept is None else self._kept[piece]
        return None if bits is None else np.unpackbits(bits, count=self._folder.groups[piece].rows).astype(bool)

    def notes(self) -> list[str]:
        """What people should know of the rows that were read, which are all unless other processes read some of them."""
        odd, rows = sum(self._odd.values(), Counter[str]()), sum(self.sizes[piece] for piece in self._odd)
        of_rows = "" if rows == len(self) else f" (in {rows:,} of {len(self):,} rows: others were not read here)"
        found = [
            f"{name!r}: {count:,} values are odd, and count as missing{of_rows}" for name, count in odd.items() if count
        ]
        unknown = sum(self._unknown.values(), np.zeros(len(self._features.categories), np.int64))
        for one, count in zip(self._features.categories, unknown.tolist(), strict=True):
            if count:
                found.append(f"{one.name!r}: {count:,} of {rows:,} rows hold what was rare in training, or never seen")
        return found

    def told(self, piece: int) -> str:
        """Which row group."""
        return str(self._folder.groups[piece])


def parquet_files(path: Path) -> list[Path]:
    """The .parquet files in a folder, in the order of their names; or the file itself."""
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.glob("*.parquet") if p.is_file() and not p.name.startswith((".", "_")))


def packed(mask: Array) -> Array | None:
    """Which rows are kept, in bits; None for all."""
    return None if mask.all() else np.packbits(mask)


def _kind(kind: Any, types: Any) -> str:
    """What a type of Arrow is to a table, in words; "" for one that fits all."""
    if types.is_dictionary(kind):
        return _kind(kind.value_type, types)
    if types.is_null(kind):
        return ""
    if any(test(kind) for test in (types.is_integer, types.is_floating, types.is_decimal)):
        return "a number"
    if any(test(kind) for test in (types.is_date, types.is_timestamp)):
        return "a date"
    return _TEXT if any(test(kind) for test in (types.is_string, types.is_large_string)) else str(kind)


def _listed(columns: set[str]) -> str:
    return ", ".join(sorted(columns)[:10]) or "nothing"
