"""nacre predict: what a model says about data, as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre import activations
from nacre.cli.options import DATA, JSON, MODEL, plain, show
from nacre.cli.sources import open_data, open_model
from nacre.errors import Limitation, UsageError, did_you_mean, guest
from nacre.files import write_whole
from nacre.models import Model

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Outputs (n, k) of a model: probabilities of k classes, one value (k = 1), or k values."""

    outputs: Array
    classes: Sequence[str] | None  # their names; None for values
    named: bool = False  # whether a class is said by its name, or by its number

    @property
    def chosen(self) -> Array | None:
        """The class or the value said for each row; None if there are several values."""
        if self.classes is None:
            return self.outputs[:, 0] if self.outputs.shape[1] == 1 else None
        numbers: Array = np.argmax(self.outputs, axis=1)
        return np.array(self.classes)[numbers] if self.named else numbers

    def columns(self) -> dict[str, Array]:
        """The table, column by column."""
        columns = {} if self.chosen is None else {"prediction": self.chosen}
        if self.classes is None and self.chosen is not None:
            return columns
        names = [f"output_{k}" for k in range(self.outputs.shape[1])]
        names = names if self.classes is None else [f"probability_{name}" for name in self.classes]
        return columns | dict(zip(names, self.outputs.T, strict=True))

    def document(self) -> dict[str, list[Any]]:
        """The table as lists, one entry per row."""
        lists = {} if self.chosen is None else {"prediction": _shortest(self.chosen)}
        if self.classes is not None or self.chosen is None:
            lists["outputs" if self.classes is None else "probabilities"] = _shortest(self.outputs)
        return lists


def as_csv(predictions: Predictions) -> bytes:
    """Comma-separated values with a header."""
    columns, file = predictions.columns(), io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(c.astype(str).tolist() for c in columns.values()), strict=True))
    return file.getvalue().encode()


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


def as_parquet(predictions: Predictions) -> bytes:
    """The table, for what reads Parquet."""
    pyarrow = guest("pyarrow", "Writing Parquet", "parquet")
    parquet = guest("pyarrow.parquet", "Writing Parquet", "parquet")
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(predictions.columns()), file)
    return file.getvalue()


FORMATS: dict[str, Callable[[Predictions], bytes]] = {
    ".csv": as_csv,
    ".jsonl": as_jsonl,
    ".npy": as_npy,
    ".parquet": as_parquet,
}


@click.command()
@MODEL
@DATA
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write a .csv, .jsonl, .parquet or .npy file instead (.npy: outputs only).",
)
@JSON
def predict(model: str, data: str, out: Path | None, as_json: bool) -> None:
    """Print what MODEL says about the test part of DATA, row by row.

    MODEL is a model file or the folder of a run. DATA may also be an .npy or idx file, an .npz file with x alone, or, for a model
    that was trained on a table, a table with the same columns, without the one to predict if need be; for one that was trained on
    pictures, a picture or a folder of them.

    The columns are the prediction, then the probability of each class. There is a row for each row.

    \b
    Examples:
      nacre train digits --out my-run
      nacre predict my-run digits | head
      nacre predict my-run digits --out predictions.csv
      nacre predict my-run digits --json
    """
    written = None if out is None else _format(out)
    trained = open_model(model)
    predictions = _ask(trained, open_data(data, trained, judged=False).last.x)
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


def _ask(model: Model, x: Any) -> Predictions:
    if len(model.output_shapes) > 1 or (len(model.input_shapes) > 1 and model.features is None):
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
    if model.features is not None:
        return Predictions(outputs, model.features.classes, named=True)
    classes = getattr(model.layers[-1], "activation", None) is activations.softmax
    return Predictions(outputs, [str(k) for k in range(outputs.shape[1])] if classes else None)


def _shortest(array: Array) -> list[Any]:
    """Numbers in lists, with as few digits as tell them apart in their own precision; NaN and infinity as text."""
    if array.dtype.kind != "f":
        return array.tolist()  # type: ignore[no-any-return]
    flat = [plain(float(text)) for text in array.astype(str).reshape(-1).tolist()]
    width = array.shape[1] if array.ndim > 1 else 0
    return [flat[i : i + width] for i in range(0, len(flat), width)] if width else flat
