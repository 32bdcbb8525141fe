"""What computes a model: nacre's own engine, the oracle in NumPy, or a device that XLA knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

from nacre.backends import native, reference
from nacre.backends.base import Executable, Program
from nacre.distributed import Others, joined
from nacre.errors import UnknownName, UsageError, did_you_mean, guest
from nacre.upstairs import room

Lowering = Callable[[Program], Executable]

LOWERINGS: dict[str, Lowering] = {"native": native.compile, "reference": reference.compile}
_XLA = re.compile(r"xla(:(cpu|gpu|tpu)(:[0-9]{1,4})?)?(/[1-9][0-9]{0,3})?")


def devices() -> list[str]:
    """The names of all that can compute here, for `Model.compile`: "native", "reference", and where JAX is installed, which
    ``pip install nacre[xla]`` does, each device that it finds, such as "xla:cpu:0" or "xla:gpu:0".

    >>> import nacre
    >>> nacre.devices()[:2]
    ['native', 'reference']
    """
    return [*LOWERINGS, *(room("backends.xla").devices() if find_spec("jax") else ())]


def check_device(name: Any) -> None:
    """Refuse what can be no device on any machine: `UsageError` for what is no name, else `UnknownName`.

    >>> check_device("xla:gpu:1")
    >>> check_device("xla/4")
    >>> check_device("cuda")
    Traceback (most recent call last):
    nacre.errors.UnknownName: There is no device called 'cuda'.
      try:  one of native, reference, xla, xla:cpu, xla:gpu, xla:tpu
    """
    if not isinstance(name, str):
        raise UsageError(f"A device has a name, got {name!r}.", hint='"native", or another of nacre.devices()')
    if name not in LOWERINGS and not _XLA.fullmatch(name):
        known = [*LOWERINGS, "xla", "xla:cpu", "xla:gpu", "xla:tpu"]
        raise UnknownName(f"There is no device called {name!r}.", hint=did_you_mean(name, known))


def lowering(name: str) -> Lowering:
    """How programs are made ready for a device of that name. Raises `UsageError` if it is not here, or if JAX is not installed;
    and what `check_device` raises."""
    check_device(name)
    if name in LOWERINGS:
        return LOWERINGS[name]
    guest("jax", f"device={name!r}", "xla")
    xla = room("backends.xla")
    return partial(xla.compile, devices=xla.find_devices(name))


def others_on(name: str) -> Others | None:
    """The processes that train together on such a device; None where each is by itself."""
    if name in LOWERINGS or joined().processes == 1:
        return None
    found: Others = room("backends.xla").Together()
    return found


def device_of(settings: Mapping[str, Any]) -> Any:
    """The device in the settings of `Model.compile` that a file tells; before there was more than one kind, it was the backend."""
    return settings["backend"] if "backend" in settings else settings["device"]


__all__ = ["devices"]  # what is public of it, as nacre.devices
