"""What runs together gives what it gives apart, at the sizes where tiles and panels end."""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre import layers, ops
from nacre.autodiff import gradients
from nacre.backends import native, reference
from nacre.backends.base import Block, NotFinite, Program, State
from nacre.backends.native import plan as planning
from nacre.backends.native._binding import ISAS
from nacre.ir import Graph, Input, TensorType


def _program(inputs, outputs, state=()):
    graph = Graph(inputs, {n: ops.reshape(v, [1, *v.shape]) if n not in state else v for n, v in outputs.items()})
    return Program({1: graph}, tuple(i.name for i in inputs), (), (), tuple(n for n in outputs if n not in state))


def _run(executable, arrays):
    state = State()
    state.add({i.name: i.type for i in executable.program.graphs[1].inputs})
    for name, array in arrays.items():
        state[name].write(array)
    emits = executable.run(state, Block([]), np.zeros(1, dtype=np.int64), {})
    return emits | {name: memory.read().copy() for name, memory in state.items()}


def _same(program, arrays, monkeypatch, tolerance=2e-6):
    expected = _run(reference.compile(program), arrays)
    bits = set()
    for isa in ISAS:
        for threads, worth in ((1, 5000), (3, -1)):
            monkeypatch.setattr(planning, "_WORTH_SHARING", worth)
            found = _run(native.compile(program, isa, threads), arrays)
            for name, array in expected.items():
                size = max(np.abs(array).max(initial=0), 1.0)
                assert np.allclose(found[name], array, rtol=tolerance, atol=tolerance * size), (name, isa, threads)
            if isa != "reference":
                bits.add(b"".join(a.tobytes() for a in found.values()))
    assert len(bits) == 1


SIZES = [
    (1, 1, 1),
    (2, 3, 2),
    (7, 161, 31),
    (8, 160, 32),
    (9, 32, 33),
    (15, 5, 17),
    (17, 320, 16),
    (130, 31, 65),
    (0, 3, 2),
    (3, 0, 4),
]


@pytest.mark.parametrize(("rows", "inner", "columns"), SIZES)
def test_a_layer_and_its_gradients_fuse_without_a_trace(rows, inner, columns, rng, monkeypatch):
    x, w, b = (
        Input("x", TensorType((rows, inner))),
        Input("w", TensorType((inner, columns))),
        Input("b", TensorType((columns,))),
    )
    dy, rate = Input("dy", TensorType((rows, columns))), Input("rate", TensorType(()))
    y = ops.tanh(ops.matmul(x, w) + b)
    dz = dy * (1 - y * y)
    outputs = {
        "out": y,
        "dx": ops.matmul(dz, w, transpose_b=True) if columns else dz,
        "w": w - rate * ops.matmul(x, dz, transpose_a=True),
        "b": b - rate * ops.sum(dz, axis=0),
    }
    inputs = [x, w, b, dy, rate]
    arrays = {i.name: rng.standard_normal(i.shape) * (0.3 if i.name != "rate" else 0.1) for i in inputs}
    _same(_program(inputs, outputs, ("w", "b")), arrays, monkeypatch)


@pytest.mark.parametrize("transposes", [(True, True), (True, False), (False, True), (False, False)])
def test_all_ways_to_transpose_agree_with_the_oracle(transposes, rng, monkeypatch):
    ta, tb = transposes
    a, b = Input("a", TensorType((40, 9) if ta else (9, 40))), Input("b", TensorType((35, 40) if tb else (40, 35)))
    y = ops.relu(ops.matmul(a, b, transpose_a=ta, transpose_b=tb)) * 2.0
    arrays = {i.name: rng.standard_normal(i.shape) for i in (a, b)}
    _same(_program([a, b], {"out": y}), arrays, monkeypatch, 1e-5)


