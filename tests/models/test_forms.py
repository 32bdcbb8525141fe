"""What people are told of a model's outputs."""

from __future__ import annotations

import nacre
from nacre import layers
from nacre.models.forms import answers, full_ink


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
