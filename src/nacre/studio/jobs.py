"""Commands that a page starts: child processes, which may be canceled, and are found again by their numbers."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from threading import Lock, Thread
from typing import IO, Any

import msgspec
from msgspec import structs

from nacre.errors import UnknownName, UsageError

_AT_ONCE = 2
_KEPT = 50
_LEAVE = 3.0  # seconds that commands have to end, when the studio does
_MOST_ANSWER = 1 << 24  # bytes
_LINES, _LINE = 12, 500  # of what a command says of its progress: lines, and bytes of each


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command: ``state`` is running, done, failed or canceled; ``answer`` is the JSON that it gave."""

    id: str
    run: str
    kind: str
    command: str
    state: str
    begun: float
    seconds: float | None
    progress: list[str]
    answer: Any = None
    error: str = ""


class _Child:
    """A command under way, or over, and how it stands: its ``job``, which is another one when something has changed."""

    def __init__(self, job: Job, arguments: Sequence[str]) -> None:
        self.job = job
        self._canceled = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nacre", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        Thread(target=self._wait, name=f"nacre-job-{job.id}", daemon=True).start()

    def cancel(self) -> None:
        """End it; what it has written stays."""
        self._canceled = True
        self._process.terminate()

    def end(self, seconds: float) -> None:
        """Wait so long until it has ended, then end it by force."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _wait(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        listener = Thread(target=self._listen, args=(self._process.stderr,), daemon=True)
        listener.start()
        said = self._process.stdout.read(_MOST_ANSWER)
        self._process.stdout.close()  # one that says more than that ends
        status = self._process.wait()
        listener.join()
        self._process.stderr.close()
        self._become(seconds=time.time() - self.job.begun, **self._ended(status, said))

    def _ended(self, status: int, said: bytes) -> dict[str, Any]:
        """What is known of the job now that the command has ended."""
        if status != 0 and self._canceled:
            return {"state": "canceled"}
        if status != 0:
            told = "\n".join(self.job.progress) or f"the command ended with status {status}"
            return {"state": "failed", "error": told}
        try:
            return {"state": "done", "answer": json.loads(said)}
        except ValueError:
            return {"state": "failed", "error": "The command gave no JSON."}

    def _become(self, **more: Any) -> None:
        self.job = structs.replace(self.job, **more)

    def _listen(self, stream: IO[bytes]) -> None:
        for line in iter(lambda: stream.readline(_LINE), b""):
            text = line.decode("utf-8", "replace").rpartition("\r")[2].strip()
            if text:
                self._become(progress=[*self.job.progress, text][-_LINES:])


class Jobs:
    """Commands on runs: one at a time for each, and not more than two in all, for they train."""

    def __init__(self) -> None:
        self._children: dict[str, _Child] = {}
        self._lock = Lock()
        self._number = 0
        atexit.register(self.close)

    def start(self, run: str, kind: str, arguments: Sequence[str]) -> Job:
        """Start ``nacre`` with arguments that are about a run. Raises `UsageError` while another is, or too many are running."""
        with self._lock:
            running = [child for child in self._children.values() if child.job.state == "running"]
            if any(child.job.run == run for child in running):
                raise UsageError(f"A command is at work on {run!r} already.", hint="wait for it, or cancel it")
            if len(running) >= _AT_ONCE:
                raise UsageError(f"{_AT_ONCE} commands are running already.", hint="wait for one, or cancel it")
            for old in list(self._children)[: max(0, len(self._children) - _KEPT + 1)]:
                if self._children[old].job.state != "running":
                    del self._children[old]
            self._number += 1
            command = " ".join(["nacre", *arguments])
            job = Job(
                id=str(self._number), run=run, kind=kind, command=command, state="running", begun=time.time(),
                seconds=None, progress=[],
            )  # fmt: skip
            child = self._children[job.id] = _Child(job, arguments)
            return child.job

    def all(self) -> list[Job]:
        """All, the latest first."""
        with self._lock:
            return [child.job for child in reversed(self._children.values())]

    def cancel(self, number: str) -> Job:
        """End one. Raises `UnknownName` if there is none of that number."""
        with self._lock:
            child = self._children.get(number)
        if child is None:
            raise UnknownName(f"There is no job {number!r}.")
        if child.job.state == "running":
            child.cancel()
        return child.job

    def close(self) -> None:
        """End all that still run, with the studio; by force those that do not listen."""
        with self._lock:
            running = [child for child in self._children.values() if child.job.state == "running"]
        for child in running:
            child.cancel()
        until = time.monotonic() + _LEAVE
        for child in running:
            child.end(max(0.0, until - time.monotonic()))
