"""nacre gradcheck: are the gradients of a model right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from nacre.calculus import GradientCheck
from nacre.calculus import gradcheck as checked
from nacre.cli.held import ALL_ROWS, held_out
from nacre.cli.options import JSON, MODEL, QUIET, complete_data, show
from nacre.cli.sources import open_model, tell_notes
from nacre.cli.waiting import waiting
from nacre.data.folders import TablePieces
from nacre.diagrams import rows_like
from nacre.errors import Limitation, UsageError
from nacre.models import Model

_ROWS = 32


@dataclass(frozen=True)
class _Weight:
    """What was found of a weight: its ``largest`` gradient, and by what share of it, at most, gradients are not the differences."""

    name: str
    largest: float
    error: float
    check: GradientCheck

    @classmethod
    def of(cls, name: str, check: GradientCheck) -> _Weight:
        entries = tuple(e for e in check.entries if e.where == name or e.where.startswith(f"{name}["))
        pairs = np.array([(entry.gradient, entry.difference) for entry in entries])
        largest, apart = float(np.abs(pairs).max()), float(np.abs(pairs[:, 0] - pairs[:, 1]).max())
        return cls(name, largest, apart / largest if largest else 0.0, GradientCheck(entries))

    def document(self) -> dict[str, Any]:
        return {
            "weight": self.name,
            "entries": len(self.check.entries),
            "largest_gradient": self.largest,
            "max_relative_error": self.error,
            "right": bool(self.check),
            "worst": vars(self.check.worst),
        }


@click.command()
@MODEL
@click.argument("data", required=False, shell_complete=complete_data)
@ALL_ROWS
@JSON
@QUIET
@click.pass_context
def gradcheck(context: click.Context, model: str, data: str | None, all_rows: bool, as_json: bool, quiet: bool) -> None:
    """Compare the gradients of MODEL with central differences, both in float64: of each weight, at most 50 entries.

    MODEL is a model file or the folder of a run, compiled. The loss is that of the first 32 rows of DATA that the run was not
    trained on, or of its test part, else of random rows. The relative error is the largest difference, as a share of the weight's
    largest gradient. If a gradient is wrong, the command ends with status 1.

    \b
    Examples:
      nacre train digits --out my-run
      nacre gradcheck my-run digits
      nacre gradcheck my-run/model.safetensors --json
    """
    trained = open_model(model)
    if not trained.judged_outputs():
        raise UsageError(f"{model} was not compiled: there is no loss to derive.", hint="compile it and save it again")
    x, y, document = _rows(model, trained, data, all_rows)
    with waiting("Comparing gradients with differences", quiet):
        check = checked(trained, x, y)
    found = [_Weight.of(name, check) for name, weight in trained.named.items() if weight.trainable]
    wrong = [one.name for one in found if not one.check]
    document = {"model": model, "data": data, **document, "weights": [one.document() for one in found]}
    show(as_json, document, _text(found, wrong))
    if wrong:
        context.exit(1)


def _rows(name: str, model: Model, data: str | None, all_rows: bool) -> tuple[Any, Any, dict[str, Any]]:
    """Inputs, targets, and which rows these are."""
    if data is None:
        return *rows_like(model, _ROWS), {"part": "random", "rows": _ROWS}
    looked = held_out(name, model, data, all_rows)
    part = looked.rows
    if isinstance(part.x, TablePieces):
        raise Limitation(
            f"{data} is read piece by piece, and gradients are of rows in memory.", hint="one of its files"
        )
    count = min(_ROWS, len(part))
    tell_notes([f"the loss is that of {count:,} of {looked.told}", *looked.source.notes])
    part = part.take(np.arange(count))
    return part.x, part.y, {"part": looked.part, "rows": count}


def _text(found: list[_Weight], wrong: list[str]) -> str:
    rows = [("weight", "entries", "largest gradient", "max relative error", "")]
    rows += [
        (one.name, str(len(one.check.entries)), f"{one.largest:.4g}", f"{one.error:.1e}", "" if one.check else "wrong")
        for one in found
    ]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "  ".join([f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]
    if wrong:
        told = [repr(one.check) for one in found if not one.check]
        return "\n".join([*lines, "", f"Wrong: {', '.join(wrong)}.", *told])
    return "\n".join([*lines, "", "All agree with central differences."])
