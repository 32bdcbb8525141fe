"""Putting layers together."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest

from nacre import Input, Sequential
from nacre.errors import NotBuiltError, ShapeError, UsageError
from nacre.layers import Activation, Dense, Dropout, Flatten, Rescaling
from nacre.optimizers import SGD


def test_the_network_of_the_article_has_its_number_of_weights_and_trains() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        # fmt: off
        model = Sequential([
            Dense(units=1000,input_dim=784),
            Activation('softmax'),
            Dense(units=10, input_dim=1000),
            Activation('softmax'),
        ])
        # fmt: on
    assert not warned
    assert model.count_params() == 795_010
    model.compile(SGD(10.0), "categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).random((40, 784), dtype="float32")
    # Two softmaxes in a row learn slowly; targets of one class show in a few steps that they do.
    history = model.fit(x, np.eye(10)[np.zeros(40, int)], epochs=5, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] - 0.01


def test_900_inputs_to_5_classes_are_4505_weights() -> None:
    assert Sequential([Dense(5, activation="softmax", input_dim=900)]).count_params() == 4_505


def test_a_large_network_is_counted_before_it_takes_memory() -> None:
    tracemalloc.start()
    try:
        model = Sequential([Input((50_176,)), Dense(1000)])
        assert model.count_params() == 50_177_000
        model.summary(print_fn=lambda text: None)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_thousand_layers_build_print_and_train() -> None:
    model = Sequential([Input((4,)), *(Dense(4, activation="tanh") for _ in range(1000))])
    assert model.count_params() == 20_000
    printed: list[str] = []
    model.summary(print_fn=printed.append)
    assert "dense_999 (Dense)" in printed[0]
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((6, 4))
    before = model.get_weights()
    assert np.isfinite(model.train_on_batch(x, x))
    assert any(not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.predict(x).shape == (6, 4)


def test_a_perceptron_computes_nand() -> None:
    model = Sequential([Dense(1, activation="step", input_dim=2)])
    model.set_weights([[[-2.0], [-2.0]], [3.0]])
    assert model.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel().tolist() == [1, 1, 1, 0]


def test_an_inner_layer_with_the_wrong_input_dim_is_refused_by_both_names() -> None:
    with pytest.raises(ShapeError) as caught:
        Sequential([Dense(5, input_dim=4, name="first"), Dense(3, input_dim=6, name="second")])
    for word in ("'first'", "'second'", "5", "6"):
        assert word in str(caught.value)


def test_a_refused_layer_leaves_the_model_as_it_was() -> None:
    model = Sequential([Dense(5, input_dim=4)])
    with pytest.raises(ShapeError):
        model.add(Dense(3, input_dim=6))
    model.add(Dense(3))
    assert model.output_shape == (None, 3)
    assert model.count_params() == 25 + 18
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]


def test_a_model_without_input_shape_is_built_by_its_first_data() -> None:
    model = Sequential([Flatten(), Dense(3)])
    assert not model.built
    assert model.predict(np.zeros((2, 5, 6))).shape == (2, 3)
    assert model.count_params() == 93


def test_a_failed_build_leaves_the_layers_in_the_model() -> None:
    model = Sequential([Dense(3)])
    with pytest.raises(ShapeError):
        model.build((None,))
    assert len(model.layers) == 1
    assert model.predict(np.zeros((2, 5))).shape == (2, 3)


def test_a_build_that_fails_at_an_inner_layer_can_be_repeated() -> None:
    model = Sequential([Dense(4), Dense(2, input_dim=5)])
    with pytest.raises(ShapeError):
        model.build((None, 3))
    assert len(model.layers) == 2
    with pytest.raises(ShapeError, match="expect"):
        model.build((None, 3))


def test_building_twice_for_the_same_shape_keeps_the_weights() -> None:
    model = Sequential([Dense(2)])
    model.build((None, 3))
    before = model.get_weights()[0]
    model.build((None, 3))
    assert len(model.weights) == 2
    assert np.array_equal(model.get_weights()[0], before)


def test_summary_prints_layers_shapes_and_totals(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Input((28, 28)), Rescaling(1 / 255), Flatten(), Dense(10, name="scores"), Dropout(0.5)])
    model.summary()
    text = capsys.readouterr().out
    for part in (
        "rescaling (Rescaling)",
        "(batch, 28, 28)",
        "flatten (Flatten)",
        "(batch, 784)",
        "scores (Dense)",
        "7,850",
    ):
        assert part in text


def test_layers_are_numbered_in_the_order_of_their_kind() -> None:
    model = Sequential([Input((4,)), Dense(3), Activation("relu"), Dense(3), Activation("relu"), Dense(3)])
    names = [layer.name for layer in model.layers]
    assert names == ["dense", "activation", "dense_1", "activation_1", "dense_2"]


def test_two_layers_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="'twin'"):
        Sequential([Input((4,)), Dense(3, name="twin"), Dense(3, name="twin")])


def test_pop_takes_the_last_layer_away() -> None:
    model = Sequential([Input((4,)), Dense(3), Dense(2)])
    kept = model.get_weights()[0]
    assert model.pop().name == "dense_1"
    assert model.output_shape == (None, 3)
    assert np.array_equal(model.get_weights()[0], kept)


def test_a_model_without_layers_has_no_weights() -> None:
    model = Sequential()
    assert not model.built
    with pytest.raises(NotBuiltError):
        model.count_params()
    with pytest.raises(UsageError, match="no layers"):
        model.predict(np.zeros((2, 3)))


def test_adding_a_layer_after_training_keeps_the_trained_weights() -> None:
    model = Sequential([Input((4,)), Dense(3)])
    model.compile("sgd", "mse")
    x = np.ones((5, 4))
    model.fit(x, np.zeros((5, 3)), verbose=0)
    kept = model.get_weights()
    model.add(Dense(2))
    assert all(np.array_equal(a, b) for a, b in zip(kept, model.get_weights()[:2], strict=True))
    model.fit(x, np.zeros((5, 2)), verbose=0)
    assert model.predict(x).shape == (5, 2)


def test_layers_that_cannot_be_trained_stay_as_they_are() -> None:
    model = Sequential([Input((4,)), Dense(3, trainable=False), Dense(2)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(np.ones((5, 4)), np.ones((5, 2)), verbose=0)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    assert not np.array_equal(before[2], after[2])


def test_bytes_lists_and_float64_are_taken_as_inputs() -> None:
    model = Sequential([Input((3,)), Dense(2)])
    expected = model.predict(np.array([[1, 2, 3]], "float32"))
    for dtype in ("uint8", "int64", "float64", "bool"):
        x = np.array([[1, 2, 3]]).astype(dtype)
        assert np.array_equal(model.predict(x), model.predict(x.astype("float32")))
    assert np.array_equal(model.predict([[1, 2, 3]]), expected)
