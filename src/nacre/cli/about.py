"""nacre about: versions and the machine, for a report of what went wrong."""

from __future__ import annotations

import platform
import re
from importlib import metadata

import click

from nacre import __version__
from nacre.cli.options import JSON, show, table
from nacre.training import engine


def installed() -> dict[str, str | None]:
    """The versions of what nacre requires, and of what its extras do: None where it is not there."""
    # What only other versions of Python require is left out.
    lines = [line for line in metadata.requires("nacre") or () if "python_version" not in line]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]
    found: dict[str, str | None] = {}
    for name in sorted(set(names), key=str.lower):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


@click.command()
@JSON
def about(as_json: bool) -> None:
    """Print the versions of nacre and of what it uses, and what it found of this machine.

    Nothing in it is private: put it into a report of an error.

    \b
    Examples:
      nacre about
      nacre about --json
    """
    here = {
        "nacre": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **engine(),
    }
    libraries = installed()
    there = {name: version for name, version in libraries.items() if version is not None}
    absent = ", ".join(name for name, version in libraries.items() if version is None)
    lines = {name: str(value) for name, value in here.items()} | there | ({"not installed": absent} if absent else {})
    show(as_json, {**here, "libraries": libraries}, table(lines))
