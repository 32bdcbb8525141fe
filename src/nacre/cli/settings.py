"""What decides a training: the options of `nacre train`, and what is taken where nothing is said."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nacre import optimizers
from nacre.errors import UsageError, find

EPOCHS = {"mnist": 5, "digits": 30}  # enough for 97 % of the test set


@dataclass(frozen=True)
class Settings:
    """All that decides what comes out of a training. The fields are the options of the command."""

    data: str
    target: tuple[str, ...] = ()
    column: tuple[str, ...] = ()
    model: str = "mlp:128"
    activation: str = "relu"
    kernel_initializer: str = "glorot_uniform"
    optimizer: str = "sgd"
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 0.1
    momentum: float = 0.0
    dropout: float = 0.0
    average: float = 0.0
    seed: int = 0
    validation_split: float = 0.0
    test_split: float = 0.0
    group: str = ""
    time: str = ""
    patience: int = 0
    balanced: bool = False
    size: int = 0
    color: str = ""
    fit: str = "crop"
    augment: str = ""
    skip_broken: bool = False
    device: str = "native"

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the data."""
        options = asdict(self)
        del options["data"]
        return options

    @property
    def command(self) -> str:
        """The command that repeats this training.

        >>> Settings("digits", model="mlp:64,32", seed=7).command[:50]
        'nacre train digits --model mlp:64,32 --activation '
        """
        words = ["nacre", "train", self.data]
        for name, value in self.options.items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(value, tuple):
                words += [word for one in value for word in (option, one)]
            elif value is True:
                words.append(option)
            elif value is not False and value != "" and (value or name != "size"):
                words += [option, str(value)]
        return shlex.join(words)

    def with_(self, **options: Any) -> Settings:
        """The same with other options. Another optimizer brings its own learning rate along, unless one was chosen that is
        no usual one. Raises `UsageError` for what is none, and `UnknownName` for an optimizer that there is not.

        >>> Settings("digits").with_(optimizer="adam").learning_rate
        0.001
        """
        found = Settings.of({"data": self.data, "options": self.options | options})
        usual = {rate_for(self.optimizer), FOR_TABLES["learning_rate"], FOR_PICTURES["learning_rate"]}
        same = type(optimizers.get(self.optimizer)) is type(optimizers.get(found.optimizer))
        if same or "learning_rate" in options or self.learning_rate not in usual:
            return found
        return replace(found, learning_rate=rate_for(found.optimizer))

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Settings:
        """Settings out of run.toml. Raises `UsageError` for what is none."""
        try:
            given: dict[str, Any] = {"data": found["data"], **found["options"]}
            usual = {field.name: field.default for field in fields(cls)} | {"data": ""}
            for name, value in given.items():
                if isinstance(usual[name], tuple):
                    given[name] = tuple(map(str, value))
                elif isinstance(usual[name], float):
                    given[name] = float(value)
                elif type(value) is not type(usual[name]):
                    raise TypeError(f"{name} is {value!r}")
            return cls(**given)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                "These are no settings of nacre train.",
                {"reason": f"{type(error).__name__}: {error}"},
                "nacre train begins a new run",
            ) from error


# What differs from the defaults above where nothing is said: rows of tables are divided, and training ends when it no longer helps.
FOR_TABLES: Mapping[str, Any] = {
    "model": "mlp:128,64",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "epochs": 50,
    "validation_split": 0.15,
    "test_split": 0.15,
    "patience": 10,
}


FOR_PICTURES: Mapping[str, Any] = {
    "model": "mlp:256",
    "optimizer": "adam",
    "learning_rate": 0.0001,
    "epochs": 150,
    "dropout": 0.3,
    "average": 0.99,
    "validation_split": 0.0,
    "test_split": 0.2,
    "augment": "flip,shift,rotate,zoom",
}
_AMOUNTS: Mapping[str, Any] = {
    "flip": "horizontal",
    "shift": 0.1,
    "rotate": 0.04,
    "zoom": 0.15,
    "noise": 0.05,
    "cutout": 0.25,
}


def augmentation(text: str) -> dict[str, Any]:
    """The arguments of `layers.Augmentation` that a text such as flip,shift:0.2 says.

    >>> augmentation("flip,shift:0.2"), augmentation("none")
    ({'flip': 'horizontal', 'shift': 0.2}, {})
    """
    found: dict[str, Any] = {}
    for word in [] if text in ("", "none") else text.split(","):
        name, _, amount = word.strip().partition(":")
        usual = find("augmentation", name, _AMOUNTS)
        try:
            found[name] = usual if not amount else amount if name == "flip" else float(amount)
        except ValueError as error:
            raise UsageError(f"{word!r} is no augmentation.", hint="flip,shift:0.1,rotate,zoom,noise,cutout") from error
    return found


def rate_for(optimizer: str) -> float:
    """The learning rate of an optimizer for which none is named: its own, but for plain descent, which may take longer steps here.
    Raises `UnknownName` if there is none of this name.

    >>> rate_for("sgd"), rate_for("adam")
    (0.1, 0.001)
    """
    found = optimizers.get(optimizer)
    return Settings.learning_rate if type(found) is optimizers.SGD else float(found.learning_rate)


def batch_for(rows: int) -> int:
    """Rows of a batch of a table: a five-hundredth of it, as a power of two from 32 to 1024.

    >>> batch_for(2000), batch_for(50_000), batch_for(10**6)
    (32, 128, 1024)
    """
    return max(32, min(1024, 1 << (rows // 500).bit_length()))
