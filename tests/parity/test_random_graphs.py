"""Random graphs run alike on all lowerings.

Most compute with small whole numbers, so that every lowering must give the very same. Each value has a bound, and what might
grow beyond the whole numbers that float32 can tell apart is clipped.
"""

from __future__ import annotations

import contextlib
import itertools
import math

import numpy as np
import pytest

from nacre import ops
from nacre.backends import native, reference, xla
from nacre.backends.base import Block, Program, State
from nacre.backends.native import plan as planning
from nacre.backends.native._binding import ISAS
from nacre.ir import Graph, Input, TensorType, to_text, verify
from nacre.ops import TABLE
from nacre.passes.simplify import simplify

GRAPHS = 4  # for each seed
SIZES = (0, 1, 1, 2, 3, 5, 16, 17, 32, 33)
DTYPES = ("float32",) * 5 + ("int32",) * 2 + ("uint8", "bool", "uint32")
NUMBERS = ("float32", "int32", "uint8")
SMOOTH = {
    "divide": lambda x, y: x / (abs(y) + 0.5),
    "power": lambda x, y: ops.power(abs(x) + 0.5, y * 0.125),
    "exp": lambda x, y: ops.exp(x * 0.25),
    "expm1": lambda x, y: ops.expm1(x * 0.25),
    "log": lambda x, y: ops.log(abs(x) + 0.5),
    "log1p": lambda x, y: ops.log1p(abs(x)),
    "sqrt": lambda x, y: ops.sqrt(abs(x) + 0.5),
} | {name: lambda x, y, row=TABLE[name]: row(x) for name in ("cos", "erf", "sigmoid", "sin", "tanh")}


class _NothingFits(Exception): ...  # noqa: N818 - not an error


