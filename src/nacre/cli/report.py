"""report.html: one page that tells what was trained, on what, how well, and where it fails. It needs nothing but itself."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre import __version__
from nacre.cli.charts import bars, curves, reliability
from nacre.cli.pixels import page, png
from nacre.cli.settings import Settings
from nacre.cli.shares import shares
from nacre.cli.sources import Part, Source
from nacre.data import Features, Pictures, Table
from nacre.data.tables import Numbers, Values
from nacre.files import write_whole
from nacre.metrics.accuracy import told_of_few
from nacre.models import Model

if TYPE_CHECKING:
    from nacre.cli.train import Outcome

Array = npt.NDArray[Any]

_ASKED = 2000  # rows that columns are shuffled in, to see what they matter
_SHOWN = 12  # mistakes
_BINS = 10
_MOST_CLASSES = 30  # whose confusions are shown
_MOST_COLUMNS = 8  # of a mistake
_DRAWN, _CELLS = 12, 8  # mistakes that are drawn, and squares that are covered along each side


def write_report(outcome: Outcome, settings: Settings) -> None:
    """The report of a run, in its folder."""
    write_whole(outcome.run.report, [page("report.html.jinja", _content(outcome, settings))])


def _content(outcome: Outcome, settings: Settings) -> dict[str, Any]:
    """All that the page shows."""
    source, model = outcome.source, outcome.model
    judged_on, judge = source.judge
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    history = outcome.run.figures
    return {
        "title": Path(source.name).name,
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
        "judged_on": judged_on,
        "figures": {name: _short(value) for name, value in outcome.figures.items()},
        "few": {name: told_of_few(outcome.figures[name], len(judge)) for name in shares(model)},
        "parts": {name: f"{len(part):,}" for name, part in source.parts.items()},
        "notes": list(source.notes),
        "columns": _columns(source),
        "summary": "\n".join(lines),
        "curves": _curves(history, best=_best(history, settings)),
        "epochs": f"{len(next(iter(history.values()), [])):,}",
        **_verdict(model, source, judge),
        "importance": _importance(model, source, judge),
        "command": outcome.run.settings().get("command", settings.command),
        "config": f"nacre train --config {outcome.run.folder}/run.toml",
        "facts": _facts(outcome),
    }


def _verdict(model: Model, source: Source, judge: Part) -> dict[str, Any]:
    """How the outputs compare with the truth, for a model with one output."""
    nothing: dict[str, Any] = {
        "confusion": None,
        "per_class": [],
        "calibration": "",
        "error": "",
        "mistakes": [],
        "mistake_columns": [],
        "pictures": [],
    }
    if isinstance(judge.y, Mapping) or judge.y is None:
        return nothing
    outputs, truth = np.asarray(model.predict(judge.x, verbose=0)), np.asarray(judge.y).reshape(len(judge), -1)
    if source.classes:
        return nothing | _of_classes(model, outputs, truth[:, 0].astype(np.int64), source, judge)
    if outputs.shape[-1] == 1 and truth.shape[-1] == 1:
        return nothing | _of_numbers(outputs[:, 0], truth[:, 0], judge)
    return nothing


def _of_classes(model: Model, outputs: Array, truth: Array, source: Source, judge: Part) -> dict[str, Any]:
    classes = list(source.classes)
    said, sure = outputs.argmax(1), outputs.max(1)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (truth, said), 1)
    right, true, claimed = np.diag(counts), counts.sum(1), counts.sum(0)
    rows = []
    for k, name in enumerate(classes):
        precision, recall = right[k] / max(claimed[k], 1), right[k] / max(true[k], 1)
        f1 = 2 * precision * recall / max(precision + recall, 1e-12)
        rows.append([name, f"{precision:.3f}", f"{recall:.3f}", f"{f1:.3f}", f"{true[k]:,}"])
    wrong = np.flatnonzero(said != truth)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:_SHOWN]
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    points = [
        (float(sure[mine].mean()), float((said == truth)[mine].mean()), int(mine.sum()))
        for mine in (bins == b for b in range(_BINS))
        if mine.any()
    ]
    error = sum(rows_ * abs(p - share) for p, share, rows_ in points) / max(len(truth), 1)
    shown = len(classes) <= _MOST_CLASSES
    most = max(int(counts.max()), 1)
    cells = [
        [(f"{n:,}", f"{n / most:.2f}", r == c) for c, n in enumerate(row)] for r, row in enumerate(counts.tolist())
    ]
    heads, told = told_of(judge, worst)
    drawn = _drawn(model, source, judge, worst, said) if isinstance(source.features, Pictures) else []
    return {
        "pictures": [
            {
                "image": image,
                "heat": heat,
                "true": classes[truth[row]],
                "said": classes[said[row]],
                "sure": f"{sure[row]:.3f}",
            }
            for row, (image, heat) in zip(worst.tolist(), drawn, strict=False)
        ],
        "confusion": {"classes": classes, "rows": list(zip(classes, cells, strict=True))} if shown else None,
        "per_class": rows,
        "calibration": reliability(points, "how often what was said came true"),
        "error": f"{error:.3f}",
        "mistake_columns": ["true", "said", "sure", *heads],
        "mistakes": [
            [classes[truth[row]], classes[said[row]], f"{sure[row]:.3f}", *more]
            for row, more in zip(worst.tolist(), told, strict=True)
        ],
    }


def _of_numbers(said: Array, truth: Array, judge: Part) -> dict[str, Any]:
    worst = np.argsort(-np.abs(said - truth), kind="stable")[:_SHOWN]
    heads, told = told_of(judge, worst)
    return {
        "mistake_columns": ["true", "said", "apart", *heads],
        "mistakes": [
            [f"{truth[row]:.5g}", f"{said[row]:.5g}", f"{said[row] - truth[row]:+.5g}", *more]
            for row, more in zip(worst.tolist(), told, strict=True)
        ],
    }


def told_of(judge: Part, rows: Array) -> tuple[list[str], list[list[str]]]:
    """What is known of some rows: of a table, its first columns."""
    if judge.files is not None:
        return ["file"], [[str(judge.files[row])] for row in rows.tolist()]
    if judge.table is None:
        return ["row"], [[f"{row:,}"] for row in rows.tolist()]
    some = judge.table.take(rows)
    names = list(some.columns)[:_MOST_COLUMNS]
    texts = [_written(some[name]) for name in names]
    return names, [list(row) for row in zip(*texts, strict=True)]


def _written(column: Values) -> list[str]:
    """A column as people read it: numbers with six digits."""
    if isinstance(column, Numbers):
        return ["" if np.isnan(value) else f"{value:.6g}" for value in column.values.tolist()]
    return column.text()


def _drawn(model: Model, source: Source, judge: Part, rows: Array, said: Array) -> list[tuple[str, str]]:
    """Some pictures, and where each was looked at: how much less sure the model is of what it said when a square is covered.
    M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", 2014"""
    assert isinstance(source.features, Pictures)
    height, width, _ = source.features.shape
    found = []
    for row in rows[:_DRAWN].tolist():
        image = np.asarray(judge.x[row])
        covered = np.repeat(image[None], _CELLS * _CELLS + 1, 0)
        for cell in range(_CELLS * _CELLS):
            down, right = divmod(cell, _CELLS)
            top, left = down * height // _CELLS, right * width // _CELLS
            bottom, end = -(-(down + 1) * height // _CELLS), -(-(right + 1) * width // _CELLS)
            covered[cell, top:bottom, left:end] = image.mean((0, 1)).astype(np.uint8)
        sure = np.asarray(model.predict(covered, verbose=0))[:, said[row]]
        heat = (sure[-1] - sure[:-1]).reshape(_CELLS, _CELLS)
        heat = heat / max(float(np.abs(heat).max()), 1e-9)
        red = np.stack([255 * (heat > 0), 90 * (heat < 0), 255 * (heat < 0), 200 * np.abs(heat)], -1)
        found.append((png(image), png(red.astype(np.uint8))))
    return found


def _importance(model: Model, source: Source, judge: Part) -> str:
    """By how much the loss grows when a column is shuffled. L. Breiman, "Random forests", 2001"""
    features = source.features
    if not isinstance(features, Features) or judge.table is None or len(judge) < 2:
        return ""
    rng = np.random.default_rng(0)
    some = judge.take(np.sort(rng.permutation(len(judge))[:_ASKED]))
    assert some.table is not None
    order = rng.permutation(len(some))
    base = _loss(model, some.x, some.y)
    found = {}
    for one in features.features:
        columns = some.table.columns
        shuffled = Table({**columns, one.name: columns[one.name].take(order)}, some.table.name)
        found[one.name] = _loss(model, features.inputs(shuffled), some.y) - base
    chosen = dict(sorted(found.items(), key=lambda pair: -pair[1])[:30])
    return bars(chosen, "how much the loss grows when a column is shuffled")


def _loss(model: Model, x: Any, y: Any) -> float:
    return float(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])


