"""Do weights begin as in Keras? The answers were frozen by `make_initializers.py`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nacre import Input, Sequential, initializers, layers, utils
from nacre.configured import serialize
from nacre.errors import ShapeError

KERAS = json.loads(Path(__file__).with_name("initializers.json").read_text(encoding="utf-8"))
LEFT_OUT = {
    "STFT": "makes the kernel of a convolution over sound",
    "STFTInitializer": "see STFT",
    "stft": "see STFT",
    "deserialize": "get takes the dictionary",
    "serialize": "get_config gives the dictionary",
}
RANDOM = [kind for kind in initializers._CLASSES if "seed" in kind.config_names()]


def named(case: dict[str, Any]) -> str:
    settings = "-".join(f"{k}={v}" for k, v in case["config"].items())
    return f"{case.get('class', 'Orthogonal')}-{settings}-{case['shape']}".replace(" ", "")


# ------------------------------------------------------------------ nothing is forgotten


def test_every_public_name_of_keras_is_here_or_left_out_for_a_reason() -> None:
    assert set(KERAS["public"]) - set(initializers.__all__) == set(LEFT_OUT)
    assert set(initializers.__all__) <= set(KERAS["public"])


def test_every_initializer_is_compared() -> None:
    compared = {case["class"] for case in KERAS["cases"] + KERAS["exact"]} | {"Orthogonal"}
    assert compared == {kind.__name__ for kind in initializers._CLASSES}


@pytest.mark.parametrize("name", [n for n, kind in KERAS["names"].items() if kind not in (*LEFT_OUT, "Initializer")])
def test_a_name_means_what_it_means_in_keras(name: str) -> None:
    meant = getattr(initializers, KERAS["names"][name])
    assert type(initializers.get(name)) is meant
    assert vars(initializers).get(name, meant) is meant


@pytest.mark.parametrize("name", KERAS["defaults"])
def test_arguments_that_nobody_gave_are_those_of_keras(name: str) -> None:
    config = getattr(initializers, name)().get_config()
    if name == "Identity":  # Keras forgets it
        assert config.pop("gain") == 1
    assert config == KERAS["defaults"][name]


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize("case", KERAS["exact"], ids=named)
def test_a_fixed_beginning_is_that_of_keras(case: dict[str, Any]) -> None:
    x = getattr(initializers, case["class"])(**case["config"])(tuple(case["shape"]), "float32")
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, np.array(case["values"], "float32"), rtol=1e-6)
    assert x.shape == tuple(case["shape"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_a_random_beginning_has_the_extent_and_spread_of_keras(case: dict[str, Any], dtype: str) -> None:
    x = getattr(initializers, case["class"])(**case["config"], seed=5)(tuple(case["shape"]), dtype)
    assert x.shape == tuple(case["shape"])
    assert x.dtype == dtype
    # Five errors of the difference of two samples.
    error = 5 * math.sqrt(2 / x.size)
    assert x.std() == pytest.approx(case["std"], rel=error)
    assert x.mean() == pytest.approx(case["mean"], abs=error * case["std"])
    normal = "untruncated_normal" in case["config"].values() or case["class"] == "RandomNormal"
    if not normal:  # the ends are sharp
        assert x.min() == pytest.approx(case["low"], abs=0.02 * case["std"])
        assert x.max() == pytest.approx(case["high"], abs=0.02 * case["std"])


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (initializers.GlorotUniform, -math.sqrt(6 / 500), math.sqrt(6 / 500)),
        (initializers.HeUniform, -math.sqrt(6 / 300), math.sqrt(6 / 300)),
        (initializers.LecunUniform, -math.sqrt(3 / 300), math.sqrt(3 / 300)),
        (initializers.RandomUniform, -0.05, 0.05),
        (initializers.TruncatedNormal, -0.1, 0.1),
        (
            initializers.HeNormal,
            -2 * math.sqrt(2 / 300) / 0.8796256610342398,
            2 * math.sqrt(2 / 300) / 0.8796256610342398,
        ),
    ],
)
def test_random_numbers_stay_between_the_bounds_of_the_formula(make: Any, low: float, high: float) -> None:
    x = make(seed=1)((300, 200))
    assert low * (1 + 1e-6) <= x.min() < 0.97 * low
    assert 0.97 * high < x.max() <= high * (1 + 1e-6)


def test_normal_numbers_are_normal() -> None:
    x = initializers.RandomNormal(0.0, 1.0, seed=3)((1000, 1001), "float64")
    for power, moment in enumerate([0, 1, 0, 3, 0, 15], start=1):
        variance = math.prod(range(2 * power - 1, 0, -2))  # of x^power, at most
        assert (x**power).mean() == pytest.approx(moment, abs=5 * math.sqrt(variance / x.size))
    inside = [(np.abs(x) < bound).mean() for bound in (0.1, 1, 2, 3)]
    assert inside == pytest.approx([math.erf(b / math.sqrt(2)) for b in (0.1, 1, 2, 3)], abs=3e-3)


def test_neighbors_have_nothing_to_do_with_each_other() -> None:
    x = initializers.RandomNormal(0.0, 1.0, seed=3)((1_000_000,), "float64")
    for distance in (1, 2, 500_000):
        assert abs(np.mean(x[:-distance] * x[distance:])) < 5 / math.sqrt(len(x) - distance)


@pytest.mark.parametrize("case", KERAS["orthogonal"], ids=named)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_orthogonal_matrix_has_the_products_of_keras(case: dict[str, Any], seed: int) -> None:
    x = initializers.Orthogonal(**case["config"], seed=seed)(tuple(case["shape"]))
    assert x.shape == tuple(case["shape"])
    x = x.reshape(-1, x.shape[-1])
    np.testing.assert_allclose(x.T @ x if x.shape[0] >= x.shape[1] else x @ x.T, case["gram"], atol=2e-6)


def test_all_orthogonal_matrices_are_as_likely() -> None:
    found = np.array([initializers.Orthogonal(seed=n)((2, 2)) for n in range(4000)])
    assert np.abs(found.mean(axis=0)).max() < 5 * math.sqrt(0.5 / 4000)
    assert abs((np.linalg.det(found) > 0).mean() - 0.5) < 5 * math.sqrt(0.25 / 4000)


# ------------------------------------------------------------------ seeds


@pytest.mark.parametrize("kind", RANDOM, ids=lambda k: k.__name__)
def test_a_seed_gives_the_same_numbers_again_and_another_gives_others(kind: Any) -> None:
    x = kind(seed=9)((7, 5))
    assert np.array_equal(x, kind(seed=9)((7, 5)))
    assert not np.array_equal(x, kind(seed=10)((7, 5)))
    assert not np.array_equal(kind()((7, 5)), kind()((7, 5)))


@pytest.mark.parametrize(
    ("kind", "dtype", "digest"),
    [
        ("GlorotUniform", "float32", "5d5e602cd689ca32"),
        ("GlorotUniform", "float64", "2ff92d11ef92397d"),
        ("HeNormal", "float32", "07e3ed311c7a39df"),
        ("RandomNormal", "float64", "52fff0e6832d6f04"),
    ],
)
def test_the_numbers_of_a_seed_are_these_on_every_machine(kind: str, dtype: str, digest: str) -> None:
    x = getattr(initializers, kind)(seed=1)((301, 67), dtype)
    assert hashlib.sha256(x.astype(x.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16] == digest


def test_uniform_numbers_are_those_of_numpy() -> None:
    for dtype in ("float32", "float64"):
        expected = np.random.Generator(np.random.Philox(4)).random((33, 7), dtype=dtype)
        assert np.array_equal(initializers.RandomUniform(0.0, 1.0, seed=4)((33, 7), dtype), expected)


def test_the_logarithm_is_right() -> None:
    x = np.concatenate([np.linspace(1e-9, 1, 10001), 1 - np.geomspace(1e-15, 0.5, 99), [1e-300, 2.0**-53, 0.5]])
    np.testing.assert_allclose(initializers._log(x), np.log(x), rtol=1e-14, atol=4e-16)


@pytest.mark.parametrize("kind", RANDOM, ids=lambda k: k.__name__)
def test_a_weight_begins_as_its_initializer_says_and_without_a_seed_as_the_model_does(kind: Any) -> None:
    layer = layers.Dense(4, kernel_initializer=kind(seed=2))
    Sequential([Input((6,)), layer])
    assert np.array_equal(layer.get_weights()[0], kind(seed=2)((6, 4)))
    begun = []
    for seed in (7, 7, 8):
        utils.set_random_seed(seed)
        begun.append(Sequential([Input((6,)), layers.Dense(4, kernel_initializer=kind())]).get_weights()[0])
    assert np.array_equal(begun[0], begun[1])
    assert not np.array_equal(begun[0], begun[2])


@pytest.mark.parametrize("kind", initializers._CLASSES, ids=lambda k: k.__name__)
def test_an_initializer_made_from_its_description_is_the_same(kind: Any) -> None:
    made = kind(seed=3) if kind in RANDOM else kind()
    assert serialize(initializers.get(json.loads(json.dumps(serialize(made))))) == serialize(made)


# ------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.get("he_norm"), "did you mean 'he_normal'"),
        (lambda: initializers.RandomNormal(stddev=-1), "stddev is a number from 0 on"),
        (lambda: initializers.RandomNormal(mean=math.nan), "mean is a number"),
        (lambda: initializers.RandomUniform(1, 0), "minval is above maxval"),
        (lambda: initializers.RandomUniform(seed=1.5), "seed of an initializer is a whole number"),
        (lambda: initializers.Constant("1"), "value is a number"),
        (lambda: initializers.VarianceScaling(0), "positive scale"),
        (lambda: initializers.VarianceScaling(input_axes=[0]), "given together"),
    ],
)
def test_a_mistake_is_named(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_shape_that_is_no_matrix_is_refused() -> None:
    with pytest.raises(ShapeError, match="matrices only"):
        initializers.Identity()((3,))
    with pytest.raises(ShapeError, match="two axes"):
        initializers.Orthogonal()((3,))
