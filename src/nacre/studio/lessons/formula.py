"""Formulas that people type, as functions of `nacre.ops`. They are read, never run: nothing but arithmetic gets through."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from typing import Any

from nacre import ops
from nacre.errors import UsageError

MOST_LETTERS = 80

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": ops.abs,
    "cos": ops.cos,
    "exp": ops.exp,
    "log": ops.log,
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "sin": ops.sin,
    "sqrt": ops.sqrt,
    "tanh": ops.tanh,
}
_NUMBERS = {"pi": math.pi}
_SIGNS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
    ast.USub: lambda a: -a,
    ast.UAdd: lambda a: a,
}


def function(text: str, variables: Sequence[str]) -> Callable[..., Any]:
    """The function of ``variables`` that ``text`` writes in Python: numbers, + - * / **, and `FUNCTIONS`, each of one number.

    Raises `UsageError` for anything else, and for more than 80 letters.

    >>> f = function("x * exp(-(x**2 + y**2))", "xy")
    >>> f"{float(f(ops.constant(1.0), ops.constant(0.0)).numpy()):.4f}"
    '0.3679'
    >>> function("x.real", "x")
    Traceback (most recent call last):
    nacre.errors.UsageError: This is no formula of x: it has a part 'x.real'.
      try:  such as x**3 - 3*x, with + - * / ** and abs, cos, exp, log, relu, sigmoid, sin, sqrt, tanh
    """
    if len(text) > MOST_LETTERS:
        raise UsageError(f"A formula has at most {MOST_LETTERS} letters, this one has {len(text):,}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise _none(variables, "it does not read as one") from None
    _check(tree, text, variables)

    def f(*given: Any) -> Any:
        """What the formula gives."""
        values = dict(zip(variables, given, strict=True))
        return _value(tree, values) + 0.0 * sum(given)  # a function of all of them, even if it names none

    return f


def _check(tree: ast.AST, text: str, variables: Sequence[str]) -> None:
    """Raise `UsageError` if there is anything but arithmetic in it."""
    parts: list[ast.AST]
    match tree:
        case ast.BinOp(left, sign, right) if type(sign) in _SIGNS:
            parts = [left, right]
        case ast.UnaryOp(sign, operand) if type(sign) in _SIGNS:
            parts = [operand]
        case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
            parts = [argument]
        case ast.Name(name) if name in variables or name in _NUMBERS:
            parts = []
        case ast.Constant(bool() | complex() | str() | bytes() | None):
            raise _none(variables, f"it has a part {_said(tree, text)!r}")
        case ast.Constant(int() | float() as number) if abs(number) <= 1e9:
            parts = []
        case _:
            raise _none(variables, f"it has a part {_said(tree, text)!r}")
    for part in parts:
        _check(part, text, variables)


def _value(tree: ast.AST, values: dict[str, Any]) -> Any:
    match tree:
        case ast.BinOp(left, sign, right):
            a, b = _value(left, values), _value(right, values)
            try:
                found = _SIGNS[type(sign)](a, b)
            except (OverflowError, ZeroDivisionError):
                return math.nan
            return math.nan if isinstance(found, complex) else found
        case ast.UnaryOp(sign, operand):
            return _SIGNS[type(sign)](_value(operand, values))
        case ast.Call(ast.Name(name), [argument]):
            given = _value(argument, values)
            return FUNCTIONS[name](ops.constant(given, "float64") if isinstance(given, float) else given)
        case ast.Name(name):
            return values.get(name, _NUMBERS.get(name))
        case ast.Constant(int() | float() as number):
            return float(number)  # whole ones could grow without end
    raise AssertionError(tree)


def _said(tree: ast.AST, text: str) -> str:
    return (ast.get_source_segment(text.strip(), tree) or text)[:30]


def _none(variables: Sequence[str], why: str) -> UsageError:
    names = " and ".join(variables)
    example = "x**3 - 3*x" if len(variables) == 1 else "x * exp(-(x**2 + y**2))"
    return UsageError(
        f"This is no formula of {names}: {why}.",
        hint=f"such as {example}, with + - * / ** and {', '.join(FUNCTIONS)}",
    )
