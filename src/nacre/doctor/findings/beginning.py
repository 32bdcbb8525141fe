"""What is wrong with the weights that a training begins with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from nacre.activations import BOUNDS
from nacre.doctor.case import Array, Case, Described
from nacre.doctor.facts import Facts, Link, rms
from nacre.doctor.finding import REMARK, Finding, Fix

_KINK = ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish")
_STRONG, _WEAK = 5.0, 0.1  # times what keeps the size of a signal
_SHRUNK, _GROWN = 0.02, 50.0  # what is left of a signal, or becomes of it, through all layers
_COMES_APART = 0.4  # of what there is to learn: then the units did not stay alike
_ONE_WAY = 0.97  # length of the mean of directions
_BOUNDED = {activation.__name__ for activation in BOUNDS} - {"relu6", "softmax", "sparsemax"}


def symmetry(facts: Facts) -> Iterator[Finding]:
    """Hidden units that are all alike, and get the same gradient for ever."""
    alike = [link.name for link in facts.links[:-1] if link.dense.units > 1 and _alike(link)]
    if not alike:
        return
    # Units that begin alike come apart where what they give goes into the next layer by different weights, if it gets there.
    for_ever = any(a.name in alike and a.chained and _hears_alike(b) for a, b in pairwise(facts.links))
    severity = 93 if for_ever or facts.judged < _COMES_APART else 15
    numbers = {f"different units in {name!r}": 1 for name in alike}
    why = (
        "Units with equal weights compute the same, get the same gradient, and stay equal for ever: the layer has one "
        "unit, however wide it "
        "is. Only chance breaks the symmetry."
    )
    fix = Fix(
        "Begin with random weights.",
        'Dense(units, kernel_initializer="glorot_uniform")  # the default; "he_normal" for relu',
        lambda case: begun_well(case, alike),
    )
    yield Finding(
        "symmetric weights", f"all units of {alike[0]!r} begin alike", severity, numbers, why, fix, structure=for_ever
    )


def signal(facts: Facts) -> Iterator[Finding]:
    """Signals that shrink or grow from layer to layer, with weights that were never trained."""
    if not facts.fresh or not facts.links:
        return
    hidden = [link for link in facts.links[:-1] if not _alike(link)]
    gains = {link.name: _gain(link) for link in facts.links if not link.normalized and not _alike(link)}
    strong = {name: g for name, g in gains.items() if g > _STRONG}
    weak = {name: g for name, g in gains.items() if g < _WEAK and name != facts.links[-1].name}
    sizes = [rms(link.activation[1].output) for link in hidden if not link.normalized]
    kinked = [link for link in hidden if link.activation[0] in _KINK and not link.normalized]
    through = sizes[-1] / sizes[0] if len(sizes) > 1 and sizes[0] > 0 else 1.0
    depth = len(sizes)
    fading = depth > 3 and len(kinked) > depth / 2 and (through < _SHRUNK or through > _GROWN)
    if not strong and not weak and not fading:
        return
    numbers: dict[str, object] = {
        f"weights of {name!r}, to what keeps the size of a signal": g for name, g in list((strong | weak).items())[:4]
    }
    if fading:
        numbers |= {
            "size of the signal in the first hidden layer": sizes[0],
            f"in the last of {depth}": sizes[-1],
            "factor of each layer": through ** (1 / (depth - 1)),
        }
    bound = [link.name for link in hidden if link.activation[0] in _BOUNDED and link.name in strong]
    grows = bool(strong) or through > _GROWN
    names = sorted({*strong, *weak} or {link.name for link in hidden})
    name = "saturated units" if bound else "exploding signal" if grows else "vanishing signal"
    title = f"the weights of {', '.join(map(repr, names[:3]))} begin too {'large' if grows else 'small'}"
    why = (
        "Each layer multiplies the signal by about the same factor on its way forward, and the gradient on its way "
        "back. Behind many layers "
        "nothing is left, or it is beyond all bounds, also where first and last layer look alike. Weights with "
        "variance 2/n (He) keep the "
        "size through relu, 1/n (Glorot) through tanh."
    )
    if bound:
        why = "Large weights drive sigmoids and tanhs to their bounds, where they are flat: no gradient passes. " + why
    fix = Fix(
        "Begin with weights of the size that keeps the signal as it is.",
        'Dense(units, activation="relu", kernel_initializer="he_normal")  # "glorot_uniform" for tanh and sigmoid',
        lambda case: begun_well(case, None),
    )
    yield Finding(name, title, 89, numbers, why, fix)


def dead(facts: Facts) -> Iterator[Finding]:
    """Units that give 0 for every row, to begin with."""
    for link in facts.links[:-1]:
        activation, call = link.activation
        if activation not in ("relu", "relu6") or _alike(link) or link.dense.units < 8:
            continue
        arriving = link.call.inputs[0]
        if (
            arriving.shape[-1] < 8 or (arriving == arriving[:1]).all()
        ):  # a lone input has one sign; a constant one is dead before
            continue
        share = float((call.output.reshape(-1, call.output.shape[-1]) <= 0).all(axis=0).mean())
        if share < (
            0.8 if _all_one_way(arriving) else 0.4
        ):  # rows that are alike find half of the units off, by chance
            continue
        bias = link.dense.bias
        numbers = {"share of units that give 0 for all rows": share}
        if bias is not None:
            numbers["mean of the biases"] = float(bias.numpy().mean())
        why = (
            "A relu that is below 0 for every row gives 0 and has gradient 0: nothing moves it any more, and it is "
            "lost. Large negative biases "
            "do that at once, steps that are too long do it on the way."
        )
        fix = Fix(
            "Begin anew with biases of 0 and weights that suit relu; or let a little through, with leaky_relu.",
            'Dense(units, activation="relu", kernel_initializer="he_normal", bias_initializer="zeros")',
            lambda case: begun_well(case, None),
        )
        yield Finding("dead ReLU", f"{share:.0%} of the units of {call.name!r} never answer", 90, numbers, why, fix)
        return


def saturated(facts: Facts) -> Iterator[Finding]:
    """Units that are at their bounds for nearly every row, to begin with."""
    for link in facts.links[:-1]:
        activation, call = link.activation
        if activation not in ("sigmoid", "tanh", "hard_sigmoid", "softsign"):
            continue
        low, high = (-1.0, 1.0) if activation in ("tanh", "softsign") else (0.0, 1.0)
        edge = 0.02 * (high - low)
        share = float(((call.output < low + edge) | (call.output > high - edge)).mean())
        if share < 0.5:
            continue
        numbers = {
            "share of outputs at the bounds": share,
            "size of the scores": rms(call.scores) if call.scores is not None else 0.0,
        }
        why = (
            "Near its bounds a sigmoid or tanh is flat: the gradient that goes through is next to 0, and what is "
            "before it hardly learns. Large "
            "weights, large biases or large inputs drive units there."
        )
        fix = Fix(
            "Begin anew with small weights and biases of 0, and bring inputs to a scale of about 1.",
            'Dense(units, activation="tanh", kernel_initializer="glorot_uniform", bias_initializer="zeros")',
            lambda case: begun_well(case, None),
        )
        yield Finding(
            "saturated units", f"{share:.0%} of what {call.name!r} gives is at its bounds", 82, numbers, why, fix
        )
        return


def certain_start(facts: Facts) -> Iterator[Finding]:
    """A network that has never learned anything, and is sure of what it says."""
    if not facts.fresh or facts.task.kind != "classes":
        return
    chance = float(np.log(facts.task.classes))
    loss = facts.trial.begun.log_loss
    if loss < 2.5 * chance + 0.5:
        return
    numbers = {"loss to begin with": loss, f"ln {facts.task.classes}, which knowing nothing costs": chance}
    why = (
        "Before it has learned anything, a network should think all classes about equally likely. The first steps "
        "only undo its certainty."
    )
    fix = Fix(
        "Begin with small weights in the last layer, and inputs of a scale of about 1.",
        'Dense(classes, kernel_initializer="glorot_uniform", activation="softmax")',
        lambda case: begun_well(case, None),
    )
    yield Finding("overconfident start", "the first answers are surely wrong", REMARK - 2, numbers, why, fix)


def begun_well(case: Case, names: list[str] | None) -> Case:
    """The case with fresh weights of a usual size in the layers of these names, or in all."""
    short = None if names is None else {name.rpartition("/")[2].partition(" (")[0] for name in names}

    def change(layer: Described) -> Described:
        config = layer["config"]
        if "kernel_initializer" not in config or (short is not None and config["name"] not in short):
            return layer
        kink = str(config.get("activation")) in _KINK
        names = {"kernel_initializer": "HeNormal" if kink else "GlorotUniform", "bias_initializer": "Zeros"}
        return layer | {"config": config | {key: {"class_name": name, "config": {}} for key, name in names.items()}}

    return case.rebuilt(change)


def _all_one_way(rows: Array) -> bool:
    """Whether all rows point into nearly the same direction."""
    flat = rows.reshape(-1, rows.shape[-1]).astype(np.float64)
    ways = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-300)
    return bool(np.linalg.norm(ways.mean(axis=0)) > _ONE_WAY)


def _alike(link: Link) -> bool:
    kernel = _kernel(link)
    bias = link.dense.bias.numpy() if link.dense.bias is not None else np.zeros(kernel.shape[1])
    return kernel.shape[1] > 1 and bool((kernel == kernel[:, :1]).all()) and bool((bias == bias[0]).all())


def _hears_alike(link: Link) -> bool:
    kernel = _kernel(link)
    return bool((kernel == kernel[:1]).all())


def _gain(link: Link) -> float:
    """How much a layer enlarges what comes in, for numbers without relation."""
    kernel = _kernel(link)
    return float(kernel.std() * np.sqrt(kernel.shape[0])) if kernel.shape[0] > 3 else 1.0


def _kernel(link: Link) -> Array:
    assert link.dense.kernel is not None
    return link.dense.kernel.numpy()


RULES = (symmetry, signal, dead, saturated)
CONSEQUENCES = (certain_start,)
