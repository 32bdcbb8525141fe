"""The studio under people who mean it no good: nothing stops others from being answered, and nothing stays behind."""

from __future__ import annotations

import asyncio
import http.client
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from starlette.testclient import TestClient

from nacre.errors import DataError, UsageError
from nacre.studio import api, application, jobs
from nacre.studio.jobs import Jobs
from nacre.studio.playground.data import looked_at
from nacre.studio.playground.player import Player, Players
from nacre.studio.playground.recipe import Recipe
from nacre.web import application as made
from nacre.web import running

MOST = 8  # plays


def comes(true: Callable[[], object]) -> bool:
    """Whether it becomes true before long."""
    until = time.monotonic() + 20
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(true())


def get(url: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(application(tmp_path), raise_server_exceptions=False) as one:
        yield one


@pytest.mark.parametrize("path", ["/api/runs", "/api/lessons", "/api/lessons/tangent", "/api/inside/models"])
def test_what_nobody_asks_for_is_refused_and_the_token_is_not(client: TestClient, path: str) -> None:
    answer = client.get(path, params={"nonsense": "1"})
    assert (answer.status_code, "nonsense" in answer.json()["error"]) == (400, True)
    assert client.get(path, params={"token": "any"}).status_code == 200


def test_the_events_of_a_play_that_is_not_there_are_refused_before_they_begin(client: TestClient) -> None:
    answer = client.get("/api/playground/none/events")
    assert (answer.status_code, "not open" in answer.json()["error"]) == (400, True)


def test_whoever_takes_long_keeps_nobody_from_something_else() -> None:
    go_on, begun = Event(), []

    def slow() -> str:
        begun.append(threading.current_thread())
        assert go_on.wait(60)
        return "done"

    app = made([api.ask("/slow", slow), api.ask("/quick", lambda: "here")], api.refusals())
    given: list[tuple[int, bytes]] = []
    with running(app) as url:
        asking = [Thread(target=lambda: given.append(get(url, "/slow"))) for _ in range(60)]
        for one in asking:
            one.start()
        assert comes(lambda: len(begun) == 8)
        assert get(url, "/quick") == (200, b'"here"')
        assert len(begun) == 8
        assert all(thread.daemon for thread in begun)  # else the program could not end
        go_on.set()
        for one in asking:
            one.join()
    assert given == [(200, b'"done"')] * 60


def test_nobody_waits_for_news_for_a_page_that_has_gone() -> None:
    waiting: list[int] = []

    async def events() -> AsyncIterator[Any]:
        waiting.append(1)
        try:
            yield "first"
            await asyncio.sleep(600)
        finally:
            waiting.pop()

    app = made([api.stream("/news", events)])
    app.state.closing = asyncio.Event()
    with running(app) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
        connection.request("GET", "/news")
        answer = connection.getresponse()
        assert answer.readline() == b'data: "first"\n'
        assert waiting == [1]
        answer.close()
        connection.close()
        assert comes(lambda: not waiting)


def test_there_are_never_more_plays_than_are_allowed() -> None:
    players, before = Players(), threading.active_count()
    opening = [Thread(target=players.open, args=(Recipe(),)) for _ in range(3 * MOST)]
    for one in opening:
        one.start()
    for one in opening:
        one.join()
    assert threading.active_count() - before <= MOST


def test_a_play_that_takes_many_steps_ends_when_it_should() -> None:
    player = Player(Recipe(), lambda _recipe: None)

    def ask() -> None:
        with pytest.raises(UsageError, match="has ended"):
            player.do(lambda: player.take(10**9))

    asked = Thread(target=ask)
    asked.start()
    assert comes(lambda: player.session.step)
    player.end()
    asked.join()
    assert 0 < player.session.step < 10**9


def test_who_waits_for_a_play_that_ends_waits_no_longer_however_long_its_step_takes() -> None:
    player, go_on, said = Player(Recipe(), lambda _recipe: None), Event(), list[str]()
    begun = Event()

    def ask(what: Callable[[], Any]) -> None:
        with pytest.raises(UsageError) as found:
            player.do(what)
        said.append(str(found.value).splitlines()[0])

    asked = [Thread(target=ask, args=(lambda: (begun.set(), go_on.wait(60)),)), Thread(target=ask, args=(dict,))]
    asked[0].start()
    assert begun.wait(20)
    asked[1].start()
    player.end(0.0)
    for one in asked:
        one.join(20)
    go_on.set()
    assert said == ["This play has ended."] * 2


@pytest.mark.parametrize(
    "text", ["," * 100_000, '"a\n"' + "," * 100_000, "a,b\n" + "," * 100_000, "a;b\n" + ";" * 100_000]
)
def test_a_table_of_no_end_of_columns_is_refused_before_it_is_read(text: str) -> None:
    with pytest.raises(DataError, match=r"line of 100,001 columns; at most 2,000"):
        looked_at(text)


def test_a_training_that_is_refused_leaves_no_folder(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise UsageError("Too many.")

    monkeypatch.setattr(Jobs, "start", refuse)
    assert client.post("/api/inside/train", json={}).status_code == 400
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_does_not_listen_ends_with_the_studio_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = tmp_path / "ready"
    deaf = tmp_path / "deaf.py"
    deaf.write_text(
        f"#!{sys.executable}\nimport pathlib, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(ready)!r}).touch()\ntime.sleep(600)\n"
    )
    deaf.chmod(0o700)
    monkeypatch.setattr(jobs.sys, "executable", str(deaf))
    monkeypatch.setattr(jobs, "_LEAVE", 0.1)
    started = Jobs()
    started.start("any", "ask", [])
    assert comes(ready.exists)
    started.close()
    assert comes(lambda: started.all()[0].state == "canceled")


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70])
def test_a_seed_that_is_none_is_refused_and_the_play_goes_on(client: TestClient, seed: int) -> None:
    play = client.post("/api/playground/open", json={}).json()["id"]
    assert client.post(f"/api/playground/{play}/begin", json={"seed": seed}).status_code == 400
    assert client.get(f"/api/playground/{play}").status_code == 200
