"""Where a network begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nacre import ops
from nacre.errors import Limitation, UsageError, did_you_mean
from nacre.ir import Value
from nacre.layers.layer import Layer, sizes
from nacre.layers.symbol import Symbol


class InputLayer(Layer):
    """States the shape of one sample, without the batch; ``output`` is its `Symbol`."""

    autocast = False

    def __init__(self, shape: Sequence[int], input_dtype: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = self.input_shape = sizes("The shape of an input", shape)
        if input_dtype not in (None, *_DTYPES):
            raise UsageError(
                f"The dtype of an input is one of {', '.join(_DTYPES)}, got {input_dtype!r}.",
                hint="leave it out: inputs come as the data are"
                + (", and a StringLookup numbers text before it goes in" if input_dtype == "string" else ""),
            )
        self.input_dtype = input_dtype
        self.symbol = Symbol((None, *self.shape), _DTYPES.get(input_dtype or "", self.dtype), self)

    @property
    def built(self) -> bool:
        """There is nothing to build."""
        return True

    @property
    def input(self) -> Symbol:
        """The same as ``output``."""
        return self.symbol

    @property
    def output(self) -> Symbol:
        """The beginning of a network."""
        return self.symbol

    def call(self, x: Value) -> Value:
        """x, in the dtype that was asked for."""
        return x if self.input_dtype is None else ops.cast(x, dtype=_DTYPES[self.input_dtype])


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int],
    batch_size: int | None = None,
    dtype: str | None = None,
    *,
    name: str | None = None,
    **unknown: Any,
) -> Symbol:
    """The beginning of a network: ``shape`` of one sample, without the batch.

    Data come as they are; with ``dtype``, "float32", "int32", "uint8" or "bool", they are cast to it. ("int64" is "int32" here.)
    Raises `UsageError` for a shape that is not all known: a network is dense, and its weights are made for it.

    >>> Input((28, 28)).shape
    (None, 28, 28)
    """
    for word in unknown:
        raise UsageError(
            f"Input has no argument {word!r}.",
            hint=_INSTEAD.get(word) or did_you_mean(word, ["shape", "dtype", "name"]),
        )
    if batch_size is not None:
        raise Limitation(
            "An input has no batch_size.", hint="leave it out: batches of any size fit, and fit takes batch_size"
        )
    return InputLayer(shape, dtype, name=name).symbol


_DTYPES = {"float32": "float32", "int32": "int32", "int64": "int32", "uint8": "uint8", "bool": "bool"}
_INSTEAD = {
    "batch_shape": "shape, without the batch",
    "tensor": "call the model on the symbol instead",
    "sparse": "leave it out: arrays are dense",
    "ragged": "leave it out: arrays are dense",
    "optional": "leave it out: all inputs are given",
}
