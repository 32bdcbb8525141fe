"""Every row of the table keeps the promises of a row. A new row is tested by being there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from differences import as_float64, check_gradients

from nacre.backends import native, reference, xla
from nacre.backends.base import Block, Program, State
from nacre.backends.native import plan
from nacre.backends.native._binding import ISAS, KERNELS, MAP_OPS
from nacre.ir import Graph, Input, TensorType, parse, to_text, verify
from nacre.ops import TABLE, reshape

USES = [pytest.param(row, s, id=f"{name}-{i}") for name, row in TABLE.items() for i, s in enumerate(row.samples)]
EPS = 2.0**-24


def _graph(row, sample, dtype=None):
    types = [as_float64(a.type) if dtype == "float64" else a.type for a in sample.arguments]
    inputs = [Input(f"x{i}", t) for i, t in enumerate(types)]
    arrays = {f"x{i}": a.draw(i, dtype) for i, a in enumerate(sample.arguments)}
    return inputs, arrays, row(*inputs, **sample.attrs)


def _program(inputs, y):
    """A program that hands out ``y`` once."""
    graph = Graph(inputs, {"y": reshape(y, [1, *y.shape])})
    return Program({1: graph}, tuple(i.name for i in inputs), (), (), ("y",))


def _run(executable, arrays):
    return _all(executable, arrays)["y"][0]


def _all(executable, arrays):
    """Everything that it hands out."""
    state = State()
    state.add({i.name: i.type for i in executable.program.graphs[1].inputs})
    for name, array in arrays.items():
        state[name].write(array)
    return executable.run(state, Block([]), np.zeros(1, dtype=np.int64), {})


@pytest.mark.parametrize(("row", "sample"), USES)
def test_the_type_rule_says_what_the_body_returns(row, sample):
    _, arrays, y = _graph(row, sample)
    with np.errstate(all="ignore"):
        result = np.asarray(row.body(np, *arrays.values(), **sample.attrs))
    assert TensorType(result.shape, str(result.dtype)) == y.type


@pytest.mark.parametrize(("row", "sample"), [u for u in USES if u.values[0].vjp is not None])
def test_the_gradient_rule_matches_central_differences(row, sample):
    inputs, arrays, y = _graph(row, sample, "float64")
    if y.type.is_float:
        check_gradients(inputs, arrays, y)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("row", "sample"), USES)
def test_the_native_kernels_agree_with_the_oracle(row, sample, isa):
    inputs, arrays, y = _graph(row, sample)
    program = _program(inputs, y)
    expected = _run(reference.compile(program), arrays)
    found = _run(native.compile(program, isa), arrays)
    _check(row, sample, arrays, found, expected)


def _check(row, sample, arrays, found, expected):
    """Numbers agree as closely as the row promises."""
    assert found.dtype == expected.dtype
    if expected.dtype != "float32" or row.name in EXACT:
        assert np.array_equal(found, expected)
    elif row.name in SUMS:  # K terms may be off by some roundings of the sum of their sizes
        terms = max(a.type.size for a in sample.arguments)
        size = max(np.abs(a).max(initial=0) for a in arrays.values()) ** (2 if row.name == "matmul" else 1) * terms
        assert np.allclose(found, expected, rtol=0, atol=(4 + np.sqrt(terms)) * EPS * size)
    else:
        assert np.allclose(found, expected, rtol=6 * EPS, atol=2 * EPS * np.abs(expected).max(initial=1e-30))


def _on_xla(uses):
    """What uses, (row, arrays, attributes) by name, give as one program: it is compiling that takes long."""
    inputs, state, outputs = [], {}, {}
    for name, (row, arrays, attrs) in uses.items():
        own = [Input(f"{name} {n}", TensorType(a.shape, str(a.dtype))) for n, a in enumerate(arrays)]
        state |= {x.name: a for x, a in zip(own, arrays, strict=True)}
        y = row(*own, **attrs)
        inputs, outputs = inputs + own, outputs | {name: reshape(y, [1, *y.shape])}
    program = Program({1: Graph(inputs, outputs)}, tuple(state), (), (), tuple(outputs))
    found = _all(xla.compile(program, xla.find_devices("xla")), state)
    return {name: array[0] for name, array in found.items()}


@pytest.fixture(scope="module")
def samples_on_xla():
    return _on_xla({u.id: (u.values[0], _graph(*u.values)[1].values(), u.values[1].attrs) for u in USES})


@pytest.mark.parametrize(("row", "sample"), USES)
def test_xla_agrees_with_the_oracle(row, sample, samples_on_xla):
    inputs, arrays, y = _graph(row, sample)
    found = samples_on_xla[f"{row.name}-{row.samples.index(sample)}"]
    _check(row, sample, arrays, found, _run(reference.compile(_program(inputs, y)), arrays))


SUMS = ("matmul", "reduce_sum", "scatter_add")
EXACT = (
    *(
        "reduce_max",
        "reduce_min",
        "take",
        "slice",
        "transpose",
        "pad",
        "concatenate",
        "reshape",
        "broadcast",
        "constant",
        "iota",
    ),
    *(
        "neg",
        "abs",
        "sign",
        "floor",
        "relu",
        "cast",
        "select",
        "add",
        "subtract",
        "multiply",
        "divide",
        "maximum",
        "minimum",
        "sqrt",
    ),
    *("random_uniform", "stop_gradient"),
)


@pytest.mark.parametrize(("row", "sample"), USES)
def test_all_instruction_sets_give_the_same_bits(row, sample):
    inputs, arrays, y = _graph(row, sample)
    program = _program(inputs, y)
    bits = {isa: _run(native.compile(program, isa), arrays).tobytes() for isa in ISAS if isa != "reference"}
    assert len(set(bits.values())) == 1


@pytest.mark.parametrize(("row", "sample"), USES)
def test_sharing_it_out_among_threads_changes_no_bit(row, sample, monkeypatch):
    monkeypatch.setattr(plan, "_WORTH_SHARING", -1)
    inputs, arrays, y = _graph(row, sample)
    program = _program(inputs, y)
    for isa in (ISAS[0], ISAS[-1]):
        bits = {threads: _run(native.compile(program, isa, threads), arrays).tobytes() for threads in (1, 2, 3, 8)}
        assert len(set(bits.values())) == 1


@pytest.mark.parametrize(("row", "sample"), USES)
def test_a_graph_of_it_prints_and_parses_back(row, sample):
    inputs, _, y = _graph(row, sample)
    text = to_text(verify(Graph(inputs, {"y": y})))
    assert to_text(verify(parse(text, TABLE))) == text


NAN_PASSES = [
    row
    for row in TABLE.values()
    if row.elementwise and row.vjp is not None and all(a.type.dtype == "float32" for a in row.samples[0].arguments)
]


@pytest.mark.parametrize("isa", ["oracle", *ISAS])
@pytest.mark.parametrize("row", NAN_PASSES, ids=lambda r: r.name)
def test_nan_comes_out_where_nan_went_in(row, isa):
    inputs = [Input(f"x{i}", TensorType((40,))) for i in range(len(row.samples[0].arguments))]
    program = _program(inputs, row(*inputs, **row.samples[0].attrs))
    executable = reference.compile(program) if isa == "oracle" else native.compile(program, isa)
    for i in inputs:
        arrays = {j.name: np.full(40, 0.5, dtype="float32") for j in inputs}
        arrays[i.name][[3, 39]] = np.nan
        found = np.isnan(_run(executable, arrays))
        assert found[[3, 39]].all(), row.name
        assert not found[4:39].any(), row.name


EXTREMES = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 88.0, -88.0, 104.0, 1e4, -1e4, 3e38, -3e38, np.inf, -np.inf], "float32"
)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("row", [r for r in NAN_PASSES if len(r.samples[0].arguments) == 1], ids=lambda r: r.name)
def test_extreme_numbers_are_treated_as_the_oracle_treats_them(row, isa):
    inputs = [Input("x0", TensorType(EXTREMES.shape))]
    program = _program(inputs, row(*inputs, **row.samples[0].attrs))
    expected = _run(reference.compile(program), {"x0": EXTREMES})
    found = _run(native.compile(program, isa), {"x0": EXTREMES})
    # Large arguments of sine and cosine, and results below the smallest normal number, may differ in the last bits.
    assert np.allclose(found, expected, rtol=4e-7, atol=1e-44, equal_nan=True), (found, expected)


def test_xla_treats_nan_and_extremes_as_the_oracle_does():
    """But for numbers too small to be normal, which it may take for 0."""
    normal = EXTREMES[(EXTREMES == 0) | (np.abs(EXTREMES) >= np.finfo("f4").tiny)]
    numbers = np.append(normal, np.float32(np.nan))
    rows = [row for row in NAN_PASSES if len(row.samples[0].arguments) == 1]
    found = _on_xla({row.name: (row, [numbers], row.samples[0].attrs) for row in rows})
    for row in rows:
        with np.errstate(all="ignore"):
            expected = row.body(np, numbers, **row.samples[0].attrs)
        assert np.allclose(found[row.name], expected, rtol=4e-7, atol=1.2e-38, equal_nan=True), row.name


def test_every_native_kernel_and_instruction_serves_a_row():
    products = {"matmul_map", "matmul_slices", "matmul_dots", "matmul_bias", "matmul_masked", "matmul_update"}
    made_up = products | {"reduce_int32", "reduce_products", "map", "rows", "copy", "gather", "pack", "unpack", "turn"}
    assert set(KERNELS) - made_up <= set(TABLE)
    for op in MAP_OPS:
        assert any(op == name or op.startswith(f"{name}_") for name in TABLE), op


def test_a_flipped_sign_in_one_rule_is_caught():
    """The contract tests can fail: seeded faults are found."""
    faults = {
        "tanh": lambda y, dy, x: (-dy * (1 - y * y),),
        "multiply": lambda y, dy, a, b: (dy * a, dy * b),
        "sigmoid": lambda y, dy, x: (dy * y,),
        "matmul": lambda y, dy, a, b, **attrs: tuple(-g for g in TABLE_VJP["matmul"](y, dy, a, b, **attrs)),
    }
    for name, fault in faults.items():
        row = TABLE[name]
        TABLE[name] = dataclasses.replace(row, vjp=fault)
        try:
            sample = next(s for s in row.samples if all(a.type.size > 1 for a in s.arguments))
            inputs, arrays, y = _graph(TABLE[name], sample, "float64")
            with pytest.raises(AssertionError):
                check_gradients(inputs, arrays, y)
        finally:
            TABLE[name] = row


TABLE_VJP = {name: row.vjp for name, row in TABLE.items()}
