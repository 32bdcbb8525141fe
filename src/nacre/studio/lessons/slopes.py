"""Derivatives, gradients, and the way down."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

import nacre
from nacre import ops
from nacre.calculus import Minimum
from nacre.studio.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    SKY,
    Axis,
    Curves,
    Drawing,
    Figure,
    Heat,
    Line,
    Point,
    Table,
    Text,
)
from nacre.studio.formulas import traced
from nacre.studio.lessons.landscape import landscape
from nacre.studio.lessons.lesson import Formula, Lesson, Slider, choice

Array = npt.NDArray[Any]

HILL = "x * exp(-(x**2 + y**2))"
METHODS = choice("method", "How it moves", {"gd": "gradient descent", "momentum": "with momentum", "adam": "Adam"})


# ------------------------------------------------------------------ the tangent


def tangent(f: str, x: float) -> list[Figure]:
    """A curve with its tangent, and the derivative below."""
    at = np.linspace(-3, 3, 301)
    curve, slopes = _on(f, at)
    (here,), (slope,) = _on(f, np.array([x]))
    low, high = _bounds(curve)
    line = here + slope * (at - x)
    line = np.where((line >= low) & (line <= high), line, np.nan)
    color = GREEN if slope > 0 else RED if slope < 0 else GREY
    where = np.where(np.arange(301) == np.abs(at - x).argmin(), 1.0, np.nan)
    rows = [
        [f"{d:g}", f"{_on(f, np.array([x + d]))[0][0] - here:.6g}", f"{slope * d:.6g}"] for d in (1.0, 0.1, 0.01, 0.001)
    ]
    said = "it stands still" if slope == 0 else f"it {'rises' if slope > 0 else 'falls'} to the right"
    if not math.isfinite(slope):
        said = "so it has no tangent here"
    return [
        Text(text=f"At x = {x:g} f is {here:.4g} and its slope is {slope:.4g}: {said}.", strong=True),
        Curves(
            title="f and its tangent",
            x=Axis("x", at),
            y=Axis("f", range=(low, high)),
            lines=[
                Line("f", curve, color=BLUE),
                Line("tangent", line, color=color),
                Line("here", where * here, color=color, dots=True),
            ],
        ),
        Curves(
            title="The derivative: the slope at each x",
            x=Axis("x", at),
            y=Axis("slope", range=_bounds(slopes)),
            lines=[
                Line("rises", np.where(slopes > 0, slopes, np.nan), color=GREEN),
                Line("falls", np.where(slopes <= 0, slopes, np.nan), color=RED),
                Line("here", where * slope, color=color, dots=True),
            ],
        ),
        Table(
            title="A small step, and what the slope says of it",
            columns=["step", "f changes by", "slope · step"],
            rows=rows,
        ),
    ]


TANGENT = Lesson(
    "tangent",
    "The tangent of a curve",
    """The derivative says how much f changes when x changes a little: it is the slope of the line that touches the curve.
Where it is above 0 the line is green, and f rises; where it is below 0 the line is red, and f falls.

Move x. Where is the slope 0? Then type a function of your own. In the table, a step ten times smaller is foretold a
hundred times better.""",
    [
        Formula(
            "f", "f(x)", "x**3 - 3*x", "x", ["x**3 - 3*x", "sin(2*x)", "exp(-x**2)", "abs(x)", "log(x)", "sigmoid(3*x)"]
        ),
        Slider("x", "x", 1.5, -3, 3, 0.01, play=True),
    ],
    tangent,
    """from math import e, pi
import nacre
from nacre.ops import *

