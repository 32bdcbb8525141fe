"""Arguments and options that several commands share."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from nacre.data import DATASETS
from nacre.errors import UsageError, did_you_mean
from nacre.plain import printable


def complete_data(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Data sets and files that begin so."""
    names = [CompletionItem(name) for name in DATASETS if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


DATA = click.argument("data", shell_complete=complete_data)
MODEL = click.argument("model", type=click.Path())
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
QUIET = click.option("--quiet", "-q", is_flag=True, help="Show no progress.")


def show(as_json: bool, document: Mapping[str, Any], text: str) -> None:
    """Print the result, for programs or for people."""
    click.echo(json.dumps(document, allow_nan=False) if as_json else printable(text))


def check_writable(out: Path, suffixes: Collection[str] = (), new: bool = False) -> None:
    """Demand that a file can be written, before anything takes long: its suffix is known, its folder is there, and it is not, if it
    has to be new."""
    if suffixes and out.suffix.lower() not in suffixes:
        found = {"known": ", ".join(suffixes)}
        raise UsageError(
            f"Cannot write {out}: unknown format {out.suffix!r}.", found, did_you_mean(out.suffix, suffixes)
        )
    if not out.parent.is_dir():
        raise UsageError(f"Cannot write {out}: there is no folder {out.parent}.")
    if new and out.exists():
        raise UsageError(f"{out} is there already.", hint="name a new file")


def as_csv(columns: Iterable[tuple[str, Iterable[Any]]]) -> bytes:
    """Comma-separated values with a header. Text that a spreadsheet would take for a formula begins with an apostrophe, for names
    may be anybody's; numbers stay as they are, also those that are written as text.

    >>> print(as_csv([("class", ["=1+1", "-1", "no"]), ("loss", [-0.5, 1.0, 2.0])]).decode())
    class,loss
    '=1+1,-0.5
    -1,1.0
    no,2.0
    <BLANKLINE>
    """
    file, given = io.StringIO(), list(columns)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_cell(name) for name, _ in given)
    writer.writerows([_cell(value) for value in row] for row in zip(*(column for _, column in given), strict=True))
    return file.getvalue().encode()


def _cell(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def table(rows: Mapping[str, str]) -> str:
    """Names and values in two columns.

    >>> print(table({"loss": "0.5", "accuracy": "0.9"}))
    loss      0.5
    accuracy  0.9
    """
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
