"""nacre graph: what runs forward and backward, drawn."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.options import JSON, MODEL, check_writable, complete_data, show
from nacre.cli.sources import in_memory, open_data, open_model, tell_notes
from nacre.diagrams import FORMS
from nacre.errors import UsageError

_SECONDS = 1.0  # for which kernels are timed


@click.command()
@MODEL
@click.argument("data", required=False, shell_complete=complete_data)
@click.option("--out", type=click.Path(path_type=Path), help="Write an .svg, .html or .txt file instead.")
@click.option("--layers/--operations", default=True, help="A node for each layer, or for every operation.")
@click.option("--plan", "planned", is_flag=True, help="A node for each kernel that the engine runs.")
@click.option(
    "--time", "timed", is_flag=True, help="With --plan: run the kernels for a second, and show the time of each."
)
@click.option("--predict", "only_predict", is_flag=True, help="The graph of a prediction, not of a training step.")
@click.option("--batch-size", default=32, type=click.IntRange(min=1), help="Rows of a batch.")
@JSON
def graph(
    model: str,
    data: str | None,
    out: Path | None,
    layers: bool,
    planned: bool,
    timed: bool,
    only_predict: bool,
    batch_size: int,
    as_json: bool,
) -> None:
    """Draw what one training step of MODEL runs: the forward graph, the loss, the backward graph and the update.

    MODEL is a model file or the folder of a run. With DATA, each node shows the least, the mean and the largest number that it
    gives for the first rows of the test part. Each node of the backward graph is linked to the forward node that it belongs to; in
    an .html file, to point at a node shows this.

    \b
    Examples:
      nacre train digits --out my-run
      nacre graph my-run digits
      nacre graph my-run digits --out my-run.html
      nacre graph my-run --plan --time
    """
    if planned and not layers:
        raise UsageError(
            "A plan has a node for each kernel, and no operations.", hint="leave out --operations or --plan"
        )
    if out is not None:
        check_writable(out, FORMS)
    trained = open_model(model)
    x, y = None, None
    if data is not None:
        source = open_data(data, trained, judged=not only_predict)
        tell_notes(source.notes)
        part = in_memory(source.last)
        x, y = part.x, part.y
    kind = "layers" if layers else "operations"
    drawn = trained.graph(x, y, kind, planned, batch_size, _SECONDS if timed else 0, only_predict)
    document = {"model": model, **({"data": data} if data is not None else {}), **drawn.document()}
    if out is not None:
        drawn.save(out)
        show(as_json, {**document, "out": str(out)}, f"{drawn.title}, in {out}")
        return
    show(as_json, document, str(drawn))
