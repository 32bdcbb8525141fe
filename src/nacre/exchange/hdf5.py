"""HDF5 files as Keras writes them: plain arrays and texts. Whatever else HDF5 can hold or point at is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import Limitation, guest

Array = npt.NDArray[Any]

_MOST_OBJECTS = 100_000
_DEEPEST = 32
_STATE = ("optimizer", "optimizer_weights", "metrics")  # groups of what is no weight of the model
_GIVEN_UP = "_layer_checkpoint_dependencies/"
_TEXTS = ("model_config", "training_config", "keras_version", "name")


def contents(source: str | os.PathLike[str] | io.BytesIO, size: int) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays by their paths, and the texts that Keras keeps as attributes, by the path of what has them and their name, of a
    file of ``size`` bytes. What an optimizer and metrics keep is left out.

    Every byte of an array lies in the file itself, once and as it is: links, arrays in other files, filters, and shapes that claim
    more than is there raise `ValueError`, before anything is allocated. Raises `Limitation` for a layout that Keras gave up, and
    `UsageError` without h5py.
    """
    h5py = guest("h5py", "A file of Keras", "hdf5")
    arrays: dict[str, Array] = {}
    texts: dict[str, str] = {}
    seen: set[int] = set()
    with h5py.File(source, "r") as file:
        pending: list[tuple[str, Any]] = [("", file)]
        while pending:
            path, group = pending.pop()
            texts |= {f"{path}{name}": _text(h5py, group, name) for name in _TEXTS if name in group.attrs}
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"{path + name!r} is a link to elsewhere")
                if not path and name in _STATE and ("layers" in file or "model_weights" in file):
                    continue
                one = group[name]
                address = h5py.h5o.get_info(one.id).addr
                if address in seen or len(seen) >= _MOST_OBJECTS or path.count("/") >= _DEEPEST:
                    raise ValueError(f"{path + name!r} is there twice, or one of too many, or too deep")
                seen.add(address)
                if isinstance(one, h5py.Group):
                    pending.append((f"{path}{name}/", one))
                elif path.startswith(_GIVEN_UP):
                    raise Limitation(
                        "The weights lie as in files of Keras 2.12 and 2.13, a layout that was given up.",
                        hint='save the model there as model.save(path, save_format="h5")',
                    )
                else:
                    size -= _stored(h5py, path + name, one, size)
                    array = np.asarray(one[()])
                    arrays[path + name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return arrays, texts


def _stored(h5py: Any, path: str, one: Any, left: int) -> int:
    """The bytes of an array that lies in the file as it is; ``left`` are those that no other array has taken."""
    if not isinstance(one, h5py.Dataset) or one.shape is None or one.dtype.kind not in "fiub" or one.dtype.subdtype:
        raise ValueError(f"{path!r} is no array of numbers")
    how = one.id.get_create_plist()
    if how.get_external_count() or how.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
        raise ValueError(f"{path!r} lies in pieces, or in another file")
    if how.get_nfilters() or one.id.get_storage_size() != one.nbytes or one.nbytes > left:
        raise ValueError(f"{path!r} takes {one.nbytes:,} bytes, of which {one.id.get_storage_size():,} are there")
    return int(one.nbytes)


def _text(h5py: Any, group: Any, name: str) -> str:
    """An attribute that is one text."""
    attribute = group.attrs.get_id(name)
    if attribute.shape != () or not isinstance(attribute.get_type(), h5py.h5t.TypeStringID):
        raise ValueError(f"the attribute {name!r} is no text")
    text = group.attrs[name]
    return text.decode() if isinstance(text, bytes) else str(text)


def written(groups: Mapping[str, str], arrays: Mapping[str, Array]) -> bytes:
    """The file with these arrays by their paths, and these groups, each with its attribute ``name``; the same bytes each time."""
    h5py = guest("h5py", "A file of Keras", "hdf5")
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for path, name in groups.items():
            file.create_group(path).attrs["name"] = name
        for path, array in arrays.items():
            file[path] = array
    return content.getvalue()
