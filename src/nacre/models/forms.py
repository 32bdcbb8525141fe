"""How people meet a model: the form in which they fill in a row for it, and the words for what it answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nacre import activations
from nacre.data import Features, Pictures
from nacre.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nacre.layers import Rescaling
from nacre.models.model import Model

_LISTED = 60  # terms in a list to choose from; more are to be typed
_SIDES = (4, 64)  # pixels, fewest and most, of what can be drawn by hand
_SQUARES = (64, 784)  # numbers in a row that are the shades of small pictures


@dataclass(frozen=True)
class Answer:
    """An output: its ``name`` for people, its ``key`` in the model, the names of the ``classes`` that it tells apart, if any."""

    key: str
    name: str
    classes: list[str] | None


def classes_of(model: Model, output: int) -> list[str] | None:
    """The names of the classes that an output has probabilities of, if they are known."""
    if isinstance(model.features, Features) and len(model.features.targets) == len(model.output_names):
        return model.features.targets[output].classes
    return model.features.classes if isinstance(model.features, Pictures) else None


def answers(model: Model) -> list[Answer]:
    """What each output says. Classes without names have their numbers for names, where a softmax is at the end.

    >>> from nacre import Input, Sequential, layers
    >>> answers(Sequential([Input((4,)), layers.Dense(3, "softmax")]))
    [Answer(key='dense', name='dense', classes=['0', '1', '2'])]
    """
    return [_answer(model, number) for number in range(len(model.output_names))]


def _answer(model: Model, number: int) -> Answer:
    name, shape, classes = model.output_names[number], model.output_shapes[number], classes_of(model, number)
    last = getattr(model.outputs[number].layer, "activation", None)
    if classes is None and len(shape) == 2 and last is activations.softmax:
        classes = [str(k) for k in range(int(shape[1] or 0))]
    if isinstance(model.features, Features) and len(model.features.targets) == len(model.output_names):
        name = model.features.targets[number].name
    return Answer(model.output_names[number], name, classes)


@dataclass(frozen=True)
class Field:
    """An entry for a column of a table: "number", "choice" of ``terms``, "date", or "text", with the ``value`` that it begins with,
    and what was ``told`` of the column in training."""

    name: str
    told: str
    kind: str
    value: str
    terms: Sequence[str] = ()


def field_of(feature: Feature) -> Field:
    """The entry for a feature.

    >>> from nacre.data.features import CategoryFeature
    >>> field_of(CategoryFeature("city", ["Oslo", "Lima"]))
    Field(name='city', told='2 categories: Oslo, Lima', kind='choice', value='Oslo', terms=['Oslo', 'Lima'])
    """
    name, told = feature.name, feature.told()
    if isinstance(feature, NumberFeature):
        middle = math.expm1(feature.mean) if feature.log else feature.mean
        shown = float(f"{min(max(middle, feature.least), feature.most):.4g}")
        return Field(name, told, "number", f"{shown:.15g}")  # 31860, and not 3.186e+04
    if isinstance(feature, CategoryFeature):
        kind = "choice" if len(feature.terms) <= _LISTED else "text"
        return Field(name, told, kind, feature.terms[0] if feature.terms else "", feature.terms)
    if isinstance(feature, DateFeature) and feature.form in ("", "ISO8601"):
        return Field(name, told, "date", feature.last)
    return Field(name, told, "text", "")


def drawn(shape: Sequence[int]) -> tuple[int, int] | None:
    """Height and width of the picture in shades of grey that a row of this shape may be, None if it is not drawn by hand.

    >>> drawn((28, 28, 1)), drawn((784,)), drawn((28, 28, 3)), drawn((13,))
    ((28, 28), (28, 28), None, None)
    """
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (side, side) if shape[0] in _SQUARES else None
    fits = len(shape) in (2, 3) and shape[2:] in ((), (1,)) and min(shape[:2]) >= _SIDES[0]
    return (shape[0], shape[1]) if fits and max(shape[:2]) <= _SIDES[1] else None


def kind_of(model: Model, shapes: Sequence[Sequence[int]]) -> str:
    """How a row for a model is filled in, whose inputs have these shapes: "table", a "pad" to draw on, a "file", or "numbers".

    >>> from nacre import Input, Sequential, layers
    >>> model = Sequential([Input((8, 8)), layers.Flatten(), layers.Dense(10)])
    >>> kind_of(model, [(8, 8)]), kind_of(model, [(13,)])
    ('pad', 'numbers')
    """
    if isinstance(model.features, Features):
        return "table"
    fits = len(shapes) == 1 and drawn(shapes[0]) is not None
    if isinstance(model.features, Pictures):
        return "pad" if fits and model.features.color == "grey" else "file"
    return "pad" if fits else "numbers"


def full_ink(model: Model) -> float:
    """What full ink is as a number: where the network begins by scaling, what becomes 1."""
    first: Any = model.layers[0] if model.layers else None
    plain = isinstance(first, Rescaling) and isinstance(first.scale, int | float) and not first.offset
    return 1 / first.scale if plain and first.scale else 1.0


__all__ = ["Answer", "Field", "answers", "classes_of", "drawn", "field_of", "full_ink", "kind_of"]
