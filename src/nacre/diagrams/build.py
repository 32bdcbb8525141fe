"""From the graph of a program, or from a plan, to the nodes and edges that are drawn of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from nacre.backends.base import PlannedStep
from nacre.configured import snake_case
from nacre.diagrams.groups import Group, Groups, again
from nacre.diagrams.nodes import Box, Edge, Node, Range, Weight
from nacre.ir import Input, TensorType, Value
from nacre.ops import TABLE

Ranges = Callable[[Value], Range | None]

_MOVES = ("cast", "stop_gradient")  # elementwise, and no arithmetic
_AFFINE = {"matmul", "broadcast", "add"}


def flops(value: Value) -> int:
    """The operations on numbers that a value takes, a multiply-add counting as two, as plans count them.

    >>> from nacre import ops
    >>> flops(ops.zeros((2, 3)) @ ops.zeros((3, 5)))
    60
    """
    if value.operation is None:
        return 0
    name = value.operation.name
    if name == "matmul":
        return 2 * value.type.size * value.operands[0].shape[-2 if value.attrs["transpose_a"] else -1]
    if name.startswith("reduce_") or name == "argmax":
        return value.operands[0].type.size
    return value.type.size if TABLE[name].elementwise and name not in _MOVES else 0


def moved(value: Value) -> int:
    """The bytes that an operation reads and writes; none for what is given."""
    operands = {id(operand): operand.type.nbytes for operand in value.operands}
    return 0 if value.operation is None else value.type.nbytes + sum(operands.values())


# ------------------------------------------------------------------ every operation


def operations(groups: Groups, ranges: Ranges) -> tuple[list[Node], list[Edge]]:
    """A node for each operation, and for each input that is read."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    values = [*(v for v in groups.graph.inputs if id(v) in groups.of), *groups.graph.nodes]
    for value in values:
        said = value.name if isinstance(value, Input) else f"{groups.of[id(value)].key}/{_said(value, groups)}"
        names[id(value)] = next(name for name in again(said) if name not in taken)
        taken.add(names[id(value)])
    nodes = []
    for value in values:
        group, said, partner = groups.of[id(value)], _said(value, groups), groups.partner(value)
        operands = ", ".join(names[id(operand)] for operand in value.operands)
        number = value.attrs.get("value")
        if isinstance(number, int | float):
            operands = f"{number:g}"
        nodes.append(
            Node(
                names[id(value)],
                said,
                group.part,
                group.layer,
                names[id(value)] if isinstance(value, Input) else f"{said}({operands})",
                value.shape,
                said == "parameter",
                names[id(partner)] if partner is not None and group.part == "backward" else None,
                ranges(value),
                flops(value),
                moved(value),
                count=int(value.operation is not None),
                box=group.key,
            )
        )
    return nodes, [Edge(names[id(o)], names[id(v)]) for v in groups.graph.nodes for o in dict.fromkeys(v.operands)]


def _said(value: Value, groups: Groups) -> str:
    """What a value is, in a word."""
    if value.operation is not None:
        return value.operation.name
    name = value.name if isinstance(value, Input) else ""
    return "parameter" if name in groups.weights else "slot" if name in groups.program.state else "input"


# ------------------------------------------------------------------ layer by layer


def layers(groups: Groups, ranges: Ranges, loss: str = "", optimizer: str = "") -> tuple[list[Node], list[Edge]]:
    """A node for all that a layer does in one direction; for the loss, metrics, and what is done for all weights at once.

    Of training, ``loss`` and ``optimizer`` are their names.
    """
    shown = [g for g in groups.all.values() if g.kind != "input" or any(id(v) in groups.columns for v in g.members)]
    words = _Words(groups, loss, optimizer)
    nodes = []
    for group in shown:
        gives = words.gives(group)
        computed = [value for value in group.members if value.operation is not None]
        nodes.append(
            Node(
                group.key,
                loss if group.kind == "loss" and not group.layer else group.kind,
                group.part,
                group.layer,
                words.formula(group),
                gives.shape,
                group.part == "forward" and bool(words.weights(group)),
                group.of if group.part == "backward" else None,
                ranges(gives),
                sum(map(flops, computed)),
                sum(map(moved, computed)),
                weights=tuple(words.weights(group)),
                count=len(computed),
                box=group.key,
            )
        )
    return nodes, list(dict.fromkeys(Edge(source.key, target.key) for source, target in words.crossings))


