"""The policy of precision: what it changes, what it leaves, and where it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from nacre import Input, Sequential, config, datasets, layers, models, optimizers, utils
from nacre.errors import UnknownName
from nacre.ops.linalg import to_bfloat16


@pytest.fixture
def mixed():
    config.set_dtype_policy("mixed_bfloat16")
    yield
    config.set_dtype_policy("float32")


def _network(device="native"):
    model = Sequential([Input((20,)), layers.Dense(33, activation="relu"), layers.Dense(4, activation="softmax")])
    model.compile(optimizers.SGD(0.5), "sparse_categorical_crossentropy", device=device)
    return model


def _data(rng):
    return rng.standard_normal((96, 20)).astype("float32"), rng.integers(0, 4, 96)


def test_layers_keep_the_policy_they_were_made_under_and_weights_stay_in_float32(mixed):
    layer = layers.Dense(3, input_dim=2)
    config.set_dtype_policy("float32")
    later = layers.Dense(3, dtype="mixed_bfloat16")
    for found in (layer, later):
        assert (found.dtype, found.compute_dtype, found.dtype_policy.name) == ("float32", "bfloat16", "mixed_bfloat16")
    assert layers.Dense(3).compute_dtype == "float32"
    assert Sequential([layer]).get_weights()[0].dtype == np.float32


def test_only_the_factors_of_products_are_rounded(mixed, rng):
    x, _ = _data(rng)
    model = Sequential([Input((20,)), layers.Dense(7, bias_initializer="ones")])
    kernel, bias = model.get_weights()
    exact = to_bfloat16(np, x).astype("f8") @ to_bfloat16(np, kernel) + bias
    found = model.predict(x, verbose=0)
    assert np.allclose(found, exact, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found, x.astype("f8") @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_a_step_is_that_of_the_oracle_and_its_weights_are_not_rounded(mixed, rng):
    x, y = _data(rng)
    moved = []
    for device in ("native", "reference"):
        utils.set_random_seed(3)
        model = _network(device)
        before = model.get_weights()
        model.train_on_batch(x, y)
        moved.append([b - a for a, b in zip(before, model.get_weights(), strict=True)])
        assert all(np.any(w != to_bfloat16(np, w)) for w in model.get_weights())
    for a, b in zip(*moved, strict=True):
        # A sum that rounds to the other neighbor in bfloat16 moves a gradient by its 256th part.
        assert np.allclose(a, b, rtol=1e-2, atol=1e-3 * np.abs(b).max())
        assert np.mean(np.isclose(a, b, rtol=1e-4, atol=1e-6)) > 0.9


def test_a_saved_model_keeps_the_policy(mixed, rng, tmp_path):
    x, y = _data(rng)
    model = _network()
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.safetensors")
    config.set_dtype_policy("float32")
    loaded = models.load_model(tmp_path / "m.safetensors")
    assert [layer.dtype_policy.name for layer in loaded.layers] == ["mixed_bfloat16"] * len(loaded.layers)
    assert np.array_equal(loaded.predict(x, verbose=0), expected)


def test_a_row_alone_is_predicted_like_the_same_row_in_a_batch(mixed, rng):
    x, _ = _data(rng)
    model = _network()
    together = model.predict(x, verbose=0)
    assert all(np.array_equal(model.predict(x[i : i + 1], verbose=0), together[i : i + 1]) for i in (0, 50, 95))


def test_digits_are_learned_as_well_as_in_float32():
    (x, y), (xt, yt) = datasets.digits.load_data()
    found = {}
    for policy in ("float32", "mixed_bfloat16"):
        config.set_dtype_policy(policy)
        try:
            model = Sequential([Input(x.shape[1:]), layers.Rescaling(1 / 16), layers.Flatten()])
            model.add(layers.Dense(64, activation="relu"))
            model.add(layers.Dense(10, activation="softmax"))
        finally:
            config.set_dtype_policy("float32")
        model.compile(optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, epochs=20, batch_size=32, verbose=0)
        found[policy] = model.evaluate(xt, yt, verbose=0)[1]
    assert min(found.values()) > 0.95
    assert abs(found["float32"] - found["mixed_bfloat16"]) < 0.02


def test_an_unknown_policy_is_named_with_a_suggestion():
    with pytest.raises(UnknownName, match="mixed_bfloat61"):
        config.set_dtype_policy("mixed_bfloat61")
    assert config.dtype_policy() == config.DTypePolicy("float32")
