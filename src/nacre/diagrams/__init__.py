"""Graphs to look at: what runs forward and backward, layer by layer, operation by operation, or kernel by kernel."""

from nacre.diagrams.diagram import FORMS, Diagram, form_of
from nacre.diagrams.draw import draw, rows_like
from nacre.diagrams.nodes import Box, Edge, Node, Range, Weight
from nacre.diagrams.text import short

__all__ = ["FORMS", "Box", "Diagram", "Edge", "Node", "Range", "Weight", "draw", "form_of", "rows_like", "short"]
