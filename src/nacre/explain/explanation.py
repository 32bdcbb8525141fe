"""What an explanation holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nacre.data.features import Given
from nacre.errors import UsageError, did_you_mean
from nacre.explain import page, sheet, text
from nacre.explain.numbers import top
from nacre.files import write_whole
from nacre.layers import Dense, Layer
from nacre.losses import Loss
from nacre.plain import plain

Array = npt.NDArray[Any]

_LISTED = 20  # weights of a layer in a document


class WeightStep(NamedTuple):
    """A weight in the step: its value, the gradient of the loss by it, and its next value; the last two None without targets, or
    if it is not trained."""

    value: Array
    gradient: Array | None
    new: Array | None


class Blame(NamedTuple):
    """One weight of a dense layer, from number ``source`` of its input to its number ``unit``: its ``share`` of the gradient, for
    this row, is ``input`` times ``error``, that of the unit. ``name`` says what the number of the input stands for, if it is one of
    a column of a table."""

    source: int
    unit: int
    input: float
    error: float
    share: float
    weight: WeightStep
    name: str | None = None


class Update(NamedTuple):
    """What the step did to one entry of a weight: its ``name`` as in "dense/kernel[3, 7]", its ``old`` and its ``new`` value."""

    name: str
    old: float
    new: float


@dataclass(frozen=True, eq=False)
class LayerStep:
    """The call of a layer in the step, for n rows.

    ``inputs`` are arrays (n, ...), ``output`` (n, ...) is what it gave, ``scores`` (n, ...) what its activation was applied to, if
    it has one. Backward, with targets: ``error`` (n, ...) is the gradient of the loss of each row by the output, None where the
    loss is computed from the scores; ``slope`` (n, ...) that of each output by its own score, None where an output depends on
    several; ``score_error`` (n, ...), their product, is the gradient by the scores. ``weights`` are by their
    names, such as "kernel", in full where layers inside share names. ``called`` are names for the numbers of the output, row by
    row, where each stands for a column of a table, as in "city = Paris".
    """

    name: str
    layer: Layer
    inputs: list[Array]
    output: Array
    scores: Array | None
    error: Array | None
    slope: Array | None
    score_error: Array | None
    weights: Mapping[str, WeightStep]
    called: list[list[str]] | None = None

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.layer).__name__

    @property
    def activation(self) -> str | None:
        """The name of its activation, None without one."""
        return None if self.scores is None else getattr(self.layer.activation, "__name__", "activation")  # type: ignore[attr-defined]

    @property
    def dense(self) -> bool:
        """Whether it is a dense layer that sees the row as a whole, so that a weight leads from one number to one unit."""
        return isinstance(self.layer, Dense) and self.output.ndim == 2

    def row(self, row: int) -> LayerStep:
        """The same for one row."""
        own = slice(row, row + 1)
        names = ("output", "scores", "error", "slope", "score_error")
        found: dict[str, Any] = {name: None if (a := getattr(self, name)) is None else a[own] for name in names}
        called = None if self.called is None else self.called[own]
        return replace(self, inputs=[a[own] for a in self.inputs], called=called, **found)


@dataclass(frozen=True, eq=False)
class Votes:
    """What m units say for k outputs of the dense layer behind them, for one row, in float64, in which the product of two float32
    is exact.

    ``votes`` (m, k) are ``activations`` (m,) times weights. ``totals`` (k,) are their sums with the ``bias`` (k,), rounded once;
    ``scores`` (k,) are those of the engine, which rounds on the way, to float32.
    """

    layer: str
    activations: Array
    votes: Array
    bias: Array
    totals: Array
    scores: Array

    @property
    def difference(self) -> float:
        """How far the engine's scores are from the sums, at most."""
        return float(np.abs(self.totals - self.scores).max())

    def order(self, output: int) -> Array:
        """Numbers of the units, that with the largest vote for or against this output first."""
        return top(self.votes[:, output], len(self.votes))


