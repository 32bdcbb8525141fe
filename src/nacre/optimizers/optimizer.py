"""What all optimizers share: a learning rate, slots beside each weight, and what is done around an update rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.configured import Configured, resolve, serialize
from nacre.errors import Limitation, UsageError, did_you_mean
from nacre.ir import Input, Value
from nacre.optimizers.arguments import amount, bound, count, share
from nacre.optimizers.schedules import TABLE, LearningRateSchedule

if TYPE_CHECKING:
    from typing_extensions import Self

Rates = npt.NDArray[np.float64]
Slots = Mapping[str, Value]

AVERAGE, ACCUMULATOR = "average", "gradient_accumulator"  # slots that any rule may have besides its own


class Rest(TypedDict, total=False):
    """The arguments that all optimizers have beside the learning rate and weight decay; see `Optimizer`."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None


class Common(Rest, total=False):
    """The arguments that all optimizers have beside the learning rate; see `Optimizer`."""

    weight_decay: float | None


class Optimizer(Configured):
    """One update rule, as a graph, and what can be put around any rule. ``iterations`` counts the steps taken.

    * ``learning_rate``: a number, or one of `nacre.optimizers.schedules`.
    * ``weight_decay`` d: before each update, w <- w - rate * d * w, for the weights that `exclude_from_weight_decay` did
      not name. I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    * ``clipnorm``: the largest Euclidean norm of a gradient; a longer one is scaled down to it. ``global_clipnorm``: the
      same of all gradients together. ``clipvalue``: the largest size of each of their numbers. One of the three at a time.
      R. Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013.
    * ``use_ema``: beside each weight a running average, a <- m a + (1 - m) w after each step, with ``ema_momentum`` m, is
      kept; the weights become their averages when `fit` is over, and every ``ema_overwrite_frequency`` steps if that is given.
    * ``gradient_accumulation_steps`` n: the weights move at every n-th step only, along the mean of the gradients since.

    The rule itself is in subclasses, which say what they keep (`slots`), what changes from step to step (`corrections`)
    and how a weight moves (`update`):

    >>> class Signs(Optimizer):
    ...     def slots(self):
    ...         return {}
    ...     def update(self, weight, gradient, slots, numbers):
    ...         return weight - numbers["learning_rate"] * ops.sign(gradient), {}
    >>> Signs(0.01, clipnorm=1).get_config()["clipnorm"]
    1.0
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        kind = type(self).__name__
        for word in unknown:
            raise UsageError(f"{kind} has no argument {word!r}.", hint=did_you_mean(word, self.config_names()))
        if loss_scale_factor is not None:
            raise Limitation(
                f"{kind} does not scale the loss.",
                {"found": f"loss_scale_factor={loss_scale_factor!r}"},
                "leave it out: float32 and bfloat16, in which nacre computes, have the range for small gradients",
            )
        self._learning_rate = _rate(learning_rate)
        self.weight_decay = None if weight_decay is None else amount(f"The weight_decay of {kind}", weight_decay)
        self.clipnorm = bound(f"The clipnorm of {kind}", clipnorm)
        self.clipvalue = bound(f"The clipvalue of {kind}", clipvalue)
        self.global_clipnorm = bound(f"The global_clipnorm of {kind}", global_clipnorm)
        if sum(x is not None for x in (clipnorm, clipvalue, global_clipnorm)) > 1:
            given = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
            raise UsageError(f"{kind} clips gradients in one way at a time.", given, "set one of the three")
        self.use_ema = bool(use_ema)
        self.ema_momentum = share(f"The ema_momentum of {kind}", ema_momentum)
        self.ema_overwrite_frequency = count(f"The ema_overwrite_frequency of {kind}", ema_overwrite_frequency, 1)
        self.loss_scale_factor = None
        self.gradient_accumulation_steps = count(
            f"The gradient_accumulation_steps of {kind}", gradient_accumulation_steps, 2
        )
        self.name = name or kind.lower()
        self.iterations = 0
        self._not_decayed: tuple[list[str], list[str]] = ([], [])  # names, and parts of names
        self._not_decayed_weights: list[Input] = []

    # -------------------------------------------------------------- what a rule says

    def slots(self) -> Mapping[str, float]:
        """What is kept beside each weight from step to step, of the weight's type, and the number that it begins with."""
        raise NotImplementedError

    def update(
        self, weight: Value, gradient: Value, slots: Slots, numbers: Mapping[str, Value]
    ) -> tuple[Value, dict[str, Value]]:
        """The weight and its slots after a step; ``numbers`` are those of the step, by name."""
        raise NotImplementedError

    def corrections(self, rates: Rates, times: Rates) -> dict[str, Rates]:
        """More numbers for `update`, by name, for several steps: given their learning rates, and which update (1, 2, ...) each
        is."""
        return {}

    # -------------------------------------------------------------- numbers of the steps

    @property
    def learning_rate(self) -> float:
        """The rate of the next step; may be set at any time, to a schedule too, but not from a schedule to a number."""
        return float(self.rates(1)[0])

    @learning_rate.setter
    def learning_rate(self, rate: float | LearningRateSchedule) -> None:
        new = _rate(rate)
        if isinstance(self._learning_rate, LearningRateSchedule) and not isinstance(new, LearningRateSchedule):
            raise UsageError(
                f"The learning rate follows a schedule, {type(self._learning_rate).__name__}; it cannot be set to {rate!r}.",
                hint=f"{type(self).__name__}(learning_rate={rate!r}); or set another schedule",
            )
        self._learning_rate = new

    def rates(self, steps: int) -> Rates:
        """The learning rate of each of the next ``steps`` steps."""
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate.rates(self.iterations, steps)
        return np.full(steps, self._learning_rate)

    def numbers(self, steps: int) -> dict[str, npt.NDArray[np.float32]]:
        """What changes from step to step, by name, for each of the next ``steps`` steps: a function of ``iterations``."""
        rates, at = self.rates(steps), self.iterations + np.arange(float(steps))
        updates: Rates = np.floor(at / self.gradient_accumulation_steps) if self.gradient_accumulation_steps else at
        found = {"learning_rate": rates} | self.corrections(rates, updates + 1)
        if self.weight_decay is not None:
            found["weight_decay"] = rates * self.weight_decay
        if self.gradient_accumulation_steps:
            found["update_due"] = (at + 1) % self.gradient_accumulation_steps == 0
        if self.use_ema:
            found["ema_momentum"] = np.where(updates == 0, 0.0, self.ema_momentum)
            if self.ema_overwrite_frequency:
                found["ema_overwrite"] = (updates + 1) % self.ema_overwrite_frequency == 0
        return {name: numbers.astype(np.float32) for name, numbers in found.items()}

    # -------------------------------------------------------------- a step

    def state(self) -> dict[str, float]:
        """All slots beside each weight, and the number that each begins with."""
        more = {AVERAGE: self.use_ema, ACCUMULATOR: bool(self.gradient_accumulation_steps)}
        return {**self.slots(), **{name: 0.0 for name, used in more.items() if used}}

    def step(
        self,
        weights: Mapping[str, Input],
        gradients: Sequence[Value],
        slots: Sequence[Slots],
        numbers: Mapping[str, Value],
    ) -> list[tuple[Value, dict[str, Value]]]:
        """All weights, given by their names, and their slots after a step."""
        sums: Sequence[Value] = gradients
        if self.gradient_accumulation_steps:
            sums = [own[ACCUMULATOR] + g for g, own in zip(gradients, slots, strict=True)]
            gradients = [g * (1 / self.gradient_accumulation_steps) for g in sums]
        found = []
        for (name, w), own, g, total in zip(weights.items(), slots, self._clipped(gradients), sums, strict=True):
            mine = {name: _like(number, w) for name, number in numbers.items()}
            decayed = w - w * mine["weight_decay"] if "weight_decay" in mine and self._decays(name, w) else w
            new, after = self.update(decayed, g, own, mine)
            if self.gradient_accumulation_steps:
                due = mine["update_due"] > 0
                new = ops.where(due, new, w)
                after = {name: ops.where(due, value, own[name]) for name, value in after.items()}
                after[ACCUMULATOR] = ops.where(due, 0.0, total)
            if self.use_ema:
                average = after[AVERAGE] = new + mine["ema_momentum"] * (own[AVERAGE] - new)
                new = ops.where(mine["ema_overwrite"] > 0, average, new) if "ema_overwrite" in mine else new
            found.append((new, after))
        return found

    def _clipped(self, gradients: Sequence[Value]) -> list[Value]:
        if self.clipvalue is not None:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [g * _shrinking(norm([g]), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            factor = _shrinking(norm(gradients), self.global_clipnorm)
            return [g * _like(factor, g) for g in gradients]
        return list(gradients)

    # -------------------------------------------------------------- which weights decay

    def exclude_from_weight_decay(
        self, var_list: Sequence[Input | str] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Let some weights not decay: those of ``var_list``, weights or their names, and those in whose names one of
        ``var_names`` occurs, as "bias" does in "dense/bias". To be called before the first step; forgets what was said before.

        >>> optimizer = Optimizer(0.1, weight_decay=0.01)
        >>> optimizer.exclude_from_weight_decay(var_names=["bias", "beta"])
        """
        if self.iterations:
            raise UsageError("Which weights decay is settled by now.", {"steps taken": self.iterations})
        for what, given in (("var_list", var_list or []), ("var_names", var_names or [])):
            if not isinstance(given, list | tuple) or not all(isinstance(w, str | Input) for w in given):
                raise UsageError(f"{what} is a list of names, got {given!r}.", hint='for example ["bias"]')
        self._not_decayed_weights = [w for w in var_list or [] if isinstance(w, Input)]
        self._not_decayed = [w for w in var_list or [] if isinstance(w, str)], list(var_names or [])

    def _decays(self, name: str, weight: Input) -> bool:
        names, parts = self._not_decayed
        if name not in names and any(weight is other for other in self._not_decayed_weights):
            names.append(name)  # that is how a file knows it
        return name not in names and not any(part in name for part in parts)

    # -------------------------------------------------------------- description

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimizer again, and the weights that do not decay."""
        config = super().get_config() | {"learning_rate": serialize(self._learning_rate)}
        names, parts = self._not_decayed
        own = [w.name for w in self._not_decayed_weights if not names]  # before the first step
        return config | ({"not_decayed": [[*names, *own], parts]} if names or own or parts else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The optimizer that `get_config` described."""
        optimizer = cls(**{name: value for name, value in config.items() if name != "not_decayed"})
        optimizer.exclude_from_weight_decay(*config.get("not_decayed", ()))
        return optimizer


def norm(values: Sequence[Value]) -> Value:
    """The Euclidean norm of all numbers of some values. Scaled by the largest of them, so that no square overflows."""
    tops = [ops.max(ops.abs(x)) for x in values if x.type.size]
    largest = ops.full((), float(np.finfo(np.float32).tiny), values[0].dtype)
    for top in tops:
        largest = ops.maximum(largest, top)
    total = ops.full((), 0, largest.dtype)
    for x in values:
        total = total + ops.sum(ops.square(x / largest))
    return largest * ops.sqrt(total)


def _shrinking(length: Value, longest: float) -> Value:
    return longest / ops.maximum(length, longest)


def _like(x: Value, like: Value) -> Value:
    return x if x.dtype == like.dtype else ops.cast(x, dtype=like.dtype)


def _rate(rate: Any) -> float | LearningRateSchedule:
    """A learning rate as it was given, as a number or a schedule."""
    if isinstance(rate, Mapping):
        rate = resolve("schedule", rate, TABLE)
    if isinstance(rate, LearningRateSchedule):
        return rate
    if callable(rate):
        raise UsageError(
            f"A learning rate is a number or a schedule, got {rate!r}.",
            hint="a subclass of nacre.optimizers.schedules.LearningRateSchedule with __call__(self, step)",
        )
    return amount("A learning rate", rate)
