"""Several processes that train one model together: which of them this one is, and how they end when one is lost.

The processes are started by `nacre launch`, or by what a cluster has for it. Each finds its `Place` in the environment.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import statistics
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NoReturn, Protocol

import numpy.typing as npt

from nacre.errors import UsageError

RESTART = (
    75  # the exit code of who could not go on and may be started again; others are faults (EX_TEMPFAIL of sysexits.h)
)
COORDINATOR, PROCESSES, PROCESS = "NACRE_COORDINATOR", "NACRE_PROCESSES", "NACRE_PROCESS"

# Who starts processes, and the variables that say how many there are and which one this is. The first that fits counts: mpirun
# under SLURM has the variables of both.
_LAUNCHERS = (
    ("variables", PROCESSES, PROCESS),
    ("Kubernetes", PROCESSES, "JOB_COMPLETION_INDEX"),
    ("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("MPICH", "PMI_SIZE", "PMI_RANK"),
    ("SLURM", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
_ON_THIS_MACHINE = {"Open MPI": "OMPI_COMM_WORLD_LOCAL_SIZE", "MPICH": "MPI_LOCALNRANKS"}
_PORTS = range(20_000, 30_000)  # for coordinators that nobody named: below those that systems give away


@dataclass(frozen=True)
class Place:
    """Which of how many processes this one is. ``coordinator`` is where process 0 listens, as HOST:PORT, empty for one process;
    ``launcher`` is who started them."""

    coordinator: str = ""
    processes: int = 1
    index: int = 0
    launcher: str = "alone"

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and tells how it goes."""
        return self.index == 0


class Others(Protocol):
    """The processes that train together with this one, which is the one with number ``index``. What is asked of them, all ask at
    the same time."""

    processes: int
    index: int

    def agree(self, parts: Mapping[str, bytes]) -> None:
        """Demand that all have the same; wait until all have come so far. Raises `UsageError` that names what differs."""

    def share(self, array: npt.NDArray[Any], parts: Sequence[slice]) -> None:
        """Fill an array with the rows that others have: of each process, a part of it."""


def place(environ: Mapping[str, str] = os.environ) -> Place:
    """The place of this process, from the variables of nacre, of an indexed Job of Kubernetes, Open MPI, MPICH or SLURM.

    ``NACRE_PROCESSES`` and ``NACRE_PROCESS`` come first; ``NACRE_COORDINATOR`` goes with any of them, and may be left out where
    all processes are on one machine, or SLURM names the machines. Raises `UsageError` if some of it is there, but not all.

    >>> place({"NACRE_COORDINATOR": "node1:4321", "NACRE_PROCESSES": "4", "NACRE_PROCESS": "2"})
    Place(coordinator='node1:4321', processes=4, index=2, launcher='variables')
    >>> place({}).processes
    1
    """
    given = {name: environ[name] for name in (COORDINATOR, PROCESSES, PROCESS) if environ.get(name)}
    for launcher, of_size, of_index in _LAUNCHERS:
        if environ.get(of_size) and environ.get(of_index):
            size, index = _number(environ, of_size), _number(environ, of_index)
            if not index < size:
                raise UsageError(
                    f"There is no process {index} among {size}.",
                    {of_size: size, of_index: index},
                    "processes are counted from 0",
                )
            if size == 1:
                return Place(launcher=launcher)
            coordinator = given.get(COORDINATOR) or _coordinator(environ, launcher, size, index)
            if not re.fullmatch(".+:[0-9]{1,5}", coordinator):
                raise UsageError(f"{COORDINATOR} is HOST:PORT, got {coordinator!r}.")
            return Place(coordinator, size, index, launcher)
    if given:
        missing = [name for name in (PROCESSES, PROCESS) if name not in given]
        raise UsageError(
            f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} set, but not {' and '.join(missing)}.",
            {name: repr(value) for name, value in given.items()},
            "set all of them for each process, or none; nacre launch sets them",
        )
    return Place()


def _number(environ: Mapping[str, str], name: str) -> int:
    if not re.fullmatch("[0-9]{1,7}", environ[name]):
        raise UsageError(f"{name} is a whole number from 0 on, got {environ[name]!r}.")
    return int(environ[name])


def _coordinator(environ: Mapping[str, str], launcher: str, size: int, index: int) -> str:
    """Where process 0 listens, when nobody says so: all processes come to the same."""
    task = environ.get("SLURM_STEP_NUM_TASKS"), environ.get("SLURM_PROCID")
    nodes = environ.get("SLURM_STEP_NODELIST")
    if nodes and task == (str(size), str(index)):  # also where MPICH's variables came first: srun --mpi=pmi2 has them
        job = f"{environ.get('SLURM_JOB_ID')}.{environ.get('SLURM_STEP_ID')}"
        return f"{first_node(nodes)}:{_port(job)}"
    if environ.get(_ON_THIS_MACHINE.get(launcher, "")) == str(size):
        job = (
            environ.get("PMIX_NAMESPACE") or f"child of {os.getppid()}"
        )  # mpirun starts all of a machine from one process
        return f"127.0.0.1:{_port(job)}"
    raise UsageError(
        f"Nobody says where process 0 of {size} listens ({launcher}).",
        {"expected": COORDINATOR},
        f"{COORDINATOR}=HOST:PORT for each process: the machine of process 0, and a free port",
    )


