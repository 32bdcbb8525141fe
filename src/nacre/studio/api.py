"""How views are asked and answered: bodies with types, JSON back, errors as they read in a terminal, and streams of events."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, TypeVar, cast

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from nacre.errors import NacreError, UsageError

T = TypeVar("T")

ANSWERING = "nacre-studio"  # the name of the threads that compute answers
_AT_ONCE = 8  # requests to one address that are computed at a time

_ENCODER = msgspec.json.Encoder(enc_hook=lambda value: _plain(value))


def json(content: Any, status: int = 200) -> Response:
    """JSON of what views give: structs and dataclasses, NumPy's numbers and arrays among them. NaN and infinity become null."""
    return Response(_ENCODER.encode(content), status, media_type="application/json")


def turns() -> Callable[[Callable[[], T]], Awaitable[T]]:
    """What computes functions in threads of their own, a few at a time: the others wait, and who asks for something else does not.
    These threads end with the program, whatever they are at.
    """
    free = asyncio.Semaphore(_AT_ONCE)

    async def computed(function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def tell(result: T | None, error: BaseException | None) -> None:
            if answer.cancelled():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(cast(T, result))

        def compute() -> None:
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - it is raised where it was asked for
                error = raised
            with suppress(RuntimeError):  # the server has stopped, and its loop is closed
                loop.call_soon_threadsafe(tell, result, error)

        async with free:
            Thread(target=compute, name=ANSWERING, daemon=True).start()
            return await answer

    return computed


def ask(path: str, answer: Callable[..., Any]) -> Route:
    """``GET path``: what ``answer`` gives for the names in the path and the query, computed in a thread of its own."""
    computed = turns()
    takes = inspect.signature(answer).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in takes.values())

    async def answered(request: Request) -> Response:
        said = {name: text for name, text in request.query_params.items() if name != "token"}  # which is the guard's
        for name in said:
            if name not in takes and not takes_all:
                raise UsageError(f"Nothing called {name[:40]!r} can be said here.")
        return json(await computed(partial(answer, **{**said, **request.path_params})))

    return Route(path, answered, methods=["GET"], name=path)


def tell(path: str, answer: Callable[..., Any], body: type[T]) -> Route:
    """``POST path``: what ``answer`` gives for the body, which must be a ``body``, and the names in the path."""
    decoder, computed = msgspec.json.Decoder(body), turns()

    async def answered(request: Request) -> Response:
        try:
            given = decoder.decode(await request.body())
        except (msgspec.DecodeError, RecursionError) as error:
            raise UsageError(f"The studio cannot read this: {error}.") from error
        return json(await computed(partial(answer, given, **request.path_params)))

    return Route(path, answered, methods=["POST"], name=path)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST that says no more than its address."""


def stream(path: str, events: Callable[..., AsyncIterator[Any]]) -> Route:
    """``GET path``: what ``events`` yields, one server-sent event each, until the page goes away or the studio closes."""
    computed = turns()

    async def answered(request: Request) -> Response:
        source = aiter(
            await computed(partial(events, **request.path_params))
        )  # what it refuses comes before the stream

        async def lines() -> AsyncIterator[bytes]:
            coming = closing = asyncio.create_task(request.app.state.closing.wait())
            try:
                while True:
                    coming = asyncio.ensure_future(anext(source, None))
                    await asyncio.wait({coming, closing}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done() or (event := coming.result()) is None:
                        return
                    yield b"data: " + _ENCODER.encode(event) + b"\n\n"
            finally:
                closing.cancel()
                coming.cancel()  # else it would wait for news that nobody hears

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
    ('There is no layer 7. layers: 3', '0 to 2')
    """
    return " ".join([error.what, *(f"{name}: {found}" for name, found in error.details.items())]), error.hint


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


__all__ = ["ANSWERING", "Nothing", "ask", "in_words", "json", "refusals", "stream", "tell", "turns"]
