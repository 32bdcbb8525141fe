"""What computes: which names there are, and what is said of what is not here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import nacre
from nacre import Sequential, layers
from nacre.backends import xla
from nacre.callbacks import BackupAndRestore
from nacre.errors import ModelFileError, UnknownName, UsageError
from nacre.interop import safetensors
from nacre.models import load_model

X = np.random.default_rng(0).standard_normal((12, 4)).astype("float32")
Array = npt.NDArray[Any]


def network(device: str = "native") -> Sequential:
    nacre.utils.set_random_seed(3)
    model = Sequential([nacre.Input((4,)), layers.Dense(2)])
    model.compile("adam", "mse", device=device)
    return model


def test_every_device_that_is_named_computes_the_same() -> None:
    names = nacre.devices()
    assert names[:3] == ["native", "reference", "xla:cpu:0"]
    for name in [*names, "xla", "xla:cpu"]:
        np.testing.assert_allclose(network(name).predict(X), network().predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("device", "error", "words"),
    [
        ("cuda", UnknownName, ["cuda", "one of native, reference, xla"]),
        ("xla:npu", UnknownName, ["xla:npu", "did you mean", "xla:gpu"]),
        ("xla:cpu:1:2", UnknownName, ["xla:cpu:1:2"]),
        ("xla:cpu:99", UsageError, ["xla:cpu:99", "found:", "xla:cpu:0"]),
        ("xla:gpu", UsageError, ["JAX finds no GPU", "found:", "xla:cpu:0", "pip install 'jax[cuda13]'"]),
        ("xla:tpu:0", UsageError, ["JAX finds no TPU", "jax[tpu]"]),
        (3, UsageError, ["3", "nacre.devices()"]),
    ],
)
def test_a_device_that_is_not_here_is_told_of(
    device: Any, error: type, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_kind = xla._of_kind
    monkeypatch.setattr(xla, "_of_kind", lambda kind: of_kind(kind) if kind == "cpu" else [])
    with pytest.raises(error) as caught:
        network(device)
    for word in words:
        assert word in str(caught.value)


def test_without_jax_there_are_two_devices_and_a_way_to_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)  # as if it were not installed
    assert nacre.devices() == ["native", "reference"]
    with pytest.raises(UsageError, match=r"device='xla' needs jax(.|\n)*pip install nacre\[xla\]"):
        network("xla")


def test_jax_is_only_imported_for_who_asks() -> None:
    code = """
import sys, numpy as np, nacre, nacre.training.devices
m = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
m.compile("sgd", "mse"); m.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0); m.predict(np.ones((4, 2)))
print("jax" in sys.modules); m.compile("sgd", "mse", device="xla"); print("jax" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


# ------------------------------------------------------------------ files


def as_it_was(path: Path) -> None:
    """Write a file as nacre did when a device was called a backend."""
    tensors, metadata = safetensors.read(path)
    described = json.loads(metadata["nacre"])
    described["training"]["backend"] = described["training"].pop("device")
    safetensors.write(path, tensors, metadata | {"nacre": json.dumps(described)})


@pytest.mark.parametrize("device", ["native", "reference", "xla"])
def test_a_model_comes_back_to_its_device(device: str, tmp_path: Path) -> None:
    model = network(device)
    model.save(tmp_path / "model")
    assert load_model(tmp_path / "model").get_compile_config()["device"] == device


def test_a_file_from_when_a_device_was_a_backend_is_read(tmp_path: Path) -> None:
    model = network("reference")
    model.fit(X, X[:, :2], verbose=0)
    model.save(tmp_path / "model")
    as_it_was(tmp_path / "model")
    found = load_model(tmp_path / "model")
    assert found.get_compile_config() == model.get_compile_config()
    assert found.predict(X, verbose=0).tobytes() == model.predict(X, verbose=0).tobytes()


def test_a_model_of_a_device_that_is_not_here_loads_and_says_so_when_it_computes(tmp_path: Path) -> None:
    network().save(tmp_path / "model")
    tensors, metadata = safetensors.read(tmp_path / "model")
    elsewhere = metadata["nacre"].replace('"device": "native"', '"device": "xla:cpu:99"')
    safetensors.write(tmp_path / "model", tensors, metadata | {"nacre": elsewhere})
    model = load_model(tmp_path / "model")
    with pytest.raises(UsageError, match="There is no device 'xla:cpu:99'"):
        model.predict(X)
    safetensors.write(tmp_path / "model", tensors, metadata | {"nacre": elsewhere.replace("xla:cpu:99", "cuda")})
    with pytest.raises(ModelFileError):
        load_model(tmp_path / "model")


class Stop(nacre.callbacks.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise InterruptedError


@pytest.mark.parametrize("change", [as_it_was, lambda path: None], ids=["of a backend", "of a device"])
def test_a_training_goes_on_from_a_checkpoint(change: Callable[[Path], None], tmp_path: Path) -> None:
    straight = network()
    straight.fit(X, X[:, :2], epochs=4, batch_size=4, verbose=0)
    with pytest.raises(InterruptedError):
        network().fit(X, X[:, :2], epochs=4, batch_size=4, verbose=0, callbacks=[BackupAndRestore(tmp_path), Stop()])
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert files
    for path in files:
        change(path)
    resumed = network()
    resumed.fit(X, X[:, :2], epochs=4, batch_size=4, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert [w.tobytes() for w in resumed.get_weights()] == [w.tobytes() for w in straight.get_weights()]
    assert resumed.optimizer.iterations == 12