class _Maker:
    """A program and its data. Not ``exact``: with smooth functions too, and without what jumps."""

    def __init__(self, seed, exact):
        self.rng = rng = np.random.default_rng(seed)
        self.exact, self.limit = exact, 2.0**10 if exact else 8.0
        self.values, self.bounds = [], {}
        self.rows, steps = int(rng.choice([1, 2, 3, 16, 33])), int(rng.integers(1, 4))
        same = TensorType(self.shape(), self.choice(DTYPES))
        types = [same if rng.random() < 0.5 else TensorType(self.shape(), self.choice(DTYPES)) for _ in range(4)]
        self.state = [Input(f"state{n}", t) for n, t in enumerate(types[: rng.integers(1, 5)])]
        types = [TensorType((self.rows, *self.shape()[:2]), self.choice(DTYPES)) for _ in range(2)]
        columns = [Input(f"column{n}", t) for n, t in enumerate(types)]
        schedule = [Input("rate", TensorType(())), Input("step", TensorType((), "uint32"))]
        self.inputs = [*self.state, *columns, *schedule]
        self.data = {i.name: self.draw(i.shape, i.dtype) for i in self.state}
        self.block = Block([self.draw((self.rows * steps, *i.shape[1:]), i.dtype) for i in columns])
        self.schedule = {i.name: self.draw((steps,), i.dtype) for i in schedule}
        self.order = rng.permutation(self.rows * steps)
        for value in self.inputs:
            self.keep(value)
        moves = [self.unary, self.binary, self.binary, self.truth, self.choose, self.cast, self.reorder, self.repeat,
                 self.resize, self.join, self.reduce, self.product, self.look_up, self.make]  # fmt: skip
        for _ in range(rng.integers(3, 40)):
            with contextlib.suppress(_NothingFits):
                self.choice(moves if exact else [*moves, *[self.smooth] * 3])()
        outputs = {f"emit{n}": self.pick(self.inputs if n == 3 else None) for n in range(rng.integers(1, 5))}
        emits = {name: ops.reshape(v, [1, *v.shape]) for name, v in outputs.items()}
        graph = Graph(self.inputs, emits | {s.name: self.next(s) for s in self.state if rng.random() < 0.8})
        self.graph = verify(graph if rng.random() < 0.5 else simplify(graph))
        names = [tuple(i.name for i in part) for part in (self.state, columns, schedule)]
        self.program = Program({self.rows: self.graph}, *names, tuple(emits))

    def run(self, executable):
        state = State()
        state.add({i.name: i.type for i in self.state})
        for name, array in self.data.items():
            state[name].write(array)
        emits = executable.run(state, self.block, self.order, self.schedule)
        return emits | {name: memory.read().copy() for name, memory in state.items()}

    def next(self, state):
        """The next value of a state: often the old one of another."""
        found = [v for v in self.values if (v.dtype, v.type.size) == (state.dtype, state.type.size)]
        found = [v for v in found if v.dtype != "uint32" or self.bounds[id(v)] <= 8]
        value = self.pick([v for v in found if any(v is s for s in self.state)] if self.rng.random() < 0.3 else found)
        return ops.reshape(self.tame(value, self.bounds[id(value)]), state.shape)

    def choice(self, options):
        return options[self.rng.integers(len(options))]

    def shape(self, rank=4):
        return tuple(self.choice(SIZES) for _ in range(self.rng.integers(rank)))

    def draw(self, shape, dtype):
        low, high = {"bool": (0, 2), "uint8": (0, 256), "uint32": (0, 9)}.get(dtype, (-4, 5))
        return np.asarray(self.rng.integers(low, high, shape)).astype(dtype)

    def pick(self, values=None):
        """One of some values, rather a late one."""
        values = self.values if values is None else values
        if not values:
            raise _NothingFits
        return values[int(len(values) * self.rng.random() ** 0.5)]

    def of(self, *dtypes):
        return self.pick([v for v in self.values if v.dtype in dtypes])

    def beside(self, x):  # of its dtype
        return self.pick([v for v in self.values if v.dtype == x.dtype and _fit(v.shape, x.shape)])

    def tame(self, value, bound):
        if bound <= 8 or value.dtype not in ("float32", "int32"):
            return value
        return ops.clip(value, -8, 8) if self.exact or value.dtype == "int32" else value * (8 / bound)

    def keep(self, value, bound=8.0):
        """More to build on. ``bound`` is that of its absolute values."""
        if (value.type.size > 5000 and value.operation) or (value.dtype == "uint32" and bound > 2**10):
            return
        bound = {"bool": 1, "uint8": 255}.get(value.dtype, bound)
        if bound > self.limit and value.dtype in ("float32", "int32"):
            value, bound = self.tame(value, bound), 8
        self.values.append(value)
        self.bounds[id(value)] = bound

    # Moves: each keeps one more value, or raises when nothing fits.

    def unary(self):
        x = self.of(*NUMBERS)
        names = ["neg", "abs", "relu", "stop_gradient"] + ["sign"] * self.exact
        names += ["floor", "isfinite"] * (self.exact and x.dtype == "float32")
        self.keep(TABLE[self.choice(names)](x), self.bounds[id(x)])

    def binary(self):
        x = self.of(*NUMBERS, "uint32")
        y = self.beside(x) if self.rng.random() < 0.85 else int(self.rng.integers(4))
        names = ["add", "multiply"] + ["subtract", "maximum", "minimum"] * (x.dtype != "uint32")
        bounds = self.bounds[id(x)], self.bounds.get(id(y), 3)
        operands = (x, y) if self.rng.random() < 0.5 else (y, x)
        self.keep(TABLE[self.choice(names)](*operands), max(math.prod(bounds), sum(bounds)))

    def smooth(self):
        x = self.of("float32")
        self.keep(SMOOTH[self.choice(list(SMOOTH))](x, self.beside(x)), 16)

    def truth(self):
        x = self.pick() if self.exact else self.of("bool")
        names = ["equal", "not_equal"] * self.exact + ["less", "less_equal"] * (x.dtype in NUMBERS)
        name = self.choice(names + ["logical_and", "logical_or", "logical_not"] * (x.dtype == "bool"))
        self.keep(TABLE[name](x) if name == "logical_not" else TABLE[name](x, self.beside(x)))

    def choose(self):
        condition = self.of("bool")
        a = self.pick([v for v in self.values if _fit(v.shape, condition.shape)])
        b = self.pick([v for v in self.values if v.dtype == a.dtype and _fit(v.shape, condition.shape, a.shape)])
        self.keep(ops.where(condition, a, b), max(self.bounds[id(a)], self.bounds[id(b)]))

    def cast(self):
        x, dtype = self.pick(), self.choice(DTYPES)
        if (self.exact or not x.type.is_float) and (x.dtype, dtype) != ("uint32", "float32"):
            natural = ops.minimum(abs(x), 8) if x.type.is_float else abs(x) if x.dtype == "int32" else x
            self.keep(ops.cast(natural if dtype.startswith("u") else x, dtype=dtype), self.bounds[id(x)])

    def reorder(self):
        x = self.pick()
        parts = [d for d in range(1, x.type.size + 1) if x.type.size % d == 0]
        if self.rng.random() < 0.5:
            y = ops.transpose(x, self.rng.permutation(x.rank).tolist())
        else:
            n = self.choice(parts) if parts else 0
            y = ops.reshape(
                x, self.choice([(n, -1), (-1, n, 1), (-1,)]) if n else self.rng.permutation(x.shape).tolist()
            )
        self.keep(y, self.bounds[id(x)])

    def repeat(self):
        x = self.pick()
        shape = [self.choice(SIZES) for _ in range(x.rank + self.rng.integers(3))]
        axes = np.sort(self.rng.choice(len(shape), x.rank, replace=False)).tolist() if shape else []
        for axis, n in zip(axes, x.shape, strict=True):
            shape[axis] = n
        self.keep(ops.broadcast(x, shape=tuple(shape), axes=tuple(axes)), self.bounds[id(x)])

    def resize(self):
        x = self.pick([v for v in self.values if v.rank])
        low, high, more = (tuple(self.rng.integers(0, 3, x.rank).tolist()) for _ in range(3))
        if self.rng.random() < 0.5:
            y = ops.TABLE["pad"](x, low=low, high=high, interior=more)
        else:
            start = tuple(min(a, n) for a, n in zip(low, x.shape, strict=True))
            limit = tuple(max(a, n - b) for a, b, n in zip(start, high, x.shape, strict=True))
            y = ops.TABLE["slice"](x, start=start, limit=limit, stride=tuple(n + 1 for n in more))
        self.keep(y, self.bounds[id(x)])

    def join(self):
        x = self.pick([v for v in self.values if v.rank])
        axis = self.choice(range(x.rank))
        kind = [(v.dtype, v.rank, v.shape[:axis], v.shape[axis + 1 :]) for v in [x, *self.values]]
        alike = [v for v, k in zip(self.values, kind[1:], strict=True) if k == kind[0]]
        parts = [self.pick(alike) for _ in range(self.rng.integers(1, 4))]
        self.keep(ops.concatenate(parts, axis), max(self.bounds[id(v)] for v in parts))

    def reduce(self):
        x = self.of("float32")
        axes = tuple(a for a in range(x.rank) if self.rng.random() < 0.5)
        sizes = [x.shape[a] for a in axes]
        name = self.choice(["reduce_sum"] * 2 + ["reduce_max", "reduce_min"] * all(sizes))
        if self.exact and len(axes) == 1 and all(sizes) and self.rng.random() < 0.5:
            self.keep(ops.argmax(x, axes[0]), sizes[0])
        else:
            self.keep(TABLE[name](x, axes=axes), self.bounds[id(x)] * (math.prod(sizes) if name == "reduce_sum" else 1))

    def product(self):
        matrices = [v for v in self.values if v.dtype == "float32" and v.rank == 2]
        a, (ta, tb) = self.pick(matrices), self.rng.integers(0, 2, 2).tolist()
        inner = a.shape[0 if ta else 1]
        b = self.pick([v for v in matrices if v.shape[1 if tb else 0] == inner])
        bound = self.bounds[id(a)] * self.bounds[id(b)] * inner
        if bound > 2**24:
            a, b, bound = self.tame(a, bound), self.tame(b, bound), 64 * inner
        self.keep(ops.matmul(a, b, transpose_a=bool(ta), transpose_b=bool(tb)), bound)

    def look_up(self):
        indices, x = self.of("int32"), self.pick([v for v in self.values if v.dtype == "float32" and v.type.size])
        if self.rng.random() < 0.5 and x.rank:
            self.keep(ops.TABLE["take"](x, indices), self.bounds[id(x)])
        elif x.shape[: indices.rank] == indices.shape:
            rows = int(self.rng.integers(1, 6))
            self.keep(ops.scatter_add(indices, x, rows=rows), self.bounds[id(x)] * indices.type.size)

    def make(self):
        shape, dtype, stream = self.shape(3), self.choice(DTYPES), int(self.rng.integers(2**32))
        seed, step = (self.pick([v for v in self.values if v.type == TensorType((), "uint32")]) for _ in range(2))
        random = ops.random_uniform(seed, step, stream=stream, shape=shape)
        options = [ops.constant(self.draw(shape, dtype), dtype), ops.full(shape, 1, dtype)]
        options.append(ops.floor(random * 8) if self.exact else random)
        if shape and dtype != "bool":
            options.append(ops.iota(shape=shape, axis=self.choice(range(len(shape))), dtype=dtype))
        self.keep(self.choice(options), 32)


