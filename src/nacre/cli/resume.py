"""nacre resume: a run that was killed or stopped goes on."""

from __future__ import annotations

from typing import Any

import click

from nacre.cli.options import JSON, QUIET, show
from nacre.cli.sources import open_data
from nacre.cli.train import Settings, carry_out, describe, document
from nacre.errors import UsageError
from nacre.training.run import Run


@click.command()
@click.argument("run", type=click.Path(file_okay=False))
@JSON
@QUIET
def resume(run: str, as_json: bool, quiet: bool) -> None:
    """Go on with the run in the folder RUN, which was killed or stopped, from its last checkpoint.

    What comes out is what would have come out without the break, to the last bit: model, history and figures. A run that is over
    is not trained any further.

    \b
    Examples:
      nacre train digits --out my-run
      nacre resume my-run
    """
    opened = Run.open(run)
    settings = _settings(opened)
    outcome = carry_out(settings, open_data(settings.data), lambda: opened, quiet)
    show(as_json, document(settings, outcome), describe(outcome))


def _settings(run: Run) -> Settings:
    found: dict[str, Any] = run.settings()
    try:
        options = dict(found["options"])
        return Settings(found["data"], hidden=tuple(options.pop("hidden")), **options)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"The run in {run.folder} was not written by nacre train.",
            {"reason": f"{type(error).__name__}: {error}"},
            "nacre train begins a new run",
        ) from error
