"""Networks of layers: what they compute, how they learn, and what runs when they do."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

import nacre
from nacre.initializers import Constant, RandomUniform
from nacre.insight import first_layer
from nacre.layers import Dense, Flatten, Input
from nacre.models import Sequential
from nacre.optimizers import SGD, Adam
from nacre.studio.figures import (
    BLUE,
    GREY,
    ORANGE,
    Axis,
    Bar,
    Bars,
    Column,
    Curves,
    Drawing,
    Figure,
    Heat,
    Line,
    Network,
    Pictures,
    Table,
    Text,
    Unit,
)
from nacre.studio.lessons.lesson import Lesson, Slider, again, choice
from nacre.studio.lessons.training import Training, digits, made, train

Array = npt.NDArray[Any]

LOSS = "sparse_categorical_crossentropy"
HIDDEN = {name: name for name in ("sigmoid", "relu", "tanh")}


# ------------------------------------------------------------------ R relus

_BENT = 150  # epochs of the curve
_CURVES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "np.sin(3 * x)": ("sin(3x)", lambda x: np.sin(3 * x)),
    "np.abs(x)": ("|x|", np.abs),
    "np.sign(x)": ("a step", np.sign),
    "x**3": ("x³", lambda x: x**3),
}


def relu_network(target: str, units: int, epoch: int, seed: int) -> list[Figure]:
    """A curve that is put together of so many relus."""
    training = _bent(target, units, seed)
    model = training.at(epoch)
    at = np.linspace(-2, 2, 161)
    inside = model.inside(at[:, None])
    y = inside["output"].output[:, 0]
    kernel, bias, out, _ = model.get_weights()
    kinks = [-float(b) / float(w) for w, b in zip(kernel[0], bias, strict=True) if w]
    dots = np.full(len(at), np.nan)
    seen = [int(np.abs(at - kink).argmin()) for kink in kinks if abs(kink) <= 2]
    dots[seen] = y[seen]
    losses = training.history["loss"]
    parts = inside["hidden"].output * out[:, 0]
    return [
        Text(
            text=f"After {epoch} epochs: {units} relus, {model.count_params()} parameters, {len(seen)} kinks in sight"
            + (f", loss {losses[epoch - 1]:.4f}." if epoch else "."),
            strong=True,
        ),
        Curves(
            title="What is to be learned, and what the network says",
            x=Axis("x", at),
            y=Axis("y", range=(-2.2, 2.2)),
            lines=[
                Line("truth", _CURVES[target][1](at), color=GREY, dashed=True),
                Line("network", y, color=BLUE),
                Line("kinks", dots, color=ORANGE, dots=True),
            ],
            height=280,
        ),
        Curves(
            title="The parts that are added up: at most ten of the relus, each times its weight",
            x=Axis("x", at),
            y=Axis("y"),
            lines=[Line(f"{n + 1}", parts[:, n]) for n in range(min(units, 10))],
            height=280,
        ),
        Curves(
            title="Loss by epoch",
            x=Axis("epoch", np.arange(1, _BENT + 1)),
            y=Axis("loss", log=True),
            lines=[Line("loss", losses, color=BLUE)],
            height=180,
        ),
    ]


@lru_cache(maxsize=64)
def _bent(target: str, units: int, seed: int) -> Training:
    x = np.linspace(-2, 2, 200, dtype=np.float32)[:, None]

    def build() -> Sequential:
        spread = RandomUniform(-2, 2)  # kinks at -bias / weight, so all over
        hidden = Dense(units, "relu", kernel_initializer=spread, bias_initializer=spread, name="hidden")
        model = Sequential([Input((1,)), hidden, Dense(1, name="output")])
        model.compile(Adam(0.02), "mse")
        return model

    return train(build, x, _CURVES[target][1](x[:, 0]), _BENT, seed)


RELU_NETWORK = Lesson(
    "relu-network",
    "A network of R relus",
    """Two linear maps with R relus between: each relu is 0 on one side of its kink, and a straight line on the other. The
network adds them up, so it is a curve of straight pieces. R is a new knob, beside the weights.

With one or two relus, the curve cannot do much. How many does the sine take, and how many more help? Press the
button: other random weights, other kinks, and sometimes some relus are never on.""",
    [
        choice("target", "What is to be learned", {python: label for python, (label, _) in _CURVES.items()}),
        Slider("units", "R, the number of relus", 10, 1, 64, 1),
        Slider("epoch", "Epoch", 150, 0, _BENT, 1, play=True),
        again("Other weights at the start"),
    ],
    relu_network,
    """import numpy as np, nacre
from nacre.layers import Dense

