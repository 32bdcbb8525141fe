"""A peer's process: reads one request a line, answers one line each, both JSON. Ends when its input does."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Generator
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, Learner
from benchmarks.workloads import crossentropy, data, first_weights, from_json

CHECKED = 1000  # rows whose loss is compared between peers


def answers(name: str, threads: int) -> Generator[dict[str, Any], dict[str, Any]]:
    """The answers to the requests that are sent in; the first tells what the library is."""
    peer = PEERS[name]
    module = importlib.import_module(f"benchmarks.peers.{peer.module}")
    imported = peak_memory()
    learner: Learner
    answer: dict[str, Any] = {
        "versions": {d: metadata.version(d) for d in peer.distributions},
        "imported_bytes": imported,
    }
    while True:
        request = yield answer
        if "job" in request:
            job = from_json(request["job"])
            x, y = data(job)
            learner = module.Learner(job, x, y, first_weights(job), threads)
        answer = {}
        begin = time.perf_counter()
        match request["do"]:
            case "warm up":  # a first epoch in order, so that all peers must come to the same loss
                answer["seconds"] = learner.train(1, shuffle=False)
                answer["loss"] = crossentropy(learner.predict(x[:CHECKED]), y[:CHECKED])
            case "train":
                answer["seconds"] = learner.train(request["epochs"], shuffle=True)
            case "predict rows":  # one at a time
                for n in range(request["calls"]):
                    row = n % len(x)
                    learner.predict(x[row : row + 1])
                answer["seconds"] = time.perf_counter() - begin
            case "predict":
                learner.predict(x)
                answer["seconds"] = time.perf_counter() - begin
        answer["peak_bytes"] = peak_memory()


def peak_memory() -> int:
    """The most memory that this process has held so far."""
    status = Path("/proc/self/status")
    if (
        status.exists()
    ):  # where there is one, since ru_maxrss may begin with the size of the process that started this one
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):  # for libraries that take as many threads as there are processors
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries may print; that is not an answer

    def say(answer: Any) -> None:
        print(json.dumps(answer), file=replies, flush=True)

    try:
        conversation = answers(name, threads)
        say(next(conversation))
        for line in sys.stdin:
            say(conversation.send(json.loads(line)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the reason is told
        say({"error": f"{type(error).__name__}: {error}".splitlines()[0]})


if __name__ == "__main__":
    main()
