"""What was measured: as tables for people, as JSON for programs, as a figure for the README."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from rich.table import Table

from benchmarks import machine
from benchmarks.peers import PEERS
from benchmarks.race import BUSY, Track
from benchmarks.workloads import RACED

FORMAT = 1  # of the JSON
Record = dict[str, Any]


@dataclass
class Report:
    """Records by table, and what must be known to read them."""

    peak: machine.Peak
    quick: bool
    tables: dict[str, list[Record]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, table: str, records: list[Record]) -> None:
        self.tables.setdefault(table, []).extend(records)

    def of_peak(self, record: Record) -> float | None:
        peak = self.peak.operations.get(record.get("threads", 0))
        return record["flops_per_s"] / peak if peak and "flops_per_s" in record else None

    def limit(self, record: Record) -> float | None:
        """Seconds that a step needs at least: all multiply-adds at peak, or all rows read at full bandwidth."""
        peak, width = (d.get(record["threads"]) for d in (self.peak.operations, self.peak.bandwidth))
        return max(record["flops"] / peak, record["bytes"] / width) if peak and width else None

    def complete(self, record: Record) -> Record:
        """With the figures that depend on the peak, which is known best at the end."""
        more: Record = {}
        if "flops_per_s" in record:
            more["peak_fraction"] = self.of_peak(record)
        if "bytes" in record:
            more["limit_s"] = self.limit(record)
        return record | more

    def everything(self, track: Track, finished: bool) -> dict[str, Any]:
        """What goes into the JSON."""
        return {
            "format": FORMAT,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "finished": finished,
            "quick": self.quick,
            "machine": machine.description(),
            "peak_flops_per_s": {str(n): v for n, v in sorted(self.peak.operations.items())},
            "bandwidth_bytes_per_s": {str(n): v for n, v in sorted(self.peak.bandwidth.items())},
            "used_by_others": track.busy,
            "versions": dict(sorted(track.versions.items())),
            "skipped": track.skipped,
            "failed": track.failures,
            "notes": self.notes,
            "tables": {name: [self.complete(r) for r in records] for name, records in self.tables.items()},
        }


# ---------------------------------------------------------------- tables

# Column of a record: heading, and how to write the value.
COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "case": ("", str),
    "label": ("", str),
    "threads": ("threads", str),
    "step_s": ("a step", lambda s: seconds(s)),
    "call_s": ("a call", lambda s: seconds(s)),
    "row_s": ("a row", lambda s: seconds(s)),
    "import_s": ("import", lambda s: seconds(s)),
    "ratio": ("to nacre", lambda r: f"{r:.2f}"),
    "to_plain": ("to plain SGD", lambda r: f"{r:.2f}"),
    "speedup": ("speedup", lambda r: f"{r:.2f}"),
    "peak_fraction": ("of peak", lambda r: f"{r:.1%}"),
    "limit_fraction": ("of limit", lambda r: f"{r:.1%}"),
    "spread": ("med/best", lambda r: f"{r:.2f}"),
    "first_epoch_s": ("first epoch", lambda s: seconds(s)),
    "peak_bytes": ("memory", lambda b: size(b)),
    "training_bytes": ("beyond import", lambda b: size(b)),
    "installed_bytes": ("installed", lambda b: size(b)),
}


def table(report: Report, title: str, columns: str, records: list[Record]) -> Table:
    """One row a record, with those of the columns that the records have."""
    records = [report.complete(r) for r in records]
    keys = [key for key in columns.split() if any(r.get(key) is not None for r in records)]
    made = Table(title=title, title_justify="left", title_style="bold")
    for key in keys:
        words = key in ("label", "case")
        made.add_column(COLUMNS[key][0], justify="left" if words else "right", no_wrap=True)
    for record in records:
        # A figure that is missing, because there is nothing to compare with, stays empty.
        made.add_row(*("" if record.get(key) is None else COLUMNS[key][1](record[key]) for key in keys))
    return made


def summaries(report: Report) -> list[Table]:
    """Peers against workloads, those of numbers and those of bytes: time of a step as a multiple of nacre's, and for nacre its
    fraction of the peak."""
    records = report.tables.get("training", [])
    raced = list(dict.fromkeys(r["workload"] for r in records))
    both = [
        (what, [w for w in raced if RACED[w].uint8 == uint8]) for what, uint8 in (("", False), (", from bytes", True))
    ]
    return [_summary(report, f"Time of a step, as a multiple of nacre's{what}", names) for what, names in both if names]


def _summary(report: Report, title: str, names: list[str]) -> Table:
    records = [r for r in report.tables["training"] if r["workload"] in names]
    made = Table(title=title, title_justify="left", title_style="bold")
    made.add_column("", no_wrap=True)
    for name in names:
        made.add_column(name, justify="right", no_wrap=True)
    for peer in [p for p in PEERS if any(r["peer"] == p for r in records)]:
        mine = {r["workload"]: r for r in records if r["peer"] == peer}
        fractions = peer == "nacre" and bool(report.peak.operations)
        cells = [
            _cell(mine[name], report.of_peak(mine[name]) if fractions else None) if name in mine else ""
            for name in names
        ]
        made.add_row("nacre, of peak" if fractions else peer, *cells)
    return made


def remarks(report: Report, track: Track) -> list[str]:
    """What must be known to read the tables."""
    lines = [f"Not measured: {PEERS[peer].label} ({reason})." for peer, reason in track.skipped.items()]
    lines += [f"Failed: {failure}." for failure in track.failures] + report.notes
    for n, operations in sorted(report.peak.operations.items()):
        read = report.peak.bandwidth[n] / 1e9
        lines.append(f"Peak of {n} thread{'s' * (n > 1)}: {operations / 1e9:.0f} GFLOP/s, {read:.0f} GB/s read.")
    if any(share > BUSY for share in track.busy):
        lines.append(
            f"The machine was busy: others used up to {max(track.busy):.0%} of it. Measure again when it is quiet."
        )
    if report.quick:
        lines.append("A quick look: epochs are short, data fits in caches, and the figures mean little.")
    return lines


def _cell(record: Record, fraction: float | None) -> str:
    return f"{fraction:.0%}" if fraction is not None else f"{record['ratio']:.1f}" if record["ratio"] else ""


def seconds(s: float) -> str:
    """
    >>> seconds(2.94e-6), seconds(0.0143), seconds(3.2)
    ('2.94 us', '14.3 ms', '3.20 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if s >= scale:
            return f"{s / scale:.3g} {unit}" if s >= 10 * scale else f"{s / scale:.2f} {unit}"
    return f"{s * 1e6:.3g} us" if s >= 1e-5 else f"{s * 1e6:.2f} us"


def size(n: float) -> str:
    return f"{n / 1e6:,.0f} MB"


# ---------------------------------------------------------------- figure

_COLORS = {
    "torch": "#e4572e",
    "torch-compile": "#f2a541",
    "jax": "#5b8def",
    "jax-scan": "#1f4fa3",
    "keras-jax": "#b05cc6",
    "keras-torch": "#6d2e82",
    "sklearn": "#2e9e6b",
    "numpy": "#7a7a7a",
}
_LEFT, _RIGHT, _ROW, _TOP = 290, 800, 34, 96


def figure(results: dict[str, Any]) -> str:
    """SVG: a line for each workload, a dot for each peer where its time is, as a multiple of nacre's (logarithmic)."""
    records = [r for r in results["tables"].get("training", []) if r["ratio"]]
    names = list(dict.fromkeys(r["workload"] for r in records))
    peers = [p for p in _COLORS if any(r["peer"] == p for r in records)]
    ratios = [r["ratio"] for r in records] or [1.0]
    low = math.floor(math.log2(min([1.0, *ratios])))
    high = max(low + 1, math.ceil(math.log2(max(ratios))))
    bottom = _TOP + _ROW * len(names)

    def across(ratio: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (math.log2(ratio) - low) / (high - low)

    out = [_text(24, 28, "Time of a training step, as a multiple of nacre's", "bold", size=16)]
    for n, peer in enumerate(peers):
        left, down = 24 + 200 * (n % 4), 50 + 20 * (n // 4)
        out += [_dot(left + 5, down - 4, _COLORS[peer]), _text(left + 16, down, PEERS[peer].label)]
    for power in range(low, high + 1):
        x = across(2.0**power)
        out.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{bottom}" class="{"one" if power == 0 else "grid"}"/>'
        )
        label = "nacre" if power == 0 else f"{2**power}x" if power > 0 else f"1/{2**-power}"
        out.append(_text(x, bottom + 18, label, anchor="middle"))
    for n, name in enumerate(names):
        y = _TOP + _ROW * n + _ROW / 2
        mine = {r["peer"]: r for r in records if r["workload"] == name}
        out.append(_text(_LEFT - 14, y + 4, next(iter(mine.values()))["network"], anchor="end"))
        out.append(f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}" class="grid"/>')
        out += [_dot(across(mine[peer]["ratio"]), y, _COLORS[peer]) for peer in peers if peer in mine]
    about = results["machine"]
    shown = {name for peer in ("nacre", *peers) for name in PEERS[peer].distributions} - {"jaxlib"}
    out.append(
        _text(
            24, bottom + 44, f"{about['processor']}, {about['processors']} processors, {results['date'][:10]}", size=11
        )
    )
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items() if name in shown)
    out.append(_text(24, bottom + 60, versions, size=11))
    style = (
        "text{font-family:system-ui,sans-serif;fill:#222}.bold{font-weight:600}"
        ".grid{stroke:#ddd}.one{stroke:#222;stroke-width:2}"
    )
    height = bottom + 76
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 840 {height}" width="840" height="{height}" role="img">'
    )
    white = f'<rect width="840" height="{height}" rx="6" fill="#fff"/>'
    return "\n".join([head, f"<style>{style}</style>", white, *out, "</svg>", ""])


def _dot(x: float, y: float, color: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5" fill="{color}" fill-opacity="0.9" stroke="#fff"/>'


def _text(x: float, y: float, words: str, style: str = "", anchor: str = "start", size: int = 13) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" class="{style}">'
        f"{html.escape(words)}</text>"
    )