class _Words:
    """What groups give and take, and how formulas say it."""

    def __init__(self, groups: Groups, loss: str, optimizer: str) -> None:
        self.groups, self.loss, self.optimizer = groups, loss, optimizer
        self.crossings: dict[tuple[Group, Group], list[Value]] = {}  # what a group makes of what another gives it
        self.handed: dict[str, Value] = {}  # by groups, what another one reads first
        for value in groups.graph.nodes:
            target = groups.of[id(value)]
            for operand in value.operands:
                source = groups.of[id(operand)]
                if source is not target and id(operand) not in groups.still:
                    self.crossings.setdefault((source, target), []).append(value)
                    if source.part == target.part:
                        self.handed.setdefault(source.key, operand)
        self.read = {key: self._weights_in(group.members) for key, group in groups.all.items()}
        self.symbols: dict[str, str] = {}
        self.weight_symbols: dict[str, str] = {}
        numbers: dict[str, int] = {}
        keys = list(groups.all)
        for key, after in zip_longest(keys, keys[1:], fillvalue=""):
            group = groups.all[key]
            if group.part != "forward" or group.kind == "input":
                self.symbols[key] = "L" if group.kind == "loss" else key
                continue
            number = numbers.setdefault(group.layer, len(numbers) + 1)
            goes_on = bool(after) and groups.all[after].is_activation and groups.all[after].layer == group.layer
            self.symbols[key] = f"{'Z' if goes_on else 'X'}{number}"
            for weight in self.read[key]:
                short = ("A" if weight.type.rank == 2 else "b") if self._is_affine(group) else _last(weight.name)
                self.weight_symbols.setdefault(weight.name, f"{short}{number}")
        for name in groups.weights - self.weight_symbols.keys():  # those that only follow the data
            self.weight_symbols[name] = f"{_last(name)}{numbers.get(name.rpartition('/')[0], '')}"

    def _weights_in(self, members: Iterable[Value]) -> list[Input]:
        """The weights that values work with; another group may have brought them into shape."""
        seen, pending = {id(value) for value in members}, list(members)
        while pending:
            for operand in pending.pop().operands:
                if id(operand) in self.groups.still and id(operand) not in seen:
                    seen.add(id(operand))
                    pending.append(operand)
        return [v for v in self.groups.graph.inputs if id(v) in seen and v.name in self.groups.weights]

    def _is_affine(self, group: Group) -> bool:
        done = {value.operation.name for value in group.members if value.operation is not None}
        ranks = sorted(value.type.rank for value in self.read[group.key])
        given = [source for source, target in self.crossings if target is group]
        return "matmul" in done and done <= _AFFINE and ranks in ([2], [1, 2]) and len(given) == 1

    def weights(self, group: Group) -> list[Weight]:
        """The weights that a forward group reads, of which a backward one makes the gradients, or that an update changes."""
        if group.part == "forward":
            return [Weight(value.name, value.shape, self.weight_symbols[value.name]) for value in self.read[group.key]]
        graph, mark = self.groups.graph, "d" if group.part == "backward" else ""
        new = {name: value for name, value in graph.outputs.items() if name in self.groups.weights}
        made = {"backward": self.groups.notes.gradients, "update": new}.get(group.part, {})
        own = [(name, value) for name, value in made.items() if self.groups.of.get(id(value)) is group]
        return [Weight(name, value.shape, mark + self.weight_symbols[name]) for name, value in own]

    def gives(self, group: Group) -> Value:
        """The value that stands for what a group gives."""
        if group.results:
            return group.results[-1]
        gradients = [v for v in self.groups.notes.gradients.values() if self.groups.of.get(id(v)) is group]
        return self.handed.get(group.key, next(iter(gradients), group.members[-1]))

    def formula(self, group: Group) -> str:
        """What a group does."""
        weights = [weight.symbol for weight in self.weights(group)]
        if group.part == "backward":
            return f"d{self.symbols[group.of]} -> {', '.join(dict.fromkeys([*self._gradients(group), *weights]))}"
        if group.part == "update":
            learned = [w.symbol for w in self.weights(group) if w.name in self.groups.notes.gradients]
            followed = [symbol for symbol in weights if symbol not in learned]
            by = f"{self.optimizer}({', '.join(f'd{symbol}' for symbol in learned)})"
            rules = [(learned, by), (followed, self.symbols.get(group.of, "the data"))]
            said = [f"{', '.join(names)} <- {source}" for names, source in rules if names]
            return "; ".join(said) or "for several weights"
        if group.kind == "input":
            return group.key
        sources = [source for source, target in self.crossings if target is group]
        if group.part == "loss":
            sources.sort(key=lambda source: source.kind != "input")  # targets come first
        given = list(dict.fromkeys(self.symbols[source.key] for source in sources))
        if self._is_affine(group) and group.part == "forward":
            kernel, *bias = sorted(weights)  # a capital letter comes first
            return f"{' + '.join([f'{given[0]} {kernel}', *bias])} = {self.symbols[group.key]}"
        if group.part == "loss":
            terms = [self.weight_symbols[weight.name] for weight in self.read[group.key]]
            regularized = f" + r({', '.join(terms)})" if terms else ""
            return f"{self.loss}({', '.join(given)}){regularized} = L"
        result = f" = {self.symbols[group.key]}" if group.part == "forward" else ""
        return f"{snake_case(group.kind)}({', '.join([*given, *weights])}){result}"

    def _gradients(self, group: Group) -> Iterator[str]:
        """Of what a backward group gives gradients to others: by the forward values that the chain rule goes on with."""
        for (source, target), values in self.crossings.items():
            if source is group and target.part == "backward":
                partners = [partner for value in values if (partner := self.groups.partner(value)) is not None]
                if all(id(partner) in self.groups.still for partner in partners):  # for a weight that is used again
                    yield from (f"d{self.weight_symbols[w.name]}" for w in self._weights_in(partners))
                else:
                    yield f"d{self.symbols[target.of]}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


