"""What applications answer with: JSON, errors in one line, and files that were read beforehand."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

Headers = Iterable[tuple[bytes, bytes]]


class Refused(Exception):  # noqa: N818 - what happens to a request
    """A request that gets an error: its status, a short message for whoever asked, and headers. The message names no files."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, tuple(headers)


def told(message: str) -> bytes:
    """An error as it is told to clients.

    >>> told("There is no such model.")
    b'{"error":"There is no such model."}'
    """
    return json.dumps({"error": message}, separators=(",", ":")).encode()


async def answer(
    send: Send, status: int, body: bytes, kind: bytes = b"application/json", headers: Headers = ()
) -> None:
    """A whole answer."""
    fixed = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


def application(routes: Sequence[BaseRoute], refusals: Mapping[Any, Any] | None = None) -> Starlette:
    """An application of routes whose errors, those of its own and those of Starlette, are JSON; ``refusals`` handle more."""

    async def refused(_request: Request, error: Exception) -> Response:
        if isinstance(error, Refused):
            headers = {name.decode(): value.decode() for name, value in error.headers}
            return Response(told(error.message), error.status, headers, "application/json")
        if isinstance(error, HTTPException):
            return Response(told(f"{error.detail}."), error.status_code, error.headers, "application/json")
        return Response(told("Something went wrong in the server."), 500, media_type="application/json")

    own = {Refused: refused, HTTPException: refused, Exception: refused}
    return Starlette(routes=routes, exception_handlers={**own, **(refusals or {})})


class Assets:
    """The files of a folder of ours, read once: what is asked for is looked up by its name, and no path is ever made of it.

    An application for `starlette.routing.Mount`.
    """

    def __init__(self, folder: Path) -> None:
        self.files: Mapping[str, tuple[bytes, bytes]] = {
            file.relative_to(folder).as_posix(): (file.read_bytes(), kind_of(file.name))
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer with a file."""
        name = scope["path"].removeprefix(scope.get("root_path", "")).removeprefix("/")
        if scope["method"] not in ("GET", "HEAD"):
            raise Refused(405, "Files are only read.", [(b"allow", b"GET, HEAD")])
        if name not in self.files:
            raise Refused(404, "There is no such file.")
        body, kind = self.files[name]
        await answer(send, 200, body, kind, [(b"cache-control", b"no-cache")])


def kind_of(name: str) -> bytes:
    """The media type of a file, as browsers want to be told it.

    >>> kind_of("page.js"), kind_of("page.html")
    (b'text/javascript; charset=utf-8', b'text/html; charset=utf-8')
    """
    kind = "text/javascript" if name.endswith((".js", ".mjs")) else mimetypes.guess_type(name)[0]
    kind = kind or "application/octet-stream"
    return (f"{kind}; charset=utf-8" if kind.startswith("text/") else kind).encode()
