"""nacre tune: many trainings with other settings, and the best of them once more."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import click

from nacre import activations, optimizers
from nacre.callbacks import Callback, EarlyStopping
from nacre.cli.moments import terms
from nacre.cli.networks import network, widths_of
from nacre.cli.options import JSON, QUIET, complete_data, show
from nacre.cli.settings import Settings, augmentation
from nacre.cli.sources import Source
from nacre.cli.train import begin, carry_out, describe, document, opened, settings_for, training_options
from nacre.cli.waiting import waiting
from nacre.errors import NonFiniteLossError, UsageError, find, guest
from nacre.files import write_whole
from nacre.models import Model
from nacre.ops import set_random_seed
from nacre.plain import plain
from nacre.progress import showing
from nacre.training import side_by_side
from nacre.training.run import BEST, SETTINGS, Run

TRIALS = "trials.jsonl"
_LIMITS: Mapping[str, tuple[float, float]] = {  # what may be varied between two numbers, and what makes sense
    "learning_rate": (1e-12, 1e6),
    "batch_size": (1, 2**31),
    "dropout": (0, 0.999),
    "momentum": (0, 0.9999),
}
_FEW = 100  # whole numbers that are gone through one by one, if there are enough trials
_SHARE = 0.2  # of the rows, to judge by, where nothing is said
_VARIED = (*_LIMITS, "model", "activation", "optimizer", "augment")
_USUAL: Mapping[str, Sequence[str]] = {
    "learning_rate": ["1e-4..1e-1"],
    "batch_size": ["16", "32", "64", "128", "256", "512"],
    "dropout": ["0..0.5"],
    "model": [f"mlp:{','.join([str(width)] * depth)}" for depth in (1, 2, 3) for width in (32, 64, 128, 256, 512)],
}


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, whole ones or not; ``log`` if they are tried by their order of magnitude."""

    low: float
    high: float
    whole: bool

    @property
    def log(self) -> bool:
        """Whether orders of magnitude count."""
        return self.low > 0 and self.high / self.low >= 50

    @property
    def all(self) -> Choices | None:
        """All of the numbers, if they are whole and few."""
        few = self.whole and self.high - self.low < _FEW
        return tuple(range(int(self.low), int(self.high) + 1)) if few else None


Choices = tuple[Any, ...]


def space_of(said: Sequence[str]) -> dict[str, Range | Choices]:
    """What is varied, and between what, out of texts such as dropout=0..0.5, or several model=mlp:64.

    >>> space_of(["dropout=0..0.5", "model=mlp:64", "model=mlp:64,32"])
    {'dropout': Range(low=0.0, high=0.5, whole=False), 'model': ('mlp:64', 'mlp:64,32')}
    """
    given: dict[str, list[str]] = {}
    for text in said:
        name, mark, value = text.partition("=")
        if not mark or not value:
            raise UsageError(f"--vary {text!r} does not say what is tried.", hint="--vary dropout=0..0.5")
        name = name.replace("-", "_")
        find("setting that can be varied", name, dict.fromkeys(_VARIED))
        given.setdefault(name, []).append(value)
    return {name: _tried(name, values) for name, values in given.items()}


def _tried(name: str, values: Sequence[str]) -> Range | Choices:
    whole = name == "batch_size"
    try:
        if name in _LIMITS and len(values) == 1 and ".." in values[0]:
            low, high = (float(end) for end in re.split(r"\.\.(?=[^.]|\.\d)", values[0], maxsplit=1))
            _check(name, low, high)
            if whole and (low % 1 or high % 1):
                raise ValueError(values[0])
            return Range(low, high, whole)
        found = tuple(int(v) if whole else float(v) if name in _LIMITS else v for v in values)
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        said = (
            " ".join(f"--vary {name}={value}" for value in values[0].split(","))
            if "," in values[0]
            else f"--vary {name}=LOW..HIGH"
        )
        raise UsageError(f"--vary {name}={values[0]} is neither a value nor a range.", hint=said) from error
    for value in found:
        if name in _LIMITS:
            _check(name, float(value), math.inf)
        elif name == "model" and widths_of(str(value)) is None and ".py:" not in str(value):
            raise UsageError(f"{value!r} is no network.", hint="mlp:128,64, or a function in a file: model.py:build")
        elif name in ("optimizer", "activation"):
            (optimizers if name == "optimizer" else activations).get(value)
        elif name == "augment":
            augmentation(str(value))
    if len(set(found)) < len(found):
        raise UsageError(f"--vary {name} is given the same value twice.")
    return found


