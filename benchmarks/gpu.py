"""nacre on a device that XLA knows, beside PyTorch on the same one: eager, compiled, and as CUDA graphs.

python -m benchmarks.gpu --python PEERS/bin/python [--workloads W1,W6-bf16] [--device xla:gpu] [--quick] [--json FILE]

The way of measuring is that of `python -m benchmarks`: a process for each, in turn. Ends with status 1 if losses after the first
epoch are apart, or if somebody failed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import STOPPED, Names
from benchmarks.machine import Peak
from benchmarks.peers import PEERS
from benchmarks.race import QUICK, Effort, Track
from benchmarks.report import Record, Report, remarks, seconds
from benchmarks.tables import Bench, training
from benchmarks.workloads import ON_DEVICE
from nacre.backends.xla import find_devices
from nacre.errors import UsageError

ENTRANTS = ("nacre", "torch", "torch-compile", "torch-graphs")
NARROW, WIDEST = ("W1", "W2", "W7", "W8", "W9"), ("W6", "W6-bf16")
WANTED = {NARROW: 10.0, WIDEST: 1.2}  # of nacre's time, that PyTorch eager should take at least
_CHAIN = 64  # small products, each of which needs the one before


class Limits(Peak):
    """What a device can do at best: products, copies, and products that wait for each other. Grows with every `measure`."""

    def __init__(self, device: str, size: int, nbytes: int) -> None:
        self.operations, self.bandwidth, self.missing = {}, {}, ""  # of the processors, which do not count here
        self.products: dict[str, float] = {"float32": 0.0, "bfloat16": 0.0}  # operations a second
        self.bytes = 0.0  # read or written, a second
        self.wait = float("inf")  # seconds from one small product to the next that needs it
        self.size = size

        def product(a: Any, b: Any) -> Any:
            return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST, preferred_element_type=jnp.float32)

        def chain(a: Any) -> Any:
            b = a
            for _ in range(_CHAIN):
                b = product(b, a)
            return b

        self._product, self._copy, self._chain = jax.jit(product), jax.jit(lambda x: x + 1), jax.jit(chain)
        with jax.default_device(find_devices(device)[0, 0]):
            draw = (
                jax.random.uniform(jax.random.key(0), (size, size)) / size
            )  # not zeros: of these, products may be faster
            self._factors = {name: draw.astype(name) for name in self.products}
            self._small = draw[:32, :32] * (size / 16)  # whose powers neither grow nor fade
            self._array = jnp.ones(nbytes // 4)

    def measure(self, threads: int, rounds: int = 3) -> None:
        for _ in range(rounds):
            for name, a in self._factors.items():
                self.products[name] = max(self.products[name], 2 * self.size**3 / _took(self._product, a, a))
            self.bytes = max(self.bytes, 2 * self._array.nbytes / _took(self._copy, self._array))
            self.wait = min(self.wait, _took(self._chain, self._small) / _CHAIN)

    def of_step(self, record: Record) -> float:
        """Seconds: the longer of all products at their peak, and of reading the rows. `Job.step_flops` says what is counted."""
        kind = "bfloat16" if ON_DEVICE[record["workload"]].extra else "float32"
        return float(max(record["flops"] / self.products[kind], record["bytes"] / self.bytes))

    def of_chain(self, record: Record) -> float:
        """Seconds that a step waits if each product is a kernel: through all layers and back, one after the other."""
        return 2 * (len(ON_DEVICE[record["workload"]].units) - 1) * self.wait


def _took(run: Callable[..., Any], *arrays: Any) -> float:
    """Seconds, compiled before."""
    run(*arrays).block_until_ready()
    begin = time.perf_counter()
    run(*arrays).block_until_ready()
    return time.perf_counter() - begin


class OnDevice(Report):
    """Records, beside the limits of a device."""

    peak: Limits

    def limit(self, record: Record) -> float | None:
        return self.peak.of_step(record)

    def complete(self, record: Record) -> Record:
        limits = {"limit_s": self.peak.of_step(record), "chain_s": self.peak.of_chain(record)}
        return record | limits | {"limit_fraction": limits["limit_s"] / record["step_s"]}


def overview(report: OnDevice, peers: list[str]) -> Table:
    """A row for each workload: nacre's step, its limit, and peers' times as multiples of nacre's."""
    others = [peer for peer in peers if peer != "nacre"]
    made = Table(title="A step of nacre, and peers' as multiples of it", title_justify="left", title_style="bold")
    for name in ("", "nacre", "limit", "of limit", "chain", *others):
        made.add_column(name, justify="right" if name else "left", no_wrap=True)
    records = [report.complete(r) for r in report.tables.get("training", [])]
    for mine in [r for r in records if r["peer"] == "nacre"]:
        beside = {r["peer"]: r["ratio"] for r in records if r["workload"] == mine["workload"]}
        times = [seconds(mine[key]) for key in ("step_s", "limit_s")]
        cells = [*times, f"{mine['limit_fraction']:.1%}", seconds(mine["chain_s"])]
        made.add_row(mine["workload"], *cells, *(f"{beside[p]:.2f}" if p in beside else "" for p in others))
    return made


