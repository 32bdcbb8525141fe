"""From arrays and files to checked, typed columns: `Dataset`, `Stream`, the readers, and the data sets that come with nacre."""

from nacre.data.catalog import DATASETS, Catalogued, digits, mnist
from nacre.data.dataset import Column, Dataset, not_finite, numeric
from nacre.data.readers import read
from nacre.data.stream import Stream, is_stream

__all__ = [
    "DATASETS",
    "Catalogued",
    "Column",
    "Dataset",
    "Stream",
    "digits",
    "is_stream",
    "mnist",
    "not_finite",
    "numeric",
    "read",
]
