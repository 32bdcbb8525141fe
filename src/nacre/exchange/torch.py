"""PyTorch: a network as tensors that a ``torch.nn.Sequential`` takes, and the way back. Neither needs PyTorch."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DTypeError, Limitation, ModelFileError, ShapeError, UsageError
from nacre.exchange import tensors
from nacre.exchange.written import IN_FLOAT32, Written, without_augmentation, without_features
from nacre.files import write_whole
from nacre.interop import safetensors
from nacre.layers import (
    ELU,
    Activation,
    Augmentation,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Identity,
    Input,
    InputLayer,
    Layer,
    LayerNormalization,
    LeakyReLU,
    Normalization,
    ReLU,
    Rescaling,
    Softmax,
)
from nacre.layers.layer import Shape
from nacre.models import Model, Sequential

Array = npt.NDArray[Any]
_Module = tuple[str, dict[str, Any]]  # how it is made in PyTorch, and its tensors by their names

ACTIVATIONS = {
    "celu": "CELU()",
    "elu": "ELU()",
    "gelu": "GELU()",
    "hard_shrink": "Hardshrink()",
    "hard_sigmoid": "Hardsigmoid()",
    "hard_silu": "Hardswish()",
    "hard_swish": "Hardswish()",
    "hard_tanh": "Hardtanh()",
    "leaky_relu": "LeakyReLU(0.2)",
    "log_sigmoid": "LogSigmoid()",
    "log_softmax": "LogSoftmax(dim=-1)",
    "mish": "Mish()",
    "relu": "ReLU()",
    "relu6": "ReLU6()",
    "selu": "SELU()",
    "sigmoid": "Sigmoid()",
    "silu": "SiLU()",
    "soft_shrink": "Softshrink()",
    "softmax": "Softmax(dim=-1)",
    "softplus": "Softplus()",
    "softsign": "Softsign()",
    "swish": "SiLU()",
    "tanh": "Tanh()",
    "tanh_shrink": "Tanhshrink()",
}


# ------------------------------------------------------------------ to PyTorch


def state_dict(model: Model) -> dict[str, Array]:
    """The weights as ``load_state_dict`` of a ``torch.nn.Sequential`` takes them: float32, by names such as "0.weight".

    The modules of that Sequential are the layers of the model, in order, each activation a module of its own; `write` says how to
    make it. Weights of Dense are transposed, for PyTorch has them as (units, features). Raises `Limitation` for anything but a
    stack of Dense, normalizations, activations, Dropout, Flatten and Rescaling.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, "relu"), nacre.layers.Dense(1)])
    >>> {name: array.shape for name, array in nacre.exchange.state_dict(model).items()}
    {'0.weight': (3, 4), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    return {
        f"{number}.{name}": np.asarray(array, np.float32)
        for number, (_, own) in enumerate(_modules(model))
        for name, array in own.items()
    }


def write(model: Model, path: Path) -> Written:
    """Write the `state_dict` as ``torch.save`` does; the notes are Python that makes the network in PyTorch and loads the file.

    Raises `Limitation` as `state_dict` does.
    """
    content = tensors.archive(state_dict(model))
    write_whole(path, [content])
    modules = "".join(f"\n    nn.{made}," for made, _ in _modules(model))
    rounded = [IN_FLOAT32] if any(part.precision == "bfloat16" for part in model._parts()) else []
    notes = (
        "It was not run here. In PyTorch, this is the network:",
        f"import torch\nfrom torch import nn\nnet = nn.Sequential({modules}\n)",
        f'net.load_state_dict(torch.load("{path.name}", weights_only=True))\nnet.eval()',
    )
    return Written(
        path, "torch", len(content), notes=(*notes, *rounded, *without_augmentation(model), *without_features(model))
    )


def _modules(model: Model) -> list[_Module]:
    """The modules that PyTorch has for the layers, with their tensors."""
    if type(model) is not Sequential:
        raise Limitation(
            f"{type(model).__name__} {model.name!r} is no stack of layers, which is what PyTorch is told of.",
            hint='export a Sequential model, or format="onnx"',
        )
    model._need_built()
    shapes = [symbol.shape for symbol in model._symbols]
    pairs = zip(model._stack, shapes, strict=False)  # each layer with what comes in
    return [module for layer, shape in pairs for module in _of(layer, shape)]


def _of(layer: Layer, shape: Shape) -> list[_Module]:
    """The modules of a layer that takes this shape."""
    weights = {weight.name.rpartition("/")[2]: weight.numpy() for weight in getattr(layer, "weights", [])}
    if isinstance(layer, InputLayer):
        return []
    if isinstance(layer, Dense):
        tensors = {"weight": weights["kernel"].T} | ({"bias": weights["bias"]} if layer.use_bias else {})
        bias = "" if layer.use_bias else ", bias=False"
        return [(f"Linear({shape[-1]}, {layer.units}{bias})", tensors), *_activation(layer, layer.activation.__name__)]
    if isinstance(layer, Activation):
        return _activation(layer, layer.activation.__name__)
    if isinstance(layer, BatchNormalization) and layer.axes == [1]:
        size = layer.sizes[0]
        affine = {"weight": weights.get("gamma", np.ones(size)), "bias": weights.get("beta", np.zeros(size))}
        running = {"running_mean": weights["moving_mean"], "running_var": weights["moving_variance"]}
        settings = f"eps={layer.epsilon!r}, momentum={round(1 - layer.momentum, 12)!r}"
        return [(f"{_batch_norm(layer, shape)}({size}, {settings})", affine | running)]
    if isinstance(layer, LayerNormalization) and layer.axes == [len(shape) - 1]:
        size = layer.sizes[0]
        affine = {"weight": weights.get("gamma", np.ones(size)), "bias": weights.get("beta", np.zeros(size))}
        return [(f"LayerNorm({size}, eps={layer.epsilon!r})", affine)]
    if isinstance(layer, Rescaling):
        return [_fixed(layer, shape, np.full(shape[1] or 0, layer.scale), np.full(shape[1] or 0, layer.offset))]
    if isinstance(layer, Normalization) and not layer.invert and len(shape) == 2:
        mean, variance = (np.broadcast_to(np.asarray(m, np.float64), [shape[1] or 0]) for m in _moments(layer, weights))
        factor = 1 / np.maximum(np.sqrt(variance), 1e-7)
        return [_fixed(layer, shape, factor, -mean * factor)]
    if isinstance(layer, Dropout):
        return [(f"Dropout({layer.rate!r})", {})]
    if isinstance(layer, Flatten):
        return [("Flatten()", {})]
    if isinstance(layer, Identity | Augmentation):  # predictions pass by what is done to pictures in training
        return [("Identity()", {})]
    if isinstance(layer, LeakyReLU):
        return [(f"LeakyReLU({layer.negative_slope!r})", {})]
    if isinstance(layer, ELU):
        return [(f"ELU({layer.alpha!r})", {})]
    if isinstance(layer, Softmax) and layer.axis == -1:
        return [("Softmax(dim=-1)", {})]
    if isinstance(layer, ReLU) and (layer.max_value, layer.negative_slope, layer.threshold) == (None, 0, 0):
        return [("ReLU()", {})]
    raise Limitation(
        f"{type(layer).__name__} {getattr(layer, 'name', '')!r} has no module of PyTorch's that does the same.",
        {"layer": f"takes {shape}"},
        "put what it does into the data, and export a model without it",
    )


def _activation(layer: Layer, name: str) -> list[_Module]:
    if name == "linear":
        return []
    if name not in ACTIVATIONS:
        raise Limitation(f"PyTorch has no module for the activation {name!r} of {layer.name!r}.")
    return [(ACTIVATIONS[name], {})]


def _batch_norm(layer: Layer, shape: Shape) -> str:
    """What normalizes along the first axis of samples of this shape."""
    if len(shape) not in (2, 3, 4):
        raise Limitation(f"PyTorch has no module for {layer.name!r}, which takes {shape}.")
    return "BatchNorm2d" if len(shape) == 4 else "BatchNorm1d"


def _fixed(layer: Layer, shape: Shape, factor: Array, shift: Array) -> _Module:
    """x * factor + shift along the first axis, as a batch normalization that is not trained does it."""
    size = len(factor)
    own = {"weight": factor, "bias": shift, "running_mean": np.zeros(size), "running_var": np.ones(size)}
    return f"{_batch_norm(layer, shape)}({size}, eps=0.0)", own


def _moments(layer: Normalization, weights: Mapping[str, Array]) -> tuple[Any, Any]:
    return (layer.mean, layer.variance) if layer.mean is not None else (weights["mean"], weights["variance"])


# ------------------------------------------------------------------ from PyTorch


def from_torch(
    state_dict: Mapping[str, Any] | str | Path, activation: str = "relu", output: str | None = None
) -> Sequential:
    """The network whose tensors these are: a stack of ``nn.Linear``, with ``nn.BatchNorm1d`` and ``nn.LayerNorm`` between.

    ``state_dict`` is what ``net.state_dict()`` gives, arrays or tensors by their names, or a ``.pt``, ``.pth`` or ``.safetensors``
    file of them, which is read without PyTorch, and without running anything. Tensors tell nothing of what has none, so that is
    said here: ``activation`` goes between the layers, ``output`` behind the last. Modules of an ``nn.Sequential`` are numbered:
    there the activation goes where numbers are left out, once. In other networks it goes behind each Linear but the last, or
    behind the normalization that follows it. Normalizations are taken to have PyTorch's epsilon, 1e-5.

    Raises `ModelFileError` for a file that is damaged or holds more than tensors, and for tensors that are those of another
    network: whose sizes do not follow from one another, or with other names than weight, bias, running_mean and running_var.

    >>> import numpy as np, nacre
    >>> net = {"0.weight": np.ones((3, 4)), "0.bias": np.zeros(3), "2.weight": np.ones((1, 3)), "2.bias": np.zeros(1)}
    >>> model = nacre.exchange.from_torch(net, activation="tanh", output="sigmoid")
    >>> [layer.activation.__name__ for layer in model.layers], model.input_shape
    (['tanh', 'sigmoid'], (None, 4))
    """
    groups = _groups(_arrays(state_dict))
    names, places = list(groups), _places(groups)
    stack: list[Any] = []
    made: list[Layer] = []
    for name, own in groups.items():
        chosen = output if name == names[-1] else activation if name in places else None
        made.append(_layer(name, own, chosen))
        stack.append(made[-1])
        if chosen is not None and not isinstance(made[-1], Dense):
            stack.append(Activation(chosen))
    first = groups[names[0]]
    stack.insert(0, Input((first["weight" if "weight" in first else "running_mean"].shape[-1],)))
    try:
        model = Sequential(stack)
        for layer, own in zip(made, groups.values(), strict=True):
            layer.set_weights(_weights(layer, own))
    except ShapeError as error:
        raise ModelFileError(
            "The tensors are those of another network than a stack of layers.",
            {"reason": str(error).splitlines()[0], "tensors": ", ".join(groups)},
            "build the network, and hand the arrays over: layer.set_weights([weight.T, bias])",
        ) from error
    return model


def _arrays(given: Mapping[str, Any] | str | Path) -> dict[str, Array]:
    """Tensors of numbers by their names."""
    if isinstance(given, str | Path):
        safe = Path(given).suffix.lower() == ".safetensors"
        return safetensors.read_of_others(given) if safe else tensors.read(given)
    if not isinstance(given, Mapping):
        raise UsageError(f"from_torch takes a state_dict or a file of one, got {type(given).__name__}.")
    found: dict[str, Array] = {}
    for name, tensor in given.items():
        # A tensor that requires gradients does not turn into an array by itself.
        array = np.asarray(tensor.detach().cpu() if hasattr(tensor, "detach") else tensor)
        if array.dtype.kind not in "fiu":
            raise DTypeError(f"{name!r} is no tensor of numbers.", {"found": array.dtype})
        found[str(name)] = array
    return found


def _groups(arrays: Mapping[str, Array]) -> dict[str, dict[str, Array]]:
    """The tensors of each module, by the name of the module; in the order of numbers, if these have any: files of safetensors have
    the order of the alphabet, in which 10 is before 2."""
    groups: dict[str, dict[str, Array]] = {}
    for name, array in arrays.items():
        module, _, own = name.rpartition(".")
        if own != "num_batches_tracked":
            groups.setdefault(module, {})[own] = array
    if not groups:
        raise ModelFileError("There are no tensors of layers.", hint="net.state_dict()")
    if all(re.search(r"\d$", name) for name in groups):
        parts = {name: re.split(r"(\d+)", name) for name in groups}
        groups = {n: groups[n] for n in sorted(groups, key=lambda n: [int(p) if p.isdigit() else p for p in parts[n]])}
    return groups


def _layer(name: str, own: Mapping[str, Array], activation: str | None) -> Layer:
    """The layer that a module with these tensors is; only Dense has its activation inside."""
    names, rank = set(own), own["weight"].ndim if "weight" in own else None
    if rank == 2 and names <= {"weight", "bias"}:
        return Dense(len(own["weight"]), activation, use_bias="bias" in own)
    if rank == 1 and names == {"weight", "bias"}:
        return LayerNormalization(epsilon=1e-5)
    affine = names & {"weight", "bias"}
    if names - affine == {"running_mean", "running_var"} and len(affine) != 1 and rank in (1, None):
        return BatchNormalization(epsilon=1e-5, momentum=0.9, center=bool(affine), scale=bool(affine))
    raise ModelFileError(
        f"The module {name!r} is no Linear, BatchNorm1d or LayerNorm.",
        {"tensors": ", ".join(f"{key} {array.shape}" for key, array in own.items())},
        "build the network, and hand the arrays over: layer.set_weights([weight.T, bias])",
    )


def _weights(layer: Layer, own: Mapping[str, Array]) -> list[Array]:
    """The weights of a layer, in nacre's order and form."""
    if isinstance(layer, Dense):
        return [own["weight"].T, *([own["bias"]] if layer.use_bias else [])]
    return [own[name] for name in ("weight", "bias", "running_mean", "running_var") if name in own]


def _places(groups: Mapping[str, Mapping[str, Array]]) -> set[str]:
    """The modules behind which the activation goes."""
    names = list(groups)
    numbers = [int(found[0]) for name in names if (found := re.search(r"(?:^|(?<=\.))\d+$", name))]
    if len(numbers) == len(names) and (names[0].isdigit() or numbers[-1] - numbers[0] >= len(names)):
        follows = zip(names, itertools.pairwise(numbers), strict=False)
        return {name for name, (number, other) in follows if other - number != 1}
    # Functions between modules have no numbers: behind each Linear, or the normalization that follows it.
    dense = [groups[name]["weight"].ndim == 2 if "weight" in groups[name] else False for name in names]
    behind = [at + 1 if at + 1 < len(names) and not dense[at + 1] else at for at in range(len(names)) if dense[at]]
    return {names[at] for at in behind[:-1]}
