"""A program as data: values made by operations, and the graph they form."""

from nacre.ir.graph import Graph, Input, Operation, Value, install_evaluation, install_operator, order
from nacre.ir.memory import NARROW, PANEL, Memory, Turns, footprint, is_matrix, is_narrow, panels
from nacre.ir.text import parse, to_text
from nacre.ir.types import DTYPES, FLOATS, TensorType
from nacre.ir.verify import verify

__all__ = [
    "DTYPES",
    "FLOATS",
    "NARROW",
    "PANEL",
    "Graph",
    "Input",
    "Memory",
    "Operation",
    "TensorType",
    "Turns",
    "Value",
    "footprint",
    "install_evaluation",
    "install_operator",
    "is_matrix",
    "is_narrow",
    "order",
    "panels",
    "parse",
    "to_text",
    "verify",
]
