"""A function of x and y that somebody typed: read as a tree of a few known kinds of nodes, and computed by NumPy."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, UsageError

Array = npt.NDArray[Any]

_LONGEST = 300  # characters; so deep at most is the tree
_FUNCTIONS: dict[str, tuple[str, int]] = {
    **{
        name: (name, 1)
        for name in ("sin", "cos", "tan", "tanh", "exp", "log", "sqrt", "abs", "sign", "floor", "ceil", "round")
    },
    "min": ("minimum", 2),
    "max": ("maximum", 2),
    "hypot": ("hypot", 2),
    "atan2": ("arctan2", 2),
}
_NAMES = {"pi": float(np.pi), "e": float(np.e)}
_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_COMPARE: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LOGIC: dict[type[ast.AST], str] = {ast.And: "logical_and", ast.Or: "logical_or"}


@dataclass(frozen=True)
class Expression:
    """What `parsed` made of a text: ``tree`` holds nothing but what NumPy is asked; ``truth`` says that it gives classes."""

    tree: ast.expr
    truth: bool

    @property
    def source(self) -> str:
        """The same in Python, with NumPy as np."""
        return ast.unparse(self.tree)

    def __call__(self, points: Array) -> Array:
        """Its values at points (rows, 2): class numbers, or numbers. Raises `DataError` if one of them is not finite."""
        with np.errstate(all="ignore"):
            found = np.asarray(_computed(self.tree, {"x": points[:, 0], "y": points[:, 1]}))
        if odd := int((~np.isfinite(found)).sum()):
            raise DataError(
                f"The function has no finite value at {odd:,} of {len(points):,} points.",
                hint="x and y go from -3 to 3; log and sqrt need numbers above 0, as in sqrt(abs(x))",
            )
        return found.astype(np.int64) if self.truth else found.astype(np.float64)


def parsed(text: str) -> Expression:
    """The function that a text of x and y means; ``^`` is a power. Raises `UsageError` for what is none.

    >>> parsed("x*y > 0").source, parsed("sin(x) + y^2/2").source
    ('x * y > 0.0', 'np.sin(x) + y ** 2.0 / 2.0')
    >>> parsed("x*y > 0")(np.array([[1.0, 2.0], [1.0, -2.0]])).tolist()
    [1, 0]
    """
    if len(text) > _LONGEST:
        raise UsageError(f"A function has at most {_LONGEST} characters, this one has {len(text):,}.")
    try:
        body = ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{text.strip()!r} is no function of x and y.", hint="x*y > 0, or sin(x) + y/2") from error
    tree, truth = _read(body)
    if not any(isinstance(node, ast.Name) and node.id in ("x", "y") for node in ast.walk(tree)):
        raise UsageError("The function asks for neither x nor y.", hint="x*y > 0, or sin(x) + y/2")
    return Expression(tree, truth)


def _read(node: ast.expr) -> tuple[ast.expr, bool]:
    """What NumPy is to be asked, and whether it is true or false."""
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return _number(value), False
        case ast.Name(id="x" | "y"):
            return ast.Name(node.id), False
        case ast.Name(id=name) if name in _NAMES:
            return _number(_NAMES[name]), False
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            inner = _numeric(node.operand)
            return (_folded(ast.UnaryOp(ast.USub(), inner)) if isinstance(node.op, ast.USub) else inner), False
        case ast.UnaryOp(op=ast.Not()):
            return _asked("logical_not", _true(node.operand)), True
        case ast.BinOp(op=op) if type(op) in _BINARY:
            return _folded(ast.BinOp(_numeric(node.left), op, _numeric(node.right))), False
        case ast.Compare():
            sides = [_numeric(side) for side in (node.left, *node.comparators)]
            if any(type(op) not in _COMPARE for op in node.ops):
                raise _unknown(node)
            parts: list[ast.expr] = [
                ast.Compare(left, [op], [right]) for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
            ]
            return _joined("logical_and", parts), True
        case ast.BoolOp():
            return _joined(_LOGIC[type(node.op)], [_true(value) for value in node.values]), True
        case ast.IfExp():
            return _asked("where", _true(node.test), _numeric(node.body), _numeric(node.orelse)), False
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            function, count = _FUNCTIONS[name]
            if len(node.args) != count:
                raise UsageError(f"{name} takes {count} {'number' if count == 1 else 'numbers'}, got {len(node.args)}.")
            return _folded(_asked(function, *(_numeric(argument) for argument in node.args))), False
    raise _unknown(node)


def _unknown(node: ast.expr) -> UsageError:
    known = ", ".join([*_FUNCTIONS, *_NAMES])
    return UsageError(f"{ast.unparse(node)!r} is not known here.", hint=f"x, y, + - * / % ^, < > and or not, {known}")


def _numeric(node: ast.expr) -> ast.expr:
    """A number; of what is true or false, 1 or 0."""
    tree, truth = _read(node)
    return _asked("where", tree, _number(1.0), _number(0.0)) if truth else tree


def _true(node: ast.expr) -> ast.expr:
    tree, truth = _read(node)
    if not truth:
        raise UsageError(f"{ast.unparse(node)!r} is neither true nor false.", hint="compare it, as in x > 0")
    return tree


def _asked(function: str, *operands: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name("np"), function), list(operands), [])


def _joined(function: str, parts: list[ast.expr]) -> ast.expr:
    first, *rest = parts
    for part in rest:
        first = _asked(function, first, part)
    return first


def _number(value: float) -> ast.expr:
    try:
        found = float(value)
    except OverflowError:
        found = np.inf
    if not np.isfinite(found):
        raise UsageError("The function holds a number that is too large.")
    return ast.UnaryOp(ast.USub(), ast.Constant(-found)) if found < 0 else ast.Constant(found)


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant) and isinstance(node.op, ast.USub)
    )


def _folded(node: ast.expr) -> ast.expr:
    """What has numbers alone, as a number: Python would compute it otherwise than NumPy."""
    if isinstance(node, ast.UnaryOp):
        return _number(-_computed(node.operand, {})) if _is_number(node.operand) else node
    operands = (
        node.args if isinstance(node, ast.Call) else [node.left, node.right] if isinstance(node, ast.BinOp) else []
    )
    if not all(map(_is_number, operands)):
        return node
    with np.errstate(all="ignore"):
        return _number(float(_computed(node, {})))


def _computed(node: ast.expr, given: dict[str, Array]) -> Any:
    match node:
        case ast.Constant(value=float() as value):
            return value if given else np.float64(value)
        case ast.Name(id=name):
            return given[name]
        case ast.UnaryOp():
            return -_computed(node.operand, given)
        case ast.BinOp(op=op):
            return _BINARY[type(op)](_computed(node.left, given), _computed(node.right, given))
        case ast.Compare(ops=[op], comparators=[right]):
            return _COMPARE[type(op)](_computed(node.left, given), _computed(right, given))
        case ast.Call(func=ast.Attribute(attr=name)):
            return getattr(np, name)(*(_computed(argument, given) for argument in node.args))
    raise AssertionError(node)


__all__ = ["Expression", "parsed"]
