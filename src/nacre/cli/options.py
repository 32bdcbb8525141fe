"""Arguments and options that several commands share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from nacre.data import DATASETS


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
    click.echo(json.dumps(document, allow_nan=False) if as_json else text)


def plain(number: float) -> float | str:
    """A number as JSON can hold it: NaN and infinity become text.

    >>> plain(0.5), plain(float("nan"))
    (0.5, 'nan')
    """
    return number if math.isfinite(number) else str(number)


def table(rows: Mapping[str, str]) -> str:
    """Names and values in two columns.

    >>> print(table({"loss": "0.5", "accuracy": "0.9"}))
    loss      0.5
    accuracy  0.9
    """
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
