"""nacre budget: what a training will take, before it begins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np

from nacre import optimizers
from nacre.capacity import budget as predicted
from nacre.cli.held import settings_of
from nacre.cli.networks import network, widths_of
from nacre.cli.options import JSON, complete_data, show
from nacre.cli.settings import Settings
from nacre.cli.sources import open_model, tell_notes
from nacre.cli.train import opened, settings_for
from nacre.data import DATASETS
from nacre.errors import NacreError, UsageError
from nacre.models import Model
from nacre.recipes import array_network
from nacre.training.run import SETTINGS

_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@click.command()
@click.argument("what", metavar="[MODEL|DATA]", required=False, shell_complete=complete_data)
@click.option("--input", "shape", help="Numbers of a row, N or HxWxC, instead of data.")
@click.option("--classes", type=click.IntRange(1), help="Classes to tell apart, with --input.")
@click.option("--target", multiple=True, help="Column of a table to predict.")
@click.option(
    "--model", "layers", help="mlp:128,64 for hidden layers so wide.  [default: mlp:none; for DATA as in train]"
)
@click.option("--optimizer", help="sgd, adam, or any other by its name.  [default: sgd; of MODEL its own]")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Rows per step.  [default: 32; of a run its own; for DATA as in train]"
)
@click.option(
    "--rows", type=click.IntRange(1), help="Rows of the data.  [default: as many as DATA, or that of a run, has]"
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Passes over the data.  [default: 1; of a run its own; for DATA as in train]",
)
@click.option("--memory", help="Bytes there are, such as 23GB.  [default: what is free]")
@JSON
def budget(
    what: str | None,
    shape: str | None,
    classes: int | None,
    rows: int | None,
    batch_size: int | None,
    epochs: int | None,
    memory: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Print what a training will take: parameters, memory, operations, time, and what to change if it does not fit.

    It is of MODEL, a model file or the folder of a run, of the network that nacre train makes for DATA, or of one for rows of the
    shape --input. Of a run, rows, epochs and batch size are its own. Nothing is trained. That it does not fit is an answer, and no
    error.

    \b
    Examples:
      nacre budget --input 3000000 --classes 1000
      nacre budget --input 224x224x3 --classes 10 --model mlp:1000 --optimizer adam --rows 50000 --memory 8GB
      nacre budget digits
    """
    if (what is None) == (shape is None) or (shape is None) != (classes is None):
        raise UsageError(
            "A budget is of a model, of data, or of a shape with a number of classes.",
            hint="nacre budget digits, or nacre budget --input 28x28 --classes 10",
        )
    chosen = {name: value for name, value in given.items() if value not in (None, ())}
    if "target" in chosen and (what is None or _is_model(what)):
        raise UsageError(
            "There are no columns, of which one were the target.", hint="leave out --target, or name a table"
        )
    free = None if memory is None else bytes_of(memory)
    if what is not None and not _is_model(what):
        more = {"batch_size": batch_size, "epochs": epochs}
        chosen = {"model" if name == "layers" else name: value for name, value in chosen.items()}
        chosen |= {name: value for name, value in more.items() if value is not None}
        settings, source = opened(settings_for(what, None, chosen), quiet=True)
        bytes_ = "uint8" if getattr(source.train.x, "dtype", None) == np.uint8 else None
        model = network(settings, source)
        found = predicted(model, rows or len(source.train), settings.batch_size, settings.epochs, free, bytes_)
    elif shape is not None and classes is not None:
        found = predicted(_of_shape(shape, classes, chosen), rows, batch_size or 32, epochs or 1, free)
    else:
        model, ran = _opened(what, chosen), settings_of(str(what))
        bytes_ = None
        if ran is not None:
            batch_size, epochs = batch_size or ran.batch_size, epochs or ran.epochs
            rows, bytes_ = (rows, None) if rows else _rows_of(ran)
        found = predicted(model, rows, batch_size or 32, epochs or 1, free, bytes_)
    show(as_json, found.document(), str(found))


def _rows_of(settings: Settings) -> tuple[int | None, str | None]:
    """How many rows a run trains on, and "uint8" if they are bytes; neither, with a note, if its data are gone."""
    try:
        _, source = opened(settings, quiet=True)
    except (NacreError, OSError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        tell_notes([f"the rows of the run are not known ({why}), and so no time of an epoch; --rows says how many"])
        return None, None
    bytes_ = getattr(source.train.x, "dtype", None) == np.uint8
    return len(source.train), "uint8" if bytes_ else None


def _is_model(name: str) -> bool:
    path = Path(name)
    return name not in DATASETS and (path.suffix == ".safetensors" or (path / SETTINGS).is_file())


def _of_shape(shape: str, classes: int, chosen: dict[str, Any]) -> Model:
    """Dense layers for rows of a shape."""
    said = chosen.get("layers", "mlp:none")
    widths = widths_of(said)
    if widths is None:
        raise UsageError(f"{said!r} is no network.", hint="mlp:128, mlp:128,64 or mlp:none")
    model = array_network(sizes_of(shape), classes, widths, "relu", 0.0, None)
    model.compile(chosen.get("optimizer", "sgd"), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _opened(name: str | None, chosen: dict[str, Any]) -> Model:
    """The model of that name, with another optimizer if one is chosen."""
    model = open_model(str(name))
    if "layers" in chosen:
        raise UsageError(f"{name} has its layers.", hint="leave out --model")
    if "optimizer" in chosen:
        if model._settings is None:
            raise UsageError(f"{name} is not compiled: it has no loss to train for.", hint="leave out --optimizer")
        model._settings["optimizer"] = optimizers.get(chosen["optimizer"])
    return model


def sizes_of(text: str) -> list[int]:
    """A shape: N, HxW or HxWxC.

    >>> sizes_of("224x224x3")
    [224, 224, 3]
    """
    if not re.fullmatch(r"[1-9]\d{0,11}(x[1-9]\d{0,11}){0,3}", text):
        raise UsageError(f"{text!r} is no shape of a row.", hint="784, 28x28 or 224x224x3")
    return [int(word) for word in text.split("x")]


def bytes_of(text: str) -> int:
    """A number of bytes, with a unit.

    >>> bytes_of("23GB"), bytes_of("1.5 GiB")
    (23000000000, 1610612736)
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?) ?([kKMGT]i?B|B|)", text)
    count = int(float(found[1]) * _UNITS[found[2]]) if found and found[2] in _UNITS else 0
    if count < 1:
        raise UsageError(f"{text!r} is no amount of memory.", hint="23GB, 512MB, or a number of bytes")
    return count
