"""A real browser looks at a running studio. Without Chromium, these tests are skipped, and say how to get it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from nacre.studio import application, scripts
from nacre.web import running

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_ALONE = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="module")  # while it is there, no other loop of asyncio can run in this thread
def browser() -> Iterator[Browser]:
    if _CHROMIUM is None:
        message = "no Chromium to look with (Debian and Ubuntu: apt install chromium)"
        if os.environ.get("NACRE_BROWSER") == "required":
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_ALONE))
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, studio: str) -> Iterator[Page]:
    """A page of 1280 x 900 in which nothing may go wrong unseen: any error in the console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, wrong = context.new_page(), []
    opened.set_default_timeout(15_000)
    expect.set_options(timeout=15_000)
    opened.on("console", lambda message: wrong.append(message.text) if _is_wrong(message) else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "requestfailed",
        lambda request: (
            wrong.append(f"{request.url}: {request.failure}") if "ERR_ABORTED" not in str(request.failure) else None
        ),
    )
    yield opened
    context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[str]:
    """The address, with its token, of a studio over the runs in ``tmp_path / "runs"``."""
    app = application(tmp_path / "runs")
    with running(app, token="secret", stopping=app.state.closing.set, scripts=scripts()) as url:
        yield f"{url}/?token=secret"


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Keep how a page looks now, under a name, for people to look at."""

    def taken(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    return taken


def _is_wrong(message: ConsoleMessage) -> bool:
    """Errors, save what browsers say of each answer that is a refusal; the page shows these, and tests look."""
    return message.type == "error" and not re.search("the server responded with a status of 40[01]", message.text)
