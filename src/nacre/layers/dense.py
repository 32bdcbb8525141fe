"""The densely connected layer."""

from __future__ import annotations

from typing import Any

from nacre import activations, constraints, initializers, ops, regularizers
from nacre.errors import ShapeError, UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer, Parameter, Record, Shape, whole


class Dense(Layer):
    """activation(x @ kernel + bias): each unit sees all features.   x (batch, ..., features) -> (batch, ..., units)

    ``kernel`` (features, units) begins as ``kernel_initializer`` says, ``bias`` (units,) as ``bias_initializer``.
    Their regularizers are terms of the loss, see `nacre.regularizers`; their constraints hold after every step of training, see
    `nacre.constraints`.

    >>> from nacre.models import Sequential
    >>> Sequential([Dense(5, input_dim=900)]).count_params()
    4505
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if (count := whole(units, 1, 2**40)) is None:
            raise UsageError(f"Dense needs a positive whole number of units (below 2^40), got {units!r}.")
        self.units = count
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Parameter | None = None
        self.bias: Parameter | None = None

    def build(self, input_shape: Shape) -> None:
        """Create kernel and bias."""
        features = input_shape[-1]
        if len(input_shape) < 2 or features is None:
            raise ShapeError(f"Dense {self.name!r} needs inputs of shape (batch, features), got {input_shape}.")
        self.kernel = self.add_weight(
            (features, self.units),
            self.kernel_initializer,
            "kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,),
                self.bias_initializer,
                "bias",
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def check_input(self, shape: tuple[int, ...]) -> None:
        """The last axis must be the features the kernel was made for."""
        assert self.kernel is not None
        features = self.kernel.shape[0]
        if len(shape) < 2 or shape[-1] != features:
            hint = "put Flatten() before it" if len(shape) > 2 else ""
            raise ShapeError(
                f"Dense {self.name!r} expects {features} features, got {shape[-1]}.", {"input": shape}, hint
            )

    def call(self, x: Value, record: Record | None = None) -> Value:
        """activation(x @ kernel + bias)."""
        assert self.kernel is not None
        scores = ops.matmul(x, self.kernel, precision=self.precision)
        scores = scores if self.bias is None else scores + self.bias
        y = self.activation(scores)
        if record is not None:
            record.scores[y] = scores
        return y
