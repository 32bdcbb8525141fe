"""What `compile` says of each output of a model: its loss, and what is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from nacre import losses, metrics
from nacre.configured import known, serialize
from nacre.errors import UsageError, did_you_mean
from nacre.ir import TensorType
from nacre.layers import Activation, Dense, Softmax
from nacre.layers.layer import Shape
from nacre.losses import Loss
from nacre.training.program import Target

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Judged:
    """One output: its loss and how much of it counts, and metrics as they were given, by name or as objects."""

    loss: Loss | None = None
    share: float | None = None
    metrics: tuple[Any, ...] = ()
    weighted_metrics: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return self.loss is not None or bool(self.metrics) or bool(self.weighted_metrics)

    def target(self, output: int, name: str | None, y: TensorType, y_pred: TensorType) -> Target:
        """The same with metrics that fit the types of targets and outputs."""
        chosen, weighted = (
            [metrics.get(m, y, y_pred) for m in given] for given in (self.metrics, self.weighted_metrics)
        )
        return Target(output, name, self.loss, self.share, chosen, weighted)


def judged(outputs: Sequence[str], loss: Any, loss_weights: Any, measured: Any, weighted: Any) -> tuple[Judged, ...]:
    """The arguments of `compile`, checked, for each output. Raises `UsageError` and `UnknownName`."""
    if loss is None:
        raise UsageError("compile needs a loss.", hint='for example loss="sparse_categorical_crossentropy"')
    found = by_output("loss", loss, outputs, for_all=True)
    shares = by_output("loss_weights", loss_weights, outputs)
    lists = [
        by_output(what, _listed(what, given, len(outputs)), outputs, lists=True)
        for what, given in (("metrics", measured), ("weighted_metrics", weighted))
    ]
    each = tuple(
        Judged(_loss(one), _share(share), *(_metrics(what, m) for what, m in zip(_MEASURED, chosen, strict=True)))
        for one, share, *chosen in zip(found, shares, *lists, strict=True)
    )
    if all(one.loss is None for one in each):
        raise UsageError("compile needs a loss for at least one output.", {"outputs": ", ".join(outputs)})
    return each


_MEASURED = ("metrics", "weighted_metrics")


def described(outputs: Sequence[Judged]) -> dict[str, Any]:
    """The arguments of `compile` again, as JSON can hold them."""
    each: dict[str, list[Any]] = {
        "loss": [None if o.loss is None else serialize(o.loss) for o in outputs],
        "loss_weights": [o.share for o in outputs],
        **{
            what: [[m if isinstance(m, str) else serialize(m) for m in getattr(o, what)] for o in outputs]
            for what in _MEASURED
        },
    }
    return {what: given if len(outputs) > 1 else given[0] for what, given in each.items()}


def restored(said: Mapping[str, Any], outputs: int) -> dict[str, Any]:
    """The arguments of `compile` out of what `described` gave."""

    def of_each(what: str, make: Callable[[Any], Any]) -> Any:
        given = said[what]
        return [make(one) for one in given] if outputs > 1 else make(given)

    def all_of(given: Any) -> list[Any]:
        return [known(m) if isinstance(m, str) else metrics.get(m) for m in given]

    return {
        "loss": of_each("loss", lambda one: None if one is None else losses.get(one)),
        "loss_weights": of_each("loss_weights", lambda share: share),
        **{what: of_each(what, all_of) for what in _MEASURED},
    }


def blank_targets(outputs: Sequence[tuple[str, Shape]], count: int) -> list[Array]:
    """So many rows of targets for outputs (n, ...) as `Model.judged_outputs` has them, of the sort that their losses want.

    >>> [(y.shape, y.dtype.name) for y in blank_targets([("labels", (None, 7, 10)), ("numbers", (None, 1))], 2)]
    [((2, 7), 'int32'), ((2, 1), 'float32')]
    """
    found: list[Array] = []
    for sort, shape in outputs:
        sizes = [int(n or 1) for n in (shape[1:-1] if sort == "labels" else shape[1:])]
        y = np.zeros((count, *sizes), np.int32 if sort == "labels" else np.float32)
        if sort == "probabilities":
            y[..., 0] = 1
        found.append(y)
    return found


_CROSSENTROPIES = (losses.SparseCategoricalCrossentropy, losses.CategoricalCrossentropy, losses.BinaryCrossentropy)


def misfit(layer: Any, loss: Loss | None) -> str | None:
    """What surely does not fit between the layer that gives an output and the loss of that output, and what to do; None if nothing.

    >>> from nacre.layers import Dense
    >>> misfit(Dense(10, "softmax"), losses.SparseCategoricalCrossentropy())
    >>> misfit(Dense(10, name="scores"), losses.SparseCategoricalCrossentropy())
    "'scores' gives scores (linear), and sparse_categorical_crossentropy takes probabilities: end with a softmax, or say \
from_logits=True."
    """
    if type(layer) not in (Dense, Activation, Softmax) or not isinstance(loss, _CROSSENTROPIES):
        return None
    ends = "softmax" if isinstance(layer, Softmax) else getattr(layer.activation, "__name__", "")
    units, logits, two = getattr(layer, "units", None), loss.from_logits, isinstance(loss, losses.BinaryCrossentropy)
    said, better = f"{layer.name!r} gives", "sigmoid" if two else "softmax"
    if ends == "softmax" and units == 1:
        return f"{said} 1 for every row, as the softmax of one unit: let it be a sigmoid, with binary_crossentropy."
    if ends in ("softmax", "sigmoid") and logits:
        return f"{said} probabilities ({ends}), and {loss.name} is told to take scores: leave out from_logits=True."
    if isinstance(layer, Dense) and ends in ("linear", "relu", "tanh") and not logits:
        return f"{said} scores ({ends}), and {loss.name} takes probabilities: end with a {better}, or say from_logits=True."
    if ends == "sigmoid" and not two and units != 1:
        return f"{said} sigmoids, which do not add up to 1 as {loss.name} needs it: end with a softmax."
    if ends == "softmax" and two:
        return (
            f"{said} shares of 1 (softmax), and {loss.name} asks of each class by itself: categorical_crossentropy if one "
            "class is true of a row, a sigmoid if several may be."
        )
    return None


def probabilities(loss: Loss | None, outputs: Array) -> Array:
    """Probabilities (n, classes) of outputs (n, k), which are scores if the loss says ``from_logits``; one number is that of the
    second of two classes. Without a loss, outputs are taken for probabilities.

    >>> scores = np.array([[0.0, np.log(3.0)]])
    >>> probabilities(losses.SparseCategoricalCrossentropy(from_logits=True), scores).round(2).tolist()
    [[0.25, 0.75]]
    >>> probabilities(losses.BinaryCrossentropy(), np.array([[0.75]])).tolist()
    [[0.25, 0.75]]
    """
    if getattr(loss, "from_logits", False):
        alone = outputs.shape[1] == 1 or isinstance(loss, losses.BinaryCrossentropy | losses.BinaryFocalCrossentropy)
        scores = np.stack([np.zeros_like(outputs), outputs]) if alone else outputs.T
        powers = np.exp(scores - scores.max(0))
        outputs = (powers / powers.sum(0))[1] if alone else (powers / powers.sum(0)).T
    return np.concatenate([1 - outputs, outputs], 1) if outputs.shape[1] == 1 else outputs


def by_output(
    what: str, given: Any, names: Sequence[str], *, for_all: bool = False, lists: bool = False, kind: str = "output"
) -> list[Any]:
    """What was given for each of ``names``, outputs or inputs: as a dictionary, where what is missing is None, or as a list.

    What is neither is for the only one there is, or ``for_all``. With ``lists``, a list for the only one is what was given for it.
    """
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise UsageError(
                    f"{what} names the {kind} {name!r}, which the model does not have.",
                    {f"{kind}s": ", ".join(map(repr, names))},
                    did_you_mean(str(name), names),
                )
        return [given.get(name) for name in names]
    listed = isinstance(given, list | tuple)
    if len(names) == 1:
        return [given[0] if listed and not lists and len(given) == 1 else given]
    if listed:
        if len(given) != len(names):
            raise UsageError(
                f"{what} has {len(given)} entries, but the model has {len(names)} {kind}s.",
                {f"{kind}s": ", ".join(map(repr, names))},
                f"a list with one entry for each {kind}, or a dictionary by {kind}",
            )
        return list(given)
    if given is not None and not for_all:
        raise UsageError(
            f"{what} is one {type(given).__name__}, but the model has {len(names)} {kind}s.",
            {f"{kind}s": ", ".join(map(repr, names))},
            f"a list with one entry for each {kind}, or a dictionary by {kind}",
        )
    return [given for _ in names]


def _listed(what: str, given: Any, outputs: int) -> Any:
    """The metrics that were given; for the only output, a list in a list is the list."""
    if not isinstance(given, list | tuple | Mapping | None):
        _refuse(what, given)
    if outputs > 1 or not isinstance(given, list | tuple):
        return given
    return [m for part in given for m in (part if isinstance(part, list | tuple) else [part])]


def _refuse(what: str, given: Any) -> NoReturn:
    raise UsageError(
        f"{what} is a list of names, metrics or functions (y_true, y_pred), got {given!r}.",
        hint=f'for example {what}=["accuracy"]',
    )


def _loss(given: Any) -> Loss | None:
    if given is None:
        return None
    loss = losses.get(given)
    if loss.reduction in (None, "none"):
        raise UsageError(
            f"Training needs one number for a batch, but {loss.name!r} has no reduction.",
            hint='leave out reduction, or say reduction="sum"; the losses of single samples come from calling the loss itself',
        )
    return loss


def _share(given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise UsageError(
            f"A loss weight is a number, got {given!r}.",
            hint='loss_weights=[1.0, 0.2]; metrics have a name: metrics=["accuracy"]',
        )
    return float(given)


def _metrics(what: str, given: Any) -> tuple[Any, ...]:
    """Metrics of one output."""
    chosen = (given,) if isinstance(given, str | metrics.Metric) else given
    if chosen is None:
        return ()
    if not isinstance(chosen, list | tuple) or not all(
        isinstance(m, str | metrics.Metric) or callable(m) for m in chosen
    ):
        _refuse(what, given)
    for metric in chosen:
        if metric not in ("accuracy", "acc"):
            metrics.get(metric)
    return tuple(chosen)
