"""What the doctor advises for a run, tried on a fork of it from its last good step; the fixed branch is a run of its own."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nacre import activations, initializers
from nacre.callbacks import EarlyStopping
from nacre.cli.moments import CHANGEABLE, last_step, model_at, phases_until, steps_of, terms
from nacre.cli.networks import network, widths_of
from nacre.cli.report import write_report
from nacre.cli.settings import Settings
from nacre.cli.sources import Source
from nacre.cli.train import Outcome, begin
from nacre.configured import serialize, snake_case
from nacre.doctor import Case, Diagnosis, Finding, Proof, case_of, last_good_epoch, plan_of
from nacre.layers import Dense, Dropout
from nacre.models import Model, Sequential
from nacre.ops.random import seeded
from nacre.training.history import History
from nacre.training.run import Run

ASIDE = 0.2  # of the rows to train on, where a run kept none to be judged by
NO_RUN = "none: the loss broke, or the fix changed the data, for which alone its model is good"
_ANEW = "the fix changes the network, the weights it begins with, or the data"


@dataclass(frozen=True)
class Fork:
    """Where a fix is tried: after ``epochs`` epochs of a run, which is ``step``, and ``why`` there; ``case`` is the training that
    goes on from there, ``sampled`` tells that it has only some of the rows to train on."""

    run: Run
    settings: Settings
    source: Source
    sampled: bool
    epochs: int
    step: int
    why: str
    case: Case

    @property
    def judged_on(self) -> str:
        """Which rows both branches are judged by."""
        return f"the {_judge(self.source)} part"

    def told(self, proof: Proof) -> str:
        """Where the branches begin, in words."""
        if not self.step:
            fresh = "" if _keeps(proof.finding) else ", with fresh weights"
            return f"from the beginning{fresh}: {self.why}"
        of = len(next(iter(self.run.figures.values())))
        return f"from step {self.step:,}, the end of epoch {self.epochs} of {of}, with the weights of then: {self.why}"

    def noted(self, proof: Proof) -> dict[str, Any]:
        """The same for programs: of which run it is a fork, where, with which fixes; and whether options of `nacre train` say
        these, so that run.toml repeats it."""
        settings = self.nearest(proof.case, proof.fixed.meant)
        return {
            "of": str(self.run.folder.resolve()),
            "step": self.step,
            "epoch": self.epochs,
            "why": self.why,
            "finding": proof.finding.name,
            "also": list(proof.also),
            "weights": "kept" if _keeps(proof.finding) else "fresh",
            "repeats": proof.fixed.rows == len(proof.case) and self.says(settings, proof.case),
        }

    def remade(self, changed: Case, epochs: int) -> Case:
        """A fixed case with the very network that `nacre train` makes, where its options say the fix."""
        settings = self.nearest(changed, epochs)
        return changed.with_(model=self._network(settings)) if self.says(settings, changed) else changed

    def nearest(self, fixed: Case, epochs: int) -> Settings:
        """The options of `nacre train` that are nearest to a fixed case of so many epochs."""
        model, before = fixed.model, self.settings
        hidden = [layer for layer in model.layers if isinstance(layer, Dense)][: -len(model.output_names)]
        rates = [layer.rate for layer in model.layers if isinstance(layer, Dropout)]
        config = model.optimizer.get_config()
        said: dict[str, Any] = {
            "epochs": self.epochs + epochs,
            "batch_size": fixed.batch_size,
            "balanced": fixed.class_weight is not None,
            "patience": next((one.patience for one in fixed.stop() if isinstance(one, EarlyStopping)), 0),
            "momentum": config.get("momentum", 0.0),
        }
        if (widths := widths_of(before.model)) is not None:
            said["dropout"] = rates[0] if rates else 0.0
            if (units := [layer.units for layer in hidden]) != widths:
                said["model"] = "mlp:" + (",".join(map(str, units)) or "none")
            if hidden and hidden[0].activation is not activations.get(before.activation):
                said["activation"] = hidden[0].activation.__name__
            begin = type(hidden[0].kernel_initializer).__name__ if hidden else ""
            if begin and begin != type(initializers.get(before.kernel_initializer)).__name__:
                said["kernel_initializer"] = snake_case(begin)
        if isinstance(config["learning_rate"], float):
            said["learning_rate"] = config["learning_rate"]
        return before.with_(**said)

    def says(self, settings: Settings, fixed: Case) -> bool:
        """Whether these options say all of a fixed case, so that they repeat its training."""
        changed = {name for name, value in settings.options.items() if value != self.settings.options[name]}
        same = [getattr(fixed, name) is getattr(self.case, name) for name in ("x", "y", "x_validation", "y_validation")]
        return (
            not self.sampled
            and all(same)
            and fixed.class_weight == terms(settings, self.source)["class_weight"]
            # What early stopping has seen before the fork is not forgotten when the training is repeated.
            and (not self.step or (changed <= set(CHANGEABLE) and not (settings.patience and self.settings.patience)))
            and _described(self._network(settings)) == _described(fixed.model)
        )

    def _network(self, settings: Settings) -> Model:
        with seeded(settings.seed):
            return network(settings, self.source)


def fork_of(
    diagnosis: Diagnosis, run: Run, settings: Settings, source: Source, sampled: bool, quiet: bool = True
) -> Fork:
    """Where to try the first fix: at the end of the last epoch at which the run was well, by its own figures and by what its
    network then predicts; at the beginning for a fix that needs fresh weights, and where the run never was well. ``sampled``
    tells that the source has only some of the rows to train on; unless ``quiet``, people see how far the repeating is."""
    with seeded(settings.seed):
        begun = network(settings, source)
    fork = Fork(run, settings, source, sampled, 0, 0, _ANEW, _case(begun, settings, source))
    finding = next(finding for finding in diagnosis.alarms if finding.fix is not None)
    if not _keeps(finding):
        return fork
    if sampled:
        return replace(fork, why="only some of the rows are looked at")
    if settings != Settings.of(run.settings()):
        return replace(fork, why="the run held no rows out to be judged by, and a fifth is held out now")
    steps, watched = steps_of(settings, source), "val_loss" in run.figures
    epochs = min(last_good_epoch(finding, run.figures), last_step(run) // steps)
    forked = run.settings().get("before", [])
    if not epochs or (forked and epochs * steps < forked[-1]["until"]):
        return replace(fork, why="the figures of the run name no epoch up to which it went well")
    case = fork.case.going_on(model_at(run, epochs * steps, source, quiet))
    if not diagnosis.well(case):
        return replace(fork, why=f"the run never went well, not even at its best, in epoch {epochs}")
    best = "the validation loss was at its best" if watched else "the loss was at its lowest"
    return replace(fork, epochs=epochs, step=epochs * steps, why=best, case=case)


def try_fix(diagnosis: Diagnosis, fork: Fork) -> Proof:
    """Both branches, trained from the fork on and compared."""
    rows, _ = plan_of(fork.case)
    whole = rows < len(fork.case) <= 2 * rows  # one pass then, as options of nacre train can say it
    proof = diagnosis.fix(epochs=1 if whole else None, start=fork.case, remade=fork.remade)
    return replace(proof, judged_on=fork.judged_on)


def keep(fork: Fork, proof: Proof, out: Path | None, root: Path) -> Run | None:
    """The branch with the fix as a run, in ``out`` or the next ``root/fix-DATE-NNN``; none where it broke, or where the fix
    changed the rows by which it is judged, so that its model would not be one for the data of the run. Nothing is left behind if
    something comes in between."""
    fixed = proof.case
    if proof.fixed.broke or any(
        getattr(fixed, name) is not getattr(fork.case, name) for name in ("x_validation", "y_validation")
    ):
        return None
    settings = fork.nearest(fixed, proof.fixed.meant)
    kept = _keeps(proof.finding)
    earlier = phases_until(fork.run.settings(), fork.step) if fork.step else []
    earlier = [(fork.settings, 0)] if kept and not fork.step else earlier
    before = [{"until": until, "options": old.options} for old, until in earlier]
    said = shlex.join(["nacre", "doctor", str(fork.run.folder), "--fix"])
    run = begin(
        settings, out, "fix", root, command=said, fix=fork.noted(proof), **({"before": before} if before else {})
    )
    try:
        run.record(_history(fork, proof))
        proof.fixed.model.save(run.model)
        name, judge = fork.source.judge
        figures = proof.fixed.model.evaluate(judge.x, judge.y, verbose=0, return_dict=True)
        rows = proof.fixed.rows * proof.fixed.ran
        write_report(Outcome(proof.fixed.model, fork.source, run, name, figures, rows, proof.fixed.seconds), settings)
    except BaseException:
        shutil.rmtree(run.folder)
        raise
    return run


def _case(model: Model, settings: Settings, source: Source) -> Case:
    """The training of the run, from a model on, for as long as it is wanted: nothing ends it early. What is not watched in it is
    only judged by."""
    judge = source.parts[_judge(source)]
    given = terms(settings, source) | {"validation_data": (judge.x, judge.y)}
    return case_of(model, **given).with_(watched="validation" in source.parts)


def _judge(source: Source) -> str:
    return next(name for name in ("validation", "test", "train") if name in source.parts)


def _keeps(finding: Finding) -> bool:
    return finding.fix is not None and finding.fix.keeps


def _history(fork: Fork, proof: Proof) -> History:
    """The figures of the run up to the fork, and then those of the branch."""
    history = History()
    for figures, count in ((fork.run.figures, fork.epochs), (proof.fixed.epochs, proof.fixed.ran)):
        for epoch in range(count):
            history.append(len(history.epoch), {name: values[epoch] for name, values in figures.items()})
    return history


def _described(model: Model) -> Any:
    """What a model is and how it is compiled; in a row of layers, whatever these are called."""

    def nameless(described: Any) -> Any:
        if isinstance(described, dict):
            return {key: nameless(value) for key, value in described.items() if key != "name"}
        return [nameless(one) for one in described] if isinstance(described, list) else described

    architecture = serialize(model)
    return nameless(architecture) if isinstance(model, Sequential) else architecture, model.get_compile_config()
