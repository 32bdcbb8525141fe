"""The same function with fewer parameters: layers in a row that are one, units that say nothing, units that say the same."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import activations, ops, optimizers
from nacre.configured import custom_object_scope, resolve, serialize, strangers
from nacre.errors import Limitation, UsageError
from nacre.layers import (
    Activation,
    AlphaDropout,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Identity,
    Input,
    InputLayer,
    Layer,
    Normalization,
    ReLU,
    Rescaling,
    Symbol,
)
from nacre.layers.layer import TABLE, numbered
from nacre.layers.symbol import leading_to
from nacre.models import Functional, Model, Sequential
from nacre.models.part import Part

Array = npt.NDArray[Any]

_RANDOM_ROWS = 256
# Activations that look at a whole row: what a unit gives depends on the others.
_OF_ROWS = frozenset({"softmax", "log_softmax", "glu", "sparsemax"})
_NOISE = (Dropout, AlphaDropout, GaussianDropout, GaussianNoise)


@dataclass(frozen=True)
class Step:
    """What was done, and the parameters of the whole network before and after it."""

    what: str
    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.what}: {self.before:,} -> {self.after:,} parameters"


@dataclass(frozen=True)
class Collapsed:
    """What `collapse` gives: the smaller ``model``, the ``steps`` that led to it, and how far its outputs are from those before.

    ``difference`` is the largest difference of an output over ``rows`` rows, which are ``random`` if none were given, and
    ``largest`` the largest output. ``notes`` say what was seen and left as it is. If there is no step, the model is the very same.
    """

    model: Model
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    before: int
    difference: float
    largest: float
    rows: int
    random: bool

    @property
    def after(self) -> int:
        """Parameters of the model now."""
        return self.model.count_params()

    def document(self) -> dict[str, Any]:
        """Everything but the model, as JSON can hold it."""
        return {
            "parameters": {"before": self.before, "after": self.after},
            "steps": [{"what": step.what, "before": step.before, "after": step.after} for step in self.steps],
            "notes": list(self.notes),
            "difference": self.difference,
            "largest_output": self.largest,
            "rows": self.rows,
            "random_rows": self.random,
        }

    def __str__(self) -> str:
        notes = [f"Note: {note}." for note in self.notes]
        if not self.steps:
            return "\n".join([f"Nothing can be collapsed: {self.before:,} parameters stay.", *notes])
        rows = f"{self.rows:,} {'random ' if self.random else ''}rows"
        end = f"Outputs differ by at most {self.difference:.2g}, over {rows}; the largest output is {self.largest:.3g}."
        return "\n".join(
            [*map(str, self.steps), f"Together: {self.before:,} -> {self.after:,} parameters", *notes, end]
        )


def collapse(model: Model, x: Any = None) -> Collapsed:
    """A smaller network that predicts the same: a chain of layers, in which what can be one layer is one. Where several inputs are
    joined, as the numbers and categories of a table, this is done with the chain behind, and what is before it stays.

    * Dense layers without an activation between them are multiplied into one, where it has no more parameters than they had: a
      narrow layer between two wide ones saves parameters, and stays.
    * `BatchNormalization`, as it is in prediction, `Rescaling` and `Normalization` go into the Dense layer before or after them.
    * A unit whose weights are all 0 gives the same for every row, and goes into the biases of the next layer. With rows ``x``
      (n, ...), units that give 0 for all of them, as those of relu may, go too: for other rows, they may not.
    * Units of a layer with the same weights and bias become one, whose outgoing weights are the sums of theirs.

    All is computed in float64 and stored as float32. Layers that act in training only, such as `Dropout`, go if they were between
    two layers that became one, which keeps name, regularizers and constraints of the last of them. The model is compiled
    as the first was, with an optimizer that begins anew, and keeps its `features`; the first stays as it is. The difference of the
    outputs is measured on x, or on random rows.

    Raises `Limitation` for a model that is no chain, or is written as a class, `UsageError` for one with functions that have no
    name, such as a lambda, and `NotBuiltError` for one without weights.

    >>> import nacre
    >>> layers = [nacre.layers.Dense(n) for n in (100, 50, 10)]
    >>> found = nacre.collapse(nacre.Sequential([nacre.Input((20,)), *layers]))
    >>> print(found.steps[0])
    'dense', 'dense_1', 'dense_2' are one linear layer, 'dense_2': 7,660 -> 210 parameters
    >>> found.model.count_params(), found.difference < 1e-5
    (210, True)
    """
    if not isinstance(model, Model):
        raise UsageError(f"collapse takes a model, got {model!r}.")
    if isinstance(model, Functional) and (behind := _behind_join(model)):
        return _collapsed_behind(model, behind, x)
    before = model.count_params()
    chain = _Chain(model, _pieces(model))
    rows = _rows(model, x)
    chain.fold_scales()
    chain.multiply()
    while chain.remove_constant(None if x is None else rows) or chain.merge_equal():
        pass  # fewer units may leave more that say nothing
    if x is not None:
        chain.note_alike(rows)
    made = chain.written() if chain.steps else model
    old, new = (np.asarray(one.predict(rows, verbose=0), np.float64) for one in (model, made))
    difference = float(np.abs(new - old).max(initial=0))
    notes = tuple(dict.fromkeys(chain.notes))
    return Collapsed(
        made, tuple(chain.steps), notes, before, difference, float(np.abs(old).max(initial=0)), len(rows), x is None
    )


# ------------------------------------------------------------------ where inputs are joined


def _behind_join(model: Functional) -> list[Symbol]:
    """The last layer that takes several inputs, and the chain behind it, up to the only output; none, if the model is a chain as a
    whole, or has nothing behind."""
    symbols = leading_to(model.outputs)
    often = Counter(id(operand) for symbol in symbols for operand in symbol.operands)
    if len(model.outputs) != 1:
        return []
    chain = [model.outputs[0]]
    while len(chain[0].operands) == 1 and often[id(chain[0].operands[0])] == 1:
        chain.insert(0, chain[0].operands[0])
    return chain if len(chain[0].operands) > 1 and len(chain) > 1 else []


def _collapsed_behind(model: Functional, chain: Sequence[Symbol], x: Any) -> Collapsed:
    """The model with a smaller chain behind the layer that joins its inputs."""
    twin = copy.deepcopy(model)  # calls of its layers would be noticed
    cut, *rest = _behind_join(twin)
    begin = end = Input([int(n or 0) for n in cut.shape[1:]], dtype=cut.dtype)
    for symbol in rest:
        end = symbol.layer(end)
    tail = Functional(begin, end, name=model.name)
    tail._settings = model._settings
    head = Functional(twin.inputs, cut, name="head")
    head.features = model.features
    found = collapse(tail, None if x is None else head.predict(x, verbose=0))
    before = model.count_params()
    more = before - tail.count_params()
    made: Model = model
    if found.steps:
        y = cut
        for layer in found.model.layers:
            y = layer(y)
        made = Functional(twin.inputs, y, name=model.name)
        made._settings, made.features = found.model._settings, model.features
    steps = tuple(replace(step, before=step.before + more, after=step.after + more) for step in found.steps)
    notes = (*found.notes, f"what is before {chain[0].layer.name!r}, which joins inputs, stays as it is")
    return replace(found, model=made, steps=steps, notes=notes, before=before)


# ------------------------------------------------------------------ the chain


@dataclass
class _Affine:
    """A Dense layer: ``kernel`` (features, units) and ``bias`` (units,) in float64; its settings are those of ``layer``."""

    layer: Dense
    kernel: Array
    bias: Array
    biased: bool
    activation: Callable[..., Any]
    name: str
    rank: int  # of a sample that comes in
    trainable: bool

    @property
    def size(self) -> int:
        return self.kernel.size + self.bias.size * self.biased

    @property
    def units(self) -> int:
        return int(self.kernel.shape[1])

    @property
    def linear(self) -> bool:
        return self.activation is activations.linear

    @property
    def by_unit(self) -> bool:
        """Whether what a unit gives depends on its own score alone."""
        named = getattr(activations, getattr(self.activation, "__name__", ""), None)
        return named is self.activation and named.__name__ not in _OF_ROWS

    def add(self, shift: Array) -> None:
        """More bias."""
        if shift.any():
            self.bias, self.biased = self.bias + shift, True


@dataclass
class _Kept:
    """Any other layer, as it is; ``scale`` and ``shift``, in the shape of a sample, if it is x * scale + shift."""

    layer: Layer
    shape: tuple[int, ...]  # of a sample that comes in
    scale: Array | None = None
    shift: Array = field(default_factory=lambda: np.zeros(()))

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def size(self) -> int:
        return self.layer.count_params()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def passes(self) -> bool:
        """Whether it gives what it is given, in prediction, unit by unit."""
        noise = isinstance(self.layer, _NOISE) and getattr(self.layer, "noise_shape", None) is None
        linear = isinstance(self.layer, Activation) and self.layer.activation is activations.linear
        return (
            noise or linear or isinstance(self.layer, Identity) or (isinstance(self.layer, Flatten) and self.rank == 1)
        )


_Piece = _Affine | _Kept


def _pieces(model: Model) -> list[_Piece]:
    found: list[_Piece] = []
    for layer, given in _layers(model):
        shape = tuple(int(n or 0) for n in given[1:])
        last = found[-1] if found else None
        if type(layer) is Dense:
            kernel = layer.weights[0].numpy().astype(np.float64)
            bias = layer.weights[1].numpy().astype(np.float64) if layer.use_bias else np.zeros(layer.units)
            trainable = layer.trainable
            found.append(
                _Affine(layer, kernel, bias, layer.use_bias, layer.activation, layer.name, len(shape), trainable)
            )
        elif isinstance(last, _Affine) and last.linear and (activation := _activation_of(layer)) is not None:
            last.activation, last.name = activation, layer.name
        else:
            found.append(_Kept(layer, shape, *_scaling(layer, shape)))
    return found


def _layers(model: Model) -> list[tuple[Layer, Sequence[int | None]]]:
    """The layers of a chain, those of models inside it too, each with the shape that comes in."""
    if type(model) is Sequential:
        symbols = [(layer, before.shape) for layer, before in zip(model._stack, model._symbols, strict=False)]
    elif isinstance(model, Functional):
        if len(model.outputs) != 1 or len(model.inputs) != 1:
            raise Limitation(
                "collapse takes a chain of layers, with one input and one output.",
                {"inputs": len(model.inputs), "outputs": len(model.outputs)},
            )
        for symbol, before in zip(model._calls[1:], model._calls, strict=False):
            if len(symbol.operands) != 1 or symbol.operands[0] is not before:
                raise Limitation(
                    f"collapse takes a chain of layers, and {symbol.layer.name!r} takes other inputs than what was before it.",
                    {"inputs": len(symbol.operands)},
                    "collapse the chains that it is made of, each as a model of its own",
                )
        symbols = [(symbol.layer, before.shape) for symbol, before in zip(model._calls[1:], model._calls, strict=False)]
    else:
        raise Limitation(
            f"collapse takes a chain of layers, and nothing is known of what {type(model).__name__} computes between them.",
            hint="nacre.Sequential, or nacre.Model(inputs, outputs) without branches",
        )
    names = [id(layer) for layer, _ in symbols]
    if len(set(names)) < len(names):
        name = next(layer.name for layer, _ in symbols if names.count(id(layer)) > 1)
        raise Limitation(f"collapse takes a chain of layers, and {name!r} is used more than once.")
    found: list[tuple[Layer, Sequence[int | None]]] = []
    for layer, shape in symbols:
        if not isinstance(layer, InputLayer):
            found += _layers(layer.model) if isinstance(layer, Part) else [(layer, shape)]
    return found


def _activation_of(layer: Layer) -> Callable[..., Any] | None:
    """The activation that a layer applies, if it does nothing else and has no settings."""
    if isinstance(layer, ReLU) and (layer.max_value, layer.negative_slope, layer.threshold) == (None, 0, 0):
        return activations.relu
    return layer.activation if type(layer) is Activation and layer.activation is not activations.linear else None


def _scaling(layer: Layer, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Scale and shift of a layer that multiplies and adds, in prediction, in the shape of a sample."""
    if type(layer) is Rescaling:
        return np.full(shape, layer.scale), np.full(shape, layer.offset)
    if type(layer) is BatchNormalization:
        mean, variance = (
            w.numpy().astype(np.float64) for w in (layer.moving_mean, layer.moving_variance) if w is not None
        )
        scale = 1 / np.sqrt(variance + layer.epsilon)
        scale = scale if layer.gamma is None else scale * layer.gamma.numpy()
        shift = (0 if layer.beta is None else layer.beta.numpy()) - mean * scale
        return _spread(scale, layer.axes, shape), _spread(shift, layer.axes, shape)
    if type(layer) is Normalization:
        axes = layer._axes((None, *shape))
        mean, variance = (m.astype(np.float64) for m in ops.evaluate(layer._moments([shape[a - 1] for a in axes])))
        deviation = np.maximum(np.sqrt(variance), 1e-7)
        scale, shift = (deviation, mean) if layer.invert else (1 / deviation, -mean / deviation)
        return _spread(scale, axes, shape), _spread(shift, axes, shape)
    return (None,)


