"""Pictures: files in a folder for each class, decoded once, by one rule, into a file of bytes that is mapped afterwards."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from nacre.configured import Configured
from nacre.data.columns import as_text
from nacre.data.tables import Table, Text, first_bytes, kind_of
from nacre.errors import DataError, UsageError, find
from nacre.progress import tell

Array = npt.NDArray[Any]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
FITS = ("crop", "pad", "stretch")
COLORS = ("rgb", "grey")
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # no others are opened, whatever a file is called
_MOST_PIXELS = 50_000_000  # of one picture, before it is made smaller
_DEFAULT_SIZE, _LARGEST = 64, 4096
_PARTS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_LOOKED_AT = 50  # rows that tell whether a table names pictures
_VERSION = 1  # of how files are decoded


@dataclass(frozen=True)
class Found:
    """Files of pictures, and the number of the class of each."""

    paths: list[Path]
    labels: Array


class Pictures(Configured):
    """The rule by which files of pictures become arrays (n, height, width, channels) of bytes, and the names of the classes.

    ``fit`` says what becomes of another shape: "crop" cuts the middle out, "pad" puts black around, "stretch" distorts. Pictures
    are turned as their camera says; ``color`` is "rgb" or "grey"; what is transparent becomes white. ``target`` is the column with
    the classes in a table that names pictures.
    """

    def __init__(self, height: int, width: int, color: str, fit: str, classes: Sequence[str], target: str = "") -> None:
        for name, size in (("height", height), ("width", width)):
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= _LARGEST:
                raise UsageError(f"The {name} of pictures is a whole number from 1 to {_LARGEST}, got {size!r}.")
        find("color", color, dict.fromkeys(COLORS))
        find("fit", fit, dict.fromkeys(FITS))
        self.height, self.width, self.color, self.fit, self.classes = height, width, color, fit, list(classes)
        self.target = target

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture."""
        return self.height, self.width, 3 if self.color == "rgb" else 1

    def decoded(self, path: Path | BinaryIO) -> Array:
        """One picture. Raises `DataError` for a file that is none, is damaged, or is too large."""
        from PIL import Image, ImageOps  # noqa: PLC0415 - slow to import, needed only here

        name = path if isinstance(path, Path) else "the picture"
        try:
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise DataError(f"{name} has {image.width:,} x {image.height:,} pixels, which is refused.")
                mode = "RGB" if self.color == "rgb" else "L"
                image.draft(mode, (2 * self.width, 2 * self.height))
                plain = _plain(ImageOps.exif_transpose(image)).convert(mode)
        except DataError:
            raise
        except Exception as error:
            why = f": {error}" if isinstance(path, Path) else ""
            raise DataError(f"Cannot read {name}: {type(error).__name__}{why}.") from error
        size = (self.width, self.height)
        smooth = Image.Resampling.BILINEAR
        if plain.size != size:
            if self.fit == "crop":
                plain = ImageOps.fit(plain, size, smooth)
            elif self.fit == "pad":
                plain = ImageOps.pad(plain, size, smooth)
            else:
                plain = plain.resize(size, smooth)
        return np.asarray(plain, np.uint8).reshape(self.shape)

    def inputs(
        self,
        paths: Sequence[Path],
        skip: bool = False,
        keep: bool = False,
    ) -> tuple[Array, list[int], list[str]]:
        """All pictures (n, height, width, channels), which of the files they are, and what is wrong with the others.

        Decoded by several threads; with ``keep``, into a file in the user's cache, which is mapped, and found the next time unless
        a file has changed. Unless ``skip``, a file that cannot be read is a `DataError` that lists them.
        """
        cache = self._cache(paths) if keep else None
        hint = "--skip-broken leaves them out" if keep else "leave these files out"
        if cache is not None and cache.exists() and cache.with_suffix(".json").exists():
            noted = json.loads(cache.with_suffix(".json").read_text(encoding="utf-8"))
            rows, wrong = list(noted["rows"]), list(noted["wrong"])
            _refuse(wrong, len(paths), skip, hint)
            return np.load(cache, mmap_mode="r"), rows, wrong
        temporary = None if cache is None else cache.with_name(f"{cache.stem}.{os.getpid()}.tmp")
        shape = (len(paths), *self.shape)
        if temporary is None:
            pixels: Array = np.empty(shape, np.uint8)
        else:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        try:
            errors = self._fill(pixels, paths)
            wrong = [str(error).splitlines()[0] for error in errors.values()]
            _refuse(wrong, len(paths), skip, hint)
            rows = [row for row in range(len(paths)) if row not in errors]
            if errors:
                pixels[: len(rows)] = pixels[rows]
            if temporary is None or cache is None:
                return pixels[: len(rows)], rows, wrong
            if errors:  # without the gaps
                packed = np.lib.format.open_memmap(
                    temporary.with_suffix(".less"), "w+", np.uint8, (len(rows), *self.shape)
                )
                packed[:] = pixels[: len(rows)]
                os.replace(temporary.with_suffix(".less"), temporary)
                pixels = packed
            pixels.flush()  # type: ignore[attr-defined]
            os.replace(temporary, cache)
            note = cache.with_suffix(".json")
            own = note.with_name(f"{note.stem}.{os.getpid()}.note")
            own.write_text(json.dumps({"rows": rows, "wrong": wrong}), encoding="utf-8")
            os.replace(own, note)
        finally:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
        return np.load(cache, mmap_mode="r"), rows, wrong

    def _fill(self, pixels: Array, paths: Sequence[Path]) -> dict[int, DataError]:
        errors: dict[int, DataError] = {}

        def one(row: int) -> None:
            try:
                pixels[row] = self.decoded(paths[row])
            except DataError as error:
                errors[row] = error

        with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
            for done, _ in enumerate(pool.map(one, range(len(paths))), 1):
                tell("Decoding", done, len(paths), "pictures")
        return dict(sorted(errors.items()))

    def _cache(self, paths: Sequence[Path]) -> Path:
        from platformdirs import user_cache_dir  # noqa: PLC0415 - slow to import, needed only here

        digest = hashlib.sha256(json.dumps([_VERSION, self.shape, self.color, self.fit]).encode())
        for path in paths:
            try:
                stat = path.stat()
                told = f"{stat.st_size} {stat.st_mtime_ns}"
            except OSError:  # which is told when it is read
                told = "none"
            digest.update(os.fsencode(path.absolute()) + f" {told}\n".encode())
        return (
            Path(os.environ.get("NACRE_HOME") or user_cache_dir("nacre"))
            / "pictures"
            / f"{digest.hexdigest()[:32]}.npy"
        )


