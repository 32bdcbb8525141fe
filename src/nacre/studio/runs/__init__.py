"""What the view runs asks: the runs in a folder as they are, live, and what can be found out of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from nacre.errors import UsageError
from nacre.studio.api import Nothing, ask, stream, tell
from nacre.studio.folders import PAUSE, Followed, Runs, Summary
from nacre.studio.jobs import Job, Jobs
from nacre.studio.runs.curves import compared, detail
from nacre.studio.runs.looking import Looking

_MOST_REPORT = 1 << 26  # bytes
# A report is a file of whoever made the run: nothing in it runs, loads or belongs to the studio.
_ALONE = {"content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
_SLOWEST = (
    5.0  # seconds between two news of a training's progress: a page that draws them takes its part of the processor
)


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the doctor is asked for: to find what is wrong, or also to try the first fix in a fork."""

    kind: Literal["ask", "fix"]


class News(msgspec.Struct, frozen=True):
    """Runs that are new or others now, names of those that went away, and all jobs, if one has changed; first of all, ``all``."""

    runs: Sequence[Summary]
    gone: Sequence[str]
    jobs: Sequence[Job] | None
    all: bool


def routes(runs: Runs, jobs: Jobs) -> list[BaseRoute]:
    """Its addresses, below /api."""
    looking = Looking()

    async def news() -> AsyncIterator[News]:
        sent: dict[str, tuple[int, str, float]] = {}  # of each run: its version, its state, and when it was told
        told: list[Job] | None = None
        first = True
        while True:
            found = await run_in_threadpool(runs.all)
            at = time.time()
            changed = [run.summary for name, run in found.items() if run.summary and _is_news(run, sent.get(name), at)]
            gone = [name for name in sent if name not in found]
            for name in gone:
                del sent[name]
            for summary in changed:
                sent[summary.name] = found[summary.name].version, summary.state, at
            now = jobs.all()
            if first or changed or gone or now != told:
                yield News(changed, gone, None if now == told else now, first)
            told, first = now, False
            await asyncio.sleep(PAUSE)

    def start(body: Started, name: str) -> Job:
        fix = ["--fix"] if body.kind == "fix" else []
        return jobs.start(name, body.kind, ["doctor", "--json", *fix, "--", str(runs[name].place.resolve())])

    def listed() -> dict[str, Any]:
        found = [run.summary for run in runs.all().values()]
        return {"root": str(runs.root), "runs": found, "jobs": jobs.all()}

    async def report(request: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(_report, runs[request.path_params["name"]]), headers=_ALONE)

    return [
        ask("/runs", listed),
        Route("/runs/of/{name}/report", report, methods=["GET"]),
        stream("/runs/news", news),
        ask("/runs/compare/{names:path}", lambda names: compared(runs, names)),
        tell("/runs/jobs/{number}/cancel", lambda _body, number: jobs.cancel(number), Nothing),
        ask("/runs/of/{name}", lambda name: detail(runs[name])),
        ask("/runs/of/{name}/layers", lambda name: looking.layers(runs[name])),
        ask("/runs/of/{name}/confusion", lambda name: looking.confusion(runs[name])),
        ask(
            "/runs/of/{name}/cell/{truth:int}/{said:int}/{first:int}",
            lambda name, truth, said, first: looking.rows(runs[name], truth, said, first),
        ),
        tell("/runs/of/{name}/jobs", start, Started),
    ]


def _report(found: Followed) -> bytes:
    """The report.html of a run. Raises `UsageError` if there is none that can be shown."""
    path = found.run.report
    if not path.is_file():
        raise UsageError(f"The run {found.name!r} has no report yet.", hint="it is written when a training is over")
    if path.stat().st_size > _MOST_REPORT:
        raise UsageError(
            f"The report of {found.name!r} is larger than {_MOST_REPORT >> 20} MB.", hint="open it as a file"
        )
    return path.read_bytes()


def _is_news(run: Followed, sent: tuple[int, str, float] | None, now: float) -> bool:
    """Whether a page should hear of a run again: at once of another state, and of progress the less often the longer it trains."""
    assert run.summary is not None
    if sent is None or sent[1] != run.summary.state:
        return True
    return run.version != sent[0] and now - sent[2] >= min((now - run.summary.begun) / 3, _SLOWEST)
