"""The whole examination: every rule is asked, doubtful findings are tried, and what is left is ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nacre.doctor.case import Case, Inputs
from nacre.doctor.facts import Facts
from nacre.doctor.finding import REMARK, Finding
from nacre.doctor.findings import CAUSES, CONSEQUENCES, LAST
from nacre.doctor.task import Task
from nacre.doctor.trial import Score, run
from nacre.errors import Limitation, UsageError
from nacre.models import Model
from nacre.ops import seeded

_HELD_OUT = 0.2  # of the rows, where there is no validation
_GRAVE = 75  # what is as severe explains poor results by itself
_FAILED = 0.3  # of what there is to learn: a trained network that came no further has failed


@dataclass(frozen=True)
class Proof:
    """Both branches: as it was, and with the ``finding``'s fix, each trained for ``epochs`` of ``rows`` rows; ``model`` is the
    better one's."""

    finding: Finding
    before: Score
    after: Score
    epochs: int
    rows: int
    broke: bool
    model: Model

    @property
    def helped(self) -> bool:
        """Whether the rows for validation are predicted better."""
        if np.isfinite(self.after.recall):
            more = self.after.recall - self.before.recall
            return more > 0.005 or (more > -0.005 and self.after.log_loss < 0.98 * self.before.log_loss)
        return self.after.figure > self.before.figure

    def __str__(self) -> str:
        verdict = "it helped" if self.helped else "it did not help"
        return (
            f"{verdict}: after {self.epochs} epoch{'s' * (self.epochs > 1)} of {self.rows:,} rows, on the rows for validation\n"
            f"  as it was  {'the loss was not finite; ' * self.broke}{self.before}\n"
            f"  fixed      {self.after}"
        )

    def document(self) -> dict[str, Any]:
        """The proof as JSON can hold it."""
        figures = {
            name: {k: v for k, v in vars(score).items() if np.isfinite(v)}
            for name, score in (("before", self.before), ("after", self.after))
        }
        return {
            "finding": self.finding.name,
            "helped": self.helped,
            "epochs": self.epochs,
            "rows": self.rows,
            **figures,
        }


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor found, the likeliest cause first; ``alarms`` are the findings to do something about, the others are remarks.

    ``str`` tells it to people, `document` to programs, and `fix` tries the fix of the first.
    """

    findings: Sequence[Finding]
    case: Case
    score: Score

    @property
    def alarms(self) -> list[Finding]:
        """Findings that something should be done about."""
        return [finding for finding in self.findings if finding.alarm]

    def fix(self, number: int = 0, epochs: int | None = None) -> Proof:
        """Apply the fix of a finding, the first unless said otherwise, to a fork; train both branches for a while, and compare.

        Both see the same rows in the same order, for ``epochs`` passes, or as long as a trial of the examination. The model that
        was examined stays as it is. Raises `UsageError` if there is no such finding, or none that can be fixed by itself.
        """
        able = [finding for finding in self.findings if finding.fix is not None]
        if not 0 <= number < len(able):
            raise UsageError(
                f"There is no finding {number} with a fix.",
                {"findings with a fix": ", ".join(f.name for f in able) or "none"},
            )
        finding = able[number]
        assert finding.fix is not None
        facts = Facts(self.case)
        rows, usual = facts.plan
        plan = (len(self.case), epochs) if epochs is not None else (rows, usual)
        with seeded(0):
            fixed = finding.fix.change(self.case)
            before = run(self.case, facts.task, plan)
            after = run(fixed, Task.of(fixed.model, fixed.y), (min(plan[0], len(fixed)), plan[1]))
        proof = Proof(finding, before.judged, after.judged, plan[1], plan[0], before.broke, after.model)
        return proof if proof.helped else replace(proof, model=before.model)

    def document(self) -> dict[str, Any]:
        """The diagnosis as JSON can hold it."""
        return {"findings": [finding.document() for finding in self.findings]}

    def __str__(self) -> str:
        if not self.alarms:
            head = f"Nothing is wrong that the doctor knows of. A short training reaches {self.score} on other rows."
        else:
            head = f"{len(self.alarms)} finding{'s' * (len(self.alarms) > 1)}, the likeliest cause first."
        parts = [f"{n}. {finding}" for n, finding in enumerate(self.alarms, 1)]
        remarks = [f"   {f.name}: {f.title}" for f in self.findings if not f.alarm]
        return "\n\n".join([head, *parts, *(["remarks\n" + "\n".join(remarks)] if remarks else [])])


def diagnose(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int | None = None,
    epochs: int | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    history: Any = None,
) -> Diagnosis:
    """Say why a training fails, or will fail: what is measured of data, network and a short training, the likeliest cause first.

    The arguments are those of `Model.fit`: put ``nacre.diagnose(model,`` in the place of ``model.fit(``. Copies of the compiled
    model are trained; the model stays as it is. ``history`` is the `History` of a training that went wrong, by default the model's
    last one. Without validation rows, a fifth of the rows is held out. The same call finds the same, to the last bit.

    Each finding has the name that the field has for it, the numbers that show it, an explanation, and mostly a fix, as code and,
    by `Diagnosis.fix`, tried. Raises what `Model.fit` raises for data that do not fit, and `Limitation` for data that do not lie
    in arrays.

    >>> import numpy as np, nacre
    >>> random = np.random.default_rng(0)
    >>> x = random.normal(size=(400, 2)).astype("float32")
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> layers = [nacre.Input((2,)), nacre.layers.Dense(32), nacre.layers.Dense(32), nacre.layers.Dense(2, "softmax")]
    >>> model = nacre.Sequential(layers)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> found = nacre.diagnose(model, x, y)
    >>> found.findings[0].name
    'missing non-linearity'
    """
    size = 32 if batch_size is None else batch_size
    model.rows_of(x, y)  # a model that is built for these rows draws its weights as it would in fit
    case = _case_of(model, x, y, size, epochs, validation_split, validation_data, shuffle, class_weight)
    figures = history if history is not None else model.history
    figures = getattr(figures, "history", figures)
    with seeded(0):
        return examine(case, figures if isinstance(figures, Mapping) else None)


def examine(case: Case, history: Mapping[str, list[float]] | None = None) -> Diagnosis:
    """Ask the rules: those for causes; unless one is grave, those for consequences; unless one is found, those for the rest."""
    facts = Facts(case, history)
    if not facts.fresh and facts.learned_so_far < _FAILED:
        facts = Facts(case.fresh(), history)  # what went wrong is seen from its beginning
    found: list[Finding] = []
    for rules, enough in ((CAUSES, _GRAVE), (CONSEQUENCES, REMARK), (LAST, REMARK)):
        asked = [finding for rule in rules for finding in rule(facts)]
        found += [one for finding in asked if (one := finding if finding.sure else _tried(facts, finding)) is not None]
        if any(finding.severity >= enough for finding in found):
            break
    ranked = sorted(found, key=lambda finding: -finding.severity)
    names = [finding.name for finding in ranked]
    once = [finding for n, finding in enumerate(ranked) if finding.name not in names[:n]]
    return Diagnosis(once, facts.case, facts.trial.judged)


def _tried(facts: Facts, finding: Finding) -> Finding | None:
    """The finding with what its fix made better, or None if that is too little."""
    assert finding.fix is not None
    after = facts.try_(finding.fix.change(facts.case)).judged
    before = facts.trial.judged
    gain = after.figure - before.figure
    if not gain > finding.needed * (1.0 if np.isfinite(after.recall) or np.isfinite(after.r2) else abs(before.figure)):
        return None
    return replace(finding, tried={"in a short training, as it is": str(before), "with the fix": str(after)})


def _case_of(
    model: Model,
    x: Any,
    y: Any,
    batch_size: int,
    epochs: int | None,
    validation_split: float,
    validation_data: Any,
    shuffle: bool,
    class_weight: Mapping[int, float] | None,
) -> Case:
    count, some = model.rows_of(x, y)
    rows = np.arange(count)
    if validation_data is not None:
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            raise Limitation(
                "The doctor takes validation_data as a pair of arrays.", hint="validation_data=(x_val, y_val)"
            )
        held, some_held = model.rows_of(*validation_data[:2])
        x_held, y_held = some_held(np.arange(held))
    else:
        kept = count - int(count * (validation_split or 0))
        if not validation_split:
            rows = np.random.default_rng(0).permutation(count) if shuffle else rows
            kept = max(1, count - max(1, int(count * _HELD_OUT)))
        x_held, y_held = some(rows[kept:])
        rows = np.sort(rows[:kept])
    x_train, y_train = some(rows)
    return Case(
        model, _plain(x_train), _plain(y_train), _plain(x_held), _plain(y_held),
        validation_data is not None or bool(validation_split), batch_size, epochs, shuffle, class_weight,
    )  # fmt: skip


def _plain(arrays: Mapping[str, Any]) -> Inputs:
    return {name: np.asarray(array) for name, array in arrays.items()}