@dataclass(frozen=True, eq=False)
class Explanation:
    """One step on n rows: what `explain` found. ``print`` it, ``save`` it as a page or spreadsheet; ``explanation[i]`` is about
    row i of the same step.

    ``layers`` are the calls of layers in order. With targets, ``targets`` (n, k) are in the form of the outputs, class numbers as
    ones and zeros; ``losses`` (n,) are those of the rows, each by itself, and ``share`` is the factor by which the model counts the
    loss. Gradients of weights, and their next values, are those of the step on all ``batch`` rows. ``classes`` are the names of
    outputs, if these are classes. ``takes`` are, for each of the layers, the places of those whose outputs it takes, None where
    that is not known. ``given`` is, where the model knows what columns of a table mean, for each row what its numbers stand for,
    and ``terms`` what each number of a term means. ``notes`` say what people should know.
    """

    model: str
    layers: list[LayerStep] = field(repr=False)
    batch: int
    classes: list[str] | None = None
    targets: Array | None = None
    losses: Array | None = None
    loss: Loss | None = None
    share: float = 1.0
    optimizer: str | None = None
    learning_rate: float | None = None
    plain: bool = False  # whether the optimizer takes plain steps of gradient descent
    takes: list[list[int]] | None = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list)
    given: list[list[Given]] | None = field(default=None, repr=False)
    terms: list[str] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.layers[-1].output)

    def __getitem__(self, row: int) -> Explanation:
        if not 0 <= row < len(self):
            raise IndexError(f"There are rows 0 to {len(self) - 1}, got {row!r}.")
        own = slice(row, row + 1)
        found: dict[str, Any] = {
            name: None if (a := getattr(self, name)) is None else a[own] for name in ("targets", "losses", "given")
        }
        return replace(self, layers=[step.row(row) for step in self.layers], **found)

    def __str__(self) -> str:
        return text.written(self)

    def layer(self, name: str) -> LayerStep:
        """The call of that name. Raises `UsageError` if there is none."""
        for step in self.layers:
            if step.name == name:
                return step
        names = [step.name for step in self.layers]
        raise UsageError(f"There is no call of a layer named {name!r}.", hint=did_you_mean(name, names))

    @property
    def outputs(self) -> Array:
        """What the network gave (n, ...)."""
        return self.layers[-1].output

    @property
    def predicted(self) -> str | float | None:
        """What the network says of the first row: the name of the likeliest class, or a number; None where it is neither."""
        output = self.outputs[0]
        if output.size == 1:
            return float(output.reshape(()))
        if output.ndim != 1 or not self._of_classes:
            return None
        return self.label(int(np.argmax(output)))

    @property
    def true(self) -> str | float | None:
        """What it should say of the first row; None where that is not known."""
        if self.targets is None or self.predicted is None:
            return None
        target = self.targets[0]
        return float(target.reshape(())) if target.size == 1 else self.label(int(np.argmax(target)))

    @property
    def _of_classes(self) -> bool:
        judged = self.loss is not None and self.loss.targets == "labels"
        return self.classes is not None or judged or self.layers[-1].activation == "softmax"

    def label(self, output: int) -> str:
        """What an output is called."""
        return str(output) if self.classes is None else self.classes[output]

    def sources(self, step: LayerStep) -> list[str] | None:
        """What the numbers of the only input of a layer stand for in the first row; None where that is not known."""
        if self.takes is None:
            return None
        before = self.takes[next(at for at, one in enumerate(self.layers) if one is step)]
        called = self.layers[before[0]].called if len(before) == 1 else None
        return None if called is None else called[0]

    def votes(self) -> Votes | None:
        """The votes in the last dense layer, for the first row; None if there is no such layer."""
        step = next((step for step in reversed(self.layers) if step.dense), None)
        if step is None:
            return None
        kernel = step.weights["kernel"].value
        bias = step.weights["bias"].value if "bias" in step.weights else np.zeros(kernel.shape[1])
        x = step.inputs[0][0].astype(np.float64)
        votes = x[:, None] * kernel.astype(np.float64)
        totals = [math.fsum([*column, b]) for column, b in zip(votes.T.tolist(), bias.tolist(), strict=True)]
        assert step.scores is not None
        scores = step.scores[0].astype(np.float64)
        return Votes(step.name, x, votes, bias.astype(np.float64), np.array(totals), scores)

    def blame(self, name: str, most: int = _LISTED) -> list[Blame]:
        """The weights of a dense layer with the largest input x error, for the first row: at most so many, the largest first.

        Raises `UsageError` for a layer that has none, or without targets.
        """
        step = self.layer(name)
        if not step.dense or step.score_error is None:
            raise UsageError(
                f"{name!r} has no table of blame.", hint="for a dense layer, of a step with targets: pass y"
            )
        x, error, kernel = (
            step.inputs[0][0].astype(np.float64),
            step.score_error[0].astype(np.float64),
            step.weights["kernel"],
        )
        # The largest products are among those of the largest factors.
        rows, units = top(x, most), top(error, most)
        shares = x[rows][:, None] * error[units]
        found, names = [], self.sources(step)
        for at in top(shares.reshape(-1), most).tolist():
            i, j = int(rows[at // len(units)]), int(units[at % len(units)])
            weight = WeightStep(*(None if a is None else a[i, j] for a in kernel))  # type: ignore[arg-type]
            share = float(x[i] * error[j])
            found.append(Blame(i, j, float(x[i]), float(error[j]), share, weight, None if names is None else names[i]))
        return found

    def updates(self, most: int = _LISTED) -> list[Update]:
        """The weights that the step changes most, one by one, of all layers: at most so many, the largest change first.

        Raises `UsageError` without targets.
        """
        if self.losses is None:
            raise UsageError("A prediction changes no weight.", hint="explain a step with targets: pass y")
        found: list[tuple[float, Update]] = []
        seen = set()
        for step in self.layers:
            for end, weight in step.weights.items():
                name = end if "/" in end else f"{step.name.partition(' (')[0]}/{end}"
                if weight.new is None or name in seen:  # frozen, or of a layer that is called again
                    continue
                seen.add(name)
                with np.errstate(invalid="ignore"):  # infinite weights do not change
                    change = (weight.new - weight.value.astype(np.float64)).ravel()
                for flat in top(change, most).tolist():
                    at = tuple(int(i) for i in np.unravel_index(flat, weight.value.shape))
                    entry = Update(f"{name}{list(at)}", float(weight.value[at]), float(weight.new[at]))
                    found.append((-abs(float(change[flat])), entry))
        return [entry for _, entry in sorted(found, key=lambda pair: pair[0])[:most]]

    def document(self) -> dict[str, Any]:
        """All of it as JSON can hold it, row by row; of weights, those with the most blame."""
        return {
            "model": self.model,
            "classes": self.classes,
            "loss": None if self.loss is None else self.loss.name,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "batch": self.batch,
            "notes": self.notes,
            "rows": [self[row]._row() for row in range(len(self))],
        }

    def _row(self) -> dict[str, Any]:
        votes = self.votes()
        row: dict[str, Any] = {} if self.given is None else {"given": [one._asdict() for one in self.given[0]]}
        row |= {"predicted": _finite(self.predicted), "true": _finite(self.true)}
        row["layers"] = [_described(step) for step in self.layers]
        if votes is not None:
            row["votes"] = {"layer": votes.layer, "difference": votes.difference} | {
                name: getattr(votes, name).tolist() for name in ("activations", "votes", "bias", "totals")
            }
        if self.losses is not None:
            row |= {"loss": plain(self.losses[0]), "target": None if self.targets is None else plain(self.targets[0])}
            row["blame"] = {step.name: [_listed(one) for one in self.blame(step.name)] for step in self._blamed}
        return row

    @property
    def _blamed(self) -> list[LayerStep]:
        return [step for step in self.layers if step.dense and step.score_error is not None]

    def save(self, path: str | Path) -> None:
        """Write a page (.html) or a spreadsheet with live formulas (.xlsx) about the first row.

        Raises `UsageError` for another suffix, and `Limitation` for a network that a spreadsheet cannot hold; see `explain`.
        """
        path = Path(path)
        writers = {".html": page.page, ".xlsx": sheet.workbook}
        if path.suffix.lower() not in writers:
            raise UsageError(f"Cannot write {path}: unknown format {path.suffix!r}.", hint=".html or .xlsx")
        if not path.parent.is_dir():
            raise UsageError(f"Cannot write {path}: there is no folder {path.parent}.")
        write_whole(path, [writers[path.suffix.lower()](self)])


def _finite(said: str | float | None) -> Any:
    return plain(said) if isinstance(said, float) else said


def _described(step: LayerStep) -> dict[str, Any]:
    arrays = {"scores": step.scores, "output": step.output, "error": step.error, "score_error": step.score_error}
    told = {name: plain(array[0]) for name, array in arrays.items() if array is not None}
    weights = {name: list(weight.value.shape) for name, weight in step.weights.items()}
    return {
        "name": step.name,
        "kind": step.kind,
        "activation": step.activation,
        "inputs": [plain(array[0]) for array in step.inputs],
        **told,
        "weights": weights,
    }


def _listed(blame: Blame) -> dict[str, Any]:
    weight = {name: None if a is None else plain(a) for name, a in blame.weight._asdict().items()}
    return {**blame._asdict(), "weight": weight}


__all__ = ["Blame", "Explanation", "LayerStep", "Update", "Votes", "WeightStep"]
