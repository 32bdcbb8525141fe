"""The whole examination: every rule is asked, doubtful findings are tried, and what is left is ranked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nacre.data.stream import is_stream
from nacre.doctor.case import Case
from nacre.doctor.facts import Facts, how_far
from nacre.doctor.finding import REMARK, Finding, many
from nacre.doctor.findings import BY_HEART, CAUSES, CONSEQUENCES, LAST
from nacre.doctor.rows import Rows, divided, rows_of
from nacre.doctor.task import Task
from nacre.doctor.trial import Score, Trial, judge, run
from nacre.errors import UsageError
from nacre.models import Model
from nacre.models.files import copied
from nacre.ops import seeded

_FEW = 20  # rows
_HELD_OUT = 0.2  # of the rows, where there is no validation
_GRAVE = 75  # what is as severe explains poor results by itself
_WELL = 0.4  # of what there is to learn, on other rows: then only what makes it better still is an alarm
_FAILED = 0.3  # of what there is to learn: a trained network that came no further has failed


@dataclass(frozen=True)
class Proof:
    """Both branches: as it was (``unfixed``), and with the ``finding``'s fix (``fixed``, a training of ``case``). ``also`` names
    findings whose fixes were needed besides, ``judged_on`` says which rows both are judged by."""

    finding: Finding
    unfixed: Trial
    fixed: Trial
    case: Case
    also: tuple[str, ...] = ()
    judged_on: str = "the rows for validation"

    @property
    def before(self) -> Score:
        """How good the branch is that was left as it was."""
        return self.unfixed.judged

    @property
    def after(self) -> Score:
        """How good the branch with the fix is."""
        return self.fixed.judged

    @property
    def helped(self) -> bool:
        """Whether the rows for validation are predicted better: more of them, or as many and more surely."""
        return better(self.before, self.after, self.unfixed.broke)

    @property
    def model(self) -> Model:
        """The better branch's; where the finding is one of structure, that with the fix."""
        return (self.fixed if self.helped or self.finding.structure else self.unfixed).model

    def __str__(self) -> str:
        verdict = "it helped" if self.helped else "it did not help"
        if self.finding.name == "leakage" and not self.helped:
            verdict = "the score without it is the honest one"
        both = f" (with that of {', '.join(map(repr, self.also))})" if self.also else ""
        meant = many(self.fixed.meant, "epoch")

        def line(trial: Trial) -> str:
            ran = many(trial.ran, "epoch")
            earlier = f", after {ran}" if ran != meant and not trial.broke else ""
            return f"{'the loss was not finite; ' * trial.broke}{trial.judged}{earlier}"

        return (
            f"{verdict}{both}: after {meant} of {many(self.unfixed.rows, 'row')}, on {self.judged_on}\n"
            f"  as it was  {line(self.unfixed)}\n"
            f"  fixed      {line(self.fixed)}"
        )

    def document(self) -> dict[str, Any]:
        """The proof as JSON can hold it."""
        figures = {
            name: {k: v for k, v in vars(trial.judged).items() if np.isfinite(v)} | {"epochs": trial.ran}
            for name, trial in (("before", self.unfixed), ("after", self.fixed))
        }
        return {
            "finding": self.finding.name,
            "also": list(self.also),
            "helped": self.helped,
            "epochs": self.fixed.meant,
            "rows": self.unfixed.rows,
            "judged_on": self.judged_on,
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
    guess: str = ""

    @property
    def alarms(self) -> list[Finding]:
        """Findings that something should be done about."""
        return [finding for finding in self.findings if finding.alarm]

    def fix(
        self,
        number: int = 0,
        epochs: int | None = None,
        start: Case | None = None,
        remade: Callable[[Case, int], Case] = lambda case, _: case,
    ) -> Proof:
        """Apply the fix of a finding, the first unless said otherwise, to a fork; train both branches for a while, and compare.

        Both see the same rows in the same order, for ``epochs`` passes, or as long as a trial of the examination. The model that
        was examined stays as it is. ``start`` is the same training at a later step: both branches go on from there, but for a fix
        that needs fresh weights, which `Fix.keeps` tells. ``remade`` may give a fixed case, which is trained for so many epochs,
        another network to begin with.

        Raises `UsageError` if there is no such finding, or none that can be fixed by itself.
        """
        able = [finding for finding in self.findings if finding.fix is not None]
        if not 0 <= number < len(able):
            raise UsageError(
                f"There is no finding {number} with a fix.",
                {"findings with a fix": ", ".join(f.name for f in able) or "none"},
            )
        first, *others = able[number], *(f for f in able[number + 1 :] if f.alarm)
        assert first.fix is not None
        keeps = first.fix.keeps and start is not None
        others = [f for f in others if f.fix is not None and (f.fix.keeps or not keeps)]
        case = self.case if start is None else start
        facts = Facts(case)
        rows, usual = facts.plan
        plan = (len(case), epochs) if epochs is not None else (rows, usual)
        with seeded(0):
            before, changed, also = None, case, tuple[str, ...]()
            for finding in (first, *others[:2]):  # where two things are wrong, mending one may not be enough
                assert finding.fix is not None
                changed = finding.fix.change(changed)
                meant = case.epochs, changed.epochs
                short, long = (plan[1], plan[1]) if meant[0] == meant[1] else (meant[0] or plan[1], meant[1] or plan[1])
                before = run(case, facts.task, (plan[0], short)) if before is None else before
                fixed = remade(changed, long)
                fixed = fixed.going_on(case.model) if keeps else fixed
                also = also if finding is first else (*also, finding.name)
                after = run(fixed, Task.of(fixed.model, fixed.y), (min(plan[0], len(fixed)), long))
                proof = Proof(first, before, after, fixed, also)
                if proof.helped or first.structure:
                    break
        return proof

    def well(self, start: Case) -> bool:
        """Whether the training, at a later step, still was as it should be: a good part was learned, and the loss was below that
        of the beginning."""
        task = Task.of(start.model, start.y)
        now, begun = (judge(start, task, model) for model in (start.model, self.case.model))
        return how_far(now, task) >= _FAILED and now.loss < begun.loss

    def document(self) -> dict[str, Any]:
        """The diagnosis as JSON can hold it."""
        reached = {name: value for name, value in vars(self.score).items() if np.isfinite(value)}
        found = [finding.document() for finding in self.findings]
        return {"note": self.case.note, "findings": found, "reached": reached}

    def __str__(self) -> str:
        if not self.alarms:
            head = f"Nothing is wrong that the doctor knows of. A short training reaches {self.score} on other rows{self.guess}."
        else:
            head = f"{len(self.alarms)} finding{'s' * (len(self.alarms) > 1)}, the likeliest cause first."
        parts = [f"{n}. {finding}" for n, finding in enumerate(self.alarms, 1)]
        remarks = [f"   {f.name}: {f.title}" for f in self.findings if not f.alarm]
        note = [self.case.note] if self.case.note else []
        return "\n\n".join([*note, head, *parts, *(["remarks\n" + "\n".join(remarks)] if remarks else [])])


def diagnose(
    model: Model,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    steps_per_epoch: int | None = None,
    history: Any = None,
) -> Diagnosis:
    """Say why a training fails, or will fail: what is measured of data, network and a short training, the likeliest cause first.

    The arguments are those of `Model.fit`: put ``nacre.diagnose(model,`` in the place of ``model.fit(``. Copies of the compiled
    model are trained; the model stays as it is. ``history`` is the `History` of a training that went wrong, by default the model's
    last one. Without validation rows, a fifth of the rows is held out. The same call finds the same, to the last bit.

    Rows count as much as their ``sample_weight`` says, in the trainings and wherever it is judged how good they are; gradients are
    looked at with all rows alike. Of an iterable of batches, the first are looked at, 20,000 rows or 256 MB at most (a generator is
    then that much further), and as many rows, from all over, of data that are read in pieces; `Case.note` says so.

    Each finding has the name that the field has for it, the numbers that show it, an explanation, and mostly a fix, as code and,
    by `Diagnosis.fix`, tried. Raises what `Model.fit` raises for data that do not fit.

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
    case = case_of(
        model,
        x,
        y,
        batch_size,
        epochs,
        validation_split,
        validation_data,
        shuffle,
        class_weight,
        sample_weight,
        steps_per_epoch,
    )
    copied(
        model,
        "The doctor trains copies of the model",
        "functions and layers with names of their own: def loss(y_true, y_pred)",
    )
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
        found += [one for finding in asked if (one := _weighed(facts, finding)) is not None]
        if any(finding.severity >= enough for finding in found):
            break
    ranked = sorted(found, key=lambda finding: -finding.severity)
    names = [finding.name for finding in ranked]
    once = [finding for n, finding in enumerate(ranked) if finding.name not in names[:n]]
    classes = facts.task.kind == "classes"
    guess = f"; always saying the most frequent class, {facts.mass.max() / facts.mass.sum():.3f}" if classes else ""
    return Diagnosis(once, facts.case, facts.trial.judged, guess)


def last_good_epoch(finding: Finding, figures: Mapping[str, list[float]]) -> int:
    """How many epochs of a training went well, going by its figures: up to the best validation loss, or up to the lowest loss where
    none was watched; then rows learned by heart do not show, and a finding of such is from the beginning.

    >>> last_good_epoch(Finding("learning rate too large", "", 74, {}, ""), {"loss": [2.1, 0.4, 0.3, 7.5, float("nan")]})
    3
    """
    by_heart = finding.name in BY_HEART
    watched = np.asarray(figures.get("val_loss") or ([] if by_heart else figures.get("loss", [])), np.float64)
    return int(np.nanargmin(watched)) + 1 if np.isfinite(watched).any() else 0


def better(before: Score, after: Score, broke: bool = False) -> bool:
    """Whether a score is clearly better than another."""
    if broke or not np.isfinite(before.figure):
        return bool(np.isfinite(after.figure))
    if np.isfinite(after.recall) and not np.isfinite(after.r2):
        more = after.recall - before.recall
        return more > 0.01 or (more > -0.03 and after.log_loss < 0.9 * before.log_loss)
    return after.figure > before.figure + 0.01 * (abs(before.figure) if not np.isfinite(after.r2) else 1.0)


def _weighed(facts: Facts, finding: Finding) -> Finding | None:
    """A finding as it is, if it is sure or explains a failure; else if its fix helps; else a remark, or nothing."""
    if finding.structure or not finding.alarm:
        return finding
    well = facts.judged > _WELL
    if finding.sure and not well:
        return finding
    if finding.fix is None:
        return finding if finding.sure and not well else replace(finding, severity=REMARK // 2)
    after = facts.try_(finding.fix.change(facts.case)).judged
    before = facts.trial.judged
    tried = {"in a short training, as it is": str(before), "with the fix": str(after)}
    if finding.sure:
        return replace(finding, tried=tried) if better(before, after) else replace(finding, severity=REMARK // 2)
    gain = after.figure - before.figure
    scale = 1.0 if np.isfinite(after.recall) or np.isfinite(after.r2) else abs(before.figure)
    return replace(finding, tried=tried) if gain > finding.needed * scale or facts.trial.broke else None


def case_of(
    model: Model,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    epochs: int | None = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: Mapping[int, float] | None = None,
    sample_weight: Any = None,
    steps_per_epoch: int | None = None,
) -> Case:
    """A training of a compiled model with these arguments of `Model.fit`; see `diagnose`."""
    for what, given in (("batch_size", batch_size), ("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
        if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
            raise UsageError(f"{what} is a whole number from 1 on, got {given!r}.")
    if not isinstance(validation_split, int | float) or not 0 <= validation_split < 1:
        raise UsageError(f"validation_split lies in [0, 1), got {validation_split!r}.")
    if validation_split and validation_data is None:
        train, judge = divided(model, x, y, sample_weight, validation_split)
        kept, held = np.arange(len(train)), np.arange(len(judge))
    else:
        train = judge = rows_of(model, x, y, sample_weight, steps_per_epoch)
        kept, held = np.arange(len(train)), np.arange(len(train))
    if train.batch is not None:
        if batch_size is not None:
            raise UsageError("batch_size and validation_split are for arrays, but x is an iterable of batches.")
        batch_size, shuffle = train.batch, False  # as the batches come
    if validation_data is not None:
        judge = _judging(model, validation_data)
        held = np.arange(len(judge))
    elif (
        judge is train and len(train) >= _FEW
    ):  # of fewer, nothing can be held out: it is judged by the rows it is trained on
        order = np.random.default_rng(0).permutation(len(train)) if shuffle else kept
        at = len(train) - max(1, int(len(train) * _HELD_OUT))
        kept, held = np.sort(order[:at]), order[at:]
    x_train, y_train, weights = train.take(kept)
    x_held, y_held, weights_held = judge.take(held)
    return Case(
        model, x_train, y_train, x_held, y_held,
        validation_data is not None or bool(validation_split),
        validation_data is None and bool(validation_split),
        32 if batch_size is None else batch_size, epochs, shuffle, class_weight, weights, weights_held, train.told,
    )  # fmt: skip


def _judging(model: Model, given: Any) -> Rows:
    """The rows for validation, given as `Model.fit` takes them."""
    if isinstance(given, tuple | list) and len(given) in (2, 3) and not is_stream(given):
        return rows_of(model, *given)
    return rows_of(model, given)
