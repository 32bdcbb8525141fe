"""From arrays and files to checked, typed columns: `Dataset`, `Stream`, the readers, and the data sets that come with nacre."""

from nacre.data.catalog import DATASETS, Catalogued, digits, mnist
from nacre.data.dataset import Column, Dataset, not_finite, numeric
from nacre.data.features import Features, Target
from nacre.data.images import Pictures
from nacre.data.lazy import pieces_of
from nacre.data.readers import read
from nacre.data.shards import Pieces, Shards
from nacre.data.stream import Stream, is_stream
from nacre.data.tables import Table, looks_like_table

Data = Dataset | Shards | Stream  # rows in memory, in pieces elsewhere, and batches as they come

__all__ = [
    "DATASETS",
    "Catalogued",
    "Column",
    "Data",
    "Dataset",
    "Features",
    "Pictures",
    "Pieces",
    "Shards",
    "Stream",
    "Table",
    "Target",
    "digits",
    "is_stream",
    "looks_like_table",
    "mnist",
    "not_finite",
    "numeric",
    "pieces_of",
    "read",
]
