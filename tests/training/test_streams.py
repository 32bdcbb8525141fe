"""Data that comes batch by batch, and data that stays in its file."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, layers
from nacre.callbacks import Callback
from nacre.data import Dataset, Stream, dataset, is_stream
from nacre.errors import DataError, DTypeError, Limitation, NacreError, ShapeError, UsageError
from nacre.optimizers import SGD, RMSprop
from nacre.training import trainer
from nacre.utils import set_random_seed

Array = npt.NDArray[Any]
Batch = tuple[Array, Array]

X = np.random.default_rng(1).standard_normal((43, 4)).astype("float32")
Y = X[:, :3].argmax(-1)


def make(optimizer: Any = None, device: str = "native") -> Sequential:
    set_random_seed(3)
    model = Sequential([Input((4,)), layers.Dense(5, activation="tanh"), layers.Dropout(0.25)])
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(
        optimizer or SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"], device=device
    )
    return model


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def batches(size: int = 8) -> list[Batch]:
    return [(X[n : n + size], Y[n : n + size]) for n in range(0, len(X), size)]


class Loader:
    """What a loader of another library looks like."""

    def __iter__(self) -> Iterator[Batch]:
        return iter(batches())

    def __len__(self) -> int:
        return 6


class Unsized:
    """May be gone through again and again."""

    def __iter__(self) -> Iterator[Batch]:
        return iter(batches())


SOURCES: dict[str, Callable[[], Any]] = {
    "a list": batches,
    "a loader": Loader,
    "without a length": Unsized,
    "a generator": lambda: (batch for _ in range(3) for batch in batches()),
    "an endless generator": lambda: itertools.cycle(batches()),
}


# ------------------------------------------------------------------ the same bits


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("device", ["native", "reference", "xla"])
def test_a_stream_gives_the_weights_and_figures_of_the_same_batches_in_memory(source: str, device: str) -> None:
    memory, stream = make(device=device), make(device=device)
    expected = memory.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    steps = 6 if "generator" in source else None
    found = stream.fit(SOURCES[source](), epochs=3, steps_per_epoch=steps, verbose=0)
    assert bits(stream) == bits(memory)
    assert (found.epoch, found.history) == (expected.epoch, expected.history)
    assert stream.optimizer.iterations == 18


def test_batches_may_be_of_any_sizes() -> None:
    stream, stepped = make(RMSprop(0.01)), make(RMSprop(0.01))
    cuts = [(X[a:b], Y[a:b]) for a, b in itertools.pairwise([0, 1, 5, 25, 26, 43])]
    for x, y in cuts * 2:
        stepped.train_on_batch(x, y)
    stream.fit(cuts, epochs=2, verbose=0)
    assert bits(stream) == bits(stepped)


def test_any_arrays_make_batches() -> None:
    plain, lists = make(), make()
    plain.fit(batches(), verbose=0)
    lists.fit((((x.astype("float64")).tolist(), y.tolist()) for x, y in batches()), verbose=0)
    assert bits(lists) == bits(plain)


def test_evaluate_and_predict_take_streams() -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    assert model.evaluate(Loader(), verbose=0) == model.evaluate(X, Y, batch_size=8, verbose=0)
    assert model.evaluate(itertools.cycle(batches()), steps=6, verbose=0) == model.evaluate(batches(), verbose=0)
    expected = model.predict(X, verbose=0).tobytes()
    assert model.predict(batches(), verbose=0).tobytes() == expected
    assert model.predict((x for x, _ in batches()), verbose=0).tobytes() == expected
    assert model.predict(((x,) for x, _ in batches()), verbose=0).tobytes() == expected
    assert model.predict(itertools.cycle(batches()), steps=6, verbose=0).tobytes() == expected


def test_validation_may_be_a_stream() -> None:
    memory, stream = make(), make()
    pair = (X[:16], Y[:16])
    expected = memory.fit(X, Y, batch_size=8, epochs=2, shuffle=False, validation_data=pair, verbose=0)
    found = stream.fit(X, Y, batch_size=8, epochs=2, shuffle=False, validation_data=batches()[:2], verbose=0)
    assert found.history == expected.history
    assert bits(stream) == bits(memory)


def test_a_model_without_weights_is_built_by_the_first_batch() -> None:
    model = Sequential([layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(iter(batches()), verbose=0)
    assert model.input_shape == (None, 4)
    assert model.optimizer.iterations == 6


# ------------------------------------------------------------------ how far a pass goes


def test_each_batch_is_trained_on_before_the_one_after_the_next_is_asked_for() -> None:
    model, seen = make(), []

    def source() -> Iterator[Batch]:
        for batch in batches():
            seen.append(model.optimizer.iterations)
            yield batch

    model.fit(source(), verbose=0)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_no_batch_is_asked_for_beyond_the_steps() -> None:
    taken = []
    source = (taken.append(n) or batch for n, batch in enumerate(itertools.cycle(batches())))  # type: ignore[func-returns-value]
    make().fit(source, epochs=2, steps_per_epoch=4, verbose=0)
    assert len(taken) == 8
    make().evaluate(source, steps=3, verbose=0)
    assert len(taken) == 11


def test_steps_per_epoch_goes_on_through_a_list_and_begins_it_anew() -> None:
    cut, cycled = make(), make()
    cut.fit(batches(), epochs=3, steps_per_epoch=4, verbose=0)
    cycled.fit(itertools.islice(itertools.cycle(batches()), 12), verbose=0)
    assert bits(cut) == bits(cycled)


def test_a_generator_without_steps_is_good_for_one_epoch() -> None:
    assert make().fit(iter(batches()), verbose=0).epoch == [0]
    with pytest.raises(
        UsageError, match=r"x can be gone through only once, but there are 2 epochs[\s\S]*steps_per_epoch"
    ):
        make().fit(iter(batches()), epochs=2, verbose=0)
    with pytest.raises(UsageError, match="validation_data can be gone through only once"):
        make().fit(X, Y, epochs=2, validation_data=iter(batches()), verbose=0)


def test_a_generator_that_runs_out_ends_the_training_with_a_warning() -> None:
    model = make()
    with pytest.warns(UserWarning, match="ran out after 2 of 4 steps"):
        history = model.fit(iter(batches()), epochs=9, steps_per_epoch=4, verbose=0)
    assert history.epoch == [0, 1]
    assert model.optimizer.iterations == 6


def test_a_generator_that_ends_with_an_epoch_ends_the_training() -> None:
    assert make().fit(iter(batches()), epochs=9, steps_per_epoch=3, verbose=0).epoch == [0, 1]


def test_hooks_and_progress_work_without_a_known_length(capsys: pytest.CaptureFixture[str]) -> None:
    class Counts(Callback):
        seen = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert batch == self.seen % 6
            self.seen += 1

    counts = Counts()
    make().fit(Unsized(), epochs=2, verbose=2, callbacks=[counts])
    assert counts.seen == 12
    assert counts.params["steps"] is None
    assert capsys.readouterr().err.count("loss") == 2
    make().evaluate(Loader())
    assert capsys.readouterr().err.startswith("6 batches")


def test_a_batch_hook_can_stop_the_training() -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 2

    model = make()
    model.fit(itertools.cycle(batches()), epochs=3, steps_per_epoch=5, callbacks=[Stop()], verbose=0)
    assert model.optimizer.iterations == 3


# ------------------------------------------------------------------ mistakes


def with_batch(number: int, batch: Any) -> Iterator[Any]:
    return (batch if n == number else good for n, good in enumerate(batches()))


WRONG: dict[str, tuple[Any, type[NacreError], list[str]]] = {
    "another shape": ((X[:3, :2], Y[:3]), ShapeError, ["float32[3,2]", "float32[rows,4]"]),
    "another dtype": ((np.ones((3, 4), "uint8"), Y[:3]), DTypeError, ["uint8[3,4]", "float32[rows,4]"]),
    "other labels": ((X[:3], Y[:3] / 2 + 0.5), DTypeError, ["y", "float32[3]", "int32[rows]"]),
    "a label too large": ((X[:3], np.array([0, 1, 7])), DataError, ["Label 7 at row 2", "3 classes"]),
    "NaN": ((X[:3] * np.nan, Y[:3]), DataError, ["nan", "row 0"]),
    "fewer labels": ((X[:3], Y[:2]), DataError, ["3 rows", "2"]),
    "no rows": ((X[:0], Y[:0]), DataError, ["no samples"]),
    "no pair": (X[:3], DataError, ["found", "ndarray", "(x, y)"]),
    "four": ((X[:3], Y[:3], Y[:3], Y[:3]), DataError, ["tuple of 4", "(x, y)"]),
    "weights": ((X[:3], Y[:3], Y[:3]), DataError, ["weights"]),
    "text": (("a", "b"), DTypeError, ["numbers"]),
    "nothing": (None, DataError, ["NoneType"]),
}


@pytest.mark.parametrize("mistake", WRONG)
@pytest.mark.parametrize("number", [0, 3])
def test_a_wrong_batch_is_named_and_the_steps_before_it_stay(mistake: str, number: int) -> None:
    batch, kind, words = WRONG[mistake]
    if number == 0 and mistake in ("another shape", "another dtype", "other labels", "weights"):
        words = []  # then it is the next that differs
        if mistake == "another shape":
            words = ["4 features"]
    model = make()
    with pytest.raises(NacreError, match=rf"Batch [{number}{'' if words else 1}] of the data") as caught:
        model.fit(with_batch(number, batch), verbose=0)
    assert isinstance(caught.value, kind) or not words
    for word in words:
        assert word in str(caught.value)
    assert model.optimizer.iterations == (number if words else caught.value.args[0].startswith("Batch 1"))


def test_an_error_of_the_generator_comes_through() -> None:
    def source() -> Iterator[Batch]:
        yield from batches()[:2]
        raise OSError("the disk is gone")

    model = make()
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(source(), verbose=0)
    assert model.optimizer.iterations == 2


@pytest.mark.parametrize(
    "empty", [iter([]), (b for b in batches()[:0]), type("Empty", (), {"__iter__": lambda s: iter(())})()]
)
def test_a_stream_without_batches_is_an_error(empty: Any) -> None:
    with pytest.raises(DataError, match="no batches"):
        make().fit(empty, verbose=0)


def test_arguments_for_arrays_are_refused() -> None:
    for settings in ({"batch_size": 8}, {"validation_split": 0.1}):
        with pytest.raises(UsageError, match="for arrays"):
            make().fit(batches(), verbose=0, **settings)
    for call in (make().fit, make().evaluate):
        steps: Any = {"steps_per_epoch" if call.__name__ == "fit" else "steps": 3}
        with pytest.raises(Limitation, match="as a whole"):
            call(X, Y, verbose=0, **steps)
    with pytest.raises(UsageError, match="steps_per_epoch"):
        make().fit(batches(), steps_per_epoch=0, verbose=0)
    with pytest.raises(UsageError, match="Targets are missing"):
        make().fit(X, verbose=0)


@pytest.mark.parametrize(
    "x", [X, X.tolist(), range(3), (X, Y), "text", {"x": X}, {1, 2}, [], [X], None, 3, memoryview(X)]
)
def test_what_is_an_array_or_a_mistake_is_no_stream(x: Any) -> None:
    assert not is_stream(x)


def test_passes_over_a_stream_begin_where_they_should() -> None:
    def firsts(stream: Stream, passes: int) -> list[list[int]]:
        found = []
        for _ in range(passes):
            stream.begin()
            found.append([int(batch.x[0]) for batch in stream.batches()])
        return found

    numbers = [([n], [0]) for n in range(5)]
    assert firsts(Stream(numbers), 2) == [[0, 1, 2, 3, 4]] * 2
    assert firsts(Stream(numbers, steps=3), 3) == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert firsts(Stream(iter(numbers), steps=3), 3) == [[0, 1, 2], [3, 4], []]


# ------------------------------------------------------------------ files that stay files

GROWTH = """
import sys
import numpy as np
from nacre import Input, Sequential, layers

