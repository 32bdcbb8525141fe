"""The one door to the C++ core."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation, find
from nacre.ir import PANEL

try:
    from nacre.backends.native import _core
except ImportError as error:  # pragma: no cover - only in a broken installation
    raise Limitation(
        "nacre's native core is not there.",
        {"reason": error},
        "install a C++20 compiler (Debian and Ubuntu: apt install g++) and install nacre again",
    ) from error

if _core.PANEL != PANEL:  # pragma: no cover - the two are compiled and shipped together
    raise Limitation("nacre's native core is from another version.", hint="install nacre again")

KERNELS: dict[str, int] = {name: number for number, name in enumerate(_core.kernel_names())}
MAP_OPS: dict[str, int] = {name: number for number, name in enumerate(_core.map_op_names())}
PAIRS = frozenset(
    n for name, n in MAP_OPS.items() if name.split("_")[1:-1] in (["add"], ["subtract"], ["from"], ["multiply"])
)
ISAS: tuple[str, ...] = tuple(_core.isas())

Arrays = _core.Arrays
Executor = _core.Executor
make_plan = _core.make_plan
default_threads = _core.default_threads


def shuffled(seed: int, step: int, number: int, count: int) -> npt.NDArray[np.int64]:
    """An order of ``count`` things, all orders being equally likely: a function of these numbers, the same on every machine. It is
    the one that NumPy 2 draws: ``Generator(Philox(key=[seed, step], counter=[0, 0, 0, number])).permutation(count)``.

    >>> shuffled(1, 0, 0, 5)
    array([0, 1, 2, 4, 3])
    """
    order = np.empty(count, np.int64)
    _core.shuffle(seed, step, number, order)
    return order


def default_isa() -> str:
    """The fastest kernel set of this processor, or the one that NACRE_ISA names."""
    return find(
        "instruction set on this processor", os.environ.get("NACRE_ISA", ISAS[-1]), {name: name for name in ISAS}
    )
