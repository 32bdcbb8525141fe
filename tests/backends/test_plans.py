"""Plans of five reference models, printed and kept: a refactoring may not change them. Run this file to rewrite them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nacre
from nacre.backends.native import _binding, lower, rows
from nacre.backends.native.lowering import Lowering
from nacre.backends.native.plan import BY_PANELS, BY_ROWS
from nacre.ir import TensorType
from nacre.layers import Activation, Dense, Dropout, Flatten, LayerNormalization, Rescaling, Residual
from nacre.training.program import Goal, RowType, RowTypes, Target, prediction_program, training_program

FOLDER = Path(__file__).parent / "plans"


def _dense(*sizes, activation="relu", last="softmax"):
    hidden = [Dense(n, activation=activation) for n in sizes[1:-1]]
    return nacre.Sequential([nacre.Input((sizes[0],)), *hidden, Dense(sizes[-1], activation=last)])


def _digits():
    return nacre.Sequential(
        [
            nacre.Input((28, 28)),
            Rescaling(1 / 255),
            Flatten(),
            Dense(128, activation="relu"),
            Dropout(0.2),
            Dense(10),
            Activation("softmax"),
        ]
    )


SCE, MSE = "sparse_categorical_crossentropy", "mse"
DROPOUT = "digits-dropout-momentum"  # has steps that each thread does for itself
MODELS = {
    "linear-regression": (
        lambda: _dense(3, 1, last=None),
        MSE,
        "sgd",
        RowType((3,), "float32"),
        RowType((), "float32"),
    ),
    "article": (
        lambda: _dense(784, 1000, 10, activation="softmax"),
        SCE,
        "sgd",
        RowType((784,), "float32"),
        RowType((), "uint8"),
    ),
    DROPOUT: (
        _digits,
        SCE,
        nacre.optimizers.SGD(0.1, momentum=0.9),
        RowType((28, 28), "uint8"),
        RowType((), "uint8"),
    ),
    "binary-tanh-rmsprop": (
        lambda: _dense(8, 5, 5, 1, activation="tanh", last="sigmoid"),
        "binary_crossentropy",
        "rmsprop",
        RowType((8,), "float32"),
        RowType((), "uint8"),
    ),
}


def _plans():
    for name, (build, loss, optimizer, x, y) in MODELS.items():
        nacre.utils.set_random_seed(0)
        model = build()
        target, output = TensorType((1, *y.shape)), TensorType((1, *model.output_shape[1:]))
        judged = Target(0, None, nacre.losses.get(loss), None, [nacre.metrics.get("accuracy", target, output)])
        goal = Goal([judged], nacre.optimizers.get(optimizer))
        program = training_program(model, goal, RowTypes((x,), (y,)), [32])
        yield name, lower(program.graphs[32], program, 32)
    model = _digits()
    program = prediction_program(model, RowTypes((RowType((28, 28), "uint8"),)), [1])
    yield "digits-predict-one", lower(program.graphs[1], program, 1)


@pytest.mark.parametrize(("name", "plan"), list(_plans()), ids=lambda p: p if isinstance(p, str) else "")
def test_the_plan_is_the_one_that_was_kept(name, plan):
    assert str(plan) + "\n" == (FOLDER / f"{name}.txt").read_text()


def test_a_weight_is_updated_in_place():
    for name, plan in _plans():
        copies = [s for s in plan.steps if s.kernel == "copy" and plan.buffers[s.operands[-1]].place == 2]
        assert not copies, name


def test_what_a_program_can_make_besides_is_not_sought_among_all_layers(monkeypatch):
    """Twice the layers, twice the work: each program looks at the updates of its own weight."""
    looked, look = [], Lowering._leading_to
    monkeypatch.setattr(Lowering, "_leading_to", lambda *given: looked.append(1) or look(*given))
    counts = []
    for depth in (10, 20, 40):
        model = _dense(8, *[8] * depth, 3)
        model.compile("adam", SCE)
        model.train_on_batch(np.ones((4, 8)), np.arange(4) % 3)
        counts.append(len(looked))
        looked.clear()
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0]) > 0


def test_what_runs_with_a_reduction_is_not_sought_among_all_layers(monkeypatch):
    """Twice the blocks with a normalization, twice the nodes that are looked at."""
    looked, look = [], rows.Cluster._takes
    monkeypatch.setattr(rows.Cluster, "_takes", lambda *given: looked.append(1) or look(*given))
    counts = []
    for depth in (10, 20, 40):
        blocks = [Residual([LayerNormalization(), Dense(8, "relu")]) for _ in range(depth)]
        model = nacre.Sequential([nacre.Input((8,)), *blocks, Dense(3, "softmax")])
        model.compile("sgd", SCE)
        model.train_on_batch(np.ones((4, 8)), np.arange(4) % 3)
        counts.append(len(looked))
        looked.clear()
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0]) > 0


def test_a_program_over_rows_may_be_a_long_one():
    program = rows.Program((4, 8))

    def longer(x):
        return program.step(rows.MATRIX, rows.ON_MATRICES, 0, [x])

    one, other = (program.read(rows.PLAIN_MATRIX, 0, buffer) for buffer in (1, 2))
    for _ in range(1000):
        one, other = longer(one), longer(other)
    args = program.args([(x, rows.PLAIN_MATRIX, "float32") for x in (one, longer(longer(other)))])
    assert args is not None
    assert args[5] == 3  # registers of matrices: both, and the one that is being made


def test_a_prediction_leaves_nothing_behind():
    plan = dict(_plans())["digits-predict-one"]
    assert plan.first_update == len(plan.steps)


def _native(model="linear-regression", **changes):
    plan = dict(_plans())[model]
    for name, value in changes.items():
        setattr(plan, name, value)
    return plan


def _with_step(**changes):
    plan = _native()
    step = next(s for s in plan.steps if s.kernel == "gather")
    for name, value in changes.items():
        setattr(step, name, value(getattr(step, name)) if callable(value) else value)
    return plan


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (lambda: _with_step(operands=lambda old: [999, old[1]]), "names no buffer"),
        (lambda: _with_step(operands=lambda old: [-1, old[1]]), "names no buffer"),
        (lambda: _with_step(operands=[0]), "wrong number of operands"),
        (lambda: _with_step(args=[4, 32, 1000, 1]), "does not gather"),
        (lambda: _with_step(args=[4, -1, 3, 1]), "bad sizes"),
        (lambda: _with_step(args=[4, 32, 3]), "bad sizes"),
        (lambda: _with_step(args=[4, 2**40, 2**40, 1]), "too large"),
        (lambda: _with_step(operands=lambda old: [old[1], old[0]]), "does not gather"),
        (lambda: _with_step(results=2), "may only read"),
        (lambda: _with_step(results=0), "no result"),
        (lambda: _native(sharings=lambda: [BY_PANELS] * len(_native().steps)), "no panels to share"),
        (lambda: _native(first_update=99), "first update"),
        (lambda: _native(first_update=len(_native().steps)), "too early"),
        (lambda: _native(arena_bytes=8), "leaves the arena"),
        (lambda: _native(DROPOUT, own_bytes=8), "leaves a member's own memory"),
        (lambda: _native(DROPOUT, sharings=lambda: [BY_ROWS] * len(_native(DROPOUT).steps)), "not done by each member"),
        (lambda: _native(emits=[(12345, 4)]), "no buffer"),
        (lambda: _native(rows=0), "rows"),
        (lambda: _native(batch_bytes=[]), "names no column"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_before_it_runs(plan, message):
    with pytest.raises(ValueError, match=message):
        plan().native("baseline")


def test_an_unknown_instruction_set_is_refused_with_those_there_are(monkeypatch):
    monkeypatch.setenv("NACRE_ISA", "avx1024")
    with pytest.raises(ValueError, match="avx1024"):
        _binding.default_isa()
    with pytest.raises(ValueError, match="it has"):
        _native().native("neon2")


def test_a_run_that_does_not_fit_its_plan_is_refused():
    executor = _binding.Executor(_native().native("baseline"), None, None, 2)
    order = np.arange(32, dtype=np.int64)
    full = {
        "state": _binding.Arrays([np.zeros((3, 32), np.float32), np.zeros(32, np.float32)]),
        "columns": [np.zeros((32, 3), np.float32), np.zeros(32, np.float32)],
        "order": order,
        "schedule": [np.zeros(4, np.uint8)] * 3,
        "emits": [np.zeros(4, np.uint8), np.zeros(8, np.uint8)],
        "done": np.zeros(1, np.int64),
        "watch": 0,
    }
    assert executor.run(**full)
    assert executor.run(**full | {"order": None, "done": None})
    for wrong in (
        {"order": order + 1},
        {"order": order - 1},
        {"order": order[:7]},
        {"order": None, "columns": []},
        {"order": None, "columns": [full["columns"][0], full["columns"][1][:31]]},
        {"state": _binding.Arrays([np.zeros((3, 32), np.float32)])},
        {"columns": full["columns"][:1]},
        {"columns": [full["columns"][0][:31], full["columns"][1]]},
        {"columns": [full["columns"][0][:0], full["columns"][1]]},
        {"columns": [np.zeros((32, 2), np.float32), full["columns"][1]]},
        {"columns": [np.zeros((), np.float32), full["columns"][1]]},
        {"done": np.zeros(2, np.int64)},
        {"schedule": []},
        {"emits": [np.zeros(4, np.uint8), np.zeros(4, np.uint8)]},
        {"watch": 5},
    ):
        with pytest.raises(ValueError, match=r".+"):
            executor.run(**full | wrong)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, plan in _plans():
        (FOLDER / f"{name}.txt").write_text(str(plan) + "\n")
