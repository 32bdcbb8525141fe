"""Random numbers as a pure function of counters, the same on every lowering, and the one global seed.

A draw depends on (seed, stream, step, element) and nothing else: not on the batch before, the thread, or what other layers drew.
The generator is Threefry-2x32 with 20 rounds: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
import os
import random as python_random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from nacre.ir import Input, TensorType, Value
from nacre.ops.elementwise import cos, log, sqrt
from nacre.ops.primitive import Array, expect, primitive, sample, uint32
from nacre.ops.rearranging import split
from nacre.ops.shape import reshape

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def threefry(xp: Any, k0: Any, k1: Any, c0: Any, c1: Any) -> tuple[Any, Any]:
    """Two uint32 words from a key (k0, k1) and a counter (c0, c1), element by element."""
    u32 = xp.uint32
    keys = (k0, k1, k0 ^ k1 ^ u32(_PARITY))
    x0, x1 = c0 + keys[0], c1 + keys[1]
    for block in range(5):
        for r in _ROTATIONS[block % 2]:
            x0 = x0 + x1
            x1 = ((x1 << u32(r)) | (x1 >> u32(32 - r))) ^ x0
        x0 = x0 + keys[(block + 1) % 3]
        x1 = x1 + keys[(block + 2) % 3] + u32(block + 1)
    return x0, x1


def _uniform_type(seed: TensorType, step: TensorType, *, stream: int, shape: tuple[int, ...]) -> TensorType:
    expect(
        seed == step == TensorType((), "uint32") and 0 <= stream < 2**32, "random_uniform", "uint32 scalars", seed, step
    )
    return TensorType(shape, "float32")


@primitive(
    "random_uniform",
    infer=_uniform_type,
    samples=[
        sample(uint32(), uint32(), stream=0, shape=(3, 4)),
        sample(uint32(), uint32(), stream=7, shape=(301,)),
        sample(uint32(), uint32(), stream=7, shape=(5, 67)),
        sample(uint32(), uint32(), stream=1, shape=(0,)),
    ],
)
def random_uniform(xp: Any, seed: Array, step: Array, *, stream: Any, shape: Any) -> Array:
    """Numbers in [0, 1), multiples of 2^-24.

    Each row (last axis) goes in blocks of 32: the first 16 numbers are the first words of 16 consecutive counters, the others
    the second words. So vectors of any width fill from whole draws, and a row may lie in panels.
    """
    n = int(shape[-1]) if shape else 1
    rows, blocks = int(np.prod(shape[:-1], dtype=np.int64)), -(-n // 32)
    counters = xp.arange(rows * blocks * 16, dtype="uint32")
    x0, x1 = threefry(xp, seed, xp.uint32(stream), xp.broadcast_to(step, counters.shape), counters)
    words = xp.concatenate([x0.reshape((-1, 16)), x1.reshape((-1, 16))], axis=1).reshape((rows, blocks * 32))[:, :n]
    return ((words >> xp.uint32(8)).astype("float32") * xp.float32(2.0**-24)).reshape(shape)


# Two inputs that any graph may use: the seed of the run, and the number of the step. Whoever runs the graph binds them.
SEED = Input("seed", TensorType((), "uint32"))
STEP = Input("step", TensorType((), "uint32"))


def uniform(shape: tuple[int, ...], stream: int) -> Value:
    """Fresh numbers in [0, 1) at each step; ``stream`` keeps one consumer apart from another."""
    return random_uniform(SEED, STEP, stream=stream, shape=tuple(shape))


def normal(shape: tuple[int, ...], stream: int) -> Value:
    """Fresh numbers of a normal distribution with mean 0 and standard deviation 1 at each step; none is above 5.8.

    G. Box and M. Muller, "A note on the generation of random normal deviates", 1958.
    """
    rows, n = math.prod(shape[:-1]), shape[-1] if shape else 1
    u, v = split(uniform((rows, 2 * n), stream), 2, axis=1)
    return reshape(sqrt(log(1 - u) * -2.0) * cos(v * (2 * math.pi)), shape)  # 1 - u is exact, and never 0


_global = np.random.default_rng(int.from_bytes(os.urandom(8), "little"))
_own: ContextVar[np.random.Generator | None] = ContextVar("_own", default=None)  # where `seeded` is in force


def set_random_seed(seed: int) -> None:
    """Make everything random from here on repeat: initial weights, shuffling, dropout; Python's and NumPy's generators too.

    ``seed`` is an integer from 0 to 2**32 - 1.

    >>> set_random_seed(7); a = next_seed(); set_random_seed(7); a == next_seed()
    True
    """
    global _global
    python_random.seed(seed)
    np.random.seed(seed)
    _global = np.random.default_rng(seed)
    if _own.get() is not None:
        _own.set(_global)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, what is random in this thread repeats; behind, it goes on as if nothing had been.

    >>> with seeded(3):
    ...     first = next_seed()
    >>> with seeded(3):
    ...     print(first == next_seed())
    True
    """
    token = _own.set(np.random.default_rng(seed))
    try:
        yield
    finally:
        _own.reset(token)


def next_seed() -> int:
    """A seed (uint32) drawn from the global generator."""
    return int((_own.get() or _global).integers(2**32))
