"""nacre train: a network of dense layers for labelled data, and a folder that tells how it was made."""

from __future__ import annotations

import secrets
import shlex
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import numpy as np

from nacre import __version__
from nacre.cli.moments import check_repeatable, moment_before, stopping, terms
from nacre.cli.networks import network, widths_of
from nacre.cli.options import JSON, QUIET, complete_data, show, table
from nacre.cli.report import write_report
from nacre.cli.settings import EPOCHS, FOR_PICTURES, FOR_TABLES, Settings, augmentation, batch_for
from nacre.cli.shares import told
from nacre.cli.sources import Source, holds_shards, in_memory, is_of_pictures, open_training, tell_notes
from nacre.cli.waiting import waiting
from nacre.data import DATASETS, Pictures
from nacre.data.tables import kind_of
from nacre.distributed import Place, place
from nacre.errors import UsageError
from nacre.explain import Explanation, explain
from nacre.files import read_toml
from nacre.models import Model, load_model
from nacre.ops import set_random_seed
from nacre.plain import plain
from nacre.training.checkpoint import GoFrom, KeptCheckpoints, PacedCheckpoints
from nacre.training.devices import lowering
from nacre.training.run import Following, FollowingLayers, Run
from nacre.training.statistics import LayerStatistics


@dataclass(frozen=True)
class Outcome:
    """A trained model, the data, where it is, how it did on which part of the data, and how long it took."""

    model: Model
    source: Source
    run: Run
    judged_on: str
    figures: Mapping[str, float]
    rows: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows trained on per second."""
        return self.rows / max(self.seconds, 1e-9)


_TOLD = 40  # columns of a table that are told of
_USUAL = {field.name: field.default for field in fields(Settings)}
_OPTIONS: list[tuple[str, Any, str]] = [
    ("target", str, "Column of a table to predict. May be given several times."),
    ("column", str, "What a column of a table is, NAME=KIND: number, category, boolean, date or drop."),
    ("model", str, "mlp:128,64 for hidden layers so wide, mlp:none, or a function in a file: model.py:build."),
    ("activation", str, "Activation of the hidden layers."),
    ("kernel_initializer", str, "How the weights of the hidden layers begin: he_normal, say, which suits relu."),
    ("optimizer", str, "sgd, adam, or any other by its name."),
    ("epochs", click.IntRange(1), "Passes over the data."),
    ("batch_size", click.IntRange(1), "Rows per step."),
    ("learning_rate", float, "Length of a step."),
    ("momentum", float, "Share of the last step that carries on."),
    ("dropout", float, "Share of hidden units dropped in training."),
    (
        "average",
        float,
        "The model ends with a running average of its weights that keeps this share at each step; 0: with the last.",
    ),
    ("seed", click.IntRange(0, 2**32 - 1), "Same seed, same bits.  [default: a new one, recorded]"),
    ("validation_split", float, "Share of the rows to watch by, of each class alike."),
    ("test_split", float, "Share of the rows to test on, where there is no test part."),
    ("group", str, "Column of a table: rows that share its value stay together when rows are divided."),
    ("time", str, "Column of a table: the last rows are tested on."),
    (
        "size",
        click.IntRange(1, 4096),
        "Height and width of pictures.  [default: their own, if they share it and it is small, else 64]",
    ),
    ("color", click.Choice(["rgb", "grey"]), "Colors of pictures.  [default: grey if all are, else rgb]"),
    ("fit", click.Choice(["crop", "pad", "stretch"]), "What becomes of pictures of another shape."),
    (
        "augment",
        str,
        "How pictures vary in training: none, or some of flip,shift,rotate,zoom,noise,cutout, as in shift:0.2.",
    ),
    (
        "device",
        str,
        "What computes: native, reference, or with nacre[xla] installed xla, xla:cpu, xla:gpu; xla/2: pairs share layers.",
    ),
    ("patience", click.IntRange(0), "Epochs without a better validation loss before training ends; 0: never."),
]


_KINDS = (("tables", FOR_TABLES), ("pictures", FOR_PICTURES))
_SILENT = ("seed", "group", "time", "size", "color", "augment")  # what they are else is told in words


def training_options(command: Callable[..., Any], names: Container[str] = frozenset(_USUAL)) -> Callable[..., Any]:
    """The options that decide what comes out of a training, or those with some names, added to a command."""
    epochs = "".join(f"{n} for {data}, " for data, n in EPOCHS.items())
    said = {
        "epochs": f"{epochs}else {_USUAL['epochs']}",
        "batch_size": f"{_USUAL['batch_size']}, for tables by their rows",
        "learning_rate": f"{_USUAL['learning_rate']} for sgd, for others their own",
    }
    for name, kind, text in reversed([option for option in _OPTIONS if option[0] in names]):
        several = isinstance(_USUAL[name], tuple)
        usual = said.get(name, "" if several or name in _SILENT else _USUAL[name])
        more = "".join(
            f", {of[name] or 'none'} for {what}" for what, of in _KINDS if name in of and name not in _SILENT
        )
        text = text if usual == "" else f"{text}  [default: {usual}{more}]"
        command = click.option(
            f"--{name.replace('_', '-')}",
            type=kind,
            multiple=several,
            default=None,
            help=text,
            show_default=False,
        )(command)
    return command


@click.command()
@click.argument("data", shell_complete=complete_data, required=False)
@training_options
@click.option("--skip-broken", is_flag=True, default=None, help="Leave out pictures that cannot be read.")
@click.option("--balanced", is_flag=True, default=None, help="Let each class count alike, however rare it is.")
@click.option("--config", type=click.Path(path_type=Path), help="A run.toml: repeat that run. Other options change it.")
@click.option(
    "--keep", type=click.IntRange(1), help="Keep a checkpoint of every so many steps, for nacre at and nacre fork."
)
@click.option("--layers", is_flag=True, help="Write down, once an epoch, what each layer does, for the studio.")
@click.option(
    "--trace", is_flag=True, help="First print a step on one row, from the first weights, with all its numbers."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="A new folder for the run.  [default: runs/train-DATE-NNN]"
)
@JSON
@QUIET
def train(
    data: str | None,
    config: Path | None,
    keep: int | None,
    layers: bool,
    trace: bool,
    out: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a network on DATA and say how well it does.

    DATA is digits, mnist, a table (.csv, .tsv, .parquet, .arrow, .feather; the first two also packed), a folder of Parquet files,
    which may be larger than the memory, an .npz, .h5 or .zarr with x and y (or x_train, y_train, x_test and y_test), a folder with
    a folder of pictures for each class (or train and test folders with these), a .csv that names pictures and their classes, or
    a folder of idx files named as MNIST's. Bytes are scaled to 0..1, other numbers are taken as they are. Of a table,
    name the column to predict; what the other columns are is found out, shown, and kept with the model, which takes such tables as
    they are.

    "nacre launch" has several processes, also of several machines, train together, with --device xla. On the signal SIGUSR1, a
    checkpoint is written and the training ends with exit code 75, as clusters want it before they take a machine away.

    The model, its history, a report and all that is needed to repeat the run go to a new folder. Should the run be killed, "nacre
    resume" goes on from its last checkpoint.

    \b
    Examples:
      nacre train digits
      nacre train mnist --model mlp:256,128 --dropout 0.2
      nacre train people.csv --target income
      nacre train houses.csv --target price --column zip=category
      nacre train pets --size 64 --augment flip,shift:0.2
      nacre train digits --model mlp:16 --trace
      nacre train --config my-run/run.toml --out again
    """
    settings = settings_for(data, config, {name: value for name, value in options.items() if value not in (None, ())})
    here = together(settings)
    if here.first:
        Run.check(out)
    settings, source = opened(settings, quiet or not here.first)
    more: dict[str, Any] = ({"keep": keep} if keep else {}) | ({"layers": True} if layers else {})
    if config is not None and (before := noted_in(config).get("before")):  # it is of a fork
        more |= {"command": "nacre train --config run.toml", "before": before}
        if trace:
            raise UsageError("This run begins with the weights of another.", hint="nacre explain")
    if not here.first:
        take_part(settings, source, more)
        return
    first = _first_step(settings, source) if trace else None
    if first is not None and not as_json:
        print(f"START: weights by chance, seed {settings.seed}\n\n{first}\n", flush=True)
    outcome = carry_out(settings, source, lambda: begin(settings, out, **more), quiet)
    told = {} if first is None else {"trace": first.document()}
    show(as_json, document(settings, outcome) | told, describe(outcome))


