"""Model files: what was saved comes back to the bit, and what is no model is refused."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from update_rules import RULES

from nacre import Input, Sequential, layers
from nacre.errors import ModelFileError, NotBuiltError, UsageError
from nacre.initializers import HeNormal, Initializer
from nacre.interop import safetensors
from nacre.losses import CategoricalCrossentropy
from nacre.metrics import BinaryAccuracy
from nacre.models import load_model
from nacre.optimizers import SGD, RMSprop

Array = npt.NDArray[Any]
Data = tuple[Array, Array]
Make = Callable[..., Sequential]


def bits(model: Sequential) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


# ------------------------------------------------------------------ what comes back


@pytest.mark.parametrize("name", ["model.safetensors", "model.keras", "model.my.suffix", "model"])
def test_predictions_are_the_same_to_the_bit_whatever_the_suffix(
    make: Make, data: Data, tmp_path: Path, name: str
) -> None:
    model = make()
    model.fit(*data, verbose=0)
    model.save(tmp_path / name)
    assert load_model(str(tmp_path / name)).predict(data[0]).tobytes() == model.predict(data[0]).tobytes()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("optimizer", RULES)
@pytest.mark.parametrize("device", ["native", "reference"])
def test_training_goes_on_from_a_file_as_if_it_had_not_stopped(
    make: Make, data: Data, tmp_path: Path, optimizer: str, device: str
) -> None:
    straight = make(optimizer=RULES[optimizer](), device=device)
    stopped = make(optimizer=RULES[optimizer](), device=device)
    for model in (straight, stopped):  # in two pieces in any case: averages become the weights after each
        model.fit(*data, batch_size=8, epochs=1, verbose=0)
    whole = straight.fit(*data, batch_size=8, epochs=2, initial_epoch=1, verbose=0)
    stopped.save(tmp_path / "model")
    resumed = load_model(tmp_path / "model")
    rest = resumed.fit(*data, batch_size=8, epochs=2, initial_epoch=1, verbose=0)
    assert bits(resumed) == bits(straight)
    assert rest.history == whole.history
    assert resumed.optimizer.iterations == straight.optimizer.iterations == 12


@pytest.mark.parametrize("ask", ["predict", "evaluate", "save"])
def test_asking_a_loaded_model_does_not_disturb_its_training(make: Make, data: Data, tmp_path: Path, ask: str) -> None:
    straight = make(optimizer=SGD(0.1, momentum=0.9))
    straight.fit(*data, verbose=0)
    straight.save(tmp_path / "model")
    resumed = load_model(tmp_path / "model")
    if ask == "predict":
        resumed.predict(data[0])
    elif ask == "evaluate":
        resumed.evaluate(*data, verbose=0)
    else:
        resumed.save(tmp_path / "again")
        assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()
        resumed = load_model(tmp_path / "again")
    for model in (straight, resumed):
        model.fit(*data, verbose=0)
    assert bits(resumed) == bits(straight)


def test_settings_come_back(tmp_path: Path) -> None:
    model = Sequential([Input((2, 3)), layers.Rescaling(0.5, offset=-1), layers.Flatten()], name="mine")
    model.add(layers.Dense(4, "relu", kernel_initializer=HeNormal(seed=3), name="hidden", use_bias=False))
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(2, trainable=False))
    loss, metric = CategoricalCrossentropy(from_logits=True, reduction="sum"), BinaryAccuracy("right", threshold=0.3)
    model.compile(RMSprop(0.02, rho=0.7), loss, metrics=["accuracy", metric, "mse"], device="reference")
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert again.get_config() == model.get_config()
    assert again.optimizer.get_config() == model.optimizer.get_config()
    x, y = np.ones((3, 2, 3)), np.eye(2)[[0, 1, 1]]
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert again.evaluate(x, y, verbose=0, return_dict=True) == expected
    assert list(expected) == ["loss", "accuracy", "right", "mse"]
    assert [layer.trainable for layer in again.layers] == [layer.trainable for layer in model.layers]


def test_a_model_that_was_not_compiled_comes_back_so(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layers.Dense(3)])
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert bits(again) == bits(model)
    with pytest.raises(NotBuiltError):
        again.fit(np.ones((2, 4)), np.ones((2, 3)))


def test_a_model_built_by_its_data_comes_back_built(tmp_path: Path) -> None:
    model = Sequential([layers.Flatten(), layers.Dense(3)])
    expected = model.predict(np.ones((2, 5, 2)))
    model.save(tmp_path / "model")
    assert np.array_equal(load_model(tmp_path / "model").predict(np.ones((2, 5, 2))), expected)


def test_the_same_model_gives_the_same_bytes(make: Make, data: Data, tmp_path: Path) -> None:
    for name in ("a", "b"):
        model = make()
        model.fit(*data, verbose=0)
        model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_model_without_weights_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match="no weights"):
        Sequential([layers.Dense(3)]).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_the_old_file(make: Make, tmp_path: Path) -> None:
    model = make()
    with pytest.raises(FileNotFoundError):
        model.save(tmp_path / "missing" / "model")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "model")


# ------------------------------------------------------------------ what is refused


def dense(described: Any) -> Any:
    return described["architecture"]["config"]["layers"][1]["config"]


def put(*path: Any, value: Any) -> Callable[[Any], Any]:
    """Replaces what lies at a path into the description."""

    def act(described: Any) -> Any:
        inner = described
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return described

    return act


def drop(*path: Any) -> Callable[[Any], Any]:
    """Takes away what lies at a path into the description."""

    def act(described: Any) -> Any:
        inner = described
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return described

    return act


LAYERS = ("architecture", "config", "layers")
DENSE = (*LAYERS, 1, "config")
SHAPE = (*LAYERS, 0, "config", "shape")
RULE = ("training", "optimizer", "config")
NESTED: Any = "Dense"
for _ in range(50):
    NESTED = {"class_name": "Sequential", "config": {"name": "a", "layers": [NESTED]}}
MANY = [{"class_name": "Flatten", "config": {"name": f"f{n}"}} for n in range(10_000)]

HOSTILE: dict[str, Callable[[Any], Any]] = {
    "a list": lambda d: [d],
    "a number": lambda d: 3,
    "null": lambda d: None,
    "empty": lambda d: {},
    **{f"no {key}": drop(key) for key in ("format", "architecture", "seed")},
    **{
        f"no {key} of training": drop("training", key)
        for key in ("optimizer", "iterations", "loss", "metrics", "device")
    },
    "no layers": drop(*LAYERS),
    "no config": drop(*LAYERS, 1, "config"),
    "no units": drop(*DENSE, "units"),
    "another format": put("format", value=2),
    "an unknown model": put("architecture", "class_name", value="Functional"),
    "an unknown layer": put(*LAYERS, 1, "class_name", value="Lambda"),
    "a layer class that is a list": put(*LAYERS, 1, "class_name", value=["Dense"]),
    "layers that are text": put(*LAYERS, value="Dense"),
    "layers that are a number": put(*LAYERS, value=3),
    "a layer that is a number": put(*LAYERS, 1, value=3),
    "no layer at all": put(*LAYERS, value=[]),
    "models in models": put(*LAYERS, 1, value=NESTED),
    "ten thousand layers": put(*LAYERS, value=MANY),
    **{
        f"units {str(n)[:8]}": put(*DENSE, "units", value=n)
        for n in (10**12, 10**30, 0, -1, "3", 2.5, True, None, [3], {})
    },
    **{
        f"an input of {str(s)[:12]}": put(*SHAPE, value=s)
        for s in ([10**12], [10**6, 10**6, 10**6], [0], [-4], ["4"], [4.0], [None], [[4]], {}, None, [1] * 1000)
    },
    "another input": put(*SHAPE, value=[5]),
    "an unknown activation": put(*DENSE, "activation", value="os.system"),
    "an activation that is a layer": put(*DENSE, "activation", value={"class_name": "Dense", "config": {}}),
    "an activation that is a list": put(*DENSE, "activation", value=["relu"]),
    "an unknown initializer": put(*DENSE, "kernel_initializer", value={"class_name": "Eval", "config": {}}),
    "an initializer with strange arguments": put(
        *DENSE, "kernel_initializer", value={"class_name": "VarianceScaling", "config": {"scale": "x"}}
    ),
    "an unknown argument": put(*DENSE, "weights", value=[1]),
    "a dtype": put(*DENSE, "dtype", value="float64"),
    "an unknown dtype": put(*DENSE, "dtype", value="object"),
    **{f"the name {n!r:.12}": put(*DENSE, "name", value=n) for n in ("a/b", "a\nb", "\x00", "", "x" * 5000, 5, ["a"])},
    "another name": put(*DENSE, "name", value="other"),
    "a model name that is a list": put("architecture", "config", "name", value=[1]),
    **{f"the seed {s!r:.8}": put("seed", value=s) for s in ("x", None, [1], -1, 2**70, 1.5)},
    **{f"{i!r:.8} iterations": put("training", "iterations", value=i) for i in ("x", None, [1], -1, 2**70, 1.5)},
    "training that is text": put("training", value="sgd"),
    "training that is a list": put("training", value=[]),
    "an unknown optimizer": put("training", "optimizer", "class_name", value="Adamax"),
    "an optimizer that is a number": put("training", "optimizer", value=3),
    "another optimizer": put(*RULE, "momentum", value=0.0),
    **{
        f"the rate {r!r:.8}": put(*RULE, "learning_rate", value=r)
        for r in ("x", None, -1, float("inf"), float("nan"), [0.1])
    },
    "momentum above one": put(*RULE, "momentum", value=2),
    "a schedule that is none": put(*RULE, "learning_rate", value={"class_name": "SGD", "config": {}}),
    "a schedule of no steps": put(
        *RULE, "learning_rate", value={"class_name": "OneCycle", "config": {"total_steps": 0}}
    ),
    "weights that do not decay, by number": put(*RULE, "not_decayed", value=[[], [3]]),
    "an unknown loss": put("training", "loss", "class_name", value="Exec"),
    "a loss that is a list": put("training", "loss", value=[]),
    "no loss": put("training", "loss", value=None),
    "metrics that are text": put("training", "metrics", value="accuracy"),
    "an unknown metric": put("training", "metrics", value=["nonsense"]),
    "a metric that is a number": put("training", "metrics", value=[3]),
    "an unknown device": put("training", "device", value="cuda"),
    "a device that is a list": put("training", "device", value=["native"]),
}


@pytest.fixture
def saved(make: Make, data: Data, tmp_path: Path) -> Path:
    model = make(optimizer=SGD(0.1, momentum=0.9))
    model.fit(*data, verbose=0)
    model.save(tmp_path / "model")
    return tmp_path / "model"


def refused(path: Path) -> str:
    """The message with which the file is refused, at once and without much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as caught:
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    return str(caught.value)


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_description_of_no_model_is_refused(saved: Path, attack: str) -> None:
    tensors, metadata = safetensors.read(saved)
    described = HOSTILE[attack](json.loads(metadata["nacre"]))
    safetensors.write(saved, tensors, {"nacre": json.dumps(described)})
    assert "model" in refused(saved)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, "nacre", "NaN", '{"format": 1e999}'])
