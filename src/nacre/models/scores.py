"""What a model gives before the activations at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nacre.errors import UsageError
from nacre.ir import Value
from nacre.layers import Parameter, Softmax
from nacre.layers.layer import Record
from nacre.training.program import Network


class _Named(Network, Protocol):
    """A network whose outputs have names."""

    name: str

    @property
    def output_names(self) -> list[str]: ...


@dataclass(frozen=True)
class Scores:
    """A network with the weights of ``model``, whose outputs are what the activations at the end of it are applied to."""

    model: _Named

    @property
    def named(self) -> dict[str, Parameter]:
        """The weights of the model."""
        return self.model.named

    def kind(self) -> str | None:
        """That of the model, marked."""
        return None if (kind := self.model.kind()) is None else f"scores of {kind}"

    def forward(self, inputs: Sequence[Value], training: bool, record: Record | None = None) -> list[Value]:
        """The scores for a batch. Raises `UsageError` for an output that no activation gives."""
        record = Record() if record is None else record
        outputs = self.model.forward(inputs, training, record)
        known = record.scores | {c.output: c.inputs[0] for c in record.calls if isinstance(c.layer, Softmax)}
        found = [known.get(y, y) for y in outputs]
        for name, y, scores in zip(self.model.output_names, outputs, found, strict=True):
            if scores is y:
                last = next((f"{type(c.layer).__name__} {c.name!r}" for c in record.calls if c.output is y), "an input")
                raise UsageError(
                    f"The model {self.model.name!r} does not end in an activation.",
                    {"output": name, "comes from": last},
                    "what predict gives are the scores",
                )
        return found


__all__ = ["Scores"]
