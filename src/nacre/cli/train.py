"""nacre train: a network of dense layers for labelled data, and a folder that tells how it was made."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from nacre import __version__
from nacre.cli.options import DATA, JSON, QUIET, plain, show, table
from nacre.cli.sources import Source, count_classes, open_data, scale_of
from nacre.data import DATASETS, Dataset
from nacre.layers import Dense, Dropout, Flatten, Input, Layer, Rescaling, Symbol
from nacre.models import Model, Sequential, load_model
from nacre.ops import set_random_seed
from nacre.optimizers import SGD
from nacre.training.checkpoint import PacedCheckpoints
from nacre.training.run import Run

EPOCHS = {"mnist": 5, "digits": 30}  # enough for 97 % of the test set
OTHER_EPOCHS = 20
_EPOCHS = ", ".join([*(f"{epochs} for {name}" for name, epochs in EPOCHS.items()), f"else {OTHER_EPOCHS}"])


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out of a training. The fields are the options of the command."""

    data: str
    hidden: tuple[int, ...] = (128,)
    activation: str = "relu"
    epochs: int = OTHER_EPOCHS
    batch_size: int = 32
    learning_rate: float = 0.1
    momentum: float = 0.0
    dropout: float = 0.0
    seed: int = 0
    validation_split: float = 0.0

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the data."""
        options = asdict(self)
        del options["data"]
        return options

    @property
    def command(self) -> str:
        """The command that repeats this training.

        >>> Settings("digits", hidden=(64, 32), seed=7).command[:33]
        'nacre train digits --hidden 64,32'
        """
        words = ["nacre", "train", self.data]
        for name, value in self.options.items():
            words += [f"--{name.replace('_', '-')}", _word(value)]
        return shlex.join(words)


@dataclass(frozen=True)
class Outcome:
    """A trained model, where it is, how it did on which part of the data, and how long it took."""

    model: Model
    run: Run
    judged_on: str
    figures: Mapping[str, float]
    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows trained on per second."""
        return self.rows / max(self.seconds, 1e-9)


def _widths(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    """Widths of hidden layers: 128,64 or none."""
    words = [] if value in ("", "none") else value.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"{value!r} is not a list of widths such as 128 or 128,64, or none.")
    return tuple(int(word) for word in words)


