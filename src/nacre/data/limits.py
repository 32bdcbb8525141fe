"""How much memory a file may ask for: what it says of itself is not believed."""

from __future__ import annotations

import os

from nacre.errors import DataError

GROWTH, FREE = 300, 1 << 28  # a compressed file becomes at most so many times as large, unless that is little anyway


def check_growth(what: str, size: int, stored: int) -> None:
    """Refuse what would grow out of proportion when it is read, or does not fit into memory. Sizes are in bytes.

    >>> check_growth("x", 1 << 30, 1 << 10)
    Traceback (most recent call last):
    nacre.errors.DataError: x grows to more than 300 times its size, to 1,074 MB: it is refused.
      try:  unpack it first
    """
    if size > max(FREE, stored * GROWTH):
        raise DataError(
            f"{what} grows to more than {GROWTH} times its size, to {size / 1e6:,.0f} MB: it is refused.",
            hint="unpack it first",
        )
    check_room(what, size)


def check_room(what: str, size: int) -> None:
    """Refuse what says that it is larger than the memory, or is less than nothing. The size is in bytes."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return
    if not 0 <= size <= memory:
        raise DataError(
            f"{what} says that it is {size / 1e9:,.1f} GB, which do not fit into memory.",
            {"there is": f"{memory / 1e9:,.1f} GB"},
            "arrays of h5py and Zarr, and folders of Parquet files, are trained on piece by piece",
        )
