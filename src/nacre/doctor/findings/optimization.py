"""What is wrong with how the weights are moved: rate, batch, clipping, decay, and what holds them back."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any

import numpy as np

from nacre import ops
from nacre.constraints import Rule
from nacre.doctor.case import Array, Case, Described
from nacre.doctor.facts import NOISE, Facts, how_far_of, learned
from nacre.doctor.finding import Finding, Fix
from nacre.layers import BatchNormalization
from nacre.training import Call

_ENOUGH = 0.9  # of what there is to learn: nothing is said of the rate then
_FAR_BETTER = 0.25  # of what there is to learn, more than without
_GOOD = 0.6  # of what there is to learn: random features work
_OF_UNITS, _OF_INPUTS = 0.6, 0.4  # shares that are dropped; few of the units, and fewer of the inputs, can be spared
_PASSED = 0.15  # of what all layers of dropout let pass
_USUAL = 0.2  # share that is dropped
_HELD = 0.3  # of a weight, that a constraint takes away
_LOWEST, _HIGHEST = 1e-4, 10.0  # rates that are tried


def learning_rate(facts: Facts) -> Iterator[Finding]:
    """A rate at which the network learns far less, for other rows, than at another one."""
    rate = facts.case.model.optimizer.get_config()["learning_rate"]
    if not isinstance(rate, float) or not any(w.trainable for w in facts.case.model.weights):
        return
    unsteady = facts.trial.broke or _rising(facts)
    if facts.learned > _ENOUGH and not unsteady:
        return
    blind = facts.learned < 0.05  # not even the rows it sees are learned
    base = facts.learned if blind else min(facts.learned, facts.judged)  # else what is learned by heart does not count
    came: dict[float, float] = {}
    for tried in _others(rate, unsteady):
        found = facts.try_(facts.case.optimized_by(learning_rate=tried))
        came[tried] = learned(found, facts.task)
        if not blind:
            came[tried] = min(came[tried], how_far_of(found, facts.task))
        if came[tried] > max(_ENOUGH, base + _for_more(base)):
            break
    best = max(came, key=lambda r: came[r])
    enough = _FAR_BETTER if best < rate else _for_more(base)
    if came[best] - base < enough and not (facts.trial.broke and came[best] > 0.05):
        return
    numbers: dict[str, Any] = {
        f"learned at {r:g} (0: nothing, 1: all)": a for r, a in sorted({rate: base, **came}.items())
    }
    if facts.trial.broke:
        numbers[f"the loss at {rate:g}"] = "not finite in the end"
    code = f"model.optimizer.learning_rate = {best:g}  # before fit, with fresh weights"
    where = "anew, or from where the loss was at its best" if best < rate else "anew"
    fix = Fix(
        f"Take {best:g}, and begin {where}.",
        code,
        lambda case: case.optimized_by(learning_rate=best).fresh(),
        keeps=True,
    )
    if best < rate:
        why = (
            "Each step jumps over the valley that it should go down into: the loss goes up and down, or beyond all bounds. "
            "Units of relu may die of one such step."
        )
        yield Finding("learning rate too large", f"{rate:g} is too large", 74, numbers, why, fix)
    else:
        why = "The steps go the right way, and are so short that the training ends long before the network has learned."
        yield Finding("learning rate too small", f"{rate:g} is too small", 72, numbers, why, fix)


def _others(rate: float, unsteady: bool) -> list[float]:
    """Rates to try, the nearest first: lower ones if the loss goes up, else both ways."""
    lower, higher = ([float(f"{rate * 10.0 ** (sign * n):.6g}") for n in range(1, 9)] for sign in (-1, 1))
    lower = [r for r in lower if r >= _LOWEST] or lower[:1]
    higher = [r for r in higher if r <= _HIGHEST] or higher[:1]
    return lower if unsteady else [r for pair in zip_longest(higher, lower[:2]) for r in pair if r is not None]


def momentum(facts: Facts) -> Iterator[Finding]:
    """Momentum that carries on for too long."""
    config = facts.case.model.optimizer.get_config()
    for name, usual in (("momentum", 0.9), ("beta_1", 0.9)):
        value = config.get(name)
        if isinstance(value, float) and value >= 0.98:
            yield Finding(
                "momentum too large",
                f"{name} is {value:g}",
                76,
                {name: value, "steps that a gradient carries on for": 1 / max(1 - value, 1e-9)},
                "A step is mostly what earlier steps were: the network rolls through the valley and up again, and the "
                "effective rate is "
                f"{1 / max(1 - value, 1e-9):.0f} times the one that was said.",
                Fix("Take 0.9.", f"{name}=0.9", partial(_with, name=name, value=usual), keeps=True),
                sure=False,
            )


def clipping(facts: Facts) -> Iterator[Finding]:
    """Gradients that are clipped to next to nothing."""
    config = facts.case.model.optimizer.get_config()
    total = math.sqrt(sum(float(n.mean()) ** 2 for n in facts.start.norms.values()))
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        limit = config.get(name)
        if limit is not None and total > 20 * limit:
            yield Finding(
                "clipping too tight",
                f"{name}={limit:g} cuts nearly all of the gradient off",
                77,
                {"norm of the gradient": total, name: limit},
                "Clipping is for rare gradients that are far too large. If every gradient is clipped, the step has "
                "the length of the limit, and "
                "the network crawls.",
                Fix(
                    "Clip at a few times the usual norm.",
                    f"{name}={max(1.0, round(3 * total, 1)):g}",
                    partial(_with, name=name, value=max(1.0, 3 * total)),
                    keeps=True,
                ),
                sure=False,
            )


def schedule(facts: Facts) -> Iterator[Finding]:
    """A rate that falls before anything is learned."""
    rate = facts.case.model.optimizer.get_config()["learning_rate"]
    if not isinstance(rate, dict):
        return
    rows, epochs = facts.plan
    steps = epochs * -(-rows // facts.case.batch_size)
    rates = facts.case.model.optimizer.numbers(max(steps, 2))["learning_rate"]
    most, half = float(np.max(rates)), float(rates[len(rates) // 3])
    if half > 0.02 * most:
        return
    yield Finding(
        "learning rate falls too early",
        f"after a third of {steps:,} steps it is {half / most:.2g} of what it was",
        75,
        {"largest rate": most, f"at step {len(rates) // 3:,}": half},
        "Lowering the rate helps at the end, when the network is near a valley. If it falls before, the network stays "
        "where it happens to be.",
        Fix(
            "Let it fall over the whole training.",
            f"nacre.optimizers.schedules.CosineDecay({most:g}, decay_steps={steps})",
            lambda case: case.optimized_by(
                learning_rate={
                    "class_name": "CosineDecay",
                    "config": {"initial_learning_rate": most, "decay_steps": steps},
                }
            ).fresh(),
            keeps=True,
        ),
        sure=False,
        needed=0.05,
    )


def batch_size(facts: Facts) -> Iterator[Finding]:
    """So few steps for an epoch that nothing is learned, or batches of so few rows that it is noise."""
    rows, size = len(facts.case), facts.case.batch_size
    if size > 64 and rows / size < 12 and facts.learned < _ENOUGH:
        better = max(16, min(64, rows // 40))
        yield Finding(
            "batch too large",
            f"an epoch of batches of {size:,} has {-(-rows // size)} steps",
            73,
            {"rows": rows, "batch_size": size, "steps of an epoch": -(-rows // size)},
            "The weights only move once for each batch. A large batch makes each step a little more exact, and there "
            "are too few of them.",
            Fix(
                f"Take batches of {better}.",
                f"model.fit(x, y, batch_size={better})",
                lambda case: case.with_(batch_size=better).fresh(),
                keeps=True,
            ),
            sure=False,
        )
    if size <= 2 and rows >= 200:
        normalized = any(type(c.layer).__name__ == "BatchNormalization" for c in facts.start.calls)
        why = "The gradient of one or two rows is mostly noise, and the machine does far less in a second than with larger batches."
        if normalized:
            why = "Batch normalization divides by the spread of the batch: that of one or two rows is no measure of anything."
        yield Finding(
            "batch too small",
            f"batches of {size} row{'s' * (size > 1)}" + (" are normalized" if normalized else ""),
            79 if normalized else 52,
            {"batch_size": size, "rows": rows},
            why,
            Fix(
                "Take batches of 32.",
                "model.fit(x, y, batch_size=32)",
                lambda case: case.with_(batch_size=32).fresh(),
                keeps=True,
            ),
            sure=normalized,
            structure=normalized,
        )


def regularization(facts: Facts) -> Iterator[Finding]:
    """Penalties and decay that weigh more than the data."""
    model = facts.case.model
    penalty = _penalty(facts)
    loss = facts.first_loss - penalty
    decay = model.optimizer.get_config().get("weight_decay") or 0.0
    of_outputs = any(layer.activity_regularizer is not None for layer in model._parts())
    strong = penalty > 0.5 * max(loss, 1e-9) or (of_outputs and facts.judged < _ENOUGH)
    if not strong and decay < 0.05:
        return
    yield Finding(
        "regularization too strong",
        "keeping weights small counts more than the data",
        76,
        {"penalty in the loss": penalty, "the rest of the loss": loss} | ({"weight_decay": decay} if decay else {}),
        "What pulls all weights to 0 is stronger than what the data say: the network forgets as fast as it learns.",
        Fix(
            "Make it a hundred times weaker.",
            "kernel_regularizer=nacre.regularizers.L2(1e-4)" + ("\nweight_decay=1e-4" if decay else ""),
            lambda case: _less_regularized(case, decay),
            keeps=True,
        ),
        sure=False,
        needed=0.08,
    )


def dropout(facts: Facts) -> Iterator[Finding]:
    """So much dropped that hardly anything gets through."""
    calls = facts.start.calls
    begin = next((n for n, c in enumerate(calls) if c.layer.trainable_weights or c.layer.own_weights), 0)
    noisy = [(n < begin, c) for n, c in enumerate(calls) if isinstance(c.layer, NOISE) and hasattr(c.layer, "rate")]
    passed = math.prod(1 - _rate(c) for _, c in noisy)
    strong = [c for early, c in noisy if _rate(c) >= (_OF_INPUTS if early else _OF_UNITS)]
    if not strong and passed < _PASSED:
        strong = [c for _, c in noisy if _rate(c) > _USUAL]
    if not strong:
        return
    names = {c.name for c in strong}
    inputs = " of the inputs" if any(early and c is strong[0] for early, c in noisy) else " of the units"
    yield Finding(
        "dropout too strong",
        f"{strong[0].name!r} drops {_rate(strong[0]):.0%}{inputs}",
        76,
        {f"rate of {c.name!r}": _rate(c) for c in strong} | {"what all of them let pass": passed},
        "Dropout keeps units from relying on single others. If most of them are missing at each step, what is "
        "left is too little to learn; an input that is missing is replaced by no other.",
        Fix(
            "Drop a fifth.",
            f"Dropout({_USUAL})",
            lambda case: case.rebuilt(partial(_less_dropped, names=names)),
            keeps=True,
        ),
        sure=False,
        needed=0.05,
    )


def constraint(facts: Facts) -> Iterator[Finding]:
    """Constraints that keep the weights from where the data want them."""
    bound = {n: w for n, w in facts.case.model.named.items() if w.trainable and w.constraint is not None}
    if not bound:
        return
    free = facts.try_(facts.case.rebuilt(_unbound)).model.named
    taken = {
        n: _taken(w.constraint, free[n].numpy()) for n, w in bound.items() if n in free and w.constraint is not None
    }
    held = {name: share for name, share in taken.items() if share > _HELD}
    if not held:
        return
    most = max(held, key=lambda name: held[name])
    yield Finding(
        "constraint too tight",
        f"{type(bound[most].constraint).__name__} holds {most!r} back",
        78,
        {f"trained without it, it would take of {name!r}": share for name, share in list(held.items())[:4]},
        "After each step the weights are taken back to what the constraint allows. What the data ask for lies far outside, so that "
        "the training pulls at them for nothing.",
        Fix(
            "Leave it out, or allow more.",
            "Dense(units, kernel_constraint=nacre.constraints.MaxNorm(3.0))",
            lambda case: case.rebuilt(_unbound),
            keeps=True,
        ),
        sure=False,
    )


def _taken(constraint: Rule, weight: Array) -> float:
    """What a constraint takes away of a weight, in parts of its length."""
    left = ops.evaluate([ops.operand(constraint(ops.constant(weight)))])[0]
    return float(np.linalg.norm(weight - left) / max(float(np.linalg.norm(weight)), 1e-30))


def _rate(call: Call) -> float:
    return float(getattr(call.layer, "rate", 0.0))


def _unbound(layer: Described) -> Described:
    return layer | {"config": {k: None if k.endswith("_constraint") else v for k, v in layer["config"].items()}}


def slow_statistics(facts: Facts) -> Iterator[Finding]:
    """Batch normalization whose means for prediction follow so slowly that they never arrive."""
    steps = facts.plan[1] * -(-facts.plan[0] // facts.case.batch_size)
    slow = [
        c
        for c in facts.start.calls
        if isinstance(c.layer, BatchNormalization) and c.layer.momentum**steps > 0.1 and facts.fresh
    ]
    if slow and isinstance(slow[0].layer, BatchNormalization):
        momentum = slow[0].layer.momentum
        yield Finding(
            "batch normalization lags",
            f"the means of {slow[0].name!r} are far behind after {steps:,} steps",
            81,
            {"momentum": float(momentum), "share of the beginning left in them": float(momentum**steps)},
            "In training a batch is normalized by its own mean and spread, in prediction by running means of these. With such a "
            "momentum they have hardly moved: the network predicts with numbers it never saw.",
            Fix(
                "Let them follow faster.",
                "BatchNormalization(momentum=0.9)",
                lambda case: case.rebuilt(_faster),
                keeps=True,
            ),
            sure=False,
        )


def _faster(layer: Described) -> Described:
    if layer["class_name"] != "BatchNormalization":
        return layer
    return layer | {"config": layer["config"] | {"momentum": 0.9}}


def frozen(facts: Facts) -> Iterator[Finding]:
    """Layers that never move, though they never learned anything."""
    idle = [link for link in facts.links if not link.dense.trainable]
    if not idle or not facts.fresh:
        return
    # Many random features with a layer that is trained behind them are a method of its own, if it works.
    wide = all(link.dense.units >= link.call.inputs[0].shape[-1] for link in idle)
    meant = wide and facts.links[-1].dense.trainable and facts.judged > _GOOD
    yield Finding(
        "frozen layers",
        f"{', '.join(repr(link.name) for link in idle[:3])} cannot change",
        15 if meant else 80,
        {
            "weights that cannot change": sum(link.dense.count_params() for link in idle),
            "of": facts.case.model.count_params(),
        },
        "A layer that is frozen keeps its weights. That is right for weights that were learned elsewhere; these are random, which "
        "is only good where there are many of them.",
        Fix("Let it learn.", "layer.trainable = True  # and compile again", lambda case: case.rebuilt(_thawed)),
        sure=False,
        needed=0.05,
    )


def _with(case: Case, name: str, value: float) -> Case:
    return case.optimized_by(**{name: value}).fresh()


def _thawed(layer: Described) -> Described:
    return layer | {"config": layer["config"] | {"trainable": True}}


def _less_dropped(layer: Described, names: set[str]) -> Described:
    config = layer["config"]
    return layer | {"config": config | {"rate": _USUAL}} if config["name"] in names else layer


def _less_regularized(case: Case, decay: float) -> Case:
    def change(layer: Described) -> Described:
        config = dict(layer["config"])
        for name in ("kernel_regularizer", "bias_regularizer", "activity_regularizer"):
            found = config.get(name)
            if isinstance(found, dict):
                weaker = {k: v / 100 if isinstance(v, float) else v for k, v in found["config"].items()}
                config[name] = found | {"config": weaker}
        return layer | {"config": config}

    again = case.rebuilt(change)
    return again.optimized_by(weight_decay=min(decay, 1e-4)) if decay else again


def _penalty(facts: Facts) -> float:
    """What regularizers of weights add to the loss."""
    total = 0.0
    for w in facts.case.model.weights:
        if w.regularizer is not None and w.trainable:
            total += float(ops.evaluate([ops.operand(w.regularizer(ops.constant(w.numpy())))])[0])
    return total


def _for_more(base: float) -> float:
    """How much more must be learned at a higher rate: a short training flatters it, so it counts only where little was learned."""
    return _FAR_BETTER if base < 0.3 else 0.5


def _rising(facts: Facts) -> bool:
    """Whether the loss ends clearly above what it was to begin with, or at best."""
    losses = [x for x in facts.trial.losses if math.isfinite(x)]
    if len(losses) < 6:
        return False
    end, begin = float(np.median(losses[-4:])), facts.first_loss
    return end > 1.3 * begin or end > 3 * min(losses) + 0.3


RULES = (
    frozen,
    constraint,
    slow_statistics,
    clipping,
    momentum,
    regularization,
    schedule,
    learning_rate,
    batch_size,
    dropout,
)
