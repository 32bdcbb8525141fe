"""Is the data what it says?"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.data import Column, Dataset, numeric
from nacre.errors import DataError, DTypeError, ShapeError, UsageError

Array = npt.NDArray[Any]

STORED = {
    "bool": "uint8",
    "uint8": "uint8",
    "int8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "int32": "int32",
    "uint32": "int32",
    "int64": "int32",
    "uint64": "int32",
    "float16": "float32",
    "float32": "float32",
    "float64": "float32",
    "longdouble": "float32",
}


def unaligned(array: Array) -> Array:
    raw = np.empty(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(array: Array) -> Array:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "plain": lambda a: a,
    "fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "read_only": read_only,
    "unaligned": unaligned,
    "big_endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "matrix": lambda a: a.view(np.matrix),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", STORED)
def test_every_dtype_in_every_layout_keeps_its_values(dtype: str, layout: str) -> None:
    value = LAYOUTS[layout](np.array([[0, 1, 2], [3, 4, 100]]).astype(dtype))
    before = value.tobytes()
    stored = numeric("x", value)
    assert type(stored) is np.ndarray
    assert stored.dtype == STORED[dtype]
    assert stored.dtype.isnative
    assert stored.flags.c_contiguous
    assert stored.flags.aligned
    np.testing.assert_array_equal(stored, np.asarray(value).astype(STORED[dtype]))
    assert value.tobytes() == before


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "bool"])
def test_what_is_already_right_is_not_copied(dtype: str) -> None:
    value = np.ones((4, 3), dtype)
    assert np.shares_memory(numeric("x", value), value)
    shut = read_only(value)
    assert np.shares_memory(numeric("x", shut), shut)


def test_a_memory_map_is_used_in_place(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", np.arange(12, dtype="float32").reshape(4, 3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    stored = numeric("x", mapped)
    assert np.shares_memory(stored, mapped)
    assert type(stored) is np.ndarray


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=3), elements=st.integers(-(2**31), 2**31 - 1)))
def test_whole_numbers_of_int32_survive(value: Array) -> None:
    np.testing.assert_array_equal(numeric("x", value), value)


@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3), elements=st.floats(width=32)))
def test_floats_are_taken_exactly_when_all_are_finite(value: Array) -> None:
    if np.isfinite(value).all():
        np.testing.assert_array_equal(numeric("x", value), value.astype("float32"))
    else:
        with pytest.raises(DataError, match="nan" if np.isnan(value).any() else "infinite"):
            numeric("x", value)


@pytest.mark.parametrize(("value", "at"), [(2**31, 2), (-(2**31) - 1, 0)])
def test_a_whole_number_beyond_int32_is_named_with_its_row(value: int, at: int) -> None:
    data = np.zeros((3, 2), "int64")
    data[at, 1] = value
    with pytest.raises(DataError, match=rf"size has the value {value} at row {at}, column 1"):
        numeric("size", data)


def test_a_uint64_beyond_int64_is_refused() -> None:
    with pytest.raises(DataError, match=str(2**64 - 1)):
        numeric("x", np.array([0, 2**64 - 1], "uint64"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", ">f8"])
@pytest.mark.parametrize(("bad", "word"), [(np.nan, "nan"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_values_that_are_not_finite_are_counted_and_placed(dtype: str, bad: float, word: str) -> None:
    data = np.ones((400_000, 2), dtype)
    data[300_000, 1] = data[399_999, 0] = bad
    with pytest.raises(DataError, match=rf"x has 2 {word} values, the first at row 300000, column 1\."):
        numeric("x", data)


def test_infinities_that_cancel_are_found() -> None:
    with pytest.raises(DataError, match="2 infinite values, the first at row 0"):
        numeric("x", np.array([np.inf, -np.inf], "float32"))


def test_a_check_is_silent_however_numpy_was_told_to_behave() -> None:
    with np.errstate(all="raise"):
        assert numeric("x", np.array([3e38, 3e38, 1e-45], "float32")).size == 3
        with pytest.raises(DataError, match="1 nan"):
            numeric("x", np.array([np.nan, 1.0], "float32"))


def test_finite_or_not_may_be_left_to_the_reader() -> None:
    assert np.isnan(numeric("x", np.array([np.nan], "float32"), finite=False)).all()
    with pytest.raises(DataError, match="1 nan"):
        numeric("x", [np.nan], finite=False)


def test_large_finite_floats_whose_sum_overflows_are_welcome() -> None:
    data = np.full((10, 10), np.finfo("float32").max)
    np.testing.assert_array_equal(numeric("x", data), data)


def test_a_float64_too_large_for_float32_is_named_with_row_and_column() -> None:
    data = np.ones((5, 3))
    data[3, 2] = -1e39
    with pytest.raises(DataError, match=r"x has the value -1e\+39 at row 3, column 2, too large for float32"):
        numeric("x", data)


def test_checking_floats_allocates_next_to_nothing() -> None:
    data = np.ones((1_000_000, 8), "float32")
    tracemalloc.start()
    numeric("x", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < data.nbytes / 10


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a", "b"], "<U1"),
        ("text", "<U4"),
        ([b"a"], "S1"),
        ([1 + 2j], "complex128"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
        (np.array([1], "timedelta64[s]"), "timedelta64"),
        (np.zeros(2, [("a", "i4"), ("b", "f4")]), "'a'"),
        (np.array([1, None]), "object"),
        ({"a": 1}, "dict"),
        ({1, 2}, "set"),
        ((i for i in range(3)), "generator"),
        ([2**70], "object"),
    ],
)
def test_what_holds_no_numbers_is_refused_by_kind(value: object, found: str) -> None:
    with pytest.raises(DTypeError, match="should hold numbers") as caught:
        numeric("x", value)
    assert found in str(caught.value)
    assert "try:" in str(caught.value)


@pytest.mark.parametrize("value", [None, 3, 2.5, np.float32(1), np.array(7)])
def test_nothing_and_single_numbers_are_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"is None|single number"):
        numeric("x", value)


def test_ragged_lists_get_one_clear_message() -> None:
    with pytest.raises(ShapeError, match="The rows of x differ in length"):
        numeric("x", [[1, 2], [3]])


def test_masked_entries_are_refused_and_an_empty_mask_is_not() -> None:
    data = np.ma.masked_array([[1.0, 2.0], [3.0, 4.0]], mask=False)
    assert numeric("x", data).tolist() == [[1, 2], [3, 4]]
    data[1, 0] = np.ma.masked
    with pytest.raises(DataError, match="1 masked value, the first at row 1, column 0"):
        numeric("x", data)


@pytest.mark.parametrize("value", [[], np.zeros((0, 4)), np.zeros((0, 4), "uint8")])
def test_no_rows_are_refused_unless_allowed(value: Any) -> None:
    with pytest.raises(DataError, match="no samples"):
        numeric("x", value)
    assert len(numeric("x", value, allow_empty=True)) == 0
    assert len(Dataset(value, allow_empty=True)) == 0


def test_things_that_know_how_to_become_arrays_are_taken() -> None:
    class Frame:
        def to_numpy(self) -> Array:
            return np.array([[1.5, 2.0]])

    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return np.array([[1, 2]])

    assert numeric("x", Frame()).tolist() == [[1.5, 2.0]]
    assert numeric("x", Tensor()).dtype == np.int32
    assert numeric("x", [(1, 2), (3, 4)]).shape == (2, 2)


def test_x_and_y_must_be_equally_long() -> None:
    with pytest.raises(DataError, match=r"x has 3 rows, but price has 1,000"):
        Dataset([1, 2, 3], np.zeros(1000), name_y="price")


def test_a_column_of_another_kind_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        Column("x", np.zeros(3, "float64"))


def test_rows_are_a_view() -> None:
    data = Dataset(np.arange(10), np.arange(10, dtype="uint8"))
    part = data.rows(2, 5)
    assert part.x.tolist() == [2, 3, 4]
    assert part.y is not None
    assert np.shares_memory(part.x, data.x)
    assert [column.name for column in part.columns] == ["x", "y"]
    assert len(data.rows(3, 3)) == 0


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 11), (5, 4)])
def test_rows_that_are_not_there_are_refused(start: int, stop: int) -> None:
    with pytest.raises(UsageError, match="there are 10"):
        Dataset(np.arange(10)).rows(start, stop)


@given(st.integers(1, 500), st.floats(0.001, 0.999))
def test_split_takes_the_last_rows_as_keras_does(n: int, fraction: float) -> None:
    data = Dataset(np.arange(n))
    at = int(np.floor(n * (1 - fraction)))
    if at in (0, n):
        with pytest.raises(DataError, match="leaves no rows"):
            data.split(fraction)
    else:
        train, validation = data.split(fraction)
        assert train.x.tolist() == list(range(at))
        assert validation.x.tolist() == list(range(at, n))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), float("inf")])
def test_a_fraction_outside_zero_to_one_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        Dataset([1, 2, 3]).split(fraction)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_whole_labels_in_range_are_taken(dtype: str, shape: tuple[int, ...]) -> None:
    y = np.array([0, 1, 2, 0], dtype).reshape(shape)
    checked = Dataset(np.zeros(4), y).check_labels(3).y
    assert checked is not None
    assert checked.dtype in ("uint8", "int32")
    np.testing.assert_array_equal(checked, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1, 7], r"Label 7 at row 2, but the model has 3 classes \(labels 0 to 2\)\."),
        ([0, -1, 1], r"Label -1 at row 1, but the model has 3 classes"),
        ([0.0, 3.0, 1.0], r"Label 3 at row 1, but the model has 3 classes"),
        ([0, 1, 0.5], r"Label 0\.5 at row 2 is not a whole number"),
        (np.array([0, 1, 3], "uint8"), r"Label 3 at row 2"),
    ],
)
def test_a_wrong_label_is_named_with_its_row(y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset(np.zeros(3), y).check_labels(3)


def test_one_class_is_written_in_the_singular() -> None:
    with pytest.raises(DataError, match="the model has 1 class "):
        Dataset([1], [1]).check_labels(1)


def test_labels_that_are_missing_or_one_hot_are_refused() -> None:
    with pytest.raises(UsageError, match="no y"):
        Dataset([1]).check_labels(3)
    with pytest.raises(ShapeError, match="argmax"):
        Dataset(np.zeros(2), np.eye(2)).check_labels(2)


def test_a_shape_that_fits_passes() -> None:
    Dataset(np.zeros((2, 3))).check_shape((3,), "Dense 'a'")
    Dataset(np.zeros(2)).check_shape((), "Rescaling 'a'")


@pytest.mark.parametrize(
    ("shape", "expected", "what", "hint"),
    [
        ((28, 28), (784,), "expects 784 features, got 28 x 28.", "put Flatten() before it"),
        ((28, 28), (28, 28, 1), "expects 28 x 28 x 1, got 28 x 28.", "use x.reshape(-1, 28, 28, 1)"),
        ((), (1,), "expects 1 feature, got a single number.", "use x.reshape(-1, 1)"),
        ((5,), (4,), "expects 4 features, got 5.", "give x rows of shape (4,)"),
    ],
)
def test_a_shape_that_does_not_fit_gets_advice(shape: Any, expected: Any, what: str, hint: str) -> None:
    with pytest.raises(ShapeError) as caught:
        Dataset(np.zeros((3, *shape))).check_shape(expected, "Dense 'output'")
    assert f"Dense 'output' {what}" in str(caught.value)
    assert hint in str(caught.value)
