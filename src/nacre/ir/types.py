"""What is known of a value before it is computed: its shape and its dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import GraphError

DTYPES = ("bool", "uint8", "int32", "uint32", "float32", "float64")
FLOATS = ("float32", "float64")
ITEM_BYTES = {"bool": 1, "uint8": 1, "int32": 4, "uint32": 4, "float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype of a value.

    >>> TensorType((32, 784), "float32")
    float32[32,784]
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise GraphError(f"{self.dtype!r} is no dtype of a graph.", hint=f"one of {', '.join(DTYPES)}")
        if any(n < 0 for n in self.shape):
            raise GraphError(f"A shape has no negative sizes, got {self.shape}.")

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes the value takes."""
        return self.size * ITEM_BYTES[self.dtype]

    @property
    def is_float(self) -> bool:
        """Whether gradients can flow through the value."""
        return self.dtype in FLOATS

    def zeros(self) -> npt.NDArray[Any]:
        """An array of this type, all zero, that begins on a cache line."""
        line = 64
        try:
            block = np.zeros(self.nbytes + line, dtype=np.uint8)
        except (MemoryError, ValueError):  # NumPy's way to say that even the address space is too small
            raise self.too_large() from None
        start = -block.ctypes.data % line
        return block[start : start + self.nbytes].view(self.dtype).reshape(self.shape)

    def too_large(self) -> MemoryError:
        """What is raised where there is no room for such an array."""
        return MemoryError(f"{self} needs {self.nbytes:,} bytes, more than there are.")

    def __repr__(self) -> str:
        return f"{self.dtype}[{','.join(map(str, self.shape))}]"
