"""Shop window: the data sets that come with nacre, each with `load_data()` as in `keras.datasets`."""

from nacre.data.catalog import digits, mnist

__all__ = ["digits", "mnist"]
