"""The tables: which races are run for each, and what is noted of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from benchmarks.machine import processors
from benchmarks.peers import PEERS
from benchmarks.race import PREDICT, PREDICT_ROWS, ROOT, TRAIN, Contest, Entrant, Outcome, Track, environment
from benchmarks.report import Record, Report, seconds, table
from benchmarks.workloads import RACED, Job, shorter
from nacre import layers, optimizers

# Losses of one epoch in the same order may differ by float32's rounding only; a peer that does something else is further off.
SAME_LOSS = 1e-2


@dataclass
class Bench:
    """What the tables are made from."""

    track: Track
    report: Report
    show: Callable[[object], None]
    workloads: list[str]
    peers: list[str]
    jobs: Mapping[str, Job] = field(default_factory=lambda: RACED)

    def job(self, name: str) -> Job:
        return shorter(self.jobs[name], self.track.effort.steps)

    def race(
        self,
        name: str,
        title: str,
        entrants: list[Entrant],
        contest: Contest,
        columns: str,
        describe: Callable[[Outcome, dict[str, Outcome]], Record],
        rounds: int | None = None,
    ) -> None:
        """Hold a race, and show and keep what came of it, even if it was interrupted."""
        outcomes: dict[str, Outcome] = {}
        try:
            self.track.race(title, entrants, contest, outcomes, rounds)
        finally:
            records = [describe(o, outcomes) for o in outcomes.values()]
            self.report.add(name, records)
            if records:
                self.show(table(self.report, title, columns, records))


def _record(outcome: Outcome, unit: str, flops: int) -> Record:
    entrant = outcome.entrant
    return {
        "peer": entrant.peer,
        "label": PEERS[entrant.peer].label,
        "network": str(entrant.job),
        "threads": entrant.threads,
        f"{unit}_s": outcome.best,
        "rounds_s": outcome.rounds,
        "spread": outcome.spread,
        "flops_per_s": flops / outcome.best,
        "peak_bytes": outcome.memory,
    }


def _trained(outcome: Outcome) -> Record:
    job = outcome.entrant.job
    figures = {"flops": job.step_flops, "bytes": job.step_bytes}
    return _record(outcome, "step", job.step_flops) | figures | {"loss": outcome.first["loss"]}


def _ratio(outcome: Outcome, reference: Outcome | None) -> float | None:
    return outcome.best / reference.best if reference else None


def training(bench: Bench) -> None:
    """Time of a step of every workload, in every peer."""
    for name in bench.workloads:
        job = bench.job(name)
        entrants = [Entrant(p, p, job, processors()) for p in bench.peers if PEERS[p].trains]

        def describe(o: Outcome, others: dict[str, Outcome], name: str = name) -> Record:
            return {"workload": name} | _trained(o) | {"ratio": _ratio(o, others.get("nacre"))}

        bench.race(
            "training",
            f"{name}: {job}",
            entrants,
            TRAIN,
            "label step_s ratio peak_fraction limit_fraction spread peak_bytes",
            describe,
        )
        records = [r for r in bench.report.tables["training"] if r["workload"] == name]
        limit = bench.report.limit(records[0]) if records else None
        if limit:
            bench.show(f"A step of {name} takes at least {seconds(limit)} on this machine.\n")
        _compare_losses(bench, name, records)


def _compare_losses(bench: Bench, name: str, records: list[Record]) -> None:
    by_peer = {r["peer"]: r["loss"] for r in records}
    reference = by_peer.get("nacre", next(iter(by_peer.values()), 0.0))
    for peer, loss in by_peer.items():
        # For two classes scikit-learn has one output where the others have two, so its first weights are its own.
        own_way = peer == "sklearn" and bench.jobs[name].units[-1] == 2
        if not own_way and not abs(loss - reference) <= SAME_LOSS * abs(reference):
            note = f"{name}: the loss of {PEERS[peer].label} after one epoch is {loss:.5f}, of others {reference:.5f}."
            bench.report.notes.append(note)
            bench.show(note)


def threads(bench: Bench) -> None:
    """nacre on one thread against all."""
    if processors() == 1:
        bench.report.notes.append("There is one processor: no table of threads.")
        return
    for name in bench.workloads:
        job = bench.job(name)
        entrants = [Entrant(str(n), "nacre", job, n) for n in (1, processors())]

        def describe(o: Outcome, others: dict[str, Outcome], name: str = name) -> Record:
            one = others.get("1")
            return {"workload": name} | _trained(o) | {"speedup": one.best / o.best if one else None}

        bench.race(
            "threads",
            f"Threads, {name}: {job}",
            entrants,
            TRAIN,
            "threads step_s speedup peak_fraction spread",
            describe,
        )


def predict(bench: Bench) -> None:
    """One row at a time, and many at once."""
    one = shorter(Job((784, 128, 10), "relu", 32, 32), bench.track.effort.steps)
    many = Job((784, 512, 512, 10), "relu", 100, bench.track.effort.predicted // 100)

    def describe_call(o: Outcome, others: dict[str, Outcome]) -> Record:
        return _record(o, "call", o.entrant.job.row_flops) | {"ratio": _ratio(o, others.get("nacre"))}

    def describe_row(o: Outcome, others: dict[str, Outcome]) -> Record:
        return _record(o, "row", o.entrant.job.row_flops) | {"ratio": _ratio(o, others.get("nacre"))}

    # A jitted epoch predicts as a jitted step does, and so does a compiled step as an eager one.
    peers = [p for p in bench.peers if p not in ("jax-scan", "torch-compile")]
    rows = [Entrant(p, p, one, processors()) for p in peers]
    bench.race(
        "predict_row", "predict, one row of 784-128-10", rows, PREDICT_ROWS, "label call_s ratio spread", describe_call
    )
    whole = [Entrant(p, p, many, processors()) for p in peers]
    title = f"predict, {many.rows:,} rows of 784-512-512-10"
    bench.race("predict_rows", title, whole, PREDICT, "label row_s ratio peak_fraction spread peak_bytes", describe_row)


def extras(bench: Bench) -> None:
    """What momentum, Adam, dropout and others cost in nacre, beside plain SGD; bfloat16 in torch.compile too."""
    has = {
        name
        for room in (layers, optimizers)
        for name in ("Adam", "Dropout", "BatchNormalization")
        if hasattr(room, name)
    }
    wanted = ["", "momentum", *sorted(has), "LayerStatistics", "mixed_bfloat16"]
    for name in [name for name in bench.workloads if name in ("W4", "W5", "W6")]:
        job = bench.job(name)
        entrants = [Entrant(extra, "nacre", replace(job, extra=extra), processors()) for extra in wanted]
        half = replace(job, extra="mixed_bfloat16")
        entrants += [Entrant(f"{p} {half.extra}", p, half, processors()) for p in ["torch-compile"] if p in bench.peers]

        def describe(o: Outcome, others: dict[str, Outcome], name: str = name) -> Record:
            record = {"workload": name, "case": o.entrant.key or "plain SGD"} | _trained(o)
            return record | {"to_plain": _ratio(o, others.get(""))}

        bench.race("extras", f"Extras, {name}: {job}", entrants, TRAIN, "case step_s to_plain spread", describe)


def growth(bench: Bench) -> None:
    """How nacre's time grows with rows, with width and with depth."""
    effort = bench.track.effort
    rows = [Job((784, 128, 10), "relu", 32, n // 32, uint8=True) for n in effort.grown_rows]
    widths = [Job((784, n, n, 10), "relu", 128, 100) for n in (32, 128, 512, 2048)]
    depths = [Job((784, *[128] * n, 10), "relu", 128, 50) for n in (10, 50, 200)]
    cases = {
        "rows": {f"{job.rows:,} rows": job for job in rows},
        "width": {f"2 layers of {job.units[1]}": shorter(job, effort.steps) for job in widths},
        "depth": {f"{len(job.units) - 2} layers of 128": shorter(job, effort.steps) for job in depths},
    }
    for kind, jobs in cases.items():
        entrants = [Entrant(case, "nacre", job, processors()) for case, job in jobs.items()]

        def describe(o: Outcome, _: dict[str, Outcome], kind: str = kind) -> Record:
            record = {"kind": kind, "case": o.entrant.key} | _trained(o)
            return record | {"first_epoch_s": o.first["seconds"]}

        bench.race(
            "growth",
            f"Growth with {kind}, nacre",
            entrants,
            TRAIN,
            "case step_s peak_fraction spread first_epoch_s peak_bytes",
            describe,
        )


def memory(bench: Bench) -> None:
    """The most memory that training 784-128-10 on 60,000 rows of bytes, as MNIST has, takes."""
    job = replace(bench.job("W2"), uint8=True)
    entrants = [Entrant(p, p, job, processors()) for p in bench.peers if PEERS[p].trains]

    def describe(o: Outcome, _: dict[str, Outcome]) -> Record:
        label = PEERS[o.entrant.peer].label
        beyond = o.memory - o.imported
        return {"peer": o.entrant.peer, "label": label, "peak_bytes": o.memory, "training_bytes": beyond}

    bench.race(
        "memory",
        f"Memory of training on {job.rows:,} x 784 bytes",
        entrants,
        TRAIN,
        "label peak_bytes training_bytes",
        describe,
        rounds=1,
    )


def footprint(bench: Bench) -> None:
    """Time to import, and disk space with everything that is required."""
    records: list[Record] = []
    try:
        for name in bench.peers:
            peer = PEERS[name]
            if name in bench.track.skipped or any(r["imports"] == (peer.imports, peer.distributions) for r in records):
                continue
            bench.track.say("Import and installation", peer.label)
            python = bench.track.python(name)
            starts = str(bench.track.effort.starts)
            command = [python, "-m", "benchmarks.footprint", starts, peer.imports, *peer.distributions]
            run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(name), check=False)
            answer = json.loads(run.stdout) if run.returncode == 0 else {"error": run.stderr.strip()[-200:]}
            if "error" in answer:
                bench.track.failures.append(f"{peer.label}: {answer['error']}")
                continue
            label = peer.label.removesuffix(" eager").removesuffix(" jitted step").removesuffix(" by hand")
            records.append({"peer": name, "label": label, "imports": (peer.imports, peer.distributions)} | answer)
    finally:
        bench.report.add("footprint", records)
        if records:
            bench.show(table(bench.report, "Import and installation", "label import_s installed_bytes", records))


TABLES: dict[str, Callable[[Bench], None]] = {
    f.__name__: f for f in (training, predict, threads, extras, growth, memory, footprint)
}
