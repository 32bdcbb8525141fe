"""Who may ask for what: before any application sees a request.

A page in a browser may send requests to programs on the same machine, also a page from far away. What stops it: the request names
the host it is meant for, which a foreign name that was made to point here (DNS rebinding) cannot hide; it says which page it comes
from; a body that is JSON cannot be sent by a form; and whoever has no token changes nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nacre.web.application import Refused, answer, told
from nacre.web.limits import Limits

JSON = "application/json"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
METHODS = (*_SAFE, "POST", "PUT", "PATCH", "DELETE")
_HELD = 4  # as many bodies of the largest size may be in memory at a time
_POLICY = (
    "default-src 'self'; script-src {scripts}; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_LOG = logging.getLogger(__name__)


class Guard:
    """An ASGI application around another one. What it lets through has a body that is whole, and within the limits.

    A request must be for one of ``hosts`` with the ``port`` (else 421; if "*" is among them, also for any address in figures),
    from one of our own pages or from no page (else 403), by one of the ``methods`` that its path has (else 405), and what it sends
    must be JSON (else 415). With a ``token``,
    requests that may change something, by their method, must show it (else 401), and with ``always`` all requests: as
    ``Authorization: Bearer``, as ``?token=``, which sets a cookie, or by that cookie. The cookie's name holds the port, for
    browsers send cookies to all ports of a host. Scripts run from files of the application alone, or if
    their hash ("sha256-...") is one of ``scripts``.
    """

    def __init__(
        self,
        app: ASGIApp,
        port: int,
        hosts: Collection[str] = LOOPBACK,
        token: str | None = None,
        always: bool = False,
        methods: Callable[[str], Collection[str]] = lambda _path: METHODS,
        limits: Limits | None = None,
        scripts: Collection[str] = (),
    ) -> None:
        self.methods = methods
        self.app, self.port, self.token, self.always = app, port, token, always
        self.limits = limits or Limits()
        self.numeric = "*" in hosts
        plain = [name.lower() for name in hosts]
        self.hosts = {f"{name}:{port}".encode() for name in plain} | {n.encode() for n in plain if port == 80}
        self.cookie = f"nacre-{port}"
        policy = _POLICY.format(scripts=" ".join(["'self'", *(f"'{one}'" for one in scripts)]))
        self.headers = [(b"content-security-policy", policy.encode()), *_HEADERS]
        self.held = 0  # bytes of bodies that are in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        headers = self.headers

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = list(message.get("headers", ()))
                own = {
                    name for name, _ in given
                }  # a policy that an application has for one answer takes the place of ours
                message["headers"] = [*given, *(one for one in headers if one[0] not in own)]
            await send(message)

        held = 0
        try:
            shown = self._check(scope)
            if shown:
                headers = [
                    *self.headers,
                    (b"set-cookie", f"{self.cookie}={shown}; Path=/; HttpOnly; SameSite=Strict".encode()),
                ]
            body = bytearray()
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                held += len(part)
                self.held += len(part)
                if held > self.limits.body:
                    raise self._too_large()
                if self.held > _HELD * self.limits.body:
                    raise Refused(503, "Too much is being sent at once.", [(b"retry-after", b"1"), *_CLOSE])
                body += part
                more = message.get("more_body", False)
            await self.app(scope, _whole(bytes(body), receive), sending)
        except Refused as error:
            if started:
                raise
            await answer(sending, error.status, told(error.message), headers=error.headers)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets one line, and the log the rest
            _LOG.exception("A request failed.")
            if not started:
                await answer(sending, 500, told("Something went wrong in the server."))
        finally:
            self.held -= held

    def _check(self, scope: Scope) -> str | None:
        """Refuse what the head of a request tells; the token, if it is to become a cookie."""
        hosts, origin, kind, length, authorization, cookies, site, use = [], None, b"", b"", b"", b"", b"", b""
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            elif name == b"origin":
                origin = value
            elif name == b"content-type":
                kind = value
            elif name == b"content-length":
                length = value
            elif name == b"authorization":
                authorization = value
            elif name == b"cookie":
                cookies = value
            elif name == b"sec-fetch-site":
                site = value
            elif name == b"sec-fetch-dest":
                use = value
        if len(hosts) != 1 or not self._is_ours(hosts[0].lower()):
            raise Refused(421, "This server does not answer for that host.", _CLOSE)
        if origin is not None and origin.lower() != b"http://" + hosts[0].lower():
            raise Refused(403, "Pages from elsewhere may not ask.", _CLOSE)
        if (
            site in (b"cross-site", b"same-site") and use != b"document"
        ):  # a link may lead here; pictures may not be had
            raise Refused(403, "Pages from elsewhere may not ask.", _CLOSE)
        allowed = self.methods(scope["path"])
        if scope["method"] not in allowed:
            told = ", ".join(allowed)
            raise Refused(405, f"Only {told} is done here.", [(b"allow", told.encode()), *_CLOSE])
        changing = scope["method"] not in _SAFE
        shown = self._check_token(scope["query_string"], authorization, cookies, changing)
        sent = kind.split(b";")[0].strip().lower().decode("latin-1")
        if changing and sent != JSON:
            raise Refused(415, f"Content-Type must be {JSON}, got {sent[:80]!r}.", _CLOSE)
        if length and int(length) > self.limits.body:
            raise self._too_large()
        return shown

    def _is_ours(self, host: bytes) -> bool:
        if host in self.hosts:
            return True
        name, _, port = host.decode("latin-1").rpartition(":")
        return self.numeric and port == str(self.port) and _is_address(name.removeprefix("[").removesuffix("]"))

    def _check_token(self, query: bytes, authorization: bytes, cookies: bytes, changing: bool) -> str | None:
        if self.token is None:
            return None
        asked = parse_qs(query.decode("latin-1")).get("token", [""])[0] if b"token=" in query else ""
        if asked and _same(asked, self.token):
            return self.token
        bearer = authorization.decode("latin-1")
        given = [bearer[7:].strip()] if bearer[:7].lower() == "bearer " else []
        for pair in cookies.decode("latin-1").split(";"):
            name, _, value = pair.strip().partition("=")
            given += [value] if name == self.cookie else []
        if (changing or self.always) and not any(_same(one, self.token) for one in given):
            raise Refused(401, "The token is missing or wrong.", [(b"www-authenticate", b"Bearer"), *_CLOSE])
        return None

    def _too_large(self) -> Refused:
        return Refused(413, f"A body may have at most {self.limits.body:,} bytes.", _CLOSE)


# Whoever was refused before the body was read does not get to send the rest of it.
_CLOSE = [(b"connection", b"close")]


def _whole(body: bytes, receive: Receive) -> Callable[[], Awaitable[Any]]:
    """A ``receive`` that has the whole body, and then waits for the client to leave."""
    waiting = True

    async def receiving() -> Any:
        nonlocal waiting
        if not waiting:
            return await receive()
        waiting = False
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _same(a: str, b: str) -> bool:
    """Whether they are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(a.encode(), b.encode())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
