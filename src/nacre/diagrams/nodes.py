"""What a graph is made of, to look at: nodes, edges, and boxes around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from nacre.training.trainer import REPEATS

PARTS = ("forward", "loss", "metrics", "backward", "update")


class Range(NamedTuple):
    """The least, the mean and the largest of some numbers."""

    low: float
    mean: float
    high: float


class Weight(NamedTuple):
    """A weight that a node reads, finds the gradient of, or changes: its name, its shape, and how formulas call it."""

    name: str
    shape: tuple[int, ...]
    symbol: str


@dataclass(frozen=True)
class Node:
    """A node of a diagram: one operation, one kernel, an input, or all that a layer does in one direction.

    ``operation`` says what it does, "input" or "parameter" what is given; ``formula`` says it with its operands. ``part`` is
    "forward", "loss", "metrics", "backward" or "update", and ``layer`` the name of the call of a layer that it belongs to, empty
    where there is none. ``partner`` is the forward node that a backward node belongs to, by the chain rule. ``shape`` and
    ``range`` are those of what it gives, ``flops`` counts a multiply-add as two, and ``bytes`` what is read and written.
    ``parameter`` says whether it is a weight, or holds some; ``seconds`` is what a kernel took. ``count`` operations are in it,
    none in what is given, and ``box`` is what it is drawn in.
    """

    name: str
    operation: str
    part: str
    layer: str = ""
    formula: str = ""
    shape: tuple[int, ...] = ()
    parameter: bool = False
    partner: str | None = None
    range: Range | None = None
    flops: int = 0
    bytes: int = 0
    seconds: float | None = None
    weights: tuple[Weight, ...] = ()
    count: int = 1
    box: str = ""


class Edge(NamedTuple):
    """What one node gives and another takes, by their names."""

    source: str
    target: str


class Box(NamedTuple):
    """What nodes are drawn together: the ``part`` they are of, a title, and the box of the forward nodes that they belong to."""

    part: str
    title: str
    partner: str


@dataclass(frozen=True)
class Content:
    """What a `Diagram` shows; its fields are said there."""

    model: str
    kind: str
    step: str
    rows: int
    nodes: tuple[Node, ...] = field(repr=False)
    edges: tuple[Edge, ...] = field(repr=False)
    boxes: dict[str, Box] = field(repr=False)
    idle: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Node:
        """The node of that name. Raises `KeyError`."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    @property
    def title(self) -> str:
        """What is drawn, in one line."""
        what = {"layers": "Graph", "operations": "Graph of operations", "plan": "Plan"}[self.kind]
        step = "training step" if self.step == "training" else "prediction"
        timed = any(node.seconds is not None for node in self.nodes)
        more = f"; times are the least of {REPEATS} repeats" if timed else ""
        return f"{what} of one {step} of {self.model!r}, {self.rows} rows{more}"

    def sums(self) -> dict[str, int]:
        """The flops of each part, in the order in which they run."""
        parts = [part for part in PARTS if any(node.part == part for node in self.nodes)]
        return {part: sum(node.flops for node in self.nodes if node.part == part) for part in parts}
