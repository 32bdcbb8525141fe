"""The graph of a model as text, SVG, HTML and JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nacre.diagrams import svg, text
from nacre.diagrams.nodes import Content
from nacre.errors import UsageError, did_you_mean
from nacre.files import write_whole
from nacre.plain import plain


class Diagram(Content):
    """The graph of a model, drawn. Printed, it is text; notebooks show the picture.

    ``model`` is its name; ``kind`` is "layers", "operations" or "plan", ``step`` "training" or "prediction", and ``rows`` are those
    of the batch. ``nodes`` are in the order in which they run, each a `Node`, and ``edges`` between their names. ``boxes`` are what
    nodes are drawn together in, and ``idle`` names layers that have no operation in the graph.
    """

    def __str__(self) -> str:
        return text.text(self)

    def svg(self) -> str:
        """A picture that needs nothing else, light or dark as the reader's screen is."""
        return svg.svg(self)

    def html(self) -> str:
        """A page with the picture, where a node that is pointed at shows its partner and neighbors."""
        return svg.html(self)

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto">{self.svg()}</div>'

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it: numbers that are not finite become text."""
        nodes = [asdict(node) for node in self.nodes]
        for node in nodes:
            if node["range"] is not None:
                node["range"] = {name: plain(number) for name, number in node["range"]._asdict().items()}
            node["weights"] = [weight._asdict() for weight in node["weights"]]
        head = {"model": self.model, "kind": self.kind, "step": self.step, "rows": self.rows, "idle": list(self.idle)}
        return {**head, "nodes": nodes, "edges": [edge._asdict() for edge in self.edges]}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all: .svg, .html or .txt. Raises `UsageError` for any other suffix."""
        write_whole(path, [form_of(path)(self).encode()])


FORMS: dict[str, Callable[[Diagram], str]] = {".svg": Diagram.svg, ".html": Diagram.html, ".txt": Diagram.__str__}


def form_of(path: str | os.PathLike[str]) -> Callable[[Diagram], str]:
    """How a diagram is written to a file of that name. Raises `UsageError` for a suffix that is none of `FORMS`."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMS:
        raise UsageError(f"Cannot write {path}: unknown format {suffix!r}.", hint=did_you_mean(suffix, FORMS))
    return FORMS[suffix]
