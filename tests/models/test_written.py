"""Models written as classes, and parts of one's own in model files."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Sequential, layers, ops
from nacre.errors import Limitation, ModelFileError, UsageError
from nacre.models import load_model
from nacre.utils import custom_object_scope

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((64, 8)).astype("float32"), RNG.integers(0, 3, 64)


class Net(nacre.Model):
    """As one would write it for Keras."""

    def __init__(self, units: int = 16, classes: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.classes = units, classes
        self.blocks: list[Any] = []
        for _ in range(2):
            self.blocks.append(layers.Dense(units, "relu"))
        self.drop = layers.Dropout(0.5)
        self.end = layers.Dense(classes, "softmax")

    def call(self, x: Any, training: bool = False) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.end(self.drop(x) if training else x)


class Pair(nacre.Model):
    """Two inputs, as a list or a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = {"a": layers.Dense(4), "b": layers.Dense(4)}
        self.end = layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        given = inputs if isinstance(inputs, dict) else dict(zip("ab", inputs, strict=True))
        return self.end(ops.concatenate([self.parts[name](given[name]) for name in "ab"], axis=-1))


def cubic(x: Any) -> Any:
    return x * x * x


def distance(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


class Scaled(layers.Layer):
    """A layer with a setting and a weight."""

    def __init__(self, by: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by = by

    def build(self, input_shape: Any) -> None:
        self.shift = self.add_weight((input_shape[-1],), "zeros", name="shift")

    def call(self, x: Any) -> Any:
        return x * self.by + self.shift


def trained(model: Any, **settings: Any) -> Any:
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, epochs=2, verbose=0, **settings)
    return model


def test_a_written_model_learns_and_lists_what_it_keeps(capsys: Any) -> None:
    model = trained(Net(), validation_split=0.25)
    assert set(model.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [w.split("/", 1)[1] for w in model.named][::2] == ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense", "Dropout", "Dense"]
    model.summary()
    assert "dense_2 (Dense)" in capsys.readouterr().out
    np.testing.assert_array_equal(model.predict(X), model.predict(X))


def test_it_is_the_model_of_the_same_layers() -> None:
    class Plain(nacre.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = layers.Dense(5, "tanh"), layers.Dense(3, "softmax")

        def call(self, x: Any) -> Any:
            return self.two(self.one(x))

    written, row = Plain(), Sequential([Input((8,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")])
    written.build((None, 8))
    row.set_weights(written.get_weights())
    for model in (written, row):
        model._seed = 3
        trained(model)
    assert [w.tobytes() for w in written.get_weights()] == [w.tobytes() for w in row.get_weights()]


def test_it_is_saved_by_name_and_loaded_by_who_has_the_class(tmp_path: Path) -> None:
    model = trained(Net(5, name="mine"))
    model.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match=r"called 'Net'[\s\S]*custom_objects"):
        load_model(tmp_path / "model")
    with custom_object_scope({"Net": Net}):
        other = load_model(tmp_path / "model")
    again = load_model(tmp_path / "model", custom_objects={"Net": Net})
    for loaded in (other, again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        assert (loaded.name, loaded.units) == ("mine", 5)
    for one in (model, again):
        one.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("data", [[X, X[::-1]], {"a": X, "b": X[::-1]}], ids=["list", "dictionary"])
def test_several_inputs_come_as_they_are_given(data: Any, tmp_path: Path) -> None:
    model = Pair()
    model.compile("sgd", "mse")
    model.fit(data, X[:, :1], epochs=2, verbose=0)
    assert model.input_shape == [(None, 8), (None, 8)]
    model.save(tmp_path / "pair")
    again = load_model(tmp_path / "pair", {"Pair": Pair})
    np.testing.assert_array_equal(again.predict(data), model.predict(data))


def test_a_written_model_is_a_part_like_any_other() -> None:
    inner = Net(4)
    model = trained(Sequential([Input((8,)), layers.Dense(8), inner]))
    np.testing.assert_allclose(model.predict(X), inner.predict(model.layers[0](X).numpy()), rtol=1e-5)


def test_parts_of_ones_own_come_back_from_files(tmp_path: Path) -> None:
    model = Sequential([Input((8,)), Scaled(0.5), layers.Dense(4, cubic), layers.Dense(1)])
    model.compile("sgd", distance, metrics=[distance])
    model.fit(X, X[:, :1], verbose=0)
    model.save(tmp_path / "model")
    own = {"Scaled": Scaled, "cubic": cubic, "distance": distance}
    again = load_model(tmp_path / "model", own)
    assert again.evaluate(X, X[:, :1], verbose=0) == model.evaluate(X, X[:, :1], verbose=0)
    for missing in own:
        with pytest.raises(ModelFileError, match=f"'{missing}'"):
            load_model(tmp_path / "model", {name: thing for name, thing in own.items() if name != missing})
    bare = load_model(tmp_path / "model", {"Scaled": Scaled, "cubic": cubic}, compile=False)
    np.testing.assert_array_equal(bare.predict(X), model.predict(X))
    with pytest.raises(nacre.errors.NotBuiltError, match="compile"):
        bare.fit(X, X[:, :1])
    with pytest.raises(UsageError, match="nothing in a file is ever run"):
        load_model(tmp_path / "model", own, safe_mode=False)


def test_a_part_that_forgot_how_it_was_made_is_named(tmp_path: Path) -> None:
    class Forgetful(layers.Layer):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.factor = by

        def call(self, x: Any) -> Any:
            return x * self.factor

    model = Sequential([Input((8,)), Forgetful(2.0)])
    with pytest.raises(UsageError, match=r"argument 'by'"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_two_classes_of_one_name_are_refused(tmp_path: Path) -> None:
    class Dense(layers.Dense):
        pass

    model = Sequential([Input((8,)), layers.Dense(3), Dense(2)])
    with pytest.raises(UsageError, match="is nacre's own"):
        model.save(tmp_path / "model")


def test_mistakes_in_written_models_are_named() -> None:
    with pytest.raises(Limitation, match="train_step"):

        class _Own(nacre.Model):
            def train_step(self, data: Any) -> None: ...

    with pytest.raises(UsageError, match="never asks for it"):

        class _Row(Sequential):
            def call(self, x: Any) -> Any: ...

    class Silent(nacre.Model):
        pass

    with pytest.raises(UsageError, match="define call"):
        Silent().build((None, 3))

    class Early(nacre.Model):
        def __init__(self) -> None:
            self.one = layers.Dense(3)
            super().__init__()

        def call(self, x: Any) -> Any: ...

    with pytest.raises(UsageError, match=r"super\(\).__init__\(\) first"):
        Early()

    class Two(nacre.Model):
        def call(self, x: Any) -> Any:
            return x, x

    with pytest.raises(Limitation, match="one output"):
        Two().build((None, 3))

    class Numpy(nacre.Model):
        def call(self, x: Any) -> Any:
            return np.zeros(3)

    with pytest.raises(UsageError, match=r"compute it with nacre\.ops"):
        Numpy().build((None, 3))
    with pytest.raises(UsageError, match="no argument 'nam'"):
        Net(nam="x")
