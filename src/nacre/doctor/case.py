"""A training as its user means it: model, data, and how it is trained; and what can be changed of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import losses
from nacre.configured import custom_object_scope, resolve, serialize
from nacre.models import Model
from nacre.models.files import check_restorable, restore
from nacre.models.part import KINDS
from nacre.training import Callback
from nacre.training.program import slot_types

Array = npt.NDArray[Any]
Inputs = dict[str, Array]
Described = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A compiled model, the rows it is trained on and judged by, and the arguments of `fit`.

    Inputs, targets and weights of the rows go by the names of the model's inputs and outputs; there are no weights if all rows
    count alike. ``given`` tells whether the user has validation rows; where there are none, some of the rows to train on are held
    out, and ``split`` tells that they were split off at the end of the rows. ``note`` says which rows these are, where they need
    not be all. ``stop`` makes the callbacks of the training, and ``watched`` tells whether it looks at the rows it is judged by.
    """

    model: Model
    x: Inputs
    y: Inputs
    x_validation: Inputs
    y_validation: Inputs
    given: bool
    split: bool = False
    batch_size: int = 32
    epochs: int | None = None
    shuffle: bool = True
    class_weight: Mapping[int, float] | None = None
    weights: Inputs = field(default_factory=dict)
    weights_validation: Inputs = field(default_factory=dict)
    note: str = ""
    stop: Callable[[], list[Callback]] = list
    watched: bool = True

    def __len__(self) -> int:
        return len(next(iter(self.x.values())))

    def with_(self, **changes: Any) -> Case:
        """The same, otherwise."""
        return replace(self, **changes)

    def take(self, rows: Array) -> Case:
        """The same with some of the rows to train on."""
        return self.with_(x=taken(self.x, rows), y=taken(self.y, rows), weights=taken(self.weights, rows))

    def judged_by(self, rows: Array) -> Case:
        """The same, judged by some of the rows that it is judged by."""
        return self.with_(
            x_validation=taken(self.x_validation, rows),
            y_validation=taken(self.y_validation, rows),
            weights_validation=taken(self.weights_validation, rows),
        )

    def holding_out(self, rows: Array) -> Case:
        """The same, judged by some of the rows to train on, and trained on the others."""
        part = self.take(rows)
        others = np.setdiff1d(np.arange(len(self)), rows)
        return self.take(others).with_(x_validation=part.x, y_validation=part.y, weights_validation=part.weights)

    @property
    def row_weights(self) -> Array:
        """How much each row to train on counts, where there is one output; (n,), ones if all count alike."""
        return weight_of(self.weights, len(self))

    # -------------------------------------------------------------- changes of the data

    def inputs_changed(self, change: Callable[[Array], Array], name: str) -> Case:
        """The same with another input of that name, in all rows."""
        x, judged = (part | {name: change(part[name])} for part in (self.x, self.x_validation))
        return self.with_(x=x, x_validation=judged)

    def targets_changed(self, change: Callable[[Array], Array]) -> Case:
        """The same with other targets, in all rows."""
        y, judged = ({n: change(a) for n, a in part.items()} for part in (self.y, self.y_validation))
        return self.with_(y=y, y_validation=judged)

    # -------------------------------------------------------------- changes of the model

    def compiled_as(self, **changes: Any) -> Case:
        """The same, with other settings of `compile`, and the weights as they are."""
        model = copy.deepcopy(self.model)
        with custom_object_scope(check_restorable(model)):
            model.compile_from_config(self.model.get_compile_config() | changes)
        return self.with_(model=model)

    def optimized_by(self, **changes: Any) -> Case:
        """The same with other settings of the optimizer."""
        rule = serialize(self.model.optimizer)
        return self.compiled_as(optimizer={"class_name": rule["class_name"], "config": rule["config"] | changes})

    def with_loss(self, loss: Any) -> Case:
        """The same with another loss; metrics of it stay."""
        return self.compiled_as(loss=serialize(losses.get(loss)))

    def rebuilt(self, change: Callable[[Described], Any]) -> Case:
        """The same with other layers and fresh weights: ``change`` is told the description of each layer, the innermost first, and
        gives what is to be in its place: a description, or a list of them."""
        model = self.model
        with custom_object_scope(check_restorable(model)):
            again: Model = resolve("model", _changed(serialize(model), change), KINDS)
            if not again.built:
                again.build(again._shapes_to_build([s[1:] for s in model.input_shapes], model._names_to_build()))
            again.compile_from_config(model.get_compile_config())
        again.features = model.features
        return self.with_(model=again)

    def fresh(self) -> Case:
        """The same with fresh weights."""
        return self.rebuilt(lambda layer: layer)

    def going_on(self, other: Model) -> Case:
        """The same from where another network is, which differs in nothing but how it is trained: with its weights, its place in
        the order of rows, and the state of its optimizer, if it fits."""
        described, _, own = self.model._description()
        there, learned = other.snapshot()
        slots = [f"optimizer/{name}" for name in slot_types(self.model.optimizer, self.model.named)]
        kept = [*self.model.named, *(slots if set(slots) <= set(learned) else [])]
        described["training"]["iterations"] = there["training"]["iterations"]
        model = restore(described | {"seed": there["seed"]}, {name: learned[name] for name in kept}, own)
        return self.with_(model=model)


def _changed(described: Any, change: Callable[[Described], Any]) -> Any:
    """A description in which each layer is replaced."""
    if isinstance(described, list):
        found = [_changed(one, change) for one in described]
        return [part for one in found for part in (one if isinstance(one, _Several) else [one])]
    if not isinstance(described, dict):
        return described
    again = {name: _changed(value, change) for name, value in described.items()}
    if "class_name" not in again or "name" not in again.get("config", {}) or again["class_name"] in KINDS:
        return again
    put = change(again)
    return _Several(put) if isinstance(put, list) else put


def single(parts: Mapping[str, Array]) -> Any:
    """The only array, or all of them by name, as `fit` takes them."""
    return next(iter(parts.values())) if len(parts) == 1 else dict(parts)


def taken(parts: Inputs, rows: Array) -> Inputs:
    """Some rows of all."""
    return {name: array[rows] for name, array in parts.items()}


def weight_of(weights: Inputs, count: int) -> Array:
    """How much each of so many rows counts, in float64; alike, if there are no weights, or if all are 0."""
    weight = next(iter(weights.values())).astype(np.float64) if weights else np.ones(count)
    return weight if weight.any() else np.ones(count)


class _Several(list[Any]):
    """Layers in the place of one."""


__all__ = ["Array", "Case", "Described", "Inputs", "single", "taken", "weight_of"]
