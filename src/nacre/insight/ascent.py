"""Gradients of scores by the input: the input that a unit likes best, and what each number of an input adds to a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.errors import Limitation, UsageError, find
from nacre.ir import Input, TensorType, order
from nacre.layers.layer import Record
from nacre.models import Model
from nacre.progress import tell

Array = npt.NDArray[Any]

_STEP = 0.1  # of the norm that an input may have: how far the first step goes


@dataclass(frozen=True)
class Maximized:
    """Inputs that excite ``units`` (k,) of a layer: ``inputs`` (k, ...), and ``activations`` (k, steps + 1), the scores of the
    units by step, from the start on."""

    layer: str
    units: Array
    inputs: Array
    activations: Array

    def __str__(self) -> str:
        lines = [f"{self.layer}: scores of units, maximized over the input", "", "unit   start     end"]
        ends = self.activations[:, [0, -1]].tolist()
        return "\n".join(
            [*lines, *(f"{u:>4}  {a:>6.4g}  {b:>6.4g}" for u, (a, b) in zip(self.units, ends, strict=True))]
        )

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        arrays = {"units": self.units, "inputs": self.inputs, "activations": self.activations}
        return {"layer": self.layer, **{name: array.tolist() for name, array in arrays.items()}}


@dataclass(frozen=True)
class Attribution:
    """What each number of the input adds to a score: ``values`` (n, ...), for the ``scores`` (n,) of ``units`` (n,).

    ``rest`` (n,) is what is left of the scores: of a linear model, its bias.
    """

    units: Array
    scores: Array
    values: Array

    @property
    def rest(self) -> Array:
        """The scores less all that the inputs add to them."""
        rest: Array = self.scores - self.values.reshape(len(self.values), -1).sum(1)
        return rest

    def __str__(self) -> str:
        lines = ["row  unit    score  of inputs     rest"]
        rows = enumerate(zip(self.units, self.scores, self.rest, strict=True))
        return "\n".join([*lines, *(f"{n:>3}  {u:>4}  {s:>7.4g}  {s - r:>9.4g}  {r:>7.4g}" for n, (u, s, r) in rows)])

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        arrays = {"units": self.units, "scores": self.scores, "values": self.values, "rest": self.rest}
        return {name: array.tolist() for name, array in arrays.items()}


def maximize(
    model: Model, layer: str | None = None, units: int | Sequence[int] | None = None, x: Any = None, steps: int = 100
) -> Maximized:
    """The inputs that excite units of a layer most, of those that are no larger than inputs are: activation maximization.

    By gradient ascent on the score of each unit, which is what its activation is applied to, so that neither a softmax nor a unit
    that is off holds it up. Without ``layer``, it is the output; ``units`` is one, several, or all of them.

    The rows of ``x`` (n, ...) say how large inputs are: the norm of what is found is at most theirs on average, and its numbers
    lie between their least and largest, or 0; the ascent starts at their mean. Without ``x``, the norm is at most the square root
    of the size, as if each number were about 1, and it starts with a little noise, which is always the same. ``steps`` become
    shorter.

    D. Erhan, Y. Bengio, A. Courville, P. Vincent, "Visualizing higher-layer features of a deep network", 2009. Raises `UnknownName`
    for a layer that is not there, `UsageError` for units that it does not have, and `Limitation` for a model with several inputs,
    or inputs that have no gradient, such as numbers of terms.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(2, "relu", name="first")])
    >>> model.set_weights([np.array([[3.0, 0.0], [4.0, -1.0]]), np.zeros(2)])
    >>> maximize(model, "first").inputs.round(2)
    array([[ 0.85,  1.13],
           [ 0.  , -1.41]], dtype=float32)
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(f"steps is a whole number from 1 on, got {steps!r}.")
    shape = _input_shape(model)
    count = _Scores(model, layer, 1).units
    chosen = np.arange(count) if units is None else np.atleast_1d(np.asarray(units))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or ((chosen < 0) | (chosen >= count)).any() or not len(chosen):
        raise UsageError(f"Units are numbers from 0 to {count - 1}, got {units!r}.")
    if x is None:
        norm, low, high = float(np.sqrt(np.prod(shape))), -np.inf, np.inf
        start = 0.01 * np.random.default_rng(0).normal(size=shape)
    else:
        rows = np.asarray(x, np.float64)
        if rows.shape[1:] != shape or not len(rows):
            raise UsageError(f"x holds rows as the model takes them, {shape}, got {rows.shape}.")
        norm = float(np.linalg.norm(rows.reshape(len(rows), -1), axis=1).mean())
        low, high, start = min(0.0, float(rows.min())), max(0.0, float(rows.max())), rows.mean(0)
    scores = _Scores(model, layer, len(chosen))
    found, trace = np.repeat(start[None], len(chosen), 0), []
    for step in range(steps):
        values, slope = scores(found, chosen)
        trace.append(values)
        steep = _norms(slope)
        direction = np.divide(slope, steep, out=np.zeros_like(slope), where=steep > 0)  # flat: the unit is dead here
        found = np.clip(found + _STEP * norm * (1 - step / steps) * direction, low, high)
        found = found * np.minimum(1, norm / np.maximum(_norms(found), norm))  # nearer to 0, so still within bounds
        tell(f"Finding what excites {scores.name} most", step + 1, steps, "steps")
    trace.append(scores(found, chosen)[0])
    return Maximized(scores.name, chosen, found.astype(np.float32), np.stack(trace, 1))


