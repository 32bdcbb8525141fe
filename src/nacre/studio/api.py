"""How views are asked and answered: bodies with types, JSON back, errors as they read in a terminal, and streams of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nacre.errors import NacreError, UsageError

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder(enc_hook=lambda value: _plain(value))


def json(content: Any, status: int = 200) -> Response:
    """JSON of what views give: structs and dataclasses, NumPy's numbers and arrays among them. NaN and infinity become null."""
    return Response(_ENCODER.encode(content), status, media_type="application/json")


def ask(path: str, answer: Callable[..., Any]) -> Route:
    """``GET path``: what ``answer`` gives for the names in the path and the query, computed in a thread of its own."""

    async def answered(request: Request) -> Response:
        return json(await run_in_threadpool(answer, **{**request.query_params, **request.path_params}))

    return Route(path, answered, methods=["GET"], name=path)


def tell(path: str, answer: Callable[..., Any], body: type[T]) -> Route:
    """``POST path``: what ``answer`` gives for the body, which must be a ``body``, and the names in the path."""
    decoder = msgspec.json.Decoder(body)

    async def answered(request: Request) -> Response:
        try:
            given = decoder.decode(await request.body())
        except (msgspec.DecodeError, RecursionError) as error:
            raise UsageError(f"The studio cannot read this: {error}.") from error
        return json(await run_in_threadpool(answer, given, **request.path_params))

    return Route(path, answered, methods=["POST"], name=path)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST that says no more than its address."""


def stream(path: str, events: Callable[..., AsyncIterator[Any]]) -> Route:
    """``GET path``: what ``events`` yields, one server-sent event each, until the page goes away or the studio closes."""

    async def answered(request: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            source = aiter(events(**request.path_params))
            closing = asyncio.create_task(request.app.state.closing.wait())
            try:
                while True:
                    coming = asyncio.ensure_future(anext(source, None))
                    await asyncio.wait({coming, closing}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done() or (event := coming.result()) is None:
                        coming.cancel()
                        return
                    yield b"data: " + _ENCODER.encode(event) + b"\n\n"
            finally:
                closing.cancel()

        return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return Route(path, answered, methods=["GET"], name=path)


def refusals() -> Mapping[Any, Callable[[Request, Any], Awaitable[Response]]]:
    """What becomes of an error of nacre's: its message, and its hint by itself."""

    async def refused(_request: Request, error: NacreError) -> Response:
        said, hint = in_words(error)
        return json({"error": said, "hint": hint}, 400)

    return {NacreError: refused}


def in_words(error: NacreError) -> tuple[str, str]:
    """The message of an error in one line, and its hint.

    >>> in_words(UsageError("There is no layer 7.", {"layers": 3}, hint="0 to 2"))
    ('There is no layer 7. layers:  3', '0 to 2')
    """
    what, *details = map(str.strip, str(error).splitlines())
    hints = [line.removeprefix("try:").strip() for line in details if line.startswith("try:")]
    return " ".join([what, *(line for line in details if not line.startswith("try:"))]), " ".join(hints)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


__all__ = ["Nothing", "ask", "in_words", "json", "refusals", "stream", "tell"]
