"""A callback that looks on while a network learns, and says so when something goes wrong."""

from __future__ import annotations

import math
import sys

from nacre.doctor.finding import Finding
from nacre.training.position import Logs
from nacre.training.statistics import LayerStatistics

_STUCK = 0.99  # times the loss to begin with
_VANISHED, _LONG = 1e-3, 1.0  # gradient of the first layer to that of the last; a step, to the weight
_DEAD, _SATURATED = 0.6, 0.8  # share of units, of outputs


class Watch(LayerStatistics):
    """Looks on while a network learns, and tells on standard error what goes wrong, each thing once.

    Every ``every`` steps it looks into the network, as `LayerStatistics` does, and at the end of each epoch at the figures. Without
    ``every`` it looks every 200 steps at first, then ever more seldom, which costs a long training hardly anything. ``findings``
    holds what it saw; `nacre.diagnose` then says why, and what to do.

    >>> import numpy as np, nacre
    >>> below = nacre.initializers.Constant(-9)
    >>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(8, "relu", bias_initializer=below)])
    >>> model.compile("sgd", "mse")
    >>> watch = nacre.doctor.Watch(every=10, verbose=0)
    >>> history = model.fit(np.ones((640, 4)), np.ones((640, 8)), epochs=3, verbose=0, callbacks=[watch])
    >>> [finding.name for finding in watch.findings]
    ['dead ReLU', 'not learning']
    """

    def __init__(self, every: int | None = None, verbose: int = 1) -> None:
        super().__init__(every)
        self.verbose = verbose
        self.findings: list[Finding] = []
        self._fresh = True
        self._looked = 0  # looks into the network that were judged
        self._epochs = self._validated = 0
        self._begin = math.nan  # the loss of the first epoch
        self._best = math.inf, math.nan, 0  # validation loss, loss and number of the epoch that was validated best

    def on_train_begin(self, logs: Logs | None = None) -> None:  # noqa: ARG002 - the hook's
        """Note whether the network has learned before."""
        self._fresh = self.model.optimizer.iterations == 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at what was seen."""
        logs = logs or {}
        found = self._figures(logs.get("loss", math.nan), logs.get("val_loss", math.nan))
        if len(self.steps) > self._looked:
            self._looked = len(self.steps)
            found = [*self._inside(), *found]
        for name, title, numbers in found:
            if name not in [finding.name for finding in self.findings]:
                self.findings.append(Finding(name, title, 50, numbers, "nacre.diagnose says why, and what to do."))
                if self.verbose:
                    print(f"Epoch {epoch + 1}: {name}: {title}.", file=sys.stderr, flush=True)

    def _inside(self) -> list[tuple[str, str, dict[str, float]]]:
        found = []
        kernels = {n: of for n, of in self.history.items() if n.endswith("kernel") and of.get("gradient")}
        if len(kernels) > 2:
            (first, begin), *_, (_, end) = kernels.items()
            ratio = begin["gradient"][-1] / max(end["gradient"][-1], 1e-30)
            if ratio < _VANISHED:
                numbers = {"gradient of the first layer, to that of the last": ratio}
                found.append(("vanishing gradient", f"hardly any of it reaches {first!r}", numbers))
        for name, of in kernels.items():
            step = of["update"][-1] / max(of["weight"][-1], 1e-30)
            if step > _LONG:
                found.append(("steps too long", f"one changes {name!r} by {step:.0%}", {"step to weight": step}))
        for name, of in self.history.items():
            if of.get("dead") and of["dead"][-1] > _DEAD and "saturated" not in of:
                share = of["dead"][-1]
                found.append(("dead ReLU", f"{share:.0%} of the units of {name!r} never answer", {"share": share}))
            if of.get("saturated") and of["saturated"][-1] > _SATURATED and name != list(self.history)[-1]:
                share = of["saturated"][-1]
                found.append(
                    ("saturated units", f"{share:.0%} of what {name!r} gives is at its bounds", {"share": share})
                )
        return found

    def _figures(self, loss: float, judged: float) -> list[tuple[str, str, dict[str, float]]]:
        found = []
        self._epochs += 1
        if self._epochs == 1:
            self._begin = loss
        if self._fresh and self._epochs > 2 and loss > _STUCK * self._begin:
            found.append(("not learning", f"the loss is where it was ({loss:.4g})", {"loss": loss}))
        if not math.isfinite(judged):
            return found
        self._validated += 1
        self._best = min(self._best, (judged, loss, self._epochs), key=lambda epoch: epoch[0])
        lowest, loss_then, best = self._best
        if self._validated > 4 and judged > 1.5 * lowest and loss < 0.9 * loss_then:
            numbers = {"validation loss": judged, "at its best": lowest}
            found.append(("over-fitting", f"the validation loss was best in epoch {best}", numbers))
        return found
