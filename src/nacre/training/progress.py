"""Progress for people: a bar per epoch on a terminal, a line per epoch elsewhere. It goes to standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from nacre.errors import UsageError
from nacre.training.callbacks import Callback
from nacre.training.position import Logs, Tally

if TYPE_CHECKING:
    from rich.progress import Progress

_REFRESH = 0.1  # seconds between two looks at the counters
_WIDTH = 16  # of the bar, so that a line fits on a terminal of 80 columns


class ProgressBar(Callback):
    """Shows speed, figures and time left while an epoch runs, and a line when it is over."""

    writes = True

    def __init__(self, bar: bool) -> None:
        self.bar = bar
        self.started = 0.0
        self.rows = 0  # trained on in this epoch
        self.title = ""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        epochs = self.params["epochs"]
        self.title = f"Epoch {epoch + 1:>{len(str(epochs))}}/{epochs}"
        self.started, self.rows = time.perf_counter(), 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Print the line that stays."""
        seconds = time.perf_counter() - self.started
        full = f" {'━' * _WIDTH}" if self.bar else ""
        rate = f"{self.rows / max(seconds, 1e-9):,.0f}/s"
        print(f"{self.title}{full} {seconds:6.2f} s {rate:>11}  {describe(logs or {})}", file=sys.stderr, flush=True)

    @contextmanager
    def watching(self, look: Callable[[], Tally]) -> Iterator[None]:
        """A bar that follows the counters from a thread of its own; the run is not asked."""
        before = look().rows
        with self._followed(look) if self.bar and self.title else nullcontext():
            yield
        after = look()
        self.rows += after.rows - before if after.kind == "train" else 0

    @contextmanager
    def _followed(self, look: Callable[[], Tally]) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._follow, args=(over, look), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _follow(self, over: threading.Event, look: Callable[[], Tally]) -> None:
        """Draw until it is over; what is over at the first look is not drawn at all."""
        if over.wait(_REFRESH):
            return
        with _bar() as progress:
            begun = look()
            task = progress.add_task(self.title, completed=begun.rows, total=begun.total, figures="", begun=begun.rows)
            while True:
                tally = look()
                progress.update(task, completed=tally.rows, figures=describe(tally.figures()), refresh=True)
                if over.wait(_REFRESH):
                    return


def describe(logs: Logs) -> str:
    """Figures in one line, with four digits at least.

    >>> describe({"loss": 2.5e-7, "accuracy": 0.9, "hits": 3157.0})
    'loss 2.500e-07  accuracy 0.9000  hits 3157'
    """
    return "  ".join(f"{name} {_figure(value)}" for name, value in logs.items())


def _figure(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.0f}" if abs(value) >= 1000 and value == int(value) else f"{value:.4f}"


def _bar() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only needed on a terminal
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = (task.completed - task.fields["begun"]) / task.elapsed if task.elapsed else 0
            return Text(f"{speed:,.0f}/s", style="progress.data.speed", no_wrap=True)

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=_WIDTH),
        Speed(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
    )


def reporter(verbose: str | int) -> list[Callback]:
    """The callback for Keras's ``verbose``: 0 nothing, 1 a bar, 2 a line per epoch, "auto" a bar on a terminal, else lines."""
    if verbose not in (0, 1, 2, "0", "1", "2", "auto"):
        raise UsageError(f"verbose is 0, 1, 2 or 'auto', got {verbose!r}.")
    if verbose in (0, "0"):
        return []
    return [ProgressBar(bar=verbose not in (2, "2") and sys.stderr.isatty())]
