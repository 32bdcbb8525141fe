"""Planted faults are named, their fixes help, and healthy runs are left in peace."""

from __future__ import annotations

import pytest
from battery import FAULTS, HEALTHY, Planted

import nacre

# Without a leak, the score is the honest one, which is lower; and some faults of data no change of a training can mend.
LEAKS = {"validated_on_rows_trained_on", "the_target_among_the_inputs", "rows_were_repeated_before_the_split"}
HOPELESS = {
    "rows_are_there_again_with_another_label",
    "the_wrong_column",
    "numbers_shifted_by_a_row",
    "a_third_of_many_labels_drawn_by_chance",
    "answers_flipped_where_there_are_two",
    "only_the_validation_was_looked_through",
    "filled_with_the_first_row",
    "judged_by_one_class_alone",
}


@pytest.mark.parametrize("planted", FAULTS, ids=lambda planted: planted.name)
def test_the_planted_fault_is_named_first_and_its_fix_helps(planted: Planted) -> None:
    model, fit = planted.make()
    diagnosis = nacre.diagnose(model, **fit)
    assert [finding.name for finding in diagnosis.alarms][:1][0] in planted.expected, str(diagnosis)
    first = diagnosis.alarms[0]
    assert first.numbers
    assert first.why
    if planted.name in HOPELESS:
        assert first.fix is None
        return
    proof = diagnosis.fix()
    assert proof.finding is first
    assert proof.helped is not (planted.name in LEAKS), str(proof)


@pytest.mark.parametrize("planted", HEALTHY, ids=lambda planted: planted.name)
def test_a_healthy_run_draws_no_alarm(planted: Planted) -> None:
    model, fit = planted.make()
    diagnosis = nacre.diagnose(model, **fit)
    assert not diagnosis.alarms, str(diagnosis)


def test_the_battery_is_large() -> None:
    assert len(FAULTS) >= 30
    assert len(HEALTHY) >= 30
