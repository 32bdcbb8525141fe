"""Layers that make numbers fit for a network. They learn from data by `adapt`, once, and not by gradients.

In a model they are part of the graph; called on an array, they give an array:

>>> CategoryEncoding(num_tokens=3, output_mode="one_hot")([2, 0])
array([[0., 0., 1.],
       [1., 0., 0.]], dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nacre import ops
from nacre.errors import DataError, ShapeError, UsageError
from nacre.ir import Input, TensorType, Value
from nacre.layers.layer import Array, Layer, Parameter, Record, Shape, axes_of, number, numbers, refuse, spread, whole
from nacre.layers.symbol import Symbol

if TYPE_CHECKING:
    from typing_extensions import Self

_BLOCK = 1 << 22  # elements looked at in one go


class Preprocessing(Layer):
    """Base of these layers: what they do in a graph, they also do to arrays."""

    autocast = False

    def __call__(self, x: Any, training: bool | None = None, record: Record | None = None) -> Any:
        """The layer's output: a value of the graph for a value, a symbol for a symbol, an array for an array."""
        if isinstance(x, Value | Symbol):
            return super().__call__(x, training, record)
        return self.of_array(x)

    def of_array(self, x: Any) -> Array:
        """The layer's output for an array of numbers."""
        return self._evaluated(plain(numbers("the input", x)), self.call)

    def _evaluated(self, array: Array, function: Any) -> Array:
        given = Input("x", TensorType(array.shape, str(array.dtype)))
        own = {weight.name: weight.numpy() for weight in self.weights}
        return ops.evaluate([function(given)], own | {"x": array})[0]

    def _check_adaptable(self, given: str | None) -> None:
        """Demand that the layer may still learn from data; ``given`` names what it was told instead."""
        if given is not None:
            raise UsageError(f"{type(self).__name__} {self.name!r} was given its {given}: there is nothing to adapt.")
        if self.built:
            raise UsageError(
                f"{type(self).__name__} {self.name!r} is part of a model, which knows what it learned.",
                hint="adapt it before it is put into a model",
            )


def plain(array: Array) -> Array:
    """Numbers as a graph holds them: int32 or float32. Raises `DataError` for whole numbers beyond int32."""
    if array.dtype.kind in "iu":
        bounds = np.iinfo(np.int32)
        if array.size and not (bounds.min <= array.min() and array.max() <= bounds.max):
            raise DataError("The input has whole numbers beyond int32.", {"range": f"{array.min()} to {array.max()}"})
    return array.astype("float32" if array.dtype.kind == "f" else "int32")


def batches(data: Any) -> Iterator[Array]:
    """The arrays that ``data`` is: itself, if it is one, or nested lists; else each of its batches, x of (x, y).

    Raises `DataError` if there are none.
    """
    if hasattr(data, "__array__") or (isinstance(data, list | tuple) and not any(map(_is_batch, data))):
        data = [data]
    if not isinstance(data, Iterable):
        raise UsageError(f"adapt takes an array, or batches of arrays, got {data!r}.")
    found = False
    for batch in data:
        array = np.asarray(batch[0] if isinstance(batch, tuple) and _is_batch(batch) else batch)
        if array.size:
            found = True
            yield array
    if not found:
        raise DataError("There is nothing to adapt to: the data is empty.")


def _is_batch(x: Any) -> bool:
    """Whether x is an array, or the pair of one and its targets."""
    return any(map(_is_batch, x)) if isinstance(x, tuple) else hasattr(x, "__array__") and np.ndim(x) > 0


