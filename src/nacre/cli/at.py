"""nacre at: the model as it was at a step of a run."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.moments import check_step, last_step, model_at, steps_of
from nacre.cli.options import JSON, QUIET, check_writable, show, table
from nacre.cli.settings import Settings
from nacre.cli.sources import best_of, open_training
from nacre.training.run import Run


@click.command()
@click.argument("run", type=click.Path(file_okay=False))
@click.argument("step", type=int)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A new model file, safetensors under any suffix.",
)
@JSON
@QUIET
def at(run: str, step: int, out: Path, as_json: bool, quiet: bool) -> None:
    """Write the model that the training in the folder RUN had after STEP steps, to the bit, with the state of its optimizer.

    The training is repeated up to there, from the last checkpoint before it that "nacre train --keep" kept, or from the beginning.
    Step 0 is the model before training.

    \b
    Examples:
      nacre train digits --out my-run
      nacre at my-run 500 --out early.safetensors
      nacre evaluate early.safetensors digits
    """
    check_writable(out, new=True)
    opened = Run.open(best_of(Path(run)))
    check_step(opened, step)
    settings = Settings.of(opened.settings())
    source = open_training(settings)
    model = model_at(opened, step, source, quiet)
    model.save(out)
    steps, last = steps_of(settings, source), last_step(opened)
    epoch, batch = divmod(step - 1, steps) if step else (-1, -1)
    document = {
        "run": str(opened.folder),
        "step": step,
        "last_step": last,
        "epoch": epoch + 1,
        "batch": batch + 1,
        "model": str(out),
    }
    where = f"{epoch + 1}, batch {batch + 1:,} of {steps:,}" if step else "none yet"
    show(as_json, document, table({"step": f"{step:,} of {last:,}", "epoch": where, "model": str(out)}))
