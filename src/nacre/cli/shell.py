"""How commands end: exit codes, and errors in words.

0 is success, 2 a mistake in what was asked (usage, data, model file), 130 Ctrl-C, 1 anything else.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click

from nacre.distributed import leave
from nacre.errors import Limitation, NacreError, NonFiniteLossError
from nacre.plain import printable

MISTAKE, FAILURE, STOPPED = 2, 1, 130

# Of files that the user named, for nacre asks before it opens its own.
_FILES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


class Shell(click.Group):
    """A group of commands whose errors become one message on standard error and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands in the order in which they were added, which is that of use."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, not while Python shuts down
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except BrokenPipeError:  # the reader, `head` say, has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt as stop:
            _say(str(stop) or "Stopped.", stop)
            _end(ctx, STOPPED)
        except (NonFiniteLossError, Limitation) as error:
            _say(f"error: {error}", error)
            _end(ctx, FAILURE)
        except (NacreError, *_FILES) as error:
            _say(f"error: {_words(error)}", error)
            _end(ctx, MISTAKE)
        except OSError as error:  # the disk is full, or gone
            _say(
                f"error: {_words(error)}\n  try:  free some space; nacre resume goes on with a run that was stopped",
                error,
            )
            _end(ctx, FAILURE)
        except Exception as error:  # noqa: BLE001 - whatever it is, people get one line
            hint = "" if _debugging() else "\n  try:  set NACRE_DEBUG=1 to see where it happened"
            _say(f"error: {type(error).__name__}: {_words(error)}{hint}", error)
            _end(ctx, FAILURE)
        else:
            return result


def _end(ctx: click.Context, code: int) -> None:
    leave(code)  # at once, if other processes would wait for this one
    ctx.exit(code)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def _debugging() -> bool:
    return os.environ.get("NACRE_DEBUG", "0") not in ("", "0")


def _say(message: str, error: BaseException) -> None:
    if _debugging():
        traceback.print_exception(error)
    click.echo(printable(message), err=True)
