"""The rows to look at: by default those that a run was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from nacre.cli.settings import Settings
from nacre.cli.sources import Part, Source, best_of, open_data, open_training, place_of
from nacre.errors import UsageError
from nacre.models import Model
from nacre.training.run import MODEL, SETTINGS, Run

ALL_ROWS = click.option(
    "--all-rows", is_flag=True, help="All rows of DATA that has no test part of its own, also those trained on."
)


@dataclass(frozen=True)
class Looked:
    """The ``rows`` to look at, the ``source`` they are of, which ``part`` of it they are, and in words, ``told``."""

    rows: Part
    source: Source
    part: str
    told: str

    @property
    def notes(self) -> list[str]:
        """What people should know: which rows these are, and what is to be known of the data."""
        return [f"looked at {'is' if len(self.rows) == 1 else 'are'} {self.told}", *self.source.notes]


def settings_of(model: str) -> Settings | None:
    """The settings of the run in the folder of that name, or around the model file; None if there is none."""
    path = Path(model)
    folder = best_of(path) if path.is_dir() else path.parent
    if not (folder / SETTINGS).is_file() or (not path.is_dir() and path.name != MODEL):
        return None
    return Settings.of(Run.open(folder).settings())


def trained_on(model: str) -> str:
    """The data that a run was trained on. Raises `UsageError` for a model that is in no folder of a run."""
    settings = settings_of(model)
    if settings is None:
        raise UsageError(f"{model} is no run, and does not say what it was trained on.", hint="name the data behind it")
    return settings.data


def held_out(
    name: str, model: Model, data: str, all_rows: bool, opened: Callable[[str, Model], Source] = open_data
) -> Looked:
    """The rows of ``data`` to look at: of what the run called ``name`` was trained on, those that its settings held out, else the
    test part, or all rows if there is only one part."""
    file, settings = Path(data).name, settings_of(name)
    more = ""
    if settings is not None and place_of(data) == settings.data:
        more = ", those too that the run was trained on"
        if not all_rows:
            source = open_training(settings)
            part, rows = source.judge
            learned = None if source.features is None else source.features.get_config()
            same = learned == (None if model.features is None else model.features.get_config())
            if same and part != "training":
                told = f"the {len(rows):,} rows of the {part} part of {file}, which the run was not trained on"
                return Looked(rows, source, part, told)
            more = more if same else "; they are not what they were when the run was trained"
    source = opened(data, model)
    part = "test" if "test" in source.parts else "all"
    which = f"the {len(source.last):,} rows of the test part" if part == "test" else f"all {len(source.last):,} rows"
    return Looked(source.last, source, part, f"{which} of {file}{more if part == 'all' else ''}")
