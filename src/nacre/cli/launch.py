"""nacre launch: several processes train one model, and are started again when one of them is lost."""

from __future__ import annotations

import codecs
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from nacre.cli.shell import FAILURE
from nacre.distributed import COORDINATOR, PROCESS, PROCESSES, RESTART, free_port
from nacre.errors import UsageError
from nacre.plain import printable
from nacre.training.run import SETTINGS

COMMANDS = ("train", "resume")
_SETTLING = 1.0  # seconds in which the end of one process brings others down, before it is said which was lost
_STOPPING = 10.0  # seconds that a process has to stop when it is asked to
_FOLLOWS, _FAULT, _KILLED = 1, 2, 3  # ends, by what they tell; JAX aborts who cannot reach another
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(eq=False)
class Process:
    """A process that was started: its number, what runs, and what of its last line is not printed yet."""

    index: int
    running: subprocess.Popen[bytes]
    text: codecs.IncrementalDecoder = field(default_factory=codecs.getincrementaldecoder("utf-8"))
    line: str = ""

    @property
    def how(self) -> str:
        """How it ended.

        >>> Process(0, subprocess.Popen(["false"])).running.wait()
        1
        """
        code = self.running.returncode
        return f"by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"with exit code {code}"

    @property
    def rank(self) -> int:
        """How much its end tells: a signal more than a fault, and that more than what follows from the loss of another."""
        code = self.running.returncode
        return {0: 0, RESTART: _FOLLOWS, -signal.SIGABRT: _FOLLOWS}.get(code, _FAULT if code > 0 else _KILLED)


class Job:
    """The processes of this machine, and what is told of them: lines for people, or JSON lines."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.processes: list[Process] = []
        self._selector = selectors.SelectSelector()  # which has no file of its own to close

    def run(
        self, commands: Sequence[tuple[int, Sequence[str], Mapping[str, str]]]
    ) -> tuple[list[Process], list[Process]]:
        """Start processes, each given as its number, its words and its environment, and wait for all to end well, or for one to
        end otherwise: then the others are stopped. Those that ended otherwise come back, the most telling first; and those that
        had to be stopped."""
        try:
            for index, words, environ in commands:
                self._start(index, words, environ)
            lost_at: float | None = None
            while any(one.running.poll() is None for one in self.processes):
                self._pass_on(0.1)
                if lost_at is None and any(one.running.poll() for one in self.processes):
                    lost_at = time.monotonic()
                if lost_at is not None and time.monotonic() > lost_at + _SETTLING:
                    break
            lost = sorted((one for one in self.processes if one.running.poll()), key=lambda one: -one.rank)
            stopped = [one for one in self.processes if one.running.poll() is None]
            self.stop(signal.SIGTERM)
            return lost, stopped
        except BaseException:  # Ctrl-C above all
            self.stop(signal.SIGINT)
            raise

    def tell(self, event: str, text: str, **more: Any) -> None:
        """Say what happened to the processes."""
        told = (
            json.dumps({"event": event, "text": text, **more}) if self.as_json else printable(f"nacre launch: {text}")
        )
        click.echo(told, err=not self.as_json)

    def pass_signal(self, sign: int) -> None:
        """Give a signal to all."""
        for one in self.processes:
            _signal(one, signal.Signals(sign))

    def stop(self, sign: signal.Signals) -> None:
        """End what still runs: by asking, then by force; and print the rest of what was said."""
        self.pass_signal(sign)
        until = time.monotonic() + _STOPPING
        while any(one.running.poll() is None for one in self.processes) and time.monotonic() < until:
            self._pass_on(0.1)
        for one in self.processes:
            _signal(one, signal.SIGKILL)  # what it started too, wherever it is
            one.running.wait()
        while self._pass_on(0.0):
            pass
        for one in self.processes:
            self._say(one, "\n" if one.line else "")
            assert one.running.stdout is not None
            with suppress(KeyError):
                self._selector.unregister(one.running.stdout)
            one.running.stdout.close()
        self.processes = []

    def _start(self, index: int, words: Sequence[str], environ: Mapping[str, str]) -> None:
        running = subprocess.Popen(
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that Ctrl-C comes from here, and all that it starts ends with it
            preexec_fn=partial(_die_with, os.getpid()) if sys.platform == "linux" else None,
        )
        assert running.stdout is not None
        os.set_blocking(running.stdout.fileno(), False)
        one = Process(index, running)
        self.processes.append(one)
        self._selector.register(running.stdout, selectors.EVENT_READ, one)

    def _pass_on(self, seconds: float) -> bool:
        """Print what the processes say, waiting so long for it; whether there was something."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return False
        events = self._selector.select(seconds)
        for key, _ in events:
            one: Process = key.data
            found = os.read(key.fd, 1 << 16)
            if not found:
                self._selector.unregister(key.fileobj)
            self._say(one, one.text.decode(found, not found))
        return bool(events)

    def _say(self, one: Process, text: str) -> None:
        *lines, one.line = (one.line + text).split("\n")
        for line in lines:
            told = {"event": "output", "process": one.index, "text": line}
            click.echo(json.dumps(told) if self.as_json else f"[{one.index}] {printable(line)}")


