"""What somebody did in the playground, as data: from it the same network comes again, bit by bit."""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, structs

from nacre.errors import UsageError

_MOST_JSON = 1 << 24  # bytes of a recipe, with the table in it
MOST_TABLE = 8_000_000  # letters
_LONGEST_LINK = 12_000  # characters: more is cut off by what people send links with

Source = Literal["circles", "xor", "spiral", "gaussians", "plane", "function", "digits", "mnist", "table"]
Input = Literal["x", "y", "x^2", "y^2", "xy", "sin x", "sin y"]
Activation = Literal[
    "tanh", "relu", "sigmoid", "linear", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign"
]
Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "random_normal", "zeros", "ones"
]
OptimizerName = Literal["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "nadam", "lion"]
Name = Annotated[str, Meta(pattern=r"^hidden_[1-9][0-9]{0,5}$")]
Natural = Annotated[int, Meta(ge=1, le=2**40)]
Amount = Annotated[float, Meta(ge=0, le=1e6)]
Seed = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Share = Annotated[float, Meta(ge=0, le=0.95)]


class _Plain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Data(_Plain, frozen=True):
    """Where the rows come from; ``test`` is the share of them that is not trained on.

    ``formula`` is the function of x and y, ``table`` the text of a CSV file, ``target`` the column to predict, ``axes`` the two
    columns of numbers that span the plane.
    """

    source: Source = "circles"
    rows: Natural = 300
    test: Annotated[float, Meta(gt=0, lt=1)] = 0.3
    formula: Annotated[str, Meta(max_length=300)] = ""
    table: Annotated[str, Meta(max_length=MOST_TABLE)] = ""
    target: str = ""
    axes: Annotated[tuple[str, ...], Meta(max_length=2)] = ()


class Layer(_Plain, frozen=True):
    """A dense layer between input and output; by its name one knows it again."""

    name: Name
    units: Natural
    activation: Activation = "tanh"


class Settings(_Plain, frozen=True):
    """All that can be changed on the way."""

    hidden: tuple[Layer, ...] = (Layer("hidden_1", 4), Layer("hidden_2", 2))
    inputs: Annotated[tuple[Input, ...], Meta(min_length=1, max_length=7)] = ("x", "y")
    noise: Annotated[float, Meta(ge=0, le=10)] = 0.1
    optimizer: OptimizerName = "adam"
    learning_rate: Annotated[float, Meta(gt=0, le=1e6)] = 0.03
    batch_size: Natural = 16
    l1: Amount = 0.0
    l2: Amount = 0.0
    dropout: Share = 0.0


class Weight(_Plain, frozen=True):
    """A number set by hand: of a layer's kernel (input, unit), or of its bias (unit)."""

    layer: Annotated[str, Meta(pattern=r"^(output|hidden_[1-9][0-9]{0,5})$")]
    weight: Literal["kernel", "bias"]
    place: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(min_length=1, max_length=2)]
    value: Annotated[float, Meta(ge=-1e6, le=1e6)]


class Change(_Plain, frozen=True, omit_defaults=True):
    """What is other from a step on: new settings where they are not None, and perhaps a weight."""

    hidden: tuple[Layer, ...] | None = None
    inputs: Annotated[tuple[Input, ...], Meta(min_length=1, max_length=7)] | None = None
    noise: Annotated[float, Meta(ge=0, le=10)] | None = None
    optimizer: OptimizerName | None = None
    learning_rate: Annotated[float, Meta(gt=0, le=1e6)] | None = None
    batch_size: Natural | None = None
    l1: Amount | None = None
    l2: Amount | None = None
    dropout: Share | None = None
    weight: Weight | None = None

    def __post_init__(self) -> None:
        """Refuse two things at once, of which one may fail."""
        if self.weight is not None and self.settings():
            raise ValueError("a weight is set by itself")

    def settings(self) -> dict[str, Any]:
        """Those that are new."""
        return {name: v for name, v in structs.asdict(self).items() if v is not None and name != "weight"}

    def of(self, before: Settings) -> Settings:
        """The settings after it.

        >>> Change(noise=0.5).of(Settings()).noise
        0.5
        """
        return structs.replace(before, **self.settings())


class Recipe(_Plain, frozen=True):
    """Data, settings at the beginning, changes with the step before which they were made, and the step that was reached."""

    data: Data = Data()
    settings: Settings = Settings()
    initializer: Initializer = "glorot_uniform"
    seed: Seed = 1
    changes: tuple[tuple[Annotated[int, Meta(ge=0)], Change], ...] = ()
    step: Annotated[int, Meta(ge=0, le=2**50)] = 0
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        """Refuse what no play could have recorded."""
        steps = [step for step, _ in self.changes]
        if steps != sorted(steps) or (steps and steps[-1] > self.step):
            raise ValueError("changes are in the order of their steps, none after the step that was reached")
        for hidden in (self.settings.hidden, *(change.hidden for _, change in self.changes if change.hidden)):
            if len({layer.name for layer in hidden}) < len(hidden):
                raise ValueError("no two layers have the same name")


def to_json(recipe: Recipe) -> bytes:
    """The recipe as a file holds it.

    >>> from_json(to_json(Recipe(step=3))).step
    3
    """
    return msgspec.json.encode(recipe)


def from_json(text: bytes) -> Recipe:
    """The recipe in a file. Raises `UsageError` for what is none."""
    try:
        if len(text) > _MOST_JSON:
            raise ValueError("it is too long")
        return msgspec.json.decode(text, type=Recipe)
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise UsageError(f"This is no recipe of the playground: {error}.") from error


def to_link(recipe: Recipe) -> str:
    """The recipe as text for an address; "" if that would be too long to be sent around.

    >>> from_link(to_link(Recipe(seed=7))).seed
    7
    """
    text = base64.urlsafe_b64encode(zlib.compress(to_json(recipe), 9)).decode().rstrip("=")
    return text if len(text) <= _LONGEST_LINK else ""


def from_link(text: str) -> Recipe:
    """The recipe in an address. Raises `UsageError` for what is none."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unzip = zlib.decompressobj()
        plain = unzip.decompress(packed, _MOST_JSON)
        if not unzip.eof:
            raise ValueError("it is not whole")
    except (ValueError, binascii.Error, zlib.error) as error:
        raise UsageError("This link is damaged, or only a part of it arrived.", hint="copy it anew") from error
    return from_json(plain)


__all__ = [
    "MOST_TABLE",
    "Change",
    "Data",
    "Layer",
    "Recipe",
    "Seed",
    "Settings",
    "Weight",
    "from_json",
    "from_link",
    "to_json",
    "to_link",
]
