"""nacre doctor: why a training fails, or will fail, and whether the fix helps."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from nacre.cli.fixes import ASIDE, NO_RUN, fork_of, keep, try_fix
from nacre.cli.moments import check_repeatable, terms
from nacre.cli.networks import network
from nacre.cli.options import JSON, QUIET, check_writable, complete_data, show
from nacre.cli.settings import Settings
from nacre.cli.sources import Source, best_of, open_training, sampled
from nacre.cli.train import opened, settings_for, training_options
from nacre.data.folders import TablePieces
from nacre.doctor import Diagnosis, diagnose, first_training
from nacre.errors import UsageError
from nacre.ops import set_random_seed
from nacre.training.run import SETTINGS, Run


@click.command()
@click.argument("what", shell_complete=complete_data)
@click.option("--fix", is_flag=True, help="Train on as it is and with the first fix, for a while, and compare.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="With --fix. Of a run: a new folder for the run with the fix.  [default: fix-DATE-NNN beside the run]  "
    "Else: a file for the better model of the two.",
)
@training_options
@JSON
@QUIET
def doctor(what: str, fix: bool, out: Path | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Say why WHAT does not learn, or will not: the measured causes, the likeliest first, each with a fix.

    WHAT is the folder of a run, a Python script that calls model.fit (which is run up to there), or data: the network is then the
    one that "nacre train" would make, with the same options. Copies are trained for a short while; a run stays as it is.

    With --fix, a run is forked at the end of the last epoch at which it was well, or at its beginning for a fix that needs fresh
    weights. Both branches go on from there, and the one with the fix is kept as a run of its own. Of a large folder of tables,
    some rows from all over are looked at.

    \b
    Examples:
      nacre train digits --learning-rate 30 --out my-run
      nacre doctor my-run --fix
      nacre doctor digits --model mlp:128,64 --activation sigmoid
      nacre doctor people.csv --target income
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if out is not None and not fix:
        raise UsageError("--out is for what --fix gives.", hint="nacre doctor WHAT --fix --out NAME")
    if Path(what).suffix != ".py" and (best_of(Path(what)) / SETTINGS).is_file():
        document, text = _of_run(what, given, fix, out, quiet)
    else:
        document, text = _of_data(what, given, fix, out, quiet)
    show(as_json, {"what": what, **document}, text)


def _of_data(
    what: str, options: dict[str, Any], fix: bool, out: Path | None, quiet: bool
) -> tuple[dict[str, Any], str]:
    """What is found of a script or of data, for programs and for people."""
    if out is not None:
        check_writable(out)
    if Path(what).suffix == ".py":
        set_random_seed(0)  # the same question gets the same answer, unless the script has a seed of its own
        model, arguments = first_training(what)
        taken = inspect.signature(diagnose).parameters
        diagnosis = diagnose(model, **{name: value for name, value in arguments.items() if name in taken})
    else:
        # The same question gets the same answer, unless a seed is given.
        settings, source = opened(settings_for(what, None, {"seed": 0} | options), quiet)
        source, note = _in_memory(source, settings)
        diagnosis = _examined(settings, source, None, quiet, note)
    document, text = diagnosis.document() | {"fixed": None}, str(diagnosis)
    if not fix:
        return document, text
    if not _curable(diagnosis):
        return document, f"{text}\n\nThere is nothing to fix."
    proof = diagnosis.fix()
    text += f"\n\nThe fix of {proof.finding.name!r} was tried: {proof}"
    document["fixed"] = proof.document()
    if out is not None:
        proof.model.save(out)
        document["fixed"]["model"] = str(out)
        text += f"\n  model      {out}"
    return document, text


def _of_run(what: str, options: dict[str, Any], fix: bool, out: Path | None, quiet: bool) -> tuple[dict[str, Any], str]:
    """The same of a run, of which a fix is tried on a fork."""
    if fix and options:
        hint = "nacre fork makes a run with other settings"
        raise UsageError("--fix goes on from the run as it is: leave out what changes it.", dict(options), hint)
    Run.check(out)
    run = Run.open(best_of(Path(what)))
    noted = run.settings()
    check_repeatable(noted)
    settings = Settings.of(noted).with_(**options)
    source = open_training(settings)
    if fix and not {"validation", "test"} & set(source.parts):  # rows that were trained on say nothing of a fix
        settings = settings.with_(validation_split=ASIDE)
        source = open_training(settings)
    source, note = _in_memory(source, settings)
    diagnosis = _examined(settings, source, run.figures, quiet, note)
    document, text = diagnosis.document() | {"fixed": None}, str(diagnosis)
    if not fix:
        return document, text
    if not _curable(diagnosis):
        return document, f"{text}\n\nThere is nothing to fix."
    fork = fork_of(diagnosis, run, settings, source, bool(diagnosis.case.note), quiet)
    proof = try_fix(diagnosis, fork)
    kept = keep(fork, proof, out, Path(what).parent)
    document["fixed"] = proof.document() | fork.noted(proof)
    document["fixed"] |= {"run": None, "repeats": False} if kept is None else {"run": str(kept.folder)}
    told = kept.folder if kept is not None else NO_RUN
    text += f"\n\nThe fix of {proof.finding.name!r} was tried: {proof}\n  begun      {fork.told(proof)}\n  run        {told}"
    return document, text


def _examined(settings: Settings, source: Source, history: Any, quiet: bool, note: str) -> Diagnosis:
    set_random_seed(settings.seed)
    model = network(settings, source)
    if not quiet:
        print("Examining: short trainings of copies", file=sys.stderr, flush=True)
    found = diagnose(model, **terms(settings, source), history=history)
    return replace(found, case=found.case.with_(note=note or found.case.note))


def _in_memory(source: Source, settings: Settings) -> tuple[Source, str]:
    """Rows to look at, and which they are, where they are not all."""
    if not isinstance(source.train.x, TablePieces):
        return source, ""
    rows = len(source.train)
    source = sampled(source, settings.seed)
    return source, f"These are {len(source.train):,} of {rows:,} rows to train on, from all over."


def _curable(diagnosis: Diagnosis) -> bool:
    return any(finding.fix is not None for finding in diagnosis.alarms)