def _check(name: str, low: float, high: float) -> None:
    least, most = _LIMITS[name]
    if not (math.isfinite(low) and low != high and not math.isnan(high)):
        raise UsageError(f"--vary {name}={low:g}..{high:g} is no range.", hint=f"--vary {name}=LOW..HIGH")
    if not low < high:
        raise UsageError(f"--vary {name}={low:g}..{high:g} goes down.", hint=f"--vary {name}={high:g}..{low:g}")
    if low < least or (math.isfinite(high) and high > most) or low > most:
        what = f"{low:g}..{high:g}" if math.isfinite(high) else f"{low:g}"
        raise UsageError(f"--vary {name}={what} goes beyond what makes sense, {least:g} to {most:g}.")


def finite(space: Mapping[str, Range | Choices]) -> list[dict[str, Any]] | None:
    """All settings of a space, if there are only so many."""
    values = [of.all if isinstance(of, Range) else of for of in space.values()]
    found = [one for one in values if one is not None]
    return None if len(found) < len(space) else [dict(zip(space, one, strict=True)) for one in product(*found)]


class _Reported(Callback):
    """Tells the search how an epoch went, and ends what it has given up."""

    def __init__(self, trial: Any, epochs: int, stopped: Callable[[], bool], show: Callable[[], None]) -> None:
        self.trial, self.epochs, self.stopped, self.show = trial, epochs, stopped, show
        self.given_up = False
        self.losses: list[float] = []

    @property
    def best(self) -> float:
        """The lowest loss so far."""
        return min((loss for loss in self.losses if math.isfinite(loss)), default=math.inf)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Look at the loss on the rows to watch by."""
        loss = (logs or {})["val_loss"]
        self.losses.append(loss)
        self.trial.report(loss, epoch)
        self.given_up = epoch + 1 < self.epochs and self.trial.should_prune()
        self.show()
        assert self.model is not None
        if self.given_up or self.stopped():
            self.model.stop_training = True


@dataclass(frozen=True)
class Search:
    """How settings are searched. The fields are options of the command."""

    trials: int = 20
    search: str = "tpe"
    prune: bool = True
    jobs: int = 0
    vary: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Search:
        """A search out of run.toml."""
        try:
            return cls(**{**found, "vary": tuple(found["vary"])})
        except (KeyError, TypeError) as error:
            raise UsageError(f"These are no settings of nacre tune: {error}.") from error


class Trials:
    """Trainings with different settings, each on one thread, several side by side. Those that ended are kept in trials.jsonl, from
    which the search goes on."""

    def __init__(
        self, search: Search, settings: Settings, source: Source, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.search, self.settings, self.source, self.folder, self.say = search, settings, source, folder, say
        self.space = space_of(search.vary)
        self.show = showing()  # threads do not see who watches this one
        path = folder / TRIALS
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.done: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self._optuna = guest("optuna", "nacre tune", "tune")
        self._distributions = {name: self._distribution(between) for name, between in self.space.items()}
        self._study = self._open()
        self._lock = Lock()  # weights are drawn by one at a time, so that they follow from the seed
        self._stop = False
        self._begun, self._before = time.monotonic(), len(self.done)
        self._epochs = 0

    @property
    def best(self) -> dict[str, Any] | None:
        """The trial with the lowest loss."""
        whole = [one for one in self.done if one["state"] == "complete"]
        return min(whole, key=lambda one: (one["val_loss"], one["trial"]), default=None)

    def run(self) -> None:
        """Carry out those that are left."""
        left = iter(range(self.search.trials - len(self.done)))

        def work() -> None:
            while not self._stop:
                with self._lock:
                    if next(left, None) is None:
                        return
                    trial = self._study.ask(self._distributions)
                    settings = self.settings.with_(**trial.params)
                    set_random_seed(settings.seed)
                    model = network(settings, self.source)
                self._try(trial, settings, model)

        side_by_side([work] * min(self.search.trials, self.search.jobs or self.search.trials), self._end)

    def _open(self) -> Any:
        """A study that knows the trials that are done."""
        optuna = self._optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        samplers, pruners = optuna.samplers, optuna.pruners
        sampler = samplers.TPESampler if self.search.search == "tpe" else samplers.RandomSampler
        pruner = pruners.HyperbandPruner(1, self.settings.epochs) if self.search.prune else pruners.NopPruner()
        sampled = sampler(seed=self.settings.seed + len(self.done))
        study = optuna.create_study(sampler=sampled, pruner=pruner, study_name="nacre")  # hyperband goes by the name
        for one in self.done:
            losses = {epoch: float(loss) for epoch, loss in enumerate(one["val_losses"])}
            study.add_trial(
                optuna.trial.create_trial(
                    state=self._state(one["state"]),
                    value=one["val_loss"] if one["state"] == "complete" else None,
                    params=one["settings"],
                    distributions=self._distributions,
                    intermediate_values=losses,
                )
            )
        done = [one["settings"] for one in self.done]
        every = finite(self.space)
        if every is not None and len(every) <= self.search.trials:
            for settings in every:  # each once
                if settings not in done:
                    study.enqueue_trial(settings)
        return study

    def _distribution(self, of: Range | Choices) -> Any:
        kinds = self._optuna.distributions
        if not isinstance(of, Range):
            return kinds.CategoricalDistribution(of)
        if of.whole:
            return kinds.IntDistribution(int(of.low), int(of.high), log=of.log)
        return kinds.FloatDistribution(of.low, of.high, log=of.log)

    def _state(self, name: str) -> Any:
        states = self._optuna.trial.TrialState
        return {"complete": states.COMPLETE, "given up": states.PRUNED, "failed": states.FAIL}[name]

    def _end(self) -> None:
        self._stop = True

    def _try(self, trial: Any, settings: Settings, model: Model) -> None:
        watch = _Reported(trial, settings.epochs, lambda: self._stop, self._tell)
        callbacks: list[Callback] = [watch, *([EarlyStopping(patience=settings.patience)] if settings.patience else [])]
        begun, state = time.monotonic(), "complete"
        try:
            model.fit(**terms(settings, self.source), verbose=0, callbacks=callbacks)
        except NonFiniteLossError:
            state = "failed"
        if self._stop:
            return
        state = "given up" if watch.given_up else state if math.isfinite(watch.best) else "failed"
        with self._lock:
            self._note(trial, watch, state, time.monotonic() - begun)

    def _note(self, trial: Any, watch: _Reported, state: str, seconds: float) -> None:
        self._study.tell(trial, watch.best if state == "complete" else None, state=self._state(state))
        self.done.append(
            {
                "trial": len(self.done) + 1,
                "val_loss": plain(watch.best),
                "state": state,
                "epochs": len(watch.losses),
                "val_losses": [plain(loss) for loss in watch.losses],
                "seconds": round(seconds, 3),
                "settings": dict(trial.params),
            }
        )
        write_whole(self.folder / TRIALS, ["".join(f"{json.dumps(one)}\n" for one in self.done).encode()])
        done, count, best = len(self.done), self.search.trials, self.best
        left = (time.monotonic() - self._begun) / (done - self._before) * (count - done)
        told = f"best {best['val_loss']:.4f} of trial {best['trial']}" if best else "none ended yet"
        self.say(
            f"{done}/{count}  {watch.best:.4f} {state} after {len(watch.losses)} epochs ({told}; {left:,.0f} s left)  "
            f"{_said(trial.params)}"
        )

    def _tell(self) -> None:
        """Another epoch of some trial is over."""
        with self._lock:
            self._epochs += 1
            done = len(self.done) - self._before  # those that ended early count as whole
            most = (self.search.trials - self._before) * self.settings.epochs
            self.show("Trials", min(max(self._epochs, done * self.settings.epochs), most), most, "epochs")


def _said(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


@click.command()
@click.argument("data", shell_complete=complete_data)
@training_options
@click.option("--trials", type=click.IntRange(1), default=20, help="How many settings are tried.")
@click.option(
    "--search", "way", type=click.Choice(["tpe", "random"]), default="tpe", help="By what was good, or by chance."
)
@click.option("--prune/--no-prune", default=True, help="Give up early, by hyperband, on what does worse than others.")
@click.option(
    "--jobs", type=click.IntRange(0), default=0, help="Trials at a time, one for each core at most; 0: so many."
)
@click.option(
    "--vary",
    multiple=True,
    help="What is tried: NAME=LOW..HIGH, or NAME=VALUE several times.  [default: learning rate, batch size, dropout, layers]",
)
@click.option("--out", type=click.Path(path_type=Path), help="A new folder.  [default: runs/tune-DATE-NNN]")
@JSON
@QUIET
def tune(
    data: str,
    trials: int,
    way: str,
    prune: bool,
    jobs: int,
    vary: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Try settings for training on DATA, and train once more with the best.

    What may be given to "nacre train" may be given here, and stays as it is. The rest is tried: what --vary says, or learning rate,
    batch size, dropout, and number and width of layers. Trials are judged by the best loss on the validation part, never by the
    test part. Each runs on one thread, as many side by side as there are cores.

    The folder gets a line for each trial in trials.jsonl, and in best/ a run like those of "nacre train": model, history, report.
    With --jobs 1, the same seed tries the same settings; the run in best/ repeats to the bit in any case. What was stopped goes on
    with "nacre resume".

    \b
    Examples:
      nacre tune digits --trials 3 --epochs 2 --out tuned
      nacre tune people.csv --target income --trials 4 --epochs 3
      nacre tune digits --vary learning_rate=0.01..0.5 --vary model=mlp:64 --vary model=mlp:64,64 --trials 2 --epochs 1
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    usual = [f"{name}={value}" for name, values in _USUAL.items() if name not in given for value in values]
    varied = Search(trials, way, prune, jobs, vary or tuple(usual))
    if twice := [name for name in space_of(varied.vary) if name in given]:
        raise UsageError(f"--{twice[0].replace('_', '-')} is given, and to be varied.", hint="leave out one of them")
    if not varied.vary:
        raise UsageError("Everything is given, nothing is left to try.", hint="--vary dropout=0..0.5")
    guest("optuna", "nacre tune", "tune")
    if (every := finite(space_of(varied.vary))) is not None:
        varied = replace(varied, trials=min(trials, len(every)))
    settings = settings_for(data, None, given)
    settings = settings if settings.validation_split else settings.with_(validation_split=_SHARE)
    run = begin(settings, out, "tune", tune=asdict(varied))
    search(run, settings, varied, as_json, quiet)


def search(run: Run, settings: Settings, varied: Search, as_json: bool, quiet: bool) -> None:
    """Carry out the trials that are left, then train with the best."""

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr, flush=True)

    settings, source = opened(settings, quiet)
    if "validation" not in source.parts:
        raise UsageError("There are no rows to judge by.", hint="--validation-split 0.2")
    names = ", ".join(name.replace("_", " ") for name in space_of(varied.vary))
    try:
        with waiting(f"Trying {names}, {varied.trials} times, in {run.folder}", quiet):
            trials = Trials(varied, settings, source, run.folder, say)
            trials.run()
    except KeyboardInterrupt:
        best = trials.best
        told = f"The best: {_said(best['settings'])}" if best else "None came to its end."
        raise KeyboardInterrupt(
            f"Stopped after {len(trials.done)} trials. {told}\nTo go on: nacre resume {shlex.quote(str(run.folder))}"
        ) from None
    best = trials.best
    if best is None:
        raise UsageError("No trial came to its end with a loss that is a number.", hint="smaller learning rates")
    chosen = settings.with_(**best["settings"])
    say(f"Training with the best, of trial {best['trial']}: {_said(best['settings'])}")
    folder = run.folder / BEST
    begun = (folder / SETTINGS).is_file()
    outcome = carry_out(chosen, source, lambda: Run.open(folder) if begun else begin(chosen, folder), quiet)
    show(
        as_json,
        document(chosen, outcome) | {"best": best, "trials": trials.done},
        f"{_table(trials.done)}\n\n{describe(outcome)}",
    )


def _table(trials: Sequence[Mapping[str, Any]]) -> str:
    """The best trials."""
    ended = sorted((one for one in trials if one["state"] == "complete"), key=lambda one: one["val_loss"])[:5]
    names = list(ended[0]["settings"])
    rows = [["trial", "val_loss", "epochs", *names]]
    rows += [
        [str(one["trial"]), f"{one['val_loss']:.4f}", str(one["epochs"]), *(_short(one["settings"][n]) for n in names)]
        for one in ended
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
