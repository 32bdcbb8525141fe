"""How much a client may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds: ``deadline`` for a whole request, head and body, from its first byte; ``idle`` between two requests; ``grace`` for
    running requests when the server stops. Bytes: of an address, of all headers, of a body. Numbers: headers, and connections, of
    which the one that has waited longest makes room for a new one."""

    deadline: float = 20.0
    idle: int = 60
    grace: int = 8
    url: int = 8 << 10
    header: int = 64 << 10
    headers: int = 100
    body: int = 64 << 20
    connections: int = 512
