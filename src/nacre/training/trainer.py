"""The trainer introduces network, loss, optimizer, data and device to each other, and runs the epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from nacre.backends import native
from nacre.backends.base import Block, Executable, Feed, NotFinite, PlannedStep, Program, State
from nacre.data import Column, Data, Dataset, Shards, Stream, not_finite
from nacre.distributed import Others
from nacre.errors import Limitation, NonFiniteLossError, UsageError
from nacre.ir import Value
from nacre.layers import Parameter
from nacre.ops import next_seed
from nacre.optimizers import Optimizer
from nacre.optimizers.optimizer import AVERAGE
from nacre.training.callbacks import Callbacks
from nacre.training.devices import lowering, others_on
from nacre.training.gradients import fit_lbfgs, gradient_program, gradients_of, loss_function
from nacre.training.history import History
from nacre.training.inside import Inside, inside_program, look_inside
from nacre.training.position import Logs, Position, Tally
from nacre.training.program import (
    Goal,
    Network,
    Notes,
    RowType,
    RowTypes,
    evaluation_program,
    prediction_program,
    training_program,
)
from nacre.training.shelf import Shelf

Array = npt.NDArray[Any]

T = TypeVar("T")

_KEPT = 16  # executables kept ready, for the batch sizes used last
PROGRAMS = Shelf(32)  # of equal networks, of which a search or a cross-validation trains hundreds
_NO_SCHEDULE: dict[str, Array] = {}
_ASIDE = 0x0DDBA11  # what keeps random numbers outside of training apart from those in it
_TAKEN = 1 << 22  # elements of a mapped file that are converted at a time
REPEATS = 15  # of which the least is taken, where kernels are timed
EVALUATION_ROWS = 256  # rows of a batch where the batch size changes nothing but the speed


class Trainer:
    """Runs programs of one network on one device; ``goal`` is missing for a network that only predicts."""

    def __init__(
        self, network: Network, state: State, device: str, goal: Goal | None = None, seed: int | None = None
    ) -> None:
        self.network, self.state, self.goal = network, state, goal
        self.compile, self._others = lowering(device), others_on(device)
        self.seed = next_seed() if seed is None else seed
        # The program of a kind for some batch sizes, compiled once and kept while it is in use.
        self.executable = lru_cache(_KEPT)(self._executable)
        self._look()
        self._at_hand: WeakKeyDictionary[Data, _AtHand] = WeakKeyDictionary()
        self._drawn = 0  # steps outside of training for which there were random numbers
        self._last: tuple[Any, Executable] | None = None  # what `outputs` was asked for last, and what ran then
        if goal is not None:
            self._add_slots(goal.optimizer)

    def _add_slots(self, optimizer: Optimizer) -> None:
        """Those that are missing beside weights that are trained now."""
        for name, w in self.network.named.items():
            for slot, begin in optimizer.state().items() if w.trainable else ():
                if (own := f"{name}/{slot}") not in self.state:
                    self.state.add({own: w.type}, begin)
                    if slot == AVERAGE:
                        self.state[own].write(self.state[name].read())

    # -------------------------------------------------------------- programs

    def _executable(
        self,
        kind: str,
        sizes: tuple[int, ...],
        rows: RowTypes,
        _frozen: tuple[bool, ...],
        every: int = 0,
        _alone: bool = False,
    ) -> Executable:
        """Which weights are frozen, and how many threads there are, tells apart what differs by it."""
        if unknown := [name for name in self.network.named if name not in self.state]:
            raise UsageError(
                f"The model has the weight {unknown[0]!r}, which it did not have when it was compiled.",
                hint="compile it again after a layer is added to it, or to a model inside",
            )
        if kind == "train":
            assert self.goal is not None
            self._add_slots(self.goal.optimizer)
        return self._ready(lambda: self._trace(kind, sizes, rows, every), kind, sizes, rows, every)

    def _ready(self, trace: Callable[[], Program], *asked: Any) -> Executable:
        """A program ready to run: what an equal network with an equal goal has asked for serves this one too."""
        if (kind := self.network.kind()) is None:
            return self.compile(trace())
        judged = None if self.goal is None else str(self.goal.described())
        key = (kind, judged, asked, native.ALONE.get(), *engine().values())
        return PROGRAMS.twin(key, lambda: self.compile(trace()))

    def _trace(self, kind: str, sizes: tuple[int, ...], data: RowTypes, every: int) -> Program:
        if kind == "predict":
            return prediction_program(self.network, data, sizes)
        assert self.goal is not None
        if kind == "train":
            return training_program(self.network, self.goal, data, sizes, every)
        return evaluation_program(self.network, self.goal, data, sizes)

    # -------------------------------------------------------------- the three verbs

    def fit(
        self,
        data: Data,
        validation: Data | None,
        *,
        epochs: range,
        batch_size: int,
        validation_size: int,
        shuffle: bool,
        callbacks: Callbacks,
    ) -> None:
        """Train for the epochs of ``epochs``."""
        self._look()
        size, shuffled = (None, False) if isinstance(data, Stream) else (batch_size, shuffle)
        position = Position(epochs.start, self._tally("train", data), callbacks, data, validation, size, shuffled)
        with callbacks.following(position):
            self._epochs(position, epochs.stop, batch_size, validation_size, callbacks)

    def _epochs(
        self, position: Position, stop: int, batch_size: int, validation_size: int, callbacks: Callbacks
    ) -> None:
        data, validation = position.data, position.validation
        callbacks.call("on_train_begin", {})
        callbacks.restore()
        self._agree(position)  # also, all have read the checkpoint before the first writes another
        for epoch in range(position.epoch, stop):
            if callbacks.stopped:
                break
            if isinstance(data, Stream) and not position.tally.steps and not data.begin():
                break  # it ran out
            callbacks.call("on_epoch_begin", epoch, {})
            logs = self.epoch(data, batch_size, position.shuffle, callbacks, position.tally, epoch)
            if validation is not None:
                figures = self.evaluate(validation, validation_size, callbacks, self._others)
                logs |= {f"val_{name}": value for name, value in figures.items()}
            position.epoch, position.tally = epoch + 1, self._tally("train", data)
            callbacks.call("on_epoch_end", epoch, logs)
        self._take_averages()
        callbacks.call("on_train_end", {})

    def _agree(self, position: Position) -> None:
        """Demand that processes which train together begin at the same place, over the same data."""
        if self._others is None:
            return
        assert self.goal is not None
        begins = position.terms() | {
            "seed": self.seed,
            "step": self.goal.optimizer.iterations,
            "place": position.state(),
        }
        self._others.agree({name: repr(value).encode() for name, value in begins.items()})

    def _take_averages(self) -> None:
        """The weights become their averages, where the optimizer keeps some."""
        assert self.goal is not None
        if not self.goal.optimizer.use_ema or not self.goal.optimizer.iterations:
            return

        def take() -> None:
            for name, w in self.network.named.items():
                if w.trainable and (average := f"{name}/{AVERAGE}") in self.state:
                    self.state[name].write(self.state[average].read())

        self.state.turns.use(take)

    def epoch(
        self,
        data: Data,
        batch_size: int,
        shuffle: bool,
        callbacks: Callbacks,
        tally: Tally | None = None,
        epoch: int = 0,
    ) -> Logs:
        """What is left of a pass after the steps in ``tally``: a single native call, or several if a callback asks for them."""
        if tally is None:
            self._look()
            tally = self._tally("train", data)
        logs = self._sweep(self._blocks(data, batch_size, tally, shuffle, callbacks.samples_every), callbacks, tally)
        if not math.isfinite(logs["loss"]) and not callbacks.stopped:
            assert self.goal is not None
            raise NonFiniteLossError(
                f"The loss became {logs['loss']} in epoch {epoch + 1}, at step {self.goal.optimizer.iterations + 1}.",
                {"learning rate": self.goal.optimizer.learning_rate, "weights": "as they were before that step"},
                "a smaller learning rate, or scaled inputs",
            )
        return logs

    def evaluate(self, data: Data, batch_size: int, callbacks: Callbacks, others: Others | None = None) -> Logs:
        """Loss and metrics over all rows. With ``others``, which evaluate at the same time, each takes a part of the batches; they
        stay whole, so a figure is that of one process but for the order of its sum. All take all of a stream: nobody knows how long
        it is, nor what it costs to skip a batch."""
        self._look()
        callbacks.call("on_test_begin", {})
        mine, before, behind = self._share(data, batch_size, others)
        self._drawn += before
        tally = self._tally("test", mine)
        self._sweep(self._blocks(mine, batch_size, tally), callbacks, tally)
        self._drawn += behind
        if others is not None and mine is not data:
            tally.add_those_of(others)
        callbacks.call("on_test_end", logs := tally.figures())
        return logs

    def _share(self, data: Data, batch_size: int, others: Others | None) -> tuple[Data, int, int]:
        """What this process takes of data that all go over, and how many batches there are before and behind it."""
        if others is None or isinstance(data, Stream) or (batches := -(-len(data) // batch_size)) < others.processes:
            return data, 0, 0
        first, last = (batches * (others.index + end) // others.processes for end in (0, 1))
        rows = first * batch_size, min(last * batch_size, len(data))
        parts = self._known(data).parts
        if rows not in parts:
            parts[rows] = data.rows(*rows)
        return parts[rows], first, batches - last

    def predict(self, data: Data, batch_size: int, callbacks: Callbacks) -> list[Array]:
        """Each output for all rows. A row's output does not depend on its batch."""
        self._look()
        tally = self._tally("predict", data)
        callbacks.call("on_predict_begin", {})
        pieces: list[dict[str, Array]] = []
        self._sweep(self._blocks(data, batch_size, tally), callbacks, tally, pieces)
        callbacks.call("on_predict_end", {})
        return [pieces[0][n] if len(pieces) == 1 else np.concatenate([p[n] for p in pieces]) for n in pieces[0]]

    def outputs(self, x: Array, batch_size: int) -> list[Array]:
        """What `predict` gives for rows of one input, out of `numeric`, when nobody watches. `DataError` if one is not finite."""
        asked = (x.shape, x.dtype, batch_size)
        last = self._last
        if last is None or last[0] != asked:
            sizes, rows = _sizes(len(x), batch_size), RowTypes((RowType(x.shape[1:], str(x.dtype)),))
            last = self._last = asked, self.executable("predict", sizes, rows, ())
        try:
            asks = last[1].program.schedule
            schedule = self._schedule("predict", len(last[1].program.batches(len(x)))) if asks else _NO_SCHEDULE
            return list(last[1].run(self.state, Block([x]), None, schedule, None, False).values())
        except NotFinite:
            raise not_finite("x", x) from None

    def plan(self, data: Dataset, batch_size: int, seconds: float = 0) -> tuple[list[PlannedStep], list[float]]:
        """The steps of the plan for full batches of ``data``, of training if there is a goal, else of prediction; and the time of
        each in seconds, the least of `REPEATS` that take about ``seconds`` together, none if that is 0. Weights and optimizer are
        left as they were."""
        self._look()
        kind = "train" if self.goal is not None and data.y is not None else "predict"
        executable = self._executable_for(kind, data, min(batch_size, len(data)))
        if not isinstance(executable, native.NativeExecutable):
            raise Limitation("Only the native engine runs plans.", hint='compile with device="native"')
        steps = executable.plans[executable.program.rows].described()
        if not seconds:
            return steps, []
        kept = {name: memory.read().copy() for name, memory in self.state.items()}
        block = Block([column.array for column in _columns(kind, data)])

        def run(batches: int) -> None:
            rows = np.arange(batches * executable.program.rows)
            feed = Feed(executable.program, len(rows))
            schedule = self._schedule(kind, len(feed.batches))
            for name in self.goal.optimizer.numbers(0) if self.goal and schedule else ():
                schedule[name][:] = 0  # the same work, however long, and no loss that grows until a run ends
            executable.run(self.state, block, rows, schedule, feed)

        repeats = []
        try:
            begin = time.perf_counter()
            run(1)  # what is only done at first counts for no repeat
            long = time.perf_counter() - begin
            batches = max(1, min(len(data) // executable.program.rows, int(seconds / REPEATS / long)))
            for _ in range(REPEATS):
                count, end, executable.seconds = 0, time.perf_counter() + seconds / REPEATS, np.zeros(len(steps))
                while not count or time.perf_counter() < end:
                    run(batches)
                    count += batches
                repeats.append(executable.seconds / count)
            return steps, np.min(repeats, axis=0).tolist()  # what else runs on the machine only adds
        finally:
            executable.seconds = None
            for name, array in kept.items():
                self.state[name].write(array)

    def traced(self, data: Dataset, rows: int) -> tuple[Program, Notes, dict[str, Array]]:
        """What runs for so many rows, of training if there is a goal and there are targets, else of prediction; what is known of
        its values; and what its inputs are in the next step over the first rows of ``data``, by name."""
        kind = "train" if self.goal is not None and data.targets else "predict"
        notes, types = Notes(), RowTypes.of(data)
        if kind == "train":
            assert self.goal is not None
            self._add_slots(self.goal.optimizer)
            program = training_program(self.network, self.goal, types, (rows,), notes=notes)
        else:
            program = prediction_program(self.network, RowTypes(types.inputs), (rows,), notes)
        graph, notes = notes.found_in(program.graphs[rows])
        emits = tuple(name for name in program.emits if name in graph.outputs)
        program = replace(program, graphs={rows: graph}, emits=emits)
        drawn = self._drawn
        schedule = self._schedule(kind, 1)
        self._drawn = drawn  # nothing ran
        columns = [column.take(np.arange(rows)) for column in _columns(kind, data)]
        given = dict(zip(program.columns, columns, strict=True))
        given |= {name: numbers[0] for name, numbers in schedule.items()}
        state = self.state.turns.use(lambda: {name: self.state[name].read().copy() for name in program.state})
        return program, notes, given | state

    # -------------------------------------------------------------- gradients

    def gradients(
        self, data: Dataset, weights: Mapping[str, Parameter], per_sample: bool, training: bool
    ) -> dict[str, Array]:
        """The gradient of the loss by the names of weights; for each row by itself, if ``per_sample``."""
        executable = self._backward(data, weights, 1 if per_sample else len(data), training)
        assert self.goal is not None
        first = self.goal.optimizer.iterations
        _, found = gradients_of(executable, self.state, data, self.seed, first)
        return found if per_sample else {name: gradient[0] for name, gradient in found.items()}

    def loss_function(self, data: Dataset) -> tuple[Callable[[Mapping[str, Any]], Value], dict[str, Array]]:
        """The loss on the data as a function of the trained weights, and these."""
        assert self.goal is not None
        return loss_function(self.network, self.goal, data)

    def fit_lbfgs(self, data: Dataset, steps: int, tolerance: float, evaluations: int | None, history: History) -> None:
        """Train on all of the data at once."""
        weights = {name: w for name, w in self.network.named.items() if w.trainable}
        if not weights:
            raise UsageError(
                "The model has no weight that can be trained.", hint="add a layer with weights, such as Dense"
            )
        executable = self._backward(data, weights, len(data), False)
        fit_lbfgs(executable, self.state, weights, data, steps, tolerance, evaluations, history)

    def _backward(self, data: Dataset, weights: Mapping[str, Parameter], rows: int, training: bool) -> Executable:
        goal = self.goal
        assert goal is not None
        return self._ready(
            lambda: gradient_program(self.network, goal, data, weights, rows, training),
            "gradients",
            rows,
            RowTypes.of(data),
            tuple(weights),
            training,
        )

    def inside(self, data: Dataset, training: bool, layers: bool) -> Inside:
        """What goes on inside for each row by itself; with ``training``, for all rows as one batch."""
        goal = self.goal if data.targets else None
        rows = len(data) if training else 1
        program, calls = inside_program(self.network, goal, RowTypes.of(data), rows, training, layers)
        step = self.goal.optimizer.iterations if self.goal is not None else 0
        return look_inside(self.compile(program), calls, self.state, data, {"seed": self.seed, "step": step})

    # -------------------------------------------------------------- running

    def _look(self) -> None:
        """Which weights there are: a layer may have been added."""
        self._named = self.network.named

    def _schedule(self, kind: str, steps: int) -> dict[str, Array]:
        """The numbers of the next steps."""
        if kind != "train":  # numbers that only a model with chance outside of training asks for
            begin, self._drawn = self._drawn, self._drawn + steps
            step = np.arange(begin, begin + steps).astype(np.uint32)  # modulo 2^32
            return {"seed": np.full(steps, self.seed ^ _ASIDE, dtype=np.uint32), "step": step}
        assert self.goal is not None
        optimizer = self.goal.optimizer
        return {
            **optimizer.numbers(steps),
            "seed": np.full(steps, self.seed, dtype=np.uint32),
            "step": np.arange(optimizer.iterations, optimizer.iterations + steps).astype(np.uint32),  # modulo 2^32
        }

    def _tally(self, kind: str, data: Data) -> Tally:
        return Tally(self.goal, kind, None if isinstance(data, Stream) else len(data))

    def _blocks(
        self, data: Data, batch_size: int, tally: Tally, shuffle: bool = False, every: int = 0
    ) -> Iterator[_Block]:
        """The rows of a pass that are not in ``tally`` yet, and what runs over them: all at once, or batches as they come."""
        if isinstance(data, Stream):
            data.begin()
            for batch in data.batches(tally.steps):
                executable = self._executable_for(tally.kind, batch, len(batch), every)
                yield executable, Block([c.array for c in _columns(tally.kind, batch)]), np.arange(len(batch))
            return
        executable = self._executable_for(tally.kind, data, batch_size, every)
        done = tally.steps
        if isinstance(data, Shards):
            permutation = partial(self._permutation, self._steps_before(done)) if shuffle else None
            others = self._others if tally.kind == "train" else None  # what is only evaluated, others may not ask for
            for window, order in data.windows(batch_size, done * batch_size, permutation, others):
                yield executable, Block([column.array for column in _columns(tally.kind, window)]), order
            return
        columns = _columns(tally.kind, data)
        order = self._permutation(self._steps_before(done), len(data)) if shuffle else np.arange(len(data))
        order = order[done * batch_size :]
        if not all(column.ready for column in columns):
            for rows in _gathered(order, columns, batch_size):
                yield executable, Block([column.take(rows) for column in columns]), np.arange(len(rows))
        elif len(order) or not done:
            yield executable, self._block(data, columns), order

    def _block(self, data: Dataset, columns: tuple[Column, ...]) -> Block:
        """The columns as they lie in memory: the same block as long as there is such data, so that a device may keep it."""
        blocks = self._known(data).blocks
        if len(columns) not in blocks:  # inputs alone, or all
            blocks[len(columns)] = Block([column.array for column in columns])
        return blocks[len(columns)]

    def _known(self, data: Dataset | Shards) -> _AtHand:
        known = self._at_hand.get(data)
        if known is None:
            known = self._at_hand[data] = _AtHand(RowTypes.of(data))
        return known

    def _executable_for(self, kind: str, data: Dataset | Shards, batch_size: int, every: int = 0) -> Executable:
        rows = self._known(data).rows
        rows = RowTypes(rows.inputs) if kind == "predict" else rows
        frozen = tuple([w.frozen for w in self._named.values()]) if kind != "predict" else ()
        return self.executable(kind, _sizes(len(data), batch_size), rows, frozen, every, native.ALONE.get())

    def _sweep(
        self,
        blocks: Iterator[_Block],
        callbacks: Callbacks,
        tally: Tally,
        outputs: list[dict[str, Array]] | None = None,
    ) -> Logs:
        """Run over blocks, each in one piece, or in shorter ones when a callback wants to be called in between."""
        with callbacks.watching(tally.now):
            for executable, block, order in blocks:
                while True:
                    stride = callbacks.stride(tally.kind)
                    piece = order if stride is None else order[: stride * executable.program.rows]
                    if len(piece):
                        callbacks.call(f"on_{tally.kind}_batch_begin", tally.steps, {})
                    emits, whole = self._run(executable, block, piece, tally, callbacks)
                    if outputs is not None:
                        outputs.append(emits)
                    if len(piece):
                        callbacks.call(f"on_{tally.kind}_batch_end", tally.steps - 1, tally.figures())
                    if not whole or (tally.kind == "train" and callbacks.stopped):
                        return tally.figures()
                    order = order[len(piece) :]
                    if not len(order):
                        break
        return tally.figures()

    def _run(
        self,
        executable: Executable,
        block: Block,
        order: npt.NDArray[np.int64],
        tally: Tally,
        callbacks: Callbacks,
    ) -> tuple[dict[str, Array], bool]:
        before, sparser = 0, 1
        if self.goal is not None and tally.kind == "train":
            before = self.goal.optimizer.iterations
            sparser = callbacks.sparser(self._steps_before(tally.steps))
        feed = Feed(executable.program, len(order), before, sparser)
        steps = len(feed.batches)
        tally.growing = feed
        try:
            emits = executable.run(self.state, block, order, self._schedule(tally.kind, steps), feed)
        finally:
            if tally.kind == "train":
                assert self.goal is not None
                self.goal.optimizer.iterations += int(feed.done[0])
        whole = int(feed.done[0]) == steps
        if seen := [before + step for step in feed.due if step < feed.done[0]]:
            callbacks.call("on_train_samples", seen, {n: found[: len(seen)] for n, found in feed.samples.items()})
        tally.add(feed, int(feed.done[0]) if whole else int(feed.done[0]) + 1)
        return emits, whole

    def _steps_before(self, done: int) -> int:
        """How many steps were taken before an epoch of which ``done`` are."""
        assert self.goal is not None
        return self.goal.optimizer.iterations - done

    def _permutation(self, steps: int, count: int, number: int = 0) -> npt.NDArray[np.int64]:
        """An order of so many things for an epoch: a function of the seed, the steps taken before it, and a ``number``."""
        return native.shuffled(self.seed, steps, number, count)


def engine() -> dict[str, Any]:
    """What the native engine found of this machine: the instructions that it uses, and how many threads.

    >>> sorted(engine())
    ['instructions', 'threads']
    """
    return {"instructions": native.default_isa(), "threads": native.default_threads()}


def side_by_side(tasks: Sequence[Callable[[], T]], stop: Callable[[], None]) -> list[T]:
    """What each task gives. As many run at once as there are threads, and what they train, they train on one.

    When one fails, or Ctrl-C comes, no other begins, ``stop`` tells those that run, and the error is raised once they ended.
    """

    def run(task: Callable[[], T]) -> T:
        native.ALONE.set(True)
        return task()

    with ThreadPoolExecutor(native.default_threads()) as pool:
        running = [pool.submit(run, task) for task in tasks]
        try:
            return [future.result() for future in running]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise


@dataclass
class _AtHand:
    """What is known of some data, for as long as there is such data."""

    rows: RowTypes
    blocks: dict[int, Block] = field(default_factory=dict)  # by their number of columns
    parts: dict[tuple[int, int], Dataset | Shards] = field(default_factory=dict)  # by first row, and the row behind


_Block = tuple[Executable, Block, npt.NDArray[np.int64]]  # what runs, over what, in which order


@lru_cache
def _sizes(rows: int, batch_size: int) -> tuple[int, ...]:
    """The different sizes of the batches that ``rows`` rows are cut into, largest first; (1,) when there are none."""
    full, rest = min(batch_size, rows), rows % min(batch_size, rows) if rows else 0
    return tuple(n for n in (full, rest) if n) or (1,)


def _columns(kind: str, data: Dataset) -> tuple[Column, ...]:
    """The columns that a program of a kind takes."""
    return data.inputs if kind == "predict" else data.columns


def _gathered(
    order: npt.NDArray[np.int64], columns: tuple[Column, ...], batch_size: int
) -> Iterator[npt.NDArray[np.int64]]:
    """``order`` in parts of whole batches, each of about `_TAKEN` elements."""
    widest = max(math.prod(column.array.shape[1:]) for column in columns)
    rows = batch_size * max(1, _TAKEN // max(1, batch_size * widest))
    return (order[first : first + rows] for first in range(0, len(order), rows))
