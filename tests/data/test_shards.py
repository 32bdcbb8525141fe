"""Data that are read piece by piece: each row once, the same bits as in memory where they fit, and errors that name the place."""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars
import pyarrow
import pytest
import zarr
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

import nacre
from nacre.data import Features, Shards, Table, lazy, pieces_of, read, shards
from nacre.data.folders import ParquetFolder, TablePieces, packed
from nacre.data.lazy import ArrayPieces
from nacre.errors import DataError, NacreError, ShapeError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]

ROWS = 900
rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, 6)).astype("float32")
Y = (X[:, 0] + X[:, 1] * X[:, 2] > 0).astype("int32")


def permutation(count: int, number: int) -> Array:
    return np.random.default_rng(number + 1).permutation(count)


def trained(*data: Any, **options: Any) -> tuple[nacre.Model, dict[str, list[float]]]:
    nacre.utils.set_random_seed(3)
    model = nacre.Sequential([nacre.Input((6,)), nacre.layers.Dense(8, "relu"), nacre.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(*data, batch_size=32, epochs=3, verbose=0, **options)
    return model, history.history


def same(one: nacre.Model, other: nacre.Model) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pieces, and windows that hold a third of the rows."""
    monkeypatch.setattr(shards, "WINDOW", ROWS // 3 * 28)
    monkeypatch.setattr(lazy, "_READ", 50 * 28)
    monkeypatch.setattr(lazy, "_ITEMS", 50)


class Pairs:
    """A data set as PyTorch has them."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> tuple[Array, int]:
        return X[row], int(Y[row])


class Columns:
    """A data set as Hugging Face has them."""

    column_names = ("x", "label")

    def __len__(self) -> int:
        return ROWS

    def with_format(self, kind: str) -> Columns:
        assert kind == "numpy"
        return self

    def __getitem__(self, rows: slice) -> dict[str, Array]:
        return {"x": X[rows], "label": Y[rows]}


def sources(tmp_path: Path) -> Iterator[tuple[str, tuple[Any, ...]]]:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=(64, 6), compression="gzip")
        file["y"] = Y
    group = zarr.open_group(str(tmp_path / "data.zarr"), mode="w")
    group.create_array("x", data=X, chunks=(64, 6))
    group.create_array("y", data=Y, chunks=(100,))
    file = h5py.File(tmp_path / "data.h5")
    yield "hdf5", (file["x"], file["y"])
    yield "hdf5 and an array", (file["x"], Y)
    yield "zarr", (group["x"], group["y"])
    yield "pairs", (Pairs(),)
    yield "columns", (Columns(),)
    file.close()


def test_what_others_keep_trains_to_the_bits_of_arrays(tmp_path: Path) -> None:
    wanted, history = trained(X, Y, validation_split=0.2)
    for name, data in sources(tmp_path):
        model, found = trained(*data, validation_split=0.2)
        assert same(model, wanted), name
        assert found == history, name
        assert model.evaluate(*data, verbose=0) == model.evaluate(X, Y, verbose=0), name
        assert np.array_equal(model.predict(data[0], verbose=0), model.predict(X)), name


@pytest.mark.usefixtures("narrow")
def test_each_row_is_seen_once_in_an_epoch_also_in_many_windows(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = np.arange(ROWS * 6).reshape(ROWS, 6), np.arange(ROWS)
        pieces = pieces_of(file["x"], file["y"])
        assert pieces is not None
        rows = Shards(pieces)
        seen, sizes = [], []
        for window, order in rows.windows(32, 0, permutation):
            assert window.y is not None
            assert np.array_equal(window.x[order, 0] // 6, window.y[order])
            seen += window.y[order].tolist()
            sizes.append(len(order))
    assert sorted(seen) == list(range(ROWS))
    assert seen != sorted(seen)
    assert len(sizes) > 2
    assert all(size % 32 == 0 for size in sizes[:-1])
    # What stands together in the file does not in the epoch.
    assert np.corrcoef(seen[:-1], seen[1:])[0, 1] < 0.6


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any),
    batch=st.integers(1, 30),
    window=st.integers(1, 90),
    shuffled=st.booleans(),
    begin=st.integers(0, 400),
)
def test_an_epoch_goes_on_from_any_row(sizes: list[int], batch: int, window: int, shuffled: bool, begin: int) -> None:
    assume(batch <= window)

    class Numbered:
        name, threads = "numbered", 2

        def __init__(self) -> None:
            self.sizes = sizes

        def read(self, piece: int) -> Iterator[tuple[Any, ...]]:
            first = sum(sizes[:piece])
            for at in range(0, sizes[piece], 7):
                yield (np.arange(first + at, first + min(at + 7, sizes[piece])),)

        def told(self, piece: int) -> str:
            return str(piece)

        def fingerprint(self) -> str:
            return "numbered"

    before, shards.WINDOW = shards.WINDOW, window * 4
    try:
        rows = Shards(Numbered(), targets=False)
        chance = permutation if shuffled else None
        whole = [int(r) for w, order in rows.windows(batch, 0, chance) for r in w.x[order]]
        assert sorted(whole) == list(range(sum(sizes)))
        assert shuffled or whole == sorted(whole)
        rest = [int(r) for w, order in rows.windows(batch, begin, chance) for r in w.x[order]]
        assert rest == whole[begin:]
        if sum(sizes) > 3:
            first, last = rows.split(0.5)
            found = [[int(r) for w, order in part.windows(batch) for r in w.x[order]] for part in (first, last)]
            assert found[0] + found[1] == list(range(sum(sizes)))
    finally:
        shards.WINDOW = before


class Threads:
    """What processes hand to each other, where each is a thread."""

    def __init__(self, processes: int, index: int, board: list[Any], meet: threading.Barrier) -> None:
        self.processes, self.index, self.board, self.meet = processes, index, board, meet

    def agree(self, parts: Any) -> None:
        raise NotImplementedError("not asked for by who reads")

    def share(self, array: Array, parts: Sequence[slice]) -> None:
        self.board[self.index] = array[parts[self.index]].copy()
        self.meet.wait(20)
        for part, rows in zip(parts, self.board, strict=True):
            array[part] = rows
        self.meet.wait(20)


@pytest.mark.parametrize("processes", [2, 3, 7])
@pytest.mark.parametrize("begin", [0, 320])
@pytest.mark.usefixtures("narrow")
def test_processes_that_read_together_get_what_one_gets_and_read_each_piece_once(processes: int, begin: int) -> None:
    read: list[int] = []

    class Noted(ArrayPieces):
        def read(self, piece: int) -> Iterable[tuple[Any, ...]]:
            read.append(piece)
            return super().read(piece)

    def rows(others: Threads | None) -> list[Array]:
        data = Shards(Noted(X, np.arange(ROWS)))
        return [window.columns[1].array[order] for window, order in data.windows(32, begin, permutation, others)]

    expected, alone = rows(None), len(read)
    assert len(expected) > 2
    read.clear()
    board, meet = [None] * processes, threading.Barrier(processes)
    with ThreadPoolExecutor(processes) as pool:
        found = list(pool.map(rows, [Threads(processes, index, board, meet) for index in range(processes)]))
    for one in found:
        assert all(np.array_equal(a, b) for a, b in zip(one, expected, strict=True))
    assert len(read) == alone - 1 + processes  # each looks at the first rows of all


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 9), st.integers(0, 20))
def test_pieces_are_dealt_out_in_neighbors_and_evenly(sizes: list[int], processes: int, number: int) -> None:
    spans = [shards._Span(piece, 0, rows) for piece, rows in enumerate(sizes)]
    parts = shards._dealt(spans, number, processes)
    assert sorted(span.piece for part in parts for span in spans[part]) == list(range(len(sizes)))
    for part in parts:
        assert sum(sizes[part]) <= sum(sizes) / processes + max(sizes)