def _spread(numbers: Array, axes: Sequence[int], shape: tuple[int, ...]) -> Array:
    """Numbers along some axes, counted with the batch, for each element of a sample."""
    sizes = [n if axis in axes else 1 for axis, n in enumerate(shape, start=1)]
    return np.broadcast_to(numbers.reshape(sizes), shape)


def _along_last(numbers: Array) -> Array | None:
    """The numbers along the last axis, if they are the same all over the others."""
    flat = numbers.reshape(-1, numbers.shape[-1])
    return flat[0] if (flat == flat[0]).all() else None


class _Chain:
    """The layers of a model as they are made fewer, and what was done."""

    def __init__(self, model: Model, pieces: list[_Piece]) -> None:
        self.model, self.pieces = model, pieces
        self.steps: list[Step] = []
        self.notes: list[str] = []

    def _did(self, what: str, change: Callable[[], None]) -> None:
        before = sum(piece.size for piece in self.pieces)
        change()
        self.steps.append(Step(what, before, sum(piece.size for piece in self.pieces)))

    def _pairs(self) -> Iterator[tuple[int, _Affine, _Affine]]:
        """Each Dense layer but the last with its place, and the next, if nothing acts between them in prediction."""
        for at, piece in enumerate(self.pieces):
            after = self._near(at, 1)
            if isinstance(piece, _Affine) and after is not None:
                yield at, piece, after

    def _near(self, at: int, step: int) -> _Affine | None:
        """The Dense layer behind a place, or before it, if nothing acts between them in prediction."""
        at += step
        while 0 <= at < len(self.pieces):
            piece = self.pieces[at]
            if isinstance(piece, _Affine):
                return piece
            if not piece.passes:
                return None
            at += step
        return None

    # -------------------------------------------------------------- what multiplies and adds

    def fold_scales(self) -> None:
        """Put what multiplies and adds, number by number, into the Dense layers around it."""
        while any(self._fold(piece) for piece in self.pieces if isinstance(piece, _Kept) and piece.scale is not None):
            pass  # another may be next to a Dense layer now

    def _fold(self, piece: _Kept) -> bool:
        assert piece.scale is not None
        at = next(n for n, other in enumerate(self.pieces) if other is piece)
        before, (after, flat) = self._near(at, -1), self._after_flatten(at)
        scale, shift = (_along_last(np.broadcast_to(a, piece.shape)) for a in (piece.scale, piece.shift))
        if before is not None and before.linear and scale is not None and shift is not None:

            def change(into: _Affine = before, scale: Array = scale, shift: Array = shift) -> None:
                into.kernel, into.bias = into.kernel * scale, into.bias * scale
                into.add(shift)
                into.name = into.name if at + 1 < len(self.pieces) else piece.name  # by which the output goes
                del self.pieces[at]

            self._did(f"{piece.name!r} went into {before.name!r} before it", change)
            return True
        if flat:
            scale, shift = piece.scale.reshape(-1), piece.shift.reshape(-1)
        if after is None or scale is None or shift is None:
            return False

        def change_next(into: _Affine = after, scale: Array = scale, shift: Array = shift) -> None:
            into.add(shift @ into.kernel)
            into.kernel = scale[:, None] * into.kernel
            del self.pieces[at]

        self._did(f"{piece.name!r} went into {after.name!r} behind it", change_next)
        return True

    def _after_flatten(self, at: int) -> tuple[_Affine | None, bool]:
        """The Dense layer behind a place, and whether samples are flattened on the way."""
        flat = False
        for piece in self.pieces[at + 1 :]:
            if isinstance(piece, _Affine):
                return piece, flat
            if not piece.passes and not isinstance(piece.layer, Flatten):
                break
            flat = flat or isinstance(piece.layer, Flatten)
        return None, flat

    # -------------------------------------------------------------- Dense layers in a row

    def multiply(self) -> None:
        """Make one of Dense layers that have no activation between them, where that takes no more parameters."""
        done: set[int] = set()
        while (run := next((r for r in self._runs() if id(r[-1]) not in done), None)) is not None:
            done.add(id(run[-1]))
            parts = _cheapest(run)
            for part in parts:
                if len(part) > 1:
                    self._merge(part)
            if len(parts) > 1:
                names = ", ".join(repr(part[-1].name) for part in parts)
                self.notes.append(f"{names} have no activation between them, and stay: as one they had more parameters")

    def _runs(self) -> list[list[_Affine]]:
        """Dense layers, two or more, with no activation between them."""
        following = {id(a): b for _, a, b in self._pairs() if a.linear and a.layer.dtype_policy == b.layer.dtype_policy}
        behind = {id(b) for b in following.values()}
        runs: list[list[_Affine]] = []
        for piece in self.pieces:
            if isinstance(piece, _Affine) and id(piece) in following and id(piece) not in behind:
                run = [piece]
                while id(run[-1]) in following:
                    run.append(following[id(run[-1])])
                runs.append(run)
        return runs

    def _merge(self, run: Sequence[_Affine]) -> None:
        last = run[-1]

        def change() -> None:
            kernel, bias = run[0].kernel, run[0].bias
            for piece in run[1:]:
                kernel, bias = kernel @ piece.kernel, bias @ piece.kernel + piece.bias
            first, end = (next(n for n, p in enumerate(self.pieces) if p is of) for of in (run[0], last))
            last.kernel, last.bias = kernel, bias
            last.biased = any(piece.biased for piece in run)
            last.trainable = any(piece.trainable for piece in run)
            self.pieces[first : end + 1] = [last]

        names = ", ".join(repr(piece.name) for piece in run)
        kind = "one linear layer" if last.linear else f"one {getattr(last.activation, '__name__', 'Dense')} layer"
        self._did(f"{names} are {kind}, {last.name!r}", change)

    # -------------------------------------------------------------- units

    def remove_constant(self, rows: Array | None) -> bool:
        """Take out units that always give the same, or 0 for all rows, if there are rows; whether there was one."""
        for at, piece, after in self._pairs():
            if not piece.by_unit:
                continue
            fixed = np.asarray(~piece.kernel.any(axis=0))
            silent = np.zeros_like(fixed) if rows is None else np.asarray(~self._outputs(at, rows).any(axis=0))
            (values,) = ops.evaluate([piece.activation(ops.constant(piece.bias))])
            for gone, why in (
                (fixed, "whose weights are all 0"),
                (silent & ~fixed, f"that give 0 for all {_length(rows):,} rows"),
            ):
                gone = gone.copy()
                if gone.sum() == piece.units:
                    gone[0] = False  # a layer has a unit
                if gone.any():
                    self._take_out(piece, after, gone, values * fixed, why)
                    return True
        return False

    def _take_out(self, piece: _Affine, after: _Affine, gone: Array, values: Array, why: str) -> None:
        def change() -> None:
            after.add(values[gone] @ after.kernel[gone])
            piece.kernel, piece.bias, after.kernel = piece.kernel[:, ~gone], piece.bias[~gone], after.kernel[~gone]

        self._did(f"{_units(int(gone.sum()))} of {piece.name!r} {why} went", change)

    def merge_equal(self) -> bool:
        """Make one of the units of a layer that have the same weights and bias; whether there were any."""
        for _, piece, after in self._pairs():
            if not piece.by_unit:
                continue
            firsts, group = _groups(np.vstack([piece.kernel, piece.bias]))
            if len(firsts) == piece.units:
                continue

            def change(
                piece: _Affine = piece, after: _Affine = after, firsts: Array = firsts, group: Array = group
            ) -> None:
                summed = np.zeros((len(firsts), after.units))
                np.add.at(summed, group, after.kernel)
                piece.kernel, piece.bias, after.kernel = piece.kernel[:, firsts], piece.bias[firsts], summed

            more = piece.units - len(firsts)
            self._did(f"{_units(more)} of {piece.name!r} with the weights of another became one with it", change)
            return True
        return False

    def note_alike(self, rows: Array) -> None:
        """Note units that give the same for all rows, by other weights."""
        for at, piece, _ in self._pairs():
            firsts, group = _groups(self._outputs(at, rows))
            for number, first in enumerate(firsts):
                if (alike := np.flatnonzero(group == number)).size > 1 and first == alike[0]:
                    names = ", ".join(map(str, alike.tolist()))
                    self.notes.append(
                        f"units {names} of {piece.name!r} give the same for all {len(rows):,} rows, by other weights, and stay"
                    )

    def _outputs(self, at: int, rows: Array) -> Array:
        """What the units at a place give (n, units)."""
        given = np.asarray(self.written(self.pieces[: at + 1]).predict(rows, verbose=0))
        return given.reshape(-1, given.shape[-1])

    # -------------------------------------------------------------- back to layers

    def written(self, pieces: Sequence[_Piece] | None = None) -> Sequential:
        """The network, compiled as the model was; or the one of some pieces at its beginning, to be asked only."""
        own = {name: thing for part in (self.model, *self.model._parts()) for name, thing in strangers(part).items()}
        chosen = self.pieces if pieces is None else pieces
        layers = [_copy(self.model.inputs[0].layer, {})]
        taken = {layers[0].name}
        with custom_object_scope(own):
            for piece in chosen:
                name = next(n for n in numbered(piece.name) if n not in taken)
                taken.add(name)
                layers.append(_copy(piece.layer, {"name": name, **_settings(piece)}))
            made = Sequential(layers, name=self.model.name)
            if pieces is None and self.model._settings is not None:
                fresh = optimizers.get(serialize(self.model.optimizer))
                made._settings = {**self.model._settings, "optimizer": fresh}
        for piece, layer in zip(chosen, layers[1:], strict=True):
            arrays = (
                [w.numpy() for w in piece.layer.weights] if isinstance(piece, _Kept) else [piece.kernel, piece.bias]
            )
            for weight, array in zip(layer.weights, arrays, strict=False):  # a layer may have no bias
                weight.assign(array)
        made.features = self.model.features
        return made


