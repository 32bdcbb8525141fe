"""Linear models: how large they are, what they can do, and what lies between two of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

import nacre
from nacre import ops
from nacre.initializers import RandomNormal
from nacre.layers import Dense, Input
from nacre.models import Sequential
from nacre.optimizers import Adam
from nacre.studio.figures import BLUE, ORANGE, Axis, Bar, Bars, Curves, Figure, Heat, Line, Pictures, Table, Text
from nacre.studio.lessons.lesson import Lesson, Number, Slider, again, choice
from nacre.studio.lessons.training import Training, made, train

Array = npt.NDArray[Any]


# ------------------------------------------------------------------ counting


_KNOWN = [
    ("30 x 30 pixels, 5 classes", 900, 5),
    ("28 x 28 pixels, 10 digits", 784, 10),
    ("224 x 224 pixels, 1,000 units", 224 * 224, 1000),
    ("1,000 x 1,000 pixels of 3 colors, 1,000 classes", 3_000_000, 1000),
]


def parameters(inputs: int, outputs: int, hidden: int) -> list[Figure]:
    """How many parameters a model has; none of them is made."""
    model = _counted(inputs, outputs, hidden)
    layers = [layer for layer in model.layers if isinstance(layer, Dense)]
    rows = [
        [
            layer.name,
            f"({before:,} + 1) · {layer.units:,}",
            f"{before * layer.units:,}",
            f"{layer.units:,}",
            f"{layer.count_params():,}",
        ]
        for before, layer in zip([inputs, *(one.units for one in layers)], layers, strict=False)
    ]
    total, biases = model.count_params(), sum(layer.units for layer in layers)
    parts = {"weights": total - biases, "biases": biases}
    return [
        Text(
            text=f"{total:,} parameters: {_bytes(4 * total)} in float32, and as much again for their gradients.",
            strong=True,
        ),
        Table(
            title="Layer by layer",
            columns=["layer", "(n + 1) · k", "weights", "biases", "parameters"],
            rows=rows,
        ),
        Bars(title="What they are", bars=[Bar(name, count, f"{count:,}") for name, count in parts.items()]),
        Table(
            title="For comparison, one layer",
            columns=["of what", "inputs n", "outputs k", "(n + 1) · k"],
            rows=[[name, f"{n:,}", f"{k:,}", f"{_counted(n, k, 0).count_params():,}"] for name, n, k in _KNOWN],
        ),
    ]


def _counted(inputs: int, outputs: int, hidden: int) -> Sequential:
    layers = [Dense(hidden, "relu", name="hidden")] if hidden else []
    return Sequential([Input((inputs,)), *layers, Dense(outputs, name="output")])


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.3g} {unit}" if count < 1000 * size else f"{count / size:,.0f} {unit}"
    return f"{count} bytes"


PARAMETERS = Lesson(
    "parameters",
    "Counting parameters",
    """A linear model of n inputs and k outputs has (n + 1) · k parameters: n · k weights, and k biases, which are what the 1
is for. A picture of 224 x 224 pixels is 50,176 numbers; 1,000 units that see all of them have 50,177,000 parameters.

Type sizes of your own. With hidden units there are two such layers. One wants many parameters, until there are so
many that the network learns its examples by heart.""",
    [
        Number("inputs", "Inputs n", 900, 1, 10_000_000),
        Number("outputs", "Outputs k", 5, 1, 100_000),
        Number("hidden", "Hidden units, 0 for none", 0, 0, 100_000),
    ],
    parameters,
    """from nacre import Input, Sequential
from nacre.layers import Dense