def _columns(source: Source) -> list[list[str]]:
    if not isinstance(source.features, Features):
        shape = " x ".join(map(str, np.shape(source.train.x)[1:]))
        return [["x", str(source.train.x.dtype), shape]]
    rows = [[one.name, one.kind, one.told()] for one in source.features.features]
    rows += [[name, "left out", why] for name, why in source.features.dropped.items()]
    for target in source.features.targets:
        told = f"{target.mean:.4g} on average" if target.classes is None else ", ".join(target.classes[:12])
        rows.append([target.name, "target", told])
    return rows


def _best(history: Mapping[str, Sequence[float]], settings: Settings) -> int | None:
    watched = history.get("val_loss", [])
    return int(np.nanargmin(watched)) if settings.patience and len(watched) and np.isfinite(watched).any() else None


def _curves(history: Mapping[str, Sequence[float]], best: int | None) -> list[str]:
    names = [name for name in history if not name.startswith("val_") and name != "learning_rate"]
    drawn = []
    for name in names[:6]:
        series = {"training": history[name]} | (
            {"validation": history[f"val_{name}"]} if f"val_{name}" in history else {}
        )
        drawn.append(curves(series, name, best))
    return [one for one in drawn if one]


def _facts(outcome: Outcome) -> dict[str, str]:
    facts = {"time": f"{outcome.seconds:.1f} s, {outcome.rate:,.0f} samples/s", "memory": _memory()}
    facts |= {"nacre": __version__, "Python": platform.python_version(), "NumPy": np.__version__}
    facts |= {"machine": f"{platform.system()} {platform.machine()}", "run folder": str(outcome.run.folder)}
    return {name: value for name, value in facts.items() if value}


def _memory() -> str:
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return ""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{most / (1e6 if sys.platform == 'darwin' else 1e3):,.0f} MB at most"


def _short(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 1e4 else f"{value:.5g}"
