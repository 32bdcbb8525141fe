"""Ctrl-C while the command line is still being loaded: the command ends, without the stack of what was being imported.

This is imported before everything heavy. Where Python imports nacre.cli for another reason than the command, nothing is changed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

_STOPPED = 130
_COMMANDS = ("nacre", "nacre.exe"), Path(__file__).parents[1] / "__main__.py"


def _is_command() -> bool:
    """Whether this process is the command ``nacre``, or ``python -m nacre``."""
    said = Path(next(iter(sys.argv), ""))
    return said.name in _COMMANDS[0] or said == _COMMANDS[1]


_before = signal.getsignal(signal.SIGINT)
_watches = _is_command() and _before is signal.default_int_handler
if _watches:
    signal.signal(signal.SIGINT, lambda _number, _frame: os._exit(_STOPPED))  # nothing is open yet that needs an end


def loaded() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again, which commands answer."""
    if _watches:
        signal.signal(signal.SIGINT, _before)
