"""Layers that bring numbers to a common scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre import constraints, initializers, ops, regularizers
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer, Parameter, Record, Shape, axes_of, number, refuse, spread

Axis = int | Sequence[int]


def _checked_axis(layer: str, axis: Any) -> Any:
    """One whole number or several; raises `UsageError` for anything else."""
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    if not axes or any(isinstance(a, bool) or not isinstance(a, int) for a in axes):
        raise UsageError(f"The axis of {layer} is a whole number or several, got {axis!r}.")
    return axes if isinstance(axis, list | tuple) else axis


class _Affine(Layer):
    """What has a weight gamma, by which it multiplies, and a weight beta, which it adds, along some axes."""

    def __init__(
        self,
        axis: Axis,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = number(type(self).__name__, "epsilon", epsilon, 0)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer, self.gamma_regularizer = map(regularizers.get, (beta_regularizer, gamma_regularizer))
        self.beta_constraint, self.gamma_constraint = map(constraints.get, (beta_constraint, gamma_constraint))
        self.gamma: Parameter | None = None
        self.beta: Parameter | None = None
        self.axes: list[int] = []  # counted from the front, once the input is known

    def build(self, input_shape: Shape) -> None:
        """Create gamma and beta."""
        self.axes = axes_of(self, self.axis, input_shape)
        shape = self.sizes = [input_shape[a] or 1 for a in self.axes]
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, "gamma", True, self.gamma_regularizer, self.gamma_constraint
            )
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, "beta", True, self.beta_regularizer, self.beta_constraint
            )

    def check_input(self, shape: tuple[int, ...]) -> None:
        """The axes must have the sizes that the weights were made for."""
        assert self.built_for is not None
        if len(shape) != len(self.built_for) or [shape[a] for a in self.axes] != self.sizes:
            raise ShapeError(f"{type(self).__name__} {self.name!r} expects {self.built_for}.", {"input": shape})


class BatchNormalization(_Affine):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each feature.   x (batch, ...) -> same shape

    In training they are those of the batch, over all axes but ``axis``, and the weights ``moving_mean`` and ``moving_variance``
    follow them: m <- momentum * m + (1 - momentum) * that of the batch. Otherwise they are these weights, so that a prediction does
    not depend on the rows beside it; the same holds in training while ``trainable`` is False.
    S. Ioffe, C. Szegedy, arXiv:1502.03167.

    Squares of distances from the mean must not overflow. Raises `Limitation` for ``synchronized`` (there is one device) and
    ``renorm``, and `UsageError` for a momentum that is not from 0 to 1.

    >>> from nacre.models import Sequential
    >>> model = Sequential([BatchNormalization(input_shape=(5,))])
    >>> [w.name.split("/")[1] for w in model.weights if not w.trainable]
    ['moving_mean', 'moving_variance']
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        without = "leave it out: there is no batch renormalization"
        refuse(
            "BatchNormalization",
            kwargs,
            synchronized="leave it out: there is one device",
            renorm=without,
            renorm_clipping=without,
            renorm_momentum=without,
        )
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise UsageError(f"The axis of BatchNormalization is one whole number, got {axis!r}.")
        super().__init__(
            axis,
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )
        self.momentum = number("BatchNormalization", "momentum", momentum, 0, 1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.moving_mean: Parameter | None = None
        self.moving_variance: Parameter | None = None

    def build(self, input_shape: Shape) -> None:
        """Create gamma, beta and what follows the data."""
        super().build(input_shape)
        self.moving_mean = self.add_weight(self.sizes, self.moving_mean_initializer, "moving_mean", trainable=False)
        self.moving_variance = self.add_weight(
            self.sizes, self.moving_variance_initializer, "moving_variance", trainable=False
        )

    def call(self, x: Value, training: bool = False, record: Record | None = None) -> Value:
        """x, normalized."""
        assert self.moving_mean is not None
        assert self.moving_variance is not None
        mean: Value = self.moving_mean
        variance: Value = self.moving_variance
        fixed = mean
        if training and self.trainable:
            others = [a for a in range(x.rank) if a not in self.axes]
            mean = ops.mean(x, others)
            fixed = ops.stop_gradient(mean)
        distance = x - spread(fixed, self.axes, x)
        if training and self.trainable:
            # Around the mean the sum of squares is smallest, so nothing leads back through the mean here.
            variance = ops.mean(ops.square(distance), others)
            for weight, found in ((self.moving_mean, mean), (self.moving_variance, variance)):
                if record is not None:
                    record.updates[weight] = weight * self.momentum + found * (1 - self.momentum)
        factor = ops.rsqrt(variance + self.epsilon)
        factor = factor if self.gamma is None else factor * self.gamma
        shift = (fixed - mean) * factor
        shift = shift if self.beta is None else shift + self.beta
        return distance * spread(factor, self.axes, x) + spread(shift, self.axes, x)


class LayerNormalization(_Affine):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each sample along ``axis``, one or several.

    x (batch, ...) -> same shape   J. Ba et al., arXiv:1607.06450

    >>> from nacre.models import Sequential
    >>> Sequential([LayerNormalization(axis=[1, 2], input_shape=(4, 3))]).count_params()
    24
    """

    def __init__(
        self,
        axis: Axis = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        refuse("LayerNormalization", kwargs, rms_scaling="nacre.layers.RMSNormalization")
        super().__init__(
            _checked_axis("LayerNormalization", axis),
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            beta_constraint,
            gamma_constraint,
            **kwargs,
        )

    def call(self, x: Value) -> Value:
        """x, normalized."""
        y = _over_root_of_mean_square(x - ops.mean(x, self.axes, keepdims=True), self.axes, self.epsilon)
        y = y if self.gamma is None else y * spread(self.gamma, self.axes, x)
        return y if self.beta is None else y + spread(self.beta, self.axes, x)


class RMSNormalization(Layer):
    """scale * x / sqrt(mean of x^2 + epsilon), with the mean of each sample along ``axis``, one or several.

    ``scale`` is a weight that begins as ones.   x (batch, ...) -> same shape   B. Zhang, R. Sennrich, arXiv:1910.07467

    >>> RMSNormalization().epsilon
    1e-06
    """

    def __init__(self, axis: Axis = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checked_axis("RMSNormalization", axis)
        self.epsilon = number("RMSNormalization", "epsilon", epsilon, 0)
        self.scale: Parameter | None = None
        self.axes: list[int] = []

    def build(self, input_shape: Shape) -> None:
        """Create scale."""
        self.axes = axes_of(self, self.axis, input_shape)
        self.scale = self.add_weight([input_shape[a] or 1 for a in self.axes], "ones", "scale")

    def check_input(self, shape: tuple[int, ...]) -> None:
        """The axes must have the sizes that the weight was made for."""
        assert self.built_for is not None
        assert self.scale is not None
        if len(shape) != len(self.built_for) or tuple(shape[a] for a in self.axes) != self.scale.shape:
            raise ShapeError(f"RMSNormalization {self.name!r} expects {self.built_for}.", {"input": shape})

    def call(self, x: Value) -> Value:
        """x, normalized."""
        assert self.scale is not None
        return _over_root_of_mean_square(x, self.axes, self.epsilon) * spread(self.scale, self.axes, x)


class UnitNormalization(Layer):
    """Each sample divided by its Euclidean length along ``axis``, one or several; a sample of zeros stays as it is.

    x (batch, ...) -> same shape

    >>> UnitNormalization(axis=[1, 2]).axis
    [1, 2]
    """

    def __init__(self, axis: Axis = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _checked_axis("UnitNormalization", axis)

    def call(self, x: Value) -> Value:
        """x, normalized."""
        length = ops.norm(x, axis=axes_of(self, self.axis, x.shape), keepdims=True)
        return x / ops.maximum(length, 1e-12)


def _over_root_of_mean_square(x: Value, axes: Sequence[int], epsilon: float) -> Value:
    """x / sqrt(mean of x^2 + epsilon), without overflow: the largest number, if above 1, is divided out before squaring."""
    largest = ops.stop_gradient(ops.max(ops.abs(x), axes, keepdims=True, initial=1.0))
    shares = x / largest
    return shares * ops.rsqrt(ops.mean(ops.square(shares), axes, keepdims=True) + epsilon / largest / largest)
