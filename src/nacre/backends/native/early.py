"""When weights are updated: where the caches do not hold them, as early as they can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from nacre.backends.native import fusion
from nacre.ir import Graph, Value

_CACHED = 1 << 20  # bytes of weights that stay in the second caches


def with_early_updates(
    nodes: list[Value],
    updates: Mapping[str, Value],
    last: Sequence[Value],
    graph: Graph,
    readers: Mapping[int, Sequence[Value]],
    inlined: Collection[int],
) -> list[Value]:
    """``nodes`` in another order: those that lead to the new values of one weight and its slots alone come as early as they can.
    What they read is still in the caches then, and the memory of a gradient that only they read is free for the next one. But not
    before all that comes before them in ``nodes`` has read the old values, which would have to be copied.

    ``updates`` are new values by the names of states, ``last`` is handed out besides; ``readers`` and ``inlined`` go by ids.
    """
    if sum(old.type.nbytes for old in graph.inputs if old.name in updates) < _CACHED:
        return nodes
    inside = {id(v) for v in nodes if v.operation is not None}
    weights = {name: next(w for w in _folders(name) if w in updates) for name in updates}
    goals = {id(v): weights[name] for name, v in updates.items() if id(v) in inside}
    known = {id(v) for v in last}
    places: dict[int, int] = {}  # where a node runs: with its last reader, if it is inlined
    leads_to: dict[int, str | None] = {}  # the weight that a node is for; None if there are several, or none
    for number, node in reversed(list(enumerate(nodes))):
        mine = [id(r) for r in readers.get(id(node), ()) if id(r) in inside]
        places[id(node)] = max(places[r] for r in mine) if id(node) in inlined and mine else number
        found = {leads_to[r] for r in mine} | ({goals[id(node)]} if id(node) in goals else set())
        leads_to[id(node)] = found.pop() if len(found) == 1 and id(node) not in known else None
    ready = dict.fromkeys(goals.values(), -1)
    for node in nodes:
        if fusion.is_view(node) and all(id(o) not in inside or places[id(o)] < 0 for o in node.operands):
            places[id(node)] = -1  # whoever comes first asks for it
        if (goal := leads_to[id(node)]) is not None:
            foreign = [places[id(o)] for o in node.operands if id(o) in inside and leads_to[id(o)] is None]
            ready[goal] = max([ready[goal], *foreign])
    begins = dict.fromkeys(ready, len(nodes))
    for new, goal in goals.items():
        begins[goal] = min(begins[goal], places[new])
    for name, goal in weights.items():
        if goal not in ready:
            continue
        of_old = [id(r) for r in readers.get(id(graph.input(name)), ()) if id(r) in inside]
        foreign = [r for r in of_old if leads_to[r] != goal and places[r] < begins[goal]]
        late = [begins[goal]] if any(leads_to[r] is not None for r in foreign) else []
        ready[goal] = max([ready[goal], *late, *(places[r] for r in foreign)])

    def when(node: Value) -> tuple[int, bool]:
        goal = leads_to[id(node)]
        return (places[id(node)], False) if goal is None else (ready[goal], True)

    return sorted(nodes, key=when)


def _folders(name: str) -> list[str]:
    """The names in which a name is, as a slot is in that of its weight, shortest first, and the name."""
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
