"""What a lesson is: words, controls, and a function that makes figures of the controls' values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

import msgspec
import numpy as np

from nacre.errors import UsageError, did_you_mean
from nacre.studio.figures import Code, Figure
from nacre.studio.formulas import MOST, traced

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")


class Control(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True):
    """Something that the reader changes. ``name`` is that in addresses and of the argument of ``show``."""

    name: str
    label: str

    def read(self, said: str) -> Any:
        """The value that an address says. Raises `UsageError` for one that the control cannot have."""
        raise NotImplementedError


class Slider(Control, frozen=True, omit_defaults=True, tag="slider"):
    """A number from ``low`` to ``high``, whole if its first ``value`` is. With ``log`` it moves by factors; with ``play`` there is
    a button that moves it by itself."""

    value: float
    low: float
    high: float
    step: float | None = None
    log: bool = False
    play: bool = False

    def read(self, said: str) -> float:
        """A number between the ends."""
        return _number(self, said)


class Number(Control, frozen=True, omit_defaults=True, tag="number"):
    """A number that is typed in, from ``low`` to ``high``, whole if its first ``value`` is."""

    value: float
    low: float
    high: float

    def read(self, said: str) -> float:
        """A number between the ends."""
        return _number(self, said)


class Option(msgspec.Struct, frozen=True):
    """A choice, and how it is called."""

    value: str
    label: str


class Choice(Control, frozen=True, omit_defaults=True, tag="choice"):
    """One of some words."""

    value: str
    options: Sequence[Option]

    def read(self, said: str) -> str:
        """One of the options."""
        values = [option.value for option in self.options]
        if said not in values:
            raise UsageError(f"{self.label}: there is no choice {said[:40]!r}.", hint=did_you_mean(said[:40], values))
        return said


class Toggle(Control, frozen=True, omit_defaults=True, tag="toggle"):
    """On or off."""

    value: bool

    def read(self, said: str) -> bool:
        """Whether it is on."""
        if said not in ("true", "false"):
            raise UsageError(f"{self.label} is true or false, got {said[:40]!r}.")
        return said == "true"


class Formula(Control, frozen=True, omit_defaults=True, tag="text"):
    """A formula of some variables; ``examples`` are offered."""

    value: str
    variables: Sequence[str]
    examples: Sequence[str]
    most: int = MOST

    def read(self, said: str) -> str:
        """The formula, which is one."""
        traced(said, self.variables)
        return said.strip()


class Button(Control, frozen=True, omit_defaults=True, tag="button"):
    """A press counts one more, from 0 to 999."""

    value: int = 0

    def read(self, said: str) -> float:
        """How often it was pressed."""
        return _number(Slider(self.name, self.label, 0, 0, 999), said)


def choice(name: str, label: str, labels: Mapping[str, str]) -> Choice:
    """A `Choice` of values that have labels; the first is that at the beginning."""
    return Choice(name, label, next(iter(labels)), [Option(value, text) for value, text in labels.items()])


def again(label: str = "Other random numbers") -> Button:
    """The button that draws random numbers anew: its count is the seed."""
    return Button("seed", label)


@dataclass(frozen=True)
class Lesson:
    """A page of the book: ``text`` says what to see and to try, ``show`` makes figures of the values of ``controls``, by their
    names, and ``code`` does the same in Python; in it, ``$name`` stands for a value."""

    name: str
    title: str
    text: str
    controls: Sequence[Control]
    show: Callable[..., Sequence[Figure]]
    code: str

    def values(self, said: Mapping[str, str]) -> dict[str, Any]:
        """The values of all controls: those that an address says, else the first ones. Raises `UsageError` for others."""
        by_name = {control.name: control for control in self.controls}
        for name in said:
            if name not in by_name:
                raise UsageError(
                    f"The lesson {self.title!r} has no control {name[:40]!r}.", hint=did_you_mean(name[:40], by_name)
                )
        first = {name: getattr(control, "value", None) for name, control in by_name.items()}
        return first | {name: by_name[name].read(text) for name, text in said.items()}

    @property
    def paragraphs(self) -> list[str]:
        """The text, each paragraph in a line."""
        return [" ".join(paragraph.split()) for paragraph in self.text.split("\n\n")]

    def python(self, values: Mapping[str, Any]) -> str:
        """The code for these values.

        >>> Lesson("a", "A", "", [], list, "nacre.grad(lambda x: ${f})($x)").python({"f": "x**2", "x": 0.5})
        'nacre.grad(lambda x: x**2)(0.5)'
        """
        return Template(self.code).substitute(values)

    def figures(self, values: Mapping[str, Any]) -> list[Figure]:
        """What there is to see, the code last."""
        with np.errstate(all="ignore"):  # what is not finite, of functions that readers type, is a gap in a figure
            shown = self.show(**values)
        return [*shown, Code(title="The same in Python", text=self.python(values))]


def _number(control: Slider | Number, said: str) -> float:
    found = float(said) if len(said) <= 40 and _DECIMAL.fullmatch(said) else math.nan
    whole = isinstance(control.value, int)
    if not control.low <= found <= control.high or (whole and found != int(found)):
        kind = "a whole number" if whole else "a number"
        raise UsageError(
            f"{control.label} is {kind} from {control.low:,} to {control.high:,}, got {said[:40]!r}.",
        )
    return int(found) if whole else found
