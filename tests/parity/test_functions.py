"""The engine's own elementary functions: how far they are from the true values, in units in the last place.

The witness is float64, which is right to some 29 bits more than float32 can show.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from nacre import ops
from nacre.backends import native
from nacre.backends.base import Block, Program, State
from nacre.backends.native._binding import ISAS
from nacre.ir import Graph, Input, TensorType

# Of each exponent, on both sides of 0: the first and the last mantissas, and as many drawn at random.
DRAWN = 2000

EXACT = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "sigmoid": lambda x: np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x))),
    "erf": lambda x: np.fromiter(map(math.erf, x.tolist()), np.float64, x.size),
}


def _run(isa, function, *arrays):
    inputs = [Input(f"x{n}", TensorType(a.shape)) for n, a in enumerate(arrays)]
    graph = Graph(inputs, {"y": ops.reshape(function(*inputs), [1, *arrays[0].shape])})
    program = Program({1: graph}, tuple(i.name for i in inputs), (), (), ("y",))
    state = State()
    state.add({i.name: i.type for i in inputs})
    for i, array in zip(inputs, arrays, strict=True):
        state[i.name].write(array)
    return native.compile(program, isa).run(state, Block([]), np.zeros(1, dtype=np.int64), {})["y"][0]


def _of_every_exponent():
    """Floats of every exponent: zeros, denormals and normal numbers, infinities and NaN."""
    rng = np.random.default_rng(0)
    edges = np.arange(16, dtype=np.uint32)
    drawn = rng.integers(0, 2**23, (512, DRAWN), dtype=np.uint32)
    mantissas = np.concatenate([np.broadcast_to(np.append(edges, 2**23 - 1 - edges), (512, 32)), drawn], axis=1)
    return ((np.arange(512, dtype=np.uint32)[:, None] << 23) | mantissas).ravel().view(np.float32)


def _bits(rng, n):
    return rng.integers(0, 2**32, n, dtype=np.uint32).view(np.float32)


def _ulps(found, exact):
    """Errors in units in the last place of the exact value. The infinities count as the first power of two beyond."""
    found = np.clip(found.astype(np.float64), -(2.0**128), 2.0**128)
    exact = np.clip(exact, -(2.0**128), 2.0**128)
    _, exponent = np.frexp(exact)
    return np.abs(found - exact) / np.ldexp(1.0, np.maximum(exponent, -125) - 24)


def _check(function, exact, *arrays):
    """Below 2 ulp on every instruction set, and the same bits on all whose functions are our own."""
    finite = ~np.isnan(exact)
    found = {isa: _run(isa, function, *arrays) for isa in ISAS}
    found = {
        isa: np.where(np.isnan(y), np.float32(np.nan), y) for isa, y in found.items()
    }  # a NaN's sign means nothing
    for isa in ("reference", ISAS[-1]):
        y = found[isa]
        assert np.array_equal(np.isnan(y), ~finite), isa
        assert np.array_equal(np.signbit(y[finite]), np.signbit(exact[finite])), isa
        error = np.where(finite, _ulps(y, exact), 0)
        worst = np.argmax(error)
        assert error[worst] < 2, (isa, error[worst], [float(a[worst]).hex() for a in arrays])
    for isa in ISAS:
        if isa != "reference":
            assert found[isa].tobytes() == found[ISAS[-1]].tobytes(), isa


@pytest.mark.parametrize("name", EXACT)
def test_a_function_is_right_to_two_units_in_the_last_place(name):
    x = _of_every_exponent()
    with np.errstate(all="ignore"):
        _check(getattr(ops, name), EXACT[name](x.astype(np.float64)), x)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine_are_right_where_they_are_nearly_zero(name):
    """Floats next to multiples of a right angle; at the last two, of all floats, hardly anything is left."""
    hard = np.array([float.fromhex("0x1.f9cbe2p+7"), float.fromhex("0x1.6ac5b2p+103"), 16367173 * 2.0**72], "float32")
    near = (np.arange(1, 400000, dtype=np.float64) * (np.pi / 2)).astype(np.float32)
    x = np.concatenate([hard, near, -near])
    _check(getattr(ops, name), EXACT[name](x.astype(np.float64)), x)


def _pairs():
    rng = np.random.default_rng(1)
    n = 200000
    special = [0, 1, 2, 3, 0.5, 1.5, 2**24 - 1, 2**24, 2**24 + 2, 1e-45, 1e-40, 3e38, np.inf, 1 - 2**-24, 1 + 2**-23]
    special = np.array([*special, *(-s for s in special), np.nan], "float32")
    yield "special", np.repeat(special, special.size), np.tile(special, special.size)
    yield "any bits", _bits(rng, n), _bits(rng, n)
    yield "small", rng.uniform(-5, 5, n).astype("float32"), rng.integers(-40, 41, n).astype("float32")
    x = np.abs(_bits(rng, n))
    with np.errstate(all="ignore"):
        near_one = (1 + rng.uniform(-0.5, 0.5, n) * 2.0 ** -rng.integers(0, 24, n)).astype("float32")
        for name, base in [("in range", x), ("near one", near_one)]:
            yield name, base, (rng.uniform(-150, 130, n) / np.log2(base.astype(np.float64))).astype("float32")


@pytest.mark.parametrize(("x", "y"), [pytest.param(x, y, id=name) for name, x, y in _pairs()])
def test_a_power_is_right_to_two_units_in_the_last_place(x, y):
    with np.errstate(all="ignore"):
        _check(ops.power, np.power(x.astype(np.float64), y.astype(np.float64)), x, y)
