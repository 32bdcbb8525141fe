"""Activations as layers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre import activations, initializers, ops
from nacre.errors import Limitation, ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer, Parameter, Record, Shape, number


class Activation(Layer):
    """Applies an activation, element by element (softmax: row by row).   x (batch, ...) -> same shape

    >>> Activation("relu").activation.__name__
    'relu'
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Value, record: Record | None = None) -> Value:
        """activation(x)."""
        y = self.activation(x)
        if record is not None:
            record.scores[y] = x
        return y


class ReLU(Layer):
    """max(x, 0), or with other arguments: x above the threshold, negative_slope * (x - threshold) below, and nowhere more than
    ``max_value``.   x (batch, ...) -> same shape

    Raises `UsageError` for an argument that is below 0.

    >>> ReLU(max_value=6).get_config()["max_value"]
    6.0
    """

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else number("ReLU", "max_value", max_value, 0)
        self.negative_slope = number("ReLU", "negative_slope", negative_slope, 0)
        self.threshold = number("ReLU", "threshold", threshold, 0)

    def call(self, x: Value) -> Value:
        """relu(x)."""
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """x above 0, negative_slope * x below.   x (batch, ...) -> same shape   A. Maas et al., ICML 2013

    Raises `UsageError` for a slope below 0.

    >>> LeakyReLU().negative_slope
    0.3
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope, 0)

    def call(self, x: Value) -> Value:
        """leaky_relu(x)."""
        return ops.leaky_relu(x, self.negative_slope)


class PReLU(Layer):
    """x above 0, alpha * x below, with a weight alpha for each element of a sample.   x (batch, ...) -> same shape

    K. He et al., arXiv:1502.01852. Along ``shared_axes`` (counted with the batch, so from 1) the elements share one weight.
    Raises `Limitation` for ``alpha_regularizer`` and ``alpha_constraint``.

    >>> from nacre.models import Sequential
    >>> Sequential([PReLU(shared_axes=[1, 2], input_shape=(28, 28, 3))]).count_params()
    3
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: None = None,
        alpha_constraint: None = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("alpha_regularizer", alpha_regularizer), ("alpha_constraint", alpha_constraint)):
            if value is not None:
                raise Limitation(f"PReLU has no {name}.", hint="leave it out")
        axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        if axes is not None and any(isinstance(a, bool) or not isinstance(a, int) or a < 1 for a in axes):
            raise UsageError(f"The shared_axes of PReLU count from 1, for 0 is the batch, got {shared_axes!r}.")
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer, self.alpha_constraint = alpha_regularizer, alpha_constraint
        self.shared_axes = None if axes is None else list(axes)
        self.alpha: Parameter | None = None

    def build(self, input_shape: Shape) -> None:
        """Create alpha."""
        shared = self.shared_axes or []
        if max(shared, default=0) >= len(input_shape):
            raise ShapeError(
                f"PReLU {self.name!r} is to share axis {max(shared)}, which its input has not.", {"input": input_shape}
            )
        sizes = [1 if a in shared else n or 1 for a, n in enumerate(input_shape) if a > 0]
        self.alpha = self.add_weight(sizes, self.alpha_initializer, "alpha")

    def check_input(self, shape: tuple[int, ...]) -> None:
        """Samples must have the shape that alpha was made for."""
        assert self.built_for is not None
        if shape[1:] != self.built_for[1:]:
            raise ShapeError(f"PReLU {self.name!r} expects {self.built_for[1:]}.", {"input": shape})

    def call(self, x: Value) -> Value:
        """x above 0, alpha * x below."""
        assert self.alpha is not None
        return ops.where(x > 0, x, x * self.alpha)


class ELU(Layer):
    """x above 0, alpha * (e^x - 1) below.   x (batch, ...) -> same shape   D.-A. Clevert et al., arXiv:1511.07289

    Raises `UsageError` if alpha is no number.

    >>> ELU(0.5).alpha
    0.5
    """

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = number("ELU", "alpha", alpha)

    def call(self, x: Value) -> Value:
        """elu(x)."""
        return ops.elu(x, self.alpha)


class Softmax(Layer):
    """Scores to probabilities along ``axis``, one or several.   x (batch, ...) -> same shape

    >>> Softmax(axis=1).axis
    1
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        axes = [axis] if isinstance(axis, int) else axis
        if not isinstance(axes, list | tuple) or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
            raise UsageError(f"The axis of Softmax is a whole number or several, got {axis!r}.")
        self.axis = axis

    def call(self, x: Value) -> Value:
        """softmax(x)."""
        return ops.softmax(x, self.axis)
