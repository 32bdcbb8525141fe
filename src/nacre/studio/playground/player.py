"""Plays that go on by themselves: each has a thread, which computes, does what it is asked in turn, and gives the newest frame."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from nacre.errors import NacreError, UsageError
from nacre.studio.api import in_words
from nacre.studio.playground.recipe import Recipe
from nacre.studio.playground.session import Session

T = TypeVar("T")

PLAYING = "playground"  # the name of the threads of plays
FRAMES = 36  # a second, at most: some more than 30, for a page misses one now and then
_MOST = 8  # plays at a time
_RESTING = 32  # recipes of plays that ended, from which they come back
AWAY = 60.0  # seconds without a page, after which a play ends
_MOMENT = 0.25  # seconds
_LEAVE = 0.2  # seconds that plays have in all to end, when the studio does
_PULSE = 5.0  # seconds, after which a page that nothing happens on hears that
_SHARE = 0.5  # of a frame's time that training may take, before it is drawn


@dataclass(frozen=True)
class Shot:
    """A frame, and what belongs to it. ``number`` grows with each."""

    number: int
    frame: dict[str, Any]
    version: int
    shown: dict[str, Any]
    curve: list[tuple[int, float, float]]


@dataclass
class Seen:
    """What a page has got."""

    number: int = -1
    version: int = -1
    points: list[tuple[int, float, float]] = field(default_factory=list)


class Player:
    """A play with a thread of its own. All that touches the session happens there, one after the other.

    It ends by itself when no page has looked for a while; then ``left`` is told what it was.
    """

    def __init__(self, recipe: Recipe, left: Callable[[Recipe], None]) -> None:
        self.session, self.left = Session(recipe), left
        self.playing = self.session.ahead > 0
        self.speed = 0.0  # steps a second; 0 is as fast as it goes
        self.trouble: dict[str, str] | None = None
        self.shot = self._shoot(0)
        self.last_seen = time.monotonic()
        self._looking: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._asked: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._under_way: list[Future[Any]] = []
        self._wake, self.ended = threading.Condition(), False
        self._drawn, self._due, self._pace = time.monotonic(), 0.0, 0.0
        self._thread = threading.Thread(target=self._run, daemon=True, name=PLAYING)
        self._thread.start()

    def do(self, what: Callable[[], T]) -> T:
        """Have the thread do something between two frames, and wait for it."""
        answer: Future[T] = Future()
        with self._wake:
            if self.ended:
                raise UsageError("This play has ended.", hint="load the page anew")
            self._asked.append((what, answer))
            self._wake.notify()
        return answer.result()

    def end(self, seconds: float | None = None) -> None:
        """Stop for good, when what is going on is done; wait for that, but no longer than so many ``seconds``."""
        with self._wake:
            self.ended = True
            self._wake.notify()
            self._refuse()
        self._tell()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    def _refuse(self) -> None:
        """Tell all who wait for the thread that they wait for nothing: a step may take long."""
        for answer in [*self._under_way, *(answer for _, answer in self._asked)]:
            with suppress(InvalidStateError):  # it is there already
                answer.set_exception(UsageError("This play has ended.", hint="load the page anew"))

    def take(self, steps: int) -> None:
        """Take steps, in its thread, as long as the play is not ended: in pieces of a moment."""
        piece = 1
        while steps > 0 and not self.ended:
            begun = time.monotonic()
            self.session.advance(min(piece, steps))
            steps -= piece
            piece = 2 * piece if time.monotonic() - begun < _MOMENT else max(1, piece // 2)

    @property
    def watched(self) -> bool:
        """Whether a page looks."""
        return bool(self._looking)

    # -------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            self._go_on()
        finally:
            with self._wake:
                self.ended = True
                self._refuse()

    def _go_on(self) -> None:
        while not self.ended:
            with self._wake:
                rang = True
                while rang and not (self._asked or self.ended or (self.playing and self.watched)):
                    rang = self._wake.wait(AWAY)
                asked = [self._asked.popleft() for _ in range(len(self._asked))]
                self._under_way = [answer for _, answer in asked]
            if not (rang or self.watched) and time.monotonic() - self.last_seen >= AWAY:
                self.left(self.session.recipe())
                return
            for what, answer in asked:
                with suppress(InvalidStateError):  # nobody waits any more
                    try:
                        answer.set_result(what())
                    except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
                        answer.set_exception(error)
            if asked:
                self.show()
            if self.playing and self.watched:
                self._tick()

    def _tick(self) -> None:
        """A frame's worth of steps, then a frame."""
        now = time.monotonic()
        steps = self._steps()
        if steps:
            replaying = self.session.ahead > 0
            try:
                self.session.advance(steps)
                self.playing = not replaying or self.session.ahead > 0
            except NacreError as error:
                said, hint = in_words(error)
                self.playing, self.trouble = False, {"message": said, "hint": hint}
            taken = time.monotonic() - now
            self._pace = taken / steps if not self._pace else 0.7 * self._pace + 0.3 * taken / steps
            self.show()
        self._drawn += 1 / FRAMES
        rest = self._drawn - time.monotonic()
        if rest < 0:
            self._drawn -= rest
        else:
            with self._wake:
                if not self._asked:
                    self._wake.wait(rest)

    def _steps(self) -> int:
        """How many steps until the next frame."""
        most = max(1, int(_SHARE / FRAMES / self._pace)) if self._pace else 1
        ahead = self.session.ahead
        if ahead:
            return min(most, ahead)
        if not self.speed:
            return most
        self._due = min(self._due + self.speed / FRAMES, float(most))
        steps = int(self._due)
        self._due -= steps
        return steps

    # -------------------------------------------------------------- what is seen

    def show(self) -> None:
        """Take a frame, and tell who looks."""
        self.shot = self._shoot(self.shot.number + 1)
        self._tell()

    def _tell(self) -> None:
        for event, loop in list(self._looking.items()):
            with suppress(RuntimeError):  # the server stops, and its loop is closed
                loop.call_soon_threadsafe(event.set)

    def _shoot(self, number: int) -> Shot:
        session = self.session
        frame = session.frame() | {"playing": self.playing, "speed": self.speed, "trouble": self.trouble}
        shown = session.shown() if number == 0 or session.version != self.shot.version else self.shot.shown
        return Shot(number, frame, session.version, shown, list(session.curve))

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What changed since the event before. Who is slow gets the newest frame when it is ready, and those between never."""
        event, seen = asyncio.Event(), Seen()
        self._looking[event] = asyncio.get_running_loop()
        with self._wake:
            self._wake.notify()
        try:
            while not self.ended:
                event.clear()
                shot = self.shot
                if shot.number != seen.number:
                    yield news(shot, seen)
                    continue
                try:
                    await asyncio.wait_for(event.wait(), _PULSE)
                except TimeoutError:
                    yield {}  # whether the page is still there shows when one writes to it
        finally:
            del self._looking[event]
            self.last_seen = time.monotonic()


def news(shot: Shot, seen: Seen) -> dict[str, Any]:
    """What a page that has ``seen`` so much lacks; it then has seen the shot."""
    found = dict(shot.frame)
    if shot.version != seen.version:
        found["shown"] = shot.shown
    points, known = shot.curve, len(seen.points)
    if points[:known] != seen.points:
        known = 0  # another play, or every other point is gone
    found["curve"] = {"from": known, "points": points[known:]}
    seen.number, seen.version, seen.points = shot.number, shot.version, points
    return found


@dataclass(frozen=True)
class _Shelf:
    """Plays by their ids, and what those were that ended."""

    players: dict[str, Player] = field(default_factory=dict)
    resting: dict[str, Recipe] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def rest(self, name: str, recipe: Recipe) -> None:
        """Keep what a play was, which ends."""
        with self.lock:
            self.players.pop(name, None)
            self.resting[name] = recipe
            while len(self.resting) > _RESTING:
                self.resting.pop(next(iter(self.resting)))

    def close(self) -> None:
        """End all plays."""
        until = time.monotonic() + _LEAVE
        for player in list(self.players.values()):
            player.ended = True
        for player in list(self.players.values()):
            player.end(max(0.0, until - time.monotonic()))


class Players:
    """All plays of a studio, by their ids. One whose page is away ends after a while; from its recipe it comes back."""

    def __init__(self) -> None:
        self._shelf = (
            _Shelf()
        )  # threads know it, and not the plays: these end when nobody has them any more, and at exit
        self._opening = threading.Lock()  # one after the other, or there would be too many
        self.close = weakref.finalize(self, self._shelf.close)

    def open(self, recipe: Recipe, name: str | None = None) -> str:
        """Begin a play; its id. Raises `UsageError` when there are too many that somebody looks at."""
        with self._opening:
            with self._shelf.lock:
                full = len(self._shelf.players) >= _MOST
                idle = [(p.last_seen, key, p) for key, p in self._shelf.players.items() if not p.watched]
            if full and not idle:
                raise UsageError(f"{_MOST} plays are open already.", hint="close the page of one of them")
            if full:
                _, oldest, player = min(idle)
                player.end()
                self._shelf.rest(oldest, player.session.recipe())
            key = name or secrets.token_urlsafe(12)
            player = Player(recipe, partial(self._shelf.rest, key))
            with self._shelf.lock:
                self._shelf.players[key] = player
            return key

    def get(self, name: str) -> Player:
        """The play of that id, begun again if it had ended. Raises `UsageError` if there was none."""
        with self._shelf.lock:
            player, recipe = self._shelf.players.get(name), self._shelf.resting.pop(name, None)
        if player is not None:
            return player
        if recipe is None:
            raise UsageError("This play is not open any more.", hint="load the page anew")
        return self._shelf.players[self.open(recipe, name)]

    def replace(self, name: str, recipe: Recipe) -> None:
        """Another play at the place of this one."""
        player = self.get(name)

        def begin() -> None:
            session = Session(recipe)
            session.version = player.session.version + 1
            player.session, player.playing, player.trouble = session, session.ahead > 0, None

        player.do(begin)


__all__ = ["FRAMES", "PLAYING", "Player", "Players", "Seen", "Shot", "news"]
