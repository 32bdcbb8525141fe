"""The first layer as pictures, and pictures of shapes."""

from __future__ import annotations

import numpy as np
import pytest

import nacre
from nacre.errors import Limitation, UsageError
from nacre.insight import first_layer, shapes
from nacre.insight.pictures import SHAPES
from nacre.layers import BatchNormalization, Dense, Dropout, Flatten, Normalization, Permute, Rescaling


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1), (3, 4, 3)])
def test_each_unit_is_a_picture_of_its_weights(shape):
    layers = [nacre.Input(shape), Rescaling(1 / 255), Normalization(), Dropout(0.1), Flatten(), Dense(5), Dense(2)]
    model = nacre.Sequential(layers)
    found = first_layer(model)
    kernel = model.layers[4].kernel.numpy()
    assert found.pictures.shape == (5, *shape)
    for place in np.ndindex(*shape):
        np.testing.assert_array_equal(found.pictures[(slice(None), *place)], kernel[np.ravel_multi_index(place, shape)])
    assert found.name == "dense"
    assert "5 units that look at 3 x 4" in str(found)


def test_layers_that_do_not_see_a_picture_as_a_whole_are_refused():
    flat = nacre.Sequential([nacre.Input((12,)), Dense(5)])
    by_rows = nacre.Sequential([nacre.Input((3, 4)), Dense(5), Flatten(), Dense(2)])
    turned = nacre.Sequential([nacre.Input((3, 4)), Permute((2, 1)), Flatten(), Dense(2)])
    mixed = nacre.Sequential([nacre.Input((3, 4)), Flatten(), BatchNormalization(), Dense(2)])
    with pytest.raises(Limitation, match="does not take pictures"):
        first_layer(flat)
    for model in (by_rows, turned, mixed):
        with pytest.raises(Limitation, match="as a whole"):
            first_layer(model)


def test_shapes_are_what_their_labels_say():
    x, y = shapes(90, size=20)
    assert x.shape == (90, 20, 20)
    assert x.dtype == np.float32
    assert np.bincount(y).tolist() == [30, 30, 30]
    for picture, label in zip(x, y, strict=True):
        rows, columns = np.nonzero(picture)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        box = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        edges = box[0].all() and box[-1].all() and box[:, 0].all() and box[:, -1].all()
        assert min(height, width) > 5
        assert (edges and not box[1:-1, 1:-1].any()) == (SHAPES[label] == "rectangle")
        assert (len(rows) == max(height, width)) == (SHAPES[label] == "line")


def test_shapes_repeat_by_seed_and_sizes_are_checked():
    np.testing.assert_array_equal(shapes(9, seed=4)[0], shapes(9, seed=4)[0])
    assert (shapes(9, seed=4)[0] != shapes(9, seed=5)[0]).any()
    with pytest.raises(UsageError, match="size"):
        shapes(3, size=4)
