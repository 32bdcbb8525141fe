"""What a training will take, answered before anything is allocated: parameters, memory, operations and time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from nacre import optimizers
from nacre.data import Dataset
from nacre.errors import ShapeError, UnknownName, UsageError
from nacre.initializers import Constant, Ones, RandomUniform, VarianceScaling, Zeros
from nacre.ir import TensorType, footprint
from nacre.layers import Dense, Input, Layer, Parameter
from nacre.models import Model, Sequential
from nacre.models.goals import blank_targets
from nacre.optimizers import SGD
from nacre.training.forecast import Forecast, forecast, measured_seconds
from nacre.training.program import Goal, RowType, RowTypes, slot_types

_CHEAP_BYTES = 1 << 30  # a batch that takes less memory is run to know its time
_LONGEST_STEP = (
    1.0  # seconds by the rates of the machine, up to which it is run: the answer takes three such steps at most
)
_MEASURING = 0.8  # seconds of it, or three steps
_RUN = 0.03  # seconds of one of its runs, if a step is shorter
_RATING = 0.05  # seconds in which a rate of the machine is measured
_SIDES = 3  # of pictures that are named
_SAMPLE_ROWS = 1 << 17  # random rows, if it is not said how many there are
_SAMPLE_BYTES = 1 << 27  # of random rows, more than caches hold, as in an epoch


@dataclass(frozen=True)
class LayerParameters:
    """The parameters of a layer, and the ``formula`` by which they are counted: (n + 1) x k for n inputs and k units."""

    name: str
    kind: str
    parameters: int
    formula: str


@dataclass(frozen=True)
class MemoryUse:
    """Bytes, by what they hold.

    ``weights`` are the parameters, ``padding`` what fills them up to the panels of 32 columns that the kernels read, ``slots`` what
    the optimizer keeps, ``gradients`` those of weights that are kept in the batch's memory, ``activations``
    the rest of it: what layers gave, and what is passed back through them. ``data`` are the rows, with their order.
    ``most`` is taken for a moment at the beginning, when weights are drawn and put into panels.
    """

    weights: int
    padding: int
    slots: int
    gradients: int
    activations: int
    data: int
    most: int

    @property
    def total(self) -> int:
        """Bytes that are taken all the time."""
        return self.weights + self.padding + self.slots + self.gradients + self.activations + self.data

    def document(self) -> dict[str, int]:
        """All figures by name."""
        return asdict(self) | {"total": self.total}


@dataclass(frozen=True)
class Change:
    """A change of network or training with which it fits: what to do, and the parameters and bytes it then has."""

    what: str
    parameters: int
    nbytes: int

    def __str__(self) -> str:
        return f"{self.what}: {self.parameters:,} parameters, {size(self.nbytes)}"


@dataclass(frozen=True)
class Budget:
    """What `budget` found. Sizes are in bytes, times in seconds; a multiply-add counts as two operations (``flops``).

    ``training`` is None for a model that is not compiled; operations and seconds then are those of prediction.
    ``slots`` are the bytes of weights with what an optimizer keeps beside them: of plain SGD, with momentum, and of Adam.
    ``timed`` says whether the time was "measured" on a few batches, or comes "from rates" of the machine. ``changes`` are those
    that make it fit, what loses least first; none if it ``fits``.
    """

    layers: tuple[LayerParameters, ...]
    parameters: int
    trainable: int
    batch_size: int
    rows: int | None
    epochs: int
    training: MemoryUse | None
    prediction: MemoryUse
    slots: dict[str, int]
    flops_forward: float
    flops_per_step: int
    steps_per_epoch: int | None
    seconds_per_step: float
    timed: str
    available: int
    changes: tuple[Change, ...]

    @property
    def memory(self) -> MemoryUse:
        """That of training, or of prediction, if the model is not compiled."""
        return self.training or self.prediction

    @property
    def fits(self) -> bool:
        """Whether even the moment that takes most memory has room."""
        return self.memory.most <= self.available

    @property
    def flops_per_epoch(self) -> int | None:
        """Operations of an epoch, None without a number of rows."""
        return None if self.steps_per_epoch is None else self.flops_per_step * self.steps_per_epoch

    @property
    def seconds_per_epoch(self) -> float | None:
        """Seconds of an epoch, None without a number of rows."""
        return None if self.steps_per_epoch is None else self.seconds_per_step * self.steps_per_epoch

    @property
    def weights_per_row(self) -> float | None:
        """Trained weights for each row, None without a number of rows: where there are many, rows can be learned by heart."""
        return None if self.rows is None else self.trainable / self.rows

    def document(self) -> dict[str, Any]:
        """Everything as JSON can hold it."""
        found = asdict(self) | {
            "training": None if self.training is None else self.training.document(),
            "prediction": self.prediction.document(),
            "fits": self.fits,
            "flops_per_epoch": self.flops_per_epoch,
            "seconds_per_epoch": self.seconds_per_epoch,
            "weights_per_row": self.weights_per_row,
        }
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    def __str__(self) -> str:
        names = [f"{layer.name} ({layer.kind})" for layer in self.layers]
        width, digits = max(map(len, [*names, "Parameters"])), len(f"{self.parameters:,}")
        lines = [
            f"{name:<{width}}  {layer.parameters:>{digits},}  {layer.formula}".rstrip()
            for name, layer in zip(names, self.layers, strict=True)
        ]
        lines += [f"{'Parameters':<{width}}  {self.parameters:>{digits},}", ""]
        return "\n".join([*lines, *self._memory(), "", *self._work(), "", *self._verdict()])

    def _memory(self) -> list[str]:
        heads = ["training", "prediction"] if self.training else ["prediction"]
        uses = [use for use in (self.training, self.prediction) if use]
        rows = [(what, *(size(getattr(use, name)) for use in uses)) for name, what in _KINDS]
        rows = [("Memory", *heads), *rows]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        lines = [
            "  ".join([f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))])
            for row in rows
        ]
        kept = ", ".join(f"{size(count)} with {name}" for name, count in self.slots.items())
        return [
            *lines,
            f"A batch has {self.batch_size:,} rows. Weights and slots alone: {kept}; gradients come on top.",
        ]

    def _work(self) -> list[str]:
        step = f"{metric(self.flops_per_step)} a step"
        if self.training:
            ratio = self.flops_per_step / max(1.0, self.flops_forward * self.batch_size)
            step += f" ({ratio:.1f} times forward: back and update too)"
        epoch = "" if self.flops_per_epoch is None else f", {metric(self.flops_per_epoch)} an epoch"
        how = "measured on a few batches" if self.timed == "measured" else "from rates of this machine, roughly"
        lines = [f"Operations: {metric(self.flops_forward)} forward for a row, {step}{epoch}"]
        if self.seconds_per_epoch is None:
            return [*lines, f"Time: {duration(self.seconds_per_step)} a step ({how})"]
        total = (
            "" if self.epochs == 1 else f", {duration(self.seconds_per_epoch * self.epochs)} for {self.epochs:,} epochs"
        )
        lines.append(f"Time: {duration(self.seconds_per_epoch)} an epoch of {self.rows:,} rows{total} ({how})")
        if self.training and self.weights_per_row is not None:
            many = ", which can learn rows by heart: watch the validation loss" if self.weights_per_row > 1 else ""
            lines.append(f"Weights: {self.weights_per_row:.3g} for each row{many}")
        return lines

    def _verdict(self) -> list[str]:
        if self.fits:
            return [f"It fits: {size(self.memory.most)} at most, {size(self.available)} are free."]
        lines = [f"It does not fit: {size(self.memory.most)} at most, {size(self.available)} are free."]
        if self.memory.data > self.available:
            lines.append(
                f"The data alone take {size(self.memory.data)}: folders of Parquet files, HDF5 and Zarr are read piece by piece."
            )
        if not self.changes:
            return [*lines, "No single change of batch, optimizer, inputs or units would make it fit."]
        return [*lines, "What would fit, what loses least first:", *(f"  {change}" for change in self.changes)]


_KINDS = [
    ("weights", "weights"),
    ("padding", "filling them up to whole panels"),
    ("slots", "optimizer"),
    ("gradients", "gradients of weights that are kept"),
    ("activations", "activations of a batch, there and back"),
    ("data", "data"),
    ("total", "all the time"),
    ("most", "at most, while it begins"),
]


def budget(
    model: Model,
    rows: int | None = None,
    batch_size: int = 32,
    epochs: int = 1,
    memory: int | None = None,
    dtype: str | None = None,
) -> Budget:
    """What training takes on this machine, or prediction if the model is not compiled: parameters, memory, operations, time.

    No weight is made for the answer: it comes from the plans that the engine would run, made for types alone. ``rows`` is the
    number of rows of the data, ``dtype`` that of their inputs ("uint8" for pictures), ``memory`` the bytes there are, else what
    this machine and its control group have free.

    Memory is that of arrays; Python and the code take some 50 MB beside it. The 24 networks of ``benchmarks/budget.py``, trained on
    800 rows each, took what was predicted within 0.6 MB. Normal numbers are drawn in float64, and what that took may stay with the
    process: 17 MB for a matrix of 4096 x 1024.

    Time is measured, on batches of random rows for 0.8 seconds or three steps, if a step takes at most 1 GB, half of what is free,
    and roughly a second; else it is a rough estimate, from the rates at which this machine multiplies and reads large matrices.

    Raises `UsageError` for a number that is not positive, and `NotBuiltError` for a model that does not know its inputs' shape.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((3_000_000,)), nacre.layers.Dense(1000, "softmax")])
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> found = nacre.budget(model, memory=23 * 10**9)
    >>> found.parameters, found.training.weights // 10**6, found.fits
    (3000001000, 12000, False)
    >>> print(found.changes[-1])
    resize to 128 x 128 x 3: 49,153,000 parameters, 611 MB
    """
    for name, number in (("rows", rows), ("batch_size", batch_size), ("epochs", epochs), ("memory", memory)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise UsageError(f"{name} is a whole number from 1 on, got {number!r}.")
    if not isinstance(model, Model):
        raise UsageError(f"budget looks at a model, got {model!r}.")
    model.count_params()  # it must be built
    available = free_memory() if memory is None else memory
    batch_size = batch_size if rows is None else min(rows, batch_size)
    asked = _Asked(rows, batch_size, dtype)
    predicting = asked.forecast(model, None)
    prediction = asked.memory(model, None, predicting)
    goal, planned, training = asked.goal(model), predicting, None
    if goal is not None:
        planned = asked.forecast(model, goal)
        training = asked.memory(model, goal, planned)
    seconds, timed = _seconds(model, goal, asked, planned, training or prediction, available)
    fits = (training or prediction).most <= available
    weights = sum(w.type.nbytes for w in model.weights)
    trained = sum(w.type.nbytes for w in model.weights if w.trainable)
    return Budget(
        tuple(_layers(model)),
        model.count_params(),
        sum(w.type.size for w in model.weights if w.trainable),
        batch_size,
        rows,
        epochs,
        training,
        prediction,
        {name: weights + len(rule.state()) * trained for name, rule in _USUAL.items()},
        predicting.flops / batch_size,
        planned.flops,
        None if rows is None else -(-rows // batch_size),
        seconds,
        timed,
        available,
        () if fits else tuple(_changes(model, asked, available)),
    )


_USUAL = {"SGD": SGD(0.1), "momentum": SGD(0.1, momentum=0.9), "Adam": optimizers.Adam()}


@dataclass(frozen=True)
class _Asked:
    """What is asked of a model, beside the model itself."""

    rows: int | None
    batch_size: int
    dtype: str | None

    def types(self, model: Model) -> RowTypes:
        """Types of the columns of the data."""
        shapes = [tuple(int(n or 0) for n in symbol.shape[1:]) for symbol in model.inputs]
        inputs = [RowType(s, self.dtype or symbol.dtype) for s, symbol in zip(shapes, model.inputs, strict=True)]
        return RowTypes(tuple(inputs), RowTypes.of(_targets(model)).targets if model.judged_outputs() else ())

    def goal(self, model: Model) -> Goal | None:
        """What the model is trained for, if it is compiled."""
        return model._goal_for(_targets(model)) if model.judged_outputs() else None

    def forecast(self, model: Model, goal: Goal | None) -> Forecast:
        """What the plan of a batch says of itself."""
        return forecast(model, goal, self.types(model), self.batch_size)

    def memory(self, model: Model, goal: Goal | None, planned: Forecast) -> MemoryUse:
        """Bytes by what they hold, in the order in which the engine asks for them."""
        taken = most = 0
        plain = {name: w.type.nbytes for name, w in model.named.items()}
        for name, w in model.named.items():
            most = max(most, taken + _drawing(w) * plain[name])
            taken += plain[name]
        types = self.types(model)
        columns = [*types.inputs, *(types.targets if goal is not None else ())]
        each = sum(TensorType(t.shape, t.dtype).nbytes for t in columns) + _ORDER
        data = (self.rows or 0) * each
        taken += data
        for name, w in model.named.items():  # each is put into panels, and its plain form let go
            most = max(most, taken + footprint(w.type))
            taken += footprint(w.type) - plain[name]
        weights = sum(plain.values())
        padding = sum(footprint(w.type) for w in model.named.values()) - weights
        slots = slot_types(goal.optimizer, model.named).values() if goal is not None else ()
        kept = sum(map(footprint, slots))
        taken += kept
        most = max(most, taken + planned.work)
        return MemoryUse(weights, padding, kept, planned.gradients, planned.work - planned.gradients, data, most)


_OF_NORMAL = 8  # with the numbers in float64 from which normal ones are made
_ORDER = 8  # bytes for the number of a row, in the order of an epoch


def _drawing(weight: Parameter) -> int:
    """How many times its own size a weight takes while its first value is drawn: itself, and what it is computed from."""
    rule = weight.initializer
    uniform = isinstance(rule, RandomUniform) or (isinstance(rule, VarianceScaling) and rule.distribution == "uniform")
    return 1 if uniform or isinstance(rule, Zeros | Ones | Constant) else _OF_NORMAL


def _targets(model: Model) -> Dataset:
    """One row of targets, of the sort that the losses want."""
    found = {str(number): y for number, y in enumerate(blank_targets(model.judged_outputs(), 1))}
    return Dataset(np.zeros((1, 1), np.float32), found if len(found) > 1 else found["0"])


def _layers(model: Model) -> Iterator[LayerParameters]:
    seen: set[int] = set()
    for layer, _ in model._outputs():
        if id(layer) not in seen and layer.count_params():
            yield LayerParameters(layer.name, type(layer).__name__, layer.count_params(), _formula(layer))
        seen.add(id(layer))


def _formula(layer: Layer) -> str:
    """How parameters are counted.

    >>> layer = Dense(5, input_dim=900)
    >>> Sequential([layer]).count_params(), _formula(layer)
    (4505, '(900 + 1) x 5')
    """
    if isinstance(layer, Dense) and layer.kernel is not None:
        inputs, units = layer.kernel.shape
        return f"({inputs:,} + 1) x {units:,}" if layer.use_bias else f"{inputs:,} x {units:,}"
    return " + ".join(" x ".join(f"{n:,}" for n in w.shape) or "1" for w in layer.weights)


# ------------------------------------------------------------------ time


def _seconds(
    model: Model, goal: Goal | None, asked: _Asked, planned: Forecast, use: MemoryUse, available: int
) -> tuple[float, str]:
    """Seconds of a step, and how they are known."""
    estimate = planned.seconds(*_rates())
    types = asked.types(model)
    width = sum(TensorType(t.shape, t.dtype).nbytes for t in (*types.inputs, *types.targets))
    if use.most - use.data <= min(_CHEAP_BYTES, available // 2) and estimate <= _LONGEST_STEP:
        batches = max(1, min(asked.rows or _SAMPLE_ROWS, _SAMPLE_BYTES // width) // asked.batch_size)
        run = max(1, min(batches, int(_RUN / estimate)))
        found = measured_seconds(model, goal, types, asked.batch_size, batches, run, _MEASURING)
        if found is not None:
            return found, "measured"
    return estimate, "from rates"


@cache
def _rates() -> tuple[float, float]:
    """Operations, and bytes, in a second, at which this machine multiplies many rows, and one row, by large matrices."""
    found = []
    for side, rows in ((1024, 256), (4096, 1)):
        model = Sequential([Input((side,)), Dense(side, use_bias=False, kernel_initializer="zeros")])
        types = RowTypes((RowType((side,), "float32"),))
        seconds = measured_seconds(model, None, types, rows, 1, 1, _RATING)
        assert seconds is not None
        found.append((2 * rows * side * side / seconds, 4 * side * side / seconds))
    return found[0][0], found[1][1]


# ------------------------------------------------------------------ what there is, and what would fit


def free_memory() -> int:
    """Bytes that this machine has free, or the control group of this process, if that is less."""
    free = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    told = Path("/proc/meminfo")
    if told.exists():
        free += [
            int(line.split()[1]) * 1024 for line in told.read_text().splitlines() if line.startswith("MemAvailable")
        ]
    for limit, used in _GROUPS:
        if limit.exists() and used.exists() and (most := limit.read_text().strip()) != "max":
            free.append(max(0, int(most) - int(used.read_text())))
    return min(free)


_GROUPS = [
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
]


def _changes(model: Model, asked: _Asked, available: int) -> Iterator[Change]:
    """Changes with which it fits, what loses least first: batches, optimizer, inputs, units. The least change of each sort."""

    def fitting(what: str, changed: Model | None, rows: int = asked.batch_size, plain: bool = False) -> list[Change]:
        if changed is None:
            return []
        other = replace(asked, batch_size=rows)
        goal = other.goal(changed)
        goal = replace(goal, optimizer=SGD(0.1)) if goal is not None and plain else goal
        most = other.memory(changed, goal, other.forecast(changed, goal)).most
        return [Change(what, changed.count_params(), most)] if most <= available else []

    def first(found: Iterator[list[Change]]) -> list[Change]:
        return next((changes for changes in found if changes), [])

    halves = [asked.batch_size >> n for n in range(1, asked.batch_size.bit_length())]
    yield from first(fitting(f"batches of {n:,} rows", model, n) for n in halves)
    if model._settings is not None and model.optimizer.state():
        yield from fitting("plain SGD", model, plain=True)
    if type(model) is not Sequential:
        return  # nothing is known of how another kind of model goes on with other sizes
    shape = tuple(int(n or 0) for n in model.input_shapes[0][1:])
    pictures, fewer = _smaller_inputs(shape)
    yield from [change for what, smaller in pictures for change in fitting(what, _rebuilt(model, smaller))][:_SIDES]
    yield from first(fitting(what, _rebuilt(model, smaller)) for what, smaller in fewer)
    *hidden, _ = [layer.units for layer in model.layers if isinstance(layer, Dense)] or [1]
    widest = max(hidden, default=1)
    shares = [1 << n for n in range(1, widest.bit_length())]
    yield from first(fitting(f"1/{n} of the hidden units", _rebuilt(model, shape, n)) for n in shares)


_Inputs = list[tuple[str, tuple[int, ...]]]


def _smaller_inputs(shape: tuple[int, ...]) -> tuple[_Inputs, _Inputs]:
    """Smaller pictures, and fewer numbers, the largest first. A picture is (height, width), one at most twice the other, or has
    1, 3 or 4 channels too; a vector may be as long as a square picture of three colors.

    >>> _smaller_inputs((300_001,))[1][:2]
    [('150,000 inputs', (150000,)), ('75,000 inputs', (75000,))]
    >>> _smaller_inputs((400, 300, 3))[0][:2]
    [('resize to 256 x 256 x 3', (256, 256, 3)), ('resize to 128 x 128 x 3', (128, 128, 3))]
    """
    count = math.prod(shape)
    square = len(shape) == 1 and count % 3 == 0 and math.isqrt(count // 3) ** 2 * 3 == count
    if len(shape) == 1 and not square:
        return [], [(f"{count >> n:,} inputs", (count >> n,)) for n in range(1, count.bit_length())]
    pictured = len(shape) in (2, 3) and shape[2:] in ((), (1,), (3,), (4,)) and max(shape[:2]) <= 2 * min(shape[:2])
    if not square and not pictured:
        return [], []
    whole = (math.isqrt(count // 3),) * 2 + (3,) if square else shape
    sides = [1 << n for n in range(4, min(whole[:2]).bit_length()) if 1 << n < min(whole[:2])]
    found: _Inputs = []
    for side in reversed(sides):
        smaller = (side, side, *whole[2:])
        name = " x ".join(map(str, smaller))
        found.append((f"resize to {name}", (math.prod(smaller),) if square else smaller))
    return found, []


def _rebuilt(model: Model, shape: tuple[int, ...], share: int = 1) -> Model | None:
    """The network for other inputs, with a ``share``-th of the hidden units; None if it does not go together."""
    config = model.get_config()
    first, *others = config["layers"]
    if first["class_name"] != "InputLayer":
        return None
    first["config"]["shape"] = shape
    for layer in [layer for layer in others if layer["class_name"] == "Dense"][:-1]:
        layer["config"]["units"] = max(1, layer["config"]["units"] // share)
    try:
        other = Sequential.from_config(config)
    except (ShapeError, UnknownName):  # of a Reshape, which goes with one size only, or a function of one's own
        return None
    other._settings = model._settings
    return other if other.output_shape == model.output_shape else None


# ------------------------------------------------------------------ in words


def size(count: float) -> str:
    """A number of bytes.

    >>> size(12_000_004_000), size(512)
    ('12.0 GB', '512 bytes')
    """
    return f"{count:,.0f} bytes" if round(count) < 1000 else f"{_short(count)}B"


def metric(count: float) -> str:
    """A number with a metric prefix.

    >>> metric(2_380_800), metric(7)
    ('2.38 M', '7')
    """
    return f"{count:,.0f}" if round(count) < 1000 else _short(count)


def _rounded(number: float) -> float:
    """A number with three digits, by which its unit is chosen: 999.6 of one is 1 of the next."""
    return float(f"{number:.3g}")


def _short(count: float) -> str:
    count = _rounded(count)
    power = min(6, (len(str(int(count))) - 1) // 3)
    number = count / 1000**power
    return f"{number:.{3 - len(str(int(number)))}f} {' kMGTPE'[power]}"


def duration(seconds: float) -> str:
    """A time.

    >>> duration(0.00123), duration(75), duration(200_000)
    ('1.23 ms', '1 min 15 s', '2.3 days')
    """
    if (rounded := _rounded(seconds)) < 60:
        scale, unit = (1e6, "us") if rounded < 1e-3 else (1e3, "ms") if rounded < 1 else (1.0, "s")
        return f"{rounded * scale:.3g} {unit}"
    minutes = round(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {round(seconds) % 60} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{seconds / 86400:.1f} days"


__all__ = ["Budget", "Change", "LayerParameters", "MemoryUse", "budget", "free_memory"]
