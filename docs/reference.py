"""The reference, made from the docstrings and from the help of the commands."""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import click
from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

from nacre.cli import main
from nacre.data.catalog import Catalogued
from nacre.ops import Primitive

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# The rooms that a page of the reference shows, each with all its names.
ROOMS = [
    "models layers activations initializers regularizers constraints losses metrics optimizers optimizers.schedules callbacks",
    "datasets ops calculus tuning capacity compression config utils training.run training.devices distributed",
    "explain insight doctor labs plots exchange sklearn errors",
]
ROOMS = [f"nacre.{room}" for room in " ".join(ROOMS).split()]


def public(room: str) -> list[str]:
    """The names of ``room`` that its users may rely on."""
    module = importlib.import_module(room)
    listed: list[str] | None = getattr(module, "__all__", None)
    if listed is not None:
        return [name for name in listed if not inspect.ismodule(getattr(module, name))]
    here = {name: thing for name, thing in vars(module).items() if inspect.getmodule(thing) is module}
    return [n for n, v in here.items() if n[0] != "_" and (inspect.isroutine(v) or isinstance(v, type))]


def names(room: str) -> str:
    """A table of the names of ``room``, then each with its docstring, for a page in Markdown."""
    module = importlib.import_module(room)
    rows, parts = [], [f".. automodule:: {room}\n"]
    first: dict[int, str] = {}
    for name in sorted(public(room), key=lambda n: (n[0].islower(), n.lower())):
        thing = getattr(module, name)
        known = first.setdefault(id(thing), name)
        about = f"The same as `{room}.{known}`." if known != name else _first(thing)
        about = about.replace("|", "\\|")
        rows.append(f"| {{py:obj}}`{name} <{room}.{name}>` | {about} |")
        parts.append(_entry(room, name, thing, known))
    reference = "\n".join(parts)
    return "\n".join(["", "| name | |", "|---|---|", *rows, "", "```{eval-rst}", reference, "```", ""])


def _first(thing: Any) -> str:
    """What the table says of it: the first sentence of its docstring, in one line."""
    if isinstance(thing, Catalogued):
        return f"{thing.description}."
    if not (inspect.isroutine(thing) or isinstance(thing, type | Primitive)):
        return _value(thing).replace("``", "`")
    paragraph = " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s+(?=[A-Z])", paragraph)[0]


def _value(thing: object) -> str:
    return f"``{thing!r}``" if len(repr(thing)) < 60 else f"Of type ``{type(thing).__name__}``."


def _entry(room: str, name: str, thing: Any, known: str) -> str:
    """What the reference has of it, in the markup of docstrings."""
    if known != name:
        return f".. py:data:: {name}\n\n   The same as :py:obj:`{known} <{room}.{known}>`.\n"
    if isinstance(thing, type):
        return f".. autoclass:: {room}.{name}\n   :members:\n"
    if inspect.isroutine(thing):
        return f".. autofunction:: {room}.{name}\n"
    if isinstance(thing, Primitive):
        about, head = thing.__doc__, f"function:: {name}({', '.join(thing.operand_names)})"
    elif isinstance(thing, Catalogued):
        about, head = f"{thing.description}.\n\n{type(thing).__doc__}", f"function:: {name}()"
    else:
        about, head = _value(thing), f"data:: {name}"
    lines = inspect.cleandoc(about or "").splitlines()
    _translate(lines, room)
    return f".. py:{head}\n\n" + "\n".join(f"   {line}" for line in lines) + "\n"


def commands() -> str:
    """All commands, with their help, for a page in Markdown."""
    parts = []

    def add(command: click.Command, name: str, parent: click.Context | None) -> None:
        context = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
        parts.append(f"\n## `{context.command_path}`\n\n````text\n{command.get_help(context)}\n````\n")
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                found = command.get_command(context, below)
                if found is not None:
                    add(found, below, context)

    add(main, "nacre", None)
    return "".join(parts)


@cache
def homes() -> dict[str, str]:
    """Where the reference shows what is also known by another name: `nacre.Model` in `nacre.models.Model`."""
    import nacre  # noqa: PLC0415 - the shop window knows all rooms, and is opened only when a site is made

    known: dict[int, str] = {}
    for room in ROOMS:
        for name in public(room):
            known.setdefault(id(getattr(importlib.import_module(room), name)), f"{room}.{name}")
    found = {}
    for name in nacre.__all__:
        if inspect.ismodule(getattr(nacre, name)):
            continue
        found[f"nacre.{name}"] = known.get(id(getattr(nacre, name)), f"nacre.{name}")
    for room in ROOMS:
        for name in public(room):
            thing: Any = getattr(importlib.import_module(room), name)
            inner = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
            found.setdefault(inner, known[id(thing)])
    return found


def _found(app: Sphinx, env: BuildEnvironment, node: pending_xref, inner: nodes.TextElement) -> nodes.reference | None:
    """A name that the reference shows under another one, or a part of it: `nacre.Model.fit`."""
    target = str(node.get("reftarget", ""))
    head, tail = target, ""
    while head and head not in homes():
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    home = homes().get(head, "") + tail
    if not head or home == target:
        return None
    python = env.get_domain("py")
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, inner)


def _plain(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:  # noqa: ARG001
    _translate(lines, ".".join(name.split(".")[:2]))


def _translate(lines: list[str], room: str) -> None:
    """Docstrings are plain text with `names`, examples and literal blocks: names become links where the reference has them."""
    example, literal = (
        False,
        -1,
    )  # an example ends with a blank line, a literal block with a line as far left as its head
    for number, line in enumerate(lines):
        depth = len(line) - len(line.lstrip())
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if line.strip() and depth <= literal:
            literal = -1
        if not example and literal < 0:
            pieces = re.split(r"(`+[^`]+`+)", line)
            lines[number] = "".join(_role(p.strip("`"), room) if p.startswith("`") else _escaped(p) for p in pieces)
        if line.rstrip().endswith("::"):
            literal = depth


def _escaped(text: str) -> str:
    bullet = re.match(r"\s*\* ", text)
    head = bullet[0] if bullet else ""
    return head + re.sub(r"([*|\\])", r"\\\1", text[len(head) :])


def _role(text: str, room: str) -> str:
    for full in (text, f"{room}.{text}", f"nacre.{text}", f"nacre.errors.{text}"):
        head, _, method = full.rpartition(".")
        owner = _shown().get(head) or _shown().get(homes().get(head, ""))
        method_of = owner is not None and inspect.isfunction(getattr(owner, method, None))
        if full in _shown() or full in homes() or text in ROOMS or method_of:
            return f":py:obj:`{text} <{full}>`"
    return f"``{text}``"


@cache
def _shown() -> dict[str, Any]:
    return {f"{room}.{name}": getattr(importlib.import_module(room), name) for room in ROOMS for name in public(room)}


def _mathml(translator: Any, node: nodes.math) -> None:
    try:
        translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    except MathError as error:  # raised in a process that writes side by side with others, it would go unseen
        logging.getLogger(__name__).warning("%s", error, location=node)
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """As an extension of Sphinx: names are found, and formulas are written as MathML, which needs no script."""
    app.connect("missing-reference", _found)
    app.connect("autodoc-process-docstring", _plain)
    app.add_html_math_renderer("mathml", (_mathml, None), (_mathml, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
