"""A graph as text, and back. One line a node; what is printed is what runs.

::

    graph(%x: float32[2,3], %"dense/kernel": float32[3,4]) {
      %0 = matmul(%x, %"dense/kernel") {"transpose_a": false, "transpose_b": false} : float32[2,4]
      %1 = tanh(%0) : float32[2,4]
      return y=%1
    }
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nacre.errors import GraphError
from nacre.ir.graph import Graph, Input, Operation, Value
from nacre.ir.types import DTYPES, TensorType

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_NAME = r'(?:[A-Za-z0-9_]+|"(?:[^"\\]|\\.)*")'
_TYPE = rf"(?:{'|'.join(DTYPES)})\[[0-9,]*\]"
_NODE = re.compile(rf"\s*%(\d+) = ([a-z_0-9]+)\(((?:%{_NAME}(?:, )?)*)\)(?: (\{{.*\}}))? : ({_TYPE})\Z")


def to_text(graph: Graph) -> str:
    """The graph, printed."""
    names = {id(i): f"%{_quote(i.name)}" for i in graph.inputs}
    head = ", ".join(f"{names[id(i)]}: {i.type}" for i in graph.inputs)
    lines = [f"graph({head}) {{"]
    for number, node in enumerate(graph.nodes):
        assert node.operation is not None
        names[id(node)] = f"%{number}"
        operands = ", ".join(names[id(o)] for o in node.operands)
        attrs = f" {json.dumps(dict(node.attrs), default=_numbers)}" if node.attrs else ""
        lines.append(f"  %{number} = {node.operation.name}({operands}){attrs} : {node.type}")
    lines.append("  return " + ", ".join(f"{_quote(k)}={names[id(v)]}" for k, v in graph.outputs.items()))
    return "\n".join([*lines, "}"])


def parse(text: str, operations: Mapping[str, Operation]) -> Graph:
    """The graph that `to_text` printed. ``operations`` are the known primitives by name; every type is checked."""
    lines = text.strip().splitlines()
    if len(lines) < 3 or not lines[0].startswith("graph(") or not lines[0].endswith(") {") or lines[-1] != "}":
        raise GraphError("This text is no graph.", {"expected": "graph(...) { ... return ... }"})
    values: dict[str, Value] = {}
    inputs: list[Input] = []
    for name, type_ in re.findall(rf"%({_NAME}): ({_TYPE})", lines[0]):
        inputs.append(Input(_unquote(name), _parse_type(type_)))
        values[name] = inputs[-1]
    for number, line in enumerate(lines[1:-2], start=2):
        match = _NODE.match(line)
        if match is None or match[2] not in operations:
            what = f"there is no primitive {match[2]!r}" if match else "it is no node"
            raise GraphError(f"Line {number} of the graph cannot be read: {what}.", {"line": line.strip()})
        operands = tuple(_lookup(values, name, number) for name in re.findall(rf"%({_NAME})", match[3]))
        attrs = _freeze(json.loads(match[4])) if match[4] else {}
        operation = operations[match[2]]
        values[match[1]] = Value(operation, operands, attrs, operation.infer(*(o.type for o in operands), **attrs))
        if values[match[1]].type != _parse_type(match[5]):
            raise GraphError(
                f"Line {number} of the graph states a wrong type.",
                {"stated": match[5], "inferred": values[match[1]].type},
            )
    outputs = {
        _unquote(key): _lookup(values, name, len(lines) - 1)
        for key, name in re.findall(rf"({_NAME})=%({_NAME})", lines[-2])
    }
    return Graph(inputs, outputs)


def _lookup(values: Mapping[str, Value], name: str, line: int) -> Value:
    if name not in values:
        raise GraphError(f"Line {line} of the graph uses %{name} before it is made.")
    return values[name]


def _quote(name: str) -> str:
    return name if _PLAIN.match(name) else json.dumps(name)


def _unquote(name: str) -> str:
    return json.loads(name) if name.startswith('"') else name


def _parse_type(text: str) -> TensorType:
    dtype, _, sizes = text[:-1].partition("[")
    return TensorType(tuple(int(n) for n in sizes.split(",") if n), dtype)


def _numbers(array: Any) -> list[Any]:
    numbers: list[Any] = array.tolist()
    return numbers


def _freeze(attrs: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in attrs.items()}
