"""A graph as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from nacre.diagrams.nodes import PARTS, Content, Node, Range

_HEADS = {
    "forward": "forward",
    "loss": "loss, where both graphs meet",
    "metrics": "metrics",
    "backward": "backward, each node with the forward node that it belongs to",
    "update": "update",
}


def text(content: Content) -> str:
    """A line for each node, part by part in the order in which they run; of a plan, as its kernels follow each other."""
    if content.kind == "plan":
        head = ["kernel", "part", "flops", "bytes", "us", "reads -> makes"]
        lines = _table([head, *map(_kernel, content.nodes)])
        return "\n".join([content.title, "", *lines, "", _sums(content, "kernels")])
    single = content.kind == "operations"
    nodes = sorted(content.nodes, key=lambda node: PARTS.index(node.part))
    head = ["", "", "shape", "least .. mean .. most" if any(node.range for node in nodes) else "", "flops", ""]
    lines = _table([head, *(_line(node, single) for node in nodes)])
    shown, part = [content.title, lines[0]], ""
    for node, line in zip(nodes, lines[1:], strict=True):
        if node.part != part:
            part = node.part
            shown += ["", _HEADS[part]]
        shown.append(line)
        shown += [
            f"      {weight.symbol} = {weight.name} {size(weight.shape)}"
            for weight in node.weights
            if part == "forward"
        ]
    shown += ["", _sums(content, "nodes")]
    if content.idle:
        shown.append(
            f"no operation of their own: {', '.join(content.idle)}"
            " (it does nothing here, or is part of another, as a softmax is of its crossentropy)"
        )
    return "\n".join(shown)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with cells one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    used = [n for n, width in enumerate(widths) if width]
    return ["  " + "   ".join(row[n].ljust(widths[n]) for n in used).rstrip() for row in rows]


def _line(node: Node, single: bool) -> list[str]:
    several = node.part == "update" and not single  # new weights, each with a shape and a range
    shape, numbers = ("", "") if several else (size(node.shape), "" if node.range is None else spread(node.range))
    mark = (
        "parameter" if node.parameter and node.count == 0 else f"of {node.partner}" if node.partner and single else ""
    )
    formula = "" if node.formula == node.name else node.formula
    return [node.name, formula, shape, numbers, short(node.flops) if node.flops else "", mark]


def _kernel(node: Node) -> list[str]:
    took = "" if node.seconds is None else f"{node.seconds * 1e6:.1f}"
    return [node.name, node.part, short(node.flops), short(node.bytes), took, node.formula]


def _sums(content: Content, things: str) -> str:
    sums = ", ".join(f"{part} {short(count)}" for part, count in content.sums().items())
    return f"{sum(node.count > 0 for node in content.nodes)} {things}; flops: {sums}"


def size(shape: Sequence[int]) -> str:
    """A shape for people.

    >>> size((32, 784)), size(())
    ('(32, 784)', '()')
    """
    return f"({', '.join(map(str, shape))})"


def spread(found: Range) -> str:
    """The least number, the mean and the largest.

    >>> spread(Range(-1.0, 0.12345, 20000.0))
    '-1 .. 0.123 .. 2e+04'
    """
    return " .. ".join(f"{number:.3g}" for number in found)


def short(number: int) -> str:
    """A number with a metric prefix.

    >>> short(950), short(12_345), short(3_000_000)
    ('950', '12.3k', '3.0M')
    """
    for size_, prefix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size_:
            return f"{number / size_:.1f}{prefix}"
    return str(number)
