"""The machine: what it is, what it can do, and whether others are using it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def description() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    fields = [line.partition(":") for line in (info.read_text().splitlines() if info.exists() else [])]
    found = {key.strip(): value.strip() for key, _, value in reversed(fields)}
    flags = (found.get("flags") or found.get("Features") or "").split()
    return {
        "processor": found.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "instructions": [name for name in _INSTRUCTIONS if name in flags],
        "processors": processors(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
    }


class Peak:
    """What some threads can do at best: operations a second, and bytes read a second. Grows with every `measure`."""

    def __init__(self, folder: Path) -> None:
        self.operations: dict[int, float] = {}
        self.bandwidth: dict[int, float] = {}
        self._program = folder / "peak"
        self.missing = self._build()

    def measure(self, threads: int, rounds: int = 3) -> None:
        if self.missing:
            return
        command = [str(self._program), str(threads), str(rounds)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        operations, bandwidth = map(float, out.split())
        self.operations[threads] = max(operations, self.operations.get(threads, 0.0))
        self.bandwidth[threads] = max(bandwidth, self.bandwidth.get(threads, 0.0))

    def _build(self) -> str:
        """Why there is no such program; empty if there is one."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            return "no C compiler, so the machine's peak is not known"
        for machine in ("-march=native", "-mcpu=native"):
            flags = ["-O3", machine, "-ffp-contract=fast", "-pthread"]
            command = [compiler, *flags, str(HERE / "peak.c"), "-o", str(self._program)]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode == 0:
                return ""
        return f"{compiler} could not compile peak.c, so the machine's peak is not known"


def use_by_others(seconds: float) -> float | None:
    """The share of all processors' time that is in use, or stolen by other guests, while this process sleeps."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[1] == before[1]:
        return None
    return 1 - (after[0] - before[0]) / (after[1] - before[1])


def _ticks() -> tuple[int, int] | None:
    """Idle and all ticks since the start."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    ticks = [int(n) for n in stat.read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
