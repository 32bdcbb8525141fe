"""Rows on which files are tried: they have to reach what the model does, or a comparison says nothing."""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre import layers
from nacre.errors import ModelFileError
from nacre.exchange.traced import largest_difference, made_up, predicted, traced


def _rows(model):
    one = traced(model, "C")
    return made_up(model, one.graph, list(one.inputs.values()))


@pytest.mark.parametrize("dtype", ["int32", "float32", "uint8"])
def test_the_rows_that_are_made_up_reach_all_of_a_vocabulary_and_no_further(dtype):
    numbers = nacre.Input((3,), dtype=dtype)
    model = nacre.Model(numbers, layers.Flatten()(layers.Embedding(7, 1)(numbers)))
    (rows,) = _rows(model)
    assert rows.dtype == dtype
    assert set(rows.ravel().tolist()) == set(range(7))
    assert np.isfinite(predicted(model, [rows])[0]).all()


def test_inputs_of_one_shape_are_given_other_numbers():
    a, b = nacre.Input((4,)), nacre.Input((4,))
    first, second = _rows(nacre.Model([a, b], layers.Subtract()([a, b])))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1


def test_numbers_are_as_large_as_the_first_scaling_expects_them():
    (rows,) = _rows(nacre.Sequential([nacre.Input((8,)), layers.Rescaling(1 / 16), layers.Dense(2)]))
    assert rows.min() >= 0
    assert 15.9 < rows.max() <= 16


@pytest.mark.parametrize(("scale", "gap"), [(1.0, 1e-3), (1e-3, 1e-5), (1e3, 1.0)])
def test_outputs_are_compared_by_how_large_they_are(scale, gap):
    model = nacre.Sequential([nacre.Input((2,)), layers.Dense(3, name="scores")])
    outputs = np.full((4, 3), scale, np.float32)
    assert largest_difference(model, [outputs * (1 + 1e-5)], [outputs], "C") == pytest.approx(scale * 1e-5, rel=0.1)
    with pytest.raises(ModelFileError, match="The output 'scores' in C is not the model's"):
        largest_difference(model, [outputs + gap], [outputs], "C")


def test_nan_and_infinities_are_alike_only_where_they_are_in_both():
    model = nacre.Sequential([nacre.Input((2,)), layers.Dense(2)])
    outputs = np.array([[np.nan, np.inf], [1, 2]], np.float32)
    assert largest_difference(model, [outputs], [outputs], "C") == 0
    for wrong in (np.nan, -np.inf, 3.0):
        with pytest.raises(ModelFileError):
            largest_difference(model, [np.array([[np.nan, wrong], [1, 2]], np.float32)], [outputs], "C")
