"""Places for the nodes of a directed graph, in rows from top to bottom.

K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system structures", IEEE Transactions on
Systems, Man, and Cybernetics 11, 1981: ranks by longest paths, dummy nodes on long edges, order by barycenters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]

_SWEEPS = 8


class Slot(NamedTuple):
    """A place in a row: of a node, or, if there is a target, of the edge from the node to that."""

    node: str
    target: str = ""
    rank: int = 0


@dataclass(frozen=True)
class Placed:
    """Centers of nodes, points between the ends of long edges, and the size of it all."""

    centers: dict[str, Point]
    bends: dict[tuple[str, str], list[Point]]
    width: float
    height: float


def layered(
    sizes: Mapping[str, Point],
    edges: Iterable[tuple[str, str]],
    across: float = 24,
    down: float = 30,
    first: Collection[str] = (),
    last: Collection[str] = (),
) -> Placed:
    """Places for nodes of some sizes (width, height), ``across`` and ``down`` from each other, along their edges; those that are
    to be ``first`` or ``last`` in the first or the last row.

    Nodes are given in an order in which they run; an edge against it has no say in where its ends lie.

    >>> placed = layered({"a": (10, 10), "b": (10, 10), "c": (10, 10)}, [("a", "b"), ("b", "c"), ("a", "c")])
    >>> [y for _, y in placed.centers.values()], len(placed.bends["a", "c"])
    ([5.0, 45.0, 85.0], 2)
    """
    at = {name: n for n, name in enumerate(sizes)}
    kept = list(dict.fromkeys(edge for edge in edges if at[edge[0]] < at[edge[1]]))
    ranks = _ranks(sizes, kept)
    ranks |= dict.fromkeys(first, 0) | dict.fromkeys(last, max(ranks.values(), default=0))
    rows: list[list[Slot]] = [[] for _ in range(max(ranks.values(), default=-1) + 1)]
    for name in sizes:
        rows[ranks[name]].append(Slot(name))
    above: dict[Slot, list[Slot]] = {}
    below: dict[Slot, list[Slot]] = {}
    for source, target in kept:
        between = [Slot(source, target, rank) for rank in range(ranks[source] + 1, ranks[target])]
        for slot in between:
            rows[slot.rank].append(slot)
        for upper, lower in pairwise([Slot(source), *between, Slot(target)]):
            below.setdefault(upper, []).append(lower)
            above.setdefault(lower, []).append(upper)
    wide = {slot: 0.0 if slot.target else sizes[slot.node][0] for row in rows for slot in row}
    x = _columns(rows, above, below, wide, across)
    left = min((x[slot] - wide[slot] / 2 for slot in x), default=0.0)
    width = max((x[slot] + wide[slot] / 2 for slot in x), default=0.0) - left
    centers: dict[str, Point] = {}
    bends: dict[tuple[str, str], list[Point]] = {edge: [] for edge in kept}
    top = 0.0
    for row in rows:
        height = max((sizes[slot.node][1] for slot in row if not slot.target), default=0.0)
        for slot in row:
            here = x[slot] - left
            if slot.target:
                bends[slot.node, slot.target] += [(here, top), (here, top + height)]
            else:
                centers[slot.node] = here, top + height / 2
        top += height + down
    return Placed(centers, bends, width, max(top - down, 0.0))


def _ranks(sizes: Mapping[str, Point], edges: list[tuple[str, str]]) -> dict[str, int]:
    """The row of each node: below all that it takes; what takes nothing lies just above what takes it first."""
    takes: dict[str, list[str]] = {name: [] for name in sizes}
    gives: dict[str, list[str]] = {name: [] for name in sizes}
    for source, target in edges:
        takes[target].append(source)
        gives[source].append(target)
    ranks: dict[str, int] = {}
    for name in sizes:
        ranks[name] = max((ranks[source] + 1 for source in takes[name]), default=0)
    for name in sizes:
        if not takes[name] and gives[name]:
            ranks[name] = min(ranks[target] for target in gives[name]) - 1
    return ranks


def _columns(
    rows: list[list[Slot]],
    above: Mapping[Slot, list[Slot]],
    below: Mapping[Slot, list[Slot]],
    wide: Mapping[Slot, float],
    across: float,
) -> dict[Slot, float]:
    """Where along its row each slot lies: near the mean of its neighbors, none over another."""
    x: dict[Slot, float] = {}
    for row in rows:
        _spread(row, dict.fromkeys(row, 0.0), wide, across, x)
    for sweep in range(2 * _SWEEPS):
        down = sweep % 2 == 0
        neighbors = above if down else below
        for row in rows if down else reversed(rows):
            wished = {slot: _mean([x[n] for n in neighbors.get(slot, [])], x[slot]) for slot in row}
            if sweep < _SWEEPS:  # later, the order stands, and slots only move
                row.sort(key=wished.__getitem__)
            _spread(row, wished, wide, across, x)
    return x


def _mean(numbers: list[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _spread(
    row: list[Slot], wished: Mapping[Slot, float], wide: Mapping[Slot, float], across: float, x: dict[Slot, float]
) -> None:
    """Put the slots of a row where they wish to be, as far as they leave room for each other: halfway between the places that they
    have when they are pushed to the right and to the left."""
    gaps = [0.0, *((wide[a] + wide[b]) / 2 + across for a, b in pairwise(row))]
    right: list[float] = []
    for slot, gap in zip(row, gaps, strict=True):
        right.append(max(wished[slot], right[-1] + gap) if right else wished[slot])
    left: list[float] = []
    for slot, gap in zip(reversed(row), [0.0, *reversed(gaps[1:])], strict=True):
        left.append(min(wished[slot], left[-1] - gap) if left else wished[slot])
    for slot, a, b in zip(row, right, reversed(left), strict=True):
        x[slot] = (a + b) / 2
