"""Formulas that somebody types: read as trees of a few known kinds of nodes, and computed from these. Nothing of a text is run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.errors import DataError, UsageError

Array = npt.NDArray[Any]

MOST = 300  # characters; so deep at most is the tree
_NAMES = {"pi": float(np.pi), "e": float(np.e)}
_BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
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
_NUMPY: dict[str, tuple[str, int]] = {
    **{
        name: (name, 1)
        for name in ("sin", "cos", "tan", "tanh", "exp", "log", "sqrt", "abs", "sign", "floor", "ceil", "round")
    },
    "min": ("minimum", 2),
    "max": ("maximum", 2),
    "hypot": ("hypot", 2),
    "atan2": ("arctan2", 2),
}
_OPS = {name: (name, 1) for name in ("abs", "cos", "exp", "log", "relu", "sigmoid", "sin", "sqrt", "tanh")}


@dataclass(frozen=True)
class Formula:
    """A function of x and y: ``tree`` holds nothing but what NumPy is asked; ``truth`` says that it gives classes."""

    tree: ast.expr
    truth: bool

    @property
    def source(self) -> str:
        """The same in Python, with NumPy as np."""
        return ast.unparse(self.tree)

    def __call__(self, points: Array) -> Array:
        """Its values at points (rows, 2): class numbers, or numbers. Raises `DataError` if one of them is not finite."""
        with np.errstate(all="ignore"):
            found = np.asarray(_computed(self.tree, {"x": points[:, 0], "y": points[:, 1]}, np))
        if odd := int((~np.isfinite(found)).sum()):
            raise DataError(
                f"The formula has no finite value at {odd:,} of {len(points):,} points.",
                hint="x and y go from -3 to 3; log and sqrt need numbers above 0, as in sqrt(abs(x))",
            )
        return found.astype(np.int64) if self.truth else found.astype(np.float64)


def parsed(text: str) -> Formula:
    """The function that a text of x and y means; ``^`` is a power. Raises `UsageError` for what is none.

    >>> parsed("x*y > 0").source, parsed("sin(x) + y^2/2").source
    ('x * y > 0.0', 'np.sin(x) + y ** 2.0 / 2.0')
    >>> parsed("x*y > 0")(np.array([[1.0, 2.0], [1.0, -2.0]])).tolist()
    [1, 0]
    """
    return Formula(*_Reader(tuple("xy"), _NUMPY, np, "x*y > 0, or sin(x) + y/2").tree(text.replace("^", "**")))


def traced(text: str, variables: Sequence[str]) -> Callable[..., Any]:
    """The function of values of `nacre.ops` that a text means in Python: plain arithmetic, without comparisons. Raises
    `UsageError` for anything else.

    >>> f = traced("x * exp(-(x**2 + y**2))", "xy")
    >>> f"{float(f(ops.constant(1.0), ops.constant(0.0))):.4f}"
    '0.3679'
    >>> traced("x.real", "x")
    Traceback (most recent call last):
    nacre.errors.UsageError: This is no formula of x: 'x.real' is not known here.
      try:  x**3 - 3*x; there are + - * / ** and abs, cos, exp, log, relu, sigmoid, sin, sqrt, tanh, pi, e
    """
    example = "x**3 - 3*x" if len(variables) == 1 else "x * exp(-(x**2 + y**2))"
    tree, _ = _Reader(tuple(variables), _OPS, ops, example).tree(text)

    def f(*given: Any) -> Any:
        """What the formula gives."""
        # The sum makes it a function of all of them, even if it names only some.
        return _computed(tree, dict(zip(variables, given, strict=True)), ops) + 0.0 * sum(given)

    return f


@dataclass(frozen=True)
class _Reader:
    """What may be typed: ``functions`` by their names, with those of ``namespace`` that do it and how many numbers they take."""

    variables: tuple[str, ...]  # a text would hold "xy", too
    functions: Mapping[str, tuple[str, int]]
    namespace: Any
    example: str

    def tree(self, text: str) -> tuple[ast.expr, bool]:
        """What the namespace is to be asked, and whether it is true or false."""
        if len(text) > MOST:
            raise self._none(f"it has {len(text):,} characters, and at most {MOST} are read")
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._none("it does not read as one") from error
        tree, truth = self._read(body)
        if not any(isinstance(node, ast.Name) and node.id in self.variables for node in ast.walk(tree)):
            raise self._none("it does not ask for them" if len(self.variables) > 1 else "it does not ask for it")
        return tree, truth

    def _none(self, why: str) -> UsageError:
        more = " % ^, < > and or not, if else" if self.logic else " **"
        known = ", ".join([*self.functions, *_NAMES])
        return UsageError(
            f"This is no formula of {' and '.join(self.variables)}: {why}.",
            hint=f"{self.example}; there are + - * /{more} and {known}",
        )

    @property
    def logic(self) -> bool:
        """Whether there are truth values, which NumPy counts with and `nacre.ops` does not."""
        return self.namespace is np

    def _read(self, node: ast.expr) -> tuple[ast.expr, bool]:
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as value):
                return self._number(value), False
            case ast.Name(id=name) if name in self.variables:
                return ast.Name(name), False
            case ast.Name(id=name) if name in _NAMES:
                return self._number(_NAMES[name]), False
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                inner = self._numeric(node.operand)
                return (self._folded(ast.UnaryOp(ast.USub(), inner)) if isinstance(node.op, ast.USub) else inner), False
            case ast.BinOp(op=op) if type(op) in _BINARY and (self.logic or not isinstance(op, ast.Mod)):
                return self._folded(ast.BinOp(self._numeric(node.left), op, self._numeric(node.right))), False
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in self.functions:
                function, count = self.functions[name]
                if len(node.args) != count:
                    raise self._none(
                        f"{name} takes {count} {'number' if count == 1 else 'numbers'}, got {len(node.args)}"
                    )
                return self._folded(_asked(function, *map(self._numeric, node.args))), False
            case ast.UnaryOp(op=ast.Not()) if self.logic:
                return _asked("logical_not", self._true(node.operand)), True
            case ast.Compare() if self.logic and all(type(op) in _COMPARE for op in node.ops):
                sides = [self._numeric(side) for side in (node.left, *node.comparators)]
                parts: list[ast.expr] = [
                    ast.Compare(left, [op], [right])
                    for left, op, right in zip(sides, node.ops, sides[1:], strict=False)
                ]
                return _joined("logical_and", parts), True
            case ast.BoolOp() if self.logic:
                return _joined(_LOGIC[type(node.op)], list(map(self._true, node.values))), True
            case ast.IfExp() if self.logic:
                return _asked(
                    "where", self._true(node.test), self._numeric(node.body), self._numeric(node.orelse)
                ), False
        raise self._none(f"{ast.unparse(node)[:40]!r} is not known here")

    def _numeric(self, node: ast.expr) -> ast.expr:
        """A number; of what is true or false, 1 or 0."""
        tree, truth = self._read(node)
        return _asked("where", tree, ast.Constant(1.0), ast.Constant(0.0)) if truth else tree

    def _true(self, node: ast.expr) -> ast.expr:
        tree, truth = self._read(node)
        if not truth:
            raise self._none(f"{ast.unparse(node)[:40]!r} is neither true nor false; compare it, as in x > 0")
        return tree

    def _number(self, value: float) -> ast.expr:
        try:
            found = float(value)
        except OverflowError:
            found = np.inf
        if not np.isfinite(found):
            raise self._none("it holds a number that is too large, or none")
        return ast.UnaryOp(ast.USub(), ast.Constant(-found)) if found < 0 else ast.Constant(found)

    def _folded(self, node: ast.expr) -> ast.expr:
        """What has numbers alone, as a number: Python would compute it otherwise than NumPy."""
        match node:
            case ast.UnaryOp(operand=operand):
                operands = [operand]
            case ast.BinOp(left=left, right=right):
                operands = [left, right]
            case ast.Call(args=operands):
                pass
        if not all(map(_is_number, operands)):
            return node
        with np.errstate(all="ignore"):
            return self._number(float(_computed(node, {}, self.namespace)))


def _asked(function: str, *operands: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name("np"), function), list(operands), [])


def _joined(function: str, parts: list[ast.expr]) -> ast.expr:
    first, *rest = parts
    for part in rest:
        first = _asked(function, first, part)
    return first


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant) and isinstance(node.op, ast.USub)
    )


def _computed(node: ast.expr, given: Mapping[str, Any], namespace: Any) -> Any:
    match node:
        case ast.Constant(value=float() as value):
            return value if given else np.float64(value)
        case ast.Name(id=name):
            return given[name]
        case ast.UnaryOp(operand=operand):
            return -_computed(operand, given, namespace)
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_computed(left, given, namespace), _computed(right, given, namespace))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _COMPARE[type(op)](_computed(left, given, namespace), _computed(right, given, namespace))
        case ast.Call(func=ast.Attribute(attr=name), args=args):
            return getattr(namespace, name)(*(_computed(argument, given, namespace) for argument in args))
    raise AssertionError(node)
