"""What is known of a file that was written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nacre.data import Features
from nacre.layers import Augmentation
from nacre.models import Model

IN_FLOAT32 = "It computes in float32, and the model rounds what it multiplies to bfloat16."


@dataclass(frozen=True)
class Written:
    """A file, what it holds, and how it was checked.

    ``difference`` is the largest between its outputs and the model's, over ``rows`` rows that were made up; None if the file
    was not run. ``notes`` are sentences for who uses the file: what it takes, what it leaves out.
    """

    path: Path
    format: str
    nbytes: int
    rows: int = 0
    difference: float | None = None
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self) | {"path": str(self.path), "notes": list(self.notes)}

    def __str__(self) -> str:
        """What people are told.

        >>> print(Written(Path("model.onnx"), "onnx", 2048, 1000, 3e-8, ("It takes bytes.",)))
        model.onnx: 2,048 bytes of onnx
        Its outputs differ from the model's by 3e-08 at most, in 1,000 rows.
        It takes bytes.
        """
        lines = [f"{self.path}: {self.nbytes:,} bytes of {self.format}"]
        if self.difference is not None:
            how = f"differ from the model's by {self.difference:.2g} at most" if self.difference else "are the model's"
            lines.append(f"Its outputs {how}, in {self.rows:,} rows.")
        return "\n".join([*lines, *self.notes])


def without_augmentation(model: Model) -> list[str]:
    """What there is to say of a model that changes pictures in training, where the file has a layer that does nothing instead."""
    changes = any(isinstance(part, Augmentation) for part in model._parts())
    return ["Its pictures are not augmented in training: in the file, that layer does nothing."] if changes else []


def without_features(model: Model) -> list[str]:
    """What there is to say of a model that takes tables or files of pictures, where the file takes numbers."""
    made = "of columns of tables" if isinstance(model.features, Features) else "of files of pictures"
    return (
        []
        if model.features is None
        else [f"It takes the numbers that nacre makes {made}: these rules are not in the file."]
    )