def _plain(image: Any) -> Any:
    """A picture whose colors are bytes, with nothing transparent."""
    from PIL import Image  # noqa: PLC0415 - slow to import, needed only here

    if image.mode.startswith("I") or image.mode == "F":  # sixteen bits, or more, for a shade
        shades = np.asarray(image, np.float64)
        most = 65535 if image.mode.startswith("I") else max(float(shades.max(initial=0)), 1e-12)
        plain = Image.fromarray(np.clip(shades / most * 255, 0, 255).astype(np.uint8))
        return plain
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        full = image.convert("RGBA")
        white = Image.new("RGBA", full.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, full).convert("RGB")
    return image


def _refuse(wrong: Sequence[str], count: int, skip: bool, hint: str) -> None:
    if wrong and (not skip or len(wrong) == count):
        listed = {str(number): text for number, text in enumerate(wrong[:5], 1)}
        more = {"more": f"{len(wrong) - 5:,}"} if len(wrong) > 5 else {}
        raise DataError(
            f"{len(wrong):,} of {count:,} {'picture' if count == 1 else 'pictures'} cannot be read.",
            listed | more,
            hint,
        )


# ------------------------------------------------------------------ folders


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def holds_pictures(folder: Path) -> bool:
    """Whether pictures lie somewhere in a folder."""
    return any(is_picture(name) for _, _, names in os.walk(folder) for name in names)


