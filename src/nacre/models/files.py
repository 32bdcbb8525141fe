"""Model files: what is in them, whether a model can be in one, and the way back."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from nacre import losses, metrics, optimizers
from nacre.configured import Configured, custom_object_scope, differing, natural, resolve, serialize, strangers
from nacre.data import Features, Pictures
from nacre.errors import Limitation, ModelFileError, NacreError, UnknownName, UsageError
from nacre.interop import safetensors
from nacre.ir import Memory, TensorType
from nacre.models.goals import Judged
from nacre.models.mistakes import refuse_unknown
from nacre.models.part import KINDS
from nacre.ops import seeded
from nacre.training.checkpoint import CALLBACK_PREFIX
from nacre.training.program import slot_types
from nacre.upstairs import room

if TYPE_CHECKING:
    from nacre.models.model import Model

Array = npt.NDArray[Any]

FORMAT = 1  # of the metadata in a model file
# What comes of a description that is none.
NONSENSE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError)


def check_restorable(model: Model) -> dict[str, Any]:
    """Refuse what no file can hold, before it is too late. Returns the classes and functions, by their names, that whoever reads
    the file must have, since they are not nacre's."""
    outputs: Sequence[Judged] = model._settings["outputs"] if model._settings is not None else ()
    chosen = [m for o in outputs for m in (o.loss, *o.metrics, *o.weighted_metrics) if not isinstance(m, str | None)]
    measured = [m if isinstance(m, Configured) else metrics.get(m) for m in chosen]
    rules = [model.optimizer] if model._settings is not None else []
    parts: list[Configured] = [model, *model._parts(), *rules, *measured]
    own: dict[str, Any] = {}
    try:
        for name, thing in (found for part in parts for found in strangers(part).items()):
            if own.setdefault(name, thing) is not thing:
                raise UsageError(f"Two parts of it are called {name!r}.")
        with custom_object_scope(own), seeded(0):  # the copy is random in nothing that others see
            again = type(model).from_config(model.get_config())
            if not again.built:
                shapes = [shape[1:] for shape in model.input_shapes]
                again.build(again._shapes_to_build(shapes, model._names_to_build()))
            copies = [again, *again._parts(), *(optimizers.get(serialize(rule)) for rule in rules)]
            copies += [(losses if isinstance(m, losses.Loss) else metrics).get(serialize(m)) for m in measured]
        if _types_of_weights(again) != _types_of_weights(model):
            raise UsageError("Parts of it share layers, or were changed after they became parts.")
        for mine, other in zip(parts, copies, strict=True):
            if (stranger := differing(mine, other)) is not None:
                name = getattr(stranger, "__name__", None) or type(stranger).__name__
                where = "" if stranger is mine else f" in {type(mine).__name__} {getattr(mine, 'name', '')!r}"
                raise UsageError(f"{name}{where} is not nacre's, though it is called like something of nacre.")
    except (NacreError, *NONSENSE) as error:
        reason = str(error) if isinstance(error, NacreError) else f"{type(error).__name__}: {error}"
        raise UsageError(
            "The model cannot be saved: it has a part that no file can describe.",
            {"reason": reason.splitlines()[0]},
            "save its weights alone: model.save_weights(path)",
        ) from error
    return own


def _types_of_weights(model: Model) -> dict[str, TensorType]:
    return {name: w.type for name, w in model.named.items()}


def load_model(
    path: str | Path, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, **unknown: Any
) -> Model:
    """The model that `Model.save` wrote, compiled as it was, ready to go on; or the one in a checkpoint, or in a file of Keras,
    ``.keras`` or ``.h5``, as `nacre.exchange.keras.read` says.

    ``custom_objects`` are classes and functions that are not nacre's, by their names in the file; without ``compile``, the model
    comes without loss, metrics and optimizer.

    Nothing in the file is run. Every name, offset, shape and checksum is checked first; raises `ModelFileError` for a file that
    is damaged, was made by something else, or describes what its weights are not; `FileNotFoundError` if there is none.
    """
    refuse_unknown(load_model, unknown)
    if is_of_keras(path):
        if custom_objects:
            raise Limitation(
                f"{path} is of Keras, of which only parts that nacre has can be read.",
                {"found": f"custom_objects={custom_objects!r}"},
                "leave custom_objects out",
            )
        read: Model = room("exchange.keras").read(path, compile)
        return read
    tensors, metadata = safetensors.read(path)
    if "nacre" not in metadata:
        raise ModelFileError(f"{path} is a safetensors file, but not of a nacre model.")
    try:
        described = json.loads(metadata["nacre"])
        if described["format"] != FORMAT:
            raise ModelFileError(f"{path} has format {described['format']}, this nacre reads format {FORMAT}.")
        if not compile:
            described["training"] = None
        prefixes = (CALLBACK_PREFIX,) if compile else (CALLBACK_PREFIX, "optimizer/")
        kept = {name: array for name, array in tensors.items() if not name.startswith(prefixes)}
        return restore(described, kept, custom_objects or {})
    except ModelFileError:
        raise
    except UnknownName as error:
        raise ModelFileError(
            f"{path} has a part that is not nacre's, or of a later nacre.",
            {"reason": error.what},
            "load_model(path, custom_objects={name: the class or function})",
        ) from error
    except (NacreError, *NONSENSE) as error:
        raise ModelFileError(
            f"{path} does not describe a model.", {"reason": f"{type(error).__name__}: {error}"}
        ) from error


