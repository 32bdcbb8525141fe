"""The studio as one application: the page, its modules, and the views' answers. To add a view: a file here, and its name below."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import secrets
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from nacre import web
from nacre.studio import inside, lessons, playground, runs
from nacre.studio.api import ANSWERING, refusals
from nacre.studio.folders import Runs
from nacre.studio.jobs import Jobs
from nacre.studio.playground.player import PLAYING, Players
from nacre.web import Assets, Limits

PAGE = Path(__file__).parent / "page"
_LIMITS = Limits(grace=1)  # who ends the studio leaves the page, too: what is still computed is for nobody


def application(root: str | Path = "runs") -> Starlette:
    """The studio over the runs that lie in the folder ``root``; whoever serves it puts a guard around it.

    >>> [route.path for route in application().routes]
    ['/', '/api', '/static']
    """
    found, jobs, players = Runs(Path(root)), Jobs(), Players()
    views = [*playground.routes(players), *runs.routes(found, jobs), *inside.routes(found, jobs), *lessons.routes()]
    routes = [
        Route("/", _page),
        Mount("/api", routes=views),
        Mount("/static", Assets(PAGE)),
    ]
    made = web.application(routes, refusals())
    made.state.closing = asyncio.Event()  # which ends the streams
    made.state.players, made.state.jobs = players, jobs
    return made


def run(root: Path, host: str, port: int | None, token: str | None, started: Callable[[str], object]) -> None:
    """Serve the studio over ``root`` until SIGINT or SIGTERM. Who has no token, by default one that nobody can guess, changes
    nothing; ``started`` is told the address that holds it. Raises `UsageError` for a host or a port that cannot be had.
    """
    app = application(root)

    def stopping() -> None:
        app.state.closing.set()
        app.state.players.close()

    web.run(
        app,
        host,
        port,
        token=token or secrets.token_urlsafe(24),
        started=started,
        stopping=stopping,
        scripts=scripts(),
        limits=_LIMITS,
    )
    if any(thread.name in (PLAYING, ANSWERING) for thread in threading.enumerate()):
        # They compute in the engine, which notices Ctrl-C for the first thread alone, and the interpreter cannot end below them.
        app.state.jobs.close()
        sys.stdout.flush()
        os._exit(0)


async def _page(_request: Request) -> Response:
    return HTMLResponse((PAGE / "index.html").read_bytes())


def scripts() -> list[str]:
    """The hashes of what is written in the page itself, its map of modules: else, only files of the studio may run."""
    written = re.findall(
        r"<script type=\"importmap\">(.*?)</script>", (PAGE / "index.html").read_text("utf-8"), re.DOTALL
    )
    return [f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in written]
