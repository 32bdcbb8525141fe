"""Settings found by trying: rates that are swept, and models that are trained side by side."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nacre.errors import NonFiniteLossError, UsageError
from nacre.models import Model
from nacre.models.files import copied
from nacre.training import Callback, History, side_by_side
from nacre.training.progress import describe
from nacre.utils import set_random_seed

Array = npt.NDArray[Any]

_SMOOTHING = 0.9  # part of the last mean that each loss leaves as it is
_BLOWN_UP = 4.0  # so many times the lowest smoothed loss, and the search is over
_BACK = 10.0  # the rate at which the loss was lowest is divided by it


@dataclass(frozen=True)
class LearningRates:
    """What `find_learning_rate` saw: at each of ``rates``, the loss of a batch, and a running mean of the losses up to it."""

    suggestion: float
    rates: Array = field(repr=False)
    losses: Array = field(repr=False)
    smoothed: Array = field(repr=False)

    def __str__(self) -> str:
        lowest = int(np.argmin(self.smoothed))
        return (
            f"try a learning rate of {self.suggestion:.1g}\n"
            f"  looked at  {self.rates[0]:.1g} to {self.rates[-1]:.1g}, in {len(self.rates)} steps\n"
            f"  loss       {self.losses[0]:.3g} to begin with, {self.smoothed[lowest]:.3g} at best, at {self.rates[lowest]:.1g}"
        )


def find_learning_rate(
    model: Model, x: Any, y: Any, lowest: float = 1e-6, highest: float = 10.0, steps: int = 100, batch_size: int = 32
) -> LearningRates:
    """Try learning rates from ``lowest`` to ``highest``, each larger than the last by the same factor, one for each batch.

    A copy of the compiled model is trained: the model stays as it was. Rows are shuffled, and gone through as often as it takes.
    The losses are smoothed by an exponential moving average; the search ends early when that is 4 times its lowest, or a loss
    is not finite. The suggestion is a tenth of the rate at which it was lowest: there the loss falls, and blowing up is far.

    L. Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3. Raises `UsageError` for an
    optimizer whose rate follows a schedule.

    >>> import nacre
    >>> x = np.linspace(-1, 1, 256).reshape(-1, 1)
    >>> model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> found = nacre.find_learning_rate(model, x, 3 * x + 2)
    >>> 0.001 < found.suggestion < 1, model.optimizer.iterations
    (True, 0)
    """
    if not isinstance(model, Model):
        raise UsageError(f"find_learning_rate looks at a compiled model, got {model!r}.")
    if not all(isinstance(n, int | float) and math.isfinite(n) for n in (lowest, highest)) or not 0 < lowest < highest:
        raise UsageError(f"The rates go from a positive number to a larger one, got {lowest!r} and {highest!r}.")
    for name, number in (("steps", steps), ("batch_size", batch_size)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1 + (name == "steps"):
            raise UsageError(f"{name} is a whole number from {1 + (name == 'steps')} on, got {number!r}.")
    schedule = model.optimizer.get_config()["learning_rate"]
    if isinstance(schedule, dict):
        raise UsageError(
            f"The learning rate follows a schedule, {schedule['class_name']}.", hint="compile with a number for it"
        )
    model.loss_function(x, y)  # whatever does not fit is said of the model itself, whose weights are made
    hint = "layers, activations and losses by the names that nacre has for them"
    trial = copied(model, "The rates are tried on a copy of the model", hint)
    random = np.random.default_rng(0)
    rates, losses, smoothed, mean = np.geomspace(lowest, highest, steps), [], [], 0.0
    order = np.zeros(0, np.int64)
    count, some = model.rows_of(x, y)
    for step, rate in enumerate(rates):
        if len(order) < min(batch_size, count):
            order = random.permutation(count)
        rows, order = order[:batch_size], order[batch_size:]
        trial.optimizer.learning_rate = float(rate)
        try:
            losses.append(float(trial.train_on_batch(*some(rows), return_dict=True)["loss"]))
        except NonFiniteLossError:
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * losses[-1]
        smoothed.append(mean / (1 - _SMOOTHING ** (step + 1)))
        if smoothed[-1] > _BLOWN_UP * min(smoothed):
            break
    if not losses:
        raise NonFiniteLossError("The loss is not finite to begin with.", hint="other weights, or scaled inputs")
    suggestion = float(rates[int(np.argmin(smoothed))] / _BACK)
    return LearningRates(suggestion, rates[: len(losses)], np.array(losses), np.array(smoothed))


class Replica(NamedTuple):
    """One of the models that `fit_many` trained."""

    model: Model
    history: History


def fit_many(
    build: Callable[..., Model],
    x: Any,
    y: Any,
    *,
    seeds: Iterable[int],
    settings: Iterable[Mapping[str, Any]] | None = None,
    verbose: int = 0,
    **fit: Any,
) -> list[Replica]:
    """Train replicas that differ in seed, or in what ``build`` is told, side by side, each on one thread.

    For each of ``seeds``, the seed is set and ``build(**setting)`` gives a compiled model; ``settings`` has one dictionary for each
    seed, such as ``{"learning_rate": 0.1}``. ``fit`` is what `Model.fit` takes. Each replica ends with the very bits that it would
    have alone. Returns the replicas, with their histories, in the order of the seeds.

    Raises `UsageError` if there are not as many settings as seeds, or if ``build`` gives no model, or the same one twice. Ctrl-C
    ends all replicas after the epoch they are in.

    >>> import nacre
    >>> def build(units):
    ...     model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(units, "tanh"), nacre.layers.Dense(1)])
    ...     model.compile("sgd", "mse")
    ...     return model
    >>> x = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> found = nacre.fit_many(build, x, x**2, seeds=[1, 2], settings=[{"units": 4}, {"units": 8}], epochs=3)
    >>> [(replica.model.count_params(), len(replica.history.epoch)) for replica in found]
    [(13, 3), (25, 3)]
    """
    chosen = list(seeds)
    given = [{} for _ in chosen] if settings is None else list(settings)
    if len(given) != len(chosen):
        raise UsageError("There is one setting for each seed.", {"seeds": len(chosen), "settings": len(given)})
    if fit.get("callbacks"):
        raise UsageError(
            "Callbacks belong to one training, and there are several.",
            hint="look at the histories that fit_many gives back",
        )
    models: list[Model] = []
    for seed, setting in zip(chosen, given, strict=True):
        set_random_seed(seed)
        model = build(**setting)
        if not isinstance(model, Model) or any(model is other for other in models):
            raise UsageError(f"build gives a new model each time it is called, got {model!r}.")
        if not model.built:  # its weights belong to its seed
            model._build_for(model._columns(x))
        models.append(model)

    stops = [_Stop() for _ in models]

    def stop() -> None:
        for one in stops:
            one.asked = True

    def task(seed: int, model: Model, stop: _Stop) -> Callable[[], Replica]:
        def train() -> Replica:
            history = model.fit(x, y, verbose=0, callbacks=[stop], **fit)
            if verbose:
                told = describe({name: values[-1] for name, values in history.history.items() if values})
                sys.stderr.write(f"seed {seed}  {told}\n")  # at once: print writes the end of the line apart
            return Replica(model, history)

        return train

    return side_by_side([task(*each) for each in zip(chosen, models, stops, strict=True)], stop)


class _Stop(Callback):
    """Ends the training that it is given to."""

    asked = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - the hook's
        """Look whether it is time."""
        assert self.model is not None
        self.model.stop_training = self.model.stop_training or self.asked