@pytest.mark.usefixtures("narrow")
def test_a_training_over_windows_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    class Kill(nacre.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.optimizer.iterations == 47:
                raise KilledError

    data = pieces_of(Columns())
    wanted, history = trained(data)
    backup = nacre.callbacks.BackupAndRestore(tmp_path, save_freq=5)
    with pytest.raises(KilledError):
        trained(data, callbacks=[backup, Kill()])
    model, found = trained(data, callbacks=[nacre.callbacks.BackupAndRestore(tmp_path, save_freq=5)])
    assert same(model, wanted)
    assert found == history


def test_batches_by_number_are_a_stream_that_is_told_when_an_epoch_ends() -> None:
    class Batches:
        ends = 0

        def __len__(self) -> int:
            return 9

        def __getitem__(self, number: int) -> tuple[Array, Array]:
            return X[number * 100 : number * 100 + 100], Y[number * 100 : number * 100 + 100]

        def on_epoch_end(self) -> None:
            self.ends += 1

    nacre.utils.set_random_seed(0)
    model = nacre.Sequential([nacre.Input((6,)), nacre.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    for steps in (None, 9):
        batches = Batches()
        history = model.fit(batches, epochs=3, verbose=0, steps_per_epoch=steps)
        assert len(history.epoch) == 3
        assert batches.ends == 3


def test_items_may_be_dictionaries_and_mistakes_in_them_name_the_item() -> None:
    class Named(Pairs):
        def __getitem__(self, row: int) -> Any:
            return {"pixels": X[row], "label": int(Y[row])}

    assert same(trained(Named())[0], trained(X, Y)[0])

    class Broken(Pairs):
        def __getitem__(self, row: int) -> Any:
            if row == 300:
                raise KeyError("no such file")
            return X[row], 0

    with pytest.raises(KeyError) as told:
        trained(Broken())
    assert "in item 300 of Broken" in "".join(traceback.format_exception(told.value))


def test_masked_rows_are_refused_wherever_they_come_from() -> None:
    hidden = [np.ma.masked_array(row, mask=row > 1.5) for row in X]

    class Masked(Pairs):
        def __getitem__(self, row: int) -> Any:
            return hidden[row], int(Y[row])

    for data in ((hidden, Y), (Masked(),)):
        with pytest.raises(DataError, match="masked"):
            trained(*data)


def test_validation_data_may_be_read_in_pieces_and_endless(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = X, Y
        one = trained(X, Y, validation_data=(file["x"], file["y"]))[1]
    assert one == trained(X, Y, validation_data=(X, Y))[1]

    def endless() -> Iterator[tuple[Array, Array]]:
        while True:
            yield X[:50], Y[:50]

    found = trained(X, Y, validation_data=endless(), validation_steps=3)[1]
    assert len(found["val_loss"]) == 3
    for data, more in (((endless,), {}), ((X, Y), {"validation_data": endless})):
        with pytest.raises(UsageError, match="when it is called"):
            trained(*data, **more)


def test_how_many_threads_read_changes_nothing() -> None:
    found = []
    for threads in (1, 2, 5):
        pieces = ArrayPieces(X, Y)
        pieces.threads = threads
        found.append(trained(pieces)[0])
    assert same(found[0], found[1])
    assert same(found[0], found[2])


def test_mistakes_name_the_place(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = X, np.where(np.arange(ROWS) == 700, 5, Y)
        with pytest.raises(DataError, match="Rows 0 to 899: Label 5 at row 700"):
            trained(file["x"], file["y"])
        with pytest.raises(DataError, match="differ in length"):
            trained(file["x"], Y[:5])
        with pytest.raises(UsageError, match="no targets"):
            trained(file["x"])
        with pytest.raises(UsageError, match=r"0\.9999"):
            trained(file["x"], Y, validation_split=0.9999)

    class Ragged(Pairs):
        def __getitem__(self, row: int) -> tuple[Array, int]:
            return X[row, : 6 - (row == 300)], 0

    with pytest.raises(DataError, match="Items 256 to 511 of Ragged: Its rows differ in shape"):
        trained(Ragged())

    class Changing(Pairs):
        def __getitem__(self, row: int) -> tuple[Array, int]:
            return X[row, : 6 - (row >= 256)], 0

    with pytest.raises(ShapeError, match="Items 256 to 511 of Changing"):
        trained(Changing())
    with pytest.raises(UsageError, match="has its targets with it"):
        trained(Pairs(), Y)


# ------------------------------------------------------------------ folders of Parquet files


def frame(rows: int, seed: int, first: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    a, city = rng.normal(size=rows), rng.integers(0, 5, rows)
    return {
        "row": np.arange(first, first + rows),
        "a": np.where(rng.random(rows) < 0.1, np.nan, a),
        "b": rng.normal(size=rows).astype("float32"),
        "city": [None if c == 4 else f"city_{c}" for c in city.tolist()],
        "when": rng.integers(0, 1000, rows).astype("datetime64[D]"),
        "paid": np.where(a + (city == 2) > 0.3, "yes", "no"),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "shards"
    place.mkdir()
    for k in range(4):
        parquet.write_table(pyarrow.table(frame(500, k, 500 * k)), place / f"part-{k}.parquet", row_group_size=150)
    return place


def test_a_folder_gives_the_rows_of_its_files_in_order(folder: Path) -> None:
    known = ParquetFolder(folder)
    assert len(known) == 2000
    assert [group.rows for group in known.groups[:4]] == [150, 150, 150, 50]
    whole = known.read(known.sample(0))
    alone = Table.of(polars.read_parquet(folder / "*.parquet"))
    for name in alone.columns:
        assert whole[name].text() == alone[name].text()
    features = Features.fit(alone, ["paid"], {"row": "number"})
    pieces = TablePieces(known, features)
    parts = [part for piece in range(len(pieces.sizes)) for part in pieces.read(piece)]
    x, y = features.pair(alone)
    assert np.array_equal(np.concatenate([part[0]["numbers"] for part in parts]), x["numbers"])
    assert np.array_equal(np.concatenate([part[0]["categories"] for part in parts]), x["categories"])
    assert np.array_equal(np.concatenate([part[1] for part in parts]), y)


def test_rows_that_are_not_kept_are_not_read(folder: Path) -> None:
    known = ParquetFolder(folder)
    features = Features.fit(known.read(known.sample(0)), ["paid"], {"row": "number"})
    masks = [np.random.default_rng(k).random(group.rows) < 0.5 for k, group in enumerate(known.groups)]
    pieces = TablePieces(known, features, kept=[packed(mask) for mask in masks])
    everything = TablePieces(known, features)
    assert pieces.sizes == [int(mask.sum()) for mask in masks]
    for k, mask in enumerate(masks):
        (some,), (all_rows,) = list(pieces.read(k)), list(everything.read(k))
        assert np.array_equal(some[0]["numbers"], all_rows[0]["numbers"][mask])
        assert np.array_equal(some[1], all_rows[1][mask])


def test_a_large_folder_is_known_from_a_sample(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacre.data.folders._SAMPLE", 1200)
    monkeypatch.setattr("nacre.data.folders._PLACES", 5)
    known = ParquetFolder(folder)
    chosen = known.sample(1)
    assert len(chosen) == 5
    assert sum(chosen.values()) <= 200
    assert len(known.read(chosen)) == sum(chosen.values())
    assert chosen == known.sample(1) != known.sample(2)


def test_files_that_are_not_alike_or_damaged_are_told(folder: Path) -> None:
    parquet.write_table(pyarrow.table({"a": [1.0]}), folder / "part-9.parquet")
    with pytest.raises(DataError, match=r"part-9.parquet has other columns than .*part-0"):
        ParquetFolder(folder)
    (folder / "part-9.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match=r"Cannot read .*part-9"):
        ParquetFolder(folder)
    (folder / "part-9.parquet").unlink()
    known = ParquetFolder(folder)
    features = Features.fit(known.read(known.sample(0)), ["paid"], {"row": "number"})
    whole = (folder / "part-2.parquet").read_bytes()
    (folder / "part-2.parquet").write_bytes(whole[:200] + bytes(400) + whole[600:])
    pieces = TablePieces(known, features)
    with pytest.raises(DataError, match=r"part-2"):
        deque(part for piece in range(len(pieces.sizes)) for part in pieces.read(piece))


# ------------------------------------------------------------------ damaged files


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    damage=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=12), st.booleans()), max_size=6),
    end=st.floats(0, 1),
)
def test_mangled_hdf5_files_load_or_are_told(
    damage: list[tuple[float, bytes, bool]], end: float, tmp_path: Path
) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=X[:60], chunks=(16, 6), compression="gzip")
        file["y"] = Y[:60]
    content = bytearray(path.read_bytes())
    for place, junk, cut in damage:
        at = int(place * (len(content) - 1))
        if cut:
            del content[at : at + len(junk)]
        else:
            content[at : at + len(junk)] = junk
    path.write_bytes(content[: max(1, int(end * 2 * len(content)))])
    try:
        read(path)
    except NacreError as error:
        assert "data.h5" in str(error)  # noqa: PT017 - it may also load