def gradient_times_input(model: Model, x: Any, y: Any = None) -> Attribution:
    """What each number of the rows of x (n, ...) adds to the score of class y (n,), or of the class that the model predicts.

    It is the gradient of the score by that number, times the number. For a linear model, and the biases, they add up to the score
    exactly; for relu, to as much of it as does not come from biases. A model with one output has one score, of unit 0.

    A. Shrikumar, P. Greenside, A. Kundaje, "Not just a black box: learning important features through propagating activation
    differences", 2016. Raises `UsageError` for labels that do not fit, and `Limitation` as `maximize` does.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.set_weights([np.array([[3.0], [-1.0]]), np.array([0.5])])
    >>> found = gradient_times_input(model, np.array([[2.0, 4.0]]))
    >>> found.values.tolist(), found.scores.tolist(), found.rest.tolist()
    ([[6.0, -4.0]], [2.5], [0.5])
    """
    shape = _input_shape(model)
    rows = np.asarray(x, np.float64)
    if rows.shape[1:] != shape or not len(rows):
        raise UsageError(f"x holds rows as the model takes them, {shape}, got {rows.shape}.")
    scores = _Scores(model, None, len(rows))
    predicted = y is None or scores.units == 1
    units = scores.all_of(rows).argmax(1) if predicted else np.asarray(y).reshape(-1)
    if units.dtype.kind not in "iu" or units.shape != (len(rows),) or ((units < 0) | (units >= scores.units)).any():
        raise UsageError(f"y has a class from 0 to {scores.units - 1} for each of {len(rows)} rows, got {y!r}.")
    values, slope = scores(rows, units)
    return Attribution(units, values, slope * rows)


class _Scores:
    """The scores of a layer for n rows, and the gradient of one of them for each row, by the meaning of the model's graph."""

    def __init__(self, model: Model, layer: str | None, rows: int) -> None:
        self.x, record = Input("x", TensorType((rows, *_input_shape(model)))), Record()
        (y,) = model.forward([self.x], training=False, record=record)
        self.name = "output"
        if layer is not None:
            calls = {call.name: call.output for call in reversed(record.calls)}  # of a layer called again, the first
            self.name, y = layer, find("layer", layer, calls)
        self.scores = ops.reshape(record.scores.get(y, y), [rows, -1])
        self.units = self.scores.shape[1]
        self.chosen = Input("chosen", self.scores.type)
        chosen_scores = ops.sum(self.scores * self.chosen, axis=1)
        (slope,) = gradients(ops.sum(chosen_scores), [self.x])
        if not any(value is self.chosen for value in order([slope])):
            raise Limitation(
                f"The scores of {self.name!r} have no gradient by the input of {model.name!r}.",
                hint="numbers of terms, as Embedding takes them, and what only steps have none",
            )
        self.outputs = [chosen_scores, slope]

    def all_of(self, rows: Array) -> Array:
        """All scores of the rows."""
        return ops.evaluate([self.scores], {"x": rows})[0]

    def __call__(self, rows: Array, units: Array) -> tuple[Array, Array]:
        """The score of each row's unit (n,), and its gradient by the row (n, ...)."""
        chosen = np.eye(self.units, dtype=np.float32)[units]
        values, slope = ops.evaluate(self.outputs, {"x": rows, "chosen": chosen})
        return values, slope.astype(np.float64)


def _input_shape(model: Model) -> tuple[int, ...]:
    shapes = model.input_shapes
    if len(shapes) != 1 or len(model.output_shapes) != 1:
        raise Limitation(
            f"{model.name!r} has several inputs or outputs, and gradients of scores are taken by one input."
        )
    return tuple(int(n or 0) for n in shapes[0][1:])


def _norms(rows: Array) -> Array:
    """Euclidean norms of rows, in a shape that divides them."""
    norms: Array = np.linalg.norm(rows.reshape(len(rows), -1), axis=1)
    return norms.reshape(-1, *[1] * (rows.ndim - 1))


__all__ = ["Attribution", "Maximized", "gradient_times_input", "maximize"]