def test_a_description_that_is_no_json_is_refused(saved: Path, text: str) -> None:
    tensors, _ = safetensors.read(saved)
    safetensors.write(saved, tensors, {"nacre": text})
    refused(saved)


def test_a_file_of_something_else_is_refused(saved: Path) -> None:
    tensors, _ = safetensors.read(saved)
    safetensors.write(saved, tensors, {"framework": "other"})
    assert "not of a nacre model" in refused(saved)


TENSORS: dict[str, Callable[[dict[str, Array]], dict[str, Array]]] = {
    "missing": lambda t: {n: a for n, a in t.items() if n != "dense/bias"},
    "missing velocity": lambda t: {n: a for n, a in t.items() if n != "optimizer/dense/bias/velocity"},
    "too many": lambda t: t | {"dense_9/kernel": np.zeros((2, 2), "float32")},
    "transposed": lambda t: t | {"dense/kernel": np.ascontiguousarray(t["dense/kernel"].T)},
    "another dtype": lambda t: t | {"dense/bias": t["dense/bias"].astype("float64")},
    "whole numbers": lambda t: t | {"dense/bias": t["dense/bias"].astype("int32")},
    "none": lambda t: {},
}


@pytest.mark.parametrize("fault", TENSORS)
def test_weights_that_are_not_the_architecture_s_are_refused(saved: Path, fault: str) -> None:
    tensors, metadata = safetensors.read(saved)
    safetensors.write(saved, TENSORS[fault](tensors), metadata)
    message = refused(saved)
    assert "dense" in message
    assert "expected" in message