f = lambda x: $f
print("f      ", float(f(constant($x, "float64")).numpy()))
print("slope  ", float(nacre.grad(f)($x)))""",
)


# ------------------------------------------------------------------ a field of gradients


def gradient_field(f: str, x: float, y: float) -> list[Figure]:
    """A function of two variables from above with its gradients, a point, and the way down from it."""
    formula = traced(f, "xy")
    side = np.linspace(-2, 2, 81)
    heights = values(formula, *np.meshgrid(side, side[::-1]))
    places = np.stack(np.meshgrid(np.linspace(-1.8, 1.8, 13), np.linspace(-1.8, 1.8, 13)), -1).reshape(-1, 2)
    arrows = gradients(formula, places[:, 0], places[:, 1])
    longest = np.nanmax(np.where(np.isfinite(arrows), np.hypot(*arrows), 0), initial=1e-300)
    drawn = np.concatenate([places, 0.28 * arrows.T / longest], 1)
    gx, gy = gradients(formula, np.array([x]), np.array([y]))[:, 0]
    here = values(formula, np.array([x]), np.array([y]))
    turns = np.linspace(0, 360, 73)
    directions = np.stack([np.cos(np.radians(turns)), np.sin(np.radians(turns))])
    ahead = values(formula, x + 1e-5 * directions[0], y + 1e-5 * directions[1])
    steep = math.hypot(gx, gy)
    found = nacre.minimize(lambda v: formula(v[0], v[1]), [x, y], steps=500, tolerance=1e-5)
    toward = math.degrees(math.atan2(gy, gx)) % 360
    return [
        Text(
            text=f"At ({x:g}, {y:g}) the gradient is ({gx:.4g}, {gy:.4g}), {steep:.4g} long. Descent from here {found.message} at "
            f"({found.x[0]:.4f}, {found.x[1]:.4f}), where f is {found.value:.4f}.",
            strong=True,
        ),
        Heat.of(
            np.nan_to_num(heights, posinf=0, neginf=0),
            "f from above, with an arrow along the gradient at each place",
            title="x to the right and y upward, from -2 to 2; blue is above 0, orange below. Arrows point uphill.",
            x=(-2, 2),
            y=(-2, 2),
            arrows=drawn[np.isfinite(drawn).all(1)].round(4),
            points=[Point(x, y)],
            path=_thinned(found.path),
            size="min(100%, 460px)",
        ),
        Curves(
            title="How fast f rises from here, in each direction",
            x=Axis("direction, in degrees from the x axis", turns),
            y=Axis("rise per step"),
            lines=[
                Line("measured with a tiny step", (ahead - here) / 1e-5, color=BLUE),
                Line(
                    "along the gradient", np.where(np.abs(turns - toward) <= 2.5, steep, np.nan), color=GREEN, dots=True
                ),
            ],
        ),
    ]


GRADIENT_FIELD = Lesson(
    "gradient-field",
    "A field of gradients",
    """A function of two variables has two partial derivatives at each point. Together they are the gradient, an arrow that
points where f rises fastest; descent goes the other way, along the line.

Move the point. The curve tries all directions: none rises faster than the gradient, and across it f does not change
at all. From near the orange valley, descent ends at (-0.7071, 0), where f is -0.4289; on the right it leads away for
ever, ever slower.""",
    [
        Formula("f", "f(x, y)", HILL, "xy", [HILL, "x**2 + 3*y**2", "x**2 - y**2", "sin(2*x) * cos(2*y)", "x + y"]),
        Slider("x", "x", -0.2, -2, 2, 0.05),
        Slider("y", "y", 0.9, -2, 2, 0.05),
    ],
    gradient_field,
    """from math import e, pi
import nacre
from nacre.ops import *

def f(v):
    x, y = v[0], v[1]
    return $f