class Normalization(Preprocessing):
    """(x - mean) / sqrt(variance), with a mean and a variance for each index along ``axis``, one or several, or the same for all if
    that is None.   x (batch, ...) -> same shape

    ``adapt`` finds both in data and keeps them as weights that training does not change, and that are saved with the model; or they
    are given as ``mean`` and ``variance``, numbers or arrays. With ``invert``, x * sqrt(variance) + mean. A deviation counts as no
    less than 1e-7.

    Raises `UsageError` if only one of mean and variance is given, and `ShapeError` if they do not fit.

    >>> layer = Normalization()
    >>> layer.adapt([[0.0, 10.0], [2.0, 10.0], [4.0, 40.0], [6.0, 20.0]])
    >>> layer([[3.0, 20.0]])
    array([[0., 0.]], dtype=float32)
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        axes = () if axis is None else (axis,) if isinstance(axis, int) else axis
        if not isinstance(axes, list | tuple) or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise UsageError(f"The axis of Normalization is a whole number, several, or None, got {axis!r}.")
        if (mean is None) != (variance is None):
            raise UsageError("Normalization is given both mean and variance, or none of them.")
        self.axis, self.invert = axis, bool(invert)
        self.mean: Any = None
        self.variance: Any = None
        if mean is not None:
            given = [numbers("the mean or variance of Normalization", v).astype(np.float64) for v in (mean, variance)]
            if given[0].shape != given[1].shape or given[0].ndim > len(axes):
                raise ShapeError(
                    "The mean and variance of Normalization have one shape, of no more axes than it has.",
                    {"mean": given[0].shape, "variance": given[1].shape, "axis": axis},
                )
            if not (given[1] >= 0).all() or not np.isfinite(given).all():
                raise UsageError("Mean and variance are finite, and a variance is not below 0.", {"variance": variance})
            self.mean, self.variance = (array.tolist() for array in given)
        self.adapt_mean: Parameter | None = None
        self.adapt_variance: Parameter | None = None

    def build(self, input_shape: Shape) -> None:
        """Create mean and variance, if they are not given."""
        if self.mean is None:
            shape = [input_shape[a] or 1 for a in self._axes(input_shape)]
            self.adapt_mean = self.add_weight(shape, "zeros", "mean", trainable=False)
            self.adapt_variance = self.add_weight(shape, "ones", "variance", trainable=False)

    def _axes(self, shape: Sequence[int | None]) -> list[int]:
        return axes_of(self, () if self.axis is None else self.axis, shape)

    def adapt(self, data: Any) -> None:
        """Find mean and variance of ``data``: an array, or batches of arrays. May be done at any time, and anew.

        Raises `UsageError` if they were given, `DataError` if there is no data, `ShapeError` if it does not fit.
        """
        if self.mean is not None:
            self._check_adaptable("mean and variance")
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for batch in batches(data):
            array = numbers("the data", batch)
            if self.built_for is None:
                Layer.__call__(self, Input("x", TensorType((1, *array.shape[1:]))))
            assert self.adapt_mean is not None
            kept = self._axes(array.shape)
            if tuple(array.shape[a] for a in kept) != self.adapt_mean.shape:
                raise ShapeError(f"Normalization {self.name!r} expects {self.built_for}.", {"data": array.shape})
            others = tuple(a for a in range(array.ndim) if a not in kept)
            rows = max(1, _BLOCK // max(1, math.prod(array.shape[1:])))
            for block in (array[at : at + rows].astype(np.float64) for at in range(0, len(array), rows)):
                # T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979
                more = math.prod(block.shape[a] for a in others)
                own = block.mean(others)
                step = own - mean
                count += more
                squares = squares + block.var(others) * more + step**2 * ((count - more) * more / count)
                mean = mean + step * (more / count)
        if not np.isfinite(squares).all():
            raise DataError("The data to adapt to has numbers that are not finite, or too large to be squared.")
        assert self.adapt_mean is not None
        assert self.adapt_variance is not None
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(squares / count)

    def call(self, x: Value) -> Value:
        """x, normalized."""
        axes = self._axes(x.shape)
        mean, variance = self._moments([x.shape[a] for a in axes])
        deviation = spread(ops.maximum(ops.sqrt(variance), 1e-7), axes, x)
        x, mean = ops.cast(x, dtype=self.dtype), spread(mean, axes, x)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def _moments(self, sizes: list[int]) -> tuple[Value, Value]:
        if self.mean is None:
            if self.adapt_mean is None or self.adapt_variance is None:
                raise UsageError(
                    f"Normalization {self.name!r} has no mean and variance yet.", hint="call adapt(data), or give them"
                )
            return self.adapt_mean, self.adapt_variance
        try:
            given = [np.broadcast_to(np.asarray(m), sizes) for m in (self.mean, self.variance)]
        except ValueError:
            raise ShapeError(
                f"The mean of Normalization {self.name!r} does not fit its input.",
                {"mean": np.shape(self.mean), "input": tuple(sizes)},
            ) from None
        mean, variance = (ops.constant(m, self.dtype) for m in given)
        return mean, variance


class Encoding(Preprocessing):
    """Base of layers that find numbers of categories, and give them as ``output_mode`` says.

    * ``"int"``: the numbers themselves, int32.   (...) -> (...)
    * ``"one_hot"``: 1 at the place of each number, 0 elsewhere.   (...) or (..., 1) -> (..., categories)
    * ``"multi_hot"``: 1 at the places of all numbers of a sample.   (batch, n) -> (batch, categories)
    * ``"count"``: how often each number is in a sample.   (batch, n) -> (batch, categories)
    """

    modes: tuple[str, ...] = ("int", "one_hot", "multi_hot", "count")

    def __init__(self, output_mode: str, **kwargs: Any) -> None:
        kind = type(self).__name__
        refuse(kind, kwargs, sparse="leave it out: there are no sparse values")
        super().__init__(**kwargs)
        if output_mode not in self.modes:
            raise UsageError(f"The output_mode of {kind} is one of {', '.join(self.modes)}, got {output_mode!r}.")
        self.output_mode = output_mode

    def _encoded(self, at: Value, categories: int) -> Value:
        if self.output_mode == "int":
            return at
        if self.output_mode == "one_hot":
            at = ops.reshape(at, at.shape[:-1]) if at.rank > 1 and at.shape[-1] == 1 else at
            return ops.one_hot(at, categories, dtype=self.dtype)
        if at.rank != 2:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} puts the numbers of a sample together: it takes (batch, n).",
                {"input": at.shape},
                'output_mode="one_hot" takes any shape',
            )
        ones = ops.one_hot(at, categories, dtype=self.dtype)
        return ops.max(ones, axis=1) if self.output_mode == "multi_hot" else ops.sum(ones, axis=1)


class CategoryEncoding(Encoding):
    """Whole numbers from 0 up to ``num_tokens`` (exclusive) as ones and zeros; others are nothing.

    ``output_mode``: "multi_hot" and "count" put the numbers of a sample together, (batch, n) -> (batch, num_tokens); "one_hot"
    keeps them apart, (...) or (..., 1) -> (..., num_tokens). Raises `UsageError` for other arguments, `Limitation` for ``sparse``.

    >>> CategoryEncoding(4, output_mode="count")([[0, 1, 1], [3, 3, 3]])
    array([[1., 2., 0., 0.],
           [0., 0., 0., 3.]], dtype=float32)
    """

    modes = ("multi_hot", "one_hot", "count")

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot", **kwargs: Any) -> None:
        super().__init__(output_mode, **kwargs)
        if (count := whole(num_tokens, 1)) is None:
            raise UsageError(f"CategoryEncoding needs a positive whole number of tokens, got {num_tokens!r}.")
        self.num_tokens = count

    def call(self, x: Value) -> Value:
        """x, encoded."""
        return self._encoded(ops.cast(x, dtype="int32"), self.num_tokens)


class Discretization(Encoding):
    """The number of the bin that each number lies in: how many of the ascending ``bin_boundaries`` are not above it.

    The boundaries are given, or `adapt` finds them in data, so that about as many numbers lie in each of ``num_bins`` bins;
    ``epsilon`` is the share of the data by which it may be wrong. ``output_mode`` is "int", the numbers of the bins, int32,
    x (...) -> (...); "one_hot", (...) or (..., 1) -> (..., bins); "multi_hot" or "count", (batch, n) -> (batch, bins).

    Raises `UsageError` for other arguments, and where neither is known, `Limitation` for ``sparse``.

    >>> Discretization(bin_boundaries=[0.0, 1.0, 2.0])([[-1.5, 1.0, 3.4, 0.5]])
    array([[0, 2, 3, 1]], dtype=int32)
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        **kwargs: Any,
    ) -> None:
        super().__init__(output_mode, **kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise UsageError("Discretization is given either bin_boundaries or num_bins.")
        if num_bins is not None and (isinstance(num_bins, bool) or not isinstance(num_bins, int) or num_bins < 1):
            raise UsageError(f"Discretization needs a positive whole number of bins, got {num_bins!r}.")
        self.epsilon = number("Discretization", "epsilon", epsilon, 1e-6, 1)
        self.num_bins = num_bins
        self.bin_boundaries = None if bin_boundaries is None else _ascending(bin_boundaries)

    def adapt(self, data: Any) -> None:
        """Find the boundaries in ``data``: an array, or batches of arrays.

        Raises `UsageError` if they were given, or if the layer is part of a model already.
        """
        self._check_adaptable(None if self.num_bins else "bin_boundaries")
        assert self.num_bins is not None
        values, weights = np.zeros(0), np.zeros(0)
        for batch in batches(data):
            step = max(batch.size * self.epsilon, 1.0)
            ordered = np.sort(numbers("the data", batch).astype(np.float32).ravel())
            if not np.isfinite(ordered).all():
                raise DataError("The data to adapt to has numbers that are not finite.")
            some = ordered[int(step - 1) :: int(step)].astype(np.float64)
            values, weights = np.concatenate([values, some]), np.concatenate([weights, np.full(len(some), step)])
            order = np.argsort(values, kind="stable")
            values, weights = _condensed(values[order], weights[order], self.epsilon)
        self.bin_boundaries = _ascending(_condensed(values, weights, 1 / self.num_bins)[0][:-1].tolist())

    def call(self, x: Value) -> Value:
        """The bins."""
        if self.bin_boundaries is None:
            raise UsageError(
                f"Discretization {self.name!r} has no boundaries yet.", hint="call adapt(data), or give bin_boundaries"
            )
        reached = ops.expand_dims(ops.cast(x, dtype=self.dtype), -1) >= ops.constant(self.bin_boundaries, self.dtype)
        return self._encoded(ops.count_nonzero(reached, axis=-1), len(self.bin_boundaries) + 1)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The layer that `get_config` described: with the boundaries that it learned, if it did."""
        learned = config.get("num_bins") is not None
        layer = cls(**{k: v for k, v in config.items() if not (learned and k == "bin_boundaries")})
        if learned and config.get("bin_boundaries") is not None:
            layer.bin_boundaries = _ascending(config["bin_boundaries"])
        return layer


def _ascending(boundaries: Any) -> list[float]:
    """Boundaries as floats. Raises `UsageError` if they are no finite numbers in ascending order."""
    found = numbers("bin_boundaries", boundaries).astype(np.float64)
    if found.ndim != 1 or not np.isfinite(found).all() or (np.diff(found) < 0).any():
        raise UsageError(f"bin_boundaries are finite numbers in ascending order, got {boundaries!r}.")
    boundaries_: list[float] = found.tolist()
    return boundaries_


def _condensed(values: Array, weights: Array, share: float) -> tuple[Array, Array]:
    """About 1 / share of the values, in ascending order, each with the weight of those that it stands for."""
    if len(values) * share < 1:
        return values, weights
    sums = weights.cumsum()
    places = share + np.arange(0.0, 1.0, share)
    ends = np.interp(places, sums / sums[-1], sums)
    return np.interp(places, sums / sums[-1], values), np.diff(ends, prepend=0.0)
