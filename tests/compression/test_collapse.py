"""Does the smaller network predict what the larger one did, and is it made smaller only where that is so?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nacre
from nacre.cli import main
from nacre.data import Features, Table
from nacre.errors import Limitation, NotBuiltError, UsageError
from nacre.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    LayerNormalization,
    Normalization,
    ReLU,
    Rescaling,
)
from nacre.recipes import table_goals, table_network

RNG = np.random.default_rng(5)


def squares(x: Any) -> Any:
    return x * x


def sequential(*layers: Any, shape: tuple[int, ...] = (12,)) -> nacre.Sequential:
    """A network whose weights are all drawn, biases and statistics too."""
    model = nacre.Sequential([nacre.Input(shape), *layers])
    for layer in model.layers:
        for w in layer.weights:
            drawn = RNG.normal(size=w.shape) / np.sqrt(w.shape[0])
            w.assign(np.abs(drawn) + 0.5 if "variance" in w.name else drawn)
    return model


def rows(*shape: int) -> Any:
    return RNG.normal(size=(300, *(shape or (12,)))).astype(np.float32)


def same(model: Any, found: Any, x: Any) -> None:
    """The outputs agree, and the difference that is told is the one there is."""
    before, after = model.predict(x, verbose=0), found.model.predict(x, verbose=0)
    np.testing.assert_allclose(after, before, atol=1e-4, rtol=1e-4)
    assert found.difference == pytest.approx(np.abs(before - after).max())


# ------------------------------------------------------------------ layers in a row


def test_three_linear_layers_are_one_and_it_is_their_product():
    x = rows()
    model = sequential(Dense(100), Dense(50), Dense(7))
    found = nacre.collapse(model, x)
    weights = [w.astype(np.float64) for w in model.get_weights()]
    kernel = weights[0] @ weights[2] @ weights[4]
    bias = (weights[1] @ weights[2] + weights[3]) @ weights[4] + weights[5]
    np.testing.assert_array_equal(found.model.get_weights()[0], kernel.astype(np.float32))
    np.testing.assert_array_equal(found.model.get_weights()[1], bias.astype(np.float32))
    same(model, found, x)
    assert [type(layer).__name__ for layer in found.model.layers] == ["Dense"]
    assert (found.before, found.after) == (12 * 100 + 100 + 100 * 50 + 50 + 50 * 7 + 7, 13 * 7)
    assert "Outputs differ by at most" in str(found)
    assert "over 300 rows" in str(found)


def test_795010_parameters_without_an_activation_are_7850():
    model = nacre.Sequential([nacre.Input((784,)), Dense(1000), Dense(10, "softmax")])
    found = nacre.collapse(model)
    assert [(step.before, step.after) for step in found.steps] == [(795_010, 7_850)]
    assert "random rows" in str(found)
    assert 0 < found.difference < 1e-5
    assert found.model.layers[0].activation is nacre.activations.softmax


def test_what_acts_in_training_only_goes_with_the_layers_around_it():
    x = rows()
    model = sequential(
        Dense(40), Dropout(0.5), Activation("linear"), Flatten(), Dense(5, use_bias=False), Activation("tanh")
    )
    found = nacre.collapse(model, x)
    assert [type(layer).__name__ for layer in found.model.layers] == ["Dense"]
    same(model, found, x)


def test_dropout_that_is_not_between_two_that_became_one_stays():
    found = nacre.collapse(sequential(Dropout(0.1), Dense(40), Dense(6, "relu"), Dropout(0.5), Dense(3)))
    assert [type(layer).__name__ for layer in found.model.layers] == ["Dropout", "Dense", "Dropout", "Dense"]


def test_a_narrow_layer_between_two_wide_ones_saves_parameters_and_stays():
    model = sequential(Dense(2), Dense(50, "relu"), Dense(3))
    found = nacre.collapse(model)
    assert found.model is model
    assert "as one they had more parameters" in found.notes[0]
    wide = sequential(Dense(30), Dense(2), Dense(50, "relu"), Dense(3))
    found = nacre.collapse(wide)
    assert [layer.units for layer in found.model.layers] == [2, 50, 3]
    same(wide, found, rows())


def test_dense_layers_over_the_last_of_several_axes_are_multiplied_and_flatten_keeps_them_apart():
    x = rows(4, 3)
    model = sequential(Dense(20), Dense(2), Flatten(), Dense(3), shape=(4, 3))
    found = nacre.collapse(model, x)
    assert [type(layer).__name__ for layer in found.model.layers] == ["Dense", "Flatten", "Dense"]
    same(model, found, x)


def test_layers_without_biases_become_one_without_a_bias():
    model = sequential(Dense(30, use_bias=False), Dense(3, use_bias=False))
    x = rows()
    found = nacre.collapse(model, x)
    assert [w.shape for w in found.model.weights] == [(12, 3)]
    same(model, found, x)


def test_what_becomes_one_is_frozen_only_if_all_of_it_was():
    for frozen, trainable in (((True, False), True), ((False, True), True), ((True, True), False)):
        model = sequential(Dense(30), Dense(3))
        for layer, still in zip(model.layers, frozen, strict=True):
            layer.trainable = not still
        assert nacre.collapse(model).model.trainable == trainable


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Dense(8, "relu"), Dense(5)],
        lambda: [Dense(8), LayerNormalization(), Dense(5)],
        lambda: [Dense(8), ReLU(negative_slope=0.1), Dense(5)],
        lambda: [Dense(8, activation=squares), Dense(5)],
    ],
)
def test_where_nothing_can_be_collapsed_the_model_is_given_back_and_it_is_said(layers):
    model = sequential(*layers())
    found = nacre.collapse(model, rows())
    assert found.model is model
    assert (found.steps, found.difference) == ((), 0.0)
    assert str(found).startswith(f"Nothing can be collapsed: {model.count_params():,} parameters stay.")


# ------------------------------------------------------------------ what multiplies and adds


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"epsilon": 0.1}])
def test_batch_normalization_goes_into_the_layer_before_or_behind_it(options):
    x = rows()
    for biased, activation, left in (
        (True, None, 65),
        (False, None, 65),
        (False, "relu", 60 + 30),
        (True, "relu", 65 + 30),
    ):
        layers = [Dense(5, use_bias=biased), *([Activation(activation)] if activation else [])]
        model = sequential(*layers, BatchNormalization(**options), *([Dense(5)] if activation else []))
        found = nacre.collapse(model, x)
        assert not any(isinstance(layer, BatchNormalization) for layer in found.model.layers)
        assert found.after == left  # a layer has no bias if it had none, and nothing is added to it
        same(model, found, x)


def test_scaling_in_front_goes_into_the_first_layer_through_flatten():
    x = RNG.integers(0, 256, (300, 4, 3)).astype(np.uint8)
    model = sequential(
        Rescaling(1 / 127.5, -1), Normalization(mean=[0.1, -0.2, 0.3], variance=[1.0, 2.0, 0.5]), Flatten(), Dense(6, "tanh"),
        shape=(4, 3),
    )  # fmt: skip
    found = nacre.collapse(model, x)
    assert [type(layer).__name__ for layer in found.model.layers] == ["Flatten", "Dense"]
    same(model, found, x)


def test_what_was_adapted_to_data_goes_into_the_first_layer_and_inverted_into_the_last():
    x = rows() * 3 + 5
    normal = Normalization()
    normal.adapt(x)
    back = Normalization(mean=[1.0, -2.0], variance=[4.0, 9.0], invert=True, name="amounts")
    model = nacre.Sequential([nacre.Input((12,)), normal, Dense(9, "tanh"), Dense(2), back])
    found = nacre.collapse(model, x)
    assert [type(layer).__name__ for layer in found.model.layers] == ["Dense", "Dense"]
    assert found.model.output_names == ["amounts"]
    same(model, found, x)


def test_normalization_along_another_axis_stays_where_it_is():
    model = sequential(Dense(4), BatchNormalization(axis=1), Dense(5), shape=(3, 6))
    found = nacre.collapse(model, rows(3, 6))
    assert found.model is model


# ------------------------------------------------------------------ units


def with_dead_units() -> nacre.Sequential:
    """Units 1 and 4 of the first layer have weights of 0; unit 2 gives 0 for every row that is not huge."""
    model = sequential(Dense(6, "relu"), Dense(4))
    kernel, bias, *others = model.get_weights()
    kernel[:, [1, 4]] = 0
    bias[[1, 4]] = 2.0, -1.0
    bias[2] = -1000
    model.set_weights([kernel, bias, *others])
    return model


def test_units_that_always_give_the_same_go_into_the_next_bias():
    x, model = rows(), with_dead_units()
    found = nacre.collapse(model, None)
    assert found.model.layers[0].units == 4
    assert [step.after - step.before for step in found.steps] == [-2 * (12 + 1 + 4)]
    np.testing.assert_allclose(
        found.model.get_weights()[3], model.get_weights()[3] + 2 * model.get_weights()[2][1], rtol=1e-6
    )
    np.testing.assert_allclose(found.model.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def test_units_that_give_0_for_all_given_rows_go_only_if_there_are_rows():
    x, model = rows(), with_dead_units()
    found = nacre.collapse(model, x)
    assert found.model.layers[0].units == 3
    assert "1 unit of 'dense' that give 0 for all 300 rows" in str(found)
    same(model, found, x)
    other = x.copy()
    other[0] = 1e5 * np.sign(model.get_weights()[0][:, 2])  # for which the unit is not dead
    assert nacre.collapse(model, other).model.layers[0].units == 4


def test_a_layer_of_dead_units_alone_keeps_one():
    model = sequential(Dense(3, "relu"), Dense(2))
    model.layers[0].weights[1].assign([-1e6] * 3)
    found = nacre.collapse(model, rows())
    assert found.model.layers[0].units == 1
    same(model, found, rows())


def test_a_softmax_unit_matters_to_the_others_and_stays():
    model = sequential(Dense(4, "softmax"), Dense(3))
    kernel, *others = model.get_weights()
    kernel[:, 1] = 0
    model.set_weights([kernel, *others])
    assert nacre.collapse(model, rows()).model is model


def test_equal_units_become_one_with_the_sum_of_their_outgoing_weights():
    x = rows()
    model = sequential(Dense(5, "tanh"), Dropout(0.2), Dense(3, "softmax"))
    kernel, bias, out, *others = model.get_weights()
    kernel[:, 3], bias[3] = kernel[:, 0], bias[0]
    kernel[:, 4] = kernel[:, 0]  # with another bias: another unit
    model.set_weights([kernel, bias, out, *others])
    found = nacre.collapse(model, x)
    assert [step.what for step in found.steps] == ["1 unit of 'dense' with the weights of another became one with it"]
    assert found.model.layers[0].units == 4
    np.testing.assert_allclose(found.model.get_weights()[2][0], out[0] + out[3], rtol=1e-6)
    same(model, found, x)


def test_units_that_only_behave_alike_are_told_and_stay():
    x = np.abs(rows())
    x[:, 1] = x[:, 0]
    model = sequential(Dense(3, "relu", use_bias=False), Dense(2))
    kernel, *others = model.get_weights()
    kernel[:] = 0
    kernel[0, 0] = kernel[1, 1] = kernel[2, 2] = 1.0
    model.set_weights([kernel, *others])
    found = nacre.collapse(model, x)
    assert found.model is model
    assert found.notes == ("units 0, 1 of 'dense' give the same for all 300 rows, by other weights, and stay",)


# ------------------------------------------------------------------ models


def test_a_chain_of_a_functional_model_and_of_models_in_it_is_collapsed():
    x = rows()
    inner = nacre.Sequential([nacre.Input((30,)), Dense(20), Dense(8)])
    start = nacre.Input((12,), name="begin")
    model = nacre.Model(start, Dense(4, "tanh", name="end")(inner(Dense(30)(start))))
    found = nacre.collapse(model, x)
    assert [layer.name for layer in found.model.layers] == ["end"]
    assert found.model.input_names == ["begin"]
    same(model, found, x)


def test_models_that_are_no_chain_are_refused_by_the_layer_that_makes_them_so():
    x = nacre.Input((4,))
    first = Dense(4, name="first")
    branches = nacre.Model(x, nacre.layers.Add(name="sum")([first(x), x]))
    with pytest.raises(Limitation, match="'sum' takes other inputs"):
        nacre.collapse(branches)
    with pytest.raises(Limitation, match="'first' is used more than once"):
        nacre.collapse(nacre.Model(x, first(first(x))))
    y = Dense(3, name="y")(x)
    with pytest.raises(Limitation, match="one input and one output"):
        nacre.collapse(nacre.Model(x, [y, Dense(2)(y)]))
    other = nacre.Input((4,))
    with pytest.raises(Limitation, match="one input and one output"):
        nacre.collapse(nacre.Model([x, other], nacre.layers.Add(name="both")([x, other])))
    with pytest.raises(Limitation, match="one input and one output"):
        nacre.collapse(nacre.Model(x, [y, Dense(2)(x)]))

    class Written(nacre.Model):
        def call(self, inputs):
            return inputs

    written = Written()
    written.build((None, 3))
    with pytest.raises(Limitation, match="Written computes"):
        nacre.collapse(written)
    with pytest.raises(NotBuiltError):
        nacre.collapse(nacre.Sequential([Dense(3)]))
    with pytest.raises(UsageError, match="takes a model"):
        nacre.collapse([1])  # type: ignore[arg-type]


def test_the_smaller_model_is_compiled_alike_begins_anew_and_can_be_saved(tmp_path):
    x = rows()
    y = np.argmax(x[:, :3], axis=1)
    model = sequential(Dense(40), Dense(3, "softmax"))
    model.layers[0].trainable = False
    model.compile(nacre.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=2, verbose=0)
    model.features = features = nacre.data.Pictures(2, 2, "rgb", "crop", ["a", "b", "c"])
    before = model.get_weights()
    found = nacre.collapse(model, x).model
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert (found.optimizer.learning_rate, found.optimizer.iterations) == (model.optimizer.learning_rate, 0)
    assert model.optimizer.iterations == 20
    assert found.metrics_names == model.metrics_names
    assert found.features is features
    np.testing.assert_allclose(found.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-4)
    found.save(tmp_path / "small")
    again = nacre.models.load_model(tmp_path / "small")
    np.testing.assert_array_equal(again.predict(x, verbose=0), found.predict(x, verbose=0))
    losses = found.fit(x, y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_the_command_writes_the_smaller_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = sequential(Dense(100), Dense(50), Dense(3, "softmax"))
    model.save("model.safetensors")
    x = rows()
    np.savez("rows.npz", x=x, y=np.zeros(300, np.int32))
    words = ["collapse", "model.safetensors", "rows.npz", "--out", "small.safetensors"]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0, shown.output
    assert "are one softmax layer, 'dense_2': 6,503 -> 39 parameters" in shown.stdout
    small = nacre.models.load_model("small.safetensors")
    np.testing.assert_allclose(small.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)
    again = CliRunner().invoke(main, words)
    assert again.exit_code != 0
    assert "is there already" in again.stderr
    missing = CliRunner().invoke(main, ["collapse", "no-model", "--out", "nowhere/small"])
    assert (missing.exit_code, "there is no folder nowhere" in missing.stderr) == (2, True)
    document = json.loads(CliRunner().invoke(main, ["collapse", "model.safetensors", "--json"]).stdout)
    assert document["parameters"] == {"before": 6503, "after": 39}
    assert document["random_rows"]
    assert 0 <= document["difference"] < 1e-5


def test_embeddings_keep_the_number_of_their_rows():
    layers = [nacre.layers.Embedding(9, 3), nacre.layers.Flatten(), Dense(5), Dense(2)]
    model = nacre.Sequential([nacre.Input((4,), dtype="int32"), *layers])
    x = np.random.default_rng(0).integers(0, 9, (20, 4))
    found = nacre.collapse(model, x)
    assert len(found.steps) == 1
    np.testing.assert_allclose(found.model.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


def test_behind_numbers_and_categories_of_a_table_the_chain_is_made_smaller():
    cities = ["Oslo", "Lima", "Paris"]
    table = Table.of(
        {"age": RNG.normal(40, 9, 90).tolist(), "city": cities * 30, "price": RNG.normal(size=90).tolist()}
    )
    features = Features.fit(table, ["price"])
    model = table_network(features, [6, 5], "linear", 0.0)
    model.compile("adam", **table_goals(features))
    found = nacre.collapse(model, table)
    # 1 number and 3 + 2 terms of 8 numbers; 9 -> 6 -> 5 -> 1 and the scale of the target become 9 -> 1.
    assert (found.before, found.after) == (40 + 60 + 35 + 6, 40 + 10)
    assert [found.steps[0].before, found.steps[-1].after] == [found.before, found.after]
    np.testing.assert_allclose(found.model.predict(table), model.predict(table), rtol=1e-5, atol=1e-5)
    assert found.model.input_names == ["numbers", "categories"]
    assert "before 'row', which joins inputs, stays as it is" in str(found)
    assert found.model.evaluate(table, np.zeros((90, 1)), verbose=0) == pytest.approx(
        model.evaluate(table, np.zeros((90, 1)), verbose=0), rel=1e-4
    )
    assert nacre.collapse(model).random
    # What cannot be made smaller is the very same.
    alone = table_network(features, [3], "relu", 0.0)
    assert not (same_ := nacre.collapse(found.model)).steps
    assert same_.model is found.model
    assert nacre.collapse(alone, table).difference < 1e-5
