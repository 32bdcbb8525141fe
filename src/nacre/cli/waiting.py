"""What people see while data are read: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nacre.progress import shown_by

_SELDOM = 10.0  # seconds between two lines where there is no terminal
_OFTEN = 0.1  # between two looks at a bar
_WIDTH = 16


@contextmanager
def waiting(what: str, quiet: bool) -> Iterator[None]:
    """Show how far the work inside is. ``what`` is said at once, before anything is known of it."""
    if quiet:
        yield
        return
    print(what, file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        with shown_by(_Lines()):
            yield
        return
    bar = _bar()
    with bar, shown_by(_Bars(bar)):
        yield


class _Lines:
    """A line every few seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SELDOM

    def __call__(self, what: str, done: int, total: int, unit: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SELDOM
            print(f"  {what}: {done:,} of {total:,} {unit}", file=sys.stderr, flush=True)


class _Bars:
    """A bar for the work that was told of last."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._what, self._next = bar, "", 0.0
        self._task: Any = bar.add_task("", total=None, unit="")  # what reads tables takes a moment to load

    def __call__(self, what: str, done: int, total: int, unit: str) -> None:
        if what != self._what:
            self._bar.remove_task(self._task)
            self._what, self._task, self._next = what, self._bar.add_task(what, total=total, unit=unit), 0.0
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _OFTEN
            self._bar.update(self._task, completed=done, total=total)


def _bar() -> Any:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only needed on a terminal
    from rich.filesize import decimal  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    class Speed(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.completed / task.elapsed if task.elapsed else 0
            unit = task.fields["unit"]
            told = f"{decimal(int(speed))}/s" if unit == "bytes" else f"{speed:,.0f} {unit}/s" if unit else ""
            return Text(told, style="progress.data.speed", no_wrap=True)

    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=_WIDTH),
        Speed(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
