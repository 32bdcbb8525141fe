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


def footprint(type_: TensorType) -> int:
    """Bytes that a `Memory` of this type takes while a model is trained: a matrix in panels, anything else padded.

    >>> footprint(TensorType((3, 40))), footprint(TensorType((40,)))
    (768, 256)
    """
    item = ITEM_BYTES[type_.dtype]
    if not is_matrix(type_):
        return panels(type_.size) * PANEL * item
    rows, columns = type_.shape[::-1] if is_narrow(type_) else type_.shape
    return panels(columns) * rows * PANEL * item


class Memory:
    """An array in the layout that its user needs.

    *Plain* is row-major, as NumPy has it. *Paneled*, for float32 matrices (rows, columns), is (panels, rows, 32), the layout the
    matrix kernels read; what lies after the last column means nothing. Narrow matrices lie so as their transpose. Once a matrix is
    in panels its plain form is let go, and made again for whoever asks, so that a network that is trained takes its memory once.
    Other arrays have one layout, padded so that 32 elements can be read at a time. ``initial`` makes the first value, when it is
    first needed, as an array that nobody else has. While a lowering computes elsewhere, as on a GPU, the value stays there
    (`on_device`) until somebody asks for it.

    >>> import numpy as np
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
        self._padded: Array | None = None
        self._paneled: Array | None = None
        self._panels_hold = False  # the array as it is now
        self._on_device: Any = None

    @property
    def begun(self) -> bool:
        """Whether there is a value yet, and memory for it."""
        return self._plain is not None or self._panels_hold or self._on_device is not None

    @property
    def on_device(self) -> Any:
        """The array as it is now where a lowering computes; None if it is not there."""
        return self._on_device

    def put_on_device(self, array: Any) -> None:
        """Keep a copy of the array as it is now, which NumPy can read."""
        self._on_device = array

    def write_on_device(self, array: Any) -> None:
        """Let the array be this one, which NumPy can read and nobody changes; it is copied when somebody asks for it."""
        with _beginning:
            self._plain, self._panels_hold, self._on_device = None, False, array
            Memory.writes += 1

    def read(self) -> Array:
        """The array as it is now, row-major. Not to be written to: see `write`."""
        if self._plain is None:
            with _beginning:  # one thread at a time, so that no other's first value is lost
                if self._plain is None:
                    self._plain = self._out_of_panels() if self._panels_hold else self._from_outside()
                return self._plain
        return self._plain

    def copy(self) -> Array:
        """A copy of the array as it is now, row-major."""
        return self._out_of_panels() if self._plain is None and self._panels_hold else self.read().copy()

    def write(self, array: Any) -> None:
        """Overwrite the array."""
        with _beginning:
            plain = self._room() if self._plain is None else self._plain
            plain[...] = array
            self._plain, self._panels_hold, self._on_device = plain, False, None
            Memory.writes += 1  # after the mark: who sees the new number sees the mark

    def paneled(self) -> Array:
        """The array as it is now, paneled and flat; always at the same place."""
        if not self._matrix:
            self.read()
            assert self._padded is not None
            return self._padded
        with _beginning:
            if self._paneled is None:
                rows, columns = self._lying
                self._paneled = TensorType((panels(columns) * rows * PANEL,)).zeros()
            if not self._panels_hold:
                if self.begun or self._initial is not None:  # else it is all zero, as the panels are
                    self._into_panels(self.read())
                self._plain, self._panels_hold = None, True
            return self._paneled

    def places(self, plain: Array) -> list[tuple[Array, Array]]:
        """Where the kernels read the array, which is always there, and the part of ``plain``, an array like it, for each place. Who
        has its turn may write there, and calls `paneled_was_written`."""
        paneled = self.paneled()
        if not self._matrix:
            return [(paneled[: plain.size].reshape(plain.shape), plain)]
        return [(there[:, : part.shape[1]], part) for there, part in self._strips(plain)]

    def paneled_was_written(self) -> None:
        """Note that the paneled form has changed."""
        self._on_device = None
        if self._matrix:
            self._plain, self._panels_hold = None, True

    @property
    def _lying(self) -> tuple[int, ...]:
        """Rows and columns of the matrix whose panels are kept."""
        return self.type.shape[::-1] if self._turned else self.type.shape

    def _room(self) -> Array:
        """Where a plain form may be."""
        if self._matrix:
            return self.type.zeros()
        if self._padded is None:
            self._padded = TensorType((panels(self.type.size) * PANEL,), self.type.dtype).zeros()
        return self._padded[: self.type.size].reshape(self.type.shape)

    def _from_outside(self) -> Array:
        """From the device, or the first value."""
        if self._on_device is not None:
            plain = self._room()
            plain[...] = self._on_device
            return plain
        first = 0 if self._initial is None else self._initial()
        if self._matrix and isinstance(first, np.ndarray) and first.flags.c_contiguous and self.type == _type_of(first):
            return first  # a copy beside it would be as large, and what malloc once had it may keep
        plain = self._room()
        plain[...] = first
        return plain

    def _out_of_panels(self) -> Array:
        plain = self._room()
        for there, part in self._strips(plain):
            part[...] = there[:, : part.shape[1]]
        return plain

    def _into_panels(self, plain: Array) -> None:
        for there, part in self._strips(plain):
            there[:, : part.shape[1]] = part
            there[:, part.shape[1] :] = 0

    def _strips(self, plain: Array) -> list[tuple[Array, Array]]:
        """Each panel, and the part of a plain matrix that is in it."""
        assert self._paneled is not None
        lying = plain.T if self._turned else plain
        panels_ = self._paneled.reshape(-1, lying.shape[0], PANEL)
        return [(panel, lying[:, n * PANEL : (n + 1) * PANEL]) for n, panel in enumerate(panels_)]


def _type_of(array: Array) -> TensorType:
    return TensorType(array.shape, str(array.dtype))


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