def test_one_executable_serves_several_states_in_turn(rng):
    w = Input("w", TensorType((3, 2)))
    executable = native.compile(_program([w], {"out": w * 2.0}))
    states = [State(), State()]
    for n, state in enumerate(states):
        state.add({"w": w.type})
        state["w"].write(np.full((3, 2), n + 1))
    one = np.zeros(1, dtype=np.int64)
    for n in (0, 1, 0):
        assert (executable.run(states[n], Block([]), one, {})["out"] == 2 * (n + 1)).all()
    states[0]["w"].write(np.full((3, 2), 5))
    assert (executable.run(states[0], Block([]), one, {})["out"] == 10).all()


def test_rows_that_are_not_finite_are_told_of_when_asked(rng):
    x = Input("x", TensorType((4, 5)))
    program = Program({4: Graph([x], {"out": ops.relu(x)})}, (), ("x",), (), ("out",))
    rows = rng.standard_normal((8, 5)).astype("float32")
    for executable in (native.compile(program), reference.compile(program)):
        good = executable.run(State(), [rows], None, {}, finite=False)["out"]
        assert np.array_equal(good, executable.run(State(), [rows], np.arange(8), {})["out"])
        for at in ((0, 0), (7, 4)):
            bad = rows.copy()
            bad[at] = np.nan
            executable.run(State(), [bad], None, {})
            with pytest.raises(NotFinite):
                executable.run(State(), [bad], None, {}, finite=False)


def test_states_that_read_one_another_change_together(rng, monkeypatch):
    """Both new values come from the old ones, though each is written over an old one."""
    a, b = Input("a", TensorType((20, 40))), Input("b", TensorType((20, 40)))
    c = Input("c", TensorType((40,)))
    outputs = {"a": b + c, "b": a * 2.0 - b, "c": ops.sum(a, axis=0), "out": a - b}
    arrays = {i.name: rng.standard_normal(i.shape) for i in (a, b, c)}
    _same(_program([a, b, c], outputs, ("a", "b", "c")), arrays, monkeypatch)


def test_what_lies_beyond_the_last_column_reaches_no_result(rng):
    x, w = Input("x", TensorType((5, 7))), Input("w", TensorType((7, 10)))
    y = ops.sigmoid(ops.matmul(x, w))
    step = ops.matmul(x, y, transpose_a=True)
    program = _program([x, w], {"out": ops.matmul(y, w, transpose_b=True) + ops.sum(y), "w": w - step}, ("w",))
    arrays = {"x": rng.standard_normal((5, 7)), "w": rng.standard_normal((7, 10))}
    expected = _run(reference.compile(program), arrays)
    state = State()
    state.add({i.name: i.type for i in (x, w)})
    for name, array in arrays.items():
        state[name].write(array)
        state[name].paneled().reshape(1, -1, 32)[..., array.shape[1] :] = np.nan
    emits = native.compile(program).run(state, Block([]), np.zeros(1, dtype=np.int64), {})
    assert np.allclose(emits["out"], expected["out"], rtol=1e-5)
    assert np.allclose(state["w"].read(), expected["w"], rtol=1e-5, atol=1e-6)


def test_a_state_that_becomes_another_states_old_value_gets_it(rng, monkeypatch):
    for type_ in (TensorType((3, 40)), TensorType((5,)), TensorType((5,), "uint8"), TensorType((), "bool")):
        a, b, c = (Input(n, type_) for n in "abc")
        outputs = {"a": b, "b": a, "c": a, "out": ops.cast(c, dtype="float32")}
        arrays = {n: rng.integers(0, 2 if type_.dtype == "bool" else 9, type_.shape) for n in "abc"}
        for inputs in ([a, b, c], [c, b, a]):
            program = _program(inputs, outputs, ("a", "b", "c"))
            for executable in (native.compile(program), reference.compile(program)):
                found = _run(executable, arrays)
                for name, old in {"a": "b", "b": "a", "c": "a"}.items():
                    assert np.array_equal(found[name], arrays[old].astype(type_.dtype)), (type_, name)


