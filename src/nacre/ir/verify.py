"""The rules of a graph, checked: after a pass, after parsing, in tests."""

from __future__ import annotations

from nacre.errors import GraphError
from nacre.ir.graph import Graph


def verify(graph: Graph) -> Graph:
    """The same graph, if every node comes after its operands and carries the type its operation infers; else `GraphError`."""
    seen = {id(i) for i in graph.inputs}
    for number, node in enumerate(graph.nodes):
        assert node.operation is not None
        if any(id(o) not in seen for o in node.operands):
            raise GraphError(f"Node %{number} ({node.operation.name}) uses a value that is made later.")
        inferred = node.operation.infer(*(o.type for o in node.operands), **node.attrs)
        if inferred != node.type:
            raise GraphError(
                f"Node %{number} ({node.operation.name}) carries a wrong type.",
                {"carried": node.type, "inferred": inferred},
            )
        seen.add(id(node))
    for name, value in graph.outputs.items():
        if id(value) not in seen:
            raise GraphError(f"Output {name!r} is never computed.")
    return graph
