"""Talking HTTP by hand, so that nothing is said properly unless a test wants it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(url: str, timeout: float = 5) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port), timeout)


def port_of(url: str) -> int:
    return urlsplit(url).port or 80


def read(connection: socket.socket) -> Reply:
    """One answer; status 0 if the server closes without one."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = _received(connection)
        if not more:
            return Reply(0, {}, data)
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        more = _received(connection)
        if not more:
            break
        body += more
    return Reply(int(lines[0].split()[1]), headers, body)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionResetError:
        return b""


def raw(url: str, *pieces: bytes) -> Reply:
    """Send bytes as they are."""
    with connect(url) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read(connection)


def ask(
    url: str,
    path: str = "/",
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    host: str | None = None,
) -> Reply:
    """A request that is as it should be, but for what is given."""
    given = list(headers.items() if isinstance(headers, Mapping) else headers)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or urlsplit(url).netloc}"]
    lines += [f"{name}: {value}" for name, value in given]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return raw(url, "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b""))
