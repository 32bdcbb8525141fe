"""Models in other people's files. A format is a file in this room with a function ``write``, and a line in `FORMATS`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.errors import UsageError, did_you_mean, find
from nacre.exchange.torch import from_torch, state_dict
from nacre.upstairs import room

if TYPE_CHECKING:
    from nacre.exchange.written import Written
    from nacre.models import Model


@dataclass(frozen=True)
class Format:
    """A kind of file: the suffix by which it is known, and what it is."""

    suffix: str
    what: str


FORMATS: dict[str, Format] = {
    "onnx": Format(".onnx", "ONNX, which most programs that run networks read"),
    "c": Format(".c", "one file of C99, for programs and small devices"),
    "html": Format(".html", "one page that predicts without a network"),
    "keras": Format(".keras", "Keras 3"),
    "torch": Format(".pt", "PyTorch"),
}


def export(model: Model, filepath: str | Path, format: str | None = None) -> Written:
    """See `nacre.Model.export`.

    >>> from nacre.models import Sequential
    >>> export(Sequential(), "model.onxn")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    nacre.errors.UsageError: Cannot write model.onxn: nothing is known of files that end in '.onxn'.
      known:  ...
      try:    did you mean '.onnx'?
    """
    path = Path(filepath)
    if format is None:
        format = next((name for name, known in FORMATS.items() if known.suffix == path.suffix.lower()), None)
    if format is None:
        suffixes = [known.suffix for known in FORMATS.values()]
        raise UsageError(
            f"Cannot write {path}: nothing is known of files that end in {path.suffix!r}.",
            {"known": ", ".join(suffixes)},
            did_you_mean(path.suffix, suffixes),
        )
    find("format", format, FORMATS)
    if not path.parent.is_dir():
        raise UsageError(f"Cannot write {path}: there is no folder {path.parent}.")
    written: Written = room(f"exchange.{format}").write(model, path)
    return written


__all__ = ["FORMATS", "Format", "export", "from_torch", "state_dict"]
