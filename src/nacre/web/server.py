"""Listening on a port, until a signal comes."""

from __future__ import annotations

import errno
import ipaddress
import re
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from nacre.errors import UsageError
from nacre.web.guard import LOOPBACK, METHODS, Guard
from nacre.web.limits import Limits
from nacre.web.protocol import Protocol

_FIRST, _TRIED = 8765, 100  # ports, when none is asked for
_BACKLOG = 512
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")  # what needs no quotes in an address, a header or a cookie


def run(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int | None = None,
    *,
    token: str | None = None,
    methods: Callable[[str], Collection[str]] = lambda _path: METHODS,
    limits: Limits | None = None,
    scripts: Collection[str] = (),
    started: Callable[[str], object] = print,
    stopping: Callable[[], object] = lambda: None,
) -> None:
    """Serve an application, behind a `Guard`, until SIGINT or SIGTERM; then running requests are finished, and this returns.

    ``started`` is called with the address once clients may come, ``stopping`` when a signal has come. The first free port from
    8765 on is taken if none is named. With a ``token``, what may change something has to show it. If the host is no loopback
    address, every request has to, and there is always one; the address then holds it.
    ``methods`` tells which methods a path has.

    Raises `UsageError` for a host or a port that cannot be had, and for a token that does not fit into an address.
    """
    listening = _listen(host, port)
    try:
        server, url = _server(app, host, listening, token, methods, limits or Limits(), stopping, scripts)
        server.opened = lambda: started(url)
        server.run([listening])
    finally:
        listening.close()


@contextmanager
def running(
    app: ASGIApp,
    *,
    token: str | None = None,
    methods: Callable[[str], Collection[str]] = lambda _path: METHODS,
    limits: Limits | None = None,
    scripts: Collection[str] = (),
    stopping: Callable[[], object] = lambda: None,
) -> Iterator[str]:
    """As `run`, on a free port and in a thread: the address, without the token, for as long as the context lasts."""
    listening = _listen("127.0.0.1", 0)
    server, url = _server(app, "127.0.0.1", listening, token, methods, limits or Limits(), stopping, scripts)
    opened = threading.Event()
    server.opened = opened.set
    thread = threading.Thread(target=server.run, args=([listening],), name="nacre-web")
    thread.start()
    try:
        while not opened.wait(0.05) and thread.is_alive():
            pass
        yield url.partition("/?")[0].removesuffix("/")
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it begins and when it ends, and takes a signal as a wish rather than as a failure."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], object]) -> None:
        super().__init__(config)
        self.opened: Callable[[], object] = lambda: None
        self.stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.stopping()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def _server(
    app: ASGIApp,
    host: str,
    listening: socket.socket,
    token: str | None,
    methods: Callable[[str], Collection[str]],
    limits: Limits,
    stopping: Callable[[], object],
    scripts: Collection[str],
) -> tuple[_Server, str]:
    """A server for a socket, and its address."""
    address, port = listening.getsockname()[:2]
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError("A token is letters, figures, dots, dashes, underscores and tildes.", hint="leave it out")
    local = ipaddress.ip_address(address).is_loopback
    if not local:
        token = token or secrets.token_urlsafe(24)
    names, shown = _names(host, address)
    guard = Guard(app, port, names, token, not local, methods, limits, scripts)
    config = uvicorn.Config(
        guard,
        http=cast(Any, partial(Protocol, limits, {})),
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,  # or a client could say who it is
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=limits.idle,
        timeout_graceful_shutdown=limits.grace,
    )
    return _Server(config, stopping), f"http://{shown}:{port}/{f'?token={token}' if token else ''}"


def _names(host: str, address: str) -> tuple[list[str], str]:
    """By which names clients may ask for this machine, and the one to show."""
    place = ipaddress.ip_address(address)
    literal = f"[{address}]" if place.version == 6 else address
    if place.is_loopback:
        return [*LOOPBACK, literal], literal
    if place.is_unspecified:
        name = socket.gethostname()
        return [*LOOPBACK, name, "*"], name
    return list(dict.fromkeys([literal, host])), literal


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens, on the first free port if none is named."""
    try:
        found = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"There is no host called {host!r}.", hint="--host 127.0.0.1") from error
    family, _, _, _, place = min(found, key=lambda one: one[0] != socket.AF_INET)
    for number in [port] if port is not None else range(_FIRST, _FIRST + _TRIED):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((place[0], number, *place[2:]))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            if error.errno == errno.EADDRINUSE and port is None:
                continue
            if error.errno == errno.EADDRINUSE:
                raise UsageError(f"Port {port} is in use.", hint="another --port, or none, for a free one") from error
            raise UsageError(f"Cannot listen on {host}, port {number}: {error.strerror}.") from error
        else:
            return listening
    raise UsageError(f"Ports {_FIRST} to {_FIRST + _TRIED - 1} are all in use.", hint="--port NUMBER")
