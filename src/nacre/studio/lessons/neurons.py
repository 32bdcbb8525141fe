"""What a unit does with its score: step, sigmoid, relu; and what outputs do with theirs: softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

import nacre
from nacre import activations, ops
from nacre.studio.figures import BLUE, GREEN, ORANGE, Axis, Bar, Bars, Curves, Figure, Line, Table, Text
from nacre.studio.lessons.lesson import Lesson, Slider, choice
from nacre.studio.lessons.slopes import gradients, values

Array = npt.NDArray[Any]

ACTIVATIONS = {
    name: name
    for name in ("relu", "sigmoid", "tanh", "step", "leaky_relu", "elu", "gelu", "silu", "softplus", "linear")
}


def sigmoid_and_step(weight: float, bias: float, x: float) -> list[Figure]:
    """A sigmoid unit beside a step unit with the same weight and bias."""
    at = np.linspace(-5, 5, 401)
    where = np.where(np.arange(401) == np.abs(at - x).argmin(), 1.0, np.nan)
    curves, slopes, here = [], [], {}
    for name, color in (("sigmoid", BLUE), ("step", ORANGE)):
        unit = activations.get(name)
        f = lambda v, unit=unit: unit(weight * v + bias)  # noqa: E731
        curves.append(Line(name, values(f, at), color=color))
        slopes.append(Line(f"of {name}", gradients(f, at)[0], color=color))
        here[name] = float(values(f, np.array([x]))[0]), float(gradients(f, np.array([x]))[0][0])
    (y, slope), (up, flat) = here["sigmoid"], here["step"]
    curves.append(Line("here", where * y, color=BLUE, dots=True))
    slopes.append(Line("here", where * slope, color=BLUE, dots=True))
    largest = abs(weight) / 4
    return [
        Text(
            text=f"At x = {x:g} the sigmoid gives {y:.4f} with slope {slope:.4g}, the step {up:g} with slope {flat:g}. "
            f"The sigmoid is nowhere steeper than {abs(weight):g}/4 = {largest:g}.",
            strong=True,
        ),
        Curves(title="The output of the unit", x=Axis("x", at), y=Axis("output", range=(-0.08, 1.08)), lines=curves),
        Curves(title="Its derivative", x=Axis("x", at), y=Axis("slope"), lines=slopes),
    ]


SIGMOID_AND_STEP = Lesson(
    "sigmoid-and-step",
    "Sigmoid against step",
    """A step jumps: a tiny change of a weight flips the output, or does nothing, and its derivative is 0 all over, so
gradient descent has nothing to go by. The sigmoid, 1 / (1 + e^-z) with z = weight · x + bias, is a smooth step: 0 far
to the left, 1 far to the right.

Make the weight large: the sigmoid becomes a step. The derivative of the sigmoid by z is at most 1/4, and next to 0
where the unit is saturated; through many layers, such factors are multiplied.""",
    [
        Slider("weight", "Weight", 1.0, -20, 20, 0.5),
        Slider("bias", "Bias", 0.0, -10, 10, 0.5),
        Slider("x", "x", 1.0, -5, 5, 0.05, play=True),
    ],
    sigmoid_and_step,
    """import nacre
from nacre.activations import sigmoid, step

for unit in (sigmoid, step):
    f = lambda x: unit($weight * x + $bias)
    value, slope = nacre.value_and_grad(f)($x)
    print(unit.__name__, value, slope)""",
)


def relu(activation: str, z: float) -> list[Figure]:
    """An activation with its derivative."""
    at = np.linspace(-4, 4, 401)
    unit = activations.get(activation)
    where = np.where(np.arange(401) == np.abs(at - z).argmin(), 1.0, np.nan)
    (y,), (slope,) = values(unit, np.array([z])), gradients(unit, np.array([z]))[0]
    tried = np.array([-2.0, -1e-6, 0.0, 1e-6, 2.0])
    rows = np.stack([tried, values(unit, tried), gradients(unit, tried)[0]], 1)
    chosen = (
        " At 0 it has none, any number from 0 to 1 would do; 0 is chosen." if activation == "relu" and z == 0 else ""
    )
    return [
        Text(text=f"{activation}({z:g}) = {y:.4g}; its derivative there is {slope:.4g}.{chosen}", strong=True),
        Curves(
            title="What the unit gives for a score z",
            x=Axis("z", at),
            y=Axis("output"),
            lines=[
                Line(activation, values(unit, at), color=BLUE),
                Line("here", where * y, color=ORANGE, dots=True),
            ],
        ),
        Curves(
            title="Its derivative",
            x=Axis("z", at),
            y=Axis("slope", range=(-0.3, 1.3)),
            lines=[
                Line("derivative", gradients(unit, at)[0], color=GREEN),
                Line("here", where * slope, color=ORANGE, dots=True),
            ],
        ),
        Table(title="Around 0", columns=["z", "output", "derivative"], rows=rows.tolist()),
    ]


RELU = Lesson(
    "relu",
    "ReLU, and other activations",
    """An activation is what a unit applies to its score z = w·x + b. ReLU is the simplest that bends: z where z is above 0,