def test_huge_layers_of_matching_sizes_take_no_memory_before_they_are_refused(saved: Path) -> None:
    tensors, metadata = safetensors.read(saved)
    described = json.loads(metadata["nacre"])
    big = [put(*SHAPE, value=[10**6]), put(*DENSE, "units", value=10**6), put("input_shape", value=[10**6])]
    for change in big:
        described = change(described)
    safetensors.write(saved, tensors, {"nacre": json.dumps(described)})
    assert "dense/kernel" in refused(saved)


@pytest.mark.parametrize("at", [0, 9, 200, -1])
def test_a_changed_byte_is_seen(saved: Path, at: int) -> None:
    content = bytearray(saved.read_bytes())
    content[at] ^= 1
    saved.write_bytes(content)
    refused(saved)


def test_a_cut_file_is_seen(saved: Path) -> None:
    content = saved.read_bytes()
    for size in (0, 7, 100, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:size])
        refused(saved)


def relu(x: Any) -> Any:
    """Called like nacre's."""
    return x * 0.5


class Ones(Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, 2, dtype)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(4, relu),
        lambda: layers.Activation(relu),
        lambda: layers.Dense(4, kernel_initializer=Ones()),
        lambda: layers.Residual([layers.Dense(3, relu)]),
    ],
)
def test_what_is_only_called_like_something_of_nacre_is_not_saved_as_it(layer: Any, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), layer()])
    with pytest.raises(UsageError, match="is nacre's own, and among custom_objects"):
        model.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
