"""By how much a network makes changes longer: a bound that is never broken, and is reached where all is linear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nacre
from nacre import activations
from nacre.cli import main
from nacre.errors import Limitation, UsageError
from nacre.insight import lipschitz_bound
from nacre.insight.lipschitz import _STEEPEST
from nacre.layers import Activation, BatchNormalization, Dense, Dropout, Flatten, Rescaling, Softmax


def network(*layers: Any) -> nacre.Sequential:
    nacre.utils.set_random_seed(0)
    return nacre.Sequential([nacre.Input((4, 5)), *layers])


@pytest.mark.parametrize(
    "layers",
    [
        (Flatten(), Dense(6, "tanh"), Dropout(0.5), Dense(3, "sigmoid")),
        (Rescaling(-3.0), Flatten(), Dense(7), Activation("elu"), Dense(3), Softmax()),
        (Flatten(), Dense(5, "leaky_relu", use_bias=False), Dense(2, "softplus")),
    ],
)
def test_no_change_comes_out_longer_than_the_bound(layers: Any) -> None:
    model = network(*layers)
    bound, random = lipschitz_bound(model).bound, np.random.default_rng(0)
    for size in (1e-2, 1.0, 10.0):
        x, change = random.normal(size=(200, 4, 5)), size * random.normal(size=(200, 4, 5))
        moved = np.linalg.norm(model.predict(x + change) - model.predict(x), axis=1)
        assert (moved <= 1.0001 * bound * np.linalg.norm(change.reshape(200, -1), axis=1) + 1e-6).all()


@pytest.mark.parametrize("name", sorted(set(_STEEPEST) - {"softmax"}))
def test_the_steepest_slope_is_that_of_the_activation(name: str) -> None:
    z = np.linspace(-6, 6, 2401)
    slopes = np.asarray(nacre.grad(lambda z: nacre.ops.sum(activations.get(name)(z)))(z))
    assert np.abs(slopes).max() == pytest.approx(_STEEPEST[name], rel=1e-2)


def test_a_softmax_that_wavers_between_two_classes_lets_half_of_a_change_through() -> None:
    moved = activations.softmax(np.array([[1e-4, -1e-4, -99.0]])).numpy() - [[0.5, 0.5, 0.0]]
    assert np.linalg.norm(moved) / np.linalg.norm([1e-4, 1e-4]) == pytest.approx(0.5, rel=1e-6)
    assert lipschitz_bound(network(Softmax())).bound == 0.5


def test_a_linear_chain_has_the_norms_of_its_kernels_and_a_command_prints_them(tmp_path: Path) -> None:
    model = network(Flatten(), Dense(6, name="first"), Dense(2, name="second"))
    expected = [float(np.linalg.svd(w.astype(float))[1][0]) for w in model.get_weights()[::2]]
    model.save(tmp_path / "model.safetensors")
    words = ["summary", str(tmp_path / "model.safetensors"), "--norms"]
    told = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)["norms"]
    assert told["layers"] == pytest.approx(dict(zip(["first", "second"], expected, strict=True)))
    assert told["bound"] == pytest.approx(expected[0] * expected[1])
    assert f"product  {told['bound']:.4g}" in CliRunner().invoke(main, words).stdout


def test_what_has_no_known_norm_is_refused() -> None:
    a = nacre.Input((3,))
    for model, said in (
        (network(Flatten(), BatchNormalization()), "no norm of BatchNormalization"),
        (network(Flatten(), Dense(2, "gelu")), "gelu"),
        (nacre.Model(a, Dense(2)(a)), "no chain"),
    ):
        with pytest.raises(Limitation, match=said):
            lipschitz_bound(model)
    with pytest.raises(UsageError, match="a model"):
        lipschitz_bound(5)  # type: ignore[arg-type]
