"""Files of Keras: read without Keras, as data that describe a model and never run; and written for Keras 3 to load."""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import __version__
from nacre.configured import resolve
from nacre.errors import Limitation, ModelFileError, NacreError, ShapeError, UsageError
from nacre.exchange import hdf5, keras_words
from nacre.exchange.written import Written, without_augmentation, without_features
from nacre.files import write_whole
from nacre.layers import Layer, Normalization
from nacre.models import Model
from nacre.models.files import NONSENSE
from nacre.models.part import KINDS

Array = npt.NDArray[Any]

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_ASSETS, _VOCABULARY = "assets/", "/vocabulary.txt"
_LONGEST = 64 << 20  # bytes of a description
_LONGEST_VOCABULARY = 16 << 20
_WHOLE = "model_weights/"  # where the weights are in a .h5 file of a whole model


@dataclass(frozen=True)
class _Content:
    """What is in a file: arrays by their paths, texts, and what describes the model, if anything does."""

    arrays: dict[str, Array]
    texts: dict[str, str]
    architecture: dict[str, Any] | None
    training: dict[str, Any]
    legacy: bool  # from a Keras before 3
    vocabularies: dict[str, bytes]  # of layers, by the path of the layer


def read(path: str | Path, compile: bool = True) -> Model:
    """The model in a ``.keras`` file, or in a ``.h5`` file of a whole model, of Keras 3 or 2; compiled as it was, if ``compile``.

    Nothing in the file is run, and nothing is imported because the file names it: layers, initializers, losses and so on are
    nacre's of the same names. What the optimizer kept is left behind: it begins anew. Raises `Limitation` for a model that has a
    part which nacre has not, or a setting it does not know; `ModelFileError` for a file that is damaged or no such file, and for
    links and arrays that lie elsewhere; `UsageError` without h5py.
    """
    with _refusing(path):
        content = _content(path)
        if content.architecture is None:
            raise ModelFileError(
                f"{path} holds weights, and no model.", hint="make the model, then model.load_weights(path)"
            )
        _fill_in(content.architecture, content.vocabularies)
        described = keras_words.architecture(content.architecture, content.legacy)
        keras_words.check_unshared(content.architecture)
        model: Model = resolve("model", described, KINDS)
        if not model.built:
            raise ModelFileError(f"{path} does not say of which shape the inputs of the model are.")
        found = (
            _by_layer_names(model, content, _WHOLE)
            if any(name.startswith(_WHOLE) for name in content.arrays)
            else _by_places(model, content, content.architecture)
        )
        _check_all_taken(content, found)
        for weight, (_, array) in found.items():
            model.named[weight].assign(array)
        settings = keras_words.training(content.training) if compile else None
        if settings is not None:
            model.compile(**settings)
        return model


def weights(model: Model, path: str | Path) -> dict[str, Array]:
    """The weights of a model in a ``.weights.h5``, ``.h5`` or ``.keras`` file, by nacre's names: those of a model of the same
    layers. Raises `ModelFileError` if they are of others, and what `read` raises."""
    with _refusing(path):
        content = _content(path)
        if any(name.startswith("layers/") for name in content.arrays):
            found = _by_places(model, content, None)
        else:
            whole = any(name.startswith(_WHOLE) for name in content.arrays)
            found = _by_layer_names(model, content, _WHOLE if whole else "")
        _check_all_taken(content, found)
        return {weight: array.astype(model.named[weight].dtype) for weight, (_, array) in found.items()}


# ------------------------------------------------------------------ what is in a file


@contextmanager
def _refusing(path: str | Path) -> Iterator[None]:
    """Turn whatever comes of a file that is none into an error that names it."""
    try:
        yield
    except (Limitation, ModelFileError, FileNotFoundError, PermissionError):
        raise
    except UsageError as error:
        if "pip install" in str(error):  # it is not the file
            raise
        raise _refusal(path, error) from error
    except (NacreError, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, *NONSENSE) as error:
        raise _refusal(path, error) from error


def _refusal(path: str | Path, error: Exception) -> ModelFileError:
    reason = str(error).splitlines()[0] if isinstance(error, NacreError) else f"{type(error).__name__}: {error}"
    return ModelFileError(
        f"{path} is no file of a Keras model that can be read.",
        {"reason": reason},
        "it is damaged, or was not written by Keras; use another copy",
    )


