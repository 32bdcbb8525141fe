"""Many layers: what they learn, whether they help, and what becomes of gradients."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import insight, labs
from nacre.labs import Result
from nacre.layers import Dense, Flatten, Input
from nacre.models import Sequential
from nacre.optimizers import SGD, Adam
from nacre.studio.figures import BLUE, GREEN, SKY, Axis, Curves, Figure, Heat, Line, Pictures, Table, Text
from nacre.studio.lessons.lesson import Lesson, Slider, again, choice
from nacre.studio.lessons.training import TURN, Training, digits, made, train

Array = npt.NDArray[Any]

LOSS = "sparse_categorical_crossentropy"


# ------------------------------------------------------------------ a deep network before it has learned anything


def deep_network(activation: str, depth: int, scale: float, seed: int) -> list[Figure]:
    """How large gradients are, layer by layer, at the start."""
    (x, y), _ = digits()
    model = made(lambda: _deep(activation, depth), seed)
    model.set_weights([w * np.float32(scale) if w.ndim == 2 else w for w in model.get_weights()])
    kernels = {
        name: g.astype(np.float64) for name, g in model.gradients(x[:256], y[:256]).items() if name.endswith("kernel")
    }
    norms = [float(np.linalg.norm(g)) for g in kernels.values()]
    outputs = [
        float(np.abs(call.output).mean()) for call in model.inside(x[:256]).calls if isinstance(call.layer, Dense)
    ]
    layers = np.arange(1, len(norms) + 1)
    ratio = norms[0] / norms[-1] if norms[-1] else float("nan")
    factors = [f"{here / after:.3g}" if after else "" for here, after in pairwise(norms)]
    rows: list[list[int | str]] = [
        [n, f"{norm:.3g}", factor] for n, norm, factor in zip(layers.tolist(), norms, [*factors, ""], strict=True)
    ]
    if ratio < 1e-3:
        named = "the gradient vanishes on its way to the first layer"
    elif ratio > 1e3 or norms[0] > 1e3:
        named = "the gradient explodes"
    elif max(norms) < 1e-3:
        named = "all gradients are tiny"
    else:
        named = "the first layers hear nearly as much of the loss as the last"
    bound = (
        f" Sigmoids have slopes of at most 1/4: in {depth} layers, at most 0.25^{depth} = {0.25**depth:.1e}."
        if activation == "sigmoid"
        else ""
    )
    return [
        Text(text=f"First by last layer: {ratio:.2g}; {named}.{bound}", strong=True),
        Curves(
            title="Norm of the gradient by the weights of each layer",
            x=Axis("layer", layers),
            y=Axis("norm", log=True),
            lines=[
                Line("norm", [n or None for n in norms], color=BLUE),
                Line("layers", [n or None for n in norms], color=BLUE, dots=True),
            ],
            height=260,
        ),
        Curves(
            title="Mean size of what each layer gives",
            x=Axis("layer", layers),
            y=Axis("size", log=True),
            lines=[
                Line("size", [n or None for n in outputs], color=GREEN),
                Line("layers", [n or None for n in outputs], color=GREEN, dots=True),
            ],
            height=260,
        ),
        Table(
            title="From each layer to the one before it",
            columns=["layer", "norm of the gradient", "by that of the next layer"],
            rows=rows[::-1],
        ),
    ]


def _deep(activation: str, depth: int) -> Sequential:
    hidden = [Dense(32, activation, name=f"hidden{n + 1}") for n in range(depth)]
    model = Sequential([Input((64,)), *hidden, Dense(10, "softmax", name="output")])
    model.compile(SGD(0.1), LOSS)
    return model


DEEP_NETWORK = Lesson(
    "deep-network",
    "A deep network",
    """Layers can be stacked as high as one likes. But each step back multiplies the gradient by the slope of an activation
and by the weights of a layer. Factors far below 1 make it vanish, factors far above 1 make it explode, and the first
layers live on with their random weights.

Add layers of sigmoids: each leaves about a quarter of the gradient. Choose relu, and make the weights at the start
larger or smaller. Softmax between layers builds and runs too, and is worst of all: it does not learn at the usual
settings.""",
    [
        choice(
            "activation",
            "Activation of hidden layers",
            {"sigmoid": "sigmoid", "relu": "relu", "tanh": "tanh", "softmax": "softmax"},
        ),
        Slider("depth", "Hidden layers", 10, 1, 30, 1),
        Slider("scale", "Weights at the start, times", 1.0, 0.25, 4, log=True),
        again("Other weights"),
    ],
    deep_network,
    """import numpy as np, nacre
from nacre.layers import Dense

