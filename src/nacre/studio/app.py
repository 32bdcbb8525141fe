"""The studio as one application: the page, its modules, and the views' answers. To add a view: a file here, and its name below."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from nacre.studio import inside, lessons, playground, runs
from nacre.studio.api import refusals

PAGE = Path(__file__).parent / "page"


def application(root: str | Path = "runs") -> Starlette:
    """The studio over the runs that lie in the folder ``root``; whoever serves it puts a guard around it.

    >>> [route.path for route in application().routes]
    ['/', '/api', '/static']
    """
    views = [*playground.routes(), *runs.routes(Path(root)), *inside.routes(Path(root)), *lessons.routes()]
    routes = [
        Route("/", _page),
        Mount("/api", routes=views),
        Mount("/static", StaticFiles(directory=PAGE)),
    ]
    return Starlette(routes=routes, exception_handlers=refusals())


async def _page(_request: Request) -> Response:
    return HTMLResponse((PAGE / "index.html").read_bytes())


def scripts() -> list[str]:
    """The hashes of what is written in the page itself, its map of modules: else, only files of the studio may run."""
    written = re.findall(
        r"<script type=\"importmap\">(.*?)</script>", (PAGE / "index.html").read_text("utf-8"), re.DOTALL
    )
    return [f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}" for text in written]