units = $hidden
hidden = [Dense(units, "relu")] if units else []
model = Sequential([Input(($inputs,)), *hidden, Dense($outputs)])
print(f"{model.count_params():,}")""",
)


# ------------------------------------------------------------------ what a linear model can do

_TARGETS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "x[:, 0] * x[:, 1]": ("the product x1 · x2", lambda x: x[:, 0] * x[:, 1]),
    "x[:, 0] + x[:, 1]": ("the sum x1 + x2", lambda x: x[:, 0] + x[:, 1]),
    "abs(x[:, 0])": ("the size |x1|", lambda x: np.abs(x[:, 0])),
    "x[:, 0]**2 + x[:, 1]**2": ("a bowl, x1² + x2²", lambda x: x[:, 0] ** 2 + x[:, 1] ** 2),
}
_FITS, _SIDE = 60, 41  # epochs; places along a side of a picture


def linear_models(target: str, units: int, epoch: int) -> list[Figure]:
    """What a linear model and one with relus make of a function of two numbers."""
    side = np.linspace(-1, 1, _SIDE)
    plane = np.stack(np.meshgrid(side, side[::-1]), -1).reshape(-1, 2).astype(np.float32)
    right = _TARGETS[target][1](plane)
    pictures = [("the truth", right)]
    scores, lines = [], []
    for name, hidden, color in (("linear", 0, ORANGE), (f"{units} relus", units, BLUE)):
        training = _fitted(target, hidden)
        model = training.at(epoch)
        pictures.append((name, model.predict(plane, verbose=0)[:, 0]))
        scores.append(float(model.evaluate(*_held(target), verbose=0)[1]))
        lines.append(Line(name, [None, *training.history["loss"]], color=color))
    reach = float(np.abs(right).max())
    where = [None if n != epoch else value for n, value in enumerate(lines[1].values)]
    return [
        Text(
            text=f"After {epoch} epochs the linear model explains {_share(scores[0])}, "
            f"that with {units} relus {_share(scores[1])}.",
            strong=True,
        ),
        Pictures(
            title="x1 to the right, x2 upward, from -1 to 1; blue is above 0, orange below",
            pictures=[
                Heat.of(values.reshape(_SIDE, _SIDE), name, title=name, low=-reach, high=reach, smooth=True)
                for name, values in pictures
            ],
            size=190,
        ),
        Curves(
            title="Loss by epoch",
            x=Axis("epoch", np.arange(_FITS + 1)),
            y=Axis("loss", log=True),
            lines=[*lines, Line("here", where, color=BLUE, dots=True)],
        ),
    ]


@lru_cache(maxsize=64)
def _fitted(target: str, units: int) -> Training:
    x = np.random.default_rng(0).uniform(-1, 1, (500, 2)).astype(np.float32)
    return train(lambda: _regression(units), x, _TARGETS[target][1](x), _FITS, batch_size=50)


def _held(target: str) -> tuple[Array, Array]:
    x = np.random.default_rng(1).uniform(-1, 1, (500, 2)).astype(np.float32)
    return x, _TARGETS[target][1](x)


def _regression(units: int) -> Sequential:
    hidden = [Dense(units, "relu", name="hidden")] if units else []
    model = Sequential([Input((2,)), *hidden, Dense(1, name="output")])
    model.compile(Adam(0.02), "mse", metrics=["r2_score"])
    return model


def _share(r2: float) -> str:
    return f"{100 * r2:.1f} % (R² {r2:.3f})" if r2 > 0 else f"nothing (R² {r2:.3f})"


LINEAR_MODELS = Lesson(
    "linear-models",
    "What a linear model can do, and what not",
    """A linear model adds up what each input says by itself. So it is exact for a sum, and knows nothing of a product, in
which one input says what the other is worth. A layer of relus in between can bend.

Choose the product, and move the epoch: the linear model stays flat however long it trains, the other folds itself
into a saddle. How few relus are enough?""",
    [
        choice("target", "What is to be learned", {python: label for python, (label, _) in _TARGETS.items()}),
        Slider("units", "Relus", 16, 1, 32, 1),
        Slider("epoch", "Epoch", 60, 0, _FITS, 1, play=True),
    ],
    linear_models,
    """import numpy as np, nacre
from nacre.layers import Dense

x = np.random.default_rng(0).uniform(-1, 1, (500, 2))
y = $target
for hidden in ([], [Dense($units, "relu")]):
    model = nacre.Sequential([nacre.Input((2,)), *hidden, Dense(1)])
    model.compile(nacre.optimizers.Adam(0.02), "mse", metrics=["r2_score"])
    model.fit(x, y, 50, epochs=max(1, $epoch), verbose=0)
    print(model.evaluate(x, y, verbose=0))""",
)


# ------------------------------------------------------------------ the derivative of a linear function


def derivative(between: str, x1: float, x2: float, x3: float, seed: int) -> list[Figure]:
    """The derivatives of a model by its inputs, beside its matrix."""
    model = made(lambda: _small(between), seed)
    x = np.array([x1, x2, x3])
    jacobian = np.stack([_gradient(model, x, k) for k in range(2)], 1)
    other = np.stack([_gradient(model, -x - 0.3, k) for k in range(2)], 1)
    kernels = [layer.get_weights()[0].astype(np.float64) for layer in model.layers]
    product = np.linalg.multi_dot(kernels) if len(kernels) > 1 else kernels[0]
    same = np.abs(jacobian - product).max() < 1e-6
    moved = np.abs(jacobian - other).max() > 1e-6
    reach = float(np.abs([jacobian, product, other]).max())
    names = ["W" if len(kernels) == 1 else "W1 W2", "derivatives at x", "derivatives at another place"]
    norm = float(np.linalg.norm(product, 2))
    here = "are" if same else "are not"
    return [
        Text(
            text=f"The derivatives at x {here} {names[0]}; at another place they are {'others' if moved else 'the same'}."
            + (
                f" A change of x changes y by at most {norm:.3g} times as much: the norm of {names[0]}." if same else ""
            ),
            strong=True,
        ),
        Pictures(
            title="Three inputs from top to bottom, two outputs from left to right; blue is above 0, orange below",
            pictures=[
                Heat.of(values, name, title=name, low=-reach, high=reach)
                for name, values in zip(names, (product, jacobian, other), strict=True)
            ],
            size=150,
        ),
        Table(
            title="In numbers",
            columns=["", "y1 here", "y2 here", f"y1 in {names[0]}", f"y2 in {names[0]}"],
            rows=[[f"by x{n + 1}", *map(float, jacobian[n]), *map(float, product[n])] for n in range(3)],
        ),
    ]


def _small(between: str) -> Sequential:
    hidden = [] if between == "nothing" else [Dense(4, None if between == "linear" else between, use_bias=False)]
    return Sequential([Input((3,)), *hidden, Dense(2)])


def _gradient(model: Sequential, x: Array, output: int) -> Array:
    found: Array = nacre.grad(lambda v: ops.sum(model(v)[:, output]))(x[None].astype(np.float64)).numpy()[0]
    return found


DERIVATIVE = Lesson(
    "derivative-of-linear",
    "The derivative of a linear function",
    """y = x W + b has the same derivatives everywhere: they are W. That makes linear layers simple to train. Two linear
