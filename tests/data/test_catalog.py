"""The data sets that come with nacre. Nothing here needs the network: the mirror is a server on this computer."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import datasets
from nacre.data import DATASETS, catalog, digits, mnist
from nacre.errors import DataError

Array = npt.NDArray[Any]

FIRST_TEST_DIGITS = [4, 1, 4, 6, 6, 8, 6, 8, 0, 1]
SPLIT_OF_DIGITS = "facc58847a25673f2885488364f561b329970fa1f3418372b9b5bdf1806e4747"


def idx(array: Array) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def small_mnist() -> dict[str, bytes]:
    """Four idx files of MNIST's kind, with few rows."""
    images, labels = np.arange(3 * 28 * 28, dtype="uint8").reshape(3, 28, 28), np.array([0, 9, 4], "uint8")
    arrays = (images, labels, images[:2], labels[:2])
    return {part.file: idx(array) for part, array in zip(catalog._MNIST, arrays, strict=True)}


@pytest.fixture
def content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Let a smaller MNIST be the right one; homes are empty and the network is out of reach."""
    files = small_mnist()
    parts = [
        catalog._Part(
            file, tuple(struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]])), hashlib.sha256(raw).hexdigest()
        )
        for file, raw in files.items()
    ]
    monkeypatch.setattr(catalog, "_MNIST", tuple(parts))
    monkeypatch.setattr(catalog, "MIRROR", "http://127.0.0.1:9/")
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("NACRE_DATA", raising=False)
    monkeypatch.delenv("NACRE_OFFLINE", raising=False)
    return files


@pytest.fixture
def mirror(content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A server on loopback, and what it serves: a dict that a test may spoil."""
    served = {f"/{file}.gz": gzip.compress(raw) for file, raw in content.items()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = served.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(catalog, "MIRROR", f"http://127.0.0.1:{server.server_port}/")
        yield served
        server.shutdown()
        thread.join()


def put(folder: Path, files: dict[str, bytes], suffix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, raw in files.items():
        (folder / f"{file}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)


def test_digits_are_split_for_good() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert (x_train.shape, y_train.shape) == ((1437, 8, 8), (1437,))
    assert (x_test.shape, y_test.shape) == ((360, 8, 8), (360,))
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert max(x_train.max(), x_test.max()) == digits.scale
    assert y_test[:10].tolist() == FIRST_TEST_DIGITS
    everything = b"".join(a.tobytes() for a in (x_train, y_train, x_test, y_test))
    assert hashlib.sha256(everything).hexdigest() == SPLIT_OF_DIGITS


def test_every_class_of_digits_is_tested_in_proportion() -> None:
    (_, y_train), (_, y_test) = digits()
    counts, tested = np.bincount(np.concatenate([y_train, y_test])), np.bincount(y_test)
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (abs(tested - counts * 360 / 1797) < 1).all()
    assert tested.sum() == 360


def test_training_digits_are_not_sorted_by_class() -> None:
    (_, y_train), _ = digits()
    assert set(y_train[:100]) == set(range(10))
    assert 0.05 < (y_train[1:] == y_train[:-1]).mean() < 0.15


@pytest.mark.parametrize(("counts", "size"), [([1, 1, 1], 2), ([5, 3, 2], 5), ([7, 0, 1], 8), ([178, 182], 72)])
def test_shares_sum_to_the_size_and_are_within_one_of_proportion(counts: list[int], size: int) -> None:
    shares = catalog._shares(counts, size)
    assert sum(shares) == size
    assert all(
        abs(share - count * size / sum(counts)) < 1 and share <= count
        for share, count in zip(shares, counts, strict=True)
    )


def test_the_catalogue_lists_what_the_shop_window_shows() -> None:
    assert {"digits": datasets.digits, "mnist": datasets.mnist} == DATASETS
    assert [(d.scale, d.classes) for d in DATASETS.values()] == [(16, 10), (255, 10)]
    assert all(d.description for d in DATASETS.values())


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_read_from_the_folder_of_the_user(
    suffix: str, content: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "shelf" / "mnist", content, suffix)
    monkeypatch.setenv("NACRE_DATA", str(tmp_path / "shelf"))
    (x_train, y_train), (x_test, _) = mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((3, 28, 28), (2, 28, 28))
    assert y_train.tolist() == [0, 9, 4]
    assert not (tmp_path / "home").exists()


def test_a_look_alike_of_mnist_is_welcome(
    content: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content["train-labels-idx1-ubyte"] = idx(np.array([1, 2, 3], "uint8"))
    put(tmp_path / "mnist", content)
    monkeypatch.setenv("NACRE_DATA", str(tmp_path))
    assert mnist()[0][1].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 28, 27), "uint8"), r"uint8 \(3, 28, 27\), expected uint8 \(3,\)"),
        (np.array([0, 10, 1], "uint8"), "the label 10"),
    ],
)
def test_a_local_file_of_another_structure_is_refused(
    array: Array, message: str, content: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content["train-labels-idx1-ubyte"] = idx(array)
    put(tmp_path / "mnist", content)
    monkeypatch.setenv("NACRE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=message):
        mnist()


def test_mnist_is_downloaded_once_and_kept(
    mirror: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mnist()
    monkeypatch.setattr(catalog, "MIRROR", "http://127.0.0.1:9/")
    np.testing.assert_array_equal(mnist()[0][0], first[0][0])
    kept = sorted(path.name for path in (tmp_path / "home" / "mnist").iterdir())
    assert kept == sorted(name[1:] for name in mirror)


def test_only_missing_files_are_downloaded(mirror: dict[str, bytes], content: dict[str, bytes], tmp_path: Path) -> None:
    file = "train-images-idx3-ubyte"
    put(tmp_path / "home" / "mnist", {file: content[file]})
    del mirror[f"/{file}.gz"]
    assert len(mnist()[0][0]) == 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda body: gzip.compress(gzip.decompress(body)[:-1] + b"\xff"), "wrong checksum"),
        (lambda body: gzip.compress(gzip.decompress(body) + bytes(10_000_000)), "wrong checksum"),
        (lambda body: body[:-1], "wrong checksum"),
        (lambda body: body + b"tail", "wrong checksum"),
        (lambda body: body[:20], "wrong checksum"),
        (lambda body: b"<html>please log in</html>", "arrived damaged"),
        (lambda body: b"", "wrong checksum"),
        (lambda body: None, "404"),
    ],
)
def test_a_download_that_is_not_right_is_not_kept(
    spoil: Any, message: str, mirror: dict[str, bytes], tmp_path: Path
) -> None:
    file = "/t10k-labels-idx1-ubyte.gz"
    mirror[file] = spoil(mirror[file])
    with pytest.raises(DataError, match=message) as caught:
        mnist()
    assert str(tmp_path / "home" / "mnist") in str(caught.value)
    assert not any("labels-idx1" in p.name and "t10k" in p.name for p in (tmp_path / "home" / "mnist").iterdir())


def test_a_computer_without_network_is_told_which_files_to_put_where(content: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        mnist()
    assert all(f"{file}.gz" in str(caught.value) for file in content)
    assert f"put these four files in {tmp_path / 'home' / 'mnist'}" in str(caught.value)


def test_offline_means_that_no_server_is_asked(
    mirror: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACRE_OFFLINE", "1")
    with pytest.raises(DataError, match="NACRE_OFFLINE is set"):
        mnist()
    assert not (tmp_path / "home").exists()


def test_a_full_disk_leaves_no_half_file(
    mirror: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="No space left"):
        mnist()
    assert list((tmp_path / "home" / "mnist").iterdir()) == []