def together(settings: Settings) -> Place:
    """The place of this process among those that train together. Raises `UsageError` if they cannot."""
    here = place()
    if here.processes > 1 and not settings.device.startswith("xla"):
        found = {"found": f"--device {settings.device}", "started by": here.launcher}
        raise UsageError("Several processes train one model with XLA only.", found, "--device xla")
    return here


def take_part(settings: Settings, source: Source, noted: Mapping[str, Any], run: Run | None = None) -> None:
    """Take part in a training that another process, the first, keeps and tells of: ``noted`` is what its run has in store, ``run``
    what it goes on with."""
    if "before" in noted:
        raise UsageError("The run of a fork is made by one process.", hint="leave out nacre launch")
    if run is not None and run.over:
        return
    set_random_seed(settings.seed)
    model = network(settings, source)
    callbacks: list[Any] = [] if run is None else [PacedCheckpoints(run.checkpoints)]
    callbacks += stopping(settings, source)
    if noted.get("layers"):
        callbacks.append(LayerStatistics(-(-len(source.train) // settings.batch_size)))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the first ends, and all with it
    model.fit(**terms(settings, source), verbose=0, callbacks=callbacks)


def _first_step(settings: Settings, source: Source) -> Explanation:
    """A step on the first row, from the weights that the training begins with."""
    set_random_seed(settings.seed)
    row = in_memory(source.train).take(np.array([0]))
    return explain(network(settings, source), row.x, row.y)


def opened(settings: Settings, quiet: bool) -> tuple[Settings, Source]:
    """The data, which people are told of, and the settings with what follows from the data."""
    widths_of(settings.model)  # what is mistaken is told before anything is read
    augmentation(settings.augment)
    lowering(settings.device)
    table_or_pictures = (
        kind_of(settings.data)[0] is not None or is_of_pictures(settings.data) or holds_shards(settings.data)
    )
    slow = settings.data not in DATASETS and table_or_pictures and Path(settings.data).exists()
    with waiting(f"Reading {settings.data}", quiet or not slow):
        source = open_training(settings)
    if slow and not quiet:
        print(described(source), file=sys.stderr, flush=True)
    return (settings if settings.batch_size else settings.with_(batch_size=batch_for(len(source.train)))), source


def settings_for(data: str | None, config: Path | None, given: dict[str, Any]) -> Settings:
    """The settings of a run: of a run.toml if there is one, what was given, and else what is usual for such data."""
    if config is not None:
        before = Settings.of(noted_in(config))
        return replace(before, data=data or before.data).with_(**given)
    if data is None:
        raise click.UsageError("Missing argument 'DATA'.")
    here = place()  # several processes come to the same
    usual: dict[str, Any] = {
        "seed": zlib.crc32(here.coordinator.encode()) if here.coordinator else secrets.randbits(32)
    }
    if ".py:" in given.get("model", ""):  # a run may go on from elsewhere
        given["model"] = str(Path(given["model"]).absolute())
    if data in EPOCHS:
        usual["epochs"] = EPOCHS[data]
    elif is_of_pictures(data, given.get("column", ())):
        usual |= FOR_PICTURES
    elif (data not in DATASETS and kind_of(data)[0] is not None) or holds_shards(data):
        usual |= {**FOR_TABLES, "batch_size": 0}
    return Settings.of({"data": data, "options": usual}).with_(**given)


def noted_in(config: Path) -> dict[str, Any]:
    """What is in a run.toml that repeats a run."""
    noted = read_toml(config)
    check_repeatable(noted)
    return noted


def begin(settings: Settings, out: Path | None, kind: str = "train", root: Path = Path("runs"), **more: Any) -> Run:
    """A run in a folder of its own, with what is needed to repeat it or to go on with it."""
    run = Run.create(out, kind, root)
    run.note(
        {
            "command": settings.command,
            "nacre": __version__,
            "begun": datetime.now(timezone.utc).replace(microsecond=0),
            "data": str(Path(settings.data).resolve()) if settings.data not in DATASETS else settings.data,
            "options": settings.options,
            **more,
        }
    )
    return run


def carry_out(settings: Settings, source: Source, open_run: Callable[[], Run], quiet: bool) -> Outcome:
    """Train as ``settings`` say, and keep everything in the run's folder, whatever comes in between.

    The run is opened once it is known that the data fits. One that was broken off goes on, one that is over is only judged.
    """
    set_random_seed(settings.seed)
    model = network(settings, source)
    run = open_run()
    with run.at_work():
        return _carried_out(model, settings, source, run, quiet)


def _carried_out(model: Model, settings: Settings, source: Source, run: Run, quiet: bool) -> Outcome:
    name, judge = source.judge
    checkpoints = PacedCheckpoints(run.checkpoints)
    rows, seconds = 0, 0.0
    if run.over:
        model = load_model(run.model)
    else:
        rows, seconds = _fit(model, source, settings, run, checkpoints, quiet)
    if not quiet:
        tell_notes(source.train.notes)
    source = source.after(source.train)
    figures = model.evaluate(judge.x, judge.y, verbose=0, return_dict=True)
    outcome = Outcome(model, source, run, name, figures, rows, seconds)
    write_report(outcome, settings)
    checkpoints.clear()  # only now: model, history and report are there
    return outcome


def _fit(
    model: Model, source: Source, settings: Settings, run: Run, checkpoints: PacedCheckpoints, quiet: bool
) -> tuple[int, float]:
    """Train, or go on; the rows trained on, and the seconds it took. Model and history are kept even if it ends early."""
    noted = run.settings()
    moment = moment_before(run, source, quiet)
    callbacks: list[Any] = [checkpoints, *stopping(settings, source), Following(run)]
    if moment is not None:  # where there are checkpoints, they are further on
        callbacks.insert(0, GoFrom(moment))
    if "keep" in noted:
        callbacks.append(KeptCheckpoints(run.steps, noted["keep"]))
    rows = len(source.train)
    of_epoch = -(-rows // settings.batch_size)  # steps
    if noted.get("layers"):
        callbacks.append(FollowingLayers(run, of_epoch, rows))
    if "before" in noted and place().processes > 1:
        raise UsageError("The run of a fork is made by one process.", hint="leave out nacre launch")
    verbose, begun = 0 if quiet else 1, time.perf_counter()
    try:
        with _leaving_with(checkpoints):
            model.fit(**terms(settings, source), verbose=verbose, callbacks=callbacks)
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
    assert model.history is not None
    done = (checkpoints.begun_at or 0) // of_epoch
    return max(0, len(model.history.epoch) - done) * rows, seconds


@contextmanager
def _leaving_with(checkpoints: PacedCheckpoints) -> Iterator[None]:
    """A context in which SIGUSR1 has a checkpoint written, and the training end, where there are signals: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGUSR1, lambda *_: setattr(checkpoints, "leaving", True))
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def described(source: Source) -> str:
    """What the data are, for people."""
    rows = ", ".join(f"{len(part):,} {name}" for name, part in source.parts.items())
    lines = [f"Rows: {rows}"]
    if isinstance(source.features, Pictures):
        height, width, channels = source.features.shape
        shown = ", ".join(source.features.classes[:8])
        lines.append(
            f"Pictures: {height} x {width} x {channels}, {source.features.fit}; {len(source.classes)} classes: {shown}"
        )
    elif source.features is not None:
        width = max(len(one.name) for one in source.features.features)
        told = [f"  {one.name:<{width}}  {one.kind:<8}  {one.told()}" for one in source.features.features]
        told += [f"  {name:<{width}}  left out  {why}" for name, why in source.features.dropped.items()]
        lines += told if len(told) <= _TOLD else [*told[:_TOLD], f"  and {len(told) - _TOLD:,} more columns"]
        for target in source.features.targets:
            what = (
                f"{target.mean:.4g} on average"
                if target.classes is None
                else f"{len(target.classes)} classes: {', '.join(target.classes[:6])}"
            )
            lines.append(f"  {target.name:<{width}}  target    {what}")
    return "\n".join([*lines, *(f"Note: {note}." for note in source.notes)])


def document(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "command": outcome.run.settings().get("command", settings.command),
        "run": str(outcome.run.folder),
        "model": str(outcome.run.model),
        "seed": settings.seed,
        "epochs": outcome.run.epochs,
        "judged_on": outcome.judged_on,
        **{name: plain(value) for name, value in outcome.figures.items()},
        "seconds": round(outcome.seconds, 3),
        "samples_per_second": round(outcome.rate),
        "notes": list(outcome.source.notes),
    }


def describe(outcome: Outcome) -> str:
    """The outcome for people."""
    rows = len(outcome.source.judge[1])
    figures = {
        f"{outcome.judged_on} {name}": told(outcome.model, name, value, rows) for name, value in outcome.figures.items()
    }
    time_taken = f"{outcome.seconds:.2f} s, {outcome.rate:,.0f} samples/s"
    return table(
        {**figures, "time": time_taken, "run folder": str(outcome.run.folder), "report": str(outcome.run.report)}
    )
