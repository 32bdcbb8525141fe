"""From arrays and files to checked, typed columns: `Dataset`, the readers, and the data sets that come with nacre."""

from nacre.data.catalog import DATASETS, Catalogued, digits, mnist
from nacre.data.dataset import Column, Dataset, numeric
from nacre.data.readers import read

__all__ = ["DATASETS", "Catalogued", "Column", "Dataset", "digits", "mnist", "numeric", "read"]