def test_a_program_inside_another_is_only_read_as_it_is(rng, monkeypatch):
    """A stopped gradient is a view, not a reader: what it shows is read with a period here."""
    a, v = Input("a", TensorType((2, 3))), Input("v", TensorType((3,)))
    outputs = {"out": a * ops.stop_gradient(v + v), "more": ops.stop_gradient(ops.relu(a))}
    _same(_program([a, v], outputs), {"a": rng.standard_normal((2, 3)), "v": rng.standard_normal(3)}, monkeypatch)


def test_a_schedule_can_be_handed_out():
    rate = Input("learning_rate", TensorType(()))
    program = Program({1: Graph([rate], {"rate": ops.reshape(rate, [1])})}, (), (), ("learning_rate",), ("rate",))
    rates = np.array([0.5, 0.25, 0.125], dtype=np.float32)
    for executable in (native.compile(program), reference.compile(program)):
        assert (
            executable.run(State(), Block([]), np.arange(3), {"learning_rate": rates})["rate"].tolist()
            == rates.tolist()
        )


def test_two_states_with_one_new_value_both_get_it():
    a, b = Input("a", TensorType((2, 40))), Input("b", TensorType((2, 40)))
    program = _program([a, b], {"a": -a, "b": -a}, ("a", "b"))
    arrays = {"a": np.ones((2, 40)), "b": np.zeros((2, 40))}
    for executable in (native.compile(program), reference.compile(program)):
        found = _run(executable, arrays)
        assert (found["a"] == -1).all()
        assert (found["b"] == -1).all()


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 2), (3, 10), (16, 31), (17, 32), (33, 33), (5, 300), (2, 512), (4, 513)]
)
def test_a_softmax_with_its_loss_and_gradient_runs_as_one(rows, columns, rng, monkeypatch):
    x, y = Input("x", TensorType((rows, columns))), Input("y", TensorType((rows,), "int32"))
    b = Input("b", TensorType((columns,)))
    scores = x + b
    losses = ops.sparse_categorical_crossentropy(y, ops.softmax(scores))
    hits = ops.cast(ops.in_top_1(y, scores), dtype="float32")
    (dx,) = gradients(ops.sum(losses), [x])
    program = _program([x, y, b], {"losses": losses, "hits": hits, "dx": dx, "p": ops.softmax(scores)})
    kernels = [s.kernel for s in native.compile(program).plans[1].steps]
    assert ("rows" in kernels) == (columns <= 512)
    arrays = {
        "x": rng.standard_normal((rows, columns)),
        "y": rng.integers(0, columns, rows),
        "b": rng.standard_normal(columns),
    }
    _same(program, arrays, monkeypatch, 1e-5)


def test_what_only_one_program_reads_runs_in_it_however_often_it_is_read(rng, monkeypatch):
    x = Input("x", TensorType((9, 40)))
    inner = ops.exp(x)
    program = _program([x], {"out": inner * ops.tanh(inner + x)})
    _same(program, {"x": rng.standard_normal((9, 40)).astype("f4")}, monkeypatch)
    (plan,) = native.compile(program).plans.values()
    assert [step.kernel for step in plan.steps].count("map") == 1


def test_short_vectors_that_follow_from_one_another_are_made_in_one_step(rng, monkeypatch):
    a, b = Input("a", TensorType((70,))), Input("b", TensorType((70,)))
    root = ops.sqrt(ops.abs(a))
    one = root * b
    program = _program([a, b], {"root": root, "one": one, "two": one + b})
    _same(program, {n: rng.standard_normal(70).astype("f4") for n in "ab"}, monkeypatch)
    (plan,) = native.compile(program).plans.values()
    assert [step.kernel for step in plan.steps] == ["map"]


