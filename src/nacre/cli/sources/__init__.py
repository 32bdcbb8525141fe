"""What a user names: data (a data set that comes with nacre, a file, a folder) and models. A room for each sort of data."""

from __future__ import annotations

from nacre.cli.settings import Settings
from nacre.cli.sources.arrays import ACCEPTED, count_classes, open_arrays, scale_of, training_arrays
from nacre.cli.sources.asked import for_model
from nacre.cli.sources.folders import holds_shards, sampled, training_folder
from nacre.cli.sources.models import best_of, model_file, open_model
from nacre.cli.sources.pictures import is_of_pictures, pictures_for, training_pictures
from nacre.cli.sources.source import Part, Source, in_memory, tell_notes
from nacre.cli.sources.tables import training_table
from nacre.data import DATASETS, Pictures
from nacre.data.tables import kind_of
from nacre.models import Model


def open_data(name: str, model: Model | None = None, judged: bool = True) -> Source:
    """The data called ``name``, as it is; a table as ``model`` takes it. Raises `UnknownName` if there is none, `DataError` if it
    is not what it should be."""
    if model is not None and isinstance(model.features, Pictures):
        return pictures_for(name, model.features, judged)
    if name not in DATASETS and (kind_of(name)[0] is not None or holds_shards(name)):
        return for_model(name, model, judged)
    return open_arrays(name)


def open_training(settings: Settings) -> Source:
    """The data to train on, divided as ``settings`` say, and known to fit."""
    if is_of_pictures(settings.data, settings.column):
        return training_pictures(settings)
    if settings.data not in DATASETS and kind_of(settings.data)[0] is not None:
        return training_table(settings)
    return training_folder(settings) if holds_shards(settings.data) else training_arrays(settings)


__all__ = [
    "ACCEPTED",
    "Part",
    "Source",
    "best_of",
    "count_classes",
    "holds_shards",
    "in_memory",
    "is_of_pictures",
    "model_file",
    "open_data",
    "open_model",
    "open_training",
    "sampled",
    "scale_of",
    "tell_notes",
]
