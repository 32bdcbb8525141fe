"""Graph to graph: the same meaning with less to do."""

from nacre.passes.simplify import simplify

__all__ = ["simplify"]