nacre.utils.set_random_seed($seed)
x = np.linspace(-2, 2, 200)
spread = nacre.initializers.RandomUniform(-2, 2)
hidden = Dense($units, "relu", kernel_initializer=spread, bias_initializer=spread)
model = nacre.Sequential([nacre.Input((1,)), hidden, Dense(1)])
model.compile(nacre.optimizers.Adam(0.02), "mse")
history = model.fit(x, $target, epochs=max(1, $epoch), verbose=0)
print(model.count_params(), history.history["loss"][-1])""",
)


# ------------------------------------------------------------------ digits

_DIGIT_EPOCHS = 30


def digit_network(activation: str, units: int, learning_rate: float, sample: int, epoch: int) -> list[Figure]:
    """A network for handwritten digits, and what it makes of one of them."""
    training = _digits(activation, units, learning_rate)
    epoch = min(epoch, len(training.weights) - 1)
    model = training.at(epoch)
    _, (x, y) = digits()
    inside = model.inside(x[sample : sample + 1])
    hidden, p = inside["hidden"].output[0], inside["output"].output[0]
    right = int(y[sample])
    said = int(p.argmax())
    accuracy = float(model.evaluate(x, y, verbose=0)[1])
    return [
        Text(
            text=f"It says {said} with probability {p[said]:.3f}; it is a {right}. After {epoch} epochs it is right for "
            f"{100 * accuracy:.1f} % of {len(x)} digits that it never saw."
            + (f" {training.ended}" if training.ended else ""),
            strong=True,
        ),
        Pictures(
            title="The input, 8 x 8 numbers",
            pictures=[Heat.of(x[sample].reshape(8, 8), f"a {right}", colors="shade", low=0, high=1)],
            size=130,
        ),
        Bars(title="Probabilities", bars=[Bar(str(k), float(one), f"{one:.3f}") for k, one in enumerate(p)]),
        Network(
            title=f"Hidden units and outputs: 64-{units}-10, {model.count_params():,} parameters",
            layers=[
                Column(f"hidden, {activation}", [Unit(value=float(v)) for v in hidden]),
                Column("output, softmax", [Unit(str(k), float(v), f"{k}: {v:.4f}") for k, v in enumerate(p)]),
            ],
            weights=[model.get_weights()[2].round(4)],
            height=400,
        ),
        Pictures(
            title="What each hidden unit looks for: its weights, blue for and orange against",
            pictures=[
                Heat.of(one, f"unit {n}", title=str(n)) for n, one in enumerate(first_layer(_pictured(model)).pictures)
            ],
            size=56,
        ),
        Curves(
            title="Accuracy by epoch, on the digits to train on",
            x=Axis("epoch", np.arange(1, len(training.weights))),
            y=Axis("accuracy", range=(0, 1.02)),
            lines=[Line("accuracy", training.history.get("accuracy", []), color=BLUE)],
            height=180,
        ),
    ]


@lru_cache(maxsize=32)
def _digits(activation: str, units: int, learning_rate: float) -> Training:
    (x, y), _ = digits()

    def build() -> Sequential:
        layers = [Dense(units, activation, name="hidden"), Dense(10, "softmax", name="output")]
        model = Sequential([Input((64,)), *layers])
        model.compile(SGD(learning_rate), LOSS, metrics=["accuracy"])
        return model

    return train(build, x, y, _DIGIT_EPOCHS)


def _pictured(model: Sequential) -> Sequential:
    """The same network for pictures of 8 x 8."""
    return Sequential([Input((8, 8)), Flatten(), *model.layers])


DIGIT_NETWORK = Lesson(
    "digit-network",
    "A network for digits",
    """64 pixels, 15 hidden units, 10 outputs, trained by stochastic gradient descent. The same for pictures of 28 x 28 is
784-15-10, with 11,935 parameters. The target is 1 at the place of the right digit and 0 elsewhere.

Play the epochs and see the weights turn from noise into strokes. Look for a digit that it gets wrong. Then try 2
hidden units, or a learning rate 100 times smaller or larger.""",
    [
        Slider("sample", "Which digit of the test", 3, 0, 359, 1),
        Slider("epoch", "Epoch", 30, 0, _DIGIT_EPOCHS, 1, play=True),
        Slider("units", "Hidden units", 15, 1, 30, 1),
        choice("activation", "Activation", HIDDEN),
        Slider("learning_rate", "Learning rate", 0.5, 0.001, 50, log=True),
    ],
    digit_network,
    """import nacre
from nacre.layers import Dense

