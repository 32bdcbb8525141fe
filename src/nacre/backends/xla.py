"""The XLA lowering: the very same programs, handed to XLA through JAX, on whatever it computes on: CPU, GPU, TPU.

Every row of the table runs with ``jax.numpy`` as its array namespace. Many steps are one XLA program: a loop that ends by itself
where the watched emit is not finite, and learns only when it runs how many steps are asked for. So it is compiled once for a size
of batch, and no bit depends on how a run is cut. Where rows stay on the device, an epoch is one run of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from nacre.backends.base import Array, Block, Feed, NotFinite, Program, State
from nacre.errors import UsageError
from nacre.ir import Graph, Input, Memory, TensorType, order
from nacre.ops import TABLE

_STEPS = 256  # at most in one piece of a run
_BYTES = 1 << 23  # at most of the rows, and of what is handed out, of a piece
_KEPT = 128  # loops kept compiled
_SECONDS = 0.5  # that a piece may take: what Ctrl-C may cost
_SHARE = 0.5  # of the memory of a device that is free, for rows that stay there
_TRIED = 32  # steps in a piece that a way to launch is timed by
_TRIALS = 4  # pieces for each way; XLA compiles in the first, and records what is launched in the second

# Ways to launch a loop, as options of XLA. By itself, a GPU's loop asks the host at each step whether to go on; as a CUDA graph
# with a node that repeats, it does not. Which of them is faster is measured, not believed.
_Way = tuple[tuple[str, str], ...]
_COMMANDS = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
_GRAPH: _Way = ("xla_gpu_enable_command_buffer", _COMMANDS), ("xla_gpu_graph_min_graph_size", "1")
_WAYS: Mapping[str, tuple[_Way, ...]] = {"gpu": ((), _GRAPH)}
Arrays = dict[str, Any]  # arrays of JAX by name
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
    return [f"xla:{kind}:{n}" for kind in ("cpu", "gpu", "tpu") for n in range(len(_of_kind(kind)))]


def find_device(name: str) -> jax.Device:
    """The device called ``xla``, which is JAX's own choice, ``xla:KIND`` or ``xla:KIND:NUMBER``. Raises `UsageError` if there is
    none."""
    kind, _, number = name.removeprefix("xla").removeprefix(":").partition(":")
    found = _of_kind(kind) if kind else jax.local_devices()
    if not found:
        hints = {
            "gpu": "for an NVIDIA GPU: pip install 'jax[cuda13]'; or device='xla'",
            "tpu": "on a machine with a TPU: pip install 'jax[tpu]'; or device='xla'",
        }
        raise UsageError(f"JAX finds no {kind.upper()}.", {"found": ", ".join(devices())}, hints[kind])
    at = int(number or 0)
    if at >= len(found):
        raise UsageError(f"There is no device {name!r}.", {"found": ", ".join(devices())}, "one of those found")
    return found[at]


@lru_cache
def _of_kind(kind: str) -> list[jax.Device]:
    try:
        return list(jax.local_devices(backend=kind))
    except RuntimeError:  # what JAX says of a kind that it has not
        return []


class Place:
    """Where the arrays of a run are: on one device. Whoever spreads runs over several says here what is where."""

    def __init__(self, device: jax.Device) -> None:
        self.device = device
        self.sharding = jax.sharding.SingleDeviceSharding(device)

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

    def twin(self) -> XlaExecutable:
        """Itself: it keeps nothing of a state."""
        return self

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
                count, changed, emits = run(current)
                ahead = next(pieces, None)  # gathered and moved while this one is computed
                done = int(count)  # waits for it
                current |= changed
                commit(partial(_take, state, feed, steps, done, changed, emits))
                if done < len(steps):
                    break
                took = time.perf_counter() - begin
                if way is not None:
                    self._choice.note(way, took / len(steps))
                self._pace = min(2 * self._pace, most) if took < _SECONDS / 2 else max(1, self._pace // 2)

    def _most(self, resident: int | None) -> int:
        """Steps that the loop over full batches has room for: all of an epoch, if so many rows stay on the device."""
        program, full = self.program, self.program.graphs[self.program.rows]
        emits = sum(full.outputs[name].type.nbytes for name in program.emits)
        if resident is None:
            widest, most = sum(full.input(name).type.nbytes for name in program.columns), _STEPS
        else:
            widest, most = program.rows * 4, resident // program.rows  # numbers of rows
        return max(1, min(most, _BYTES // max(1, widest, emits)))

    def _pieces(self, feed: Feed, most: int) -> Iterator[tuple[Graph, int, int | None, range]]:
        """What runs in one go: a graph, for how many steps its loop has room, how it is launched, and which steps these are."""
        program, step = self.program, 0
        full = feed.batches.count(program.rows)
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
    ) -> tuple[Callable[[Arrays], tuple[Any, Arrays, Arrays]], int | None, range]:
        """What runs a piece from a state on, how it is launched, and its steps; rows and numbers are on their way to the device."""
        program = self.program
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
        loop = _loop(self._steps[id(graph)], room, self.place.ways[way or 0])
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
def _loop(one: _Step, room: int, way: _Way) -> Callable[..., tuple[Any, Arrays, Arrays]]:
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

    compiled: Callable[..., tuple[Any, dict[str, Any], dict[str, Any]]] = jax.jit(
        run, compiler_options=dict(way) or None
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
        running.result()
    except BaseException:
        with committing:
            waiting = False
        raise


class _Left(Exception):  # noqa: N818 - nobody sees it
    """Nobody waits any more."""


def compile(program: Program, device: jax.Device) -> XlaExecutable:
    """Make a program ready to run on a device."""
    return XlaExecutable(program, Place(device))