# ------------------------------------------------------------------ kernel by kernel


def kernels(
    steps: Sequence[PlannedStep], seconds: Sequence[float], weights: Mapping[str, TensorType], emits: Iterable[str]
) -> tuple[list[Node], list[Edge]]:
    """A node for each kernel of a plan. Those of the backward graph run when the loss is known; some update weights as well."""
    handed_out = set(emits)
    makers: dict[str, str] = {}  # which node made what lies in a buffer
    nodes: list[Node] = []
    edges: dict[Edge, None] = {}
    for number, (step, time) in enumerate(zip_longest(steps, seconds)):
        assert step is not None
        name = f"{number} {step.kernel}"
        part = "backward" if step.updates else "forward"
        if any(result in weights for result in step.results):
            part = "update"
        elif set(step.results) & handed_out:
            part = "loss" if "loss" in step.results else "metrics"
        own = [w for w in dict.fromkeys((*step.operands, *step.results)) if w in weights]
        edges |= dict.fromkeys(Edge(makers[operand], name) for operand in step.operands if operand in makers)
        makers |= dict.fromkeys(step.results, name)
        nodes.append(
            Node(
                name,
                step.kernel,
                part,
                own[0].rpartition("/")[0] if own else "",
                f"{', '.join(step.operands)} -> {', '.join(step.results)}",
                parameter=bool(own),
                flops=step.flops,
                bytes=step.nbytes,
                seconds=time,
                weights=tuple(Weight(w, weights[w].shape, w) for w in own),
                box=name,
            )
        )
    return nodes, list(edges)


def boxes(groups: Groups) -> dict[str, Box]:
    """What nodes are drawn together in, by the keys of groups."""
    return {g.key: Box(g.part, f"{g.key} ({g.kind})" if g.layer else g.key, g.of or g.key) for g in groups.all.values()}
