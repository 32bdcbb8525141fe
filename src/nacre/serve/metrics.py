"""Counters of a server, in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

import bisect
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Histogram:
    """How often values fell below each of some bounds, and their sum.

    >>> seen = Histogram([1, 2])
    >>> for value in (1, 2, 2, 9): seen.observe(value)
    >>> list(seen.lines("size", {"model": "a"}))[:3]
    ['size_bucket{model="a",le="1"} 1', 'size_bucket{model="a",le="2"} 3', 'size_bucket{model="a",le="+Inf"} 4']
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts, self.total = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.total += value

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterable[str]:
        """As text."""
        for bound, count in zip([*(f"{b:g}" for b in self.bounds), "+Inf"], accumulate(self.counts), strict=True):
            yield f"{name}_bucket{_labels({**labels, 'le': bound})} {count}"
        yield f"{name}_sum{_labels(labels)} {self.total:.9g}"
        yield f"{name}_count{_labels(labels)} {sum(self.counts)}"


class Metrics:
    """What a server counts. All methods are called in the thread of its event loop."""

    def __init__(self, models: Iterable[str]) -> None:
        names = list(models)
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.latency: dict[tuple[str, str], Histogram] = {}
        self.sizes = {name: Histogram(_SIZES) for name in names}
        self.rows: Counter[str] = Counter(dict.fromkeys(names, 0))

    def request(self, model: str, route: str, code: int, seconds: float) -> None:
        """A request was answered."""
        self.requests[model, route, code] += 1
        if (model, route) not in self.latency:
            self.latency[model, route] = Histogram(_SECONDS)
        self.latency[model, route].observe(seconds)

    def batch(self, model: str, rows: int) -> None:
        """So many rows were computed together."""
        self.sizes[model].observe(rows)
        self.rows[model] += rows

    def text(self, queued: Mapping[str, int]) -> str:
        """All of it; ``queued`` are the requests that wait, by model."""
        lines = _family("nacre_requests_total", "counter", "Requests that were answered.")
        lines += [
            f"nacre_requests_total{_labels({'model': model, 'route': route, 'code': str(code)})} {count}"
            for (model, route, code), count in sorted(self.requests.items())
        ]
        lines += _family("nacre_request_duration_seconds", "histogram", "From a whole request to its answer.")
        for (model, route), histogram in sorted(self.latency.items()):
            lines += histogram.lines("nacre_request_duration_seconds", {"model": model, "route": route})
        lines += _family("nacre_batch_size", "histogram", "Rows that were computed together.")
        for model, histogram in self.sizes.items():
            lines += histogram.lines("nacre_batch_size", {"model": model})
        lines += _family("nacre_rows_total", "counter", "Rows that were predicted.")
        lines += [f"nacre_rows_total{_labels({'model': model})} {count}" for model, count in self.rows.items()]
        lines += _family("nacre_queue_length", "gauge", "Requests that wait for a prediction.")
        lines += [f"nacre_queue_length{_labels({'model': model})} {count}" for model, count in queued.items()]
        return "\n".join([*lines, *_memory(), ""])


def _family(name: str, kind: str, told: str) -> list[str]:
    return [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]


def _labels(labels: Mapping[str, str]) -> str:
    """Labels as text; names of models and routes hold no quotes."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def _memory() -> list[str]:
    """The memory that the process has now, where the system tells it in the way of Linux."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return []
    name, pages = "process_resident_memory_bytes", int(statistics.read_text().split()[1])
    return [*_family(name, "gauge", "Memory of the process."), f"{name} {pages * os.sysconf('SC_PAGE_SIZE')}"]