(x, y), (x_test, y_test) = nacre.datasets.digits.load_data()
model = nacre.Sequential([nacre.Input((64,)), Dense($units, "$activation"), Dense(10, "softmax")])
model.compile(nacre.optimizers.SGD($learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x.reshape(-1, 64) / 16, y, epochs=max(1, $epoch), verbose=0)
print(model.evaluate(x_test.reshape(-1, 64) / 16, y_test, verbose=0))""",
)


# ------------------------------------------------------------------ the chain


def chain(depth: int, activation: str, weight: float, x: float, target: float, step: int) -> list[Figure]:
    """Back-propagation through a chain of units of one input each, step by step."""
    model = _chain(depth, activation, weight)
    found = nacre.explain.explain(model, np.array([[x]], np.float32), np.array([target], np.float32))
    links = [one for one in found.layers if one.dense]
    assert found.losses is not None
    loss = float(found.losses[0])
    forward = min(step, depth)  # so many layers have given their output; the loss is the step after them
    back = min(max(0, step - depth - 2), depth)  # so many layers have passed the gradient on, after the loss did
    rows: list[list[str | float | int | None]] = []
    for number, link in enumerate(links, 1):
        there = [_one(link.inputs[0]), _one(link.scores), _one(link.output)] if number <= forward else [None] * 3
        gone = number > depth - back
        slope = 1.0 if link.slope is None else _one(link.slope)
        passed = [slope, _one(link.score_error), _one(link.weights["kernel"].gradient)] if gone else [None] * 3
        rows.append([f"layer {number}", *there, *passed])
    names = ["x", *(f"o{n}" for n in range(1, depth + 1))]
    values = [x, *(_one(link.output) if n < forward else None for n, link in enumerate(links))]
    if step <= depth:
        what = f"Forward: {forward} of {depth} layers, each keeps its input u."
    elif step == depth + 1:
        what = f"The loss is ½ (o{depth} - target)² = {loss:.4g}."
    else:
        buffer = _one(links[-1].error) if not back else _one(links[depth - back].score_error) * weight
        what = (
            f"Loss {loss:.4g}. Backward: the buffer was 1, and is now {buffer:.4g}, "
            f"the gradient of the loss by {names[depth - back]}."
        )
    marked = depth - back if back else forward - 1 if 0 < step <= depth else None
    sizes = [_one(link.weights["kernel"].gradient) if n >= depth - back else 0.0 for n, link in enumerate(links)]
    seen = [abs(size) or None for size in sizes]
    return [
        Text(text=what, strong=True),
        Network(
            title=f"o = {activation}(w·u + b), with w = {weight:g} and b = 0.1 in each layer",
            layers=[
                Column(name, [Unit("" if v is None else f"{v:.3g}", v)]) for name, v in zip(names, values, strict=True)
            ],
            weights=[np.array([[weight]])] * depth,
            height=120,
        ),
        Table(
            title="What each layer keeps going forward, and what comes of it going back",
            columns=["", "u", "z = w·u + b", "o", "slope do/dz", "buffer: dL/dz", "gradient dL/dw = buffer · u"],
            rows=rows,
            marked=marked,
        ),
        Curves(
            title="Size of the gradient by each weight",
            x=Axis("layer", np.arange(1, depth + 1)),
            y=Axis("|dL/dw|", log=True),
            lines=[
                Line("gradient", seen, color=BLUE),
                Line("layers", seen, color=BLUE, dots=True),
            ],
            height=180,
        ),
    ]


def _chain(depth: int, activation: str, weight: float) -> Sequential:
    kernel, bias = Constant(weight), Constant(0.1)
    links = [
        Dense(1, activation, kernel_initializer=kernel, bias_initializer=bias, name=f"layer{n + 1}")
        for n in range(depth)
    ]
    model = Sequential([Input((1,)), *links])
    model.compile(SGD(0.1), "half_squared_error")
    return model


def _one(array: Array | None) -> float:
    assert array is not None
    return float(array.item())


CHAIN = Lesson(
    "backpropagation",
    "Back-propagation, with its buffer",
    """Forward, each layer keeps its input u. Backward, a buffer starts at 1 at the loss; at each layer it is multiplied by
the derivative of what the layer does, and the gradient by the weight is the buffer times the kept input. The
derivative of a layer's output by the weights of a later layer is 0: what comes behind cannot change it.

Play the steps. Then take ten sigmoids and look at the gradients: every layer multiplies by a slope of at most 1/4,
and they vanish towards the first. With relu and a weight above 1 they explode.""",
    [
        Slider("step", "Step", 10, 0, 22, 1, play=True),
        Slider("depth", "Layers", 4, 1, 10, 1),
        choice("activation", "Activation", {**HIDDEN, "linear": "none"}),
        Slider("weight", "Weight w of each layer", 1.5, -3, 3, 0.05),
        Slider("x", "x", 1.0, -2, 2, 0.05),
        Slider("target", "Target", 0.0, -2, 2, 0.05),
    ],
    chain,
    """import numpy as np, nacre
from nacre.initializers import Constant
from nacre.layers import Dense

given = {"kernel_initializer": Constant($weight), "bias_initializer": Constant(0.1)}
model = nacre.Sequential([nacre.Input((1,)), *(Dense(1, "$activation", **given) for _ in range($depth))])
model.compile(nacre.optimizers.SGD(0.1), "half_squared_error")
print(model.explain(np.array([[$x]]), np.array([$target])))""",
)


# ------------------------------------------------------------------ the graphs


def forward_graph(activation: str, layers: int, units: int, kind: str) -> list[Figure]:
    """The graph of a prediction, and what came out of each node."""
    (x, _), _ = digits()
    return _graph(_drawn(activation, layers, units).graph(x[:32], kind=kind, predict=True), "forward")


def backward_graph(activation: str, layers: int, units: int, kind: str) -> list[Figure]:
    """The graph of a training step."""
    (x, y), _ = digits()
    return _graph(_drawn(activation, layers, units).graph(x[:32], y[:32], kind=kind), "backward")


def _drawn(activation: str, layers: int, units: int) -> Sequential:
    def build() -> Sequential:
        hidden = [Dense(units, activation, name=f"hidden{n + 1}") for n in range(layers)]
        model = Sequential([Input((64,)), *hidden, Dense(10, "softmax", name="output")], name="digits")
        model.compile(SGD(0.1), LOSS)
        return model

    return made(build)


def _graph(diagram: Any, part: str) -> list[Figure]:
    nodes = [node for node in diagram.nodes if node.part == part]
    holding = [node for node in nodes if node.parameter or node.weights]
    sums = diagram.sums()
    if part == "forward":
        said = (
            f"{len(nodes)} nodes run forward, {len(holding)} of them with parameters; "
            f"{sums['forward']:,} multiplications and additions for 32 digits."
        )
    else:
        said = (
            f"{len(nodes)} nodes run backward, the other way. They take {sums['backward'] / sums['forward']:.2f} times the "
            "operations of the forward graph: for each product of matrices two, one for the gradient by the weights "
            "and one for that by the input, which the first layer does not need."
        )
    partner = "partner going forward" if part == "backward" else "weights"
    rows: list[list[str | float | int | None]] = []
    for node in nodes:
        weights = ", ".join(
            f"{weight.name.rpartition('/')[2]} {'x'.join(map(str, weight.shape))}" for weight in node.weights
        )
        shape = " x ".join(map(str, node.shape))
        ends = [None, None] if node.range is None else [node.range.low, node.range.high]
        rows.append([node.name, node.formula, shape, (node.partner or "") if part == "backward" else weights, *ends])
    return [
        Text(text=said, strong=True),
        Drawing(svg=diagram.svg(), label=diagram.title, title=diagram.title),
        Table(title="Node by node", columns=["node", "formula", "shape", partner, "least", "largest"], rows=rows),
    ]


_GRAPH_CONTROLS = [
    choice("activation", "Activation", {"relu": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}),
    Slider("layers", "Hidden layers", 1, 0, 3, 1),
    Slider("units", "Units of each", 16, 1, 64, 1),
    choice("kind", "Nodes", {"layers": "what a layer does", "operations": "every operation"}),
]
_GRAPH_CODE = """import nacre
from nacre.layers import Dense

hidden = [Dense($units, "$activation") for _ in range($layers)]
model = nacre.Sequential([nacre.Input((64,)), *hidden, Dense(10, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
"""

FORWARD_GRAPH = Lesson(
    "forward-graph",
    "The forward graph",
    """A network is a graph of simple operations: data flow from x to the predictions. Nodes with a strong border hold
parameters: products with a matrix, to which biases are added. The others, such as relu and softmax, hold none. This
is the very graph that the engine runs, with the numbers that came out for 32 digits.

Add layers, and see the graph grow. Then look at every operation: a layer is a product, a sum and an activation.""",
    _GRAPH_CONTROLS,
    forward_graph,
    _GRAPH_CODE + 'print(model.graph(kind="$kind", predict=True))',
)

BACKWARD_GRAPH = Lesson(
    "backward-graph",
    "The backward graph",
    """Training needs a second graph, in which data flow the other way, from the loss to the weights. Each of its nodes
belongs to a node of the forward graph, and knows its derivative; the chain rule multiplies them. nacre writes it by
itself, from the forward graph alone.

The loss is where both meet. Behind them comes the update: each weight less its gradient times the learning rate.""",
    _GRAPH_CONTROLS,
    backward_graph,
    _GRAPH_CODE + 'print(model.graph(kind="$kind"))',
)
