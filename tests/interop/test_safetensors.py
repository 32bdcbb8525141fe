"""The model file: whole or not at all, and no damage goes unseen."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.errors import DTypeError, ModelFileError, UsageError
from nacre.files import _host
from nacre.interop.safetensors import DTYPES, MAX_HEADER, _encoded, _metadata_crc32, read, write

Array = npt.NDArray[Any]

TENSORS: dict[str, Array] = {
    "dense/kernel": np.arange(6, dtype="float32").reshape(2, 3),
    "dense/bias": np.zeros((0, 4), "float32"),
    "step": np.array(7, "int64"),
    "mask": np.array([True, False, True]),
}
METADATA = {"config": '{"units": 3}', "note": "caf\u00e9 \x1b \u2028"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def assemble(header: Any, data: bytes = b"") -> bytes:
    """A file with the given header, which need not be true."""
    content = header if isinstance(header, bytes) else _encoded(header)
    return len(content).to_bytes(8, "little") + content + data


def sealed(**entries: Any) -> dict[str, Any]:
    """A header whose metadata is in order, for entries that are not."""
    metadata = {"nacre.checksums": json.dumps(dict.fromkeys(entries, "00000000"))}
    return {"__metadata__": {**metadata, "nacre.metadata_crc32": _metadata_crc32(metadata)}, **entries}


def entry(dtype: Any, shape: Any, *offsets: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def same(found: dict[str, Array], expected: dict[str, Array]) -> bool:
    return found.keys() == expected.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (expected[k].dtype, expected[k].shape, expected[k].tobytes())
        for k, a in found.items()
    )


def test_what_is_written_is_read(path: Path) -> None:
    write(path, TENSORS, METADATA)
    tensors, metadata = read(path)
    assert same(tensors, TENSORS)
    assert metadata == METADATA
    assert all(a.flags.writeable and a.flags.aligned and a.dtype.isnative for a in tensors.values())
    assert os.listdir(path.parent) == [path.name]


RESERVED = {"__metadata__", "nacre.checksums", "nacre.metadata_crc32"}
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20).filter(
    lambda t: t not in RESERVED
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
ARRAYS = st.sampled_from(sorted(DTYPES.values())).flatmap(
    lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0))
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(NAMES, ARRAYS, max_size=4), st.dictionaries(TEXTS.filter(lambda t: t not in RESERVED), TEXTS))
def test_anything_legal_survives_a_round_trip(tensors: dict[str, Array], metadata: dict[str, str]) -> None:
    path = Path(os.environ["PYTEST_TMP_MODEL"])
    write(path, tensors, metadata)
    found = read(path)
    assert same(found[0], tensors)
    assert found[1] == metadata


@pytest.fixture(autouse=True)
def _scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_TMP_MODEL", str(tmp_path_factory.mktemp("model") / "any"))


def test_the_safetensors_library_reads_our_file_and_we_read_its_own(path: Path) -> None:
    write(path, TENSORS, METADATA)
    found = safetensors.numpy.load_file(path)
    assert same(found, TENSORS)
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["config"] == METADATA["config"]
    safetensors.numpy.save_file(found, path, metadata)
    assert same(read(path)[0], TENSORS)


def test_the_same_content_gives_the_same_bytes(path: Path) -> None:
    write(path, TENSORS, METADATA)
    first = path.read_bytes()
    write(path, dict(TENSORS), dict(reversed(METADATA.items())))
    assert path.read_bytes() == first


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1], lambda a: a.astype(">f4")])
def test_any_layout_is_stored_by_value(layout: Any, path: Path) -> None:
    array = layout(np.arange(6, dtype="float32").reshape(2, 3))
    write(path, {"a": array}, {})
    np.testing.assert_array_equal(read(path)[0]["a"], array)


def test_every_truncation_is_refused(path: Path) -> None:
    write(path, TENSORS, METADATA)
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        with pytest.raises(ModelFileError, match=r"model\.safetensors"):
            read(path)


def test_every_flipped_bit_is_refused(path: Path) -> None:
    write(path, TENSORS, METADATA)
    content = path.read_bytes()
    unseen = []
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(content)):
            byte = content[bit // 8]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)
            try:
                read(path)
                unseen.append(bit)
            except ModelFileError:
                pass
            os.pwrite(file.fileno(), bytes([byte]), bit // 8)
    assert unseen == []
    assert same(read(path)[0], TENSORS)


def test_bytes_at_the_end_are_refused(path: Path) -> None:
    write(path, TENSORS, METADATA)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="header says"):
        read(path)


def test_the_sizes_are_named(path: Path) -> None:
    path.write_bytes((5880).to_bytes(8, "little") + b" " * 1196)
    with pytest.raises(ModelFileError, match=r"file is 1,204 bytes, header says 5,888"):
        read(path)


def test_a_file_of_another_writer_has_no_checksums(path: Path) -> None:
    safetensors.numpy.save_file({"a": np.ones(3)}, path, {"format": "np"})
    with pytest.raises(ModelFileError, match="checksum"):
        read(path)
    safetensors.numpy.save_file({"a": np.ones(3)}, path)
    with pytest.raises(ModelFileError, match="no text metadata"):
        read(path)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "header of 2^63": ((1 << 63).to_bytes(8, "little") + b"{}", "more than 16,777,216"),
    "header of 100 MB": ((100 << 20).to_bytes(8, "little") + b"{}", "more than 16,777,216"),
    "not UTF-8": (assemble(b'{"\xff":1}'), "utf-8"),
    "not JSON": (assemble(b"<html>  "), "Expecting value"),
    "not an object": (assemble([1]), "form"),
    "deep lists": (assemble(b"[" * 100_000), "deeper than 64"),
    "deep objects": (assemble(b'{"a":' * 100_000), "deeper than 64"),
    "deep behind strings": (assemble(b'{"a\\"]]]":"]]]]","b":' + b"[" * 65 + b"]" * 65 + b"}"), "deeper than 64"),
    "duplicate key": (assemble(b'{"a":1,"a":2}   '), "'a' twice"),
    "NaN": (assemble(b'{"a":NaN}       '), "holds NaN"),
    "huge number": (assemble(b'{"a":' + b"9" * 5000 + b"}"), "digits"),
    "pretty JSON": (assemble(b'{ "__metadata__": {} }  '), "form"),
    "number in metadata": (assemble({"__metadata__": {"a": 1}}), "no text metadata"),
    "list as metadata": (assemble({"__metadata__": []}), "no text metadata"),
    "unknown dtype": (assemble(sealed(a=entry("F8", [1], 0, 1)), b"1"), "dtype 'F8'"),
    "list as dtype": (assemble(sealed(a=entry(["F32"], [1], 0, 4)), b"1234"), "dtype"),
    "half precision": (assemble(sealed(a=entry("F16", [1], 0, 2)), b"12"), "dtype 'F16'"),
    "negative size": (assemble(sealed(a=entry("U8", [-1], 0, 1)), b"1"), r"shape \[-1\]"),
    "fractional size": (assemble(sealed(a=entry("U8", [1.0], 0, 1)), b"1"), "shape"),
    "true as size": (assemble(sealed(a=entry("U8", [True], 0, 1)), b"1"), "shape"),
    "text as shape": (assemble(sealed(a=entry("U8", "1", 0, 1)), b"1"), "shape"),
    "rank 33": (assemble(sealed(a=entry("U8", [1] * 33, 0, 1)), b"1"), "shape"),
    "sizes that overflow": (assemble(sealed(a=entry("F32", [2**39, 2**39], 0, 0))), "takes"),
    "huge sizes times zero": (assemble(sealed(a=entry("F32", [0, 2**39, 2**39], 0, 0))), "too|large|big"),
    "three offsets": (assemble(sealed(a=entry("U8", [1], 0, 1, 1)), b"1"), "offsets"),
    "offsets reversed": (assemble(sealed(a=entry("U8", [1], 1, 0)), b"1"), "header says -1"),
    "wrong size": (assemble(sealed(a=entry("F32", [3], 0, 11)), b"1" * 11), "takes 12 bytes, header says 11"),
    "gap": (assemble(sealed(a=entry("U8", [1], 1, 2)), b"12"), "starts at byte 1, expected 0"),
    "overlap": (assemble(sealed(a=entry("U8", [2], 0, 2), b=entry("U8", [2], 1, 3)), b"123"), "starts at byte 1"),
    "beyond the end": (assemble(sealed(a=entry("U8", [9], 0, 9)), b"1"), "header says 9"),
    "missing key": (assemble(sealed(a={"dtype": "U8", "shape": [1]}), b"1"), "not described"),
    "extra key": (assemble(sealed(a={**entry("U8", [1], 0, 1), "x": 1}), b"1"), "not described"),
    "number as entry": (assemble(sealed(a=3)), "not described"),
    "control character": (assemble(sealed(**{"a\nb": entry("U8", [1], 0, 1)}), b"1"), "control characters"),
    "NUL": (assemble(sealed(**{"a\0": entry("U8", [1], 0, 1)}), b"1"), "control characters"),
    "long name": (assemble(sealed(**{"a" * 2_000_000: entry("U8", [1], 0, 1)}), b"1"), "2,000,000 characters"),
    "no name": (assemble(sealed(**{"": entry("U8", [1], 0, 1)}), b"1"), "not empty"),
    "wrong checksum": (assemble(sealed(a=entry("U8", [1], 0, 1)), b"1"), "expected '00000000'"),
    "too many tensors": (assemble(sealed(**{f"{i}": 0 for i in range(100_001)})), "100,001 tensors"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_soon(case: str, path: Path) -> None:
    content, message = HOSTILE[case]
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        read(path)
    assert len(str(caught.value)) < 1000


def test_checksums_of_any_kind_but_text_are_refused(path: Path) -> None:
    for value in ("[]", '{"a": 3}', '{"a": null}', "[" * 5000, '{"a": "", "a": ""}', "NaN", "{}", "nonsense"):
        metadata = {"nacre.checksums": value}
        metadata["nacre.metadata_crc32"] = _metadata_crc32(metadata)
        path.write_bytes(assemble({"__metadata__": metadata, "a": entry("U8", [1], 0, 1)}, b"1"))
        with pytest.raises(ModelFileError):
            read(path)


def test_a_bool_is_zero_or_one(path: Path) -> None:
    checksum = f"{zlib.crc32(b'2', zlib.crc32(b'BOOL [1]')):08x}"
    metadata = {"nacre.checksums": json.dumps({"a": checksum})}
    metadata["nacre.metadata_crc32"] = _metadata_crc32(metadata)
    path.write_bytes(assemble({"__metadata__": metadata, "a": entry("BOOL", [1], 0, 1)}, b"2"))
    with pytest.raises(ModelFileError, match="BOOL"):
        read(path)


@settings(deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_one_family_of_errors(content: bytes, framed: bool) -> None:
    path = Path(os.environ["PYTEST_TMP_MODEL"])
    path.write_bytes(assemble(content) if framed else content)
    with pytest.raises(ModelFileError):
        read(path)


def test_only_ordinary_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ModelFileError, match="not an ordinary file"):
            read(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("tensors", "metadata", "error"),
    [
        ({"a": np.zeros(1, "float16")}, {}, DTypeError),
        ({"a": np.array(["x"])}, {}, DTypeError),
        ({"a\n": np.zeros(1)}, {}, UsageError),
        ({"": np.zeros(1)}, {}, UsageError),
        ({"__metadata__": np.zeros(1)}, {}, UsageError),
        ({"a" * 1025: np.zeros(1)}, {}, UsageError),
        ({"\ud800": np.zeros(1)}, {}, UsageError),
        ({}, {"a": 1}, UsageError),
        ({}, {"a": "\ud800"}, UsageError),
        ({}, {"nacre.checksums": "{}"}, UsageError),
        ({}, {"a": "x" * MAX_HEADER}, UsageError),
    ],
)
def test_what_could_not_be_read_is_not_written(tensors: Any, metadata: Any, error: Any, path: Path) -> None:
    with pytest.raises(error):
        write(path, tensors, metadata)
    assert os.listdir(path.parent) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder"):
        write(tmp_path / "nowhere" / "model", {}, {})


@pytest.mark.parametrize("name", ["fsync", "replace"])
@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    name: str, fault: BaseException, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise fault

    write(path, TENSORS, METADATA)
    before = path.read_bytes()
    monkeypatch.setattr(os, name, fail)
    with pytest.raises(type(fault)):
        write(path, {"new": np.ones(3)}, {})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_the_file_is_durable_before_it_takes_the_name_and_the_name_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (calls.append(name), real(*args)))
    write(path, TENSORS, METADATA)
    assert calls == ["fsync", "replace", "fsync"]


def test_what_killed_writers_left_is_removed_and_living_ones_are_left_alone(path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale = path.with_name(f".{path.name}.{_host()}.{dead.pid}.01234567.tmp")
    others = [
        path.with_name(f".{path.name}.{_host()}.{os.getppid()}.01234567.tmp"),
        path.with_name(f".other.{_host()}.{dead.pid}.01234567.tmp"),
        path.with_name(f".{path.name}.tmp"),
    ]
    for file in (stale, *others):
        file.touch()
    write(path, TENSORS, METADATA)
    assert not stale.exists()
    assert all(file.exists() for file in others)


def test_a_link_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    path.symlink_to(tmp_path / "disk" / "real")
    write(path, TENSORS, METADATA)
    assert path.is_symlink()
    assert same(read(tmp_path / "disk" / "real")[0], TENSORS)
