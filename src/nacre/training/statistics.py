"""A look into the network while it learns."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.training.callbacks import NOW_AND_THEN, Callback


class LayerStatistics(Callback):
    """Looks into the network every so many steps of training, so seldom that training takes hardly longer.

    A look takes about as long as a step. With ``every=None`` there is one every 200 steps at first, and in epochs that begin after
    4,000 steps or more, ever more seldom: after 5 to 10 % of the steps until then. Which steps these are follows from their numbers
    alone, not from a clock. If another callback says how often it wants looks, there are as many.

    ``steps`` lists the steps that were looked at, counted over all training of the optimizer. ``history`` holds, for each weight
    that is trained and each layer with an activation, by name, lists with one number per such step.

    Of a weight (``"dense/kernel"``):

    * ``weight``, ``gradient``, ``update``: Euclidean norms of the weight before the step, of the gradient of the loss, and of what
      the step changed.

    Of a layer (``"dense"``), over the rows of the batch:

    * ``activation``: root mean square of its outputs;
    * ``dead``: share of its units that gave the same number for all rows, as a relu does that is never above 0;
    * ``saturated``: share of its outputs within a hundredth of the bounds, for activations that have some: sigmoid, tanh, softmax.

    Only full batches are looked at. The training is the same to the last bit as without.

    >>> import numpy as np, nacre
    >>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, activation="tanh"), nacre.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> seen = nacre.callbacks.LayerStatistics(every=5)
    >>> history = model.fit(np.ones((64, 4)), np.ones(64), batch_size=8, epochs=2, verbose=0, callbacks=[seen])
    >>> seen.steps, sorted(seen.history["dense/kernel"]), sorted(seen.history["dense"])
    ([0, 5, 10, 15], ['gradient', 'update', 'weight'], ['activation', 'dead', 'saturated'])
    """

    def __init__(self, every: int | None = 50) -> None:
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every <= 0):
            name = type(self).__name__
            raise UsageError(f"{name} looks every so many steps, a positive whole number or None, got {every!r}.")
        self.samples_every = NOW_AND_THEN if every is None else every
        self.steps: list[int] = []
        self.history: dict[str, dict[str, list[float]]] = {}

    def on_train_samples(self, steps: list[int], samples: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Keep what was found."""
        self.steps += steps
        for name, numbers in samples.items():
            subject, what = name.rsplit(" ", 1)
            found = numbers.tolist()
            kept = self.history.setdefault(subject, {}).setdefault(what, [])
            kept += found if what in ("dead", "saturated") else map(math.sqrt, found)
