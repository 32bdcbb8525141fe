"""The native runtime, as Python sees it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

PANEL: int

class Plan: ...

class Arrays:
    def __init__(self, arrays: Sequence[npt.NDArray[Any]]) -> None: ...

class Executor:
    def __init__(self, full: Plan, rest: Plan | None, sampled: Plan | None, threads: int) -> None: ...
    def run(
        self,
        state: Arrays,
        columns: Sequence[npt.NDArray[Any]],
        order: npt.NDArray[np.int64] | None,
        schedule: Sequence[npt.NDArray[Any]],
        emits: Sequence[npt.NDArray[Any]],
        done: npt.NDArray[np.int64] | None,
        watch: int,
        finite: bool = True,
        seconds: npt.NDArray[np.float64] | None = None,
        samples: Sequence[npt.NDArray[Any]] = (),
        first_sample: int = 0,
        every: int = 0,
    ) -> bool: ...

def isas() -> list[str]: ...
def kernel_names() -> list[str]: ...
def map_op_names() -> list[str]: ...
def default_threads() -> int: ...
def shuffle(seed: int, step: int, number: int, order: npt.NDArray[np.int64]) -> None: ...
def make_plan(
    isa: str,
    rows: int,
    arena_bytes: int,
    own_bytes: int,
    first_update: int,
    buffers: Sequence[Sequence[int]],
    steps: Sequence[tuple[int, int, int, Sequence[int], Sequence[bool], Sequence[int]]],
    emits: Sequence[tuple[int, int]],
    constants: Bytes,
    batch_bytes: Sequence[int],
    together: int = 0,
) -> Plan: ...
