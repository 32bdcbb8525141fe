"""nacre demo: a network that learns to read digits, from nothing, in a few seconds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre.cli.options import JSON, QUIET, show
from nacre.cli.pictures import Picture, gallery, style_for
from nacre.cli.settings import Settings
from nacre.cli.sources import Part, open_training
from nacre.cli.train import Outcome, begin, carry_out, describe
from nacre.data import digits
from nacre.plain import plain

Array = npt.NDArray[Any]

SETTINGS = Settings("digits", epochs=15, momentum=0.9, seed=7)
SHOWN = 8


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="A new folder for the run.  [default: runs/demo-DATE-NNN]")
@JSON
@QUIET
def demo(out: Path | None, as_json: bool, quiet: bool) -> None:
    """Train on handwritten digits and show what the network says.

    \b
    Examples:
      nacre demo
      nacre demo --out my-run
    """
    source = open_training(SETTINGS)
    if not quiet:
        click.echo(f"Training on {len(source.train):,} handwritten digits of 8 x 8 pixels.", err=True)
    outcome = carry_out(SETTINGS, source, lambda: begin(SETTINGS, out, "demo"), quiet)
    said = outcome.model.predict(source.last.x, verbose=0).argmax(axis=1)
    figures = {name: plain(value) for name, value in outcome.figures.items()}
    if as_json:
        show(as_json, {"run": str(outcome.run.folder), **figures}, "")
    else:
        click.echo(_story(outcome, source.last, said))  # which has colors


def _story(outcome: Outcome, test: Part, said: Array) -> str:
    style = style_for(sys.stdout, os.environ)
    pictures = gallery(_chosen(test, said), style, shutil.get_terminal_size().columns - 1)
    return "\n\n".join([describe(outcome), pictures, _verdict(test, said), _next(outcome.run.folder)])


def _chosen(test: Part, said: Array) -> list[Picture]:
    """Different digits that it reads right, in the order of the test set, then a mistake if there is one."""
    wrong = np.flatnonzero(said != test.y)[:1]
    right = np.flatnonzero(said == test.y)
    first = np.sort(np.unique(test.y[right], return_index=True)[1])[: SHOWN - len(wrong)]
    return [_picture(test.x[row], int(test.y[row]), int(said[row])) for row in [*right[first], *wrong]]


def _picture(image: Array, true: int, said: int) -> Picture:
    return Picture(image / digits.scale, f"true {true}, said {said}", wrong=true != said)


def _verdict(test: Part, said: Array) -> str:
    wrong = int((said != test.y).sum())
    return f"{len(said) - wrong} of {len(said)} digits that it had never seen are right, {wrong} are wrong."


def _next(folder: Path) -> str:
    nacre = _own_name()
    return "\n".join(
        [
            "Try next:",
            f"  {nacre} summary {folder}",
            f"  {nacre} predict {folder} digits --out predictions.csv",
            f"  {nacre} train digits --model mlp:256,128 --dropout 0.2",
        ]
    )


def _own_name() -> str:
    """How this command is called from here: by its name if the shell finds it, else by its path."""
    here = Path(sys.argv[0])
    found = shutil.which("nacre")
    if here.name != "nacre" or (found is not None and os.path.samefile(found, here)):
        return "nacre"
    return os.path.relpath(here)
