"""What the doctor knows. To add a finding: a function in a file here that is told the `Facts` and yields a `Finding`, its name in
that file's ``RULES``, and in ``tests/doctor/battery.py`` a run that has the fault, and one that looks like it and is healthy."""

from nacre.doctor.findings import beginning, construction, flow, inputs, optimization, outcome, splits, targets

CAUSES = (*inputs.RULES, *targets.RULES, *splits.RULES, *construction.RULES, *beginning.RULES, *flow.RULES)
CONSEQUENCES = (
    *beginning.CONSEQUENCES,
    *optimization.RULES,
    *outcome.RULES,
)  # what a grave cause before them would explain
LAST = outcome.LAST  # when nothing else was found
BY_HEART = outcome.BY_HEART  # what only rows that were not trained on show

__all__ = ["BY_HEART", "CAUSES", "CONSEQUENCES", "LAST"]
