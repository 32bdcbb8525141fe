"""Small callbacks: a function at a hook, a learning rate by epochs, a loss that is no number."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nacre.errors import UsageError, find
from nacre.training.callbacks import Callback
from nacre.training.position import Logs

_HOOKS = {name: name for name in dir(Callback) if name.startswith("on_")}


class LambdaCallback(Callback):
    """A callback made of functions, each for the hook of that name; any hook of `Callback` may be given.

    A function for a batch makes training stop at each batch; the others do not. Raises `UnknownName` for what is no hook.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, sorted(logs)))
    >>> history = model.fit(np.ones((8, 2)), np.zeros(8), epochs=2, verbose=0, callbacks=[tell])
    0 ['loss']
    1 ['loss']
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **others: Callable[..., Any],
    ) -> None:
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for name, function in given.items():
            find("hook", name, _HOOKS)
            if function is not None:
                if not callable(function):
                    raise UsageError(f"{name} is a function, got {function!r}.")
                setattr(self, name, function)


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch to ``schedule(epoch, learning_rate)``, or ``schedule(epoch)``; ``verbose`` 1 tells
    it on standard error.

    Epochs count from 0, and ``learning_rate`` is that of the epoch before. The figures of each epoch, and so the `History`, get the
    ``learning_rate``. A rate that changes with each step is a schedule of `nacre.optimizers.schedules` instead.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile(nacre.optimizers.SGD(0.5), "mse")
    >>> halved = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    >>> model.fit(np.ones((8, 2)), np.zeros(8), epochs=3, verbose=0, callbacks=[halved]).history["learning_rate"]
    [0.5, 0.25, 0.125]
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise UsageError(f"The schedule of LearningRateScheduler is a function (epoch, rate), got {schedule!r}.")
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.1)
        except TypeError:  # a function of the epoch alone, as Keras takes it too
            self._takes = 1
        except ValueError:  # it is in C, and does not say
            self._takes = 2
        else:
            self._takes = 2
        self._epoch: int | None = None  # whose rate is set

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self._epoch = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate; but not a second time, in an epoch that goes on after a kill."""
        if epoch == self._epoch:
            return
        rate = self.schedule(*(epoch, self.model.optimizer.learning_rate)[: self._takes])
        if not isinstance(rate, float | np.floating):
            raise UsageError(f"The schedule of LearningRateScheduler gives a float, got {rate!r} for epoch {epoch}.")
        self.model.optimizer.learning_rate = float(rate)
        self._epoch = epoch
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is set to {rate:g}.", file=sys.stderr, flush=True)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Add the rate to the figures."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate

    def state(self) -> dict[str, Any]:
        """The epoch whose rate is set."""
        return {"epoch": self._epoch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` gave."""
        self._epoch = state["epoch"]


class TerminateOnNaN(Callback):
    """Ends the training in good order when the loss is NaN or infinite: `fit` returns, with that loss at the end of the history.

    Without it, or with ``raise_error``, such a loss raises `NonFiniteLossError`. In all cases the weights are those before the step
    at which it happened. (Keras goes on with such a loss without this callback, and with ``raise_error`` raises `RuntimeError`.)

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
    >>> model.compile(nacre.optimizers.SGD(1e30), "mse")
    >>> history = model.fit(np.ones((8, 2)), np.ones(8), epochs=100, verbose=0, callbacks=[TerminateOnNaN()])
    >>> history.history["loss"][-1], len(history.epoch) < 100
    (inf, True)
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def stride(self, kind: str) -> int | None:
        """Never: training stops by itself at such a loss."""
        return None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss) and not self.raise_error:
            print(f"Batch {batch}: the loss is {loss}, the training ends.", file=sys.stderr, flush=True)
            self.model.stop_training = True