def find_pictures(folder: Path) -> tuple[dict[str, Found], list[str]]:
    """The pictures in a folder with a folder for each class, or in its folders train, validation and test, which have these; and
    the names of the classes.

    Raises `DataError` for a folder that is laid out otherwise, or a class that only a later part has.
    """
    parts = part_folders(folder)
    if "train" not in parts:
        parts = {"train": folder}
    classes = [name for name in _folders(parts["train"]) if holds_pictures(parts["train"] / name)]
    if len(classes) < 2:
        raise DataError(
            f"{folder} has pictures of {len(classes)} classes.",
            {"expected": "a folder for each class, with its pictures in it"},
            f"{folder}/cat/1.jpg, {folder}/dog/2.jpg, ...; or train and test folders with these",
        )
    found: dict[str, Found] = {}
    for part, place in parts.items():
        if strange := [name for name in _folders(place) if name not in classes and holds_pictures(place / name)]:
            raise DataError(f"{place} has the class {strange[0]!r}, which {parts['train']} does not have.")
        paths = [(path, label) for label, name in enumerate(classes) for path in _files(place / name)]
        if not paths:
            raise DataError(f"{place} holds no pictures.")
        found[part] = Found([path for path, _ in paths], np.array([label for _, label in paths], np.int32))
    return found, classes


def part_folders(folder: Path) -> dict[str, Path]:
    """The folders train, validation and test in a folder, under these or other usual names, that have folders with pictures."""
    return {
        part: folder / name
        for part, names in _PARTS.items()
        for name in _folders(folder)
        if name.lower() in names and any(holds_pictures(folder / name / inner) for inner in _folders(folder / name))
    }


def picture_column(path: str | os.PathLike[str]) -> str | None:
    """The column of a .csv or .tsv file that names files of pictures; None for other files, or if there is none."""
    if kind_of(path)[0] not in (".csv", ".tsv") or not Path(path).is_file():
        return None
    if not any(suffix.encode() in first_bytes(path).lower() for suffix in SUFFIXES):
        return None  # found out without what reads tables, which takes a while to load
    table = Table.read(path, rows=_LOOKED_AT)
    for name, column in table.columns.items():
        if isinstance(column, Text) and column.terms and all(map(is_picture, column.terms)):
            return name
    return None


def named_pictures(table: Table, column: str) -> list[Path]:
    """The files that a column names, as seen from the table's own folder. Raises `DataError` for a row without."""
    words, place = as_text(table[column]), Path(table.name).parent
    if (words.codes < 0).any():
        raise DataError(f"Row {int(np.flatnonzero(words.codes < 0)[0]):,} of {table.name} names no picture.")
    files = [place / term for term in words.terms]
    return [files[code] for code in words.codes.tolist()]


def list_pictures(folder: Path) -> list[Path]:
    """All pictures in a folder, in the order of their names."""
    return _files(folder)


def common_form(paths: Sequence[Path]) -> tuple[int, int, str]:
    """Height, width and color that suit these files: their own, if they share it, else squares of 64; grey if all are."""
    from PIL import Image  # noqa: PLC0415 - slow to import, needed only here

    sizes, grey = set(), True
    for path in paths[:: max(1, len(paths) // 200)]:
        try:
            with Image.open(path, formats=_FORMATS) as image:
                sizes.add(image.size)
                grey = grey and image.mode in ("1", "L", "LA", "I", "I;16", "F")
        except Exception:  # noqa: BLE001 - broken files are told when they are read
            continue
    width, height = next(iter(sizes)) if len(sizes) == 1 else (_DEFAULT_SIZE, _DEFAULT_SIZE)
    if width * height > 256 * 256:
        width = height = _DEFAULT_SIZE
    return height, width, "grey" if grey and sizes else "rgb"


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(Path(place, name) for place, _, names in os.walk(folder) for name in names if is_picture(name))