layers, one after the other, have the product of their matrices. With a relu in between, the derivatives depend on
where one is.

Move x: with one layer nothing changes but x. Then put a relu in between, and move again. A linear model is stable
only in that a change is bounded by the norm of W, and that can be large.""",
    [
        choice(
            "between",
            "The model",
            {"nothing": "one linear layer", "linear": "two linear layers", "relu": "a relu between two"},
        ),
        Slider("x1", "x1", 1.0, -3, 3, 0.1),
        Slider("x2", "x2", -0.5, -3, 3, 0.1),
        Slider("x3", "x3", 0.5, -3, 3, 0.1),
        again("Other weights"),
    ],
    derivative,
    """import numpy as np, nacre
from nacre import ops
from nacre.layers import Dense

nacre.utils.set_random_seed($seed)
between = {"nothing": [], "linear": [Dense(4, use_bias=False)], "relu": [Dense(4, "relu", use_bias=False)]}
model = nacre.Sequential([nacre.Input((3,)), *between["$between"], Dense(2)])
print(nacre.grad(lambda x: ops.sum(model(x)[:, 0]))(np.array([[$x1, $x2, $x3]])))
print(model.get_weights()[0])""",
)


# ------------------------------------------------------------------ a non-linearity between two linear maps


def non_linearity(activation: str, units: int, seed: int) -> list[Figure]:
    """A network of one number, before and after what can be one layer is one."""
    model = made(lambda: _stack(activation, units), seed)
    at = np.linspace(-3, 3, 241)
    y = model.predict(at, verbose=0)[:, 0]
    found = nacre.collapse(model)
    after = found.model.predict(at, verbose=0)[:, 0]
    line = np.polyval(np.polyfit(at, y, 1), at)
    away = float(np.abs(y - line).max())
    straight = away < 1e-4
    result = (
        f"g is linear: the whole network is one line, and {found.before} parameters do what {found.after} can do."
        if found.steps
        else f"The network bends: it is up to {away:.3g} away from any straight line through it, and no layer can go."
    )
    if straight and not found.steps:
        result = "The network is one line."
    return [
        Text(text=result, strong=True),
        Curves(
            title="What the network gives",
            x=Axis("x", at),
            y=Axis("y"),
            lines=[Line("network", y, color=BLUE), Line("collapsed", after, color=ORANGE, dashed=True)],
            height=280,
        ),
        Table(
            title="nacre.collapse",
            columns=["", "layers", "parameters"],
            rows=[
                ["as it is", len(model.layers), found.before],
                ["collapsed", len(found.model.layers), found.after],
            ],
        ),
        Text(text=str(found)),
    ]


def _stack(activation: str, units: int) -> Sequential:
    wide, narrow = RandomNormal(stddev=1.5), RandomNormal(stddev=units**-0.5)
    first = Dense(units, activation, kernel_initializer=wide, bias_initializer=wide, name="first")
    return Sequential([Input((1,)), first, Dense(1, kernel_initializer=narrow, name="second")])


NON_LINEARITY = Lesson(
    "non-linearity",
    "A non-linearity between two linear maps",
    """Two linear layers, y = (x A + b) A' + b', are one: A A' is one matrix, b A' + b' one vector. Nothing is gained,
however many units lie between. What is put between them, g, makes the difference: it is called activation, or
non-linearity.

Choose no activation: nacre.collapse proves that the network is one line, and writes that line. Choose ReLU: each unit
adds a kink, and nothing collapses. More units make finer curves.""",
    [
        choice("activation", "g", {"linear": "none", "relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}),
        Slider("units", "Units between", 8, 1, 40, 1),
        again("Other weights"),
    ],
    non_linearity,
    """import nacre
from nacre.layers import Dense

nacre.utils.set_random_seed($seed)
wide = nacre.initializers.RandomNormal(stddev=1.5)
first = Dense($units, "$activation", kernel_initializer=wide, bias_initializer=wide)
model = nacre.Sequential([nacre.Input((1,)), first, Dense(1)])
print(nacre.collapse(model))""",
)
