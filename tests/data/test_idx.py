"""Files to arrays, friendly and hostile."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.data import read
from nacre.data.readers import READERS
from nacre.data.readers.idx import read_idx
from nacre.errors import DataError, UnknownName

Array = npt.NDArray[Any]

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: Array) -> bytes:
    code = CODES[array.dtype.str[1:]]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def lie(code: int, *sizes: int) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data.idx"


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3), (1,) * 8])
@pytest.mark.parametrize("dtype", CODES)
def test_every_type_and_rank_is_read(dtype: str, shape: tuple[int, ...], pack: Any, file: Path) -> None:
    array = (np.arange(np.prod(shape)) - (0 if dtype == "u1" else 3)).astype(dtype).reshape(shape)
    file.write_bytes(pack(idx(array)))
    found = read_idx(file)
    np.testing.assert_array_equal(found, array, strict=True)
    assert found.dtype.isnative
    assert found.flags.writeable


def test_gzip_is_known_by_its_bytes_not_its_name(file: Path) -> None:
    array = np.arange(6, dtype="u1")
    file.write_bytes(gzip.compress(idx(array)[:7]) + gzip.compress(idx(array)[7:]))
    np.testing.assert_array_equal(read_idx(file), array)


def test_every_truncation_is_refused(file: Path) -> None:
    for content in (idx(np.arange(6, dtype="i2").reshape(2, 3)), gzip.compress(idx(np.arange(6, dtype="i2")))):
        for length in range(len(content)):
            file.write_bytes(content[:length])
            with pytest.raises(DataError, match=r"data\.idx"):
                read_idx(file)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "nothing"),
        (b"\x89PNG\r\n", "89 50 4e 47"),
        (lie(0x07, 3) + b"123", "no idx file"),
        (bytes([0, 0, 8, 0]) + b"1", "rank of 1 to 8"),
        (lie(0x08, *[1] * 9) + b"1", "rank of 1 to 8"),
        (lie(0x08, 2, 2)[:10], "ends in its header, after 10 of 12 bytes"),
        (lie(0x08, 4) + b"123", r"11.*(bytes), its header says 12 \(uint8 4\)"),
        (lie(0x08, 4) + b"12345", "its header says 12"),
        (lie(0x08, *[2**32 - 1] * 8) + b"1", "its header says"),
        (lie(0x0E, 2**32 - 1, 2**31) + b"1", "its header says"),
    ],
)
def test_a_lying_file_is_refused(content: bytes, message: str, pack: Any, file: Path) -> None:
    file.write_bytes(pack(content))
    with pytest.raises(DataError, match=message):
        read_idx(file)


def test_a_gzip_bomb_is_not_inflated(file: Path) -> None:
    file.write_bytes(gzip.compress(lie(0x08, 10) + bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"more than 18 bytes, its header says 18"):
        read_idx(file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_damaged_gzip_is_refused(file: Path) -> None:
    content = bytearray(gzip.compress(idx(np.arange(100, dtype="u1"))))
    content[-6] ^= 1  # the CRC
    file.write_bytes(content)
    with pytest.raises(DataError, match="gzip data is damaged"):
        read_idx(file)


def test_bytes_after_the_gzip_data_are_refused(file: Path) -> None:
    file.write_bytes(gzip.compress(idx(np.arange(10, dtype="u1"))) + b"tail")
    with pytest.raises(DataError, match="damaged"):
        read_idx(file)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_bytes_give_an_array_or_a_data_error(tail: bytes, magic: bool, zipped: bool) -> None:
    path = Path(os.environ["PYTEST_TMP_IDX"])
    content = (b"\0\0\x08\x01" if magic else b"") + tail
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    try:
        found = read_idx(path)
    except DataError:
        return
    assert idx(found) == content


@pytest.fixture(autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_TMP_IDX", str(tmp_path_factory.mktemp("idx") / "any.idx"))


def test_folders_pipes_and_missing_files_are_told_apart(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        for reader in (read_idx, read):
            with pytest.raises(DataError, match="not an ordinary file"):
                reader(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")


def test_content_decides_before_the_name(tmp_path: Path) -> None:
    array = np.arange(6, dtype="u1").reshape(2, 3)
    path = tmp_path / "misnamed.npz"
    for pack in (bytes, gzip.compress):
        path.write_bytes(pack(idx(array)))
        np.testing.assert_array_equal(read(path), array)
    with path.open("wb") as file:
        np.save(file, array)
    np.testing.assert_array_equal(read(path), array)


def test_npz_gives_arrays_by_name(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=np.eye(2), y=np.arange(2))
    found = read(path)
    assert isinstance(found, dict)
    assert sorted(found) == ["x", "y"]
    np.testing.assert_array_equal(found["x"], np.eye(2))


@pytest.mark.parametrize("shape", [(0, 3), (), (2, 3)])
def test_npy_of_any_shape_is_read(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape))
    np.testing.assert_array_equal(read(tmp_path / "a.npy"), np.ones(shape), strict=True)


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}], object)
    np.save(tmp_path / "a.npy", objects)
    np.savez(tmp_path / "a.npz", x=objects)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match=name):
            read(tmp_path / name)


def test_every_truncation_of_npy_and_npz_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    np.savez(tmp_path / "a.npz", x=np.arange(4))
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(DataError, match=path.name):
                read(path)


def test_a_header_of_a_huge_npy_allocates_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    content = (tmp_path / "a.npy").read_bytes().replace(b"'shape': (4,), }", b"'shape': (9999999999,), }")
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy"):
        read(tmp_path / "a.npy")


def test_an_archive_of_other_things_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="no array"):
        read(tmp_path / "a.npz")


def test_an_unknown_kind_of_file_gets_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "a.npx").write_bytes(b"hello")
    with pytest.raises(UnknownName, match=r"did you mean '\.np") as caught:
        read(tmp_path / "a.npx")
    assert "68 65 6c 6c 6f" in str(caught.value)


def test_readers_have_different_names_and_suffixes() -> None:
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert len({reader.name for reader in READERS}) == len(READERS)
