"""Measures several entrants in turn, round by round, so that whatever disturbs the machine disturbs all of them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.peers import AT_HOME, PEERS
from benchmarks.workloads import Job, to_json

ROOT = Path(__file__).parents[1]
BUSY = 0.1  # from this share of the processors on, others disturb
_THREADS = ("NACRE_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def environment(peer: str) -> dict[str, str]:
    """That of a peer's process."""
    return dict(os.environ) | PEERS[peer].environment


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int = 5
    seconds: float = 0.5  # of one entrant in one round, at least one epoch
    patience: float = 12.0  # an entrant that took so long sits out the further rounds, but for the second
    steps: int = 10**9  # at most so many in an epoch
    predicted: int = 100_000
    grown_rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    starts: int = 5
    listening: float = 0.5  # seconds, to find out whether others use the machine


QUICK = Effort(rounds=2, seconds=0.02, steps=20, predicted=2_000, grown_rows=(1_000, 4_000), starts=2, listening=0.1)


@dataclass(frozen=True)
class Entrant:
    """A peer, with a job and some threads. ``key`` names it within its race."""

    key: str
    peer: str
    job: Job
    threads: int


@dataclass
class Outcome:
    """What became of an entrant."""

    entrant: Entrant
    first: dict[str, Any] = field(default_factory=dict)  # the answers to "warm up"
    rounds: list[float] = field(default_factory=list)  # seconds for one step, row or call
    imported: int = 0  # memory after importing, before there is any data
    memory: int = 0  # the most there was
    failure: str = ""

    @property
    def best(self) -> float:
        return min(self.rounds)

    @property
    def spread(self) -> float:
        """How much slower the median round was than the best."""
        return statistics.median(self.rounds) / self.best


class PeerError(Exception):
    """A peer cannot do it; the text is the reason."""


class Process:
    """A peer's process."""

    def __init__(self, peer: str, threads: int, python: str) -> None:
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 - `end` closes it
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", peer, str(threads)],
            cwd=ROOT,
            env=environment(peer) | dict.fromkeys(_THREADS, str(threads)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,  # Ctrl-C is for us: we end it
        )
        try:
            self.about = self._read()
        except BaseException:
            self.end()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises `PeerError`."""
        assert self._process.stdin
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise PeerError(self._last_words()) from None
        return self._read()

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer

    def _last_words(self) -> str:
        status = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().split("\n")
        return next((line for line in reversed(lines) if line.strip()), f"its process ended with status {status}")


@dataclass(frozen=True)
class Contest:
    """What is measured: requests to a peer, and for what ``seconds`` are counted."""

    request: Callable[[int], dict[str, Any]]  # for a number of repetitions
    units: Callable[[Entrant, int], int]  # how many steps, rows or calls that is
    trial: int = 1  # repetitions to find out how long they take
    warm_up: bool = False


TRAIN = Contest(lambda n: {"do": "train", "epochs": n}, lambda e, n: n * e.job.steps, warm_up=True)
PREDICT_ROWS = Contest(lambda n: {"do": "predict rows", "calls": n}, lambda _, n: n, trial=20)
PREDICT = Contest(lambda _: {"do": "predict"}, lambda e, _: e.job.rows)


@dataclass
class _Runner:
    """An entrant that is ready."""

    outcome: Outcome
    process: Process
    repetitions: int  # in a round
    spent: float = 0.0  # seconds so far, in all rounds

    def run(self, contest: Contest) -> None:
        """One round. Raises `PeerError`."""
        begin = time.monotonic()
        answer = self.process.ask(**contest.request(self.repetitions))
        self.spent += time.monotonic() - begin
        outcome = self.outcome
        outcome.rounds.append(answer["seconds"] / contest.units(outcome.entrant, self.repetitions))
        outcome.memory = answer["peak_bytes"]


class Track:
    """Where races are held."""

    def __init__(self, effort: Effort, python: str, peak: machine.Peak, say: Callable[[str, str], None]) -> None:
        self.effort, self.peak, self.say = effort, peak, say
        self._python = python
        self.skipped: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.busy: list[float] = []  # what others used of the processors, before each race
        self.failures: list[str] = []

    def python(self, peer: str) -> str:
        return sys.executable if peer in AT_HOME else self._python

    def race(
        self,
        title: str,
        entrants: list[Entrant],
        contest: Contest,
        outcomes: dict[str, Outcome],
        rounds: int | None = None,
    ) -> None:
        """Fills ``outcomes``, so that those there are survive a Ctrl-C. Entrants that fail are told and left out."""
        rounds = rounds or self.effort.rounds
        with ExitStack() as running:
            ready: list[_Runner] = []
            for entrant in entrants:
                self.say(title, f"preparing {entrant.key}")
                ready += self._prepare(running, entrant, contest)
            self.say(title, "listening whether the machine is quiet")
            share = machine.use_by_others(self.effort.listening)
            if share is not None:
                self.busy.append(round(share, 3))
            for number in range(rounds):
                for threads in sorted({runner.outcome.entrant.threads for runner in ready}):
                    self.peak.measure(threads)
                for runner in list(ready):
                    if number > 1 and runner.spent > self.effort.patience:
                        continue
                    key = runner.outcome.entrant.key
                    self.say(title, f"round {number + 1} of {rounds}, {key}")
                    try:
                        runner.run(contest)
                        outcomes[key] = runner.outcome
                    except PeerError as failed:
                        ready.remove(runner)
                        outcomes.pop(key, None)
                        self._fail(runner.outcome.entrant, failed)

    def _prepare(self, running: ExitStack, entrant: Entrant, contest: Contest) -> list[_Runner]:
        """A process that has built its network, and knows how many repetitions fill a round; none if it cannot."""
        if entrant.peer in self.skipped:
            return []
        try:
            process = Process(entrant.peer, entrant.threads, self.python(entrant.peer))
        except (PeerError, OSError) as failed:
            self.skipped[entrant.peer] = str(failed)
            self.say("without", f"{PEERS[entrant.peer].label}: {failed}")
            return []
        running.callback(process.end)
        self.versions |= process.about["versions"]
        outcome = Outcome(entrant, imported=process.about["imported_bytes"])
        try:
            job = {"job": to_json(entrant.job)}
            if contest.warm_up:
                outcome.first = process.ask(do="warm up", **job)
                job = {}
            spent = process.ask(**contest.request(contest.trial), **job)["seconds"]
        except PeerError as failed:
            self._fail(entrant, failed)
            return []
        return [_Runner(outcome, process, max(1, round(self.effort.seconds * contest.trial / spent)))]

    def _fail(self, entrant: Entrant, failed: PeerError) -> None:
        self.failures.append(f"{PEERS[entrant.peer].label}, {entrant.job}: {failed}")
        self.say("failed", self.failures[-1])
