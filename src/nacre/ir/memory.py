"""Arrays that outlive a run: weights, slots, statistics."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, ClassVar, TypeVar
from weakref import WeakSet

import numpy as np
import numpy.typing as npt

from nacre.errors import UsageError
from nacre.ir.types import ITEM_BYTES, TensorType

Array = npt.NDArray[Any]
T = TypeVar("T")

PANEL = 32  # columns of a panel; cpp/kernels/panel.h has the same number
NARROW = 24, 384  # most columns, fewest rows, of a narrow matrix

_beginning = threading.RLock()  # a signal handler may come in the middle


class _Turn:
    """A lock that knows whether its holder must not be disturbed."""

    alive: ClassVar[WeakSet[_Turn]] = WeakSet()

    def __init__(self) -> None:
        self.begin_anew()
        self.number = next(_numbers)
        _Turn.alive.add(self)

    def begin_anew(self) -> None:
        self.lock, self.running = threading.RLock(), False


_numbers = count()


def _begin_anew() -> None:
    """A child of a fork has locks of its own: another thread, which it has not, may have held the old ones."""
    global _beginning
    _beginning = threading.RLock()
    for turn in list(_Turn.alive):
        turn.begin_anew()


os.register_at_fork(after_in_child=_begin_anew)


def is_matrix(type_: TensorType) -> bool:
    """Whether a value of this type may lie in panels."""
    return type_.rank == 2 and type_.dtype == "float32" and type_.size > 0


def is_narrow(type_: TensorType) -> bool:
    """Whether a matrix of this type lies at home as its transpose: a panel would be filled badly, all the way down."""
    return is_matrix(type_) and type_.shape[1] <= NARROW[0] and type_.shape[0] >= NARROW[1]


def panels(columns: int) -> int:
    """How many panels hold so many columns."""
    return -(-columns // PANEL)


def footprint(type_: TensorType) -> tuple[int, int]:
    """Bytes that a `Memory` of this type takes: of the plain form, and of the paneled one that only a matrix has beside it.

    >>> footprint(TensorType((3, 40))), footprint(TensorType((40,)))
    ((512, 768), (256, 0))
    """
    item = ITEM_BYTES[type_.dtype]
    rows, columns = (type_.shape[::-1] if is_narrow(type_) else type_.shape) if is_matrix(type_) else (0, 0)
    return panels(type_.size) * PANEL * item, panels(columns) * rows * PANEL * item


class Memory:
    """An array in the layout that its user needs; whoever writes makes the other layout stale.

    *Plain* is row-major, as NumPy has it. *Paneled*, for float32 matrices (rows, columns), is (panels, rows, 32), the layout the
    matrix kernels read; what lies after the last column means nothing. Narrow matrices lie so as their transpose. Other arrays
    have one layout, padded so that 32 elements can be read at a time. ``initial`` makes the first value, when it is first needed.

    >>> m = Memory(TensorType((2, 3)))
    >>> m.write(np.array([[1, 2, 3], [4, 5, 6]]))
    >>> m.paneled()[32:36]
    array([4., 5., 6., 0.], dtype=float32)
    """

    writes: ClassVar[int] = 0  # to all memories together; as long as it stays, no paneled form becomes stale

    def __init__(self, type_: TensorType, initial: Callable[[], Array] | None = None) -> None:
        self.type = type_
        self.turn: _Turn | None = None  # see `Turns`
        self._matrix, self._turned = is_matrix(type_), is_narrow(type_)
        self._initial = initial
        self._plain: Array | None = None
        self._paneled: Array | None = None
        self._plain_is_stale = self._paneled_is_stale = False

    def _begin(self, initial: Callable[[], Array] | None) -> Array:
        """The plain form, made now if there is none yet; one thread at a time, so that no other's first value is lost."""
        with _beginning:
            if self._plain is None:
                self._padded = TensorType((panels(self.type.size) * PANEL,), self.type.dtype).zeros()
                plain = self._padded[: self.type.size].reshape(self.type.shape)
                if initial is not None:
                    plain[...] = initial()
                self._paneled_is_stale = True
                self._plain = plain
            return self._plain

    def read(self) -> Array:
        """The array as it is now, row-major. Not to be written to: see `write`."""
        if self._plain is None:
            self._begin(self._initial)
        if self._plain_is_stale:
            assert self._plain is not None
            assert self._paneled is not None
            plain = self._as_it_lies(self._plain)
            rows, columns = plain.shape
            plain[...] = self._paneled.reshape(-1, rows, PANEL).swapaxes(0, 1).reshape(rows, -1)[:, :columns]
            self._plain_is_stale = False
        assert self._plain is not None
        return self._plain

    def write(self, array: Any) -> None:
        """Overwrite the array."""
        plain = self._begin(None) if self._plain is None else self._plain
        plain[...] = array
        self._plain_is_stale, self._paneled_is_stale = False, True
        Memory.writes += 1  # after the mark: who sees the new number sees the mark

    def paneled(self) -> Array:
        """The array as it is now, paneled and flat."""
        if not self._matrix:
            self.read()
            return self._padded
        rows, columns = self.type.shape[::-1] if self._turned else self.type.shape
        if self._paneled is None:
            self._paneled = TensorType((panels(columns) * rows * PANEL,)).zeros()
            self._paneled_is_stale = True
        if self._paneled_is_stale:
            plain = self._as_it_lies(self.read())
            self._paneled_is_stale = False  # before it is read: another thread may write meanwhile
            padded = np.zeros((rows, panels(columns) * PANEL), dtype=np.float32)
            padded[:, :columns] = plain
            self._paneled.reshape(-1, rows, PANEL)[...] = padded.reshape(rows, -1, PANEL).swapaxes(0, 1)
        return self._paneled

    def _as_it_lies(self, plain: Array) -> Array:
        """The matrix whose panels are kept."""
        return plain.T if self._turned else plain

    def paneled_was_written(self) -> None:
        """Note that the paneled form has changed."""
        self._plain_is_stale = self._matrix


class Turns:
    """The right to use some memories, which one thread at a time has. Others wait.

    Models that share a layer share its memory, hence its turn; turns are always taken in the same order. A thread may take again
    what it has, but not in the middle of a run, where a signal handler may ask: `UsageError`, since it would wait for itself.
    """

    def __init__(self, memories: Iterable[Memory] = ()) -> None:
        with _beginning:
            memories = list(memories)
            turns = {memory.turn for memory in memories if memory.turn}
            new = next(iter(turns), None) or _Turn()
            for memory in memories:
                memory.turn = memory.turn or new
            self._turns = sorted(turns or {new}, key=lambda turn: turn.number)

    def use(self, body: Callable[[], T]) -> T:
        """What ``body`` gives, called while no other thread uses the memories."""
        return self._holding(0, body)

    def run(self, body: Callable[[], T]) -> T:
        """The same for what nobody may look into, not even a signal handler of this thread."""
        return self._holding(0, lambda: self._running(body))

    def _holding(self, first: int, body: Callable[[], T]) -> T:
        if first == len(self._turns):
            return body()
        turn = self._turns[first]
        with turn.lock:  # itself, not a `with` over this object: a signal may come between the lines of an `__enter__`
            if turn.running:
                raise UsageError(
                    "This model is running already, in this very thread.", hint="wait until fit or predict is over"
                )
            return self._holding(first + 1, body)

    def _running(self, body: Callable[[], T]) -> T:
        try:
            for turn in self._turns:
                turn.running = True
            return body()
        finally:
            for turn in self._turns:
                turn.running = False
