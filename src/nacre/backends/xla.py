"""The XLA lowering: the very same programs, handed to XLA through JAX, on whatever it computes on: CPU, GPU, TPU.

Every row of the table runs with ``jax.numpy`` as its array namespace. Many steps are one XLA program: a loop that ends by itself
where the watched emit is not finite, and learns only when it runs how many steps are asked for. So it is compiled once for a size
of batch, and no bit depends on how a run is cut. Where rows stay on the device, an epoch is one run of it.

On several devices, of one process or of several, each computes its share of the rows of a batch: the program is the same, its
state lies on all of them, and XLA puts in what they have to tell each other. Processes take single steps, so it does not matter
either that each cuts its run as it likes.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache, partial
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from nacre import distributed
from nacre.backends.base import Array, Block, Feed, NotFinite, Program, State
from nacre.distributed import Watchdog, give_up, join, joined, waiting_for_others
from nacre.errors import UsageError
from nacre.ir import Graph, Input, Memory, TensorType, order
from nacre.ops import TABLE

_STEPS = 256  # at most in one piece of a run
_BYTES = 1 << 23  # at most of the rows, and of what is handed out, of a piece
_KEPT = 128  # loops kept compiled
_SECONDS = 0.5  # that a piece may take: what Ctrl-C may cost
_LOOK = 0.1  # seconds after which whoever waits looks whether there was a Ctrl-C
_SHARE = 0.5  # of the memory of a device that is free, for rows that stay there
_DAY = 86_400  # seconds
_SENT = 1 << 22  # bytes that a process hands to the others at a time
_HEARTBEAT = 30  # seconds without a word from a process until it counts as lost
_TRIED = 32  # steps in a piece that a way to launch is timed by
_TRIALS = 4  # pieces for each way; XLA compiles in the first, and records what is launched in the second

# Ways to launch a loop, as options of XLA. By itself, a GPU's loop asks the host at each step whether to go on; as a CUDA graph
# with a node that repeats, it does not. Which of them is faster is measured, not believed.
_Way = tuple[tuple[str, str], ...]
_COMMANDS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
_GRAPH: _Way = ("xla_gpu_enable_command_buffer", _COMMANDS), ("xla_gpu_graph_min_graph_size", "1")
_WAYS: Mapping[str, tuple[_Way, ...]] = {"gpu": ((), _GRAPH)}
Arrays = dict[str, Any]  # arrays of JAX by name
Layout = tuple[NamedSharding, tuple[NamedSharding, ...]]  # of what a loop gives, and of each state that it changes
Devices = npt.NDArray[Any]  # of JAX: each row of them holds the state once
Commit = Callable[[Callable[[], None]], None]  # calls what it is given, unless nobody waits for it any more

# ------------------------------------------------------------------ meaning


def _matmul(a: Any, b: Any, *, transpose_a: bool, transpose_b: bool, precision: str) -> Any:
    """As its row says; a GPU multiplies what is rounded faster, and rounds what must not be unless it is told."""
    if precision == "bfloat16" and a.dtype == jnp.float32:
        a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
        dtype = jnp.dtype(jnp.float32)
    else:
        dtype = a.dtype
    along = (((0 if transpose_a else 1,), (1 if transpose_b else 0,)), ((), ()))
    return lax.dot_general(a, b, along, precision=lax.Precision.HIGHEST, preferred_element_type=dtype)


def _scatter_add(indices: Any, updates: Any, *, rows: int) -> Any:
    table = jnp.zeros((rows, *updates.shape[indices.ndim :]), updates.dtype)
    return table.at[jnp.clip(indices, 0, rows - 1)].add(updates)


# Rows whose meaning is written in a way that JAX does not know, or that is slow.
_OWN: Mapping[str, Callable[..., Any]] = {"erf": lax.erf, "matmul": _matmul, "scatter_add": _scatter_add}


def evaluate(graph: Graph, inputs: Mapping[str, Any]) -> Arrays:
    """The outputs of a graph for given inputs, computed or traced by JAX.

    >>> x = Input("x", TensorType((2,)))
    >>> print(evaluate(Graph([x], {"y": x + x}), {"x": np.array([1, 2], "float32")})["y"])
    [2. 4.]
    """
    values: dict[int, Any] = {}
    for node in order(graph.outputs.values()):
        if isinstance(node, Input):
            found = inputs[node.name]
        else:
            assert node.operation is not None
            name, operands = node.operation.name, [values[id(o)] for o in node.operands]
            own = _OWN.get(name)
            found = own(*operands, **node.attrs) if own else TABLE[name].body(jnp, *operands, **node.attrs)
        values[id(node)] = jnp.asarray(found, dtype=node.dtype)
    return {name: values[id(value)] for name, value in graph.outputs.items()}


# ------------------------------------------------------------------ devices


def devices() -> list[str]:
    """The names of what JAX finds in this process, as in ``xla:cpu:0``."""
    return [f"xla:{kind}:{n}" for kind in ("cpu", "gpu", "tpu") for n in range(_here(kind))]


def _here(kind: str) -> int:
    """How many devices of a kind this process has."""
    return sum(device.process_index == jax.process_index() for device in _of_kind(kind))


def find_devices(name: str) -> Devices:
    """The devices called ``xla``, all of JAX's own choice, or ``xla:KIND``, all of a kind, of all processes; or
    ``xla:KIND:NUMBER``, a single one. With ``/N`` behind it, N of them share wide layers: they are the second axis of what is
    given. Raises `UsageError` if there is none."""
    name, _, split = name.partition("/")
    kind, _, number = name.removeprefix("xla").removeprefix(":").partition(":")
    found = _of_kind(kind)
    if not found:
        hints = {
            "gpu": "for an NVIDIA GPU: pip install 'jax[cuda13]'; or device='xla'",
            "tpu": "on a machine with a TPU: pip install 'jax[tpu]'; or device='xla'",
        }
        raise UsageError(f"JAX finds no {kind.upper()}.", {"found": ", ".join(devices())}, hints[kind])
    if not number:
        return _in_groups(found, int(split or 1))
    if joined().processes > 1:
        raise UsageError(f"{name!r} is of one process, and there are {joined().processes}.", hint=f"xla:{kind}")
    if int(number) >= len(found):
        raise UsageError(f"There is no device {name!r}.", {"found": ", ".join(devices())}, "one of those found")
    return _in_groups([found[int(number)]], int(split or 1))


def _in_groups(found: Sequence[jax.Device], split: int) -> Devices:
    if split > 1 and joined().processes > 1:
        raise UsageError(
            "Layers are split over the devices of one process.", {"processes": joined().processes}, "leave out /N"
        )
    if len(found) % split:
        raise UsageError(
            f"{len(found)} devices cannot share layers in groups of {split}.", hint=f"a divisor of {len(found)}"
        )
    return np.array(found).reshape(-1, split)


@lru_cache
def _of_kind(kind: str) -> list[jax.Device]:
    """Those of all processes, which meet when the first asks; of JAX's own choice, if no kind is named."""
    _meet()
    try:
        return list(jax.devices(kind or None))
    except RuntimeError:  # what JAX says of a kind that it has not
        return []