def _content(path: str | Path) -> _Content:
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}")
    with open(path, "rb") as file:
        archived = file.read(2) == b"PK"
    if archived:
        members = _members(path)
        inner = members[_WEIGHTS]
        arrays, texts = hdf5.contents(io.BytesIO(inner), len(inner))
        said = _json(members[_CONFIG])
        version = str(_json(members[_METADATA]).get("keras_version", ""))
        vocabularies = {
            name.removeprefix(_ASSETS).removesuffix(_VOCABULARY): text
            for name, text in members.items()
            if name.startswith(_ASSETS)
        }
        return _Content(arrays, texts, said, said.get("compile_config") or {}, _is_legacy(version), vocabularies)
    arrays, texts = hdf5.contents(path, os.stat(path).st_size)
    described = texts.get("model_config")
    version = texts.get("keras_version") or texts.get(f"{_WHOLE}keras_version", "1")
    return _Content(
        arrays,
        texts,
        None if described is None else _json(described.encode()),
        _json(texts.get("training_config", "{}").encode()),
        _is_legacy(version),
        {},
    )


def _is_legacy(version: str) -> bool:
    return version.partition(".")[0] in ("1", "2")


def _members(path: str | Path) -> dict[str, bytes]:
    """The members of a .keras file, which are stored as they are: what describes the model, its weights, and vocabularies."""
    left = Path(path).stat().st_size
    with zipfile.ZipFile(path) as archive:
        listed = archive.infolist()
        names = [one.filename for one in listed]
        others = [name for name in names if not (name.startswith(_ASSETS) and name.endswith(_VOCABULARY))]
        if sorted(others) != sorted((_CONFIG, _METADATA, _WEIGHTS)) or len(set(names)) != len(names):
            raise ModelFileError(
                f"{path} is an archive, and not one of a Keras model.",
                {"holds": ", ".join(sorted(others)[:4]), "expected": f"{_CONFIG}, {_METADATA}, {_WEIGHTS}, each once"},
                "nacre.exchange.from_torch(path), if PyTorch wrote it",
            )
        for one in listed:
            longest = _LONGEST_VOCABULARY if one.filename.startswith(_ASSETS) else _LONGEST
            limit = left if one.filename == _WEIGHTS else min(left, longest)
            if one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size or one.file_size > limit:
                raise ModelFileError(
                    f"{path} says that {one.filename} is {one.file_size:,} bytes, made of {one.compress_size:,}.",
                    hint="Keras stores what is in its files as it is; use the file that it wrote",
                )
            left -= one.file_size  # no byte counts twice
        return {one.filename: archive.read(one) for one in listed}


def _json(text: bytes) -> dict[str, Any]:
    if len(text) > _LONGEST:
        raise ValueError(f"its description is {len(text):,} bytes long")
    said = json.loads(text)
    if not isinstance(said, dict):
        raise ValueError("its description is no object")
    return said


# ------------------------------------------------------------------ vocabularies


def _fill_in(said: Mapping[str, Any], vocabularies: Mapping[str, bytes]) -> None:
    """Put into the description of each lookup that learned its vocabulary what it learned: the terms lie beside it, a line each."""
    left = dict(vocabularies)
    pending = [(said, "")]
    while pending:
        model, prefix = pending.pop()
        parts = keras_words.parts(model)
        for one, place in zip(parts, _numbered(str(one["class_name"]) for one in parts), strict=True):
            if one["class_name"] in keras_words.MODELS:
                pending.append((one, f"{prefix}{place}/"))
            elif f"{prefix}{place}" in left and one["class_name"] == "IntegerLookup":
                text = left.pop(f"{prefix}{place}").decode()
                one["config"]["vocabulary"] = [int(line) for line in text.splitlines() if line]
            elif one["class_name"] not in keras_words.LAYERS:
                left.pop(f"{prefix}{place}", None)  # it will be refused by its name
    if left:
        raise ModelFileError(f"The file holds a vocabulary for {min(left)!r}, and the model has no lookup there.")


# ------------------------------------------------------------------ where weights are

Found = dict[str, tuple[str, Array]]  # by nacre's name of a weight, the path in the file and the array


def _places(model: Model, said: Mapping[str, Any] | None, prefix: str = "") -> Iterator[tuple[Layer, str]]:
    """Each layer with the group of its weights: layers are numbered by their classes, in the order of the model, or of the
    description of it in the file."""
    order, described = list(model.layers), {}
    if said is not None:
        by_name = {one.name: one for one in order}
        described = {one["config"]["name"]: one for one in keras_words.parts(said)}
        order = [by_name[name] for name in described if name in by_name]
    for one, group in zip(order, _numbered(map(keras_words.word, order)), strict=True):
        place = f"{prefix}{group}"
        if isinstance(one, Model):
            yield from _places(one, None if said is None else described[one.name], f"{place}/")
        else:
            yield one, place


def _numbered(kinds: Iterable[str]) -> Iterator[str]:
    """The groups of layers of these classes: those of one class are numbered.

    >>> list(_numbered(["Dense", "Dropout", "Dense"]))
    ['layers/dense', 'layers/dropout', 'layers/dense_1']
    """
    counts: Counter[str] = Counter()
    for kind in map(keras_words.snake, kinds):
        yield f"layers/{kind}_{counts[kind]}" if counts[kind] else f"layers/{kind}"
        counts[kind] += 1


