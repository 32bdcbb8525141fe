"""nacre datasets: the data sets that come with nacre."""

from __future__ import annotations

import click

from nacre.cli.options import JSON, show, table
from nacre.data import DATASETS


@click.command()
@JSON
def datasets(as_json: bool) -> None:
    """Print the data sets that can be named wherever DATA is asked for.

    \b
    Examples:
      nacre datasets
    """
    found = {name: one.description for name, one in DATASETS.items()}
    show(as_json, found, table(found))
