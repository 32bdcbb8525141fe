"""What prepares data: learned once, kept with the model, the same in a graph and on arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nacre import Input, Sequential, layers
from nacre.errors import DataError, DTypeError, Limitation, ShapeError, UsageError
from nacre.ir import Input as GraphInput
from nacre.ir import TensorType
from nacre.models import load_model

DEVICES = ["native", "reference"]


def in_model(layer: Any, x: Any, device: str = "native") -> Any:
    x = np.array(x)
    model = Sequential([Input(x.shape[1:]), layer])
    model.compile("sgd", "mse", device=device)
    return model.predict(x, verbose=0)


# ------------------------------------------------------------------ Normalization


def test_mean_and_variance_do_not_depend_on_how_the_data_comes() -> None:
    x = np.random.default_rng(0).standard_normal((1000, 3)) * [1, 1e-3, 1e3] + [1e4, 0, 5]
    ways = [x, [x[:100], x[100:101], x[101:]], (part for part in np.split(x, 8)), [(x, np.zeros(1000))]]
    for data in ways:
        layer = layers.Normalization()
        layer.adapt(data)
        np.testing.assert_allclose(layer.adapt_mean.numpy(), x.mean(0), rtol=1e-6)
        np.testing.assert_allclose(layer.adapt_variance.numpy(), x.var(0), rtol=1e-6)


def test_what_was_learned_is_kept_with_the_model_and_not_trained(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((50, 4)).astype("float32") * 5 + 3
    layer = layers.Normalization()
    model = Sequential([Input((4,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    layer.adapt(x)
    known = layer.get_weights()
    model.fit(x, x[:, :1], epochs=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(known, layer.get_weights(), strict=True))
    np.testing.assert_allclose(in_model(layer, x).mean(0), 0, atol=1e-5)
    model.save(tmp_path / "model")
    assert np.array_equal(load_model(tmp_path / "model").predict(x, verbose=0), model.predict(x, verbose=0))


def test_what_was_normalized_is_undone_by_the_inverse() -> None:
    x = np.random.default_rng(0).standard_normal((50, 4)) * 5 + 3
    there, back = layers.Normalization(), layers.Normalization(invert=True)
    there.adapt(x)
    back.adapt(x)
    np.testing.assert_allclose(back(there(x)), x, rtol=1e-5, atol=1e-5)


def test_a_column_of_one_number_becomes_zeros() -> None:
    layer = layers.Normalization()
    layer.adapt(np.full((9, 1), 7.0))
    assert layer(np.full((2, 1), 7)).tolist() == [[0], [0]]


# ------------------------------------------------------------------ Discretization and CategoryEncoding


@pytest.mark.parametrize("device", DEVICES)
def test_a_number_on_a_boundary_lies_in_the_upper_bin(device: str) -> None:
    layer = layers.Discretization([-1.0, 0.0, 0.0, 1e30])
    x = [[-1e38, -1.0, -0.5, -0.0, 1e29, 1e30, 1e38]]
    assert layer(x).tolist() == [[0, 1, 1, 3, 3, 4, 4]]
    assert in_model(layer, x, device).tolist() == [[0, 1, 1, 3, 3, 4, 4]]


def test_bins_that_were_learned_hold_about_as_many_numbers_each() -> None:
    x = np.random.default_rng(0).exponential(size=100_000)
    layer = layers.Discretization(num_bins=8)
    layer.adapt(np.split(x, 10))
    shares = np.bincount(layer(x)) / len(x)
    assert len(shares) == 8
    assert np.abs(shares - 1 / 8).max() < 0.015


def test_bins_that_were_learned_are_kept_with_the_model(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((50, 4))
    layer = layers.Discretization(num_bins=5, output_mode="count")
    layer.adapt(x)
    model = Sequential([Input((4,)), layer])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.layers[0].bin_boundaries == layer.bin_boundaries
    assert np.array_equal(again.predict(x, verbose=0), layer(x))


@pytest.mark.parametrize("device", DEVICES)
def test_a_number_of_no_category_is_nothing(device: str) -> None:
    for mode, expected in [("one_hot", [[[0, 0], [0, 1]]]), ("multi_hot", [[0, 1]]), ("count", [[0, 1]])]:
        layer = layers.CategoryEncoding(2, output_mode=mode)
        assert layer([[2, 1]]).tolist() == expected
        assert in_model(layer, [[-1, 1]], device).tolist() == expected


# ------------------------------------------------------------------ lookups


def test_terms_are_numbered_by_how_frequent_they_are() -> None:
    words = layers.StringLookup(mask_token="")
    words.adapt(np.array([["b", "a", ""], ["c", "b", "[UNK]"]]))
    assert words.get_vocabulary() == ["", "[UNK]", "b", "c", "a"]
    assert words.get_vocabulary(include_special_tokens=False) == ["b", "c", "a"]
    assert words.vocabulary_size() == 5
    numbers = layers.IntegerLookup(max_tokens=3)
    numbers.adapt([np.array([5, 5, 7]), np.array([7, 7, 9])])
    assert numbers.get_vocabulary() == [-1, 7, 5]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("mask", [None, 0])
@pytest.mark.parametrize("unknown", [0, 1])
@pytest.mark.parametrize(
    ("mode", "pad"), [("int", False), ("one_hot", False), ("multi_hot", False), ("count", False), ("count", True)]
)
def test_whole_numbers_are_looked_up_alike_in_a_model_and_on_arrays(
    mode: str, pad: bool, unknown: int, mask: int | None, device: str
) -> None:
    layer = layers.IntegerLookup(
        max_tokens=9,
        num_oov_indices=unknown,
        mask_token=mask,
        vocabulary=[12, 2**31 - 1, -4, 7],
        output_mode=mode,
        pad_to_max_tokens=pad,
    )
    x = np.array([[12, 7, 7, 2**31 - 1], [-4, 12, 7, 7]])
    if mask is not None:
        x[1, 3] = mask
    if unknown:
        x[0, 0] = 1000
    assert np.array_equal(layer(x), in_model(layer, x, device))
    first = unknown + (mask is not None and mode == "int")
    if mode == "int":
        assert layer(x)[0].tolist() == [first - 1 if unknown else first, first + 3, first + 3, first + 1]
    else:
        assert layer(x).shape[-1] == (9 if pad else first + 4)
    if mode == "count":
        assert layer(x)[1].tolist()[first + 3] == (1 if mask is not None else 2)
        assert layer(x)[1].sum() == (3 if mask is not None else 4)


def test_what_a_term_was_comes_back() -> None:
    for cls, terms in ((layers.StringLookup, ["x", "yy", "z"]), (layers.IntegerLookup, [3, 5, 2**40])):
        there, back = cls(vocabulary=terms), cls(vocabulary=terms, invert=True)
        assert back(there(terms)).tolist() == terms
        assert back([0, 99, -1]).tolist() == [back.oov_token] * 3
    masked = layers.StringLookup(vocabulary=["a"], mask_token="", invert=True)
    assert masked([[0, 1, 2]]).tolist() == [["", "[UNK]", "a"]]


def test_several_numbers_for_unknown_terms_are_shared_by_their_rest() -> None:
    layer = layers.IntegerLookup(vocabulary=[10, 20], num_oov_indices=3)
    assert layer([10, 20, 6, 7, 8, -1]).tolist() == [3, 4, 0, 1, 2, 2]


def test_words_come_as_text_or_bytes() -> None:
    layer = layers.StringLookup(vocabulary=["é", "longer than others", "b"])
    for x in (np.array(["b", "é", "c"]), np.array(["b", "é", "c"], object), np.char.encode(np.array(["b", "é", "c"]))):
        assert layer(x).tolist() == [3, 1, 0]


def test_a_vocabulary_may_begin_with_its_special_terms_and_is_kept() -> None:
    layer = layers.StringLookup(vocabulary=["", "[UNK]", "a", "b"], mask_token="")
    assert layer.get_vocabulary() == ["", "[UNK]", "a", "b"]
    learned = layers.StringLookup()
    learned.adapt(["a", "b", "b"])
    for one in (layer, learned):
        again = layers.StringLookup.from_config(one.get_config())
        assert again.get_vocabulary() == one.get_vocabulary()


def test_a_model_takes_what_a_lookup_gives() -> None:
    lookup = layers.StringLookup(vocabulary=["no", "yes"], output_mode="one_hot")
    words = np.array(["yes", "no", "maybe"] * 20)
    model = Sequential([Input((3,)), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(lookup(words), lookup(words).argmax(1), epochs=20, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]


# ------------------------------------------------------------------ mistakes

X = GraphInput("x", TensorType((3, 4)))


def adapted_in_a_model() -> None:
    layer = layers.Discretization(num_bins=2)
    layer.adapt([[1.0, 2.0]])
    Sequential([Input((2,)), layer])
    layer.adapt([[3.0, 4.0]])


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        (lambda: layers.Normalization(mean=1.0), UsageError, "both mean and variance"),
        (lambda: layers.Normalization(mean=[1.0, 2.0], variance=1.0), ShapeError, "one shape"),
        (lambda: layers.Normalization(mean=[[1.0]], variance=[[1.0]]), ShapeError, "no more axes"),
        (lambda: layers.Normalization(mean=1.0, variance=-1.0), UsageError, "not below 0"),
        (lambda: layers.Normalization(mean="a", variance=1.0), DTypeError, "not made of numbers"),
        (lambda: layers.Normalization(axis="last"), UsageError, "whole number"),
        (lambda: layers.Normalization(axis=0)(X), ShapeError, "the batch"),
        (lambda: layers.Normalization()([[1.0]]), UsageError, "no mean and variance yet"),
        (lambda: layers.Normalization(mean=[1.0, 2.0], variance=[1.0, 2.0])(X), ShapeError, "does not fit"),
        (lambda: layers.Normalization(mean=1.0, variance=1.0).adapt([[1.0]]), UsageError, "nothing to adapt"),
        (lambda: layers.Normalization().adapt([]), DataError, "empty"),
        (lambda: layers.Normalization().adapt(iter([])), DataError, "empty"),
        (lambda: layers.Normalization().adapt(5), UsageError, "array, or batches"),
        (lambda: layers.Normalization().adapt(np.float32(5)), ShapeError, "axis=-1"),
        (lambda: layers.Normalization().adapt([[1.0, np.nan]]), DataError, "not finite"),
        (lambda: layers.Normalization().adapt([np.ones((2, 3)), np.ones((2, 4))]), ShapeError, "expects"),
        (lambda: layers.Discretization(), UsageError, "either bin_boundaries or num_bins"),
        (lambda: layers.Discretization([1.0], 2), UsageError, "either"),
        (lambda: layers.Discretization([2.0, 1.0]), UsageError, "ascending"),
        (lambda: layers.Discretization([np.inf]), UsageError, "finite"),
        (lambda: layers.Discretization(num_bins=0), UsageError, "positive whole number"),
        (lambda: layers.Discretization(num_bins=2, epsilon=0), UsageError, "epsilon"),
        (lambda: layers.Discretization([1.0], output_mode="binary"), UsageError, "int, one_hot, multi_hot, count"),
        (lambda: layers.Discretization([1.0], sparse=True), Limitation, "sparse"),
        (lambda: layers.Discretization(num_bins=2)(X), UsageError, "no boundaries yet"),
        (lambda: layers.Discretization([1.0]).adapt([1.0]), UsageError, "was given its bin_boundaries"),
        (lambda: layers.Discretization(num_bins=2).adapt([np.inf]), DataError, "not finite"),
        (adapted_in_a_model, UsageError, "before it is put into a model"),
        (lambda: layers.CategoryEncoding(0), UsageError, "positive whole number"),
        (lambda: layers.CategoryEncoding(2, "int"), UsageError, "multi_hot, one_hot, count"),
        (lambda: layers.CategoryEncoding(2)([1, 0]), ShapeError, "takes \\(batch, n\\)"),
        (lambda: layers.CategoryEncoding(2)([[2**31]]), DataError, "beyond int32"),
        (lambda: layers.IntegerLookup(max_tokens=1), UsageError, "from 2 on for max_tokens"),
        (lambda: layers.IntegerLookup(num_oov_indices=-1), UsageError, "num_oov_indices"),
        (lambda: layers.IntegerLookup(output_mode="tf_idf"), Limitation, "tf_idf"),
        (lambda: layers.IntegerLookup(salt=3), Limitation, "salt"),
        (lambda: layers.IntegerLookup(pad_to_max_tokens=True), UsageError, "max_tokens"),
        (lambda: layers.IntegerLookup(invert=True, output_mode="count"), UsageError, "invert"),
        (lambda: layers.IntegerLookup(vocabulary=[1, 1]), UsageError, "1 twice"),
        (lambda: layers.IntegerLookup(vocabulary=[]), UsageError, "at least one term"),
        (lambda: layers.IntegerLookup(vocabulary=[1, 2, 3], max_tokens=3), UsageError, "max_tokens"),
        (lambda: layers.IntegerLookup(vocabulary=[1.5]), DTypeError, "whole numbers"),
        (lambda: layers.IntegerLookup(vocabulary=[1]).adapt([1]), UsageError, "was given its vocabulary"),
        (lambda: layers.IntegerLookup()([1]), UsageError, "no vocabulary yet"),
        (lambda: layers.IntegerLookup(vocabulary=[1], num_oov_indices=0)([2]), DataError, "does not know 2"),
        (lambda: layers.IntegerLookup(vocabulary=[1], invert=True)(X), Limitation, "before the model"),
        (lambda: layers.IntegerLookup(vocabulary=[1], num_oov_indices=2)(X), Limitation, "before the model"),
        (lambda: layers.IntegerLookup(vocabulary_dtype="string"), UsageError, "vocabulary_dtype"),
        (lambda: layers.StringLookup(vocabulary="words.txt"), UsageError, "list of terms"),
        (lambda: layers.StringLookup(vocabulary=[1]), DTypeError, "looks words up"),
        (lambda: layers.StringLookup(num_oov_indices=2), Limitation, "num_oov_indices=2"),
        (lambda: layers.StringLookup(encoding="latin-1"), Limitation, "UTF-8"),
        (lambda: layers.StringLookup(vocabulary=["a"])(X), Limitation, "cannot be part of a model"),
        (lambda: layers.StringLookup(vocabulary=["a"])([[1.0]]), DTypeError, "looks words up"),
    ],
)
def test_a_mistake_is_named(wrong: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()