def _by_places(model: Model, content: _Content, said: Mapping[str, Any] | None) -> Found:
    """The weights, as Keras 3 has them: in groups by the classes of layers, with numbers."""
    names = {id(weight): name for name, weight in model.named.items()}
    found: Found = {}
    for layer, place in _places(model, said):
        name = content.texts.get(f"{place}/vars/name", layer.name)
        if said is not None and name != layer.name:
            raise ModelFileError(f"The weights in {place!r} are those of {name!r}, expected {layer.name!r}.")
        for number, weight in enumerate(layer.weights):
            _take(found, names[id(weight)], weight.shape, content, [f"{place}/vars/{number}"])
    return found


def _by_layer_names(model: Model, content: _Content, prefix: str) -> Found:
    """The weights, as files before Keras 3 have them: in groups by the names of layers, under the names of weights."""
    names = {id(weight): name for name, weight in model.named.items()}
    found: Found = {}
    for top in model.layers:
        inside = [(top, "")] if isinstance(top, Layer) else [(one, f"/{one.name}") for one in _all(top)]
        group = [name for name in content.arrays if name.startswith(f"{prefix}{top.name}/")]
        for layer, parent in inside:
            for weight in layer.weights:
                end = f"{parent}/{weight.name.rpartition('/')[2]}"
                places = [name for name in group if name.removesuffix(":0").endswith(end)]
                _take(found, names[id(weight)], weight.shape, content, places)
    return found


def _all(model: Model) -> Iterator[Layer]:
    for one in model.layers:
        if isinstance(one, Model):
            yield from _all(one)
        else:
            yield one


def _take(found: Found, name: str, shape: tuple[int, ...], content: _Content, places: list[str]) -> None:
    """Put into ``found`` what is at the only one of these places."""
    there = [place for place in places if place in content.arrays]
    if len(there) != 1:
        raise ModelFileError(
            f"The weight {name!r} is not in the file, or more than once.",
            {"found": ", ".join(there) or "nothing", "expected": ", ".join(places) or "one that is called like it"},
        )
    array = content.arrays[there[0]]
    if array.shape != shape or array.dtype.kind != "f":
        raise ShapeError(f"The weight {name!r} is {array.dtype} {array.shape} in the file, expected floats {shape}.")
    found[name] = (there[0], array)


def _check_all_taken(content: _Content, found: Found) -> None:
    """Whole numbers are no weights: how many rows a normalization has seen, and states of generators."""
    floats = {name for name, array in content.arrays.items() if array.dtype.kind == "f"}
    if extra := sorted(floats - {place for place, _ in found.values()}):
        raise ModelFileError(f"The file holds {extra[0]!r}, for which the model has no place.")


# ------------------------------------------------------------------ writing


def write(model: Model, path: Path) -> Written:
    """Write a ``.keras`` file, which ``keras.saving.load_model(path)`` of Keras 3 reads: layers, weights, and what the model was
    compiled with, where Keras has it. The same model gives the same bytes.

    Raises `Limitation` for layers that Keras has not, and for models written as classes; `UsageError` without h5py.
    """
    model._need_built()
    keras_words.check(model)
    said, notes = (
        keras_words.described(model),
        ["The optimizer begins anew there, and Keras says so: what it kept is not in the file."],
    )
    keras_words.check_terms(said)
    if model._settings is None:
        notes = []
    else:
        try:
            said["compile_config"] = keras_words.settings(model)
        except Limitation as error:
            notes = [f"The file is of a model that is not compiled. {str(error).splitlines()[0]}"]
    arrays: dict[str, Array] = {}
    groups = {"vars": model.name}
    for layer, place in _places(model, None):
        groups[f"{place}/vars"] = layer.name
        arrays |= {f"{place}/vars/{n}": weight.numpy() for n, weight in enumerate(layer.weights)}
        if isinstance(layer, Normalization) and layer.weights:
            arrays[f"{place}/vars/{len(layer.weights)}"] = np.zeros((), np.int32)  # Keras counts rows here, or did
    metadata = {"keras_version": "3.0.0", "date_saved": "1980-01-01@00:00:00", "nacre": __version__}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in (
            (_METADATA, json.dumps(metadata).encode()),
            (_CONFIG, json.dumps(said).encode()),
            (_WEIGHTS, hdf5.written(groups, arrays)),
        ):
            archive.writestr(zipfile.ZipInfo(name), member)  # dated 1980, as all are
    write_whole(path, [content.getbuffer()])
    read_with = 'It was not run here. To load it: keras.saving.load_model("' + path.name + '"), with Keras 3.'
    return Written(
        path,
        "keras",
        len(content.getbuffer()),
        notes=(read_with, *notes, *without_augmentation(model), *without_features(model)),
    )
