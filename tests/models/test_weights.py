"""Files of weights: they come back to the bit, with the optimizer, and what does not fit changes nothing."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from update_rules import RULES

from nacre import Input, Sequential, layers
from nacre.callbacks import BackupAndRestore
from nacre.errors import Limitation, ModelFileError, NotBuiltError, UsageError
from nacre.interop import safetensors
from nacre.models import load_model
from nacre.optimizers import SGD, schedules

Array = npt.NDArray[Any]
Data = tuple[Array, Array]
Make = Callable[..., Sequential]


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize("trained", [False, True])
def test_weights_and_the_optimizer_come_back_and_training_goes_on(
    make: Make, data: Data, tmp_path: Path, optimizer: str, trained: bool
) -> None:
    straight, other = make(optimizer=RULES[optimizer]()), make(optimizer=RULES[optimizer]())
    straight.fit(*data, batch_size=8, verbose=0, shuffle=False)
    if trained:
        other.fit(*data, batch_size=3, verbose=0)
    straight.save_weights(tmp_path / "weights")
    other.load_weights(tmp_path / "weights")
    assert bits(other) == bits(straight)
    assert other.optimizer.iterations == straight.optimizer.iterations
    for model in (straight, other):
        model.fit(*data, batch_size=8, verbose=0, shuffle=False)
    assert bits(other) == bits(straight)


def test_the_learning_rate_comes_back(make: Make, data: Data, tmp_path: Path) -> None:
    first, second = make(optimizer=SGD(0.1)), make(optimizer=SGD(0.5))
    first.save_weights(tmp_path / "weights")
    second.load_weights(str(tmp_path / "weights"))
    assert second.optimizer.learning_rate == pytest.approx(0.1)


@pytest.mark.parametrize("source", ["model", "checkpoint"])
def test_weights_are_taken_from_model_files_and_checkpoints(
    make: Make, data: Data, tmp_path: Path, source: str
) -> None:
    first, second = make(), make()
    first.fit(*data, verbose=0, callbacks=[BackupAndRestore(tmp_path, delete_checkpoint=False)])
    if source == "model":
        first.save(tmp_path / "step")
    second.load_weights(next(tmp_path.glob("step" if source == "model" else "step-*")))
    assert bits(second) == bits(first)
    assert second.optimizer.iterations == first.optimizer.iterations > 0


@pytest.mark.parametrize(
    "optimizer",
    [SGD(0.1, momentum=0.9), RULES["rmsprop"](), SGD(schedules.ExponentialDecay(0.1, 10, 0.5))],
    ids=["slots", "class", "schedule"],
)
def test_the_state_of_another_optimizer_is_left_out_with_a_warning(
    make: Make, data: Data, tmp_path: Path, optimizer: Any
) -> None:
    first, second = make(optimizer=SGD(0.1)), make(optimizer=optimizer)
    first.save_weights(tmp_path / "new")
    first.fit(*data, verbose=0)
    first.save_weights(tmp_path / "trained")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load_weights(tmp_path / "new")  # there is no state to leave out
    rate = second.optimizer.learning_rate
    with pytest.warns(UserWarning, match="trained by another optimizer"):
        second.load_weights(tmp_path / "trained")
    assert bits(second) == bits(first)
    assert (second.optimizer.iterations, second.optimizer.learning_rate) == (0, rate)
    second.fit(*data, verbose=0)


def test_models_that_are_not_compiled_have_weights_only(make: Make, data: Data, tmp_path: Path) -> None:
    trained, plain = make(), make()
    plain = Sequential.from_config(plain.get_config())
    plain.save_weights(tmp_path / "plain")
    trained.fit(*data, verbose=0)
    trained.save_weights(tmp_path / "trained")
    expected = bits(plain)
    plain.load_weights(tmp_path / "trained")
    assert bits(plain) == bits(trained)
    trained.load_weights(tmp_path / "plain")
    assert bits(trained) == expected


def test_a_layer_of_ones_own_has_weights_that_can_be_kept(tmp_path: Path) -> None:
    class Own(layers.Dense):
        pass

    first, second = (Sequential([Input((2,)), Own(3, name="own")]) for _ in range(2))
    first.save_weights(tmp_path / "weights")
    second.load_weights(tmp_path / "weights")
    assert bits(second) == bits(first)


OTHER: dict[str, tuple[Callable[[], Sequential], list[str]]] = {
    "units": (lambda: Sequential([Input((4,)), layers.Dense(6, name="a")]), ["'a/kernel'", "[4,5]", "[4,6]"]),
    "name": (lambda: Sequential([Input((4,)), layers.Dense(5, name="b")]), ["'b/kernel'", "nothing", "[4,5]"]),
    "fewer": (lambda: Sequential([Input((4,)), layers.Dense(5, use_bias=False, name="a")]), ["'a/bias'", "nothing"]),
    "more": (
        lambda: Sequential([Input((4,)), layers.Dense(5, name="a"), layers.Dense(1, name="c")]),
        ["'c/kernel'", "nothing", "[5,1]"],
    ),
}


@pytest.mark.parametrize("other", OTHER)
def test_what_does_not_fit_is_named_and_changes_nothing(tmp_path: Path, other: str) -> None:
    Sequential([Input((4,)), layers.Dense(5, name="a")]).save_weights(tmp_path / "weights")
    make, words = OTHER[other]
    model = make()
    before = bits(model)
    with pytest.raises(ModelFileError, match="does not fit the model") as caught:
        model.load_weights(tmp_path / "weights")
    for word in words:
        assert word in str(caught.value).replace(" ", "")
    assert bits(model) == before


@pytest.mark.parametrize(
    "described",
    [
        [],
        {"optimizer": 3},
        {"optimizer": {"class_name": "SGD"}, "iterations": 3},
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": "x"}}, "iterations": 3},
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}}, "iterations": -1},
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1}}},
    ],
)
def test_a_description_that_makes_no_sense_is_refused_and_changes_nothing(
    make: Make, tmp_path: Path, described: Any
) -> None:
    first, second = make(optimizer=SGD(0.1)), make(optimizer=SGD(0.2))
    first.set_weights([w + 1 for w in first.get_weights()])
    before = bits(second)
    first.save_weights(tmp_path / "weights")
    tensors, _ = safetensors.read(tmp_path / "weights")
    safetensors.write(tmp_path / "weights", tensors, {"nacre.weights": json.dumps(described)})
    with pytest.raises((ModelFileError, UsageError)):
        second.load_weights(tmp_path / "weights")
    assert bits(second) == before
    assert (second.optimizer.iterations, second.optimizer.learning_rate) == (0, 0.2)


def test_other_files_and_arguments_are_refused(make: Make, tmp_path: Path) -> None:
    model = make()
    model.save_weights(tmp_path / "weights")
    with pytest.raises(UsageError, match="there already"):
        model.save_weights(tmp_path / "weights", overwrite=False)
    with pytest.raises(Limitation, match="skip_mismatch"):
        model.load_weights(tmp_path / "weights", skip_mismatch=True)
    with pytest.raises(ModelFileError, match="not of a nacre model"):
        load_model(tmp_path / "weights")
    with pytest.raises(NotBuiltError):
        Sequential([layers.Dense(3)]).load_weights(tmp_path / "weights")
    with pytest.raises(NotBuiltError):
        Sequential([layers.Dense(3)]).save_weights(tmp_path / "weights")
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "missing")
    safetensors.write(tmp_path / "foreign", {"x": np.zeros(3)}, {"framework": "other"})
    with pytest.raises(ModelFileError, match="no weights of a nacre model"):
        model.load_weights(tmp_path / "foreign")