def _port(job: str) -> int:
    return _PORTS[zlib.crc32(job.encode()) % len(_PORTS)]


def first_node(nodes: str) -> str:
    """The first of SLURM's list of machines.

    >>> first_node("gpu[007-009,12],login"), first_node("login,gpu7"), first_node("rack[1-2]-node[3-4]")
    ('gpu007', 'login', 'rack1-node3')
    """
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[([0-9]+)[^\]]*\]", r"\1", first)


def is_taken(port: int) -> bool:
    """Whether somebody listens at a port of this machine.

    >>> is_taken(free_port())
    False
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what only lingers there is in nobody's way
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def free_port() -> int:
    """A port of this machine where nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


# ------------------------------------------------------------------ ending together

_joined = Place()  # the processes that this one has met


def join(found: Place) -> None:
    """Note that this process meets the others: from now on, it does not end without them noticing."""
    global _joined
    _joined, usual = found, sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        usual(kind, error, trace)
        leave(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = end


def joined() -> Place:
    """The place of this process among those that it has met; alone before."""
    return _joined


def leave(code: int) -> None:
    """End now with an exit code, if there are others: an ordinary end would wait for them, and they for what does not come."""
    if _joined.processes > 1:
        _end(code)


def give_up(reason: str) -> NoReturn:
    """Say why this process cannot go on, and end with the exit code that asks for another try."""
    print(f"error: process {_joined.index} of {_joined.processes} stops: {reason}", file=sys.stderr)
    told = re.search(r"remote=\[(127\.[0-9.]+)\]", reason)
    if told and not _joined.coordinator.startswith(("127.", "localhost:")):
        print(
            f"  try:       another process gave {told[1]} as its address, which only its own machine understands; if that is"
            "\n             another, let /etc/hosts there give its name (hostname) the address by which others reach it",
            file=sys.stderr,
        )
    _end(RESTART)


@contextmanager
def waiting_for_others(told: float = 10.0, most: float = 300.0) -> Iterator[None]:
    """A context for meeting the others: after ``told`` seconds, it says who waits, and for whom; after ``most``, it gives up."""
    port = int(_joined.coordinator.rpartition(":")[2])
    if _joined.first and is_taken(port):  # JAX would crash
        give_up(
            f"somebody else listens at port {port} of this machine. Wait for its end, or name another in {COORDINATOR}."
        )
    where = f"process 0 listens at {_joined.coordinator}"
    waits = f"process {_joined.index} of {_joined.processes} waits for the others, {most:g} s at most; {where}"
    timers = [
        threading.Timer(told, print, [waits], {"file": sys.stderr, "flush": True}),
        threading.Timer(most, give_up, [f"not all were there after {most:g} s; {where}."]),
    ]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Watchdog:
    """Ends this process when a step takes much longer than those before: one that waits for another process may wait for ever.

    A step may take ``factor`` times the median of the last ones, and ``least`` seconds at least; one of a new kind, which is
    compiled first, here or elsewhere, ``new`` seconds.
    """

    factor = 10.0

    def __init__(self, least: float = 60.0, new: float = 600.0) -> None:
        self.least, self.new = least, new
        self._took: deque[float] = deque(maxlen=50)
        self._until: float | None = None  # when the step that runs must be over
        self._change = threading.Condition()
        self._watching: threading.Thread | None = None

    @contextmanager
    def step(self, new: bool = False) -> Iterator[None]:
        """A context for one step, of a new kind perhaps."""
        if self._watching is None:
            self._watching = threading.Thread(target=self._watch, name="nacre-watchdog", daemon=True)
            self._watching.start()
        begun = time.monotonic()
        usual = max(self.least, self.factor * statistics.median(self._took or [0.0]))
        self._set(begun + (self.new if new else usual))
        try:
            yield
        finally:
            self._set(None)
        if not new:
            self._took.append(time.monotonic() - begun)

    def _set(self, until: float | None) -> None:
        with self._change:
            sooner = self._until is None and until is not None
            self._until = until
            if sooner:
                self._change.notify()

    def _watch(self) -> None:
        with self._change:
            while True:
                if self._until is None:
                    self._change.wait()
                elif (left := self._until - time.monotonic()) > 0:
                    self._change.wait(left)
                else:
                    give_up("a step takes too long: another process is stuck, or gone.")
