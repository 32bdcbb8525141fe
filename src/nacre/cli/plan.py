"""nacre plan: what the engine runs for one batch, kernel by kernel."""

from __future__ import annotations

from dataclasses import asdict

import click

from nacre.backends.base import PlannedStep
from nacre.cli.options import JSON, MODEL, show
from nacre.cli.sources import open_model
from nacre.diagrams import rows_like, short
from nacre.training.trainer import REPEATS

_SECONDS = 1.0  # for which steps are timed


@click.command()
@MODEL
@click.option("--batch-size", default=32, type=click.IntRange(min=1), help="Rows of a batch.")
@click.option("--predict", "only_predict", is_flag=True, help="The plan of a prediction, not of a training step.")
@click.option("--time", "timed", is_flag=True, help="Run the steps for a second and show the time of each kernel.")
@JSON
def plan(model: str, batch_size: int, only_predict: bool, timed: bool, as_json: bool) -> None:
    """Print what runs for one batch of MODEL: each kernel with its operations, bytes and, with --time, microseconds.

    MODEL is a model file or the folder of a run. Threads share a step marked = by rows of the batch, one marked | by panels of
    columns, and wait for each other where that changes; one marked ~ they share freely, and one marked * each does for itself.
    The steps are timed on random rows; the file stays as it is.

    \b
    Examples:
      nacre train digits --out my-run
      nacre plan my-run --time
      nacre plan my-run/model.safetensors --predict --batch-size 1 --json
    """
    trained = open_model(model)
    x, y = rows_like(trained, batch_size * 8)
    steps, seconds = trained.plan(x, None if only_predict else y, batch_size, _SECONDS if timed else 0)
    described = [asdict(step) for step in steps]
    for step, time in zip(described, seconds, strict=False):
        step["seconds"] = time
    document = {"model": model, "batch_size": batch_size, "steps": described}
    show(as_json, document, _text(steps, seconds))


def _text(steps: list[PlannedStep], seconds: list[float]) -> str:
    head = ["", "kernel", "result", "flops", "bytes", *(["us", "gflop/s"] if seconds else []), "from"]
    rows = []
    for number, step in enumerate(steps):
        time = seconds[number] if seconds else 0.0
        took = [f"{time * 1e6:.1f}", f"{step.flops / time / 1e9:.1f}" if time and step.flops else ""]
        name = step.results[0] + (f" and {len(step.results) - 1} more" if len(step.results) > 1 else "")
        counts = [short(step.flops), short(step.nbytes)]
        rows.append(
            [f"{number}{step.mark}", step.kernel, name, *counts, *(took if seconds else []), ", ".join(step.operands)]
        )
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    lines = []
    for row in [head, *rows]:
        cells = [
            c.ljust(w) if i in (1, 2) else c.rjust(w) for i, (c, w) in enumerate(zip(row[:-1], widths, strict=True))
        ]
        lines.append("  ".join([*cells, row[-1]]))
    first = next((n for n, step in enumerate(steps) if step.updates), len(steps))
    if first < len(steps):
        lines.insert(first + 1, "     -- the loss is known: backward and update --")
    total = f"{short(sum(s.flops for s in steps))} flops, {short(sum(s.nbytes for s in steps))} bytes a batch"
    spent = sum(seconds)
    rate = sum(s.flops for s in steps) / max(spent, 1e-12) / 1e9
    timed = f", {spent * 1e6:.1f} us, {rate:.1f} gflop/s; times are the least of {REPEATS} repeats" if spent else ""
    return "\n".join([*lines, "", total + timed])
