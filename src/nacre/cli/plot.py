"""nacre plot: a picture of a run."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre import plots
from nacre.cli.options import JSON, check_writable, show
from nacre.cli.settings import Settings
from nacre.cli.sources import Part, Source, best_of, in_memory, open_model, open_training
from nacre.errors import UsageError, guest
from nacre.files import write_whole
from nacre.models import Model
from nacre.plots.canvas import several
from nacre.plots.history import figure_names
from nacre.training.run import Run

Array = npt.NDArray[Any]

# What is written into files beside the picture: not the time, so that the same run gives the same bytes.
_FORMATS: Mapping[str, Mapping[str, None]] = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
_ROWS = 256  # of the batch that gradients are taken of
_SHARPNESS = 150  # pixels per inch


@click.command()
@click.argument("run", type=click.Path(file_okay=False))
@click.option("--out", type=click.Path(), help="A .png, .svg or .pdf file.  [default: plot.png in RUN]")
@click.option(
    "--what",
    type=click.Choice(["history", "weights", "confusion", "calibration", "gradient-flow", "loss-along"]),
    help="One plot alone.  [default: history, and confusion where there are classes]",
)
@click.option("--weight", help="Of loss-along, as in dense/kernel[3,7].  [default: that with the steepest slope]")
@JSON
def plot(run: str, out: str | None, what: str | None, weight: str | None, as_json: bool) -> None:
    """Draw how the training in the folder RUN went, and how its model does.

    Confusion and calibration are those of the test part, or where there is none, of the rows that were watched by, or of all.
    Gradients, and the loss by a single weight (loss-along), are those of 256 rows that were trained on.

    \b
    Examples:
      nacre train digits --out my-run
      nacre plot my-run
      nacre plot my-run --what weights --out weights.svg
      nacre plot my-run --what loss-along --out slope.svg
    """
    if weight and what != "loss-along":
        raise UsageError("--weight is of --what loss-along.", hint=f"--what loss-along --weight {weight}")
    opened = Run.open(best_of(Path(run)))
    path = Path(out) if out else Path(run, "plot.png")
    check_writable(path, _FORMATS)
    guest("matplotlib", "nacre plot", "plot").use("Agg")  # which needs no screen
    drawn, axes = _overview(opened) if what is None else ([what], _alone(opened, what, weight))
    _write(path, axes)
    document = {"run": run, "path": str(path), "drawn": drawn}
    show(as_json, document, f"{' and '.join(drawn)} drawn in {path}")


def _overview(run: Run) -> tuple[list[str], Any]:
    """The history, and beside it who is taken for whom, if the training came to its end and there are classes."""
    names = figure_names(run.figures)
    source = open_training(Settings.of(run.settings())) if run.model.exists() else None
    if source is None or not _has_classes(source):
        return ["history"], plots.history(run.figures)
    axes = several(None, [*names, "confusion"])
    plots.history(run.figures, axes[:-1])
    _confusion(run, source, axes[-1])
    return ["history", "confusion"], axes


def _alone(run: Run, what: str, weight: str | None) -> Any:
    if what == "history":
        return plots.history(run.figures)
    model = open_model(str(run.folder))
    if what == "weights":
        return plots.weights(model)
    source = open_training(Settings.of(run.settings()))
    if what in ("gradient-flow", "loss-along"):
        rows = np.sort(np.random.default_rng(0).permutation(len(source.train))[:_ROWS])
        batch = in_memory(source.train).take(rows)
        if what == "gradient-flow":
            return plots.gradient_flow(model, batch.x, batch.y)
        return plots.loss_along(model, weight or _steepest(model, batch), batch.x, batch.y)
    if not _has_classes(source):
        raise UsageError(f"{what} is of classes, and {source.name} has none that are in memory.", hint="--what history")
    if what == "confusion":
        return _confusion(run, source, None)
    judged_on, part = source.judge
    axes = plots.calibration(part.y, model.predict(part.x, verbose=0))
    return _of_part(axes, judged_on)


def _steepest(model: Model, batch: Part) -> str:
    """The number of a weight with the largest gradient."""
    slopes = {name: np.abs(gradient) for name, gradient in model.gradients(batch.x, batch.y).items()}
    name = max(slopes, key=lambda name: slopes[name].max())
    place = np.unravel_index(slopes[name].argmax(), slopes[name].shape)
    return f"{name}[{', '.join(map(str, place))}]"


def _confusion(run: Run, source: Source, ax: Any) -> Any:
    judged_on, part = source.judge
    said = open_model(str(run.folder)).predict(part.x, verbose=0)
    return _of_part(plots.confusion_matrix(part.y, said, source.classes, ax=ax), judged_on)


def _of_part(axes: Any, judged_on: str) -> Any:
    """The axes, with a title that says which rows it tells of."""
    axes.set_title(f"{judged_on}: {axes.get_title(loc='left')}", loc="left", fontsize="medium")
    return axes


def _has_classes(source: Source) -> bool:
    y = source.judge[1].y
    return bool(source.classes) and y is not None and not isinstance(y, Mapping)


def _write(path: Path, axes: Any) -> None:
    """The figure of some axes, in a file."""
    figure = np.ravel(axes)[0].figure
    file, kind = io.BytesIO(), path.suffix.lower()
    with guest("matplotlib", "nacre plot", "plot").rc_context({"svg.hashsalt": "nacre"}):  # names inside the file
        figure.savefig(file, format=kind[1:], dpi=_SHARPNESS, metadata=_FORMATS[kind])
    guest("matplotlib.pyplot", "nacre plot", "plot").close(figure)
    write_whole(path, [file.getvalue()])