@lru_cache
def _meet() -> None:
    """Wait until the processes that train together have found each other."""
    here = distributed.place()
    if here.processes > 1:
        join(here)
        meet = partial(
            jax.distributed.initialize,
            here.coordinator,
            here.processes,
            here.index,
            cluster_detection_method="deactivate",  # it is known, and each process has the devices that it sees
            initialization_timeout=_DAY,  # JAX would abort without a word for people
            heartbeat_timeout_seconds=_HEARTBEAT,
            shutdown_timeout_seconds=_DAY,  # the others wait while the first writes down what came out
        )
        with waiting_for_others():
            _undisturbed(lambda _commit: meet())
        with _standard_output_to_error():  # where it is told who is connected to whom
            wait_for_all()


@contextmanager
def _standard_output_to_error() -> Iterator[None]:
    """A context in which what libraries print goes to standard error: results alone belong to the other."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


_watchdog = Watchdog()


class _Lost(Exception):  # noqa: N818 - nobody sees it
    """What processes do together failed."""


@contextmanager
def _together(new: bool = True) -> Iterator[None]:
    """A context for what processes do together, and for no longer than it may take. Raises `_Lost` if another process is lost."""
    try:
        with _watchdog.step(new):
            yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # which of them hangs on where JAX meets it
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        raise _Lost(str(error).splitlines()[0]) from error


@contextmanager
def _giving_up() -> Iterator[None]:
    """A context for who waits for what processes do together, and ends if another is lost."""
    try:
        yield
    except _Lost as lost:
        give_up(f"what all do together failed, so another is probably lost. {lost}")


def wait_for_all() -> None:
    """Wait until all processes have come so far."""
    with _giving_up(), _together():
        multihost_utils.sync_global_devices("nacre")


class Together:
    """The processes that train together, seen from this one; see `nacre.distributed.Others`."""

    def __init__(self) -> None:
        here = joined()
        self.processes, self.index = here.processes, here.index

    def agree(self, parts: Mapping[str, bytes]) -> None:
        """Demand that all have the same."""
        with _giving_up():
            _undisturbed(lambda _: _compare(parts))

    def share(self, array: Array, parts: Sequence[slice]) -> None:
        """Fill an array with the rows that others have."""
        assert array.flags.c_contiguous  # so what follows are views, and what is written to them is in the array
        of_all = [array[part].reshape(-1).view(np.uint8) for part in parts]
        with _giving_up():
            _undisturbed(lambda _: self._exchange(of_all))

    def _exchange(self, of_all: Sequence[Array]) -> None:
        longest = max(map(len, of_all))
        size = min(_SENT, 1 << max(0, longest - 1).bit_length())  # of few sizes, for each is compiled
        for start in range(0, longest, size):
            own = of_all[self.index][start : start + size]
            sent = np.zeros(size, np.uint8)
            sent[: len(own)] = own
            with _together():
                found = multihost_utils.process_allgather(sent)
            for whole, piece in zip(of_all, found, strict=True):
                some = whole[start : start + size]
                some[:] = piece[: len(some)]


def _compare(parts: Mapping[str, bytes]) -> None:
    """Demand that all processes have the same. Raises `UsageError` that names what differs."""
    mine = np.stack([np.frombuffer(hashlib.sha256(part).digest(), np.uint8) for part in parts.values()])
    with _together():
        found = np.asarray(multihost_utils.process_allgather(mine)).reshape(-1, *mine.shape)
    for part, of_all in zip(parts, found.swapaxes(0, 1), strict=True):
        if others := [index for index, one in enumerate(of_all) if not np.array_equal(one, of_all[0])]:
            raise UsageError(
                "The processes do not begin alike.",
                {"differs": part, "from process 0": ", ".join(map(str, others))},
                "the same script, data and seed everywhere (nacre.utils.set_random_seed), and one folder of checkpoints",
            )


class Place:
    """Where the arrays of a run are: on one device."""

    processes = 1

    def __init__(self, device: jax.Device) -> None:
        self.device = device
        self.sharding = jax.sharding.SingleDeviceSharding(device)

    def layout(self, _types: Sequence[TensorType]) -> Layout | None:
        """Where a loop puts what it gives, and state of such types; None: where it runs."""
        return None

    def state(self, memory: Memory) -> Any:
        """A weight or slot in whole, which stays until somebody changes it elsewhere."""
        if getattr(memory.on_device, "sharding", None) != self.sharding:
            memory.put_on_device(jax.device_put(memory.read(), self.sharding))
        return memory.on_device

    def rows(self, block: Block, wanted: npt.NDArray[np.int64], types: Sequence[TensorType], room: int) -> list[Any]:
        """Of each column, batches (room, rows, ...) of which the first hold the rows that are wanted; the others mean nothing."""
        return [self.batches(column[wanted], (room, *t.shape), t.dtype) for column, t in zip(block, types, strict=True)]

    def batches(self, array: Array, shape: tuple[int, ...], dtype: str) -> Any:
        """An array in batches: shape (room, rows, ...)."""
        whole = TensorType(shape, dtype).zeros()  # where it is aligned so, a CPU computes on it as it lies
        whole.reshape(shape[0] * shape[1], *shape[2:])[: len(array)] = array
        return jax.device_put(whole, self.sharding)

    def resident(self, block: Block) -> list[Any] | None:
        """The columns on the device, for as long as there is the block; None if they stay where they are."""
        if block.on_device is None:
            small = all(len(column) < 2**31 for column in block)  # rows are numbered in int32
            fits = small and sum(column.nbytes for column in block) < _SHARE * self.free
            columns = [jax.device_put(column, self.sharding) for column in block] if fits else None
            block.on_device = self.sharding, columns
        place, columns = block.on_device
        return columns if place == self.sharding else None

    @property
    def ways(self) -> tuple[_Way, ...]:
        """Ways to launch a loop here."""
        return _WAYS.get(self.device.platform, ((),))

    @property
    def free(self) -> int:
        """Bytes for rows to stay in; none on a CPU, where they lie in the very memory that it computes in."""
        told = self.device.memory_stats() or {}
        return int(told.get("bytes_limit", 0) - told.get("bytes_in_use", 0))


class Spread(Place):
    """Where the arrays of a run are: the state on each row of devices, and of each batch a share of the rows on each.

    Devices in a row share matrices by their columns, if these can be divided; all else of the state lies on each.
    """

    def __init__(self, devices: Devices) -> None:
        super().__init__(devices[0, 0])
        mesh = jax.sharding.Mesh(devices, ("data", "model"))
        self.groups, self.split = devices.shape
        self.sharding = NamedSharding(mesh, PartitionSpec())
        self._shares = NamedSharding(mesh, PartitionSpec(None, "data"))
        self._columns = NamedSharding(mesh, PartitionSpec(None, "model"))
        self.processes = len({device.process_index for device in devices.flat})

    def layout(self, types: Sequence[TensorType]) -> Layout:
        """All that is given on each device, and state as it lies."""
        return self.sharding, tuple(self._lies(t) for t in types)

    def _lies(self, type_: TensorType) -> NamedSharding:
        split = self.split > 1 and type_.rank == 2 and type_.shape[1] % self.split == 0
        return self._columns if split else self.sharding

    def state(self, memory: Memory) -> Any:
        """A weight or slot, on each device or by columns."""
        sharding = self._lies(memory.type)
        if getattr(memory.on_device, "sharding", None) != sharding:
            array = memory.read()
            memory.put_on_device(jax.make_array_from_callback(array.shape, sharding, lambda index: array[index]))
        return memory.on_device

    @property
    def ways(self) -> tuple[_Way, ...]:
        """One for all, since each process would time its own."""
        return super().ways[:1]

    def resident(self, block: Block) -> None:
        """None: rows are read as they are needed, each by who computes with it."""

    def rows(self, block: Block, wanted: npt.NDArray[np.int64], types: Sequence[TensorType], room: int) -> list[Any]:
        """Of each column, batches (room, rows, ...) cut along their rows, if these can be divided. This process reads its share."""
        return [self._shared(column, wanted, (room, *t.shape), t.dtype) for column, t in zip(block, types, strict=True)]

    def _shared(self, column: Array, wanted: npt.NDArray[np.int64], shape: tuple[int, ...], dtype: str) -> Any:
        numbers = wanted.reshape(-1, shape[1])
        sharding = self.sharding if shape[1] % self.groups else self._shares

        def share(index: tuple[slice, ...]) -> Array:
            of_rows = numbers[:, index[1]]
            whole = TensorType((shape[0], *of_rows.shape[1:], *shape[2:]), dtype).zeros()
            whole[: len(of_rows)] = column[of_rows]
            return whole

        return jax.make_array_from_callback(shape, sharding, share)


# ------------------------------------------------------------------ running


@dataclass
class _Choice:
    """Of several ways to do one thing, that which is fastest here: each is tried at first, and timed."""

    ways: Sequence[_Way]
    begun: int = 0
    seconds: dict[int, float] = field(default_factory=dict)  # of a step, at best, by number of the way

    @property
    def trying(self) -> bool:
        return len(self.ways) > 1 and self.begun < len(self.ways) * _TRIALS

    def take(self) -> int:
        """The number of the next way to go."""
        begun, self.begun = self.begun, self.begun + 1
        way = begun // _TRIALS
        return way if way < len(self.ways) else min(self.seconds, key=self.seconds.__getitem__, default=0)

    def note(self, way: int, seconds: float) -> None:
        """What a step took."""
        self.seconds[way] = min(seconds, self.seconds.get(way, seconds))


class XlaExecutable:
    """A program as loops of XLA's. Runs over the same state wait for each other."""

    def __init__(self, program: Program, place: Place) -> None:
        self.program, self.place = program, place
        graphs = [*program.graphs.values(), *([program.sampled] if program.sampled else [])]
        self._exact = any(v.dtype == "float64" for graph in graphs for v in order(graph.outputs.values()))
        self._choice = _Choice(place.ways)  # for the loop over full batches
        self._pace = 1  # steps of its next piece; found by trying
        self._steps = {id(graph): _Step.of(program, graph) for graph in graphs}
        self._learns = bool(self._steps[id(program.graphs[program.rows])].changes)
        self._agreed = place.processes == 1
        self._met: set[Callable[..., Any]] = set()  # loops that are compiled

    def twin(self) -> XlaExecutable:
        """The same loops; several processes agree anew, on the state that it runs over."""
        other = copy(self)
        other._agreed = self.place.processes == 1
        return other

    def run(
        self,
        state: State,
        block: Block,
        order: npt.NDArray[np.int64] | None,
        schedule: Mapping[str, Array],
        feed: Feed | None = None,
        finite: bool = True,
    ) -> dict[str, Array]:
        """See `nacre.backends.base.Executable`. Ctrl-C ends it at once, and at most `_SECONDS` of work are lost."""
        if not finite and not all(np.isfinite(column).all() for column in block):
            raise NotFinite
        rows = np.arange(len(block[0])) if order is None else order
        feed = feed or Feed(self.program, len(rows))
        try:
            with _giving_up():
                state.turns.run(lambda: _undisturbed(partial(self._run, state, block, rows, schedule, feed)))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError(
                f"A batch of {self.program.rows:,} rows needs more memory than {self.place.device} has; use smaller batches."
            ) from error
        return feed.finished()

    def _run(
        self,
        state: State,
        block: Block,
        rows: npt.NDArray[np.int64],
        schedule: Mapping[str, Array],
        feed: Feed,
        commit: Commit,
    ) -> None:
        with jax.enable_x64(self._exact):
            if not self._agreed:
                self._agree(state, block, rows, schedule)
            current = {name: self.place.state(state[name]) for name in self.program.state}
            block.runs += 1
            resident = self.place.resident(block) if self._learns or block.runs > 1 else None
            kept = dict(zip(self.program.columns, resident, strict=True)) if resident else {}
            most = self._most(len(block[0]) if kept else None)
            pieces = (self._ready(*piece, block, rows, schedule, kept) for piece in self._pieces(feed, most))
            ahead = next(pieces, None)
            while ahead is not None:
                begin = time.perf_counter()
                run, way, steps = ahead
                loop = run.func
                with _together(loop not in self._met) if self.place.processes > 1 else nullcontext():
                    count, changed, emits = run(current)
                    ahead = next(pieces, None)  # gathered and moved while this one is computed
                    done = int(count)  # waits for it
                self._met.add(loop)
                current |= changed
                commit(partial(_take, state, feed, steps, done, changed, emits))
                if done < len(steps):
                    break
                took = time.perf_counter() - begin
                if way is not None:
                    self._choice.note(way, took / len(steps))
                self._pace = min(2 * self._pace, most) if took < _SECONDS / 2 else max(1, self._pace // 2)

    def _agree(self, state: State, block: Block, rows: npt.NDArray[np.int64], schedule: Mapping[str, Array]) -> None:
        """Demand that all processes are about to take the same step: program, weights, numbers, first batch."""
        first = rows[: self.program.rows]
        _compare(
            {
                "program": repr([(step.changes, step.emits, step.text) for step in self._steps.values()]).encode(),
                "step and settings": b"".join(schedule[name][:1].tobytes() for name in self.program.schedule),
                "first batch": first.tobytes() + b"".join(column[first].tobytes() for column in block),
                "weights": b"".join(state[name].read().tobytes() for name in self.program.state),
            }
        )
        self._agreed = True

    def _most(self, resident: int | None) -> int:
        """Steps that the loop over full batches has room for: all of an epoch, if so many rows stay on the device."""
        program, full = self.program, self.program.graphs[self.program.rows]
        emits = sum(full.outputs[name].type.nbytes for name in program.emits)
        if self.place.processes > 1:
            return 1  # each cuts its run as it likes; single steps are the same for all
        if resident is None:
            widest, most = sum(full.input(name).type.nbytes for name in program.columns), _STEPS
        else:
            widest, most = program.rows * 4, resident // program.rows  # numbers of rows
        return max(1, min(most, _BYTES // max(1, widest, emits)))

    def _pieces(self, feed: Feed, most: int) -> Iterator[tuple[Graph, int, int | None, range]]:
        """What runs in one go: a graph, for how many steps its loop has room, how it is launched, and which steps these are."""
        program, step = self.program, 0
        full = int(np.count_nonzero(feed.batches == program.rows))
        while step < len(feed.batches):
            due = step + (feed.due.start - step) % feed.due.step if program.sampled is not None else full
            graph, room, way, stop = program.graphs[feed.batches[step]], 1, None, step + 1
            if program.sampled is not None and step == due < full:
                graph = program.sampled
            elif step < full:
                pace = min(_TRIED if self._choice.trying else self._pace, most)
                room, way, stop = most, self._choice.take(), min(step + pace, full, due)
            yield graph, room, way, range(step, stop)
            step = stop

    def _ready(
        self,
        graph: Graph,
        room: int,
        way: int | None,
        steps: range,
        block: Block,
        rows: npt.NDArray[np.int64],
        schedule: Mapping[str, Array],
        kept: Arrays,
    ) -> tuple[partial[tuple[Any, Arrays, Arrays]], int | None, range]:
        """What runs a piece from a state on, how it is launched, and its steps; rows and numbers are on their way to the device."""
        program, one = self.program, self._steps[id(graph)]
        wanted = rows[steps.start * program.rows : steps.stop * program.rows]
        given: Arrays = {}
        for name in program.schedule:
            given[name] = np.zeros(room, graph.input(name).dtype)
            given[name][: len(steps)] = schedule[name][steps.start : steps.stop]
        numbers = None
        if kept:
            numbers = self.place.batches(wanted, (room, graph.input(program.columns[0]).shape[0]), "int32")
        else:
            types = [graph.input(name).type for name in program.columns]
            given |= zip(program.columns, self.place.rows(block, wanted, types, room), strict=True)
        layout = self.place.layout([graph.outputs[name].type for name in one.changes])
        loop = _loop(one, room, self.place.ways[way or 0], layout)
        return partial(loop, kept=kept, numbers=numbers, given=given, steps=np.int32(len(steps))), way, steps


@dataclass(frozen=True)
class _Step:
    """What a loop does at each of its steps. Equal for graphs of the same text, which share what is compiled."""

    changes: tuple[str, ...]
    emits: tuple[str, ...]
    watch: str | None
    text: tuple[Any, ...]
    graph: Graph = field(compare=False)

    @classmethod
    def of(cls, program: Program, graph: Graph) -> _Step:
        """That of a graph of the program."""
        samples = program.samples if graph is program.sampled else ()
        places: dict[int, Any] = {id(i): i.name for i in graph.inputs}
        text: list[Any] = [(i.name, i.type) for i in graph.inputs]
        for place, node in enumerate(graph.nodes):
            assert node.operation is not None
            places[id(node)] = place
            operands = tuple(places[id(o)] for o in node.operands)
            text.append((node.operation.name, operands, repr(sorted(node.attrs.items())), node.type))
        text += [(name, places[id(value)]) for name, value in graph.outputs.items()]
        changes = tuple(name for name in program.state if name in graph.outputs)
        return cls(changes, (*program.emits, *samples), program.watch, tuple(text), graph)


@lru_cache(_KEPT)
def _loop(one: _Step, room: int, way: _Way, layout: Layout | None) -> Callable[..., tuple[Any, Arrays, Arrays]]:
    """Some steps, `room` at most: how many were whole, what of the state changed, and what was handed out at each.

    Columns are given in batches, or they are kept in whole and numbers of rows are given.
    """
    graph = one.graph

    def run(state: Arrays, *, kept: Arrays, numbers: Any, given: Arrays, steps: Any) -> tuple[Any, Arrays, Arrays]:
        def step(carried: tuple[Any, Any, Arrays, Arrays]) -> tuple[Any, Any, Arrays, Arrays]:
            at, _, moving, handed = carried
            now = {name: lax.dynamic_index_in_dim(array, at, keepdims=False) for name, array in given.items()}
            for name, column in kept.items():
                rows = jnp.take(column, lax.dynamic_index_in_dim(numbers, at, keepdims=False), axis=0, mode="clip")
                now[name] = rows.astype(graph.input(name).dtype)
            found = evaluate(graph, state | moving | now)
            good = jnp.bool_(True) if one.watch is None else jnp.isfinite(found[one.watch].ravel()[0])
            moving = {name: jnp.where(good, found[name], moving[name]) for name in one.changes}
            handed = {n: lax.dynamic_update_index_in_dim(handed[n], found[n], at, 0) for n in one.emits}
            return at + good, good, moving, handed

        room_for = {n: jnp.zeros((room, *graph.outputs[n].shape), graph.outputs[n].dtype) for n in one.emits}
        first = jnp.int32(0), jnp.bool_(True), {name: state[name] for name in one.changes}, room_for
        at, _, moved, handed = lax.while_loop(lambda carried: (carried[0] < steps) & carried[1], step, first)
        return at, moved, handed

    places = None if layout is None else (layout[0], dict(zip(one.changes, layout[1], strict=True)), layout[0])
    compiled: Callable[..., tuple[Any, dict[str, Any], dict[str, Any]]] = jax.jit(
        run, out_shardings=places, compiler_options=dict(way) or None
    )
    return compiled


def _take(state: State, feed: Feed, steps: range, done: int, changed: Arrays, emits: Arrays) -> None:
    """Note what a piece gave: also what was handed out in a step that was not finite, though not what it would have changed."""
    program = feed.program
    for name, lengths, shape, _ in program.emitted:
        ran, length = min(done + 1, len(steps)), lengths[feed.batches[steps.start]]
        at = steps.start * lengths[program.rows]
        feed.emits[name][at : at + ran * length] = np.asarray(emits[name])[:ran].reshape(ran * length, *shape)
    for name, array in changed.items():
        state[name].write_on_device(array)
    for name in emits.keys() & program.samples if done else ():
        feed.samples[name][feed.due.index(steps.start)] = np.asarray(emits[name]).item()
    feed.done[0] += done


def _undisturbed(work: Callable[[Commit], None]) -> None:
    """Work in a thread of its own. A signal that ends the waiting for it comes before or behind what the work commits."""
    committing, waiting = Lock(), True

    def commit(body: Callable[[], None]) -> None:
        with committing:
            if not waiting:
                raise _Left
            body()

    pool = ThreadPoolExecutor(1)
    running = pool.submit(work, commit)
    pool.shutdown(wait=False)
    try:
        while not wait([running], _LOOK).done:  # a signal that another thread was given wakes nobody who only waits
            pass
        running.result()
    except BaseException:
        waiting = False  # for whatever would be committed next
        with committing:  # what is being committed is so in whole
            raise


class _Left(Exception):  # noqa: N818 - nobody sees it
    """Nobody waits any more."""


def compile(program: Program, devices: Devices) -> XlaExecutable:
    """Make a program ready to run on devices: one that learns on all, any other on those of this process.

    So whoever evaluates or predicts need not wait for other processes, which may have nothing to evaluate."""
    learns = bool(_Step.of(program, program.graphs[program.rows]).changes)
    here = [one.process_index == jax.process_index() for one in devices[:, 0]]
    mine = devices if learns else devices[here]
    if learns and program.rows > len(mine) and program.rows % len(mine):
        warnings.warn(
            f"Batches of {program.rows} rows cannot be divided over {len(mine)} devices: each computes all of them. "
            f"Take a multiple of {len(mine)}.",
            stacklevel=2,
        )
    return XlaExecutable(program, Spread(mine) if devices.size > 1 else Place(mine[0, 0]))