def _signal(one: Process, sign: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left of the group
        os.killpg(one.running.pid, sign)


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with(parent: int) -> None:
    """Between fork and exec: have this process killed when the launcher is gone, however it went."""
    assert _libc is not None
    _libc.prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # gone already
        os._exit(RESTART)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--processes", "-n", type=click.IntRange(1), default=1, help="Processes on this machine.")
@click.option("--nodes", type=click.IntRange(1), default=1, help="Machines; nacre launch runs on each of them.")
@click.option("--node", type=click.IntRange(0), default=0, help="Which of them this one is, from 0.")
@click.option(
    "--coordinator",
    help="HOST:PORT of machine 0, where process 0 listens; needed with --nodes.  [default: a free port of this machine]",
)
@click.option("--restarts", type=click.IntRange(0), default=0, help="How often a lost training is started again.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document per line.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def launch(
    ctx: click.Context,
    processes: int,
    nodes: int,
    node: int,
    coordinator: str | None,
    restarts: int,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Start several processes that train one model together; COMMAND is train or resume with all that follows, or a script.py.

    Each process computes its share of every batch, on all devices that it finds, so COMMAND says --device xla. What the processes
    say is printed with their number. When one ends otherwise than well, the others are stopped, within 30 seconds. With
    --restarts, all are started again if it was by a signal or with exit code 75, and the training goes on from its last
    checkpoint: train therefore needs --out, in a folder that all machines share. Any other exit code is a fault, which would only
    come again.

    \b
    Examples:
      nacre launch -n 2 -- train digits --device xla --out my-run
      nacre launch -n 2 --restarts 3 -- train digits --device xla --out my-run
      nacre launch -n 2 -- resume my-run
      nacre launch -n 4 --nodes 2 --node 0 --coordinator big:4321 -- train digits --device xla --out my-run
    """
    if not node < nodes:
        raise UsageError(f"There is no machine {node} among {nodes}.", hint=f"--node 0 to --node {nodes - 1}")
    if nodes > 1 and coordinator is None:
        raise UsageError("Several machines need --coordinator.", hint="HOST:PORT of machine 0, and a free port")
    out = run_folder(command)
    if restarts and out is None and command[0] == "train":
        raise UsageError("A training that is to be started again needs a folder.", hint="train ... --out FOLDER")
    words, job = words_of(command), Job(as_json)
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _stop)
    signal.signal(signal.SIGUSR1, lambda sign, _: job.pass_signal(sign))
    for left in range(restarts, -1, -1):
        environ = {
            **os.environ,
            COORDINATOR: coordinator or f"127.0.0.1:{free_port()}",
            PROCESSES: str(nodes * processes),
            "PYTHONUNBUFFERED": "1",
        }
        numbers = range(node * processes, (node + 1) * processes)
        lost, stopped = job.run([(index, words, environ | {PROCESS: str(index)}) for index in numbers])
        if not lost:
            return
        first = lost[0]
        more = {"process": first.index, "code": first.running.returncode}
        hung = ", ".join(str(one.index) for one in stopped) if first.rank == _FOLLOWS else ""
        other = f", while process {hung} hung or went on" if hung else ""
        job.tell(
            "lost", f"process {first.index} of {nodes * processes} ended {first.how}{other}; all are stopped", **more
        )
        if first.rank == _FAULT:
            job.tell("fault", "that is a fault, and would come again: not started again", **more)
            ctx.exit(first.running.returncode)
        if left:
            if out is not None and Path(out, SETTINGS).is_file():
                words = words_of(("resume", out, *(word for word in command if word in ("-q", "--quiet", "--json"))))
            going_on = f"starting all again with nacre {' '.join(words[3:])}" if out else "starting all again"
            job.tell("restart", f"{going_on} ({left} left)", left=left - 1)
    if restarts:
        job.tell("end", f"lost {restarts + 1} times: not started again")
    ctx.exit(RESTART if first.running.returncode == RESTART else FAILURE)


def run_folder(command: Sequence[str]) -> str | None:
    """The folder that a train writes its run to, if it says so.

    >>> run_folder(["train", "digits", "--out", "a"]), run_folder(["train", "--out=b"]), run_folder(["resume", "c"])
    ('a', 'b', None)
    """
    if command[0] != "train":
        return None
    found = None
    for at, word in enumerate(command):
        if word == "--out":
            found = command[at + 1] if at + 1 < len(command) else None
        elif word.startswith("--out="):
            found = word.removeprefix("--out=")
    return found


def words_of(command: Sequence[str]) -> list[str]:
    """The words that start a process. Raises `UsageError` for what cannot be several processes.

    >>> words_of(["train", "digits"])[1:]
    ['-m', 'nacre', 'train', 'digits']
    """
    if command[0] in COMMANDS:
        return [sys.executable, "-m", "nacre", *command]
    if command[0].endswith(".py"):
        return [sys.executable, *command]
    raise UsageError(
        f"{command[0]!r} cannot be several processes.", {"expected": f"{', '.join(COMMANDS)}, or a script.py"}
    )


def _stop(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt
