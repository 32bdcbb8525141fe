"""nacre predict: what a model says about data, as a table."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre import activations
from nacre.cli.options import DATA, JSON, MODEL, plain, show
from nacre.cli.sources import open_data, open_model
from nacre.errors import Limitation, UsageError, did_you_mean
from nacre.files import write_whole
from nacre.models import Model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Outputs (n, k) of a model: probabilities of k classes, one value (k = 1), or k values."""

    outputs: Array
    classes: bool

    @property
    def chosen(self) -> Array | None:
        """The class or the value said for each row; None if there are several values."""
        one_value = self.outputs[:, 0] if self.outputs.shape[1] == 1 else None
        return np.argmax(self.outputs, axis=1) if self.classes else one_value

    def columns(self) -> dict[str, Array]:
        """The table, column by column."""
        columns = {} if self.chosen is None else {"prediction": self.chosen}
        if not self.classes and self.chosen is not None:
            return columns
        stem = "probability" if self.classes else "output"
        return columns | {f"{stem}_{k}": column for k, column in enumerate(self.outputs.T)}

    def document(self) -> dict[str, list[Any]]:
        """The table as lists, one entry per row."""
        lists = {} if self.chosen is None else {"prediction": _shortest(self.chosen)}
        if self.classes or self.chosen is None:
            lists["probabilities" if self.classes else "outputs"] = _shortest(self.outputs)
        return lists


def as_csv(predictions: Predictions) -> bytes:
    """Comma-separated values with a header."""
    columns = predictions.columns()
    lines = [",".join(columns), *map(",".join, zip(*(c.astype(str).tolist() for c in columns.values()), strict=True))]
    return "".join(f"{line}\n" for line in lines).encode()


def as_jsonl(predictions: Predictions) -> bytes:
    """One JSON object per row."""
    document = predictions.document()
    rows = (dict(zip(document, row, strict=True)) for row in zip(*document.values(), strict=True))
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_npy(predictions: Predictions) -> bytes:
    """The outputs as the model gave them, for NumPy."""
    file = io.BytesIO()
    np.save(file, predictions.outputs)
    return file.getvalue()


FORMATS: dict[str, Callable[[Predictions], bytes]] = {".csv": as_csv, ".jsonl": as_jsonl, ".npy": as_npy}


@click.command()
@MODEL
@DATA
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write a .csv, .jsonl or .npy file instead (.npy: outputs only)."
)
@JSON
def predict(model: str, data: str, out: Path | None, as_json: bool) -> None:
    """Print what MODEL says about the test part of DATA, row by row.

    MODEL is a model file or the folder of a run. DATA may also be an .npy or idx file, or an .npz file with x alone.

    The columns are the prediction, then the probability of each class.

    \b
    Examples:
      nacre train digits --out my-run
      nacre predict my-run digits | head
      nacre predict my-run digits --out predictions.csv
      nacre predict my-run digits --json
    """
    written = None if out is None else _format(out)
    predictions = _ask(open_model(model), open_data(data).last.x)
    summary = {"model": model, "data": data, "rows": len(predictions.outputs)}
    if out is None or written is None:
        text = "" if as_json else as_csv(predictions).decode()
        click.echo(json.dumps(summary | predictions.document(), allow_nan=False) if as_json else text, nl=as_json)
        return
    write_whole(out, [written(predictions)])
    show(as_json, summary | {"out": str(out)}, f"{summary['rows']:,} predictions in {out}")


def _format(out: Path) -> Callable[[Predictions], bytes]:
    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"Cannot write {out}: unknown format {out.suffix!r}.", hint=did_you_mean(out.suffix, FORMATS))
    if not out.parent.is_dir():
        raise UsageError(f"Cannot write {out}: there is no folder {out.parent}.")
    return FORMATS[out.suffix.lower()]


def _ask(model: Model, x: Array) -> Predictions:
    if len(model.output_shapes) > 1 or len(model.input_shapes) > 1:
        raise Limitation(
            f"{model.name!r} has several inputs or outputs, and a table is one.", hint="model.predict, in Python"
        )
    (output_shape,) = model.output_shapes
    if len(output_shape) != 2:
        shape = " x ".join(map(str, output_shape[1:]))
        raise Limitation(
            f"The output of {model.name!r} is {shape} for each row, which is no table.", hint="model.predict"
        )
    given = model.predict(x, verbose=0)
    outputs = next(iter(given.values())) if isinstance(given, dict) else given
    classes = getattr(model.layers[-1], "activation", None) is activations.softmax
    return Predictions(outputs, classes)


def _shortest(array: Array) -> list[Any]:
    """Numbers in lists, with as few digits as tell them apart in their own precision; NaN and infinity as text."""
    if array.dtype.kind != "f":
        return array.tolist()  # type: ignore[no-any-return]
    flat = [plain(float(text)) for text in array.astype(str).reshape(-1).tolist()]
    width = array.shape[1] if array.ndim > 1 else 0
    return [flat[i : i + width] for i in range(0, len(flat), width)] if width else flat
