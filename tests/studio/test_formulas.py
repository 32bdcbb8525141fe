"""What people type: it means what it would in Python, and nothing but arithmetic gets through."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nacre
from nacre import ops
from nacre.errors import UsageError
from nacre.studio.formulas import parsed, traced


@pytest.mark.parametrize(
    ("text", "at", "value"),
    [
        ("x*y > 0", (1.0, 2.0), 1),
        ("x*y > 0", (1.0, -2.0), 0),
        ("0 < x < 1 and not y > 3", (0.5, 2.0), 1),
        ("sin(x) + y/2", (0.0, 3.0), 1.5),
        ("x^2 - -y", (3.0, 1.0), 10.0),
        ("(-2)^2 * x + 2^0.5*0", (1.0, 0.0), 4.0),
        ("max(x, y) if x != y else abs(x) % 2", (3.0, 3.0), 1.0),
        ("(x > 0) + (y > 0)", (1.0, 1.0), 2.0),
    ],
)
def test_a_formula_gives_what_python_would(text, at, value):
    function = parsed(text)
    assert function(np.array([at])).tolist() == [value]
    x, y = np.array([at]).T
    assert np.asarray(eval(function.source, {"np": np, "x": x, "y": y})).tolist() == [value]


@pytest.mark.parametrize(
    "text",
    [
        "", "3", "x +", "z + x", "x.shape", "__import__('os')", "().__class__", "x[0]", "[x for x in y]", "lambda: x",
        "f'{x}'", "x and y", "sin(x, y)", "sin(x=1)", "x; y", "(x := 3)", "True + x", "9**9**9**9 + x", "x" * 301,
        "(" * 150 + "x" + ")" * 150 + "(", "np.sin(x)", "x << 3", "x in y", "1j * x", "'x' + x", "xy",
    ],
)  # fmt: skip
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(UsageError):
        parsed(text)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "x.__class__", "lambda: 1", "x if x else 1", "f'{x}'", "[x for x in (1,)]", "x; x",
        "exp(x, x)",
        "exp(x=1)", "exp(*x)", "x[0]", "x @ x", "x // 1", "x % 2", "not x", "x and x", "x < 1", "(x := 1)", "y", "True", "1j",
        "'a' * 9",
        "b''", "...", "1e400", "x" * 301, "(" * 40, "3", "9**9**9**9**9 * x", "x + 1/0", "log(-1) * x", "(-1)**0.5 + x",
        "", "open(x)", "exp", "eval(x)", "~x", "x\nx",
    ],
)  # fmt: skip
def test_what_is_traced_is_arithmetic_and_nothing_else(text: str):
    with pytest.raises(UsageError):
        traced(text, "x")


def test_what_is_traced_has_the_values_of_python_and_its_gradients():
    text = "x**2 * sin(pi*x) + exp(-y) / 3 - log(4)"
    x, y = 0.7, -0.2
    values = (ops.constant(v, "float64") for v in (x, y))
    expected = x**2 * math.sin(math.pi * x) + math.exp(-y) / 3 - math.log(4)
    assert float(traced(text, "xy")(*values)) == pytest.approx(expected, rel=1e-12)
    slopes = nacre.grad(traced(text, "xy"), argnums=(0, 1))(np.float64(x), np.float64(y))
    by_x = 2 * x * math.sin(math.pi * x) + x**2 * math.pi * math.cos(math.pi * x)
    assert np.allclose(slopes, [by_x, -math.exp(-y) / 3], rtol=1e-12)
    assert nacre.grad(traced("x**2", "xy"), argnums=(0, 1))(3.0, 1.0)[1] == 0  # what is not named has the slope 0