and 0 elsewhere. Its derivative is 1 or 0, so that a gradient passes as it is, or not at all.

Move z to 0: ReLU has no derivative there, and nacre takes 0. Compare it with the sigmoid, whose derivative is at most
0.25, and with the others, most of which are smooth versions of one of the two.""",
    [
        choice("activation", "Activation", ACTIVATIONS),
        Slider("z", "z", 1.5, -4, 4, 0.05, play=True),
    ],
    relu,
    """import nacre
from nacre.activations import $activation

value, slope = nacre.value_and_grad($activation)($z)
print(value, slope)
print([float(nacre.grad($activation)(z)) for z in (-1.0, 0.0, 1.0)])""",
)


def softmax(z1: float, z2: float, z3: float, temperature: float, truth: str) -> list[Figure]:
    """Three scores as probabilities, with the loss and its gradient."""
    scores = np.array([z1, z2, z3])
    names, right = list(ANIMALS.values()), list(ANIMALS).index(truth)
    p = ops.softmax(ops.constant(scores / temperature, "float64")).numpy()
    loss, gradient = nacre.value_and_grad(lambda z: -ops.log_softmax(z)[right])(scores / temperature)
    moved = np.linspace(-6, 6, 121)
    rows = np.repeat(scores[None], 121, 0)
    rows[:, 0] = moved
    curves = ops.softmax(ops.constant(rows / temperature, "float64")).numpy()
    here = np.where(np.arange(121) == np.abs(moved - z1).argmin(), p[0], np.nan)
    return [
        Text(
            text=f"{' + '.join(f'{one:.3f}' for one in p)} = {p.sum():.3f}. "
            f"The truth is a {ANIMALS[truth]}, which has {p[right]:.3f}: the loss is -log {p[right]:.3f} = {loss:.4f}.",
            strong=True,
        ),
        Bars(
            title="Probabilities",
            bars=[Bar(name, float(one), f"{one:.4f}") for name, one in zip(names, p, strict=True)],
        ),
        Table(
            title="From scores to the gradient",
            columns=["class", "score", "probability", "log of it", "gradient of the loss"],
            rows=[
                [name, float(z), float(one), float(np.log(one)), float(g)]
                for name, z, one, g in zip(names, scores, p, gradient, strict=True)
            ],
            marked=right,
        ),
        Curves(
            title=f"If only the score of the {names[0]} changes",
            x=Axis(f"score of the {names[0]}", moved),
            y=Axis("probability", range=(-0.05, 1.05)),
            lines=[
                *(Line(name, curves[:, k]) for k, name in enumerate(names)),
                Line("here", here, color=BLUE, dots=True),
            ],
        ),
    ]


ANIMALS = {"0": "cat", "1": "dog", "2": "horse"}

SOFTMAX = Lesson(
    "softmax",
    "Softmax and cross-entropy",
    """Softmax makes probabilities of scores: e to the power of each, divided by the sum of all. None is below 0, and
together they are 1. If one score rises, its probability rises and all others fall; if it is far above the others, it
takes all. With a temperature below 1 differences count more: softmax comes close to argmax.

The loss is minus the logarithm of the probability of the true class. A logarithm of a probability is at most 0, so
the loss is at least 0; 0 has none, so one computes with scores. The gradient by the scores, divided by the
temperature, is simply probability minus truth: at first (-0.8, 0.7, 0.1).""",
    [
        Slider("z1", "Score of the cat", 0.693147, -6, 6, 0.01),
        Slider("z2", "Score of the dog", 1.94591, -6, 6, 0.01),
        Slider("z3", "Score of the horse", 0.0, -6, 6, 0.01),
        Slider("temperature", "Temperature", 1.0, 0.1, 10, log=True),
        choice("truth", "The truth", ANIMALS),
    ],
    softmax,
    """import nacre
from nacre import ops

scores = ops.constant([$z1, $z2, $z3], "float64") / $temperature
print(ops.softmax(scores))
loss, gradient = nacre.value_and_grad(lambda z: -ops.log_softmax(z)[$truth])(scores.numpy())
print(loss, gradient)""",
)