def anonymous():  # the memory of the process itself; pages of a file can be dropped at any time
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

x, y = np.load(sys.argv[1], mmap_mode="r"), np.load(sys.argv[2], mmap_mode="r")
model = Sequential([Input((x.shape[1],)), layers.Rescaling(1 / 255), layers.Dense(4), layers.Dense(3, activation="softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit(np.array(x[:64]), np.array(y[:64]), verbose=0)
before = anonymous()
model.fit(x, y, batch_size=256, epochs=2, verbose=0)
model.evaluate(x, y, verbose=0)
assert len(model.predict(x, verbose=0)) == len(x)
print(x.nbytes, anonymous() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by /proc")
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_a_mapped_file_is_not_read_into_memory(tmp_path: Path, dtype: str) -> None:
    width = 3072 // np.dtype(dtype).itemsize
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", dtype, (100_000, width))
    x[::1000] = 7
    x.flush()
    np.save(tmp_path / "y.npy", np.arange(100_000) % 3)
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    size, growth = map(int, run.stdout.split())
    assert size > 300e6
    assert growth < (100e6 if dtype == "float64" else 40e6)


def mapped(path: Path, array: Array) -> Array:
    """The array in a file, Fortran order and all."""
    np.save(path, array)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


MAPPED: dict[str, tuple[Callable[[Array], Array], bool]] = {
    "ready": (lambda x: x, True),
    "float64": (lambda x: x.astype("float64"), False),
    "float16": (lambda x: x.astype("float16"), False),
    "other end first": (lambda x: x.astype(">f4"), False),
    "Fortran order": (np.asfortranarray, False),
    "int64": (lambda x: (x * 10).astype("int64"), False),
    "bool": (lambda x: x > 0, False),
}


@pytest.mark.parametrize("kind", MAPPED)
@pytest.mark.parametrize("size", [8, 64])
def test_a_mapped_file_gives_the_bits_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, size: int
) -> None:
    monkeypatch.setattr(dataset, "_MAPPED", 0)  # as if the file were large
    monkeypatch.setattr(trainer, "_TAKEN", 70)  # two batches of 8 rows of 4, or one of 64
    change, ready = MAPPED[kind]
    x, y = change(X), Y.astype("int64")
    file, memory = make(), make()
    columns = Dataset(mapped(tmp_path / "x.npy", x), mapped(tmp_path / "y.npy", y)).columns
    assert [column.ready for column in columns] == [ready, False]
    found = file.fit(
        mapped(tmp_path / "x.npy", x),
        mapped(tmp_path / "y.npy", y),
        batch_size=size,
        epochs=3,
        validation_split=0.2,
        verbose=0,
    )
    expected = memory.fit(x, y, batch_size=size, epochs=3, validation_split=0.2, verbose=0)
    assert bits(file) == bits(memory)
    assert found.history == expected.history
    assert file.predict(mapped(tmp_path / "x.npy", x)).tobytes() == memory.predict(x).tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_what_is_wrong_in_a_mapped_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    monkeypatch.setattr(dataset, "_MAPPED", 0)
    x = X.astype("float64")
    x[41, 2] = value
    with pytest.raises(DataError, match="row 41, column 2"):
        make().fit(mapped(tmp_path / "x.npy", x), Y)
    with pytest.raises(DataError, match=r"value 4294967296 at row 3"):
        make().fit(X, mapped(tmp_path / "y.npy", np.where(np.arange(43) == 3, 2**32, Y)))
    with pytest.raises(DataError, match="Label 3 at row 5"):
        make().fit(X, mapped(tmp_path / "y.npy", np.where(np.arange(43) == 5, 3, Y)))
