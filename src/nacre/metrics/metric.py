"""What all metrics share: a batch gives sums, and the sums of all batches give the figure."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nacre import initializers, ops
from nacre.configured import Configured, snake_case
from nacre.errors import Limitation, ShapeError, UsageError, did_you_mean
from nacre.ir import Input, TensorType, Value, order
from nacre.ops import evaluate

Sums = npt.NDArray[np.float64]


class Total:
    """A number or an array that a metric adds to: what `Metric.add_variable` gives.

    It begins as zeros. In ``update_state`` it grows, by `assign_add`, or ``assign(total + more)``; elsewhere it is what it has
    become, and may be set. Operations take it as they take arrays.
    """

    def __init__(self, shape: tuple[int, ...], name: str) -> None:
        self.shape, self.name = shape, name
        self.array: Sums = np.zeros(shape)
        self.stands_for: Input | None = None  # what it is in a program, which is given more to add
        self.more: Value | None = None

    @property
    def value(self) -> Value:
        """What it is now."""
        return ops.constant(self.array, "float32") if self.stands_for is None else self.stands_for

    def assign(self, value: Any) -> None:
        """Set it; while a batch is added, to itself plus something."""
        if self.stands_for is None:
            self.array = np.broadcast_to(np.asarray(value, np.float64), self.shape).copy()
            return
        node = value.value if isinstance(value, Total) else value
        parts = node.operands if isinstance(node, Value) and node.operation and node.operation.name == "add" else ()
        others = [part for part in parts if part is not self.stands_for]
        if (
            len(others) != 1
            or len(parts) != 2
            or any(isinstance(v, Input) and v is self.stands_for for v in order(others))
        ):
            raise Limitation(
                f"The total {self.name!r} of a metric was set to something else than itself and more.",
                hint="batches are added up: total.assign_add(more)",
            )
        self.assign_add(others[0])

    def assign_add(self, value: Any) -> None:
        """Add to it."""
        if self.stands_for is None:
            self.array = self.array + np.broadcast_to(np.asarray(value, np.float64), self.shape)
            return
        more = ops.broadcast_to(ops.cast(ops.operand(value), dtype="float32"), self.shape)
        self.more = more if self.more is None else self.more + more

    def assign_sub(self, value: Any) -> None:
        """Take from it."""
        self.assign_add(-ops.operand(value))

    def numpy(self) -> Sums:
        """What it is now, as an array."""
        return self.array.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if self.stands_for is not None:
            raise Limitation(
                f"The total {self.name!r} of a metric is read while a batch is added.",
                hint="batches are added up: total.assign_add(more), and what depends on all of them is for result",
            )
        return np.asarray(self.array, dtype)

    def __float__(self) -> float:
        return float(np.asarray(self))

    def __add__(self, other: Any) -> Any:
        return self.value + _plain(other)

    def __radd__(self, other: Any) -> Any:
        return _plain(other) + self.value

    def __sub__(self, other: Any) -> Any:
        return self.value - _plain(other)

    def __rsub__(self, other: Any) -> Any:
        return _plain(other) - self.value

    def __mul__(self, other: Any) -> Any:
        return self.value * _plain(other)

    def __rmul__(self, other: Any) -> Any:
        return _plain(other) * self.value

    def __truediv__(self, other: Any) -> Any:
        return self.value / _plain(other)

    def __rtruediv__(self, other: Any) -> Any:
        return _plain(other) / self.value

    def __neg__(self) -> Any:
        return -self.value

    def __pow__(self, other: Any) -> Any:
        return self.value ** _plain(other)

    def __lt__(self, other: Any) -> Any:
        return self.value < _plain(other)

    def __le__(self, other: Any) -> Any:
        return self.value <= _plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.value > _plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.value >= _plain(other)

    def __getitem__(self, at: Any) -> Value:
        return self.value[at]

    def __repr__(self) -> str:
        return f"<Total {self.name!r}: {self.array}>"


def _plain(other: Any) -> Any:
    return other.value if isinstance(other, Total) else ops.operand(other)


class Metric(Configured):
    """A figure over all samples.

    In a model, `update` is part of the program of a step, and `figure` makes of its sums, added up over the steps, what the history
    holds. By hand, ``update_state`` takes arrays, ``result`` gives the figure so far, and ``reset_state`` begins anew.

    A metric of one's own may be written with `update` and `figure`, or as in Keras: totals made by `add_variable`, which
    ``update_state(y_true, y_pred, sample_weight)`` adds to, and of which ``result()`` makes the figure.

    >>> from nacre.metrics import MeanAbsoluteError
    >>> metric = MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[1.0], [1.0]])
    >>> metric.result()
    0.5
    >>> import numpy as np
    >>> from nacre import ops
    >>> class Hits(Metric):
    ...     def __init__(self, name="hits", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.count = self.add_variable((), name="count")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.count.assign_add(ops.sum(ops.cast(ops.abs(y_true - y_pred) < 0.5, "float32")))
    ...     def result(self):
    ...         return self.count
    >>> hits = Hits()
    >>> hits.update_state(np.array([0.0, 1.0, 2.0]), np.array([0.1, 0.9, 3.0]))
    >>> float(hits.result())
    2.0
    """

    direction: ClassVar[str | None] = None  # which way is better, "up" or "down", where that is so for all data

    def __init__(self, name: str | None = None, **unknown: Any) -> None:
        if (dtype := unknown.pop("dtype", None)) not in (None, "float32"):
            raise Limitation(f"A metric has no dtype of its own, got {dtype!r}.", hint="leave it out")
        for word in unknown:
            raise UsageError(
                f"{type(self).__name__} has no argument {word!r}.", hint=did_you_mean(word, self.config_names())
            )
        self.name = name or snake_case(type(self).__name__)
        self._sums: Sums | None = None
        self._totals: list[Total] = []
        self._sizes: list[int] = []  # of what a batch adds, total by total, then metric by metric
        self._added: list[Value] | None = None  # what a metric that is made of this one adds, while it is asked

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """What a batch adds to the sums.   y_true, y_pred (batch, ...), sample_weight (batch,) -> (n,)"""
        self._need_totals()
        inner = self._inner()
        for number, total in enumerate(self._totals):
            total.stands_for, total.more = Input(f"total{number}", TensorType(total.shape)), None
        for metric in inner:
            metric._added = []
        try:
            if sample_weight is not None and "sample_weight" not in inspect.signature(self.update_state).parameters:
                raise UsageError(
                    f"{type(self).__name__}.update_state takes no sample_weight.", hint="list it in metrics"
                )
            self.update_state(y_true, y_pred, *([] if sample_weight is None else [sample_weight]))
            added = [ops.zeros(t.shape) if t.more is None else t.more for t in self._totals]
            for metric in inner:
                assert metric._added is not None
                if len(metric._added) != 1:
                    raise UsageError(
                        f"{type(self).__name__} asks its {metric.name!r} {len(metric._added)} times for a batch.",
                        hint="call update_state of each metric inside once",
                    )
                added += metric._added
        finally:
            for total in self._totals:
                total.stands_for = total.more = None
            for metric in inner:
                metric._added = None
        self._sizes = [more.type.size for more in added]
        return ops.concatenate([ops.reshape(more, [more.type.size]) for more in added], axis=0)

    def _inner(self) -> list[Metric]:
        """Metrics that this one is made of: its attributes."""
        return [value for value in vars(self).values() if isinstance(value, Metric)]

    def figure(self, sums: Sums) -> Any:
        """The figure from the sums over all batches: a number, or an array where there is one for each class."""
        self._need_totals()
        inner = self._inner()
        before = [total.array for total in self._totals], [metric._sums for metric in inner]
        parts = np.split(sums, np.cumsum(self._sizes)[:-1])
        try:
            for total, part in zip(self._totals, parts, strict=False):
                total.array = part.reshape(total.shape)
            for metric, part in zip(inner, parts[len(self._totals) :], strict=True):
                metric._sums = part
            result = self.result()
            if isinstance(result, dict):
                raise UsageError(
                    f"{type(self).__name__} gives several figures, and a metric is one.",
                    hint="a metric for each of them",
                )
            found = np.asarray(result, np.float64)
        finally:
            for total, array in zip(self._totals, before[0], strict=True):
                total.array = array
            for metric, sums_before in zip(inner, before[1], strict=True):
                metric._sums = sums_before
        return found if found.ndim else float(found)

    def _need_totals(self) -> None:
        own = self._totals or self._inner()
        if not own or type(self).update_state is Metric.update_state or type(self).result is Metric.result:
            raise UsageError(
                f"The metric {type(self).__name__} does not say what it measures.",
                hint="define update and figure; or add_variable in __init__, update_state and result",
            )

    def add_variable(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Total:
        """A total of this shape, which begins as zeros."""
        if not isinstance(initializers.get(initializer), initializers.Zeros):
            raise Limitation(f"A total of a metric begins as zeros, got {initializer!r}.", hint='initializer="zeros"')
        if dtype not in (None, "float32"):
            raise Limitation(f"A total of a metric has no dtype of its own, got {dtype!r}.", hint="leave it out")
        self._totals.append(Total((shape,) if isinstance(shape, int) else tuple(shape), name or "total"))
        return self._totals[-1]

    add_weight = add_variable

    @property
    def variables(self) -> list[Total]:
        """The totals that `add_variable` gave."""
        return list(self._totals)

    # -------------------------------------------------------------- by hand

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of arrays."""
        if self._added is not None:  # of a metric that is made of this one, in a program
            self._added.append(self.update(y_true, y_pred, sample_weight))
            return
        weight = None if sample_weight is None else ops.constant(np.asarray(sample_weight, "float32"))
        new = evaluate([self.update(_value(y_true), _value(y_pred), weight)])[0].astype(np.float64)
        self._sums = new if self._sums is None else self._sums + new

    def result(self) -> Any:
        """The figure over all batches since the last reset; 0 before the first."""
        return 0.0 if self._sums is None else self.figure(self._sums)

    def reset_state(self) -> None:
        """Forget all batches."""
        self._sums = None
        for total in self._totals:
            total.assign(0)
        for metric in self._inner():
            metric.reset_state()

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add a batch; the figure so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


def _value(x: Any) -> Value:
    array = np.asarray(x)
    return ops.constant(array.astype("float32") if array.dtype.kind in "fb" else array)


class MeanMetric(Metric):
    """The mean of one number per sample, which `values` gives; weighted, if the samples have weights."""

    def values(self, y_true: Value, y_pred: Value) -> Value:
        """One number per sample, or per part of one.   y_true, y_pred (batch, ...) -> (batch, ...)"""
        raise NotImplementedError

    def update(self, y_true: Value, y_pred: Value, sample_weight: Value | None = None) -> Value:
        """Total and weight."""
        values = ops.cast(self.values(y_true, y_pred), dtype="float32")
        if sample_weight is None:
            return ops.stack([ops.sum(values), ops.constant(float(values.type.size))])
        weight = spread_weight(sample_weight, values)
        if weight.rank < values.rank:
            values = ops.mean(values, axis=tuple(range(weight.rank, values.rank)))
        return ops.stack([ops.sum(values * weight), ops.sum(weight)])

    def figure(self, sums: Sums) -> float:
        """Total over weight; 0 without samples."""
        return float(ratio(sums[0], sums[1]))


def ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is 0; a float if both are numbers."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    found = np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=b != 0)
    return float(found) if found.ndim == 0 else found


def spread_weight(weight: Value, values: Value) -> Value:
    """Weights of the first axes of ``values``, without an axis of size 1 at the end that is too much."""
    if weight.rank == values.rank + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    if weight.rank > values.rank or weight.shape != values.shape[: weight.rank]:
        raise ShapeError(
            "The sample weights do not fit the samples.", {"weights": weight.shape, "samples": values.shape}
        )
    return weight


def aligned(y_true: Value, y_pred: Value) -> Value:
    """The targets in the shape and dtype of the outputs; an axis of size 1 at the end may be there or not."""
    y_true = ops.cast(y_true, dtype=y_pred.dtype)
    if y_true.rank + 1 == y_pred.rank and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif y_pred.rank + 1 == y_true.rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            "The targets do not fit the outputs in a metric.", {"outputs": y_pred.shape, "targets": y_true.shape}
        )
    return y_true


def class_numbers(y_true: Value, y_pred: Value) -> Value:
    """Targets that are class numbers, without an axis of size 1 at the end."""
    if y_true.rank == y_pred.rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    if y_true.shape != y_pred.shape[:-1]:
        raise ShapeError(
            "The targets do not fit the outputs in a metric.", {"outputs": y_pred.shape, "targets": y_true.shape}
        )
    return y_true


def whole(what: str, number: Any) -> int:
    """A positive whole number, or `UsageError`."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(f"{what} is a positive whole number, got {number!r}.")
    return number
