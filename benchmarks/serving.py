"""The command `python -m benchmarks.serving`: how long answers of `nacre serve` take, and how many there are, beside FastAPI.

Latency is measured open loop: requests are sent when they are due, whether or not others were answered, and the time counts from
then on. So a server that stops for a moment cannot hide it. Throughput is measured closed loop: each connection sends the next
request when it has the answer. The load comes from this process, single rows in the shape of MNIST; every answer is compared with
the model's.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np
import numpy.typing as npt

import nacre

WIDTHS = (784, 128, 10)
BODIES = 64  # different requests
_SPIN = 0.0015  # seconds before a request is due in which nothing sleeps: the system wakes nobody that exactly
_SERVICE = Path(__file__).parent / "fastapi_service.py"


@dataclass
class _Connection:
    """A connection, and the request that is under way on it: its number, when it was due, and what has come back."""

    socket: socket.socket
    number: int = 0
    due: float = 0.0
    answer: bytearray = field(default_factory=bytearray)


@dataclass
class Measured:
    """Latencies in seconds, one for each request; how many answers were wrong; and the time in all."""

    latencies: npt.NDArray[np.float64]
    errors: int
    seconds: float

    def told(self) -> dict[str, float]:
        """In milliseconds."""
        p50, p99, p999 = np.quantile(self.latencies, [0.5, 0.99, 0.999]) * 1e3
        most = float(self.latencies.max()) * 1e3
        figures = {"p50_ms": p50, "p99_ms": p99, "p999_ms": p999, "max_ms": most}
        figures |= {"per_second": len(self.latencies) / self.seconds}
        return {name: round(float(value), 3) for name, value in figures.items()} | {"errors": self.errors}


def load(
    url: str,
    bodies: Sequence[bytes],
    expected: npt.NDArray[np.float32],
    count: int,
    connections: int,
    rate: float | None = None,
) -> Measured:
    """Send ``count`` requests over so many connections: ``rate`` a second, or each as soon as a connection is free."""
    place = urlsplit(url)
    head = f"POST /predict HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\nContent-Length: "
    requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
    known: dict[tuple[int, bytes], bool] = {}  # answers that were compared already
    latencies, errors, sent, done = np.empty(count), 0, 0, 0
    with selectors.DefaultSelector() as selector:
        free: deque[_Connection] = deque()
        for _ in range(connections):
            free.append(_Connection(socket.create_connection((place.hostname, place.port))))
            free[-1].socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(free[-1].socket, selectors.EVENT_READ, free[-1])
        begin = time.perf_counter()
        while done < count:
            now = time.perf_counter()
            while sent < count and free and (rate is None or begin + sent / rate <= now):
                one = free.popleft()
                one.number, one.due = sent, now if rate is None else begin + sent / rate
                one.socket.sendall(requests[sent % len(requests)])
                sent += 1
                now = time.perf_counter()
            wait: float | None = None  # until an answer comes
            if free and sent < count and rate is not None:
                until = begin + sent / rate - now
                wait = 0 if until < _SPIN else until - _SPIN / 2
            for key, _ in selector.select(wait):
                one = key.data
                more = one.socket.recv(65536)
                if not more:
                    raise ConnectionError("The server closed a connection.")
                one.answer += more
                body = _whole(one.answer)
                if body is None:
                    continue
                latencies[one.number] = time.perf_counter() - one.due
                which = one.number % len(bodies), bytes(one.answer[:12]) + body
                if which not in known:
                    known[which] = _is_right(one.answer, body, expected[which[0]])
                errors += not known[which]
                one.answer.clear()
                free.append(one)
                done += 1
        seconds = time.perf_counter() - begin
        for one in free:
            one.socket.close()
    return Measured(latencies, errors, seconds)


def _whole(answer: bytearray) -> bytes | None:
    """The body of an answer, when all of it is there."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return bytes(body) if len(body) == length else None


def _is_right(answer: bytearray, body: bytes, expected: npt.NDArray[np.float32]) -> bool:
    return answer.startswith(b"HTTP/1.1 200") and np.allclose(json.loads(body)["predictions"], expected, atol=1e-5)


@contextmanager
def _running(command: Sequence[str], port: int | None = None) -> Iterator[str]:
    """The address of a server in a process of its own, which prints it, unless the port is known beforehand."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            if port is None:
                assert server.stdout is not None
                yield json.loads(server.stdout.readline())["url"]
                return
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise click.ClickException("The peer did not start.") from None
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@click.command()
@click.option("--requests", default=100_000, show_default=True, help="How many, for latency and for throughput.")
@click.option("--rate", default=1000.0, show_default=True, help="Requests a second, for latency.")
@click.option("--connections", default=32, show_default=True, help="That are kept alive.")
@click.option("--python", help="The Python that has torch, fastapi and uvicorn, for the peer.  [default: no peer]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write what was measured.")
def main(requests: int, rate: float, connections: int, python: str | None, json_file: Path | None) -> None:
    """Measure the latency and the throughput of nacre serve, and of FastAPI with PyTorch."""
    nacre.utils.set_random_seed(0)
    dense = nacre.layers.Dense
    model = nacre.Sequential([nacre.Input(WIDTHS[:1]), dense(WIDTHS[1], "relu"), dense(WIDTHS[2], "softmax")])
    x = (np.random.default_rng(0).integers(0, 256, (BODIES, WIDTHS[0])) / 255).round(4)
    expected = model.predict(x, verbose=0)
    bodies = [json.dumps({"instances": [row.tolist()]}).encode() for row in x]
    found: dict[str, Any] = {"requests": requests, "rate": rate, "connections": connections, "servers": {}}
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "model.safetensors"))
        k0, b0, k1, b1 = model.get_weights()
        np.savez(Path(folder, "weights.npz"), kernel_0=k0, bias_0=b0, kernel_1=k1, bias_1=b1)
        nacre_command = [sys.executable, "-m", "nacre", "serve", f"{folder}/model.safetensors", "--port", "0", "--json"]
        servers: dict[str, tuple[list[str], int | None]] = {"nacre": (nacre_command, None)}
        if python:
            port = _free_port()
            servers["fastapi"] = ([python, str(_SERVICE), f"{folder}/weights.npz", str(port)], port)
        for name, (command, known_port) in servers.items():
            with _running(command, known_port) as url:
                load(url, bodies, expected, max(BODIES, requests // 100), connections)  # until it is warm
                latency = load(url, bodies, expected, requests, connections, rate).told()
                throughput = load(url, bodies, expected, requests, connections).told()
            found["servers"][name] = {"open_loop": latency, "closed_loop": throughput}
            click.echo(f"{name:<8} at {rate:g}/s: " + _line(latency))
            click.echo(f"{'':<8} at most: " + _line(throughput))
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=1) + "\n")


def _line(told: dict[str, float]) -> str:
    names = {"p50_ms": "p50", "p99_ms": "p99", "p999_ms": "p99.9", "max_ms": "max"}
    parts = [f"{short} {told[name]:.2f} ms" for name, short in names.items()]
    return ", ".join([*parts, f"{told['per_second']:,.0f}/s", f"{told['errors']} errors"])


if __name__ == "__main__":
    main()
