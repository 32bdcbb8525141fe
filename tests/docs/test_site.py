"""The site: it builds without a warning, so all its code runs and every name in it is there; it can be read without a network."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(900)  # whoever comes first builds, which takes a minute where nothing else runs


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Where the site is, built once for all processes that test."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with (folder / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "site.log").exists():
            command = [
                sys.executable,
                "-m",
                "sphinx",
                "-q",
                "-W",
                "--keep-going",
                "-j",
                "2",
                "docs",
                str(folder / "site"),
            ]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            (folder / "site.log").write_text(f"{done.returncode}\n{done.stdout}{done.stderr}")
    code, _, said = (folder / "site.log").read_text().partition("\n")
    assert code == "0", said
    return folder / "site"


class _Parts(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links, self.loads, self.places = [], [], {"", "top"}
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.places.add(given["id"])
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in ("script", "img", "iframe", "source", "video") and given.get("src"):
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])


def test_every_link_and_every_picture_leads_somewhere(site):
    pages = {page: _Parts(page) for page in site.rglob("*.html")}
    assert len(pages) > 40
    wrong = []
    for page, parts in pages.items():
        for link in parts.links + parts.loads:
            to = urlsplit(link)
            if to.scheme == "https" and link in parts.links:
                continue  # another place; whether that is there is not asked
            target = (page.parent / unquote(to.path)).resolve() if to.path else page
            places = pages[target].places if target in pages else {""}
            if to.scheme or not target.is_file() or unquote(to.fragment) not in places:
                wrong.append((page.relative_to(site).as_posix(), link))
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site):
    for style in [*site.rglob("*.css"), *site.rglob("*.html")]:
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text()), style
    for page in site.rglob("*.html"):
        assert [load for load in _Parts(page).loads if re.match(r"(\w+:)?//", load)] == []


def test_every_public_name_and_every_command_has_its_place(site):
    import nacre
    from nacre.cli import main

    shown = {place for page in (site / "look-up").glob("*.html") for place in _Parts(page).places}
    for room in (
        nacre.layers,
        nacre.losses,
        nacre.metrics,
        nacre.optimizers,
        nacre.ops,
        nacre.plots,
        nacre.labs,
        nacre.insight,
    ):
        missing = [name for name in room.__all__ if f"{room.__name__}.{name}" not in shown and name != "schedules"]
        assert missing == []
    assert {
        "nacre.models.Model.fit",
        "nacre.errors.ShapeError",
        "nacre.doctor.diagnose",
        "nacre.calculus.grad",
    } <= shown
    commands = _Parts(site / "look-up" / "commands.html").places
    assert [name for name in main.commands if f"nacre-{name}" not in commands] == []


@pytest.mark.parametrize("lesson", ["perceptron", "backpropagation", "digits"])
def test_a_lesson_runs_as_a_notebook(site, lesson, tmp_path):
    notebook = nbformat.read(site / "learn" / f"{lesson}.ipynb", as_version=4)
    nbformat.validate(notebook)
    said = [
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text" in output
    ]
    assert said
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    again = [
        "".join(o.text for o in cell.outputs if "text" in o) for cell in notebook.cells if cell.cell_type == "code"
    ]
    assert [text for text in again if text] == said  # the same bits in Jupyter


def test_it_is_read_in_a_browser_wide_and_narrow_and_searched(site):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        message = "no Chromium to look with (Debian and Ubuntu: apt install chromium)"
        (pytest.fail if os.environ.get("NACRE_BROWSER") == "required" else pytest.skip)(message)
    asked, wrong = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        for width in (1280, 375):
            page.set_viewport_size({"width": width, "height": 800})
            for name in (
                "index",
                "learn/perceptron",
                "learn/backpropagation",
                "look-up/layers",
                "look-up/commands",
                "gallery",
            ):
                page.goto(f"{(site / name).as_uri()}.html")
                over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert over <= 0, (name, width, over)
        assert page.locator("math").count() == 0  # the gallery has no formulas
        page.goto(f"{(site / 'search.html').as_uri()}?q=crossentropy")
        page.locator("#search-results li a").first.wait_for()
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert wrong == []