def _fit(*shapes):
    """Whether shapes can be brought to one."""
    return all(len({s[-axis] for s in shapes if len(s) >= axis} - {1}) <= 1 for axis in range(1, 9))


@pytest.mark.parametrize(("seed", "exact"), [(s, True) for s in range(60)] + [(s, False) for s in range(20)])
def test_a_random_graph_is_on_native_what_it_is_on_the_oracle(seed, exact, monkeypatch):
    for number in range(GRAPHS):
        made, bits = _Maker([seed, number, exact], exact), set()
        expected = made.run(reference.compile(made.program))
        for isa, threads in itertools.product(dict.fromkeys(["reference", "baseline", ISAS[-1]]), [1, 3]):
            where = f"seed {seed}, graph {number} on {isa} with {threads} threads:\n{to_text(made.graph)}"
            monkeypatch.setattr(planning, "_WORTH_SHARING", -1 if threads > 1 else 5000)
            try:
                found = made.run(native.compile(made.program, isa, threads))
            except Exception as error:
                raise AssertionError(f"{error!r}: {where}") from error
            tolerance = 0 if exact else 1e-4
            for name, array in expected.items():
                assert found[name].dtype == array.dtype, f"{name}: {where}"
                assert np.allclose(found[name], array, rtol=tolerance, atol=tolerance), f"{name}: {where}"
            bits |= {b"".join(a.tobytes() for a in found.values())} if isa != "reference" else set()
            assert len(bits) <= 1, f"other bits: {where}"


@pytest.mark.parametrize(("seed", "exact"), [(s, s < 10) for s in range(14)])
def test_a_random_graph_is_on_xla_what_it_is_on_the_oracle(seed, exact):
    made = _Maker([seed, 0, exact], exact)
    expected = made.run(reference.compile(made.program))
    found = made.run(xla.compile(made.program, xla.find_devices("xla")))
    tolerance = 0 if exact else 1e-4
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert np.allclose(found[name], array, rtol=tolerance, atol=tolerance), f"{name}:\n{to_text(made.graph)}"


@pytest.mark.parametrize("exact", [True, False])
def test_the_random_graphs_meet_every_row_of_the_table(exact):
    met = {node.operation.name for seed in range(80) for node in _Maker([seed, 0, exact], exact).graph.nodes}
    jumps = {"argmax", "equal", "floor", "isfinite", "less", "less_equal", "not_equal", "sign"}
    assert met == set(TABLE) - (set(SMOOTH) if exact else jumps)
