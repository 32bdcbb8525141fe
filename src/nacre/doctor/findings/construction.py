"""What is wrong with the way the network is put together, and with its loss: nothing has to be trained to see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from nacre.activations import linear
from nacre.doctor.case import Case, Described
from nacre.doctor.facts import NOISE, NORMALIZING, Facts, Link
from nacre.doctor.finding import Finding, Fix
from nacre.doctor.rates import with_better_rate
from nacre.layers import Activation, Flatten, InputLayer, Rescaling, Reshape
from nacre.ops import EPSILON

_RANGES = {
    "sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, np.inf),
    "softplus": (0.0, np.inf),
}
_CROSSENTROPIES = ("SparseCategoricalCrossentropy", "CategoricalCrossentropy", "BinaryCrossentropy")
_STRAIGHT = (*NOISE, *NORMALIZING[:1], Flatten, Reshape, Rescaling)  # what leaves a linear function linear


def missing_nonlinearity(facts: Facts) -> Iterator[Finding]:
    """Dense layers with nothing that bends between them."""
    idle = [
        (a, b)
        for a, b in pairwise(facts.links)
        if a.chained
        and a.dense.activation is linear
        and all(_is_straight(call.layer) for call in a.behind)
        # A narrow layer between wide ones is a bottleneck, which says something even without a bend.
        and a.dense.units >= min(a.call.inputs[0].shape[-1], b.dense.units)
    ]
    if not idle:
        return
    names = [a.name for a, _ in idle]
    pairs = ", ".join(f"{a.name!r} and {b.name!r}" for a, b in idle)
    weights = sum(link.dense.count_params() for link in facts.links)
    left = _collapsed(facts.links, set(names))
    numbers = {"weights": weights, "weights of as strong a network": left}
    why = (
        "A'(AX + b) + b' is A'A X + (A'b + b'): one matrix and one vector again. Without a non-linearity between "
        "them, several layers are "
        "exactly as strong as one."
    )
    fix = Fix(
        "Give these layers an activation.",
        "\n".join(f'Dense({a.dense.units}, activation="relu", kernel_initializer="he_normal")' for a, _ in idle),
        lambda case: activated(case, names, "relu"),
    )
    yield Finding("missing non-linearity", f"there is none between {pairs}", 78, numbers, why, fix)


def output_and_loss(facts: Facts) -> Iterator[Finding]:
    """An output that does not fit the loss."""
    several = list(_several_at_once(facts)) if facts.links and len(facts.case.y) == 1 else []
    yield from several
    if several or facts.task.kind == "other" or not facts.links:
        return
    last, loss = facts.links[-1], facts.case.model.loss
    activation, call = last.ending
    kind = type(loss).__name__
    logits = bool(getattr(loss, "from_logits", False))
    said = loss.name + (", from_logits=True" if logits else "")
    numbers: dict[str, Any] = {"output": f"{activation} of {call.name!r}", "loss": said}
    ends = call.name
    if activation in ("softmax", "sigmoid") and logits:
        yield Finding(
            "softmax applied twice" if activation == "softmax" else "sigmoid applied twice",
            f"{ends!r} gives probabilities, and the loss turns them into probabilities again",
            96,
            numbers,
            "Probabilities between 0 and 1 are taken for scores: after another softmax they are nearly equal, the "
            "loss cannot fall far, and "
            "gradients are small.",
            Fix(
                "Tell the loss that it gets probabilities.",
                f"model.compile(optimizer, loss=nacre.losses.{kind}(from_logits=False))",
                lambda case: _loss_with(case, from_logits=False).fresh(),
            ),
            structure=True,
        )
    elif activation == "softmax" and last.dense.units == 1:
        yield Finding(
            "softmax of one unit",
            f"{ends!r} always gives 1",
            98,
            numbers,
            "A softmax divides by the sum over its units: with one unit the result is 1, whatever the score; its gradient is 0.",
            Fix(
                "One unit takes a sigmoid.",
                'Dense(1, activation="sigmoid")',
                lambda case: _loss_for_sigmoid(activated(case, [ends], "sigmoid", None)),
            ),
            structure=True,
        )
    elif _twice(last):
        first = last.behind
        yield Finding(
            "softmax applied twice",
            f"{ends!r} gives probabilities, which go through another softmax",
            96,
            numbers,
            "Probabilities are taken for scores: after another softmax they are nearly equal, the loss cannot fall "
            "far, and gradients are "
            "small.",
            Fix(
                "Leave one of the two out.",
                f"# leave out {first[-1].name!r}",
                lambda case: activated(case, [ends], "linear", None),
            ),
            structure=True,
        )
    elif kind in _CROSSENTROPIES and not logits and activation not in ("softmax", "sigmoid"):
        rectified = activation != "linear"
        better = "sigmoid" if kind == "BinaryCrossentropy" else "softmax"
        numbers["share of the outputs that are cut off"] = _cut_off(facts, kind)
        yield Finding(
            "wrong loss for the output",
            f"{ends!r} gives scores ({activation}), and {loss.name} takes probabilities",
            97,
            numbers,
            "Scores are no probabilities: they are below 0 or above 1, are cut off there, and where they are cut off "
            "there is no gradient.",
            Fix(
                "Turn the scores into probabilities." if rectified else "Tell the loss that it gets scores.",
                f'Dense({last.dense.units}, activation="{better}")'
                if rectified
                else f"model.compile(optimizer, loss=nacre.losses.{kind}(from_logits=True))",
                (lambda case: activated(case, [ends], better, None))
                if rectified
                else (lambda case: _loss_with(case, from_logits=True).fresh()),
            ),
            structure=True,
        )
    elif activation == "sigmoid" and kind.endswith("CategoricalCrossentropy") and last.dense.units > 1:
        yield Finding(
            "wrong loss for the output",
            f"the sigmoids of {ends!r} do not add up to 1, as {loss.name} needs it",
            90,
            numbers,
            "The loss only sees the output of the true class. With a softmax, raising it lowers the others; sigmoids "
            "may all rise to 1.",
            Fix(
                "End with a softmax.",
                f'Dense({last.dense.units}, activation="softmax")',
                lambda case: activated(case, [ends], "softmax", None),
            ),
            structure=True,
        )
    elif (
        facts.task.kind == "classes"
        and kind not in (*_CROSSENTROPIES, "Hinge", "SquaredHinge", "CategoricalHinge")
        and (loss.targets == "numbers" and "rossentropy" not in kind and activation in ("softmax", "sigmoid"))
    ):
        yield Finding(
            "wrong loss for the output",
            f"{loss.name} is for numbers, and {ends!r} gives probabilities of classes",
            75 if facts.learned < 0.9 else 20,
            numbers,
            "Behind a softmax or sigmoid, the gradient of a squared or absolute error is all but 0 just where the "
            "network is surely wrong.",
            Fix(
                "Use the crossentropy.",
                f'model.compile(optimizer, loss="{_crossentropy(facts)}")',
                lambda case: case.with_loss(_crossentropy(facts)).fresh(),
            ),
        )
    elif kind in ("Poisson", "MeanSquaredLogarithmicError") and activation in ("linear", "tanh"):
        yield Finding(
            "wrong output activation",
            f"{loss.name} needs numbers above 0, and {ends!r} gives any",
            94,
            numbers,
            "The loss takes the logarithm of what is predicted: below 0 there is none, numbers are cut off there, and "
            "no gradient is left.",
            Fix(
                "Let the output be above 0.",
                f'Dense({last.dense.units}, activation="softplus")',
                lambda case: activated(case, [ends], "softplus", None),
            ),
            structure=True,
        )
    elif facts.task.kind == "numbers" and activation in _RANGES:
        low, high = _RANGES[activation]
        y = facts.targets
        beyond = float(((y < low) | (y > high)).mean())
        if beyond > 0.01:
            numbers |= {"targets": f"{y.min():.4g} to {y.max():.4g}", "share that cannot be reached": beyond}
            yield Finding(
                "wrong output activation",
                f"{ends!r} gives {low:g} to {high:g}, and {beyond:.0%} of the targets lie beyond",
                95,
                numbers,
                "What an output cannot reach it cannot learn; at its bounds there is no gradient.",
                Fix(
                    "Numbers are predicted without an activation.",
                    f"Dense({last.dense.units})",
                    lambda case: activated(case, [ends], "linear", None),
                ),
                structure=True,
            )


def _cut_off(facts: Facts, kind: str) -> float:
    """Share of the outputs, as the network is, that the crossentropy takes for `ops.EPSILON`, or for 1 less that."""
    output = facts.start.calls[-1].output.astype(np.float64)
    if kind != "BinaryCrossentropy":
        total = output.sum(axis=-1, keepdims=True)
        output = output / np.where(total == 0, 1, total)
    return float(((output <= EPSILON) | (output >= 1 - EPSILON)).mean())


def _several_at_once(facts: Facts) -> Iterator[Finding]:
    """A softmax for targets of which several may be true."""
    y = next(iter(facts.case.y.values()))
    last = facts.links[-1]
    if y.ndim != 2 or last.ending[0] != "softmax" or not set(np.unique(y[:1000]).tolist()) <= {0, 1}:
        return
    true = y.sum(axis=1)
    if (true == 1).all():
        return
    yield Finding(
        "wrong loss for the output",
        f"several classes may be true of a row, and the softmax of {last.ending[1].name!r} lets one win",
        95,
        {
            "classes true of a row": f"{true.min():g} to {true.max():g}",
            "output": "softmax",
            "loss": facts.case.model.loss.name,
        },
        "A softmax shares out 1 over the classes: where two are true, each gets a half at most. Sigmoids answer each "
        "class by itself.",
        Fix(
            "Take sigmoids, and the crossentropy of two classes for each.",
            f'Dense({last.dense.units}, activation="sigmoid")\nmodel.compile(optimizer, loss="binary_crossentropy")',
            lambda case: _loss_for_sigmoid(activated(case, [last.ending[1].name], "sigmoid", None)),
        ),
        structure=True,
    )


def rectified_scores(facts: Facts) -> Iterator[Finding]:
    """A softmax over what a relu gave."""
    for link in facts.links[-1:]:
        for call in link.behind:
            if getattr(call.layer, "activation", None) is not None and call.layer.activation.__name__ == "softmax":  # type: ignore[attr-defined]
                activation, first = link.activation
                if activation in ("relu", "sigmoid", "tanh") and first is not call:
                    yield Finding(
                        "wrong output activation",
                        f"the scores of {link.name!r} go through {activation} before the softmax",
                        70,
                        {"scores": f"{activation} of {first.name!r}", "then": f"softmax of {call.name!r}"},
                        "A softmax takes scores of any size and sign. What is cut off or bounded before cannot become "
                        "likely or unlikely enough, "
                        "and a relu lets no gradient through below 0.",
                        Fix(
                            "Leave the scores as they are.",
                            f"Dense({link.dense.units})",
                            partial(activated, names=[first.name], activation="linear", initializer=None),
                        ),
                        structure=True,
                    )


def dropout_at_the_end(facts: Facts) -> Iterator[Finding]:
    """Noise on what the network says."""
    late = [call for link in facts.links[-1:] for call in link.behind if isinstance(call.layer, NOISE)]
    if late:
        names = [call.name for call in late]
        yield Finding(
            "dropout on the output",
            f"{', '.join(map(repr, names))} drops answers of the network",
            93,
            {"layer": names[0], "behind": repr(facts.links[-1].name)},
            "In training, some of the answers are replaced by 0, right ones too: the loss cannot fall, whatever the "
            "network learns. Dropout "
            "belongs between hidden layers.",
            Fix("Take it out.", f"# leave out {names[0]!r}", partial(_left_out, names=names)),
            structure=True,
        )


def _left_out(case: Case, names: list[str]) -> Case:
    return case.rebuilt(lambda layer: [] if layer["config"]["name"] in names else layer)


def step_activation(facts: Facts) -> Iterator[Finding]:
    """Activations without any gradient."""
    names = [link.activation[1].name for link in facts.links if link.activation[0] == "step"]
    if names:
        yield Finding(
            "step activation",
            f"{', '.join(map(repr, names))} has gradient 0 everywhere and cannot be trained by SGD",
            97,
            {"gradient of the first weights": float(next(iter(facts.start.norms.values()), np.zeros(1)).mean())},
            "A step jumps from 0 to 1 and is flat elsewhere: a small change of a weight changes nothing, so its "
            "gradient is 0 and nothing before "
            "it learns. A sigmoid is a smooth step. (One layer alone is trained by the rule of the perceptron.)",
            Fix(
                "Use a smooth step, or relu.",
                'Dense(units, activation="relu")  # or "sigmoid"',
                lambda case: (
                    activated(case, names[:-1] if len(names) == len(facts.links) else names, "relu")
                    if len(names) < len(facts.links)
                    else activated(case, names, "sigmoid", None)
                ),
            ),
        )


def hidden_softmax(facts: Facts) -> Iterator[Finding]:
    """A softmax over many units in the middle of the network."""
    for link in facts.links[:-1]:
        activation, call = link.activation
        if activation != "softmax" or not link.chained or link.dense.units < 5:
            continue
        error = facts.start.norms.get(f"{link.name}/kernel")
        kernel = link.dense.kernel
        ratio = (
            float(error.mean()) / max(float(np.linalg.norm(kernel.numpy())), 1e-30)
            if error is not None and kernel is not None
            else 0.0
        )
        relu = activated(facts.case, [call.name], "relu")
        inside = Facts(relu).start
        again = float(inside.norms[f"{link.name}/kernel"].mean()) if f"{link.name}/kernel" in inside.norms else 0.0
        weights = (
            relu.model.named[f"{link.name}/kernel"].numpy() if f"{link.name}/kernel" in relu.model.named else np.ones(1)
        )
        numbers = {
            "mean activation of a unit": float(call.output.mean()),
            "gradient to weight, with the softmax": ratio,
            "gradient to weight, with relu": again / max(float(np.linalg.norm(weights)), 1e-30),
        }
        yield Finding(
            "vanishing gradient",
            f"the wide hidden softmax of {call.name!r} ({link.dense.units:,} units) lets hardly any gradient through",
            94,
            numbers,
            f"A softmax shares out 1 over its units: each of {link.dense.units:,} gets about "
            f"{1 / link.dense.units:.2g}, so the next layer hears next to nothing, and the gradient is multiplied by as "
            "little on its way back. The loss stays where guessing leaves it. A softmax belongs at the end, where its "
            "numbers are probabilities.",
            Fix(
                "Use relu in hidden layers, with a learning rate that suits it.",
                f'Dense({link.dense.units}, activation="relu", kernel_initializer="he_normal")',
                partial(_rectified, names=[call.name]),
            ),
        )


def activated(case: Case, names: list[str], activation: str, initializer: str | None = "usual") -> Case:
    """The case with fresh weights, and another activation in the layers of these names, begun as suits it."""
    short = {name.rpartition("/")[2].partition(" (")[0] for name in names}
    begin = {"relu": "HeNormal", "leaky_relu": "HeNormal"}.get(activation, "GlorotUniform")

    def change(layer: Described) -> Any:
        config = layer["config"]
        if config["name"] not in short:
            return layer
        if "activation" not in config:
            kind = "Activation"
            return {"class_name": kind, "config": {"activation": activation, "name": config["name"]}}
        config = config | {"activation": activation}
        if "kernel_initializer" in config and initializer == "usual":
            config |= {"kernel_initializer": {"class_name": begin, "config": {}}}
        return layer | {"config": config}

    return case.rebuilt(change)


def _rectified(case: Case, names: list[str]) -> Case:
    return with_better_rate(activated(case, names, "relu"))


def _is_straight(layer: Any) -> bool:
    return (
        isinstance(layer, _STRAIGHT)
        or (isinstance(layer, Activation) and layer.activation is linear)
        or isinstance(layer, InputLayer)
    )


def _collapsed(links: list[Link], idle: set[str]) -> int:
    """Weights of the network in which layers without a bend behind them are one with the next."""
    total, begin = 0, None
    for link in links:
        features = link.call.inputs[0].shape[-1] if begin is None else begin
        if link.name in idle:
            begin = features
        else:
            total += (features + 1) * link.dense.units
            begin = None
    return total


def _twice(last: Link) -> bool:
    """Whether a softmax is applied to what a softmax gave."""
    behind = [last.call, *last.behind]
    softmaxes = [
        c
        for c in behind
        if getattr(getattr(c.layer, "activation", None), "__name__", type(c.layer).__name__.lower()) == "softmax"
    ]
    return len(softmaxes) > 1


def _loss_with(case: Case, **changes: Any) -> Case:
    described = case.model.get_compile_config()["loss"]
    return case.compiled_as(loss={**described, "config": described["config"] | changes})


def _loss_for_sigmoid(case: Case) -> Case:
    return case.with_loss("binary_crossentropy")


def _crossentropy(facts: Facts) -> str:
    names = {
        "labels": "sparse_categorical_crossentropy",
        "one-hot": "categorical_crossentropy",
        "binary": "binary_crossentropy",
    }
    return names[facts.task.names]


Rule = Callable[[Facts], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    output_and_loss,
    rectified_scores,
    dropout_at_the_end,
    step_activation,
    hidden_softmax,
    missing_nonlinearity,
)
