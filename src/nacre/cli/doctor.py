"""nacre doctor: why a training fails, or will fail, and whether the fix helps."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import click

from nacre.cli.moments import terms
from nacre.cli.networks import network
from nacre.cli.options import JSON, QUIET, complete_data, show
from nacre.cli.settings import Settings
from nacre.cli.sources import best_of, open_training
from nacre.cli.train import opened, settings_for, training_options
from nacre.doctor import Diagnosis, diagnose, first_training
from nacre.errors import Limitation
from nacre.ops import set_random_seed
from nacre.training.run import SETTINGS, Run


@click.command()
@click.argument("what", shell_complete=complete_data)
@click.option("--fix", is_flag=True, help="Train once as it is and once with the first fix, and compare.")
@click.option("--out", type=click.Path(path_type=Path), help="With --fix: a file for the better model of the two.")
@training_options
@JSON
@QUIET
def doctor(what: str, fix: bool, out: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Say why WHAT does not learn, or will not: the measured causes, the likeliest first, each with a fix.

    WHAT is the folder of a run, a Python script that calls model.fit (which is run up to there), or data: the network is then the
    one that "nacre train" would make, with the same options. Copies are trained for a short while; a run stays as it is.

    \b
    Examples:
      nacre train digits --learning-rate 30 --out my-run
      nacre doctor my-run --fix
      nacre doctor digits --model mlp:128,64 --activation sigmoid
      nacre doctor people.csv --target income
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    diagnosis = _diagnosis(what, given, quiet)
    proof = diagnosis.fix() if fix and any(f.fix is not None for f in diagnosis.alarms) else None
    document = {"what": what, **diagnosis.document(), "fixed": None if proof is None else proof.document()}
    text = str(diagnosis)
    if proof is not None:
        text += f"\n\nThe fix of {proof.finding.name!r} was tried: {proof}"
        if out is not None:
            proof.model.save(out)
            text += f"\n  model      {out}"
    elif fix:
        text += "\n\nThere is nothing to fix."
    show(as_json, document, text)


def _diagnosis(what: str, options: dict[str, Any], quiet: bool) -> Diagnosis:
    if Path(what).suffix == ".py":
        set_random_seed(0)  # the same question gets the same answer, unless the script has a seed of its own
        model, arguments = first_training(what)
        taken = inspect.signature(diagnose).parameters
        return diagnose(model, **{name: value for name, value in arguments.items() if name in taken})
    history = None
    if (best_of(Path(what)) / SETTINGS).is_file():
        run = Run.open(best_of(Path(what)))
        settings, history = Settings.of(run.settings()).with_(**options), run.figures
        source = open_training(settings)
    else:
        # The same question gets the same answer, unless a seed is given.
        settings, source = opened(settings_for(what, None, {"seed": 0} | options), quiet)
    set_random_seed(settings.seed)
    model = network(settings, source)
    if source.train.y is None:
        raise Limitation("The doctor looks at rows that fit into memory.", hint="name one file of the folder")
    if not quiet:
        print("Examining: short trainings of copies", file=sys.stderr, flush=True)
    return diagnose(model, **terms(settings, source), history=history)