print(nacre.grad(f)([$x, $y]))
print(nacre.minimize(f, [$x, $y], steps=500, tolerance=1e-5))""",
)


# ------------------------------------------------------------------ a ball in a valley


def ball(f: str, method: str, learning_rate: float, start: float, step: int) -> list[Figure]:
    """A ball on a curve after so many steps."""
    at = np.linspace(-4, 4, 321)
    height, _ = _on(f, at)
    found = _descent(f, "x", [start], method, learning_rate)
    path = found.path[:, 0]
    now = min(step, len(path) - 1)
    low, high = _bounds(height)
    nearest = np.full(len(path), -1)
    inside = np.isfinite(path) & (np.abs(path) <= 4)
    nearest[inside] = np.abs(at[None] - path[inside, None]).argmin(1)
    trail, here = np.full((2, len(at)), np.nan)
    before = nearest[:now][nearest[:now] >= 0]
    trail[before] = height[before]
    if nearest[now] >= 0:
        here[nearest[now]] = height[nearest[now]]
    ended = "" if now == step else f" It came no further than step {now}."
    return [
        Text(text=f"{_sentence(found)} At step {now} the ball is at {path[now]:.4g}.{ended}", strong=True),
        Curves(
            title="The ball, and where it was",
            x=Axis("x", at),
            y=Axis("height", range=(low, high)),
            lines=[
                Line("valley", height, color=GREY),
                Line("before", trail, color=SKY, dots=True),
                Line("ball", here, color=ORANGE, dots=True),
            ],
            height=280,
        ),
        Curves(
            title="Where the ball is, by step",
            x=Axis("step", np.arange(now + 1)),
            y=Axis("x"),
            lines=[Line("x", path[: now + 1], color=ORANGE)],
            height=280,
        ),
    ]


BALL = Lesson(
    "ball",
    "A ball in a valley",
    """Gradient descent is a loop of one line: x becomes x - learning rate * slope. It is the gradient that is multiplied by
the learning rate, not the loss. With momentum the ball keeps 0.9 of its last step, rolls on, and overshoots.

In the bowl x**2/2 each step multiplies x by 1 - learning rate. At 0.05 it creeps, at 1.9 it still converges, at 2 it
goes back and forth for ever, and at 2.1 it is 117 away after 50 steps: descent converges for a small enough rate
only. In two wells, the start decides where it ends; a valley with a flat bottom is convex, and yet has many lowest
points.""",
    [
        choice(
            "f",
            "Valley",
            {
                "x**2 / 2": "a bowl, x²/2",
                "(x**2 - 1)**2 / 4": "two wells",
                "relu(abs(x) - 1)**2 / 2": "flat at the bottom",
                "x**2 / 8 - cos(3*x) / 2": "a bowl with waves",
            },
        ),
        METHODS,
        Slider("learning_rate", "Learning rate", 0.1, 0.01, 2.5, log=True),
        Slider("start", "Start", 3.0, -4, 4, 0.1),
        Slider("step", "Step", 20, 0, 100, 1, play=True),
    ],
    ball,
    """import nacre
from nacre.ops import *

f = lambda x: $f
found = nacre.minimize(f, $start, "$method", learning_rate=$learning_rate, steps=300)
print(found)
print("after $step steps:", found.path[:$step + 1][-1])""",
)


# ------------------------------------------------------------------ descent on level sets


def level_sets(f: str, method: str, learning_rate: float, x: float, y: float, step: int) -> list[Figure]:
    """A descent from above, on bands of equal height."""
    formula = traced(f, "xy")
    side = np.linspace(-3, 3, 201)
    level = values(formula, *np.meshgrid(side, side[::-1]))
    found = _descent(f, "xy", [x, y], method, learning_rate)
    now = min(step, len(found.path) - 1)
    path = found.path[: now + 1]
    heights = found.values[: now + 1]
    ended = "" if now == step else f" It came no further than step {now}."
    return [
        Text(
            text=f"{_sentence(found)} At step {now} it is at ({path[-1][0]:.4g}, {path[-1][1]:.4g}), "
            f"where f is {heights[-1]:.4g}.{ended}",
            strong=True,
        ),
        Heat.of(
            _banded(level),
            "Level sets of f, and the descent",
            title="x to the right and y upward, from -3 to 3. Along a line f is the same; the more it stands out, the higher.",
            colors="shade",
            low=0,
            high=32,
            x=(-3, 3),
            y=(-3, 3),
            path=[(float(a), float(b)) for a, b in np.clip(path, -60, 60)],
            points=[Point(x, y, group=0)],
            size="min(100%, 460px)",
        ),
        Drawing(
            svg=landscape(lambda a, b: values(formula, a, b), path),
            label="f as a landscape, and a ball that goes down",
            title="The same as a landscape: x runs to the right and to the front, y to the right and to the back",
        ),
        Curves(
            title="f by step",
            x=Axis("step", np.arange(len(heights))),
            y=Axis("f"),
            lines=[Line("f", heights, color=BLUE)],
            height=300,
        ),
    ]


LEVEL_SETS = Lesson(
    "level-sets",
    "Descent on level sets",
    """The same from above, with two variables. At each point, descent crosses the level set at a right angle; in a long
