"""HTTP/1.1 on one connection, with limits on what a client may send, and how slowly."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from nacre.web.application import told
from nacre.web.limits import Limits

_PIPELINED = 16  # requests that may wait for the one before them


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with `Limits`. ``waiting`` is shared by all connections of a server: those that wait for their client,
    the longest waiting first."""

    def __init__(
        self,
        limits: Limits,
        waiting: dict[Protocol, None],
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits, self.waiting = limits, waiting
        self.late: asyncio.TimerHandle | None = None  # when the request must be whole
        self.whole = True  # no request has begun that is not
        self.in_body = False
        self.head = 0  # bytes of a head that is not over yet
        self.count = self.size = 0  # headers of this request, and their bytes
        self.refusal = (400, "This is no HTTP/1.1 request.")
        self.deaf = False  # what else comes is not looked at

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came: it has to send something before long."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            if not self.waiting:
                self.refuse(503, "Too many connections.")
                return
            longest = next(iter(self.waiting))
            self.waiting.pop(longest)
            longest.transport.close()
        self.waiting[self] = None
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self.waiting.pop(self, None)
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse some bytes. The first of a request starts its deadline, the last one ends it."""
        if self.deaf:
            return
        self.whole = False
        self.head += 0 if self.in_body else len(data)
        super().data_received(data)
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        if self.whole or self.deaf:
            self._unset_deadline()
        elif self.late is None:
            self._set_deadline()
        if self.head > self.limits.url + self.limits.header and not self.deaf:
            self.refuse(*(_LONG_HEADERS if self.count else _LONG_ADDRESS))

    def on_message_begin(self) -> None:
        """A request begins."""
        self.whole, self.count, self.size = False, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Some more of the address."""
        super().on_url(url)
        if len(self.url) > self.limits.url:
            self._stop(*_LONG_ADDRESS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self.count += 1
        self.size += len(name) + len(value)
        if self.count > self.limits.headers or self.size > self.limits.header:
            self._stop(*_LONG_HEADERS)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request is over."""
        self.in_body, self.head = True, 0  # a body is measured by the guard
        if not self.url.startswith(b"/"):
            self._stop(400, "The target of a request begins with a slash.")
        if len(self.pipeline) >= _PIPELINED:
            self._stop(429, "Too many requests at once on one connection.")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self.whole, self.in_body = True, False
        self.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request has its answer."""
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self.waiting[self] = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """What the parser did not take, or we stopped."""
        self.refuse(*self.refusal)

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error, or if the client waits for another answer, with that one; and close."""
        self.deaf = True
        self._unset_deadline()
        self._unset_keepalive_if_required()
        cycle = self.cycle
        running = cycle is not None and not cycle.response_complete
        if running and not cycle.more_body:  # requests before this one were whole: they get their answers first
            cycle.keep_alive = False
            return
        if not running or not (cycle.response_started or self.pipeline):
            body = told(message)
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            self.transport.write(STATUS_LINE[status] + head + body)
        if running:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()

    def _stop(self, status: int, message: str) -> None:
        self.refusal = (status, message)
        raise ValueError(message)  # which the parser hands on

    def _set_deadline(self) -> None:
        self.late = self.loop.call_later(self.limits.deadline, self._is_late)

    def _unset_deadline(self) -> None:
        if self.late is not None:
            self.late.cancel()
            self.late = None

    def _is_late(self) -> None:
        if self.whole:  # it never sent anything
            self.transport.close()
        else:
            self.refuse(408, f"The request was not whole after {self.limits.deadline:g} s.")


_LONG_ADDRESS = (414, "The address is too long.")
_LONG_HEADERS = (431, "The headers are too many or too long.")
