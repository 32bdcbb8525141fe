"""The studio as one application: the page, its modules, and the views' answers. To add a view: a file here, and its name below."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from nacre import web
from nacre.studio import inside, lessons, playground, runs
from nacre.studio.api import refusals
from nacre.studio.folders import Runs
from nacre.studio.jobs import Jobs
from nacre.web import Assets

PAGE = Path(__file__).parent / "page"


def application(root: str | Path = "runs") -> Starlette:
    """The studio over the runs that lie in the folder ``root``; whoever serves it puts a guard around it.

    >>> [route.path for route in application().routes]
    ['/', '/api', '/static']
    """
    found, jobs = Runs(Path(root)), Jobs()
    views = [*playground.routes(), *runs.routes(found, jobs), *inside.routes(found, jobs), *lessons.routes()]
    routes = [
        Route("/", _page),
        Mount("/api", routes=views),
        Mount("/static", Assets(PAGE)),
    ]
    made = web.application(routes, refusals())
    made.state.closing = asyncio.Event()  # which ends the streams
    return made


def run(root: Path, host: str, port: int | None, token: str | None, started: Callable[[str], object]) -> None:
    """Serve the studio over ``root`` until SIGINT or SIGTERM. Who has no token, by default one that nobody can guess, changes
    nothing; ``started`` is told the address that holds it. Raises `UsageError` for a host or a port that cannot be had.
    """
    app = application(root)
    web.run(
        app,
        host,
        port,
        token=token or secrets.token_urlsafe(24),
        started=started,
        stopping=app.state.closing.set,
        scripts=scripts(),
    )


async def _page(_request: Request) -> Response:
    return HTMLResponse((PAGE / "index.html").read_bytes())


def scripts() -> list[str]:
    """The hashes of what is written in the page itself, its map of modules: else, only files of the studio may run."""
    written = re.findall(
        r"<script type=\"importmap\">(.*?)</script>", (PAGE / "index.html").read_text("utf-8"), re.DOTALL
    )
    return [f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in written]
