"""Rows that count more or less than others, and rows of which only some are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import nacre
from nacre.cli import main
from nacre.doctor.diagnosis import case_of
from nacre.doctor.facts import Facts, evidence
from nacre.doctor.task import Task
from nacre.doctor.trial import judge
from nacre.errors import UsageError
from nacre.layers import Dense

Array = np.ndarray[Any, Any]
LABELS = "sparse_categorical_crossentropy"


def network(classes: int = 2, loss: str = LABELS) -> nacre.Model:
    nacre.utils.set_random_seed(1)
    last = Dense(classes, "softmax") if loss == LABELS else Dense(classes)
    model = nacre.Sequential([nacre.Input((5,)), Dense(16, "relu"), last])
    model.compile("adam", loss)
    return model


@pytest.fixture
def rows() -> tuple[Array, Array]:
    x = np.random.default_rng(0).normal(size=(600, 5)).astype("float32")
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


# ------------------------------------------------------------------ weights


def test_weights_that_are_all_alike_change_nothing(rows: Any) -> None:
    plain, weighted = (
        nacre.diagnose(network(), *rows),
        nacre.diagnose(network(), *rows, sample_weight=np.full(600, 2.0)),
    )
    assert [one.name for one in plain.findings] == [one.name for one in weighted.findings]
    assert weighted.score.accuracy == pytest.approx(plain.score.accuracy, abs=0.02)
    assert weighted.score.log_loss == pytest.approx(plain.score.log_loss, rel=0.05)


def test_rows_that_do_not_count_are_neither_learned_nor_judged(rows: Any) -> None:
    x, y = rows
    wrong, weights = y.copy(), np.ones(600)
    wrong[::2], weights[::2] = 1 - y[::2], 0
    assert [one.name for one in nacre.diagnose(network(), x, wrong).alarms] == ["no signal"]
    found = nacre.diagnose(network(), x, wrong, sample_weight=weights)
    assert found.alarms == []
    assert found.score.accuracy > 0.9


def test_the_scores_of_classes_are_weighted_means(rows: Any) -> None:
    x, y = rows
    weights = np.random.default_rng(1).uniform(0, 3, 600)
    model = network()
    case = case_of(model, x, y, validation_data=(x, y, weights))
    p = model.predict(x, verbose=0).astype(np.float64)
    right = p.argmax(1) == y
    score = judge(case, Task.of(model, case.y), model)
    assert score.accuracy == pytest.approx((right * weights).sum() / weights.sum())
    assert score.log_loss == pytest.approx((-np.log(p[np.arange(600), y]) * weights).sum() / weights.sum(), rel=1e-5)
    recall = [(right * weights)[y == k].sum() / weights[y == k].sum() for k in (0, 1)]
    assert score.recall == pytest.approx(np.mean(recall))


def test_the_score_of_numbers_is_weighted_too(rows: Any) -> None:
    x, y = rows[0], rows[0][:, :1] ** 2
    weights = np.random.default_rng(1).uniform(0, 3, 600)
    model = network(1, "mse")
    case = case_of(model, x, y, validation_data=(x, y, weights))
    error = np.average((model.predict(x, verbose=0) - y) ** 2, weights=weights[:, None])
    spread = np.average((y - np.average(y, weights=weights[:, None])) ** 2, weights=weights[:, None])
    assert judge(case, Task.of(model, case.y), model).r2 == pytest.approx(1 - error / spread, rel=1e-4)


def test_several_outputs_may_have_weights_each(rows: Any) -> None:
    x, y = rows
    nacre.utils.set_random_seed(0)
    symbol = nacre.Input((5,))
    outputs = [Dense(2, "softmax", name="a")(symbol), Dense(1, name="b")(symbol)]
    model = nacre.Model(symbol, outputs)
    model.compile("adam", [LABELS, "mse"])
    weights = {"a": np.linspace(0, 1, 600), "b": np.linspace(3, 0, 600)}
    case = case_of(model, x, [y, x[:, :1]], validation_data=(x, [y, x[:, :1]], weights))
    expected = model.evaluate(x, [y, x[:, :1]], sample_weight=weights, verbose=0, return_dict=True)["loss"]
    assert judge(case, Task.of(model, case.y), model).loss == pytest.approx(expected)


@pytest.mark.parametrize(("least", "off"), [(4.0, 1e-5), (0.0, 0.1)])
def test_the_first_loss_is_on_the_scale_of_the_training(rows: Any, least: float, off: float) -> None:
    x, y = rows[0][:200], rows[1][:200]
    weights = np.random.default_rng(1).uniform(least, 4, 200)
    model = network()
    case = case_of(model, x, y, sample_weight=weights, validation_data=(x, y))
    expected = model.evaluate(x, y, sample_weight=weights, verbose=0, return_dict=True)["loss"]
    assert Facts(case).first_loss == pytest.approx(expected, rel=off)


def test_rows_that_do_not_count_are_no_evidence(rows: Any) -> None:
    x, y = rows
    model = network()
    model.fit(x, y, epochs=10, verbose=0)
    counted = np.arange(600) % 2
    judged = x, np.where(counted, y, 1 - y)  # half of the labels are wrong, those of the others all right
    unsure, sure = (
        evidence(case_of(model, x, y, validation_data=given), Task.of(model, {"y": y}), model)
        for given in (judged, (*judged, counted))
    )
    assert abs(unsure) < 3
    assert sure > 10


def test_weights_that_let_classes_count_alike_mend_their_imbalance() -> None:
    random = np.random.default_rng(0)
    y = (random.random(2000) < 0.04).astype(int)
    x = (random.normal(size=(2000, 5)) + 0.8 * y[:, None]).astype("float32")
    weights = np.where(y, (y == 0).sum() / y.sum(), 1.0)
    assert [one.name for one in nacre.diagnose(network(), x, y, epochs=5).alarms] == ["class imbalance"]
    assert not any(
        "imbalance" in one.name for one in nacre.diagnose(network(), x, y, epochs=5, sample_weight=weights).findings
    )


# ------------------------------------------------------------------ batches and pieces


def batches(drawn: list[int]) -> Iterator[tuple[Array, Array]]:
    random = np.random.default_rng(1)
    for number in count():
        drawn.append(number)
        x = random.normal(size=(500, 5)).astype("float32")
        yield x, (x[:, 0] > 0).astype(int)


def test_of_batches_without_end_the_first_are_looked_at() -> None:
    drawn: list[int] = []
    found = nacre.diagnose(network(), batches(drawn), steps_per_epoch=1000)
    assert found.case.note == "These are the first 20,000 rows that the data give, in 40 batches."
    assert str(found).startswith(found.case.note)
    assert found.document()["note"] == found.case.note
    assert len(drawn) == 40
    assert (found.case.batch_size, found.case.shuffle, len(found.case)) == (500, False, 16_000)
    assert found.alarms == []


def test_a_fault_in_batches_is_named(rows: Any) -> None:
    x, y = rows
    order = np.argsort(y, kind="stable")
    pairs = [(x[order][at : at + 20], y[order][at : at + 20]) for at in range(0, 600, 20)]
    assert nacre.diagnose(network(), pairs, validation_data=rows).findings[0].name == "sorted labels"


def test_batches_may_come_with_weights_and_be_those_for_validation(rows: Any) -> None:
    x, y = rows
    parts = [(x[at : at + 50], y[at : at + 50], np.ones(50)) for at in range(0, 600, 50)]
    case = case_of(network(), parts[:8], validation_data=iter(parts[8:]))
    assert (len(case), case.row_weights.sum(), case.given) == (400, 400, True)
    (held,) = case.x_validation.values()
    np.testing.assert_array_equal(held, x[400:])


def test_what_is_for_arrays_is_refused_with_batches() -> None:
    for wrong in ({"batch_size": 32}, {"validation_split": 0.2}):
        with pytest.raises(UsageError, match="are for arrays"):
            nacre.diagnose(network(), batches([]), **wrong)
    with pytest.raises(UsageError, match="steps_per_epoch is a whole number"):
        nacre.diagnose(network(), batches([]), steps_per_epoch=0)


def test_of_rows_in_pieces_some_from_all_over_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacre.doctor.rows._ROWS", 1000)
    x = np.random.default_rng(0).normal(size=(6000, 5)).astype("float32")
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        inputs = file.create_dataset("x", data=x, chunks=(100, 5))
        labels = file.create_dataset("y", data=np.arange(6000) // 3000, chunks=(100,))
        case = case_of(network(), inputs, labels)
        assert case.note == "These are 1,000 of 6,000 rows, from all over."
        (y,) = case.y.values()
        assert len(case) == 800
        assert 0.4 < y.mean() < 0.6  # though they are sorted
        parted = case_of(network(), inputs, labels, validation_split=0.5)
        assert (next(iter(parted.y.values())).sum(), next(iter(parted.y_validation.values())).mean()) == (0, 1)


def test_a_script_that_trains_on_batches_with_weights_is_examined(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import numpy as np
import nacre
random = np.random.default_rng(0)
x = random.normal(size=(600, 3)).astype("float32")
y = (x[:, 0] > 0).astype(int)
model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(8, "relu"), nacre.layers.Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(((x[at:at + 20], y[at:at + 20], np.ones(20)) for at in range(0, 600, 20)), steps_per_epoch=30)
""")
    result = CliRunner().invoke(main, ["doctor", str(script)])
    assert result.exit_code == 0, result.output
    assert "the first 600 rows that the data give, in 30 batches" in result.stdout
    assert "Nothing is wrong" in result.stdout
