"""A graph as a picture: forward from top to bottom, backward beside it from bottom to top, and what is updated beside that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from nacre.diagrams.layout import Placed, Point, layered
from nacre.diagrams.nodes import Content, Node
from nacre.diagrams.text import short, size, spread

_LETTER, _LINE, _PAD = 6.7, 15, 9  # of the font, in pixels
_READABLE = 0.65  # of its size, to which a picture may be made smaller
_LONGEST = 52  # letters of a line
_HEAD, _MARGIN, _APART = 22, 24, 90
_IN, _OUT = "\0in", "\0out"  # no name ends so
_PANELS = {"forward": 0, "loss": 0, "metrics": 0, "backward": 1, "update": 2}
_TITLES = ("forward", "backward", "update")

_STYLE = """
.nacre-graph { --page: #fff; --text: #1c2430; --soft: #69737f; --forward: #2f6fb5; --loss: #b8323f; --metrics: #757d88;
 --backward: #b96a13; --update: #2d8650; font: 11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media (prefers-color-scheme: dark) { .nacre-graph { --page: #14181e; --text: #e4e8ee; --soft: #949ea9; --forward: #6ba6e6;
 --loss: #ee7480; --metrics: #9aa3ad; --backward: #e8a04e; --update: #62c489; } }
.nacre-graph .page { fill: var(--page); }
.nacre-graph text { fill: var(--text); }
.nacre-graph .soft, .nacre-graph .box text { fill: var(--soft); }
.nacre-graph .title { font-weight: bold; }
.nacre-graph .large { font-size: 14px; font-weight: bold; }
.nacre-graph .forward { --own: var(--forward); }
.nacre-graph .loss { --own: var(--loss); }
.nacre-graph .metrics { --own: var(--metrics); }
.nacre-graph .backward { --own: var(--backward); }
.nacre-graph .update { --own: var(--update); }
.nacre-graph .node rect { fill: var(--own); fill-opacity: 0.09; stroke: var(--own); stroke-width: 1.2; }
.nacre-graph .node .under { fill: var(--page); fill-opacity: 1; stroke: none; }
.nacre-graph .parameter .shape { stroke-width: 2.8; fill-opacity: 0.2; }
.nacre-graph .box rect { fill: var(--own); fill-opacity: 0.03; stroke: var(--own); stroke-opacity: 0.45; }
.nacre-graph .edge { fill: none; stroke: var(--own); stroke-width: 1.3; stroke-opacity: 0.85; }
.nacre-graph .across { stroke-width: 1; stroke-opacity: 0.22; }
.nacre-graph .link { fill: none; stroke: var(--soft); stroke-dasharray: 4 4; stroke-opacity: 0.7; }
.nacre-graph .faint { stroke-opacity: 0.18; }
.nacre-graph .head { fill: var(--own); }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; background: light-dark(#fff, #14181e); }}
main {{ overflow: auto; height: 100vh; }}
svg.nacre-graph {{ display: block; width: clamp({least}px, 100%, {width}px); height: auto; }}
@media print {{ main {{ height: auto; overflow: visible; }} svg.nacre-graph {{ width: min(100%, {width}px); }} }}
svg.pointed .node, svg.pointed .edge, svg.pointed .link {{ opacity: 0.2; }}
svg.pointed .node.near {{ opacity: 1; }}
svg.pointed .edge.near, svg.pointed .link.near {{ opacity: 1; stroke-opacity: 1; stroke-width: 2; }}
svg.pointed .node.partner .shape, svg.pointed .node.pointed .shape {{ stroke-width: 3; }}
</style></head><body>
<main>
{svg}
</main>
<script>
const graph = document.querySelector("svg.nacre-graph"), nodes = [...graph.querySelectorAll(".node")];
const lines = [...graph.querySelectorAll("[data-from]")];
function clear() {{
  graph.classList.remove("pointed");
  for (const one of [...nodes, ...lines]) one.classList.remove("near", "partner", "pointed");
}}
function point(node) {{
  clear();
  graph.classList.add("pointed");
  node.classList.add("near", "pointed");
  for (const line of lines) {{
    const ends = [line.dataset.from, line.dataset.to];
    if (!ends.includes(node.id)) continue;
    line.classList.add("near");
    const other = document.getElementById(ends[ends[0] === node.id ? 1 : 0]);
    other.classList.add("near");
    if (line.classList.contains("link")) other.classList.add("partner");
  }}
}}
for (const node of nodes) {{
  node.addEventListener("mouseenter", () => point(node));
  node.addEventListener("mouseleave", clear);
  node.addEventListener("focus", () => point(node));
  node.addEventListener("blur", clear);
}}
</script></body></html>
"""


def html(content: Content) -> str:
    """A page with the picture, as wide as the window, as long as its text can be read; else the window moves over it."""
    picture = _Picture(content)
    width = round(picture.width)
    least = round(_READABLE * width)
    return _PAGE.format(title=escape(content.title), svg=picture.text(), width=width, least=least)


def svg(content: Content) -> str:
    """The picture."""
    return _Picture(content).text()


@dataclass
class _Box:
    """Nodes that are drawn together, with the place of each from the upper left corner of the box."""

    key: str
    title: str
    part: str
    cell: str
    nodes: list[Node]
    placed: Placed
    width: float
    height: float
    left: float = 0.0
    top: float = 0.0


@dataclass
class _Cell:
    """What lies beside each other: a forward box, and those of the backward graph and of the update that belong to it."""

    panels: tuple[list[_Box], list[_Box], list[_Box]] = field(default_factory=lambda: ([], [], []))

    def size(self, panel: int) -> Point:
        """Width in a panel, and height in all of them."""
        height = max(sum(box.height + _PAD for box in boxes) - _PAD for boxes in self.panels if boxes)
        return max((box.width for box in self.panels[panel]), default=0.0), height


class _Picture:
    def __init__(self, content: Content) -> None:
        self.content = content
        self.framed = content.kind == "operations"
        self._named = {node.name: node for node in content.nodes}
        self.lines = {node.name: _lines(node, content.kind) for node in content.nodes}
        self.ids = {node.name: f"n{number}" for number, node in enumerate(content.nodes)}
        self.in_box = {node.name: node.box for node in content.nodes}
        self.boxes = {box.key: box for box in self._boxes()}
        self.cells = {box.cell: _Cell() for box in self.boxes.values() if box.cell == box.key}
        for box in self.boxes.values():
            self.cells[box.cell].panels[self._panel(box.part)].append(box)
        self.panels: list[Placed] = []
        self.lefts: list[float] = []
        self._place()
        self.at = {node.name: self._inside(node.box, node.name) for node in content.nodes}
        # What is given to the update, such as the learning rate, is read all over.
        self.far = {node.name for node in content.nodes if node.part == "update" and node.operation == "input"}

    def _panel(self, part: str) -> int:
        return 0 if self.content.kind == "plan" else _PANELS[part]

    def _boxes(self) -> list[_Box]:
        found = []
        inside: dict[str, list[Node]] = {key: [] for key in self.content.boxes}
        for node in self.content.nodes:
            inside[node.box].append(node)
        inside = {key: nodes for key, nodes in inside.items() if nodes}
        edges: dict[str, list[tuple[str, str]]] = {key: [] for key in inside}
        ports: dict[str, dict[str, Point]] = {key: {} for key in inside}  # through which edges come in and go out
        for source, target in self.content.edges:
            a, b = self.in_box[source], self.in_box[target]
            if a == b:
                edges[a].append((source, target))
            elif self.framed and self._panel(self.content.boxes[a].part) == self._panel(self.content.boxes[b].part):
                ports[a][source + _OUT] = ports[b][target + _IN] = (0.0, 0.0)
                edges[a].append((source, source + _OUT))
                edges[b].append((target + _IN, target))
        forward = [key for key in inside if self._panel(self.content.boxes[key].part) == 0]
        for key, nodes in inside.items():
            part, title, partner = self.content.boxes[key]
            ins, outs = ({k: v for k, v in ports[key].items() if k.endswith(end)} for end in (_IN, _OUT))
            placed = layered(ins | {n.name: self._size(n) for n in nodes} | outs, edges[key], 16, 20, ins, outs)
            more, above = (2 * _PAD, _HEAD) if self.framed else (0, 0)
            width = max(placed.width, _LETTER * len(_cut(title)) if self.framed else 0) + more
            cell = partner if partner in forward else forward[-1]  # beside the loss
            found.append(_Box(key, title, part, cell, nodes, placed, width, placed.height + more + above))
        return found

    def _size(self, node: Node) -> Point:
        lines = self.lines[node.name]
        return max(map(len, lines)) * _LETTER + 2 * _PAD, len(lines) * _LINE + _PAD

    def _place(self) -> None:
        """The cells, in the same rows in each panel; then the boxes in them."""
        edges = []
        for source, target in self.content.edges:
            a, b = self.boxes[self.in_box[source]], self.boxes[self.in_box[target]]
            panels = self._panel(a.part), self._panel(b.part)
            if a.cell != b.cell and panels in ((0, 0), (1, 1)):  # the backward graph goes up
                edges.append((a.cell, b.cell) if panels[0] == 0 else (b.cell, a.cell))
        used = [panel for panel in range(3) if any(cell.panels[panel] for cell in self.cells.values())]
        left = float(_MARGIN)
        for panel in range(3):
            placed = layered({key: cell.size(panel) for key, cell in self.cells.items()}, edges, 28, 46)
            self.panels.append(placed)
            self.lefts.append(left)
            left += placed.width + _APART if panel in used else 0
            for key, cell in self.cells.items():
                x, y = placed.centers[key]
                boxes = cell.panels[panel]
                top = y - sum(box.height + _PAD for box in boxes) / 2 + _PAD / 2
                for box in boxes:
                    box.left, box.top = self.lefts[panel] + x - box.width / 2, _top(self.content) + top
                    top += box.height + _PAD
        self.used = used
        self.width = max(left - _APART + _MARGIN, _LETTER * 1.35 * len(self.content.title) + 2 * _MARGIN)
        self.height = _top(self.content) + self.panels[0].height + _MARGIN

    def _inside(self, key: str, name: str) -> Point:
        """Where the center of something in a box is."""
        return self._moved(self.boxes[key], self.boxes[key].placed.centers[name])

    def _bends(self, key: str, source: str, target: str) -> list[Point]:
        """The points through which an edge in a box goes."""
        return [self._moved(self.boxes[key], point) for point in self.boxes[key].placed.bends.get((source, target), [])]

    def _moved(self, box: _Box, point: Point) -> Point:
        """A point of a box in the picture."""
        x, y = point
        y = box.placed.height - y if self._panel(box.part) == 1 else y
        edge = (box.width - box.placed.width) / 2
        return box.left + edge + x, box.top + (_HEAD + _PAD if self.framed else 0) + y

    # -------------------------------------------------------------- drawing

    def text(self) -> str:
        """The whole picture."""
        title = escape(self.content.title)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="nacre-graph" width="{self.width:.0f}" height="{self.height:.0f}" '
            f'viewBox="0 0 {self.width:.0f} {self.height:.0f}" role="img" aria-label="{title}">',
            f"<title>{title}</title><style>{_STYLE}</style><defs>",
            *(
                f'<marker id="arrow-{part}" class="{part}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
                f'orient="auto"><path class="head" d="M0 0.5 L8 4 L0 7.5 z"/></marker>'
                for part in _PANELS
            ),
            f'</defs><rect class="page" width="100%" height="100%"/><text class="large" x="{_MARGIN}" y="28">{title}</text>',
        ]
        if self.content.kind != "plan":
            for panel in self.used:
                head = _TITLES[panel]
                parts.append(f'<text class="soft" x="{self.lefts[panel]:.1f}" y="50">{head}</text>')
        parts += [self._frame(box) for box in self.boxes.values() if self.framed]
        parts += [self._edge(source, target) for source, target in self.content.edges]
        parts += [self._link(node) for node in self.content.nodes if node.partner is not None]
        parts += [self._node(node) for node in self.content.nodes]
        return "\n".join([*parts, "</svg>"])

    def _frame(self, box: _Box) -> str:
        place = f'x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="8"'
        title = f'<text x="{box.left + _PAD:.1f}" y="{box.top + 16:.1f}">{escape(_cut(box.title))}</text>'
        return f'<g class="box {box.part}"><rect {place}/>{title}</g>'

    def _node(self, node: Node) -> str:
        (x, y), (width, height) = self.at[node.name], self._size(node)
        place = f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:.1f}"'
        place += f' rx="{14 if node.count == 0 else 4}"'
        rows = []
        for number, line in enumerate(self.lines[node.name]):
            style = "title" if number == 0 else "line"
            middle = y - height / 2 + _PAD / 2 + _LINE * number + 11
            rows.append(
                f'<text class="{style}" x="{x:.1f}" y="{middle:.1f}" text-anchor="middle">{escape(line)}</text>'
            )
        sort = f"node {node.part}{' parameter' if node.parameter else ''}"
        return (
            f'<g class="{sort}" id="{self.ids[node.name]}" tabindex="0"><title>{escape(_told(node))}</title>'
            f'<rect class="under" {place}/><rect class="shape" {place}/>{"".join(rows)}</g>'
        )

    def _ends(self, source: str, target: str) -> str:
        return f'data-from="{self.ids[source]}" data-to="{self.ids[target]}"'

    def _edge(self, source: str, target: str) -> str:
        a, b = self._named[source], self._named[target]
        panels = self._panel(a.part), self._panel(b.part)
        (ax, ay), (bx, by) = self.at[source], self.at[target]
        (_, ah), (_, bh) = self._size(a), self._size(b)
        ends = f'{self._ends(source, target)} marker-end="url(#arrow-{a.part})"'
        if panels[0] != panels[1] or source in self.far:
            return f'<path class="edge across {a.part}" d="{self._beside(a, b, 0.3)}" {ends}/>'
        sign = -1 if panels[0] == 1 else 1  # the backward graph goes up
        if a.box == b.box:
            between = self._bends(a.box, source, target)
        else:
            between = self._between(a.box, b.box, panels[0])
            if self.framed:
                out, into = source + _OUT, target + _IN
                between = [*self._bends(a.box, source, out), self._inside(a.box, out), *between]
                between += [self._inside(b.box, into), *self._bends(b.box, into, target)]
        points = [(ax, ay + sign * ah / 2), *between, (bx, by - sign * bh / 2)]
        return f'<path class="edge {a.part}" d="{_downward(points)}" {ends}/>'

    def _between(self, source: str, target: str, panel: int) -> list[Point]:
        """The points through which an edge from box to box goes; in the backward graph, those of the forward edge the other way."""
        a, b = self.boxes[source].cell, self.boxes[target].cell
        bends = self.panels[panel].bends
        found = bends.get((a, b), []) if panel != 1 else bends.get((b, a), [])[::-1]
        return [(self.lefts[panel] + x, _top(self.content) + y) for x, y in found]

    def _link(self, node: Node) -> str:
        assert node.partner is not None
        faint = " faint" if self.framed else ""
        path = self._beside(self._named[node.partner], node, 0.0)
        return f'<path class="link{faint}" d="{path}" {self._ends(node.partner, node.name)}/>'

    def _beside(self, a: Node, b: Node, lower: float) -> str:
        """A curve from panel to panel, from side to side, or over what is between them."""
        (ax, ay), (bx, by) = self.at[a.name], self.at[b.name]
        (aw, ah), (bw, bh) = self._size(a), self._size(b)
        level = not self.framed and abs(ay - by) < 1
        if level and any(abs(y - ay) < ah / 2 and ax < x < bx for x, y in self.at.values()):
            up = 26 - 30 * lower
            left, right = (ax + aw * lower, ay - ah / 2), (bx - bw * lower, by - bh / 2)
            return (
                f"M{left[0]:.1f} {left[1]:.1f} C{left[0] + 40:.1f} {left[1] - up:.1f} "
                f"{right[0] - 40:.1f} {right[1] - up:.1f} {right[0]:.1f} {right[1]:.1f}"
            )
        (ax, ay), (bx, by) = (ax + aw / 2, ay + ah * lower), (bx - bw / 2, by + bh * lower)
        middle = (ax + bx) / 2
        return f"M{ax:.1f} {ay:.1f} C{middle:.1f} {ay:.1f} {middle:.1f} {by:.1f} {bx:.1f} {by:.1f}"


def _top(content: Content) -> float:
    return 46.0 if content.kind == "plan" else 66.0


def _downward(points: Sequence[Point]) -> str:
    """A curve that leaves each point as it came, up or down."""
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (ax, ay), (bx, by) in pairwise(points):
        middle = (ay + by) / 2
        parts.append(f"C{ax:.1f} {middle:.1f} {bx:.1f} {middle:.1f} {bx:.1f} {by:.1f}")
    return " ".join(parts)


def _lines(node: Node, kind: str) -> list[str]:
    """What is written in a node."""
    if kind == "plan":
        took = "" if node.seconds is None else f", {node.seconds * 1e6:.1f} us"
        return [
            _cut(line)
            for line in (node.name, node.formula, f"{short(node.flops)} flops, {short(node.bytes)} bytes{took}")
        ]
    if kind == "operations":
        said = node.name.rpartition("/")[2] if node.count == 0 else node.operation
        lines = [node.formula if node.operation == "constant" else said, size(node.shape)]
        return [_cut(line) for line in [*lines, *([spread(node.range)] if node.range is not None else [])]]
    lines = [node.name if node.layer == "" or node.part == "forward" else node.name.partition(" of ")[2]]
    lines[0] += f" ({node.operation})" if node.layer and node.part == "forward" and node.name == node.layer else ""
    lines += [node.formula] if node.formula != node.name else []
    if node.part != "update":
        lines += [size(node.shape), *([spread(node.range)] if node.range is not None else [])]
    lines += [f"{weight.symbol} {size(weight.shape)}" for weight in node.weights]
    return [_cut(line) for line in lines]


def _told(node: Node) -> str:
    """Everything that is known of a node, for whoever points at it."""
    lines = [node.name, node.formula, f"shape {size(node.shape)}" if node.part != "update" or not node.weights else ""]
    lines += [f"least, mean, most: {spread(node.range)}"] if node.range is not None else []
    lines += [f"{weight.symbol} = {weight.name} {size(weight.shape)}" for weight in node.weights]
    lines += [f"belongs to {node.partner}"] if node.partner is not None else []
    if node.count:
        lines.append(f"{node.count} operations, " * (node.count > 1) + f"{node.flops:,} flops, {node.bytes:,} bytes")
    lines += [f"{node.seconds * 1e6:.1f} us"] if node.seconds is not None else []
    return "\n".join(line for line in dict.fromkeys(lines) if line)


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
