"""One run in full, and several beside each other: curves, and what their settings are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from nacre.cli.compare import told
from nacre.errors import NacreError, UsageError
from nacre.studio.figures import Axis, Curves, Figure, Line, Text
from nacre.studio.folders import Columns, Followed, Runs, Summary, finite, stride, thinned
from nacre.training.run import LAYERS, Run

_POINTS = 1000  # of a curve
_MOST_COMPARED = 12
_MOST_LAYERS = 16 << 20  # bytes of what a run wrote of its layers
_LAYER_POINTS, _LAYER_LINES = 300, 12
_OF_LAYERS = (  # title, what is drawn, by what it is divided, whether by powers of ten
    ("gradient flow: norm of the gradient / norm of the weight", "gradient", "weight", True),
    ("update ratio: norm of the update / norm of the weight", "update", "weight", True),
    ("activations, root mean square", "activation", None, False),
    ("dead units, share", "dead", None, False),
    ("saturated outputs, share", "saturated", None, False),
)


class Detail(msgspec.Struct, frozen=True):
    """A run in full. ``every`` tells that the curves show only every so many-th epoch."""

    summary: Summary
    command: str
    folder: str
    report: bool
    settings: Mapping[str, Any]
    curves: Sequence[Curves]
    every: int
    layers: Sequence[Figure]


class Compared(msgspec.Struct, frozen=True):
    """Runs beside each other: ``rows`` of what differs, a cell for each of the ``names``, ``figures`` at the best epochs, and
    ``curves`` for each number that was written down. ``without`` says why some are missing."""

    names: Sequence[str]
    states: Sequence[str]
    differing: Sequence[Sequence[str]]
    best: Sequence[int]
    figures: Sequence[tuple[str, Sequence[float | None]]]
    curves: Mapping[str, Curves]
    every: int
    without: Mapping[str, str]


def detail(found: Followed) -> Detail:
    """All that the folder says of a run."""
    assert found.summary is not None
    every = stride(found.epochs, _POINTS)
    settings = {"data": found.settings.data, **found.settings.options} if found.settings else {}
    settings |= {"forked at step": before[-1]["until"]} if (before := _forks(found.noted)) else {}
    return Detail(
        found.summary,
        str(found.noted.get("command", "")),
        str(found.run.folder),
        found.run.report.exists(),
        {name: value for name, value in settings.items() if _matters(name, value, settings)},
        curves_of(found.figures),
        every,
        layers_of(found.run),
    )


def _matters(name: str, value: Any, settings: Mapping[str, Any]) -> bool:
    """Whether a setting did something: what is off did not, nor how pictures are fitted into a size that nobody asked for."""
    return name == "seed" or (bool(value) and not (name == "fit" and not settings["size"]))


def layers_of(run: Run) -> list[Figure]:
    """What the run wrote down of its layers while it trained, and how fast it went, by epochs; nothing if it did not."""
    path = run.folder / LAYERS
    if not path.is_file():
        return []
    if path.stat().st_size > _MOST_LAYERS:
        return [Text(text=f"{LAYERS} is larger than {_MOST_LAYERS >> 20} MB, and not drawn.")]
    try:
        entries = run.layers
        every = range((len(entries) - 1) % (step := stride(len(entries), _LAYER_POINTS)), len(entries), step)
        entries = [entries[n] for n in every]
        epochs = Axis("epoch", [entry["epoch"] + 1 for entry in entries])
        drawn: list[Figure] = [
            Curves(
                title="rows per second",
                x=epochs,
                lines=[Line("training", [finite(float(e["rows_per_second"])) for e in entries])],
            )
        ]
        for title, what, of, log in _OF_LAYERS:
            lines = [
                Line(name, [_share(entry["layers"].get(name, {}), what, of) for entry in entries])
                for name in entries[-1]["layers"]
                if what in entries[-1]["layers"][name]
            ]
            if lines:
                drawn.append(Curves(title=title, x=epochs, y=Axis("", log=log), lines=_chosen(lines)))
    except (
        NacreError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:  # strangers' runs are looked at, too
        return [Text(text=f"{LAYERS} cannot be read: {error}.")]
    return drawn


def _share(numbers: Mapping[str, float], what: str, of: str | None) -> float | None:
    value = finite(float(numbers.get(what, math.nan)))
    if of is None or value is None:
        return value
    whole = numbers.get(of) or 0.0
    return finite(value / whole) if whole > 0 and value > 0 else None


def _chosen(lines: list[Line]) -> list[Line]:
    """At most twelve, from all over the network."""
    count = min(len(lines), _LAYER_LINES)
    return [lines[round(n * (len(lines) - 1) / max(1, count - 1))] for n in range(count)]


def curves_of(columns: Columns) -> list[Curves]:
    """For each figure its curves by epochs, of training and of validation, the loss first."""
    names = [name for name in columns if not name.startswith("val_") or name.removeprefix("val_") not in columns]
    drawn = []
    for name in sorted(names, key=lambda name: not name.endswith("loss")):
        kinds = {"training": name, "validation": f"val_{name}"}
        lines = [Line(kind, _points(columns[key])) for kind, key in kinds.items() if key in columns]
        drawn.append(Curves(title=name, x=Axis("epoch", _epochs(len(columns[name]))), lines=lines))
    return drawn


def compared(runs: Runs, names: str) -> Compared:
    """The runs whose names stand between slashes. Raises `UsageError` for fewer than two or too many, `UnknownName` for one that is
    not there."""
    chosen = list(dict.fromkeys(names.split("/")))
    if not 2 <= len(chosen) <= _MOST_COMPARED:
        raise UsageError(f"From 2 to {_MOST_COMPARED} runs can be compared, got {len(chosen)}.")
    found, said, without = dict[str, Followed](), dict[str, dict[str, Any]](), dict[str, str]()
    for name in chosen:
        run = runs[name]
        try:
            said[name] = told(run.run.folder, run.noted, run.figures)
            found[name] = run
        except NacreError as error:
            without[name] = error.what
    settings = [one["settings"] for one in said.values()]
    keys = dict.fromkeys(key for one in settings for key in one)
    rows = [[key, *(_written(one.get(key, "")) for one in settings)] for key in keys]
    figures = dict.fromkeys(name for one in said.values() for name in one["figures"])
    longest = max((run.epochs for run in found.values()), default=0)
    return Compared(
        list(found),
        [run.summary.state for run in found.values() if run.summary is not None],
        [row for row in rows if len(set(row[1:])) > 1],
        [one["epoch"] for one in said.values()],
        [(name, [finite(one["figures"].get(name, math.nan)) for one in said.values()]) for name in figures],
        {name: _overlaid(name, found, longest) for name in sorted(figures, key=lambda name: not name.endswith("loss"))},
        stride(longest, _POINTS),
        without,
    )


def _overlaid(name: str, found: Mapping[str, Followed], longest: int) -> Curves:
    """One figure of all runs; shorter ones end earlier."""
    lines = []
    for run, of in found.items():
        values = list(of.columns.get(name, []))[:longest]
        lines.append(Line(run, _points([*values, *[math.nan] * (longest - len(values))])))
    return Curves(title=name, x=Axis("epoch", _epochs(longest)), lines=lines)


def _points(values: Sequence[float]) -> list[float | None]:
    return [finite(value) for value in thinned(values, _POINTS)]


def _epochs(count: int) -> list[float]:
    return thinned(range(1, count + 1), _POINTS)


def _forks(noted: Mapping[str, Any]) -> list[dict[str, Any]]:
    before = noted.get("before")
    return (
        before if isinstance(before, list) and before and isinstance(before[-1], dict) and "until" in before[-1] else []
    )


def _written(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
