"""nacre resume: a run that was killed or stopped goes on."""

from __future__ import annotations

import click

from nacre.cli.options import JSON, QUIET, show
from nacre.cli.settings import Settings
from nacre.cli.sources import open_training
from nacre.cli.train import carry_out, describe, document, take_part, together
from nacre.cli.tune import Search, search
from nacre.training.run import Run


@click.command()
@click.argument("run", type=click.Path(file_okay=False))
@JSON
@QUIET
def resume(run: str, as_json: bool, quiet: bool) -> None:
    """Go on with the run in the folder RUN, which was killed or stopped, from its last checkpoint.

    What comes out is what would have come out without the break, to the last bit: model, history and figures. A run that is over
    is not trained any further. A "nacre tune" goes on with the trials that are left.

    \b
    Examples:
      nacre train digits --out my-run
      nacre resume my-run
    """
    opened = Run.open(run)
    noted = opened.settings()
    settings = Settings.of(noted)
    if "tune" in noted:
        search(opened, settings, Search.of(noted["tune"]), as_json, quiet)
        return
    source = open_training(settings)
    if not together(settings).first:
        take_part(settings, source, noted, opened)
        return
    outcome = carry_out(settings, source, lambda: opened, quiet)
    show(as_json, document(settings, outcome), describe(outcome))
