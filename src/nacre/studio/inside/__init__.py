"""What the view Inside asks: one model, looked into down to every number."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.routing import BaseRoute

from nacre.errors import UsageError
from nacre.models import Model
from nacre.studio.api import Nothing, ask, tell
from nacre.studio.figures import Drawing, Figure
from nacre.studio.folders import Runs
from nacre.studio.inside import phases, units
from nacre.studio.inside.study import Studies
from nacre.studio.jobs import Jobs
from nacre.training.run import Run

_SECONDS = 0.5  # for which kernels are timed


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A row of the data, or a picture that was drawn: shades from 0 to 1, row by row."""

    row: int | None = None
    pixels: list[float] | None = None


class Update(msgspec.Struct, forbid_unknown_fields=True):
    """Which row to learn from; None goes back to the weights in the file."""

    row: int | None


def routes(runs: Runs, jobs: Jobs) -> list[BaseRoute]:
    """Its addresses, below /api."""
    studies = Studies(runs)

    def models() -> Any:
        training = any(job.kind == "train" and job.state == "running" for job in jobs.all())
        return {"models": studies.listed(), "training": training}

    def train(_: Nothing) -> Any:
        """For a studio without runs: one training on handwritten digits, as the command line does it."""
        folder = Run.create(root=runs.root).folder
        try:
            return jobs.start(
                folder.name, "train", ["train", "digits", "--epochs", "15", "--json", "--out", str(folder)]
            )
        except UsageError:
            folder.rmdir()
            raise

    def model(name: str) -> Any:
        with studies.open(name) as study:
            return study.described()

    def row(name: str, row: str) -> Any:
        with studies.open(name) as study:
            return study.sample(_number(row))

    def answer(asked: Asked, name: str) -> Any:
        with studies.open(name) as study:
            return units.answered(study, study.input_of(asked.row, asked.pixels))

    def step(name: str, row: str) -> Any:
        with studies.open(name) as study:
            return phases.of(study, _number(row))

    def update(given: Update, name: str) -> Any:
        with studies.open(name) as study:
            if given.row is not None:
                return study.learn(given.row)
            study.begin_again()
            return {}

    def graph(name: str, what: str = "step") -> Figure:
        with studies.open(name) as study:
            return _drawn(study.model, what)

    def weights(name: str) -> Any:
        with studies.open(name) as study:
            return units.weights(study)

    return [
        ask("/inside/models", models),
        ask("/inside/models/{name}", model),
        ask("/inside/models/{name}/rows/{row}", row),
        tell("/inside/models/{name}/answer", answer, Asked),
        ask("/inside/models/{name}/step/{row}", step),
        tell("/inside/models/{name}/update", update, Update),
        ask("/inside/models/{name}/graph", graph),
        ask("/inside/models/{name}/weights", weights),
        tell("/inside/train", train, Nothing),
    ]


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise UsageError(f"A row is a number from 0, got {text[:40]!r}.")
    return int(text)


def _drawn(model: Model, what: str) -> Drawing:
    """The graph of one step, by layers or operations; or the plan of it, with the time of each kernel."""
    if what not in ("step", "operations", "predict", "plan"):
        raise UsageError(f"There is no graph {what[:40]!r}.", {"known": "step, operations, predict, plan"})
    kind, seconds = ("operations" if what == "operations" else "layers"), (_SECONDS if what == "plan" else 0)
    diagram = model.graph(kind=kind, plan=what == "plan", seconds=seconds, predict=what == "predict")
    return Drawing(title=diagram.title, svg=diagram.svg(), label=str(diagram))