def goals(report: OnDevice) -> list[str]:
    """Of the narrow networks and of the widest: what came out at least, and what is wanted."""
    lines = []
    for names, wanted in WANTED.items():
        ratios = {r["workload"]: r["ratio"] for r in report.tables.get("training", []) if r["peer"] == "torch"}
        found = {name: ratios[name] for name in names if ratios.get(name)}
        if found:
            least = min(found, key=found.__getitem__)
            lines.append(
                f"PyTorch eager takes {found[least]:.2f} times as long or more ({least}) on {', '.join(found)}: "
                f"wanted {wanted:g}, {'reached' if found[least] >= wanted else 'not reached'}."
            )
    return lines


@click.command()
@click.option("--workloads", type=Names(ON_DEVICE), default=list(ON_DEVICE), help=f"Of {', '.join(ON_DEVICE)}.")
@click.option("--peers", type=Names(ENTRANTS), default=list(ENTRANTS), help=f"Of {', '.join(ENTRANTS)}.")
@click.option("--device", default="xla:gpu", help="As nacre calls it; PyTorch takes its GPU or the processors.")
@click.option("--python", default=sys.executable, envvar="NACRE_BENCHMARK_PYTHON", help="The Python that has PyTorch.")
@click.option("--quick", is_flag=True, help="A look at whether everything works: the figures mean little.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything that was measured.")
def main(workloads: list[str], peers: list[str], device: str, python: str, quick: bool, json_file: Path | None) -> None:
    """Measure nacre on a GPU beside PyTorch on the same GPU."""
    out, err = Console(), Console(stderr=True)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the processes share one GPU
    try:
        kind = find_devices(device)[0, 0].device_kind
    except UsageError as error:
        raise click.ClickException(str(error)) from None
    on_gpu = device.startswith("xla:gpu")
    peers = [peer for peer in peers if on_gpu or not PEERS[peer].gpu]
    limits = Limits(device, *((8192, 1 << 30) if on_gpu and not quick else (1024, 1 << 26)))
    track = Track(QUICK if quick else Effort(), python, limits, lambda what, detail: err.print(f"{what}: {detail}"))
    report = OnDevice(limits, quick)
    jobs = {name: replace(job, device=device) for name, job in ON_DEVICE.items()}
    finished = False
    with suppress(KeyboardInterrupt):
        limits.measure(0)
        training(Bench(track, report, out.print, workloads, peers, jobs))
        finished = True
    products = {name: f"{speed / 1e12:.4g} TFLOP/s in {name}" for name, speed in limits.products.items()}
    out.print(overview(report, peers))
    lines = [*remarks(report, track), *goals(report)]
    lines.append(f"{kind}: {', '.join(products.values())}, {limits.bytes / 1e9:.4g} GB/s copied.")
    lines.append(
        f"Limit: the longer of products at that speed and of reading rows. Chain: 2 products a layer, each a kernel that waits for "
        f"the one before, {seconds(limits.wait)} each; only a step in one kernel can take less."
    )
    out.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    if json_file:
        found = {"products": limits.products, "bytes_per_s": limits.bytes, "wait_s": limits.wait}
        versions = {"versions": track.versions | {"jax": metadata.version("jax")}}
        everything = report.everything(track, finished) | versions | {"device": kind, "limits": found}
        json_file.write_text(json.dumps(everything, indent=1) + "\n")
    sys.exit(bool(report.notes or track.failures) if finished else STOPPED)


if __name__ == "__main__":
    main()
