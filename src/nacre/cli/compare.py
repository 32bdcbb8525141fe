"""nacre compare: in what runs differ, and how each of them did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from nacre.cli.options import JSON, show
from nacre.cli.settings import Settings
from nacre.cli.sources import best_of
from nacre.errors import UsageError
from nacre.plain import plain
from nacre.training.run import SETTINGS, Run


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False))
@JSON
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Print in what settings the folders RUNS differ, and the figures of each: at its best epoch by the validation loss, or by the
    loss where there was no validation.

    \b
    Examples:
      nacre train digits --out my-run
      nacre train digits --dropout 0.2 --out other-run
      nacre compare my-run other-run
    """
    if len(runs) < 2:
        raise UsageError("Runs are compared with each other: name at least two.")
    opened = {name: Run.open(best_of(Path(name))) for name in runs}
    found = {name: told(run.folder, run.settings(), run.figures) for name, run in opened.items()}
    settings = [one["settings"] for one in found.values()]
    differing = [key for key in settings[0] if len({str(one[key]) for one in settings}) > 1]
    figures = list(dict.fromkeys(name for one in found.values() for name in one["figures"]))
    rows = [["", *found]]
    rows += [[key, *(str(one["settings"][key]) for one in found.values())] for key in differing]
    rows += [["best epoch", *(str(one["epoch"]) for one in found.values())]]
    rows += [[name, *(_short(one["figures"].get(name)) for one in found.values())] for name in figures]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    plainly = {
        name: {**one, "figures": {key: plain(value) for key, value in one["figures"].items()}}
        for name, one in found.items()
    }
    show(as_json, {"differing": differing, "runs": plainly}, "\n".join(lines))


def told(folder: Path, noted: Mapping[str, Any], history: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The ``settings`` of the run in a folder, its best ``epoch``, and the ``figures`` of that, out of what is ``noted`` in its
    run.toml, and its history. Raises `UsageError` if there is no epoch yet, or settings are none.
    """
    settings = Settings.of(noted)
    watched = history.get("val_loss") or history.get("loss") or []
    if not watched:
        raise UsageError(f"The run in {folder} has no epoch yet.", hint=f"nacre resume {folder}")
    best = best_epoch(watched)
    figures = {name: values[best] for name, values in history.items()}
    try:
        forked = {"forked at step": noted["before"][-1]["until"] if noted.get("before") else ""}
        fix = noted.get("fix", {})
        forked |= {"fix of": ", ".join([fix.get("finding", ""), *fix.get("also", [])])}
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UsageError(f"{folder / SETTINGS} does not say what the run was forked from.") from error
    return {"settings": {"data": settings.data, **settings.options, **forked}, "epoch": best + 1, "figures": figures}


def best_epoch(losses: Sequence[float]) -> int:
    """Where the loss was lowest, counted from 0; NaN is above all.

    >>> best_epoch([2.0, float("nan"), 1.0, 1.0])
    2
    """
    return min(range(len(losses)), key=lambda epoch: (losses[epoch] != losses[epoch], losses[epoch]))


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
