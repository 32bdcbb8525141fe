"""Tables that do not fit into memory: the row groups of the Parquet files of a folder."""

from __future__ import annotations

import os
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
        schema: Any = None
        for file in self._files:
            with arrow_for(file) as pyarrow:
                known = pyarrow.parquet.read_metadata(file)
                found = known.schema.to_arrow_schema().remove_metadata()
                sizes = [known.row_group(k).num_rows for k in range(known.num_row_groups)]
            schema = schema or found
            if not found.equals(schema):
                ours, theirs = ({(f.name, str(f.type)) for f in one} for one in (schema, found))
                raise DataError(
                    f"{file} has other columns than {self._files[0]}.",
                    {"only there": _listed(theirs - ours), "missing": _listed(ours - theirs)},
                    "shards of one table have the same columns",
                )
            check_room(str(file), max(sizes, default=0) * len(schema) * 8)
            self._metadata[file] = known
            self.groups += [Group(file, k, rows) for k, rows in enumerate(sizes)]
        self.names: list[str] = schema.names
        self._words = [f.name for f in schema if str(f.type) in ("string", "large_string")]

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
        self, folder: ParquetFolder, features: Features, judged: bool = True, kept: Sequence[Array | None] | None = None
    ) -> None:
        self._folder, self._features, self._kept = folder, features, kept
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

    def read(self, piece: int) -> Iterable[tuple[Any, ...]]:
        """The rows of a group."""
        at, mask = 0, self._mask(piece)
        for table in self._folder.tables(self._folder.groups[piece], self._columns):
            rows = None if mask is None else np.flatnonzero(mask[at : at + len(table)])
            at += len(table)
            yield self._features.pair(table if rows is None else table.take(rows), self.judged)

    def _mask(self, piece: int) -> Array | None:
        """Which rows of a group are kept; None for all."""
        bits = None if self._kept is None else self._kept[piece]
        return None if bits is None else np.unpackbits(bits, count=self._folder.groups[piece].rows).astype(bool)

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


def _listed(columns: set[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in sorted(columns)[:10]) or "nothing"
