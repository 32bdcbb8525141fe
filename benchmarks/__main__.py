"""The command: `python -m benchmarks`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from benchmarks import machine, report
from benchmarks.machine import Peak
from benchmarks.peers import PEERS
from benchmarks.race import QUICK, Effort, Track
from benchmarks.tables import TABLES, Bench
from benchmarks.workloads import RACED

STOPPED = 130
ON_PROCESSORS = [name for name, peer in PEERS.items() if not peer.gpu]


class Names(click.ParamType[list[str]]):
    """Some names of a list, with commas between them."""

    name = "names"

    def __init__(self, known: Any) -> None:
        self.known = list(known)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        if isinstance(value, list):
            return value
        chosen = [part.strip() for part in value.split(",") if part.strip()]
        for part in chosen:
            if part not in self.known:
                self.fail(f"{part!r} is not one of {', '.join(self.known)}", param, ctx)
        return [name for name in self.known if name in chosen]


@click.command()
@click.option("--workloads", type=Names(RACED), default=list(RACED), help=f"Of {', '.join(RACED)}.")
@click.option("--peers", type=Names(ON_PROCESSORS), default=ON_PROCESSORS, help=f"Of {', '.join(ON_PROCESSORS)}.")
@click.option("--tables", type=Names(TABLES), default=list(TABLES), help=f"Of {', '.join(TABLES)}.")
@click.option(
    "--python", default=sys.executable, envvar="NACRE_BENCHMARK_PYTHON", help="The Python that has the peers."
)
@click.option("--quick", is_flag=True, help="A look at whether everything works: the figures mean little.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything that was measured.")
@click.option("--figure", type=click.Path(path_type=Path), help="Write the README's figure, an SVG.")
def main(
    workloads: list[str],
    peers: list[str],
    tables: list[str],
    python: str,
    quick: bool,
    json_file: Path | None,
    figure: Path | None,
) -> None:
    """Measure nacre beside the libraries one could use instead.

    \b
    Examples:
      python -m benchmarks --quick
      python -m benchmarks --workloads W1,W4 --peers nacre,torch --tables training
      python -m benchmarks --python peers/bin/python --json figures.json --figure docs/speed.svg
    """
    out, err = Console(), Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder, err.status("starting") as status:
        last = ""

        def say(what: str, detail: str) -> None:
            """The status line; where there is no terminal, a line for each race."""
            nonlocal last
            status.update(escape(f"{what}: {detail}"))
            if what in ("without", "failed") or (not err.is_terminal and what != last):
                err.print(
                    f"{what}: {detail}" if err.is_terminal or what in ("without", "failed") else what, markup=False
                )
            last = what

        peak = Peak(Path(folder))
        track = Track(QUICK if quick else Effort(), python, peak, say)
        results = report.Report(peak, quick)
        bench = Bench(track, results, out.print, workloads, peers)
        if peak.missing:
            results.notes.append(peak.missing)
        finished = False
        try:
            peak.measure(machine.processors(), rounds=10)
            for name in tables:
                TABLES[name](bench)
            finished = True
        except KeyboardInterrupt:
            results.notes.append("Stopped before the end.")
        everything = results.everything(track, finished)
    for made in report.summaries(results):
        out.print(made)
    out.print("\n".join(report.remarks(results, track)), markup=False, highlight=False)
    if json_file:
        json_file.write_text(json.dumps(everything, indent=1) + "\n")
    if figure:
        figure.write_text(report.figure(everything))
    if not finished:
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
