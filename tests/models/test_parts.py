"""Models inside models, and what a model gives of itself: symbols, layers, outputs for arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Model, Sequential, layers, ops
from nacre.errors import ShapeError, UsageError
from nacre.models import clone_model, load_model, model_from_json

X = np.random.default_rng(0).standard_normal((40, 8)).astype("float32")


def coders(**names: str) -> tuple[Model, Model, Model]:
    """An autoencoder and its two parts, all of whose layers have the names that they get by themselves."""
    wide, code = Input((8,)), Input((3,))
    encoder = Model(wide, layers.Dense(3, "tanh")(layers.Dense(5, "relu")(wide)), **dict.fromkeys(names, "encoder"))
    decoder = Model(code, layers.Dense(8)(layers.Dense(5, "relu")(code)), **dict.fromkeys(names, "decoder"))
    whole = Input((8,))
    return encoder, decoder, Model(whole, decoder(encoder(whole)))


def bits(model: Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


def test_a_model_of_models_trains_them_to_the_bits_of_its_layers_in_a_row() -> None:
    encoder, decoder, whole = coders(name="")
    flat = Sequential(
        [Input((8,)), layers.Dense(5, "relu"), layers.Dense(3, "tanh"), layers.Dense(5, "relu"), layers.Dense(8)]
    )
    flat.set_weights(whole.get_weights())
    for model in (whole, flat):
        nacre.utils.set_random_seed(1)
        model.compile("adam", "mse")
        model._seed = 5
        model.fit(X, X, epochs=3, verbose=0)
    assert bits(whole) == bits(flat)
    assert bits(whole) == bits(encoder) + bits(decoder)
    np.testing.assert_array_equal(whole.predict(X), decoder.predict(encoder.predict(X)))
    assert list(whole.named)[:2] == ["encoder/dense/kernel", "encoder/dense/bias"]
    assert whole.layers[1:] == [encoder, decoder]
    assert whole.get_layer("decoder") is decoder


def test_parts_that_were_given_no_names_get_some() -> None:
    _, _, whole = coders()
    assert [part.name for part in whole.layers[1:]] == ["functional", "functional_1"]
    assert len(whole.named) == 8


def test_models_of_models_are_saved_loaded_copied_and_taken_apart_again(tmp_path: Path) -> None:
    encoder, _, whole = coders(name="")
    whole.compile("adam", "mse")
    whole.fit(X, X, verbose=0)
    whole.save(tmp_path / "whole")
    again = load_model(tmp_path / "whole")
    np.testing.assert_array_equal(again.get_layer("encoder").predict(X), encoder.predict(X))
    for model in (whole, again):
        model.fit(X, X, verbose=0)
    np.testing.assert_allclose(whole.predict(X), again.predict(X), rtol=0, atol=0)
    whole.save_weights(tmp_path / "weights")
    cloned = clone_model(whole)
    assert bits(cloned) != bits(whole)
    cloned.load_weights(tmp_path / "weights")
    assert bits(cloned) == bits(whole)


def test_layers_of_parts_may_be_called_alike_and_are_watched_apart() -> None:
    code = Input((8,))
    parts = [
        Model(code, layers.Dense(8, "relu", activity_regularizer="l2", name="same")(code), name=name) for name in "ab"
    ]
    whole = Sequential([Input((8,)), *parts])
    whole.compile("sgd", "mse")
    gradients = whole.gradients(X, X)
    assert list(gradients) == ["a/same/kernel", "a/same/bias", "b/same/kernel", "b/same/bias"]
    first = whole.evaluate(X, X, verbose=0)
    y = parts[0].predict(X), whole.predict(X)
    expected = np.mean((y[1] - X) ** 2) + sum(0.01 * np.sum(one**2) / len(X) for one in y)
    np.testing.assert_allclose(first, expected, rtol=1e-5)


def test_a_part_with_dropout_draws_numbers_of_its_own() -> None:
    def dropping(name: str) -> Model:
        x = Input((100,))
        return Model(x, layers.Dropout(0.5)(x), name=name)

    x = Input((100,))
    a, b, own = dropping("a")(x), dropping("b")(x), layers.Dropout(0.5)(x)
    model = Model(x, [a, b, own])
    masks = [m.numpy() for m in model(np.ones((1, 100), "float32"), training=True)]
    assert not any(np.array_equal(masks[n], masks[m]) for n, m in ((0, 1), (0, 2), (1, 2)))


def test_several_outputs_of_a_part_and_a_part_that_is_called_twice() -> None:
    x = Input((8,))
    hidden = layers.Dense(4, "relu")(x)
    heads = Model(x, {"mean": layers.Dense(2)(hidden), "spread": layers.Dense(2, "softplus")(hidden)}, name="heads")
    left, right = Input((8,)), Input((8,))
    a, b = heads(left), heads(right)
    model = Model([left, right], layers.Add()([a["mean"], b["spread"]]))
    parts = heads.predict(X)
    np.testing.assert_array_equal(model.predict([X, X[::-1]]), parts["mean"] + parts["spread"][::-1])
    assert len(model.weights) == 6
    again = Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict([X, X[::-1]]), model.predict([X, X[::-1]]))


def test_a_layer_may_have_several_outputs() -> None:
    class Split(layers.Layer):
        def call(self, x: Any) -> Any:
            return x[:, :2], x[:, 2:]

    x = Input((8,))
    left, right = Split()(x)
    assert (left.shape, right.shape) == ((None, 2), (None, 6))
    model = Model(x, [right, layers.Dense(1, kernel_initializer="ones")(left)])
    found = model.predict(X)
    np.testing.assert_array_equal(found[0], X[:, 2:])
    np.testing.assert_allclose(found[1][:, 0], X[:, :2].sum(-1), rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError, match="several outputs"):
        Sequential([Input((8,)), Split(), layers.Dense(1)])


def test_a_frozen_part_stays_and_a_part_in_a_layer_of_ones_own_is_trained() -> None:
    encoder, decoder, whole = coders(name="")
    encoder.trainable = False
    whole.compile("sgd", "mse")
    before = bits(encoder), bits(decoder)
    whole.fit(X, X, verbose=0)
    assert bits(encoder) == before[0]
    assert all(one != other for one, other in zip(bits(decoder), before[1], strict=True))

    class Around(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.model = Sequential([layers.Dense(4, "relu"), layers.Dense(8)])

        def call(self, x: Any) -> Any:
            return x + self.model(x)

    model = Sequential([Input((8,)), Around()])
    assert next(iter(model.named)) == "around/sequential/dense/kernel"
    model.compile("sgd", "mse")
    before_around = bits(model)
    model.fit(X, X, verbose=0)
    assert all(one != other for one, other in zip(bits(model), before_around, strict=True))


def test_a_model_can_be_cut_where_a_layer_gives_its_output() -> None:
    model = Sequential([layers.Dense(4, "relu", name="found", input_shape=(8,)), layers.Dense(2)])
    cut = Model(model.inputs, model.get_layer("found").output)
    kernel, bias = model.get_layer("found").get_weights()
    np.testing.assert_allclose(cut.predict(X), np.maximum(X @ kernel + bias, 0), rtol=1e-4, atol=1e-5)
    assert model.layers[1].input is model.layers[0].output
    assert (model.input_shape, model.output.shape) == ((None, 8), (None, 2))
    model.pop()
    assert model.output_shape == (None, 4)
    assert model.predict(X).shape == (40, 4)
    shared = layers.Dense(8)
    x = Input((8,))
    shared(shared(x))
    with pytest.raises(UsageError, match="called 2 times"):
        _ = shared.output
    with pytest.raises(UsageError, match="in no model yet"):
        _ = layers.Dense(1).output


def test_models_and_layers_are_functions_of_arrays() -> None:
    dense = layers.Dense(3, use_bias=False)
    y = dense(X)
    np.testing.assert_allclose(y, X @ dense.get_weights()[0], rtol=1e-4, atol=1e-5)
    dense.set_weights([np.ones((8, 3))])
    np.testing.assert_allclose(dense(X)[:, 0], X.sum(1), rtol=1e-4, atol=1e-5)
    assert float(ops.sum(ops.abs(y))) > 0  # it is what it was
    model = Sequential([Input((8,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(2)])
    np.testing.assert_allclose(model(X), model.predict(X), rtol=1e-5, atol=1e-6)
    assert not np.allclose(model(X, training=True), model(X, training=True))
    np.testing.assert_allclose(layers.Add()([X, X]), 2 * X)
    with pytest.raises(ShapeError, match="cannot take its input"):
        model(X[:, :3])


def test_a_model_says_what_it_is_made_of_and_is_made_of_it_again() -> None:
    _, _, whole = coders(name="")
    whole.compile("sgd", "mse", metrics=["mae", "cosine_similarity"])
    assert whole.metrics_names == ["loss", "mae", "cosine_similarity"]
    assert [m.name for m in whole.metrics] == ["mae", "cosine_similarity"]
    assert whole.loss.name == "mean_squared_error"
    assert [v.shape for v in whole.trainable_variables] == [w.shape for w in whole.weights]
    again = model_from_json(whole.to_json())
    assert again.to_json() == whole.to_json()
    with pytest.raises(nacre.errors.ModelFileError, match="does not describe a model"):
        model_from_json('{"class_name": "Sequential"')


def test_mistakes_around_parts_are_named() -> None:
    encoder, _, _ = coders(name="")
    with pytest.raises(ShapeError, match=r"found: +\(batch, 5\)"):
        encoder(Input((5,)))
    with pytest.raises(UsageError, match="Two layers of the model are called 'encoder'"):
        Sequential([Input((8,)), encoder, layers.Dense(8, name="encoder")])
    with pytest.raises(UsageError, match="symbols and arrays"):
        layers.Add()([Input((8,)), X])


def test_what_a_call_is_told_of_training_holds_in_the_model(tmp_path: Path) -> None:
    base = Sequential([Input((8,)), layers.Dense(4), layers.BatchNormalization(), layers.Dropout(0.5)])
    x = Input((8,))
    told = Model(x, layers.Dense(1)(base(x, training=False)))
    told.compile("sgd", "mse")
    told.save(tmp_path / "told")
    for model in (told, load_model(tmp_path / "told")):
        norm = model.layers[1].layers[1]
        before = norm.get_weights()[2:]
        model.fit(X, X[:, :1], epochs=2, verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(before, norm.get_weights()[2:], strict=True))
    always = Model(x, layers.Dropout(0.5)(x, training=True))
    first, second = always.predict(X), always.predict(X)
    assert 0.3 < (first == 0).mean() < 0.7
    assert not np.array_equal(first, second)
    data = np.abs(X) + 1
    found = Model(x, layers.Dropout(0.5)(x, training=True))
    found.compile("sgd", "mae")
    assert found.evaluate(data, 0 * data, verbose=0) != found.evaluate(data, 0 * data, verbose=0)


def test_a_loaded_part_goes_on_like_the_one_that_was_saved(tmp_path: Path) -> None:
    inner = Sequential([Input((8,)), layers.Dense(8)], name="inner")
    x = Input((8,))
    shared = layers.Dropout(0.5)(inner(x))
    model = Model(x, layers.Add()([layers.Dense(8)(shared), layers.Dropout(0.5)(inner(x))]))
    model.compile("sgd", "mse")
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert [part.stream for part in again._parts()] == [part.stream for part in model._parts()]
    assert all(not part.inside for part in again._stack)
    for one in (model, again):
        one.fit(X, X, epochs=2, verbose=0)
    assert bits(model) == bits(again)


def test_what_no_file_can_tell_of_shared_layers_is_refused_and_not_written(tmp_path: Path) -> None:
    inner = Sequential([Input((8,)), layers.Dense(8)], name="inner")
    a, b = Sequential([inner, layers.Dense(3)], name="a"), Sequential([inner, layers.Dense(3)], name="b")
    x = Input((8,))
    model = Model(x, layers.Add()([a(x), b(x)]))
    with pytest.raises(UsageError, match="share layers"):
        model.save(tmp_path / "model")
    model.save_weights(tmp_path / "weights")
    model.load_weights(tmp_path / "weights")


def test_weights_that_do_not_decay_are_known_by_their_names_in_the_model() -> None:
    def kept(**what: Any) -> list[bool]:
        inner = Sequential([Input((4,)), layers.Dense(4, use_bias=False)], name="inner")
        model = Sequential([inner, layers.Dense(4, use_bias=False)])
        optimizer = nacre.optimizers.SGD(1e-3, weight_decay=10.0)
        optimizer.exclude_from_weight_decay(**(what or {"var_list": inner.weights}))
        model.compile(optimizer, "mse")
        before = model.get_weights()
        model.fit(np.zeros((4, 4)), np.zeros((4, 4)), verbose=0)
        return [np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True)]

    assert kept() == kept(var_names=["inner"]) == kept(var_list=["inner/dense/kernel"]) == [True, False]


def test_a_description_that_doubles_at_each_level_is_refused() -> None:
    begin = {"class_name": "InputLayer", "config": {"shape": [4], "name": "i"}}
    dense = {"class_name": "Dense", "config": {"units": 4, "name": "d"}}
    model: Any = {"name": "m", "layers": [begin, dense], "calls": [[0, []], [1, [0]]], "inputs": [0], "outputs": [1]}
    for level in range(40):
        part = {"class_name": "Part", "config": {"model": {"class_name": "Functional", "config": model}}}
        calls = [[0, []], [1, [0]], [1, [1]]]
        model = {"name": f"m{level}", "layers": [begin, part], "calls": calls, "inputs": [0], "outputs": [2]}
    with pytest.raises(nacre.errors.ModelFileError, match="more than"):
        model_from_json(json.dumps({"class_name": "Functional", "config": model}))


def test_a_model_cannot_be_inside_itself_nor_built_for_two_shapes() -> None:
    model = Sequential([Input((4,)), layers.Dense(4)])
    with pytest.raises(UsageError, match="inside itself"):
        model.add(model)
    other = Sequential([model])
    with pytest.raises(UsageError, match="inside itself"):
        model.add(other)
    with pytest.raises(ShapeError, match="is built for"):
        model.build((None, 7))
    assert model.layers[0].output.shape == (None, 4)
    model.compile("sgd", "mse")
    outer = Sequential([model, layers.Dense(2)])
    outer.compile("sgd", "mse")
    outer.fit(X[:, :4], X[:, :2], verbose=0)
    model.add(layers.Dense(4))
    with pytest.raises(UsageError, match="did not have when it was compiled"):
        outer.fit(X[:, :4], X[:, :2], batch_size=7, verbose=0)


def test_a_layer_of_ones_own_takes_several_inputs_and_adds_a_loss(tmp_path: Path) -> None:
    class Sampling(layers.Layer):
        def build(self, input_shape: Any) -> None:
            assert [tuple(shape) for shape in input_shape] == [(None, 2), (None, 2)]

        def call(self, inputs: Any, training: bool = False) -> Any:
            mean, spread = inputs
            self.add_loss(0.5 * ops.mean(mean * mean))
            return mean + ops.exp(spread)

    x = Input((8,))
    mean, spread = layers.Dense(2)(x), layers.Dense(2)(x)
    model = Model(x, layers.Dense(8)(Sampling()([mean, spread])))
    model.compile("sgd", "mse")
    parts = Model(x, [mean, model.output]).predict(X)
    expected = np.mean((parts[1] - X) ** 2) + 0.5 * np.mean(parts[0] ** 2)
    np.testing.assert_allclose(model.evaluate(X, X, batch_size=40, verbose=0), expected, rtol=1e-5)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", {"Sampling": Sampling})
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(UsageError, match="takes one input, got a list of 2"):
        layers.Dense(2)([x, x])


def test_values_and_symbols_compare_element_by_element() -> None:
    ones = ops.ones(3)
    assert (ones == 1).numpy().all()
    assert not (ones != 1).numpy().any()
    x = Input((8,))
    model = Model(x, ops.where(x == 0.5, 1.0, 0.0))
    data = np.where(X > 0, 0.5, X).astype("float32")
    np.testing.assert_array_equal(model.predict(data), data == 0.5)
    with pytest.raises(UsageError, match="no truth"):
        bool(x == 1)
    np.testing.assert_allclose(layers.Dense(2, kernel_initializer="ones")(ops.ones((1, 3))), [[3, 3]])


def test_one_number_for_each_row_is_a_row_of_one_number() -> None:
    model = Sequential([layers.Dense(1, input_shape=[1])])
    model.compile("sgd", "mse")
    x = np.array([-1.0, 0.0, 1.0, 2.0])
    model.fit(x, 2 * x - 1, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.predict(x), model.predict(x[:, None]))
    assert model.predict([10.0]).shape == (1, 1)


def test_what_is_not_there_says_what_to_do_instead() -> None:
    for room, name, words in (
        (layers, "Conv2D", "dense networks"),
        (layers, "Densee", "did you mean 'Dense'"),
        (nacre.metrics, "Mean", "numpy.mean"),
        (ops, "convert_to_tensor", "as they are"),
        (nacre.utils, "plot_model", "summary"),
        (nacre, "random", "set_random_seed"),
    ):
        with pytest.raises(AttributeError, match=words):
            getattr(room, name)
    with pytest.raises(UsageError, match="show_trainable"):
        Sequential([Input((2,)), layers.Dense(1)]).summary(show_trainable=True)


def doubled(x: Any) -> Any:
    return ops.concatenate([x, 2 * x], axis=-1)


def test_a_function_is_a_layer_and_comes_back_from_a_file(tmp_path: Path) -> None:
    x = Input((8,))
    both = layers.Lambda(lambda parts: parts[0] - parts[1])([layers.Lambda(doubled)(x), layers.Lambda(doubled)(x)])
    assert np.abs(Model(x, both).predict(X)).max() == 0
    model = Sequential([x, layers.Lambda(doubled), layers.Dense(2)])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model", {"doubled": doubled})
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    told = layers.Lambda(lambda x, training: x * 0 if training else x)
    np.testing.assert_array_equal(told(X), X)
    assert np.abs(told(X, training=True).numpy()).max() == 0
