"""How gradients come through the network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from nacre.doctor.facts import Facts, Link, rms
from nacre.doctor.finding import Finding, Fix
from nacre.doctor.findings.beginning import begun_well
from nacre.doctor.findings.construction import activated
from nacre.doctor.rates import with_better_rate

_VANISHED, _EXPLODED = 0.01, 100.0  # of the error, from the last layer to the first
_BOUND = {"sigmoid": 0.25, "hard_sigmoid": 1 / 6, "tanh": 1.0, "softsign": 1.0}  # the largest derivative


def through_depth(facts: Facts) -> Iterator[Finding]:
    """Errors that shrink, or grow, from layer to layer on their way back."""
    waiting = [a.name for a, b in pairwise(facts.links) if _waits(a, b)]
    links = [link for link in facts.links if link.call.score_error is not None and link.name not in waiting]
    errors = [_size(link) for link in links]
    if len(links) < 3 or not errors[-1] > 0:
        return
    through = errors[0] / errors[-1]
    factors = [a / b if b > 0 else 0.0 for a, b in pairwise(errors)]
    kinds = [link.activation[0] for link in links[:-1]]
    bent = max(set(kinds), key=kinds.count)
    numbers = {
        "error in the first layer, to that in the last": through,
        "factor of each layer": ", ".join(
            f"{f:.2g}" for f in (factors if len(factors) < 9 else [*factors[:4], *factors[-4:]])
        ),
        "on average": through ** (1 / (len(links) - 1)) if through > 0 else 0.0,
    }
    if bent in _BOUND:
        numbers[f"{bent} lets through at most"] = _BOUND[bent]
        numbers["all of them at most"] = _BOUND[bent] ** (len(links) - 1)
    if through < _VANISHED:
        moved = {link.name: facts.trial.moved.get(f"{link.name}/kernel") for link in (links[0], links[-1])}
        numbers |= {
            f"{name!r} moved in a short training, of its length": far for name, far in moved.items() if far is not None
        }
        names = [link.activation[1].name for link in links[:-1] if link.activation[0] in (*_BOUND, "softmax", "linear")]
        why = (
            "On its way back the error is multiplied by the weights and by the derivative of each activation. A sigmoid's "
            "derivative is at most 1/4: behind some layers nothing is left, and the first layers keep their random weights."
            if bent in _BOUND
            else "On its way back the error is multiplied by the weights of each layer; they make it smaller each time, and "
            "the first layers keep their random weights."
        )
        fix = Fix(
            "Use relu with He's weights in hidden layers" + (", and a learning rate that suits it." if names else "."),
            'Dense(units, activation="relu", kernel_initializer="he_normal")',
            lambda case: with_better_rate(activated(case, names, "relu")) if names else begun_well(case, None),
        )
        title = f"the error shrinks {1 / max(through, 1e-300):.3g} times on its way to {links[0].name!r}"
        yield Finding("vanishing gradient", title, 88, numbers, why, fix)
    elif through > _EXPLODED:
        why = (
            "The weights of each layer enlarge the error on its way back: a step that suits the last layer is far too "
            "long for the first."
        )
        fix = Fix(
            "Begin with weights that keep its size, and clip the gradient.",
            'Dense(units, activation="relu", kernel_initializer="he_normal")\n'
            "model.compile(nacre.optimizers.SGD(0.01, global_clipnorm=1.0), loss)",
            lambda case: begun_well(case, None).optimized_by(global_clipnorm=1.0),
        )
        title = f"the error grows {through:.3g} times on its way to {links[0].name!r}"
        yield Finding("exploding gradient", title, 88, numbers, why, fix)


def _waits(link: Link, after: Link) -> bool:
    """Whether no error comes to a layer as long as the next one holds zeros, as in a block that begins as nothing."""
    return link.chained and after.dense.kernel is not None and not after.dense.kernel.numpy().any()


def _size(link: Link) -> float:
    assert link.call.score_error is not None
    return rms(link.call.score_error) * math.sqrt(link.dense.units)


RULES = (through_depth,)
