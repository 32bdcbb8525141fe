"""What people are told of a model's outputs."""

from __future__ import annotations

import pytest

import nacre
from nacre import layers
from nacre.data.features import NumberFeature
from nacre.models.forms import answers, field_of, full_ink


def test_each_output_tells_classes_apart_only_if_its_own_layer_ends_in_softmax():
    x = nacre.Input((4,))
    value, kind = layers.Dense(3, name="value")(x), layers.Dense(2, "softmax", name="kind")(x)
    model = nacre.Model(x, [value, kind])
    assert [answer.classes for answer in answers(model)] == [None, ["0", "1"]]


def test_a_model_without_layers_has_answers_and_ink_too():
    class Twice(nacre.Model):
        def call(self, x):
            return x * 2

    model = Twice()
    model.build((None, 3))
    assert [answer.classes for answer in answers(model)] == [None]
    assert full_ink(model) == 1


@pytest.mark.parametrize(
    ("mean", "value"), [(31862.4, "31860"), (0.0123456, "0.01235"), (-2.5e6, "-2500000"), (1e20, "1e+20")]
)
def test_a_form_begins_with_numbers_as_people_write_them(mean, value):
    assert field_of(NumberFeature("income", mean, 1.0, False, False, -1e30, 1e30)).value == value
