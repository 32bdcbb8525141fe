"""nacre gradcheck: gradients against central differences, weight by weight."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import nacre
from nacre import layers, ops
from nacre.cli import main


def _nacre(*arguments):
    return CliRunner().invoke(main, ["gradcheck", *map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    stack = [nacre.Input((8, 8)), layers.Rescaling(1 / 16), layers.Flatten(), layers.Dense(6, "tanh")]
    model = nacre.Sequential([*stack, layers.Dense(10, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("data", [[], ["digits"]])
def test_every_weight_agrees(file, data):
    run = _nacre(file, *data)
    assert run.exit_code == 0, run.output
    assert run.stdout.endswith("All agree with central differences.\n")
    found = json.loads(_nacre(file, *data, "--json").stdout)["weights"]
    assert [(one["weight"], one["entries"]) for one in found] == [
        ("dense/kernel", 50),
        ("dense/bias", 6),
        ("out/kernel", 50),
        ("out/bias", 10),
    ]
    assert all(one["right"] and 0 < one["max_relative_error"] < 1e-6 for one in found)


def test_a_wrong_gradient_is_named_and_is_the_status(file, monkeypatch):
    whole = nacre.Model.loss_function

    def half(self, x, y):
        """The gradient by one of the biases is half of what it should be."""
        loss, weights = whole(self, x, y)

        def other(w):
            b = w["out/bias"]
            return loss({**w, "out/bias": 0.5 * b + ops.stop_gradient(0.5 * b)})

        return other, weights

    monkeypatch.setattr(nacre.Model, "loss_function", half)
    run = _nacre(file, "digits")
    assert run.exit_code == 1
    assert "Wrong: out/bias.\ngradcheck: False, 10 of 10 entries differ" in run.output
    assert "worst at    out/bias[" in run.output
    found = json.loads(_nacre(file, "digits", "--json").stdout)["weights"]
    assert {one["weight"]: one["right"] for one in found} == {
        "dense/kernel": True,
        "dense/bias": True,
        "out/kernel": True,
        "out/bias": False,
    }
    assert abs(found[-1]["max_relative_error"] - 0.5) < 0.01


def test_a_model_that_is_not_compiled_is_refused(tmp_path):
    nacre.Sequential([nacre.Input((2,)), layers.Dense(1)]).save(tmp_path / "plain.safetensors")
    run = _nacre(tmp_path / "plain.safetensors")
    assert run.exit_code == 2
    assert "was not compiled" in run.output
