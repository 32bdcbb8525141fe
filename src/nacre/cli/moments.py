"""Back to a step of a training: everything repeats to the bit, so the training is repeated up to there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nacre.callbacks import Callback, EarlyStopping
from nacre.cli.networks import network
from nacre.cli.settings import Settings
from nacre.cli.sources import Source, open_training
from nacre.cli.waiting import waiting
from nacre.errors import DataError, UsageError
from nacre.interop import safetensors
from nacre.models import Model
from nacre.ops.random import seeded
from nacre.progress import tell
from nacre.training.checkpoint import GoFrom, GoUntil, Moment, put
from nacre.training.run import Run

# Settings that leave data, order, weights and slots as they are.
CHANGEABLE = ("epochs", "learning_rate", "dropout", "patience")


def terms(settings: Settings, source: Source) -> dict[str, Any]:
    """What `Model.fit` is told by the settings."""
    validation = source.parts.get("validation")
    return {
        "x": source.train.x,
        "y": source.train.y,
        "batch_size": settings.batch_size,
        "epochs": settings.epochs,
        "validation_data": None if validation is None else (validation.x, validation.y),
        "class_weight": source.class_weight if settings.balanced else None,
    }


def stopping(settings: Settings, source: Source) -> list[Callback]:
    """What ends a training early, if the settings say so."""
    watched = settings.patience and "validation" in source.parts
    return [EarlyStopping(patience=settings.patience)] if watched else []


def steps_of(settings: Settings, source: Source) -> int:
    """Steps of an epoch."""
    return -(-len(source.train) // settings.batch_size)


def check_repeatable(noted: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a run with a fix that no options of `nacre train` say."""
    fix = noted.get("fix", {})
    if fix.get("repeats", True):
        return
    raise UsageError(
        "This run tries a fix that no options of nacre train say: it cannot be repeated, nor changed on the way.",
        {"fix": fix.get("finding"), "of": f"{fix.get('of')}, at step {fix.get('step')}"},
        f"go on from its model file, or try the fix again: {noted.get('command')}",
    )


def phases(noted: Mapping[str, Any]) -> list[tuple[Settings, int | None]]:
    """The settings of a run, each with the step until which they were those; None for the last. A run that is no fork has one."""
    check_repeatable(noted)
    before = noted.get("before", [])
    try:
        earlier = [
            (Settings.of({"data": noted["data"], "options": one["options"]}), int(one["until"])) for one in before
        ]
    except (KeyError, TypeError, ValueError) as error:
        reason = {"reason": f"{type(error).__name__}: {error}"}
        raise UsageError("These are no settings of nacre fork.", reason, "nacre fork begins a new one") from error
    return [*earlier, (Settings.of(noted), None)]


def phases_until(noted: Mapping[str, Any], step: int) -> list[tuple[Settings, int]]:
    """The settings up to a step, each with the step until which they were those."""
    found: list[tuple[Settings, int]] = []
    for settings, until in phases(noted):
        if until is None or until >= step:
            return [*found, (settings, step)]
        found.append((settings, until))
    raise AssertionError


def moment_before(run: Run, source: Source, quiet: bool = True) -> Moment | None:
    """Where the last settings of a run take over; None if they are the only ones. Unless ``quiet``, people see how far it is."""
    moment = None
    for settings, until in phases(run.settings())[:-1]:
        assert until is not None
        moment = _reach(run, settings, source, until, moment, quiet)[1]
    return moment


def last_step(run: Run) -> int:
    """How many steps the training took. Raises `UsageError` if it has not come to a model yet."""
    if not run.model.exists():
        raise UsageError(f"The run in {run.folder} has no model yet.", hint=f"nacre resume {run.folder}")
    _, metadata = safetensors.read(run.model)
    return int(json.loads(metadata["nacre"])["training"]["iterations"])


def check_step(run: Run, step: Any) -> int:
    """The step, if the run has it, else `UsageError`."""
    last = last_step(run)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= last:
        raise UsageError(f"The run in {run.folder} has the steps 0 to {last:,}, got {step!r}.", {"last step": last})
    return step


def model_at(run: Run, step: int, source: Source | None = None, quiet: bool = True) -> Model:
    """The model of a run after a step; see `Run.at`. ``source`` are its data, if they are open already. Unless ``quiet``, people
    see how far it is."""
    check_step(run, step)
    noted = run.settings()
    source = open_training(Settings.of(noted)) if source is None else source
    model, moment = None, None
    for settings, until in phases_until(noted, step):
        model, moment = _reach(run, settings, source, until, moment, quiet)
    assert model is not None
    _check_figures(run, model, step // steps_of(Settings.of(noted), source))
    return model


def _reach(
    run: Run, settings: Settings, source: Source, step: int, moment: Moment | None, quiet: bool
) -> tuple[Model, Moment]:
    """The model after a step, and all that the training was then; it begins anew, at a moment, or at what the run kept."""
    until = GoUntil(run.steps, step)
    begin = [] if moment is None else [GoFrom(moment)]
    with seeded(settings.seed), waiting(f"Repeating the training up to step {step:,}", quiet or not step):
        model = network(settings, source)
        callbacks = [*begin, until, *stopping(settings, source), _Telling(step)]
        model.fit(**terms(settings, source), verbose=0, callbacks=callbacks)
    if until.reached is None:
        raise _other(run, {"the training ended": f"after step {model.optimizer.iterations}, expected {step} or later"})
    put(model, until.reached)  # when a training ends, weights may become averages, or those of another epoch
    return model, until.reached


class _Telling(Callback):
    """Tells how far the training is on its way to a step."""

    def __init__(self, until: int) -> None:
        self.until = until

    def stride(self, kind: str) -> int | None:
        """A hundredth of the way."""
        return max(1, self.until // 100) if kind == "train" else None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002 - the hook's
        """Tell the step."""
        tell("Steps", self.model.optimizer.iterations, self.until, "steps")


def _check_figures(run: Run, model: Model, epochs: int) -> None:
    """Demand that the figures of whole epochs are those that the run wrote down."""
    assert model.history is not None
    for name, expected in run.figures.items():
        found = model.history.history.get(name, [])
        for epoch in range(epochs):
            pair = [values[epoch] if epoch < len(values) else None for values in (found, expected)]
            if pair[0] != pair[1] and str(pair[0]) != str(pair[1]):
                raise _other(run, {f"{name} of epoch {epoch + 1}": f"{pair[0]}, expected {pair[1]}"})


def _other(run: Run, details: Mapping[str, object]) -> DataError:
    return DataError(
        f"The training of {run.folder}, repeated, went another way.",
        details,
        "the data, or the version of nacre, are others now",
    )