valley that is not where the lowest point lies, so plain descent zigzags or creeps. Momentum gets through faster.

A strictly convex function, such as the long and the round valley, has one minimum, and descent gets there if the
learning rate is small enough. Make it larger: the long valley is 12 times steeper across than along, and above 2/12 =
0.167 plain descent diverges. On the saddle, start at y = 0: descent ends where there is no minimum.""",
    [
        choice(
            "f",
            "Function",
            {
                "x**2 / 2 + 6 * y**2": "a long valley",
                "x**2 + y**2": "a round valley",
                HILL: "x·exp(-(x² + y²))",
                "(x**2 - 2)**2 / 4 + y**2": "two wells",
                "(x**2 - y**2) / 2": "a saddle",
            },
        ),
        METHODS,
        Slider("learning_rate", "Learning rate", 0.1, 0.001, 1, log=True),
        Slider("x", "Start, x", -2.5, -3, 3, 0.1),
        Slider("y", "Start, y", 1.5, -3, 3, 0.1),
        Slider("step", "Step", 20, 0, 100, 1, play=True),
    ],
    level_sets,
    """import nacre
from nacre.ops import *

def f(v):
    x, y = v[0], v[1]
    return $f

found = nacre.minimize(f, [$x, $y], "$method", learning_rate=$learning_rate, steps=300)
print(found)
print("after $step steps:", found.path[:$step + 1][-1])""",
)


# ------------------------------------------------------------------ what they share


def _on(f: str, at: Array) -> tuple[Array, Array]:
    """The formula of x at all these places, and its derivative."""
    formula = traced(f, "x")
    return values(formula, at), gradients(formula, at)[0]


def values(f: Any, *at: Array) -> Array:
    """What a function of `nacre.ops` gives at all these places."""
    found: Array = f(*(ops.constant(one, "float64") for one in at)).numpy()
    return found


def gradients(f: Any, *at: Array) -> Array:
    """Its derivatives there by each of its variables, one after the other."""
    return np.stack(nacre.grad(lambda *z: ops.sum(f(*z)), argnums=tuple(range(len(at))))(*at))


def _descent(f: str, variables: str, start: list[float], method: str, learning_rate: float) -> Minimum:
    formula = traced(f, variables)
    return nacre.minimize(
        lambda v: formula(*(v[n] for n in range(len(start)))), start, method, learning_rate=learning_rate, steps=300
    )


def _sentence(found: Minimum) -> str:
    return found.message[0].upper() + found.message[1:] + "."


def _bounds(values: Array) -> tuple[float, float]:
    """From where to where an axis goes for these values, a little more on both sides."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    return low - margin, high + margin


def _banded(values: Array, bands: int = 16) -> Array:
    """The band of height that each place is in, as many places in each, and darker lines between them."""
    ranks = np.sort(values, axis=None)
    edges = ranks[np.linspace(0, ranks.size - 1, bands + 1).astype(int)][1:-1]
    found = np.searchsorted(edges, values).astype(float)
    line = (np.diff(found, axis=0, append=found[-1:]) != 0) | (np.diff(found, axis=1, append=found[:, -1:]) != 0)
    banded: Array = found * 0.6 + 2 + 9.0 * line
    return banded


def _thinned(path: Array, most: int = 200) -> list[tuple[float, float]]:
    rows = np.unique(np.linspace(0, len(path) - 1, most).astype(int))
    return [(float(x), float(y)) for x, y in np.clip(path[rows], -60, 60)]
