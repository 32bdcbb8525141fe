"""What the doctor finds, and what can be done about it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nacre.doctor.case import Case

REMARK = 30  # what is less severe is a remark, no alarm


@dataclass(frozen=True)
class Fix:
    """What helps: in words, as ``code`` for the user's script, and as a ``change`` of the case.

    ``keeps`` tells that it is only about how weights are moved, so that those that were learned so far are still of use; any other
    changes the network, the weights it begins with, or the data.
    """

    text: str
    code: str
    change: Callable[[Case], Case]
    keeps: bool = False


@dataclass(frozen=True)
class Finding:
    """A cause, by the ``name`` that the field has for it.

    ``title`` says where it is, ``numbers`` hold what was measured, ``why`` explains it. ``severity`` runs from 0 to 100: causes
    come before what follows from them, and below 30 it is a remark. One that is not ``sure`` is only told if its fix helps: if it
    makes the figure of a short training better by ``needed``; ``tried`` holds both figures. Where the network learns well all the
    same, other findings are remarks unless their fix makes it better, too, but for those of ``structure``, which are wrong whatever
    comes of them.
    """

    name: str
    title: str
    severity: int
    numbers: Mapping[str, Any]
    why: str
    fix: Fix | None = None
    sure: bool = True
    needed: float = 0.1
    structure: bool = False
    tried: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alarm(self) -> bool:
        """Whether something should be done."""
        return self.severity >= REMARK

    def document(self) -> dict[str, Any]:
        """The finding as JSON can hold it."""
        return {
            "name": self.name,
            "title": self.title,
            "severity": self.severity,
            "alarm": self.alarm,
            "numbers": {name: _plain(value) for name, value in {**self.numbers, **self.tried}.items()},
            "why": self.why,
            "fix": None if self.fix is None else {"text": self.fix.text, "code": self.fix.code},
        }

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.title}"]
        told = {name: _told(value) for name, value in {**self.numbers, **self.tried}.items()}
        width = max(map(len, told), default=0)
        lines += [f"    {name:<{width}}  {value}" for name, value in told.items()]
        lines += textwrap.wrap(self.why, 100, initial_indent="  why  ", subsequent_indent="       ")
        if self.fix is not None:
            lines += textwrap.wrap(self.fix.text, 100, initial_indent="  fix  ", subsequent_indent="       ")
            lines += textwrap.indent(self.fix.code.strip(), "       | ").splitlines()
        return "\n".join(lines)


def many(count: int, what: str) -> str:
    """So many of something.

    >>> many(1, "row"), many(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _plain(value: Any) -> Any:
    """A number as JSON can hold it, or words."""
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _told(value)


def _told(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
