"""nacre fork: from a step of a run, another training goes on with other settings."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from nacre.cli.moments import CHANGEABLE, check_step, phases_until, steps_of
from nacre.cli.options import JSON, QUIET, show
from nacre.cli.sources import best_of
from nacre.cli.train import begin, carry_out, describe, document, opened, training_options
from nacre.errors import UsageError
from nacre.training.run import Run


@click.command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--at", "step", type=int, required=True, help="After how many steps the new run goes its own way.")
@click.option("--out", type=click.Path(path_type=Path), help="A new folder for the run.  [default: runs/fork-DATE-NNN]")
@lambda command: training_options(command, CHANGEABLE)
@JSON
@QUIET
def fork(run: str, step: int, out: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Begin a new run at a step of the training in the folder RUN, with other settings from there on.

    What is not changed stays as it was in RUN, and with nothing changed the same model comes out, to the bit. The new run is one
    like any other: it goes on with "nacre resume" if it is killed, and its run.toml repeats it from the beginning.

    \b
    Examples:
      nacre train digits --out my-run
      nacre fork my-run --at 500 --learning-rate 0.02 --out slower
      nacre compare my-run slower
    """
    parent = Run.open(best_of(Path(run)))
    check_step(parent, step)
    Run.check(out)
    *before, (settings, _) = phases_until(parent.settings(), step)
    changed = {name: value for name, value in options.items() if value is not None}
    settings_now, source = opened(settings.with_(**changed), quiet)
    if step >= settings_now.epochs * steps_of(settings_now, source):
        raise UsageError(
            f"After step {step:,}, nothing is left of {settings_now.epochs} epochs.",
            {"steps of an epoch": steps_of(settings_now, source)},
            "a larger --epochs, or an earlier step",
        )
    earlier = [{"until": until, "options": old.options} for old, until in [*before, (settings, step)]]
    words = [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    said = shlex.join(["nacre", "fork", str(parent.folder), "--at", str(step), *words])
    outcome = carry_out(
        settings_now, source, lambda: begin(settings_now, out, "fork", command=said, before=earlier), quiet
    )
    show(as_json, document(settings_now, outcome), describe(outcome))