(x, y), _ = nacre.datasets.digits.load_data()
nacre.utils.set_random_seed($seed)
layers = [Dense(32, "$activation") for _ in range($depth)]
model = nacre.Sequential([nacre.Input((64,)), *layers, Dense(10, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
model.set_weights([w * $scale if w.ndim == 2 else w for w in model.get_weights()])
for name, gradient in model.gradients(x[:256].reshape(-1, 64) / 16, y[:256]).items():
    print(name, np.linalg.norm(gradient))""",
)


# ------------------------------------------------------------------ what layers learn

_SHAPE_EPOCHS = 30


def what_layers_learn(layer: str, epoch: int) -> list[Figure]:
    """The units of a layer of a network that tells shapes apart."""
    training = _shapes()
    model = training.at(epoch)
    x, y = _pictures()
    units = min(12, model.get_layer(layer).units)
    accuracy = float(model.evaluate(x[600:], y[600:], verbose=0)[1])
    strongest = insight.exciting(model, x, layer, top=4)
    apart = insight.selectivity(model, x, y, layer, list(insight.SHAPES))
    liked = insight.maximize(model, layer, list(range(units)), x, steps=40).inputs
    figures: list[Figure] = [
        Text(
            text=f"After {epoch} epochs it is right for {100 * accuracy:.0f} % of shapes that it never saw. {_ABOUT[layer]}",
            strong=True,
        )
    ]
    if layer == "edges":
        figures.append(
            Pictures(
                title="The weights of its units: blue for, orange against",
                pictures=[
                    Heat.of(one, f"unit {n}", title=str(n))
                    for n, one in enumerate(insight.first_layer(model).pictures[:units])
                ],
                size=72,
            )
        )
    return [
        *figures,
        Pictures(
            title="The picture that excites each unit most, of all there could be: found by going uphill",
            pictures=[
                Heat.of(one, f"liked by unit {n}", title=str(n), colors="shade", low=0, high=1)
                for n, one in enumerate(liked)
            ],
            size=72,
        ),
        Pictures(
            title="The pictures of the data that excite each unit most",
            pictures=[
                Heat.of(
                    np.concatenate([x[row] for row in rows], 1),
                    f"for unit {n}",
                    title=f"{n}, likes {apart.classes[apart.preferred[n]]}s",
                    colors="shade",
                    low=0,
                    high=1,
                )
                for n, rows in enumerate(strongest.rows[:units].tolist())
            ],
            size=230,
        ),
        Text(
            text=f"Selectivity {apart.index.mean():.2f} on average: 1 is a unit that answers to one class alone, "
            "0 one that answers to all alike."
        ),
    ]


_ABOUT = {
    "edges": "The first layer sees pixels: its units look for strokes at a place.",
    "parts": "The second layer sees what the first found, and puts strokes together.",
    "objects": "The last layer has a unit for each kind of shape.",
}


@cache
def _pictures() -> tuple[Array, Array]:
    return insight.shapes(900, size=12)


@cache
def _shapes() -> Training:
    x, y = _pictures()

    def build() -> Sequential:
        hidden = [Dense(24, "relu", kernel_regularizer="l2", name="edges"), Dense(12, "relu", name="parts")]
        model = Sequential([Input((12, 12)), Flatten(), *hidden, Dense(3, "softmax", name="objects")])
        model.compile(Adam(0.005), LOSS, metrics=["accuracy"])
        return model

    return train(build, x[:600], y[:600], _SHAPE_EPOCHS)


WHAT_LAYERS_LEARN = Lesson(
    "what-layers-learn",
    "What layers learn: edges, parts, objects",
    """This network learns to tell lines, triangles and rectangles apart. Objects are made of parts, and parts of edges;
layers suit that: the first looks at pixels, the next at what the first found.

Play the epochs: at the start all units are noise. Then go up, layer by layer. In so small a network the order is a
tendency, not a law: some units stay noisy, and dense layers have to learn a stroke for each place anew.""",
    [
        choice("layer", "Layer", {"edges": "first: edges", "parts": "second: parts", "objects": "last: objects"}),
        Slider("epoch", "Epoch", 30, 0, _SHAPE_EPOCHS, 1, play=True),
    ],
    what_layers_learn,
    """from nacre import Input, Sequential, insight
from nacre.layers import Dense, Flatten

x, y = insight.shapes(900, size=12)
hidden = [Dense(24, "relu", kernel_regularizer="l2", name="edges"), Dense(12, "relu", name="parts")]
model = Sequential([Input((12, 12)), Flatten(), *hidden, Dense(3, "softmax", name="objects")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x[:600], y[:600], epochs=max(1, $epoch), verbose=0)
print(insight.selectivity(model, x, y, "$layer", list(insight.SHAPES)))""",
)


# ------------------------------------------------------------------ shallow against deep

DEPTHS = (1, 2, 3, 5)


def shallow_and_deep(activation: str, parameters: int, epochs: int) -> list[Figure]:
    """Accuracy by depth, at equal numbers of parameters."""
    found = _depths(activation, parameters, epochs)
    seeds = np.array([row["accuracy"]["seeds"] for row in found.rows])
    means = [float(row["accuracy"]["mean"]) for row in found.rows]
    return [
        Text(text=f"{found.verdict[0].upper()}{found.verdict[1:]}.", strong=True),
        Curves(
            title="Accuracy on 360 digits that no network saw",
            x=Axis("hidden layers", np.array(DEPTHS)),
            y=Axis("accuracy", range=(0, 1.02)),
            lines=[
                Line("mean", means, color=BLUE),
                *(Line(f"seed {n}", each, color=SKY, dots=True) for n, each in enumerate(seeds.T)),
            ],
            height=280,
        ),
        Table(
            title=found.experiment,
            columns=["hidden layers", "widths", "parameters", "accuracy", "deviation", "in training"],
            rows=[
                [
                    row["depth"],
                    row["widths"],
                    f"{row['parameters']:,}",
                    row["accuracy"]["mean"],
                    row["accuracy"]["deviation"],
                    row["accuracy in training"]["mean"],
                ]
                for row in found.rows
            ],
        ),
    ]


@lru_cache(maxsize=64)
def _depths(activation: str, parameters: int, epochs: int) -> Result:
    train_on, test = digits()
    with TURN:
        return labs.depth(
            *train_on, DEPTHS, parameters, seeds=3, activation=activation, epochs=epochs, validation_data=test
        )


SHALLOW_AND_DEEP = Lesson(
    "shallow-and-deep",
    "Shallow against deep",
    """Is it better to make a network deeper, or wider? Here networks of 1, 2, 3 and 5 hidden layers have as many parameters
as each other, within 2 %, and are trained with three seeds each, so that one sees what is chance.

With sigmoids, deep networks do not do much better than shallow ones, if at all: their gradients vanish. With relu
depth costs less. On data this simple it gains little; say so, if your figures say so.""",
    [
        choice("activation", "Activation", {"sigmoid": "sigmoid", "relu": "relu", "tanh": "tanh"}),
        Slider("parameters", "Parameters", 4000, 4000, 8000, 1000),
        Slider("epochs", "Epochs", 6, 1, 8, 1, play=True),
    ],
    shallow_and_deep,
    """import nacre

(x, y), test = nacre.datasets.digits.load_data()
print(nacre.labs.depth(x, y, $depths, $parameters, 3, activation="$activation", epochs=$epochs, validation_data=test))""".replace(
        "$depths", str(DEPTHS)
    ),
)


# ------------------------------------------------------------------ pixels in another order


def pixel_permutation(units: int, epochs: int) -> list[Figure]:
    """Digits with their pixels in another order, and what networks make of them."""
    (x, _), _ = digits()
    found = _permuted(units, epochs)
    order = np.random.default_rng(0).permutation(64)
    difference = found.figures["largest difference of predictions"]
    rows = [
        [row["inputs"], row["accuracy"]["mean"], row["accuracy"]["deviation"], row["accuracy in training"]["mean"]]
        for row in found.rows
    ]
    shades: dict[str, Any] = {"colors": "shade", "low": 0, "high": 1}
    return [
        Text(text=f"{found.verdict[0].upper()}{found.verdict[1:]}.", strong=True),
        Pictures(
            title="Six digits as they are",
            pictures=[Heat.of(one.reshape(8, 8), f"digit {n}", title=" ", **shades) for n, one in enumerate(x[:6])],
            size=84,
        ),
        Pictures(
            title="The same digits, all with their pixels in the same other order: this is what the second network sees",
            pictures=[
                Heat.of(one[order].reshape(8, 8), f"digit {n}, permuted", title=" ", **shades)
                for n, one in enumerate(x[:6])
            ],
            size=84,
        ),
        Table(title=found.experiment, columns=["inputs", "accuracy", "deviation", "in training"], rows=rows),
        Text(
            text="A trained network whose rows of weights are put in that order too gives the same predictions, "
            f"but for rounding: they differ by {difference:.1g} at most."
        ),
    ]


@lru_cache(maxsize=32)
def _permuted(units: int, epochs: int) -> Result:
    train_on, test = digits()
    with TURN:
        return labs.pixel_permutation(*train_on, (units,), seeds=3, epochs=epochs, validation_data=test)


PIXEL_PERMUTATION = Lesson(
    "pixel-permutation",
    "Pixels in another order",
    """A dense layer does not know which pixels are neighbors: each has a weight of its own. So if all pictures have their
pixels in another order, always the same, the network learns as well as before, although no human could read them any
more.

That is a limit: what it learned of a stroke at one place says nothing of the same stroke at the next.""",
    [
        Slider("units", "Hidden units", 64, 4, 128, 4),
        Slider("epochs", "Epochs", 6, 1, 8, 1),
    ],
    pixel_permutation,
    """import nacre

(x, y), test = nacre.datasets.digits.load_data()
print(nacre.labs.pixel_permutation(x, y, ($units,), 3, epochs=$epochs, validation_data=test))""",
)