def _settings(piece: _Piece) -> dict[str, Any]:
    """In what a layer differs from the one that it was."""
    given: dict[str, Any] = {"input_dim": None, "input_shape": None} if type(piece.layer) is Dense else {}
    if isinstance(piece, _Kept):
        return given
    return given | {
        "units": piece.units,
        "use_bias": piece.biased,
        "activation": piece.activation,
        "trainable": piece.trainable,
    }


def _copy(layer: Layer, settings: dict[str, Any]) -> Layer:
    """A layer like another, with other settings."""
    described = serialize(layer)
    config = described["config"]
    made: Layer = resolve(
        "layer", {**described, "config": config | {k: v for k, v in settings.items() if k in config}}, TABLE
    )
    return made


def _cheapest(run: Sequence[_Affine]) -> list[list[_Affine]]:
    """Dense layers in a row, cut so that it takes the fewest parameters if each part is one layer; into few parts."""
    best: list[tuple[int, int, list[list[_Affine]]]] = [(0, 0, [])]
    for end in range(1, len(run) + 1):
        ways = []
        for begin in range(end):
            part = list(run[begin:end])
            biased = any(piece.biased for piece in part)
            size = (part[0].kernel.shape[0] + biased) * part[-1].units
            cost, parts, cut = best[begin]
            ways.append((cost + size, parts + 1, [*cut, part]))
        best.append(min(ways, key=lambda way: way[:2]))
    return best[-1][2]


def _groups(columns: Array) -> tuple[Array, Array]:
    """The first of each sort of equal columns, in order, and of which sort each column is."""
    _, firsts, group = np.unique(columns, axis=1, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return firsts[order], places[group.reshape(-1)]


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count:,} units"


def _length(rows: Array | None) -> int:
    return 0 if rows is None else len(rows)


def _rows(model: Model, x: Any) -> Array:
    """The rows as an array, or random ones."""
    if x is not None:
        return model._build_for(model._columns(x)).inputs[0].array
    random, shape = np.random.default_rng(0), [int(n or 0) for n in model.input_shapes[0][1:]]
    if model.inputs[0].dtype.startswith("float"):
        return random.standard_normal((_RANDOM_ROWS, *shape), dtype=np.float32)
    return random.integers(2, size=(_RANDOM_ROWS, *shape)).astype(model.inputs[0].dtype)


__all__ = ["Collapsed", "Step", "collapse"]