def is_of_keras(path: str | Path) -> bool:
    """Whether a file begins as an archive or as HDF5 does, as those of Keras do, and no file of nacre's."""
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(8).startswith((b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"))


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Model:
    """A model like the one that `Model.to_json` described, with fresh weights. Raises `ModelFileError` for any other text.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(3)])
    >>> model_from_json(model.to_json()).count_params()
    9
    """
    try:
        with custom_object_scope(custom_objects or {}):
            model: Model = resolve("model", json.loads(json_string), KINDS)
            return model
    except (NacreError, *NONSENSE) as error:
        raise ModelFileError(
            "The text does not describe a model.", {"reason": f"{type(error).__name__}: {error}"}
        ) from error


def clone_model(model: Model) -> Model:
    """A model with the same layers and settings, fresh weights, and nothing of `compile`.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(3)])
    >>> bool((clone_model(model).get_weights()[0] == model.get_weights()[0]).all())
    False
    """
    own = {name: thing for part in (model, *model._parts()) for name, thing in strangers(part).items()}
    with custom_object_scope(own):
        return type(model).from_config(model.get_config())


def copied(model: Model, what: str, hint: str) -> Model:
    """A copy of a model. Where it cannot be copied, `UsageError` says so of ``what`` the copy is for, and not that nothing can be
    saved, which nobody asked for."""
    try:
        return copy.deepcopy(model)
    except UsageError as error:
        reason = {"reason": str(error.__cause__ or error).splitlines()[0]}
        raise UsageError(f"{what}, and this model cannot be copied.", reason, hint) from error


def restore(described: Mapping[str, Any], tensors: dict[str, Array], own: Mapping[str, Any]) -> Model:
    """The model that was described, with these tensors; ``own`` are classes and functions that are not nacre's."""
    training = described.get("training")
    with custom_object_scope(own):
        model: Model = resolve("model", described["architecture"], KINDS)
        if not model.built:
            model.build(model._shapes_to_build(described["input_shapes"], described.get("input_names")))
        if training is not None:
            model.compile_from_config(training)
    parts, streams = model._parts(), described.get("streams", [])
    for part, stream in zip(parts, streams if len(streams) == len(parts) else [], strict=False):
        part.stream = natural(stream, 2**32)
    if (features := described.get("features")) is not None:
        model.features = resolve("features", features, {"Features": Features, "Pictures": Pictures})
    expected = {name: w.type for name, w in model.named.items()}
    if training is not None:
        model.optimizer.iterations = natural(training["iterations"], 2**53)
        slots = slot_types(model.optimizer, model.named)
        if any(name.startswith("optimizer/") for name in tensors):
            expected |= {f"optimizer/{name}": t for name, t in slots.items()}
    check_tensors(tensors, expected)
    model._seed = natural(described["seed"], 2**32)
    for name, weight in model.named.items():
        weight.assign(tensors[name])
    for name, array in tensors.items():
        if name.startswith("optimizer/"):
            slot = model._restored[name.removeprefix("optimizer/")] = Memory(expected[name])
            slot.write(array)
    return model


def check_tensors(tensors: Mapping[str, Array], expected: Mapping[str, TensorType]) -> None:
    found = types_of(tensors)
    if found != expected:
        wrong = next(n for n in [*expected, *found] if found.get(n) != expected.get(n))
        raise ModelFileError(
            f"The tensor {wrong!r} does not fit the model.",
            {"found": found.get(wrong, "nothing"), "expected": expected.get(wrong, "nothing")},
        )


def types_of(tensors: Mapping[str, Array]) -> dict[str, TensorType]:
    return {name: TensorType(a.shape, str(a.dtype)) for name, a in tensors.items()}


__all__ = ["clone_model", "load_model", "model_from_json"]
