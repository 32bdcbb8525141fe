"""Programs that equal networks have in common, compiled once in a process."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock

from nacre.backends.base import Executable


class Shelf:
    """Keeps the last ``most`` executables that were asked for, by what tells them apart, and hands out twins of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.clear()
        os.register_at_fork(after_in_child=self.clear)  # another thread may have been in the middle

    def clear(self) -> None:
        """Keep nothing."""
        self._lock = RLock()  # a signal handler may come in the middle
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()

    def twin(self, key: Hashable, make: Callable[[], Executable]) -> Executable:
        """What runs beside others of the same key; ``make`` is asked once for all of them, while they wait."""
        with self._lock:
            place = self._places.setdefault(key, _Place())
            self._places.move_to_end(key)
            if len(self._places) > self._most:
                self._places.popitem(last=False)
        with place.lock:
            if place.executable is None:
                place.executable = make()
            return place.executable.twin()


class _Place:
    """Where an executable is, or is being made."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.executable: Executable | None = None
