"""nacre predict: what a model says about data, as a table."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from nacre import activations
from nacre.cli.options import DATA, JSON, MODEL, as_csv, check_writable, show
from nacre.cli.sources import Part, open_data, open_model, tell_notes
from nacre.data import Features
from nacre.errors import Limitation, guest
from nacre.files import write_whole
from nacre.models import Model
from nacre.plain import plain, printable

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Predictions:
    """Outputs (n, k) of a model: probabilities of k classes, one value (k = 1), or k values."""

    outputs: Array
    classes: Sequence[str] | None  # their names; None for values
    named: bool = False  # whether a class is said by its name, or by its number
    files: Sequence[str] | None = None  # that the rows are of

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
        if self.classes is not None or self.chosen is None:
            names = [f"output_{k}" for k in range(self.outputs.shape[1])]
            names = names if self.classes is None else [f"probability_{name}" for name in self.classes]
            columns |= dict(zip(names, self.outputs.T, strict=True))
        return columns | ({} if self.files is None else {"file": np.array(self.files)})

    def document(self) -> dict[str, list[Any]]:
        """The table as lists, one entry per row."""
        lists = {} if self.chosen is None else {"prediction": _shortest(self.chosen)}
        if self.classes is not None or self.chosen is None:
            lists["outputs" if self.classes is None else "probabilities"] = _shortest(self.outputs)
        return lists | ({} if self.files is None else {"file": list(self.files)})


@dataclass(frozen=True)
class Several:
    """Predictions of several targets, by their names, side by side."""

    parts: Mapping[str, Predictions]

    @property
    def outputs(self) -> Array:
        """All of them (n, k)."""
        return np.concatenate([part.outputs for part in self.parts.values()], 1)

    def columns(self) -> dict[str, Array]:
        """The table, column by column: for each target what is said, then probabilities."""
        return {_of(name, c): array for name, part in self.parts.items() for c, array in part.columns().items()}

    def document(self) -> dict[str, list[Any]]:
        """The table as lists, one entry per row."""
        return {_of(name, c): rows for name, part in self.parts.items() for c, rows in part.document().items()}


def _of(target: str, column: str) -> str:
    return target if column == "prediction" else f"{target}_{column}"


def to_csv(predictions: Predictions | Several, files: bool = True) -> bytes:
    """Comma-separated values with a header."""
    columns = predictions.columns()
    if not files:
        columns.pop("file", None)
    return as_csv((name, column.astype(str).tolist()) for name, column in columns.items())


def as_jsonl(predictions: Predictions | Several) -> bytes:
    """One JSON object per row."""
    document = predictions.document()
    rows = (dict(zip(document, row, strict=True)) for row in zip(*document.values(), strict=True))
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_npy(predictions: Predictions | Several) -> bytes:
    """The outputs as the model gave them, for NumPy."""
    file = io.BytesIO()
    np.save(file, predictions.outputs)
    return file.getvalue()


def as_parquet(predictions: Predictions | Several) -> bytes:
    """The table, for what reads Parquet."""
    pyarrow = guest("pyarrow", "Writing Parquet", "parquet")
    parquet = guest("pyarrow.parquet", "Writing Parquet", "parquet")
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(predictions.columns()), file)
    return file.getvalue()


FORMATS: dict[str, Callable[[Predictions | Several], bytes]] = {
    ".csv": to_csv,
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

    The columns are the prediction, then the probability of each class; for several targets, those of each, under its name. There
    is a row for each row; of pictures, --out and --json also say the file. Text that a spreadsheet would take for a formula begins
    with ' where values are separated by commas.

    \b
    Examples:
      nacre train digits --out my-run
      nacre predict my-run digits | head
      nacre predict my-run digits --out predictions.csv
      nacre predict my-run digits --json
    """
    if out is not None:
        check_writable(out, FORMATS)
    trained = open_model(model)
    source = open_data(data, trained, judged=False)
    predictions = _ask(trained, source.last)
    tell_notes(source.after(source.last).notes)
    summary = {"model": model, "data": data, "rows": len(predictions.outputs)}
    if out is None:
        # Programs that read this expect what is said and probabilities, and the rows are in the order of the files.
        text = "" if as_json else printable(to_csv(predictions, files=False).decode())
        click.echo(json.dumps(summary | predictions.document(), allow_nan=False) if as_json else text, nl=as_json)
        return
    write_whole(out, [FORMATS[out.suffix.lower()](predictions)])
    show(as_json, summary | {"out": str(out)}, f"{summary['rows']:,} predictions in {out}")


def _ask(model: Model, part: Part) -> Predictions | Several:
    if isinstance(model.features, Features) and len(model.features.targets) == len(model.output_shapes) > 1:
        given = model.predict(part.x, verbose=0)
        outputs = given.values() if isinstance(given, dict) else given
        pairs = zip(model.features.targets, outputs, strict=True)
        return Several({target.name: Predictions(np.asarray(y), target.classes, named=True) for target, y in pairs})
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
    given = model.predict(part.x, verbose=0)
    outputs = next(iter(given.values())) if isinstance(given, dict) else given
    if model.features is not None:
        files = None if part.files is None else [str(file) for file in part.files]
        return Predictions(outputs, model.features.classes, True, files)
    classes = getattr(model.layers[-1], "activation", None) is activations.softmax
    return Predictions(outputs, [str(k) for k in range(outputs.shape[1])] if classes else None)


def _shortest(array: Array) -> list[Any]:
    """Numbers in lists, with as few digits as tell them apart in their own precision; NaN and infinity as text."""
    if array.dtype.kind != "f":
        return array.tolist()  # type: ignore[no-any-return]
    flat = [plain(float(text)) for text in array.astype(str).reshape(-1).tolist()]
    width = array.shape[1] if array.ndim > 1 else 0
    return [flat[i : i + width] for i in range(0, len(flat), width)] if width else flat
