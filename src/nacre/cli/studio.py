"""nacre studio: see networks learn, in the browser."""

from __future__ import annotations

import json
import sys
import webbrowser
from pathlib import Path

import click

from nacre.cli.options import JSON
from nacre.upstairs import room


@click.command()
@click.argument("folder", default="runs", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    help="The address to listen on; any but this machine's own asks for the token always.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="The port.  [default: the first free one from 8765]")
@click.option("--token", help="What a page must know to change something.  [default: one by chance]")
@click.option("--browser/--no-browser", default=True, help="Open the page, if this is a terminal.")
@JSON
def studio(folder: Path, host: str, port: int | None, token: str | None, browser: bool, as_json: bool) -> None:
    """Open the studio: a page on this machine to build networks and watch them learn, to follow the runs in FOLDER, and to look
    into what was trained.

    Everything is computed here, and nothing is loaded from elsewhere. Ctrl-C ends it.

    \b
    Examples:
      nacre studio
      nacre studio my-runs --port 9000 --no-browser
    """

    def started(url: str) -> None:
        click.echo(json.dumps({"url": url}) if as_json else f"the studio is at {url}\nCtrl-C ends it")
        sys.stdout.flush()
        if browser and not as_json and sys.stdout.isatty():
            webbrowser.open(url)

    room("studio").run(folder, host, port, token, started)
