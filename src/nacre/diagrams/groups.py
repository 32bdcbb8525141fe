"""What belongs together in the graph of a program: to the call of a layer, in one direction, or to no layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice

from nacre.backends.base import Program
from nacre.configured import snake_case
from nacre.ir import Input, Value, order
from nacre.layers.input import InputLayer
from nacre.layers.layer import Called
from nacre.models.part import shown
from nacre.training.program import Notes


@dataclass(eq=False)
class Group:
    """Values that are drawn together.

    ``kind`` is the class of the layer, or the name of an activation that stands by itself, ``layer`` the name of its call, and
    ``of`` the key of the forward group that one of the backward graph or of the update belongs to. ``results`` are what a layer,
    or the loss, gives.
    """

    key: str
    part: str
    kind: str = ""
    layer: str = ""
    of: str = ""
    results: list[Value] = field(default_factory=list)
    is_activation: bool = False
    members: list[Value] = field(default_factory=list)


class Groups:
    """All groups of a program of one size, by their keys, and by the identity of each value, that which it is ``of``.

    With ``split``, an activation is a group beside the layer that it is in.
    """

    def __init__(self, program: Program, notes: Notes, weights: Sequence[str], split: bool) -> None:
        (self.graph,) = program.graphs.values()
        self.program, self.notes, self.weights = program, notes, frozenset(weights)
        self.all: dict[str, Group] = {}
        self.of: dict[int, Group] = {}
        self.columns: set[int] = set()  # inputs that are data
        self.idle: list[str] = []
        self._live = {id(value) for value in self.graph.nodes}
        self.still = self._still()
        self._cast()
        self._forward(split)
        self._judged()
        self._given(("forward", "loss", "metrics"))
        self._backward()
        self._updates()
        self._given(("backward", "update"))
        for value in [*self.graph.inputs, *self.graph.nodes]:
            if id(value) in self.of:
                self.of[id(value)].members.append(value)
        groups = [group for group in self.all.values() if group.members]
        at = {group.key: n for n, group in enumerate(groups)}
        first = [group for group in groups if group.kind == "input"]
        forward = [group for group in groups if group.part not in ("backward", "update")]
        backward = sorted((group for group in groups if group.part == "backward"), key=lambda group: -at[group.of])
        ordered = [*first, *forward, *backward, *groups]  # as they run
        self.all = {group.key: group for group in ordered}
        there = {group.layer for group in self.all.values()}
        self.idle = [name for name in self.idle if name not in there]

    def partner(self, value: Value) -> Value | None:
        """The forward value of this graph that a backward value belongs to; where simplifying took it away, that which it was made
        of. None for any other value."""
        found = self.notes.made.get(value)
        while found is not None and id(found) not in self.of:
            found = next(iter(found.operands), None)
        return found

    def _first(self, layer: str) -> Group | None:
        """The group in which a layer begins."""
        return next((group for group in self.all.values() if group.layer == layer), None)

    def _new(self, key: str, part: str, kind: str, layer: str = "", of: str = "") -> Group:
        key = next(name for name in again(key) if name not in self.all)  # layers may be called anything
        self.all[key] = Group(key, part, kind, layer, of)
        return self.all[key]

    def _behind(self, part: str, of: Group) -> Group:
        """The group of the backward graph or of the update that belongs to a forward group."""
        known = (group for group in self.all.values() if group.part == part and group.of == of.key)
        return next(known, None) or self._new(f"{part} of {of.key}", part, of.kind, of.layer, of.key)

    def _claim(self, group: Group, ends: Iterable[Value], begins: Iterable[Value] = ()) -> None:
        """Everything that ``ends`` need, beyond ``begins`` and what is in a group already."""
        seen, pending = {id(value) for value in begins}, list(ends)
        while pending:
            value = pending.pop()
            if id(value) in seen or value.operation is None:
                continue
            seen.add(id(value))
            if id(value) in self._live:
                self.of.setdefault(id(value), group)
            pending += value.operands

    def _still(self) -> set[int]:
        """Values that do not depend on the data: constants, weights, the learning rate, and what is computed of these alone."""
        still = {id(value) for value in self.graph.inputs if value.name not in self.program.columns}
        for value in self.graph.nodes:
            if all(id(operand) in still for operand in value.operands):
                still.add(id(value))
        return still

    def _cast(self) -> None:
        """Data that are cast before a layer takes them: the cast belongs to them, as several layers may read it."""
        for value in [value for call in self.notes.calls for value in call.inputs]:
            given = value
            while given.operation is not None and given.operation.name == "cast":
                (given,) = given.operands
            if given is not value and isinstance(given, Input) and given.name in self.program.columns:
                group = self.of.get(id(given)) or self._new(given.name, "forward", "input")
                self.of[id(given)] = group
                self.columns.add(id(given))
                self._claim(group, [value])

    def _forward(self, split: bool) -> None:
        before: tuple[Called, str] | None = None
        often: Counter[str] = Counter()
        for call in self.notes.calls:
            if isinstance(call.layer, InputLayer):
                continue
            if before is None or not _is_same(before[0], call):  # else it is another output of the same call
                often[call.name] += 1
            name = next(islice(again(call.name), often[call.name] - 1, None))
            scores, activation = self.notes.scores.get(call.output), getattr(call.layer, "activation", None)
            kind, begins, end = type(shown(call.layer)).__name__, call.inputs, call.output
            said = getattr(activation, "__name__", snake_case(type(activation).__name__))
            is_all = any(scores is x for x in begins)
            if scores is not None and scores is not end and id(end) not in self._live:
                end = scores  # a loss that works on the scores of an activation has no need of it
                self.idle += [] if is_all else [f"{name} {said}"]
            if split and scores is not None and scores is not end:
                if not is_all:
                    self._call(self._new(name, "forward", kind, name), scores, begins)
                group = self._new(name if is_all else f"{name} {said}", "forward", said, name)
                group.is_activation = True
                self._call(group, end, [scores])
            else:
                known = self._first(name) if before is not None and before[1] == name else None
                self._call(known or self._new(name, "forward", kind, name), end, begins)
            self.idle.append(name)
            before = call, name
        if self.notes.loss is None:
            self._claim(self._new("output", "forward", "cast"), self.graph.outputs.values())

    def _call(self, group: Group, result: Value, inputs: Iterable[Value]) -> None:
        group.results += [result] if id(result) in self._live else []
        self._claim(group, [result], inputs)

    def _judged(self) -> None:
        if self.notes.loss is not None:
            loss = self._new("loss", "loss", "loss")
            self._call(loss, self.notes.loss, [])
            self._claim(loss, [self.graph.outputs["loss"]])
            emits = [self.graph.outputs[name] for name in self.program.emits]
            self._claim(self._new("metrics", "metrics", "metrics"), emits)

    def _given(self, parts: Sequence[str]) -> None:
        """Inputs: data and numbers of the schedule by themselves, all others where they are read first."""
        for value in self.graph.nodes:
            group = self.of.get(id(value))
            for operand in value.operands if group is not None and group.part in parts else ():
                if not isinstance(operand, Input) or id(operand) in self.of or group is None:
                    continue
                is_data = operand.name in self.program.columns
                if is_data:
                    self.columns.add(id(operand))
                if is_data or operand.name in self.program.schedule:
                    self.of[id(operand)] = self._new(operand.name, group.part, "input")
                else:
                    self.of[id(operand)] = group

    def _backward(self) -> None:
        """Each value is behind the group of its partner; or behind the loss, if that took only what is inside an activation."""
        if self.notes.loss is None:
            return
        needed = {id(value) for value in order([self.notes.loss])}
        loss = self.of[id(self.notes.loss)]
        for value in self.graph.nodes:
            if id(value) not in self.of and (partner := self.partner(value)) is not None:
                of = self.of[id(partner)]
                inside = of.is_activation and not any(id(result) in needed for result in of.results)
                self.of[id(value)] = self._behind("backward", loss if inside else of)

    def _updates(self) -> None:
        """What is for the weights of one layer belongs to it; of what does not depend on the data, the first one has it."""
        owners: dict[int, list[str]] = {}
        for name in self.program.state:
            if name not in self.graph.outputs:
                continue
            weight = next((w for w in (name, name.rpartition("/")[0]) if w in self.weights), "")
            group = self._first(weight.rpartition("/")[0])  # where it is not read, it follows what its layer sees
            group = self.of.get(id(self.graph.input(weight)), group) if weight else None
            seen, pending = set(), [self.graph.outputs[name]]
            while pending:
                value = pending.pop()
                if id(value) in self._live and id(value) not in self.of and id(value) not in seen:
                    seen.add(id(value))
                    owners.setdefault(id(value), []).append("" if group is None else group.key)
                    pending += value.operands
        shared: Group | None = None
        for number, keys in owners.items():
            of = self.all.get(keys[0]) if len(set(keys)) == 1 or number in self.still else None
            if of is None:
                shared = shared or self._new("update", "update", "update")
                self.of[number] = shared
            else:
                self.of[number] = self._behind("update", of)


def _is_same(a: Called, b: Called) -> bool:
    """Whether two calls are one, noted twice because it has two outputs."""
    alike = a.name == b.name and a.layer is b.layer and len(a.inputs) == len(b.inputs)
    return alike and all(x is y for x, y in zip(a.inputs, b.inputs, strict=True))


def again(name: str) -> Iterator[str]:
    """name, name (2), name (3), ..."""
    yield name
    yield from (f"{name} ({n})" for n in count(2))
