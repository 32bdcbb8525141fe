"""Layers that join several inputs into one."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from nacre import ops
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer
from nacre.layers.symbol import Symbol


class _Merge(Layer):
    """Joins inputs of the same shape, or of shapes that broadcast, element by element."""

    several = True

    def call(self, x: Sequence[Value]) -> Value:  # type: ignore[override]
        """The inputs joined, from left to right."""
        _demand(self, x, 2)
        return functools.reduce(self.join, x)

    def join(self, a: Value, b: Value) -> Value:
        """Two inputs as one."""
        raise NotImplementedError

    def check_input(self, shape: Any) -> None:
        """The shapes must broadcast."""
        try:
            functools.reduce(_broadcast, shape)
        except ValueError:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} cannot join its inputs.", {"inputs": [s[1:] for s in shape]}
            ) from None


class Add(_Merge):
    """The sum of the inputs.

    >>> from nacre import Input
    >>> Add()([Input((4,)), Input((4,))]).shape
    (None, 4)
    """

    def join(self, a: Value, b: Value) -> Value:
        """a + b."""
        return a + b


class Subtract(_Merge):
    """The first of two inputs minus the second."""

    def call(self, x: Sequence[Value]) -> Value:  # type: ignore[override]
        """a - b."""
        _demand(self, x, 2, 2)
        return x[0] - x[1]


class Multiply(_Merge):
    """The product of the inputs, element by element."""

    def join(self, a: Value, b: Value) -> Value:
        """a * b."""
        return a * b


class Average(_Merge):
    """The mean of the inputs, element by element."""

    def call(self, x: Sequence[Value]) -> Value:  # type: ignore[override]
        """The sum over the number of inputs."""
        return super().call(x) / len(x)

    def join(self, a: Value, b: Value) -> Value:
        """a + b."""
        return a + b


class Maximum(_Merge):
    """The largest of the inputs, element by element."""

    def join(self, a: Value, b: Value) -> Value:
        """The larger."""
        return ops.maximum(a, b)


class Minimum(_Merge):
    """The smallest of the inputs, element by element."""

    def join(self, a: Value, b: Value) -> Value:
        """The smaller."""
        return ops.minimum(a, b)


class Concatenate(Layer):
    """The inputs side by side along ``axis``.

    >>> from nacre import Input
    >>> Concatenate()([Input((4,)), Input((3,))]).shape
    (None, 7)
    """

    several = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int) or axis == 0:
            raise UsageError(f"Concatenate joins along an axis other than the batch, got {axis!r}.")
        self.axis = axis

    def check_input(self, shape: Any) -> None:
        """All axes but the joined one must agree."""
        ranks = {len(s) for s in shape}
        axis = self.axis % max(ranks)
        if (
            len(ranks) > 1
            or not -max(ranks) < self.axis < max(ranks)
            or len({s[:axis] + s[axis + 1 :] for s in shape}) > 1
        ):
            raise ShapeError(
                f"Concatenate {self.name!r} cannot join its inputs along axis {self.axis}.",
                {"inputs": [s[1:] for s in shape]},
            )

    def call(self, x: Sequence[Value]) -> Value:  # type: ignore[override]
        """The inputs joined."""
        _demand(self, x, 1)
        return ops.concatenate(list(x), self.axis % x[0].rank)


class Dot(Layer):
    """The products of two inputs, summed along ``axes``; with ``normalize``, the cosine of their angle.

    >>> from nacre import Input
    >>> Dot(axes=1)([Input((4,)), Input((4,))]).shape
    (None, 1)
    """

    several = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        both = axes if isinstance(axes, tuple | list) else (axes, axes)
        if [*both] not in ([1, 1], [-1, -1], [1, -1], [-1, 1]):
            raise UsageError(f"Dot sums along the axis of the features, 1 or -1, got {axes!r}.")
        self.axes, self.normalize = axes, bool(normalize)

    def check_input(self, shape: Any) -> None:
        """Two vectors of the same length for each sample."""
        if len(shape) != 2 or len(shape[0]) != 2 or shape[0] != shape[1]:
            raise ShapeError(
                f"Dot {self.name!r} takes two inputs of shape (batch, features).", {"inputs": [s[1:] for s in shape]}
            )

    def call(self, x: Sequence[Value]) -> Value:  # type: ignore[override]
        """sum a b, (batch, 1)."""
        a, b = (ops.normalize(v) for v in x) if self.normalize else x
        return ops.sum(a * b, axis=-1, keepdims=True)


def add(inputs: Sequence[Symbol], **kwargs: Any) -> Symbol:
    """`Add` as a function: the layer, called on the inputs. So it is with the functions below.

    >>> from nacre import Input
    >>> add([Input((4,)), Input((4,))], name="sum")
    <Symbol (None, 4) of Add 'sum'>
    """
    return _called(Add(**kwargs), inputs)


def subtract(inputs: Sequence[Symbol], **kwargs: Any) -> Symbol:
    """`Subtract`, called on the inputs."""
    return _called(Subtract(**kwargs), inputs)


def multiply(inputs: Sequence[Symbol], **kwargs: Any) -> Symbol:
    """`Multiply`, called on the inputs."""
    return _called(Multiply(**kwargs), inputs)


def average(inputs: Sequence[Symbol], **kwargs: Any) -> Symbol:
    """`Average`, called on the inputs."""
    return _called(Average(**kwargs), inputs)


def maximum(inputs: Sequence[Symbol], **kwargs: Any) -> Symbol:
    """`Maximum`, called on the inputs."""
    return _called(Maximum(**kwargs), inputs)


def minimum(inputs: Sequence[Symbol], **kwargs: Any) -> Symbol:
    """`Minimum`, called on the inputs."""
    return _called(Minimum(**kwargs), inputs)


def concatenate(inputs: Sequence[Symbol], axis: int = -1, **kwargs: Any) -> Symbol:
    """`Concatenate`, called on the inputs."""
    return _called(Concatenate(axis, **kwargs), inputs)


def dot(inputs: Sequence[Symbol], axes: int | Sequence[int] = -1, **kwargs: Any) -> Symbol:
    """`Dot`, called on the inputs."""
    return _called(Dot(axes, **kwargs), inputs)


def _called(layer: Layer, inputs: Sequence[Symbol]) -> Symbol:
    joined: Symbol = layer(inputs)
    return joined


def _demand(layer: Layer, x: Sequence[Value], least: int, most: int | None = None) -> None:
    if len(x) < least or (most is not None and len(x) > most):
        wanted = f"{least}" if least == most else f"at least {least}"
        raise UsageError(f"{type(layer).__name__} {layer.name!r} joins {wanted} inputs, got {len(x)}.")


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    if len(a) != len(b) or any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
        raise ValueError
    return tuple(n if m == 1 else m for m, n in zip(a, b, strict=True))


Symbol.operators |= {
    "add": lambda a, b: Add()([a, b]),
    "subtract": lambda a, b: Subtract()([a, b]),
    "multiply": lambda a, b: Multiply()([a, b]),
}
