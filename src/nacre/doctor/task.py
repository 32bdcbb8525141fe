"""What a network is for: to tell classes apart, to predict numbers, or something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nacre.activations import sigmoid, softmax
from nacre.doctor.case import Array, Inputs
from nacre.models import Model

_MOST_CLASSES = 50  # that one would number


@dataclass(frozen=True)
class Task:
    """``kind`` is "classes", "numbers" or "other" (several outputs, or several classes at once); there are so many ``classes``,
    each of which makes so much of the rows to train on (``shares``). ``names`` tells how the targets say it: "labels", "one-hot",
    "binary" or "signs"; ``width`` is that of the output. Where one number is predicted that is always one of a few whole numbers
    in a row, beginning at 0 or 1, as numbers of classes are, ``numbered`` says the lowest of them, and how many there are.
    """

    kind: str
    classes: int = 0
    shares: Array | None = None
    names: str = ""
    width: int = 0  # of the output
    numbered: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, model: Model, y: Inputs) -> Task:
        """The task of a model with such targets."""
        outputs = model.judged_outputs()
        if len(outputs) != 1 or len(y) != 1:
            return cls("other")
        ((sort, shape),), target = outputs, next(iter(y.values()))
        width = int(shape[-1] or 0) if len(shape) == 2 else 0
        names = _names(sort, target, width, model.loss.name)
        if not names:
            kind = "numbers" if sort != "labels" and len(shape) == 2 else "other"
            return cls(kind, width=width, numbered=_numbered(target) if width == 1 else (0, 0))
        labels = cls("classes", names=names).labels_of(target)
        classes = max(width, 2)
        return cls("classes", classes, np.bincount(labels, minlength=classes) / len(labels), names, width)

    def labels_of(self, target: Array) -> Array:
        """Targets as class numbers."""
        if self.names == "signs":
            return (target.reshape(len(target)) > 0).astype(np.int64)
        return (target.argmax(axis=1) if self.names == "one-hot" else target.reshape(len(target))).astype(np.int64)

    def predicted(self, model: Model, outputs: Array) -> Array:
        """What outputs say where numbers are predicted, (n, width); of several classes at once, the probability of each."""
        outputs = outputs.reshape(len(outputs), -1).astype(np.float64)
        return _logistic(outputs) if getattr(model.loss, "from_logits", False) else outputs

    def probabilities(self, model: Model, outputs: Array) -> Array:
        """What outputs say of each class, (n, classes), each row summing to 1."""
        logits = getattr(model.loss, "from_logits", False)
        ended = any(getattr(layer, "activation", None) in (sigmoid, softmax) for layer in model.layers[-1:])
        outputs = outputs.reshape(len(outputs), -1)
        if self.names == "signs":
            p = _logistic(2 * outputs)
            return np.hstack([1 - p, p])
        if outputs.shape[1] == 1:
            p = _logistic(outputs) if logits and not ended else np.clip(outputs, 0, 1)
            return np.hstack([1 - p, p])
        if logits and not ended:
            e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            return np.asarray(e / e.sum(axis=1, keepdims=True))
        p = np.clip(outputs, 1e-7, None)
        return np.asarray(p / p.sum(axis=1, keepdims=True))


def _logistic(scores: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -60, 60))))


def _numbered(target: Array) -> tuple[int, int]:
    """The lowest of targets that may be numbers of classes, and how many there are; else none."""
    values = np.unique(target) if target.size == len(target) else np.zeros(0)
    if not 3 <= len(values) <= _MOST_CLASSES or values[0] not in (0, 1) or (np.diff(values) != 1).any():
        return 0, 0
    return int(values[0]), len(values)


def _names(sort: str, target: Array, width: int, loss: str) -> str:
    """How targets name classes, "" if they do not."""
    if sort == "labels":
        return "labels" if width > 0 and target.size == len(target) else ""
    flat = target.size == len(target)
    values: Any = np.unique(target) if target.size else np.zeros(0)
    if width == 1 and flat and "hinge" in loss and set(values.tolist()) <= {-1, 0, 1}:
        return "signs"
    if width == 1 and flat and set(values.tolist()) <= {0, 1}:
        return "binary"
    one_hot = target.ndim == 2 and target.shape[1] == width > 1 and set(values.tolist()) <= {0, 1}
    return "one-hot" if one_hot and (target.sum(axis=1) == 1).all() else ""


__all__ = ["Task"]
