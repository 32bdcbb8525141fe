"""Class numbers and one-hot rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, DTypeError


def to_categorical(x: Any, num_classes: int | None = None) -> npt.NDArray[np.float32]:
    """Class numbers as one-hot rows.   x (...) of whole numbers -> float32 (..., num_classes)

    ``num_classes`` is one more than the largest number when left out; an axis of size 1 at the end of x is dropped.
    Raises `DataError` for numbers outside 0..num_classes-1.

    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "biuf" or (labels.dtype.kind == "f" and (labels != np.floor(labels)).any()):
        raise DTypeError("to_categorical needs class numbers.", {"found": labels.dtype})
    labels = labels.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    classes = int(labels.max(initial=-1)) + 1 if num_classes is None else num_classes
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(f"Class numbers lie in 0..{classes - 1}, found {labels.min()} to {labels.max()}.")
    rows: npt.NDArray[np.float32] = (labels[..., None] == np.arange(classes)).astype(np.float32)
    return rows