@pytest.mark.parametrize("columns", [2, 31, 33, 70])
def test_products_that_are_only_summed_by_columns_are_never_stored(columns, rng, monkeypatch):
    a, b, w = (
        Input("a", TensorType((5, 20))),
        Input("b", TensorType((20, columns))),
        Input("w", TensorType((5, columns))),
    )
    y = a @ b
    sums = {"squares": ops.sum(y * y, 0), "products": ops.sum(y * w, 0), "wide": y + 1.0}
    program = _program([a, b, w], sums)
    arrays = {i.name: rng.standard_normal(i.shape).astype("f4") for i in (a, b, w)}
    _same(program, arrays, monkeypatch)
    (plan,) = native.compile(program).plans.values()
    assert [step.kernel for step in plan.steps].count("reduce_products") == 2


@pytest.mark.parametrize(("scale", "in_one"), [(1.25, True), (0.5, True), (-2.0, False), (float("inf"), False)])
def test_a_mask_over_a_product_is_scaled_in_one_pass_only_where_zero_stays_zero(scale, in_one, rng):
    a, b, mask = Input("a", TensorType((5, 20))), Input("b", TensorType((20, 33))), Input("mask", TensorType((5, 33)))
    program = _program([a, b, mask], {"scaled": ops.where(mask > 0, a @ b, 0) * scale})
    arrays = {i.name: rng.standard_normal(i.shape).astype("f4") for i in (a, b, mask)}
    executable = native.compile(program)
    (plan,) = executable.plans.values()
    assert ("matmul_masked" in [step.kernel for step in plan.steps]) == in_one
    found, wanted = (_run(each, arrays)["scaled"] for each in (executable, reference.compile(program)))
    assert np.array_equal(np.signbit(found), np.signbit(wanted))
    assert np.allclose(found, wanted, rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("norm", [layers.LayerNormalization, layers.RMSNormalization])
def test_what_is_normalized_by_rows_stays_in_the_layout_of_the_products(norm):
    model = nacre.Sequential(
        [nacre.Input((20,)), layers.Dense(70), norm(), layers.Dense(40, "relu"), norm(), layers.Dense(3)]
    )
    model.compile("sgd", nacre.losses.SparseCategoricalCrossentropy(from_logits=True))
    steps, _ = model.plan(np.zeros((8, 20), "f4"), np.zeros(8, int), 8, 0)
    assert "rows" in {step.kernel for step in steps}
    assert not {"pack", "unpack"} & {step.kernel for step in steps}


# Up to 32 columns lie side by side while they are worked on; panels end at multiples of 32.
@pytest.mark.parametrize("columns", [3, 16, 17, 31, 32, 33, 70, 256])
@pytest.mark.parametrize("rows", [1, 9, 40])
def test_whoever_reads_what_is_made_by_rows_from_panels_reads_it_right(rows, columns, rng, monkeypatch):
    x, w = Input("x", TensorType((rows, 5))), Input("w", TensorType((5, columns)))
    scores = ops.matmul(x, w)
    off = scores - ops.mean(scores, axis=1, keepdims=True)
    scaled = off / (ops.max(ops.abs(off), axis=1, keepdims=True) + 1.0)
    signs = ops.cast(ops.sign(off), "int32")
    outputs = {
        "ints": ops.sum(signs, axis=0),
        "least": ops.min(signs, axis=0),
        "floats": ops.sum(scaled * 2.0, axis=0),
        "most": ops.max(scaled, axis=0),
        "where": ops.argmax(scaled, axis=0),
        "bools": ops.sum(ops.where(off > 0.1, 1.0, 0.0), axis=0),
        "transposed": ops.transpose(scaled) + 1.0,
        "reshaped": ops.sum(ops.reshape(scaled, [columns, rows]), axis=1),
        "product": ops.matmul(ops.transpose(x), scaled),
    }
    arrays = {i.name: rng.standard_normal(i.shape, dtype="f4") for i in (x, w)}
    for name, output in outputs.items():
        _same(_program([x, w], {name: output}), arrays, monkeypatch)
    _same(_program([x, w], outputs), arrays, monkeypatch)
