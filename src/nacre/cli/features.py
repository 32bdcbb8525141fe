"""nacre features: what the units of a model look for, and what excites them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre.cli.held import ALL_ROWS, held_out, trained_on
from nacre.cli.options import JSON, MODEL, QUIET, check_writable, complete_data, show
from nacre.cli.pixels import page, plainly, png, signed, strip
from nacre.cli.sources import Part, Source, in_memory, open_model, tell_notes
from nacre.cli.waiting import waiting
from nacre.errors import Limitation
from nacre.files import write_whole
from nacre.insight import Exciting, Selectivity, first_layer, gradient_times_input, maximize
from nacre.insight.pictures import sees_pictures
from nacre.insight.units import activations, most_exciting, told_apart
from nacre.models import Model

Array = npt.NDArray[Any]

_TOP = 9  # rows that are shown of each unit
_UNITS = 24  # of a layer that are shown with what excites them
_WEIGHTS = 256  # units of the first layer whose weights are shown


@click.command()
@MODEL
@click.argument("data", required=False, shell_complete=complete_data)
@click.option("--out", type=click.Path(path_type=Path), help="Write a page with pictures, an .html file, too.")
@ALL_ROWS
@JSON
@QUIET
def features(model: str, data: str | None, out: Path | None, all_rows: bool, as_json: bool, quiet: bool) -> None:
    """Print what the units of MODEL tell apart, layer by layer, and which rows of DATA excite them most.

    MODEL is a model file or the folder of a run; left out, DATA is what the run was trained on, of which the rows are looked at
    that it was not trained on. Of other data it is the test part, if there is one. Selectivity is 1 for a unit that answers to one
    class alone, and 0 for one that answers to all alike; units that are dead, or that do the same as others, are named.

    The page also shows the weights of the first layer, the inputs that excite each unit most, found by gradient ascent, and what
    speaks for each class, where inputs are pictures.

    \b
    Examples:
      nacre train digits --out my-run
      nacre features my-run
      nacre features my-run digits --out features.html
    """
    if out is not None:
        check_writable(out, (".html",))
    trained = open_model(model)
    data = trained_on(model) if data is None else data
    looked = held_out(model, trained, data, all_rows)
    source, part = looked.source, in_memory(looked.rows)
    tell_notes(looked.notes)
    with waiting("Looking at what units answer to", quiet):
        answers = activations(trained, part.x)
    if not answers:
        raise Limitation(f"{model} has no dense layer, and so no units to look at.")
    labels, names = _labels(trained, source, part)
    told: dict[str, tuple[Exciting, Selectivity | None]] = {
        name: (most_exciting(name, a, _TOP), None if labels is None else told_apart(name, a, labels, names))
        for name, a in answers.items()
    }
    document: dict[str, Any] = {"model": model, "data": data, "part": looked.part, "rows": len(part)}
    document["looked_at"] = looked.told
    document["layers"] = [excited.document() | (apart.document() if apart else {}) for excited, apart in told.values()]
    text = "\n\n".join(str(apart or excited) for excited, apart in told.values())
    if out is not None:
        with waiting("Drawing what units look for", quiet):
            content = _content(trained, part, told, labels, names, document)
        write_whole(out, [page("features.html.jinja", content)])
        document["out"] = str(out)
        text += f"\n\npictures in {out}"
    show(as_json, document, text)


def _labels(model: Model, source: Source, part: Part) -> tuple[Array | None, Sequence[str] | None]:
    """The class of each row, if that is what is predicted, and names of classes, if they have some."""
    judged = model.judged_outputs()
    if len(judged) != 1 or judged[0][0] != "labels" or part.y is None:
        return None, None
    labels = np.asarray(part.y).reshape(-1)
    several = len(labels) == len(part) and labels.dtype.kind in "iu" and len(np.unique(labels)) > 1
    return (labels, class_names(model, source)) if several else (None, None)


def class_names(model: Model, source: Source) -> Sequence[str] | None:
    """The names of the classes that the model tells apart, if they have some."""
    return model.features.classes if model.features is not None else list(source.classes) or None


# ------------------------------------------------------------------ the page


def _content(
    model: Model,
    part: Part,
    told: dict[str, tuple[Exciting, Selectivity | None]],
    labels: Array | None,
    names: Sequence[str] | None,
    document: dict[str, Any],
) -> dict[str, Any]:
    pictured = sees_pictures(model)
    return {
        "title": f"Features of {document['model']}",
        "looked_at": document["looked_at"],
        "top": min(_TOP, len(part)),
        "weights": _weights(model) if pictured else None,
        "layers": [_layer(model, part.x, *found, pictured) for found in told.values()],
        "votes": _votes(model, part.x, labels, names) if pictured and labels is not None else [],
    }


def _weights(model: Model) -> dict[str, Any] | None:
    try:
        found = first_layer(model)
    except Limitation:  # another layer lies in front: there is nothing to show
        return None
    shown = found.pictures[:_WEIGHTS]
    pictures = [png(signed(unit, float(np.abs(unit).max()))) for unit in shown]
    return {"layer": found.name, "pictures": pictures, "more": len(found.pictures) - len(shown)}


def _layer(model: Model, x: Any, excited: Exciting, apart: Selectivity | None, pictured: bool) -> dict[str, Any]:
    count = len(excited.rows)
    order = np.arange(count) if apart is None else np.argsort(-apart.index, kind="stable")
    chosen = order if apart is None else order[~np.isin(order, apart.dead)]
    chosen = np.sort(chosen[:_UNITS]) if count <= _UNITS else chosen[:_UNITS]
    units = [
        {
            "number": int(u),
            "prefers": "" if apart is None else apart.classes[apart.preferred[u]],
            "index": "" if apart is None else f"{apart.index[u]:.2f}",
            "rows": ", ".join(f"{row:,}" for row in excited.rows[u].tolist()),
        }
        for u in chosen.tolist()
    ]
    drawn = pictured and " (" not in excited.layer and len(chosen) > 0
    if drawn:
        low, high = float(np.min(x)), float(np.max(x))
        best = maximize(model, excited.layer, chosen.tolist(), x).inputs
        for unit, number, image in zip(units, chosen.tolist(), best, strict=True):
            unit["maximized"] = png(plainly(image, low, high))
            unit["rows"] = png(strip([plainly(x[row], low, high) for row in excited.rows[number].tolist()]))
    return {
        "name": excited.layer,
        "count": count,
        "told": _told(apart),
        "heat": "" if apart is None else _heat(apart),
        "classes": [] if apart is None else apart.classes,
        "units": units,
        "drawn": drawn,
    }


def _told(apart: Selectivity | None) -> str:
    if apart is None:
        return ""
    dead = f"{len(apart.dead)} are dead ({_listed(apart.dead.tolist())})" if len(apart.dead) else "none is dead"
    pairs = [f"{a} and {b}" for a, b in apart.duplicates]
    same = f"{len(pairs)} pairs do the same ({_listed(pairs)})" if pairs else "no two do the same"
    return f"Selectivity is {apart.index.mean():.2f} on average; {dead}, {same}."


def _listed(things: Sequence[Any]) -> str:
    return ", ".join(map(str, things[:12])) + (", ..." if len(things) > 12 else "")


def _heat(apart: Selectivity) -> str:
    """Mean activations, classes down, units across by the class they prefer, each unit by its largest; dead ones come last."""
    order = np.lexsort((-apart.index, apart.preferred, np.isin(np.arange(len(apart.index)), apart.dead)))
    means = apart.means[order] / np.maximum(apart.means[order].max(1, keepdims=True), 1e-12)
    return png(signed(means.T, 1.0))


def _votes(model: Model, x: Any, labels: Array, names: Sequence[str] | None) -> list[dict[str, str]]:
    """For the first row of each class, the picture, and what each place adds to the score."""
    numbers, rows = np.unique(labels, return_index=True)
    some, low, high = np.asarray(x)[rows], float(np.min(x)), float(np.max(x))
    found = gradient_times_input(model, some, numbers)
    values = found.values.sum(3, keepdims=True) if found.values.ndim == 4 else found.values
    return [
        {
            "name": str(number) if names is None else names[number],
            "score": f"{score:.3g}",
            "picture": png(plainly(image, low, high)),
            "added": png(signed(value, float(np.abs(value).max()))),
        }
        for number, score, image, value in zip(numbers.tolist(), found.scores, some, values, strict=True)
    ]
