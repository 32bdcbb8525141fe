"""The layer that looks vectors up."""

from __future__ import annotations

import math
from typing import Any

from nacre import constraints, initializers, ops, regularizers
from nacre.errors import UsageError
from nacre.ir import Value
from nacre.layers.layer import Layer, Parameter, Shape, refuse, whole


class Embedding(Layer):
    """The row of the weight ``embeddings`` (input_dim, output_dim) that each number names.

    x (batch, ...) -> (batch, ..., output_dim)
    x holds whole numbers from 0 up to ``input_dim`` (exclusive); any other gives NaN, so that training stops there with an error.
    Raises `Limitation` for ``mask_zero``, ``weights``, ``lora_rank``, ``lora_alpha`` and ``quantization_config``.

    >>> from nacre.models import Sequential
    >>> Sequential([Embedding(1000, 16, input_shape=(20,))]).output_shape
    (None, 20, 16)
    """

    autocast = False

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        refuse(
            "Embedding",
            kwargs,
            mask_zero="leave it out: there are no masks",
            weights="layer.set_weights([array]), once the model knows its input's shape",
            lora_rank="leave it out",
            lora_alpha="leave it out",
            quantization_config="leave it out",
        )
        super().__init__(**kwargs)
        sizes: list[int] = []
        for name, size in (("input_dim", input_dim), ("output_dim", output_dim)):
            if (count := whole(size, 1, 2**31)) is None:
                raise UsageError(f"Embedding needs a positive whole number for {name} (below 2^31), got {size!r}.")
            sizes.append(count)
        self.input_dim, self.output_dim = sizes
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.embeddings: Parameter | None = None

    @property
    def expected_shape(self) -> tuple[int, ...] | None:
        """The input's shape without the batch, if the layer was told; here, ``input_dim`` means something else."""
        return self.input_shape

    def build(self, input_shape: Shape) -> None:  # noqa: ARG002 - any shape will do
        """Create the table."""
        assert self.input_dim is not None
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim),
            self.embeddings_initializer,
            "embeddings",
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, x: Value) -> Value:
        """The rows."""
        assert self.embeddings is not None
        at = ops.cast(x, dtype="int32")
        rows = self.embeddings.shape[0]
        # Numbers beyond the table mean one more row: that costs less than to choose for each number that comes out.
        nothing = ops.where(ops.zeros((1, 1), "bool"), self.embeddings[:1], math.nan)  # of the dtype of the table
        table = ops.concatenate([self.embeddings, nothing], 0)
        return ops.take(table, ops.where(ops.logical_and(at >= 0, at < rows), at, rows), axis=0)
