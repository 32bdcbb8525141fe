"""Callbacks: what happens at the edges of runs, epochs and batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.distributed import joined
from nacre.errors import ModelFileError, NacreError, UsageError, add_note
from nacre.training.position import Logs, Position, Tally

# A wish for looks into the network: every 200 steps at first, later ever more seldom; or as often as others wish. A look takes
# about as long as a step, and what Python does with those of an epoch as long as ten steps of a small network. In the end that is
# little: looks grow with the logarithm of the steps. A clock would bound them too, but the same training would be judged by others.
NOW_AND_THEN = 0
_AT_FIRST = 200
_SPARSER = (
    20  # from one look to the next it is at least this part of all steps before the epoch, and at most twice as much
)


class Callback:
    """Base of callbacks. Override the hooks you need; ``self.model`` is the model, ``self.params`` the settings of the run.

    Training enters Python only at the ends of epochs, unless a callback overrides a batch hook: then it stops at each batch,
    for all callbacks. See `stride` for less.
    """

    model: Any = None
    params: dict[str, Any]
    position: Position  # of the training, while there is one
    samples_every: int | None = None  # after how many steps the network is looked into, or NOW_AND_THEN; None: never
    writes = False  # whether all it does is to write files or lines: of several processes, only the first does that
    outermost = False  # whether it comes before all others when something begins, and behind them when it ends

    def set_model(self, model: Any) -> None:
        """Called once, before anything else."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called once with epochs, steps, batch_size and verbose."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; ``logs`` holds the figures, those of validation with ``val_`` before them."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of training."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of training."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of training."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of training; ``logs`` holds the figures of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation, also the one at the end of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of prediction."""

    def on_train_samples(self, steps: list[int], samples: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """After each part of training in which the network was looked into: at which steps, and what was found at each."""

    def state(self) -> dict[str, Any]:
        """What this callback must remember for a training that goes on after a kill: JSON values and arrays, by name."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave. Called behind ``on_train_begin`` of all, if a checkpoint kept it."""

    def stride(self, kind: str) -> int | None:
        """After how many more batches of "train", "test" or "predict" the batch hooks want to be called; None: after all.

        It is asked before each native call, which runs over so many batches: 1 if a batch hook is overridden.
        """
        kind_of_self, own = type(self), vars(self)
        for hook in _BATCH_HOOKS[kind]:
            if hook in own or getattr(kind_of_self, hook) is not getattr(Callback, hook):
                return 1
        return None

    def finish(self) -> None:
        """The training is over, whichever way it ended, Ctrl-C and errors too: wait for what still goes on."""

    def watching(self, look: Callable[[], Tally]) -> AbstractContextManager[None]:
        """A context around each pass over data; meanwhile ``look()`` tells, to any thread, what it has come to."""
        return nullcontext()


_BATCH_HOOKS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}


def frequency(name: str, value: Any, words: Iterable[str] = ("epoch",)) -> Any:
    """How often something happens: one of some words, or after how many batches; or `UsageError`."""
    number = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not number and value not in words:
        raise UsageError(f"{name} is {' or '.join(map(repr, words))} or a number of batches from 1 on, got {value!r}.")
    return value


class Callbacks:
    """Several callbacks, called in turn."""

    def __init__(self, callbacks: Iterable[Callback], model: Any, **params: Any) -> None:
        self.callbacks = list(callbacks)
        self.kept: Mapping[str, Mapping[str, Any]] = {}  # what a checkpoint kept of them
        self._model, self._stopped = model, False
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise UsageError(
                    f"{callback!r} is no callback.", hint="a subclass of nacre.callbacks.Callback, made: MyCallback()"
                )
            callback.set_model(model)
            callback.set_params(params)
        self.callbacks = [c for c in self.callbacks if joined().first or not c.writes]
        # In order, but for the outermost: in hooks at the beginning of something, and at its end.
        self._in_turn = {e: sorted(self.callbacks, key=lambda c: c.outermost is e) for e in (False, True)}
        self._watching = [c for c in self.callbacks if getattr(c.watching, "__func__", None) is not Callback.watching]
        wishes = {c.samples_every for c in self.callbacks if c.samples_every is not None}
        fixed = wishes - {NOW_AND_THEN}
        if len(fixed) > 1:
            raise UsageError(f"Callbacks want to look into the network every {sorted(fixed)} steps: they must agree.")
        self.samples_every: int = max(fixed, default=_AT_FIRST) if wishes else 0  # 0 for never
        self._ever_sparser = wishes == {NOW_AND_THEN}

    def call(self, hook: str, *arguments: Any) -> None:
        """Call one hook of all."""
        for callback in self._in_turn[hook.endswith("_end")]:
            getattr(callback, hook)(*arguments)

    def sparser(self, steps: int) -> int:
        """How many times as seldom as every `samples_every` steps the network is looked into in an epoch before which there were
        so many. It follows from them alone, so a training that is repeated, or goes on after a kill, is looked into at the same."""
        return 1 << (steps // (_SPARSER * self.samples_every)).bit_length() if self._ever_sparser else 1

    def state(self) -> dict[str, dict[str, Any]]:
        """What each remembers, under the name of its class, with a number behind it from the second of that class on."""
        return {name: state for name, callback in self._named() if (state := callback.state())}

    def restore(self) -> None:
        """Go back to what was kept. One of which nothing was kept begins anew."""
        for name, callback in self._named():
            try:
                if name in self.kept:
                    callback.restore(self.kept[name])
            except NacreError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                reason = {"reason": f"{type(error).__name__}: {error}"}
                raise ModelFileError(f"A checkpoint does not have what {name} remembers.", reason) from error

    def _named(self) -> Iterator[tuple[str, Callback]]:
        met: Counter[str] = Counter()
        for callback in self.callbacks:
            kind = type(callback).__name__
            yield f"{kind}_{met[kind]}" if met[kind] else kind, callback
            met[kind] += 1

    @property
    def stopped(self) -> bool:
        """Whether ``model.stop_training`` has been seen set; it stays so."""
        self._stopped = self._stopped or self._model.stop_training
        return self._stopped

    @contextmanager
    def following(self, position: Position) -> Iterator[None]:
        """A context in which all know where the training is; afterwards they do not hold on to its data."""
        for callback in self.callbacks:
            callback.position = position
        try:
            yield
        except BaseException as error:
            for problem in self._finished():  # what came first is what is told
                add_note(error, f"besides: {problem}")
            raise
        for problem in self._finished():
            raise problem

    def _finished(self) -> list[Exception]:
        """Ask each to finish; what they met with."""
        problems: list[Exception] = []
        for callback in self.callbacks:
            vars(callback).pop("position", None)
            try:
                callback.finish()
            except Exception as error:  # noqa: BLE001 - the others are asked too; it is raised, or told
                problems.append(error)
        return problems

    def stride(self, kind: str) -> int | None:
        """After how many batches the first of them wants its batch hooks called; None: not before the data is through."""
        asked = [n for callback in self.callbacks if (n := callback.stride(kind)) is not None]
        return min(asked) if asked else None

    @contextmanager
    def watching(self, look: Callable[[], Tally]) -> Iterator[None]:
        """The contexts of all."""
        with ExitStack() as stack:
            for callback in self._watching:
                stack.enter_context(callback.watching(look))
            yield
