"""The command `python -m benchmarks.studio`: how soon the studio's page is there, how many frames of a play it shows, what
following a training takes of a core, and by how much that slows the training.

The page is opened by Chromium without a window, on the same cores. First paint is the browser's own figure, of a first visit.
Frames are counted in the page: messages that came, and animation frames in which something was painted. Trainings are whole
commands, in turn without a studio, with one that shows the list of runs, and with one that shows the very run; what others do on
the machine only adds to them, so the least of each counts. What the studio and the browser take of a core is the time that the
system counts for their processes, once the training is under way: nobody else's work is in it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
from playwright.sync_api import Browser, sync_playwright

_COUNTED = """
window.counted = {messages: 0, painted: 0};
const source = window.EventSource;
window.EventSource = class extends source {
  constructor(...given) { super(...given); this.addEventListener("message", () => counted.messages++); }
};
let touched = false;
for (const name of ["putImageData", "drawImage"]) {
  const own = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...given) { touched = true; return own.apply(this, given); };
}
const tick = () => { if (touched) counted.painted++; touched = false; requestAnimationFrame(tick); };
requestAnimationFrame(tick);
"""
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
_SETTLED = 20.0  # seconds after which a training that is followed is told of at its usual pace
_TRAINED = ("digits", "--model", "mlp:1024,1024", "--epochs", "400", "--quiet")


@contextmanager
def studio(root: Path) -> Iterator[tuple[str, int]]:
    """The address of a studio in a process of its own, and the number of that process."""
    words = [sys.executable, "-m", "nacre", "studio", str(root), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"], process.pid
        finally:
            process.terminate()


def paint(browser: Browser, url: str) -> float:
    """Seconds until a first visit shows something."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(url)
    page.get_by_role("heading", level=1).wait_for(state="attached")
    found = float(page.evaluate(_PAINTED)) / 1e3
    context.close()
    return found


def frames(browser: Browser, url: str, seconds: float) -> tuple[float, float]:
    """Frames per second of a play on circles, with two hidden layers more than the page begins with: received, and painted."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script(_COUNTED)
    page.goto(url)
    page.get_by_role("button", name="Play", exact=True).click()
    time.sleep(1.0)
    before, began = page.evaluate("({...counted})"), time.monotonic()
    time.sleep(seconds)
    after, took = page.evaluate("({...counted})"), time.monotonic() - began
    context.close()
    return tuple((after[name] - before[name]) / took for name in ("messages", "painted"))


def trained(root: Path, name: str) -> float:
    """Seconds that a training takes as a command."""
    began = time.monotonic()
    words = [sys.executable, "-m", "nacre", "train", *_TRAINED, "--out", str(root / name)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def slowed(browser: Browser, root: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of trainings without a studio, with one on the list of runs, and with one on the run that is trained."""
    found: dict[str, list[float]] = {"alone": [], "list": [], "run": []}
    for number in range(rounds):
        for kind, times in found.items():
            name = f"{kind}-{number}"
            if kind == "alone":
                times.append(trained(root, name))
                continue
            with studio(root) as (url, _):
                page = browser.new_page()
                page.goto(f"{url}#/runs" if kind == "list" else f"{url}#/runs/{name}")
                page.get_by_role("heading", level=1).wait_for(state="attached")
                times.append(trained(root, name))
                page.close()
    return found


def used(above: int, name: str) -> float:
    """Seconds of a core that the processes below one have taken, itself among them, if their command holds a name."""
    seconds, parents, commands = dict[int, float](), dict[int, int](), dict[int, str]()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            commands[int(place.name)] = (place / "cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        parents[int(place.name)] = int(fields[1])
        seconds[int(place.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    ours = {above}
    while more := {one for one, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(seconds[one] for one in ours if name in commands.get(one, ""))


def followed(browser: Browser, root: Path, seconds: float) -> dict[str, tuple[float, float]]:
    """Shares of a core that the studio and Chromium take: on the list of runs, on the run that trains, and with none that does."""
    found = {}
    words = [sys.executable, "-m", "nacre", "train", *_TRAINED, "--epochs", "1000000", "--out", str(root / "followed")]
    with studio(root) as (url, number), subprocess.Popen(words, stdout=subprocess.DEVNULL) as training:
        time.sleep(_SETTLED)
        for kind, where in {"list": "#/runs", "run": "#/runs/followed", "idle": "#/runs"}.items():
            if kind == "idle":
                training.kill()
                training.wait()
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{url}{where}")
            page.get_by_role("heading", level=1).wait_for(state="attached")
            time.sleep(_SETTLED / 4)
            began = time.monotonic()
            before = used(number, "nacre"), used(os.getpid(), "chrom")
            time.sleep(seconds)
            after = used(number, "nacre"), used(os.getpid(), "chrom")
            took = time.monotonic() - began
            found[kind] = ((after[0] - before[0]) / took, (after[1] - before[1]) / took)
            page.close()
    return found


@click.command()
@click.option("--rounds", default=7, help="How often each is measured.")
@click.option("--seconds", default=5.0, help="How long frames are counted.")
@click.option("--watched", default=30.0, help="How long a training is followed for what that takes of a core.")
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="A file for all figures.")
def main(rounds: int, seconds: float, watched: float, out: Path | None) -> None:
    """Measure the studio."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise click.ClickException("there is no Chromium (Debian and Ubuntu: apt install chromium)")
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        root = Path(folder)
        with studio(root) as (url, _):
            figures["first_paint_s"] = [paint(browser, url) for _ in range(rounds)]
            figures["frames"] = [frames(browser, url, seconds) for _ in range(rounds)]
        figures["shares_of_a_core"] = followed(browser, root, watched)
        figures["trainings_s"] = slowed(browser, root, rounds)
        browser.close()
    took = figures["trainings_s"]
    came, painted = (median(each) for each in zip(*figures["frames"], strict=True))
    click.echo(f"first paint  {median(figures['first_paint_s']):.3f} s, at worst {max(figures['first_paint_s']):.3f} s")
    click.echo(f"a play       {came:.1f} frames/s received, {painted:.1f} painted")
    for kind, (own, shown) in figures["shares_of_a_core"].items():
        click.echo(f"on {kind:<10}{own:8.2%} of a core taken by the studio, {shown:.2%} by Chromium")
    for kind in ("list", "run"):
        least, middle = (f(took[kind]) / f(took["alone"]) for f in (min, median))
        click.echo(f"a training   {least:.3f} of its time with the studio on the {kind} (medians: {middle:.3f})")
    if out is not None:
        out.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
