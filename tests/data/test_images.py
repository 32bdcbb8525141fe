"""Pictures from files of all sorts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nacre.data.images import Pictures, common_form, find_pictures
from nacre.errors import DataError, UsageError

RNG = np.random.default_rng(0)
RULE = Pictures(8, 8, "rgb", "crop", ["a", "b"])


def written(path: Path, pixels: Any, mode: str | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path, **options)
    return path


RED = np.broadcast_to(np.array([255, 0, 0], np.uint8), (8, 8, 3))


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", None, {}),
        ("a.bmp", None, {}),
        ("a.gif", None, {}),
        ("a.webp", None, {"lossless": True}),
        ("a.jpg", None, {"quality": 100, "subsampling": 0}),
        ("cmyk.jpg", "CMYK", {"quality": 100}),
        ("clear.png", "RGBA", {}),
        ("palette.png", "P", {}),
    ],
)
def test_a_red_picture_is_red_in_every_format(name: str, mode: str | None, options: Any, tmp_path: Path) -> None:
    found = RULE.decoded(written(tmp_path / name, RED, mode, **options))
    assert found.shape == (8, 8, 3)
    assert np.abs(found.astype(int) - RED).max() <= 4


def test_sixteen_bits_grey_transparent_and_turned_pictures(tmp_path: Path) -> None:
    shades = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    grey = Pictures(8, 8, "grey", "crop", ["a", "b"]).decoded(written(tmp_path / "deep.png", shades))
    np.testing.assert_allclose(grey[:, :, 0], shades / 257, atol=1)
    clear = np.zeros((8, 8, 4), np.uint8)
    assert RULE.decoded(written(tmp_path / "clear.png", clear)).min() == 255
    half = np.zeros((8, 8, 3), np.uint8)
    half[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    turned = RULE.decoded(written(tmp_path / "turned.png", half, exif=exif))
    assert turned[:, 4:].min() == 255
    assert turned[:, :4].max() == 0


def test_other_shapes_are_cut_padded_or_stretched(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 8:16] = 200
    path = written(tmp_path / "wide.png", wide)
    assert RULE.decoded(path).min() == 200
    padded = Pictures(8, 8, "rgb", "pad", ["a", "b"]).decoded(path)
    assert padded[0].max() == 0
    assert padded[4].max() >= 150
    stretched = Pictures(8, 8, "rgb", "stretch", ["a", "b"]).decoded(path)
    assert stretched[:, 0].max() == 0
    assert stretched[:, 4].min() >= 150


def test_folders_are_classes_and_parts(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        for label, shade in (("cat", 10), ("dog", 250)):
            for n in range(count):
                written(tmp_path / part / label / f"{n}.png", np.full((6, 6), shade, np.uint8))
    found, classes = find_pictures(tmp_path)
    assert classes == ["cat", "dog"]
    assert {part: files.labels.tolist() for part, files in found.items()} == {
        "train": [0, 0, 0, 1, 1, 1],
        "validation": [0, 0, 1, 1],
        "test": [0, 1],
    }
    assert common_form(found["train"].paths) == (6, 6, "grey")
    written(tmp_path / "test" / "bird" / "1.png", np.zeros((6, 6), np.uint8))
    with pytest.raises(DataError, match="the class 'bird'"):
        find_pictures(tmp_path)
    with pytest.raises(DataError, match="pictures of 0 classes"):
        find_pictures(tmp_path / "train" / "cat")


def test_pictures_are_decoded_once_and_again_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    paths = [written(tmp_path / f"{n}.png", RNG.integers(0, 255, (8, 8, 3), np.uint8)) for n in range(5)]
    first, rows, wrong = RULE.inputs(paths, keep=True)
    assert isinstance(first, np.memmap)
    assert (rows, wrong) == ([0, 1, 2, 3, 4], [])
    monkeypatch.setattr(Pictures, "decoded", None)
    np.testing.assert_array_equal(RULE.inputs(paths, keep=True)[0], first)
    monkeypatch.undo()
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    before = np.array(first)
    written(paths[2], np.zeros((9, 9, 3), np.uint8))
    again = RULE.inputs(paths, keep=True)[0]
    assert again[2].max() == 0
    np.testing.assert_array_equal(again[[0, 1, 3, 4]], before[[0, 1, 3, 4]])


@pytest.mark.parametrize("keep", [False, True])
def test_broken_files_are_listed_and_left_out_when_asked(
    keep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    paths = [written(tmp_path / f"{n}.png", np.full((8, 8, 3), n, np.uint8)) for n in range(4)]
    paths[1].write_bytes(paths[1].read_bytes()[:40])
    paths[3].write_bytes(b"MZ")
    for _ in range(2):
        with pytest.raises(DataError, match=r"2 of 4 pictures[\s\S]*1\.png[\s\S]*3\.png[\s\S]*leave|skip"):
            RULE.inputs(paths, keep=keep)
    for _ in range(2):
        x, rows, wrong = RULE.inputs(paths, skip=True, keep=keep)
        assert (rows, len(wrong)) == ([0, 2], 2)
        assert x[:, 0, 0, 0].tolist() == [0, 2]
    with pytest.raises(DataError, match="2 of 2"):
        RULE.inputs([paths[1], paths[3]], skip=True)


def test_pictures_that_are_too_large_or_no_pictures_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.data.images._MOST_PIXELS", 100)
    with pytest.raises(DataError, match="20 x 20 pixels"):
        RULE.decoded(written(tmp_path / "large.png", np.zeros((20, 20), np.uint8)))
    Image.new("L", (8, 8)).save(tmp_path / "other.png", format="TIFF")  # called like one that is opened
    with pytest.raises(DataError, match="Cannot read"):
        RULE.decoded(tmp_path / "other.png")
    with pytest.raises(UsageError, match="height of pictures"):
        Pictures(0, 8, "rgb", "crop", ["a", "b"])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_mangled_picture_is_a_picture_or_a_clear_error(tmp_path_factory: Any, data: Any) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    suffix = data.draw(st.sampled_from([".png", ".jpg", ".gif", ".bmp", ".webp"]))
    pixels = np.random.default_rng(5).integers(0, 255, (9, 9, 3), np.uint8)
    path = written(folder / f"x{suffix}", pixels)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert RULE.decoded(path).shape == (8, 8, 3)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017 - either of the two