@click.command()
@DATA
@click.option(
    "--hidden",
    callback=_widths,
    metavar="WIDTHS",
    default="128",
    help="Widths of the hidden layers: 128,64 or none.",
)
@click.option("--activation", default="relu", help="Activation of the hidden layers.")
@click.option("--epochs", type=click.IntRange(1), help=f"Passes over the data.  [default: {_EPOCHS}]")
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Rows per step.")
@click.option("--learning-rate", type=float, default=0.1, help="Length of a step.")
@click.option("--momentum", type=float, default=0.0, help="Share of the last step that carries on.")
@click.option("--dropout", type=float, default=0.0, help="Share of hidden units dropped in training.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Same seed, same bits.  [default: a new one, recorded]")
@click.option("--validation-split", type=float, default=0.0, help="Share of the last rows to validate on.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="A new folder for the run.  [default: runs/train-DATE-NNN]"
)
@JSON
@QUIET
def train(
    data: str, epochs: int | None, seed: int | None, out: Path | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Train a network on DATA and say how well it does.

    DATA is digits, mnist, an .npz file (x and y, or x_train, y_train, x_test and y_test), or a folder of idx files named as
    MNIST's. Bytes are scaled to 0..1, other numbers are taken as they are.

    The model, its history and all that is needed to repeat the run go to a new folder. Should the run be killed, "nacre resume"
    goes on from its last checkpoint.

    \b
    Examples:
      nacre train digits
      nacre train mnist --hidden 256,128 --dropout 0.2
      nacre train digits --epochs 50 --seed 7 --out my-run
      nacre train digits --validation-split 0.2 --json
    """
    source = open_data(data)
    epochs = EPOCHS.get(source.name, OTHER_EPOCHS) if epochs is None else epochs
    settings = Settings(source.name, epochs=epochs, seed=secrets.randbits(32) if seed is None else seed, **options)
    outcome = carry_out(settings, source, lambda: begin(settings, out), quiet)
    show(as_json, document(settings, outcome), describe(outcome))


def begin(settings: Settings, out: Path | None, kind: str = "train") -> Run:
    """A run in a folder of its own, with what is needed to repeat it or to go on with it."""
    run = Run.create(out, kind)
    run.note(_notes(settings))
    return run


def carry_out(settings: Settings, source: Source, open_run: Callable[[], Run], quiet: bool) -> Outcome:
    """Train as ``settings`` say, and keep everything in the run's folder, whatever comes in between.

    The run is opened once it is known that the data fits. One that was broken off goes on, one that is over is only judged.
    """
    data, validation = _divided(source.train, settings.validation_split)
    classes = count_classes(source.train)
    name, judge = _judge(source, data, validation, classes)
    set_random_seed(settings.seed)
    model: Model = network(data, classes, settings, _scale(source, data))
    model.compile(
        SGD(settings.learning_rate, settings.momentum), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    run = open_run()
    checkpoints = PacedCheckpoints(run.checkpoints)
    rows, seconds = 0, 0.0
    if run.epochs == settings.epochs and run.model.exists():
        model = load_model(run.model)
    else:
        rows, seconds = _fit(model, data, validation, settings, run, checkpoints, quiet)
    checkpoints.clear()  # only now: model and history are there
    figures = model.evaluate(judge.x, judge.y, verbose=0, return_dict=True)
    return Outcome(model, run, name, figures, rows, seconds)


def network(data: Dataset, classes: int, settings: Settings, scale: int | None) -> Sequential:
    """Dense layers, one after the other, and a probability for each class."""
    layers: list[Layer | Symbol] = [Input(data.x.shape[1:])]
    layers += [Rescaling(1 / scale)] if scale else []
    layers += [Flatten()]
    for width in settings.hidden:
        layers += [Dense(width, activation=settings.activation)]
        layers += [Dropout(settings.dropout)] if settings.dropout else []
    return Sequential([*layers, Dense(classes, activation="softmax")])


def _divided(data: Dataset, share: float) -> tuple[Dataset, Dataset | None]:
    return data.split(share) if share else (data, None)


def _scale(source: Source, data: Dataset) -> int | None:
    return DATASETS[source.name].scale if source.name in DATASETS else scale_of(data.x)


def _judge(source: Source, data: Dataset, validation: Dataset | None, classes: int) -> tuple[str, Dataset]:
    """The part to judge the model by, the less it was seen in training the better; known to fit before training begins."""
    if source.test is not None:
        source.test.check_shape(data.x.shape[1:], "The network")
        return "test", source.test.check_labels(classes)
    return ("validation", validation) if validation is not None else ("training", data)


def _fit(
    model: Model,
    data: Dataset,
    validation: Dataset | None,
    settings: Settings,
    run: Run,
    checkpoints: PacedCheckpoints,
    quiet: bool,
) -> tuple[int, float]:
    """Train, or go on; the rows trained on, and the seconds it took. Model and history are kept even if it ends early."""
    pair = None if validation is None else (validation.x, validation.y)
    verbose, begun = 0 if quiet else 1, time.perf_counter()
    try:
        model.fit(data.x, data.y, settings.batch_size, settings.epochs, verbose, [checkpoints], validation_data=pair)
        seconds = time.perf_counter() - begun
    except KeyboardInterrupt:
        steps, folder = f"{model.optimizer.iterations:,} steps", shlex.quote(str(run.folder))
        raise KeyboardInterrupt(
            f"Stopped after {steps}. To go on: nacre resume {folder}\nThe model as it is now: {run.model}"
        ) from None
    finally:
        if checkpoints.begun_at is not None and model.history is not None:
            model.save(run.model)
            run.record(model.history)
    share = 1 - (checkpoints.begun_at or 0) / model.optimizer.iterations
    return round(share * settings.epochs * len(data)), seconds


def _notes(settings: Settings) -> dict[str, Any]:
    begun = datetime.now(UTC).replace(microsecond=0)
    return {
        "command": settings.command,
        "nacre": __version__,
        "begun": begun,
        "data": settings.data,
        "options": settings.options,
    }


def document(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "command": settings.command,
        "run": str(outcome.run.folder),
        "model": str(outcome.run.model),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "judged_on": outcome.judged_on,
        **{name: plain(value) for name, value in outcome.figures.items()},
        "seconds": round(outcome.seconds, 3),
        "samples_per_second": round(outcome.rate),
    }


def describe(outcome: Outcome) -> str:
    """The outcome for people."""
    figures = {f"{outcome.judged_on} {name}": f"{value:.4f}" for name, value in outcome.figures.items()}
    time_taken = f"{outcome.seconds:.2f} s, {outcome.rate:,.0f} samples/s"
    return table({**figures, "time": time_taken, "run folder": str(outcome.run.folder)})


def _word(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value)) or "none"
    return str(value)
