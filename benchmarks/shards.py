"""The command `python -m benchmarks.shards`: training on a folder of Parquet files beside the same rows in memory, in turn."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from nacre.data import Features, Shards
from nacre.data.folders import ParquetFolder, TablePieces
from nacre.models import Model
from nacre.recipes import table_goals, table_network

NUMBERS, CATEGORIES, TERMS = 10, 20, 50
FILE, GROUP, BATCH = 1_600_000, 160_000, 1024  # rows
_IN_MEMORY = 20  # row groups


def write(folder: Path, size: float, rows: int = FILE) -> None:
    """Shards of a table of numbers and categories, so many bytes in all, or those that are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    files = len(list(folder.glob("*.parquet")))
    while sum(path.stat().st_size for path in folder.glob("*.parquet")) < size:
        rng = np.random.default_rng(files)
        numbers = rng.standard_normal((NUMBERS, rows), dtype=np.float32)
        codes = rng.integers(0, TERMS, (CATEGORIES, rows), dtype=np.int8)
        terms = pa.array([f"term_{n}" for n in range(TERMS)])
        said = (numbers[0] + numbers[1] * numbers[2] + (codes[0] % 7 == 0) > 0).astype(np.int8)
        columns: dict[str, Any] = {f"n{k}": column for k, column in enumerate(numbers)}
        columns |= {f"c{k}": pa.DictionaryArray.from_arrays(column, terms) for k, column in enumerate(codes)}
        columns["y"] = pa.DictionaryArray.from_arrays(said, pa.array(["no", "yes"]))
        path = folder / f"part-{files:05}.parquet"
        parquet.write_table(pa.table(columns), path.with_suffix(".part"), row_group_size=min(GROUP, rows))
        path.with_suffix(".part").rename(path)
        files += 1


def measured(folder: ParquetFolder, rounds: int, groups: int) -> Iterator[tuple[float, float]]:
    """Rows per second in memory and from the folder, one after the other; each round reads other row groups."""
    features = Features.fit(folder.read({0: min(100_000, folder.groups[0].rows)}), ["y"])
    model: Model = table_network(features, [128, 64], "relu", 0.0)
    model.compile("adam", **table_goals(features))
    all_groups = folder.groups
    order = np.random.default_rng(0).permutation(len(all_groups)).tolist()
    folder.groups = [all_groups[k] for k in order[:_IN_MEMORY]]
    kept = TablePieces(folder, features)
    parts = [part for piece in range(len(kept.sizes)) for part in kept.read(piece)]
    x = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    y = np.concatenate([part[1] for part in parts])
    del parts
    for number in range(rounds):
        first = number * groups % len(order)
        folder.groups = [all_groups[k] for k in (order + order)[first : first + groups]]
        pieces = TablePieces(folder, features)
        yield _speed(model, x, y, len(y)), _speed(model, pieces, None, len(pieces))


def _speed(model: Model, x: Any, y: Any, rows: int) -> float:
    begun = time.perf_counter()
    model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
    return rows / (time.perf_counter() - begun)


def seen_once(rows: int = 100_000) -> bool:
    """Whether an epoch over numbered rows in many windows has each row once."""
    from nacre.data import shards
    from nacre.data.lazy import ArrayPieces

    before, shards.WINDOW = shards.WINDOW, rows  # bytes: a quarter of the rows of four bytes
    try:
        numbered = Shards(ArrayPieces(np.arange(rows, dtype=np.int32)), targets=False)
        chance = np.random.default_rng(0)
        found = [w.x[order] for w, order in numbered.windows(BATCH, 0, lambda count, _: chance.permutation(count))]
        return len(found) > 1 and np.array_equal(np.sort(np.concatenate(found)), np.arange(rows))
    finally:
        shards.WINDOW = before


@click.command()
@click.option("--gigabytes", type=float, default=20.0, help="Size of the folder.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where it is, or goes.  [default: a temporary one]")
@click.option("--rounds", type=click.IntRange(1), default=5, help="How often both are measured.")
@click.option("--groups", type=click.IntRange(1), default=60, help="Row groups of a round.")
def main(gigabytes: float, folder: Path | None, rounds: int, groups: int) -> None:
    """Print the rows per second, and the most memory that was used. Limit the memory from outside, by ulimit or a control group."""
    import resource

    with tempfile.TemporaryDirectory() as temporary:
        place = folder or Path(temporary, "shards")
        write(place, gigabytes * 1e9, rows=min(FILE, max(1000, int(gigabytes * 1e9 / 100))))
        opened = ParquetFolder(place)
        click.echo(f"{len(opened):,} rows in {len(opened.groups):,} row groups; each row once: {seen_once()}")
        found = []
        for memory, streamed in measured(opened, rounds, min(groups, len(opened.groups))):
            found.append((memory, streamed))
            click.echo(f"in memory {memory:,.0f} rows/s, from the folder {streamed:,.0f}")
        ratio = float(np.median([streamed for _, streamed in found]) / np.median([memory for memory, _ in found]))
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        click.echo(json.dumps({"ratio": round(ratio, 3), "gigabytes_of_memory": round(most, 2)}))


if __name__ == "__main__":
    main()
